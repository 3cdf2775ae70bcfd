//! Commands as runners: one that does its work, and others that do not.

use crate::common::{graph, options};
use crate::{TUNE, folder, with_db};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tilewright::form::Form;
use tilewright::run::compile_form;
use tilewright::tune::runner::{Command, Failure, Limits, Runner, Times, Trial, TrialData};
use tilewright_backends::data::generate;
use tilewright_backends::reference;
use tilewright_ir::kernel::Program;
use tilewright_ir::machine::Machine;

/// A small program with data.
struct Small {
    program: Program,
    machine: Machine,
    data: TrialData,
    folder: TempDir,
}

impl Small {
    fn new() -> Self {
        Small::with_seed(0)
    }

    fn with_seed(seed: u64) -> Self {
        let graph = graph("rms_norm", &[("D", 256)]);
        let options = options();
        let compiled = compile_form(&graph, Form::Optimized, &options).expect("it compiles");
        let inputs = generate(&graph, seed, &Default::default()).expect("there is data");
        let expected = reference::run(&graph, &inputs).expect("the interpreter runs it");
        Small {
            program: compiled.program,
            machine: options.machine,
            data: TrialData { inputs, expected },
            folder: tempfile::tempdir().expect("there is room for temporary files"),
        }
    }

    fn command(&self, template: &str, limits: Limits) -> Command {
        Command::new(template, &self.folder.path().join("trials"), limits)
    }

    fn measure(&self, runner: &Command) -> Result<Times, Failure> {
        let trial = Trial {
            name: "norm",
            program: &self.program,
            hash: "0123",
            machine: &self.machine,
            data: Some(&self.data),
        };
        runner.measure(&trial, 2)
    }
}

/// What a worker does that is right.
fn worker() -> String {
    format!(
        "{} trial {{job}} --on sim",
        env!("CARGO_BIN_EXE_tilewright")
    )
}

const ONCE: Limits = Limits {
    timeout: Duration::from_secs(100),
    retries: 0,
    patience: 100,
    lanes: 1,
    pause: Duration::ZERO,
};

#[test]
fn a_command_measures_once_for_all() {
    let small = Small::new();
    // It works the first time only.
    let once = format!(
        "test ! -e {{job}}/../done && touch {{job}}/../done && {}",
        worker()
    );
    let times = small
        .measure(&small.command(&once, ONCE))
        .expect("it is measured");
    assert_eq!(times.us.len(), 2);
    assert!(times.us.iter().all(|us| *us > 0.0) && !times.host.is_empty());
    // The result is there: the command is not started again.
    assert_eq!(small.measure(&small.command(&once, ONCE)), Ok(times));
    // Another command measures something else.
    assert!(small.measure(&small.command("false {job}", ONCE)).is_err());
}

/// What was computed of other data is no result of this job, and no wrong one either.
#[test]
fn other_data_are_another_job() {
    let (mut small, other) = (Small::new(), Small::with_seed(1));
    let runner = small.command(&worker(), ONCE);
    small.measure(&runner).expect("it is measured");
    small.data = other.data;
    small.measure(&runner).expect("it is measured again");
}

