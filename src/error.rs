//! Why something was refused: one error for all stages, with the text that its places point into.

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tilewright_backends::ascend::EmitError;
use tilewright_backends::backend::BackendError;
use tilewright_backends::data::DataError;
use tilewright_backends::emitter::EmitterError;
use tilewright_backends::host::HostError;
use tilewright_backends::npu::NpuError;
use tilewright_backends::reference::ReferenceError;
use tilewright_backends::sim::SimError;
use tilewright_ir::graph::{GraphError, JsonError};
use tilewright_ir::machine::MachineError;
use tilewright_ir::syntax::meant;
use tilewright_ir::text::{FormatError, LowerError, ParseError};
use tilewright_passes::egraph::rules::user::UserRuleError;
use tilewright_passes::pass::{PassError, Stage};

/// What can go wrong on the way from a file to a report.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
#[non_exhaustive]
pub enum Error {
    #[error("{reason}")]
    #[diagnostic(
        code(tilewright::calibrate::records),
        help("a table of records is written as examples/calibration/records.toml")
    )]
    Calibration { reason: String },
    #[error("cannot read {}: {reason}", path.display())]
    #[diagnostic(code(tilewright::file::read), help("{help}"))]
    Read {
        path: PathBuf,
        reason: String,
        help: String,
    },
    #[error("cannot write {}: it is read-only", path.display())]
    #[diagnostic(
        code(tilewright::file::read_only),
        help(
            "make it writable, as with `chmod u+w`; or leave it, and print the text: `tilewright fmt - < FILE`"
        )
    )]
    ReadOnly { path: PathBuf },
    #[error("{} is longer than {limit} bytes", path.display())]
    #[diagnostic(
        code(tilewright::file::too_large),
        help("a layer graph is a few kilobytes: is this the right file?")
    )]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("the kernels {form} do not compute what the layer says: {outputs} differ")]
    #[diagnostic(
        code(tilewright::verify::differs),
        help(
            "nothing was written. Where the layer rounds on purpose, say the tolerance: `output y within(rtol = 1e-2)`; \
             --no-verify writes the kernels all the same"
        )
    )]
    Differs { form: &'static str, outputs: String },
    #[error("{message}")]
    #[diagnostic(code(tilewright::ranks::failed), help("{help}"))]
    ExchangeFailed { message: String, help: String },
    #[error("graph `{graph}` runs on one rank")]
    #[diagnostic(
        code(tilewright::settings::no_ranks),
        help("--ep is for graphs that declare `ranks NAME = N`; leave it out")
    )]
    NoRanks { graph: String },
    #[error("graph `{graph}` declares no capacity")]
    #[diagnostic(
        code(tilewright::settings::no_capacity),
        help(
            "--capacity fixed:N sets what the file declares as `capacity NAME = SIZE`; leave it out"
        )
    )]
    NoCapacity { graph: String },
    #[error(
        "tensor `{name}` has a first dimension of {first}, and the layer runs on {ranks} ranks"
    )]
    #[diagnostic(
        code(tilewright::data::not_by_rank),
        help(
            "tensors of a layer on several ranks have the ranks as their first dimension; --ep says how many there are"
        )
    )]
    NotByRank {
        name: String,
        first: usize,
        ranks: usize,
    },
    #[error("{} is there already", path.display())]
    #[diagnostic(
        code(tilewright::file::exists),
        help("give another name, or remove the file first")
    )]
    Exists { path: PathBuf },
    #[error("a graph in JSON has fixed sizes, so `{name}` cannot become {value}")]
    #[diagnostic(
        code(tilewright::settings::fixed),
        help(
            "set sizes of a `.tw` file, and write JSON from that: `tilewright show FILE --set NAME=VALUE --as json`"
        )
    )]
    FixedSizes { name: String, value: i64 },
    #[error("`--rows {file}` gives no counts: {what}")]
    #[diagnostic(
        code(tilewright::settings::rows),
        help(
            "write `expected`, `full`, or a JSON file of counts by name, one number a group: {{\"recv_count\": [3, 0, 1]}}"
        )
    )]
    Rows { file: String, what: String },
    #[error("graph `{graph}` has no param `layer_id`, which `--layer-id` sets")]
    #[diagnostic(
        code(tilewright::settings::no_layer_id),
        help(
            "declare `param layer_id = 0` in the graph, or leave the option out; its params are {known}"
        )
    )]
    NoLayerId { graph: String, known: String },
    #[error("`{name}` is set to {first} by one option and to {second} by another")]
    #[diagnostic(code(tilewright::settings::conflict), help("set `{name}` once"))]
    ConflictingOptions {
        name: String,
        first: i64,
        second: i64,
    },
    #[error("the values of this graph take {need} bytes, of at most {limit} in a run")]
    #[diagnostic(
        code(tilewright::data::too_much),
        help(
            "run it at smaller sizes, for example `--set {largest}=...`; `tilewright optimize` and `tilewright emit` need no data"
        )
    )]
    TooMuchData {
        need: u128,
        limit: u128,
        largest: String,
    },
    #[error("{} expects `{name}`, which the graph does not return", path.display())]
    #[diagnostic(
        code(tilewright::data::unknown_output),
        help("its outputs are {known}")
    )]
    UnknownOutput {
        path: PathBuf,
        name: String,
        known: String,
    },
    #[error("{} holds no expected output of this graph", path.display())]
    #[diagnostic(
        code(tilewright::data::nothing_expected),
        help(
            "name its tensors as the graph's outputs, with or without the prefix `out.`: {known}"
        )
    )]
    NothingExpected { path: PathBuf, known: String },
    #[error("pass `{pass}` is not in the order {order}")]
    #[diagnostic(
        code(tilewright::passes::not_in_order),
        help("name a pass of the order; `--passes` gives another one")
    )]
    NotInOrder { pass: String, order: String },
    #[error("the passes end with a {found}, and kernels need a program")]
    #[diagnostic(
        code(tilewright::passes::no_program),
        help("let the order end as the default one does: {default}")
    )]
    NoProgram { found: Stage, default: String },
    #[error("what pass `{pass}` returns has no JSON")]
    #[diagnostic(
        code(tilewright::passes::no_json),
        help("dump it as text, to a file whose name does not end in `.json`")
    )]
    NoJson { pass: String },
    #[error("a {found} has no picture")]
    #[diagnostic(
        code(tilewright::show::no_picture),
        help("graphs have one: show it without `--after`, or after one of {passes}")
    )]
    NoPicture { found: Stage, passes: String },
    #[error("{} is not a folder of {what}", path.display())]
    #[diagnostic(
        code(tilewright::folder::foreign),
        help(
            "`{foreign}` in it was not written by tilewright: give another folder, or `--force` to add to it"
        )
    )]
    ForeignFolder {
        path: PathBuf,
        /// What was to be written: `kernels`.
        what: &'static str,
        foreign: String,
    },
    #[error("files in {} were changed since tilewright wrote them: `{changed}`", path.display())]
    #[diagnostic(
        code(tilewright::folder::changed),
        help("move them away to keep what was changed, or give `--force`, which overwrites it")
    )]
    ChangedFiles { path: PathBuf, changed: String },
    #[error("{first} and {second} both go to the standard output")]
    #[diagnostic(
        code(tilewright::settings::stdout),
        help("name a file for one of them")
    )]
    OneStdout { first: String, second: String },
    #[error("the standard input can be read once, and {what} reads it again")]
    #[diagnostic(
        code(tilewright::settings::stdin),
        help("write it to a file, and name that")
    )]
    OneStdin { what: &'static str },
    #[error("cannot write {}: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::folder::write),
        help(
            "check that the folder above it exists and is writable, and that the disk is not full"
        )
    )]
    Write { path: PathBuf, reason: String },
    #[error("cannot write to the standard output: {reason}")]
    #[diagnostic(
        code(tilewright::stdout),
        help("check what the output is connected to")
    )]
    Stdout { reason: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Format(#[from] FormatError),
    #[error("there is nothing to compare {} with", path.display())]
    #[diagnostic(
        code(tilewright::diff::one_side),
        help(
            "name a second layer or folder, or say what is other on the second side: `--to-machine`, `--to-pin`, `--to-pins` or `--to-set`"
        )
    )]
    OneSide { path: PathBuf },
    #[error("{} holds no {form} kernels", path.display())]
    #[diagnostic(
        code(tilewright::diff::no_kernels),
        help(
            "name a layer, a folder that `run`, `emit` or `snapshot` wrote kernels to, or a program in JSON; {other}"
        )
    )]
    NoKernels {
        path: PathBuf,
        form: &'static str,
        /// What can be done besides.
        other: &'static str,
    },
    #[error("`{option}` is about the second side, {}, whose kernels are there already", path.display())]
    #[diagnostic(
        code(tilewright::diff::saved),
        help("leave the option out, or name the layer that the kernels were made from")
    )]
    SavedSide { option: &'static str, path: PathBuf },
    #[error("{} is JSON, which is not formatted", path.display())]
    #[diagnostic(
        code(tilewright::fmt::json),
        help("`tilewright show {}` prints it as text", path.display())
    )]
    NotText { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lower(#[from] LowerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Json(#[from] JsonError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    UserRule(#[from] UserRuleError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pass(#[from] PassError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Emit(#[from] EmitError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reference(#[from] ReferenceError),
    #[error(
        "`{tile}` of kernel `{kernel}` is no parameter: it follows from `{base}` and from how loops run"
    )]
    #[diagnostic(code(tilewright::pins::derived), help("pin {how}"))]
    Derived {
        kernel: String,
        tile: String,
        /// The tile that it is about.
        base: String,
        how: String,
    },
    #[error("kernel `{kernel}` has no parameter `{param}` with the value `{value}`")]
    #[diagnostic(
        code(tilewright::pins::unknown_parameter),
        help("did you mean `{near}`? a tile takes a number of elements")
    )]
    NoParameter {
        kernel: String,
        param: String,
        value: String,
        near: &'static str,
    },
    #[error("there is no kernel `{kernel}` to explain")]
    #[diagnostic(
        code(tilewright::explain::unknown_kernel),
        help("{}the kernels are {known}", meant(kernel, known))
    )]
    NothingToExplain { kernel: String, known: String },
    #[error("there is no kernel `{kernel}` to show")]
    #[diagnostic(
        code(tilewright::swimlane::unknown_kernel),
        help("{}the kernels are {known}", meant(kernel, known))
    )]
    NoKernel { kernel: String, known: String },
    #[error("the order of passes has no search, so that there is nothing to explain")]
    #[diagnostic(
        code(tilewright::explain::no_search),
        help("leave `--passes` out, or let the order contain `optimize`")
    )]
    NoSearch,
    #[error(transparent)]
    #[diagnostic(transparent)]
    Moe(#[from] crate::moe::MoeError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] crate::moe::config::ConfigError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    ConfigFile(#[from] crate::config_error::ConfigFileError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Snapshot(#[from] crate::snapshot_error::SnapshotError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Backend(#[from] BackendError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Npu(#[from] NpuError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Emitter(#[from] EmitterError),
    #[error("there is no emitter `{name}`")]
    #[diagnostic(
        code(tilewright::emit::no_emitter),
        help("{}emit as {known}", meant(name, known))
    )]
    NoEmitter { name: String, known: String },
    #[error("`--build` compiles C++, and `--as {name}` prints none")]
    #[diagnostic(code(tilewright::emit::build), help("leave one of the options out"))]
    NothingToBuild { name: &'static str },
    #[error("there is no backend `{name}`")]
    #[diagnostic(
        code(tilewright::run::no_backend),
        help("{}run on {known}", meant(name, known))
    )]
    NoBackend { name: String, known: String },
    #[error("the kernels {form}: {fault}")]
    #[diagnostic(
        code(tilewright::run::refused),
        help(
            "{remedy}; kernels that tilewright chose itself should never come here, so this is a defect of it"
        )
    )]
    Refused {
        form: &'static str,
        fault: Box<SimError>,
        remedy: String,
        /// All that is wrong, with places in the emitted files.
        #[related]
        findings: Vec<crate::shown::Shown>,
    },
    #[error("{} is no kernel program: {reason}", path.display())]
    #[diagnostic(
        code(tilewright::file::program),
        help(
            "start from what `tilewright show FILE --after check-order --as json` or `--dump PASS=FILE.json` writes"
        )
    )]
    Program { path: PathBuf, reason: String },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tune(#[from] crate::tune_error::TuneError),
    #[error("{name} is no JSON: {what}, at line {line}")]
    #[diagnostic(
        code(tilewright::file::json),
        help(
            "write it anew: `tilewright show FILE --as json` writes graphs, and with `--after check-order` programs"
        )
    )]
    JsonText {
        name: String,
        line: usize,
        what: &'static str,
    },
    #[error("`{option}` is about graphs, and a saved program has its sizes and schedule")]
    #[diagnostic(
        code(tilewright::settings::saved),
        help("leave the option out, or check the graph that the program was made from")
    )]
    SavedProgram { option: &'static str },
}

