//! Files that options name for what a command makes. `-` is the standard output, and then the answer goes to the standard error.

use super::{print, progress};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use tilewright::error::{Error, Result};
use tilewright::place::{self, is_stream};

/// Where the answer of a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Out,
    /// The standard output has a file.
    Err,
}

/// Refuses files that cannot be written, each with the option that names it, and says where the answer goes.
///
/// # Errors
///
/// As [`place::check_places`] and [`place::check_unread`]; two things for the standard output.
pub fn check(files: &[(&str, Option<&Path>)], read: &[PathBuf], json: bool) -> Result<Answer> {
    place::check_places(files)?;
    place::check_unread(files, read)?;
    streams(files, json)
}

/// Says where the answer goes.
///
/// # Errors
///
/// Two things for the standard output.
pub fn streams(files: &[(&str, Option<&Path>)], json: bool) -> Result<Answer> {
    let mut streamed = files.iter().filter(|(_, p)| p.is_some_and(is_stream));
    match streamed.next() {
        Some((option, _)) if json => Err(Error::OneStdout {
            first: format!("`{option} -`"),
            second: "`--json`".into(),
        }
        .into()),
        Some(_) => Ok(Answer::Err),
        None => Ok(Answer::Out),
    }
}

/// Writes a file, or to the standard output.
///
/// # Errors
///
/// What the system refuses.
pub fn write(path: &Path, text: &str) -> Result<()> {
    match is_stream(path) {
        true => print(text),
        false => progress::aside(|| place::replace(path, text.as_bytes())),
    }
}

impl Answer {
    /// Prints a part of the answer.
    ///
    /// # Errors
    ///
    /// What the system refuses.
    pub fn print(self, text: &str) -> Result<()> {
        match self {
            Answer::Out => print(text),
            Answer::Err => {
                // With nobody listening there is nothing left to say.
                let _ = progress::aside(|| io::stderr().write_all(text.as_bytes()));
                Ok(())
            }
        }
    }
}
