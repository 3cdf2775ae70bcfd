//! The executable node of every tile class, and the term that the choices make.

use super::classes::{Loop, loop_of};
use super::{Extraction, append};
use crate::hash::WordHasher;
use crate::hash::{HashMap, HashSet};
use crate::lower::work::{self, Extent};
use crate::search::candidate::{Choice, Exceptions, Reads, Trips};
use crate::term::analysis::{Facts, Kind};
use crate::term::language::{Head, Term};
use egg::{Id, Language, RecExpr, Symbol};
use std::hash::{Hash, Hasher};
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Binary, Operator, Reduce};
use tilewright_ir::kernel::Unit;
use tilewright_ir::op::Core;
use tilewright_ir::timing;

/// How a read of a buffer is written.
#[derive(Clone, Copy)]
pub(super) enum Loads<'a> {
    /// As `(input NAME)`: what a kernel needs.
    Names,
    /// As the buffer's term: what a proof needs.
    Terms(&'a HashMap<Symbol, &'a RecExpr<Term>>),
}

/// Chooses an executable node for every tile class, with reductions and products running as `folds` says.
pub(super) struct Resolver<'a> {
    pub extraction: &'a Extraction<'a>,
    pub folds: Trips,
    pub reads: Reads,
    pub exceptions: Exceptions,
    /// Whether some class could be read and computed: then [`Reads`] matter.
    pub ambiguous: bool,
    /// Cost and node index; `None` inside means that there is none, or that it is being looked at.
    pub memo: HashMap<Id, Option<(f64, usize)>>,
    /// Hashes of the chosen terms of classes.
    pub prints: HashMap<Id, u64>,
    /// Classes that are being looked at.
    pub open: HashSet<Id>,
    /// Whether one of those was asked for: a rule can make a class its own operand.
    pub cut: bool,
}

impl<'a> Resolver<'a> {
    pub fn new(extraction: &'a Extraction<'a>, choice: Choice, exceptions: Exceptions) -> Self {
        Resolver {
            extraction,
            folds: choice.folds,
            reads: choice.reads,
            exceptions,
            ambiguous: false,
            memo: HashMap::default(),
            prints: HashMap::default(),
            open: HashSet::default(),
            cut: false,
        }
    }

    pub fn resolve(&mut self, class: Id) -> Option<f64> {
        let class = self.extraction.classes.find(class);
        if let Some(done) = self.memo.get(&class) {
            self.cut |= self.open.contains(&class);
            return done.map(|(cost, _)| cost);
        }
        self.memo.insert(class, None);
        self.open.insert(class);
        let outer = std::mem::take(&mut self.cut);
        let classes = self.extraction.classes;
        let nodes = &classes[class].nodes;
        let wanted = self.wanted_loop(class);
        let cube = self.extraction.spec.unit == Unit::Cube;
        let mut best: Option<(f64, usize)> = None;
        let (mut loaded, mut computed) = (None, false);
        for (i, node) in nodes.iter().enumerate() {
            if loop_of(node).is_some() && wanted != Some(i) {
                continue;
            }
            // A cube core stores products only; what it loads are their operands.
            if cube && node.head() == Some(Head::Load) {
                continue;
            }
            if let Some(cost) = self.node(node, class) {
                match node.head() {
                    Some(Head::Load) => loaded = Some((cost, i)),
                    _ => computed = true,
                }
                if best.is_none_or(|(b, _)| cost < b) {
                    best = Some((cost, i));
                }
            }
        }
        self.ambiguous |= computed && loaded.is_some();
        if self.reads == Reads::Stored {
            best = loaded.or(best);
        }
        if let Some(node) = self.exceptions.node(class) {
            // Classes around this one are to choose as they did.
            let runs = self.runs(class, node);
            best = best.filter(|_| runs).map(|(cost, _)| (cost, node));
        }
        self.open.remove(&class);
        // What has no node only because a class around it is being looked at may have one elsewhere.
        match best.is_none() && self.cut && !self.open.is_empty() {
            true => self.memo.remove(&class),
            false => self.memo.insert(class, best),
        };
        self.cut |= outer;
        best.map(|(cost, _)| cost)
    }

