//! Windows, peers, counters, and the instructions of the scalar unit.

use super::super::{Expr, GlobalRef, GlobalTensor, Kernel, Role};
use super::{Check, KernelError, Place, Spot, Verifier};
use crate::dtype::DType;

/// The arrays of a kernel have elements, and room.
pub(super) fn arrays(kernel: &Kernel, most: usize) -> Check {
    let count = |at: String, what: &str, found, need: String| {
        Err(KernelError::Count {
            place: Box::new(Place {
                kernel: kernel.name.clone(),
                at,
                spot: Spot::Launch,
            }),
            what: what.to_owned(),
            found: Some(found),
            need,
        })
    };
    let mut bytes = 0usize;
    for a in &kernel.arrays {
        let at = format!("array `{}`", a.name);
        if a.len == 0 {
            return count(at, "the array's length", 0, "at least 1".to_owned());
        }
        bytes = bytes.saturating_add(a.len.saturating_mul(4));
        if bytes > most {
            let what = "the number of bytes of the kernel's arrays up to this one";
            return count(at, what, bytes, format!("at most {most}"));
        }
    }
    Ok(())
}

impl<'a> Verifier<'a> {
    /// A peer is a rank, and only windows have instances on peers.
    pub(super) fn peer(&self, g: &GlobalRef, tensor: &GlobalTensor) -> Check {
        let Some(peer) = &g.peer else {
            return Ok(());
        };
        if tensor.role != Role::Window {
            return Err(KernelError::Form {
                place: self.place(),
                what: format!("`{}` is no window, but a peer's is named", g.tensor),
                help: "make it a window, or leave out the peer".to_owned(),
            });
        }
        self.expr(peer)?;
        if let Some((low, high)) = self.ranges.of(peer)
            && (low < 0 || high >= self.program.ranks as i128)
        {
            return Err(KernelError::Form {
                place: self.place(),
                what: format!(
                    "the peer is from {low} to {high}, but the program runs on {} ranks",
                    self.program.ranks
                ),
                help: format!("name a rank below {}", self.program.ranks),
            });
        }
        Ok(())
    }

    /// A rectangle on the rank itself.
    pub(super) fn own(
        &self,
        g: &'a GlobalRef,
        counted: Option<&Expr>,
    ) -> Result<&'a GlobalTensor, KernelError> {
        let tensor = self.global(g, counted)?;
        if g.peer.is_none() {
            return Ok(tensor);
        }
        Err(KernelError::Form {
            place: self.place(),
            what: format!("`{}` of a peer is read", g.tensor),
            help: "let the peer store it into a window of this rank: remote memory is only written"
                .to_owned(),
        })
    }

    /// One element of one of these types.
    pub(super) fn integer(&self, g: &'a GlobalRef, types: &[DType]) -> Check {
        let tensor = self.global(g, None)?;
        if (g.rows, g.cols) != (1, 1) {
            return Err(self.shape(
                format!("{} x {} elements are used", g.rows, g.cols),
                "use one".to_owned(),
            ));
        }
        if !types.contains(&tensor.dtype) {
            let names: Vec<_> = types.iter().map(|d| d.name()).collect();
            return Err(self.types(
                format!("`{}` is {}", g.tensor, tensor.dtype),
                format!("use {}", names.join(", ")),
            ));
        }
        Ok(())
    }

    /// Whole rows of 32-bit integers, as many as an array has elements for.
    pub(super) fn rows_of_array(&self, g: &'a GlobalRef, array: usize) -> Check {
        self.index("array", array, self.kernel.arrays.len())?;
        let tensor = self.own(g, None)?;
        if !matches!(tensor.dtype, DType::I32 | DType::U32) {
            return Err(self.types(
                format!("`{}` is {}", g.tensor, tensor.dtype),
                "use i32 or u32: an array holds 32 bits an element".to_owned(),
            ));
        }
        let (_, width) = tensor.matrix();
        if g.cols != width {
            return Err(self.shape(
                format!("{} of {width} columns of `{}` are used", g.cols, g.tensor),
                "use whole rows".to_owned(),
            ));
        }
        let a = &self.kernel.arrays[array];
        let count = g.rows.saturating_mul(g.cols);
        if count > a.len {
            return Err(KernelError::Bounds {
                place: self.place(),
                tensor: a.name.clone(),
                axis: "elements",
                low: 0,
                high: count as i128,
                limit: a.len,
            });
        }
        Ok(())
    }

    /// A counter is one i32 of a window.
    pub(super) fn counter_ref(&self, g: &'a GlobalRef) -> Check {
        self.integer(g, &[DType::I32])?;
        if self.program.tensors[&g.tensor].role == Role::Window {
            return Ok(());
        }
        Err(KernelError::Form {
            place: self.place(),
            what: format!("the counter `{}` is no window", g.tensor),
            help: format!("make `{}` a window", g.tensor),
        })
    }

    pub(super) fn array(&self, array: usize, index: &'a super::Expr) -> Check {
        self.index("array", array, self.kernel.arrays.len())?;
        self.expr(index)?;
        let a = &self.kernel.arrays[array];
        match self.ranges.of(index) {
            Some((low, high)) if low < 0 || high >= a.len as i128 => Err(KernelError::Bounds {
                place: self.place(),
                tensor: a.name.clone(),
                axis: "elements",
                low,
                high: high + 1,
                limit: a.len,
            }),
            _ => Ok(()),
        }
    }
}
