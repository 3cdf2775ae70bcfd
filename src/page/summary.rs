//! The answer at a glance: from how much to how much, right or not, how far from the machine's limits, and where the time goes.

use super::View;
use super::kernels::gain;
use super::parts::{count, place, times, us};
use crate::form::Form;
use crate::report::{Report, TimedBy};
use maud::{Markup, html};
use tilewright_passes::egraph::Stop;

pub fn section(v: &View) -> Markup {
    let r = v.report;
    html! {
        section id="summary" {
            h1 { (r.graph) " " small { "on " (r.machine) @if let Some(backend) = &r.backend { ", " (backend) } } }
            p.params { @for (name, value) in r.params.iter().chain(&r.scalars) { span.chip { (name) " " b { (value) } } " " } }
            div.cards { (time(v)) (right(r)) (limit(r)) }
            (bars(v))
            @for line in r.inputs.iter().chain(&r.tiles) { p.hint { (line) } }
            (search(r))
        }
    }
}

fn time(v: &View) -> Markup {
    let r = v.report;
    let (written, optimized) = match &r.ranks {
        Some(ranks) => (ranks.written.us, ranks.optimized.us),
        None => (r.written.us, r.optimized.us),
    };
    let by = match (r.timed_by, &r.ranks) {
        (TimedBy::Simulator, Some(ranks)) => format!(
            "simulated on {}, from the first launch to the last end",
            count(ranks.ranks, "rank")
        ),
        (TimedBy::Simulator, None) => "simulated, kernels one after the other".to_owned(),
        (TimedBy::Model, _) => "predicted, kernels one after the other".to_owned(),
        (TimedBy::Device, _) => "measured, kernels one after the other".to_owned(),
    };
    html! {
        div.card { h2 { "Time" }
            p.big { (us(written)) " → " strong { (us(optimized)) } }
            p { (gain(r.speedup)) " " (by) }
        }
    }
}

fn right(r: &Report) -> Markup {
    let failed = r.checks.iter().filter(|c| !c.comparison.ok).count();
    let (class, big, small) = match (r.checks.len(), failed) {
        (0, _) if !r.verified.is_empty() => (
            "good",
            "Right".to_owned(),
            "compared at small sizes".to_owned(),
        ),
        (0, _) => (
            "same",
            "Not run".to_owned(),
            "outputs were not compared".to_owned(),
        ),
        (n, 0) => (
            "good",
            "Right".to_owned(),
            format!("{} passed", count(n, "check")),
        ),
        (n, failed) => (
            "bad",
            "Wrong".to_owned(),
            format!("{failed} of {} failed", count(n, "check")),
        ),
    };
    html! {
        div.card { h2 { "Outputs" }
            p.big.(class) { (big) }
            p { a href="#checks" { (small) } }
        }
    }
}

fn limit(r: &Report) -> Markup {
    let b = &r.optimized.bound;
    let of = b
        .rows
        .map_or(String::new(), |r| format!(", of {}", r.name()));
    html! {
        div.card { h2 { "Bound" }
            p.big { (us(b.us)) }
            p { "by " (b.by.name()) (of) "; the optimized kernels take " (times(b.ratio)) " that" }
        }
    }
}

/// Groups of kernels that do the same work, as bars.
fn bars(v: &View) -> Markup {
    let regions = &v.report.regions;
    let most = regions
        .iter()
        .map(|r| r.written_us.max(r.optimized_us))
        .fold(0.0, f64::max);
    let width = |us: f64| format!("width:{:.2}%", 100.0 * us / most.max(1e-12));
    html! {
        div.bars role="table" aria-label="Time by group of kernels" {
            @for region in regions {
                div.row role="row" {
                    span.name role="rowheader" {
                        @for (i, name) in region.optimized.iter().enumerate() {
                            @if i > 0 { ", " }
                            a href={ "#" (place(Form::Optimized, name)) } { (name) }
                        }
                    }
                    span.both role="cell" {
                        span.bar.was style=(width(region.written_us)) {} span.val { (us(region.written_us)) }
                        span.bar.is style=(width(region.optimized_us)) {} span.val { b { (us(region.optimized_us)) } }
                    }
                    span.by role="cell" { (gain(region.speedup)) }
                }
            }
        }
        p.legend { span { i.was {} "as written" } " " span { i.is {} "optimized" } }
    }
}

fn search(r: &Report) -> Markup {
    let Some(search) = &r.search else {
        return html! {};
    };
    let stop = match search.stop {
        Stop::Saturated => "it found all forms",
        Stop::NodeLimit => "it stopped at the node limit",
        Stop::IterLimit => "it stopped at the iteration limit",
        Stop::TimeLimit => "it stopped at the time limit",
    };
    let mut rules: Vec<_> = search.rules.iter().filter(|r| r.1.applied > 0).collect();
    rules.sort_by(|a, b| (b.1.applied, a.0).cmp(&(a.1.applied, b.0)));
    html! {
        details { summary { "Search: " (search.nodes) " nodes in " (search.classes) " classes after "
                (count(search.iterations, "iteration")) "; " (stop) }
            div.scroll tabindex="0" role="group" aria-label="Rules" { table {
                thead { tr { th { "Rule" } th.n { "Matches" } th.n { "Applied" } } }
                tbody { @for (name, rule) in rules {
                    tr { td { code { (name) } } td.n { (rule.matches) } td.n { (rule.applied) } }
                } }
            } }
        }
    }
}
