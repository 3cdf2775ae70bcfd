//! The schedule of a kernel as written, made concrete.

use super::cap::{Last, Misfit, whole_fractals};
use super::parts::Part;
use super::terms::Terms;
use super::{
    Frame, ProblemError, Reduction, Shrunk, access, data_of, inner_unit, tile_from, tile_of,
};
use crate::hash::HashMap;
use crate::term::analysis::Seed;
use crate::term::language::{Bits, Head, Term};
use crate::term::plan::TileNames;
use egg::RecExpr;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::cell::RefCell;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Prim, Schedule, Value};
use tilewright_ir::op::Access;

/// The schedule of a kernel as written, made concrete.
pub(super) struct Written {
    pub launch: LaunchKind,
    pub block_rows: usize,
    /// Rows a trip of the row loop takes.
    pub rows: usize,
    pub cols_tile: HashMap<Value, usize>,
    /// Of each stored value, the one whose columns are computed: the others of a value that the kernel pads are filled.
    pub data: HashMap<Value, Value>,
    /// Of the widest value.
    pub cols: usize,
    /// Whether a block takes one column tile, rather than all columns tile by tile.
    pub per_block: bool,
    pub reduces: Vec<Reduction>,
    pub depth: usize,
    pub names: TileNames,
    pub shrunk: Vec<Shrunk>,
}

/// The schedule of a region, with names and sizes of the tiles that cut its values.
struct Tiling<'a> {
    graph: &'a Graph,
    kernel: &'a str,
    schedule: &'a Schedule,
    nodes: &'a [NodeIndex],
    /// Whether rows meet others of their group.
    grouped: bool,
    frame: Frame<'a>,
    shrunk: RefCell<Vec<Shrunk>>,
}

/// The axis that a tile cuts: its name, its extent, and what its tiles are multiples of if they can be.
struct Cut<'a> {
    axis: &'a Option<String>,
    extent: usize,
    unit: usize,
    /// Whether tiles have to be multiples of the unit, or all of the axis.
    fractals: bool,
    /// What the last tile may be.
    last: Last,
    /// The longest axis that stays whole where no divisor is a good tile.
    whole: usize,
    /// What names the tile if the axis has no name.
    fallback: &'static str,
}

/// Columns that a trip takes, rows, and elements of a reduction, where nothing is written.
const COLS: usize = 1024;
const ROWS: usize = 8;
const CHUNK: usize = 256;

impl Cut<'_> {
    /// Why a tile of so many elements cannot be, where a core holds `most`.
    fn misfit(&self, size: usize, most: usize) -> Option<Misfit> {
        let (extent, unit) = (self.extent, self.unit);
        match () {
            _ if size > most => Some(Misfit::Large),
            // Rows may be taken one by one; a single column is no tile.
            _ if size == 1 && unit > 1 && extent > 1 => Some(Misfit::Single),
            _ if self.fractals && size < extent && !size.is_multiple_of(unit) => {
                Some(Misfit::Multiple(unit))
            }
            _ if self.last.allows(extent, size) => None,
            // Sizes may be set to others than the tile was written for.
            _ => Some(match self.last {
                Last::Whole => Misfit::Divides(extent),
                Last::From(_) => Misfit::Leaves(extent),
            }),
        }
    }

    /// A tile, smaller where it has to be of whole fractals and is not.
    fn in_fractals(&self, tile: usize) -> usize {
        match self.fractals && tile < self.extent && !tile.is_multiple_of(self.unit) {
            true => whole_fractals(self.extent, tile, self.unit, self.last),
            false => tile,
        }
    }
}

