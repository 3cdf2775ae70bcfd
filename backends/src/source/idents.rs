//! Identifiers: valid, unique in a file, and no word of the language.

use indexmap::IndexSet;

/// The names taken so far.
#[derive(Debug)]
pub(crate) struct Idents {
    reserved: &'static [&'static str],
    taken: IndexSet<String>,
}

impl Idents {
    /// No name is taken but these words.
    pub fn new(reserved: &'static [&'static str]) -> Self {
        Idents {
            reserved,
            taken: IndexSet::new(),
        }
    }

    /// `name` made valid; with `suffix` after it, and then a number, if it is taken.
    pub fn claim(&mut self, name: &str, suffix: &str) -> String {
        let plain = valid(name);
        if self.insert(&plain) {
            return plain;
        }
        let plain = match suffix {
            "" => plain,
            s => format!("{plain}_{s}"),
        };
        let mut unique = plain.clone();
        let mut number = 2;
        while !self.insert(&unique) {
            unique = format!("{plain}{number}");
            number += 1;
        }
        unique
    }

    fn insert(&mut self, name: &str) -> bool {
        !self.reserved.contains(&name) && self.taken.insert(name.to_owned())
    }
}

fn valid(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // Names with two underscores, and `_` before a capital, belong to a C++ compiler.
    while out.contains("__") {
        out = out.replace("__", "_");
    }
    let out = out.trim_start_matches('_');
    match out.chars().next() {
        None => "v".into(),
        Some(c) if c.is_ascii_digit() => format!("v{out}"),
        Some(_) => out.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::Idents;

    #[test]
    fn names_are_valid_and_unique() {
        let mut ids = Idents::new(&["half"]);
        let mut claim = |name| ids.claim(name, "tile");
        assert_eq!(claim("x"), "x");
        assert_eq!(claim("x"), "x_tile");
        assert_eq!(claim("x"), "x_tile2");
        assert_eq!(claim("half"), "half_tile");
        assert_eq!(claim("8.scale"), "v8_scale");
        assert_eq!(claim("__"), "v");
    }
}
