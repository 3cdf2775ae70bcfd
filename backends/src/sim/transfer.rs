//! Moves between memories: loads, stores, L1 to L0, and scalar reads of global memory.
//!
//! Nothing is converted, so the types on both sides are equal. A rectangle fills or empties the tile from (0, 0); it may be smaller
//! than the tile's valid part. A `Zn` tile holds the transposed rectangle. One row may become one column and the other way
//! round, where the elements lie one after the other on both sides.

use super::env::{Env, operand};
use super::error::Fault;
use super::instr::{Data, no_ranks};
use super::memory::{Access, Core, Operand};
use super::ranks::Target;
use tilewright_ir::DType;
use tilewright_ir::kernel::{GlobalRef, Layout, TileRef};

/// A rectangle seen from its tile.
struct View {
    rows: usize,
    cols: usize,
    transposed: bool,
    /// The tile lies column by column, so the bytes are in the rectangle's order all the same.
    turned: bool,
}

fn view(tile: &Operand, rect: &GlobalRef, run_time_rows: bool) -> Result<View, Fault> {
    let t = tile.tile;
    let transposed = t.layout == Layout::Zn
        || (t.layout == Layout::ColMajor && rect.rows == 1)
        || (t.layout == Layout::RowMajor && t.valid_rows == 1 && rect.cols == 1);
    let (rows, cols) = if transposed {
        (rect.cols, rect.rows)
    } else {
        (rect.rows, rect.cols)
    };
    if rows > t.valid_rows || cols > t.valid_cols {
        return Err(Fault::Shape {
            what: format!(
                "a rectangle of {} x {} and tile `{}` with a valid part of {} x {}",
                rect.rows, rect.cols, t.name, t.valid_rows, t.valid_cols
            ),
        });
    }
    Ok(View {
        rows: if run_time_rows {
            rows.min(tile.rows)
        } else {
            rows
        },
        cols,
        transposed,
        turned: tile.is_turned(),
    })
}

fn same_type(data: &Data, tile: &Operand, rect: &GlobalRef) -> Result<(), Fault> {
    let dtype = data.dtype(rect)?;
    if dtype == tile.tile.dtype {
        Ok(())
    } else {
        Err(Fault::Unsupported {
            what: format!(
                "a transfer between tensor `{}` of {dtype} and tile `{}` of {}",
                rect.tensor, tile.tile.name, tile.tile.dtype
            ),
            remedy: "transfers convert nothing: convert between two tiles with cvt".into(),
        })
    }
}

impl Data<'_, '_> {
    fn dtype(&self, g: &GlobalRef) -> Result<DType, Fault> {
        match self.globals.buffers.get(&g.tensor) {
            Some(buffer) => Ok(buffer.dtype),
            None => {
                let link = self.link.as_ref().ok_or_else(no_ranks)?;
                link.dtype(&g.tensor).ok_or_else(no_ranks)
            }
        }
    }

    /// The first rows and columns of a rectangle.
    fn read(
        &mut self,
        access: &Access,
        env: &Env,
        g: &GlobalRef,
        (rows, cols): (usize, usize),
    ) -> Result<Vec<u8>, Fault> {
        let at = (env.eval(&g.row)?, env.eval(&g.col)?);
        match self.globals.buffers.get_mut(&g.tensor) {
            Some(buffer) if g.step == 1 && g.view.is_none() => {
                let rect = buffer.rect(at.0, at.1, rows, cols)?;
                buffer.read(access, rect)
            }
            Some(buffer) => {
                let mut bytes = vec![];
                for row in 0..rows {
                    let row = at.0.saturating_add((row * g.step) as i64);
                    bytes.extend(match g.view {
                        Some(view) => buffer.read_view(access, view, (row, at.1), cols)?,
                        None => {
                            let rect = buffer.rect(row, at.1, 1, cols)?;
                            buffer.read(access, rect)?
                        }
                    });
                }
                Ok(bytes)
            }
            None => {
                if g.view.is_some() {
                    return Err(Fault::Unsupported {
                        what: format!("a load from a view of the window `{}`", g.tensor),
                        remedy: "load its own rows".into(),
                    });
                }
                if g.step != 1 {
                    return Err(Fault::Unsupported {
                        what: format!("a load from a window of rows {} apart", g.step),
                        remedy: "load rows beside each other".into(),
                    });
                }
                let link = self.link.as_deref_mut().ok_or_else(no_ranks)?;
                link.read(access, &g.tensor, at, (rows, cols))
            }
        }
    }

