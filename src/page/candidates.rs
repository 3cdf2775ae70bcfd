//! The plans that the simulator picked from, side by side.

use super::parts::us;
use crate::report::{CandidateReport, Report};
use indexmap::IndexSet;
use maud::{Markup, html};

/// A row of kernels that candidates have, and how each starts it.
struct Row<'a> {
    kernel: &'a str,
    /// By candidate; absent where it has no such kernel.
    launches: Vec<Option<String>>,
}

pub fn section(r: &Report) -> Markup {
    let all = &r.candidates;
    let rows = rows(all);
    let (differ, same): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|r| differs(r));
    html! {
        section id="candidates" {
            h2 { "Candidates" }
            @if all.is_empty() { p.hint { "The search left one plan, so there was nothing to pick from." } }
            @else {
                p.hint { "Plans of different shapes, best predicted first. The simulator picks the fastest." }
                div.scroll tabindex="0" role="group" aria-label="Candidates" { table {
                    thead { tr { th {} @for (i, c) in all.iter().enumerate() {
                        th.n.picked[c.picked] { (i + 1) @if c.picked { " picked" } }
                    } } }
                    tbody {
                        tr { th scope="row" { "predicted" } @for c in all { td.n.picked[c.picked] { (us(c.predicted_us)) } } }
                        tr { th scope="row" { "simulated" } @for c in all { td.n.picked[c.picked] {
                            (c.simulated_us.map_or("refused".into(), us)) } } }
                        @for row in differ { (row_view(row, all)) }
                    }
                } }
                @if !same.is_empty() {
                    p.hint { "All of them have: "
                        @for (i, row) in same.iter().enumerate() { @if i > 0 { ", " } (row.kernel) " "
                            (row.launches.iter().flatten().next().map_or("", String::as_str)) } }
                }
            }
        }
    }
}

fn row_view(row: &Row, all: &[CandidateReport]) -> Markup {
    html! {
        tr { th scope="row" { (row.kernel) }
            @for (launch, c) in row.launches.iter().zip(all) {
                td.n.picked[c.picked] { (launch.as_deref().unwrap_or("–")) }
            }
        }
    }
}

fn differs(row: &Row) -> bool {
    row.launches.iter().any(|l| *l != row.launches[0])
}

fn rows(all: &[CandidateReport]) -> Vec<Row<'_>> {
    let names: IndexSet<&str> = all
        .iter()
        .flat_map(|c| &c.kernels)
        .map(|k| k.name.as_str())
        .collect();
    let launch = |c: &CandidateReport, name: &str| {
        let kernel = c.kernels.iter().find(|k| k.name == name)?;
        Some(format!("{} ×{}", kernel.launch, kernel.blocks))
    };
    let row = |kernel| Row {
        kernel,
        launches: all.iter().map(|c| launch(c, kernel)).collect(),
    };
    names.into_iter().map(row).collect()
}
