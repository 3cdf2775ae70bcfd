//! Who touched what in a window: spans of columns, a list a row.
//!
//! Accesses of programs that send rows cover whole rows, so a row is mostly one span; it splits where an access begins or
//! ends, and equal neighbours join again.

use super::super::memory::Touch;

/// An access to a window.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    /// The block that did it, numbered over all ranks.
    pub agent: usize,
    /// The agent's time: how many notifications it had sent before, and kernels it had begun.
    pub time: u32,
    pub epoch: u32,
    /// Number of the kernel in the program.
    pub kernel: u32,
    /// Pipe, number and step, which order it within its block.
    pub touch: Touch,
    /// A notification.
    pub atomic: bool,
}

impl Mark {
    fn same(&self, other: &Mark) -> bool {
        (self.agent, self.time, self.epoch, self.kernel, self.atomic)
            == (
                other.agent,
                other.time,
                other.epoch,
                other.kernel,
                other.atomic,
            )
            && self.touch.seq == other.touch.seq
            && self.touch.pipe == other.touch.pipe
    }
}

/// Columns up to `end` of one row, from the end of the span before.
#[derive(Clone)]
pub(super) struct Span {
    pub end: usize,
    pub write: Option<Mark>,
    /// Reads since then: the last one of each block and pipe.
    pub reads: Vec<Mark>,
}

impl Span {
    pub fn read(&mut self, mark: Mark) {
        let own = |m: &&mut Mark| m.agent == mark.agent && m.touch.pipe == mark.touch.pipe;
        match self.reads.iter_mut().find(own) {
            Some(last) => *last = mark,
            None => self.reads.push(mark),
        }
    }

    fn same(&self, other: &Span) -> bool {
        let equal = |a: &Mark, b: &Mark| a.same(b);
        let writes = match (&self.write, &other.write) {
            (Some(a), Some(b)) => equal(a, b),
            (None, None) => true,
            _ => false,
        };
        writes
            && self.reads.len() == other.reads.len()
            && self
                .reads
                .iter()
                .zip(&other.reads)
                .all(|(a, b)| equal(a, b))
    }
}

/// The spans of one row.
#[derive(Clone)]
pub(super) struct Row(Vec<Span>);

impl Row {
    pub fn new(cols: usize) -> Self {
        Row(vec![Span {
            end: cols,
            write: None,
            reads: vec![],
        }])
    }

    /// Calls `f` on the spans of some columns, each with its first column, until it fails.
    pub fn touch<E>(
        &mut self,
        from: usize,
        to: usize,
        mut f: impl FnMut(usize, &mut Span) -> Result<(), E>,
    ) -> Result<(), E> {
        self.split(from);
        self.split(to);
        let first = self.0.partition_point(|s| s.end <= from);
        let mut start = from;
        for span in &mut self.0[first..] {
            if start >= to {
                break;
            }
            f(start, span)?;
            start = span.end;
        }
        self.0.dedup_by(|next, span| {
            let joined = span.same(next);
            if joined {
                span.end = next.end;
            }
            joined
        });
        Ok(())
    }

    /// Makes `at` a border.
    fn split(&mut self, at: usize) {
        let i = self.0.partition_point(|s| s.end <= at);
        let start = i.checked_sub(1).map_or(0, |i| self.0[i].end);
        if let Some(span) = self.0.get(i)
            && start < at
        {
            let mut head = span.clone();
            head.end = at;
            self.0.insert(i, head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_ir::kernel::Pipe;

    fn mark(agent: usize) -> Mark {
        Mark {
            agent,
            time: 1,
            epoch: 1,
            kernel: 0,
            touch: Touch {
                seq: 1,
                step: 0,
                pipe: Pipe::Mte3,
                core: 0,
            },
            atomic: false,
        }
    }

    #[test]
    fn a_row_splits_where_accesses_end_and_joins_what_is_equal() {
        let mut row = Row::new(16);
        let mut write = |from, to, agent| {
            row.touch(from, to, |_, s| {
                s.write = Some(mark(agent));
                Ok::<(), ()>(())
            })
            .unwrap();
            let spans = row.0.iter().map(|s| (s.end, s.write.map(|m| m.agent)));
            spans.collect::<Vec<_>>()
        };
        assert_eq!(write(4, 8, 1), [(4, None), (8, Some(1)), (16, None)]);
        assert_eq!(write(8, 12, 1), [(4, None), (12, Some(1)), (16, None)]);
        assert_eq!(write(0, 16, 2), [(16, Some(2))]);
    }
}
