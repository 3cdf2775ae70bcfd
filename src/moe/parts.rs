//! The template with the parts that a model has, and its sizes.

use super::edit::Edit;
use super::{Moe, tiles};
use indexmap::IndexMap;
use tilewright_ir::text::ast::File;
use tilewright_ir::text::{elaborate, print};

/// Columns that the sorter takes at least; it takes powers of two.
const LEAST_SORT: usize = 32;

impl Moe {
    /// Makes tiles smaller that do not divide the sizes, those of kernels that other layers have included.
    pub(super) fn fit(&self, file: &mut File) {
        let first = IndexMap::from([("layer_id".to_string(), 0)]);
        let settings = [Some(IndexMap::new()), self.hash.map(|_| first)];
        for settings in settings.into_iter().flatten() {
            let graph = elaborate(file, &settings);
            debug_assert!(graph.is_ok(), "{graph:?}\n{}", print(file));
            if let Ok(graph) = graph {
                let lines = &mut file.graph.kind.body;
                tiles::fit(&mut Edit { lines }, &graph);
            }
        }
    }

    /// Scores, the choice of experts and their weights.
    pub(super) fn routing(&self, edit: &mut Edit) {
        if self.router_bias {
            let bias = "  input router_bias: f32[N_EXPERTS] ~ normal(0, 0.1)";
            edit.insert_after("gate_w", bias);
        }
        if !self.bias {
            edit.remove_input("gate_bias");
        }
        edit.compute("gate", &self.gate());
        edit.compute("route_sort", &self.route_sort());
        edit.compute("route_hash", &self.route_hash());
        if let Some(groups) = self.groups {
            let params = format!(
                "  param N_GROUPS = {}\n  param KEPT_GROUPS = {}\n  param GROUP_BEST = {}",
                groups.groups,
                groups.kept,
                groups.score.best()
            );
            edit.insert_after("TOPK", &params);
            edit.insert_after("gate", &self.group_worth());
            edit.remove_param("SORT_COLS");
        }
        if self.hash.is_none() {
            edit.remove_kernel("route_hash");
            for i in ["tid2eid", "input_ids"] {
                edit.remove_input(i);
            }
            for p in ["VOCAB", "layer_id", "N_HASH_LAYERS"] {
                edit.remove_param(p);
            }
            edit.always("route_sort");
        }
    }

    /// What a routed expert computes.
    pub(super) fn experts(&self, edit: &mut Edit) {
        edit.compute("exp_gate_up_act", &self.expert_activation());
        edit.compute("exp_w2_act", &self.expert_answer());
        let mut biases = vec![
            ("w2", "b2", "N_LOCAL, D"),
            ("w3", "b3", "N_LOCAL, MOE_INTER"),
        ];
        if self.gated {
            biases.push(("w1", "b1", "N_LOCAL, MOE_INTER"));
        } else {
            edit.remove_kernel("exp_gate_mm");
            for i in [
                "routed_w1",
                "routed_w1_scale",
                "shared_w1",
                "shared_w1_scale",
            ] {
                edit.remove_input(i);
            }
        }
        if self.expert_bias {
            for (weights, bias, shape) in biases {
                let input = format!("  input routed_{bias}: f32[{shape}] ~ normal(0, 0.1)");
                edit.insert_after(&format!("routed_{weights}_scale"), &input);
            }
        }
        if !self.is_swiglu() && self.swiglu_limit == 0.0 {
            edit.remove_param("SWIGLU_LIMIT");
        }
    }

