//! Plots as SVG that stand by themselves: points, lines and surfaces, in the same colours and with the same frame.
//!
//! Same data, same bytes: figures have as many digits as they are drawn with.

use crate::axis::{tick, ticks};
use std::fmt::Write;

/// The side of what is drawn in, and the edge around it for what axes say.
const SIZE: f64 = 480.0;
const EDGE: f64 = 48.0;
const LOW: f64 = EDGE;
const HIGH: f64 = EDGE + SIZE;
const MIDDLE: f64 = EDGE + SIZE / 2.0;
const WHOLE: f64 = SIZE + 2.0 * EDGE;

/// What kinds of points and lines are drawn in, in turn.
const COLOURS: [&str; 5] = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"];

fn colour(kind: usize) -> &'static str {
    COLOURS[kind % COLOURS.len()]
}

/// A point of a scatter.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// Along the horizontal axis, in the unit of the plot.
    pub x: f64,
    /// Along the vertical axis, in the unit of the plot.
    pub y: f64,
    /// Its place among the kinds.
    pub kind: usize,
    /// What is shown where one points at it.
    pub title: String,
}

/// Two quantities in one unit against each other, on logarithmic axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Scatter<'a> {
    /// The points.
    pub dots: Vec<Dot>,
    /// The names of the kinds, in the order of their colours.
    pub kinds: Vec<String>,
    /// The least and the most that is drawn; what is beyond stands at the edge.
    pub range: (f64, f64),
    /// What axes name.
    pub ticks: Vec<f64>,
    /// What the horizontal axis is of.
    pub x: &'a str,
    /// What the vertical axis is of.
    pub y: &'a str,
}

impl Scatter<'_> {
    /// A range around the dots, and round numbers in it: 1, 2 and 5 of each power of ten.
    pub fn fitted(mut self) -> Self {
        let all = || {
            self.dots
                .iter()
                .flat_map(|d| [d.x, d.y])
                .filter(|v| *v > 0.0)
        };
        let least = all().fold(f64::INFINITY, f64::min);
        let most = all().fold(0.0, f64::max);
        self.range = match least <= most {
            true => (least / 1.1, most * 1.1),
            false => (1.0, 10.0),
        };
        let (low, high) = self.range;
        let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let round = powers.flat_map(|p| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(p)));
        self.ticks = round.filter(|t| (low..=high).contains(t)).collect();
        self
    }

    /// The plot.
    pub fn svg(&self) -> String {
        let (least, most) = self.range;
        let place = |us: f64| (us.clamp(least, most) / least).ln() / (most / least).ln() * SIZE;
        let mut out = opened();
        for mark in &self.ticks {
            let at = place(*mark);
            let (x, y) = (LOW + at, HIGH - at);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {LOW}V{HIGH}M{LOW} {y:.1}H{HIGH}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                HIGH + 16.0,
                LOW - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(
            out,
            "<path d=\"M{LOW} {HIGH}L{HIGH} {LOW}\" stroke=\"#888\"/>"
        );
        for dot in &self.dots {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\" fill-opacity=\"0.8\"><title>{}</title></circle>",
                LOW + place(dot.x),
                HIGH - place(dot.y),
                colour(dot.kind),
                escaped(&dot.title)
            );
        }
        legend(&mut out, &self.kinds);
        closed(out, self.x, self.y)
    }
}

/// A line: what it is called, and its height at each place along the axis, where it has one.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// By place, in the unit of the vertical axis; none where the line has a gap.
    pub heights: Vec<Option<f64>>,
}

/// Lines over places that have names, from 0 up.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines<'a> {
    /// The lines, in the order of their colours.
    pub lines: Vec<Line>,
    /// By place; as many as the longest line is.
    pub places: Vec<String>,
    /// What the horizontal axis is of.
    pub x: &'a str,
    /// What the vertical axis is of.
    pub y: &'a str,
    /// Whether each height is marked, or the line alone is drawn.
    pub marked: bool,
}

/// Names along an axis that there is room for.
const NAMED: usize = 12;

