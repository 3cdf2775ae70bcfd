//! What of a schedule costs time for a reason that can be named: hints on the kernels of a layer, each with a remedy.
//!
//! Nothing here is wrong, and a hint may have nothing in it for a layer that is small. All times are predicted.

use crate::compile::Options;
use crate::run::Compiled;
use indexmap::{IndexMap, IndexSet};
use miette::Diagnostic;
use serde::Serialize;
use tilewright_ir::DType;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Value};
use tilewright_ir::kernel::{Access, Kernel, Pipe, Program, Role, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::Estimate;
use tilewright_passes::legalise::wider;

/// Share of a block's time in which its busiest pipe has to work for it to be called busy.
const BUSY: f64 = 0.7;

/// Share of a kernel's time that a hint has to be worth.
const WORTH: f64 = 0.1;

/// What costs time.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Diagnostic)]
#[allow(missing_docs)] // Each variant has its message.
pub enum Hint {
    #[error(
        "`{kernel}` moves `{tensor}` in rows of {bytes} bytes; rows shorter than {full} bytes cost extra"
    )]
    #[diagnostic(
        code(tilewright::hint::short_rows),
        severity(Advice),
        help("widen its tile of columns, which takes {cols} of {of}")
    )]
    ShortRows {
        kernel: String,
        tensor: String,
        bytes: usize,
        full: usize,
        cols: usize,
        of: usize,
    },
    #[error(
        "`{kernel}` takes one trip at a time, and its busiest pipe, {pipe}, works {percent} % of it"
    )]
    #[diagnostic(
        code(tilewright::hint::idle_pipe),
        severity(Advice),
        help(
            "let loads of the next trip run beside this one: `loop pipeline(2)`, or --pin {region}.pipeline=2"
        )
    )]
    IdlePipe {
        kernel: String,
        region: String,
        pipe: &'static str,
        percent: usize,
    },
    #[error(
        "`{kernel}` runs on {blocks} of {cores} cores; twice as many blocks would save up to {us:.2} us"
    )]
    #[diagnostic(
        code(tilewright::hint::few_blocks),
        severity(Advice),
        help("give a block fewer rows, or cut columns as well: `tile ... per block`")
    )]
    FewBlocks {
        kernel: String,
        blocks: usize,
        cores: usize,
        us: f64,
    },
    #[error(
        "`{tensor}` goes through memory from `{writer}` to `{reader}` alone: {bytes} bytes out and in again"
    )]
    #[diagnostic(
        code(tilewright::hint::one_reader),
        severity(Advice),
        help("write both in one kernel; the value then stays on chip, where it fits")
    )]
    OneReader {
        tensor: String,
        writer: String,
        reader: String,
        bytes: usize,
    },
    #[error(
        "kernel `{kernel}` computes {values} in {wide} and rounds each to {own}: cores do not compute on {own}"
    )]
    #[diagnostic(
        code(tilewright::hint::wider),
        severity(Advice),
        help(
            "cast operands to {wide} first and the last result to {own}: it is faster, and rounds once"
        )
    )]
    Wider {
        kernel: String,
        values: String,
        own: DType,
        wide: DType,
    },
}

impl Hint {
    /// Whether it is about one of these kernels as written; without them, of course.
    pub fn is_about(&self, written: &Program, regions: Option<&IndexSet<String>>) -> bool {
        let Some(regions) = regions else {
            return true;
        };
        let names: [&str; 2] = match self {
            Hint::ShortRows { kernel, .. }
            | Hint::IdlePipe { kernel, .. }
            | Hint::FewBlocks { kernel, .. }
            | Hint::Wider { kernel, .. } => [kernel, kernel],
            Hint::OneReader { writer, reader, .. } => [writer, reader],
        };
        let covers = |k: &Kernel| k.covers.iter().any(|c| regions.contains(c));
        let of = |name: &str| written.kernels.iter().any(|k| k.name == name && covers(k));
        names.iter().any(|n| regions.contains(*n) || of(n))
    }
}

/// A hint as views show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The hint's code: `tilewright::hint::few_blocks`.
    pub code: String,
    /// What costs time.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl From<&Hint> for Shown {
    fn from(hint: &Hint) -> Self {
        let text = |t: Option<Box<dyn std::fmt::Display + '_>>| t.map(|t| t.to_string());
        Shown {
            code: text(hint.code()).unwrap_or_default(),
            message: hint.to_string(),
            remedy: text(hint.help()).unwrap_or_default(),
        }
    }
}

/// The hints on a compiled form of a graph, kernel by kernel, and on what goes between them.
pub fn hints(graph: &Graph, compiled: &Compiled, options: &Options) -> Vec<Hint> {
    let machine = &options.machine;
    let program = &compiled.program;
    // What the compiler cut or padded has no line in the layer that could be written otherwise.
    let is_written = |tensor: &str| graph.find(tensor).is_some();
    let mut all = vec![];
    for kernel in &program.kernels {
        let estimate = options.search.cost.estimate(kernel, machine);
        let rows = short_rows(kernel, program, machine, &estimate);
        all.extend(
            rows.filter(|h| matches!(h, Hint::ShortRows { tensor, .. } if is_written(tensor))),
        );
        all.extend(idle_pipe(kernel, &estimate));
        all.extend(few_blocks(kernel, options, &estimate));
    }
    let between = one_readers(program).into_iter();
    all.extend(
        between.filter(|h| matches!(h, Hint::OneReader { tensor, .. } if is_written(tensor))),
    );
    all.extend(wider_work(graph));
    all
}

