//! A layer as data: what a generator makes, a shrinker takes from, and the text form prints.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A layer. Its outputs are the values that nothing reads, and `more`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Names of sizes.
    pub sizes: Vec<(String, usize)>,
    pub inputs: Vec<Input>,
    pub kernels: Vec<Kernel>,
    pub more: Vec<String>,
}

/// An input: its name, and what the text says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    pub declared: String,
    /// The input that counts its rows.
    pub counts: Option<String>,
}

/// A kernel: lines of its schedule, and of its operations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kernel {
    pub schedule: Vec<String>,
    pub lines: Vec<Line>,
}

/// `targets = call`, where `{}` stands for the operands one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub targets: Vec<String>,
    pub call: String,
    pub operands: Vec<String>,
}

impl Line {
    fn text(&self) -> String {
        let mut call = String::new();
        let mut operands = self.operands.iter();
        for (i, part) in self.call.split("{}").enumerate() {
            if i > 0 {
                call.extend(operands.next().map(String::as_str));
            }
            call.push_str(part);
        }
        format!("{} = {call}", self.targets.join(", "))
    }
}

impl Layer {
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.kernels.iter().flat_map(|k| &k.lines)
    }

    /// The values that the layer returns.
    fn outputs(&self) -> Vec<&String> {
        let read: BTreeSet<&String> = self.lines().flat_map(|l| &l.operands).collect();
        let made = self.lines().flat_map(|l| &l.targets);
        made.filter(|t| !read.contains(t) || self.more.contains(t))
            .collect()
    }

    /// The text form.
    pub fn text(&self) -> String {
        let mut body = String::new();
        let read: BTreeSet<&String> = self.lines().flat_map(|l| &l.operands).collect();
        let used: Vec<&Input> = self
            .inputs
            .iter()
            .filter(|i| read.contains(&i.name))
            .collect();
        let counted: BTreeSet<&String> = used.iter().filter_map(|i| i.counts.as_ref()).collect();
        for input in &self.inputs {
            if read.contains(&input.name) || counted.contains(&input.name) {
                let _ = writeln!(body, "  input {}: {}", input.name, input.declared);
            }
        }
        for (i, kernel) in self.kernels.iter().enumerate() {
            if kernel.lines.is_empty() {
                continue;
            }
            let _ = writeln!(body, "  kernel k{i} {{");
            for line in &kernel.schedule {
                let _ = writeln!(body, "    {line}");
            }
            for line in &kernel.lines {
                let _ = writeln!(body, "    {}", line.text());
            }
            let _ = writeln!(body, "  }}");
        }
        let outputs: Vec<&str> = self.outputs().iter().map(|o| o.as_str()).collect();
        let _ = writeln!(body, "  output {}", outputs.join(", "));
        let mut text = "graph random {\n".to_string();
        for (name, size) in &self.sizes {
            if mentions(&body, name) {
                let _ = writeln!(text, "  param {name} = {size}");
            }
        }
        text + &body + "}\n"
    }

    /// Without a line, and without what reads it.
    pub fn without(&self, kernel: usize, line: usize) -> Layer {
        let mut out = self.clone();
        let mut gone: BTreeSet<String> = out.kernels[kernel]
            .lines
            .remove(line)
            .targets
            .into_iter()
            .collect();
        for kernel in &mut out.kernels {
            kernel.lines.retain(|l| {
                let stays = l.operands.iter().all(|o| !gone.contains(o));
                if !stays {
                    gone.extend(l.targets.iter().cloned());
                }
                stays
            });
        }
        out.more.retain(|m| !gone.contains(m));
        out
    }

    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }
}

/// Whether a text has a name as a word.
fn mentions(text: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c)).any(|w| w == name)
}