    fn write(
        &mut self,
        access: &Access,
        env: &Env,
        g: &GlobalRef,
        (rows, cols): (usize, usize),
        bytes: Vec<u8>,
    ) -> Result<(), Fault> {
        let at = (env.eval(&g.row)?, env.eval(&g.col)?);
        if g.view.is_some() {
            return Err(Fault::Unsupported {
                what: format!("a store into a view of `{}`", g.tensor),
                remedy: "store rows of the tensor itself: only loads go through a view".into(),
            });
        }
        match self.globals.buffers.get_mut(&g.tensor) {
            Some(buffer) => {
                let rect = buffer.rect(at.0, at.1, rows, cols)?;
                buffer.write(access, rect, &bytes)
            }
            None => {
                let peer = g.peer.as_ref().map(|p| env.eval(p)).transpose()?;
                let link = self.link.as_deref_mut().ok_or_else(no_ranks)?;
                let to = Target {
                    tensor: &g.tensor,
                    peer,
                    at,
                };
                link.write(access, to, (rows, cols), bytes)
            }
        }
    }
}

/// Rows and columns exchanged: `data` is `rows x cols`, the result `cols x rows`.
fn transpose(data: &[u8], rows: usize, cols: usize, size: usize) -> Vec<u8> {
    if rows == 1 || cols == 1 {
        return data.to_vec();
    }
    let mut out = vec![0; data.len()];
    for r in 0..rows {
        for c in 0..cols {
            let (from, to) = ((r * cols + c) * size, (c * rows + r) * size);
            out[to..to + size].copy_from_slice(&data[from..from + size]);
        }
    }
    out
}

pub(super) fn load(
    access: &Access,
    env: &Env,
    data: &mut Data,
    dst: &TileRef,
    src: &GlobalRef,
) -> Result<bool, Fault> {
    let mut tile = operand(access.prepared, env, dst)?;
    same_type(data, &tile, src)?;
    let v = view(&tile, src, dst.rows.is_some())?;
    (tile.rows, tile.cols) = (v.rows, v.cols);
    if tile.empty() {
        return Ok(false);
    }
    let (rows, cols) = if v.transposed {
        (v.cols, v.rows)
    } else {
        (v.rows, v.cols)
    };
    let mut bytes = data.read(access, env, src, (rows, cols))?;
    if v.transposed && !v.turned {
        bytes = transpose(&bytes, rows, cols, tile.tile.dtype.bytes());
    }
    data.core.write(access, &tile)?;
    data.core.scatter(&tile, &bytes);
    Ok(true)
}

pub(super) fn store(
    access: &Access,
    env: &Env,
    data: &mut Data,
    dst: &GlobalRef,
    src: &TileRef,
) -> Result<bool, Fault> {
    let mut tile = operand(access.prepared, env, src)?;
    same_type(data, &tile, dst)?;
    if dst.step != 1 {
        return Err(Fault::Unsupported {
            what: format!("a store of rows {} apart", dst.step),
            remedy: "store rows beside each other: only loads leave rows out".into(),
        });
    }
    let v = view(&tile, dst, src.rows.is_some())?;
    (tile.rows, tile.cols) = (v.rows, v.cols);
    if tile.empty() {
        return Ok(false);
    }
    data.core.read(access, &tile)?;
    let mut bytes = data.core.gather(&tile);
    let (rows, cols) = if v.transposed {
        bytes = transpose(&bytes, v.rows, v.cols, tile.tile.dtype.bytes());
        (v.cols, v.rows)
    } else {
        (v.rows, v.cols)
    };
    data.write(access, env, dst, (rows, cols), bytes)?;
    Ok(true)
}