impl Tiling<'_> {
    /// A tile over an axis, as (name, size), of at most so many elements; where none is written, up to the naive one.
    fn tile(&self, cut: &Cut, limit: usize, most: usize) -> (String, usize) {
        let (extent, unit) = (cut.extent, cut.unit);
        let mut tiles = self.schedule.tiles.iter();
        let naive = cut.in_fractals(tile_of(extent, limit, most, unit, cut.last));
        match tiles.find(|(_, t)| Some(&t.axis) == cut.axis.as_ref()) {
            Some((name, t)) if self.frame.cap.anew => {
                let written = t.size.min(extent);
                let mut shrunk = self.shrunk.borrow_mut();
                // A tile may cut several axes of one size; the first says it.
                if written != naive && shrunk.iter().all(|s| s.tile != *name) {
                    shrunk.push(Shrunk {
                        kernel: self.kernel.into(),
                        tile: name.clone(),
                        written,
                        used: naive,
                        why: Misfit::Slow,
                    });
                }
                (name.clone(), naive)
            }
            Some((name, t)) => {
                let written = t.size.min(extent);
                let Some(why) = cut.misfit(written, most) else {
                    return (name.clone(), written);
                };
                let used = match why {
                    Misfit::Multiple(unit) => whole_fractals(extent, written, unit, cut.last),
                    Misfit::Single => tile_of(extent, limit, most.min(cut.whole), unit, cut.last),
                    Misfit::Divides(_) | Misfit::Leaves(_) => {
                        cut.in_fractals(tile_of(extent, written, written, unit, cut.last))
                    }
                    Misfit::Large | Misfit::Slow => {
                        cut.in_fractals(tile_of(extent, most, most, unit, cut.last))
                    }
                };
                self.shrunk.borrow_mut().push(Shrunk {
                    kernel: self.kernel.into(),
                    tile: name.clone(),
                    written,
                    used,
                    why,
                });
                (name.clone(), used)
            }
            None => {
                let axis = cut.axis.as_deref().unwrap_or(cut.fallback);
                (format!("{axis}_TILE"), naive)
            }
        }
    }

    fn axis(&self, v: Value, dim: usize) -> Option<String> {
        self.graph.ty(v).shape[dim].axis.clone()
    }

    /// The rows of a block, with the tile's name. A block of rows lies in one group.
    fn rows(&self, widest: Value) -> Result<(String, usize), ProblemError> {
        let ty = self.graph.ty(widest);
        let groups = ty.ragged.as_ref().map_or(1, |r| r.groups);
        let rows = ty.matrix().0 / groups.max(1);
        let axis = ty.shape[0].part(groups).axis;
        let cut = Cut {
            axis: &axis,
            extent: rows,
            unit: 1,
            fractals: false,
            last: match ty.ragged.is_none() && !self.grouped {
                true => Last::From(1),
                false => Last::Whole,
            },
            whole: usize::MAX,
            fallback: "ROW",
        };
        let (name, size) = self.tile(&cut, ROWS, self.frame.cap.rows);
        let least = self.frame.cap.least_rows;
        if size >= least.min(rows) {
            return Ok((name, size));
        }
        let used = tile_from(rows, least);
        if self.schedule.tiles.contains_key(&name) {
            self.shrunk.borrow_mut().push(Shrunk {
                kernel: self.kernel.into(),
                tile: name.clone(),
                written: size,
                used,
                why: Misfit::Large,
            });
        }
        Ok((name, used))
    }

    /// Column tiles of stored values. The padding of a result is filled beside the data, which is what tiles cut.
    fn cols(
        &self,
        values: &[Value],
        widest: Value,
        whole_row: bool,
    ) -> Result<Columns, ProblemError> {
        let mut out = Columns::default();
        for v in values {
            // What another kernel pads is read with its padding.
            let source = match self.nodes.contains(&v.node) {
                true => data_of(self.graph, *v),
                false => *v,
            };
            out.data.insert(*v, source);
            let (_, cols) = self.graph.ty(source).matrix();
            let axis = self.axis(source, 1);
            // What another kernel computes is read in any tiles.
            let op = &self.graph.node(source.node).op;
            let access = access(op).filter(|_| self.nodes.contains(&source.node));
            let product = matches!(access, Some(Access::Product { .. }));
            if whole_row || cols == 1 || access == Some(Access::Matrix) {
                out.tiles.insert(*v, cols);
                continue;
            }
            let geometry = &self.frame.machine.geometry;
            let unit = match product {
                true => geometry.fractal_rows.count(),
                false => geometry.block_elements(self.graph.ty(source).dtype),
            };
            let cut = Cut {
                axis: &axis,
                extent: cols,
                unit,
                fractals: product,
                last: Last::of(product),
                whole: usize::MAX,
                fallback: "COL",
            };
            let (name, size) = self.tile(&cut, COLS, self.frame.cap.cols);
            out.tiles.insert(*v, size);
            if *v == widest || out.name.is_none() {
                let written = self.schedule.tiles.get(&name);
                out.per_block = !self.frame.cap.anew && written.is_some_and(|t| t.per_block);
                out.name = Some(name);
            }
        }
        Ok(out)
    }

    /// Chunks of what is reduced, and the name of the first.
    fn reduces(
        &self,
        part: &Part,
        whole_row: bool,
    ) -> Result<(Vec<Reduction>, Option<String>), ProblemError> {
        let graph = self.graph;
        let reduced = part.nodes.iter().filter_map(|n| {
            let access = access(&graph.node(*n).op)?;
            let loops = matches!(access, Access::Reduction | Access::Product { .. });
            let product = matches!(access, Access::Product { .. });
            loops.then(|| (graph.operands(*n)[0], product))
        });
        let mut reduces: Vec<Reduction> = vec![];
        let mut first = None;
        for (v, product) in reduced {
            let (_, extent) = graph.ty(v).matrix();
            if reduces.iter().any(|r| r.extent == extent) {
                continue;
            }
            let axis = self.axis(v, 1);
            let geometry = &self.frame.machine.geometry;
            let dtype = graph.ty(v).dtype;
            let cut = Cut {
                axis: &axis,
                extent,
                unit: match product {
                    true => inner_unit(geometry, dtype),
                    false => geometry.block_elements(dtype),
                },
                fractals: product,
                last: Last::of(product),
                // Of a product, whole fractals divide every inner axis.
                whole: if product { CHUNK } else { usize::MAX },
                fallback: "K",
            };
            let (name, chunk) = match whole_row {
                true => (self.tile(&cut, extent, usize::MAX).0, extent),
                false => self.tile(&cut, CHUNK, self.frame.cap.chunk),
            };
            let depth = match extent / chunk {
                0 | 1 => 1,
                _ => self.schedule.pipeline,
            };
            reduces.push(Reduction {
                extent,
                seed: Seed {
                    chunk,
                    piece: chunk,
                    depth,
                },
            });
            // Rows that are processed one by one have no chunk to name, unless the author did.
            if first.is_none() && (!whole_row || self.schedule.tiles.contains_key(&name)) {
                first = Some(name);
            }
        }
        Ok((reduces, first))
    }
}

