//! Machines from TOML: the built-in files, files that override another machine, and what is refused.
//!
//! The built-in description of the generation is the schema: a file may only have its keys, each with a value of the same
//! kind. So a file is checked before it is merged, while the place of every value is still known.

use super::Machine;
use miette::SourceSpan;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// What all files are complete against, and the root of every `base`.
const GENERATION: &str = include_str!("../../machines/a2a3.toml");

/// Figures of the generation that were fitted to measured times, over those of its sources.
const CALIBRATED: &str = include_str!("../../machines/calibrated.toml");

/// Built-in machines: name, and text.
const BUILTIN: [(&str, &str); 5] = [
    ("A3", include_str!("../../machines/a3.toml")),
    ("910B1", include_str!("../../machines/910b1.toml")),
    ("910B2", include_str!("../../machines/910b2.toml")),
    ("910B3", include_str!("../../machines/910b3.toml")),
    ("910B4", include_str!("../../machines/910b4.toml")),
];

/// Why a machine description is not one. Places are byte ranges of the text that was read.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum MachineError {
    #[error("there is no machine `{name}`")]
    #[diagnostic(
        code(tilewright::machine::unknown),
        help("the nearest is `{nearest}`; the machines are {known}")
    )]
    Unknown {
        name: String,
        known: String,
        nearest: String,
        #[label("here")]
        at: Option<SourceSpan>,
    },
    #[error("the machine description is no TOML: {message}")]
    #[diagnostic(
        code(tilewright::machine::syntax),
        help("a machine is described as in ir/machines/a2a3.toml")
    )]
    Syntax {
        message: String,
        #[label("here")]
        at: Option<SourceSpan>,
    },
    #[error("`{path}` is no figure of a machine")]
    #[diagnostic(code(tilewright::machine::key), help("the nearest key is `{nearest}`"))]
    UnknownKey {
        path: String,
        nearest: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` has to be {expected}, but is {found}")]
    #[diagnostic(code(tilewright::machine::kind), help("write {expected} for `{path}`"))]
    Kind {
        path: String,
        expected: &'static str,
        found: &'static str,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` is missing")]
    #[diagnostic(
        code(tilewright::machine::missing),
        help("add `{path}`, or name a `base` machine and override what differs")
    )]
    Missing {
        path: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` overrides a figure without saying where the new one comes from")]
    #[diagnostic(
        code(tilewright::machine::source),
        help("add `source = \"...\"` to `{path}`: a measurement, a data sheet, or \"assumed\"")
    )]
    NoSource {
        path: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` is in `{found}`, but has to be in `{expected}`")]
    #[diagnostic(
        code(tilewright::machine::unit),
        help("convert the value of `{path}` to `{expected}`, or leave the unit out")
    )]
    Unit {
        path: String,
        found: String,
        expected: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` is {value}, but has to be {need}")]
    #[diagnostic(code(tilewright::machine::range), help("write a value that is {need}"))]
    Range {
        path: String,
        value: String,
        need: &'static str,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("the columns of `{path}` do not ascend")]
    #[diagnostic(
        code(tilewright::machine::order),
        help("sort the entries by their first number, and name no number twice")
    )]
    Order {
        path: String,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("`{path}` is {value}, but `{of}`, which it is made of, is {part}")]
    #[diagnostic(
        code(tilewright::machine::multiple),
        help("make `{path}` a multiple of {part}, or change `{of}`")
    )]
    Multiple {
        path: String,
        value: usize,
        of: &'static str,
        part: usize,
    },
    #[error("there are no figures of the runtime `{name}`")]
    #[diagnostic(
        code(tilewright::machine::runtime),
        help("the runtimes of this machine are {known}")
    )]
    Runtime { name: String, known: String },
    #[error("the built-in machine description is broken: {message}")]
    #[diagnostic(
        code(tilewright::machine::builtin),
        help("this is a fault of this program, please report it")
    )]
    Builtin { message: String },
}

