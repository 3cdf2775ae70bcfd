//! How what is kept differs from what is made now: of the schedule, kernel by kernel, and then of the texts.

use super::{Kept, KernelSchedule, Schedule, Snapshot};
use crate::folder::SCHEDULE;
use crate::report::groups;
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use similar::TextDiff;
use std::fmt;

/// Lines around a change that are shown.
const CONTEXT: usize = 3;

/// What a snapshot's comparison came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// Nothing is kept yet.
    New,
    /// It is as it is kept.
    Same,
    /// It differs from what is kept.
    Changed,
}

/// How a snapshot differs from what is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Review {
    /// What became of it.
    pub fate: Fate,
    /// Why the schedule that is kept cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// How the schedules differ.
    pub schedule: Vec<Difference>,
    /// Files whose texts differ, by name. That of the schedule is among them only if no difference tells of it.
    pub texts: Vec<TextChange>,
}

/// A difference of two schedules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(missing_docs)] // Fields are named in what each variant says.
pub enum Difference {
    /// What the layer is made for, or at which sizes.
    Setting { part: Part },
    /// Other kernels do the work of some kernels as written.
    Regrouped {
        /// The kernels as written whose work they do.
        covers: Vec<String>,
        /// The kernels that did it, and how they are scheduled.
        old: IndexMap<String, String>,
        /// Kernels that are there now, with their schedules.
        new: IndexMap<String, String>,
    },
    /// A kernel that there was not.
    Added { kernel: String, schedule: String },
    /// A kernel that there is no longer.
    Removed { kernel: String, schedule: String },
    /// A kernel is scheduled in another way.
    Changed {
        /// The kernel's name.
        kernel: String,
        /// Its name before, if that is another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        was: Option<String>,
        /// What of it differs.
        parts: Vec<Part>,
    },
    /// Kernels are launched in another order.
    Order { old: Vec<String>, new: Vec<String> },
}

/// One thing that differs; absent where it was, or is, not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What is compared, as a schedule names it.
    pub name: String,
    /// What is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// What there is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// A file whose text differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextChange {
    /// The file's name.
    pub file: String,
    /// Absent of a file that is not kept.
    #[serde(skip)]
    pub old: Option<String>,
    /// Absent of a file that nothing makes any more.
    #[serde(skip)]
    pub new: Option<String>,
    /// Lines that are new.
    pub added_lines: usize,
    /// Lines that are gone.
    pub removed_lines: usize,
}

/// Compares what is kept with what is made now.
pub fn compare(kept: &Kept, now: &Snapshot) -> Review {
    let new = now.texts();
    let names: IndexSet<&String> = kept.files.keys().chain(new.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (old, new) = (kept.files.get(name), new.get(name));
        (old != new).then(|| TextChange::new(name, old.cloned(), new.cloned()))
    });
    let mut texts: Vec<TextChange> = changed.collect();
    texts.sort_by(|a, b| a.file.cmp(&b.file));
    let fate = match (kept.files.is_empty(), texts.is_empty()) {
        (true, _) => Fate::New,
        (false, true) => Fate::Same,
        (false, false) => Fate::Changed,
    };
    let old = kept.files.get(SCHEDULE).map(|text| Schedule::parse(text));
    let (schedule, unreadable) = match old {
        Some(Ok(old)) => (differences(&old, &now.schedule), None),
        Some(Err(why)) => (vec![], Some(why)),
        None => (vec![], None),
    };
    if !schedule.is_empty() {
        texts.retain(|t| t.file != SCHEDULE);
    }
    Review {
        fate,
        unreadable,
        schedule,
        texts,
    }
}

/// What differs in two schedules: settings, then kernels in the order of the old ones, then their order.
pub fn differences(old: &Schedule, new: &Schedule) -> Vec<Difference> {
    let settings = parts(&old.settings(), &new.settings());
    let mut all: Vec<Difference> = settings
        .into_iter()
        .map(|part| Difference::Setting { part })
        .collect();
    let kernels = old.kernels.iter().chain(&new.kernels);
    for group in groups(kernels.map(|k| &k.covers)) {
        let of = |schedule: &Schedule| -> IndexMap<String, KernelSchedule> {
            let own = schedule.kernels.iter();
            let own = own.filter(|k| k.covers.iter().any(|c| group.contains(c)));
            own.map(|k| (k.name.clone(), k.clone())).collect()
        };
        of_group(&group, of(old), of(new), &mut all);
    }
    let common = |of: &Schedule, in_other: &Schedule| -> Vec<String> {
        let is_there = |k: &&KernelSchedule| in_other.kernels.iter().any(|o| o.name == k.name);
        let kernels = of.kernels.iter().filter(is_there);
        kernels.map(|k| k.name.clone()).collect()
    };
    let (before, after) = (common(old, new), common(new, old));
    if before != after {
        all.push(Difference::Order {
            old: before,
            new: after,
        });
    }
    all
}

