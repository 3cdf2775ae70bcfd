//! A graph to its syntax tree, so that any graph prints as `.tw` and parses back to an equal one.

use crate::graph::{Accuracy, Dim, Graph, NEG_MAX, Op, Prim, Region, Value, pair};
use crate::op::AttrValue;
use crate::op::expr::constant::LOWEST;
use crate::schedule::Hold;
use crate::syntax::ast::*;
use crate::syntax::print_expr;
use indexmap::IndexMap;
use petgraph::graph::NodeIndex;
use std::collections::BTreeSet;

/// The file of a verified graph: params, inputs, kernels in an order in which each reads only what stands above it, outputs.
///
/// What a graph does not hold is not in the file: comments, size expressions, conditions, float params.
pub fn from_graph(graph: &Graph) -> File {
    let mut body = Block::default();
    for (name, value) in &graph.params {
        let item = Item::Param(Param {
            name: ident(name),
            value: integer(*value),
            role: if graph.ranks.as_ref() == Some(name) {
                ParamRole::Ranks
            } else if graph.capacity.as_ref() == Some(name) {
                ParamRole::Capacity
            } else {
                ParamRole::Plain
            },
        });
        body.lines.push(item.into());
    }
    for (i, input) in graph.inputs().into_iter().enumerate() {
        let mut line = Line::from(Item::Input(self::input(graph, input)));
        if i == 0 && !graph.params.is_empty() {
            line.leading.push(Trivia::Blank);
        }
        body.lines.push(line);
    }
    for (region, nodes) in kernels(graph) {
        let mut line = Line::from(Item::Kernel(kernel(graph, region, &nodes)));
        line.leading.push(Trivia::Blank);
        body.lines.push(line);
    }
    let wanted = graph.outputs.iter().map(|v| wanted(graph, *v));
    let mut line = Line::from(Item::Output(wanted.collect()));
    line.leading.push(Trivia::Blank);
    body.lines.push(line);
    if let Some(first) = body.lines.first_mut() {
        first.leading.clear();
    }
    let decl = GraphDecl {
        name: ident(&graph.name),
        body,
    };
    let own = graph.declarations();
    let lines = own.iter().filter_map(|callee| callee.line());
    let declared = lines.enumerate().map(|(i, line)| {
        let mut line = line.clone();
        if i > 0 && line.leading.first() != Some(&Trivia::Blank) {
            line.leading.insert(0, Trivia::Blank);
        }
        line
    });
    let declared: Vec<Line<Declared>> = declared.collect();
    let mut graph = Line::from(decl);
    if !declared.is_empty() {
        graph.leading.push(Trivia::Blank);
    }
    File {
        declared,
        graph,
        closing: vec![],
    }
}

fn wanted(graph: &Graph, v: Value) -> Wanted {
    let name = graph.name(v);
    let mut accuracy = graph.within.get(name).copied().unwrap_or_default();
    let parts = Accuracy::PARTS.into_iter().filter_map(|part| {
        let value = *accuracy.part(part)?;
        // The shortest form that parses back to the same number.
        let number = expr(ExprKind::Number(format!("{value:?}")));
        (value != 0.0).then(|| (ident(part), number))
    });
    Wanted {
        carried: graph.carried.get(name).map(|input| ident(input)),
        within: parts.collect(),
        name: ident(name),
    }
}