    /// The cost of loading an operand of a product.
    fn operand(&mut self, class: Id) -> Option<f64> {
        let classes = self.extraction.classes;
        let class = classes.find(class);
        let nodes = classes[class].nodes.iter().enumerate();
        let turned = nodes.clone().find_map(|(i, node)| match node {
            Term::App(Head::Op(Operator::Transpose), c) => Some((i, c[0])),
            _ => None,
        });
        if let Some((i, of)) = turned {
            let cost = self.operand(of)?;
            self.memo.insert(class, Some((cost, i)));
            return Some(cost);
        }
        let mut loads = nodes.filter(|(_, node)| node.head() == Some(Head::Load));
        let (cost, load) = loads.find_map(|(i, node)| Some((self.node(node, class)?, i)))?;
        self.memo.insert(class, Some((cost, load)));
        Some(cost)
    }

    /// The loop node of a class that runs as wanted; if none does, the one that comes nearest, in a fixed order.
    fn wanted_loop(&self, class: Id) -> Option<usize> {
        let e = self.extraction;
        let nodes = &e.classes[class].nodes;
        let loops = e
            .classes
            .loops(class)
            .iter()
            .filter(|l| self.may_run(l, nodes));
        let loops = loops.map(|l| {
            let Loop { node, trips, .. } = *l;
            let distance = (
                trips.trips.abs_diff(self.folds.trips),
                trips.depth.abs_diff(self.folds.depth),
                trips.pieces.abs_diff(self.folds.pieces),
                trips.kept.abs_diff(self.folds.kept),
            );
            (distance, trips, node)
        });
        loops.min().map(|(_, _, node)| node)
    }

    /// Whether pins and numerics let a loop of a class with these nodes run.
    fn may_run(&self, l: &Loop, nodes: &[Term]) -> bool {
        let e = self.extraction;
        let Loop {
            node,
            trips,
            extent,
            chunk,
        } = *l;
        let written = || self.written_piece(&nodes[node], extent);
        let piece = chunk / trips.pieces;
        // A schedule that is held multiplies in pieces only where L0 makes it, and keeps nothing.
        let as_written = || trips.kept == 0 && (trips.pieces == 1 || written() == Some(piece));
        let held = || e.pins.allows_pieces() || as_written();
        let in_order = || self.any_order(&nodes[node]) || written().is_none_or(|w| w == piece);
        e.pins.allows_reduce(e.spec, (extent, chunk), trips) && held() && in_order()
    }

    /// The nodes of a resolved class that a core of this kernel's kind can run, but for the chosen one.
    pub fn others(&mut self, class: Id) -> Vec<usize> {
        let classes = self.extraction.classes;
        let chosen = self.chosen(class);
        let all = 0..classes[class].nodes.len();
        all.filter(|node| *node != chosen && self.runs(class, *node))
            .collect()
    }

    /// Whether a core of this kernel's kind can run a node of a class.
    fn runs(&mut self, class: Id, node: usize) -> bool {
        let classes = self.extraction.classes;
        let nodes = &classes[class].nodes;
        let mut loops = classes.loops(class).iter();
        let this = loops.find(|l| l.node == node);
        this.is_none_or(|l| self.may_run(l, nodes)) && self.node(&nodes[node], class).is_some()
    }

    /// The tile classes of the chosen term's operands; a load has none.
    pub fn operands(&self, class: Id) -> Vec<Id> {
        let classes = self.extraction.classes;
        let node = &classes[class].nodes[self.chosen(class)];
        if node.head() == Some(Head::Load) {
            return vec![];
        }
        let tiles = node.children().iter().map(|c| classes.find(*c));
        tiles
            .filter(|c| classes[*c].data.kind == Kind::Tile)
            .collect()
    }

    /// Whether a loop may add in any order: a class holds the orders of all kernels that reduce the value, and where every bit
    /// must stay, a kernel keeps its own.
    fn any_order(&self, node: &Term) -> bool {
        let extremum = [Head::Fold(Reduce::Max), Head::Fold(Reduce::Min)];
        !self.extraction.exact || extremum.iter().any(|h| node.head() == Some(*h))
    }

