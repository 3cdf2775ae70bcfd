//! Outputs against what is expected, with the tolerances.

use super::parts::{count, percent};
use crate::report::{Check, Report};
use maud::{Markup, html};
use tilewright_backends::data::Tolerance;

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
            td { (tolerance(&c.tolerance)) }
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

/// What may differ, in words.
fn tolerance(t: &Tolerance) -> String {
    let mut parts = vec![];
    if t.atol > 0.0 {
        parts.push(format!("{}", t.atol));
    }
    if t.of_scale > 0.0 {
        parts.push(format!("{} of the row's scale", share(t.of_scale)));
    }
    if t.rtol > 0.0 {
        parts.push(format!("{} of the value", share(t.rtol)));
    }
    let mut text = match parts.is_empty() {
        true => "equal".to_owned(),
        false => parts.join(" + "),
    };
    if t.allowed_fraction > 0.0 {
        text.push_str(&format!("; {} may be off", share(t.allowed_fraction)));
    }
    if let Some(most) = t.max_off {
        text.push_str(&format!(", by at most {most}"));
    }
    text
}

fn share(x: f64) -> String {
    match x < 0.01 {
        true => format!("{:.2} %", 100.0 * x),
        false => percent(x),
    }
}
