//! Fenced blocks of Markdown.

/// A block: the word and the rest of its first line, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    pub language: String,
    /// What follows the language: the name of a file.
    pub name: String,
    pub text: String,
    /// Of its first line in the page, from 1.
    pub line: usize,
}

/// The fenced blocks of a page, in order.
pub fn of(page: &str) -> Vec<Fence> {
    let mut all = vec![];
    let mut open: Option<Fence> = None;
    for (i, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(head)) => {
                let (language, name) = head.split_once(' ').unwrap_or((head, ""));
                open = Some(Fence {
                    language: language.into(),
                    name: name.trim().into(),
                    text: String::new(),
                    line: i + 1,
                });
            }
            (Some(_), Some(_)) => all.extend(open.take()),
            (Some(fence), None) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed: {open:?}");
    all
}
