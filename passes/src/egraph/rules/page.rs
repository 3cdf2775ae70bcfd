//! The rules as a page for people: `docs/rules.md` is what this returns.

use super::{Role, Rule};
use std::fmt::Write;

/// The page that documents `rules`, in Markdown.
pub fn markdown(rules: &[Rule]) -> String {
    let mut out = String::from(
        "# Rules\n\n\
         This page is generated from the rule tables in `passes/src/egraph/rules/`; a test keeps it up to date (run it with\n\
         `TILEWRIGHT_BLESS=1` to write the page anew). The terms are explained in `passes/src/term/language.rs`; what the\n\
         numerics classes mean is in [numerics.md](numerics.md). A variable that only the right side has is a number that the\n\
         rule computes: a divisor, a number of blocks or parts, an extent. Where a rule works for many operators, one stands for all.\n\n\
         | rule | role | numerics | what it does |\n|---|---|---|---|\n",
    );
    for r in rules {
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| [`{0}`](#{0}) | {1} | {2} | {3} |",
            r.name,
            r.role.name(),
            r.numerics,
            r.does
        );
    }
    for r in rules {
        let _ = write!(
            out,
            "\n## {}\n\nIt {}.\n\nLegal because {}.\n\n{}\n",
            r.name,
            r.does,
            r.why,
            match r.role {
                Role::Structure => "Always on: it gives values their form as written.",
                Role::Choice => "On unless disabled with `--disable-rule`.",
                Role::Optional => "Off unless enabled with `--enable-rule`.",
                Role::Plan =>
                    "On unless disabled with `--disable-rule`. A move of the search over plans (`passes/src/optimize/`), no rewrite.",
            }
        );
        if r.lines.is_empty() {
            continue;
        }
        out.push_str("\n```text\n");
        for l in &r.lines {
            let _ = writeln!(out, "{}\n    => {}", l.left, l.right);
        }
        out.push_str("```\n");
    }
    out
}
