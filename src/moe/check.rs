//! Layers that there cannot be.

use super::{Activation, Groups, Moe, MoeError};
use tilewright_ir::graph::RANKS;

impl Moe {
    pub(super) fn check(&self) -> Result<(), MoeError> {
        if !tilewright_ir::graph::is_identifier(&self.name) {
            return Err(MoeError::Name {
                name: self.name.clone(),
            });
        }
        if !RANKS.contains(&self.ranks) {
            return Err(MoeError::Ranks { ranks: self.ranks });
        }
        self.check_sizes()?;
        self.check_routing()?;
        self.check_parts()
    }

    fn check_sizes(&self) -> Result<(), MoeError> {
        // Rows of int8 are read in blocks of 32 bytes.
        let sizes = [
            ("the hidden size", self.hidden),
            ("the experts' intermediate size", self.inter),
            ("the shared expert's intermediate size", self.shared_inter),
        ];
        for (what, value) in sizes {
            let optional = value == 0 && what.starts_with("the shared");
            if !optional && (value == 0 || value % 32 != 0) {
                let near = (value.max(1)).next_multiple_of(32);
                let problem = "is no positive multiple of 32, a block of int8";
                return wrong(what, value, problem, format!("the nearest that is: {near}"));
            }
        }
        if self.tokens == 0 {
            let help = "give at least 1".into();
            return wrong("tokens of a rank", 0, "leaves nothing to do", help);
        }
        Ok(())
    }

    fn check_routing(&self) -> Result<(), MoeError> {
        let (experts, topk) = (self.experts, self.topk);
        if experts == 0 || !experts.is_multiple_of(self.ranks) {
            let near = experts.max(1).next_multiple_of(self.ranks);
            let problem = format!("{} ranks cannot hold equal parts of", self.ranks);
            let fitting = RANKS
                .iter()
                .filter(|r| experts > 0 && experts.is_multiple_of(**r));
            let fitting: Vec<String> = fitting.map(ToString::to_string).collect();
            let help = match fitting.is_empty() {
                true => format!("the nearest that fits: {near}"),
                false => format!("give --ep {}, or {near} experts", fitting.join(" or ")),
            };
            return wrong("the number of experts", experts, &problem, help);
        }
        if topk == 0 || topk > experts {
            let problem = format!("is not between 1 and the {experts} experts");
            let help = "give --topk in that range".into();
            return wrong("experts a token", topk, &problem, help);
        }
        let Some(Groups {
            groups,
            kept,
            score,
        }) = self.groups
        else {
            return Ok(());
        };
        if groups == 0 || !experts.is_multiple_of(groups) {
            let problem = format!("does not divide the {experts} experts");
            let help = "give --groups that does".into();
            return wrong("the number of groups", groups, &problem, help);
        }
        if kept == 0 || kept > groups || experts / groups * kept < topk {
            let problem = format!(
                "of {groups} groups do not hold {topk} of {experts} experts, or are more than there are"
            );
            let help = "give --groups-kept that do".into();
            return wrong("the number of groups to keep", kept, &problem, help);
        }
        let best = score.best();
        if experts / groups < best {
            let problem = format!("leaves fewer than {best} experts a group to score it by");
            let help = "give --group-score max, or fewer groups".into();
            return wrong("the number of groups", groups, &problem, help);
        }
        Ok(())
    }

    fn check_parts(&self) -> Result<(), MoeError> {
        let not_together = |what, help| Err(MoeError::NotTogether { what, help });
        if self.shared_inter == 0 && self.shared_gate {
            return not_together(
                "a gate of the shared expert without a shared expert",
                "give --shared-inter, or --shared-gate false",
            );
        }
        if self.shared_inter > 0 && self.expert_bias {
            return not_together(
                "biases of the experts beside a shared expert",
                "give --shared-inter 0, or --expert-bias false",
            );
        }
        if !self.gated && (self.swiglu_limit > 0.0 || self.up_offset != 0.0) {
            return not_together(
                "a clamp or an offset of experts without a gate",
                "give --swiglu-limit 0 and --up-offset 0, or --gated true",
            );
        }
        if self.activation_alpha != 1.0 && self.activation != Activation::Silu {
            return not_together(
                "a factor in an activation that is not silu",
                "give --activation-alpha 1, or --activation silu",
            );
        }
        let numbers = [
            ("the factor on the weights", self.route_scale),
            ("the clamp of the activation", self.swiglu_limit),
            ("the factor in the activation", self.activation_alpha),
            ("the offset of the activation's factor", self.up_offset),
            ("the eps of the norm", self.norm_eps),
            (
                "the eps of the hyper-connections",
                self.hyper.map_or(0.0, |h| h.eps),
            ),
        ];
        for (what, value) in numbers {
            let signed = what.starts_with("the offset") || what.starts_with("the factor");
            if !value.is_finite() || (value < 0.0 && !signed) {
                return Err(MoeError::Number { what, value });
            }
        }
        match (self.hyper, self.shared_inter) {
            (Some(_), 0) => Err(MoeError::NoShared),
            _ => Ok(()),
        }
    }
}

fn wrong(what: &'static str, value: usize, problem: &str, help: String) -> Result<(), MoeError> {
    Err(MoeError::Size {
        what,
        value,
        problem: problem.into(),
        help,
    })
}
