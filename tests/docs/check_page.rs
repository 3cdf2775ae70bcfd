//! `docs/check.md` lists every code that a finding can have, and no other.

use crate::common;
use std::collections::BTreeSet;
use std::fs;

/// The parts of the sources in which codes of findings are.
const SOURCES: [(&str, &[&str]); 4] = [
    ("backends/src/sim/error.rs", &["tilewright::sim::"]),
    ("ir/src/kernel/verify/error.rs", &["tilewright::kernel::"]),
    ("backends/src/ascend/error.rs", &["tilewright::emit::"]),
    ("backends/src/checker/finding.rs", &["tilewright::check::"]),
];

/// The words of a text that begin with a prefix.
fn codes(text: &str, prefix: &str) -> BTreeSet<String> {
    let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
    let ends = text.match_indices(prefix).map(|(i, _)| {
        let rest = &text[i + prefix.len()..];
        let end = rest.find(|c| !is_code(c)).unwrap_or(rest.len());
        format!("{prefix}{}", &rest[..end])
    });
    ends.filter(|c| c.len() > prefix.len()).collect()
}

#[test]
fn every_code_is_on_the_page() {
    let read = |path: &str| fs::read_to_string(common::root().join(path)).expect(path);
    let page = read("docs/check.md");
    let table: String = page
        .lines()
        .filter(|l| l.starts_with("| `"))
        .map(|l| l.split('|').nth(1).unwrap_or_default().to_owned() + "\n")
        .collect();
    for (path, prefixes) in SOURCES {
        let source = read(path);
        for prefix in prefixes {
            let known = codes(&source, prefix);
            assert!(!known.is_empty(), "{path} has no codes");
            assert_eq!(known, codes(&table, prefix), "{path} and docs/check.md");
        }
    }
    // A row says what the code means and what to do.
    for row in page.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 3, "{row}");
        assert!(cells.iter().all(|c| !c.is_empty()), "{row}");
    }
}
