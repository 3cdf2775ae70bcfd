//! Lines of text: folding, and what may stand in a comment.

/// Columns of the text.
const WIDTH: usize = 120;
pub(super) const INDENT: &str = "    ";

/// Bytes in KiB, with one decimal where it is not whole.
pub(super) fn kib(bytes: usize) -> String {
    match bytes % 1024 {
        0 => (bytes / 1024).to_string(),
        _ => format!("{:.1}", bytes as f64 / 1024.0),
    }
}

/// Adds `text` in lines of at most [`WIDTH`] columns, broken after a comma or before an operator where there
/// is one. The rest of a statement stands deeper.
pub(super) fn fold(lines: &mut Vec<String>, indent: &str, text: &str) {
    // A remark behind a statement that leaves no room for it goes before the statement: folded, it would end in code.
    if let Some((code, remark)) = text.split_once("  // ")
        && indent.len() + text.chars().count() > WIDTH
    {
        fold(lines, &format!("{indent}// "), remark);
        return fold(lines, indent, code);
    }
    let deeper = match indent.trim_start().starts_with("//") {
        true => indent.to_owned(),
        false => format!("{indent}{INDENT}"),
    };
    let mut indent = indent;
    let mut rest = text;
    loop {
        let room = WIDTH.saturating_sub(indent.len()).max(40);
        let at = (rest.chars().count() > room)
            .then(|| break_at(rest, room))
            .flatten();
        let Some(at) = at else {
            lines.push(format!("{indent}{rest}"));
            return;
        };
        lines.push(format!("{indent}{}", rest[..at].trim_end()));
        rest = rest[at..].trim_start();
        indent = &deeper;
    }
}

/// Where to break a line that has no more than `room` columns.
fn break_at(text: &str, room: usize) -> Option<usize> {
    let end = text.char_indices().nth(room).map_or(text.len(), |(i, _)| i);
    let head = &text[..end];
    // Not within a list of template arguments, where it can be helped.
    let mut depth = 0;
    let mut comma = None;
    for (i, c) in head.char_indices() {
        match c {
            '<' if !head[i + 1..].starts_with([' ', '=']) => depth += 1,
            '>' if depth > 0 => depth -= 1,
            ',' if depth == 0 && head[i + 1..].starts_with(' ') => comma = Some(i + 1),
            _ => {}
        }
    }
    let after = |mark: &str| head.rfind(mark).map(|i| i + mark.len());
    let far = |i: &usize| *i > end / 3;
    let call = outer_call(head).filter(|_| text.ends_with(");"));
    comma
        .filter(far)
        .or_else(|| call.filter(far))
        .or_else(|| after(", ").filter(far))
        .or_else(|| head.rfind(" + "))
        .or_else(|| head.rfind(' '))
        .filter(|i| *i > 0)
}

/// After the last bracket that is within no other one.
fn outer_call(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, None);
    for (i, c) in text.char_indices() {
        match c {
            '(' => {
                at = if depth == 0 { Some(i + 1) } else { at };
                depth += 1;
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_broken_after_its_own_bracket() {
        let mut lines = vec![];
        let text = format!(
            "GmTile<float, 1, 64> {}(x + (row + 8) * COLS);",
            "name_".repeat(18)
        );
        fold(&mut lines, INDENT, &text);
        assert_eq!(lines[1].trim(), "x + (row + 8) * COLS);", "{lines:?}");
    }

    #[test]
    fn a_long_remark_never_becomes_code() {
        let mut lines = vec![];
        let remark = "a column as a row, ".repeat(12);
        fold(
            &mut lines,
            INDENT,
            &format!("Tile<float, 8, 1> x;  // {remark}"),
        );
        let (code, remarks): (Vec<&String>, Vec<&String>) = lines
            .iter()
            .partition(|l| !l.trim_start().starts_with("//"));
        assert_eq!(code, ["    Tile<float, 8, 1> x;"]);
        assert!(remarks.len() > 1, "{lines:?}");
        assert!(lines.iter().all(|l| l.len() <= WIDTH), "{lines:?}");
    }
}
