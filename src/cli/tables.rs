//! The details of a report for people, as `--verbose` prints them: tables of kernels, bounds, rules, candidates and checks.

use super::layout::{Table, paragraph};
use std::fmt::Write as _;
use tilewright::report::{
    BoundReport, CandidateReport, Check, Critical, FormReport, KernelReport, Memory, RankForm,
    RankRun, Region, Report, TimedBy,
};
use tilewright_backends::sim::Because;
use tilewright_passes::egraph::Stop;

/// A table with a header.
pub fn plain(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new(header);
    rows.for_each(|row| table.row(row));
    table.text()
}

/// All that there is to tell, but for what the answer tells.
pub fn details(r: &Report) -> String {
    let mut s = String::new();
    let _ = writeln!(s, "{}", kernels(r));
    let _ = writeln!(s, "{}", tiles(r));
    let _ = writeln!(s, "{}", bounds(r));
    if let Some(ranks) = &r.ranks {
        s.push_str(&rank_lines(ranks));
    }
    derivations(r, &mut s);
    for (form, report) in [("written", &r.written), ("optimized", &r.optimized)] {
        for k in &report.kernels {
            for note in &k.notes {
                let line = format!("note on {} {form}: {note}", k.name);
                s.push_str(&paragraph(&line, 0, 2));
            }
        }
    }
    if let Some(search) = &r.search {
        let line = format!(
            "search: {} nodes, {} classes, {} iterations, {}; {:.2} s, and {:.2} s to extract",
            search.nodes,
            search.classes,
            search.iterations,
            stop(search.stop),
            search.seconds,
            search.extract_seconds + search.explain_seconds
        );
        s.push_str(&paragraph(&line, 0, 2));
    }
    if !r.candidates.is_empty() {
        let _ = writeln!(s, "\n{}", candidates(&r.candidates));
    }
    if !r.checks.is_empty() {
        let _ = writeln!(s, "\n{}", checks(r.checks.iter()));
    }
    s
}

/// How a search ended, in words.
pub fn stop(stop: Stop) -> &'static str {
    match stop {
        Stop::Saturated => "saturated",
        Stop::NodeLimit => "stopped at the node limit",
        Stop::IterLimit => "stopped at the iteration limit",
        Stop::TimeLimit => "stopped at the time limit",
    }
}

/// The plans that the simulator picked from, and what of each is not as in the one that it picked.
fn candidates(all: &[CandidateReport]) -> String {
    let header = [
        "candidate",
        "predicted us",
        "simulated us",
        "differs from the picked one in",
    ];
    let mut table = Table::new(&header).right(&[1, 2]);
    let picked = all.iter().find(|c| c.picked);
    for (i, c) in all.iter().enumerate() {
        let differs = match picked {
            _ if c.picked => "picked".into(),
            Some(picked) => c.differs_from(picked).join("\n"),
            None => String::new(),
        };
        table.row([
            (i + 1).to_string(),
            us(c.predicted_us),
            c.simulated_us.map_or("refused".into(), us),
            differs,
        ]);
    }
    table.text()
}

/// Kernels as written against optimized, grouped by the work that they do.
fn kernels(r: &Report) -> String {
    // Times of another machine are told as what they are.
    let ran = match (r.timed_by, &r.backend) {
        (TimedBy::Model | TimedBy::Device, Some(backend)) => format!("{backend} us"),
        _ => "simulated us".into(),
    };
    let header = [
        "kernel",
        "form",
        "launch",
        "pipeline",
        "predicted us",
        &ran,
        "speedup",
    ];
    // Where nothing ran there is nothing to tell of it.
    let all = || r.written.kernels.iter().chain(&r.optimized.kernels);
    let has_run = r.ranks.is_some() || all().any(|k| k.ran_us().is_some());
    let columns: &[usize] = if has_run {
        &[0, 1, 2, 3, 4, 5, 6]
    } else {
        &[0, 1, 2, 3, 4, 6]
    };
    let mut table = Table::new(&header).right(&[4, 5, 6]).only(columns);
    for region in &r.regions {
        for row in region_rows(r, region) {
            table.row(row);
        }
        table.row(vec![String::new(); header.len()]);
    }
    let total = |form: &FormReport, ranks: Option<&RankForm>, name: &str, speedup: String| {
        let predicted: f64 = form.kernels.iter().map(|k| k.predicted.us).sum();
        let ran: Option<f64> = form.kernels.iter().map(KernelReport::ran_us).sum();
        // What ranks take is not the sum of what kernels take, and nothing predicts it.
        let (predicted, ran) = match ranks {
            Some(ranks) => (String::new(), us(ranks.us)),
            None => (us(predicted), ran.map_or("-".into(), us)),
        };
        let text = ["all", name, "", "", &predicted, &ran, &speedup];
        text.map(String::from)
    };
    let ranks = r.ranks.as_ref();
    let written = ranks.map(|r| &r.written);
    table.row(total(&r.written, written, "written", String::new()));
    let optimized = ranks.map(|r| &r.optimized);
    table.row(total(
        &r.optimized,
        optimized,
        "optimized",
        times(r.speedup),
    ));
    table.text()
}

