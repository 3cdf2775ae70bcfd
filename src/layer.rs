//! A graph file, as text or JSON, and the graph that it stands for at some sizes.

use crate::derived::derived;
use crate::error::{Error, Refusal, Result};
use crate::place::is_stream;
use indexmap::IndexMap;
use miette::NamedSource;
use std::io::Read as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tilewright_backends::data::Tensors;
use tilewright_ir::graph::{Graph, GraphError, Hold};
use tilewright_ir::text::{self, ast};
use tilewright_passes::kernel::allocate::AllocateError;
use tilewright_passes::pass::PassError;
use tilewright_passes::search::OptimizeError;
use tilewright_passes::search::kernel::ExtractError;
use tilewright_passes::search::pins::{Holds, Pin, PinError};

/// Bytes of a graph file in JSON, which is longer than text.
const MAX_JSON: u64 = 64 << 20;

/// A graph file that has been read, at no sizes yet.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The file's name, for messages.
    pub name: String,
    /// What messages point into; empty for JSON.
    text: String,
    form: FileForm,
    /// Pins that other files say.
    pins: Vec<PinPlace>,
}

/// A pin in a file, for messages about it.
#[derive(Debug, Clone)]
pub struct PinPlace {
    /// The pin.
    pub pin: Pin,
    /// The file.
    pub source: Arc<NamedSource<String>>,
    /// Where in it.
    pub at: Range<usize>,
}

#[derive(Debug, Clone)]
enum FileForm {
    Text(ast::File),
    /// Sizes are fixed.
    Json(Box<Graph>),
}

impl Layer {
    /// Reads a `.json` file as JSON, and every other one as text. `-` is the standard input: JSON if it begins with a bracket.
    ///
    /// # Errors
    ///
    /// A path that is no readable file, and what [`Layer::parse`] refuses.
    pub fn load(path: &Path) -> Result<Layer> {
        let bytes = read(path, MAX_JSON)?;
        if is_stream(path) {
            let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
            return Layer::parse_as("<stdin>", &bytes, first == Some(&b'{'));
        }
        Layer::parse(&path.display().to_string(), &bytes)
    }

