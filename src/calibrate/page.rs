//! What a fit is worth: a table record by record, a page for people, and a plot.

use super::{Accuracy, Case, Family, Fit, LeftOut, accuracy};
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
    const SIZE: f64 = 480.0;
    const EDGE: f64 = 48.0;
    const LEAST: f64 = 1.0;
    const MOST: f64 = 20_000.0;
    let place = |us: f64| (us.clamp(LEAST, MOST) / LEAST).ln() / (MOST / LEAST).ln() * SIZE;
    let whole = SIZE + 2.0 * EDGE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{whole}\" height=\"{whole}\" fill=\"#fff\"/>\n"
    );
    let (low, high) = (EDGE, EDGE + SIZE);
    for decade in [1.0, 10.0, 100.0, 1000.0, 10_000.0] {
        let at = place(decade);
        let (x, y) = (low + at, high - at);
        let _ = writeln!(
            out,
            "<path d=\"M{x:.1} {low}V{high}M{low} {y:.1}H{high}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{decade}</text>",
            high + 16.0,
            low - 6.0,
            y + 4.0
        );
    }
    let _ = writeln!(
        out,
        "<path d=\"M{low} {high}L{high} {low}\" stroke=\"#888\"/>"
    );
    let colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"];
    for (case, us) in cases.iter().zip(predictions) {
        let colour = Family::ALL
            .iter()
            .position(|f| *f == case.family)
            .unwrap_or(0);
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\" fill-opacity=\"0.8\"><title>{}: measured {} us, predicted {us:.1} us</title></circle>",
            low + place(case.us),
            high - place(*us),
            colours[colour],
            case.id,
            case.us
        );
    }
    for (i, family) in Family::ALL.iter().enumerate() {
        let y = low + 14.0 + 18.0 * i as f64;
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\">{family}</text>",
            low + 12.0,
            colours[i],
            low + 22.0,
            y + 4.0
        );
    }
    let middle = EDGE + SIZE / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">measured, us</text><text x=\"14\" y=\"{middle}\" transform=\"rotate(-90 14 {middle})\" text-anchor=\"middle\">predicted, us</text>\n</svg>",
        whole - 10.0
    );
    out
}
