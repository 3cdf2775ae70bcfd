//! Hyper-connections: n residual streams that become one, and take the result back.

use super::{ReferenceError, floats, rows};
use crate::data::{Scalar, Tensor, cast_scalar};
use tilewright_ir::graph::Type;
use tilewright_ir::{DType, Round};

/// `1 / (1 + exp(-x))` in f64.
pub(super) fn sigmoid(x: f32) -> f64 {
    1.0 / (1.0 + (-f64::from(x)).exp())
}

/// Rows of n x n logits to doubly stochastic matrices, each step in f64, the result rounded to f32.
pub(super) fn sinkhorn(x: &[f32], n: usize, iterations: usize, eps: f32) -> Vec<f32> {
    let eps = f64::from(eps);
    let matrices = x.chunks_exact((n * n).max(1));
    let matrices = matrices.flat_map(|logits| {
        let mut m: Vec<f64> = vec![];
        for row in logits.chunks_exact(n) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let exp: Vec<f64> = row
                .iter()
                .map(|x| (f64::from(*x) - f64::from(largest)).exp())
                .collect();
            let total: f64 = exp.iter().sum();
            m.extend(exp.iter().map(|e| e / total + eps));
        }
        for iteration in 0..iterations {
            if iteration > 0 {
                for row in m.chunks_exact_mut(n) {
                    let total = row.iter().sum::<f64>() + eps;
                    row.iter_mut().for_each(|x| *x /= total);
                }
            }
            for column in 0..n {
                let total = (0..n).map(|i| m[i * n + column]).sum::<f64>() + eps;
                (0..n).for_each(|i| m[i * n + column] /= total);
            }
        }
        m.into_iter().map(|x| x as f32)
    });
    matrices.collect()
}

/// The mixed stream and the weights to go back; operands are x, fn, scale and base.
pub(super) fn hc_pre(
    operands: &[&Tensor],
    [norm_eps, eps]: [f32; 2],
    iterations: usize,
    types: &[Type],
) -> Result<Vec<Tensor>, ReferenceError> {
    let [x, weights, scale, base] = [0, 1, 2, 3].map(|i| operands[i].to_f32());
    let (columns, width) = operands[1].matrix();
    let n = types[1].matrix().1;
    let d = width / n.max(1);
    let (mut mixed, mut post, mut comb) = (vec![], vec![], vec![]);
    for row in rows(&x, operands[0].matrix()) {
        let wide = row.iter().map(|x| f64::from(*x));
        let mean = wide.map(|x| x * x).sum::<f64>() / width as f64;
        let factor = 1.0 / (mean + f64::from(norm_eps)).sqrt();
        let logit = |j: usize| {
            let terms = row.iter().zip(&weights[j * width..(j + 1) * width]);
            let dot: f64 = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
            let part = (j / n).min(2);
            (dot * factor) as f32 * scale[part] + base[j]
        };
        let pre: Vec<f32> = (0..n).map(|j| sigmoid(logit(j)) as f32 + eps).collect();
        post.extend((n..2 * n).map(|j| 2.0 * sigmoid(logit(j)) as f32));
        let logits: Vec<f32> = (2 * n..columns).map(logit).collect();
        comb.extend(sinkhorn(&logits, n, iterations, eps));
        mixed.extend((0..d).map(|c| {
            let sum = (0..n).fold(0.0, |sum, h| sum + row[h * d + c] * pre[h]);
            half_away(sum)
        }));
    }
    Ok(vec![
        floats(&types[0], &mixed)?,
        floats(&types[1], &post)?,
        floats(&types[2], &comb)?,
    ])
}

/// The nearest bf16, ties away from zero.
fn half_away(x: f32) -> f32 {
    match cast_scalar(Scalar::Float(x), DType::F32, DType::Bf16, Round::Round) {
        Scalar::Float(y) => y,
        Scalar::Int(y) => y as f32,
    }
}

/// The new streams; operands are y, x, post and comb.
pub(super) fn hc_post(operands: &[&Tensor], types: &[Type]) -> Result<Vec<Tensor>, ReferenceError> {
    let [y, x, post, comb] = [0, 1, 2, 3].map(|i| operands[i].to_f32());
    let (count, d) = operands[0].matrix();
    let n = operands[2].matrix().1;
    let mut out = vec![];
    for t in 0..count {
        for o in 0..n {
            out.extend((0..d).map(|c| {
                let own = y[t * d + c] * post[t * n + o];
                (0..n).fold(own, |sum, i| {
                    sum + x[(t * n + i) * d + c] * comb[(t * n + i) * n + o]
                })
            }));
        }
    }
    Ok(vec![floats(&types[0], &out)?])
}
