//! A file with what a search decided written into it.

use super::LowerError;
use super::from_graph::{hold_lines, integer};
use super::lower::{holds, params};
use crate::op::expr::constant::{self, Number, Scope};
use crate::schedule::Hold;
use crate::syntax::ast::{File, Item, Line, Stmt};
use indexmap::IndexMap;

/// The file at these settings, its kernels with these lines instead of what they hold. Comments and sizes stay as they are, but for
/// params that have another value.
///
/// # Errors
///
/// Settings that the file does not have, and conditions that cannot be computed.
pub fn with_holds(
    file: &File,
    settings: &IndexMap<String, i64>,
    held: &IndexMap<String, Vec<Hold>>,
) -> Result<File, LowerError> {
    let scope = params(file, settings)?;
    let mut out = file.clone();
    let mut written = Scope::new();
    for line in &mut out.graph.kind.body.lines {
        match &mut line.kind {
            Item::Param(param) => {
                let name = &param.name.name;
                if let Some(Number::Int(value)) = scope.get(name)
                    && constant::number(&written, &param.value) != Ok(Number::Int(*value))
                {
                    param.value = integer(*value);
                }
                if let Some(value) = scope.get(name) {
                    written.insert(name.clone(), *value);
                }
            }
            Item::Kernel(kernel) if holds(&scope, kernel)? => {
                let lines = &mut kernel.body.lines;
                lines.retain(|l| !matches!(l.kind, Stmt::Hold { .. }));
                let first = lines
                    .iter()
                    .position(|l| matches!(l.kind, Stmt::Let { .. }));
                let at = first.unwrap_or(lines.len());
                let own = held.get(&kernel.name.name).into_iter().flatten();
                let new = hold_lines(&kernel.name.name, own);
                lines.splice(at..at, new.into_iter().map(Line::from));
            }
            _ => {}
        }
    }
    Ok(out)
}