/// What differs in the kernels that do the work of the same kernels as written.
fn of_group(
    covers: &[String],
    mut old: IndexMap<String, KernelSchedule>,
    mut new: IndexMap<String, KernelSchedule>,
    all: &mut Vec<Difference>,
) {
    let changed = |kernel: &KernelSchedule, was: &KernelSchedule| {
        let parts = parts(&was.parameters(), &kernel.parameters());
        let was = (was.name != kernel.name).then(|| was.name.clone());
        let differs = was.is_some() || !parts.is_empty();
        let kernel = kernel.name.clone();
        differs.then_some(Difference::Changed { kernel, was, parts })
    };
    let same: Vec<String> = old
        .keys()
        .filter(|n| new.contains_key(*n))
        .cloned()
        .collect();
    for name in same {
        let both = old.shift_remove(&name).zip(new.shift_remove(&name));
        all.extend(both.and_then(|(was, kernel)| changed(&kernel, &was)));
    }
    let schedules = |kernels: &IndexMap<String, KernelSchedule>| -> IndexMap<String, String> {
        let kernels = kernels.iter();
        kernels.map(|(n, k)| (n.clone(), k.summary())).collect()
    };
    match (old.len(), new.len()) {
        (0, 0) => {}
        (1, 1) => all.extend(changed(&new[0], &old[0])),
        (0, _) => all.extend(
            schedules(&new)
                .into_iter()
                .map(|(kernel, schedule)| Difference::Added { kernel, schedule }),
        ),
        (_, 0) => all.extend(
            schedules(&old)
                .into_iter()
                .map(|(kernel, schedule)| Difference::Removed { kernel, schedule }),
        ),
        _ => all.push(Difference::Regrouped {
            covers: covers.to_vec(),
            old: schedules(&old),
            new: schedules(&new),
        }),
    }
}

/// Names whose values differ, the old ones first.
fn parts(old: &IndexMap<String, String>, new: &IndexMap<String, String>) -> Vec<Part> {
    let names: IndexSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = names.into_iter().filter(|n| old.get(*n) != new.get(*n));
    let part = |name: &String| Part {
        name: name.clone(),
        old: old.get(name).cloned(),
        new: new.get(name).cloned(),
    };
    differ.map(part).collect()
}

