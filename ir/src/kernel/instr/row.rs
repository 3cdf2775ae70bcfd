//! What a row of the table of vector instructions says.
//!
//! Each column is read by one consumer, in a match without a wildcard: operands and limits by the verifier and the simulator,
//! [`Repeats`] by [`crate::timing`], [`Cpp`] and [`Pypto`] by the emitters, [`Effect`] by the simulator and by the conformance
//! tests. So an instruction that fits what there is needs its row only; one that does not gets a variant of its own here, and
//! then compiles as soon as each consumer knows it.

use super::super::{Layout, Pipe, Space};
use crate::dtype::{DType, Round};
use crate::op::{BinaryInstr, ReduceInstr, UnaryInstr};

/// A vector instruction.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in PTO-ISA, in texts and in C++.
    pub isa: &'static str,
    pub pipe: Pipe,
    /// The memory that its operands are in.
    pub space: Space,
    /// The operand whose valid part is R x C, by its place in `operands`.
    pub lead: usize,
    /// The result, then the sources.
    pub operands: &'static [Operand],
    /// Types that the operands of [`Types::Own`] may have.
    pub types: &'static [DType],
    pub limit: Limit,
    pub scratch: Scratch,
    pub time: Time,
    pub cpp: Cpp,
    pub pypto: Pypto,
    pub effect: Effect,
}

impl Row {
    /// The constant that is an operand.
    pub fn constant(&self) -> Option<f32> {
        match self.effect {
            Effect::Constant(_, value) | Effect::Fill(value) => Some(value),
            _ => None,
        }
    }

    /// How a conversion rounds.
    pub fn round(&self) -> Option<Round> {
        match self.effect {
            Effect::Convert(round) => Some(round),
            _ => None,
        }
    }

    /// How many sources it has.
    pub fn arity(&self) -> usize {
        self.operands.len() - 1
    }
}

/// What an operand has to be.
#[derive(Debug, Clone, Copy)]
pub struct Operand {
    /// Rows and columns of its valid part.
    pub shape: [Dim; 2],
    pub layout: Placement,
    pub types: Types,
    pub apart: Apart,
}

/// An extent, by those of the lead operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    One,
    /// Its rows.
    R,
    /// Its columns.
    C,
    /// Twice its columns.
    TwoC,
    /// Nothing is asked, or a [`Limit`] asks it.
    Any,
}

impl Dim {
    /// The extent beside a lead operand of `rows` x `cols`.
    pub fn of(self, (rows, cols): (usize, usize)) -> Option<usize> {
        match self {
            Dim::One => Some(1),
            Dim::R => Some(rows),
            Dim::C => Some(cols),
            Dim::TwoC => Some(2 * cols),
            Dim::Any => None,
        }
    }
}

/// How an operand lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    Is(Layout),
    /// As the result does.
    AsResult,
    Any,
}

/// The element type of an operand.
#[derive(Debug, Clone, Copy)]
pub enum Types {
    /// One of the row's.
    Own,
    Of(&'static [DType]),
    /// That of another operand.
    As(usize),
    /// Nothing is asked, or a [`Limit`] asks it.
    Any,
}

/// Whether an operand may be the tile that the result is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// It may: each element is read before it is written.
    InPlace,
    Always,
    /// Not if its elements are wider or narrower than the result's.
    WidthsDiffer,
    /// Not if the result has several rows.
    SeveralRows,
}

/// What shapes and types do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    None,
    /// The instruction set has this conversion.
    Cast,
    /// The first source fits the result, and lies as far from row to row if it has several.
    Within,
    /// The first source is twice as high as the result, or twice as wide.
    Halves,
    /// Several rows are repeats, and blocks from one to the next, of one instruction.
    RowRepeats,
    /// The first source is whole runs of what is sorted at once.
    WholeRuns,
    /// The first source is two runs of so many pairs, or a multiple of four.
    Runs(usize),
    /// The first source has a pair for each column of the result.
    Pairs,
}

/// The tile that an instruction works in beside its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scratch {
    None,
    /// As large as the first source, and of its type.
    Source,
    /// A block a row of the result, in whole repeats. Without it, the ISA works in an area of its own at the end of UB.
    BlockARow,
    /// Of the last two runs of so many pairs: as large as the source.
    LastRuns(usize),
    /// Byte offsets, where elements are narrower than the indices that they replace.
    Offsets,
}

/// Cycles: a figure of the machine, and how many repeats it is for.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    /// Its name under `vector` in the machine's description.
    pub figure: &'static str,
    pub repeats: Repeats,
}

/// How many repeats an instruction takes.
#[derive(Debug, Clone, Copy)]
pub enum Repeats {
    /// Of the elements as one run, where nothing is padded.
    OneSource,
    /// The same, but rows shorter than a repeat go one a repeat.
    TwoSources,
    /// As of one source; from i32 to f16, row by row.
    Conversion,
    /// Of halves that are added: rows of several go one by one.
    Halves,
    /// Row by row, after the column is spread into blocks at the price of another figure.
    RowExpand { spread: &'static str },
    /// Row by row.
    ColExpand,
    /// Of the elements as one run, padded or not.
    Run,
    /// A curve by the number of columns; of elements of 2 bytes, another one.
    Curve { narrow: &'static str },
    /// One an element.
    Elements,
    /// One for each run that is sorted at once.
    Runs,
    /// One for each four runs of pairs.
    MergedRuns,
    /// Of the pairs of which a half is taken.
    Pairs,
    /// Of the indices, which become offsets first at the price of another figure.
    Gather { offsets: &'static str },
}

/// How the instruction is written in C++.
#[derive(Debug, Clone, Copy)]
pub enum Cpp {
    /// One call with these arguments, if the run-time count of rows is not 0. `as_rows`: columns are computed on as rows.
    Call {
        args: &'static [Arg],
        as_rows: bool,
    },
    /// Two views of one tile are added.
    Halves,
    Reduce,
    Copy,
    Iota,
    Merge(usize),
    Pairs,
    Gather,
}

/// An argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg {
    Result,
    /// A source, by its place.
    Source(usize),
    /// A source whose rows are not counted at run time.
    Whole(usize),
    Constant,
    Round,
    /// Says that the conversion saturates, where it could also wrap around.
    Saturation,
    /// The scratch tile, if there is one.
    Scratch,
}

/// How the instruction is written in PyPTO.
#[derive(Debug, Clone, Copy)]
pub enum Pypto {
    /// A call of this name with these arguments. The value has the extent of the first source.
    Call {
        name: &'static str,
        args: &'static [Arg],
    },
    Cast,
    /// A call of this name with two slices.
    Halves(&'static str),
    /// A call of this name, whose value is a column.
    Reduce(&'static str),
    Fill,
    Copy,
    Iota,
    Sort,
    Merge(usize),
    Pairs,
    Gather,
}

/// What the instruction does to elements.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// A function of each element.
    One(&'static UnaryInstr),
    /// A function of each element and a constant.
    Constant(&'static BinaryInstr, f32),
    /// A function of each element of the first source and the one of the second that belongs to it: the same one, that of
    /// its row, or that of its column, as their shapes say.
    Two(&'static BinaryInstr),
    /// A function of the two halves of the source.
    Halves(&'static BinaryInstr),
    /// Elements of a row joined by a function: in lanes, and then the lanes in a tree.
    Reduce(&'static ReduceInstr, &'static BinaryInstr),
    Convert(Round),
    Fill(f32),
    Copy,
    Iota,
    Sort,
    Merge(usize),
    Pairs,
    Gather,
}
