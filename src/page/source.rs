//! The emitted text of a kernel, with highlighted syntax.

use super::View;
use super::highlight::{Kind, tokens};
use super::kernels::Kernel;
use super::parts::count;
use maud::{Markup, html};

pub fn view(v: &View, k: &Kernel) -> Markup {
    let Some(file) = &k.details.source else {
        let why = v.details.forms.get(k.form).no_source.as_deref();
        return html! { p.hint { "No text was emitted" @if let Some(why) = why { ": " (why) } } };
    };
    html! {
        details.source {
            summary { code { (file.path) } ", " (count(file.text.lines().count(), "line")) }
            pre tabindex="0" aria-label={ "Source of " (k.report.name) } { code {
                @for (kind, text) in tokens(&file.text) {
                    @match kind {
                        Kind::Plain => (text),
                        Kind::Comment => i { (text) },
                        Kind::Keyword => b { (text) },
                        Kind::Number => u { (text) },
                        Kind::String => q { (text) },
                        Kind::Directive => s { (text) },
                        Kind::Call => em { (text) },
                    }
                }
            } }
        }
    }
}
