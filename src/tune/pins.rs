//! Schedules as text: a file of pins that every command takes.

use crate::error::{Error, Result};
use crate::place;
use crate::tune_error::TuneError;
use std::path::Path;
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
    let mut pins = vec![];
    for (number, line) in text.lines().enumerate() {
        let said = line.split('#').next().unwrap_or_default();
        for word in said.split_whitespace() {
            let pin = word.parse::<Pin>().map_err(|e| TuneError::PinsFile {
                path: path.into(),
                line: number + 1,
                reason: e.to_string(),
            });
            pins.push(pin?);
        }
    }
    Ok(pins)
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
