//! Mixture-of-Experts layers from sizes: the layer file that an engineer would start from.
//!
//! There is one file to start from, `examples/dsv4_flash_moe.tw`. [`Moe::file`] is its syntax tree with other sizes, without the
//! parts that a model does not have, and with the model's way to score. So what is written is a file like one written by hand,
//! comments and all. [`config`] reads the sizes from a model's `config.json`.

pub mod config;

use indexmap::IndexMap;
use tilewright_ir::graph::RANKS;
use tilewright_ir::text::ast::{
    Block, Expr, ExprKind, File, Item, Kernel, Line, Param, Span, Stmt, Trivia,
};
use tilewright_ir::text::{elaborate, parse, print};

/// The layer that all others are made from.
const TEMPLATE: &str = include_str!("../../examples/dsv4_flash_moe.tw");

/// How a router's logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Scoring {
    #[value(name = "sqrtsoftplus")]
    SqrtSoftplus,
    Sigmoid,
    Softmax,
}

impl Scoring {
    pub const ALL: [Scoring; 3] = [Scoring::SqrtSoftplus, Scoring::Sigmoid, Scoring::Softmax];

    /// The name that configurations use.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::SqrtSoftplus => "sqrtsoftplus",
            Scoring::Sigmoid => "sigmoid",
            Scoring::Softmax => "softmax",
        }
    }

    /// Lines that compute `score` from `logits`.
    fn lines(self) -> &'static str {
        match self {
            Scoring::SqrtSoftplus => "score = sqrt_softplus(logits)",
            Scoring::Sigmoid => {
                "decay = exp(neg(logits))\n    denominator = add(decay, 1)\n    score = div(1, denominator)"
            }
            Scoring::Softmax => {
                "top_logit = row_max(logits)\n    weight = exp(sub(logits, top_logit))\n    total = row_sum(weight)\n    score = div(weight, total)"
            }
        }
    }
}

/// Residual streams that are mixed into the layer and out of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyper {
    pub streams: usize,
    pub iterations: usize,
    pub eps: f64,
}

/// Layers whose experts are a function of the token alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hash {
    /// Layers below this one route so.
    pub layers: usize,
    pub vocab: usize,
}

/// A Mixture-of-Experts layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Moe {
    pub name: String,
    pub ranks: usize,
    /// Tokens of a rank.
    pub tokens: usize,
    pub hidden: usize,
    /// Intermediate size of a routed expert.
    pub inter: usize,
    /// Intermediate size of the shared expert; 0 for none.
    pub shared_inter: usize,
    /// Routed experts over all ranks.
    pub experts: usize,
    pub topk: usize,
    pub scoring: Scoring,
    /// Whether the choice (and not the weight) is by the score plus a bias.
    pub bias: bool,
    /// Whether the weights of a token's experts are divided by their sum.
    pub normalize: bool,
    pub route_scale: f64,
    pub hash: Option<Hash>,
    /// Clamp of the activation; 0 for none.
    pub swiglu_limit: f64,
    pub hyper: Option<Hyper>,
    pub norm_eps: f64,
}

impl Default for Moe {
    /// DeepSeek-V4-Flash on two ranks.
    fn default() -> Self {
        Moe {
            name: "dsv4_flash_moe".into(),
            ranks: 2,
            tokens: 8,
            hidden: 4096,
            inter: 2048,
            shared_inter: 2048,
            experts: 64,
            topk: 6,
            scoring: Scoring::SqrtSoftplus,
            bias: true,
            normalize: true,
            route_scale: 1.5,
            hash: Some(Hash {
                layers: 3,
                vocab: 129_280,
            }),
            swiglu_limit: 10.0,
            hyper: Some(Hyper {
                streams: 4,
                iterations: 20,
                eps: 1e-6,
            }),
            norm_eps: 1e-6,
        }
    }
}

