//! The canonical text of a syntax tree: two spaces a level, one statement a line, comments at line ends in one column, at most
//! one blank line in a row. Parsing what is printed gives the same text again.

use super::ast::*;
use crate::syntax::{Printer, print_expr};

/// Prints a file in its canonical form.
pub fn print(file: &File) -> String {
    let mut p = Printer::default();
    p.trivia(0, &file.graph.leading);
    let graph = &file.graph.kind;
    let head = format!("graph {}", graph.name);
    p.block(
        0,
        &head,
        &graph.body,
        file.graph.trailing.as_deref(),
        Printer::item,
    );
    p.trivia(0, &file.closing);
    p.finish()
}

impl Printer {
    fn item(&mut self, level: usize, item: &Item, trailing: Option<&str>) {
        match item {
            Item::Param(p) => {
                let code = format!("{} {} = {}", p.role.word(), p.name, print_expr(&p.value));
                self.push(level, &code, trailing);
            }
            Item::Exchange(d) => self.exchange(level, d, trailing),
            Item::Input(i) => self.push(level, &input(i), trailing),
            Item::Output(all) => {
                let all: Vec<String> = all.iter().map(wanted).collect();
                self.push(level, &format!("output {}", all.join(", ")), trailing);
            }
            Item::Kernel(k) => {
                let mut head = format!("kernel {}", k.name);
                if let Some(c) = &k.when {
                    head += &format!(
                        " when {} {} {}",
                        print_expr(&c.left),
                        c.op.name(),
                        print_expr(&c.right)
                    );
                }
                self.block(level, &head, &k.body, trailing, Self::stmt);
            }
        }
    }

    fn stmt(&mut self, level: usize, stmt: &Stmt, trailing: Option<&str>) {
        let code = match stmt {
            Stmt::Launch(kind) => format!("launch {kind}"),
            Stmt::Tile {
                name,
                size,
                axis,
                per_block,
            } => {
                let grid = if *per_block { " per block" } else { "" };
                format!("tile {name} = {} over {axis}{grid}", print_expr(size))
            }
            Stmt::Loop { depth: None, .. } => "loop range".into(),
            Stmt::Loop { depth: Some(d), .. } => format!("loop pipeline({})", print_expr(d)),
            Stmt::Let { targets, value } => format!("{} = {}", join(targets), print_expr(value)),
        };
        self.push(level, &code, trailing);
    }
}

fn input(i: &Input) -> String {
    let mut s = format!("input {}: {}", i.name, i.dtype);
    if !i.shape.is_empty() {
        let dims: Vec<String> = i.shape.iter().map(print_expr).collect();
        s += &format!("[{}]", dims.join(", "));
    }
    if let Some(counts) = &i.ragged {
        s += &format!(" ragged {counts}");
    }
    match &i.range {
        None => {}
        Some(Range::Below(e)) => s += &format!(" < {}", print_expr(e)),
        Some(Range::UpTo(e)) => s += &format!(" <= {}", print_expr(e)),
        Some(Range::Normal(mean, deviation)) => {
            s += &format!(" ~ normal({}, {})", print_expr(mean), print_expr(deviation));
        }
    }
    s
}

fn wanted(wanted: &Wanted) -> String {
    let mut s = wanted.name.name.clone();
    if let Some(input) = &wanted.feeds {
        s += &format!(" -> {input}");
    }
    if !wanted.within.is_empty() {
        let part = |(name, value): &(Ident, Expr)| format!("{name} = {}", print_expr(value));
        let parts: Vec<String> = wanted.within.iter().map(part).collect();
        s += &format!(" within({})", parts.join(", "));
    }
    s
}

fn join(names: &[Ident]) -> String {
    let names: Vec<&str> = names.iter().map(|n| n.name.as_str()).collect();
    names.join(", ")
}
