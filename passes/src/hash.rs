//! Hash maps and sets as the search uses them: millions of look-ups of small keys that nobody hostile chose. The standard ones'
//! keyed hash took a tenth of the search's time. Nothing iterates over them where order matters.
//!
//! [`mixed`], [`scattered`] and [`WordHasher`] are for what is chosen or told apart, and must be the same in every run and on every machine.

pub(crate) use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use std::hash::Hasher;

/// Number `i` of a sequence of well-mixed numbers from a seed (SplitMix64).
pub fn mixed(seed: u64, i: u64) -> u64 {
    let next = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut x = seed.wrapping_add(next);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number that looks random, for each `x`. The search's seeded changes follow it, so another function means other candidates.
pub fn scattered(x: u64) -> u64 {
    let mut x = x.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^ (x >> 27)
}

/// A hash that is the same in every run: each word is mixed into what came before it.
#[derive(Debug, Clone, Copy, Default)]
pub struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mixed(self.0 ^ word, 0);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}
