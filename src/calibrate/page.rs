//! What a fit is worth: a table record by record, a page for people, and a plot.

use super::{Accuracy, Case, Family, Fit, LeftOut, accuracy};
use crate::plot::{Dot, Scatter};
use std::fmt::Write;

/// Records, one a line: measured, predicted from sources, fitted, and left out.
pub fn table(cases: &[Case], fit: &Fit) -> Vec<Vec<String>> {
    let us = |x: f64| format!("{x:.2}");
    let row = |(i, c): (usize, &Case)| {
        vec![
            c.id.clone(),
            c.family.to_string(),
            c.runtime.clone(),
            us(c.us),
            us(fit.before[i]),
            us(fit.after[i]),
            format!("{:.2}", fit.after[i] / c.us),
            format!("{:.2}", fit.without_record[i] / c.us),
        ]
    };
    cases.iter().enumerate().map(row).collect()
}

fn judged(page: &mut String, name: &str, found: &Accuracy) {
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let _ = writeln!(
        page,
        "| {name} | {} | {} of {} pairs | {} of {} | {:.3} |",
        percent(found.median),
        percent(found.median_of_pairs),
        found.pairs,
        found.right_direction,
        found.pairs,
        found.spearman
    );
}

/// The page of `docs/`: what was fitted, how near it is, the worst records.
pub fn page(cases: &[Case], left_out: &[LeftOut], fit: &Fit) -> String {
    let mut out = String::from(PREFACE);
    let _ = writeln!(
        out,
        "{} times, {} of them after a change whose time before is there, too; {} are left out, each with its reason in the table of \
         records.\n",
        cases.len(),
        cases.iter().filter(|c| c.pair.is_some()).count(),
        left_out.len()
    );
    out.push_str("| figures | a time is off by (median) | a ratio before / after | right direction | Spearman |\n|---|---|---|---|---|\n");
    let rounds = [
        ("of the sources", &fit.before),
        ("fitted", &fit.after),
        ("fitted without the record", &fit.without_record),
        ("fitted without its family", &fit.without_family),
    ];
    for (name, predictions) in rounds {
        judged(&mut out, name, &accuracy(cases, predictions));
    }
    out.push_str("\n## Families\n\nThe median of predicted / measured; above 1 predictions are too slow.\n\n");
    out.push_str("| family | records | of the sources | fitted | without the record |\n|---|---|---|---|---|\n");
    let ratio = |predictions: &[f64], family: Family| {
        let found = accuracy(cases, predictions);
        let of = found.families.into_iter().find(|(f, ..)| *f == family);
        of.map_or((0, 0.0), |(_, n, median)| (n, median))
    };
    for family in Family::ALL {
        let (n, before) = ratio(&fit.before, family);
        let (_, after) = ratio(&fit.after, family);
        let (_, without) = ratio(&fit.without_record, family);
        let _ = writeln!(
            out,
            "| {family} | {n} | {before:.2} | {after:.2} | {without:.2} |"
        );
    }
    out.push_str("\n## Figures\n\n| figure | its source says | fitted |\n|---|---|---|\n");
    for (path, (source, fitted)) in &fit.figures {
        let _ = writeln!(out, "| `{path}` | {} | {fitted} |", digits(*source));
    }
    out.push_str("\n## The records that are furthest off\n\nWhat is known of why stands beside them.\n\n| record | measured us | fitted us | ratio | source | note |\n|---|---|---|---|---|---|\n");
    let mut worst: Vec<usize> = (0..cases.len()).collect();
    let off = |i: usize| (fit.after[i] / cases[i].us).ln().abs();
    worst.sort_by(|a, b| off(*b).total_cmp(&off(*a)));
    for i in worst.into_iter().take(WORST) {
        let c = &cases[i];
        let ratio = fit.after[i] / c.us;
        let _ = writeln!(
            out,
            "| {} | {} | {:.1} | {ratio:.2} | {} | {} |",
            c.id, c.us, fit.after[i], c.source, c.note
        );
    }
    out.push_str("\n## All records\n\n| record | family | runtime | measured us | of the sources | fitted | ratio | without the record |\n|---|---|---|---|---|---|---|---|\n");
    for row in table(cases, fit) {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out
}

/// The fitted figures, as a file for `--machine`.
pub fn machine_file(count: usize, fit: &Fit) -> String {
    let mut text = String::from(
        "# Made by `tilewright calibrate`: figures that were fitted to measured times.\nbase = \"a2a3\"\n",
    );
    for (path, (source, fitted)) in &fit.figures {
        let source = format!(
            "\"fitted to {count} measured times; its source says {}\"",
            digits(*source)
        );
        let _ = match path.strip_suffix(".slope") {
            // A row of the table of instructions has one source.
            Some(row) => writeln!(text, "{row} = {{ slope = {fitted}, source = {source} }}"),
            None => writeln!(text, "{path} = {{ value = {fitted}, source = {source} }}"),
        };
    }
    text
}

const WORST: usize = 15;

/// A number as people write it.
pub fn digits(x: f64) -> String {
    let digits = format!("{x:.3}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    digits.to_owned()
}

const PREFACE: &str = "\
# Accuracy

Made by `tilewright calibrate` from the times of `examples/calibration`, which others measured on A2 and A3 chips; its README says
what a record means, what is assumed, and which records contradict each other. A time is what the cost model predicts of the kernels
as they were timed, not of what the search finds.

![predicted against measured](accuracy.svg)

";

/// Predicted against measured, both in us on logarithmic axes, as SVG.
pub fn plot(cases: &[Case], predictions: &[f64]) -> String {
    let kind = |case: &Case| Family::ALL.iter().position(|f| *f == case.family);
    let dot = |(case, us): (&Case, &f64)| Dot {
        x: case.us,
        y: *us,
        kind: kind(case).unwrap_or(0),
        title: format!("{}: measured {} us, predicted {us:.1} us", case.id, case.us),
    };
    let plot = Scatter {
        dots: cases.iter().zip(predictions).map(dot).collect(),
        kinds: Family::ALL.map(|f| f.to_string()).into(),
        range: (1.0, 20_000.0),
        ticks: vec![1.0, 10.0, 100.0, 1000.0, 10_000.0],
        x: "measured, us",
        y: "predicted, us",
    };
    plot.svg()
}
