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

/// Fails with one finding a line.
fn none(what: &str, findings: Vec<String>) {
    assert!(
        findings.is_empty(),
        "{} {what}:\n{}\n",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn files_are_short() {
    let long = source::all()
        .iter()
        .filter(|s| s.lines() > FILE_LINES)
        .map(|s| format!("{}: {} lines", s.path, s.lines()))
        .collect();
    none(&format!("files of more than {FILE_LINES} lines"), long);
}

#[test]
fn functions_are_short() {
    let long = functions_where(|f| f.lines > FUNCTION_LINES, |f| f.lines);
    none(
        &format!("functions of more than {FUNCTION_LINES} lines that are no tables"),
        long,
    );
}

#[test]
fn functions_have_few_parameters() {
    let wide = functions_where(|f| f.parameters > PARAMETERS, |f| f.parameters);
    none(
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
            .map(|f| format!("{}:{}: `{}` has {}", s.path, f.line, f.name, size(&f)))
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
    none("modules of mixed style", mixed);
}

#[test]
fn folders_import_each_other_in_no_circle() {
    let all = source::all();
    let circles = source::CRATES
        .iter()
        .flat_map(|root| modules::circles(&modules::of_crate(&all, root)))
        .collect();
    none("circles", circles);
}
