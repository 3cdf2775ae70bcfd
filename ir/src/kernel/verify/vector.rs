//! Vector instructions, as their rows in the table say.

use super::super::{
    Apart, Limit, Placement, Row, Scratch, Tile, TileRef, Types, VectorOp, scratch_needed,
};
use super::{Check, KernelError, Verifier};
use crate::dtype::DType;

/// Casts of TCVT.
const CASTS: [(DType, &[DType]); 6] = [
    (
        DType::F32,
        &[DType::F32, DType::F16, DType::Bf16, DType::I32, DType::I64],
    ),
    (DType::F16, &[DType::F32, DType::I32, DType::I8]),
    (DType::Bf16, &[DType::F32, DType::I32]),
    (DType::I32, &[DType::F32, DType::I64, DType::F16]),
    (DType::I64, &[DType::F32, DType::I32]),
    (DType::I8, &[DType::F16]),
];

/// Whether the instruction set casts `from` to `to` in one instruction.
pub fn has_cast(from: DType, to: DType) -> bool {
    CASTS
        .iter()
        .any(|(f, list)| *f == from && list.contains(&to))
}

/// The operands of an instruction: the result, then the sources.
struct Operands<'a> {
    tiles: Vec<&'a Tile>,
    refs: Vec<&'a TileRef>,
}

impl Operands<'_> {
    fn dst(&self) -> &Tile {
        self.tiles[0]
    }

    fn sources(&self) -> &[&Tile] {
        &self.tiles[1..]
    }
}

impl<'a> Verifier<'a> {
    pub(super) fn vector(
        &self,
        op: &VectorOp,
        dst: &'a TileRef,
        srcs: &'a [TileRef],
        tmp: Option<&TileRef>,
    ) -> Check {
        let row = op.row();
        if srcs.len() != row.arity() {
            return Err(self.count(
                "the number of operands".to_owned(),
                srcs.len(),
                row.arity().to_string(),
            ));
        }
        let refs: Vec<&TileRef> = std::iter::once(dst).chain(srcs).collect();
        let tiles = refs.iter().map(|r| self.tile(r));
        let tiles = tiles.collect::<Result<Vec<_>, _>>()?;
        let scratch = tmp.map(|t| self.tile(t)).transpose()?;
        for t in tiles.iter().copied().chain(scratch) {
            self.space(t, &[row.space])?;
        }
        if let Some(tmp) = tmp {
            for r in &refs {
                self.apart(r, tmp)?;
            }
        }
        let all = Operands { tiles, refs };
        self.operands(&row, &all)?;
        self.limit(row.limit, &all)?;
        self.scratch(op, &row, &all, scratch)
    }

    /// Types, layouts and valid parts, and what may not be overwritten.
    fn operands(&self, row: &Row, all: &Operands) -> Check {
        let lead = all.tiles[row.lead];
        let extent = (lead.valid_rows, lead.valid_cols);
        for (operand, t) in row.operands.iter().zip(&all.tiles) {
            match operand.types {
                Types::Own => {
                    self.of_type(lead, row.types)?;
                    self.same_type(lead, t)?;
                }
                Types::Of(types) => self.of_type(t, types)?,
                Types::As(other) => self.same_type(all.tiles[other], t)?,
                Types::Any => {}
            }
            match operand.layout {
                Placement::Is(layout) => self.layout(t, layout)?,
                Placement::AsResult => self.layout(t, all.dst().layout)?,
                Placement::Any => {}
            }
            let [rows, cols] = operand.shape.map(|d| d.of(extent));
            self.valid(
                t,
                rows.unwrap_or(t.valid_rows),
                cols.unwrap_or(t.valid_cols),
            )?;
        }
        let sources = row.operands.iter().zip(&all.tiles).zip(&all.refs).skip(1);
        for ((operand, t), r) in sources {
            let apart = match operand.apart {
                Apart::InPlace => false,
                Apart::Always => true,
                Apart::WidthsDiffer => t.dtype.bytes() != all.dst().dtype.bytes(),
                Apart::SeveralRows => all.dst().valid_rows > 1,
            };
            if apart {
                self.apart(all.refs[0], r)?;
            }
        }
        Ok(())
    }