impl Schedule {
    /// What is not of one kernel.
    fn settings(&self) -> IndexMap<String, String> {
        let mut all: IndexMap<String, String> = [
            ("layer", self.layer.clone()),
            ("form", self.form.clone()),
            ("machine", self.machine.clone()),
            ("runtime", self.runtime.clone()),
            ("numerics", self.numerics.to_string()),
            ("language", self.language.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let params = self.params.iter();
        all.extend(params.map(|(n, v)| (format!("param {n}"), v.to_string())));
        if let Some(us) = self.predicted_us {
            all.insert("predicted".into(), format!("{us} us"));
        }
        all
    }
}

impl TextChange {
    fn new(file: &str, old: Option<String>, new: Option<String>) -> Self {
        let mut change = TextChange {
            file: file.into(),
            old,
            new,
            added_lines: 0,
            removed_lines: 0,
        };
        let (mut added, mut removed) = (0, 0);
        for line in change.lines().iter_all_changes() {
            match line.tag() {
                similar::ChangeTag::Insert => added += 1,
                similar::ChangeTag::Delete => removed += 1,
                similar::ChangeTag::Equal => {}
            }
        }
        change.added_lines = added;
        change.removed_lines = removed;
        change
    }

    fn lines(&self) -> TextDiff<'_, '_, '_, str> {
        TextDiff::from_lines(
            self.old.as_deref().unwrap_or_default(),
            self.new.as_deref().unwrap_or_default(),
        )
    }

    /// A unified diff, with the folder in the names of the files.
    pub fn unified(&self, folder: &str) -> String {
        let name = |side: &Option<String>| match side {
            Some(_) => format!("{folder}/{}", self.file),
            None => "/dev/null".into(),
        };
        let (old, new) = (name(&self.old), name(&self.new));
        self.lines()
            .unified_diff()
            .context_radius(CONTEXT)
            .header(&old, &new)
            .to_string()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |s: &Option<String>| s.clone().unwrap_or_else(|| "none".into());
        write!(
            f,
            "{}: {} -> {}",
            self.name,
            side(&self.old),
            side(&self.new)
        )
    }
}

/// A line for what differs, and indented ones for its parts.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |kernels: &IndexMap<String, String>| {
            let names: Vec<&str> = kernels.keys().map(String::as_str).collect();
            names.join(" + ")
        };
        match self {
            Difference::Setting { part } => write!(f, "{part}"),
            Difference::Regrouped { old, new, .. } => {
                let what = match new.len().cmp(&old.len()) {
                    std::cmp::Ordering::Less => "fused",
                    std::cmp::Ordering::Greater => "unfused",
                    std::cmp::Ordering::Equal => "divided otherwise",
                };
                write!(f, "{what}: {} -> {}", names(old), names(new))?;
                for (sign, kernels) in [('-', old), ('+', new)] {
                    for (name, schedule) in kernels {
                        write!(f, "\n  {sign} {name}: {schedule}")?;
                    }
                }
                Ok(())
            }
            Difference::Added { kernel, schedule } => {
                write!(f, "added: {kernel}\n  + {kernel}: {schedule}")
            }
            Difference::Removed { kernel, schedule } => {
                write!(f, "removed: {kernel}\n  - {kernel}: {schedule}")
            }
            Difference::Changed { kernel, was, parts } => {
                match was {
                    Some(was) => write!(f, "{was} -> {kernel}")?,
                    None => write!(f, "{kernel}")?,
                }
                for part in parts {
                    write!(f, "\n  {part}")?;
                }
                Ok(())
            }
            Difference::Order { old, new } => {
                write!(f, "order: {} -> {}", old.join(", "), new.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A schedule of kernels: name, what they cover, and a tile.
    fn schedule(kernels: &[(&str, &[&str], usize)]) -> Schedule {
        let kernel = |(name, covers, tile): &(&str, &[&str], usize)| {
            serde_json::json!({
                "name": name, "covers": covers, "unit": "vector", "launch": "spmd", "blocks": 8, "grid": {"rows": 8},
                "tiles": {"T_TILE": tile}, "pipeline": [{"loop": "t", "depth": 2, "trips": 4}],
                "memory": {"ub": 1024, "l1": 0, "l0a": 0, "l0b": 0, "l0c": 0}, "reads": [], "writes": [], "after": [],
            })
        };
        let text = serde_json::json!({
            "format": 1, "layer": "l", "form": "optimized", "machine": "A3", "runtime": "pypto", "numerics": "bitwise",
            "language": "cpp", "params": {"D": 64}, "kernels": kernels.iter().map(kernel).collect::<Vec<_>>(), "files": [],
        });
        Schedule::parse(&text.to_string()).expect("it is a schedule")
    }

    fn told(old: &Schedule, new: &Schedule) -> Vec<String> {
        let all = differences(old, new);
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_changed_is_told_by_kernel() {
        let old = schedule(&[("a", &["a"], 1), ("b", &["b"], 1), ("c", &["c"], 1)]);
        assert_eq!(told(&old, &old), [""; 0]);
        let new = schedule(&[("a", &["a"], 2), ("b", &["b"], 1), ("c", &["c"], 1)]);
        assert_eq!(told(&old, &new), ["a\n  T_TILE: 1 -> 2"]);
        let new = schedule(&[("a_b", &["a", "b"], 4), ("c", &["c"], 1)]);
        let summary = |tile| format!("spmd x8, T_TILE {tile}, 2 trips of t in flight");
        let fused = format!(
            "fused: a + b -> a_b\n  - a: {0}\n  - b: {0}\n  + a_b: {1}",
            summary(1),
            summary(4)
        );
        assert_eq!(told(&old, &new), [fused]);
        let unfused = format!(
            "unfused: a_b -> a + b\n  - a_b: {1}\n  + a: {0}\n  + b: {0}",
            summary(1),
            summary(4)
        );
        assert_eq!(told(&new, &old), [unfused]);
        let new = schedule(&[("b", &["b"], 1), ("a", &["a"], 1)]);
        let removed = format!("removed: c\n  - c: {}", summary(1));
        assert_eq!(told(&old, &new), [removed, "order: a, b -> b, a".into()]);
        let mut new = schedule(&[("z", &["a"], 1), ("b", &["b"], 1), ("c", &["c"], 1)]);
        new.machine = "910B4".into();
        new.params.insert("D".into(), 128);
        assert_eq!(
            told(&old, &new),
            ["machine: A3 -> 910B4", "param D: 64 -> 128", "a -> z"]
        );
    }

    #[test]
    fn loops_launches_and_cores_have_their_parts() {
        let old = schedule(&[("a", &["a"], 1)]);
        let mut new = old.clone();
        let kernel = &mut new.kernels[0];
        kernel.blocks = 16;
        kernel.grid.insert("cols".into(), 2);
        kernel.pipeline[0].depth = 1;
        kernel.tiles.insert("SPLIT_K".into(), 2);
        kernel.after.push("b".into());
        kernel.predicted_us = Some(3.5);
        assert_eq!(
            told(&old, &new),
            [
                "a\n  launch: spmd x8 -> spmd x16 (rows 8 x cols 2)\n  loop t: 4 trips, 2 trips in flight -> 4 trips, one trip at a time\n  \
              SPLIT_K: none -> 2\n  waits for: none -> b\n  predicted: none -> 3.5 us"
            ]
        );
    }
}
