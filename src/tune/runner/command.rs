//! Trials that a command measures: a folder in, a result out.
//!
//! A folder is named by the hash of its job, and a result that is there is not asked for again. So a job can be started twice, on
//! another machine, or after everything was switched off.

use super::job::{self, Asked, JOB, RESULT};
use super::{Failure, Runner, Times, Trial};
use crate::tune::kernel::hash;
use crate::tune::machine_hash;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tilewright_backends::data::files;

/// How long and how often a command is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After which a trial is ended.
    pub timeout: Duration,
    /// Times that a job is tried again after something else than the program failed.
    pub retries: usize,
    /// Jobs in a row that a machine may fail before no work goes there.
    pub patience: usize,
    /// Jobs at once.
    pub lanes: usize,
    /// What is waited after the command has failed, twice as long each time in a row: what it asks may be starting again.
    pub pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            timeout: Duration::from_secs(600),
            retries: 2,
            patience: 5,
            lanes: 1,
            pause: Duration::from_secs(2),
        }
    }
}

/// The longest that is waited after a failure.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs a shell command for each trial.
#[derive(Debug)]
pub struct Command {
    template: String,
    folder: PathBuf,
    limits: Limits,
    /// Failures in a row, by machine; those of which no machine is known are the command's.
    failures: Mutex<HashMap<String, usize>>,
    /// What failed last.
    last: Mutex<Option<Failure>>,
}

/// What stands for the folder in a template.
pub const PLACE: &str = "{job}";
/// The machines that no work should go to, for the command.
pub const EXCLUDE: &str = "TILEWRIGHT_EXCLUDE";
/// How often a command that runs is looked at.
const POLL: Duration = Duration::from_millis(5);
/// How long a command has to end by itself when it is told to: to take back what it has handed to a queue, for one.
const GRACE: Duration = Duration::from_secs(3);

impl Command {
    /// `template` is for a shell, with the folder in place of `{job}`; folders are made in `folder`.
    pub fn new(template: &str, folder: &Path, limits: Limits) -> Self {
        Command {
            template: template.to_owned(),
            folder: folder.to_owned(),
            limits,
            failures: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// Machines that have failed too often.
    fn excluded(&self) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let often = failures.iter().filter(|(_, n)| **n >= self.limits.patience);
        let mut out: Vec<String> = often.map(|(name, _)| name.clone()).collect();
        out.sort();
        out
    }

    /// What names a job: another command, another machine, other data and more repeats are another measurement.
    fn key(&self, trial: &Trial, repeats: usize) -> Result<String, Failure> {
        let given = trial.data.map(|d| files::to_bytes(&d.inputs)).transpose();
        let given = given.map_err(|e| Failure::Broken(e.to_string()))?;
        let (machine, given) = (machine_hash(trial.machine), hash(given.unwrap_or_default()));
        let Trial { hash: program, .. } = trial;
        let template = &self.template;
        Ok(hash(format!(
            "{program} {machine} {given} {repeats} {template}"
        )))
    }

    /// Waits, where the command has failed just before.
    fn pause(&self) {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let in_a_row = failures.get("").copied().unwrap_or(0);
        drop(failures);
        let Some(doubled) = in_a_row.checked_sub(1) else {
            return;
        };
        let times = 1 << doubled.min(16);
        let end = Instant::now() + self.limits.pause.saturating_mul(times).min(LONGEST);
        while Instant::now() < end && !crate::tune::stop::asked() {
            std::thread::sleep(POLL);
        }
    }

    fn note(&self, machine: &str, failed: bool) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failed {
            true => *failures.entry(machine.to_owned()).or_default() += 1,
            false => {
                failures.insert(machine.to_owned(), 0);
                failures.insert(String::new(), 0);
            }
        }
    }

    fn once(&self, folder: &Path, trial: &Trial, asked: &Asked) -> Result<Times, Failure> {
        let read = || {
            let found = job::read(folder, asked)?;
            if let Some(data) = trial.data {
                job::checked(folder, trial, data)?;
            }
            Ok(found)
        };
        let found = match read() {
            Ok(found) => found,
            Err(Failure::Wrong(why)) => return Err(Failure::Wrong(why)),
            Err(_) => {
                let _ = std::fs::remove_file(folder.join(RESULT));
                self.start(folder, asked)?;
                read()?
            }
        };
        match asked.exclude.contains(&found.host) {
            true => Err(Failure::Broken(format!(
                "`{}` is not asked any more",
                found.host
            ))),
            false => Ok(Times {
                us: found.times_us,
                host: found.host,
            }),
        }
    }

