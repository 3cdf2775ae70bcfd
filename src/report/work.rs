//! Which kernels as written an optimized kernel does the work of.
//!
//! A plan names the kernels that became one. It does not name those that vanished: whoever reads their values computes them again,
//! and they are stored no more. So this is told from what kernels read and write.

use super::KernelReport;
use indexmap::IndexSet;
use std::collections::BTreeSet;
use tilewright_passes::search::pins::{Param, Pin};

/// A pin of a tile that the chosen kernels have not.
const MOOT: &str = "tilewright::pins::moot";

/// By optimized kernel: the kernels of the form as written, by number, whose work it does.
pub fn does(written: &[KernelReport], optimized: &[KernelReport]) -> Vec<BTreeSet<usize>> {
    let stores = |k: &KernelReport| -> BTreeSet<usize> {
        let made = k.writes.iter().filter_map(|w| maker(w, written));
        made.collect()
    };
    let mut does: Vec<BTreeSet<usize>> = optimized.iter().map(stores).collect();
    // Readers come after what they read, so what vanished is told from its readers on.
    for (number, kernel) in written.iter().enumerate().rev() {
        if does.iter().any(|d| d.contains(&number)) {
            continue;
        }
        let reads = |reader: &usize| {
            let mut reads = written[*reader].reads.iter();
            reads.any(|r| kernel.writes.contains(r))
        };
        for own in &mut does {
            if own.iter().any(reads) {
                own.insert(number);
            }
        }
    }
    does
}

/// The kernel as written that writes a tensor, or the value that the tensor is a part of: sums of parts are called after the whole.
fn maker(tensor: &str, written: &[KernelReport]) -> Option<usize> {
    let of = |name: &str| {
        let rest = tensor.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('_')).then_some(name.len())
    };
    let each = written.iter().enumerate();
    let found = each.filter_map(|(i, k)| Some((k.writes.iter().filter_map(|w| of(w)).max()?, i)));
    found.max().map(|(_, i)| i)
}

/// Says of optimized kernels whose work they do, and adds to what each covers that which vanished into it.
pub fn cover(written: &[KernelReport], optimized: &mut [KernelReport]) {
    let does = does(written, optimized);
    for (kernel, own) in optimized.iter_mut().zip(does) {
        let shares = |w: &&KernelReport| w.covers.iter().any(|c| kernel.covers.contains(c));
        let parts: Vec<&KernelReport> = match own.is_empty() {
            // What stores nothing that has a name in the form as written.
            true => written.iter().filter(shares).collect(),
            false => own.into_iter().map(|i| &written[i]).collect(),
        };
        kernel.parts = parts.iter().map(|p| p.name.clone()).collect();
        for name in parts.iter().flat_map(|p| &p.covers) {
            if !kernel.covers.contains(name) {
                kernel.covers.push(name.clone());
            }
        }
    }
}

/// The kernel of this name, or those that do the work of a kernel as written, or of a part of one.
pub fn doing<'a>(kernels: &'a [KernelReport], name: &str) -> Vec<&'a KernelReport> {
    let all = |is: &dyn Fn(&KernelReport) -> bool| -> Vec<&KernelReport> {
        kernels.iter().filter(|k| is(k)).collect()
    };
    let mut ways = [
        all(&|k| k.name == name),
        all(&|k| k.parts.iter().any(|p| p == name)),
        all(&|k| k.covers.iter().any(|c| c == name)),
    ]
    .into_iter();
    ways.find(|found| !found.is_empty()).unwrap_or_default()
}

/// All names that [`doing`] knows, in one line.
pub fn names(kernels: &[KernelReport]) -> String {
    let each = |k: &'_ KernelReport| -> Vec<String> {
        let written = k.covers.iter().chain(&k.parts);
        written.chain([&k.name]).cloned().collect()
    };
    let names: IndexSet<String> = kernels.iter().flat_map(each).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Pins of tiles that no kernel has which does the work of the pinned one: a line each.
pub fn moot(pins: &[Pin], kernels: &[KernelReport]) -> Vec<String> {
    let line = |pin: &Pin| {
        let Param::Tile(tile, _) = &pin.param else {
            return None;
        };
        let doing = match pin.kernel.as_str() {
            "*" => kernels.iter().collect(),
            name => doing(kernels, name),
        };
        if doing.is_empty() || doing.iter().any(|k| k.tiles.contains_key(tile)) {
            return None;
        }
        let has = |k: &&KernelReport| {
            let tiles: Vec<&str> = k.tiles.keys().map(String::as_str).collect();
            match tiles.is_empty() {
                true => format!("{} has none", k.name),
                false => format!("{} has {}", k.name, tiles.join(", ")),
            }
        };
        let has: Vec<String> = doing.iter().map(has).collect();
        let has = has.join("; ");
        let what = match pin.kernel.as_str() {
            "*" => "no chosen kernel".to_owned(),
            name => format!("no chosen kernel that does the work of `{name}`"),
        };
        Some(format!(
            "{MOOT}: `{pin}` pins nothing: {what} has a tile `{tile}` ({has})"
        ))
    };
    pins.iter().filter_map(line).collect()
}