/// Why there is no such layer.
#[derive(Debug, Clone, PartialEq, thiserror::Error, miette::Diagnostic)]
pub enum MoeError {
    #[error("a layer on {ranks} ranks: expert parallelism is for 2, 4 or 8")]
    #[diagnostic(
        code(tilewright::moe::ranks),
        help("give --ep 2, 4 or 8; one rank alone dispatches nothing")
    )]
    Ranks { ranks: usize },
    #[error("{what} is {value}, which {problem}")]
    #[diagnostic(code(tilewright::moe::size), help("{help}"))]
    Size {
        what: &'static str,
        value: usize,
        problem: String,
        help: String,
    },
    #[error("hyper-connections without a shared expert")]
    #[diagnostic(
        code(tilewright::moe::no_shared),
        help("give the shared expert a size: what the experts return is added to its result")
    )]
    NoShared,
    #[error("the name `{name}` cannot be a graph's")]
    #[diagnostic(
        code(tilewright::moe::name),
        help("use letters, digits and `_`, not starting with a digit")
    )]
    Name { name: String },
}

impl Moe {
    fn check(&self) -> Result<(), MoeError> {
        if !tilewright_ir::graph::is_identifier(&self.name) {
            return Err(MoeError::Name {
                name: self.name.clone(),
            });
        }
        if !RANKS.contains(&self.ranks) {
            return Err(MoeError::Ranks { ranks: self.ranks });
        }
        let wrong = |what, value, problem: String, help: String| {
            Err(MoeError::Size {
                what,
                value,
                problem,
                help,
            })
        };
        // Rows of int8 are read in blocks of 32 bytes.
        let sizes = [
            ("the hidden size", self.hidden),
            ("the experts' intermediate size", self.inter),
            ("the shared expert's intermediate size", self.shared_inter),
        ];
        for (what, value) in sizes {
            let optional = value == 0 && what.starts_with("the shared");
            if !optional && (value == 0 || value % 32 != 0) {
                let near = (value.max(1)).next_multiple_of(32);
                let problem = "is no positive multiple of 32, a block of int8".into();
                return wrong(what, value, problem, format!("the nearest that is: {near}"));
            }
        }
        if self.experts == 0 || !self.experts.is_multiple_of(self.ranks) {
            let near = self.experts.max(1).next_multiple_of(self.ranks);
            let problem = format!("{} ranks cannot hold equal parts of", self.ranks);
            return wrong(
                "the number of experts",
                self.experts,
                problem,
                format!("the nearest that fits: {near}"),
            );
        }
        if self.topk == 0 || self.topk > self.experts {
            let problem = format!("is not between 1 and the {} experts", self.experts);
            return wrong(
                "experts a token",
                self.topk,
                problem,
                "give --topk in that range".into(),
            );
        }
        if self.tokens == 0 {
            let problem = "leaves nothing to do".into();
            return wrong("tokens of a rank", 0, problem, "give at least 1".into());
        }
        match (self.hyper, self.shared_inter) {
            (Some(_), 0) => Err(MoeError::NoShared),
            _ => Ok(()),
        }
    }

    /// The layer as text.
    ///
    /// # Errors
    ///
    /// Sizes that are no layer's.
    pub fn text(&self) -> Result<String, MoeError> {
        Ok(print(&self.file()?))
    }

    /// The layer's file.
    ///
    /// # Errors
    ///
    /// Sizes that are no layer's.
    pub fn file(&self) -> Result<File, MoeError> {
        self.check()?;
        let mut file = parse(TEMPLATE).expect("the committed layer parses");
        let standard = Moe::default();
        file.graph.kind.name.name.clone_from(&self.name);
        if self.name != standard.name {
            file.graph.leading.clear();
        }
        let mut edit = Edit {
            lines: &mut file.graph.kind.body,
        };
        self.parts(&mut edit);
        self.sizes(&mut edit);
        debug_assert!(
            elaborate(&file, &IndexMap::new()).is_ok(),
            "{}",
            print(&file)
        );
        Ok(file)
    }

