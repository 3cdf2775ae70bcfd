//! The layer as kernels and the values between them.

use super::layout::layered;
use super::parts::{at, count, figure, place, short, tabs, us};
use crate::form::Form;
use crate::report::{FormReport, KernelReport, Report};
use maud::{Markup, html};
use std::cmp::Ordering;
use tilewright_ir::kernel::Unit;

const HEIGHT: f64 = 44.0;
/// Characters of a kernel's name, and of the values at an edge.
const NAME: usize = 30;
const VALUES: usize = 24;
const MARGIN: f64 = 16.0;

/// What a kernel has from an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    /// Tensors; none where the one only waits for the other.
    values: Vec<String>,
}

/// Both forms as graphs.
pub fn section(r: &Report) -> Markup {
    let graphs = [
        ("Optimized", graph(Form::Optimized, &r.optimized)),
        ("As written", graph(Form::Written, &r.written)),
    ];
    html! {
        section id="graph" {
            h2 { "Kernels and values" }
            p.hint { "A box is a kernel and leads to its section; an edge is a value in global memory. Drag, or use the arrow keys, \
                to move; use the buttons, + and − to zoom." }
            (tabs("graphs", "Form of the layer", &graphs))
        }
    }
}

/// Who reads what whom wrote, and who waits for whom without it.
fn edges(kernels: &[KernelReport]) -> Vec<Edge> {
    let mut all: Vec<Edge> = vec![];
    for (to, kernel) in kernels.iter().enumerate() {
        for (from, earlier) in kernels[..to].iter().enumerate() {
            let read = |t: &&String| kernel.reads.contains(t);
            let values: Vec<String> = earlier.writes.iter().filter(read).cloned().collect();
            if !values.is_empty() || kernel.after.contains(&earlier.name) {
                all.push(Edge { from, to, values });
            }
        }
    }
    all
}

fn graph(form: Form, report: &FormReport) -> Markup {
    let kernels = &report.kernels;
    let edges = edges(kernels);
    let widths: Vec<f64> = kernels.iter().map(width).collect();
    let pairs: Vec<(usize, usize)> = edges.iter().map(|e| (e.from, e.to)).collect();
    let layout = layered(&widths, HEIGHT, &pairs);
    let size = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
    let marker = format!("arrow-{}", form.name());
    let slowest = kernels.iter().map(KernelReport::us).fold(0.0, f64::max);
    let svg = html! {
        svg.graph data-zoom="" data-from=(at(layout.centres.first().map_or(0.0, |c| c.0 + MARGIN))) style={ "height:min(62vh," (at(1.15 * size.1 + 40.0)) "px)" } viewBox={ "0 0 " (at(size.0)) " " (at(size.1)) } role="group"
            aria-label={ "Kernels of the layer, " (form.phrase()) } {
            defs {
                marker id=(marker) viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto" {
                    path.head d="M0 0L8 4L0 8z" {}
                }
            }
            g transform={ "translate(" (MARGIN) " " (MARGIN) ")" } {
                @for (edge, route) in edges.iter().zip(&layout.routes) {
                    (edge_view(edge, (route, label_place(edge, &edges)), &marker, kernels))
                }
                @for (i, kernel) in kernels.iter().enumerate() {
                    (node(form, kernel, layout.centres[i], widths[i], slowest))
                }
            }
        }
    };
    let zoom = html! {
        div.zoom data-zoom-buttons="" {
            button type="button" data-by="1.25" aria-label="Zoom in" { "+" }
            button type="button" data-by="0.8" aria-label="Zoom out" { "−" }
            button type="button" data-by="0" { "Fit" }
        }
    };
    html! {
        div.graphbox {
            (zoom)
            (figure("Graph of kernels", &svg, &format!("{}, {} one after the other", count(kernels.len(), "kernel"), us(report.us))))
        }
    }
}

fn width(kernel: &KernelReport) -> f64 {
    let longest = kernel
        .name
        .chars()
        .count()
        .min(NAME)
        .max(facts(kernel).chars().count());
    7.4 * longest as f64 + 24.0
}

fn facts(kernel: &KernelReport) -> String {
    format!(
        "{} · {}",
        us(kernel.us()),
        count(kernel.launch.blocks, "block")
    )
}

pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Cube => "cube",
        Unit::Vector => "vector",
        Unit::Mixed => "mixed",
    }
}

fn node(form: Form, kernel: &KernelReport, (x, y): (f64, f64), width: f64, slowest: f64) -> Markup {
    let (left, top) = (x - width / 2.0, y - HEIGHT / 2.0);
    let share = if slowest > 0.0 {
        kernel.us() / slowest
    } else {
        0.0
    };
    html! {
        a.node.(unit(kernel.unit)) href={ "#" (place(form, &kernel.name)) } {
            title { (kernel.name) ": " (unit(kernel.unit)) " kernel, " (facts(kernel)) }
            rect x=(at(left)) y=(at(top)) width=(at(width)) height=(HEIGHT) rx="6" {}
            rect.share x=(at(left + 6.0)) y=(at(top + HEIGHT - 5.0)) width=(at(share * (width - 12.0))) height="2.5" rx="1" {}
            text x=(at(x)) y=(at(y - 4.0)) { (short(&kernel.name, NAME)) }
            text.facts x=(at(x)) y=(at(y + 11.0)) { (facts(kernel)) }
        }
    }
}

/// How far along the first piece of an edge its values are told, across and down: where it is apart from those beside it.
fn label_place(edge: &Edge, all: &[Edge]) -> (f64, f64) {
    let leave = all.iter().filter(|e| e.from == edge.from).count();
    let come = all.iter().filter(|e| e.to == edge.to).count();
    match leave.cmp(&come) {
        // The bend is across before it is down.
        Ordering::Greater => (0.88, 0.7),
        Ordering::Less => (0.12, 0.3),
        Ordering::Equal => (0.5, 0.5),
    }
}

fn edge_view(
    edge: &Edge,
    (route, share): (&[(f64, f64)], (f64, f64)),
    marker: &str,
    kernels: &[KernelReport],
) -> Markup {
    let label = match edge.values.as_slice() {
        [] => String::new(),
        [one] => short(one, VALUES),
        [first, rest @ ..] => format!("{} +{}", short(first, VALUES), rest.len()),
    };
    let (from, to) = (&kernels[edge.from].name, &kernels[edge.to].name);
    let title = match edge.values.is_empty() {
        true => format!("{to} waits for {from}"),
        false => format!("{} from {from} to {to}", edge.values.join(", ")),
    };
    let (first, second) = (route[0], route[1]);
    let along = |a: f64, b: f64, share: f64| a + share * (b - a);
    html! {
        g.edge data-say="" {
            title { (title) }
            path.order[edge.values.is_empty()] d=(curve(route)) marker-end={ "url(#" (marker) ")" } {}
            text x=(at(along(first.0, second.0, share.0))) y=(at(along(first.1, second.1, share.1) + 3.5)) { (label) }
        }
    }
}

/// Bends that leave a box and come to one straight down.
fn curve(route: &[(f64, f64)]) -> String {
    let mut d = format!("M{} {}", at(route[0].0), at(route[0].1));
    for pair in route.windows(2) {
        let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
        let bend = (y + to_y) / 2.0;
        let step = match x == to_x {
            true => format!("L{} {}", at(to_x), at(to_y)),
            false => format!(
                "C{} {} {} {} {} {}",
                at(x),
                at(bend),
                at(to_x),
                at(bend),
                at(to_x),
                at(to_y)
            ),
        };
        d.push_str(&step);
    }
    d
}
