//! What is computed of whole rows.

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
}

table! {
    /// Reductions of a row to one element.
    Reduce: ReduceRow {
        Sum => ReduceRow {
            name: "sum",
            by_row: "row_sum",
            doc: "the sum of each row",
            combine: Binary::Add,
        },
        Max => ReduceRow {
            name: "max",
            by_row: "row_max",
            doc: "the largest of each row",
            combine: Binary::Max,
        },
        Min => ReduceRow {
            name: "min",
            by_row: "row_min",
            doc: "the smallest of each row",
            combine: Binary::Min,
        },
    }
}

impl Reduce {
    /// The element-wise function that joins two partial results.
    pub fn combine(self) -> Binary {
        self.row().combine
    }
}
