//! What `run` and `optimize` say of a layer at a glance: what was optimized, from how much to how much, whether it is right, where the
//! kernels are, and what to do next. The answer comes last, where the eye is when a command ends.

use super::layout::{Table, paragraph};
use super::tables::{checks, details, stop, times, us};
use console::style;
use std::fmt::Write as _;
use tilewright::form::Form;
use tilewright::report::{Check, RankRun, Region, Report, TimedBy};
use tilewright::suspects;
use tilewright_passes::egraph::Stop;

/// Lines of a table of kernels; those that matter less share a row then.
const TABLE: usize = 15;
/// Lines of what else there may be any number of.
const FEW: usize = 3;
/// Where lines that follow a first one begin.
const INDENT: usize = 2;

/// A whole report: an answer of at most 40 lines on 80 columns where all is well, or with all details before it.
pub fn report(r: &Report, verbose: bool) -> String {
    let mut s = head(r, verbose);
    match verbose {
        true => {
            s.push('\n');
            s.push_str(&details(r));
        }
        false => {
            let _ = writeln!(s, "\n{}", regions(r));
            if let Some(ranks) = &r.ranks {
                s.push_str(&critical(ranks));
            }
        }
    }
    let most = if verbose { usize::MAX } else { FEW };
    s.push_str(&few(
        r.tiles.iter().map(|line| format!("note: {line}")),
        most,
    ));
    if let Some(search) = r.search.as_ref().filter(|s| s.stop != Stop::Saturated) {
        let line = format!("note: the search {}", stop(search.stop));
        s.push_str(&paragraph(&line, 0, INDENT));
    }
    let failed: Vec<&Check> = r.checks.iter().filter(|c| !c.comparison.ok).collect();
    if !failed.is_empty() && !verbose {
        let _ = writeln!(s, "{}", checks(failed.iter().take(FEW).copied()));
    }
    s.push_str(&answer(r, failed.len()));
    s.push_str(&next(r, failed.len(), verbose));
    s
}

/// The layer, its sizes and its inputs.
fn head(r: &Report, verbose: bool) -> String {
    let values = |named: &indexmap::IndexMap<String, i64>| -> Vec<String> {
        named.iter().map(|(n, v)| format!("{n}={v}")).collect()
    };
    let mut s = String::new();
    let params = values(&r.params).join(" ");
    let line = format!("{} on {}: {params}", r.graph, r.machine);
    let text = paragraph(&line, 0, INDENT);
    match verbose || text.lines().count() <= FEW {
        true => s.push_str(&text),
        false => {
            let first: Vec<&str> = text.lines().take(FEW - 1).collect();
            let _ = writeln!(s, "{}\n  ... and more params (-v)", first.join("\n"));
        }
    }
    let mut inputs = r.inputs.clone();
    inputs.extend(Some(values(&r.scalars).join(" ")).filter(|scalars| !scalars.is_empty()));
    let most = if verbose { usize::MAX } else { FEW };
    s.push_str(&few(inputs.into_iter(), most));
    s
}

/// The first of some lines, and how many more there are.
fn few(lines: impl Iterator<Item = String>, most: usize) -> String {
    let lines: Vec<String> = lines.collect();
    let mut s = String::new();
    for line in lines.iter().take(most) {
        s.push_str(&paragraph(line, 0, INDENT));
    }
    if lines.len() > most {
        let _ = writeln!(
            s,
            "... and {} more lines like this (-v)",
            lines.len() - most
        );
    }
    s
}

/// Kernels as written, in the groups whose work some kernel does together, with the times of both forms. What takes least shares
/// the last row where there are many.
fn regions(r: &Report) -> String {
    let mut by_time: Vec<usize> = (0..r.regions.len()).collect();
    by_time.sort_by(|a, b| {
        let us = |i: usize| r.regions[i].written_us;
        us(*b).total_cmp(&us(*a))
    });
    let mut shown = r.regions.len();
    loop {
        let (own, rest) = by_time.split_at(shown);
        let text = table(r, own, rest);
        if text.lines().count() <= TABLE || shown <= 1 {
            return text;
        }
        shown -= 1;
    }
}

fn table(r: &Report, own: &[usize], rest: &[usize]) -> String {
    let header = [
        "kernels as written",
        "kernels",
        "written us",
        "optimized us",
        "speedup",
    ];
    let mut table = Table::new(&header).right(&[1, 2, 3, 4]);
    let row = |name: String, of: &[&Region]| {
        let sum = |us: fn(&Region) -> f64| of.iter().map(|region| us(region)).sum::<f64>();
        let count = |names: fn(&Region) -> usize| of.iter().map(|region| names(region)).sum();
        let (written, optimized) = (sum(|r| r.written_us), sum(|r| r.optimized_us));
        let (before, after): (usize, usize) =
            (count(|r| r.written.len()), count(|r| r.optimized.len()));
        let speedup = match optimized > 0.0 {
            true => times(written / optimized),
            false => "-".into(),
        };
        let count = match before == after {
            true => before.to_string(),
            false => format!("{before} -> {after}"),
        };
        [name, count, us(written), us(optimized), speedup]
    };
    for (i, region) in r.regions.iter().enumerate() {
        if own.contains(&i) {
            table.row(row(region.covers.join(" + "), &[region]));
        }
    }
    if !rest.is_empty() {
        let others: Vec<&Region> = rest.iter().map(|i| &r.regions[*i]).collect();
        table.row(row(format!("{} others", others.len()), &others));
    }
    table.text()
}

