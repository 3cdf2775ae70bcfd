//! Laws by which values are the same on symbols: see [`super::equal`].

use super::equal::{Sym, Walk, hash};
use tilewright_backends::data::{Scalar, cast_scalar};
use tilewright_ir::DType;
use tilewright_ir::dtype::Round;
use tilewright_ir::kernel::{TileRef, VectorOp};
use tilewright_ir::op::{Binary, Reduce, Unary};

impl Walk<'_> {
    /// What a vector instruction makes, with these laws: a conversion that is exact, or to whole numbers of what is whole, is the
    /// same in every mode; whole numbers may be rounded to f16 in any mode on their way to 8 bits, which saturate; a bound that a
    /// value keeps to anyway and the magnitude of what is not negative change nothing.
    pub(super) fn vector(&self, op: &VectorOp, dst: &TileRef, srcs: &[TileRef]) -> Sym {
        let tile = &self.kernel.tiles[dst.tile];
        let read: Vec<Sym> = srcs.iter().map(|s| self.read(s)).collect();
        let hashes: Vec<u64> = read.iter().map(|s| s.hash).collect();
        let shape = (
            tile.valid_rows,
            tile.valid_cols,
            format!("{:?}", tile.dtype),
        );
        let named = |name: String| hash((name, &hashes, &shape));
        let first = read.first().copied().unwrap_or(Sym::of(0));
        let from = srcs.first().map(|s| self.kernel.tiles[s.tile].dtype);
        match *op {
            VectorOp::Cvt(round) => self.converted(round, from, tile.dtype, first, &shape),
            VectorOp::Scalar(Binary::Max, c) if first.low >= f64::from(c) => first,
            VectorOp::Scalar(Binary::Min, c) if first.high <= f64::from(c) => first,
            VectorOp::Unary(Unary::Abs | Unary::Relu) if first.low >= 0.0 => first,
            VectorOp::Binary(Binary::Max) if read.len() == 2 && read[0].high <= read[1].low => {
                read[1]
            }
            VectorOp::Binary(Binary::Max) if read.len() == 2 && read[1].high <= read[0].low => {
                read[0]
            }
            VectorOp::Fill(c) => Sym {
                low: f64::from(c),
                high: f64::from(c),
                integral: c.fract() == 0.0,
                ..Sym::of(named(format!("{op:?}")))
            },
            _ => {
                let made = Sym::of(named(format!("{op:?}")));
                self.bounded(op, &read, made)
            }
        }
    }

    fn converted(
        &self,
        round: Round,
        from: Option<DType>,
        to: DType,
        first: Sym,
        shape: &(usize, usize, String),
    ) -> Sym {
        use DType::{Bf16, F16, F32, I8, I32};
        let within = |most: f64| first.low >= -most && first.high <= most;
        let exact = matches!(
            (from, to),
            (Some(Bf16 | F16), F32) | (Some(I8), F16 | F32 | I32) | (Some(F32), F32)
        );
        let same = match to {
            _ if exact => true,
            F16 => first.integral && within(2048.0),
            F32 => first.integral && within(16_777_216.0),
            to if !to.is_float() => first.integral,
            _ => false,
        };
        let mode = match same {
            true => Round::Rint,
            false => round,
        };
        let with = |hash_of: u64, mode: Option<Round>| {
            hash(("convert", hash_of, format!("{mode:?}"), shape))
        };
        let any_mode = with(first.hash, None);
        let own = match (first.rough, to) {
            // Whatever f16 made of it, 8 bits hold the same.
            (Some(rough), I8) => with(rough, None),
            _ => with(first.hash, Some(mode)),
        };
        let floor = |x: f64| x.floor();
        Sym {
            rough: (from == Some(I32) && to == F16 && first.integral).then_some(any_mode),
            integral: first.integral || !to.is_float(),
            low: floor(first.low),
            high: -floor(-first.high),
            ..Sym::of(own)
        }
    }

    /// The same value with what is known of its size.
    fn bounded(&self, op: &VectorOp, read: &[Sym], made: Sym) -> Sym {
        let first = read.first().copied().unwrap_or(Sym::of(0));
        let all_low = read.iter().map(|s| s.low).fold(f64::INFINITY, f64::min);
        let square = read.len() == 2 && read[0].hash == read[1].hash;
        let (low, high) = match *op {
            VectorOp::Unary(Unary::Abs | Unary::Sqrt | Unary::Exp | Unary::Relu) => {
                (0.0, f64::INFINITY)
            }
            VectorOp::Binary(Binary::Mul) if square => (0.0, f64::INFINITY),
            VectorOp::Scalar(Binary::Max, c) => {
                (first.low.max(f64::from(c)), first.high.max(f64::from(c)))
            }
            VectorOp::Scalar(Binary::Min, c) => {
                (first.low.min(f64::from(c)), first.high.min(f64::from(c)))
            }
            VectorOp::Scalar(Binary::Add, c) if c >= 0.0 && first.low >= 0.0 => {
                (0.0, f64::INFINITY)
            }
            VectorOp::Scalar(Binary::Mul | Binary::Div, c) if c >= 0.0 && first.low >= 0.0 => {
                (0.0, f64::INFINITY)
            }
            VectorOp::Binary(f)
            | VectorOp::RowExpand(f)
            | VectorOp::ColExpand(f)
            | VectorOp::Halves(f)
                if all_low >= 0.0 && f != Binary::Sub =>
            {
                (0.0, f64::INFINITY)
            }
            VectorOp::RowReduce(Reduce::Max | Reduce::Min) => (first.low, first.high),
            VectorOp::RowReduce(Reduce::Sum) if first.low >= 0.0 => (0.0, f64::INFINITY),
            VectorOp::Copy => (first.low, first.high),
            _ => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let integral = matches!(
            op,
            VectorOp::Copy | VectorOp::RowReduce(Reduce::Max | Reduce::Min)
        ) && first.integral;
        Sym {
            low,
            high,
            integral,
            ..made
        }
    }
}

/// The law of [`Sym::rough`]: f16 holds all whole numbers up to 2048 and rounds in order, and 8 bits hold 127 at most.
#[test]
fn eight_bits_hold_the_same_however_f16_was_rounded() {
    let through = |x: i64, mode: Round| {
        let half = cast_scalar(Scalar::Int(x), DType::I32, DType::F16, mode);
        cast_scalar(half, DType::F16, DType::I8, Round::Rint)
    };
    let far = (11..31).flat_map(|n| [(1_i64 << n) - 1, 1 << n, (1 << n) + 1]);
    let all = (-2100..=2100).chain(far.clone()).chain(far.map(|x| -x));
    for x in all.chain([i64::from(i32::MAX), i64::from(i32::MIN)]) {
        for mode in Round::ALL {
            assert_eq!(through(x, mode), through(x, Round::Rint), "{x} {mode:?}");
        }
    }
}