    /// What shapes and types do not say.
    fn limit(&self, limit: Limit, all: &Operands) -> Check {
        let geometry = &self.machine.geometry;
        let repeats = self.machine.limits.repeats.count();
        let dst = all.dst();
        let (Some(src), (rows, cols)) = (all.sources().first(), (dst.valid_rows, dst.valid_cols))
        else {
            return Ok(());
        };
        match limit {
            Limit::None => Ok(()),
            Limit::Cast => self.cast(src.dtype, dst.dtype),
            Limit::Within => self.within(dst, src),
            Limit::Halves if src.valid_rows == 2 * rows => self.valid(src, 2 * rows, cols),
            Limit::Halves => {
                self.valid(src, rows, 2 * cols)?;
                // The right half starts where an operand can.
                let (half, block) = (cols * dst.dtype.bytes(), geometry.block.count());
                if half.is_multiple_of(block) {
                    return Ok(());
                }
                Err(self.count(
                    "the bytes of a half".to_owned(),
                    half,
                    format!("a multiple of {block}"),
                ))
            }
            Limit::RowRepeats if rows <= 1 => Ok(()),
            Limit::RowRepeats => {
                self.at_most("the number of rows", rows, repeats)?;
                let block = geometry.block.count();
                let blocks = dst.cols.max(src.cols) * dst.dtype.bytes() / block;
                let what = format!("the number of {block}-byte blocks of a row");
                self.at_most(&what, blocks, repeats)
            }
            Limit::WholeRuns => {
                let run = geometry.sort_run.count();
                self.multiple("the number of values", src.valid_cols, run)
            }
            Limit::Runs(run) => self.runs(run, src),
            Limit::Pairs => self.at_most("the number of indices", cols, src.valid_cols / 2),
        }
    }

    fn cast(&self, from: DType, to: DType) -> Check {
        if has_cast(from, to) {
            return Ok(());
        }
        let list = CASTS.iter().find(|(f, _)| *f == from);
        let names: Vec<_> = list
            .map(|(_, l)| l.iter().map(|d| d.name()).collect())
            .unwrap_or_default();
        Err(self.types(
            format!("there is no cast from {from} to {to}"),
            match names.as_slice() {
                [] => format!("nothing casts from {from}"),
                n => format!("{from} casts to {}: take two casts", n.join(", ")),
            },
        ))
    }

    /// Groups of four runs, or the two that are left.
    fn runs(&self, run: usize, src: &Tile) -> Check {
        let least = self.machine.geometry.sort_run.count();
        if run == 0 || !run.is_multiple_of(least) {
            return Err(self.count(
                "the length of a run".to_owned(),
                run,
                format!("a multiple of {least} pairs, and not 0"),
            ));
        }
        // A pair has two columns.
        let pair_cols = src.valid_cols;
        let runs = pair_cols / 2 / run;
        let whole = runs.checked_mul(2 * run) == Some(pair_cols);
        if !whole || runs == 0 || (!runs.is_multiple_of(4) && runs != 2) {
            return Err(self.shape(
                format!("{} pairs are {runs} runs of {run}", pair_cols / 2),
                "merge two runs, or a multiple of four".to_owned(),
            ));
        }
        let repeats = self.machine.limits.repeats.count();
        self.at_most("the number of groups of four runs", runs / 4, repeats)
    }

    /// The scratch tile is there if the instruction does not work without it, and large enough.
    fn scratch(&self, op: &VectorOp, row: &Row, all: &Operands, tmp: Option<&Tile>) -> Check {
        let need = scratch_needed(&self.machine.geometry, op, all.dst(), all.sources());
        let Some(need) = need.map(|n| n.bytes()) else {
            return Ok(());
        };
        let (required, typed) = match row.scratch {
            Scratch::Source => (true, true),
            Scratch::LastRuns(_) => (true, false),
            Scratch::None | Scratch::BlockARow | Scratch::Offsets => (false, false),
        };
        match tmp {
            None if required => Err(KernelError::Form {
                place: self.place(),
                what: "the instruction has no scratch tile".to_owned(),
                help: format!("give it one of at least {need} bytes"),
            }),
            None => Ok(()),
            Some(t) => {
                if typed {
                    self.same_type(all.tiles[1], t)?;
                }
                if t.bytes() >= need {
                    return Ok(());
                }
                Err(self.count(
                    format!("the size in bytes of the scratch tile `{}`", t.name),
                    t.bytes(),
                    format!("at least {need}"),
                ))
            }
        }
    }

    fn same_extent(&self, dst: &Tile, src: &Tile) -> Check {
        if (dst.rows, dst.cols) == (src.rows, src.cols) {
            return Ok(());
        }
        Err(self.shape(
            format!(
                "`{}` is {} x {}, but `{}` is {} x {}",
                dst.name, dst.rows, dst.cols, src.name, src.rows, src.cols
            ),
            "make both extents the same".to_owned(),
        ))
    }

    /// A copy fills the first rows and columns; several rows must lie equally far apart.
    fn within(&self, dst: &Tile, src: &Tile) -> Check {
        let fits = src.valid_rows <= dst.valid_rows && src.valid_cols <= dst.valid_cols;
        if fits && (src.valid_rows == 1 || (dst.rows, dst.cols) == (src.rows, src.cols)) {
            return Ok(());
        }
        self.same_extent(dst, src)
    }
}
