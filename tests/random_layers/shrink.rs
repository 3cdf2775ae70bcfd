//! The smallest layer that fails in the same way.

use crate::layer::Layer;

/// Takes away what is not needed for `fails`, until nothing can be taken away.
pub fn shrink(mut layer: Layer, fails: impl Fn(&Layer) -> bool) -> Layer {
    loop {
        let smaller = candidates(&layer)
            .into_iter()
            .find(|l| !l.is_empty() && fails(l));
        match smaller {
            Some(smaller) => layer = smaller,
            None => return layer,
        }
    }
}

/// Layers that are a little smaller, the smallest ones first.
fn candidates(layer: &Layer) -> Vec<Layer> {
    let mut out = vec![];
    let count = |l: &Layer| l.lines().count();
    for (k, kernel) in layer.kernels.iter().enumerate() {
        out.extend((0..kernel.lines.len()).map(|line| layer.without(k, line)));
    }
    out.sort_by_key(count);
    for (k, kernel) in layer.kernels.iter().enumerate() {
        for line in 0..kernel.schedule.len() {
            let mut smaller = layer.clone();
            smaller.kernels[k].schedule.remove(line);
            out.push(smaller);
        }
    }
    for more in 0..layer.more.len() {
        let mut smaller = layer.clone();
        smaller.more.remove(more);
        out.push(smaller);
    }
    for (i, (_, size)) in layer.sizes.iter().enumerate() {
        for to in [1, 2, 8, 16, 32, size / 2, size - 1] {
            if to > 0 && to < *size {
                let mut smaller = layer.clone();
                smaller.sizes[i].1 = to;
                out.push(smaller);
            }
        }
    }
    out
}
