//! `tilewright fmt`: layer files in their canonical form.

use super::{Ended, print, print_report};
use serde::Serialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use tilewright::error::{Error, Result};
use tilewright::layer::{formatted, read_bytes};
use tilewright::place;

const EXAMPLES: &str = "\
Examples:
  tilewright fmt layers/*.tw           formats the files in place
  tilewright fmt --check layers/*.tw   names those that are not formatted; exit code 1 if there are such (for CI)
  tilewright fmt - < gate.tw           prints the formatted text (for editors)";

/// The name of the standard input.
const STDIN: &str = "-";

/// Formats layer files (`.tw`); comments stay
///
/// A file is replaced whole or not at all, and only after the formatted text was read again and says the same.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Layer files; `-` reads the standard input and prints the formatted text
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Writes nothing; names the files that are not formatted, which is exit code 1
    #[arg(long)]
    check: bool,
    /// Prints one JSON object, which has the formatted text of the standard input
    #[arg(long)]
    json: bool,
}

/// What became of each file.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    files: Vec<Formatted>,
}

#[derive(Debug, Serialize)]
struct Formatted {
    file: String,
    #[serde(rename = "is")]
    state: State,
    /// Of the standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was formatted before.
    Unchanged,
    Formatted,
    NotFormatted,
}

pub fn main(args: &Args) -> Result<Ended> {
    // All of them are looked at before one is written.
    let texts = args.files.iter().map(|path| Text::read(path));
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let mut files = vec![];
    for text in &texts {
        let state = match (text.is_formatted(), args.check, text.path) {
            (true, ..) => State::Unchanged,
            (false, true, _) => State::NotFormatted,
            (false, false, path) => {
                path.map_or(Ok(()), |path| replace(path, &text.formatted))?;
                State::Formatted
            }
        };
        files.push(Formatted {
            file: text
                .path
                .map_or("<stdin>".into(), |p| p.display().to_string()),
            state,
            text: (text.path.is_none() && !args.check).then(|| text.formatted.clone()),
        });
        if !args.json {
            tell(&files[files.len() - 1])?;
        }
    }
    let ok = files.iter().all(|f| f.state != State::NotFormatted);
    if args.json {
        print_report(&Report { ok, files })?;
    }
    Ok(match ok {
        true => Ended::Well,
        false => Ended::CheckFailed,
    })
}

/// Says what became of a file, or prints the text of the standard input.
fn tell(file: &Formatted) -> Result<()> {
    match (&file.text, file.state) {
        (Some(text), _) => print(text),
        (None, State::Unchanged) => Ok(()),
        (None, State::Formatted) => print(&format!("{}: formatted\n", file.file)),
        (None, State::NotFormatted) => print(&format!("{}: not formatted\n", file.file)),
    }
}

/// A file, and what it is to be.
struct Text<'a> {
    /// Absent of the standard input.
    path: Option<&'a Path>,
    bytes: Vec<u8>,
    formatted: String,
}

impl<'a> Text<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        if path.as_os_str() == STDIN {
            let mut bytes = vec![];
            let read = std::io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|e| Error::Read {
                path: "<stdin>".into(),
                reason: e.to_string(),
                help: "give the text of a layer file".into(),
            })?;
            return Ok(Text {
                path: None,
                formatted: formatted("<stdin>", &bytes)?,
                bytes,
            });
        }
        if path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"))
        {
            return Err(Error::NotText { path: path.into() }.into());
        }
        let bytes = read_bytes(path)?;
        Ok(Text {
            path: Some(path),
            formatted: formatted(&path.display().to_string(), &bytes)?,
            bytes,
        })
    }

    fn is_formatted(&self) -> bool {
        self.bytes == self.formatted.as_bytes()
    }
}

/// Replaces the file itself, also where the path is a link to it.
fn replace(path: &Path, text: &str) -> Result<()> {
    let failed = |reason: String| Error::Write {
        path: path.into(),
        reason,
    };
    let file = path.canonicalize().map_err(|e| failed(e.to_string()))?;
    let about = file.metadata().map_err(|e| failed(e.to_string()))?;
    if about.permissions().readonly() {
        return Err(Error::ReadOnly { path: path.into() }.into());
    }
    place::replace(&file, text.as_bytes())
}
