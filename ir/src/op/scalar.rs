//! What the scalar unit computes of rows and their places.

use super::Comm;
use super::attr::{AttrSpec, AttrValue, size};
use super::comm::comm;
use super::row::{Form, Row};

const LANES: &[AttrSpec<'static>] = &[size("ranks"), size("capacity")];

pub(super) static EXPERT_HISTOGRAM: Row = Row {
    name: "expert_histogram",
    doc: "i32 [T, K] -> i32 [1, experts], how many of the first `count` rows' elements name each expert",
    example: "input idx: i32[8, 2] < 4\n\
              input count: i32 <= 8\n\
              y = expert_histogram(idx, count, experts = 4)",
    operands: &["indices", "count"],
    results: 1,
    attrs: &[size("experts")],
    form: Form::Built(|a| match *a {
        [AttrValue::Size(experts)] => comm(Comm::ExpertHistogram { experts }),
        _ => None,
    }),
};

pub(super) static LANE_COUNTS: Row = Row {
    name: "lane_counts",
    doc: "i32 [ranks, experts] -> i32 [experts / ranks, 1], rows in each lane of the rank; none if a lane overflows",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input counts: i32[2, 4] <= 8\n\
              y = lane_counts(counts, rank, ranks = N, capacity = 16)",
    operands: &["counts", "rank"],
    results: 1,
    attrs: LANES,
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks), AttrValue::Size(capacity)] => {
            comm(Comm::LaneCounts { ranks, capacity })
        }
        _ => None,
    }),
};

pub(super) static ROUTE_TARGETS: Row = Row {
    name: "route_targets",
    doc: "i32 [T, K], i32 [ranks, experts] -> i32 [T, K], the window row of each element, by source rank, then (t, k)",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input count: i32 <= 8\n\
              input idx: i32[8, 2] < 4\n\
              input counts: i32[2, 4] <= 8\n\
              y = route_targets(idx, counts, rank, count, ranks = N, capacity = 16)",
    operands: &["indices", "counts", "rank", "count"],
    results: 1,
    attrs: LANES,
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks), AttrValue::Size(capacity)] => {
            comm(Comm::RouteTargets { ranks, capacity })
        }
        _ => None,
    }),
};

pub(super) static RETURN_TARGETS: Row = Row {
    name: "return_targets",
    doc: "i32 [T, K] -> i32 [T, K], rank * T * K + t * K + k, where the answer goes",
    example: "ranks N = 2\n\
              input rank: i32 < 2\n\
              input idx: i32[8, 2] < 4\n\
              y = return_targets(idx, rank)",
    operands: &["indices", "rank"],
    results: 1,
    attrs: &[],
    form: Form::Built(|_| comm(Comm::ReturnTargets)),
};

pub(super) static LANE_TARGETS: Row = Row {
    name: "lane_targets",
    doc: "i32 [L * capacity, 1], i32 [L, 1] -> the targets of the rows that exist, -1 for the others",
    example: "input targets: i32[32, 1] < 64\n\
              input received: i32[2, 1] <= 16\n\
              y = lane_targets(targets, received)",
    operands: &["targets", "received"],
    results: 1,
    attrs: &[],
    form: Form::Built(|_| comm(Comm::LaneTargets)),
};

pub(super) static LANE_STATUS: Row = Row {
    name: "lane_status",
    doc: "i32 [ranks, experts] -> i32 [1, 8], zeros, or code, rank, expert, rows, capacity of a lane that overflows",
    example: "ranks N = 2\n\
              input counts: i32[2, 4] <= 8\n\
              y = lane_status(counts, ranks = N, capacity = 16)",
    operands: &["counts"],
    results: 1,
    attrs: LANES,
    form: Form::Built(|a| match *a {
        [AttrValue::Size(ranks), AttrValue::Size(capacity)] => {
            comm(Comm::LaneStatus { ranks, capacity })
        }
        _ => None,
    }),
};