fn ident(name: &str) -> Ident {
    Ident {
        name: name.into(),
        span: Span::default(),
    }
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn name(name: &str) -> Expr {
    expr(ExprKind::Name(name.into()))
}

pub(super) fn integer(value: i64) -> Expr {
    match value {
        // The magnitude of the least i64 is not an i64.
        i64::MIN => expr(ExprKind::Infix {
            op: Infix::Sub,
            left: Box::new(integer(i64::MIN + 1)),
            right: Box::new(integer(1)),
        }),
        v if v < 0 => expr(ExprKind::Negate(Box::new(integer(-v)))),
        v => expr(ExprKind::Number(v.to_string())),
    }
}

/// A float that parses back to the same bits: whole numbers without a point, others in the shortest form.
fn float(value: f32) -> Expr {
    if value.is_sign_negative() {
        return expr(ExprKind::Negate(Box::new(float(-value))));
    }
    let text = if value.fract() == 0.0 && value < 1e6 {
        format!("{value}")
    } else {
        format!("{value:?}")
    };
    expr(ExprKind::Number(text))
}

fn size(graph: &Graph, dim: &Dim) -> Expr {
    match &dim.axis {
        Some(axis) if graph.params.get(axis).copied() == i64::try_from(dim.size).ok() => name(axis),
        _ => match &dim.block {
            Some(block) => expr(ExprKind::Infix {
                op: Infix::Mul,
                left: Box::new(integer((dim.size / block.size) as i64)),
                right: Box::new(name(&block.axis)),
            }),
            None => expr(ExprKind::Number(dim.size.to_string())),
        },
    }
}

fn input(graph: &Graph, v: Value) -> Input {
    let output = graph.output(v);
    let spec = &graph.node(v.node).input;
    let range = match (spec.normal, spec.bound) {
        (Some((mean, deviation)), _) => Some(Range::Normal(float(mean), float(deviation))),
        (None, Some(bound)) => Some(Range::Below(integer(bound))),
        (None, None) => None,
    };
    Input {
        name: ident(&output.name),
        dtype: ident(output.ty.dtype.name()),
        shape: output.ty.shape.iter().map(|d| size(graph, d)).collect(),
        ragged: output.ty.ragged.as_ref().map(|r| ident(&r.counts)),
        low: spec.low.map(integer),
        range,
        spread: spec.spread.map(|b| {
            Box::new(Binomial {
                trials: integer(b.trials),
                hits: integer(b.hits),
                of: integer(b.of),
                span: Span::default(),
            })
        }),
    }
}

/// The regions in topological order, each with its nodes in topological order; ties go to the lower index.
fn kernels(graph: &Graph) -> Vec<(&Region, Vec<NodeIndex>)> {
    let order = graph.topological().unwrap_or_default();
    let mut nodes = vec![vec![]; graph.regions.len()];
    let mut before = vec![BTreeSet::new(); graph.regions.len()];
    for id in order {
        let Some(region) = graph.node(id).region else {
            continue;
        };
        nodes[region].push(id);
        let reads = graph.operands(id).into_iter();
        let reads = reads.filter_map(|v| graph.node(v.node).region);
        before[region].extend(reads.filter(|r| *r != region));
    }
    let mut sorted = vec![];
    let mut done = BTreeSet::new();
    let mut left: Vec<usize> = (0..graph.regions.len()).collect();
    while let Some(place) = left.iter().position(|r| before[*r].is_subset(&done)) {
        let region = left.remove(place);
        done.insert(region);
        sorted.push((&graph.regions[region], std::mem::take(&mut nodes[region])));
    }
    sorted
}

fn kernel(graph: &Graph, region: &Region, nodes: &[NodeIndex]) -> Kernel {
    let mut body = Block::default();
    if let Some(schedule) = &region.schedule {
        body.lines
            .push(Stmt::Launch(ident(schedule.launch.name())).into());
        for (tile, spec) in &schedule.tiles {
            let stmt = Stmt::Tile {
                name: ident(tile),
                size: expr(ExprKind::Number(spec.size.to_string())),
                axis: ident(&spec.axis),
                per_block: spec.per_block,
            };
            body.lines.push(stmt.into());
        }
        let depth =
            (schedule.pipeline != 1).then(|| expr(ExprKind::Number(schedule.pipeline.to_string())));
        let span = Span::default();
        body.lines.push(Stmt::Loop { span, depth }.into());
    }
    let holds = hold_lines(&region.name, &region.holds);
    body.lines.extend(holds.into_iter().map(Line::from));
    for id in nodes {
        let outputs = &graph.node(*id).outputs;
        let stmt = Stmt::Let {
            targets: outputs.iter().map(|o| ident(&o.name)).collect(),
            value: call(graph, *id),
        };
        body.lines.push(stmt.into());
    }
    Kernel {
        name: ident(&region.name),
        when: None,
        body,
    }
}

/// Columns of a line of what a kernel holds.
const COLUMNS: usize = 100;
/// Where it begins.
const INDENT: usize = 4;

/// What a kernel holds: a line a part, or several where that would be long.
pub(super) fn hold_lines<'h>(kernel: &str, holds: impl IntoIterator<Item = &'h Hold>) -> Vec<Stmt> {
    let mut parts: IndexMap<&str, Vec<Held>> = IndexMap::new();
    for hold in holds {
        let value = |v: &String| match v.parse::<i64>() {
            Ok(n) => integer(n),
            Err(_) => name(v),
        };
        parts.entry(&hold.part).or_default().push(Held {
            param: ident(&hold.param),
            values: hold.values.iter().map(value).collect(),
        });
    }
    let mut lines = vec![];
    for (part, params) in parts {
        let part = (part != kernel).then(|| ident(part));
        let head = INDENT + "hold".len() + part.as_ref().map_or(0, |p| p.name.len() + 1);
        let (mut line, mut columns) = (vec![], head);
        for held in params {
            let values = held.values.iter().map(|v| print_expr(v).len() + 2);
            let width = 1 + held.param.name.len() + values.sum::<usize>();
            if columns + width > COLUMNS && !line.is_empty() {
                let params = std::mem::take(&mut line);
                let part = part.clone();
                lines.push(Stmt::Hold { part, params });
                columns = head;
            }
            columns += width;
            line.push(held);
        }
        lines.push(Stmt::Hold { part, params: line });
    }
    lines
}

