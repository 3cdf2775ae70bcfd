//! What is read from global memory, and what is written there once.

use super::{Role, Rule, line, line_if, num};
use crate::numerics::Numerics;
use crate::term::language::Head;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Operator;

pub fn rules(heads: &[Head]) -> Vec<Rule> {
    let casts: Vec<&Head> = heads
        .iter()
        .filter(|h| matches!(h, Head::Op(Operator::Cast(DType::F32, _))))
        .collect();
    vec![
        Rule {
            name: "read-narrow",
            role: Role::Choice,
            numerics: Numerics::Bitwise,
            does: "reads the narrow value and widens it on chip, instead of reading its widened copy",
            why: "widening is exact, so the copy holds nothing that the narrow value does not; half the bytes move",
            lines: casts
                .into_iter()
                .map(|h| {
                    line_if(
                        format!("(tile ?r ?c (buf ?n ({h} ?y)))"),
                        format!("({h} (tile ?r ?c ?y))"),
                        |m| match m.fixed("?y").and_then(|f| f.dtype) {
                            Some(d) if d != DType::F32 && d.widens_to(DType::F32) => {
                                vec![vec![]]
                            }
                            _ => vec![],
                        },
                    )
                })
                .collect(),
        },
        Rule {
            name: "fuse",
            role: Role::Choice,
            numerics: Numerics::Bitwise,
            does: "computes a value where it is used, instead of reading what another kernel stored",
            why: "what is loaded is what was stored; kernels all of whose values are computed where they are used become one",
            lines: vec![line("(tile ?r ?c (buf ?n ?v))", "(tile ?r ?c ?v)")],
        },
        Rule {
            name: "hoist-init",
            role: Role::Choice,
            numerics: Numerics::Bitwise,
            does: "moves the initialisation of padding columns out of the body into a launch of its own",
            why: "the padding and the data are disjoint columns; a conditional write inside an SPMD body would break the \
                  mapping of its outputs",
            lines: ["parallel", "spmd"]
                .into_iter()
                .map(|k| {
                    line_if(
                        format!("(launch.{k} ?t ?w (with_pad ?w ?v ?body))"),
                        format!(
                            "(overlay (launch.{k} ?t ?w (fill ?t ?from ?w ?v)) (launch.{k} ?t ?from ?body))"
                        ),
                        |m| vec![vec![num("?from", m.cols("?body"))]],
                    )
                })
                .collect(),
        },
    ]
}
