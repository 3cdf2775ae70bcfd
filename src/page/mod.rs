//! A run as one page for a browser: [`html`] makes it from a report and its details.
//!
//! The page needs nothing but itself: style, script and pictures are in it. It is well-formed XML as well as HTML, so that other
//! tools can read it. A section is a function in a file of its own, from plain values to markup; none of them computes anything
//! that the values do not say.
//!
//! | file | holds |
//! |---|---|
//! | `summary` | from how much to how much, right or not, and where the time goes |
//! | `graph`, `layout` | the layer as a graph, and where its boxes go |
//! | `kernels` | kernels as written against optimized: schedule, and the tabs with what follows |
//! | `memory`, `pipes`, `derivation`, `source` | of one kernel: addresses, pipes, rules, text |
//! | `timeline` | blocks on cores |
//! | `candidates`, `checks` | plans that were not picked; outputs |
//! | `highlight`, `parts` | colours of C++; what sections share |
//! | `style.css`, `script.js` | how it looks, and what it does |

mod candidates;
mod checks;
mod derivation;
mod graph;
mod highlight;
mod kernels;
mod layout;
mod memory;
mod parts;
mod pipes;
mod source;
mod summary;
mod timeline;

use crate::detail::Details;
use crate::form::Form;
use crate::report::{FormReport, Report};
use maud::{Markup, PreEscaped, html as markup};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Places of the page that its head leads to.
const SECTIONS: [(&str, &str); 6] = [
    ("summary", "Summary"),
    ("graph", "Graph"),
    ("kernels", "Kernels"),
    ("timeline", "Timeline"),
    ("candidates", "Candidates"),
    ("checks", "Checks"),
];

/// What is shown.
#[derive(Clone, Copy)]
struct View<'a> {
    report: &'a Report,
    details: &'a Details,
}

impl<'a> View<'a> {
    fn form(&self, form: Form) -> &'a FormReport {
        match form {
            Form::Written => &self.report.written,
            Form::Optimized => &self.report.optimized,
        }
    }
}

/// The page.
pub fn html(report: &Report, details: &Details) -> String {
    let view = View { report, details };
    let body = markup! {
        (head(report))
        main {
            (summary::section(&view))
            (graph::section(report))
            (kernels::section(&view))
            (timeline::section(&view))
            (candidates::section(report))
            (checks::section(report))
        }
        footer { p.hint { "Made by tilewright " (env!("CARGO_PKG_VERSION")) "." } }
    };
    let title = format!("{} on {} – tilewright", report.graph, report.machine);
    document(&title, &body).into_string()
}

fn head(report: &Report) -> Markup {
    markup! {
        header.top {
            a.skip href="#summary" { "Skip to the summary" }
            span.brand { "tilewright" }
            nav aria-label="Sections" {
                @for (id, name) in SECTIONS { a href={ "#" (id) } { (name) } }
            }
            button.theme type="button" data-theme-button="" aria-label={ "Light or dark, of the report of " (report.graph) } { "◐" }
        }
    }
}

/// Markup with its head. What is closed here by hand is what XML wants closed and HTML allows to be.
fn document(title: &str, body: &Markup) -> Markup {
    markup! {
        (PreEscaped("<!DOCTYPE html>\n"))
        html lang="en" {
            head {
                (PreEscaped("<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"))
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped("//<![CDATA[\n")) (PreEscaped(SCRIPT)) (PreEscaped("//]]>\n")) }
            }
        }
    }
}
