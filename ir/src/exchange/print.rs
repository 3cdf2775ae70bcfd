//! The canonical text of an exchange.

use super::tree::*;
use crate::syntax::{Condition, Expr, Printer, print_expr};

/// Columns after which a list of operands takes a line an operand.
const WIDTH: usize = 110;

impl Printer {
    /// Prints a declaration.
    pub fn exchange(&mut self, level: usize, d: &Declaration, trailing: Option<&str>) {
        let params: Vec<String> = d.params.iter().map(param).collect();
        let results: Vec<String> = d.results.iter().map(tensor).collect();
        let (params_line, results_line) = (params.join(", "), results.join(", "));
        let head = format!("exchange {}({params_line}) -> ({results_line})", d.name);
        if head.len() <= WIDTH {
            return self.block(level, &head, &d.body, trailing, Self::step);
        }
        self.push(level, &format!("exchange {}(", d.name), None);
        for p in params {
            self.push(level + 1, &format!("{p},"), None);
        }
        self.push(level, ") -> (", None);
        for r in results {
            self.push(level + 1, &format!("{r},"), None);
        }
        self.block(level, ")", &d.body, trailing, Self::step);
    }

    fn step(&mut self, level: usize, stmt: &Stmt, trailing: Option<&str>) {
        match stmt {
            Stmt::For { body, .. } => {
                self.block(level, &head(stmt), body, trailing, Self::step);
            }
            Stmt::If {
                then, otherwise, ..
            } => {
                self.open(level, &head(stmt), then, Self::step);
                if let Some(otherwise) = otherwise {
                    self.open(level, "} else", otherwise, Self::step);
                }
                self.push(level, "}", trailing);
            }
            simple => self.push(level, &head(simple), trailing),
        }
    }
}

/// A statement without what stands in its blocks.
pub(super) fn head(stmt: &Stmt) -> String {
    let e = print_expr;
    match stmt {
        Stmt::Let { name, value } => format!("let {name} = {}", e(value)),
        Stmt::Var { name, value } => format!("var {name} = {}", e(value)),
        Stmt::Assign { target, value } => format!("{} = {}", e(target), e(value)),
        Stmt::Window {
            name,
            dtype,
            shape: [rows, cols],
            alternating,
        } => {
            let word = if *alternating { " alternating" } else { "" };
            format!("window {name}: {dtype}[{}, {}]{word}", e(rows), e(cols))
        }
        Stmt::Counter { name, count: None } => format!("counter {name}"),
        Stmt::Counter {
            name,
            count: Some(count),
        } => format!("counter {name}[{}]", e(count)),
        Stmt::Array { name, length } => format!("array {name}[{}]", e(length)),
        Stmt::Read { name, from } => format!("read {name} = {}", e(from)),
        Stmt::Tile { name, form } => match form {
            TileForm::Loaded(from) => format!("tile {name} = {}", e(from)),
            TileForm::Empty {
                dtype,
                shape: [rows, cols],
            } => format!("tile {name}: {dtype}[{}, {}]", e(rows), e(cols)),
        },
        Stmt::For {
            name,
            from,
            to,
            share,
            ..
        } => {
            let share = match share {
                None => "",
                Some(Share::Evenly) => " shared",
                Some(Share::Unevenly) => " shared unevenly",
            };
            format!("for {name} in {}..{}{share}", e(from), e(to))
        }
        Stmt::If { condition, .. } => format!("if {}", compared(condition)),
        Stmt::Copy {
            from,
            to,
            on,
            first,
        } => {
            let word = if on.is_some() { "put" } else { "copy" };
            let part = |word: &str, x: &Option<Expr>| {
                x.as_ref()
                    .map_or(String::new(), |x| format!(" {word} {}", e(x)))
            };
            let (on, first) = (part("on", on), part("first", first));
            format!("{word} {} -> {}{on}{first}", e(from), e(to))
        }
        Stmt::Fill { tile, value } => format!("fill {tile} with {}", e(value)),
        Stmt::Add { from, to } => format!("add {from} -> {to}"),
        Stmt::Notify { counter, on } => format!("notify {} on {}", e(counter), e(on)),
        Stmt::Wait { counter, at_least } => format!("wait {} >= {}", e(counter), e(at_least)),
        Stmt::Fail {
            status,
            message,
            help,
        } => {
            let help = help.as_ref();
            let help = help.map_or(String::new(), |h| format!(" help \"{}\"", h.text));
            format!("fail {status} \"{}\"{help}", message.text)
        }
        Stmt::Require { condition, message } => {
            format!("require {} else \"{}\"", compared(condition), message.text)
        }
    }
}

fn compared(c: &Condition) -> String {
    let (left, right) = (print_expr(&c.left), print_expr(&c.right));
    format!("{left} {} {right}", c.op.name())
}

fn param(p: &Param) -> String {
    match p {
        Param::Operand(t) => tensor(t),
        Param::Size {
            name,
            default: None,
        } => format!("{name}: size"),
        Param::Size {
            name,
            default: Some(value),
        } => format!("{name}: size = {}", print_expr(value)),
    }
}

fn tensor(t: &Tensor) -> String {
    let mut s = format!("{}: {}", t.name, t.dtype);
    if !t.shape.is_empty() {
        let dims: Vec<String> = t.shape.iter().map(print_expr).collect();
        s += &format!("[{}]", dims.join(", "));
    }
    if let Some(counts) = &t.ragged {
        s += &format!(" ragged {counts}");
    }
    s
}
