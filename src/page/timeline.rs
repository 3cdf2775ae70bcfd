//! The swimlane: kernels of all ranks, and their blocks on cores, with what the end hung on.

use super::View;
use super::parts::{COLOURS, at, count, figure, place, short, tabs, us};
use crate::axis::{tick, ticks};
use crate::detail::{FormDetails, rows};
use crate::form::Form;
use maud::{Markup, html};
use std::collections::BTreeMap;
use tilewright_backends::sim::{Because, CriticalStep, KernelSpan};
use tilewright_ir::kernel::Unit;

const LEFT: f64 = 74.0;
const WIDTH: f64 = 1000.0;
const LAUNCH: f64 = 20.0;
const CORE: f64 = 5.0;
/// Blocks up to which each is drawn on its core; of more, each kernel is one bar on its cores.
const BLOCKS: usize = 4000;

/// The rows of a rank and a type of core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cores {
    rank: usize,
    unit: usize,
}

pub fn section(v: &View) -> Markup {
    let forms = [
        ("Optimized", form(v, Form::Optimized)),
        ("As written", form(v, Form::Written)),
    ];
    html! {
        section id="timeline" {
            h2 { "Timeline" }
            (tabs("timelines", "Form of the layer", &forms))
        }
    }
}

fn form(v: &View, form: Form) -> Markup {
    let f = v.details.forms.get(form);
    if !f.is_timed() {
        return html! { p.hint { "Not simulated, so nothing is known of when blocks run." } };
    }
    let data = match (f.with_data, f.ranks) {
        (true, ..=1) => "kernels one after the other".to_owned(),
        (true, n) => format!("{n} ranks, kernels of a rank side by side where they can be"),
        (false, _) => "simulated without data, kernels one after the other".to_owned(),
    };
    let note = format!("{} from the first launch to the end; {data}", us(f.us));
    html! {
        (figure("Swimlane of kernels and cores", &draw(f), &note))
        details { summary { "Critical path" }
            div.scroll { table {
                thead { tr { th { "Kernel" } th { "Rank" } th { "Block" } th.n { "From" } th.n { "To" } th { "Begins" } } }
                tbody { @for step in merged(&f.critical) {
                    tr { td { a href={ "#" (place(form, &step.kernel)) } { (step.kernel) } } td { (step.rank) } td { (step.block) }
                        td.n { (us(step.start_us)) } td.n { (us(step.end_us)) } td { (because(&step.because)) } }
                } }
            } }
        }
    }
}

/// Steps of one kernel that follow each other as one.
fn merged(path: &[CriticalStep]) -> Vec<CriticalStep> {
    let mut steps: Vec<CriticalStep> = vec![];
    for step in path {
        match steps.last_mut() {
            Some(last)
                if (last.rank, &last.kernel) == (step.rank, &step.kernel)
                    && last.epoch == step.epoch =>
            {
                last.end_us = step.end_us;
            }
            _ => steps.push(step.clone()),
        }
    }
    steps
}

pub fn because(why: &Because) -> String {
    match why {
        Because::Start => "at the start".into(),
        Because::Kernel { kernel } => format!("when {kernel} is over"),
        Because::Core { kernel, .. } => format!("when {kernel} leaves a core"),
        Because::Notification { rank, kernel, .. } => {
            format!("when {kernel} of rank {rank} notifies it")
        }
    }
}

/// Cores that each rank uses of each type, in the order in which they are drawn.
fn cores(f: &FormDetails) -> BTreeMap<Cores, usize> {
    let mut all: BTreeMap<Cores, usize> = BTreeMap::new();
    for k in &f.timeline {
        let cores = k.blocks.iter().map(|b| b.core + 1).max().unwrap_or(1);
        let most = all.entry(cores_of(k)).or_default();
        *most = (*most).max(cores);
    }
    all
}

fn cores_of(k: &KernelSpan) -> Cores {
    let unit = match k.unit {
        Unit::Cube => 0,
        Unit::Vector => 1,
        Unit::Mixed => 2,
    };
    Cores { rank: k.rank, unit }
}

/// Where rows of the drawing begin.
struct Places {
    /// Of each kernel of the timeline.
    kernels: Vec<f64>,
    /// Of the first row of kernels of each rank, and below the last one, where the critical path is.
    ranks: Vec<(f64, f64)>,
    cores: BTreeMap<Cores, f64>,
    height: f64,
}

/// Of each rank its kernels, and then its cores.
fn places(f: &FormDetails, whole: bool) -> Places {
    let cores = cores(f);
    let ranks = f.timeline.iter().map(|k| k.rank + 1).max().unwrap_or(1);
    let mut p = Places {
        kernels: vec![0.0; f.timeline.len()],
        ranks: vec![],
        cores: BTreeMap::new(),
        height: 0.0,
    };
    for rank in 0..ranks {
        let top = p.height;
        let own: Vec<usize> = (0..f.timeline.len())
            .filter(|i| f.timeline[*i].rank == rank)
            .collect();
        let spans: Vec<&KernelSpan> = own.iter().map(|i| &f.timeline[*i]).collect();
        for (i, row) in own.iter().zip(rows(&spans)) {
            p.kernels[*i] = top + LAUNCH * row as f64;
            p.height = p.height.max(p.kernels[*i] + LAUNCH);
        }
        p.ranks.push((top, p.height));
        p.height += 8.0;
        for (cores, count) in cores.iter().filter(|(c, _)| c.rank == rank) {
            p.cores.insert(*cores, p.height);
            p.height += height(*count, whole) + 6.0;
        }
        p.height += 8.0;
    }
    p
}

