//! Reports for people: tables of at most [`super::WIDTH`] columns, without colours.

use super::WIDTH;
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Table, TableComponent, Width, presets,
};
use std::fmt::Write as _;
use tilewright::report::{
    BoundReport, CandidateReport, Check, Critical, FormReport, KernelReport, Memory, RankRun,
    Region, Report, TimedBy,
};
use tilewright_backends::sim::Because;
use tilewright_passes::egraph::Stop;

/// A table with a header.
pub fn plain(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = empty(header);
    table.add_rows(rows);
    finish(&table)
}

fn empty(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(header.to_vec());
    for column in table.column_iter_mut() {
        // The line between columns is the second blank.
        column.set_padding((0, 1));
    }
    table
}

/// The text of a table, without blanks at line ends.
fn finish(table: &Table) -> String {
    let lines = table.lines().map(|l| l.trim_end().to_string() + "\n");
    lines.collect()
}

/// A whole report.
pub fn report(r: &Report) -> String {
    let mut s = String::new();
    let params = r.params.iter().map(|(n, v)| format!("{n}={v}"));
    let _ = writeln!(
        s,
        "{} on {}: {}",
        r.graph,
        r.machine,
        params.collect::<Vec<_>>().join(" ")
    );
    let scalars: Vec<String> = r.scalars.iter().map(|(n, v)| format!("{n}={v}")).collect();
    for line in &r.inputs {
        let _ = writeln!(s, "{line}");
    }
    if !scalars.is_empty() {
        let _ = writeln!(s, "{}", scalars.join(" "));
    }
    let _ = writeln!(s, "\n{}", kernels(r));
    let _ = writeln!(s, "{}", bounds(r));
    if let Some(ranks) = &r.ranks {
        s.push_str(&rank_lines(ranks));
    }
    derivations(r, &mut s);
    for line in &r.verified {
        let _ = writeln!(s, "{line}");
    }
    for line in &r.tiles {
        let _ = writeln!(s, "note: {line}");
    }
    for (form, report) in [("written", &r.written), ("optimized", &r.optimized)] {
        for k in &report.kernels {
            for note in &k.notes {
                let _ = writeln!(s, "note on {} {form}: {note}", k.name);
            }
        }
    }
    if let Some(search) = &r.search {
        let stop = match search.stop {
            Stop::Saturated => "saturated",
            Stop::NodeLimit => "stopped at the node limit",
            Stop::IterLimit => "stopped at the iteration limit",
            Stop::TimeLimit => "stopped at the time limit",
        };
        let _ = writeln!(
            s,
            "search: {} nodes, {} classes, {} iterations, {stop}; {:.2} s, and {:.2} s to extract",
            search.nodes,
            search.classes,
            search.iterations,
            search.seconds,
            search.extract_seconds + search.explain_seconds
        );
    }
    if !r.candidates.is_empty() {
        let _ = writeln!(s, "\n{}", candidates(&r.candidates));
    }
    if !r.checks.is_empty() {
        let _ = writeln!(s, "\n{}", checks(&r.checks));
        let failed = r.checks.iter().filter(|c| !c.comparison.ok).count();
        let _ = match failed {
            0 => writeln!(s, "all {} checks passed", r.checks.len()),
            _ => writeln!(s, "{failed} of {} checks FAILED", r.checks.len()),
        };
    }
    for (form, folder) in &r.files {
        let _ = writeln!(s, "kernels {form}: {folder}");
    }
    s
}

/// The plans that the simulator picked from.
fn candidates(all: &[CandidateReport]) -> String {
    let header = ["candidate", "predicted us", "simulated us", "", "kernels"];
    let mut table = empty(&header);
    for (i, c) in all.iter().enumerate() {
        let kernels = c.kernels.iter();
        let kernels = kernels.map(|k| format!("{} {} x{}", k.name, k.launch, k.blocks));
        table.add_row([
            (i + 1).to_string(),
            us(c.predicted_us),
            c.simulated_us.map_or("refused".into(), us),
            if c.picked { "picked" } else { "" }.into(),
            kernels.collect::<Vec<_>>().join(", "),
        ]);
    }
    finish(&table)
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
        "tiles",
        "pipeline",
        "predicted us",
        &ran,
        "speedup",
        "memory",
    ];
    let mut table = empty(&header);
    for region in &r.regions {
        for row in region_rows(r, region) {
            table.add_row(row);
        }
        table.add_row(vec![""; header.len()]);
    }
    let total = |form: &FormReport, name: &str, speedup: String| {
        let predicted: f64 = form.kernels.iter().map(|k| k.predicted.us).sum();
        let ran = form.kernels.iter().map(KernelReport::ran_us).sum();
        let ran = Option::<f64>::map_or(ran, "-".into(), us);
        let text = ["all", name, "", "", "", &us(predicted), &ran, &speedup, ""];
        text.map(String::from)
    };
    table.add_row(total(&r.written, "written", String::new()));
    table.add_row(total(&r.optimized, "optimized", times(r.speedup)));
    for (i, column) in table.column_iter_mut().enumerate() {
        if (5..=7).contains(&i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if i == 5 || i == 6 {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(10)));
        }
    }
    finish(&table)
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
        rows.push(kernel_row(k, "written", String::new(), &r.capacity));
    }
    for k in &after {
        let same = before.iter().find(|b| b.name == k.name);
        let speedup = same.map_or(String::new(), |b| times(b.us() / k.us()));
        rows.push(kernel_row(k, "optimized", speedup, &r.capacity));
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
                "",
                &us(predicted),
                &ran,
                &speedup,
                "",
            ];
            text.map(String::from).into()
        };
        rows.push(sums(&before, "written", String::new()));
        rows.push(sums(&after, "optimized", times(region.speedup)));
    }
    rows
}