    /// Leaves out and replaces what the model has not, or has otherwise.
    fn parts(&self, edit: &mut Edit) {
        if self.scoring != Scoring::SqrtSoftplus {
            edit.replace("gate", "score", self.scoring.lines());
        }
        if !self.bias {
            edit.remove_input("gate_bias");
            edit.replace("gate", "biased", "");
            edit.replace(
                "gate",
                "biased_pad",
                "biased_pad = pad_cols(score, to = SORT_COLS, value = lowest)",
            );
        }
        if !self.normalize {
            let weights =
                "picked = gather_cols(score, experts)\n    routed = mul(picked, ROUTE_SCALE)";
            edit.replace("route_sort", "routed", weights);
            edit.replace("route_hash", "routed", weights);
        }
        if self.hash.is_none() {
            edit.remove_kernel("route_hash");
            for i in ["tid2eid", "input_ids"] {
                edit.remove_input(i);
            }
            for p in ["VOCAB", "layer_id", "N_HASH_LAYERS"] {
                edit.remove_param(p);
            }
            edit.always("route_sort");
        }
        if self.hyper.is_none() {
            for k in ["hc_pre", "hc_post"] {
                edit.remove_kernel(k);
            }
            for i in ["hc_ffn_fn", "hc_ffn_scale", "hc_ffn_base"] {
                edit.remove_input(i);
            }
            for p in ["HC_MULT", "HC_COLS"] {
                edit.remove_param(p);
            }
            edit.swap_input("x_hc", "input x_mixed: bf16[T, D]");
            // What the experts return is added to the shared expert's result, or to the residual itself.
            let rest = match self.shared_inter {
                0 => {
                    "  output x_next -> x_mixed within(rtol = 3e-3, outliers = 0.05), dispatch_status"
                }
                _ => {
                    "  kernel residual {\n    launch parallel\n    tile T_TILE = 1 over T\n    tile D_TILE = 512 over D\n    loop range\n    \
                     x_f32 = cast(x_mixed, to = f32)\n    ffn_f32 = cast(ffn_out, to = f32)\n    \
                     x_sum = add(x_f32, ffn_f32)\n    x_next = cast(x_sum, to = bf16)\n  }\n  output x_next -> x_mixed within(rtol = 3e-3, outliers = 0.05), dispatch_status"
                }
            };
            edit.end_with(rest);
            if self.shared_inter == 0 {
                edit.replace(
                    "combine",
                    "ffn_out",
                    "x_next = combine(recv_y, recv_route, recv_count, x_mixed, num_tokens, topk = TOPK)",
                );
            }
        }
        if self.shared_inter == 0 {
            for k in ["sh_gate_up", "sh_h_q", "sh_w2"] {
                edit.remove_kernel(k);
            }
            edit.remove_param("SHARED_INTER");
            for w in ["w1", "w2", "w3"] {
                edit.remove_input(&format!("shared_{w}"));
                edit.remove_input(&format!("shared_{w}_scale"));
            }
        }
    }

    fn sizes(&self, edit: &mut Edit) {
        edit.set("EP", self.ranks.to_string());
        edit.set("T", self.tokens.to_string());
        edit.set("D", self.hidden.to_string());
        edit.set("MOE_INTER", self.inter.to_string());
        if self.shared_inter != self.inter {
            edit.set("SHARED_INTER", self.shared_inter.to_string());
        }
        edit.set("N_LOCAL", (self.experts / self.ranks).to_string());
        edit.set("TOPK", self.topk.to_string());
        edit.set("ROUTE_SCALE", float(self.route_scale));
        edit.set("SWIGLU_LIMIT", float(self.swiglu_limit));
        if let Some(hash) = &self.hash {
            edit.set("VOCAB", hash.vocab.to_string());
            edit.set("N_HASH_LAYERS", hash.layers.to_string());
            // A layer that routes by score.
            edit.set("layer_id", hash.layers.max(10).to_string());
        }
        if let Some(hyper) = &self.hyper {
            edit.set("HC_MULT", hyper.streams.to_string());
            edit.attribute("hc_pre", "iterations", hyper.iterations.to_string());
            edit.attribute("hc_pre", "hc_eps", float(hyper.eps));
            edit.attribute("hc_pre", "norm_eps", float(self.norm_eps));
        }
        edit.attribute("ffn_norm", "eps", float(self.norm_eps));
    }
}

fn float(value: f64) -> String {
    format!("{value:?}")
}

/// Changes of a graph's body; what they name is in the template.
struct Edit<'a> {
    lines: &'a mut Block<Item>,
}

