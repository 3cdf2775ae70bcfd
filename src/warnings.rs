//! What of a layer's text is probably not meant, though it can be compiled.

use crate::layer::Layer;
use indexmap::IndexSet;
use std::fmt;
use tilewright_ir::syntax::ast;

/// A remark, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// As errors have them.
    pub code: &'static str,
    /// File, line and column.
    pub place: String,
    /// What is strange.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.place, self.message)
    }
}

const VALUE: &str = "tilewright::unused::value";
const INPUT: &str = "tilewright::unused::input";
const VANISHES: &str = "tilewright::lower::vanishes";

/// What is strange in a layer, in the order of its text; nothing of JSON, which a program wrote.
pub fn of(layer: &Layer) -> Vec<Warning> {
    let Some((file, text)) = layer.syntax() else {
        return vec![];
    };
    let mut found: Vec<(usize, &'static str, String)> = vec![];
    let used = used(file);
    for input in file
        .inputs()
        .filter(|i| !used.contains(i.name.name.as_str()))
    {
        let message = format!("nothing uses the input `{}`", input.name);
        found.push((input.name.span.start, INPUT, message));
    }
    for (targets, value) in lets(file) {
        let is_used = |t: &ast::Ident| used.contains(t.name.as_str());
        // Of an operation with several results one may be meant.
        if let (Some(first), false) = (targets.first(), targets.iter().any(is_used)) {
            let message = format!("`{first}` is computed, and nothing uses it");
            found.push((first.span.start, VALUE, message));
        }
        numbers(value, &mut |number, at| {
            let read = number.parse::<f64>().unwrap_or(0.0);
            if read != 0.0 && read as f32 == 0.0 {
                let message = format!("`{number}` is less than f32 has, and becomes 0");
                found.push((at.start, VANISHES, message));
            }
        });
    }
    found.sort();
    let warning = |(at, code, message)| Warning {
        code,
        place: place(&layer.name, text, at),
        message,
    };
    found.into_iter().map(warning).collect()
}

/// Lines of kernels that compute something, also those of kernels that a condition leaves out.
fn lets(file: &ast::File) -> impl Iterator<Item = (&Vec<ast::Ident>, &ast::Expr)> {
    let lines = file.kernels().flat_map(|k| &k.body.lines);
    lines.filter_map(|l| match &l.kind {
        ast::Stmt::Let { targets, value } => Some((targets, value)),
        _ => None,
    })
}

/// All names that something is made from, or that go out.
fn used(file: &ast::File) -> IndexSet<&str> {
    let mut used = IndexSet::new();
    for (_, value) in lets(file) {
        names(value, &mut used);
    }
    for item in file.items() {
        match item {
            ast::Item::Output(wanted) => {
                for w in wanted {
                    used.insert(&w.name.name);
                    used.extend(w.carried.iter().map(|c| c.name.as_str()));
                }
            }
            ast::Item::Input(input) => used.extend(input.ragged.iter().map(|r| r.name.as_str())),
            _ => {}
        }
    }
    used
}

fn names<'a>(expr: &'a ast::Expr, used: &mut IndexSet<&'a str>) {
    match &expr.kind {
        ast::ExprKind::Name(name) => {
            used.insert(name);
        }
        ast::ExprKind::Index { name, .. } => {
            used.insert(&name.name);
        }
        _ => {}
    }
    for part in parts(expr) {
        names(part, used);
    }
}

fn numbers<'a>(expr: &'a ast::Expr, look: &mut dyn FnMut(&'a str, ast::Span)) {
    if let ast::ExprKind::Number(number) = &expr.kind {
        look(number, expr.span);
    }
    for part in parts(expr) {
        numbers(part, look);
    }
}

/// The expressions in an expression.
fn parts(expr: &ast::Expr) -> Vec<&ast::Expr> {
    match &expr.kind {
        ast::ExprKind::Number(_) | ast::ExprKind::Name(_) => vec![],
        ast::ExprKind::Call { args, attrs, .. } => {
            args.iter().chain(attrs.iter().map(|(_, e)| e)).collect()
        }
        ast::ExprKind::Index { at, .. } => {
            let of = at
                .iter()
                .flat_map(|s| std::iter::once(&s.start).chain(&s.count));
            of.collect()
        }
        ast::ExprKind::Infix { left, right, .. } => vec![left, right],
        ast::ExprKind::Negate(inner) | ast::ExprKind::Paren(inner) => vec![inner],
    }
}

fn place(name: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{name}:{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_and_what_vanishes_is_told() {
        let text = "graph g {
  input x: f32[8, 64]
  input idle: f32[8, 64]
  kernel k {
    y = x * 1e-50
    dead = abs(x)
    best, at = topk(x, k = 2)
  }
  output y, best
}
";
        let layer = Layer::parse("g.tw", text.as_bytes()).expect("it is a layer");
        let told: Vec<String> = of(&layer).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "tilewright::unused::input: g.tw:3:9: nothing uses the input `idle`",
                "tilewright::lower::vanishes: g.tw:5:13: `1e-50` is less than f32 has, and becomes 0",
                "tilewright::unused::value: g.tw:6:5: `dead` is computed, and nothing uses it",
            ]
        );
    }
}