/// The kernels of the critical path that take most of it.
fn critical(r: &RankRun) -> String {
    let all = &r.optimized.critical;
    let mut slowest: Vec<_> = all.iter().collect();
    slowest.sort_by(|a, b| b.us.total_cmp(&a.us));
    let most = slowest.iter().take(FEW);
    let most: Vec<String> = most
        .map(|c| format!("{} {} us", c.kernel, us(c.us)))
        .collect();
    let more = match all.len().saturating_sub(FEW) {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    paragraph(
        &format!(
            "critical path (what each adds to the end, which is less than it takes where others run meanwhile): {}{more}",
            most.join(", ")
        ),
        0,
        INDENT,
    )
}

/// From how much to how much, right or not, and where the kernels are.
fn answer(r: &Report, failed: usize) -> String {
    let mut s = String::new();
    let (written, optimized) = match &r.ranks {
        Some(ranks) => (ranks.written.us, ranks.optimized.us),
        None => (r.written.us, r.optimized.us),
    };
    let simulated = r.optimized.kernels.iter().all(|k| k.simulated.is_some());
    let by = match r.timed_by {
        TimedBy::Device => "measured",
        _ if simulated => "simulated",
        TimedBy::Simulator | TimedBy::Model => "predicted",
    };
    // Which rows a time is of that no run has counted.
    let rows = r.optimized.bound.rows.filter(|_| by == "predicted");
    let mut of = by.to_owned();
    if let Some(ranks) = &r.ranks {
        of += &format!(", on {} ranks", ranks.ranks);
    }
    if let Some(rows) = rows {
        of += &format!(", of {}: --rows", rows.name());
    }
    let _ = writeln!(s, "written: {} us ({of})", us(written));
    let faster = style(times(r.speedup)).bold().green();
    // Of a layer on ranks, or of rows that a run has counted, the bound is of something else than the time.
    let bound = match (&r.ranks, &r.optimized.bound) {
        (None, bound) if bound.rows == rows => {
            format!("; bound {} us ({})", us(bound.us), bound.by.name())
        }
        _ => String::new(),
    };
    let _ = writeln!(s, "optimized: {} us, {faster}{bound}", us(optimized));
    for line in &r.verified {
        s.push_str(&paragraph(line, 0, INDENT));
    }
    let all = r.checks.len();
    let _ = match (all, failed) {
        (0, _) => Ok(()),
        (_, 0) => writeln!(s, "{}", style(format!("all {all} checks passed")).green()),
        _ => {
            let text = format!("{failed} of {all} checks FAILED");
            writeln!(s, "{}", style(text).bold().red())
        }
    };
    let wrong = |c: &Check| !c.comparison.ok && c.form == Form::Optimized;
    let suspects = suspects::line(&r.optimized.kernels);
    if let Some(line) = suspects.filter(|_| r.checks.iter().any(wrong)) {
        s.push_str(&paragraph(&line, 0, INDENT));
    }
    for (form, folder) in &r.files {
        let _ = writeln!(s, "kernels {form}: {folder}");
    }
    s
}

/// What to do now, a line each.
fn next(r: &Report, failed: usize, verbose: bool) -> String {
    let ran = !r.checks.is_empty();
    let mut all = vec![];
    match (ran, failed) {
        (false, _) => all.push("`tilewright run` with the same options runs and checks both forms"),
        (true, 0) => {}
        (true, _) => all.push("`tilewright check` with the same options says what is wrong"),
    }
    if failed == 0 {
        all.push("`tilewright explain` with the same options tells what led there");
    }
    if !verbose {
        all.push("-v prints tiles, memory, rules, candidates and checks");
    }
    let mut s = String::new();
    for (i, line) in all.iter().enumerate() {
        let head = if i == 0 { "next: " } else { "      " };
        s.push_str(head);
        s.push_str(paragraph(line, 6, 6).trim_start());
    }
    s
}

#[cfg(test)]
mod tests {
    use super::*;
    use console::measure_text_width as width;
    use tilewright::compile::Options;
    use tilewright::layer::Layer;
    use tilewright::report::{Critical, RankForm};
    use tilewright::run;
    use tilewright_backends::data::{Comparison, Tolerance};
    use tilewright_backends::sim::Because;
    use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

    fn of_a_norm() -> Report {
        let text = include_bytes!("../../examples/rms_norm.tw");
        let layer = Layer::parse("rms_norm.tw", text).expect("it is a layer");
        let sizes = indexmap::IndexMap::from([("D".to_owned(), 256)]);
        let graph = layer.graph(&sizes).expect("it has sizes");
        let machine = Machine::builtin(DEFAULT_MACHINE).expect("it is built in");
        let outcome = run::optimize(&graph, &Options::new(machine));
        outcome.expect("it is optimized").report
    }

    fn check(ok: bool) -> Check {
        Check {
            form: Form::Optimized,
            comparison: Comparison {
                output: "x_next_of_the_residual_streams of rank 0".into(),
                against: "reference".into(),
                tolerance: Tolerance::EXACT,
                max_abs: 1.0,
                max_rel: 1.0,
                mismatched: 7,
                elements: 131_072,
                worst: Some(3),
                ok,
                why: (!ok).then(|| "row 3 is off as a whole: 7 of 7 elements".into()),
            },
        }
    }

    fn rank_form(us: f64) -> RankForm {
        let critical = (0..12).map(|i| Critical {
            rank: 1,
            kernel: format!("sh_w2_mm_sh_w2_act_combine_act1_{i}"),
            us: 100.0 + f64::from(i),
            because: Because::Start,
        });
        RankForm {
            us,
            sequential_us: us + 1.0,
            notifications: 1,
            remote_stores: 1,
            critical: critical.collect(),
            timeline: vec![],
        }
    }

    /// As much of everything as a layer of a hundred kernels has.
    fn of_much() -> Report {
        let mut r = of_a_norm();
        for i in 0..24 {
            r.params.insert(format!("SOME_PARAM_{i}"), 4096);
        }
        r.inputs = (0..6).map(|i| format!("inputs of the file {i}")).collect();
        r.tiles = (0..9)
            .map(|i| format!("kernel {i}: a tile of 7 is 8"))
            .collect();
        let region = |i: usize| Region {
            covers: vec![
                format!("hyper_connection_norm_{i}"),
                format!("expert_gate_{i}"),
            ],
            written: vec![format!("a{i}"), format!("b{i}")],
            optimized: vec![format!("a_b{i}")],
            written_us: 12_345.67 + i as f64,
            optimized_us: 1234.5,
            speedup: 10.0,
        };
        r.regions = (0..50).map(region).collect();
        r.ranks = Some(RankRun {
            ranks: 2,
            layers: 1,
            window_bytes: 64,
            written: rank_form(1503.67),
            optimized: rank_form(767.69),
        });
        r.speedup = 1503.67 / 767.69;
        r.checks = (0..30).map(|_| check(true)).collect();
        r.files = [("written", "out/written"), ("optimized", "out/optimized")]
            .map(|(form, folder)| (form.to_owned(), folder.to_owned()))
            .into();
        r
    }

    #[test]
    fn the_answer_is_taken_in_at_a_glance() {
        let text = report(&of_much(), false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() <= 40, "{} lines:\n{text}", lines.len());
        for line in &lines {
            assert!(width(line) <= 80, "{line}");
        }
        let answer = "written: 1503.67 us (predicted, on 2 ranks)\noptimized: 767.69 us, 1.96x\nall 30 checks passed\n\
                      kernels written: out/written\nkernels optimized: out/optimized\nnext: ";
        assert!(text.contains(answer), "{text}");
        // What takes longest has a row, and what is left is summed up.
        assert!(
            text.contains("12394.67") && text.contains(" others "),
            "{text}"
        );
        assert!(!text.contains("12345.67"), "{text}");
        assert!(
            text.contains("critical path (")
                && text.contains("sh_w2_mm_sh_w2_act_combine_act1_11 111.00 us,"),
            "{text}"
        );
    }

    #[test]
    fn what_failed_is_told_with_its_tolerance() {
        let mut r = of_much();
        r.checks.push(check(false));
        r.ok = false;
        let text = report(&r, false);
        assert!(text.contains("1 of 31 checks FAILED\n"), "{text}");
        assert!(
            text.contains("tolerance") && text.contains("equal"),
            "{text}"
        );
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(
            words.join(" ").contains("row 3 is off as a whole"),
            "{text}"
        );
        assert_eq!(text.matches(" FAILED\n").count(), 2, "{text}");
        assert!(text.contains("next: `tilewright check`"), "{text}");
    }

    #[test]
    fn details_are_told_when_they_are_asked_for() {
        let r = of_a_norm();
        let (brief, verbose) = (report(&r, false), report(&r, true));
        for detail in [
            "D_TILE=",
            "time over bound",
            "parallel-to-spmd",
            "saturated; ",
        ] {
            assert!(!brief.contains(detail), "{detail}:\n{brief}");
            assert!(verbose.contains(detail), "{detail}:\n{verbose}");
        }
        let answer = brief
            .split("written: ")
            .nth(1)
            .and_then(|a| a.split("next:").next());
        let answer = answer.expect("it ends with an answer");
        assert!(verbose.contains(answer), "{verbose}");
    }
}
