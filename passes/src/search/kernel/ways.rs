//! The ways to store a value: what the launches of its e-class say, by grid.

use super::Extraction;
use crate::search::candidate::{Grid, Trips};
use crate::term::language::{Head, Term};
use egg::Id;
use indexmap::IndexMap;
use std::rc::Rc;
use tilewright_ir::graph::LaunchKind;

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
        let class = self.classes.find(self.buffers[store]);
        if let Some(known) = self.known.ways.borrow().get(&class) {
            return known.clone();
        }
        let ways = Rc::new(self.ways_of(class));
        self.known.ways.borrow_mut().insert(class, ways.clone());
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

    fn blocks(&self, kind: LaunchKind, width: Id, body: Id, fill: Option<Id>, out: &mut Ways) {
        let num = |id: Id| self.classes[id].data.num.unwrap_or(0) as usize;
        for node in &self.classes[body].nodes {
            let (c, pad) = match node {
                Term::App(Head::Rows, c) => (c, None),
                Term::App(Head::WithPad, p) => {
                    for inner in &self.classes[p[2]].nodes {
                        if let Term::App(Head::Rows, c) = inner {
                            self.rows(kind, num(p[0]), c, Some((p[0], p[1])), fill, out);
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            self.rows(kind, num(width), c, pad, fill, out);
        }
    }

    fn rows(
        &self,
        kind: LaunchKind,
        width: usize,
        c: &[Id],
        pad: Option<(Id, Id)>,
        fill: Option<Id>,
        out: &mut Ways,
    ) {
        let num = |id: Id| self.classes[id].data.num.unwrap_or(0) as usize;
        for node in &self.classes[c[2]].nodes {
            let Term::App(Head::Cols, l) = node else {
                continue;
            };
            let (depth, block_cols, chunk) = (num(l[0]), num(l[1]), num(l[2]));
            let grid = Grid {
                block_rows: num(c[0]),
                rows: num(c[1]),
                fan: if pad.is_some() { 1 } else { width / block_cols },
                hoisted: fill.is_some(),
                kind,
            };
            out.entry(grid).or_default().push(Way {
                trips: Trips {
                    depth,
                    trips: block_cols / chunk,
                    pieces: 1,
                },
                chunk,
                block_cols,
                tile: self.classes.find(l[3]),
                pad,
                fill,
            });
        }
    }
}
