//! `tilewright completions`: what makes a shell complete the command line.

use super::{Ended, command, print};
use clap_complete::Shell;
use tilewright::error::Result;

const EXAMPLES: &str = "\
Examples:
  source <(tilewright completions bash)                                    in ~/.bashrc
  tilewright completions zsh > ~/.zfunc/_tilewright                        with ~/.zfunc in fpath
  tilewright completions fish > ~/.config/fish/completions/tilewright.fish";

/// Prints a script with which a shell completes subcommands, options and their values
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub fn main(args: &Args) -> Result<Ended> {
    let mut script = vec![];
    let mut command = shown();
    clap_complete::generate(args.shell, &mut command, "tilewright", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Ended::Well)
}

/// The command line without what is for no people: a shell offers hidden subcommands, too.
fn shown() -> clap::Command {
    let all = command();
    let shown = all.get_subcommands().filter(|c| !c.is_hide_set());
    clap::Command::new("tilewright")
        .version(env!("CARGO_PKG_VERSION"))
        .about(all.get_about().cloned().unwrap_or_default())
        .args(all.get_arguments().cloned())
        .subcommands(shown.cloned())
}