/// An [`Error`] with the text that its places are in.
#[derive(Debug)]
pub struct Refusal {
    /// What went wrong.
    pub error: Box<Error>,
    /// The file that labels point into.
    pub text: Option<Arc<NamedSource<String>>>,
    /// A place that the error itself does not know, and what to write beside it.
    pub place: Option<(SourceSpan, String)>,
}

/// What the facade's functions return.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Refusal {
            error: Box::new(error.into()),
            text: None,
            place: None,
        }
    }
}

impl Refusal {
    /// The same refusal, with the text that its labels point into.
    pub fn within(mut self, name: &str, text: &str) -> Self {
        self.text = Some(Arc::new(NamedSource::new(name, text.to_string())));
        self
    }

    /// Whether it is about a pin of a kernel or a parameter that there is not: that is no answer to what a value would cost.
    pub fn asks_nothing(&self) -> bool {
        let code = self.code().map(|c| c.to_string());
        let nothing = [
            "tilewright::pins::unknown_kernel",
            "tilewright::pins::unknown_parameter",
        ];
        code.is_some_and(|code| nothing.contains(&code.as_str()))
    }

    /// What a refusal of a text is about, where the text's error only adds a place.
    fn inner(&self) -> Option<&dyn Diagnostic> {
        match &*self.error {
            Error::Lower(error) => error.inner(),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Diagnostic for Refusal {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        match self.inner() {
            Some(inner) => inner.code(),
            None => self.error.code(),
        }
    }

    fn severity(&self) -> Option<Severity> {
        self.error.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help().or_else(|| self.inner()?.help())
    }

    fn url<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.url()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.text.as_deref().map(|t| t as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        match &self.place {
            Some((span, label)) => {
                let label = LabeledSpan::new_with_span(Some(label.clone()), *span);
                Some(Box::new(std::iter::once(label)))
            }
            None => self.error.labels(),
        }
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        self.error.related()
    }
}
