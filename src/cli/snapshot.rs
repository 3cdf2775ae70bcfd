//! `tilewright snapshot`: the kernels of layers, kept beside them, and what of them has changed.

use super::options::{check_names, remark};
use super::search::SearchArgs;
use super::sizes::SizeArgs;
use super::{Ended, print, print_report};
use console::style;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use tilewright::compile::Options;
use tilewright::config::{self, Config, With};
use tilewright::error::{Error, Result};
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::place::is_stream;
use tilewright::snapshot::{
    self, Contents, Fate, Kept, Review, Snapshot, SnapshotError, TextChange,
};
use tilewright_backends::emitter;
use tilewright_ir::graph::Graph;

const EXAMPLES: &str = "\
Examples:
  tilewright snapshot layers/gate.tw            keeps its kernels in layers/snapshots/gate
  tilewright snapshot --check                   all layers of tilewright.toml; exit code 1 if one differs (for CI)
  tilewright snapshot --review                  shows what differs, and asks
  tilewright snapshot --accept layers/gate.tw   keeps what is made now
docs/snapshots.md tells more.";

/// Keeps the kernels of layers beside them, and tells what of them has changed: of the schedule first, then of the text
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Layers; without one, all that tilewright.toml lists
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    mode: ModeArgs,
    /// What is kept besides the kernels and their schedule: the plan's terms, and predicted times to three digits
    #[arg(
        long,
        value_name = "PART",
        value_enum,
        value_delimiter = ',',
        help_heading = "Contents"
    )]
    with: Vec<With>,
    /// The language of the kernels: `cpp`, PTO-ISA C++; `pypto`, PyPTO source in Python [default: cpp]
    #[arg(long = "as", value_name = "EMITTER", help_heading = "Contents")]
    language: Option<String>,
    /// The form as written instead of the optimized one
    #[arg(long, help_heading = "Contents")]
    written: bool,
    /// What the snapshot is called, of one layer [default: the name of its file]
    #[arg(long, value_name = "NAME", help_heading = "Contents")]
    name: Option<String>,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    sizes: SizeArgs,
    /// Prints one JSON object
    #[arg(long, conflicts_with = "review")]
    json: bool,
}

/// What is done with what differs; without one, it is told, and what is not kept yet is.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(multiple = false)]
struct ModeArgs {
    /// Writes nothing; what differs, or is not kept yet, is exit code 1
    #[arg(long)]
    check: bool,
    /// Asks for each snapshot that differs whether it is to be replaced
    #[arg(long)]
    review: bool,
    /// Replaces all snapshots that differ
    #[arg(long)]
    accept: bool,
}

/// A layer whose snapshot is meant.
struct Job {
    file: PathBuf,
    folder: PathBuf,
    layer: Layer,
    graph: Graph,
    options: Options,
    contents: Contents,
}

/// A layer's snapshot beside what is kept.
struct Compared<'a> {
    job: &'a Job,
    kept: Kept,
    now: Snapshot,
    review: Review,
}

#[derive(Serialize)]
struct Told<'a> {
    ok: bool,
    snapshots: &'a [Outcome],
}

#[derive(Serialize)]
struct Outcome {
    file: PathBuf,
    folder: PathBuf,
    /// Whether the snapshot is now what is made.
    kept: bool,
    #[serde(flatten)]
    review: Review,
}

pub fn main(args: &Args) -> Result<Ended> {
    let jobs = args.jobs()?;
    let outcomes = match args.mode.review {
        true => reviewed(&jobs)?,
        false => jobs
            .iter()
            .map(|job| args.told(job))
            .collect::<Result<_>>()?,
    };
    let open = outcomes.iter().filter(|o| !o.kept).count();
    if args.json {
        let ok = open == 0;
        let snapshots = &outcomes;
        print_report(&Told { ok, snapshots })?;
    } else if open > 0 {
        let all = outcomes.len();
        let what = match all {
            1 => "the snapshot differs".to_owned(),
            _ if open == 1 => format!("1 of {all} snapshots differs"),
            _ => format!("{open} of {all} snapshots differ"),
        };
        print(&format!(
            "{what}: --review asks for each whether it is right, --accept takes what is made now\n"
        ))?;
    }
    Ok(match open {
        0 => Ended::Well,
        _ => Ended::CheckFailed,
    })
}