/// L1 to L0A or L0B: the same rows, columns and type.
pub(super) fn move_tile(
    access: &Access,
    core: &mut Core,
    dst: &Operand,
    src: &Operand,
    from: (usize, usize),
) -> Result<bool, Fault> {
    if dst.tile.dtype != src.tile.dtype {
        return Err(Fault::Unsupported {
            what: format!(
                "a move of {} `{}` into {} `{}`",
                src.tile.dtype, src.tile.name, dst.tile.dtype, dst.tile.name
            ),
            remedy: "moves convert nothing".into(),
        });
    }
    if src.empty() || dst.empty() {
        return Ok(false);
    }
    let (row, col) = from;
    let whole = from == (0, 0) && (dst.tile.rows, dst.tile.cols) == (src.tile.rows, src.tile.cols);
    let fits = row + dst.rows <= src.rows && col + dst.cols <= src.cols;
    if (whole && (dst.rows, dst.cols) != (src.rows, src.cols)) || !fits {
        return Err(Fault::Shape {
            what: format!(
                "a move of {} x {} into {} x {}",
                src.rows, src.cols, dst.rows, dst.cols
            ),
        });
    }
    core.read(access, src)?;
    let mut bytes = core.gather(src);
    if (dst.rows, dst.cols) != (src.rows, src.cols) {
        // Lines of the source, and what of each is taken.
        let size = src.tile.dtype.bytes();
        let ((line, count), (first, length), long) = match src.is_turned() {
            true => ((col, dst.cols), (row, dst.rows), src.rows),
            false => ((row, dst.rows), (col, dst.cols), src.cols),
        };
        let piece = |l: usize| {
            let start = (l * long + first) * size;
            bytes[start..start + length * size].iter().copied()
        };
        bytes = (line..line + count).flat_map(piece).collect();
    }
    if src.is_turned() != dst.is_turned() {
        // Bytes are in the order of their tile: row by row, or column by column.
        let size = dst.tile.dtype.bytes();
        let (lines, long) = match src.is_turned() {
            true => (dst.cols, dst.rows),
            false => (dst.rows, dst.cols),
        };
        let places = (0..long).flat_map(|i| (0..lines).map(move |line| line * long + i));
        let element = |at: usize| bytes[at * size..(at + 1) * size].iter().copied();
        bytes = places.flat_map(element).collect();
    }
    core.scratch(access, dst)?;
    core.write(access, dst)?;
    core.scatter(dst, &bytes);
    Ok(true)
}

/// One integer of global memory.
pub(super) fn read_scalar(
    access: &Access,
    env: &Env,
    data: &mut Data,
    src: &GlobalRef,
) -> Result<i64, Fault> {
    let dtype = data.dtype(src)?;
    let bytes = data.read(access, env, src, (1, 1))?;
    Ok(match (dtype, bytes.as_slice()) {
        (DType::I8, [a]) => i64::from(*a as i8),
        (DType::I32, &[a, b, c, d]) => i64::from(i32::from_le_bytes([a, b, c, d])),
        (DType::U32, &[a, b, c, d]) => i64::from(u32::from_le_bytes([a, b, c, d])),
        (DType::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => {
            return Err(Fault::Unsupported {
                what: format!("a scalar read of {dtype} from tensor `{}`", src.tensor),
                remedy: "only integers become indices".into(),
            });
        }
    })
}

/// One integer into global memory.
pub(super) fn write_scalar(
    access: &Access,
    env: &Env,
    data: &mut Data,
    dst: &GlobalRef,
    value: i64,
) -> Result<(), Fault> {
    let dtype = data.dtype(dst)?;
    let too_large = |_| Fault::Unsupported {
        what: format!("{value} as {dtype}"),
        remedy: format!("keep values that `{}` receives in its type", dst.tensor),
    };
    let bytes = match dtype {
        DType::I64 => value.to_le_bytes().to_vec(),
        DType::U32 => u32::try_from(value)
            .map_err(too_large)?
            .to_le_bytes()
            .to_vec(),
        _ => i32::try_from(value)
            .map_err(too_large)?
            .to_le_bytes()
            .to_vec(),
    };
    data.write(access, env, dst, (1, 1), bytes)
}
