//! `layer.txt`: what the launcher of a project does, in lines; `project/README.md` says what they mean.

use super::project::{Check, Spec};
use crate::data::Tolerance;
use crate::source::manifest::{scalar_arguments, tensor_arguments};
use std::fmt::Write as _;
use tilewright_ir::kernel::{Kernel, Program, Role};

/// The most streams that kernels are put on.
const STREAMS: usize = 8;

/// The text; `scalars` are the values of the program's scalars.
pub(super) fn text(spec: &Spec, scalars: &[i64]) -> String {
    let program = spec.program;
    let mut s = format!(
        "# What the launcher does; README.md says what the lines mean.\nlayer {}\n",
        program.name
    );
    for (name, t) in &program.tensors {
        let role = match t.role {
            Role::Input => "input",
            Role::Output => "output",
            Role::Workspace | Role::Window => "workspace",
        };
        let shape: String = t.shape.iter().map(|n| format!(" {n}")).collect();
        let _ = writeln!(s, "tensor {name} {} {role}{shape}", t.dtype);
    }
    for ((name, max), value) in program.scalars.iter().zip(scalars) {
        let _ = writeln!(s, "scalar {name} {value} max {max}");
    }
    for (kernel, stream) in program.kernels.iter().zip(streams(&program.kernels)) {
        let _ = writeln!(
            s,
            "kernel {} blocks {} stream {stream} tensors {} scalars {} after {}",
            kernel.name,
            kernel.launch.blocks(),
            list(&tensor_arguments(kernel)),
            list(&scalar_names(program, kernel)),
            list(&kernel.after)
        );
    }
    for (name, counts) in &spec.rows {
        let counts: String = counts.iter().map(|n| format!(" {n}")).collect();
        let _ = writeln!(s, "rows {name}{counts}");
    }
    for check in &spec.checks {
        let (names, tolerance) = match check {
            Check::Values { output, tolerance } => (format!("compare {output}"), tolerance),
            Check::Routing {
                indices,
                weights,
                tolerance,
            } => (format!("compare_routing {indices} {weights}"), tolerance),
        };
        let _ = writeln!(s, "{names} {}", bounds(tolerance));
    }
    s
}

/// Floats print in as many digits as tell them apart.
fn bounds(t: &Tolerance) -> String {
    let off = t.max_off.map_or("inf".into(), |n| n.to_string());
    format!(
        "atol {} of_scale {} rtol {} fraction {} max_off {off}",
        t.atol, t.of_scale, t.rtol, t.allowed_fraction
    )
}

fn scalar_names(program: &Program, kernel: &Kernel) -> Vec<String> {
    let used = scalar_arguments(program, kernel).into_iter();
    let named = used.filter_map(|i| program.scalars.get_index(i));
    named.map(|(name, _)| name.clone()).collect()
}

/// `N NAME*N`
fn list(names: &[String]) -> String {
    let names: String = names.iter().map(|n| format!(" {n}")).collect();
    format!("{}{names}", names.split_whitespace().count())
}

/// A stream for each kernel. It goes on where the last kernel that it waits for ended, if nobody else did; kernels that
/// do not wait for each other get streams of their own, as long as there are some.
fn streams(kernels: &[Kernel]) -> Vec<usize> {
    // The last kernel of each stream.
    let mut last: Vec<usize> = vec![];
    let mut streams = vec![];
    for (i, kernel) in kernels.iter().enumerate() {
        let goes_on = |l: &usize| kernel.after.contains(&kernels[*l].name);
        let ended = (0..last.len()).filter(|s| goes_on(&last[*s]));
        let stream = match ended.max_by_key(|s| last[*s]) {
            Some(s) => s,
            None if last.len() < STREAMS => {
                last.push(i);
                last.len() - 1
            }
            // The one that was given nothing for longest.
            None => (0..last.len()).min_by_key(|s| last[*s]).unwrap_or(0),
        };
        last[stream] = i;
        streams.push(stream);
    }
    streams
}
