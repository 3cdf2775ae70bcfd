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