impl Edit<'_> {
    fn param(&mut self, name: &str) -> Option<&mut Param> {
        self.lines.lines.iter_mut().find_map(|l| match &mut l.kind {
            Item::Param(p) if p.name.name == name => Some(p),
            _ => None,
        })
    }

    fn kernel(&mut self, name: &str) -> Option<&mut Kernel> {
        self.lines.lines.iter_mut().find_map(|l| match &mut l.kind {
            Item::Kernel(k) if k.name.name == name => Some(k),
            _ => None,
        })
    }

    fn set(&mut self, param: &str, value: String) {
        if let Some(p) = self.param(param)
            && p.value.kind != ExprKind::Number(value.clone())
        {
            p.value = number(value);
        }
    }

    fn remove(&mut self, gone: impl Fn(&Item) -> bool) {
        self.lines.lines.retain(|l| !gone(&l.kind));
    }

    fn remove_param(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Param(p) if p.name.name == name));
    }

    fn remove_input(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Input(p) if p.name.name == name));
    }

    fn remove_kernel(&mut self, name: &str) {
        self.remove(|i| matches!(i, Item::Kernel(k) if k.name.name == name));
    }

    /// A kernel without its condition, and without the remark that explains it.
    fn always(&mut self, kernel: &str) {
        for line in &mut self.lines.lines {
            if let Item::Kernel(k) = &mut line.kind
                && k.name.name == kernel
            {
                k.when = None;
                line.leading.retain(|t| *t == Trivia::Blank);
            }
        }
    }

    fn swap_input(&mut self, name: &str, text: &str) {
        for line in &mut self.lines.lines {
            if matches!(&line.kind, Item::Input(p) if p.name.name == name)
                && let Some(new) = items(text).into_iter().next()
            {
                line.kind = new.kind;
            }
        }
    }

    /// Other last items, instead of the outputs.
    fn end_with(&mut self, text: &str) {
        self.remove(|i| matches!(i, Item::Output(_)));
        for mut line in items(text) {
            line.leading = vec![Trivia::Blank];
            self.lines.lines.push(line);
        }
    }

    /// Other lines instead of the one that defines a name.
    fn replace(&mut self, kernel: &str, target: &str, lines: &str) {
        let Some(kernel) = self.kernel(kernel) else {
            return;
        };
        let new = match lines {
            "" => vec![],
            lines => statements(lines),
        };
        let defines = |l: &Line<Stmt>| matches!(&l.kind, Stmt::Let { targets, .. } if targets.iter().any(|t| t.name == target));
        if let Some(at) = kernel.body.lines.iter().position(defines) {
            kernel.body.lines.splice(at..=at, new);
        }
    }

    /// Another value of an attribute of a kernel's calls.
    fn attribute(&mut self, kernel: &str, name: &str, value: String) {
        let Some(kernel) = self.kernel(kernel) else {
            return;
        };
        for line in &mut kernel.body.lines {
            let Stmt::Let { value: call, .. } = &mut line.kind else {
                continue;
            };
            let ExprKind::Call { attrs, .. } = &mut call.kind else {
                continue;
            };
            for (key, old) in attrs {
                let same = |text: &str| text.parse::<f64>().ok() == value.parse::<f64>().ok();
                let unchanged = matches!(&old.kind, ExprKind::Number(n) if same(n));
                if key.name == name && !unchanged {
                    *old = number(value.clone());
                }
            }
        }
    }
}

fn number(text: String) -> Expr {
    Expr {
        kind: ExprKind::Number(text),
        span: Span::default(),
    }
}

/// The items of a piece of a graph.
fn items(text: &str) -> Vec<Line<Item>> {
    let file = parse(&format!("graph piece {{\n{text}\n}}\n")).expect("a committed piece parses");
    file.graph.kind.body.lines
}

/// The lines of a piece of a kernel.
fn statements(text: &str) -> Vec<Line<Stmt>> {
    let kernel = items(&format!("kernel piece {{\n{text}\n}}"));
    kernel
        .into_iter()
        .find_map(|l| match l.kind {
            Item::Kernel(k) => Some(k.body.lines),
            _ => None,
        })
        .unwrap_or_default()
}

/// A name that a graph can have.
pub fn graph_name(text: &str) -> String {
    let clean = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '_',
    };
    let name: String = text.chars().map(clean).collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("m{name}"),
        false => name,
    }
}
