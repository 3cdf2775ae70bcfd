//! A terminal that a command runs on, and what it shows.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// How a command ended, and all that it showed.
pub struct Shown {
    pub code: Option<i32>,
    pub text: String,
}

/// Runs a command on a terminal of 100 columns, on which `typed` is typed.
pub fn run(command: &mut Command, typed: &str) -> Shown {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master)
        .and_then(|()| unlockpt(&master))
        .expect("it is ours");
    let size = Winsize {
        ws_row: 40,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&master, size).expect("it has a size");
    let name = ptsname(&master, vec![]).expect("it has a name");
    let name = name.into_string().expect("its name is text");
    let slave = OpenOptions::new().read(true).write(true).open(name);
    let slave = slave.expect("it opens");
    let end = || Stdio::from(slave.try_clone().expect("it has more ends"));
    let command = command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("the command starts");
    // Only the child's ends are left, so that reading ends with it.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    drop(slave);
    let mut master = File::from(master);
    master
        .write_all(typed.as_bytes())
        .expect("it takes what is typed");
    let mut text = vec![];
    let mut part = [0; 4096];
    // Linux ends a terminal that nobody has open any more with an error.
    while let Ok(n @ 1..) = master.read(&mut part) {
        text.extend_from_slice(&part[..n]);
    }
    let code = child.wait().expect("it ends").code();
    let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
    assert!(!text.contains("panicked"), "{text}");
    Shown { code, text }
}
