//! Whether kernels can have what is pinned.

use super::fuse;
use super::parse::WORDS;
use super::{Param, Pin, PinError, Pins};
use crate::problem::{EVEN, KernelSpec, Last, Problem, Store, nearest_cut};
use indexmap::{IndexMap, IndexSet};
use std::collections::BTreeSet;
use tilewright_ir::kernel::Unit;

impl Pins {
    /// The pins of a problem's kernels.
    ///
    /// # Errors
    ///
    /// A kernel that there is not, a parameter that the kernel has not, and a tile that does not divide its axis.
    pub fn check(pins: &[Pin], problem: &Problem) -> Result<Self, PinError> {
        let mut checked = Pins::default();
        for pin in pins {
            let targets = targets(&pin.kernel, problem)?;
            let mut hit = false;
            for (name, parts) in targets {
                match fits(&pin.param, &name, &parts, problem) {
                    // `*` pins whoever has the parameter.
                    Err(PinError::UnknownParameter { .. }) if pin.kernel == "*" => continue,
                    fits => fits?,
                }
                hit = true;
                let (name, param) = match &pin.param {
                    Param::Fuse(with) => fuse::resolved(with, &name, &parts, problem)?,
                    param => (name, param.clone()),
                };
                checked.kernels.entry(name).or_default().hold_at(&param);
            }
            if !hit {
                return Err(unknown(&pin.kernel, pin.param.name(), WORDS.join(", ")));
            }
        }
        fuse::once(&checked, problem)?;
        Ok(checked)
    }

    /// Sizes of tiles that pins ask for, and those of as many blocks as they ask for.
    pub fn sizes(&self, problem: &Problem) -> BTreeSet<usize> {
        let mut sizes = BTreeSet::new();
        for (name, pins) in &self.kernels {
            let named = |k: &KernelSpec| &k.region == name || &k.name == name;
            let cuts = |k: &&KernelSpec| named(k) && k.exchange.is_none();
            for spec in problem.kernels.iter().filter(cuts) {
                sizes.extend(pins.tiles.values());
                for blocks in pins.blocks.iter().filter(|b| **b > 0) {
                    let shares = spec.stores.iter().flat_map(|s| [s.rows, s.cols]);
                    sizes.extend(shares.map(|n| n.div_ceil(*blocks)));
                }
            }
        }
        sizes
    }
}

/// Parts of kernels as written.
type Parts<'p> = Vec<&'p KernelSpec>;

/// What a pin is about, each once: kernels as written, or a part of one, by name and with their parts.
fn targets<'p>(kernel: &str, problem: &'p Problem) -> Result<Vec<(String, Parts<'p>)>, PinError> {
    let mut regions: IndexMap<&str, Parts> = IndexMap::new();
    for spec in &problem.kernels {
        regions.entry(&spec.region).or_default().push(spec);
    }
    let all = || {
        regions
            .iter()
            .map(|(name, parts)| ((*name).to_owned(), parts.clone()))
    };
    let part = problem.kernels.iter().find(|k| k.name == kernel);
    match (kernel, regions.contains_key(kernel), part) {
        ("*", ..) => Ok(all().collect()),
        (_, true, _) => Ok(all().filter(|(name, _)| name == kernel).collect()),
        (_, false, Some(part)) => Ok(vec![(part.name.clone(), vec![part])]),
        (_, false, None) => {
            let parts = problem.kernels.iter().map(|k| k.name.as_str());
            let known: IndexSet<&str> = regions.keys().copied().chain(parts).collect();
            Err(PinError::UnknownKernel {
                kernel: kernel.into(),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            })
        }
    }
}

fn unknown(kernel: &str, param: &str, known: String) -> PinError {
    PinError::UnknownParameter {
        kernel: kernel.into(),
        param: param.into(),
        known,
    }
}