impl Machine {
    /// The names of the built-in machines, the default first.
    pub fn names() -> Vec<&'static str> {
        BUILTIN.iter().map(|(name, _)| *name).collect()
    }

    /// A built-in machine by its name, in upper or lower case.
    ///
    /// ```
    /// use tilewright_ir::machine::Machine;
    ///
    /// let machine = Machine::builtin("910b4").unwrap();
    /// assert_eq!(machine.cube_cores.value, 20.0);
    /// ```
    ///
    /// # Errors
    /// [`MachineError::Unknown`], which names the nearest machine.
    pub fn builtin(name: &str) -> Result<Machine, MachineError> {
        Machine::from_toml(text_of(name, None)?)
    }

    /// What all machines of the generation share: what PTO-ISA's headers for it are written for.
    ///
    /// # Errors
    /// [`MachineError::Builtin`] if this program is broken.
    pub fn generation() -> Result<Machine, MachineError> {
        from_table(generation()?)
    }

    /// A built-in machine, or the generation (`a2a3`), with the figures that its sources say, before any were fitted to times.
    ///
    /// # Errors
    /// [`MachineError::Unknown`].
    pub fn as_sourced(name: &str) -> Result<Machine, MachineError> {
        let mut table = sourced()?;
        if !name.eq_ignore_ascii_case(ROOT) {
            merge(&mut table, parsed(text_of(name, None)?)?);
        }
        table.remove("base");
        from_table(table)
    }

    /// A machine from the text of a file. With `base = "910B1"` the file only has what differs; without it, it has everything.
    ///
    /// # Errors
    /// Every [`MachineError`] but [`MachineError::Builtin`], with the place in `text` where there is one.
    pub fn from_toml(text: &str) -> Result<Machine, MachineError> {
        let schema = generation()?;
        let file = DeTable::parse(text).map_err(|e| MachineError::Syntax {
            message: e.message().to_owned(),
            at: e.span().map(SourceSpan::from),
        })?;
        let base = match file.get_ref().get("base") {
            None => None,
            Some(v) => {
                let name = v.get_ref().as_str().ok_or_else(|| MachineError::Kind {
                    path: "base".to_owned(),
                    expected: STRING,
                    found: kind_of(v.get_ref()),
                    at: v.span().into(),
                })?;
                Some(base_table(name, v.span().into())?)
            }
        };
        Checker {
            complete: base.is_none(),
        }
        .table(file.get_ref(), file.span().into(), &schema, "")?;

        let mut merged = base.unwrap_or_default();
        let own: Table = toml::from_str(text).map_err(|e| MachineError::Syntax {
            message: e.message().to_owned(),
            at: e.span().map(SourceSpan::from),
        })?;
        merge(&mut merged, own);
        merged.remove("base");
        let machine = from_table(merged)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || " ._+-()/".contains(c);
        let words = !machine.name.trim().is_empty() && machine.name.len() <= 64;
        if !words || !machine.name.chars().all(plain) {
            // It stands in comments of kernels, in files and in tables.
            let at = file.get_ref().get("name").map_or(file.span(), |v| v.span());
            return Err(MachineError::Range {
                path: "name".to_owned(),
                value: format!("{:?}", machine.name),
                need: "one line of 1 to 64 letters, digits, spaces and `._+-()/`",
                at: at.into(),
            });
        }
        let runtime = machine.runtime_name().to_owned();
        let machine = machine.started_by(&runtime)?;
        machine.of_whole_blocks()?;
        Ok(machine)
    }

    /// Repeats and addresses are whole blocks.
    fn of_whole_blocks(&self) -> Result<(), MachineError> {
        let part = self.geometry.block.count();
        let repeat = ("geometry.repeat".to_owned(), &self.geometry.repeat);
        let spaces = self.alignment.iter();
        let addresses = spaces.map(|(s, f)| (format!("alignment.{}", s.name()), f));
        for (path, figure) in std::iter::once(repeat).chain(addresses) {
            let value = figure.count();
            if !value.is_multiple_of(part) {
                return Err(MachineError::Multiple {
                    path,
                    value,
                    of: "geometry.block",
                    part,
                });
            }
        }
        Ok(())
    }
}

/// The name of the generation.
const ROOT: &str = "a2a3";

fn generation() -> Result<Table, MachineError> {
    let mut table = sourced()?;
    merge(&mut table, parsed(CALIBRATED)?);
    table.remove("base");
    Ok(table)
}