    /// As [`Layer::load`], from memory; `name` decides between the two forms.
    ///
    /// # Errors
    ///
    /// Bytes that are no graph in that form.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Layer> {
        Layer::parse_as(name, bytes, name.to_ascii_lowercase().ends_with(".json"))
    }

    fn parse_as(name: &str, bytes: &[u8], json: bool) -> Result<Layer> {
        let lossy = || String::from_utf8_lossy(bytes).into_owned();
        if json {
            // What breaks off or is no JSON at all is told before what a graph has to have.
            if let Err(e) = serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
                return Err(Error::JsonText {
                    name: name.into(),
                    line: e.line(),
                    what: match e.is_eof() {
                        true => "it ends in the middle",
                        false => "something else stands where JSON goes on",
                    },
                }
                .into());
            }
            let graph = Graph::from_json(&lossy())?;
            return Ok(Layer {
                name: name.into(),
                text: String::new(),
                form: FileForm::Json(Box::new(graph)),
                pins: vec![],
            });
        }
        let file = text::parse_bytes(bytes).map_err(|e| Refusal::from(e).within(name, &lossy()))?;
        Ok(Layer {
            name: name.into(),
            text: lossy(),
            form: FileForm::Text(file),
            pins: vec![],
        })
    }

    /// The syntax tree with its text; none of JSON.
    pub(crate) fn syntax(&self) -> Option<(&ast::File, &str)> {
        match &self.form {
            FileForm::Text(file) => Some((file, &self.text)),
            FileForm::Json(_) => None,
        }
    }

    /// Tells where pins of this layer are said, which [`Layer::locate`] then points at.
    pub fn pinned_at(&mut self, places: Vec<PinPlace>) {
        self.pins = places;
    }

    /// The names of the params, in order.
    pub fn params(&self) -> Vec<String> {
        match &self.form {
            FileForm::Text(file) => file.params().map(|p| p.name.name.clone()).collect(),
            FileForm::Json(graph) => graph.params.keys().cloned().collect(),
        }
    }

    /// The name of the param that is the number of ranks, if the graph runs on several.
    pub fn ranks(&self) -> Option<String> {
        self.param(ast::ParamRole::Ranks, |graph| graph.ranks.clone())
    }

    /// The name of the param that bounds what a rank may receive, if there is one.
    pub fn capacity(&self) -> Option<String> {
        self.param(ast::ParamRole::Capacity, |graph| graph.capacity.clone())
    }

    fn param(&self, role: ast::ParamRole, of: impl Fn(&Graph) -> Option<String>) -> Option<String> {
        match &self.form {
            FileForm::Text(file) => {
                let found = file.params().find(|p| p.role == role);
                found.map(|p| p.name.name.clone())
            }
            FileForm::Json(graph) => of(graph),
        }
    }

    /// The verified graph at these values of its params.
    ///
    /// # Errors
    ///
    /// A setting that the graph does not have or that gives no graph, with its place.
    pub fn graph(&self, settings: &IndexMap<String, i64>) -> Result<Graph> {
        match &self.form {
            FileForm::Text(file) => text::elaborate(file, settings)
                .map_err(|e| Refusal::from(e).within(&self.name, &self.text)),
            FileForm::Json(graph) => {
                let changed = |(n, v): &(&String, &i64)| graph.params.get(*n) != Some(*v);
                match settings.iter().find(changed) {
                    Some((name, value)) => Err(Error::FixedSizes {
                        name: name.clone(),
                        value: *value,
                    }
                    .into()),
                    None => Ok(graph.as_ref().clone()),
                }
            }
        }
    }

    /// As [`Layer::graph`], with sizes in line: `layer.at([("D", 1024)])`, or `layer.at([])` for those of the file.
    ///
    /// # Errors
    ///
    /// As [`Layer::graph`].
    pub fn at<'n>(&self, sizes: impl IntoIterator<Item = (&'n str, i64)>) -> Result<Graph> {
        let sizes = sizes.into_iter().map(|(name, size)| (name.into(), size));
        self.graph(&sizes.collect())
    }

    /// Settings under which the graph fits these inputs: the explicit ones, params that are dimensions of an input, and params
    /// that stand as whole numbers of rank 0 among them (`layer_id`).
    ///
    /// # Errors
    ///
    /// Tensors of another rank than declared, and sizes that contradict each other or what is explicit.
    pub fn settings_for(
        &self,
        explicit: &IndexMap<String, i64>,
        inputs: &Tensors,
    ) -> Result<IndexMap<String, i64>> {
        let FileForm::Text(file) = &self.form else {
            return Ok(explicit.clone());
        };
        let mut settings = explicit.clone();
        for name in self.params() {
            let scalar = inputs
                .get(&name)
                .filter(|t| t.shape.is_empty() && !t.dtype.is_float());
            if let Some(value) = scalar.and_then(|t| t.to_i64().first().copied()) {
                settings.entry(name).or_insert(value);
            }
        }
        let shapes = inputs
            .iter()
            .map(|(name, t)| (name.clone(), t.shape.clone()))
            .collect();
        text::infer_settings(file, &settings, &shapes)
            .map_err(|e| Refusal::from(e).within(&self.name, &self.text))
    }

    /// The text of this layer at the sizes of its graph, with what a search decided in its kernels.
    ///
    /// # Errors
    ///
    /// A graph of other sizes than this layer can have.
    pub fn with_holds(&self, graph: &Graph, holds: &Holds) -> Result<String> {
        let lines = |pins: &Vec<Pin>| pins.iter().map(Pin::hold).collect();
        let held: IndexMap<String, Vec<Hold>> = (holds.iter())
            .map(|(region, pins)| (region.clone(), lines(pins)))
            .collect();
        match &self.form {
            FileForm::Text(file) => text::with_holds(file, &graph.params, &held)
                .map(|file| text::print(&file))
                .map_err(|e| Refusal::from(e).within(&self.name, &self.text)),
            FileForm::Json(_) => {
                let mut graph = graph.clone();
                for region in &mut graph.regions {
                    region.holds = held.get(&region.name).cloned().unwrap_or_default();
                }
                Ok(text::print_graph(&graph))
            }
        }
    }

    /// The same refusal with its place in this file, where the file has one.
    pub fn locate(&self, mut refusal: Refusal) -> Refusal {
        if let Error::Pass(PassError::Pin(error)) = &*refusal.error {
            let place = self.pin_place(error);
            if let Some(derived) = derived(error) {
                *refusal.error = derived;
            }
            return match place {
                Some((source, at)) => Refusal {
                    text: Some(source),
                    place: Some((at.into(), "here".into())),
                    ..refusal
                },
                None => refusal,
            };
        }
        let FileForm::Text(file) = &self.form else {
            return refusal;
        };
        if let Error::Pass(PassError::Graph(GraphError::AtNode { node, .. })) = &*refusal.error {
            let Some(span) = statement_of(file, node) else {
                return refusal;
            };
            refusal.place = Some((span.into(), "here".into()));
            return refusal.within(&self.name, &self.text);
        }
        let Some((region, tile)) = place_of(&refusal.error) else {
            return refusal;
        };
        let Some(declared) = file.kernels().find(|k| k.name.name == region) else {
            return refusal;
        };
        let tiles = declared.body.lines.iter().find_map(|l| match &l.kind {
            ast::Stmt::Tile { name, size, .. } if Some(name.name.as_str()) == tile => {
                Some(name.span.to(size.span))
            }
            ast::Stmt::Let { value, .. } => {
                let mut exchanges = file.exchanges();
                let e = exchanges.find(|e| value.calls(&e.signature.name.name))?;
                e.tile(tile?).map(|name| name.span)
            }
            _ => None,
        });
        // Where a tile does not fit that no line declares, the kernel alone says nothing.
        let named = matches!(&*refusal.error, Error::Pass(PassError::Problem(_)));
        let Some(span) = tiles.or(named.then_some(declared.name.span)) else {
            return refusal;
        };
        refusal.place = Some((span.into(), "here".into()));
        refusal.within(&self.name, &self.text)
    }
}

