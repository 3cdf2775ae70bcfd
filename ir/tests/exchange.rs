//! The language of exchanges: its text, its JSON, what a call gives, and what is refused with which words.

use indexmap::IndexMap;
use std::path::Path;
use std::sync::Arc;
use tilewright_ir::DType;
use tilewright_ir::graph::{Dim, Graph, GraphError, Op, RANKS, Ragged, Type};
use tilewright_ir::op::exchange::{self, Called};
use tilewright_ir::op::{AttrValue, Callee, Exchange, ExchangeCall, OpError, Operations};
use tilewright_ir::syntax::{parse_library, print_declared};
use tilewright_ir::text::{self, LowerError};

const EXAMPLES: [&str; 3] = ["all_gather", "all_reduce", "ring_all_gather"];

fn example(name: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    std::fs::read_to_string(examples.join(format!("{name}.tw"))).expect("the example is there")
}

fn elaborate(source: &str, sizes: &[(&str, i64)]) -> Result<Graph, LowerError> {
    let file = text::parse(source).unwrap_or_else(|e| panic!("{e:?}"));
    let settings = sizes.iter().map(|(n, v)| (n.to_string(), *v)).collect();
    text::elaborate(&file, &settings)
}

#[test]
fn examples_are_canonical() {
    for name in EXAMPLES {
        let source = example(name);
        let file = text::parse(&source).expect("it parses");
        assert_eq!(text::print(&file), source, "{name}");
    }
}

/// The exchange that a text declares.
fn declared(text: &str) -> Arc<Exchange> {
    let lines = parse_library(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let mut operations = Operations::default();
    operations.declare(&lines[0]).expect("its name is free");
    let name = &lines[0].kind.signature().name.name;
    match operations.find(name) {
        Some(Callee::Exchange(exchange)) => exchange,
        found => panic!("{found:?}"),
    }
}

#[test]
fn the_library_is_canonical() {
    let source = include_str!("../src/op/exchange/library.tw");
    let lines = parse_library(source).expect("it parses");
    let printed: Vec<String> = lines.iter().map(print_declared).collect();
    assert_eq!(printed.join(""), source);
    for exchange in exchange::library() {
        assert!(!exchange.doc().is_empty(), "{}", exchange.name());
        assert_eq!(exchange::find(exchange.name()).as_ref(), Some(exchange));
    }
}

#[test]
fn graphs_with_exchanges_go_through_text_and_json() {
    for name in EXAMPLES {
        for ranks in RANKS {
            let sizes = [("N", ranks as i64), ("R", 32)];
            let graph = elaborate(&example(name), &sizes).expect("a graph");
            let printed = text::print_graph(&graph);
            let again = elaborate(&printed, &[]).expect("what is printed is a graph");
            assert_eq!(graph, again, "{name}");
            let json = graph.to_json().expect("it has a JSON form");
            assert_eq!(Graph::from_json(&json).expect("it reads"), graph, "{name}");
        }
    }
}

/// Calls of one name have one definition, whoever made the graph.
#[test]
fn a_name_stands_for_one_exchange() {
    let mut graph = elaborate(&example("all_gather"), &[]).expect("a graph");
    let mut nodes = graph.nodes.node_indices();
    let found = nodes.find_map(|id| match &graph.nodes[id].op {
        Op::Exchange(call) => Some((id, Arc::clone(call.exchange()))),
        _ => None,
    });
    let (id, exchange) = found.expect("it has a call");
    let mut twin = graph.nodes[id].clone();
    let other = declared(&exchange.text().replace("done", "other"));
    let call = ExchangeCall::new(other, &[]).expect("it has no attributes");
    twin.op = Op::Exchange(call);
    twin.outputs[0].name = "twin".into();
    let operand = graph.operands(id)[0].node;
    let twin = graph.nodes.add_node(twin);
    let edge = tilewright_ir::graph::Use {
        result: 0,
        operand: 0,
    };
    graph.nodes.add_edge(operand, twin, edge);
    let refused = tilewright_ir::graph::verify(&graph);
    assert_eq!(
        refused,
        Err(GraphError::DuplicateDeclaration {
            name: "all_gather".into()
        })
    );
}

#[test]
fn results_have_sizes_of_operands_attributes_and_ranks() {
    let source = "\
graph moe {
  ranks EP = 4
  param T = 8
  param D = 64
  param K = 2
  param E = 16
  capacity ROOM = 5
  input x: i8[T, D]
  input scale: f32[T, 1]
  input indices: i32[T, K] < E
  input weights: f32[T, K]
  input tokens: i32 <= T
  kernel dispatch {
    rows, scales, weight, route, count, status = dispatch(x, scale, indices, weights, tokens, experts = E, capacity = ROOM)
  }
  output rows, status
}
";
    let graph = elaborate(source, &[]).expect("a graph");
    let ty = |name: &str| {
        let v = graph.find(name).expect("it is there");
        graph.ty(v).clone()
    };
    assert_eq!(ty("rows").to_string(), "i8[20, 64] ragged count");
    // Lanes are blocks of the capacity, and columns the operand's.
    let shape = ty("rows").shape;
    let block = shape[0].block.as_ref().map(|b| (b.axis.as_str(), b.size));
    assert_eq!(block, Some(("ROOM", 5)));
    assert_eq!(shape[1].axis.as_deref(), Some("D"));
    assert_eq!(ty("count").to_string(), "i32[4, 1]");
    assert_eq!(ty("status").to_string(), "i32[1, 8]");
    assert_eq!(graph.capacity.as_deref(), Some("ROOM"));
    let printed = text::print_graph(&graph);
    assert!(
        printed.contains("experts = 16, capacity = ROOM"),
        "{printed}"
    );
    assert!(
        !printed.contains("exchange "),
        "the library's are not printed: {printed}"
    );
    assert_eq!(elaborate(&printed, &[]).expect("a graph"), graph);
}