/// Column tiles of a kernel's stored values.
#[derive(Default)]
struct Columns {
    tiles: HashMap<Value, usize>,
    data: HashMap<Value, Value>,
    /// Of the widest value's tile.
    name: Option<String>,
    per_block: bool,
}

impl Written {
    pub fn new(
        graph: &Graph,
        part: &Part,
        values: &[Value],
        kernel: &str,
        frame: Frame,
    ) -> Result<Self, ProblemError> {
        let region = &graph.regions[part.region];
        let default = Schedule {
            launch: LaunchKind::Parallel,
            tiles: IndexMap::new(),
            pipeline: 1,
        };
        let schedule = region.schedule.as_ref().unwrap_or(&default);
        let tiling = Tiling {
            graph,
            kernel,
            schedule,
            nodes: &part.nodes,
            grouped: part.nodes.iter().any(|n| {
                let of = super::operator(&graph.node(*n).op);
                of.is_some_and(|o| o.primitive().grouped())
            }),
            frame,
            shrunk: RefCell::default(),
        };
        let by_width = values.iter().max_by_key(|v| graph.ty(**v).matrix().1);
        let widest = *by_width.unwrap_or(&values[0]);
        let (rows_name, block_rows) = tiling.rows(widest)?;
        let accesses = part.nodes.iter().filter_map(|n| access(&graph.node(*n).op));
        let accesses: Vec<Access> = accesses.collect();
        // What is computed of whole rows has no columns to cut, and some of it takes one row at a time.
        let single = |a: &Access| matches!(a, Access::Row { single: true, .. } | Access::Gather);
        let rows = |a: &Access| single(a) || matches!(a, Access::Row { .. });
        let on_chip = part.nodes.iter().any(|n| padded_on_chip(graph, part, *n));
        let whole_row = on_chip || accesses.iter().any(rows);
        let one_row =
            on_chip || accesses.iter().any(single) || part.nodes.iter().any(|n| strided(graph, *n));
        let columns = tiling.cols(values, widest, whole_row)?;
        let (reduces, reduce_name) = tiling.reduces(part, whole_row)?;
        Ok(Written {
            shrunk: tiling.shrunk.into_inner(),
            launch: schedule.launch,
            block_rows,
            rows: if one_row { 1 } else { block_rows },
            cols: columns.tiles[&widest],
            per_block: columns.per_block,
            cols_tile: columns.tiles,
            data: columns.data,
            reduces,
            depth: schedule.pipeline,
            names: TileNames {
                rows: rows_name,
                cols: columns.name,
                reduce: reduce_name,
            },
        })
    }

