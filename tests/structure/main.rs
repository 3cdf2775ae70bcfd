//! What the sources look like: the size of functions and files, the style of modules, and no circle between folders.
//!
//! The sources are read as tokens, so text in comments and strings does not count. The tests of each rule on a few lines stand
//! beside the rule.

mod functions;
mod modules;
mod source;

use source::Source;

/// Lines from `fn` to the closing brace.
const FUNCTION_LINES: usize = 100;
/// Parameters, `self` included.
const PARAMETERS: usize = 6;
const FILE_LINES: usize = 600;

/// What is still as it should not be, a line each: it may become less, not more. A line that no finding starts with is out of date.
const DEBT: &str = include_str!("debt.txt");

/// Fails with one finding a line, save for what is known. A finding is told by what stands before its numbers.
fn none(rule: &str, what: &str, findings: Vec<String>) {
    let known: Vec<&str> = DEBT
        .lines()
        .filter_map(|line| line.strip_prefix(rule)?.strip_prefix(": "))
        .collect();
    let new: Vec<&String> = findings
        .iter()
        .filter(|f| !known.iter().any(|k| f.starts_with(k)))
        .collect();
    let mended: Vec<&&str> = known
        .iter()
        .filter(|k| !findings.iter().any(|f| f.starts_with(**k)))
        .collect();
    assert!(
        new.is_empty() && mended.is_empty(),
        "{} {what}:\n{new:#?}\nmended, so no longer to be listed: {mended:#?}",
        new.len(),
    );
}

#[test]
fn files_are_short() {
    let long = source::all()
        .iter()
        .filter(|s| s.lines() > FILE_LINES)
        .map(|s| format!("{}: {} lines", s.path, s.lines()))
        .collect();
    none(
        "file",
        &format!("files of more than {FILE_LINES} lines"),
        long,
    );
}

#[test]
fn functions_are_short() {
    let long = functions_where(|f| f.lines > FUNCTION_LINES, |f| f.lines);
    none(
        "long",
        &format!("functions of more than {FUNCTION_LINES} lines that are no tables"),
        long,
    );
}

#[test]
fn functions_have_few_parameters() {
    let wide = functions_where(|f| f.parameters > PARAMETERS, |f| f.parameters);
    none(
        "wide",
        &format!("functions of more than {PARAMETERS} parameters"),
        wide,
    );
}

fn functions_where(
    found: impl Fn(&functions::Function) -> bool,
    size: impl Fn(&functions::Function) -> usize,
) -> Vec<String> {
    let of = |s: &Source| {
        functions::of(&s.tokens())
            .into_iter()
            .filter(|f| found(f))
            .map(|f| format!("{} `{}` has {}, line {}", s.path, f.name, size(&f), f.line))
            .collect::<Vec<_>>()
    };
    source::all().iter().flat_map(of).collect()
}

#[test]
fn a_module_with_parts_is_a_folder_with_mod_rs() {
    let all = source::all();
    let mixed = all
        .iter()
        .filter(|s| {
            let folder = format!("{}/", s.path.trim_end_matches(".rs"));
            all.iter().any(|other| other.path.starts_with(&folder))
        })
        .map(|s| format!("{} stands beside a folder of its name", s.path))
        .collect();
    none("style", "modules of mixed style", mixed);
}

#[test]
fn folders_import_each_other_in_no_circle() {
    let all = source::all();
    let circles = source::CRATES
        .iter()
        .flat_map(|root| modules::circles(&modules::of_crate(all, root)))
        .collect();
    none("circle", "circles", circles);
}
