//! The database: several processes, processes that are killed, and files that are not what they should be.

use crate::common::{command, graph, options};
use crate::{DB, TUNE, exported, folder, tune, with_db};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tilewright::tune::database::{Database, Finished, Key, Memory, Record};
use tilewright::tune::engine::Bench;
use tilewright::tune::proposer::Guided;
use tilewright::tune::runner::Simulated;
use tilewright::tune::{DatabaseError, tune_kernel};

fn start(folder: &Path, args: &[&str]) -> Child {
    let mut command = command(folder, &[&TUNE[..], args].concat());
    let command = command
        .env("TILEWRIGHT_DB", DB)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

/// What trials are there, by kernel and program.
fn trials(folder: &Path) -> BTreeSet<(String, String)> {
    let word = |v: &Value, name: &str| v[name].as_str().unwrap_or_default().to_owned();
    let all = exported(folder);
    all.iter()
        .map(|v| (word(v, "subject"), word(v, "program")))
        .collect()
}

fn verified(folder: &Path) {
    let ran = with_db(folder, &["db", "verify"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn two_processes_end_with_the_union() {
    let alone = ["1", "2"].map(|seed| {
        let folder = folder();
        tune(folder.path(), &["--trials", "40", "--seed", seed]);
        trials(folder.path())
    });
    let folder = folder();
    let both = ["1", "2"].map(|seed| start(folder.path(), &["--trials", "40", "--seed", seed]));
    for child in both {
        let ended = child.wait_with_output().expect("the command ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{said}");
    }
    verified(folder.path());
    let union: BTreeSet<_> = alone[0].union(&alone[1]).cloned().collect();
    assert_eq!(trials(folder.path()), union);
}

#[test]
fn what_was_over_when_the_process_was_killed_is_there() {
    let folder = folder();
    let mut last = BTreeSet::new();
    for round in 0..8u64 {
        let seed = round.to_string();
        let mut child = start(folder.path(), &["--trials", "400", "--seed", &seed]);
        // At a moment that differs from round to round.
        let wanted = last.len() + 1 + (round as usize * 7) % 11;
        let before = loop {
            let there = match folder.path().join(DB).exists() {
                true => match with_db(folder.path(), &["db", "export"]) {
                    ran if ran.code == Some(0) => trials(folder.path()),
                    // It is being made.
                    _ => BTreeSet::new(),
                },
                false => BTreeSet::new(),
            };
            let over = child.try_wait().expect("the command is there").is_some();
            if there.len() >= wanted || over {
                break there;
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        // SIGKILL: it has no time for anything.
        child.kill().expect("the command is killed");
        child.wait().expect("the command ends");
        verified(folder.path());
        let after = trials(folder.path());
        assert!(before.is_subset(&after) && last.is_subset(&after));
        last = after;
    }
    let report = tune(folder.path(), &["--trials", "40", "--seed", "0"]);
    assert!(report["us"].as_f64() <= report["pick_us"].as_f64());
}

/// Minutes; docs/tune.md says what came of it.
#[test]
#[ignore = "it takes minutes"]
fn fifty_kills_change_nothing_that_is_found() {
    let args = ["--trials", "300", "--seed", "3"];
    let alone = folder();
    let whole = tune(alone.path(), &args);
    let folder = folder();
    let mut last = BTreeSet::new();
    for round in 0..50u64 {
        let mut child = start(folder.path(), &args);
        // Moments that look random and are the same each time.
        let share = round.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        std::thread::sleep(Duration::from_millis(300 + share % 5000));
        child.kill().expect("the command is killed");
        child.wait().expect("the command ends");
        if folder.path().join(DB).exists() {
            verified(folder.path());
            let now = trials(folder.path());
            assert!(last.is_subset(&now));
            last = now;
        }
    }
    let end = tune(folder.path(), &args);
    for field in ["us", "pins", "verified"] {
        assert_eq!(end[field], whole[field]);
    }
    assert_eq!(trials(folder.path()), trials(alone.path()));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_and_keeps_what_was_over() {
    let folder = folder();
    let full = ["--effort", "full", "--trials", "100000"];
    let args = [&TUNE[..4], &full[..]].concat();
    let mut command = command(folder.path(), &args);
    let mut child = command
        .env("TILEWRIGHT_DB", DB)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    while !folder.path().join(DB).exists()
        || with_db(folder.path(), &["db", "list"]).code != Some(0)
    {
        std::thread::sleep(Duration::from_millis(3));
    }
    let kill = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status();
    assert!(kill.expect("there is kill").success());
    let code = child.wait().expect("the command ends").code();
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
    verified(folder.path());
}

#[test]
fn a_file_that_is_none_is_refused_and_stays() {
    let folder = folder();
    let path = folder.path().join(DB);
    let newer = || {
        let db = rusqlite::Connection::open(&path).expect("a file is made");
        db.execute_batch(
            "CREATE TABLE t (x); PRAGMA application_id = 1953066085; PRAGMA user_version = 99",
        )
    };
    let foreign = || {
        let db = rusqlite::Connection::open(&path).expect("a file is made");
        db.execute_batch("CREATE TABLE t (x)")
    };
    let garbage = || {
        std::fs::write(
            &path,
            "this is no database, but long enough to look like one. ".repeat(40),
        )
        .expect("a file is written");
        Ok(())
    };
    let cases: [(&str, &dyn Fn() -> rusqlite::Result<()>); 3] = [
        ("tilewright::db::corrupt", &garbage),
        ("tilewright::db::newer", &newer),
        ("tilewright::db::foreign", &foreign),
    ];
    for (code, make) in cases {
        let _ = std::fs::remove_file(&path);
        make().expect("a file is made");
        let before = std::fs::read(&path).expect("it is there");
        for args in [
            &TUNE[..],
            &["db", "list"],
            &["db", "verify"],
            &["db", "prune"],
        ] {
            let ran = with_db(folder.path(), args);
            assert_eq!(ran.code, Some(3), "{args:?}: {}", ran.stdout);
            assert!(ran.stderr.contains(code), "{args:?}: {}", ran.stderr);
        }
        // Who can do without does.
        let ran = with_db(folder.path(), &["optimize", "norm.tw", "--set", "D=512"]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stderr.contains("is not used"), "{}", ran.stderr);
        assert_eq!(std::fs::read(&path).expect("it is there"), before);
    }
}

#[test]
fn a_database_that_another_process_holds_is_waited_for() {
    let folder = folder();
    tune(folder.path(), &["--trials", "8"]);
    let path = folder.path().join(DB);
    let holder = rusqlite::Connection::open(&path).expect("the database opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let child = start(folder.path(), &["--trials", "12"]);
    // Reading goes on while somebody writes.
    assert_eq!(with_db(folder.path(), &["db", "list"]).code, Some(0));
    holder.execute_batch("COMMIT").expect("it is held");
    let mut child = child;
    assert!(child.wait().expect("the command ends").success());
    verified(folder.path());
}

#[test]
fn trials_move_from_one_database_to_another() {
    let (one, two) = (folder(), folder());
    tune(one.path(), &["--trials", "12", "--seed", "1"]);
    tune(two.path(), &["--trials", "12", "--seed", "2"]);
    let union: BTreeSet<_> = trials(one.path())
        .union(&trials(two.path()))
        .cloned()
        .collect();
    let other = two.path().join(DB);
    let ran = with_db(one.path(), &["db", "merge", &other.display().to_string()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(trials(one.path()), union);
    // Out and in again is the same.
    let text = with_db(one.path(), &["db", "export"]).stdout;
    let three = folder();
    std::fs::write(three.path().join("trials.jsonl"), &text).expect("a file is written");
    let ran = with_db(three.path(), &["db", "import", "trials.jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(with_db(three.path(), &["db", "export"]).stdout, text);
    // All or nothing.
    let four = folder();
    std::fs::write(four.path().join("trials.jsonl"), text + "{}\n").expect("a file is written");
    let ran = with_db(four.path(), &["db", "import", "trials.jsonl"]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.contains("tilewright::db::import"),
        "{}",
        ran.stderr
    );
    // There is no database either.
    let none = with_db(four.path(), &["db", "export"]);
    assert!(none.stderr.contains("tilewright::db::missing"));
    // What an older tilewright has measured goes, and no more than that.
    let older = with_db(three.path(), &["db", "export"]).stdout;
    let older = older.replace("\"tool\":\"", "\"tool\":\"0.0.0-");
    std::fs::write(three.path().join("older.jsonl"), older).expect("a file is written");
    assert_eq!(
        with_db(three.path(), &["db", "import", "older.jsonl"]).code,
        Some(0)
    );
    let all = exported(one.path()).len();
    assert_eq!(exported(three.path()).len(), 2 * all);
    let ran = with_db(three.path(), &["db", "prune"]);
    assert_eq!(ran.stdout, format!("{all} trials removed\n"));
    assert_eq!(trials(three.path()), union);
}

/// Only what is new is counted, a database is not merged with itself, and JSON is one object.
#[test]
fn what_is_there_already_is_not_counted() {
    let folder = folder();
    tune(folder.path(), &["--trials", "8"]);
    let here = folder.path();
    let all = exported(here).len();
    let text = with_db(here, &["db", "export", "--json"]).stdout;
    std::fs::write(here.join("all.json"), &text).expect("a file is written");
    let json = |args: &[&str]| -> Value {
        let ran = with_db(here, args);
        assert_eq!(ran.code, Some(0), "{}", ran.text());
        let value: Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
        assert_eq!(value["version"], 1, "{value}");
        value
    };
    let again = json(&["db", "import", "all.json", "--json"]);
    assert_eq!((&again["taken"], &again["of"]), (&0.into(), &all.into()));
    let told = with_db(here, &["db", "import", "all.json"]).stdout;
    let head = format!("0 of {all} trials from all.json; ");
    assert!(told.starts_with(&head), "{told}");
    let other = json(&["db", "import", "all.json", "--json", "--db", "other.sqlite"]);
    assert_eq!(other["taken"], all);
    let itself = with_db(here, &["db", "merge", &format!("./{DB}")]);
    assert_eq!(itself.code, Some(3));
    assert!(
        itself.stderr.contains("tilewright::db::itself"),
        "{}",
        itself.text()
    );
    for (args, field) in [
        (&["db", "list", "--json"][..], "subjects"),
        (&["db", "show", "norm", "--json"], "trials"),
        (&["db", "verify", "--json"], "ok"),
        (&["db", "prune", "--json"], "removed"),
    ] {
        assert!(json(args).get(field).is_some(), "{args:?}");
    }
    // A folder is no damaged file.
    let ran = with_db(here, &["db", "list", "--db", "."]);
    assert!(ran.stderr.contains("it is a folder"), "{}", ran.text());
}

/// A database in which others measure everything after the first look at it.
struct Late {
    others: Vec<Record>,
    looks: AtomicUsize,
}

impl Database for Late {
    fn known(&self, _: &Key) -> Result<Vec<Record>, DatabaseError> {
        Ok(match self.looks.fetch_add(1, Ordering::Relaxed) {
            0 => vec![],
            _ => self.others.clone(),
        })
    }

    fn add(&self, _: &Key, name: &str, record: &Record) -> Result<(), DatabaseError> {
        panic!("{name} is measured twice: {record:?}")
    }

    fn finished(&self, _: &Key, _: &str) -> Result<Option<Finished>, DatabaseError> {
        Ok(None)
    }

    fn finish(&self, _: &Key, _: &Finished) -> Result<(), DatabaseError> {
        Ok(())
    }
}

/// A database that keeps what it is given.
#[derive(Default)]
struct Kept(Memory, Mutex<Vec<Record>>);

impl Database for Kept {
    fn known(&self, key: &Key) -> Result<Vec<Record>, DatabaseError> {
        self.0.known(key)
    }

    fn add(&self, key: &Key, name: &str, record: &Record) -> Result<(), DatabaseError> {
        self.1.lock().expect("nobody panicked").push(record.clone());
        self.0.add(key, name, record)
    }

    fn finished(&self, key: &Key, asked: &str) -> Result<Option<Finished>, DatabaseError> {
        self.0.finished(key, asked)
    }

    fn finish(&self, key: &Key, run: &Finished) -> Result<(), DatabaseError> {
        self.0.finish(key, run)
    }
}

/// What another process measures meanwhile is not measured again.
#[test]
fn what_others_measure_meanwhile_is_taken() {
    let graph = graph("rms_norm", &[("D", 256)]);
    let options = options();
    let runner = Simulated::new(options.machine.clone());
    let tuned = |database: &dyn Database| {
        let bench = Bench::new(&runner, database, &options.machine);
        tune_kernel(&graph, &options, "norm", &bench, &mut Guided::new(0)).expect("it is tuned")
    };
    let kept = Kept::default();
    let first = tuned(&kept);
    assert!(first.new > 0 && first.new == first.trials);
    let late = Late {
        others: kept.1.into_inner().expect("nobody panicked"),
        looks: AtomicUsize::new(0),
    };
    let second = tuned(&late);
    assert_eq!((second.new, second.us), (0, first.us));
}
