//! Whether a kernel's tiles fit a machine's memories.

use super::super::{Kernel, Space, Tile};
use super::{KernelError, Place, Spot};
use crate::machine::Machine;

/// Checks that a kernel's tiles lie inside the machine's memories, at addresses that the memories allow. Before
/// addresses are chosen, it checks that the tiles could fit one after the other.
///
/// # Errors
/// [`KernelError::Capacity`] and [`KernelError::Alignment`].
pub fn check_capacity(kernel: &Kernel, machine: &Machine) -> Result<(), KernelError> {
    for space in Space::ALL {
        let tiles = || kernel.tiles.iter().filter(move |t| t.space == space);
        let bytes = |t: &Tile| {
            t.rows
                .saturating_mul(t.cols)
                .saturating_mul(t.dtype.bytes())
        };
        let alignment = machine.alignment_of(space).max(1);
        let mut need = 0usize;
        let mut unplaced = 0usize;
        for t in tiles() {
            if t.addrs.is_empty() {
                let slot = bytes(t).checked_next_multiple_of(alignment);
                unplaced =
                    unplaced.saturating_add(slot.unwrap_or(usize::MAX).saturating_mul(t.slots));
            }
            for a in &t.addrs {
                if a % alignment != 0 {
                    return Err(KernelError::Alignment {
                        place: Box::new(Place {
                            kernel: kernel.name.clone(),
                            at: format!("tile `{}`", t.name),
                            spot: Spot::Tile(t.name.clone()),
                        }),
                        machine: machine.name.clone(),
                        space: space.name(),
                        address: *a,
                        alignment,
                        nearest: a.checked_next_multiple_of(alignment).unwrap_or(0),
                    });
                }
                need = need.max(a.saturating_add(bytes(t)));
            }
        }
        let need = need.saturating_add(unplaced);
        let limit = machine.capacity_of(space);
        if need > limit {
            let all = |t: &Tile| bytes(t).saturating_mul(t.slots);
            // The first of the largest.
            let largest = tiles().reduce(|a, b| if all(b) > all(a) { b } else { a });
            let (tile, tile_bytes, slots, shape) = largest
                .map(|t| (t.name.clone(), all(t), t.slots, (t.rows, t.cols)))
                .unwrap_or_default();
            let over = need - limit;
            return Err(KernelError::Capacity {
                remedy: remedy(&tile, tile_bytes, slots, shape, over),
                place: Box::new(Place {
                    kernel: kernel.name.clone(),
                    at: format!("largest tile `{tile}` ({tile_bytes} bytes in {slots} slots)"),
                    spot: Spot::Tile(tile.clone()),
                }),
                machine: machine.name.clone(),
                space: space.name(),
                need,
                limit,
                over,
            });
        }
    }
    Ok(())
}

/// The smallest change to the largest tile that saves enough, if there is one.
fn remedy(
    tile: &str,
    bytes: usize,
    slots: usize,
    (rows, cols): (usize, usize),
    over: usize,
) -> String {
    if slots > 1 && bytes / slots >= over {
        return format!("give `{tile}` {} slots instead of {slots}", slots - 1);
    }
    let mut smaller = cols;
    let mut left = bytes;
    while smaller > 1 && smaller % 2 == 0 {
        smaller /= 2;
        left /= 2;
        if bytes - left >= over {
            return format!("make `{tile}` {rows} x {smaller} instead of {rows} x {cols}");
        }
    }
    format!("`{tile}` alone cannot save them, make all tiles smaller")
}
