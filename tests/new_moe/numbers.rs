//! What a layer's kernels compute, against formulas of the tests' own.

use super::{common, graph, said};
use indexmap::IndexMap;
use tilewright::data::{self, Data, Source};
use tilewright::moe::Moe;
use tilewright::run;
use tilewright_backends::data::Tensors;
use tilewright_backends::reference;

fn generated(text: &str) -> (Tensors, Tensors) {
    let graph = graph(text);
    let inputs = data::inputs(&graph, &Source::Seed(5), &IndexMap::new()).expect("inputs are made");
    let outputs = reference::run(&graph, &inputs).unwrap_or_else(|e| panic!("{e}"));
    (inputs, outputs)
}

/// The lines of a kernel of a layer from the first that has the text.
fn lines(moe: &Moe, kernel: &str, from: &str) -> String {
    let text = moe.text().expect("a layer");
    let body = text
        .split(&format!("  kernel {kernel} "))
        .nth(1)
        .expect("it is there");
    let lines = body.split("  }\n").next().expect("it ends").lines();
    let lines = lines.skip_while(|l| !l.contains(from));
    lines.map(|l| format!("{l}\n")).collect()
}

fn close(found: &[f32], expected: &[f64], case: &str) {
    assert_eq!(found.len(), expected.len(), "{case}");
    for (f, e) in found.iter().zip(expected) {
        let near = (f64::from(*f) - e).abs() <= 1e-5 * e.abs().max(1.0);
        assert!(near, "{case}: {f} is not {e}");
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn gelu(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

#[test]
fn activations_are_what_they_are_called() {
    type Function = fn(f64, f64) -> f64;
    let cases: [(&str, Function); 6] = [
        ("--swiglu-limit 0", |g, u| g * sigmoid(g) * u),
        ("--swiglu-limit 1.5", |g, u| {
            let g = g.min(1.5);
            g * sigmoid(g) * u.clamp(-1.5, 1.5)
        }),
        (
            "--swiglu-limit 1.5 --activation-alpha 1.702 --up-offset 1",
            |g, u| {
                let g = g.min(1.5);
                g * sigmoid(1.702 * g) * (u.clamp(-1.5, 1.5) + 1.0)
            },
        ),
        ("--swiglu-limit 0 --activation gelu-tanh", |g, u| {
            gelu(g) * u
        }),
        ("--swiglu-limit 0 --activation relu2", |g, u| {
            g.max(0.0).powi(2) * u
        }),
        (
            "--swiglu-limit 0 --activation relu2 --gated false",
            |_, u| u.max(0.0).powi(2),
        ),
    ];
    for (options, function) in cases {
        let moe = said(options).of(Moe::default());
        let first = if moe.gated {
            "h_gate = "
        } else {
            "h_positive = "
        };
        let first = if moe.swiglu_limit > 0.0 || !moe.gated {
            first
        } else {
            "h_act"
        };
        let mut body = lines(&moe, "exp_gate_up_act", first);
        if body.is_empty() {
            body = lines(&moe, "exp_gate_up_act", "h = swiglu");
        }
        let gate = if moe.gated {
            "  input gate_f32: f32[8, 64]\n"
        } else {
            ""
        };
        let limit = match body.contains("SWIGLU_LIMIT") {
            true => format!("  param SWIGLU_LIMIT = {:?}\n\n", moe.swiglu_limit),
            false => String::new(),
        };
        let text = format!(
            "graph act {{\n{limit}{gate}  input up_f32: f32[8, 64]\n\n  kernel k {{\n{body}  }}\n\n  output h\n}}\n"
        );
        let (inputs, outputs) = generated(&text);
        let up = inputs["up_f32"].to_f64();
        let gate = inputs.get("gate_f32").map_or(up.clone(), |g| g.to_f64());
        let expected: Vec<f64> = gate
            .iter()
            .zip(&up)
            .map(|(g, u)| function(*g, *u))
            .collect();
        close(&outputs["h"].to_f32(), &expected, options);
    }
}

#[test]
fn a_shared_expert_has_a_gate_of_its_own() {
    let moe = said("--shared-gate true").of(Moe::default());
    let body = lines(&moe, "sh_gate", "sh_share_products");
    let text = format!(
        "graph gate {{\n  input x_norm_f32: f32[8, 64]\n  input shared_gate_w: f32[64]\n\n  kernel k {{\n{body}  }}\n\n  \
         output sh_share\n}}\n"
    );
    let (inputs, outputs) = generated(&text);
    let (x, w) = (
        inputs["x_norm_f32"].to_f64(),
        inputs["shared_gate_w"].to_f64(),
    );
    let dot = |row: &[f64]| row.iter().zip(&w).map(|(x, w)| x * w).sum::<f64>();
    let expected: Vec<f64> = x.chunks(64).map(|row| sigmoid(dot(row))).collect();
    close(&outputs["sh_share"].to_f32(), &expected, "shared gate");
    assert!(lines(&moe, "sh_w2", "sh_weight").contains("mul(sh_h_scale, sh_share)"));
}

#[test]
fn weights_are_normalised_or_scores_times_the_factor() {
    let text = |options: &str| lines(&said(options).of(Moe::default()), "route_sort", "experts");
    assert!(
        text("--normalize true").contains("route_weights(score, experts, scale = ROUTE_SCALE)")
    );
    let plain = text("--normalize false");
    assert!(
        plain.contains("picked = gather_cols(score, experts)"),
        "{plain}"
    );
    assert!(!plain.contains("route_weights"), "{plain}");
}

/// Columns of the largest values, ties to the lower.
fn best(values: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order.truncate(k);
    order
}

/// Groups by their best score (DeepSeek-V2) or by the sum of their two best ones (V3), also where they are no whole sorts.
#[test]
fn groups_limit_the_choice() {
    for (experts, groups, kept, top, k) in [(256, 8, 4, 2, 8), (160, 8, 3, 1, 6), (24, 4, 2, 2, 3)]
    {
        let head = format!("  param T = 4\n  param E = {experts}\n\n  input scores: f32[T, E]\n");
        let worth = format!(
            "graph worth {{\n{head}\n  kernel k {{\n    worth = group_worth(scores, groups = {groups}, best = {top})\n  }}\n\n  \
             output worth\n}}\n"
        );
        let pick = format!(
            "graph pick {{\n{head}  input worth: f32[T, E]\n\n  kernel k {{\n    \
             idx = top_k_of_groups(scores, worth, groups = {groups}, kept = {kept}, k = {k})\n  }}\n\n  output idx\n}}\n"
        );
        let case = format!("{experts} experts, {kept} of {groups} groups");
        let (inputs, outputs) = generated(&worth);
        let scores = inputs["scores"].to_f64();
        let width = experts / groups;
        let value = |group: &[f64]| best(group, top).iter().map(|i| group[*i]).sum::<f64>();
        let values: Vec<f64> = scores.chunks(width).map(value).collect();
        let spread: Vec<f64> = values.iter().flat_map(|v| vec![*v; width]).collect();
        close(&outputs["worth"].to_f32(), &spread, &case);
        let mut given = inputs.clone();
        given.insert("worth".into(), outputs["worth"].clone());
        let picked = reference::run(&graph(&pick), &given).unwrap_or_else(|e| panic!("{e}"));
        let picked = picked["idx"].to_i64();
        for (row, found) in scores.chunks(experts).zip(picked.chunks(k)) {
            let worth: Vec<f64> = row.chunks(width).map(value).collect();
            let kept = best(&worth, kept);
            let masked = |(i, s): (usize, &f64)| match kept.contains(&(i / width)) {
                true => *s,
                false => f64::NEG_INFINITY,
            };
            let masked: Vec<f64> = row.iter().enumerate().map(masked).collect();
            let expected: Vec<i64> = best(&masked, k).iter().map(|i| *i as i64).collect();
            assert_eq!(found, expected, "{case}");
        }
        for (text, inputs) in [(&worth, &inputs), (&pick, &given)] {
            let data = Data::new(vec![inputs.clone()]);
            let outcome = run::run(&graph(text), &common::options(), &data);
            let outcome =
                outcome.unwrap_or_else(|e| panic!("{case}: {:?}", miette::Report::new(e)));
            assert!(outcome.report.ok, "{case}: {:?}", outcome.report.checks);
        }
    }
}
