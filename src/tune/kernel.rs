//! The space of a kernel of a layer: what pins span, built by the search with these pins.

use super::space::{Built, Point, Space};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use tilewright_ir::kernel::{Kernel, Program, check_order};
use tilewright_ir::machine::Machine;
use tilewright_passes::cost::CostModel;
use tilewright_passes::egraph::SearchOptions;
use tilewright_passes::kernel::{
    allocate::allocate, order::order, synchronise::synchronise_with_notes,
};
use tilewright_passes::lower::lower;
use tilewright_passes::search::pins::{Param, Pins};
use tilewright_passes::search::trials::{Asker, Filled, Range};
use tilewright_passes::term::plan::Plan;

/// The hash of a text or of bytes, as it is kept in a database: the same on every machine and for every release.
pub fn hash(of: impl AsRef<[u8]>) -> String {
    let digest = Sha256::digest(of);
    digest.iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// Schedules of a kernel as written. It remembers what kernels cost and belongs to one thread.
pub struct KernelSpace<'f> {
    name: String,
    filled: &'f Filled,
    asker: Asker<'f>,
    ranges: Vec<Range>,
    machine: &'f Machine,
    cost: &'f dyn CostModel,
    /// Points often are the same kernel.
    built: RefCell<HashMap<String, Result<Rc<Built>, String>>>,
    looked: RefCell<HashMap<Point, Result<Rc<Built>, String>>>,
}

impl<'f> KernelSpace<'f> {
    /// The space of a kernel whose e-graph is filled.
    pub fn new(
        name: &str,
        filled: &'f Filled,
        machine: &'f Machine,
        options: &'f SearchOptions,
    ) -> Self {
        let asker = filled.asker();
        KernelSpace {
            name: name.to_owned(),
            ranges: asker.ranges(name),
            filled,
            asker,
            machine,
            cost: options.cost.as_ref(),
            built: RefCell::default(),
            looked: RefCell::default(),
        }
    }

    fn plans(&self, point: &Point, count: usize) -> Result<Vec<Plan>, String> {
        let pins = Pins::check(&self.pins(point), self.filled.problem());
        let pins = pins.map_err(|e| e.to_string())?;
        self.asker.plans(&pins, count).map_err(|e| e.to_string())
    }

    fn built(&self, plan: &Plan) -> Result<Rc<Built>, String> {
        let text = plan.to_string();
        if let Some(known) = self.built.borrow().get(&text) {
            return known.clone();
        }
        let built = self.build_plan(plan, &text).map(Rc::new);
        self.built.borrow_mut().insert(text, built.clone());
        built
    }

    fn build_plan(&self, plan: &Plan, text: &str) -> Result<Built, String> {
        let mut program = lower(plan, self.machine).map_err(|e| e.to_string())?;
        let mut predicted = 0.0;
        let mut features = vec![0.0; FEATURES];
        for kernel in &mut program.kernels {
            allocate(kernel, self.machine).map_err(|e| e.to_string())?;
            let estimate = self.cost.estimate(kernel, self.machine);
            predicted += estimate.us;
            let start =
                self.cost
                    .start_us(self.machine, kernel.launch.kind, kernel.launch.blocks());
            let busy = estimate.pipes.iter().fold(0.0, |a: f64, b| a.max(*b));
            let add = [
                start,
                estimate.block_cycles,
                busy,
                estimate.gm_bytes,
                kernel.launch.blocks() as f64,
                kernel.pipeline as f64,
                1.0,
            ];
            let places = features.iter_mut().skip(1);
            places.zip(add).for_each(|(f, a)| *f += a);
            // Each pipe learns its own factor: a machine file can be wrong of one of them.
            let pipes = features.iter_mut().skip(1 + add.len());
            pipes.zip(estimate.pipes).for_each(|(f, p)| *f += p);
            let done = synchronise_with_notes(kernel, &self.machine.geometry);
            *kernel = done.map_err(|e| e.to_string())?.kernel;
        }
        features[0] = predicted;
        // Times are products of what matters.
        features.iter_mut().for_each(|f| *f = (*f + 1e-3).ln());
        order(&mut program, self.machine);
        check_order(&program, self.machine).map_err(|mut e| e.swap_remove(0).to_string())?;
        Ok(Built {
            program,
            hash: hash(text),
            predicted_us: predicted,
            features,
        })
    }

    /// The point that a program's kernels are at, as far as they agree.
    fn point_of(&self, program: &Program) -> Point {
        let at = |range: &Range| {
            let said = |k: &Kernel| value_of(k, &range.values);
            let mut values: Vec<usize> = program.kernels.iter().filter_map(said).collect();
            values.dedup();
            match values[..] {
                [one] => one as u16 + 1,
                _ => 0,
            }
        };
        Point(self.ranges.iter().map(at).collect())
    }
}

/// Features before those of the pipes, and these.
const FEATURES: usize = 8 + tilewright_ir::kernel::Pipe::ALL.len();

/// The place among values of the one that a kernel has.
fn value_of(kernel: &Kernel, values: &[Param]) -> Option<usize> {
    values.iter().position(|v| match v {
        Param::Launch(kind) => kernel.launch.kind == *kind,
        Param::Pipeline(depth) => kernel.pipeline == *depth,
        Param::Blocks(blocks) => kernel.launch.blocks() == *blocks,
        Param::Tile(name, size) => kernel.params.get(name) == Some(size),
        _ => false,
    })
}

impl Space for KernelSpace<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    fn build(&self, point: &Point) -> Result<Rc<Built>, String> {
        if let Some(known) = self.looked.borrow().get(point) {
            return known.clone();
        }
        let plan = self.plans(point, 1);
        let built = plan.and_then(|plans| match plans.first() {
            Some(plan) => self.built(plan),
            None => Err("there is no such kernel".into()),
        });
        self.looked
            .borrow_mut()
            .insert(point.clone(), built.clone());
        built
    }

    fn seeds(&self, count: usize) -> Vec<Point> {
        let mut out = vec![self.free()];
        for plan in self.plans(&self.free(), count).unwrap_or_default() {
            let Ok(built) = self.built(&plan) else {
                continue;
            };
            let point = self.point_of(&built.program);
            if !out.contains(&point) {
                out.push(point);
            }
        }
        out
    }
}
