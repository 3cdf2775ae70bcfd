//! The programs of `examples/` run, and do what they say.

#[path = "../examples/custom_cost.rs"]
mod custom_cost;
#[path = "../examples/custom_pass.rs"]
mod custom_pass;
#[path = "../examples/custom_rules.rs"]
mod custom_rules;

#[test]
fn a_pass_of_ones_own_sees_the_graph_and_leaves_it() {
    let text = custom_pass::run().expect("it runs");
    let (first, rest) = text.split_once('\n').expect("two parts");
    let lines = first.strip_suffix(" lines of graph").expect("the count");
    assert!(lines.parse::<usize>().expect("a number") > 5, "{first}");
    assert!(rest.contains("program rms_norm"), "{rest}");
    custom_pass::main().expect("it runs");
}

#[test]
fn rules_of_ones_own_lead_to_the_plan() {
    let text = custom_rules::run().expect("it runs");
    let first = text.lines().next().expect("a kernel");
    assert!(first.contains("quarter-blocks"), "{first}");
    assert!(!first.contains("fan-out-columns"), "{first}");
    custom_rules::main().expect("it runs");
}

#[test]
fn a_cost_model_of_ones_own_decides() {
    let text = custom_cost::run().expect("it runs");
    let bytes = |model: &str| -> f64 {
        let lines = text.lines().filter(|l| l.starts_with(model));
        let last = lines.map(|l| l.rsplit(' ').nth(1).expect("bytes before their unit"));
        last.map(|n| n.parse::<f64>().expect("a number")).sum()
    };
    // Blocks that share a row each read it.
    assert!(
        0.0 < bytes("traffic") && bytes("traffic") < bytes("time"),
        "{text}"
    );
    custom_cost::main().expect("it runs");
}