/// Values that kernels compute in another type than their own, one after the other: each is rounded where the next one widens it.
fn wider_work(graph: &Graph) -> Vec<Hint> {
    let mut found: IndexMap<(usize, DType, DType), Vec<Value>> = IndexMap::new();
    for v in graph.values() {
        let node = graph.node(v.node);
        let operands = graph.operands(v.node);
        if let (Op::Prim(prim), Some(region), [x, ..]) = (&node.op, node.region, &operands[..]) {
            let own = graph.ty(*x).dtype;
            if let Ok(Some(wide)) = wider(prim, own) {
                found.entry((region, own, wide)).or_default().push(v);
            }
        }
    }
    let several = found.into_iter().filter(|(_, values)| values.len() > 1);
    let hint = |((region, own, wide), values): ((usize, DType, DType), Vec<Value>)| {
        let names: Vec<String> = values
            .iter()
            .map(|v| format!("`{}`", graph.name(*v)))
            .collect();
        Hint::Wider {
            kernel: graph.regions[region].name.clone(),
            values: names.join(", "),
            own,
            wide,
        }
    };
    several.map(hint).collect()
}

fn busiest(estimate: &Estimate) -> Option<(Pipe, f64)> {
    let pipes = Pipe::ALL.into_iter().zip(estimate.pipes);
    pipes.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The shortest rows that a kernel moves, if it moves for most of its time, and they could be longer.
fn short_rows(
    kernel: &Kernel,
    program: &Program,
    machine: &Machine,
    estimate: &Estimate,
) -> Option<Hint> {
    let (pipe, _) = busiest(estimate)?;
    let path = match (pipe, kernel.unit) {
        (Pipe::Mte2, Unit::Vector) => &machine.gm_to_ub,
        (Pipe::Mte2, _) => &machine.gm_to_l1,
        (Pipe::Mte3, _) => &machine.ub_to_gm,
        _ => return None,
    };
    // What a row costs on top of its own bytes comes to more than a half of them.
    let full = path.full_burst.count();
    let is_short = |bytes: usize| {
        let missing = 1.0 - bytes as f64 / path.full_burst.value;
        path.burst_overhead.value * missing > bytes as f64 / 2.0
    };
    let mut shortest: Option<Hint> = None;
    let mut least = usize::MAX;
    kernel.visit(&mut |instr| {
        let Some((_, rect)) = instr.global() else {
            return;
        };
        let Some(tensor) = program.tensors.get(&rect.tensor) else {
            return;
        };
        let bytes = rect.cols * tensor.dtype.bytes();
        let of = rect.view.map_or(tensor.matrix().1, |view| view.1);
        if rect.rows > 1 && rect.cols < of && is_short(bytes) && bytes < least {
            least = bytes;
            shortest = Some(Hint::ShortRows {
                kernel: kernel.name.clone(),
                tensor: rect.tensor.clone(),
                bytes,
                full,
                cols: rect.cols,
                of,
            });
        }
    });
    shortest
}

/// A loop of single trips in which no pipe is busy for most of the time.
fn idle_pipe(kernel: &Kernel, estimate: &Estimate) -> Option<Hint> {
    let (pipe, cycles) = busiest(estimate)?;
    let repeats = kernel.trips().into_iter().any(|trips| trips > 1);
    let share = cycles / estimate.block_cycles;
    if kernel.pipeline > 1 || !repeats || share >= BUSY || cycles == 0.0 {
        return None;
    }
    Some(Hint::IdlePipe {
        kernel: kernel.name.clone(),
        region: kernel.covers.first().unwrap_or(&kernel.name).clone(),
        pipe: pipe.name(),
        percent: (share * 100.0).round() as usize,
    })
}

/// A launch that leaves more than half of the cores idle, where starting more blocks costs less than they save.
fn few_blocks(kernel: &Kernel, options: &Options, estimate: &Estimate) -> Option<Hint> {
    let machine = &options.machine;
    let cores = match kernel.unit {
        Unit::Vector => machine.vector_cores.count(),
        Unit::Cube | Unit::Mixed => machine.cube_cores.count(),
    };
    let blocks = kernel.launch.blocks();
    let start = |kind: LaunchKind, blocks| options.search.cost.start_us(machine, kind, blocks);
    let kind = kernel.launch.kind;
    let more = start(kind, 2 * blocks) - start(kind, blocks);
    let us = estimate.block_cycles / machine.clock_mhz.value / 2.0 - more;
    if 2 * blocks > cores || us < WORTH * estimate.us {
        return None;
    }
    Some(Hint::FewBlocks {
        kernel: kernel.name.clone(),
        blocks,
        cores,
        us,
    })
}

/// Values that are stored for one reader only, on cores of the same type: of two types memory is the only way.
fn one_readers(program: &Program) -> Vec<Hint> {
    let mut all = vec![];
    for (name, tensor) in &program.tensors {
        if tensor.role != Role::Workspace {
            continue;
        }
        let touching = |wanted: Access| -> Vec<&Kernel> {
            let lists = program.kernels.iter().map(|k| (k, k.accesses()));
            let touches = lists.filter(|(_, (reads, writes))| match wanted {
                Access::Read => reads.contains(name),
                Access::Write => writes.contains(name),
            });
            touches.map(|(k, _)| k).collect()
        };
        let (writers, readers) = (touching(Access::Write), touching(Access::Read));
        if let ([writer], [reader]) = (writers.as_slice(), readers.as_slice())
            && writer.unit == reader.unit
            && writer.name != reader.name
            && writer.unit == Unit::Vector
            // Both are one kernel in the layer, and were cut.
            && writer.covers != reader.covers
        {
            all.push(Hint::OneReader {
                tensor: name.clone(),
                writer: writer.name.clone(),
                reader: reader.name.clone(),
                bytes: tensor.bytes(),
            });
        }
    }
    all
}
