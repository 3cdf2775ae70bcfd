//! A report in a few lines, for programs; the command prints tables of its own.

use super::{FormReport, Report, TimedBy};
use std::fmt;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.timed_by {
            TimedBy::Simulator => "simulated",
            TimedBy::Model => "predicted",
            TimedBy::Device => "measured",
        };
        writeln!(
            f,
            "{} on {}: {:.2} us as written, {:.2} us optimized, {by}: {:.2}x",
            self.graph, self.machine, self.written.us, self.optimized.us, self.speedup
        )?;
        kernels(f, &self.optimized)?;
        if self.checks.is_empty() {
            return Ok(());
        }
        let wrong = self.checks.iter().filter(|c| !c.comparison.ok);
        match wrong.clone().count() {
            0 => writeln!(f, "all {} checks passed", self.checks.len()),
            count => {
                writeln!(f, "{count} of {} checks failed", self.checks.len())?;
                for check in wrong {
                    let form = check.form.phrase();
                    writeln!(f, "  {} {form} differs", check.comparison.output)?;
                }
                Ok(())
            }
        }
    }
}

fn kernels(f: &mut fmt::Formatter<'_>, form: &FormReport) -> fmt::Result {
    for kernel in &form.kernels {
        let (kind, blocks) = (kernel.launch.kind.name(), kernel.launch.blocks);
        write!(
            f,
            "  {}: {:.2} us, {kind} x{blocks}",
            kernel.name,
            kernel.us()
        )?;
        for (name, size) in &kernel.tiles {
            write!(f, ", {name}={size}")?;
        }
        writeln!(f)?;
    }
    Ok(())
}
