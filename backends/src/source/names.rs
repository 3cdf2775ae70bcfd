//! What a kernel's variables are called, in every language alike.

use super::idents::Idents;
use super::index::{Axis, Constants, Sum};
use super::manifest::{scalar_arguments, tensor_arguments};
use super::singular;
use indexmap::IndexMap;
use tilewright_ir::kernel::{Expr, Instr, Kernel, Program, Var};

/// Names of a kernel's constants, arguments and variables.
pub(crate) struct Names<'a> {
    kernel: &'a Kernel,
    pub constants: Constants,
    /// Arguments, in their order.
    pub tensors: IndexMap<String, String>,
    pub scalars: IndexMap<usize, String>,
    /// Coordinates of a block.
    pub grid: Vec<String>,
    /// Constants for the axes of the grid.
    pub blocks: Vec<String>,
    pub loops: Vec<String>,
    /// Constants for the loops' trips.
    pub trips: Vec<String>,
    /// The loops' trips.
    counts: Vec<usize>,
    pub arrays: Vec<String>,
    pub registers: Vec<String>,
    pub tiles: Vec<String>,
}

impl<'a> Names<'a> {
    /// Claims all names but those of registers and tiles, which yield to what a language needs beside: see [`Names::values`].
    pub fn new(program: &Program, kernel: &'a Kernel, ids: &mut Idents) -> Self {
        let constants = Constants::new(kernel, |name| ids.claim(name, ""));
        let tensors = tensor_arguments(kernel).into_iter().map(|name| {
            let id = ids.claim(&name, "gm");
            (name, id)
        });
        let tensors = tensors.collect();
        let scalars = scalar_arguments(program, kernel)
            .into_iter()
            .filter_map(|i| {
                let (name, _) = program.scalars.get_index(i)?;
                Some((i, ids.claim(name, "arg")))
            })
            .collect();
        let axes = kernel.launch.grid.iter().map(|a| singular(&a.name));
        let grid = axes
            .clone()
            .map(|axis| ids.claim(&format!("{axis}_block"), ""))
            .collect();
        let blocks = axes
            .map(|axis| ids.claim(&format!("{axis}_BLOCKS").to_ascii_uppercase(), ""))
            .collect();
        let loops: Vec<String> = kernel.loops.iter().map(|n| ids.claim(n, "loop")).collect();
        let trips = loops
            .iter()
            .map(|n| ids.claim(&format!("{n}_TRIPS").to_ascii_uppercase(), ""))
            .collect();
        let arrays = kernel.arrays.iter();
        let arrays = arrays.map(|a| ids.claim(&a.name, "array")).collect();
        Names {
            kernel,
            constants,
            tensors,
            scalars,
            grid,
            blocks,
            loops,
            trips,
            counts: kernel.trips(),
            arrays,
            registers: vec![],
            tiles: vec![],
        }
    }

    /// Claims names of registers, after what fills them, and of tiles.
    pub fn values(&mut self, ids: &mut Idents) {
        let kernel = self.kernel;
        self.registers = vec![String::new(); kernel.registers];
        kernel.visit(&mut |i| {
            if let Some(dst) = i.register()
                && let Some(name) = self.registers.get_mut(dst)
                && name.is_empty()
            {
                let word = match i {
                    Instr::ReadScalar { src, .. } => singular(&src.tensor).to_owned(),
                    Instr::ArrayGet { array, .. } => {
                        let array = kernel.arrays.get(*array);
                        array.map_or("value", |a| singular(&a.name)).to_owned()
                    }
                    _ => format!("r{dst}"),
                };
                *name = ids.claim(&word, "value");
            }
        });
        let tiles = kernel.tiles.iter();
        self.tiles = tiles.map(|t| ids.claim(&t.name, "tile")).collect();
    }

    /// An index in words; `other` names variables that only a language knows: ranks, cores, and slots of rings.
    pub fn sum(&mut self, expr: &Expr, axis: Axis, other: impl Fn(&Self, Var) -> String) -> Sum {
        let mut constants = std::mem::take(&mut self.constants);
        let name = |v| {
            let name = match v {
                Var::Grid(i) => self.grid.get(i),
                Var::Loop(i) => self.loops.get(i),
                Var::Scalar(i) => self.scalars.get(&i),
                Var::Reg(i) => self.registers.get(i),
                Var::Rank | Var::Epoch | Var::Sub | Var::Turn(..) => return other(self, v),
            };
            name.cloned().unwrap_or_default()
        };
        let extent = |v| match v {
            Var::Grid(i) => {
                let axis = self.kernel.launch.grid.get(i)?;
                Some((axis.count as i64, self.blocks.get(i)?.clone()))
            }
            Var::Loop(i) => Some((*self.counts.get(i)? as i64, self.trips.get(i)?.clone())),
            _ => None,
        };
        let sum = Sum::new(expr, axis, &mut constants, name, extent);
        self.constants = constants;
        sum
    }
}
