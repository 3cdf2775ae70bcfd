//! What a kernel can be: a finite space of schedules, each of which is a text.
//!
//! A point says of every parameter one of its values, or leaves it to the search. Its text is pins, so that a schedule that was found
//! here is one that every command takes.

use std::fmt::Write as _;
use std::rc::Rc;
use tilewright_ir::kernel::Program;
use tilewright_passes::search::pins::Pin;
use tilewright_passes::search::trials::Range;

/// A place in a space: by parameter the number of its value from 1, or 0 where the search decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point(pub Vec<u16>);

/// A schedule that a kernel can have, and what is known of it before anything is measured.
#[derive(Debug)]
pub struct Built {
    /// Ready to run.
    pub program: Program,
    /// Equal programs have equal ones.
    pub hash: String,
    /// By the cost model.
    pub predicted_us: f64,
    /// What a surrogate learns from, of one length in a space.
    pub features: Vec<f64>,
}

/// Schedules of one kernel. To tune something else, implement this: `examples/custom_tune.rs`.
pub trait Space {
    /// The kernel as written that the schedules are of.
    fn name(&self) -> &str;
    /// What can be chosen, in the order of a point's numbers.
    fn ranges(&self) -> &[Range];
    /// The kernel at a point, or why there is none.
    fn build(&self, point: &Point) -> Result<Rc<Built>, String>;
    /// Points to start from, the search's own pick first.
    fn seeds(&self, count: usize) -> Vec<Point>;

    /// The point that leaves everything to the search.
    fn free(&self) -> Point {
        Point(vec![0; self.ranges().len()])
    }

    /// A point as pins of its kernel; what the search decides has none.
    fn pins(&self, point: &Point) -> Vec<Pin> {
        let valued = self.ranges().iter().zip(&point.0);
        let pin = |(range, at): (&Range, &u16)| {
            Some(Pin {
                kernel: self.name().to_owned(),
                param: range.values.get(usize::from(*at).checked_sub(1)?)?.clone(),
            })
        };
        valued.filter_map(pin).collect()
    }

    /// The text of a point, without the kernel's name: equal kernels of other names share it.
    fn text(&self, point: &Point) -> String {
        let mut out = String::new();
        for pin in self.pins(point) {
            let blank = if out.is_empty() { "" } else { " " };
            // Writing to a string does not fail.
            let _ = write!(out, "{blank}{}", pin.param);
        }
        out
    }

    /// The point of a text; none where the space does not have it.
    fn point(&self, text: &str) -> Option<Point> {
        let mut point = self.free();
        for word in text.split_whitespace() {
            let found = self.ranges().iter().enumerate().find_map(|(place, range)| {
                let value = range.values.iter().position(|v| v.to_string() == word)?;
                Some((place, value))
            });
            let (place, value) = found?;
            point.0[place] = u16::try_from(value + 1).ok()?;
        }
        Some(point)
    }

    /// How many points there are, those that no kernel has among them.
    fn size(&self) -> u128 {
        let of = self.ranges().iter().map(|r| r.values.len() as u128 + 1);
        of.product()
    }

    /// Points that differ in one parameter: its next smaller and larger value, or any value where it was or becomes free.
    fn neighbours(&self, point: &Point) -> Vec<Point> {
        let mut out = vec![];
        for (place, range) in self.ranges().iter().enumerate() {
            let at = point.0[place];
            let last = range.values.len() as u16;
            let values: Vec<u16> = match at {
                0 => (1..=last).collect(),
                _ => [0, at.saturating_sub(1), at + 1]
                    .into_iter()
                    .filter(|v| *v <= last)
                    .collect(),
            };
            for value in values {
                let mut next = point.clone();
                next.0[place] = value;
                if value != at && !out.contains(&next) {
                    out.push(next);
                }
            }
        }
        out
    }

    /// All points, in order.
    fn all(&self) -> Vec<Point> {
        let mut out = vec![Point(vec![])];
        for range in self.ranges() {
            let longer = |p: &Point| {
                let values = 0..=range.values.len() as u16;
                let longer = values.map(|v| Point([p.0.clone(), vec![v]].concat()));
                longer.collect::<Vec<_>>()
            };
            out = out.iter().flat_map(longer).collect();
        }
        out
    }
}
