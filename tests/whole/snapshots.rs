//! The text of every stage and the emitted kernels of every example, in `snapshots/EXAMPLE/FORM`.
//!
//! `INSTA_UPDATE=always cargo test --test whole` writes them again.

use crate::common;
use miette::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tilewright::compile::Options;
use tilewright::form::Form;
use tilewright::layer::Layer;
use tilewright::run::{compile_form, emit, emit_as};
use tilewright_backends::emitter;
use tilewright_ir::graph::Graph;
use tilewright_ir::kernel::{Instr, Kernel, Pipe, Stmt, Unit};
use tilewright_passes::pass::{OPTIMIZED, WRITTEN};

#[test]
fn stages_and_kernels_of_the_examples() {
    insta::glob!("../../examples", "*.tw", |path| {
        let example = path.file_stem().unwrap_or_default().to_string_lossy();
        let graph = common::graph(&example, common::small(&example));
        for form in Form::ALL {
            let mut options = common::options();
            options.command = Some(format!("tilewright emit examples/{example}.tw --out DIR"));
            let order = match form {
                Form::Written => WRITTEN,
                Form::Optimized => OPTIMIZED,
            };
            // What comes before is the same in both forms; what comes between is in the last stage.
            let stages = [order[2], order[3], order[order.len() - 1]];
            options.dumps = stages.map(String::from).into();
            let compiled = compile_form(&graph, form, &options).expect("the example compiles");
            let mut texts: Vec<(String, String)> = vec![];
            for step in &compiled.run.steps {
                if let Some(dump) = &step.dump {
                    texts.push((format!("after-{}", step.pass), dump.clone()));
                }
            }
            let files = emit(&compiled, &options.machine).expect("the example has kernels");
            texts.extend(files.into_iter().map(|f| (f.path, f.text)));
            let folder = Path::new("../../snapshots")
                .join(&*example)
                .join(form.name());
            assert_texts(&folder, &texts);
            // Beside the C++, what other emitters print, or why they do not.
            let mut apart = common::options();
            apart.command = options.command.clone();
            apart = apart.for_emitter(&emitter::ALL[1]);
            let keeps = |k: &Kernel| k.tiles.iter().any(|t| t.name.starts_with("a_kept"));
            let other = |k: &Kernel| k.unit == Unit::Mixed || keeps(k);
            let compiled = match compiled.program.kernels.iter().any(other) {
                // As the command does: they have no such kernels.
                true => compile_form(&graph, form, &apart).expect("the example compiles"),
                false => compiled,
            };
            for emitter in &emitter::ALL[1..] {
                let texts = match emit_as(&compiled, &options.machine, emitter) {
                    Ok(files) => files.into_iter().map(|f| (f.path, f.text)).collect(),
                    Err(refusal) => {
                        let mut text = format!("{refusal}\n");
                        for related in refusal.related().into_iter().flatten() {
                            text.push_str(&format!("{related}\n"));
                        }
                        vec![("refused.txt".to_owned(), text)]
                    }
                };
                assert_texts(&folder.join(emitter.name), &texts);
            }
        }
    });
}

/// Texts by their names, as the snapshots of a folder, which has no others.
fn assert_texts(folder: &Path, texts: &[(String, String)]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_snapshot_suffix();
    settings.remove_input_file();
    settings.bind(|| {
        for (name, text) in texts {
            insta::assert_snapshot!(name.as_str(), text);
        }
    });
    let known = texts
        .iter()
        .map(|(name, _)| format!("{name}.snap"))
        .collect();
    assert_no_others(&common::root().join("tests/whole").join(folder), &known);
}

/// The emitted kernels of a graph in a form, by file.
fn kernels(graph: &Graph, form: Form, options: &Options) -> BTreeMap<String, String> {
    let compiled = compile_form(graph, form, options).expect("the graph compiles");
    let files = emit(&compiled, &options.machine).expect("the graph has kernels");
    let sources = files.into_iter().filter(|f| f.path.ends_with(".cpp"));
    sources.map(|f| (f.path, f.text)).collect()
}

