//! Examples of commands, as `--help` shows them.

use super::layout::wrap;

pub const RUN: &str = "\
Examples:
  tilewright run gate.tw                            compiles, runs and checks; kernels go to tilewright-out
  tilewright run gate.tw -v                         the same with tiles, memory, rules, candidates and checks
  tilewright run gate.tw --watch                    again whenever the file is saved
  tilewright run gate.tw --set D=7168 --pin gate.GATE_N_TILE=16
  tilewright run gate.tw --on host --report r.html  the C++ itself, on this machine";

pub const OPTIMIZE: &str = "\
Examples:
  tilewright optimize gate.tw                       predicted times, at any size
  tilewright optimize gate.tw --verify              outputs are compared, too, at small sizes
  tilewright optimize gate.tw --machine 910B4 --numerics bitwise
  tilewright optimize gate.tw --json --times";

pub const SWIMLANE: &str = "\
Examples:
  tilewright swimlane gate.tw                       kernels over time, then the pipes of each
  tilewright swimlane gate.tw gate_mm --width 120   the pipes of one kernel";

pub const TUNE: &str = "\
Examples:
  tilewright tune gate.tw                           on the simulator; what it finds is used from then on
  tilewright tune gate.tw --write-pins best.pins    and as a file for --pins
  tilewright tune gate.tw --on npu --time 600       on the NPU of this machine, for ten minutes";

pub const DB: &str = "\
Examples:
  tilewright db list                                what was measured
  tilewright db export > trials.jsonl               all of it, for another machine
  tilewright db import trials.jsonl";

pub const SWEEP: &str = "\
Examples:
  tilewright sweep gate.tw --over gate.GATE_N_TILE=16,32,64
  tilewright sweep gate.tw --over gate.split_k=1,2,4 --over gate.pipeline=1,2 --csv";

pub const CHECK: &str = "\
Examples:
  tilewright check gate.tw                          both forms of a layer
  tilewright check tilewright-out/dsv4_flash_gate   kernels that were written, and perhaps edited
  tilewright check gate.tw --json";

pub const EMIT: &str = "\
Examples:
  tilewright emit gate.tw -o kernels                C++ files and kernels.json
  tilewright emit gate.tw -o kernels --build        each of them compiled first
  tilewright emit gate.tw -o kernels --as pypto     PyPTO source
  tilewright emit gate.tw --project npu             a project that CANN builds";

pub const SHOW: &str = "\
Examples:
  tilewright show gate.tw --set T=16                the graph at these sizes
  tilewright show gate.tw --after optimize          the plan that the search chose
  tilewright show gate.tw --as dot                  a picture, for Graphviz";

pub const NEW: &str = "\
Examples:
  tilewright new moe -o layer.tw                    DeepSeek-V4-Flash's layer on two ranks
  tilewright new moe --config config.json --ep 8    a layer of a model, on eight ranks";

pub const PASSES: &str = "\
Examples:
  tilewright passes
  tilewright passes --json";

pub const RULES: &str = "\
Examples:
  tilewright rules
  tilewright rules --rules mine.rules               with the rules of a file";

pub const MACHINES: &str = "\
Examples:
  tilewright machines
  tilewright machines A3                            every figure with its source";

pub const CALIBRATE: &str = "\
Examples:
  tilewright calibrate records.toml -o fitted.toml  figures with which predictions come nearest
  tilewright calibrate records.toml --check 910B1   how far a machine's predictions are off";

/// Examples in so many columns: what does not stand beside its command stands below.
pub fn fit(text: &str, columns: usize) -> String {
    let line = |line: &str| -> String {
        let indent = line.len() - line.trim_start().len();
        let both = line.trim().split_once("  ");
        match both {
            _ if line.chars().count() <= columns => format!("{line}\n"),
            Some((command, what)) if indent > 0 => {
                let what = wrap(what.trim(), columns.saturating_sub(BELOW));
                let below = what.iter().map(|w| format!("{:BELOW$}{w}\n", ""));
                format!("{:indent$}{command}\n{}", "", below.collect::<String>())
            }
            // A command stays whole: what a shell reads ends where its line does.
            _ if indent > 0 => format!("{line}\n"),
            _ => wrap(line, columns).join("\n") + "\n",
        }
    };
    text.lines().map(line).collect()
}

/// Where what an example does begins, below it.
const BELOW: usize = 6;

#[cfg(test)]
mod tests {
    use crate::cli::{Cli, command};
    use clap::Parser;

    /// The lines of an example's command, without what is said beside it and what a shell makes of it.
    fn commands(help: &str) -> Vec<Vec<String>> {
        let lines = help.lines().filter_map(|l| l.strip_prefix("  "));
        let lines = lines.filter(|l| l.starts_with("tilewright "));
        let words = lines.map(|line| {
            let command = line.split("  ").next().unwrap_or(line);
            let words = command
                .split(' ')
                .take_while(|w| ![">", "<", "|"].contains(w));
            words.map(String::from).collect()
        });
        words.collect()
    }

    #[test]
    fn every_subcommand_has_examples_that_parse() {
        let all = command();
        let shown = all.get_subcommands().filter(|c| !c.is_hide_set());
        let mut count = 0;
        for subcommand in shown {
            let name = subcommand.get_name();
            let help = subcommand
                .get_after_long_help()
                .or(subcommand.get_after_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let examples = commands(&help);
            assert!(!examples.is_empty(), "{name} has no example");
            for words in examples {
                let parsed = Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "{}: {:?}", words.join(" "), parsed.err());
                count += usize::from(words[1] == name);
            }
        }
        assert!(count > 30, "{count} examples");
    }
}