fn region_rows(r: &Report, region: &Region) -> Vec<Vec<String>> {
    let of = |form: &FormReport, names: &[String]| -> Vec<KernelReport> {
        let kernels = names.iter().filter_map(|n| form.kernel(n));
        kernels.cloned().collect()
    };
    let before = of(&r.written, &region.written);
    let after = of(&r.optimized, &region.optimized);
    let single = before.len() == 1 && after.len() == 1;
    let mut rows = vec![];
    for k in &before {
        rows.push(kernel_row(k, "written", String::new()));
    }
    for k in &after {
        let same = before.iter().find(|b| b.name == k.name);
        let speedup = same.map_or(String::new(), |b| times(b.us() / k.us()));
        rows.push(kernel_row(k, "optimized", speedup));
    }
    if !single {
        let name = region.covers.join(" + ");
        let sums = |kernels: &[KernelReport], form: &str, speedup: String| {
            let predicted: f64 = kernels.iter().map(|k| k.predicted.us).sum();
            let ran: Option<f64> = kernels.iter().map(KernelReport::ran_us).sum();
            let ran = ran.map_or("-".into(), us);
            let text = [
                &format!("= {name}"),
                form,
                "",
                "",
                &us(predicted),
                &ran,
                &speedup,
            ];
            text.map(String::from).into()
        };
        rows.push(sums(&before, "written", String::new()));
        rows.push(sums(&after, "optimized", times(region.speedup)));
    }
    rows
}

fn kernel_row(k: &KernelReport, form: &str, speedup: String) -> Vec<String> {
    let deep: Vec<String> = k
        .pipeline
        .iter()
        .filter(|l| l.depth > 1)
        .map(|l| format!("{} x{}", l.name, l.depth))
        .collect();
    let pipeline = match (deep.is_empty(), k.pipeline.is_empty()) {
        (true, true) => "-".into(),
        (true, false) => "range".into(),
        (false, _) => deep.join(" "),
    };
    vec![
        k.name.clone(),
        form.into(),
        format!("{} x{}", k.launch.kind, k.launch.blocks),
        pipeline,
        us(k.predicted.us),
        k.ran_us().map_or("-".into(), us),
        speedup,
    ]
}

/// What kernels hold on chip: their tiles, and the memory that these take.
fn tiles(r: &Report) -> String {
    let mut table = Table::new(&["kernel", "form", "tiles", "memory"]);
    for region in &r.regions {
        let forms = [
            ("written", &r.written, &region.written),
            ("optimized", &r.optimized, &region.optimized),
        ];
        for (form, report, names) in forms {
            for k in names.iter().filter_map(|n| report.kernel(n)) {
                let tiles: Vec<String> = k.tiles.iter().map(|(n, v)| format!("{n}={v}")).collect();
                let memory = memory(&k.memory, &r.capacity);
                table.row([k.name.clone(), form.into(), tiles.join(" "), memory]);
            }
        }
    }
    table.text()
}

/// How near the optimized kernels, and both forms as a whole, are to what bytes and products need at least.
fn bounds(r: &Report) -> String {
    let header = [
        "kernel",
        "us",
        "launch us",
        "busiest",
        "bound us",
        "by",
        "time over bound",
    ];
    // What only the simulator tells has no columns without it.
    let simulated = r.optimized.kernels.iter().any(|k| k.simulated.is_some());
    let columns: &[usize] = if simulated {
        &[0, 1, 2, 3, 4, 5, 6]
    } else {
        &[0, 1, 4, 5, 6]
    };
    let mut table = Table::new(&header).right(&[1, 2, 4, 6]).only(columns);
    let row = |name: &str, time: f64, launch: String, busiest: String, b: &BoundReport| {
        let of = b.rows.map_or(String::new(), |r| format!(" ({})", r.name()));
        let (by, ratio) = (b.by.name().into(), times(b.ratio) + &of);
        [name.into(), us(time), launch, busiest, us(b.us), by, ratio]
    };
    for k in &r.optimized.kernels {
        let s = k.simulated.as_ref();
        let launch = s.map_or("-".into(), |s| us(s.launch_us));
        let busiest = s.and_then(|s| Some((s.busiest?, s.busiest_share)));
        let busiest = busiest.map_or("-".into(), |(pipe, share)| {
            format!("{} {:.0}%", pipe.name(), 100.0 * share)
        });
        table.row(row(&k.name, k.us(), launch, busiest, &k.bound));
    }
    // Kernels of a rank run side by side: their sum is not what the layer takes.
    let all = match r.ranks {
        Some(_) => "sum",
        None => "all",
    };
    for (name, form) in [("optimized", &r.optimized), ("written", &r.written)] {
        table.row(row(
            &format!("{all} {name}"),
            form.us,
            String::new(),
            String::new(),
            &form.bound,
        ));
    }
    table.text()
}

