//! The verifier: each broken graph is refused with the node, the sizes and the remedy.

use petgraph::graph::NodeIndex;
use tilewright_ir::DType;
use tilewright_ir::graph::{
    Binary, Binomial, Builder, Dim, Graph, GraphError, InputSpec, JsonError, LaunchKind, Op, Prim,
    Rows, Schedule, TileSpec, Type, Unary, Use, Value, verify,
};

/// Two kernels: a norm of `[R, C]` rows, and its exponential.
fn graph() -> Graph {
    build().expect("it is right")
}

fn build() -> Result<Graph, GraphError> {
    let mut b = Builder::new("two_kernels");
    b.param("R", 48)?;
    b.param("C", 96)?;
    let x = b.input("x", DType::F32, ["R", "C"])?;
    let w = b.input("w", DType::F32, ["C"])?;
    let schedule = Schedule {
        launch: LaunchKind::Spmd,
        tiles: [(
            "R_TILE".to_string(),
            TileSpec {
                axis: "R".into(),
                size: 16,
                per_block: false,
            },
        )]
        .into(),
        pipeline: 2,
    };
    b.kernel("norm", Some(schedule))?;
    let eps = 1e-6;
    let y = b.op_named(
        &["y"],
        Op::composite("rms_norm", &[("eps", eps.into())])?,
        &[x, w],
    )?[0];
    b.kernel("rest", None)?;
    let z = b.op_named(&["z"], Op::Prim(Prim::Unary(Unary::Exp)), &[y])?[0];
    let total = b.binary(Binary::Add, w, z)?;
    b.output(total);
    b.finish()
}

type Break = fn(&mut Graph);

const X: usize = 0;
const W: usize = 1;
const Y: usize = 2;
const Z: usize = 3;
const TOTAL: usize = 4;

fn schedule(g: &mut Graph) -> &mut Schedule {
    g.regions[0].schedule.as_mut().expect("it has one")
}

fn edge(g: &mut Graph, from: usize, to: usize, result: usize, operand: usize) {
    let (from, to) = (NodeIndex::new(from), NodeIndex::new(to));
    g.nodes.add_edge(from, to, Use { result, operand });
}