fn draw(f: &FormDetails) -> Markup {
    let scale = WIDTH / f.us.max(1e-9);
    let x = |us: f64| LEFT + us * scale;
    let whole = f.timeline.iter().map(|k| k.blocks.len()).sum::<usize>() > BLOCKS;
    let p = places(f, whole);
    html! {
        svg.chart.wide viewBox={ "0 0 " (at(LEFT + WIDTH + 24.0)) " " (at(p.height + 18.0)) } role="img" aria-label="Blocks on cores over time" {
            @for t in ticks(f.us, 10) {
                line.grid x1=(at(x(t))) x2=(at(x(t))) y1="0" y2=(at(p.height)) {}
                text.tick x=(at(x(t))) y=(at(p.height + 14.0)) { (tick(t)) " µs" }
            }
            @for (rank, (top, _)) in p.ranks.iter().enumerate() {
                text.lane x=(at(LEFT - 8.0)) y=(at(top + 12.0)) { @if p.ranks.len() > 1 { "rank " (rank) } @else { "kernels" } }
            }
            @for (cores, top) in &p.cores {
                text.lane x=(at(LEFT - 8.0)) y=(at(top + 9.0)) { (["cube", "vector", "mixed"][cores.unit]) }
            }
            @for (i, k) in f.timeline.iter().enumerate() {
                (kernel(f, i % f.kernels.len().max(1), k, (p.kernels[i], &x)))
                @if whole { (bar(i % f.kernels.len().max(1), k, (p.cores[&cores_of(k)], &x))) }
                @else { (blocks(i % f.kernels.len().max(1), k, (p.cores[&cores_of(k)], &x))) }
            }
            @for step in &f.critical {
                rect.critical x=(at(x(step.start_us))) width=(at((step.end_us - step.start_us) * scale))
                    y=(at(p.ranks.get(step.rank).map_or(0.0, |r| r.1))) height="2.5" {}
            }
        }
    }
}

fn height(cores: usize, whole: bool) -> f64 {
    match whole {
        true => 12.0,
        false => (CORE * cores as f64).max(11.0),
    }
}

/// A kernel from its launch to its end.
fn kernel(
    f: &FormDetails,
    number: usize,
    k: &KernelSpan,
    (top, x): (f64, &dyn Fn(f64) -> f64),
) -> Markup {
    let (start, begin, end) = (x(k.start_us), x(k.begin_us.min(k.end_us)), x(k.end_us));
    let title = format!(
        "{}: {} to {}, {}",
        k.kernel,
        us(k.start_us),
        us(k.end_us),
        count(k.blocks.len(), "block")
    );
    let letters = ((end - start - 6.0) / 6.4).max(0.0) as usize;
    html! {
        a.span data-say="" href={ "#" (place(f.form, &k.kernel)) } {
            title { (title) }
            rect.launch x=(at(start)) width=(at(begin - start)) y=(at(top)) height=(at(LAUNCH - 4.0)) rx="2" {}
            rect.{ "k" (number % COLOURS) } x=(at(begin)) width=(at((end - begin).max(0.5))) y=(at(top)) height=(at(LAUNCH - 4.0)) rx="2" {}
            @if letters >= 4 { text x=(at(start + 4.0)) y=(at(top + 12.0)) { (short(&k.kernel, letters)) } }
        }
    }
}

fn blocks(number: usize, k: &KernelSpan, (top, x): (f64, &dyn Fn(f64) -> f64)) -> Markup {
    html! {
        g.{ "k" (number % COLOURS) } {
            @for (i, b) in k.blocks.iter().enumerate() {
                rect data-say="" x=(at(x(b.start_us))) width=(at((x(b.end_us) - x(b.start_us)).max(0.4)))
                    y=(at(top + CORE * b.core as f64)) height=(at(CORE - 0.8)) {
                    title { (k.kernel) " block " (i) ", core " (b.core) ": " (us(b.start_us)) " to " (us(b.end_us))
                        @if b.waited_us > 0.0 { ", waited " (us(b.waited_us)) } }
                }
            }
        }
    }
}

/// All blocks of a kernel as one.
fn bar(number: usize, k: &KernelSpan, (top, x): (f64, &dyn Fn(f64) -> f64)) -> Markup {
    let waited = match k.waited_us > 0.0 {
        true => format!(", waited {}", us(k.waited_us)),
        false => String::new(),
    };
    let begin = k.begin_us.min(k.end_us);
    html! {
        rect.{ "k" (number % COLOURS) } data-say="" x=(at(x(begin))) width=(at((x(k.end_us) - x(begin)).max(0.4))) y=(at(top)) height="10" {
            title { (k.kernel) " of rank " (k.rank) ": " (count(k.blocks.len(), "block")) (waited) }
        }
    }
}
