//! Rows that a core does not hold: what the interpreter computes of parts of them is what it computes of them, bit for bit, with
//! ties, NaN and infinities. The machine holds little, so that short rows are long.

use indexmap::IndexMap;
use tilewright_backends::data::{Tensor, Tensors};
use tilewright_backends::reference;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::{Graph, Op, Prim};
use tilewright_ir::kernel::Space;
use tilewright_ir::machine::Machine;
use tilewright_ir::text::{elaborate, parse};
use tilewright_passes::legalise::legalise;

/// Bytes of the unified buffer: rows of 32 elements are sorted and of a little more added up.
const ROOM: f64 = 2048.0;

fn machine() -> Machine {
    let mut machine = Machine::builtin("A3").expect("it is built in");
    let room = machine.capacity.get_mut(&Space::Ub);
    room.expect("it has a unified buffer").value = ROOM;
    machine
}

fn layer(cols: usize, ragged: bool, lines: &str, output: &str) -> Graph {
    let rows = match ragged {
        true => {
            "input c: i32[3, 1] <= 1\n  input x: f32[3, D] ragged c\n  input n: i32[3, D] ragged c"
        }
        false => "input x: f32[3, D]\n  input n: i32[3, D]",
    };
    let text = format!(
        "graph long {{\n  param D = {cols}\n  {rows}\n  kernel k {{\n    {lines}\n  }}\n  output {output}\n}}\n"
    );
    elaborate(&parse(&text).expect("it parses"), &IndexMap::new()).expect("it is a layer")
}

/// Values of few kinds, in an order that says nothing.
fn inputs(cols: usize, kinds: &[f32]) -> Tensors {
    let mut state = 7u64;
    let mut next = |n: usize| {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let x: Vec<f32> = (0..3 * cols).map(|_| kinds[next(kinds.len())]).collect();
    let n: Vec<i32> = (0..3 * cols).map(|_| next(1000) as i32 - 500).collect();
    let bytes = |of: Vec<[u8; 4]>| of.concat();
    let tensor = |dtype, shape: [usize; 2], bytes| {
        Tensor::new(dtype, shape, bytes).expect("it has as many bytes")
    };
    let x = bytes(x.into_iter().map(f32::to_le_bytes).collect());
    let n = bytes(n.into_iter().map(i32::to_le_bytes).collect());
    let c = bytes(vec![1i32.to_le_bytes(); 3]);
    Tensors::from_iter([
        ("c".to_string(), tensor(DType::I32, [3, 1], c)),
        ("x".to_string(), tensor(DType::F32, [3, cols], x)),
        ("n".to_string(), tensor(DType::I32, [3, cols], n)),
    ])
}

/// Sorted, summed up or looked up, the longest row of a graph.
fn longest(graph: &Graph) -> usize {
    let whole = graph.values().filter(|v| {
        let op = &graph.node(v.node).op;
        matches!(
            op,
            Op::Prim(Prim::TopK { .. } | Prim::Cumsum | Prim::RowProd)
        )
    });
    let row = |v| graph.ty(graph.operands(v)[0]).matrix().1;
    whole.map(|v| row(v.node)).max().unwrap_or(0)
}

/// Both forms give the same.
fn same(cols: usize, lines: &str, output: &str, kinds: &[f32]) {
    for ragged in [false, true] {
        let graph = layer(cols, ragged, lines, output);
        let mut given = inputs(cols, kinds);
        given.retain(|name, _| graph.find(name).is_some());
        let cut = legalise(&graph, &machine()).expect("it has another form");
        assert!(longest(&cut) <= 96, "{cols}: {lines}: {}", longest(&cut));
        let [whole, parts] = [&graph, &cut].map(|g| reference::run(g, &given).expect("it runs"));
        assert!(whole == parts, "{cols}, ragged {ragged}: {lines}");
    }
}

const COLS: [usize; 6] = [33, 96, 128, 127, 500, 1200];

#[test]
fn the_best_of_a_row_are_the_best_of_its_parts() {
    let ties = [0.0, -0.0, 1.0, -1.0, 2.5];
    let edges = [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1.0,
    ];
    let least = [f32::NEG_INFINITY];
    for cols in COLS {
        for k in [1, 3, 8, 16] {
            for kinds in [&ties[..], &edges, &least] {
                same(cols, &format!("y = top_k(x, k = {k})"), "y", kinds);
            }
        }
    }
}

#[test]
fn elements_are_found_wherever_they_are() {
    let edges = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1.0, -3.0];
    for cols in COLS.into_iter().chain([3000]) {
        let lines = "i = top_k(x, k = 9)\n    a = gather_cols(x, i)\n    b = gather_cols(n, i)";
        same(cols, lines, "a, b", &edges);
    }
}

/// Sums of whole numbers do not depend on the order.
#[test]
fn sums_go_on_from_part_to_part() {
    let small: Vec<f32> = (-50..50).map(|n| n as f32).collect();
    for cols in COLS {
        same(cols, "a = cumsum(x)\n    b = cumsum(n)", "a, b", &small);
        same(cols, "a = cumsum(x)", "a", &[f32::INFINITY]);
        same(cols, "a = row_prod(x)", "a", &[1.0, -1.0, 1.0, 1.0]);
    }
}
