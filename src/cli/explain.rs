//! `tilewright explain`: what led to the chosen kernels, and what alternatives would cost.

use super::layout::paragraph;
use super::options::Common;
use super::search::pins;
use super::{Ended, print, print_report};
use std::fmt::Write as _;
use tilewright::error::Result;
use tilewright::explain::{
    Alternative, Breakdown, Explanation, Gain, KernelExplanation, Question, StepExplanation,
    explain,
};

const GAIN_HELP: &str = "\
Examples:
  tilewright explain gate.tw                             what led to each kernel
  tilewright explain gate.tw gate                        to those that do the work of one
  tilewright explain gate.tw --why-not gate.split_k=1    what another value would cost
  tilewright explain gate.tw --no-gains                  as fast as `optimize`: no search without each rule

How a gain is defined: the layer is optimized again with the rule disabled (--disable-rule), and what the rule gains is the \
predicted time of the best plan without it minus that of the chosen plan. Times are of the kernels that do the work of the \
same kernels as written; where the whole layer differs by another amount, that is added. Gains are not shares and do not add \
up: a rule that another can stand in for gains little, and rules that need each other each gain what they gain together.";

/// Tells what led to the chosen kernels, what each rule gains, and what alternatives would cost
#[derive(Debug, clap::Args)]
#[command(after_long_help = GAIN_HELP)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// A kernel as written, a part of one, or a chosen kernel; all without it
    #[arg(value_name = "KERNEL")]
    kernel: Option<String>,
    /// What it would cost to hold a parameter at a value, and what decides that (repeatable); parameters are those of --pin
    #[arg(
        long,
        value_name = "KERNEL.PARAM=VALUE",
        help_heading = "Machine and search"
    )]
    why_not: Vec<String>,
    /// Leaves out what each rule gains. That takes a search for each rule that led to a kernel, often ten and more; without them
    /// it takes as long as `optimize`
    #[arg(long, help_heading = "Machine and search")]
    no_gains: bool,
}

pub fn main(args: &Args) -> Result<Ended> {
    let common = &args.common;
    let prepared = common.prepare()?;
    common.start_dumps()?;
    if let Some(text) = common.stopped(&prepared)? {
        print(&text)?;
        return Ok(Ended::Well);
    }
    let question = Question {
        kernel: args.kernel.clone(),
        why_not: pins(&args.why_not)?,
        no_gains: args.no_gains,
    };
    let explanation = explain(&prepared.graph, &prepared.options, &question)
        .map_err(|e| prepared.layer.locate(e))?;
    match common.json {
        true => print_report(&explanation)?,
        false => print(&text(&explanation))?,
    }
    Ok(Ended::Well)
}

fn text(e: &Explanation) -> String {
    let mut s = String::new();
    let params: Vec<String> = e.params.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let head = format!("{} on {}: {}", e.graph, e.machine, params.join(" "));
    wrap(&mut s, 0, &head);
    let _ = writeln!(
        s,
        "predicted: {:.2} us as written, {:.2} us as chosen",
        e.written_us, e.optimized_us
    );
    if let Some(asked) = &e.asked {
        let by: Vec<String> = e.kernels.iter().map(|k| format!("`{}`", k.name)).collect();
        wrap(
            &mut s,
            0,
            &format!("the work of `{asked}` is done by {}", by.join(" and ")),
        );
    }
    for k in &e.kernels {
        kernel(&mut s, k);
    }
    for a in &e.why_not {
        alternative(&mut s, a);
    }
    if !e.hints.is_empty() {
        s.push_str("\nhints on the layer as written\n");
    }
    for hint in &e.hints {
        wrap(&mut s, 2, &format!("{}: {}", hint.code, hint.message));
        wrap(&mut s, 4, &hint.remedy);
    }
    s
}

fn kernel(s: &mut String, k: &KernelExplanation) {
    let parts = k.parts.join(" + ");
    let head = format!("{}: {:.2} us", k.name, k.us);
    let head = match k.us == k.work_us {
        true => format!(
            "{head}; as written {parts} takes {:.2} us",
            k.written_work_us
        ),
        false => format!(
            "{head} of {:.2} us for {parts}, which takes {:.2} us as written",
            k.work_us, k.written_work_us
        ),
    };
    s.push('\n');
    wrap(s, 0, &head);
    let bound = format!(
        "bound {:.2} us by {}: the prediction is {:.1} times that",
        k.bound.us,
        k.bound.by.name(),
        k.bound.ratio
    );
    wrap(s, 2, &bound);
    for start in &k.starts {
        wrap(s, 2, start);
    }
    if k.chain.is_empty() && k.starts.is_empty() {
        wrap(s, 2, "as written: nothing was better");
    }
    for (i, step) in k.chain.iter().enumerate() {
        chain_step(s, i + 1, step);
    }
}

