//! The schedule of a kernel as written, made concrete.

use super::terms::Terms;
use super::{Part, ProblemError, Reduction, data_of, naive_tile, nearest_divisor};
use crate::hash::HashMap;
use crate::term::analysis::Seed;
use crate::term::language::{Bits, Head, Term};
use crate::term::plan::TileNames;
use egg::RecExpr;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use tilewright_ir::graph::{Graph, LaunchKind, Node, Op, Prim, Region, Schedule, Value};

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
        let axis_of = |v: Value, dim: usize| graph.ty(v).shape[dim].axis.clone();
        // A tile over an axis, as (name, size); the naive one when none is written.
        let tile = |axis: &Option<String>, extent: usize, naive: usize, fallback: &str| {
            let written = schedule
                .tiles
                .iter()
                .find(|(_, t)| Some(&t.axis) == axis.as_ref());
            match written {
                Some((name, t)) => (name.clone(), t.size.min(extent)),
                None => {
                    let axis = axis.clone().unwrap_or_else(|| fallback.to_string());
                    (format!("{axis}_TILE"), naive)
                }
            }
        };
        let divides = |name: &str, axis: &Option<String>, extent: usize, size: usize| {
            if size > 0 && extent.is_multiple_of(size) {
                return Ok(());
            }
            Err(ProblemError::DoesNotDivide {
                kernel: kernel.into(),
                tile: name.into(),
                size,
                axis: axis.clone().unwrap_or_default(),
                extent,
                nearest: nearest_divisor(extent, size),
            })
        };
        let widest = *values
            .iter()
            .max_by_key(|v| graph.ty(**v).matrix().1)
            .unwrap_or(&values[0]);
        // A block of rows lies in one group.
        let groups = graph.ty(widest).ragged.as_ref().map_or(1, |r| r.groups);
        let rows = graph.ty(widest).matrix().0 / groups.max(1);
        let row_axis = graph.ty(widest).shape[0].part(groups).axis;
        let (rows_name, block_rows) = tile(&row_axis, rows, naive_tile(rows, 8), "ROW");
        divides(&rows_name, &row_axis, rows, block_rows)?;
        let has = |holds: fn(&Graph, &Node, NodeIndex) -> bool| {
            part.nodes.iter().any(|n| holds(graph, graph.node(*n), *n))
        };
        let whole_row = has(|_, node, _| {
            let op = &node.op;
            matches!(
                op,
                Op::Prim(Prim::TopK { .. } | Prim::GatherCols | Prim::GatherRows)
            )
        });
        // One column of several is not contiguous.
        let strided = has(|graph, node, n| match node.op {
            Op::Prim(Prim::SliceCols { from, to }) => {
                let (rows, cols) = graph.ty(graph.operands(n)[0]).matrix();
                to == from + 1 && rows > 1 && cols > 1
            }
            _ => false,
        });
        let one_row = whole_row || strided;
        let mut cols_tile = HashMap::default();
        let mut cols_name = None;
        let mut per_block = false;
        for v in values {
            // The padding of a result is filled beside the data, which is what tiles cut.
            let source = data_of(graph, *v);
            let (_, cols) = graph.ty(source).matrix();
            let axis = axis_of(source, 1);
            let (name, size) = tile(&axis, cols, naive_tile(cols, 1024), "COL");
            let matrix = matches!(graph.node(source.node).op, Op::Prim(Prim::Sinkhorn { .. }));
            if whole_row || cols == 1 || matrix {
                cols_tile.insert(*v, cols);
                continue;
            }
            divides(&name, &axis, cols, size)?;
            cols_tile.insert(*v, size);
            if *v == widest || cols_name.is_none() {
                per_block = schedule.tiles.get(&name).is_some_and(|t| t.per_block);
                cols_name = Some(name);
            }
        }
        let reduced = part.nodes.iter().filter_map(|n| match graph.node(*n).op {
            Op::Prim(Prim::RowReduce(_) | Prim::MatmulNt | Prim::GroupedMatmulNt) => {
                Some(graph.operands(*n)[0])
            }
            _ => None,
        });
        let mut reduces: Vec<Reduction> = vec![];
        let mut reduce_name = None;
        for v in reduced {
            let (_, extent) = graph.ty(v).matrix();
            if reduces.iter().any(|r| r.extent == extent) {
                continue;
            }
            let axis = axis_of(v, 1);
            let (name, chunk) = tile(&axis, extent, naive_tile(extent, 256), "K");
            let chunk = if whole_row { extent } else { chunk };
            divides(&name, &axis, extent, chunk)?;
            let depth = match extent / chunk {
                1 => 1,
                _ => schedule.pipeline,
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
            if reduce_name.is_none() && (!whole_row || schedule.tiles.contains_key(&name)) {
                reduce_name = Some(name);
            }
        }
        Ok(Written {
            launch: schedule.launch,
            block_rows,
            rows: if one_row { 1 } else { block_rows },
            cols: cols_tile[&widest],
            per_block,
            cols_tile,
            reduces,
            depth: schedule.pipeline,
            names: TileNames {
                rows: rows_name,
                cols: cols_name,
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