fn sourced() -> Result<Table, MachineError> {
    parsed(GENERATION)
}

/// The text of a built-in file.
fn parsed(text: &str) -> Result<Table, MachineError> {
    toml::from_str(text).map_err(|e| MachineError::Builtin {
        message: e.message().to_owned(),
    })
}

fn from_table(table: Table) -> Result<Machine, MachineError> {
    Value::Table(table)
        .try_into()
        .map_err(|e: toml::de::Error| MachineError::Builtin {
            message: e.message().to_owned(),
        })
}

fn text_of(name: &str, at: Option<SourceSpan>) -> Result<&'static str, MachineError> {
    BUILTIN
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, text)| *text)
        .ok_or_else(|| {
            let names = Machine::names();
            MachineError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, names.iter().copied()),
                known: names.join(", "),
                at,
            }
        })
}

/// The merged description of a built-in machine or of the generation.
fn base_table(name: &str, at: SourceSpan) -> Result<Table, MachineError> {
    let mut merged = generation()?;
    if !name.eq_ignore_ascii_case(ROOT) {
        merge(&mut merged, parsed(text_of(name, Some(at))?)?);
    }
    Ok(merged)
}

/// `over` replaces what `base` has, table by table.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

const STRING: &str = "a string";
const NUMBER: &str = "a number";
const TABLE: &str = "a table";
const ARRAY: &str = "an array of numbers or of triples of numbers";

fn kind_of(v: &DeValue<'_>) -> &'static str {
    match v {
        DeValue::String(_) => STRING,
        DeValue::Integer(_) | DeValue::Float(_) => NUMBER,
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => TABLE,
    }
}

/// Compares a file with the schema, and its numbers with what a machine can have.
struct Checker {
    /// Whether the file has to have all keys.
    complete: bool,
}

impl Checker {
    fn table(
        &self,
        file: &DeTable<'_>,
        at: SourceSpan,
        schema: &Table,
        path: &str,
    ) -> Result<(), MachineError> {
        for (key, value) in file {
            let name: &str = key.get_ref();
            if path.is_empty() && name == "base" {
                continue;
            }
            let inner = join(path, name);
            let Some(expected) = schema.get(name) else {
                return Err(MachineError::UnknownKey {
                    path: inner,
                    nearest: nearest(name, schema.keys().map(String::as_str)),
                    at: key.span().into(),
                });
            };
            self.value(value, expected, &inner)?;
        }
        // A new value needs a new source, and keeps the unit.
        let numbers = ["value", "head", "slope", "tail", "points"];
        if schema.contains_key("source")
            && numbers.iter().any(|n| file.contains_key(*n))
            && !file.contains_key("source")
        {
            return Err(MachineError::NoSource {
                path: path.to_owned(),
                at,
            });
        }
        if let (Some(unit), Some(Value::String(expected))) = (file.get("unit"), schema.get("unit"))
            && unit.get_ref().as_str() != Some(expected)
        {
            return Err(MachineError::Unit {
                path: path.to_owned(),
                found: unit.get_ref().as_str().unwrap_or_default().to_owned(),
                expected: expected.clone(),
                at: unit.span().into(),
            });
        }
        if self.complete
            && let Some(key) = schema.keys().find(|k| !file.contains_key(k.as_str()))
        {
            return Err(MachineError::Missing {
                path: join(path, key),
                at,
            });
        }
        Ok(())
    }

    fn value(
        &self,
        value: &Spanned<DeValue<'_>>,
        expected: &Value,
        path: &str,
    ) -> Result<(), MachineError> {
        let kind = |expected| MachineError::Kind {
            path: path.to_owned(),
            expected,
            found: kind_of(value.get_ref()),
            at: value.span().into(),
        };
        match (expected, value.get_ref()) {
            (Value::Table(schema), DeValue::Table(file)) => {
                self.table(file, value.span().into(), schema, path)
            }
            (Value::Table(_), _) => Err(kind(TABLE)),
            (Value::String(_), DeValue::String(_)) => Ok(()),
            (Value::String(_), _) => Err(kind(STRING)),
            (Value::Array(_), DeValue::Array(entries)) => {
                triples(entries, value.span().into(), path)
            }
            (Value::Array(_), _) => Err(kind(ARRAY)),
            _ => number(value, path).map(|_| ()),
        }
    }
}

/// Entries of three numbers, sorted by the first one where they are points of a curve.
fn triples(
    entries: &toml::de::DeArray<'_>,
    at: SourceSpan,
    path: &str,
) -> Result<(), MachineError> {
    let mut last = 0.0;
    let is_curve = path.ends_with("points");
    if is_curve && entries.is_empty() {
        return Err(MachineError::Missing {
            path: format!("{path}[0]"),
            at,
        });
    }
    for (i, entry) in entries.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let numbers = match entry.get_ref() {
            DeValue::Array(a) if a.len() == 3 => a,
            other => {
                return Err(MachineError::Kind {
                    path,
                    expected: "a triple of numbers",
                    found: kind_of(other),
                    at: entry.span().into(),
                });
            }
        };
        let mut first = 0.0;
        for (k, v) in numbers.iter().enumerate() {
            let x = number(v, &format!("{path}[{k}]"))?;
            if k == 0 {
                first = x;
            }
        }
        if is_curve && first <= last {
            return Err(MachineError::Order {
                path,
                at: entry.span().into(),
            });
        }
        last = first;
    }
    Ok(())
}