/// Whether a kernel as written, which is these parts, has a parameter and can have this value.
fn fits(
    param: &Param,
    region: &str,
    parts: &[&KernelSpec],
    problem: &Problem,
) -> Result<(), PinError> {
    let lacks = match param {
        Param::SplitK(_) if parts.iter().all(|k| k.unit != Unit::Cube) => {
            "kernels without a product"
        }
        Param::Mix(_) if !reads_product(parts, problem) => "kernels that read no product",
        Param::Feed(_) if !is_fed(parts, problem) => {
            "kernels whose products read nothing that a vector kernel stores"
        }
        Param::Fuse(_) if parts.iter().all(|k| !fuse::can(k)) => {
            "kernels that are no vector kernel"
        }
        Param::ByLine(_) if parts.iter().all(|k| k.exchange.is_none()) => "kernels on one rank",
        Param::Tile(name, size) => return tile_fits((name, *size), region, parts, problem),
        _ => return Ok(()),
    };
    let known = format!("those of {lacks}: launch, pipeline, blocks, and its tiles");
    Err(unknown(region, param.name(), known))
}

/// Whether a vector part reads a product.
fn reads_product(parts: &[&KernelSpec], problem: &Problem) -> bool {
    let vector = |k: &&&KernelSpec| k.unit == Unit::Vector && k.exchange.is_none();
    parts.iter().filter(vector).any(|k| {
        k.reads.iter().any(|r| {
            let cube = problem.kernels.iter().filter(|c| c.unit == Unit::Cube);
            cube.flat_map(|c| &c.stores).any(|s| &s.name == r)
        })
    })
}

/// Whether a product reads what a vector kernel stores.
fn is_fed(parts: &[&KernelSpec], problem: &Problem) -> bool {
    parts.iter().filter(|k| k.unit == Unit::Cube).any(|k| {
        let makers = problem.kernels.iter().filter(|m| m.unit == Unit::Vector);
        let mut stores = makers.flat_map(|m| &m.stores);
        stores.any(|s| k.reads.contains(&s.name))
    })
}

fn tile_fits(
    (tile, size): (&str, usize),
    region: &str,
    parts: &[&KernelSpec],
    problem: &Problem,
) -> Result<(), PinError> {
    let mut known: Vec<&str> = WORDS.into();
    let mut found = false;
    for spec in parts {
        let names = &spec.names;
        let of = [
            Some(&names.rows),
            names.cols.as_ref(),
            names.reduce.as_ref(),
        ];
        for name in of.into_iter().flatten() {
            if !known.contains(&name.as_str()) {
                known.push(name);
            }
            found |= name == tile;
        }
        let cube = spec.unit == Unit::Cube && names.rows != tile;
        for (extent, unit, last) in extents(spec, problem, tile) {
            if cube && size < extent && !size.is_multiple_of(unit) {
                return Err(PinError::NotAMultiple {
                    kernel: region.into(),
                    param: tile.into(),
                    value: size,
                    unit,
                    nearest: nearest_cut(extent, size, unit, last),
                });
            }
            if size < extent && !last.allows(extent, size) {
                return Err(PinError::DoesNotDivide {
                    kernel: region.into(),
                    param: tile.into(),
                    value: size,
                    extent,
                    nearest: nearest_cut(extent, size, unit, last),
                });
            }
        }
    }
    match found {
        true => Ok(()),
        false => Err(unknown(region, tile, known.join(", "))),
    }
}

/// What a tile of this name cuts, in elements; what its tiles are multiples of, if they can be; and how it is cut.
fn extents(spec: &KernelSpec, problem: &Problem, tile: &str) -> Vec<(usize, usize, Last)> {
    let product = spec.unit == Unit::Cube;
    let mut out = vec![];
    if spec.exchange.is_some() {
        // Blocks of an exchange share trips and cut nothing.
        return out;
    }
    if spec.names.rows == tile {
        let groups = |s: &Store| {
            let tensor = problem.tensors.get(s.tensor());
            tensor.and_then(|t| t.ragged.as_ref()).map(|r| r.groups)
        };
        let rows = spec.stores.iter().map(|s| match groups(s) {
            Some(groups) => (s.rows / groups.max(1), 1, Last::Whole),
            None => (s.rows, 1, Last::From(1)),
        });
        out.extend(rows.max_by_key(|(rows, ..)| *rows));
    }
    if spec.names.cols.as_deref() == Some(tile) {
        let cols = spec.stores.iter().map(|s| s.data_cols);
        let last = Last::of(product);
        out.extend(cols.filter(|c| *c > 1).map(|c| (c, EVEN, last)));
    }
    if spec.names.reduce.as_deref() == Some(tile) {
        let last = Last::of(product);
        out.extend(spec.reduces.iter().map(|r| (r.extent, EVEN, last)));
    }
    out
}