    /// How many elements a loop over `extent` adds up at once as written.
    fn written_piece(&self, node: &Term, extent: usize) -> Option<usize> {
        let e = self.extraction;
        let seed = match node {
            Term::App(Head::Mm | Head::MmParts | Head::MmGrouped, c) => {
                let element = e.classes[c[c.len() - 1]].data.element();
                e.spec.product(extent, element, &e.classes.limits)
            }
            _ => e.spec.reduction(extent),
        };
        seed.map(|s| s.piece)
    }

    /// The cost of a node with its operands, if a core of this kernel's kind can run it.
    fn node(&mut self, node: &Term, class: Id) -> Option<f64> {
        let e = self.extraction;
        let Term::App(head, c) = node else {
            return None;
        };
        let facts = &e.classes[class].data;
        let elements = (facts.rows * facts.cols) as f64;
        let cube = e.spec.unit == Unit::Cube;
        match head {
            Head::Load => {
                self.buffer(c[2])?;
                let path = match cube {
                    true => &e.machine.gm_to_l1,
                    false => &e.machine.gm_to_ub,
                };
                let bytes = elements * facts.element() as f64 + path.half.value;
                Some(bytes / (path.peak.value * 1.073_741_824) * e.machine.clock_mhz.value / 1e3)
            }
            Head::Mm | Head::MmParts | Head::MmGrouped if cube => {
                let [.., a, b] = **c else { return None };
                Some(self.operand(a)? + self.operand(b)?)
            }
            Head::AddParts if !cube => {
                let parts = e.classes[c[0]].data.num?;
                // A block of one row loads it of many parts at once.
                let loads = match (facts.rows, facts.cols) {
                    (1, 2..) => parts >> parts.trailing_zeros(),
                    _ => parts,
                };
                let ty = extent(facts);
                let add = work::cycles(e.machine, Operator::Binary(Binary::Add), ty, &[ty; 2]);
                Some(loads as f64 * self.resolve(c[1])? + parts as f64 * add)
            }
            Head::Fold(_) if !cube => self.resolve(c[3]),
            // A schedule that is held reduces as written.
            Head::Halve(r) if !cube && e.pins.allows_pieces() => {
                let times = e.classes[c[0]].data.num? as u32;
                let of = &e.classes[c[1]].data;
                let cycles = timing::halving(
                    e.machine,
                    r.combine(),
                    of.element(),
                    (of.rows, of.cols),
                    times,
                );
                Some(self.resolve(c[1])? + cycles)
            }
            Head::Op(operator) => match operator.primitive().core {
                Core::Vector if !cube => self.operation(*operator, c, class),
                // A product is a loop over products of tiles, and storage is nobody's work.
                Core::Vector | Core::Cube | Core::Storage => None,
            },
            // Work of the other core, and what is no tile.
            Head::Mm
            | Head::MmParts
            | Head::MmGrouped
            | Head::AddParts
            | Head::Fold(_)
            | Head::Halve(_)
            | Head::Input
            | Head::Buf
            | Head::Parts
            | Head::Tile
            | Head::Pieces
            | Head::Kept
            | Head::Cols
            | Head::Rows
            | Head::WithPad
            | Head::Fill
            | Head::Launch(_)
            | Head::Overlay
            | Head::Exchanged
            | Head::Share
            | Head::ByLine => None,
        }
    }

    /// The cost of an operation of a vector core with its operands.
    fn operation(&mut self, operator: Operator, children: &[Id], class: Id) -> Option<f64> {
        let e = self.extraction;
        let mut cost = self.work(operator, children, class);
        for child in children {
            if e.classes[*child].data.kind == Kind::Tile {
                cost += self.resolve(*child)?;
            }
        }
        Some(cost)
    }

    /// The cost of an operation of a vector core alone.
    fn work(&self, operator: Operator, children: &[Id], class: Id) -> f64 {
        let e = self.extraction;
        let key = (class, operator, children[0]);
        if let Some(known) = e.known.works.borrow().get(&key) {
            return *known;
        }
        let tiles = children.iter().map(|c| &e.classes[*c].data);
        let tiles = tiles.filter(|facts| facts.kind == Kind::Tile).map(extent);
        let tiles: Vec<Extent> = tiles.collect();
        let result = extent(&e.classes[class].data);
        let cycles = work::cycles(e.machine, operator, result, &tiles);
        e.known.works.borrow_mut().insert(key, cycles);
        cycles
    }