/// A number that the figure at `path` can have.
fn number(value: &Spanned<DeValue<'_>>, path: &str) -> Result<f64, MachineError> {
    let found = match value.get_ref() {
        // A number of TOML reads as one of Rust, but for the prefix of its radix.
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
            .map(|x| x as f64)
            .unwrap_or(f64::NAN),
        DeValue::Float(f) => f.as_str().parse().unwrap_or(f64::NAN),
        other => {
            return Err(MachineError::Kind {
                path: path.to_owned(),
                expected: NUMBER,
                found: kind_of(other),
                at: value.span().into(),
            });
        }
    };
    let (need, fits) = need_of(path);
    if found.is_finite() && fits(found) {
        return Ok(found);
    }
    Err(MachineError::Range {
        path: path.to_owned(),
        value: found.to_string(),
        need,
        at: value.span().into(),
    })
}

type Fits = fn(f64) -> bool;

/// What a figure has to be, by its path. The limits are far from every machine: they refuse slips, not machines.
fn need_of(path: &str) -> (&'static str, Fits) {
    if path.starts_with("capacity.") {
        return ("a whole number of bytes from 1024 to 1 GiB", |x| {
            x.fract() == 0.0 && (1024.0..=1073741824.0).contains(&x)
        });
    }
    if path.starts_with("alignment.") {
        return ("a power of two up to 4096 bytes", |x| {
            x.fract() == 0.0 && (1.0..=4096.0).contains(&x) && (x as u64).is_power_of_two()
        });
    }
    if path.starts_with("geometry.") {
        return ("a whole number from 1 to 4096", |x| {
            x.fract() == 0.0 && (1.0..=4096.0).contains(&x)
        });
    }
    if path.starts_with("limits.") {
        return ("a whole number from 1 to 1000000", |x| {
            x.fract() == 0.0 && (1.0..=1e6).contains(&x)
        });
    }
    if path.ends_with("_cores.value") {
        return ("a whole number from 1 to 4096", |x| {
            x.fract() == 0.0 && (1.0..=4096.0).contains(&x)
        });
    }
    // What is divided by.
    let divisor = path.ends_with(".peak.value")
        || path.ends_with(".full_burst.value")
        || [
            "clock_mhz",
            "gm_bandwidth",
            "link_bandwidth",
            "l1_to_l0a",
            "l1_to_l0b",
        ]
        .iter()
        .any(|p| path.strip_suffix(".value") == Some(p));
    if divisor {
        ("greater than 0, and at most 1000000", |x| {
            x > 0.0 && x <= 1e6
        })
    } else {
        ("from 0 to 1000000", |x| (0.0..=1e6).contains(&x))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The candidate with the fewest edits from `name`, the first of several.
fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    candidates
        .min_by_key(|c| edits(&name.to_lowercase(), &c.to_lowercase()))
        .unwrap_or_default()
        .to_owned()
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
