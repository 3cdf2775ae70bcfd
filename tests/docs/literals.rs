//! String literals of Rust, and templates of messages, as people read them.

/// The text of a literal as it is written in a source; none where it is no string.
pub fn text_of(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return Some(raw.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    }
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next()? {
            'n' => out.push('\n'),
            // A line that goes on below.
            '\n' => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            other => out.push(other),
        }
    }
    Some(out)
}

/// A format string with one mark for what has no name, and without the way to print it.
pub fn template(format: &str) -> String {
    let mut out = String::new();
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '{' if rest.next_if_eq(&'{').is_some() => out.push('{'),
            '}' if rest.next_if_eq(&'}').is_some() => out.push('}'),
            '{' => {
                let inner: String = rest.by_ref().take_while(|c| *c != '}').collect();
                let name = inner.split(':').next().unwrap_or_default();
                match name.chars().all(|c| c.is_ascii_digit()) {
                    true => out.push('…'),
                    false => out.push_str(&format!("{{{name}}}")),
                }
            }
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[test]
fn literals_and_templates_are_read() {
    assert_eq!(
        text_of(
            r#""a \"b\" \
        c""#
        )
        .as_deref(),
        Some(r#"a "b" c"#)
    );
    assert_eq!(text_of("r#\"a \"b\"\"#").as_deref(), Some(r#"a "b""#));
    assert_eq!(text_of("12"), None);
    assert_eq!(template("{} of {name:?} in {{x}}"), "… of {name} in {x}");
}
