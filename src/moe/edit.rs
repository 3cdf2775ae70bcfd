//! Changes of a graph's syntax tree by name. What is not there is left alone.

use tilewright_ir::text::ast::{
    Block, Expr, ExprKind, Item, Kernel, Line, Param, Span, Stmt, Trivia,
};
use tilewright_ir::text::parse;

/// Changes of a graph's body; what they name is in the template.
pub(super) struct Edit<'a> {
    pub lines: &'a mut Block<Item>,
}

impl Edit<'_> {
    fn param(&mut self, name: &str) -> Option<&mut Param> {
        self.lines.lines.iter_mut().find_map(|l| match &mut l.kind {
            Item::Param(p) if p.name.name == name => Some(p),
            _ => None,
        })
    }

    fn kernel(&mut self, name: &str) -> Option<&mut Kernel> {
        self.lines.lines.iter_mut().find_map(|l| match &mut l.kind {
            Item::Kernel(k) if k.name.name == name => Some(k),
            _ => None,
        })
    }

    pub fn set(&mut self, param: &str, value: String) {
        if let Some(p) = self.param(param)
            && p.value.kind != ExprKind::Number(value.clone())
        {
            p.value = number(value);
        }
    }

    /// Another expression of a param.
    pub fn set_to(&mut self, param: &str, expr: &str) {
        let new = items(&format!("param {param} = {expr}")).into_iter().next();
        if let Some(old) = self.param(param)
            && let Some(Item::Param(new)) = new.map(|l| l.kind)
        {
            old.value = new.value;
        }
    }

    fn remove(&mut self, gone: impl Fn(&Item) -> bool) {
        self.lines.lines.retain(|l| !gone(&l.kind));
    }

    pub fn remove_param(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Param(p) if p.name.name == name));
    }

    pub fn remove_input(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Input(p) if p.name.name == name));
    }

    pub fn remove_kernel(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Kernel(k) if k.name.name == name));
    }

    /// A kernel without its condition, and without the remark that explains it.
    pub fn always(&mut self, kernel: &str) {
        for line in &mut self.lines.lines {
            if let Item::Kernel(k) = &mut line.kind
                && k.name.name == kernel
            {
                k.when = None;
                line.leading.retain(|t| *t == Trivia::Blank);
            }
        }
    }

    pub fn swap_input(&mut self, name: &str, text: &str) {
        for line in &mut self.lines.lines {
            if matches!(&line.kind, Item::Input(p) if p.name.name == name)
                && let Some(new) = items(text).into_iter().next()
            {
                line.kind = new.kind;
            }
        }
    }

    /// Items behind the one of a name; kernels get a blank line before them.
    pub fn insert_after(&mut self, name: &str, text: &str) {
        let named = |l: &Line<Item>| match &l.kind {
            Item::Param(p) => p.name.name == name,
            Item::Input(i) => i.name.name == name,
            Item::Kernel(k) => k.name.name == name,
            _ => false,
        };
        let Some(at) = self.lines.lines.iter().position(named) else {
            return;
        };
        let new = items(text).into_iter().map(|mut line| {
            if matches!(line.kind, Item::Kernel(_)) {
                line.leading.insert(0, Trivia::Blank);
            }
            line
        });
        self.lines.lines.splice(at + 1..at + 1, new);
    }

    /// Other last items, instead of the outputs.
    pub fn end_with(&mut self, text: &str) {
        self.remove(|i| matches!(i, Item::Output(_)));
        for mut line in items(text) {
            line.leading = vec![Trivia::Blank];
            self.lines.lines.push(line);
        }
    }

    /// Other computations of a kernel, under the schedule that it has.
    pub fn compute(&mut self, kernel: &str, lines: &[String]) {
        let Some(kernel) = self.kernel(kernel) else {
            return;
        };
        let body = &mut kernel.body.lines;
        body.retain(|l| !matches!(l.kind, Stmt::Let { .. }));
        body.extend(statements(&lines.join("\n")));
    }

    /// Another size of a kernel's tile.
    pub fn set_tile(&mut self, kernel: &str, tile: &str, value: usize) {
        let Some(kernel) = self.kernel(kernel) else {
            return;
        };
        for line in &mut kernel.body.lines {
            if let Stmt::Tile { name, size, .. } = &mut line.kind
                && name.name == tile
            {
                *size = number(value.to_string());
            }
        }
    }

    /// Another value of an attribute of a kernel's calls.
    pub fn attribute(&mut self, kernel: &str, name: &str, value: String) {
        let Some(kernel) = self.kernel(kernel) else {
            return;
        };
        for line in &mut kernel.body.lines {
            let Stmt::Let { value: call, .. } = &mut line.kind else {
                continue;
            };
            let ExprKind::Call { attrs, .. } = &mut call.kind else {
                continue;
            };
            for (key, old) in attrs {
                let same = |text: &str| text.parse::<f64>().ok() == value.parse::<f64>().ok();
                let unchanged = matches!(&old.kind, ExprKind::Number(n) if same(n));
                if key.name == name && !unchanged {
                    *old = number(value.clone());
                }
            }
        }
    }
}

fn number(text: String) -> Expr {
    Expr {
        kind: ExprKind::Number(text),
        span: Span::default(),
    }
}

/// The items of a piece of a graph.
fn items(text: &str) -> Vec<Line<Item>> {
    let file = parse(&format!("graph piece {{\n{text}\n}}\n")).expect("a committed piece parses");
    file.graph.kind.body.lines
}

/// The lines of a piece of a kernel.
fn statements(text: &str) -> Vec<Line<Stmt>> {
    let kernel = items(&format!("kernel piece {{\n{text}\n}}"));
    kernel
        .into_iter()
        .find_map(|l| match l.kind {
            Item::Kernel(k) => Some(k.body.lines),
            _ => None,
        })
        .unwrap_or_default()
}
