//! The canonical text of expressions, lines and blocks: two spaces a level, one statement a line, comments at line ends in one
//! column, at most one blank line in a row.

use super::*;

/// Prints an expression.
pub fn print_expr(expr: &Expr) -> String {
    let mut s = String::new();
    write_expr(&mut s, expr);
    s
}

struct Text {
    level: usize,
    code: String,
    comment: Option<String>,
}

/// Lines so far.
#[derive(Default)]
pub(crate) struct Printer {
    lines: Vec<Text>,
}

impl Printer {
    pub fn push(&mut self, level: usize, code: &str, comment: Option<&str>) {
        self.lines.push(Text {
            level,
            code: format!("{}{code}", "  ".repeat(level)),
            comment: comment.map(Into::into),
        });
    }

    pub fn trivia(&mut self, level: usize, trivia: &[Trivia]) {
        for t in trivia {
            match t {
                Trivia::Blank => self.push(0, "", None),
                Trivia::Comment(text) => self.push(level, &format!("//{text}"), None),
            }
        }
    }

    pub fn block<T>(
        &mut self,
        level: usize,
        head: &str,
        block: &Block<T>,
        trailing: Option<&str>,
        each: fn(&mut Self, usize, &T, Option<&str>),
    ) {
        self.open(level, head, block, each);
        self.push(level, "}", trailing);
    }

    /// A block up to its closing brace.
    pub fn open<T>(
        &mut self,
        level: usize,
        head: &str,
        block: &Block<T>,
        each: fn(&mut Self, usize, &T, Option<&str>),
    ) {
        self.push(level, &format!("{head} {{"), block.opening.as_deref());
        for line in &block.lines {
            self.trivia(level + 1, &line.leading);
            each(self, level + 1, &line.kind, line.trailing.as_deref());
        }
        self.trivia(level + 1, &block.closing);
    }

    /// Neighbouring lines of one level with comments have them in one column.
    pub fn finish(self) -> String {
        let mut s = String::new();
        let group =
            |a: &Text, b: &Text| a.level == b.level && a.comment.is_some() && b.comment.is_some();
        for lines in self.lines.chunk_by(group) {
            let width = lines.iter().map(|l| l.code.len()).max().unwrap_or(0);
            for line in lines {
                s += &line.code;
                if let Some(comment) = &line.comment {
                    s += &" ".repeat(width - line.code.len() + 2);
                    s += &format!("//{comment}");
                }
                s.push('\n');
            }
        }
        s
    }
}

fn write_expr(s: &mut String, expr: &Expr) {
    match &expr.kind {
        ExprKind::Number(text) | ExprKind::Name(text) => s.push_str(text),
        ExprKind::Call { name, args, attrs } => {
            s.push_str(&name.name);
            s.push('(');
            let mut first = true;
            let mut comma = |s: &mut String| {
                if !std::mem::take(&mut first) {
                    s.push_str(", ");
                }
            };
            for arg in args {
                comma(s);
                write_expr(s, arg);
            }
            for (key, value) in attrs {
                comma(s);
                s.push_str(&key.name);
                s.push_str(" = ");
                write_expr(s, value);
            }
            s.push(')');
        }
        ExprKind::Index { name, at } => {
            s.push_str(&name.name);
            s.push('[');
            for (i, slice) in at.iter().enumerate() {
                if i > 0 {
                    s.push_str(", ");
                }
                write_expr(s, &slice.start);
                if let Some(count) = &slice.count {
                    s.push_str(" : ");
                    write_expr(s, count);
                }
            }
            s.push(']');
        }
        ExprKind::Infix { op, left, right } => {
            write_expr(s, left);
            s.push(' ');
            s.push_str(op.name());
            s.push(' ');
            write_expr(s, right);
        }
        ExprKind::Negate(inner) => {
            s.push('-');
            write_expr(s, inner);
        }
        ExprKind::Paren(inner) => {
            s.push('(');
            write_expr(s, inner);
            s.push(')');
        }
    }
}
