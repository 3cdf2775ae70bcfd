//! The table of operations: its rows make the operations they are about, and each has an example that is a graph.

use indexmap::IndexMap;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{Graph, Op};
use tilewright_ir::op::{
    self, AttrKind, AttrValue, Callee, Form, Number, NumberKind, Operations, Operator,
};
use tilewright_ir::text;

/// Everything that can be called without a definition of one's own.
fn callees() -> Vec<Callee> {
    let operations = Operations::default();
    let names: Vec<String> = operations.names().map(String::from).collect();
    let found = names
        .iter()
        .map(|n| operations.find(n).expect("it has a name"));
    found.collect()
}

fn attributes(callee: &Callee) -> Vec<AttrValue> {
    let kinds = callee.attributes().into_iter().map(|a| a.kind);
    kinds
        .map(|kind| match kind {
            AttrKind::Size => AttrValue::Size(3),
            AttrKind::Float => AttrValue::Float(0.5),
            AttrKind::DType => AttrValue::DType(DType::F16),
            AttrKind::Round => AttrValue::Round(Round::Ceil),
        })
        .collect()
}

#[test]
fn what_can_be_called_makes_its_operation() {
    for callee in callees() {
        let values = attributes(&callee);
        if let Some(Form::Arithmetic(f)) = callee.form() {
            assert_eq!(f.name(), callee.name());
            continue;
        }
        let made = callee.build(&values).expect("its own attributes make it");
        assert_eq!(made.name(), callee.name());
        assert_eq!(made.arity(), callee.operands().len());
        assert_eq!(made.results(), callee.results());
        let given: Vec<AttrValue> = made.attributes().into_iter().map(|(_, v)| v).collect();
        assert_eq!(given, values, "{}", callee.name());
        assert!(callee.build(&[AttrValue::DType(DType::I8); 9]).is_none());
    }
}

#[test]
fn every_primitive_is_its_operator_and_numbers() {
    for operator in Operator::all() {
        let kinds = operator.primitive().numbers.iter();
        let numbers: Vec<Number> = kinds
            .map(|kind| match kind {
                NumberKind::Place | NumberKind::Size => Number::Whole(3),
                NumberKind::Constant => Number::Constant(0.5),
            })
            .collect();
        // Of a block that is a part of a value, its own columns stand before the value's.
        let of_value = match operator {
            Operator::RepeatCols => &numbers[..1],
            _ => &numbers[..],
        };
        let prim = operator.prim(of_value).expect("its own numbers make it");
        assert_eq!(prim.operator(), (operator, of_value.to_vec()));
        assert_eq!(
            Op::Prim(prim).row().map(|r| r.name),
            Some(operator.row().name)
        );
        assert!(op::find_row(operator.row().name).is_some(), "{operator}");
    }
}

/// The graph of an example: what is declared, and then one kernel.
fn example(callee: &Callee) -> Graph {
    let name = callee.name();
    let source = op::example(&callee.example());
    let file = text::parse(&source).unwrap_or_else(|e| panic!("{name}: {e}"));
    text::elaborate(&file, &IndexMap::new()).unwrap_or_else(|e| panic!("{name}: {e:?}"))
}

#[test]
fn every_operation_has_an_example_that_uses_it_and_comes_back_from_text_and_json() {
    for callee in callees() {
        let graph = example(&callee);
        let used = graph
            .nodes
            .node_weights()
            .any(|n| n.op.name() == callee.name());
        // What asks for the form that fits its operands becomes one of the others.
        let arithmetic = matches!(callee.form(), Some(Form::Arithmetic(_)));
        assert!(used || arithmetic, "{}", callee.name());
        let printed = text::print_graph(&graph);
        let file = text::parse(&printed).expect("it parses");
        let back = text::elaborate(&file, &IndexMap::new()).expect("it is a graph");
        assert_eq!(back, graph, "{printed}");
        let json = graph.to_json().expect("it has a JSON form");
        assert_eq!(Graph::from_json(&json).expect("it reads back"), graph);
    }
}

/// The library is written as a file is printed.
#[test]
fn the_library_is_canonical() {
    let source = include_str!("../src/op/composites.tw");
    let lines = tilewright_ir::syntax::parse_library(source).expect("it parses");
    let printed: Vec<String> = lines
        .iter()
        .map(tilewright_ir::syntax::print_declared)
        .collect();
    assert_eq!(printed.join(""), source);
    assert!(op::library().iter().all(|d| !d.doc().is_empty()));
}

/// docs/operations.md is what the table says.
#[test]
fn the_page_of_operations_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let mut page = String::from(
        "# Operations\n\n\
         Made from the table of operations (`ir/src/op/`) by a test; what each operation rounds is in [numerics.md](numerics.md).\n\
         `[R, C]` is a matrix, `[C]` one row, `[R, 1]` a column, no brackets a scalar. An operation with `def` is written in other\n\
         ones (`ir/src/op/composites.tw`); one with `exchange` runs on all ranks.\n",
    );
    for callee in callees() {
        let kind = match callee {
            Callee::Row(_) => "",
            Callee::Defined(_) => " (def)",
            Callee::Exchange(_) => " (exchange)",
        };
        page += &format!("\n## {}{kind}\n\n`{}`\n\n", callee.name(), callee.call());
        page += &format!(
            "{}\n\n```text\n{}\n```\n",
            callee.doc().trim(),
            callee.example().trim()
        );
    }
    if std::env::var_os("TILEWRIGHT_BLESS").is_some() {
        std::fs::write(path, &page).expect("the page can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page,
        "docs/operations.md is not what the table says: run this test with TILEWRIGHT_BLESS=1"
    );
}