fn chain_step(s: &mut String, number: usize, step: &StepExplanation) {
    let backwards = match step.backwards {
        true => " (from right to left)",
        false => "",
    };
    let changes: Vec<String> = step
        .changes
        .iter()
        .map(|c| format!("{} {} => {}", c.param, c.before, c.after))
        .collect();
    let changes = match changes.is_empty() {
        true => "no parameter differs in the end".to_string(),
        false => changes.join(", "),
    };
    let head = format!("{number}. {}{backwards}: {changes}", step.rule);
    // The proof is not the shortest: what gains nothing is told in a line.
    let gains = step.gain.as_ref().map(|g| [g.work_us, g.us]);
    let gains = gains.map(|both| both.map(|us| us.map(signed)));
    if gains.is_some_and(|both| both.each_ref().map(Option::as_deref) == NOTHING) {
        return wrap(s, 2, &format!("{head}; gains nothing by itself"));
    }
    wrap(s, 2, &head);
    match step.backwards {
        true => wrap(s, 5, &format!("the opposite of: {}", step.does)),
        false => wrap(s, 5, &step.does),
    }
    if let Some(step) = &step.gain {
        wrap(s, 5, &gain(step));
    }
}

/// Gains that round to nothing, of the work and of the layer.
const NOTHING: [Option<&str>; 2] = [Some("+0.00"); 2];

fn gain(g: &Gain) -> String {
    let (Some(without), Some(more), Some(layer), Some(layer_more)) =
        (g.work_without_us, g.work_us, g.without_us, g.us)
    else {
        let why = g.refused.as_deref().unwrap_or("no search answers that");
        return format!("without it: no plan ({why})");
    };
    let part = format!("without it: {without:.2} us ({})", signed(more));
    match signed(more) == signed(layer_more) {
        true => part,
        false => format!("{part}; the layer {layer:.2} us ({})", signed(layer_more)),
    }
}

fn alternative(s: &mut String, a: &Alternative) {
    s.push('\n');
    wrap(s, 0, &format!("why not {}", a.pin));
    if let Some(limit) = &a.refused {
        wrap(s, 2, &format!("it cannot be: {}", limit.message));
        if let Some(help) = &limit.help {
            wrap(s, 2, help);
        }
        return;
    }
    let (Some(us), Some(more)) = (a.us, a.more_us) else {
        return;
    };
    let verdict = match signed(more).as_str() {
        "+0.00" if a.chosen == a.alternative => ": it is what was chosen",
        "+0.00" => ": as good",
        _ => "",
    };
    let line = format!(
        "{us:.2} us instead of {:.2} us ({}){verdict}",
        a.chosen_us,
        signed(more)
    );
    wrap(s, 2, &line);
    if a.chosen == a.alternative {
        return;
    }
    for (name, parts) in [("chosen", &a.chosen), ("with it", &a.alternative)] {
        for b in parts {
            wrap(s, 4, &format!("{name:7}  {}", breakdown(b)));
        }
    }
    wrap(s, 4, &format!("decides: {}", decides(a)));
}

fn breakdown(b: &Breakdown) -> String {
    let pipe = match b.busiest {
        Some(p) => format!("{} busy {:.0} cycles", p.name(), b.busiest_cycles),
        None => "no pipe busy".into(),
    };
    let plural = if b.blocks == 1 { "" } else { "s" };
    format!(
        "{} {:.2} us: {} block{plural}, launch {:.2} us, {pipe}, waiting {:.2} us",
        b.kernel, b.us, b.blocks, b.launch_us, b.waiting_us
    )
}

/// The part of the time that grows most; all kernels of the work together.
fn decides(a: &Alternative) -> String {
    let parts = |of: &[Breakdown]| -> [f64; 3] {
        let sum = |f: fn(&Breakdown) -> f64| of.iter().map(f).sum::<f64>();
        [
            sum(|b| b.launch_us),
            sum(|b| b.us - b.launch_us - b.waiting_us),
            sum(|b| b.waiting_us),
        ]
    };
    let (before, after) = (parts(&a.chosen), parts(&a.alternative));
    let worst = (0..3)
        .map(|i| (i, after[i] - before[i]))
        .max_by(|x, y| x.1.total_cmp(&y.1))
        .map_or(0, |(i, _)| i);
    let what = match worst {
        0 => "launches",
        1 => "busiest pipes",
        _ => "pipes that wait for each other or for bandwidth that cores share",
    };
    let pipes = |of: &[Breakdown]| {
        let most = of
            .iter()
            .max_by(|x, y| x.busiest_cycles.total_cmp(&y.busiest_cycles));
        most.and_then(|b| Some(format!("{} {:.0}", b.busiest?.name(), b.busiest_cycles)))
            .unwrap_or("none".into())
    };
    let cycles = match worst {
        1 => format!(
            "; the busiest in cycles {} => {}",
            pipes(&a.chosen),
            pipes(&a.alternative)
        ),
        _ => String::new(),
    };
    format!(
        "{what}, {:.2} => {:.2} us{cycles}",
        before[worst], after[worst]
    )
}

/// A difference with its sign; what rounds to nothing is `+0.00`.
fn signed(us: f64) -> String {
    let text = format!("{us:+.2}");
    match text.as_str() {
        "-0.00" => "+0.00".into(),
        _ => text,
    }
}

/// Adds a paragraph as wide as the terminal, indented.
fn wrap(s: &mut String, indent: usize, text: &str) {
    s.push_str(&paragraph(text, indent, indent + 2));
}
