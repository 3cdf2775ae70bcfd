//! Communication between the ranks of a layer, as dataflow.
//!
//! All ranks run one graph. A *window* is memory of a rank that its peers write into; a *counter* is a window of one i32. Effects are
//! values: an operation that writes into windows returns the window as it is afterwards, and [`Comm::Notify`] and [`Comm::Wait`]
//! thread a counter, so that order is data dependence and nothing else.
//!
//! A *target* is a row of all ranks' windows stacked: rank `t / rows`, row `t % rows` of a window of `rows` rows. A negative one
//! is no row.

use super::row::Row;
use super::{AttrValue, Dim, Op, OpError, Ragged, Type, exchange, scalar};
use crate::dtype::DType;
use serde::{Deserialize, Serialize};

/// How many ranks a layer can run on.
pub const RANKS: [usize; 3] = [2, 4, 8];

/// The scalar inputs that every rank is given: which rank it is, and the number of this run of the layer, from 1.
pub const RANK: &str = "rank";
pub const EPOCH: &str = "epoch";

/// Elements of the status of a check: code, rank, expert, rows, capacity; the others are zero.
pub const STATUS_COLS: usize = 8;
/// The status of a lane that is sent more rows than it holds.
pub const STATUS_OVERFLOW: i32 = 1;

/// What a notification does to the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyOp {
    /// Adds one, atomically.
    Add,
    /// Sets the epoch.
    Set,
}

impl NotifyOp {
    pub const ALL: [NotifyOp; 2] = [NotifyOp::Add, NotifyOp::Set];

    pub fn name(self) -> &'static str {
        match self {
            NotifyOp::Add => "add",
            NotifyOp::Set => "set",
        }
    }
}

impl std::str::FromStr for NotifyOp {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|k| k.name() == s).ok_or(())
    }
}

/// Communication primitives. A *lane* is what one expert receives: `capacity` rows of its rank's window; expert `e` of E lives
/// on rank `e / (E / ranks)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comm {
    /// `-> [rows, cols]`: memory that peers write into, zero before the first epoch and alive over epochs.
    Window {
        dtype: DType,
        rows: usize,
        cols: usize,
    },
    /// `i32 [T, K], count -> i32 [1, experts]`: how many of the first `count` rows' elements name each expert.
    ExpertHistogram { experts: usize },
    /// `window [ranks * R, C], x [R, C], rank -> window`: writes x into rows `rank * R..` of every rank's window.
    Put { ranks: usize },
    /// `window [W, C], x, targets i32 [R, K] -> window`: writes row r of `x [R, C]` to each of its K targets; with C = 1 and
    /// `x [R, K]` element (r, k) goes to target (r, k).
    RemoteStore { ranks: usize },
    /// `window, other -> window`: the window, once the other is written too.
    After,
    /// `counter i32 [1, 1], after, epoch -> counter`: changes the counter of every rank once `after` has been written.
    Notify { op: NotifyOp, ranks: usize },
    /// `counter i32 [1, 1], epoch -> counter`: waits until the counter is at least `times * epoch`.
    Wait { times: usize },
    /// `window [W, C], counter -> [rows, cols]`: the window's contents after the wait, as a matrix of as many elements.
    ReadWindow { rows: usize, cols: usize },
    /// `window [W, C], counter, count -> [rows, cols]`: the first `count` rows of the window's contents as a matrix of as many
    /// elements, after the wait; the others are zero.
    ReadRows { rows: usize, cols: usize },
    /// `window [L * capacity, C], counter, counts i32 [L, 1] -> [L * capacity, C]`: the rows of the lanes after the wait; a lane has as
    /// many as its count.
    ReadLanes,
    /// `i32 [ranks, experts], rank -> i32 [experts / ranks, 1]`: rows in each of the rank's lanes; none in any lane when one
    /// lane of any rank is sent more than `capacity`.
    LaneCounts { ranks: usize, capacity: usize },
    /// `indices i32 [T, K], counts i32 [ranks, experts], rank, count -> i32 [T, K]`: the target of each of the first `count` rows'
    /// elements in windows of `experts / ranks * capacity` rows: lanes are filled by source rank, then by (t, k).
    /// None when a lane overflows.
    RouteTargets { ranks: usize, capacity: usize },
    /// `indices i32 [T, K], rank -> i32 [T, K]`: `rank * T * K + t * K + k`, where the answer to (t, k) goes.
    ReturnTargets,
    /// `targets i32 [L * capacity, 1], counts i32 [L, 1] -> i32 [L * capacity, 1]`: the targets of the rows that exist; -1 for the others.
    LaneTargets,
    /// `i32 [ranks, experts] -> i32 [1, 8]`: zeros, or code, rank, expert of the rank, rows and capacity of the first lane that
    /// overflows.
    LaneStatus { ranks: usize, capacity: usize },
}

