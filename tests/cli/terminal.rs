//! What every command has: colours, details, completions and manual pages.

use crate::common::{command, folder, ran, tilewright};
use crate::{SMALL, snapshot};
use std::process::Command;

const ESCAPE: char = '\u{1b}';

/// The command with the environment of somebody who has said nothing of colours.
fn unsaid(command: &mut Command) -> &mut Command {
    command.env_remove("NO_COLOR")
}

#[test]
fn colours_are_where_they_are_asked_for() {
    let folder = folder();
    let optimize = [&["optimize", "gate.tw"], &SMALL[..]].concat();
    let refused = vec!["run", "absent.tw"];
    let help = vec!["--help"];
    for (args, on_stderr) in [(&optimize, false), (&refused, true), (&help, false)] {
        let has_colours = |words: &[&str], no_color: bool| {
            let all = [&args[..], words].concat();
            let mut command = command(folder.path(), &all);
            if !no_color {
                unsaid(&mut command);
            }
            let ran = ran(&mut command);
            match on_stderr {
                true => ran.stderr.contains(ESCAPE),
                false => ran.stdout.contains(ESCAPE),
            }
        };
        // What is said on the command line goes before the environment.
        assert!(has_colours(&["--color", "always"], true), "{args:?}");
        assert!(!has_colours(&["--color=never"], false), "{args:?}");
        assert!(!has_colours(&[], false), "{args:?}: this is no terminal");
    }
    let ran = tilewright(folder.path(), &["passes", "--color", "sometimes"]);
    assert_eq!(ran.code, Some(2), "{}", ran.text());
}

#[test]
fn details_come_with_verbose() {
    let folder = folder();
    let args = [&["run", "gate.tw", "-v", "--no-emit"], &SMALL[..]].concat();
    let ran = tilewright(folder.path(), &args);
    snapshot("run-verbose", &ran.text());
    // A global option may stand before the subcommand.
    let args = [&["--verbose", "run", "gate.tw", "--no-emit"], &SMALL[..]].concat();
    let again = tilewright(folder.path(), &args);
    assert!(again.stdout.contains("rules that led"), "{}", again.text());
}

/// The subcommands that the help lists.
fn subcommands() -> Vec<String> {
    let folder = folder();
    let help = tilewright(folder.path(), &["--help"]).stdout;
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1);
    let lines = lines.take_while(|l| !l.is_empty());
    // What a subcommand does may go on below it, further to the right.
    let names: Vec<String> = lines
        .filter_map(|l| l.strip_prefix("  ").filter(|l| !l.starts_with(' ')))
        .filter_map(|l| l.split_whitespace().next())
        .map(String::from)
        .collect();
    assert!(names.len() > 15, "{help}");
    names
}

#[test]
fn completions_know_every_subcommand() {
    let folder = folder();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = tilewright(folder.path(), &["completions", shell]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{shell}");
        for name in subcommands() {
            assert!(ran.stdout.contains(&name), "{shell}: {name}");
        }
        assert!(ran.stdout.contains("disable-rule"), "{shell}");
    }
    let ran = tilewright(folder.path(), &["completions", "tcsh"]);
    assert_eq!(ran.code, Some(2), "{}", ran.text());
}

#[test]
fn every_subcommand_has_a_manual_page() {
    let folder = folder();
    let page = tilewright(folder.path(), &["man"]).stdout;
    let ran = tilewright(folder.path(), &["man", "share/man1"]);
    assert_eq!((ran.code, ran.text().as_str()), (Some(0), "exit code: 0\n"));
    let dir = folder.path().join("share/man1");
    let read = |name: &str| {
        let file = dir.join(format!("{name}.1"));
        std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    };
    assert_eq!(read("tilewright"), page);
    // The help of `help` is no page of its own.
    for name in subcommands().iter().filter(|n| *n != "help") {
        assert!(
            page.contains(&format!("tilewright\\-{name}(1)")),
            "{name}:\n{page}"
        );
        let own = read(&format!("tilewright-{name}"));
        assert!(own.contains(".SH SYNOPSIS"), "{name}:\n{own}");
    }
    assert!(read("tilewright-run").contains("\\-\\-disable\\-rule"));
    let ran = tilewright(folder.path(), &["man", "gate.tw"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
}

/// Columns of what did not run are left out.
#[test]
fn columns_have_something_in_them() {
    let folder = folder();
    let ran = tilewright(folder.path(), &["optimize", "gate.tw", "-v"]);
    let head: Vec<&str> = ran.stdout.split_whitespace().collect();
    assert!(!head.contains(&"busiest"), "{}", ran.text());
    let cells = ran
        .stdout
        .lines()
        .filter(|l| l.contains(" optimized  spmd"));
    for line in cells {
        assert!(!line.trim_end().ends_with('-'), "{}", ran.text());
    }
}