fn memory(used: &Memory, capacity: &Memory) -> String {
    let both = used.named().into_iter().zip(capacity.named());
    let each = both
        .filter(|((_, used), _)| *used > 0)
        .map(|((name, used), (_, limit))| {
            let share = 100.0 * used as f64 / limit.max(1) as f64;
            format!("{name} {:.1}K {share:.0}%", used as f64 / 1024.0)
        });
    each.collect::<Vec<_>>().join(", ")
}

/// The rules behind each kernel.
fn derivations(r: &Report, s: &mut String) {
    let kernels = r.optimized.kernels.iter();
    let found: Vec<&KernelReport> = kernels.filter(|k| !k.derivation.is_empty()).collect();
    if !found.is_empty() {
        let rows = found
            .iter()
            .map(|k| vec![k.name.clone(), k.derivation.join(", ")]);
        let header = ["kernel", "rules that led from written to optimized"];
        s.push_str(&plain(&header, rows));
    }
    s.push('\n');
}

/// Comparisons with their tolerances, and under them why those that failed did.
pub fn checks<'a>(checks: impl Iterator<Item = &'a Check> + Clone) -> String {
    let rows = checks.clone().map(|c| {
        let k = &c.comparison;
        vec![
            k.output.clone(),
            c.form.name().into(),
            k.against.clone(),
            difference(k.max_abs),
            difference(k.max_rel),
            format!("{} of {}", k.mismatched, k.elements),
            k.tolerance.to_string(),
            match (k.ok, k.mismatched) {
                (true, 0) => "ok".into(),
                (true, 1) => "ok, 1 outlier".into(),
                (true, n) => format!("ok, {n} outliers"),
                (false, _) => "FAILED".into(),
            },
        ]
    });
    let header = [
        "output",
        "form",
        "against",
        "max abs",
        "max rel",
        "mismatched",
        "tolerance",
        "",
    ];
    let mut s = plain(&header, rows);
    for c in checks {
        let k = &c.comparison;
        if let Some(why) = &k.why {
            let line = format!(
                "{} ({}) against {}: {why}",
                k.output,
                c.form.name(),
                k.against
            );
            s.push('\n');
            s.push_str(&paragraph(&line, 0, 2));
        }
    }
    s
}

fn difference(x: f64) -> String {
    match x {
        0.0 => "0".into(),
        _ => format!("{x:.1e}"),
    }
}

/// Microseconds.
pub fn us(x: f64) -> String {
    format!("{x:.2}")
}

/// How many times faster.
pub fn times(x: f64) -> String {
    format!("{x:.2}x")
}

/// What several ranks add to a report.
fn rank_lines(r: &RankRun) -> String {
    let mut s = String::new();
    let runs = match r.layers {
        1 => "1 run".to_owned(),
        n => format!("{n} runs"),
    };
    let line = format!(
        "{} ranks, {runs} of the layer; windows of {} bytes a rank",
        r.ranks, r.window_bytes
    );
    s.push_str(&paragraph(&line, 0, 2));
    for (name, form) in [("written", &r.written), ("optimized", &r.optimized)] {
        let line = format!(
            "{name} form: {:.2} us with kernels one after the other, {} stores to peers, {} notifications",
            form.sequential_us, form.remote_stores, form.notifications
        );
        s.push_str(&paragraph(&line, 0, 2));
    }
    let step = |c: &Critical| {
        let why = match &c.because {
            Because::Start => "at the start".into(),
            Because::Kernel { kernel } => format!("when {kernel} is over"),
            Because::Core { kernel, .. } => format!("when {kernel} leaves a core"),
            Because::Notification { rank, kernel, .. } => {
                format!("when {kernel} of rank {rank} notifies it")
            }
        };
        vec![c.kernel.clone(), c.rank.to_string(), us(c.us), why]
    };
    let _ = writeln!(s, "\ncritical path of the optimized form");
    let header = ["kernel", "rank", "us", "goes on"];
    let _ = writeln!(
        s,
        "{}",
        plain(&header, r.optimized.critical.iter().map(step))
    );
    s
}
/// A number of things: `1 kernel`, `2 kernels`.
pub fn count(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
