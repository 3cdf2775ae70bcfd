//! An exchange at known sizes: what ranks do, statement by statement.
//!
//! A program says what one rank does as one thread. What blocks of a kernel share of it, and how often they notify, is decided
//! where it is lowered.

use crate::dtype::DType;
use crate::op::Binomial;
use crate::syntax::ast::{Compare, Share};
use std::collections::BTreeSet;

/// Of a variable, an operand, a window, ...: its place in the list of its kind.
pub type Id = usize;

/// An exchange at known sizes, of names that are known and extents that agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    pub name: String,
    pub ranks: usize,
    pub operands: Vec<Memory>,
    pub results: Vec<Memory>,
    pub windows: Vec<Window>,
    pub counters: Vec<Counter>,
    pub arrays: Vec<Array>,
    pub views: Vec<View>,
    pub tiles: Vec<Tile>,
    pub variables: Vec<Variable>,
    pub failures: Vec<Failure>,
    pub body: Vec<Step>,
    /// Statements as they were written, for messages.
    pub lines: Vec<String>,
}

impl Program {
    /// The arrays that it copies as a whole, which needs them beside the scalar unit.
    pub fn copied_arrays(&self) -> BTreeSet<Id> {
        let mut out = BTreeSet::new();
        visit(&self.body, &mut |step| {
            if let StepKind::Copy {
                from: Content::Array(a),
                ..
            } = step.kind
            {
                out.insert(a);
            }
        });
        out
    }
}

/// A matrix in global memory. A vector is one row, an integer is one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    pub name: String,
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    /// Whether it is an integer of the kernel's arguments.
    pub scalar: bool,
    /// Whether it has one dimension, so that one index names a column.
    pub vector: bool,
    /// The operand or result that says how many rows of each group exist.
    pub counts: Option<Counts>,
    /// How its integers are spread, of a result that says so.
    pub spread: Option<Binomial>,
}

/// Where the counts of ragged rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Operand(Id),
    Result(Id),
}

/// Memory of every rank that its peers write into; zero before the first run, alive over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub name: String,
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    /// Two of it, which runs of the layer use in turn.
    pub alternating: bool,
}

/// Integers of every rank that its peers add to, zero before the first run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    pub name: String,
    pub count: usize,
}

/// Integers of the scalar unit, zero at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    pub name: String,
    pub length: usize,
}

/// Integers in global memory as they are when the statement that names them is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub name: String,
    pub of: Rect,
}

/// A tile in the unified buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    pub name: String,
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    /// The counter of the loop that declares it: each trip has one of its own.
    pub home: Option<Id>,
}

/// An integer with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Whether it is ever given another value.
    pub changes: bool,
}

/// What a status means whose first element is its place among the failures, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The result that tells of it.
    pub status: Id,
    pub message: Vec<Piece>,
    pub help: Vec<Piece>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// The element of the status after the first one.
    Value(usize),
}

impl Failure {
    /// Message and remedy, with the elements of a status.
    pub fn tell(&self, status: &[i64]) -> (String, String) {
        let text = |pieces: &[Piece]| -> String {
            let piece = |p: &Piece| match p {
                Piece::Text(text) => text.clone(),
                Piece::Value(i) => status.get(i + 1).map_or("?".into(), i64::to_string),
            };
            pieces.iter().map(piece).collect()
        };
        (text(&self.message), text(&self.help))
    }
}

/// Bytes of all arrays of an exchange: they live on the scalar unit's stack of 32 KiB.
pub const MAX_ARRAYS: usize = 16 << 10;

/// The most bytes of all arrays, of which those that are only read and written element by element may lie in memory.
pub const MAX_ARRAYS_IN_MEMORY: usize = 16 << 20;

/// Memory that is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    Operand(Id),
    Result(Id),
    Window(Id),
}

/// A rectangle of memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Rect {
    pub place: Place,
    pub row: Int,
    pub col: Int,
    pub rows: usize,
    pub cols: usize,
}

/// Where an integer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Memory(Place),
    View(Id),
    Array(Id),
}

/// What two integers make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arith {
    Add,
    Sub,
    Mul,
    /// Of a dividend that is not negative and a positive divisor.
    Div,
    /// Of a dividend that is not negative and a positive divisor.
    Rem,
    Min,
    Max,
}

impl Arith {
    /// The result, if there is one.
    pub fn apply(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Arith::Add => a.checked_add(b),
            Arith::Sub => a.checked_sub(b),
            Arith::Mul => a.checked_mul(b),
            Arith::Div | Arith::Rem if a < 0 || b <= 0 => None,
            Arith::Div => Some(a / b),
            Arith::Rem => Some(a % b),
            Arith::Min => Some(a.min(b)),
            Arith::Max => Some(a.max(b)),
        }
    }
}

