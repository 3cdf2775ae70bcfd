//! Lines of Python: statements that are too long are broken inside of their brackets.

/// Columns of the text.
pub(super) const WIDTH: usize = 110;
pub(super) const INDENT: &str = "    ";

/// Adds a statement. One that does not fit has an argument a line, with a comma after the last.
pub(super) fn statement(lines: &mut Vec<String>, indent: &str, text: &str) {
    broken(lines, indent, text, false);
}

/// As [`statement`]; within brackets, a sum may also have a term a line.
fn broken(lines: &mut Vec<String>, indent: &str, text: &str, within: bool) {
    let fits = indent.len() + text.chars().count() <= WIDTH;
    let parts = match fits {
        true => None,
        false => brackets(text),
    };
    let Some((head, inner, tail)) = parts else {
        match within && !fits {
            true => {
                let terms = text.replace(" + ", &format!("\n{indent}+ "));
                lines.extend(format!("{indent}{terms}").lines().map(String::from));
            }
            false => lines.push(format!("{indent}{text}")),
        }
        return;
    };
    lines.push(format!("{indent}{head}"));
    let deeper = format!("{indent}{INDENT}");
    for part in arguments(inner) {
        broken(lines, &deeper, &format!("{part},"), true);
    }
    lines.push(format!("{indent}{tail}"));
}

/// A text in three: up to and with the bracket whose partner is the last one, what is between them, and the rest.
fn brackets(text: &str) -> Option<(&str, &str, &str)> {
    let close = text.rfind([')', ']'])?;
    let mut depth = 0usize;
    for (i, c) in text[..=close].char_indices().rev() {
        match c {
            ')' | ']' => depth += 1,
            '(' | '[' => {
                depth -= 1;
                if depth == 0 {
                    let inner = &text[i + 1..close];
                    let nothing = inner.trim().is_empty();
                    return (!nothing).then_some((&text[..=i], inner, &text[close..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// The parts between commas that are in no bracket.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut from) = (0i32, 0);
    let mut out = vec![];
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                out.push(text[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    out.push(text[from..].trim());
    out.retain(|t| !t.is_empty());
    out
}

/// Adds the lines of a paragraph, those after the first indented by `hang`.
pub(super) fn paragraph(lines: &mut Vec<String>, first: &str, hang: &str, text: &str) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, hang.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_calls_have_an_argument_a_line() {
        let mut lines = vec![];
        let name = "n".repeat(40);
        statement(
            &mut lines,
            INDENT,
            &format!("{name} = pl.load({name}, [{name}, 0], [1, 2])"),
        );
        let wanted = format!(
            "    {name} = pl.load(\n        {name},\n        [{name}, 0],\n        [1, 2],\n    )"
        );
        assert_eq!(lines.join("\n"), wanted);
    }

    #[test]
    fn long_sums_have_a_term_a_line() {
        let mut lines = vec![];
        let name = "n".repeat(70);
        statement(
            &mut lines,
            "",
            &format!("x = pl.f([{name} + {name} * 2, 0])"),
        );
        let wanted = format!(
            "x = pl.f(\n    [\n        {name}\n        + {name} * 2,\n        0,\n    ],\n)"
        );
        assert_eq!(lines.join("\n"), wanted);
    }

    #[test]
    fn a_header_keeps_its_colon() {
        let mut lines = vec![];
        let name = "n".repeat(100);
        statement(&mut lines, "", &format!("for i in pl.spmd({name}, 1):"));
        assert_eq!(lines.last().map(String::as_str), Some("):"));
    }

    #[test]
    fn paragraphs_hang() {
        let mut lines = vec![];
        paragraph(&mut lines, "- ", "  ", &"word ".repeat(40));
        assert!(lines.len() > 1 && lines[1].starts_with("  word"));
        assert!(lines.iter().all(|l| l.len() <= WIDTH && !l.ends_with(' ')));
    }
}
