//! The ways to store a value: what the launches of its e-class say, by grid.

use super::Extraction;
use crate::search::candidate::{Grid, Trips};
use crate::term::language::{Head, Term};
use egg::Id;
use indexmap::IndexMap;
use std::rc::Rc;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::Unit;

/// One way to store one value on a grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub trips: Trips,
    pub chunk: usize,
    pub block_cols: usize,
    pub tile: Id,
    pub pad: Option<(Id, Id)>,
    /// The class of the launch that fills the padding.
    pub fill: Option<Id>,
}

/// Tells which stores are cut into trips: those of many columns, or of more than one where no store has many.
pub(super) fn chunked(all: &[&[Way]]) -> impl Fn(&[Way]) -> bool + use<> {
    let long = |w: &[Way]| w.iter().any(|w| w.trips.trips > 1);
    let some_long = all.iter().any(|w| long(w));
    move |w| w.iter().any(|w| w.block_cols > 1) && (!some_long || long(w))
}

/// All ways to store one value, by grid.
pub(super) type Ways = IndexMap<Grid, Vec<Way>>;

impl Extraction<'_> {
    /// All ways to store one value, by grid.
    pub(super) fn ways(&self, store: usize) -> Rc<Ways> {
        let key = (self.classes.find(self.buffers[store]), self.is_cube());
        if let Some(known) = self.known.ways.borrow().get(&key) {
            return known.clone();
        }
        let ways = Rc::new(self.ways_of(key.0));
        self.known.ways.borrow_mut().insert(key, ways.clone());
        ways
    }

    fn ways_of(&self, class: Id) -> Ways {
        let mut out = Ways::new();
        for node in &self.classes[class].nodes {
            match node {
                Term::App(Head::Launch(kind), c) => {
                    self.blocks(*kind, c[1], c[2], None, &mut out);
                }
                Term::App(Head::Overlay, c) => {
                    for inner in &self.classes[c[1]].nodes {
                        if let Term::App(Head::Launch(kind), l) = inner {
                            self.blocks(*kind, l[1], l[2], Some(c[0]), &mut out);
                        }
                    }
                }
                _ => {}
            }
        }
        // A hoisted initialisation concerns padded values only; for the others both are the same.
        if !out.keys().any(|g| g.hoisted) {
            for (g, w) in out.clone() {
                out.insert(Grid { hoisted: true, ..g }, w);
            }
        }
        out.sort_keys();
        for ways in out.values_mut() {
            ways.sort_by_key(|w| (w.trips, w.chunk, w.tile));
        }
        out
    }

    /// Ways of a launch's body, of blocks with or without padding of their own.
    fn blocks(&self, kind: LaunchKind, width: Id, body: Id, fill: Option<Id>, out: &mut Ways) {
        let launch = Launched {
            kind,
            width: self.number(width),
            pad: None,
            fill,
        };
        for node in &self.classes[body].nodes {
            match node {
                Term::App(Head::Rows, c) => self.rows(launch, c, out),
                Term::App(Head::WithPad, p) => {
                    let launch = Launched {
                        width: self.number(p[0]),
                        pad: Some((p[0], p[1])),
                        ..launch
                    };
                    for inner in &self.classes[p[2]].nodes {
                        if let Term::App(Head::Rows, c) = inner {
                            self.rows(launch, c, out);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Ways of the loops in `(rows b r body)`.
    fn rows(&self, launch: Launched, c: &[Id], out: &mut Ways) {
        for node in &self.classes[c[2]].nodes {
            let Term::App(Head::Cols, l) = node else {
                continue;
            };
            if !self.runs_here(l[3]) {
                continue;
            }
            let [depth, block_cols, chunk] = [l[0], l[1], l[2]].map(|id| self.number(id));
            let grid = Grid {
                block_rows: self.number(c[0]),
                rows: self.number(c[1]),
                fan: match launch.pad {
                    Some(_) => 1,
                    None => launch.width.div_ceil(block_cols),
                },
                hoisted: launch.fill.is_some(),
                kind: launch.kind,
            };
            out.entry(grid).or_default().push(Way {
                trips: Trips {
                    depth,
                    trips: block_cols.div_ceil(chunk),
                    pieces: 1,
                    kept: 0,
                },
                chunk,
                block_cols,
                tile: self.classes.find(l[3]),
                pad: launch.pad,
                fill: launch.fill,
            });
        }
    }

    /// Whether a form of a tile is work of this kernel's core: a product and a copy of it are stored by different ones.
    fn runs_here(&self, tile: Id) -> bool {
        let products =
            |n: &Term| matches!(n.head(), Some(Head::Mm | Head::MmParts | Head::MmGrouped));
        let nodes = &self.classes[tile].nodes;
        match self.is_cube() {
            true => nodes.iter().any(products),
            false => nodes
                .iter()
                .any(|n| n.head() != Some(Head::Tile) && !products(n)),
        }
    }

    pub(super) fn is_cube(&self) -> bool {
        self.spec.unit == Unit::Cube
    }

    fn number(&self, class: Id) -> usize {
        self.classes[class].data.num.unwrap_or(0) as usize
    }
}

/// What surrounds the loops of a stored value.
#[derive(Clone, Copy)]
struct Launched {
    kind: LaunchKind,
    width: usize,
    /// Classes of the width and the value of padding that blocks fill.
    pad: Option<(Id, Id)>,
    /// The class of the launch that fills the padding.
    fill: Option<Id>,
}
