//! `--watch`.

use crate::common::{command, folder};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const LAYER: &str =
    "graph g {\n  input x: f32[8, 64]\n  kernel k {\n    y = x * 2\n  }\n  output y\n}\n";

/// The command is ended, whatever becomes of the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_changed_file_is_run_again() {
    let folder = folder();
    let file = folder.path().join("g.tw");
    let write = |text: &str| std::fs::write(&file, text).expect("it is written");
    write(LAYER);
    let mut command = command(folder.path(), &["optimize", "g.tw", "--watch"]);
    let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(streams.spawn().expect("the command starts"));
    let out = running.0.stdout.take().expect("it prints");
    let mut lines = BufReader::new(out).lines();
    let mut until = |end: &str| -> String {
        let mut text = String::new();
        for line in lines.by_ref() {
            let line = line.expect("it is text");
            text.push_str(&line);
            text.push('\n');
            if line.starts_with(end) {
                return text;
            }
        }
        panic!("it ended before {end}: {text}");
    };
    let first = until("watching g.tw");
    assert!(first.contains("g on A3"), "{first}");
    write(&LAYER.replace("graph g", "graph another"));
    let second = until("watching g.tw");
    assert!(
        second.contains("g.tw changed") && second.contains("another on A3"),
        "{second}"
    );
    // What is refused is told, and the next change is tried.
    write(&LAYER.replace("x * 2", "x *"));
    let third = until("watching g.tw");
    assert!(!third.contains(" on A3"), "{third}");
    write(LAYER);
    let fourth = until("watching g.tw");
    assert!(fourth.contains("g on A3"), "{fourth}");
}