fn matrix(dtype: DType, rows: usize, cols: usize) -> Type {
    Type::new(dtype, [Dim::new(rows), Dim::new(cols)])
}

/// What is refused of an exchange with one operand `x: f32[R, C]`, R = 8 and C = 16, on 4 ranks.
fn refused(body: &str) -> (String, String) {
    let text = format!("exchange t(x: any[R, C]) -> y: dtype(x)[R, C] {{\n{body}\n}}\n");
    let call = ExchangeCall::new(declared(&text), &[]).expect("it has no attributes");
    let error = match call.instantiate(&[matrix(DType::F32, 8, 16)], 4) {
        Err(OpError::Exchange(error)) => *error,
        other => panic!("{body}: {other:?}"),
    };
    let code = miette::Diagnostic::code(&error).map(|c| c.to_string());
    let remedy = miette::Diagnostic::help(&error).map(|h| h.to_string());
    assert!(
        remedy.is_some_and(|r| !r.is_empty()),
        "{error} has no remedy"
    );
    let code = code.expect("every refusal has a code");
    (
        code.trim_start_matches("tilewright::exchange::").into(),
        error.to_string(),
    )
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_numbers() {
    let cases = [
        (
            "copy z -> y",
            "unknown_name",
            "`copy z -> y`: nothing is called `z`",
        ),
        ("let x = 1", "duplicate_name", "the name `x` is taken"),
        ("let rank = 1", "duplicate_name", "the name `rank` is taken"),
        (
            "copy x[8] -> y[0]",
            "bounds",
            "rows 8..9 of `x` are used, but there are 8",
        ),
        ("copy x[rank + 5] -> y[0]", "bounds", "rows 5..9 of `x`"),
        (
            "for i in 0..R {\n copy x[i, 1] -> y[i, C]\n}",
            "bounds",
            "columns 16..17 of `y`",
        ),
        ("copy x[0 : 4] -> y[6]", "bounds", "rows 6..10 of `y`"),
        (
            "copy x[0, 0 : 4] -> y[0]",
            "shape",
            "1 x 4 elements are copied to",
        ),
        (
            "copy y -> x",
            "kind",
            "`y` is a result, where something to read is needed",
        ),
        (
            "copy x -> x",
            "kind",
            "`x` is an operand, where something to write is needed",
        ),
        (
            "put x -> y on 0",
            "kind",
            "`y` is a result, where a window is needed",
        ),
        (
            "window w: dtype(x)[R, C]\nput x -> w on ranks",
            "peer",
            "the rank is from 4 to 4, and there are 4",
        ),
        (
            "window w: dtype(x)[R, C]\nput x -> w on rank - 1",
            "peer",
            "the rank is from -1 to 2",
        ),
        (
            "window w: i32[R, C]\nput x -> w on 0",
            "element_type",
            "f32 is copied to `w`, which is i32",
        ),
        ("let a = 7 / 0", "arithmetic", "`7 / 0` divides by zero"),
        (
            "let a = (rank - 1) % 4",
            "arithmetic",
            "may be as little as -1",
        ),
        (
            "let a = 3 / rank",
            "arithmetic",
            "the divisor of `3 / rank` is from 0 to 3",
        ),
        ("let a = 9223372036854775807 + 1", "arithmetic", "overflows"),
        ("let a = 1.5", "arithmetic", "`1.5` is no whole number"),
        ("let a = f(1)", "arithmetic", "`f(1)` is no integer"),
        (
            "let a = x[0, 0]",
            "element_type",
            "`x` is f32, which the scalar unit does not compute with",
        ),
        (
            "let a = x + 1",
            "kind",
            "`x` is an operand, where an integer is needed",
        ),
        (
            "for i in 0..rank {\n}",
            "rule",
            "`rank` is not known before a run",
        ),
        ("array a[R]\nlet b = a[R]", "bounds", "columns 8..9 of `a`"),
        ("array a[R]\na[R] = 1", "bounds", "elements 8..9 of `a`"),
        ("array a[0]", "size", "the length `0` is 0"),
        (
            "array a[5000000]",
            "size",
            "bytes of its arrays is 20000000",
        ),
        (
            "let a = 1\na = 2",
            "kind",
            "`a` is an integer, where something that takes an integer",
        ),
        (
            "var a = 0\nfor i in 0..R shared {\n a = i\n}",
            "rule",
            "`a` changes in a loop that blocks share",
        ),
        (
            "for i in 0..R shared {\n for k in 0..C shared {\n }\n}",
            "rule",
            "a shared loop within a shared loop",
        ),
        (
            "for i in 0..R {\n window w: dtype(x)[R, C]\n}",
            "rule",
            "a window is declared within a loop",
        ),
        (
            "counter c\nwait c >= epoch",
            "never_notified",
            "nobody notifies `c`, so the wait never ends",
        ),
        (
            "counter c[3]\nwait c >= 1",
            "shape",
            "`c` is 3 counters, and one is needed",
        ),
        (
            "counter c[3]\nwait c[3] >= 1",
            "bounds",
            "counters 3..4 of `c`",
        ),
        (
            "wait x >= 1",
            "kind",
            "`x` is an operand, where a counter is needed",
        ),
        (
            "tile t: dtype(x)[5000, 1]",
            "size",
            "the number of rows of the tile `t` is 5000",
        ),
        (
            "tile t = x[0 : R, 3]",
            "shape",
            "a column of `x`, which has 16 columns, does not lie in one piece",
        ),
        (
            "tile t = x[0]\ntile s: dtype(x)[2, C]\nadd t -> s",
            "shape",
            "`t` is 1 x 16, and `s` is 2 x 16",
        ),
        (
            "tile t: i8[1, C]\nadd t -> t",
            "element_type",
            "`t`, i8, is added",
        ),
        (
            "tile t: i8[1, C]\ntile s: f32[1, C]\ncopy t -> s",
            "element_type",
            "i8 is converted to `s`, which is f32",
        ),
        (
            "tile t = x[0]\ncopy t -> t",
            "rule",
            "`t` is copied into itself",
        ),
        ("tile t = x[0]\nfill t with R", "rule", "`R` is no number"),
        (
            "tile t = x[0]\ncopy t -> y[0] first rank",
            "rule",
            "the first rows of what is no memory",
        ),
        (
            "read v = x",
            "element_type",
            "`x` is f32 with 16 of 16 columns",
        ),
        (
            "require R % 3 == 0 else \"{R} rows\"",
            "required",
            "exchange `t`: 8 rows",
        ),
        ("fail y \"no\"", "shape", "`y` is f32 8 x 16"),
        (
            "fail x \"no\"",
            "kind",
            "`x` is an operand, where a result is needed",
        ),
        (
            "let a = rank",
            "rule",
            "exchange `t`: nothing is written to its result `y`",
        ),
    ];
    for (body, code, words) in cases {
        let (found, told) = refused(body);
        assert_eq!(found, code, "{body}: {told}");
        assert!(told.contains(words), "{body}: {told}");
    }
}

#[test]
fn operands_and_attributes_are_those_of_the_declaration() {
    let text = "exchange t(x: any[L * C, D] ragged count, count: i32[L, 1], n: i32, room: size >= 1) -> y: dtype(x)[room, D] {\n  copy x[0] -> y[0]\n}\n";
    let exchange = declared(text);
    let called = |x: Type, count: Type, n: Type, room: usize| {
        let attributes = [AttrValue::Size(room)];
        let call = ExchangeCall::new(Arc::clone(&exchange), &attributes).expect("one size");
        call.instantiate(&[x, count, n], 2)
    };
    let counts = "counts".to_string();
    let ragged = Some(Ragged { groups: 3, counts });
    let x = |rows| matrix(DType::I8, rows, 5).with_ragged(ragged.clone());
    let (count, n) = (matrix(DType::I32, 3, 1), Type::new(DType::I32, []));
    let right = called(x(12), count.clone(), n.clone(), 7).expect("it fits");
    assert_eq!(right.results[0].to_string(), "i8[7, 5]");
    let told = |r: Result<Called, OpError>| r.expect_err("refused").to_string();
    let cases = [
        (
            called(x(13), count.clone(), n.clone(), 7),
            "no sizes make L * C = 13",
        ),
        (
            called(x(12), matrix(DType::F32, 3, 1), n.clone(), 7),
            "operand 2 of t is f32[3, 1], not i32",
        ),
        (
            called(x(12), matrix(DType::I32, 3, 2), n.clone(), 7),
            "`count` of t is i32[3, 2], and is to be i32[L, 1]",
        ),
        (
            called(x(12), count.clone(), matrix(DType::I32, 1, 1), 7),
            "operand 3 of t is i32[1, 1], not a scalar",
        ),
        (called(x(12), count, n, 0), "`room = 0` is out of range"),
    ];
    for (result, words) in cases {
        let e = told(result);
        assert!(e.contains(words), "{e}");
    }
    assert!(ExchangeCall::new(exchange, &[]).is_none());
}

/// A call may say how many ranks there are, and then it has to be so.
#[test]
fn the_number_of_ranks_may_be_repeated() {
    let call = |ranks: &str| {
        let source =
            example("all_gather").replace("all_gather(x)", &format!("all_gather(x{ranks})"));
        elaborate(&source, &[]).map_err(|e| e.to_string())
    };
    assert_eq!(call(", ranks = N"), call(""));
    let told = call(", ranks = N + 1").expect_err("two ranks are not three");
    assert_eq!(told, "the graph runs on 2 ranks, and this call says 3");
    let source = "graph g {\n  input x: f32[4, 8]\n  kernel k {\n    y = exp(x, ranks = 1)\n  }\n  output y\n}\n";
    let told = elaborate(source, &[]).expect_err("exp is no exchange");
    assert!(
        told.to_string().contains("`exp` has no attribute `ranks`"),
        "{told}"
    );
}

#[test]
fn a_refusal_points_into_the_file_and_at_the_call() {
    let source = example("all_gather").replace("put own", "put owm");
    let error = elaborate(&source, &[]).expect_err("it is refused");
    let LowerError::Exchange {
        statement,
        call,
        help,
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    let part = |span: miette::SourceSpan| &source[span.offset()..span.offset() + span.len()];
    assert_eq!(statement.map(part), Some("owm"));
    assert_eq!(part(call), "all_gather(x)");
    assert_eq!(help, "did you mean `own`?");
}

#[test]
fn an_output_is_fed_to_an_input_of_its_type() {
    let source = |output: &str| {
        format!(
            "graph g {{\n  param T = 4\n  input a: f32[T, 8]\n  input b: f32[T, 9]\n  kernel k {{\n    y = exp(a)\n    z = abs(y)\n  }}\n  output {output}\n}}\n"
        )
    };
    let graph = elaborate(&source("y -> a, z"), &[]).expect("a graph");
    assert_eq!(
        graph.carried,
        IndexMap::from([("y".to_string(), "a".to_string())])
    );
    let printed = text::print_graph(&graph);
    assert!(printed.contains("output y -> a, z\n"), "{printed}");
    for (output, problem) in [
        ("y -> b", "one is f32[4, 8], the other f32[4, 9]"),
        ("y -> c", "there is no input `c`"),
        ("y -> z, z", "there is no input `z`"),
        ("y -> a, z -> a", "another output is carried to it already"),
    ] {
        let error = elaborate(&source(output), &[]).expect_err(output);
        assert!(error.to_string().contains(problem), "{output}: {error}");
    }
}
