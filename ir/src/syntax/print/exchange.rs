//! The canonical text of an exchange's statements.

use super::super::ast::*;
use super::{Printer, print_condition, print_expr, type_expr};

impl Printer {
    pub(super) fn action(&mut self, level: usize, action: &Action, trailing: Option<&str>) {
        let head = print_action(action);
        match action {
            Action::For { body, .. } => self.block(level, &head, body, trailing, Self::action),
            Action::If {
                then, otherwise, ..
            } => self.branch(
                (level, &head),
                then,
                otherwise.as_ref(),
                trailing,
                Self::action,
            ),
            _ => self.push(level, &head, trailing),
        }
    }
}

/// Prints a statement of an exchange without what stands in its blocks.
pub fn print_action(action: &Action) -> String {
    let e = print_expr;
    match action {
        Action::Let { name, value } => format!("let {name} = {}", e(value)),
        Action::Var { name, value } => format!("var {name} = {}", e(value)),
        Action::Assign { target, value } => format!("{} = {}", e(target), e(value)),
        Action::Window {
            name,
            ty,
            alternating,
        } => {
            let word = if *alternating { " alternating" } else { "" };
            format!("window {name}: {}{word}", type_expr(ty))
        }
        Action::Counter { name, count: None } => format!("counter {name}"),
        Action::Counter {
            name,
            count: Some(count),
        } => format!("counter {name}[{}]", e(count)),
        Action::Array { name, length } => format!("array {name}[{}]", e(length)),
        Action::Read { name, from } => format!("read {name} = {}", e(from)),
        Action::Tile { name, form } => match form {
            TileForm::Loaded(from) => format!("tile {name} = {}", e(from)),
            TileForm::Empty(ty) => format!("tile {name}: {}", type_expr(ty)),
        },
        Action::For {
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
        Action::If { condition, .. } => format!("if {}", print_condition(condition)),
        Action::Copy {
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
        Action::Fill { tile, value } => format!("fill {tile} with {}", e(value)),
        Action::Add { from, to } => format!("add {from} -> {to}"),
        Action::Notify { counter, on } => format!("notify {} on {}", e(counter), e(on)),
        Action::Wait { counter, at_least } => format!("wait {} >= {}", e(counter), e(at_least)),
        Action::Fail {
            status,
            message,
            help,
        } => {
            let help = help.as_ref();
            let help = help.map_or(String::new(), |h| format!(" help \"{}\"", h.text));
            format!("fail {status} \"{}\"{help}", message.text)
        }
        Action::Require { condition, message } => {
            format!(
                "require {} else \"{}\"",
                print_condition(condition),
                message.text
            )
        }
    }
}