/// An integer.
#[derive(Debug, Clone, PartialEq)]
pub enum Int {
    Const(i64),
    Rank,
    /// The number of the layer run, from 1.
    Epoch,
    /// An integer operand.
    Operand(Id),
    Variable(Id),
    /// An element; of an array, the column counts.
    Element {
        of: Source,
        row: Box<Int>,
        col: Box<Int>,
    },
    Arith(Arith, Box<Int>, Box<Int>),
}

impl Int {
    /// Calls `f` on this integer and on all that it is made of.
    pub fn visit(&self, f: &mut impl FnMut(&Int)) {
        f(self);
        match self {
            Int::Element { row, col, .. } => {
                row.visit(f);
                col.visit(f);
            }
            Int::Arith(_, a, b) => {
                a.visit(f);
                b.visit(f);
            }
            _ => {}
        }
    }

    /// Whether its value depends on a variable.
    pub fn uses(&self, variable: Id) -> bool {
        let mut found = false;
        self.visit(&mut |i| found |= *i == Int::Variable(variable));
        found
    }
}

/// A comparison of two integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    pub left: Int,
    pub op: Compare,
    pub right: Int,
}

/// What is copied.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Rect(Rect),
    Tile(Id),
    /// All of it.
    Array(Id),
    /// As one i32.
    Int(Int),
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// On another rank if one is named, which takes a window.
    Rect(Rect, Option<Int>),
    Tile(Id),
}

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its place among the program's lines.
    pub line: usize,
    pub kind: StepKind,
}

/// What a step of an exchange does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    /// A variable's value; the first one where the variable is declared.
    Set {
        variable: Id,
        value: Int,
        declares: bool,
    },
    /// A tile begins, and holds nothing.
    Tile {
        tile: Id,
    },
    /// An array's element.
    SetElement {
        array: Id,
        index: Int,
        value: Int,
    },
    /// From here on a view may be read.
    Read {
        view: Id,
    },
    Loop {
        variable: Id,
        first: i64,
        trips: usize,
        share: Option<Share>,
        body: Vec<Step>,
    },
    If {
        test: Test,
        then: Vec<Step>,
        otherwise: Vec<Step>,
    },
    /// Of two extents that agree; from a tile to another it converts. With a count, only the first rows.
    Copy {
        from: Content,
        to: Target,
        first: Option<Int>,
    },
    Fill {
        tile: Id,
        value: f32,
    },
    /// `to += from`, element by element.
    Add {
        from: Id,
        to: Id,
    },
    /// Adds one to a counter of a rank, once all that was done before has been.
    Notify {
        counter: Id,
        index: Int,
        on: Int,
    },
    /// Goes on when the rank's own counter is high enough.
    Wait {
        counter: Id,
        index: Int,
        at_least: Int,
    },
    /// The status is the failure's place from 1, and these values.
    Fail {
        failure: Id,
        values: Vec<Int>,
    },
}

/// Calls `f` on every statement, those of a body after the one that holds it.
pub fn visit<'a>(body: &'a [Step], f: &mut impl FnMut(&'a Step)) {
    for step in body {
        f(step);
        match &step.kind {
            StepKind::Loop { body, .. } => visit(body, f),
            StepKind::If {
                then, otherwise, ..
            } => {
                visit(then, f);
                visit(otherwise, f);
            }
            _ => {}
        }
    }
}

impl StepKind {
    /// Calls `f` on every integer that it computes with itself.
    pub fn integers<'a>(&'a self, f: &mut impl FnMut(&'a Int)) {
        let mut rect = |r: &'a Rect| {
            f(&r.row);
            f(&r.col);
        };
        match self {
            StepKind::Set { value, .. } => f(value),
            StepKind::SetElement { index, value, .. } => {
                f(index);
                f(value);
            }
            StepKind::If { test, .. } => {
                f(&test.left);
                f(&test.right);
            }
            StepKind::Copy { from, to, first } => {
                if let Content::Rect(r) = from {
                    rect(r);
                }
                if let Target::Rect(r, _) = to {
                    rect(r);
                }
                if let Content::Int(i) = from {
                    f(i);
                }
                if let Target::Rect(_, Some(on)) = to {
                    f(on);
                }
                first.iter().for_each(f);
            }
            StepKind::Notify { index, on, .. } => {
                f(index);
                f(on);
            }
            StepKind::Wait {
                index, at_least, ..
            } => {
                f(index);
                f(at_least);
            }
            StepKind::Fail { values, .. } => values.iter().for_each(f),
            StepKind::Read { .. }
            | StepKind::Tile { .. }
            | StepKind::Loop { .. }
            | StepKind::Fill { .. }
            | StepKind::Add { .. } => {}
        }
    }
}
