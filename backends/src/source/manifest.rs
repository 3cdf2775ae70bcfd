//! `kernels.json`: what a launcher has to know to run the emitted kernels, and which files belong to them.

use super::{File, Lines};
use serde::Serialize;
use tilewright_ir::DType;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::{Kernel, Program, Role, Unit, Var};

/// The argument of a mixed kernel that says where the hardware's cross-core flags are.
pub(crate) const CROSS_BASE: &str = "cross_core_base";

#[derive(Serialize)]
struct Manifest<'a> {
    program: &'a str,
    machine: &'a str,
    /// Ranks that run it together; left out for one.
    #[serde(skip_serializing_if = "is_one")]
    ranks: usize,
    /// Global memory, by name: dense and row-major.
    tensors: Vec<TensorEntry<'a>>,
    /// i32 arguments.
    scalars: Vec<ScalarEntry<'a>>,
    /// In an order in which they can be launched one after the other.
    kernels: Vec<KernelEntry<'a>>,
    /// Files beside those of the kernels.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    files: &'a [String],
}

#[derive(Serialize)]
struct TensorEntry<'a> {
    name: &'a str,
    dtype: DType,
    shape: &'a [usize],
    role: Role,
}

#[derive(Serialize)]
struct ScalarEntry<'a> {
    name: &'a str,
    max: i64,
}

#[derive(Serialize)]
struct KernelEntry<'a> {
    name: &'a str,
    file: String,
    unit: Unit,
    launch: LaunchKind,
    blocks: usize,
    /// Kernels that must have finished before this one starts. What they wait for in turn is not repeated; kernels that do not
    /// wait for each other may run side by side.
    after: &'a [String],
    /// Names of tensors and then of scalars, in the order of the function's arguments. Before them, of a mixed kernel,
    /// `cross_core_base`: the address of the hardware's cross-core flags, which the runtime tells (`rtGetC2cCtrlAddr`). Between them, where peers are
    /// written to, `peer_bases`: the address of a table of u64 with the beginning of every rank's window memory, in which
    /// all windows lie at the same offsets. After them, where they are used, `rank` from 0 and `epoch`, the layer run, from 1.
    arguments: Vec<String>,
}

/// The tensors of a kernel in the order of its arguments: read first, then only written.
pub(crate) fn tensor_arguments(kernel: &Kernel) -> Vec<String> {
    let (mut names, writes) = kernel.accesses();
    for name in writes {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The scalars that a kernel uses, by number.
pub(crate) fn scalar_arguments(program: &Program, kernel: &Kernel) -> Vec<usize> {
    let mut used = vec![false; program.scalars.len()];
    super::index::count_vars(&kernel.body, &mut |v| {
        if let Var::Scalar(i) = v
            && let Some(u) = used.get_mut(i)
        {
            *u = true;
        }
    });
    (0..used.len()).filter(|i| used[*i]).collect()
}

/// What a kernel needs to know of ranks.
#[derive(Default)]
pub(crate) struct RankNeeds {
    pub peers: bool,
    pub rank: bool,
    pub epoch: bool,
}

impl RankNeeds {
    pub fn of(kernel: &Kernel) -> Self {
        let mut needs = RankNeeds::default();
        kernel.visit(&mut |i| needs.peers |= i.global().is_some_and(|(_, g)| g.peer.is_some()));
        super::index::count_vars(&kernel.body, &mut |v| {
            needs.rank |= v == Var::Rank;
            needs.epoch |= v == Var::Epoch;
        });
        // Offsets are from the beginning of the rank's own window memory.
        needs.rank |= needs.peers;
        needs
    }
}

fn arguments(kernel: &Kernel, scalars: impl Iterator<Item = String>) -> Vec<String> {
    let needs = RankNeeds::of(kernel);
    let named = |needed: bool, name: &str| needed.then(|| name.to_owned());
    named(kernel.unit == Unit::Mixed, CROSS_BASE)
        .into_iter()
        .chain(tensor_arguments(kernel))
        .chain(named(needs.peers, "peer_bases"))
        .chain(scalars)
        .chain(named(needs.rank, "rank"))
        .chain(named(needs.epoch, "epoch"))
        .collect()
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

/// The manifest of a program whose kernels are in these files, each named after its kernel by `file`.
pub(crate) fn manifest(
    program: &Program,
    file: impl Fn(&Kernel) -> String,
    others: &[String],
) -> File {
    let kernels = program.kernels.iter().map(|k| {
        let scalars = scalar_arguments(program, k);
        let scalars = scalars
            .into_iter()
            .filter_map(|i| program.scalars.get_index(i))
            .map(|(name, _)| name.clone());
        KernelEntry {
            name: &k.name,
            file: file(k),
            unit: k.unit,
            launch: k.launch.kind,
            blocks: k.launch.blocks(),
            after: &k.after,
            arguments: arguments(k, scalars),
        }
    });
    let manifest = Manifest {
        program: &program.name,
        machine: &program.machine,
        ranks: program.ranks,
        tensors: program
            .tensors
            .iter()
            .map(|(name, t)| TensorEntry {
                name,
                dtype: t.dtype,
                shape: &t.shape,
                role: t.role,
            })
            .collect(),
        scalars: program
            .scalars
            .iter()
            .map(|(name, max)| ScalarEntry { name, max: *max })
            .collect(),
        kernels: kernels.collect(),
        files: others,
    };
    // Only strings, numbers and lists: serialisation has no case to fail in.
    let mut text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    text.push('\n');
    File {
        path: "kernels.json".into(),
        text,
        lines: Lines::default(),
    }
}