impl Lines<'_> {
    /// The plot.
    pub fn svg(&self) -> String {
        let heights = || self.lines.iter().flat_map(|l| l.heights.iter().flatten());
        let most = heights()
            .copied()
            .filter(|h| h.is_finite())
            .fold(0.0, f64::max);
        let top = if most > 0.0 { most * 1.05 } else { 1.0 };
        let steps = self.places.len().saturating_sub(1).max(1) as f64;
        let across = |i: usize| LOW + i as f64 / steps * SIZE;
        let up = |h: f64| HIGH - h / top * SIZE;
        let mut out = opened();
        for mark in ticks(top, 8) {
            let y = up(mark);
            let _ = writeln!(
                out,
                "<path d=\"M{LOW} {y:.1}H{HIGH}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LOW - 6.0,
                y + 4.0,
                tick(mark)
            );
        }
        let every = self.places.len().div_ceil(NAMED).max(1);
        for (i, name) in self.places.iter().enumerate().step_by(every) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                across(i),
                HIGH + 16.0,
                escaped(name)
            );
        }
        for (kind, line) in self.lines.iter().enumerate() {
            let mut path = String::new();
            let mut gap = true;
            for (i, height) in line.heights.iter().enumerate() {
                match height {
                    Some(h) => {
                        let stroke = if gap { 'M' } else { 'L' };
                        let _ = write!(path, "{stroke}{:.1} {:.1}", across(i), up(*h));
                        gap = false;
                    }
                    None => gap = true,
                }
            }
            let _ = writeln!(
                out,
                "<path d=\"{path}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>",
                colour(kind)
            );
            let heights = line.heights.iter().enumerate().filter(|_| self.marked);
            for (i, height) in heights.filter_map(|(i, h)| Some((i, (*h)?))) {
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{}\"><title>{} at {}: {height:.3}</title></circle>",
                    across(i),
                    up(height),
                    colour(kind),
                    escaped(&line.name),
                    escaped(&self.places[i])
                );
            }
        }
        let names: Vec<String> = self.lines.iter().map(|l| l.name.clone()).collect();
        legend(&mut out, &names);
        closed(out, self.x, self.y)
    }
}

/// A quantity over two parameters, as a table of fields: the lighter, the less.
#[derive(Debug, Clone, PartialEq)]
pub struct Surface<'a> {
    /// Values of the parameter that goes up, from the lowest row.
    pub up: Vec<String>,
    /// As `up`, from left to right.
    pub across: Vec<String>,
    /// Row by row; none where there is nothing.
    pub heights: Vec<Option<f64>>,
    /// What goes across.
    pub x: &'a str,
    /// What goes up.
    pub y: &'a str,
}

impl Surface<'_> {
    /// The plot.
    pub fn svg(&self) -> String {
        let there = || self.heights.iter().flatten().copied();
        let least = there().fold(f64::INFINITY, f64::min);
        let most = there().fold(0.0, f64::max);
        let (rows, cols) = (self.up.len().max(1), self.across.len().max(1));
        let (wide, high) = (SIZE / cols as f64, SIZE / rows as f64);
        let mut out = opened();
        for (place, height) in self.heights.iter().enumerate() {
            let (row, col) = (place / cols, place % cols);
            let (x, y) = (LOW + col as f64 * wide, HIGH - (row + 1) as f64 * high);
            let (fill, text) = match height {
                None => ("#eee".to_owned(), String::new()),
                Some(h) => (shade(*h, least, most), format!("{h:.2}")),
            };
            let best = if *height == Some(least) {
                " font-weight=\"bold\""
            } else {
                ""
            };
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{fill}\" stroke=\"#fff\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\"{best}>{text}</text>",
                x + wide / 2.0,
                y + high / 2.0 + 4.0
            );
        }
        for (i, name) in self.across.iter().enumerate().step_by(cols.div_ceil(NAMED)) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                LOW + (i as f64 + 0.5) * wide,
                HIGH + 16.0,
                escaped(name)
            );
        }
        for (i, name) in self.up.iter().enumerate().step_by(rows.div_ceil(NAMED)) {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LOW - 6.0,
                HIGH - (i as f64 + 0.5) * high + 4.0,
                escaped(name)
            );
        }
        closed(out, self.x, self.y)
    }
}