/// The identifiers of a text, with comments left out.
fn words(text: &str) -> Vec<&str> {
    let code = text.lines().map(|l| l.split("//").next().unwrap_or(""));
    code.flat_map(|l| l.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect()
}

/// What a line declares: a constant, a type, an object, a variable or a function.
fn declared(line: &str) -> Option<&str> {
    let line = line.split("//").next().unwrap_or("").trim();
    let ends: &[char] = &['=', '(', ';', '[', ' '];
    let first = |text: &'static str, line: &'_ str| line.starts_with(text);
    let after = |text: &str| -> Option<&str> {
        line.strip_prefix(text)?
            .split(ends)
            .next()
            .filter(|w| !w.is_empty())
    };
    if first("using namespace", line) || first("template", line) || first("return", line) {
        return None;
    }
    let simple = [
        "constexpr int ",
        "const int ",
        "using ",
        "AICORE inline int ",
    ];
    if let Some(name) = simple.iter().find_map(|s| after(s)) {
        return Some(name);
    }
    // An object: a type with its arguments, then a name.
    let typed = ["VecTile<", "VecColumn<", "Gm", "L1", "Tile", "MrgSort"];
    let rest = match typed.iter().any(|t| line.starts_with(t)) {
        true => line.rsplit_once("> ").map(|(_, name)| name),
        false => None,
    };
    rest?.split(ends).next().filter(|w| !w.is_empty())
}

#[test]
fn every_declaration_is_used() {
    for example in common::examples() {
        let graph = common::graph(&example, common::small(&example));
        for form in Form::ALL {
            for (file, text) in kernels(&graph, form, &common::options()) {
                let words = words(&text);
                let mut seen = 0;
                for name in text.lines().filter_map(declared) {
                    seen += 1;
                    // A tile is mentioned when it is declared and once a slot when it gets its address.
                    let slots = text.matches(&format!("TASSIGN({name}")).count();
                    let assigned =
                        [",", "["].map(|c| text.matches(&format!("TASSIGN({name}{c}")).count());
                    let idle = 1 + assigned.iter().sum::<usize>();
                    assert!(slots == 0 || idle > 1);
                    let uses = words.iter().filter(|w| **w == name).count();
                    assert!(uses > idle, "{example} {}: `{name}` in {file}", form.name());
                }
                assert!(seen > 4, "{file}");
                assert!(!text.contains("PIPE_ALL"), "{file}");
            }
        }
    }
}

/// Another kernel in the layer changes nothing in the text of those that have nothing to do with it.
#[test]
fn kernels_keep_their_text_when_others_come() {
    let path = common::example(common::GATE);
    let text = std::fs::read_to_string(&path).expect("the example is readable");
    let first = text
        .find("  kernel ffn_norm")
        .expect("the layer begins with a norm");
    let mut longer = text.clone();
    longer.insert_str(
        first,
        "  kernel early {\n    launch parallel\n    loop range\n    x_mixed_f32 = cast(x_mixed, to = f32)\n    \
         x_mixed_abs = abs(x_mixed_f32)\n  }\n\n",
    );
    let longer = longer.replace("  output x_norm,", "  output x_mixed_abs, x_norm,");
    let graph = |text: &str| {
        let layer = Layer::parse("gate.tw", text.as_bytes()).expect("the text is a graph");
        layer.graph(&Default::default()).expect("it has its sizes")
    };
    // Kernels that are not joined with the new one, and of which no two near equal ones are told apart by the simulator: how many of
    // them it sees depends on the others.
    let mut options = common::options();
    options.search.disabled.insert("fuse".into());
    options.search.disabled.insert("mix".into());
    for form in Form::ALL {
        let before = kernels(&graph(&text), form, &options);
        let after = kernels(&graph(&longer), form, &options);
        assert!(after.len() > before.len());
        for (file, text) in before {
            assert_eq!(after.get(&file), Some(&text), "{} {file}", form.name());
        }
    }
}

/// Lines of statements, as the checker reports them, are those of their calls.
#[test]
fn statements_are_on_their_lines() {
    for example in common::examples() {
        let graph = common::graph(&example, common::small(&example));
        let options = common::options();
        let compiled = compile_form(&graph, Form::Optimized, &options).expect("it compiles");
        let files = emit(&compiled, &options.machine).expect("it has kernels");
        for (kernel, file) in compiled.program.kernels.iter().zip(&files) {
            let lines: Vec<&str> = file.text.lines().collect();
            let at = |path: &str| lines[file.lines.statements[path] - 1].trim();
            assert!(lines[file.lines.function - 1].starts_with("__global__"));
            for (i, stmt) in kernel.body.iter().enumerate() {
                let begins = match stmt {
                    Stmt::Loop { .. } => "for (",
                    Stmt::If { .. } => "if (",
                    Stmt::Set { .. } => "set_flag(",
                    Stmt::Wait { .. } => "wait_flag(",
                    Stmt::Barrier(_) => "pipe_barrier(",
                    Stmt::Part { .. } => "AICORE inline",
                    Stmt::SetCross { .. } => "ffts_cross_core_sync(",
                    Stmt::WaitCross { .. } => "wait_flag_dev(",
                    Stmt::Instr(Instr::Load { .. }) => "TLOAD(",
                    Stmt::Instr(Instr::Store { .. }) => "TSTORE(",
                    Stmt::Instr(Instr::WaitCounter { .. }) => "comm::TWAIT(",
                    // The scalar unit's are plain C++.
                    Stmt::Instr(i) if kernel.pipe(i) == Pipe::S => "",
                    Stmt::Instr(_) => "T",
                };
                let line = at(&i.to_string());
                assert!(line.starts_with(begins), "{} {i}: {line}", file.path);
            }
            for tile in &kernel.tiles {
                if let Some(line) = file.lines.tiles.get(&tile.name) {
                    assert!(lines[line - 1].contains(&tile.name), "{}", lines[line - 1]);
                }
            }
        }
    }
}

/// Kernels come and go; their snapshots go with them.
fn assert_no_others(folder: &Path, known: &BTreeSet<String>) {
    let entries = std::fs::read_dir(folder).expect("snapshots are there");
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if known.contains(&name) || name.ends_with(".snap.new") || path.is_dir() {
            continue;
        }
        let updates = std::env::var("INSTA_UPDATE").is_ok_and(|v| v == "always");
        assert!(
            updates,
            "nothing makes {} any more: remove it",
            path.display()
        );
        std::fs::remove_file(&path).expect("an old snapshot is removed");
    }
}