const BREAKS: &[(&str, Break)] = &[
    ("name", |g| {
        g.nodes[NodeIndex::new(Y)].outputs[0].name = "a b".into()
    }),
    ("graph name", |g| g.name = String::new()),
    ("duplicate name", |g| {
        g.nodes[NodeIndex::new(Y)].outputs[0].name = "x".into()
    }),
    ("name of a size", |g| {
        g.nodes[NodeIndex::new(Y)].outputs[0].name = "R".into()
    }),
    ("duplicate kernel", |g| g.regions[1].name = "norm".into()),
    ("size", |g| {
        g.nodes[NodeIndex::new(X)].outputs[0].ty.shape[0] = Dim::new(0)
    }),
    ("rank", |g| {
        g.nodes[NodeIndex::new(X)].outputs[0]
            .ty
            .shape
            .push(Dim::new(2))
    }),
    ("too large", |g| {
        let dims = [Dim::new(1 << 31), Dim::new(1 << 31)];
        g.nodes[NodeIndex::new(X)].outputs[0].ty = Type::new(DType::F32, dims);
    }),
    ("axis of another size", |g| {
        g.params.insert("C".into(), 95);
    }),
    ("unknown axis", |g| {
        g.params.shift_remove("C");
    }),
    ("result index", |g| edge(g, X, Z, 7, 1)),
    ("operand twice", |g| edge(g, X, Z, 0, 0)),
    ("operand gap", |g| edge(g, X, Z, 0, 2)),
    ("one operand more", |g| edge(g, X, Z, 0, 1)),
    ("cycle", |g| {
        g.nodes.retain_edges(|g, e| {
            g.edge_endpoints(e) != Some((NodeIndex::new(X), NodeIndex::new(Y)))
        });
        edge(g, TOTAL, Y, 0, 0);
    }),
    ("shape", |g| {
        g.nodes[NodeIndex::new(W)].outputs[0].ty = Type::new(DType::F32, [Dim::new(95)]);
    }),
    ("element type", |g| {
        g.nodes[NodeIndex::new(W)].outputs[0].ty.dtype = DType::I32
    }),
    ("result type", |g| {
        g.nodes[NodeIndex::new(Y)].outputs[0].ty.dtype = DType::Bf16
    }),
    ("no results", |g| {
        g.nodes[NodeIndex::new(TOTAL)].outputs.clear()
    }),
    ("not finite", |g| {
        let value = f32::INFINITY;
        g.nodes[NodeIndex::new(Z)].op = Op::Prim(Prim::Scalar {
            op: Binary::Add,
            value,
        });
    }),
    ("constant on the left", |g| {
        let value = 1.0;
        g.nodes[NodeIndex::new(Z)].op = Op::Prim(Prim::ScalarLeft {
            op: Binary::Add,
            value,
        });
    }),
    ("no kernel", |g| g.nodes[NodeIndex::new(Z)].region = None),
    ("input in a kernel", |g| {
        g.nodes[NodeIndex::new(X)].region = Some(0)
    }),
    ("kernel index", |g| {
        g.nodes[NodeIndex::new(Z)].region = Some(2)
    }),
    ("empty kernel", |g| {
        g.nodes[NodeIndex::new(Y)].region = Some(1)
    }),
    ("kernels in a cycle", |g| {
        g.nodes[NodeIndex::new(TOTAL)].region = Some(0)
    }),
    ("no outputs", |g| g.outputs.clear()),
    ("output index", |g| g.outputs[0].node = NodeIndex::new(9)),
    ("output result", |g| g.outputs[0].result = 1),
    ("output twice", |g| g.outputs.push(g.outputs[0])),
    ("input as output", |g| {
        g.outputs.push(Value {
            node: NodeIndex::new(X),
            result: 0,
        })
    }),
    ("tile axis", |g| {
        schedule(g).tiles["R_TILE"].axis = "D".into()
    }),
    ("tile size", |g| schedule(g).tiles["R_TILE"].size = 0),
    ("two tiles of an axis", |g| {
        let spec = TileSpec {
            axis: "R".into(),
            size: 4,
            per_block: false,
        };
        schedule(g).tiles.insert("OTHER".into(), spec);
    }),
    ("no pipeline", |g| schedule(g).pipeline = 0),
    ("deep pipeline", |g| schedule(g).pipeline = 5),
    ("bound of floats", |g| {
        g.nodes[NodeIndex::new(X)].input.bound = Some(3)
    }),
    ("deviation", |g| {
        g.nodes[NodeIndex::new(X)].input.normal = Some((0.0, -1.0))
    }),
    ("a spread without a bound", |g| {
        g.nodes[NodeIndex::new(X)].input.spread = Some(Binomial {
            trials: 8,
            hits: 1,
            of: 2,
        })
    }),
    ("a value that no parameter has", |g| {
        g.regions[0].holds.push(tilewright_ir::graph::Hold {
            part: "norm".into(),
            param: "blocks".into(),
            values: vec!["a b".into()],
        })
    }),
    ("range of a result", |g| {
        g.nodes[NodeIndex::new(Z)].input = InputSpec {
            low: None,
            bound: Some(3),
            normal: None,
            spread: None,
        };
    }),
];