fn kernel_row(k: &KernelReport, form: &str, speedup: String, capacity: &Memory) -> Vec<String> {
    let tiles: Vec<String> = k.tiles.iter().map(|(n, v)| format!("{n}={v}")).collect();
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
        tiles.join("\n"),
        pipeline,
        us(k.predicted.us),
        k.ran_us().map_or("-".into(), us),
        speedup,
        memory(&k.memory, capacity),
    ]
}

/// How near the optimized kernels, and both forms as a whole, are to what bytes and products need at least.
fn bounds(r: &Report) -> String {
    let mut table = empty(&[
        "kernel",
        "us",
        "launch us",
        "busiest",
        "bound us",
        "by",
        "time over bound",
    ]);
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
        table.add_row(row(&k.name, k.us(), launch, busiest, &k.bound));
    }
    for (name, form) in [("all optimized", &r.optimized), ("all written", &r.written)] {
        table.add_row(row(
            name,
            form.us,
            String::new(),
            String::new(),
            &form.bound,
        ));
    }
    for i in [1, 2, 4, 6] {
        if let Some(column) = table.column_mut(i) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    finish(&table)
}

fn memory(used: &Memory, capacity: &Memory) -> String {
    let both = used.named().into_iter().zip(capacity.named());
    let each = both
        .filter(|((_, used), _)| *used > 0)
        .map(|((name, used), (_, limit))| {
            let share = 100.0 * used as f64 / limit.max(1) as f64;
            format!("{name} {:.1}K {share:.0}%", used as f64 / 1024.0)
        });
    each.collect::<Vec<_>>().join("\n")
}

/// The rules behind each kernel, wrapped.
fn derivations(r: &Report, s: &mut String) {
    let widest = r
        .optimized
        .kernels
        .iter()
        .map(|k| k.name.len())
        .max()
        .unwrap_or(0);
    let found = r
        .optimized
        .kernels
        .iter()
        .filter(|k| !k.derivation.is_empty());
    for (i, k) in found.enumerate() {
        if i == 0 {
            s.push_str("rules that led from written to optimized\n");
        }
        let _ = write!(s, "  {:widest$}  ", k.name);
        let mut column = widest + 4;
        for (j, rule) in k.derivation.iter().enumerate() {
            let comma = if j + 1 < k.derivation.len() { ", " } else { "" };
            if column + rule.len() + comma.len() > WIDTH.into() {
                let _ = write!(s, "\n{:1$}", "", widest + 4);
                column = widest + 4;
            }
            let _ = write!(s, "{rule}{comma}");
            column += rule.len() + comma.len();
        }
        s.push('\n');
    }
    s.push('\n');
}

fn checks(checks: &[Check]) -> String {
    let rows = checks.iter().map(|c| {
        let k = &c.comparison;
        vec![
            k.output.clone(),
            c.form.name().into(),
            k.against.clone(),
            difference(k.max_abs),
            difference(k.max_rel),
            format!("{} of {}", k.mismatched, k.elements),
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
        "",
    ];
    let mut s = plain(&header, rows);
    for c in checks {
        let k = &c.comparison;
        if let Some(why) = &k.why {
            let _ = write!(
                s,
                "\n{} ({}) against {}: {why}",
                k.output,
                c.form.name(),
                k.against
            );
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

fn us(x: f64) -> String {
    format!("{x:.2}")
}

fn times(x: f64) -> String {
    format!("{x:.2}x")
}

/// What several ranks add to a report.
fn rank_lines(r: &RankRun) -> String {
    let mut s = String::new();
    let _ = writeln!(
        s,
        "{} ranks, {} run{} of the layer; windows of {} bytes a rank",
        r.ranks,
        r.layers,
        if r.layers == 1 { "" } else { "s" },
        r.window_bytes
    );
    for (name, form) in [("written", &r.written), ("optimized", &r.optimized)] {
        let _ = writeln!(
            s,
            "{name}: {:.2} us for all ranks ({:.2} us with kernels one after the other), {} stores to peers, {} notifications",
            form.us, form.sequential_us, form.remote_stores, form.notifications
        );
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