    /// Runs the command to its end, or to the end of its time.
    fn start(&self, folder: &Path, asked: &Asked) -> Result<(), Failure> {
        let broken = |e: std::io::Error| Failure::Broken(format!("the command did not start: {e}"));
        let place = folder.display().to_string();
        let text = self.template.replace(PLACE, &place);
        let log = File::create(folder.join("log.txt")).map_err(broken)?;
        let mut command = Process::new("sh");
        command
            .args(["-c", &text])
            .env(EXCLUDE, asked.exclude.join(","))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(broken)?)
            .stderr(log);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(broken)?;
        let end = Instant::now() + self.limits.timeout;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(Failure::Broken(format!("the command ended with {status}")));
                }
                Ok(None) if Instant::now() < end && !crate::tune::stop::asked() => {
                    std::thread::sleep(POLL);
                }
                Ok(None) => {
                    end_group(&mut child);
                    let seconds = self.limits.timeout.as_secs_f64();
                    return Err(Failure::TimedOut(match crate::tune::stop::asked() {
                        true => "it was interrupted".into(),
                        false => format!("not over after {seconds} s"),
                    }));
                }
                Err(e) => return Err(broken(e)),
            }
        }
    }
}

/// Ends a command and all that it started: it is told to end, and has a moment for that.
fn end_group(child: &mut Child) {
    #[cfg(target_os = "linux")]
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        use rustix::process::{Signal, kill_process_group};
        let _ = kill_process_group(group, Signal::TERM);
        let end = Instant::now() + GRACE;
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(POLL);
        }
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

impl Runner for Command {
    fn identity(&self) -> String {
        format!("command:{}", &hash(&self.template)[..8])
    }

    fn remedy(&self) -> &'static str {
        "start the command by hand for a trial's folder, which is in --job-dir (tilewright-trials): what it prints says more"
    }

    fn is_noisy(&self) -> bool {
        true
    }

    fn computes(&self) -> bool {
        true
    }

    fn lanes(&self) -> usize {
        self.limits.lanes.max(1)
    }

    fn measure(&self, trial: &Trial, repeats: usize) -> Result<Times, Failure> {
        let key = self.key(trial, repeats)?;
        let folder = self.folder.join(&key);
        let mut asked = Asked {
            hash: key,
            name: trial.name.to_owned(),
            kernels: trial
                .program
                .kernels
                .iter()
                .map(|k| k.name.clone())
                .collect(),
            repeats: repeats.max(1),
            exclude: vec![],
        };
        let known = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let untried = || Failure::Broken("it was not tried".into());
        let mut last = known.clone().unwrap_or_else(untried);
        drop(known);
        for _ in 0..=self.limits.retries {
            asked.exclude = self.excluded();
            if asked.exclude.iter().any(String::is_empty) {
                return Err(Failure::Quarantined(format!(
                    "the command failed {} times in a row, the last time {last}",
                    self.limits.patience
                )));
            }
            if !folder.join(JOB).exists() || !asked.exclude.is_empty() {
                let written = job::write(&folder, trial, &asked);
                written.map_err(|e| Failure::Broken(format!("{}: {e}", folder.display())))?;
            }
            self.pause();
            match self.once(&folder, trial, &asked) {
                Ok(times) => {
                    self.note(&times.host, false);
                    return Ok(times);
                }
                Err(failure) if failure.is_of_program() => return Err(failure),
                Err(failure) => {
                    self.note(&host_of(&folder), true);
                    let mut known = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                    *known = Some(failure.clone());
                    last = failure;
                }
            }
            if crate::tune::stop::asked() {
                break;
            }
        }
        Err(last)
    }
}

/// The machine that left a result, if it says so.
fn host_of(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join(RESULT)).unwrap_or_default();
    let found: Result<job::Outcome, _> = serde_json::from_str(&text);
    found.map(|f| f.host).unwrap_or_default()
}
