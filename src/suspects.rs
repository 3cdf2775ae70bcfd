//! What to suspect where a result is wrong: rules of files, which nobody has proved.

use crate::report::KernelReport;
use indexmap::IndexSet;
use tilewright_passes::egraph::rules;

/// Rules of files that led to some of these kernels.
pub fn rules_of_files(kernels: &[KernelReport]) -> Vec<String> {
    let table = rules::table();
    let ours = |rule: &String| table.iter().any(|r| r.name == *rule);
    let all = kernels.iter().flat_map(|k| &k.derivation);
    let theirs: IndexSet<&String> = all.filter(|r| !ours(r)).collect();
    theirs.into_iter().cloned().collect()
}

/// A line on them; nothing where there are none.
pub fn line(kernels: &[KernelReport]) -> Option<String> {
    let rules = rules_of_files(kernels);
    let one = |r: &String| format!("`{r}`");
    let named: Vec<String> = rules.iter().map(one).collect();
    let rules = match named.len() {
        0 => return None,
        1 => "the rule",
        _ => "the rules",
    };
    Some(format!(
        "suspect {rules} {} of a file, which led to these kernels: nobody has proved a rule of a file. Without it (--disable-rule) \
         the result may be right",
        named.join(", ")
    ))
}
