//! The schedule of a kernel as written, made concrete.

use super::parts::Part;
use super::terms::Terms;
use super::{ProblemError, Reduction, access, data_of, naive_tile, nearest_divisor};
use crate::hash::HashMap;
use crate::term::analysis::Seed;
use crate::term::language::{Bits, Head, Term};
use crate::term::plan::TileNames;
use egg::RecExpr;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use tilewright_ir::graph::{Graph, LaunchKind, Op, Prim, Region, Schedule, Value};
use tilewright_ir::op::Access;

/// The schedule of a kernel as written, made concrete.
pub(super) struct Written {
    pub launch: LaunchKind,
    pub block_rows: usize,
    /// Rows a trip of the row loop takes.
    pub rows: usize,
    pub cols_tile: HashMap<Value, usize>,
    /// Of the widest value.
    pub cols: usize,
    /// Whether a block takes one column tile, rather than all columns tile by tile.
    pub per_block: bool,
    pub reduces: Vec<Reduction>,
    pub depth: usize,
    pub names: TileNames,
}

/// The schedule of a region, with names and sizes of the tiles that cut its values.
struct Tiling<'a> {
    graph: &'a Graph,
    kernel: &'a str,
    region: &'a str,
    schedule: &'a Schedule,
}

impl Tiling<'_> {
    /// A tile over an axis, as (name, size); the naive one when none is written.
    fn tile(
        &self,
        axis: &Option<String>,
        extent: usize,
        naive: usize,
        fallback: &str,
    ) -> (String, usize) {
        let mut tiles = self.schedule.tiles.iter();
        match tiles.find(|(_, t)| Some(&t.axis) == axis.as_ref()) {
            Some((name, t)) => (name.clone(), t.size.min(extent)),
            None => {
                let axis = axis.clone().unwrap_or_else(|| fallback.to_string());
                (format!("{axis}_TILE"), naive)
            }
        }
    }

    fn divides(
        &self,
        name: &str,
        axis: &Option<String>,
        extent: usize,
        size: usize,
    ) -> Result<(), ProblemError> {
        if size > 0 && extent.is_multiple_of(size) {
            return Ok(());
        }
        Err(ProblemError::DoesNotDivide {
            kernel: self.kernel.into(),
            region: self.region.into(),
            tile: name.into(),
            size,
            axis: axis.clone().unwrap_or_default(),
            extent,
            nearest: nearest_divisor(extent, size),
        })
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
        let (name, size) = self.tile(&axis, rows, naive_tile(rows, 8), "ROW");
        self.divides(&name, &axis, rows, size)?;
        Ok((name, size))
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
            let source = data_of(self.graph, *v);
            let (_, cols) = self.graph.ty(source).matrix();
            let axis = self.axis(source, 1);
            let (name, size) = self.tile(&axis, cols, naive_tile(cols, 1024), "COL");
            let op = &self.graph.node(source.node).op;
            let matrix = access(op) == Some(Access::Matrix);
            if whole_row || cols == 1 || matrix {
                out.tiles.insert(*v, cols);
                continue;
            }
            self.divides(&name, &axis, cols, size)?;
            out.tiles.insert(*v, size);
            if *v == widest || out.name.is_none() {
                let written = self.schedule.tiles.get(&name);
                out.per_block = written.is_some_and(|t| t.per_block);
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
            loops.then(|| graph.operands(*n)[0])
        });
        let mut reduces: Vec<Reduction> = vec![];
        let mut first = None;
        for v in reduced {
            let (_, extent) = graph.ty(v).matrix();
            if reduces.iter().any(|r| r.extent == extent) {
                continue;
            }
            let axis = self.axis(v, 1);
            let (name, chunk) = self.tile(&axis, extent, naive_tile(extent, 256), "K");
            let chunk = if whole_row { extent } else { chunk };
            self.divides(&name, &axis, extent, chunk)?;
            let depth = match extent / chunk {
                1 => 1,
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
    /// Of the widest value's tile.
    name: Option<String>,
    per_block: bool,
}

impl Written {
    pub fn new(
        graph: &Graph,
        region: &Region,
        part: &Part,
        values: &[Value],
        kernel: &str,
    ) -> Result<Self, ProblemError> {
        let default = Schedule {
            launch: LaunchKind::Parallel,
            tiles: IndexMap::new(),
            pipeline: 1,
        };
        let schedule = region.schedule.as_ref().unwrap_or(&default);
        let tiling = Tiling {
            graph,
            kernel,
            region: &region.name,
            schedule,
        };
        let by_width = values.iter().max_by_key(|v| graph.ty(**v).matrix().1);
        let widest = *by_width.unwrap_or(&values[0]);
        let (rows_name, block_rows) = tiling.rows(widest)?;
        let accesses = part.nodes.iter().filter_map(|n| access(&graph.node(*n).op));
        let accesses: Vec<Access> = accesses.collect();
        // What is computed of whole rows has no columns to cut, and some of it takes one row at a time.
        let single = |a: &Access| matches!(a, Access::Row { single: true, .. } | Access::Gather);
        let rows = |a: &Access| single(a) || matches!(a, Access::Row { .. });
        let whole_row = accesses.iter().any(rows);
        let one_row = accesses.iter().any(single) || part.nodes.iter().any(|n| strided(graph, *n));
        let columns = tiling.cols(values, widest, whole_row)?;
        let (reduces, reduce_name) = tiling.reduces(part, whole_row)?;
        Ok(Written {
            launch: schedule.launch,
            block_rows,
            rows: if one_row { 1 } else { block_rows },
            cols: columns.tiles[&widest],
            per_block: columns.per_block,
            cols_tile: columns.tiles,
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
        let data = data_of(graph, v);
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

/// Whether a node takes one column of several, which is not contiguous.
fn strided(graph: &Graph, n: NodeIndex) -> bool {
    match graph.node(n).op {
        Op::Prim(Prim::SliceCols { from, to }) => {
            let (rows, cols) = graph.ty(graph.operands(n)[0]).matrix();
            to == from + 1 && rows > 1 && cols > 1
        }
        _ => false,
    }
}