impl Layer {
    /// Where the pin stands that an error is about, if a file says it: the last one counts, as it does for the search.
    fn pin_place(&self, error: &PinError) -> Option<(Arc<NamedSource<String>>, Range<usize>)> {
        let (kernel, param) = match error {
            PinError::UnknownKernel { kernel, .. } => (kernel, None),
            PinError::UnknownParameter { kernel, param, .. }
            | PinError::Value { kernel, param, .. }
            | PinError::DoesNotDivide { kernel, param, .. }
            | PinError::NotAMultiple { kernel, param, .. } => (kernel, Some(param)),
            _ => return None,
        };
        let is_it = |k: &str, p: &str| k == kernel && param.is_none_or(|param| p == param);
        let said = |p: &&PinPlace| is_it(&p.pin.kernel, p.pin.param.name());
        if let Some(place) = self.pins.iter().rfind(said) {
            return Some((place.source.clone(), place.at.clone()));
        }
        let (file, text) = self.syntax()?;
        let lines = file
            .kernels()
            .flat_map(|k| k.body.lines.iter().map(move |l| (k, &l.kind)));
        let span = lines.filter_map(|(k, line)| {
            let ast::Stmt::Hold { part, params } = line else {
                return None;
            };
            let of = part.as_ref().unwrap_or(&k.name);
            let held = params.iter().find(|h| is_it(&of.name, &h.param.name))?;
            Some(match (param, part) {
                (None, Some(part)) => part.span,
                _ => held.param.span,
            })
        });
        let span = span.last()?;
        let source = NamedSource::new(&self.name, text.to_owned());
        Some((Arc::new(source), span.start..span.end))
    }
}

/// The right side of the line that gives a value, or of which it is a part: these are called after what the line gives.
fn statement_of(file: &ast::File, node: &str) -> Option<ast::Span> {
    let lines = file.kernels().flat_map(|k| &k.body.lines);
    let named = lines.filter_map(|l| match &l.kind {
        ast::Stmt::Let { targets, value } => {
            let of = |name: &str| {
                node.strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
            };
            let target = targets.iter().find(|t| of(&t.name))?;
            Some((target.name.len(), value.span))
        }
        _ => None,
    });
    named
        .max_by_key(|(length, _)| *length)
        .map(|(_, span)| span)
}

/// The region, and the tile in it, that an error of a schedule as written is about.
fn place_of(error: &Error) -> Option<(&str, Option<&str>)> {
    match error {
        Error::Pass(PassError::Problem(problem)) => Some((problem.region(), None)),
        Error::Pass(PassError::Optimize(OptimizeError::Extract(ExtractError::Overflow {
            error: AllocateError::Overflow { kernel, tiles, .. },
            ..
        }))) => Some((kernel, tiles.first().map(|(name, _)| name.as_str()))),
        _ => None,
    }
}

/// The canonical text of a layer file, with its comments.
///
/// # Errors
///
/// Bytes that do not parse, with their place, and a text that would say something else: of which the graph at the sizes that the
/// file says would be another, for one.
pub fn formatted(name: &str, bytes: &[u8]) -> Result<String> {
    let lossy = || String::from_utf8_lossy(bytes).into_owned();
    let refused = |e: Refusal| e.within(name, &lossy());
    let file = text::parse_bytes(bytes).map_err(|e| refused(e.into()))?;
    let formatted = text::format(&lossy()).map_err(|e| refused(e.into()))?;
    let again = text::parse(&formatted).map_err(|e| refused(e.into()))?;
    // A file that is no graph at these sizes can be formatted as well.
    let graph = |file: &ast::File| text::elaborate(file, &IndexMap::new()).ok();
    let graphs = [&file, &again].map(|f| graph(f).map(|g| text::print_graph(&g)));
    match graphs[0] == graphs[1] {
        true => Ok(formatted),
        false => Err(text::FormatError::Changed { what: "meaning" }.into()),
    }
}

