use tilewright_ir::*;
use tilewright_passes::*;
fn main() {
    let src = std::fs::read_to_string("examples/dsv4_flash_gate.tw").unwrap();
    let file = text::parse(&src).unwrap();
    let mut settings = indexmap::IndexMap::new();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut pins = vec![];
    let mut o = egraph::saturate::SearchOptions::default();
    for a in &args {
        if a == "written" {
            o.as_written = true;
            continue;
        }
        if let Some(x) = a.strip_prefix("no:") {
            o.disabled.insert(x.into());
            continue;
        }
        if let Some((k, v)) = a.split_once('=') {
            if k.contains('.') {
                pins.push(a.clone());
            } else {
                settings.insert(k.to_string(), v.parse::<i64>().unwrap());
            }
        }
    }
    let g = text::elaborate(&file, &settings).unwrap();
    let g = decompose::decompose(&g).unwrap();
    let mut m = machine::Machine::builtin("A3").unwrap();
    if let Ok(c) = std::env::var("CAL") {
        let v: Vec<f64> = c.split(',').map(|x| x.parse().unwrap()).collect();
        m.gm_to_ub.peak.value = v[0];
        m.gm_to_ub.half.value = v[1];
        if v.len() > 2 {
            m.ub_to_gm.peak.value = v[2];
            m.ub_to_gm.half.value = v[3];
        }
        if v.len() > 4 {
            m.gm_to_l1.peak.value = v[4];
            m.gm_to_l1.half.value = v[5];
        }
    }
    let p = match problem::build(&g) {
        Ok(p) => p,
        Err(e) => {
            eprintln!("{e}");
            return;
        }
    };
    let mut pins = match pins::Pins::parse(&pins, &p) {
        Ok(p) => p,
        Err(e) => {
            eprintln!("{e}");
            return;
        }
    };
    pins.hold = args.iter().any(|a| a == "hold");
    let t = std::time::Instant::now();
    let r = match optimize::optimize(&p, &m, &o, &pins) {
        Ok(r) => r,
        Err(e) => {
            eprintln!("{e:?}");
            return;
        }
    };
    eprintln!(
        "{:?} total {:?} extract {} explain {}",
        r.search,
        t.elapsed(),
        r.extract_seconds,
        r.explain_seconds
    );
    if std::env::var("PLAN").is_ok() {
        println!("{}", r.plan);
    }
    let mut prog = lower::lower(&r.plan, &m).unwrap();
    let mut total = 0.0;
    for (k, (pl, e)) in prog
        .kernels
        .iter_mut()
        .zip(r.plan.kernels.iter().zip(&r.estimates))
    {
        kernel::allocate::allocate(k, &m).unwrap();
        println!(
            "{:14} {} {:?} {:?} pipe {} us {:.2} block {:.0} ub {} {:?}",
            k.name,
            k.launch.kind,
            k.launch.grid.iter().map(|a| a.count).collect::<Vec<_>>(),
            k.params,
            k.pipeline,
            e.us,
            e.block_cycles,
            k.used(kernel_space(k)),
            pl.derivation
        );
        println!(
            "     {:?}",
            ir_kernel::Pipe::ALL
                .iter()
                .zip(e.pipes)
                .filter(|x| x.1 > 0.0)
                .map(|x| format!("{}={:.0}", x.0.name(), x.1))
                .collect::<Vec<_>>()
        );
        total += e.us;
    }
    println!("total {total:.2}");
    if std::env::var("SYNC").is_ok() {
        for k in prog.kernels.iter_mut() {
            match kernel::synchronise::synchronise(k) {
                Ok(s) => *k = s,
                Err(e) => println!("SYNC {e}"),
            }
        }
        match tilewright_ir::kernel::verify(&prog) {
            Ok(()) => {}
            Err(e) => println!("VERIFY {e}"),
        }
        if std::env::var("DATA").is_ok() {
            use tilewright_backends::*;
            let g0 = text::elaborate(&file, &settings).unwrap();
            let nt = std::env::var("NT").ok().map(|x| x.parse::<i64>().unwrap());
            let mut sc = indexmap::IndexMap::new();
            if let Some(n) = nt {
                sc.insert("num_tokens".to_string(), n);
            }
            let ins = data::generate(&g0, 1, &sc).unwrap();
            let t = std::time::Instant::now();
            let want = reference::run(&g0, &ins).unwrap();
            eprintln!("reference {:?}", t.elapsed());
            let t = std::time::Instant::now();
            match sim::run(&prog, &m, &ins, &Default::default()) {
                Ok(r) => {
                    for (n, w) in &want {
                        let c = data::compare(
                            n,
                            "reference",
                            &r.outputs[n],
                            w,
                            &data::Tolerance::of(w.dtype),
                        )
                        .unwrap();
                        println!("{:?}", c);
                    }
                }
                Err(e) => println!("RUN {e} {}", e.fault.remedy()),
            }
            eprintln!("sim {:?}", t.elapsed());
        }
        match tilewright_backends::sim::time(&prog, &m) {
            Ok(r) => {
                for k in &r.kernels {
                    println!(
                        "sim {:14} {:.2} us steady {:?} {:?}",
                        k.name, k.us, k.busiest_share, k.steady_share
                    );
                }
                println!("sim total {:.2}", r.us)
            }
            Err(e) => {
                println!("SIM {e} {}", e.fault.remedy())
            }
        }
    }
    if std::env::var("PROG").is_ok() {
        println!("{}", prog);
    }
}
use tilewright_ir::kernel as ir_kernel;
fn kernel_space(k: &ir_kernel::Kernel) -> ir_kernel::Space {
    match k.unit {
        ir_kernel::Unit::Cube => ir_kernel::Space::L1,
        _ => ir_kernel::Space::Ub,
    }
}