impl Args {
    /// What the command line and the configuration ask for.
    fn jobs(&self) -> Result<Vec<Job>> {
        let mut jobs = vec![];
        if self.files.is_empty() {
            let config = Config::above(Path::new(""))?;
            let listed = config.as_ref().map_or(&[][..], |c| &c.content.layer);
            for layer in listed {
                jobs.push(self.job(None, config.as_ref(), Some(layer))?);
            }
        }
        for file in &self.files {
            // A snapshot stands beside the file that it is of.
            if is_stream(file) {
                let what = "a later `snapshot --check`";
                return Err(Error::OneStdin { what }.into());
            }
            let config = Config::of_file(file)?;
            let listed = config
                .iter()
                .flat_map(|c| c.content.layer.iter().map(move |l| (c, l)));
            let own: Vec<_> = listed
                .filter(|(c, l)| is_same(&c.resolve(l.file.get_ref()), file))
                .collect();
            match own.is_empty() {
                true => jobs.push(self.job(Some(file), config.as_ref(), None)?),
                false => {
                    for (config, layer) in own {
                        jobs.push(self.job(Some(file), Some(config), Some(layer))?);
                    }
                }
            }
        }
        if jobs.is_empty() {
            return Err(SnapshotError::NoLayers.into());
        }
        for (i, job) in jobs.iter().enumerate() {
            let is_same = |j: &&Job| whole(&j.folder) == whole(&job.folder);
            if let Some(first) = jobs[..i].iter().find(is_same) {
                return Err(SnapshotError::SamePlace {
                    folder: job.folder.clone(),
                    first: first.file.clone(),
                    second: job.file.clone(),
                }
                .into());
            }
        }
        Ok(jobs)
    }

    /// A layer with its options: those of the command line first, then the configuration's.
    fn job(
        &self,
        file: Option<&Path>,
        config: Option<&Config>,
        listed: Option<&config::Layer>,
    ) -> Result<Job> {
        let said = config.zip(listed);
        let file = match (file, said) {
            (Some(file), _) => file.to_path_buf(),
            (None, Some((config, layer))) => config.resolve(layer.file.get_ref()),
            (None, None) => return Err(SnapshotError::NoLayers.into()),
        };
        // What is wrong with something that the configuration says is shown there.
        let at = |span: Option<std::ops::Range<usize>>, e| match (config, span) {
            (Some(config), Some(span)) => config.locate(span, e),
            _ => e,
        };
        let name = listed
            .and_then(|l| l.name.as_ref())
            .filter(|_| self.name.is_none());
        let named = self.name.as_ref().or(name.map(|n| n.get_ref()));
        let folder = Kept::place(&file, named.map(String::as_str))
            .map_err(|e| at(name.map(|n| n.span()), e))?;
        let mut layer = Layer::load(&file).map_err(|e| at(listed.map(|l| l.file.span()), e))?;
        let sizes = self.sizes.over(listed);
        let settings = sizes.settings(&layer)?;
        let graph = sizes.graph(&layer, &settings)?;
        let language = listed
            .and_then(|l| l.language.as_ref())
            .filter(|_| self.language.is_none());
        let asked = self.language.as_ref().or(language.map(|l| l.get_ref()));
        let emitter = super::emit::emitter(asked.map_or(emitter::ALL[0].name, |n| n))
            .map_err(|e| at(language.map(|l| l.span()), e))?;
        let with = match (self.with.as_slice(), listed.and_then(|l| l.with.as_ref())) {
            ([], Some(with)) => with,
            ([], None) => config.map_or(&[][..], |c| &c.content.snapshot.with),
            (with, _) => with,
        };
        let contents = Contents {
            form: match self.written || listed.is_some_and(|l| l.written) {
                true => Form::Written,
                false => Form::Optimized,
            },
            emitter,
            plan: with.contains(&With::Plan),
            times: with.contains(&With::Times),
        };
        let search = self.search.over(config, listed)?;
        let options = search.options()?;
        layer.pinned_at(search.places());
        check_names(&graph, &options.pins).map_err(|e| layer.locate(e))?;
        remark(&layer, &options);
        Ok(Job {
            file,
            folder,
            layer,
            graph,
            options,
            contents,
        })
    }

    /// Compares a snapshot, replaces it where that is asked for, and tells of it.
    fn told(&self, job: &Job) -> Result<Outcome> {
        let compared = Compared::new(job)?;
        let kept = match compared.review.fate {
            Fate::Same => true,
            Fate::New => !self.mode.check,
            Fate::Changed => self.mode.accept,
        };
        let replaced = kept && compared.review.fate != Fate::Same;
        if replaced {
            compared.kept.accept(&compared.now)?;
        }
        if !self.json {
            print(&compared.text(replaced))?;
        }
        Ok(compared.outcome(kept))
    }
}

/// A path from the root, which may lead to what is not there yet.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Whether two paths are of one file.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

impl<'a> Compared<'a> {
    fn new(job: &'a Job) -> Result<Self> {
        // What cannot be compared is refused before the search.
        let kept = Kept::read(&job.folder)?;
        let now = snapshot::of(&job.graph, &job.options, &job.contents)
            .map_err(|e| job.layer.locate(e))?;
        let review = snapshot::compare(&kept, &now);
        Ok(Compared {
            job,
            kept,
            now,
            review,
        })
    }

