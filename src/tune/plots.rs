//! What tuning and sweeps found, as plots.

use super::layer::{KernelReport, Report};
use super::sweep::{Over, Row};
use crate::plot::{Dot, Line, Lines, Scatter, Surface};
use crate::tune_error::TuneError;

/// By kernel, the best so far over trials, against the search's own.
pub fn progress(report: &Report) -> String {
    let longest = report.kernels.iter().map(|k| k.tuned.curve.len()).max();
    let line = |k: &KernelReport| {
        let first = k.tuned.pick_us.or(k.tuned.curve.first().copied());
        let own = first.filter(|us| *us > 0.0).unwrap_or(1.0);
        Line {
            name: name(k),
            heights: k.tuned.curve.iter().map(|us| Some(us / own)).collect(),
        }
    };
    let plot = Lines {
        lines: report.kernels.iter().map(line).collect(),
        places: (1..=longest.unwrap_or(0)).map(|n| n.to_string()).collect(),
        x: "trials",
        y: "best so far, of the search's own",
        marked: false,
    };
    plot.svg()
}

/// What the model said of each trial, against what was measured.
pub fn predicted(report: &Report) -> String {
    let dots = |(kind, k): (usize, &KernelReport)| {
        let dot = move |[predicted, measured]: &[f64; 2]| Dot {
            x: *measured,
            y: *predicted,
            kind,
            title: format!("measured {measured:.3} us, predicted {predicted:.3} us"),
        };
        k.tuned.points.iter().map(dot).collect::<Vec<_>>()
    };
    let plot = Scatter {
        dots: report.kernels.iter().enumerate().flat_map(dots).collect(),
        kinds: report.kernels.iter().map(name).collect(),
        range: (1.0, 1.0),
        ticks: vec![],
        x: "measured, us",
        y: "predicted, us",
    };
    plot.fitted().svg()
}

fn name(k: &KernelReport) -> String {
    match &k.names[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first, ..] => format!("{first} and {} more", k.names.len() - 1),
    }
}

/// A sweep: a curve of one parameter, a surface of two.
///
/// # Errors
///
/// More than two parameters.
pub fn swept(over: &[Over], rows: &[Row]) -> Result<String, TuneError> {
    let values = |of: &Over| -> Vec<String> {
        let text = of.values.iter().map(ToString::to_string);
        text.map(|t| t.rsplit('=').next().unwrap_or_default().to_owned())
            .collect()
    };
    match over {
        [x] => {
            let line = |name: &str, of: fn(&Row) -> Option<f64>| Line {
                name: name.into(),
                heights: rows.iter().map(of).collect(),
            };
            let plot = Lines {
                lines: vec![
                    line("simulated", |r| r.simulated_us),
                    line("predicted", |r| r.predicted_us),
                ],
                places: values(x),
                x: &x.name,
                y: "us",
                marked: true,
            };
            Ok(plot.svg())
        }
        [y, x] => {
            let plot = Surface {
                up: values(y),
                across: values(x),
                heights: rows
                    .iter()
                    .map(|r| r.simulated_us.or(r.predicted_us))
                    .collect(),
                x: &x.name,
                y: &y.name,
            };
            Ok(plot.svg())
        }
        _ => Err(TuneError::Plot { count: over.len() }),
    }
}
