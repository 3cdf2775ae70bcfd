//! The text of every stage and the emitted kernels of every example, in `snapshots/EXAMPLE/FORM`.
//!
//! `INSTA_UPDATE=always cargo test --test snapshots` writes them again.

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use tilewright::report::Form;
use tilewright::run::{compile_form, emit};
use tilewright_passes::pass::{OPTIMIZED, WRITTEN};

#[test]
fn stages_and_kernels_of_the_examples() {
    insta::glob!("../examples", "*.tw", |path| {
        let example = path.file_stem().unwrap_or_default().to_string_lossy();
        let graph = common::graph(&example, sizes(&example));
        for form in Form::ALL {
            let mut options = common::options();
            let order = match form {
                Form::Written => WRITTEN,
                Form::Optimized => OPTIMIZED,
            };
            // What comes before is the same in both forms; what comes between is in the last stage.
            let stages = [order[1], order[2], order[order.len() - 1]];
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
            let folder = Path::new("../snapshots").join(&*example).join(form.name());
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings.remove_snapshot_suffix();
            settings.remove_input_file();
            settings.bind(|| {
                for (name, text) in &texts {
                    insta::assert_snapshot!(name.as_str(), text);
                }
            });
            let known = texts
                .iter()
                .map(|(name, _)| format!("{name}.snap"))
                .collect();
            assert_no_others(&common::root().join("tests").join(&folder), &known);
        }
    });
}

/// Sizes at which an example is searched in a moment; its own where there are none.
fn sizes(example: &str) -> &'static [(&'static str, i64)] {
    match example {
        "dsv4_shared_expert" => &[("D", 512), ("MOE_INTER", 256)],
        "dsv4_routed_experts" => &[("N_LOCAL", 4), ("D", 512), ("MOE_INTER", 256)],
        "dsv4_hc" => &[("D", 256)],
        _ => &[],
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
        if known.contains(&name) || name.ends_with(".snap.new") {
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
