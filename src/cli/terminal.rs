//! What the command prints to: how wide it is, whether it takes colours, and how much is to be said.

use clap::ColorChoice;
use miette::{MietteHandler, MietteHandlerOpts};
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;

/// Columns of text where the output is no terminal.
const COLUMNS: usize = 80;
/// Fewer hold no table.
const LEAST: usize = 40;
/// The most columns of a refusal, and those of one that no terminal shows: a log holds long lines.
const REFUSAL: usize = 120;

/// Options of every command about what is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct TerminalArgs {
    /// Shows no progress; there is none in any case where the standard error is no terminal, or with --json
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Prints all details: of `run` and `optimize`, the tables of tiles, memory, rules, candidates and checks
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Colours: on a terminal unless NO_COLOR is set, in any case, or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value = "auto"
    )]
    pub color: Color,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// What the words of a command line ask for, which are not parsed yet: help and refusals of the parser have colours, too.
    pub fn asked(words: impl Iterator<Item = OsString>) -> Self {
        let mut asked = Color::Auto;
        let mut before = OsString::new();
        for word in words.take_while(|w| w != "--") {
            let value = match word.to_str().and_then(|w| w.strip_prefix("--color=")) {
                Some(value) => Some(OsStr::new(value)),
                None => (before == "--color").then_some(word.as_os_str()),
            };
            asked = match value.and_then(OsStr::to_str) {
                Some("always") => Color::Always,
                Some("never") => Color::Never,
                Some(_) => Color::Auto,
                None => asked,
            };
            before = word;
        }
        asked
    }

    /// The same for the parser, which looks at NO_COLOR itself.
    pub fn choice(self) -> ColorChoice {
        match self {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }

    fn on(self, stream: &impl IsTerminal) -> bool {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        match self {
            Color::Auto => stream.is_terminal() && !set("NO_COLOR") && !dumb,
            Color::Always => true,
            Color::Never => false,
        }
    }

    /// Holds for all that this process prints from now on.
    pub fn set(self) {
        console::set_colors_enabled(self.on(&std::io::stdout()));
        console::set_colors_enabled_stderr(self.on(&std::io::stderr()));
        // Fails only when a hook is set already.
        let _ = miette::set_hook(Box::new(|_| {
            let width = terminal_size::terminal_size_of(std::io::stderr());
            let width = width.map_or(REFUSAL, |(w, _)| usize::from(w.0).clamp(LEAST, REFUSAL));
            let options = MietteHandlerOpts::new().width(width);
            Box::new(options.color(console::colors_enabled_stderr()).build())
        }));
    }
}

/// Columns of the standard output.
pub fn columns() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map_or(COLUMNS, |(width, _)| usize::from(width.0).max(LEAST))
}

/// What draws findings on the standard output.
pub fn findings() -> MietteHandler {
    let width = terminal_size::terminal_size_of(std::io::stdout());
    let width = width.map_or(REFUSAL, |(w, _)| usize::from(w.0).clamp(LEAST, REFUSAL));
    MietteHandlerOpts::new()
        .width(width)
        .color(console::colors_enabled())
        .terminal_links(false)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_known_before_the_line_is_parsed() {
        let asked = |line: &str| Color::asked(line.split(' ').map(OsString::from));
        for (line, color) in [
            ("tilewright run a.tw", Color::Auto),
            ("tilewright --color never run a.tw", Color::Never),
            ("tilewright run --color=always a.tw", Color::Always),
            (
                "tilewright --color always run --color never a.tw",
                Color::Never,
            ),
            ("tilewright run -- --color=always", Color::Auto),
            ("tilewright run --color", Color::Auto),
        ] {
            assert_eq!(asked(line), color, "{line}");
        }
    }
}
