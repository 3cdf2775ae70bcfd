//! Schedules as text: a file of pins that every command takes.

use crate::error::{Error, Result};
use crate::layer::PinPlace;
use crate::place;
use crate::tune_error::TuneError;
use miette::NamedSource;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tilewright_passes::search::pins::Pin;

/// Reads a file: a pin a line, or several with blanks between them; `#` starts a comment.
///
/// # Errors
///
/// A file that cannot be read, and a line that is no pin.
pub fn read(path: &Path) -> Result<Vec<Pin>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::Read {
        path: path.into(),
        reason: e.to_string(),
        help: "name a readable file of pins, as `--write-pins` makes it".into(),
    })?;
    let words = words(&text).into_iter();
    let pins = words.map(|(line, span)| {
        let pin = text[span].parse::<Pin>().map_err(|e| TuneError::PinsFile {
            path: path.into(),
            line,
            reason: e.to_string(),
        });
        Ok(pin?)
    });
    pins.collect()
}

/// The words of a file of pins, each with its line, from 1, and where it stands.
fn words(text: &str) -> Vec<(usize, Range<usize>)> {
    let mut all = vec![];
    let start = text.as_ptr() as usize;
    for (number, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or_default();
        for word in said.split_whitespace() {
            let at = word.as_ptr() as usize - start;
            all.push((number + 1, at..at + word.len()));
        }
    }
    all
}

/// Where the pins of a file stand, for messages; nothing of a file that cannot be read.
pub fn places(path: &Path) -> Vec<PinPlace> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let source = Arc::new(NamedSource::new(path.display().to_string(), text.clone()));
    let place = |(_, at): (usize, Range<usize>)| {
        Some(PinPlace {
            pin: text[at.clone()].parse().ok()?,
            source: source.clone(),
            at,
        })
    };
    words(&text).into_iter().filter_map(place).collect()
}

/// The text of a file.
pub fn text(head: &str, pins: &[Pin]) -> String {
    let head = head.lines().map(|l| format!("# {l}\n"));
    let pins = pins.iter().map(|p| format!("{p}\n"));
    head.chain(pins).collect()
}

/// Writes a file, whole or not at all.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(path: &Path, head: &str, pins: &[Pin]) -> Result<()> {
    place::replace(path, text(head, pins).as_bytes())
}
