//! Kernels as written against the optimized ones that do their work: a part of the page for each such group.

use super::graph::unit;
use super::parts::{bytes, count, percent, place, tabs, times, us};
use super::{View, derivation, memory, pipes, source};
use crate::detail::KernelDetails;
use crate::form::Form;
use crate::report::{KernelReport, Region};
use maud::{Markup, html};

/// A kernel of a form, with all that is known of it.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    pub form: Form,
    pub report: &'a KernelReport,
    pub details: &'a KernelDetails,
}

pub fn section(v: &View) -> Markup {
    html! {
        section id="kernels" {
            h2 { "Kernels, as written and optimized" }
            @for (i, region) in v.report.regions.iter().enumerate() {
                (group(v, i, region))
            }
        }
    }
}

/// Kernels of one form, by name.
fn kernels<'a>(v: &View<'a>, form: Form, names: &[String]) -> Vec<Kernel<'a>> {
    let (report, details) = (v.form(form), v.details.forms.get(form));
    let kernel = |name: &String| {
        Some(Kernel {
            form,
            report: report.kernel(name)?,
            details: details.kernel(name)?,
        })
    };
    names.iter().filter_map(kernel).collect()
}

fn group(v: &View, number: usize, region: &Region) -> Markup {
    let both = [
        kernels(v, Form::Written, &region.written),
        kernels(v, Form::Optimized, &region.optimized),
    ];
    let id = format!("group-{number}");
    let columns = |of: &dyn Fn(&Kernel) -> Markup| columns(&both, of);
    let panels = [
        ("Schedule", columns(&|k| overview(v, k))),
        ("Memory", columns(&|k| memory::view(k))),
        ("Pipes", columns(&|k| pipes::view(v, k))),
        ("Derivation", columns(&|k| derivation::view(k))),
        ("Source", columns(&|k| source::view(v, k))),
    ];
    html! {
        article.group id=(id) aria-labelledby={ (id) "-title" } {
            header {
                h3 id={ (id) "-title" } {
                    @for (i, name) in region.covers.iter().enumerate() {
                        @if i > 0 { span.plus { " + " } }
                        span.word { (name) }
                    }
                }
                p.change {
                    span { (us(region.written_us)) " → " strong { (us(region.optimized_us)) } }
                    (gain(region.speedup))
                }
            }
            @for kernel in both.iter().flatten() {
                span.anchor id=(place(kernel.form, &kernel.report.name)) data-kernel=(kernel.report.name) {}
            }
            (tabs(&id, &format!("What of {}", region.covers.join(" + ")), &panels))
        }
    }
}

/// A speedup, which may be none.
pub fn gain(speedup: f64) -> Markup {
    let class = match speedup {
        s if s > 1.005 => "good",
        s if s < 0.995 => "bad",
        _ => "same",
    };
    html! { span.gain.(class) { (times(speedup)) } }
}

/// What is said of each kernel, the written ones to the left.
fn columns(both: &[Vec<Kernel>; 2], of: &dyn Fn(&Kernel) -> Markup) -> Markup {
    html! {
        div.columns {
            @for (kernels, title) in both.iter().zip(["As written", "Optimized"]) {
                div.column {
                    h4 { (title) }
                    @for kernel in kernels {
                        div.kernel {
                            h5 { (kernel.report.name) " " span.unit.(unit(kernel.report.unit)) { (unit(kernel.report.unit)) } }
                            (of(kernel))
                        }
                    }
                    @if kernels.is_empty() { p.hint { "no kernel" } }
                }
            }
        }
    }
}

/// The schedule, and how far the time is from its bound.
fn overview(v: &View, k: &Kernel) -> Markup {
    let r = k.report;
    let grid: Vec<String> = r
        .launch
        .grid
        .iter()
        .map(|(n, c)| format!("{n} {c}"))
        .collect();
    let loops = r.pipeline.iter().map(|l| match l.depth {
        1 => format!("{} ×{}", l.name, l.trips),
        depth => format!("{} ×{}, {depth} in flight", l.name, l.trips),
    });
    let rows = [
        (
            "Launch",
            format!("{}, {}", r.launch.kind, count(r.launch.blocks, "block")),
        ),
        ("Grid", grid.join(" × ")),
        ("Loops", loops.collect::<Vec<_>>().join("; ")),
        ("Waits for", r.after.join(", ")),
        ("Reads", r.reads.join(", ")),
        ("Writes", r.writes.join(", ")),
    ];
    let used = r.memory.named().into_iter().zip(v.report.capacity.named());
    let used = used.filter(|((_, used), _)| *used > 0);
    html! {
        (bound(k))
        dl.facts {
            @for (name, text) in rows.iter().filter(|r| !r.1.is_empty()) {
                dt { (name) }
                dd { (text) }
            }
            @if !r.tiles.is_empty() {
                dt { "Tiles" }
                dd { @for (name, size) in &r.tiles { span.chip { (name) " " b { (size) } } " " } }
            }
            dt { "On chip" }
            dd { @for ((name, used), (_, of)) in used {
                span.chip { (name) " " b { (bytes(used)) } " of " (bytes(of)) ", " (percent(used as f64 / of.max(1) as f64)) } " "
            } }
        }
        @for note in &r.notes { p.note { (note) } }
    }
}

/// Where the time goes, against what the machine needs at least.
fn bound(k: &Kernel) -> Markup {
    let r = k.report;
    let time = r.us();
    let share = |us: f64| {
        format!(
            "width:{:.2}%",
            100.0 * (us / time.max(1e-12)).clamp(0.0, 1.0)
        )
    };
    let launch = r.simulated.as_ref().map_or(0.0, |s| s.launch_us);
    let parts = r.simulated.as_ref().map(|s| {
        let busy = (time - launch) * s.busiest_share;
        let pipe = s.busiest.map_or("no pipe", |p| p.name());
        [
            ("launch", "launch".to_owned(), launch),
            ("busy", format!("{pipe} busy"), busy),
            (
                "wait",
                format!("{pipe} waits"),
                (time - launch - busy).max(0.0),
            ),
        ]
    });
    let whose = match (&r.simulated, r.measured_seconds) {
        (Some(_), _) => "simulated",
        (None, Some(_)) => "measured",
        (None, None) => "predicted",
    };
    let all = r
        .bound
        .rows
        .map_or(String::new(), |of| format!(", of {}", of.name()));
    html! {
        div.timebar {
            p { strong { (us(time)) } " " (whose)
                @if whose != "predicted" { ", " (us(r.predicted.us)) " predicted" } }
            @if let Some(parts) = &parts {
                div.stack aria-hidden="true" { @for (class, _, us) in parts { span.(class) style=(share(*us)) {} } }
                p.legend { @for (class, name, part) in parts { span { i.(class) {} (name) " " (us(*part)) } " " } }
            }
            @if r.bound.us > 0.0 {
                div.stack aria-hidden="true" { span.bound style=(share(r.bound.us)) {} }
                p.legend { span { i.bound {} "bound by " (r.bound.by.name()) ": " (us(r.bound.us)) (all) "; the time is "
                    (times(r.bound.ratio)) " that" } }
            }
        }
    }
}
