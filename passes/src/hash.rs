//! Hash maps and sets as the search uses them: millions of look-ups of small keys that nobody hostile chose. The standard ones'
//! keyed hash took a tenth of the search's time. Nothing iterates over them where order matters.

pub(crate) use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
