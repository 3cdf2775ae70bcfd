//! How far outputs may be off because a layer makes more of its roundings: sums that cancel, and what is then squared or divided.
//!
//! The interpreter runs on inputs that are off by what an element of the narrowest type of the layer may be off. What its own outputs
//! are off by then, kernels that round in another place may be, too.

use indexmap::IndexMap;
use tilewright::tune::random::Random;
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Graph;

/// Sets of inputs that are off.
const SETS: u64 = 4;

/// The largest difference of each output that roundings explain.
pub fn slack(graph: &Graph, inputs: &Tensors) -> IndexMap<String, f64> {
    let mut slack = IndexMap::new();
    let Ok(exact) = reference::run(graph, inputs) else {
        return slack;
    };
    let step = graph.values().map(|v| step(graph.ty(v).dtype));
    let step = step.fold(0.0, f32::max);
    for seed in 0..SETS {
        let mut random = Random::new(seed);
        let off =
            |(name, tensor): (&String, &Tensor)| (name.clone(), nudged(tensor, step, &mut random));
        let inputs: Tensors = inputs.iter().map(off).collect();
        let Ok(outputs) = reference::run(graph, &inputs) else {
            continue;
        };
        for (name, tensor) in &exact {
            let pairs = tensor.to_f32().into_iter().zip(outputs[name].to_f32());
            let off = pairs.map(|(a, b)| f64::from((a - b).abs()));
            let most = slack.entry(name.clone()).or_insert(0.0);
            *most = off.filter(|d| d.is_finite()).fold(*most, f64::max);
        }
    }
    slack
}

/// A unit in the last place of 1.
fn step(dtype: DType) -> f32 {
    match dtype {
        DType::Bf16 => f32::exp2(-7.0),
        DType::F16 => f32::exp2(-10.0),
        _ => f32::EPSILON,
    }
}

fn nudged(tensor: &Tensor, step: f32, random: &mut Random) -> Tensor {
    if !tensor.dtype.is_float() {
        return tensor.clone();
    }
    let mut way = || if random.below(2) == 0 { step } else { -step };
    let values: Vec<f32> = tensor.to_f32().iter().map(|x| x * (1.0 + way())).collect();
    let nudged = Tensor::from_f32(tensor.dtype, &tensor.shape, &values);
    nudged.unwrap_or_else(|_| tensor.clone())
}