#[test]
fn broken_graphs_are_refused() {
    let mut lines = vec![];
    for (name, change) in BREAKS {
        let mut graph = graph();
        change(&mut graph);
        let error = verify(&graph).expect_err(name);
        lines.push(format!("{name}: {error}"));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

/// What memory refuses, JSON refuses: the same graphs, written and read.
#[test]
fn broken_json_is_refused() {
    for (name, change) in BREAKS {
        let mut graph = graph();
        change(&mut graph);
        let json = serde_json::to_string(&graph).expect("it has a JSON form");
        assert!(Graph::from_json(&json).is_err(), "{name}");
    }
    assert!(matches!(Graph::from_json("[1]"), Err(JsonError::Form(_))));
    let dangling = serde_json::to_string(&graph())
        .expect("it has a JSON form")
        .replacen("[0,2,", "[0,77,", 1);
    assert!(matches!(
        Graph::from_json(&dangling),
        Err(JsonError::Form(_))
    ));
}

#[test]
fn equality_ignores_numbering_but_not_meaning() {
    let graph = graph();
    let mut other = graph.clone();
    assert_eq!(graph, other);
    other.nodes[NodeIndex::new(Z)].op = Op::Prim(Prim::Unary(Unary::Abs));
    assert_ne!(graph, other);
    let mut other = graph.clone();
    other.regions[1].name = "last".into();
    assert_ne!(graph, other);
    let mut other = graph.clone();
    other.params.insert("D".into(), 1);
    assert_ne!(graph, other);
}

#[test]
fn the_builder_refuses_at_once() {
    let mut b = Builder::new("g");
    b.param("R", 48).expect("the name is free");
    let refused = [
        b.param("R", 1).expect_err("the name is taken"),
        b.input("x", DType::F32, ["Q"]).expect_err("there is no Q"),
        b.input("x", DType::F32, [0usize])
            .expect_err("zero is no size"),
        b.input("R", DType::F32, ["R"])
            .expect_err("the name is taken"),
    ];
    let x = b.input("x", DType::F32, ["R"]).expect("it is right");
    let y = b.input("y", DType::F32, [47usize]).expect("it is right");
    let exp = || Op::Prim(Prim::Unary(Unary::Exp));
    let outside = b.op(exp(), &[x]).expect_err("no kernel was started");
    b.kernel("k", None).expect("the name is free");
    let later = [
        outside,
        b.kernel("k", None).expect_err("the name is taken"),
        b.op_named(&["x"], exp(), &[x])
            .expect_err("the name is taken"),
        b.op_named(&["a", "b"], exp(), &[x])
            .expect_err("there is one result"),
        b.op_named(&["a"], exp(), &[x, x])
            .expect_err("there is one operand"),
        b.binary(Binary::Add, x, y).expect_err("the sizes differ"),
        b.prim(Prim::RowReduce(tilewright_ir::graph::Reduce::Sum), &[x])
            .expect_err("a vector has no rows"),
    ];
    let lines: Vec<String> = refused
        .iter()
        .chain(&later)
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let first = b.op(exp(), &[x]).expect("it fits")[0];
    let second = b.op(exp(), &[first]).expect("it fits")[0];
    b.output(second);
    let graph = b.finish().expect("it is right");
    assert_eq!((graph.name(first), graph.name(second)), ("exp", "exp_1"));
}

/// A quantile of a binomial distribution is the least count whose share of draws reaches it; here against sums of its terms.
#[test]
fn quantiles_of_a_binomial_distribution() {
    for (trials, hits, of) in [
        (16, 6, 64),
        (1, 1, 2),
        (40, 40, 40),
        (40, 0, 7),
        (300, 2, 3),
    ] {
        let spread = Binomial { trials, hits, of };
        let p = spread.probability();
        let term = |k: i64| {
            let choose: f64 = (1..=k)
                .map(|i| (trials - k + i) as f64 / i as f64)
                .product();
            choose * p.powi(k as i32) * (1.0 - p).powi((trials - k) as i32)
        };
        let shares: Vec<f64> = (0..50).map(|i| (f64::from(i) + 0.5) / 50.0).collect();
        let found = spread.quantiles(shares.iter().copied());
        for (share, n) in shares.iter().zip(&found) {
            let below: f64 = (0..*n).map(term).sum();
            assert!(below < share + 1e-9, "{spread:?}: {n} at {share}");
            assert!(
                below + term(*n) > share - 1e-9,
                "{spread:?}: {n} at {share}"
            );
        }
        let mean = found.iter().sum::<i64>() as f64 / found.len() as f64;
        let expected = trials as f64 * p;
        assert!(
            (mean - expected).abs() < 0.1 + 0.02 * expected,
            "{spread:?}: {mean}"
        );
    }
    // As many as no product of probabilities can be held of.
    let many = Binomial {
        trials: 131_072,
        hits: 6,
        of: 256,
    };
    assert_eq!(many.quantiles([0.5]), [3072]);
}

/// What counts are expected to be follows from inputs and exchanges, and can be said otherwise; what no rows can be is refused.
#[test]
fn expected_rows() {
    let text = "graph g {
  ranks EP = 2
  param T = 8
  input x: bf16[T, 64]
  input scale: f32[T, 1]
  input indices: i32[T, 4] < 16
  input weights: f32[T, 4]
  input tokens: i32 <= T
  input counts: i32[4, 1] <= 8 ~ binomial(8, 1, 2)
  input even: i32[4, 1] <= 7
  input a: f32[32, 64] ragged counts
  input b: f32[32, 64] ragged even
  kernel send {
    recv_x, recv_scale, recv_weight, recv_route, recv, status = dispatch(x, scale, indices, weights, tokens, experts = 16, capacity = 16)
  }
  kernel k {
    c = a + 1.0
    d = b + 1.0
    e = recv_x * 2.0
  }
  output c, d, e, status
}
";
    let file = tilewright_ir::text::parse(text).expect("it parses");
    let mut graph =
        tilewright_ir::text::elaborate(&file, &indexmap::IndexMap::new()).expect("it is a graph");
    let sorted = |graph: &Graph, name: &str| {
        let mut counts = graph.expected[name].clone();
        counts.sort_unstable();
        counts
    };
    assert_eq!(sorted(&graph, "counts"), [2, 4, 4, 6]);
    assert_eq!(sorted(&graph, "even"), [1, 3, 5, 7]);
    // 16 tokens, each of which chooses 4 of 16 experts: 4 rows an expert, on the average.
    let recv = sorted(&graph, "recv");
    assert_eq!(
        (recv.len(), recv.iter().sum::<i64>() / 8),
        (8, 4),
        "{recv:?}"
    );
    assert!(recv[0] < 3 && recv[7] > 5, "{recv:?}");

    let printed = tilewright_ir::text::print_graph(&graph);
    assert!(
        printed.contains("input counts: i32[4, 1] < 9 ~ binomial(8, 1, 2)"),
        "{printed}"
    );
    let back = Graph::from_json(&graph.to_json().expect("it is JSON")).expect("it reads back");
    assert_eq!(back.expected, graph.expected);

    graph.expect_rows(&Rows::Full).expect("all of them can be");
    assert!(graph.expected.is_empty());
    let given =
        |name: &str, counts: &[i64]| Rows::Given([(name.to_string(), counts.to_vec())].into());
    graph
        .expect_rows(&given("even", &[0, 8, 0, 1]))
        .expect("they can be");
    assert_eq!(graph.expected["even"], [0, 8, 0, 1]);
    assert_eq!(sorted(&graph, "counts"), [2, 4, 4, 6]);
    for (rows, message) in [
        (
            given("nobody", &[1]),
            "`nobody` counts no rows of this layer",
        ),
        (
            given("even", &[1]),
            "`even` has 1 counts, and the layer has 4 groups of rows",
        ),
        (
            given("even", &[1, 2, 3, 9]),
            "`even` has a group of 9 rows, where there is room for 8",
        ),
    ] {
        let error = graph.expect_rows(&rows).expect_err(message);
        assert!(matches!(error, GraphError::Expected { .. }));
        assert_eq!(error.to_string(), message);
    }
}
