//! `docs/errors.md` has a section for every code, with its messages, and examples that give it.

use crate::codes::{self, Declared};
use crate::{common, fences, runs};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const PAGE: &str = "docs/errors.md";

/// Codes that neither a test names nor an example of the page gives: their texts are held by the page alone. It may become less only.
const ONLY_ON_THE_PAGE: &str = include_str!("only_on_the_page.txt");

fn page() -> String {
    std::fs::read_to_string(common::root().join(PAGE)).expect(PAGE)
}

/// The sections of codes: the code, and the text up to the next heading.
fn sections(page: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = vec![];
    let mut fenced = false;
    let mut within = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        if line.starts_with('#') && !fenced {
            let code = line.strip_prefix("### ").filter(|c| codes::is_code(c));
            within = code.is_some();
            all.extend(code.map(|c| (c.to_owned(), String::new())));
        } else if let Some((_, text)) = all.last_mut().filter(|_| within) {
            text.push_str(line);
            text.push('\n');
        }
    }
    all
}

/// The quoted lines that a section begins with.
fn quoted(declared: &[Declared]) -> String {
    let mut out = String::new();
    for d in declared {
        let message = d.message.iter().map(|m| format!("> {m}\n"));
        let help = d.help.iter().map(|h| format!("> *Remedy:* {h}\n"));
        for line in message.chain(help) {
            if out.contains(&line) {
                continue;
            }
            if !out.is_empty() {
                out.push_str(">\n");
            }
            out.push_str(&line);
        }
    }
    out
}

/// The page with the quoted lines of the sources.
fn blessed(page: &str, declared: &BTreeMap<String, Vec<Declared>>) -> String {
    let mut out = String::new();
    let mut skip = false;
    let mut fenced = false;
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        if skip && (line.is_empty() || line.starts_with('>')) && !fenced {
            continue;
        }
        skip = false;
        let _ = writeln!(out, "{line}");
        let code = line.strip_prefix("### ").and_then(|c| declared.get(c));
        if let Some(found) = code.filter(|_| !fenced) {
            skip = true;
            let quoted = quoted(found);
            let _ = match quoted.is_empty() {
                true => writeln!(out),
                false => writeln!(out, "\n{quoted}"),
            };
        }
    }
    out
}

#[test]
fn every_code_has_a_section_with_its_texts() {
    let declared = codes::all();
    let page = page();
    let sections = sections(&page);
    let known: BTreeSet<&String> = declared.keys().collect();
    let listed: BTreeSet<&String> = sections.iter().map(|s| &s.0).collect();
    assert_eq!(
        known, listed,
        "codes of the sources, and sections of {PAGE}"
    );
    assert_eq!(listed.len(), sections.len(), "a code has two sections");
    for (code, text) in &sections {
        let own = text.lines().find(|l| !l.is_empty() && !l.starts_with('>'));
        let says = own.is_some_and(|l| !l.starts_with("```") && l.len() > 20);
        assert!(says, "{code} does not say why it comes");
    }
    let wanted = blessed(&page, &declared);
    if std::env::var_os("TILEWRIGHT_BLESS").is_some() {
        std::fs::write(common::root().join(PAGE), wanted).expect("the page is written");
        return;
    }
    let off = page
        .lines()
        .zip(wanted.lines())
        .find(|(is, to_be)| is != to_be);
    assert_eq!(off, None, "{PAGE} has other texts than the sources");
    assert_eq!(page.lines().count(), wanted.lines().count());
}

/// A command for an example of a language, with the file that it is in.
fn command(language: &str) -> Option<(&'static str, &'static str)> {
    Some(match language {
        "tw" => ("layer.tw", "tilewright run layer.tw --no-emit"),
        "json" => ("layer.json", "tilewright run layer.json --no-emit"),
        "rules" => (
            "my.rules",
            "tilewright optimize rms_norm.tw --set D=64 --rules my.rules",
        ),
        "toml" => (
            "my.toml",
            "tilewright run rms_norm.tw --set D=64 --no-emit --machine my.toml",
        ),
        _ => return None,
    })
}

/// Codes that an example of the page gives.
fn with_example(page: &str) -> BTreeSet<String> {
    let all = sections(page).into_iter();
    let shown = all.filter(|(_, text)| fences::of(text).iter().any(|f| f.language != "text"));
    shown.map(|(code, _)| code).collect()
}

#[cfg(unix)]
#[test]
fn examples_give_their_codes() {
    let page = page();
    let sections = sections(&page);
    let wrong = runs::side_by_side(&sections, |(code, text)| {
        let folder = runs::folder();
        let mut wrong = vec![];
        for fence in fences::of(text).iter().filter(|f| f.language != "text") {
            let is_hint = code.starts_with("tilewright::hint::");
            let line = match command(&fence.language) {
                Some((file, _)) if is_hint => {
                    std::fs::write(folder.path().join(file), &fence.text).expect("a file");
                    "tilewright explain layer.tw --iter-limit 1"
                }
                Some((file, line)) => {
                    std::fs::write(folder.path().join(file), &fence.text).expect("a file");
                    line
                }
                None => fence.text.as_str(),
            };
            let ran = runs::shell(folder.path(), line);
            let right = match is_hint {
                true => ran.code == Some(0) && ran.stdout.contains(&format!("  {code}: ")),
                false => ran.code == Some(3) && ran.stderr.starts_with(&format!("{code}\n")),
            };
            if !right {
                wrong.push(format!("{code}: {line}\n{}", ran.text()));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether tests have the message: its longest part that is the same in all cases, if that tells it from others.
fn says(tests: &str, declared: &Declared) -> bool {
    let parts = declared
        .message
        .iter()
        .flat_map(|m| m.split(['{', '}', '…', '`']));
    let longest = parts.max_by_key(|p| p.len()).map(str::trim);
    longest.is_some_and(|p| p.len() >= 14 && tests.contains(p))
}

#[test]
fn every_code_is_in_a_test_or_has_an_example() {
    let mut tests = String::new();
    for folder in ["tests", "ir/tests", "passes/tests", "backends/tests"] {
        codes::each_file(&common::root().join(folder), &mut |path| {
            let is_text = path.extension().is_some_and(|e| e == "rs" || e == "snap");
            let own = path.ends_with("docs/codes.rs");
            if let Ok(text) = std::fs::read_to_string(path)
                && is_text
                && !own
            {
                tests.push_str(&text);
            }
        });
    }
    let words: BTreeSet<&str> = tests
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .collect();
    let shown = with_example(&page());
    let tested = |code: &String, all: &[Declared]| {
        let short = code.trim_start_matches("tilewright::");
        let named = |d: &Declared| words.contains(d.path.as_str()) || says(&tests, d);
        words.contains(code.as_str())
            || words.contains(short)
            || shown.contains(code)
            || all.iter().any(named)
    };
    let declared = codes::all();
    let without = declared.iter().filter(|(code, all)| !tested(code, all));
    let without: Vec<&str> = without.map(|(code, _)| code.as_str()).collect();
    let known: Vec<&str> = ONLY_ON_THE_PAGE.lines().collect();
    assert_eq!(without, known, "codes that no test and no example gives");
}