    /// The name under which a value can be read, or what it is a view of.
    fn buffer(&self, value: Id) -> Option<Symbol> {
        let e = self.extraction;
        let nodes = match self.viewed(value) {
            Some(view) => &e.classes[view[0]].nodes,
            None => &e.classes[value].nodes,
        };
        nodes
            .iter()
            .filter_map(|n| match n {
                Term::App(Head::Buf | Head::Input, c) => e.classes[c[0]].data.name,
                _ => None,
            })
            .filter(|n| e.readable.contains(n) && e.pins.allows_read(e.problem, e.spec, *n))
            .min_by_key(|n| n.as_str())
    }

    /// Of a value that is read in other rows: what lies in memory, and how many rows and columns it is read as.
    fn viewed(&self, value: Id) -> Option<&'a [Id]> {
        let mut nodes = self.extraction.classes[value].nodes.iter();
        nodes.find_map(|n| match n {
            Term::App(Head::Op(Operator::Reshape), c) => Some(&**c),
            _ => None,
        })
    }

    /// The place of the chosen node of a class.
    fn chosen(&self, class: Id) -> usize {
        match self.memo.get(&class) {
            Some(Some((_, i))) => *i,
            // Leaves and scalar inputs have one form.
            _ => 0,
        }
    }

    /// A hash of the term that [`Resolver::build`] would write: a class has its terms alone, so its number and the place of a
    /// node stand for the node.
    pub fn print(&mut self, class: Id) -> u64 {
        let classes = self.extraction.classes;
        let class = classes.find(class);
        if let Some(print) = self.prints.get(&class) {
            return *print;
        }
        let index = self.chosen(class);
        let mut hasher = WordHasher::default();
        (usize::from(class), index).hash(&mut hasher);
        match &classes[class].nodes[index] {
            Term::App(Head::Load, c) => match self.buffer(c[2]) {
                Some(name) => name.as_str().hash(&mut hasher),
                None => hasher.write_u64(0),
            },
            node => {
                for child in node.children() {
                    hasher.write_u64(self.print(*child));
                }
            }
        }
        let print = hasher.finish();
        self.prints.insert(class, print);
        print
    }

    /// Writes the chosen term of a class.
    pub fn build(
        &self,
        class: Id,
        expr: &mut RecExpr<Term>,
        memo: &mut HashMap<Id, Id>,
        loads: Loads,
    ) -> Id {
        let classes = self.extraction.classes;
        let class = classes.find(class);
        if let Some(id) = memo.get(&class) {
            return *id;
        }
        let node = classes[class].nodes[self.chosen(class)].clone();
        let id = match &node {
            Term::App(Head::Load, c) => {
                let rows = self.build(c[0], expr, memo, loads);
                let cols = self.build(c[1], expr, memo, loads);
                let name = self.buffer(c[2]).unwrap_or_else(|| Symbol::from("?"));
                let value = match loads {
                    Loads::Terms(bufs) if bufs.contains_key(&name) => append(bufs[&name], expr)
                        .last()
                        .copied()
                        .unwrap_or_default(),
                    _ => {
                        let name = expr.add(Term::Name(name));
                        expr.add(Term::app(Head::Input, [name]))
                    }
                };
                let value = match self.viewed(c[2]) {
                    Some(view) => {
                        let size = [1, 2].map(|i| self.build(view[i], expr, memo, loads));
                        let reshape = Head::Op(Operator::Reshape);
                        expr.add(Term::app(reshape, [value, size[0], size[1]]))
                    }
                    None => value,
                };
                expr.add(Term::app(Head::Load, [rows, cols, value]))
            }
            other => {
                let children: Vec<Id> = other
                    .children()
                    .iter()
                    .map(|c| self.build(*c, expr, memo, loads))
                    .collect();
                let mut node = other.clone();
                node.children_mut().copy_from_slice(&children);
                expr.add(node)
            }
        };
        memo.insert(class, id);
        id
    }
}

/// Of a tile whose type is not known, of elements of 4 bytes.
fn extent(facts: &Facts) -> Extent {
    (facts.rows, facts.cols, facts.dtype.unwrap_or(DType::F32))
}
