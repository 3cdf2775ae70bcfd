//! `tilewright man`: manual pages.

use super::{Ended, command, print};
use clap_mangen::Man;
use std::path::PathBuf;
use tilewright::error::{Error, Result};

const EXAMPLES: &str = "\
Examples:
  tilewright man | man -l -                  reads the page of tilewright
  tilewright man ~/.local/share/man/man1     writes the pages of all subcommands";

/// Prints the manual page, or writes a page a subcommand
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder that gets tilewright.1, tilewright-run.1 and so on; it is made where it is not there
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn main(args: &Args) -> Result<Ended> {
    // The help is a page already.
    let command = command().disable_help_subcommand(true);
    let Some(dir) = &args.dir else {
        let mut page = vec![];
        Man::new(command)
            .render(&mut page)
            .map_err(|e| Error::Stdout {
                reason: e.to_string(),
            })?;
        print(&String::from_utf8_lossy(&page))?;
        return Ok(Ended::Well);
    };
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    written.map_err(|e| Error::Write {
        path: dir.clone(),
        reason: e.to_string(),
    })?;
    Ok(Ended::Well)
}
