#[path = "support/graphs.rs"]
mod graphs;
mod support;
use tilewright_passes::egraph::saturate::*;
#[test]
fn dump() {
    for f in ["/tmp/case1.tw","/tmp/case2.tw","/tmp/case3.tw"] { println!("== {f}"); let src = std::fs::read_to_string(f).unwrap();
    let g = tilewright_ir::text::elaborate(
        &tilewright_ir::text::parse(&src).unwrap(),
        &Default::default(),
    )
    .unwrap();
    let g = tilewright_passes::prune::prune(&tilewright_passes::decompose::decompose(&g).unwrap());
    let p = tilewright_passes::problem::build(&g).unwrap();
    for k in &p.kernels {
        println!("{} reduce {:?}", k.name, k.reduce);
        for s in &k.stores {
            println!(" {} = {}", s.name, s.launch);
        }
    }
    let m = tilewright_ir::machine::Machine::builtin("A3").unwrap();
    let o = SearchOptions {
        numerics: tilewright_passes::numerics::Numerics::Bitwise,
        enabled: ["fuse".to_string()].into(),
        ..Default::default()
    };
    match saturate(&p, &m, &o) {
        Err(e) => println!("ERR {e}"),
        Ok(s) => {
            println!("{:?}", s.report);
            for c in s.egraph.classes() {
                println!(
                    "{} {:?} {}x{}: {}",
                    c.id,
                    c.data.kind,
                    c.data.rows,
                    c.data.cols,
                    c.nodes
                        .iter()
                        .map(|n| support::classes::show(&s.egraph, n))
                        .collect::<Vec<_>>()
                        .join(" | ")
                );
            }
            let i = graphs::inputs(&g, 3);
            println!(
                "wide {:?}",
                support::classes::check(
                    &s.egraph,
                    &i,
                    support::value::Arithmetic::Wide,
                    support::classes::Agreement::Within(1e-9)
                )
            );
            println!(
                "native {:?}",
                support::classes::check(
                    &s.egraph,
                    &graphs::rough_inputs(&g, 3),
                    support::value::Arithmetic::Native,
                    support::classes::Agreement::Exact
                )
            );
        }
    }
}