    /// The shared expert, if there is one.
    pub(super) fn shared(&self, edit: &mut Edit) {
        if self.shared_inter == 0 {
            for k in ["sh_gate_up", "sh_h_q", "sh_w2"] {
                edit.remove_kernel(k);
            }
            edit.remove_param("SHARED_INTER");
            for w in ["w1", "w2", "w3"] {
                edit.remove_input(&format!("shared_{w}"));
                edit.remove_input(&format!("shared_{w}_scale"));
            }
            return;
        }
        edit.compute("sh_gate_up", &self.shared_activation());
        edit.compute("sh_w2", &self.shared_answer());
        if self.shared_gate {
            let weights = "  input shared_gate_w: f32[D] ~ normal(0, 0.02)";
            edit.insert_after("shared_w2_scale", weights);
            let kernel = "  kernel sh_gate {\n    launch parallel\n    tile T_TILE = 8 over T\n    tile D_TILE = 512 over D\n    \
                loop range\n    sh_share_products = mul(x_norm_f32, shared_gate_w)\n    sh_share_logit = row_sum(sh_share_products)\n    \
                sh_share_decay = exp(neg(sh_share_logit))\n    sh_share_denominator = add(sh_share_decay, 1)\n    \
                sh_share = div(1, sh_share_denominator)\n  }";
            edit.insert_after("sh_h_q", kernel);
        }
    }

    /// How the layer reads and writes the residual.
    pub(super) fn residual(&self, edit: &mut Edit) {
        if self.hyper.is_some() {
            return;
        }
        for k in ["hc_pre", "hc_post"] {
            edit.remove_kernel(k);
        }
        for i in ["hc_ffn_fn", "hc_ffn_scale", "hc_ffn_base"] {
            edit.remove_input(i);
        }
        for p in ["HC_MULT", "HC_COLS"] {
            edit.remove_param(p);
        }
        edit.swap_input("x_hc", "input x_mixed: bf16[T, D]");
        // What the experts return is added to the shared expert's result, or to the residual itself.
        let output =
            "  output x_next -> x_mixed within(rtol = 3e-3, outliers = 0.05), dispatch_status";
        if self.shared_inter > 0 {
            let kernel = "  kernel residual {\n    launch parallel\n    tile T_TILE = 1 over T\n    tile D_TILE = 512 over D\n    \
                loop range\n    x_f32 = cast(x_mixed, to = f32)\n    ffn_f32 = cast(ffn_out, to = f32)\n    \
                x_sum = add(x_f32, ffn_f32)\n    x_next = cast(x_sum, to = bf16)\n  }";
            edit.end_with(&format!("{kernel}\n{output}"));
        } else {
            let sum = "x_next = combine(recv_y, recv_route, recv_count, x_mixed, num_tokens, topk = TOPK)";
            edit.end_with(output);
            edit.compute("combine", &[sum.into()]);
        }
    }

    pub(super) fn sizes(&self, edit: &mut Edit) {
        edit.set("EP", self.ranks.to_string());
        edit.set("T", self.tokens.to_string());
        edit.set("D", self.hidden.to_string());
        edit.set("MOE_INTER", self.inter.to_string());
        if self.shared_inter != self.inter {
            edit.set("SHARED_INTER", self.shared_inter.to_string());
        }
        edit.set("N_LOCAL", (self.experts / self.ranks).to_string());
        if self.experts != Moe::default().experts {
            let columns = self.experts.next_power_of_two().max(LEAST_SORT);
            edit.set_to("SORT_COLS", &format!("max({columns}, N_EXPERTS)"));
        }
        edit.set("TOPK", self.topk.to_string());
        edit.set("ROUTE_SCALE", float(self.route_scale));
        edit.set("SWIGLU_LIMIT", float(self.swiglu_limit));
        if let Some(hash) = &self.hash {
            edit.set("VOCAB", hash.vocab.to_string());
            edit.set("N_HASH_LAYERS", hash.layers.to_string());
            // A layer that routes by score.
            edit.set("layer_id", hash.layers.max(10).to_string());
        }
        if let Some(hyper) = &self.hyper {
            edit.set("HC_MULT", hyper.streams.to_string());
            edit.attribute("hc_pre", "iterations", hyper.iterations.to_string());
            edit.attribute("hc_pre", "hc_eps", float(hyper.eps));
            edit.attribute("hc_pre", "norm_eps", float(self.norm_eps));
        }
        edit.attribute("ffn_norm", "eps", float(self.norm_eps));
    }
}

fn float(value: f64) -> String {
    format!("{value:?}")
}