/// The rows of an enumeration's variants.
macro_rules! rows {
    ($name:ident: $($variant:ident => $row:path,)*) => {
        impl $name {
            /// What the table says of it.
            pub fn row(&self) -> &'static Row {
                match self {
                    $($name::$variant { .. } => &$row,)*
                }
            }

            /// The rows of all of them.
            pub(super) const ROWS: [&'static Row; [$(stringify!($variant)),*].len()] = [$(&$row),*];

            pub fn name(&self) -> &'static str {
                self.row().name
            }

            pub fn arity(&self) -> usize {
                self.row().operands.len()
            }
        }
    };
}

rows! {
    Comm:
    Window => exchange::WINDOW,
    ExpertHistogram => scalar::EXPERT_HISTOGRAM,
    Put => exchange::PUT,
    RemoteStore => exchange::REMOTE_STORE,
    After => exchange::AFTER,
    Notify => exchange::NOTIFY,
    Wait => exchange::WAIT,
    ReadWindow => exchange::READ_WINDOW,
    ReadRows => exchange::READ_ROWS,
    ReadLanes => exchange::READ_LANES,
    LaneCounts => scalar::LANE_COUNTS,
    RouteTargets => scalar::ROUTE_TARGETS,
    ReturnTargets => scalar::RETURN_TARGETS,
    LaneTargets => scalar::LANE_TARGETS,
    LaneStatus => scalar::LANE_STATUS,
}

rows! {
    Exchange:
    Dispatch => exchange::DISPATCH,
    Combine => exchange::COMBINE,
}

/// The operation, as the table makes it.
pub(super) fn comm(comm: Comm) -> Option<Op> {
    Some(Op::Prim(super::Prim::Comm(comm)))
}

impl Comm {
    /// The values of its attributes, in the row's order.
    pub(super) fn attributes(self) -> Vec<AttrValue> {
        use AttrValue::Size;
        match self {
            Comm::Window { dtype, rows, cols } => {
                vec![AttrValue::DType(dtype), Size(rows), Size(cols)]
            }
            Comm::ExpertHistogram { experts } => vec![Size(experts)],
            Comm::Put { ranks } | Comm::RemoteStore { ranks } => vec![Size(ranks)],
            Comm::Notify { op, ranks } => vec![AttrValue::Notify(op), Size(ranks)],
            Comm::Wait { times } => vec![Size(times)],
            Comm::ReadWindow { rows, cols } | Comm::ReadRows { rows, cols } => {
                vec![Size(rows), Size(cols)]
            }
            Comm::LaneCounts { ranks, capacity }
            | Comm::RouteTargets { ranks, capacity }
            | Comm::LaneStatus { ranks, capacity } => vec![Size(ranks), Size(capacity)],
            Comm::After | Comm::ReadLanes | Comm::ReturnTargets | Comm::LaneTargets => vec![],
        }
    }

    /// How many ranks the operation is for, when it says.
    pub fn ranks(&self) -> Option<usize> {
        match *self {
            Comm::Put { ranks }
            | Comm::RemoteStore { ranks }
            | Comm::Notify { ranks, .. }
            | Comm::LaneCounts { ranks, .. }
            | Comm::RouteTargets { ranks, .. }
            | Comm::LaneStatus { ranks, .. } => Some(ranks),
            _ => None,
        }
    }
}

