//! The interpreter against the whole layer of the public torch reference, on 2, 4 and 8 ranks.
//!
//! Its inputs and outputs lie in `../shared/golden` beside the repository, and are no part of it; without them the test says
//! that it skips.

use std::path::Path;
use tilewright_backends::data::{Tensor, Tensors, expected_of, files, inputs_of};
use tilewright_backends::reference;
use tilewright_ir::graph::Graph;
use tilewright_ir::text;

/// One rank's part of tensors that have the ranks as their first dimension; what has no dimension is everybody's.
fn of_rank(all: &Tensors, rank: usize) -> Tensors {
    let part = |t: &Tensor| match t.shape.split_first() {
        None => t.clone(),
        Some((ranks, shape)) => {
            let bytes = t.bytes.len() / ranks;
            let own = t.bytes[rank * bytes..(rank + 1) * bytes].to_vec();
            Tensor::new(t.dtype, shape, own).expect("an equal part")
        }
    };
    all.iter().map(|(n, t)| (n.clone(), part(t))).collect()
}

/// Leading dimensions made one, as the graph has them.
fn flattened(graph: &Graph, mut tensors: Tensors) -> Tensors {
    for v in graph.inputs() {
        if let Some(t) = tensors.get_mut(graph.name(v)) {
            t.shape = graph.ty(v).sizes();
        }
    }
    tensors
}

#[test]
fn the_whole_layer_is_the_public_references() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = std::fs::read_to_string(root.join("examples/dsv4_flash_moe.tw"))
        .expect("the example is there");
    let file = text::parse(&source).expect("the example parses");
    for case in [
        "moe_ep2_hash_n5",
        "moe_ep2_sort",
        "moe_ep4_sort",
        "moe_ep8_sort",
    ] {
        let path = root.join(format!("../shared/golden/{case}.safetensors"));
        if !path.exists() {
            println!("skipped {case}: {} is not there", path.display());
            continue;
        }
        let saved = files::load_with_metadata(&path).expect("the file reads");
        let number = |key: &str| saved.metadata[key].parse::<i64>().expect("a number");
        let settings = [
            ("EP", "ep"),
            ("T", "T"),
            ("D", "D"),
            ("MOE_INTER", "I"),
            ("N_LOCAL", "E_per_rank"),
            ("TOPK", "TOPK"),
            ("VOCAB", "V"),
            ("layer_id", "layer"),
        ];
        let settings = settings.map(|(name, key)| (name.to_string(), number(key)));
        let graph =
            text::elaborate(&file, &settings.into_iter().collect()).expect("the example fits");
        let inputs = inputs_of(&saved.tensors);
        let inputs: Vec<Tensors> = (0..graph.ranks())
            .map(|rank| flattened(&graph, of_rank(&inputs, rank)))
            .collect();
        let outputs = reference::run_ranks(&graph, &inputs).expect("the layer runs");
        let expected = expected_of(&saved.tensors);
        for (rank, tilewright_backends::reference::Interpreted { outputs, .. }) in
            outputs.iter().enumerate()
        {
            let want = of_rank(&expected, rank)["x_next"].to_f32();
            let got = outputs["x_next"].to_f32();
            assert_eq!(want.len(), got.len());
            let off = |(a, b): &(&f32, &f32)| (*a - *b).abs() > 3e-3 * a.abs().max(1e-6);
            let wrong = want.iter().zip(&got).filter(off).count();
            println!("{case} rank {rank}: {wrong} of {} off", want.len());
            assert!(
                wrong * 20 <= want.len(),
                "{case}, rank {rank}: {wrong} of {} elements",
                want.len()
            );
        }
    }
}
