//! The C++ compiler of this system: which one, what it is, and running it.

use super::error::HostError;
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// Commands that are tried in this order where `$CXX` names none.
const NAMES: [&str; 3] = ["c++", "g++", "clang++"];

/// Lines of a compiler's complaint that are shown.
const SHOWN: usize = 12;

/// A compiler that knows C++20.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiler {
    /// The command, and arguments that `$CXX` gave with it (`ccache g++`).
    command: Vec<String>,
    /// For the processor of this machine, if it can be told so.
    pub tuning: Vec<String>,
    /// The command and all predefined macros: its version, and what its target can do.
    pub identity: String,
}

/// What running the compiler came to.
pub(super) enum Ended {
    Well {
        stdout: String,
    },
    /// It said no; the first lines of why.
    Refused(String),
    /// It did not start.
    NotStarted(String),
}

impl Compiler {
    /// The compiler that `$CXX` names, otherwise the first of `c++`, `g++` and `clang++` that there is.
    ///
    /// # Errors
    ///
    /// [`HostError::NoCompiler`] with every command that was tried.
    pub fn find() -> Result<Self, HostError> {
        Compiler::find_by(env::var("CXX").ok().as_deref())
    }

    /// As [`Compiler::find`], with the value of `$CXX`.
    ///
    /// # Errors
    ///
    /// As [`Compiler::find`].
    pub fn find_by(cxx: Option<&str>) -> Result<Self, HostError> {
        let named = cxx.map(str::trim).filter(|c| !c.is_empty());
        let candidates = match named {
            Some(c) => vec![c.split_whitespace().map(String::from).collect()],
            None => NAMES.map(|n| vec![n.to_string()]).to_vec(),
        };
        let mut tried = vec![];
        for command in candidates {
            let name = command.join(" ");
            match Compiler::probe(command) {
                Ok(found) => return Ok(found),
                Err(why) => tried.push(match named {
                    Some(_) => format!("`{name}`, which CXX names ({why})"),
                    None => format!("`{name}` ({why})"),
                }),
            }
        }
        Err(HostError::NoCompiler { tried })
    }

    fn probe(command: Vec<String>) -> Result<Self, String> {
        let mut compiler = Compiler {
            command,
            tuning: vec!["-march=native".into()],
            identity: String::new(),
        };
        let ask = |c: &Compiler| {
            let mut args = vec!["-std=c++20", "-dM", "-E", "-x", "c++"];
            args.extend(c.tuning.iter().map(String::as_str));
            args.push("/dev/null");
            c.run(Path::new("."), &args)
        };
        let mut ended = ask(&compiler);
        if let Ended::Refused(_) = ended {
            compiler.tuning.clear();
            ended = ask(&compiler);
        }
        match ended {
            Ended::Well { stdout } if stdout.contains("__cplusplus") => {
                // Two commands may say the same of themselves.
                compiler.identity = format!("{}\n{stdout}", compiler.name());
                Ok(compiler)
            }
            Ended::Well { .. } => Err("it is no C++ compiler".into()),
            Ended::Refused(said) => Err(match said.lines().next() {
                Some(line) => format!("it refuses C++20: {line}"),
                None => "it refuses C++20".into(),
            }),
            Ended::NotStarted(why) => Err(why),
        }
    }

    /// The command as a user would type it.
    pub fn name(&self) -> String {
        self.command.join(" ")
    }

    /// Runs it in a folder.
    pub(super) fn run(&self, folder: &Path, args: &[impl AsRef<std::ffi::OsStr>]) -> Ended {
        let Some((program, first)) = self.command.split_first() else {
            return Ended::NotStarted("no command".into());
        };
        let output = Command::new(program)
            .args(first)
            .args(args)
            .current_dir(folder)
            // Messages that do not depend on who runs it.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output();
        match output {
            Err(e) => Ended::NotStarted(e.to_string()),
            Ok(o) if o.status.success() => Ended::Well {
                stdout: String::from_utf8_lossy(&o.stdout).into_owned(),
            },
            Ok(o) => Ended::Refused(first_lines(&String::from_utf8_lossy(&o.stderr))),
        }
    }
}

/// The first error and what follows it.
fn first_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let start = lines.iter().position(|l| l.contains("error")).unwrap_or(0);
    let shown = &lines[start..lines.len().min(start + SHOWN)];
    let mut text = shown.join("\n");
    match lines.len() - start - shown.len() {
        0 => {}
        more => text.push_str(&format!("\n... and {more} lines more")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_compiler_that_is_named_and_missing_is_no_reason_to_take_another() {
        let e = Compiler::find_by(Some("no-such-compiler -O1")).unwrap_err();
        let text = e.to_string();
        assert!(
            text.contains("`no-such-compiler -O1`, which CXX names"),
            "{text}"
        );
        assert!(!text.contains("`c++`"), "{text}");
    }

    #[test]
    fn what_is_no_compiler_is_told_so() {
        let text = Compiler::find_by(Some("true")).unwrap_err().to_string();
        assert!(text.contains("it is no C++ compiler"), "{text}");
        let text = Compiler::find_by(Some("false")).unwrap_err().to_string();
        assert!(text.contains("it refuses C++20"), "{text}");
    }

    #[test]
    fn the_system_has_one_with_an_identity() {
        let compiler = Compiler::find_by(None).unwrap();
        assert!(NAMES.contains(&compiler.name().as_str()));
        assert!(compiler.identity.contains("__VERSION__"));
        // Arguments stay, and are part of what is shown.
        let with = Compiler::find_by(Some(&format!(" {}  -DA=1 ", compiler.name()))).unwrap();
        assert_eq!(with.name(), format!("{} -DA=1", compiler.name()));
        assert!(with.identity.contains("#define A 1"));
    }

    #[test]
    fn a_complaint_starts_at_the_first_error_and_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..40).map(|i| format!("int a{i} = no{i};\n")).collect();
        fs::write(folder.path().join("x.cpp"), lines).unwrap();
        let compiler = Compiler::find_by(None).unwrap();
        match compiler.run(folder.path(), &["-c", "x.cpp"]) {
            Ended::Refused(said) => {
                assert!(said.starts_with("x.cpp:1:"), "{said}");
                assert!(said.contains("no0"), "{said}");
                assert!(said.contains("lines more"), "{said}");
                assert_eq!(said.lines().count(), SHOWN + 1);
            }
            _ => panic!("the text is no C++"),
        }
    }
}