/// The composites of expert parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    /// `x [T, D], scale f32 [T, 1], indices i32 [T, K], weights f32 [T, K], count` to the rows that this rank's experts receive:
    /// `x [L * capacity, D], scale [.., 1], weight [.., 1], i32 route [.., 1], i32 count [L, 1]` and `i32 status [1, 8]`, with
    /// L = experts / ranks.
    /// Lane l holds rows `l * capacity..`, of which `count[l]` exist, ordered by source rank and then by (t, k); `route` is
    /// `source * T * K + t * K + k`. A lane that is sent more than `capacity` rows is a failure that `status` tells: nothing
    /// is sent then, and all counts are zero, on all ranks.
    Dispatch {
        ranks: usize,
        experts: usize,
        capacity: usize,
    },
    /// `y [L * capacity, D], i32 route [.., 1], i32 count [L, 1], shared [T, D], count` to `[T, D]` of shared's type: every row of
    /// y goes back to where it came from; `out[t] = shared[t] + sum over k of y(t, k)`, in f32 from left to right; rows from `count`
    /// on are shared's.
    Combine { ranks: usize, topk: usize },
}

impl Exchange {
    /// The values of its attributes, in the row's order.
    pub(super) fn attributes(self) -> Vec<AttrValue> {
        use AttrValue::Size;
        match self {
            Exchange::Dispatch {
                ranks,
                experts,
                capacity,
            } => vec![Size(ranks), Size(experts), Size(capacity)],
            Exchange::Combine { ranks, topk } => vec![Size(ranks), Size(topk)],
        }
    }

    pub fn ranks(&self) -> usize {
        match *self {
            Exchange::Dispatch { ranks, .. } | Exchange::Combine { ranks, .. } => ranks,
        }
    }
}

