//! Decisions of a generator as a list of numbers: shorter lists and smaller numbers are simpler instances.

use proptest::prelude::*;
use tilewright_ir::dtype::DType;
use tilewright_passes::hash::mixed;

/// Reads decisions off a list; after its end every decision is the first one.
#[derive(Debug, Clone)]
pub struct Choices {
    data: Vec<u32>,
    at: usize,
}

impl Choices {
    pub fn new(data: Vec<u32>) -> Self {
        Choices { data, at: 0 }
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        let next = self.data.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        next as usize % n
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A divisor of `n`; simplest is `n` itself.
    pub fn divisor(&mut self, n: usize) -> usize {
        let divisors: Vec<usize> = (1..=n).rev().filter(|d| n.is_multiple_of(*d)).collect();
        self.pick(&divisors)
    }
}

/// Lists of decisions.
pub fn choices() -> impl Strategy<Value = Choices> {
    proptest::collection::vec(any::<u32>(), 1..96).prop_map(Choices::new)
}

/// The `i`th of a sequence of well-mixed numbers.
pub fn mix(seed: u64, i: usize) -> u64 {
    mixed(seed, i as u64)
}

/// Small multiples of 1/4, or small integers: sums and products of many of them are exact in f64, whatever their order.
pub fn exact(seed: u64, dtype: DType, n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let k = (mix(seed, i) % 33) as f64;
            match dtype {
                DType::U32 => k,
                d if d.is_float() => (k - 16.0) / 4.0,
                _ => k - 16.0,
            }
        })
        .collect()
}