    fn outcome(self, kept: bool) -> Outcome {
        Outcome {
            file: self.job.file.clone(),
            folder: self.job.folder.clone(),
            kept,
            review: self.review,
        }
    }

    /// What there is to say of it, with the texts where it stays as it was.
    fn text(&self, replaced: bool) -> String {
        let mut s = self.head(replaced);
        if !replaced && self.review.fate == Fate::Changed {
            s.push_str(&self.diffs());
        }
        s
    }

    /// What became of it, what differs in the schedule, and in which files.
    fn head(&self, replaced: bool) -> String {
        let what = match (self.review.fate, replaced) {
            (Fate::Same, _) => "as it was",
            (Fate::New, true) => "written",
            (Fate::New, false) => "not kept yet",
            (Fate::Changed, true) => "replaced",
            (Fate::Changed, false) => "differs",
        };
        let folder = self.job.folder.display();
        let mut s = format!("{folder}: {what}\n");
        if self.review.fate != Fate::Changed {
            return s;
        }
        let _ = match (&self.review.unreadable, self.review.schedule.is_empty()) {
            (Some(why), _) => writeln!(s, "  the schedule that is kept cannot be read: {why}"),
            (None, true) => writeln!(s, "  the schedule is the same"),
            (None, false) => writeln!(s, "  schedule"),
        };
        for difference in &self.review.schedule {
            for line in difference.to_string().lines() {
                let _ = writeln!(s, "    {line}");
            }
        }
        if !self.review.texts.is_empty() {
            s.push_str("  text\n");
        }
        for change in &self.review.texts {
            let what = match (&change.old, &change.new) {
                (None, _) => "new".to_owned(),
                (_, None) => "nothing makes it any more".to_owned(),
                _ => format!("+{} -{} lines", change.added_lines, change.removed_lines),
            };
            let _ = writeln!(s, "    {}: {what}", change.file);
        }
        s
    }

    /// Unified diffs of files that are on both sides, or of all where nothing is kept; with colours if the output is a terminal.
    fn diffs(&self) -> String {
        let folder = self.job.folder.display().to_string();
        let is_new = self.review.fate == Fate::New;
        let both = |c: &&TextChange| is_new || c.old.is_some() && c.new.is_some();
        let mut s = String::new();
        for change in self.review.texts.iter().filter(both) {
            for line in change.unified(&folder).lines() {
                let painted = match line.as_bytes().first() {
                    _ if line.starts_with("+++") || line.starts_with("---") => style(line).bold(),
                    Some(b'+') => style(line).green(),
                    Some(b'-') => style(line).red(),
                    Some(b'@') => style(line).cyan(),
                    _ => style(line),
                };
                let _ = writeln!(s, "{painted}");
            }
        }
        s
    }
}

/// Asks for every snapshot that differs.
fn reviewed(jobs: &[Job]) -> Result<Vec<Outcome>> {
    let all = jobs.iter().map(Compared::new).collect::<Result<Vec<_>>>()?;
    let differs = |c: &&Compared| c.review.fate != Fate::Same;
    let count = all.iter().filter(differs).count();
    if count > 0 && !io::stdin().is_terminal() {
        return Err(SnapshotError::NoTerminal { count }.into());
    }
    let mut outcomes = vec![];
    let (mut asked, mut over) = (0, false);
    for compared in all {
        if compared.review.fate == Fate::Same {
            outcomes.push(compared.outcome(true));
            continue;
        }
        asked += 1;
        let answer = match over {
            true => Answer::Quit,
            false => {
                print(&compared.head(false))?;
                ask(&compared, &format!("{asked} of {count}"))?
            }
        };
        over |= answer == Answer::Quit;
        let accepted = answer == Answer::Accept;
        if accepted {
            compared.kept.accept(&compared.now)?;
        }
        outcomes.push(compared.outcome(accepted));
    }
    Ok(outcomes)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Reject,
    Text,
    Quit,
}

impl Answer {
    fn read(line: &str) -> Option<Self> {
        Some(match line.trim() {
            "a" | "accept" => Answer::Accept,
            "r" | "reject" => Answer::Reject,
            "t" | "text" => Answer::Text,
            "q" | "quit" => Answer::Quit,
            _ => return None,
        })
    }
}

/// What is to be done with a snapshot; the text is shown as often as it is asked for.
fn ask(compared: &Compared, number: &str) -> Result<Answer> {
    let failed = |e: io::Error| Error::Stdout {
        reason: e.to_string(),
    };
    loop {
        print(&format!(
            "{number}: [a]ccept, [r]eject (the old one stays), [t]ext, [q]uit? "
        ))?;
        io::stdout().flush().map_err(failed)?;
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line).map_err(failed)?;
        match Answer::read(&line) {
            Some(Answer::Text) => print(&compared.diffs())?,
            Some(answer) => return Ok(answer),
            // The end of the input.
            None if read == 0 => return Ok(Answer::Quit),
            None => {}
        }
    }
}