/// The type of a communication primitive's result.
pub(super) fn infer_comm(comm: &Comm, operands: &[Type]) -> Result<Type, OpError> {
    let check = Check {
        op: comm.name(),
        operands,
    };
    let i32s = |r: usize, c: usize| Type::new(DType::I32, [Dim::new(r), Dim::new(c)]);
    match *comm {
        Comm::Window { dtype, rows, cols } => {
            Ok(Type::new(dtype, [Dim::new(rows), Dim::new(cols)]))
        }
        Comm::ExpertHistogram { experts } => {
            check.typed(0, DType::I32)?;
            check.matrix(0)?;
            check.scalar(1)?;
            check.positive("experts", experts)?;
            Ok(i32s(1, experts))
        }
        Comm::Put { ranks } => {
            let (w, x) = (check.matrix(0)?, check.matrix(1)?);
            check.scalar(2)?;
            check.ranks(ranks)?;
            if operands[0].dtype != operands[1].dtype || (ranks * x.0, x.1) != w {
                return Err(
                    check.shapes("a window has one piece of the operand's shape for each rank")
                );
            }
            Ok(operands[0].clone())
        }
        Comm::RemoteStore { ranks } => {
            let ((_, c), x, (r, k)) = (check.matrix(0)?, check.matrix(1)?, check.matrix(2)?);
            check.ranks(ranks)?;
            check.typed(2, DType::I32)?;
            if operands[0].dtype != operands[1].dtype || !(x == (r, c) || c == 1 && x == (r, k)) {
                return Err(check.shapes(
                    "a row of the operand is a row of the window, and has its row of targets",
                ));
            }
            Ok(operands[0].clone())
        }
        Comm::After => Ok(operands[0].clone()),
        Comm::Notify { ranks, .. } => {
            check.counter(0)?;
            check.scalar(2)?;
            check.ranks(ranks)?;
            Ok(operands[0].clone())
        }
        Comm::Wait { times } => {
            check.counter(0)?;
            check.scalar(1)?;
            check.positive("times", times)?;
            Ok(operands[0].clone())
        }
        Comm::ReadWindow { rows, cols } | Comm::ReadRows { rows, cols } => {
            let (r, c) = check.matrix(0)?;
            check.counter(1)?;
            if let Comm::ReadRows { .. } = comm {
                check.scalar(2)?;
            }
            if r * c != rows * cols {
                return Err(check.shapes("what is read has as many elements as the window"));
            }
            Ok(Type::new(
                operands[0].dtype,
                [Dim::new(rows), Dim::new(cols)],
            ))
        }
        Comm::ReadLanes => {
            let (rows, _) = check.matrix(0)?;
            check.counter(1)?;
            check.typed(2, DType::I32)?;
            let (groups, one) = check.matrix(2)?;
            if one != 1 || !rows.is_multiple_of(groups) {
                return Err(check.shapes("the window is [L * capacity, C] and the counts [L, 1]"));
            }
            let counts = "@2".into();
            Ok(operands[0]
                .clone()
                .with_ragged(Some(Ragged { groups, counts })))
        }
        Comm::LaneCounts { ranks, capacity } => {
            let lanes = check.lanes(0, ranks, capacity)?;
            check.scalar(1)?;
            Ok(i32s(lanes, 1))
        }
        Comm::RouteTargets { ranks, capacity } => {
            check.typed(0, DType::I32)?;
            check.matrix(0)?;
            check.lanes(1, ranks, capacity)?;
            check.scalar(2)?;
            check.scalar(3)?;
            Ok(operands[0].clone())
        }
        Comm::ReturnTargets => {
            check.typed(0, DType::I32)?;
            check.matrix(0)?;
            check.scalar(1)?;
            Ok(operands[0].clone())
        }
        Comm::LaneTargets => {
            check.typed(0, DType::I32)?;
            check.typed(1, DType::I32)?;
            let ((rows, one), (lanes, one_too)) = (check.matrix(0)?, check.matrix(1)?);
            if (one, one_too) != (1, 1) || !rows.is_multiple_of(lanes) {
                return Err(check.shapes("the targets are [L * capacity, 1], the counts [L, 1]"));
            }
            Ok(operands[0].clone())
        }
        Comm::LaneStatus { ranks, capacity } => {
            check.lanes(0, ranks, capacity)?;
            Ok(i32s(1, STATUS_COLS))
        }
    }
}

/// The types of an exchange's results.
pub(super) fn infer_exchange(exchange: &Exchange, operands: &[Type]) -> Result<Vec<Type>, OpError> {
    let check = Check {
        op: exchange.name(),
        operands,
    };
    let (rows, cols) = check.matrix(0)?;
    check.scalar(4)?;
    check.ranks(exchange.ranks())?;
    match *exchange {
        Exchange::Dispatch {
            ranks,
            experts,
            capacity,
        } => {
            check.positive("capacity", capacity)?;
            check.typed(1, DType::F32)?;
            check.typed(2, DType::I32)?;
            check.typed(3, DType::F32)?;
            if !experts.is_multiple_of(ranks) || experts == 0 {
                return Err(check.attribute(
                    "experts",
                    experts,
                    format!("every rank holds as many: give a multiple of {ranks}"),
                ));
            }
            let scale = check.matrix(1)?;
            let (indices, weights) = (check.matrix(2)?, check.matrix(3)?);
            if scale != (rows, 1) || indices.0 != rows || weights != indices {
                return Err(check.shapes(
                    "the rows are x [T, D], scale [T, 1], indices [T, K] and weights [T, K]",
                ));
            }
            let lanes = experts / ranks;
            let held = Dim::new(lanes * capacity);
            let ragged = || {
                let counts = "#4".into();
                Some(Ragged {
                    groups: lanes,
                    counts,
                })
            };
            let column =
                |dtype| Type::new(dtype, [held.clone(), Dim::new(1)]).with_ragged(ragged());
            let d = operands[0].shape[1].clone();
            Ok(vec![
                Type::new(operands[0].dtype, [held.clone(), d]).with_ragged(ragged()),
                column(DType::F32),
                column(DType::F32),
                column(DType::I32),
                Type::new(DType::I32, [Dim::new(lanes), Dim::new(1)]),
                Type::new(DType::I32, [Dim::new(1), Dim::new(STATUS_COLS)]),
            ])
        }
        Exchange::Combine { topk, .. } => {
            check.typed(1, DType::I32)?;
            check.typed(2, DType::I32)?;
            check.positive("topk", topk)?;
            let (lanes, one) = check.matrix(2)?;
            let shared = check.matrix(3)?;
            let held = rows.is_multiple_of(lanes) && one == 1 && check.matrix(1)? == (rows, 1);
            if !held || shared.1 != cols || operands[3].dtype != operands[0].dtype {
                return Err(check.shapes(
                    "the rows are y [L * capacity, D], route [L * capacity, 1], count [L, 1] and shared [T, D]",
                ));
            }
            Ok(vec![operands[3].clone()])
        }
    }
}

