//! Why something could not be tuned, and what is wrong with a database.

use miette::Diagnostic;
use std::path::PathBuf;

/// What tuning refuses.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
pub enum TuneError {
    #[error("`{graph}` runs on {ranks} ranks")]
    #[diagnostic(
        code(tilewright::tune::ranks),
        help(
            "tune what one rank computes alone, in a file without exchanges, with --write-pins FILE; this layer takes the same kernels with --pins FILE"
        )
    )]
    Ranks { graph: String, ranks: usize },
    #[error("there is no kernel `{kernel}` that can be tuned")]
    #[diagnostic(
        code(tilewright::tune::unknown_kernel),
        help("the kernels as written are {known}; one whose schedule has no choice is not tuned")
    )]
    Kernel { kernel: String, known: String },
    #[error("`{runner}` is no runner")]
    #[diagnostic(
        code(tilewright::tune::runner),
        help(
            "write sim, host, npu, or command:TEMPLATE, a shell command with {{job}} for the folder of a trial"
        )
    )]
    Runner { runner: String },
    #[error("`{template}` does not say where the folder of a trial goes")]
    #[diagnostic(
        code(tilewright::tune::template),
        help(
            "write {{job}} in its place, and quotes around the whole: --on 'command:tilewright trial {{job}} --on npu'"
        )
    )]
    Template { template: String },
    #[error("the layer as the search has it cannot be measured: {reason}")]
    #[diagnostic(
        code(tilewright::tune::reference),
        help("{remedy}; without a time to compare with nothing can be better")
    )]
    Reference {
        reason: String,
        /// How to find out more: what runs trials knows.
        remedy: &'static str,
    },
    #[error("{} is no trial: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::tune::job),
        help("a trial is a folder that `tilewright tune --on command:...` makes")
    )]
    Job { path: PathBuf, reason: String },
    #[error("line {line} of {} is no pin: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::tune::pins_file),
        help("a pins file has a pin a line, KERNEL.PARAM=VALUE; `#` starts a comment")
    )]
    PinsFile {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("a sweep of {count} schedules is too much")]
    #[diagnostic(
        code(tilewright::tune::sweep),
        help("leave values out until there are at most {limit}")
    )]
    TooMany { count: usize, limit: usize },
    #[error("a sweep over {count} parameters has no plot")]
    #[diagnostic(
        code(tilewright::tune::plot),
        help(
            "sweep over one parameter, which is a curve, or over two, which are a surface; or leave --svg out"
        )
    )]
    Plot { count: usize },
    #[error("`{text}` says nothing to sweep over")]
    #[diagnostic(
        code(tilewright::tune::over),
        help("write KERNEL.PARAM=VALUE,VALUE,... as in gate.GATE_N_TILE=16,32,64")
    )]
    Over { text: String },
    #[error("`{text}` names no sizes: {reason}")]
    #[diagnostic(
        code(tilewright::tune::sizes),
        help(
            "write NAME=SIZES with a param of the graph: T=1..64,128 is each size from 1 to 64, and 128"
        )
    )]
    Sizes { text: String, reason: String },
    #[error("the system does not say when this process is to end: {reason}")]
    #[diagnostic(
        code(tilewright::tune::signals),
        help("this is a defect of the system, or too many handlers")
    )]
    Signals { reason: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Database(#[from] DatabaseError),
}

/// What is wrong with a database.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
pub enum DatabaseError {
    #[error("there is no database {}", path.display())]
    #[diagnostic(
        code(tilewright::db::missing),
        help("`tilewright tune FILE` makes one; --db and TILEWRIGHT_DB say which one is meant")
    )]
    Missing { path: PathBuf },
    #[error("{} cannot be merged with itself", path.display())]
    #[diagnostic(
        code(tilewright::db::itself),
        help("name another database; --db and TILEWRIGHT_DB say which one takes the trials")
    )]
    Itself { path: PathBuf },
    #[error("{} has no trials of `{name}`", path.display())]
    #[diagnostic(
        code(tilewright::db::not_there),
        help(
            "{}it has trials of {known}",
            tilewright_ir::syntax::meant(name, known)
        )
    )]
    NotThere {
        path: PathBuf,
        name: String,
        known: String,
    },
    #[error("cannot open the database {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::open),
        help(
            "see that it is a file that can be read and written to, in a folder that can be, too; or name another one with --db, or do without with --no-db"
        )
    )]
    Open { path: PathBuf, reason: String },
    #[error("{} is damaged, or no database: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::corrupt),
        help(
            "nothing was changed. Move the file away and go on with a new one, or do without with --no-db; `sqlite3 FILE .recover` may save what it holds"
        )
    )]
    Corrupt { path: PathBuf, reason: String },
    #[error("{} has the format {found}, and this tilewright knows formats up to {known}", path.display())]
    #[diagnostic(
        code(tilewright::db::newer),
        help(
            "nothing was changed. Use the tilewright that made it, or name another file with --db"
        )
    )]
    Newer {
        path: PathBuf,
        found: i64,
        known: i64,
    },
    #[error("{} is some other database", path.display())]
    #[diagnostic(
        code(tilewright::db::foreign),
        help(
            "nothing was changed. Name a file with --db that `tilewright tune` made, or one that does not exist"
        )
    )]
    Foreign { path: PathBuf },
    #[error("another process has held {} for more than {seconds} s", path.display())]
    #[diagnostic(
        code(tilewright::db::locked),
        help("nothing was lost: wait until that process is done, and run this again")
    )]
    Locked { path: PathBuf, seconds: u64 },
    #[error("{} cannot be written to: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::read_only),
        help("what it holds can be used. To tune, name a file with --db that can be written to")
    )]
    ReadOnly { path: PathBuf, reason: String },
    #[error("there is no room for {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::full),
        help("all trials up to the last one are kept: make room, and run this again")
    )]
    Full { path: PathBuf, reason: String },
    #[error("cannot use the database {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::failed),
        help("`tilewright db verify` says what is wrong with it; --no-db does without")
    )]
    Failed { path: PathBuf, reason: String },
    #[error("line {line} of {} is no trial: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::db::import),
        help(
            "a file to import is what `tilewright db export` writes: a trial a line, in JSON; nothing of it was taken"
        )
    )]
    Import {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}
