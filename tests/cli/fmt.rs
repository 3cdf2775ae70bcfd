//! `tilewright fmt`.

use crate::common::{command, example, folder, tilewright};
use std::io::Write as _;
use std::process::Stdio;

const UGLY: &str = "graph  g{\nparam T=8//tokens\n\n\ninput x:f32[T,64] // the rows\n  kernel k {\n   // twice\n y = x*( 2 )\n  }\noutput y }\n";
const NEAT: &str = "graph g {\n  param T = 8  //tokens\n\n  input x: f32[T, 64]  // the rows\n  kernel k {\n    // twice\n    y = x * (2)\n  }\n  output y\n}\n";

#[test]
fn files_are_formatted_in_place() {
    let folder = folder();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it is written");
    };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("it is there");
    let fmt = |args: &[&str]| tilewright(folder.path(), &[&["fmt"], args].concat());
    write("ugly.tw", UGLY);
    write("neat.tw", NEAT);
    let ran = fmt(&["--check", "neat.tw", "ugly.tw"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(1), "ugly.tw: not formatted\n")
    );
    assert_eq!(read("ugly.tw"), UGLY, "a check writes nothing");
    // A file that is refused keeps the others from being written.
    write("wrong.tw", "graph g {\n");
    let ran = fmt(&["ugly.tw", "wrong.tw"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(ran.stderr.contains("wrong.tw"), "{}", ran.stderr);
    assert_eq!(read("ugly.tw"), UGLY);
    let ran = fmt(&["ugly.tw", "neat.tw"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "ugly.tw: formatted\n")
    );
    assert_eq!(read("ugly.tw"), NEAT);
    let ran = fmt(&["--check", "ugly.tw"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    write("g.json", "{}");
    let ran = fmt(&["g.json"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    assert!(
        ran.stderr.contains("tilewright::fmt::json"),
        "{}",
        ran.stderr
    );
    let left = std::fs::read_dir(folder.path())
        .expect("it is a folder")
        .count();
    assert_eq!(left, 5, "nothing else is left");
}

#[test]
fn the_standard_input_is_formatted_to_the_standard_output() {
    let folder = folder();
    let run = |args: &[&str], text: &str| {
        let mut command = command(folder.path(), &[&["fmt", "-"], args].concat());
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = streams.spawn().expect("the command starts");
        let mut stdin = child.stdin.take().expect("it reads");
        stdin.write_all(text.as_bytes()).expect("it takes the text");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let stdout = String::from_utf8(output.stdout).expect("it is text");
        (output.status.code(), stdout)
    };
    assert_eq!(run(&[], UGLY), (Some(0), NEAT.into()));
    assert_eq!(run(&[], NEAT), (Some(0), NEAT.into()));
    let told = "<stdin>: not formatted\n".to_owned();
    assert_eq!(run(&["--check"], UGLY), (Some(1), told));
}

#[cfg(unix)]
#[test]
fn a_file_stays_what_it_is() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = folder();
    let path = folder.path().join("ugly.tw");
    std::fs::write(&path, UGLY).expect("it is written");
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    symlink("ugly.tw", folder.path().join("link.tw")).expect("there are links");
    let ran = tilewright(folder.path(), &["fmt", "link.tw"]);
    assert_eq!(ran.code, Some(0), "{}", ran.text());
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), NEAT);
    let about = std::fs::symlink_metadata(folder.path().join("link.tw")).expect("it is there");
    assert!(about.is_symlink());
    let mode = path.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

/// All layers that we keep are as the formatter has them.
#[test]
fn our_own_layers_are_formatted() {
    let folder = folder();
    let examples = example("rms_norm.tw");
    let examples = examples.parent().expect("it is in a folder");
    let files = std::fs::read_dir(examples).expect("it is a folder");
    let mut layers: Vec<String> = files
        .map(|f| f.expect("it is listed").path())
        .filter(|p| p.extension().is_some_and(|e| e == "tw"))
        .map(|p| p.display().to_string())
        .collect();
    layers.sort();
    assert!(layers.len() > 5, "{layers:?}");
    let mut args = vec!["fmt", "--check"];
    args.extend(layers.iter().map(String::as_str));
    let ran = tilewright(folder.path(), &args);
    assert_eq!(ran.text(), "exit code: 0\n");
}

/// What its owner has protected stays, and the remedy works.
#[test]
fn a_file_that_is_read_only_stays() {
    let folder = folder();
    let path = folder.path().join("gate.tw");
    let text = std::fs::read_to_string(&path).expect("it is there");
    let open = text.replace("param T = 8", "param T=8");
    std::fs::write(&path, &open).expect("it is written");
    let mut may = std::fs::metadata(&path).expect("it is there").permissions();
    may.set_readonly(true);
    std::fs::set_permissions(&path, may).expect("they are set");
    let ran = tilewright(folder.path(), &["fmt", "gate.tw"]);
    assert_eq!(ran.code, Some(3), "{}", ran.text());
    let code = "tilewright::file::read_only";
    assert!(ran.stderr.starts_with(code), "{}", ran.text());
    assert!(ran.stderr.contains("chmod u+w"), "{}", ran.text());
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), open);
}