#[test]
fn a_worker_that_hangs_is_ended_with_all_that_it_started() {
    let small = Small::new();
    let limits = Limits {
        timeout: Duration::from_millis(300),
        ..ONCE
    };
    // What is told to end takes back what it has asked others to do.
    let kind = "trap 'echo > {job}/told; exit 1' TERM; sleep 1000 & wait";
    let failure = small.measure(&small.command(kind, limits)).unwrap_err();
    assert!(matches!(failure, Failure::TimedOut(_)), "{failure}");
    let mut jobs = std::fs::read_dir(small.folder.path().join("trials")).expect("it is there");
    let job = jobs
        .next()
        .expect("there is a job")
        .expect("it is readable");
    assert!(job.path().join("told").exists());
    let small = Small::new();
    // Two processes of one group, which say where they are.
    let hanging = "sleep 1000 & echo $! > {job}/one; echo $$ > {job}/two; wait";
    let failure = small.measure(&small.command(hanging, limits)).unwrap_err();
    assert!(matches!(failure, Failure::TimedOut(_)), "{failure}");
    let trials = small.folder.path().join("trials");
    let mut jobs = std::fs::read_dir(trials).expect("it is there");
    let job = jobs.next().expect("there is a job");
    let job = job.expect("it is readable").path();
    for name in ["one", "two"] {
        let id = std::fs::read_to_string(job.join(name)).expect("it was started");
        // A process that nobody has waited for is a zombie, and runs no more.
        let state =
            std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        let gone = state.is_empty() || state.contains(") Z ");
        // Its end is the kernel's business, and takes a moment.
        let gone = gone || {
            std::thread::sleep(Duration::from_secs(2));
            let path = format!("/proc/{}/stat", id.trim());
            std::fs::read_to_string(path).map_or(true, |s| s.contains(") Z "))
        };
        assert!(gone, "{state}");
    }
}

#[test]
fn rubbish_is_no_result() {
    let small = Small::new();
    for template in [
        "echo rubbish > {job}/result.json",
        "echo '{\"hash\": \"other\", \"times_us\": [1.0]}' > {job}/result.json",
        "true {job}",
        "false {job}",
        "echo '{}' > {job}/result.json",
    ] {
        let failure = small.measure(&small.command(template, ONCE)).unwrap_err();
        assert!(
            matches!(failure, Failure::Broken(_)),
            "{template}: {failure}"
        );
    }
    // Nothing of it stands in the way of one that works.
    assert!(small.measure(&small.command(&worker(), ONCE)).is_ok());
}

#[test]
fn wrong_values_are_a_failure_that_stays() {
    let small = Small::new();
    // The last bytes of the file are those of a tensor.
    let wrong = format!(
        "{} && printf '\\377\\377\\377\\377' | dd of={{job}}/outputs.safetensors bs=1 conv=notrunc \
         seek=$(($(wc -c < {{job}}/outputs.safetensors) - 4))",
        worker()
    );
    let failure = small.measure(&small.command(&wrong, ONCE)).unwrap_err();
    assert!(matches!(failure, Failure::Wrong(_)), "{failure}");
    assert!(failure.is_of_program());
}

#[test]
fn a_command_is_tried_again_and_given_up_in_the_end() {
    let small = Small::new();
    // The first try fails.
    let shaky = format!(
        "test -e {{job}}/tried || {{ touch {{job}}/tried; exit 1; }}; {}",
        worker()
    );
    let limits = Limits {
        retries: 1,
        patience: 3,
        ..ONCE
    };
    assert!(small.measure(&small.command(&shaky, limits)).is_ok());
    let small = Small::new();
    let failing = small.command(
        "false {job}",
        Limits {
            retries: 9,
            patience: 3,
            ..ONCE
        },
    );
    let failure = small.measure(&failing).unwrap_err();
    assert!(matches!(failure, Failure::Quarantined(_)), "{failure}");
    // It is not started again.
    let failure = small.measure(&failing).unwrap_err();
    assert!(matches!(failure, Failure::Quarantined(_)), "{failure}");
}

#[test]
fn a_layer_is_tuned_by_a_command() {
    let folder = folder();
    let on = format!("command:{}", worker());
    let args = [&TUNE[..], &["--trials", "4", "--on", &on, "--json"]].concat();
    let ran = with_db(folder.path(), &args);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("it is JSON");
    assert_eq!(report["kernels"][0]["failed"], 0, "{report}");
    assert!(report["us"].as_f64() <= report["pick_us"].as_f64());
    assert!(Path::new(&folder.path().join("tilewright-trials")).is_dir());
    // A command that fails always ends it, with what to do.
    let ran = with_db(
        folder.path(),
        &[
            &TUNE[..],
            &[
                "--trials",
                "4",
                "--on",
                "command:false {job}",
                "--pause",
                "0",
            ],
        ]
        .concat(),
    );
    assert_eq!(ran.code, Some(3));
    for part in ["tilewright::tune::reference", "exit status: 1"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}
