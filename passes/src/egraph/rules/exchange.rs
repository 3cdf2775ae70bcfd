//! Kernels that move data between ranks.

use super::{Role, Rule, line, line_if, num};
use crate::numerics::Numerics;

pub fn rules() -> Vec<Rule> {
    let rule = |name, does, why, lines| Rule {
        name,
        role: Role::Choice,
        numerics: Numerics::Bitwise,
        does,
        why,
        lines,
    };
    vec![
        rule(
            "share-exchange",
            "shares the rows that are sent and the lanes that are received among more blocks",
            "every row has one target and every lane one block; each block notifies and waits for itself, and all blocks are \
             resident, so none waits for one that cannot start",
            ["parallel", "spmd"]
                .into_iter()
                .map(|k| {
                    line_if(
                        format!("(launch.{k} ?t ?w (share ?b (exchanged ?x)))"),
                        format!("(launch.{k} ?t ?w (share ?z (exchanged ?x)))"),
                        |m| {
                            let shares = m.shares("?x").iter();
                            let more = shares.filter(|z| **z > m.num("?b"));
                            more.map(|z| vec![num("?z", *z)]).collect()
                        },
                    )
                })
                .collect(),
        ),
        rule(
            "scalars-by-line",
            "moves the counts, indices and routes that an exchange computes with through arrays, by whole lines of the scalar unit's cache",
            "the same integers; one line holds 16 of them, and each line crosses global memory once",
            vec![line(
                "(share ?b (exchanged ?x))",
                "(share ?b (by_line (exchanged ?x)))",
            )],
        ),
        rule(
            "exchange-to-spmd",
            "starts all blocks of an exchange with one launch instead of one task a block",
            "a block finds its part by its index",
            vec![line(
                "(launch.parallel ?t ?w (share ?b ?v))",
                "(launch.spmd ?t ?w (share ?b ?v))",
            )],
        ),
    ]
}
