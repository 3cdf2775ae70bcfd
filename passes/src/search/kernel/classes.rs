//! A filled e-graph, to look things up in.

use crate::search::candidate::Trips;
use crate::term::analysis::{Facts, Graph, Limits};
use crate::term::language::{Head, Term};
use egg::{EClass, Id};
use std::ops::Index;

/// The classes of an e-graph that does not change any more, by any of their ids in one step: extraction asks for little else.
pub struct Classes<'a> {
    classes: Vec<&'a EClass<Term, Facts>>,
    /// By canonical id, the nodes of reductions and products.
    loops: Vec<Vec<Loop>>,
    pub(super) limits: Limits,
}

/// A reduction or product in the nodes of a class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loop {
    /// Its place in the nodes.
    pub node: usize,
    pub trips: Trips,
    /// Elements that it takes in all, and at a time.
    pub extent: usize,
    pub chunk: usize,
}

impl<'a> Classes<'a> {
    /// The nodes and loops of an e-graph's classes.
    pub fn new(egraph: &'a Graph) -> Self {
        let ids = egraph.nodes().len();
        let classes = (0..ids).map(|id| &egraph[Id::from(id)]).collect();
        let mut out = Classes {
            classes,
            loops: vec![vec![]; ids],
            limits: egraph.analysis.limits,
        };
        for class in egraph.classes() {
            let loops = class.nodes.iter().enumerate();
            let loops = loops.filter_map(|(node, term)| Some(out.looped(node, loop_of(term)?)));
            out.loops[usize::from(class.id)] = loops.collect();
        }
        out
    }

    /// The canonical id.
    pub fn find(&self, id: Id) -> Id {
        self[id].id
    }

    /// Of a canonical class.
    pub(super) fn loops(&self, class: Id) -> &[Loop] {
        &self.loops[usize::from(class)]
    }

    /// How the loop of a node runs, from its depth, extent and chunk.
    fn looped(&self, node: usize, c: &[Id]) -> Loop {
        let num = |id: Id| self[id].data.num.unwrap_or(0) as usize;
        let (depth, extent, chunk) = (num(c[0]), num(c[1]), num(c[2]).max(1));
        let cut = self[c[2]].nodes.iter().find_map(|n| match n {
            Term::App(Head::Pieces, p) => Some((num(p[1]).max(1), 0)),
            Term::App(Head::Kept, p) => Some((num(p[1]).max(1), num(p[2]))),
            _ => None,
        });
        let (piece, kept) = cut.unwrap_or((chunk, 0));
        Loop {
            node,
            trips: Trips {
                depth,
                trips: extent.div_ceil(chunk),
                pieces: chunk / piece,
                kept,
            },
            extent,
            chunk,
        }
    }
}

impl<'a> Index<Id> for Classes<'a> {
    type Output = EClass<Term, Facts>;

    fn index(&self, id: Id) -> &Self::Output {
        self.classes[usize::from(id)]
    }
}

/// Depth, extent, chunk and operands of a loop of a reduction or product.
pub(super) fn loop_of(node: &Term) -> Option<&[Id]> {
    match node {
        Term::App(Head::Fold(_) | Head::Mm, c) => Some(c),
        Term::App(Head::MmParts | Head::MmGrouped, c) => Some(&c[1..]),
        _ => None,
    }
}
