//! The values that an index takes over all blocks and trips.

use super::{Expr, Kernel, Program, Var};
use crate::machine::Geometry;

/// What bounds the variables of a kernel's indices.
pub struct Ranges<'a> {
    program: &'a Program,
    kernel: &'a Kernel,
    geometry: &'a Geometry,
    trips: Vec<usize>,
}

impl<'a> Ranges<'a> {
    /// The ranges of a kernel's variables.
    pub fn new(program: &'a Program, kernel: &'a Kernel, geometry: &'a Geometry) -> Self {
        Ranges {
            program,
            kernel,
            geometry,
            trips: kernel.trips(),
        }
    }

    /// The least and the greatest value of a variable; nothing if it depends on data, or does not exist.
    pub fn of_var(&self, var: Var) -> Option<(i128, i128)> {
        let below = |count: usize| (0, count as i128 - 1);
        Some(match var {
            Var::Grid(i) => below(self.kernel.launch.grid.get(i)?.count),
            Var::Loop(l) => below(*self.trips.get(l)?),
            Var::Scalar(i) => (0, i128::from(*self.program.scalars.get_index(i)?.1)),
            Var::Rank => below(self.program.ranks),
            Var::Epoch => (1, i128::from(i32::MAX)),
            Var::Sub => below(self.geometry.sub_blocks.count()),
            Var::Turn(l, of) => below((*self.trips.get(l)?).min(of)),
            Var::Reg(_) => return None,
        })
    }

    /// The least and the greatest value of an index, or nothing if it depends on data.
    pub fn of(&self, index: &Expr) -> Option<(i128, i128)> {
        let mut range = (i128::from(index.base), i128::from(index.base));
        for (v, c) in &index.terms {
            let (least, most) = self.of_var(*v)?;
            let ends = (i128::from(*c) * least, i128::from(*c) * most);
            range = (range.0 + ends.0.min(ends.1), range.1 + ends.0.max(ends.1));
        }
        Some(range)
    }
}
