//! The form of one tile: its memory, layout, type, and what its extents are multiples of.

use super::super::{Kernel, Layout, Space, Tile, Unit};
use super::{Check, KernelError, Place, Spot};
use crate::dtype::DType;
use crate::machine::Geometry;

/// Bytes that a slot may have. A slip, not a machine, is what this refuses.
const MAX_SLOT: usize = 1 << 30;

/// Checks a tile (`include/pto/common/pto_tile.hpp`).
pub(super) fn check(kernel: &Kernel, t: &Tile, geometry: &Geometry) -> Check {
    let block = geometry.block.count();
    let refused = |what: &str, found: Option<usize>, need: String| {
        Err(KernelError::Count {
            place: here(kernel, t),
            what: what.to_owned(),
            found,
            need,
        })
    };
    let count = |what: &str, found: usize, need: String| refused(what, Some(found), need);
    for (what, found, most) in [
        ("the number of valid rows", t.valid_rows, t.rows),
        ("the number of valid columns", t.valid_cols, t.cols),
    ] {
        if found == 0 || found > most {
            return count(what, found, format!("from 1 to the extent, {most}"));
        }
    }
    let bytes = t
        .rows
        .checked_mul(t.cols)
        .and_then(|n| n.checked_mul(t.dtype.bytes()));
    if bytes.is_none_or(|n| n > MAX_SLOT) {
        return refused("the size in bytes", bytes, format!("at most {MAX_SLOT}"));
    }
    if t.slots == 0 || t.slots > MAX_SLOTS {
        return count(
            "the number of slots",
            t.slots,
            format!("from 1 to {MAX_SLOTS}"),
        );
    }
    if !t.addrs.is_empty() && t.addrs.len() != t.slots {
        return count(
            "the number of addresses",
            t.addrs.len(),
            format!("{}, one a slot, or 0", t.slots),
        );
    }
    for a in &t.addrs {
        if a % block != 0 || *a > MAX_SLOT {
            return count(
                "the address",
                *a,
                format!("a multiple of {block} and at most {MAX_SLOT}"),
            );
        }
    }
    place(kernel, t)?;

    let (rows, cols, why) = grain(geometry, t);
    for (what, found, multiple) in [("rows", t.rows, rows), ("columns", t.cols, cols)] {
        if found % multiple != 0 {
            return count(
                &format!("the number of {what}"),
                found,
                format!(
                    "a multiple of {multiple} ({why}), so at least {}",
                    found.next_multiple_of(multiple)
                ),
            );
        }
    }
    if t.layout == Layout::ColMajor && t.cols != 1 {
        return count(
            "the number of columns",
            t.cols,
            "1 in a column-major tile".to_owned(),
        );
    }
    Ok(())
}

fn here(kernel: &Kernel, t: &Tile) -> Box<Place> {
    Box::new(Place {
        kernel: kernel.name.clone(),
        at: format!("tile `{}`", t.name),
        spot: Spot::Tile(t.name.clone()),
    })
}

/// More slots than any pipeline has.
const MAX_SLOTS: usize = 64;

/// A tile is in a memory of its kernel's core, in a layout of that memory, of a type that it can hold.
fn place(kernel: &Kernel, t: &Tile) -> Check {
    use Layout::*;
    let wrong = |what: String, help: String| {
        Err(KernelError::Space {
            place: here(kernel, t),
            what,
            help,
        })
    };
    let unit = match t.space {
        Space::Ub => Unit::Vector,
        _ => Unit::Cube,
    };
    if kernel.unit != unit && kernel.unit != Unit::Mixed {
        let (has, spaces) = match kernel.unit {
            Unit::Cube => ("a cube core", "l1, l0a, l0b or l0c"),
            Unit::Vector | Unit::Mixed => ("a vector core", "ub"),
        };
        return wrong(
            format!("{has} has no {}", t.space.name()),
            format!("place the tile in {spaces}"),
        );
    }
    let layouts: &[Layout] = match t.space {
        Space::Ub => &[RowMajor, ColMajor],
        Space::L1 => &[Nz, Zn],
        Space::L0a => &[Zz],
        Space::L0b => &[Right],
        Space::L0c => &[Acc],
    };
    if !layouts.contains(&t.layout) {
        let names: Vec<_> = layouts.iter().map(|l| l.name()).collect();
        return wrong(
            format!(
                "{} holds no tile of layout {}",
                t.space.name(),
                t.layout.name()
            ),
            format!("use layout {}", names.join(" or ")),
        );
    }
    let types: &[DType] = match t.space {
        Space::Ub => &DType::ALL,
        Space::L0c => &[DType::F32, DType::I32],
        _ => &[DType::I8, DType::F16, DType::Bf16, DType::F32],
    };
    if !types.contains(&t.dtype) {
        let names: Vec<_> = types.iter().map(|d| d.name()).collect();
        return Err(KernelError::Type {
            place: here(kernel, t),
            what: format!("{} holds no {}", t.space.name(), t.dtype),
            help: format!("use {}", names.join(", ")),
        });
    }
    Ok(())
}

/// What the extents of a tile are multiples of, and what that is.
fn grain(geometry: &Geometry, t: &Tile) -> (usize, usize, String) {
    let (block, bytes) = (geometry.block.count(), geometry.fractal_width.count());
    let (elements, width) = (
        geometry.block_elements(t.dtype),
        geometry.fractal_elements(t.dtype),
    );
    let high = geometry.fractal_rows.count();
    match t.layout {
        Layout::RowMajor => (1, elements, format!("rows of whole {block}-byte blocks")),
        Layout::ColMajor => (
            elements,
            1,
            format!("a column of whole {block}-byte blocks"),
        ),
        Layout::Nz | Layout::Zz => (
            high,
            width,
            format!("fractals of {high} rows of {bytes} bytes"),
        ),
        Layout::Zn | Layout::Right => (
            width,
            high,
            format!("fractals of {high} columns of {bytes} bytes"),
        ),
        Layout::Acc => (high, high, format!("fractals of {high} x {high}")),
    }
}
