//! The plans that the simulator picked from, and what tells them apart.

use super::LoopReport;
use indexmap::{IndexMap, IndexSet};
use serde::Serialize;
use tilewright_ir::graph::LaunchKind;
use tilewright_ir::kernel::Program;
use tilewright_passes::search::Optimized;

/// A plan among those that the simulator picks from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CandidateReport {
    /// By the cost model, all kernels one after the other.
    pub predicted_us: f64,
    /// By the simulator without data; absent when it refused the plan.
    pub simulated_us: Option<f64>,
    /// Whether the report is of it.
    pub picked: bool,
    /// In launch order.
    pub kernels: Vec<CandidateKernel>,
}

/// A kernel of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateKernel {
    /// The name that the kernel has in the plan.
    pub name: String,
    /// How its blocks are started.
    pub launch: LaunchKind,
    /// How many blocks.
    pub blocks: usize,
    /// Sizes in elements, under engineers' names; none where the plan led to no program.
    pub tiles: IndexMap<String, usize>,
    /// Its loops, outer ones first.
    pub pipeline: Vec<LoopReport>,
}

impl CandidateReport {
    /// `program` is what the plan led to, if it did.
    pub fn new(plan: &Optimized, program: Option<&Program>, simulated_us: Option<f64>) -> Self {
        let kernels = plan.plan.kernels.iter().map(|k| {
            let lowered = program.and_then(|p| p.kernels.iter().find(|l| l.name == k.name));
            CandidateKernel {
                name: k.name.clone(),
                launch: k.launch(),
                blocks: k.blocks(),
                tiles: lowered.map_or_else(IndexMap::new, |l| l.params.clone()),
                pipeline: lowered.map_or_else(Vec::new, LoopReport::of),
            }
        });
        CandidateReport {
            predicted_us: plan.estimates.iter().map(|e| e.us).sum(),
            simulated_us,
            picked: false,
            kernels: kernels.collect(),
        }
    }

    /// What differs from another plan: a kernel each, with its parameters here and there.
    pub fn differs_from(&self, other: &Self) -> Vec<String> {
        let mut all = vec![];
        let alone = |of: &Self, than: &Self| -> Vec<String> {
            let has = |k: &&CandidateKernel| than.kernel(&k.name).is_none();
            let kernels = of.kernels.iter().filter(has);
            kernels.map(|k| k.name.clone()).collect()
        };
        let (here, there) = (alone(self, other), alone(other, self));
        if !here.is_empty() || !there.is_empty() {
            let names = |kernels: &[String]| match kernels {
                [] => "nothing".to_owned(),
                _ => kernels.join(" + "),
            };
            all.push(format!("{} for {}", names(&here), names(&there)));
        }
        for (own, theirs) in self
            .kernels
            .iter()
            .filter_map(|k| Some((k, other.kernel(&k.name)?)))
        {
            let (own_values, their_values) = (own.parameters(), theirs.parameters());
            let names: IndexSet<&String> = own_values.keys().chain(their_values.keys()).collect();
            let side = |values: &IndexMap<String, String>, name: &String| {
                values.get(name).cloned().unwrap_or_else(|| "none".into())
            };
            let differ = names
                .into_iter()
                .filter(|n| own_values.get(*n) != their_values.get(*n));
            let parts: Vec<String> = differ
                .map(|n| {
                    format!(
                        "{n} {} for {}",
                        side(&own_values, n),
                        side(&their_values, n)
                    )
                })
                .collect();
            if !parts.is_empty() {
                all.push(format!("{}: {}", own.name, parts.join(", ")));
            }
        }
        all
    }

    fn kernel(&self, name: &str) -> Option<&CandidateKernel> {
        self.kernels.iter().find(|k| k.name == name)
    }
}

impl CandidateKernel {
    /// The parameters of its schedule with their values.
    fn parameters(&self) -> IndexMap<String, String> {
        let mut all = IndexMap::from([
            ("launch".to_owned(), self.launch.to_string()),
            ("blocks".to_owned(), self.blocks.to_string()),
        ]);
        all.extend(self.tiles.iter().map(|(n, v)| (n.clone(), v.to_string())));
        let depths = self.pipeline.iter().filter(|l| l.depth > 1);
        let depths: Vec<String> = depths.map(|l| format!("{} x{}", l.name, l.depth)).collect();
        let deep = match depths.is_empty() {
            true => "range".to_owned(),
            false => depths.join(" "),
        };
        all.insert("pipeline".into(), deep);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(kernels: &[(&str, usize, usize, usize)]) -> CandidateReport {
        let kernel = |(name, blocks, tile, depth): &(&str, usize, usize, usize)| CandidateKernel {
            name: (*name).to_owned(),
            launch: LaunchKind::Spmd,
            blocks: *blocks,
            tiles: IndexMap::from([("T_TILE".to_owned(), *tile)]),
            pipeline: vec![LoopReport {
                name: "t".into(),
                depth: *depth,
                trips: 4,
            }],
        };
        CandidateReport {
            predicted_us: 1.0,
            simulated_us: None,
            picked: false,
            kernels: kernels.iter().map(kernel).collect(),
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let picked = candidate(&[("a", 8, 16, 2), ("b", 8, 16, 1)]);
        assert_eq!(picked.differs_from(&picked), [""; 0]);
        let other = candidate(&[("a", 4, 32, 1), ("b", 8, 16, 1)]);
        assert_eq!(
            other.differs_from(&picked),
            ["a: blocks 4 for 8, T_TILE 32 for 16, pipeline range for t x2"]
        );
        let fused = candidate(&[("a_b", 8, 16, 2)]);
        assert_eq!(fused.differs_from(&picked), ["a_b for a + b"]);
    }
}
