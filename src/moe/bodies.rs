//! What the kernels of a layer compute that is not the same in all models, as lines of the text form.

use super::{Activation, Moe, Scoring};

impl Scoring {
    /// Lines that compute `score` from `logits`.
    fn lines(self) -> Vec<String> {
        lines(match self {
            Scoring::SqrtSoftplus => &["score = sqrt_softplus(logits)"],
            Scoring::Sigmoid => &[
                "decay = exp(neg(logits))",
                "denominator = add(decay, 1)",
                "score = div(1, denominator)",
            ],
            Scoring::Softmax => &[
                "top_logit = row_max(logits)",
                "weight = exp(sub(logits, top_logit))",
                "total = row_sum(weight)",
                "score = div(weight, total)",
            ],
        })
    }
}

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| (*line).into()).collect()
}

impl Moe {
    /// The value that experts are chosen by.
    fn choice(&self) -> &'static str {
        match self.bias {
            true => "biased",
            false => "score",
        }
    }

    /// The kernel `gate`: scores of all experts, and what the choice is by.
    pub(super) fn gate(&self) -> Vec<String> {
        let mut out = match self.router_bias {
            true => lines(&[
                "products = matmul_nt(x_norm_f32, gate_w)",
                "logits = add(products, router_bias)",
            ]),
            false => lines(&["logits = matmul_nt(x_norm_f32, gate_w)"]),
        };
        out.extend(self.scoring.lines());
        if self.bias {
            out.push("biased = add(score, gate_bias)".into());
        }
        if self.groups.is_none() {
            let choice = self.choice();
            out.push(format!(
                "biased_pad = pad_cols({choice}, to = SORT_COLS, value = lowest)"
            ));
        }
        out
    }

    /// The kernel `group_worth`: what a token thinks of each group of experts.
    pub(super) fn group_worth(&self) -> String {
        format!(
            "  kernel group_worth {{\n    launch parallel\n    tile T_TILE = 8 over T\n    loop range\n    \
             worth = group_worth({}, groups = N_GROUPS, best = GROUP_BEST)\n  }}",
            self.choice()
        )
    }

    /// The kernel `route_sort`: the experts with the highest scores, and their weights.
    pub(super) fn route_sort(&self) -> Vec<String> {
        let experts = match self.groups {
            None => "experts = top_k(biased_pad, k = TOPK)".into(),
            Some(_) => format!(
                "experts = top_k_of_groups({}, worth, groups = N_GROUPS, kept = KEPT_GROUPS, k = TOPK)",
                self.choice()
            ),
        };
        self.weights(experts)
    }

    /// The kernel `route_hash`: the experts of a token's number.
    pub(super) fn route_hash(&self) -> Vec<String> {
        self.weights("experts = gather_rows(tid2eid, input_ids)".into())
    }

    fn weights(&self, experts: String) -> Vec<String> {
        let mut out = vec![experts];
        out.extend(lines(match self.normalize {
            true => &["routed = route_weights(score, experts, scale = ROUTE_SCALE)"],
            false => &[
                "picked = gather_cols(score, experts)",
                "routed = mul(picked, ROUTE_SCALE)",
            ],
        }));
        out.push("indices = mask_rows(experts, num_tokens)".into());
        out.push("weights = mask_rows(routed, num_tokens)".into());
        out
    }

    /// The kernel `exp_gate_up_act`: from the experts' first products to what their last one reads.
    pub(super) fn expert_activation(&self) -> Vec<String> {
        let mut out = vec![];
        let scale = match self.weigh_input {
            // A row times its weight is the same int8 row with another scale.
            true => {
                out.push("x_scale = mul(recv_scale, recv_weight)".into());
                "x_scale"
            }
            false => "recv_scale",
        };
        let products = [("gate", 1), ("up", 3)];
        for (name, w) in &products[usize::from(!self.gated)..] {
            let call = format!("dequantize({name}_acc, {scale}, routed_w{w}_scale)");
            out.extend(match self.expert_bias {
                true => vec![
                    format!("{name}_scaled = {call}"),
                    format!("{name}_f32 = add({name}_scaled, routed_b{w})"),
                ],
                false => vec![format!("{name}_f32 = {call}")],
            });
        }
        out.extend(self.activate("gate_f32", "up_f32", "h"));
        out
    }

    /// The kernel `exp_w2_act`: the experts' answers.
    pub(super) fn expert_answer(&self) -> Vec<String> {
        let out = match (self.expert_bias, self.weigh_input) {
            (false, false) => vec![
                "h_weight = mul(h_scale, recv_weight)",
                "y_f32 = dequantize(y_acc, h_weight, routed_w2_scale)",
            ],
            (false, true) => vec!["y_f32 = dequantize(y_acc, h_scale, routed_w2_scale)"],
            (true, false) => vec![
                "y_scaled = dequantize(y_acc, h_scale, routed_w2_scale)",
                "y_biased = add(y_scaled, routed_b2)",
                "y_f32 = mul(y_biased, recv_weight)",
            ],
            (true, true) => vec![
                "y_scaled = dequantize(y_acc, h_scale, routed_w2_scale)",
                "y_f32 = add(y_scaled, routed_b2)",
            ],
        };
        let mut out = lines(&out);
        out.push("recv_y = cast(y_f32, to = bf16)".into());
        out
    }

    /// The kernel `sh_gate_up`: the same of the shared expert.
    pub(super) fn shared_activation(&self) -> Vec<String> {
        let products = [("gate", 1), ("up", 3)];
        let products = &products[usize::from(!self.gated)..];
        let product =
            |(name, w): &(_, _)| format!("sh_{name}_acc = matmul_nt(x_norm_i8, shared_w{w})");
        let value = |(name, w): &(_, _)| {
            format!("sh_{name}_f32 = dequantize(sh_{name}_acc, x_norm_scale, shared_w{w}_scale)")
        };
        let mut out: Vec<String> = products.iter().map(product).collect();
        out.extend(products.iter().map(value));
        out.extend(self.activate("sh_gate_f32", "sh_up_f32", "sh_h"));
        out
    }

    /// The kernel `sh_w2`: the shared expert's answer.
    pub(super) fn shared_answer(&self) -> Vec<String> {
        let mut out = lines(&["sh_y_acc = matmul_nt(sh_h_i8, shared_w2)"]);
        let scale = match self.shared_gate {
            true => {
                out.push("sh_weight = mul(sh_h_scale, sh_share)".into());
                "sh_weight"
            }
            false => "sh_h_scale",
        };
        out.push(format!(
            "sh_y_f32 = dequantize(sh_y_acc, {scale}, shared_w2_scale)"
        ));
        out.push("shared = cast(sh_y_f32, to = bf16)".into());
        out
    }

    /// Whether the composite `swiglu` is all of the activation.
    pub(super) fn is_swiglu(&self) -> bool {
        self.gated
            && self.activation == Activation::Silu
            && self.activation_alpha == 1.0
            && self.up_offset == 0.0
    }

    /// Lines that compute `to` from the two first products of an expert; without a gate, from the second.
    fn activate(&self, gate: &str, up: &str, to: &str) -> Vec<String> {
        if self.is_swiglu() {
            return vec![format!("{to} = swiglu({gate}, {up}, limit = SWIGLU_LIMIT)")];
        }
        if !self.gated {
            return self.function(up, to);
        }
        let (mut gate, mut up) = (gate.to_string(), up.to_string());
        let mut out = vec![];
        if self.swiglu_limit > 0.0 {
            out.push(format!("{to}_gate = min({gate}, SWIGLU_LIMIT)"));
            out.push(format!("{to}_up_high = min({up}, SWIGLU_LIMIT)"));
            out.push(format!("{to}_up = max({to}_up_high, -SWIGLU_LIMIT)"));
            (gate, up) = (format!("{to}_gate"), format!("{to}_up"));
        }
        out.extend(self.function(&gate, &format!("{to}_act")));
        if self.up_offset != 0.0 {
            out.push(format!("{to}_lifted = add({up}, {:?})", self.up_offset));
            up = format!("{to}_lifted");
        }
        out.push(format!("{to} = mul({to}_act, {up})"));
        out
    }

    /// Lines that compute the activation's function of one value.
    fn function(&self, x: &str, to: &str) -> Vec<String> {
        let sigmoid = |minus: &str| {
            vec![
                format!("{to}_decay = exp({minus})"),
                format!("{to}_denominator = add({to}_decay, 1)"),
                format!("{to} = div({x}, {to}_denominator)"),
            ]
        };
        match self.activation {
            Activation::Silu if self.activation_alpha == 1.0 => sigmoid(&format!("neg({x})")),
            Activation::Silu => sigmoid(&format!("mul({x}, {:?})", -self.activation_alpha)),
            Activation::Relu2 => vec![
                format!("{to}_positive = max({x}, 0)"),
                format!("{to} = mul({to}_positive, {to}_positive)"),
            ],
            // x times the sigmoid of 2 * sqrt(2 / pi) * (x + 0.044715 x^3), which is the form with a tanh.
            Activation::GeluTanh => {
                let mut out = vec![
                    format!("{to}_square = mul({x}, {x})"),
                    format!("{to}_slope = mul({to}_square, -0.07135481627)"),
                    format!("{to}_factor = add({to}_slope, -1.595769122)"),
                    format!("{to}_minus = mul({to}_factor, {x})"),
                ];
                out.extend(sigmoid(&format!("{to}_minus")));
                out
            }
        }
    }
}