struct Check<'a> {
    op: &'static str,
    operands: &'a [Type],
}

impl Check<'_> {
    fn matrix(&self, i: usize) -> Result<(usize, usize), OpError> {
        match &self.operands[i].shape[..] {
            [r, c] => Ok((r.size, c.size)),
            _ => Err(self.rank(i, "a matrix (rank 2)")),
        }
    }

    fn scalar(&self, i: usize) -> Result<(), OpError> {
        self.typed(i, DType::I32)?;
        match self.operands[i].shape.is_empty() {
            true => Ok(()),
            false => Err(self.rank(i, "a scalar (rank 0)")),
        }
    }

    fn counter(&self, i: usize) -> Result<(), OpError> {
        self.typed(i, DType::I32)?;
        match self.matrix(i)? {
            (1, 1) => Ok(()),
            _ => Err(self.rank(i, "a counter, i32 [1, 1]")),
        }
    }

    /// Lanes of a rank, from the counts `[ranks, experts]`.
    fn lanes(&self, i: usize, ranks: usize, capacity: usize) -> Result<usize, OpError> {
        self.typed(i, DType::I32)?;
        self.ranks(ranks)?;
        self.positive("capacity", capacity)?;
        match self.matrix(i)? {
            (r, e) if r == ranks && e % ranks == 0 => Ok(e / ranks),
            _ => Err(self.rank(i, "the counts of all ranks, i32 [ranks, experts]")),
        }
    }

    fn typed(&self, i: usize, dtype: DType) -> Result<(), OpError> {
        if self.operands[i].dtype == dtype {
            return Ok(());
        }
        Err(OpError::Element {
            op: self.op.into(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected: match dtype {
                DType::F32 => "f32".into(),
                _ => "i32".into(),
            },
        })
    }

    fn positive(&self, name: &'static str, value: usize) -> Result<(), OpError> {
        match value {
            0 => Err(self.attribute(name, value, "give at least 1".into())),
            _ => Ok(()),
        }
    }

    fn ranks(&self, ranks: usize) -> Result<(), OpError> {
        match RANKS.contains(&ranks) {
            true => Ok(()),
            false => Err(self.attribute("ranks", ranks, "a layer runs on 2, 4 or 8 ranks".into())),
        }
    }

    fn attribute(&self, attribute: &'static str, value: usize, remedy: String) -> OpError {
        OpError::Attribute {
            op: self.op.into(),
            attribute: attribute.into(),
            value: value.to_string(),
            remedy,
        }
    }

    fn shapes(&self, remedy: &str) -> OpError {
        OpError::Shapes {
            op: self.op.into(),
            left: self.operands[0].clone(),
            right: self.operands[1].clone(),
            remedy: remedy.into(),
        }
    }

    fn rank(&self, i: usize, expected: &'static str) -> OpError {
        OpError::Rank {
            op: self.op.into(),
            operand: i + 1,
            found: self.operands[i].clone(),
            expected: expected.into(),
        }
    }
}
