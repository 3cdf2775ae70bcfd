//! Exchanges that every graph has without declaring them, written in the language in `library.tw`.

use super::Definition;
use crate::syntax::{Parsed, Parser};
use std::sync::LazyLock;

/// Their text.
const TEXT: &str = include_str!("library.tw");

static LIBRARY: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    // A test reads it.
    read(TEXT).unwrap_or_default()
});

/// All of them.
pub fn library() -> &'static [Definition] {
    &LIBRARY
}

/// The one of a name.
pub fn find(name: &str) -> Option<Definition> {
    library().iter().find(|d| d.name() == name).cloned()
}

fn read(text: &str) -> Parsed<Vec<Definition>> {
    let mut parser = Parser::new(text)?;
    let mut all = vec![];
    while parser.end().is_err() {
        let line = parser.line(Parser::exchange)?;
        all.push(Definition::new(line.kind));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_parses() {
        let names: Vec<String> = match read(TEXT) {
            Ok(all) => all.iter().map(|d| d.name().to_string()).collect(),
            Err(e) => panic!("{e:?}"),
        };
        assert_eq!(names, ["dispatch", "give_back"]);
    }
}
