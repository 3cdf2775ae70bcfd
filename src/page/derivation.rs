//! The rules that led from the form as written to a kernel, and what they changed.

use super::kernels::Kernel;
use crate::detail::Step;
use crate::form::Form;
use maud::{Markup, html};

pub fn view(k: &Kernel) -> Markup {
    let chain = &k.details.chain;
    match (k.form, chain.is_empty()) {
        (Form::Written, _) => html! { p.hint { "The schedule of the layer's file." } },
        (Form::Optimized, true) => html! { p.hint { "As written: nothing was better." } },
        (Form::Optimized, false) => html! {
            ol.chain { @for step in chain { li { (view_of(step)) } } }
            p.hint { code { "tilewright explain FILE " (k.report.name) } " measures what each rule gains." }
        },
    }
}

fn view_of(step: &Step) -> Markup {
    html! {
        code.rule { (step.rule) }
        @if step.backwards { " from right to left" }
        @for change in &step.changes {
            " " span.chip { (change.param) " " (change.before) " → " b { (change.after) } }
        }
        @if !step.does.is_empty() {
            p.does { @if step.backwards { "The opposite of: " } (step.does) }
        }
    }
}
