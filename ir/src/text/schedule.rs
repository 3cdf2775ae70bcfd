//! The schedule of a kernel as its author wrote it.

use super::LowerError;
use crate::op::MAX_DIM;
use crate::op::expr::constant::{self, Scope};
use crate::schedule::{Hold, LaunchKind, MAX_PIPELINE_DEPTH, Schedule, TileSpec};
use crate::syntax::ast::{Expr, ExprKind, Held, Kernel, Span, Stmt};
use indexmap::IndexMap;

type Lowered<T> = Result<T, LowerError>;

/// The schedule of a kernel; `None` when it says nothing of one. What is left out is `launch parallel`, `loop range`.
pub(super) fn schedule(scope: &Scope, kernel: &Kernel) -> Lowered<Option<Schedule>> {
    let mut said: IndexMap<String, Span> = IndexMap::new();
    let mut say = |what: String, span: Span| match said.insert(what.clone(), span) {
        None => Ok(()),
        Some(first) => Err(LowerError::DuplicateSchedule {
            kernel: kernel.name.name.clone(),
            what,
            span: span.into(),
            first: first.into(),
        }),
    };
    let mut schedule = Schedule {
        launch: LaunchKind::Parallel,
        tiles: IndexMap::new(),
        pipeline: 1,
    };
    for line in &kernel.body.lines {
        match &line.kind {
            Stmt::Let { .. } | Stmt::Hold { .. } => {}
            Stmt::Launch(kind) => {
                say("launch".into(), kind.span)?;
                schedule.launch = kind.name.parse().unwrap_or(LaunchKind::Parallel);
            }
            Stmt::Loop { span, depth } => {
                say("loop".into(), *span)?;
                if let Some(depth) = depth {
                    schedule.pipeline =
                        constant::size(scope, depth, "depth", 1..=MAX_PIPELINE_DEPTH)?;
                }
            }
            Stmt::Tile {
                name,
                size,
                axis,
                per_block,
            } => {
                say(format!("tile {name}"), name.span)?;
                say(format!("over {axis}"), axis.span)?;
                let size = constant::size(scope, size, "tile size", 1..=MAX_DIM)?;
                let tile = TileSpec {
                    axis: axis.name.clone(),
                    size,
                    per_block: *per_block,
                };
                schedule.tiles.insert(name.name.clone(), tile);
            }
        }
    }
    Ok((!said.is_empty()).then_some(schedule))
}

/// What the kernel holds.
pub(super) fn holds(scope: &Scope, kernel: &Kernel) -> Lowered<Vec<Hold>> {
    let mut said: IndexMap<(String, String), Span> = IndexMap::new();
    let mut out = vec![];
    for line in &kernel.body.lines {
        let Stmt::Hold { part, params } = &line.kind else {
            continue;
        };
        let part = part.as_ref().unwrap_or(&kernel.name);
        for Held { param, values } in params {
            let place = (part.name.clone(), param.name.clone());
            if let Some(first) = said.insert(place, param.span) {
                return Err(LowerError::DuplicateSchedule {
                    kernel: kernel.name.name.clone(),
                    what: format!("hold {part} {param}"),
                    span: param.span.into(),
                    first: first.into(),
                });
            }
            let value = |e: &Expr| match &e.kind {
                ExprKind::Name(name) if !scope.contains_key(name) => Ok(name.clone()),
                _ => Ok(constant::integer(scope, e)?.to_string()),
            };
            out.push(Hold {
                part: part.name.clone(),
                param: param.name.clone(),
                values: values.iter().map(value).collect::<Lowered<_>>()?,
            });
        }
    }
    Ok(out)
}

/// Tiles cut axes that values of the kernel have.
pub(super) fn tile_axes(kernel: &Kernel, axes: &[String]) -> Lowered<()> {
    for line in &kernel.body.lines {
        let Stmt::Tile { name, axis, .. } = &line.kind else {
            continue;
        };
        if axes.contains(&axis.name) {
            continue;
        }
        let help = match axes.len() {
            0 => "the values here have no named dimensions: declare inputs with params as sizes"
                .into(),
            _ => format!("the axes here are: {}", axes.join(", ")),
        };
        return Err(LowerError::TileAxis {
            kernel: kernel.name.name.clone(),
            tile: name.name.clone(),
            axis: axis.name.clone(),
            span: axis.span.into(),
            help,
        });
    }
    Ok(())
}
