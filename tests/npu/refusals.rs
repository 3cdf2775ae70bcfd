//! What there is no project for, and machines without CANN.

use crate::common::{command, example, folder, tilewright};
use crate::stand_in::text;
use std::fs;

#[test]
fn without_cann_nothing_is_compiled() {
    let folder = folder();
    let run = |home: Option<&str>| {
        let mut command = command(folder.path(), &["run", "gate.tw", "--on", "npu"]);
        command.env_remove("ASCEND_HOME_PATH");
        if let Some(home) = home {
            command.env("ASCEND_HOME_PATH", home);
        }
        let output = command.output().expect("it starts");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
        text(&output.stderr)
    };
    let err = run(None);
    assert!(err.contains("tilewright::npu::no_cann"), "{err}");
    assert!(err.contains("ASCEND_HOME_PATH is not set"), "{err}");
    assert!(
        err.contains("--on sim") && err.contains("--project"),
        "{err}"
    );
    let err = run(Some("/no/such/cann"));
    assert!(err.contains("/no/such/cann"), "{err}");
    assert!(!folder.path().join("tilewright-out").exists());
}

#[test]
fn several_ranks_have_no_project() {
    let folder = folder();
    let moe = example("dsv4_flash_moe").display().to_string();
    let sizes = crate::common::small("dsv4_flash_moe").iter();
    let sizes: Vec<String> = sizes.map(|(n, v)| format!("--set={n}={v}")).collect();
    let mut args = vec!["emit", &moe, "--project", "p", "--written"];
    args.extend(sizes.iter().map(String::as_str));
    let ran = tilewright(folder.path(), &args);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(
        ran.stderr.contains("tilewright::npu::ranks"),
        "{}",
        ran.stderr
    );
    assert!(!folder.path().join("p").exists());
}

/// Data that are too large are refused before they are made, and a project without them is not.
#[test]
fn large_layers_go_without_data() {
    let folder = folder();
    let text = fs::read_to_string(example("rms_norm")).expect("it is text");
    fs::write(folder.path().join("norm.tw"), text).expect("it is written");
    let big = [
        "emit",
        "norm.tw",
        "--set",
        "T=262144",
        "--written",
        "--project",
        "p",
    ];
    let ran = tilewright(folder.path(), &big);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(
        ran.stderr.contains("tilewright::npu::too_much"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--no-data"), "{}", ran.stderr);
    let ran = tilewright(folder.path(), &[&big[..], &["--no-data"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    let project = folder.path().join("p");
    assert!(!project.join("data").exists());
    let readme = fs::read_to_string(project.join("README.md")).expect("it is text");
    assert!(readme.contains("was written without data"), "{readme}");
    assert!(
        readme.contains("--project DIR --written --no-data"),
        "{readme}"
    );
}
