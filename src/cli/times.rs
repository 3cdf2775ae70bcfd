//! Where a command's time went, for people: steps within steps, and rules.

use super::tables::plain;
use std::fmt::Write as _;
use tilewright::report::Report;
use tilewright::times::Times;

/// Steps below this share of the whole are left to `--json`.
const LEAST: f64 = 0.001;

/// All steps, and all rules that matched, the slowest first.
pub fn tables(r: &Report) -> String {
    let mut s = String::new();
    let Some(whole) = &r.times else {
        return s;
    };
    let mut rows = vec![];
    steps(whole, 0, whole.seconds, &mut rows);
    let header = ["step", "s", "share", "calls"];
    let _ = writeln!(s, "\n{}", plain(&header, rows.into_iter()));
    let Some(search) = &r.search else {
        return s;
    };
    let mut rules: Vec<_> = search.rules.iter().filter(|r| r.1.matches > 0).collect();
    rules.sort_by(|a, b| b.1.seconds.total_cmp(&a.1.seconds));
    let rows = rules.into_iter().map(|(name, rule)| {
        vec![
            name.clone(),
            rule.matches.to_string(),
            rule.applied.to_string(),
            seconds(rule.seconds),
            share(rule.seconds, search.seconds),
        ]
    });
    let header = ["rule", "matches", "applied", "s", "share of saturation"];
    let _ = writeln!(s, "{}", plain(&header, rows));
    s
}

fn steps(of: &Times, depth: usize, whole: f64, rows: &mut Vec<Vec<String>>) {
    let mut row = |depth: usize, name: &str, s: f64, calls: String| {
        if s >= LEAST * whole {
            let name = format!("{}{name}", "  ".repeat(depth));
            rows.push(vec![name, seconds(s), share(s, whole), calls]);
        }
    };
    let name = match of.side_by_side {
        true => format!("{} (side by side)", of.step),
        false => of.step.clone(),
    };
    row(depth, &name, of.seconds, of.calls.to_string());
    if !of.parts.is_empty() {
        row(depth + 1, "(itself)", of.unattributed(), String::new());
    }
    for part in &of.parts {
        steps(part, depth + 1, whole, rows);
    }
}

fn seconds(s: f64) -> String {
    format!("{s:.4}")
}

fn share(part: f64, whole: f64) -> String {
    match whole > 0.0 {
        true => format!("{:.1}%", 100.0 * part / whole),
        false => "-".into(),
    }
}