fn call(graph: &Graph, id: NodeIndex) -> Expr {
    let op = &graph.node(id).op;
    let operands = graph.operands(id);
    let mut args: Vec<Expr> = operands.iter().map(|v| name(graph.name(*v))).collect();
    let mut spelling = op.name();
    match op {
        Op::Prim(Prim::Scalar { value, .. }) => args.push(float(*value)),
        Op::Prim(Prim::ScalarLeft { value, .. }) => args.insert(0, float(*value)),
        Op::Prim(prim @ (Prim::RowBinary(op) | Prim::ColBinary(op) | Prim::GroupColBinary(op))) => {
            // The plain name, where the operands say the rest.
            let plain = match operands[..] {
                [a, b] => pair(*op, graph.ty(a), graph.ty(b)) == Ok((*prim, false)),
                _ => false,
            };
            if plain {
                spelling = op.name();
            }
        }
        _ => {}
    }
    let outputs = graph.node(id).outputs.iter();
    let made: Vec<&Dim> = outputs.flat_map(|o| o.ty.shape.iter().rev()).collect();
    let attrs = op
        .attributes()
        .into_iter()
        .filter(|(spec, value)| spec.default.as_ref() != Some(value))
        .map(|(spec, value)| (ident(spec.name), attribute(graph, &value, &made)))
        .collect();
    expr(ExprKind::Call {
        name: ident(spelling),
        args,
        attrs,
    })
}

/// An attribute as it is written; a size takes the name of the dimension that it makes.
fn attribute(graph: &Graph, value: &AttrValue, made: &[&Dim]) -> Expr {
    match value {
        AttrValue::Size(n) => {
            let whole = made.iter().find(|d| d.size == *n && d.axis.is_some());
            let mut blocks = made.iter().filter_map(|d| d.block.as_ref());
            match (whole, blocks.find(|b| b.size == *n)) {
                (Some(dim), _) => size(graph, dim),
                (None, Some(block)) => name(&block.axis),
                (None, None) => expr(ExprKind::Number(n.to_string())),
            }
        }
        AttrValue::Float(v) if *v == NEG_MAX => name(LOWEST),
        AttrValue::Float(v) if *v == -NEG_MAX => expr(ExprKind::Negate(Box::new(name(LOWEST)))),
        AttrValue::Float(v) => float(*v),
        AttrValue::DType(d) => name(d.name()),
        AttrValue::Round(r) => name(r.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least i64 needs an expression, which must be within the depth and range that parsing takes.
    #[test]
    fn every_integer_is_written_so_that_it_parses() {
        for value in [0, 1, -1, i64::MAX, i64::MIN + 1, i64::MIN] {
            let text = format!(
                "graph g {{\n  param P = {}\n  output y\n}}\n",
                print_expr(&integer(value))
            );
            let file = crate::text::parse(&text).expect("it parses");
            let param = file.params().next().expect("it has a param");
            let scope = crate::op::expr::constant::Scope::new();
            let found = crate::op::expr::constant::integer(&scope, &param.value);
            assert_eq!(found, Ok(value));
        }
    }

    #[test]
    fn every_float_is_written_so_that_it_parses_to_the_same_bits() {
        let scope = crate::op::expr::constant::Scope::new();
        for value in [
            0.0,
            -0.0,
            1.5,
            1e-6,
            -127.0,
            f32::MIN,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-45,
            16777216.0,
        ] {
            let text = format!(
                "graph g {{\n  param P = {}\n  output y\n}}\n",
                print_expr(&float(value))
            );
            let file = crate::text::parse(&text).expect("it parses");
            let param = file.params().next().expect("it has a param");
            let found = crate::op::expr::constant::float(&scope, &param.value).expect("it fits");
            assert_eq!(found.to_bits(), value.to_bits());
        }
    }
}
