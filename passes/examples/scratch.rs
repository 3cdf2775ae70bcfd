use tilewright_passes::*;
use tilewright_ir::*;
fn main() {
    let src = std::fs::read_to_string("examples/dsv4_flash_gate.tw").unwrap();
    let file = text::parse(&src).unwrap();
    let mut settings = indexmap::IndexMap::new();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut pins = vec![];
    let mut o = egraph::saturate::SearchOptions::default();
    for a in &args {
        if a == "written" { o.as_written = true; continue }
        if let Some(x) = a.strip_prefix("no:") { o.disabled.insert(x.into()); continue }
        if let Some((k, v)) = a.split_once('=') { if k.contains('.') { pins.push(a.clone()); } else { settings.insert(k.to_string(), v.parse::<i64>().unwrap()); } }
    }
    let g = text::elaborate(&file, &settings).unwrap();
    let g = decompose::decompose(&g).unwrap();
    let m = machine::Machine::builtin("A3").unwrap();
    let p = match problem::build(&g) { Ok(p) => p, Err(e) => { eprintln!("{e}"); return } };
    let pins = match pins::Pins::parse(&pins, &p) { Ok(p) => p, Err(e) => { eprintln!("{e}"); return } };
    let t = std::time::Instant::now();
    let r = match optimize::optimize(&p, &m, &o, &pins) { Ok(r) => r, Err(e) => { eprintln!("{e:?}"); return } };
    eprintln!("{:?} total {:?} extract {} explain {}", r.search, t.elapsed(), r.extract_seconds, r.explain_seconds);
    if std::env::var("PLAN").is_ok() { println!("{}", r.plan); }
    let mut prog = lower::lower(&r.plan, &m).unwrap();
    let mut total = 0.0;
    for (k, (pl, e)) in prog.kernels.iter_mut().zip(r.plan.kernels.iter().zip(&r.estimates)) {
        kernel::allocate::allocate(k, &m).unwrap();
        println!("{:14} {} {:?} {:?} pipe {} us {:.2} block {:.0} ub {} {:?}", k.name, k.launch.kind, k.launch.grid.iter().map(|a| a.count).collect::<Vec<_>>(), k.params, k.pipeline, e.us, e.block_cycles, k.used(kernel_space(k)), pl.derivation);
        println!("     {:?}", ir_kernel::Pipe::ALL.iter().zip(e.pipes).filter(|x| x.1 > 0.0).map(|x| format!("{}={:.0}", x.0.name(), x.1)).collect::<Vec<_>>());
        total += e.us;
    }
    println!("total {total:.2}");
    if std::env::var("PROG").is_ok() { println!("{}", prog); }
}
use tilewright_ir::kernel as ir_kernel;
fn kernel_space(k: &ir_kernel::Kernel) -> ir_kernel::Space { match k.unit { ir_kernel::Unit::Cube => ir_kernel::Space::L1, _ => ir_kernel::Space::Ub } }