/// The bytes of a layer file.
///
/// # Errors
///
/// A path that is no readable file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    read(path, MAX_JSON)
}

/// A small text file.
///
/// # Errors
///
/// A path that is no readable file of text.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read(path, MAX_JSON)?;
    String::from_utf8(bytes).map_err(|_| {
        Error::Read {
            path: path.into(),
            reason: "it is no text in UTF-8".into(),
            help: "is this the right file?".into(),
        }
        .into()
    })
}

/// The bytes of a file, up to a limit.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    match is_stream(path) {
        true => read_stdin(limit),
        false => read_file(path, limit),
    }
}

/// The standard input, up to a limit: who asks again gets the same.
fn read_stdin(limit: u64) -> Result<Vec<u8>> {
    static READ: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(bytes) = &*read {
        return Ok(bytes.clone());
    }
    let path = || PathBuf::from("<stdin>");
    let mut bytes = vec![];
    let input = std::io::stdin().lock();
    let done = input.take(limit + 1).read_to_end(&mut bytes);
    done.map_err(|e| Error::Read {
        path: path(),
        reason: e.to_string(),
        help: "give the text of a graph, or name its file".into(),
    })?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge {
            path: path(),
            limit,
        }
        .into());
    }
    Ok(read.insert(bytes).clone())
}

fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let refused = |reason: String, help: &str| Error::Read {
        path: path.into(),
        reason,
        help: help.into(),
    };
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => refused(
            "there is no such file".into(),
            "check the path; it starts at the folder that the command runs in",
        ),
        _ => refused(e.to_string(), "check that the path names a readable file"),
    };
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(refused("it is a folder".into(), "name a graph file in it").into());
    }
    let mut bytes = vec![];
    std::fs::File::open(path)
        .and_then(|f| f.take(limit + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge {
            path: path.into(),
            limit,
        }
        .into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Options, compile};
    use crate::form::Form;
    use miette::Diagnostic;
    use tilewright_ir::machine::{DEFAULT_MACHINE, Machine};

    /// `gate` is cut into `gate_mm` and `gate_act`; the name of `gate_up` begins with its own.
    const LAYER: &str = "graph g {
  param T = 16
  param D = 64
  param N = 32
  input x: bf16[T, D]
  input w: bf16[N, D]
  input b: f32[N]
  kernel gate {
    tile N_TILE = 16 over N
    p = matmul_nt(x, w)
    y = sqrt_softplus(p)
  }
  kernel gate_up {
    tile T_TILE = 16 over T
    tile N_TILE = 16 over N
    z = add(y, 1)
  }
  output z
}
";

    /// What is underlined in the layer with `from` written as `to`.
    fn underlined(changes: &[(&str, &str)]) -> String {
        let change = |text: String, (from, to): &(&str, &str)| text.replacen(from, to, 1);
        let text = changes.iter().fold(LAYER.to_owned(), change);
        let layer = Layer::parse("g.tw", text.as_bytes()).expect("it is a layer");
        let graph = layer.graph(&IndexMap::new()).expect("it has sizes");
        let machine = Machine::builtin(DEFAULT_MACHINE).expect("it is built in");
        let refused = compile(&graph, Form::Written, &Options::new(machine));
        let refusal = layer.locate(refused.expect_err("a kernel stores a vector"));
        let label = refusal.labels().and_then(|mut l| l.next());
        let label = label.expect("it has a place");
        text[label.offset()..][..label.len()].to_owned()
    }

    #[test]
    fn a_refusal_points_into_the_region_that_is_refused() {
        // A vector is no matrix, which is what kernels store.
        let own = [
            ("z = add(y, 1)", "v = add(b, 1)\n    z = add(y, 1)"),
            ("output z", "output z, v"),
        ];
        assert_eq!(underlined(&own), "gate_up");
        let part = [
            ("p = matmul", "v = add(b, 1)\n    p = matmul"),
            ("output z", "output z, v"),
        ];
        // Of a part of a region, the region's own.
        assert_eq!(underlined(&part), "gate");
    }
}
