//! What is computed of whole rows.

use super::elements::{FLOATS, NUMBERS, ReduceInstr};
use super::{Binary, table};

/// What is to be said of a reduction of a row to one element.
#[derive(Debug)]
pub struct ReduceRow {
    pub name: &'static str,
    /// Its name where it reduces rows.
    pub by_row: &'static str,
    /// One line for people.
    pub doc: &'static str,
    /// The element-wise function that joins two partial results.
    pub combine: Binary,
    pub instr: ReduceInstr,
}

table! {
    /// Reductions of a row to one element.
    Reduce: ReduceRow {
        Sum => ReduceRow {
            name: "sum",
            by_row: "row_sum",
            doc: "the sum of each row",
            combine: Binary::Add,
            instr: ReduceInstr {
                isa: "TROWSUM",
                pypto: "row_sum",
                cost: ["row_sum_f16", "row_sum_f32"],
                types: FLOATS,
                reordered: [1e-3, 1e-5],
            },
        },
        Max => ReduceRow {
            name: "max",
            by_row: "row_max",
            doc: "the largest of each row",
            combine: Binary::Max,
            instr: ReduceInstr {
                isa: "TROWMAX",
                pypto: "row_max",
                cost: ["row_max_f16", "row_max_f32"],
                types: NUMBERS,
                reordered: [0.0; 2],
            },
        },
        Min => ReduceRow {
            name: "min",
            by_row: "row_min",
            doc: "the smallest of each row",
            combine: Binary::Min,
            instr: ReduceInstr {
                isa: "TROWMIN",
                pypto: "row_min",
                cost: ["row_max_f16", "row_max_f32"],
                types: NUMBERS,
                reordered: [0.0; 2],
            },
        },
    }
}

impl Reduce {
    /// The element-wise function that joins two partial results.
    pub fn combine(self) -> Binary {
        self.row().combine
    }
}