/// From light, the least, to blue, by how many times as much it is.
fn shade(height: f64, least: f64, most: f64) -> String {
    let share = match most > least && least > 0.0 {
        true => (height / least).ln() / (most / least).ln(),
        false => 0.0,
    };
    let between = |from: f64, to: f64| (from + (to - from) * share).round() as u8;
    format!(
        "#{:02x}{:02x}{:02x}",
        between(247.0, 107.0),
        between(251.0, 174.0),
        between(255.0, 214.0)
    )
}

/// Plots next to each other, as one.
pub fn beside(plots: &[String]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {WHOLE}\">\n",
        WHOLE * plots.len() as f64
    );
    for (i, plot) in plots.iter().enumerate() {
        let place = format!(
            "<svg x=\"{}\" width=\"{WHOLE}\" height=\"{WHOLE}\" ",
            WHOLE * i as f64
        );
        out.push_str(&plot.replacen("<svg ", &place, 1));
    }
    out + "</svg>\n"
}

fn opened() -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WHOLE} {WHOLE}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WHOLE}\" height=\"{WHOLE}\" fill=\"#fff\"/>\n"
    )
}

fn legend(out: &mut String, kinds: &[String]) {
    for (i, kind) in kinds.iter().enumerate() {
        let y = LOW + 14.0 + 18.0 * i as f64;
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LOW + 12.0,
            colour(i),
            LOW + 22.0,
            y + 4.0,
            escaped(kind)
        );
    }
}

fn closed(mut out: String, x: &str, y: &str) -> String {
    let _ = writeln!(
        out,
        "<text x=\"{MIDDLE}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"14\" y=\"{MIDDLE}\" transform=\"rotate(-90 14 {MIDDLE})\" text-anchor=\"middle\">{}</text>\n</svg>",
        WHOLE - 10.0,
        escaped(x),
        escaped(y)
    );
    out
}

/// Text within an element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, of: &str) -> usize {
        text.matches(of).count()
    }

    #[test]
    fn a_line_has_a_gap_where_it_has_no_height() {
        let lines = Lines {
            lines: vec![Line {
                name: "a < b".into(),
                heights: vec![Some(1.0), Some(2.0), None, Some(4.0)],
            }],
            places: ["16", "32", "64", "128"].map(String::from).into(),
            x: "tile",
            y: "us",
            marked: true,
        };
        let svg = lines.svg();
        let path = svg
            .lines()
            .find(|l| l.contains("stroke-width"))
            .expect("a line");
        assert_eq!((count(path, "M"), count(path, "L")), (2, 1), "{path}");
        assert_eq!(count(&svg, "r=\"3\""), 3);
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
    }

    #[test]
    fn the_least_of_a_surface_is_lightest_and_bold() {
        let surface = Surface {
            up: ["1", "2"].map(String::from).into(),
            across: ["8", "16"].map(String::from).into(),
            heights: vec![Some(4.0), Some(1.0), None, Some(2.0)],
            x: "T",
            y: "depth",
        };
        let svg = surface.svg();
        assert_eq!(count(&svg, "bold\">1.00<"), 1);
        assert_eq!(count(&svg, "bold"), 1);
        assert_eq!(count(&svg, "#f7fbff"), 1);
        assert_eq!(count(&svg, "#6baed6"), 1);
        assert_eq!(count(&svg, "#eee"), 1);
    }

    #[test]
    fn a_scatter_fits_its_dots() {
        let dot = |x, y| Dot {
            x,
            y,
            kind: 0,
            title: String::new(),
        };
        let plot = Scatter {
            dots: vec![dot(1.5, 3.0), dot(30.0, 18.0)],
            kinds: vec!["k".into()],
            range: (0.0, 0.0),
            ticks: vec![],
            x: "measured, us",
            y: "predicted, us",
        };
        let fitted = plot.fitted();
        assert_eq!(fitted.ticks, [2.0, 5.0, 10.0, 20.0]);
        assert!(fitted.range.0 < 1.5 && fitted.range.1 > 30.0);
        assert_eq!(count(&fitted.svg(), "<title>"), 2);
    }
}
