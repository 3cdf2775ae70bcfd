//! Outputs against what is expected, with the tolerances.

use super::parts::count;
use crate::report::{Check, Report};
use maud::{Markup, html};

pub fn section(r: &Report) -> Markup {
    html! {
        section id="checks" {
            h2 { "Checks" }
            @for line in &r.verified { p { (line) } }
            @if r.checks.is_empty() && r.verified.is_empty() {
                p.hint { "Nothing was run, so nothing was compared. " code { "tilewright run" } " compares all outputs; "
                    code { "tilewright optimize --verify" } " does so at small sizes." }
            }
            @if !r.checks.is_empty() {
                div.scroll tabindex="0" role="group" aria-label="Checks" { table {
                    thead { tr { th { "Output" } th { "Form" } th { "Against" } th.n { "Largest difference" } th.n { "Relative" }
                        th.n { "Off" } th { "Tolerance" } th {} } }
                    tbody { @for check in &r.checks { (row(check)) } }
                } }
            }
        }
    }
}

fn row(check: &Check) -> Markup {
    let c = &check.comparison;
    html! {
        tr { td { (c.output) } td { (check.form.name()) } td { (c.against) }
            td.n { (difference(c.max_abs)) } td.n { (difference(c.max_rel)) } td.n { (c.mismatched) " of " (c.elements) }
            td { (c.tolerance) }
            @match (c.ok, c.mismatched) {
                (true, 0) => td.good { "ok" },
                (true, n) => td.good { "ok, " (count(n, "outlier")) },
                (false, _) => td.bad { "failed" },
            }
        }
        @if let Some(why) = &c.why { tr { td.bad colspan="8" { (why) } } }
    }
}

fn difference(x: f64) -> String {
    match x {
        0.0 => "0".into(),
        _ => format!("{x:.1e}"),
    }
}