    /// `(launch.K R C (rows b r (cols d n c (tile r c v))))`, around a fill for padded values.
    pub fn launch(&self, terms: &mut Terms, v: Value) -> RecExpr<Term> {
        let graph = terms.graph;
        let (rows, cols) = graph.ty(v).matrix();
        let data = self.data[&v];
        let (_, data_cols) = graph.ty(data).matrix();
        let value = terms.inline(data);
        let chunk = self.cols_tile[&v];
        let block_cols = if self.per_block { chunk } else { data_cols };
        let depth = if block_cols / chunk >= 2 {
            self.depth
        } else {
            1
        };
        let tile = terms.tile(self.rows, chunk, value);
        let children = [depth, block_cols, chunk].map(|n| terms.num(n));
        let store = terms.app(Head::Cols, [&children[..], &[tile]].concat());
        let children = [self.block_rows, self.rows].map(|n| terms.num(n));
        let mut body = terms.app(Head::Rows, [&children[..], &[store]].concat());
        if data != v {
            let Op::Prim(Prim::PadCols { cols, value }) = graph.node(v.node).op else {
                unreachable!("data_of differs for pad_cols only");
            };
            let width = terms.num(cols);
            let value = terms.add(Term::Const(Bits::new(value)));
            if block_cols < data_cols {
                // Many blocks share the row, so none of them can fill the padding: a launch of its own does.
                let [rows, from] = [rows, data_cols].map(|n| terms.num(n));
                let fill = terms.app(Head::Fill, [rows, from, width, value]);
                let fill = terms.app(Head::Launch(self.launch), [rows, width, fill]);
                let data = terms.app(Head::Launch(self.launch), [rows, from, body]);
                terms.app(Head::Overlay, [fill, data]);
                return std::mem::take(&mut terms.expr);
            }
            body = terms.app(Head::WithPad, [width, value, body]);
        }
        let extent = [rows, cols].map(|n| terms.num(n));
        terms.app(Head::Launch(self.launch), [extent[0], extent[1], body]);
        std::mem::take(&mut terms.expr)
    }
}

/// Whether a kernel reads what it pads itself: rows are then padded one by one.
fn padded_on_chip(graph: &Graph, part: &Part, n: NodeIndex) -> bool {
    let pads = access(&graph.node(n).op) == Some(Access::Pad);
    let users = graph.users(Value { node: n, result: 0 });
    let reads = |u: &NodeIndex| {
        part.nodes.contains(u) && access(&graph.node(*u).op) != Some(Access::Beside)
    };
    pads && users.iter().any(reads)
}

/// Whether a node takes or fills one column of several, which is not contiguous.
fn strided(graph: &Graph, n: NodeIndex) -> bool {
    let Op::Prim(prim) = &graph.node(n).op else {
        return false;
    };
    let (taken, of) = match *prim {
        Prim::SliceCols { from, to } => (to - from, graph.ty(graph.operands(n)[0]).matrix()),
        Prim::PadCols { cols, .. } => {
            let (rows, data) = graph.ty(graph.operands(n)[0]).matrix();
            (data, (rows, cols))
        }
        _ => return false,
    };
    let (rows, cols) = of;
    taken == 1 && rows > 1 && cols > 1
}
