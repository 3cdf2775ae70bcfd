//! What sections share: numbers as text, names of places on the page, tabs, and the frame of a chart.

use crate::form::Form;
use maud::{Markup, html};

/// Colours of kernels, classes `k0` to `k7` of the style.
pub const COLOURS: usize = 8;

pub fn us(x: f64) -> String {
    format!("{x:.2} µs")
}

pub fn times(x: f64) -> String {
    format!("{x:.2}×")
}

pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Bytes with three digits.
pub fn bytes(n: usize) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let (mut x, mut unit) = (n as f64 / 1024.0, 0);
    while x >= 1024.0 && unit + 1 < UNITS.len() {
        (x, unit) = (x / 1024.0, unit + 1);
    }
    let digits = if x < 10.0 { 2 } else { usize::from(x < 100.0) };
    format!("{x:.digits$} {}", UNITS[unit])
}

/// A count with the noun after it.
pub fn count(n: usize, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        _ => format!("{n} {noun}s"),
    }
}

/// A coordinate without digits that nobody sees.
pub fn at(x: f64) -> String {
    let text = format!("{x:.2}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    match short {
        "" | "-0" => "0".into(),
        _ => short.to_owned(),
    }
}

/// At most so many characters, the end cut off.
pub fn short(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// Where a kernel is on the page.
pub fn place(form: Form, kernel: &str) -> String {
    format!("{}-{kernel}", form.name())
}

/// Panels of which one is shown at a time. Without a script all are there, one below the other.
pub fn tabs(id: &str, label: &str, panels: &[(&str, Markup)]) -> Markup {
    html! {
        div.tabs data-tabs="" {
            div.tablist role="tablist" aria-label=(label) {
                @for (i, (name, _)) in panels.iter().enumerate() {
                    button type="button" role="tab" id={ (id) "-tab" (i) } aria-controls={ (id) "-panel" (i) }
                        aria-selected=(i == 0) tabindex=(if i == 0 { 0 } else { -1 }) { (name) }
                }
            }
            @for (i, (_, panel)) in panels.iter().enumerate() {
                div.panel role="tabpanel" id={ (id) "-panel" (i) } aria-labelledby={ (id) "-tab" (i) } tabindex="0" { (panel) }
            }
        }
    }
}

/// A picture that says what the pointer is on, or what arrow keys have come to.
pub fn figure(label: &str, svg: &Markup, note: &str) -> Markup {
    html! {
        figure data-figure="" {
            div.scroll tabindex="0" role="group" aria-label=(label) { (svg) }
            figcaption { output { (note) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (at(1.0), at(0.126), at(-0.001)),
            ("1".into(), "0.13".into(), "0".into())
        );
        assert_eq!((bytes(12), bytes(2048)), ("12 B".into(), "2.00 KiB".into()));
        assert_eq!(
            (bytes(192 * 1024), bytes(3 << 20)),
            ("192 KiB".into(), "3.00 MiB".into())
        );
        assert_eq!(
            (short("abcdef", 4), short("abc", 4)),
            ("abc…".into(), "abc".into())
        );
    }
}
