//! What ranks share: windows and counters.

use super::Fault;
use indexmap::IndexMap;
use tilewright_ir::op::exchange::{Program, Window};

/// Windows and counters of the exchanges of a graph, by the name of what they give; zero at first, alive over all runs.
#[derive(Debug, Default)]
pub(in crate::reference) struct Memory {
    exchanges: IndexMap<String, Shared>,
    /// The exchange that is run.
    current: String,
}

impl Memory {
    /// From here on it is about the exchange that gives this value.
    pub fn enter(&mut self, name: &str) {
        self.current = name.into();
    }

    pub(super) fn of(&mut self, program: &Program, epoch: i64) -> &mut Shared {
        let shared = self
            .exchanges
            .entry(self.current.clone())
            .or_insert_with(|| Shared::new(program));
        shared.epoch = epoch;
        shared
    }
}

/// The windows and counters of one exchange.
#[derive(Debug)]
pub(super) struct Shared {
    /// By window, then rank.
    windows: Vec<Vec<Instance>>,
    /// By counter, rank and index.
    pub counters: Vec<Vec<Vec<i64>>>,
    epoch: i64,
}

#[derive(Debug)]
struct Instance {
    bytes: Vec<u8>,
    /// Of each element: the run in which it was written last, and by whom; 0 for never.
    written: Vec<(i64, usize)>,
}

/// A rectangle of a window on a rank.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub window: usize,
    pub rank: usize,
    pub row: usize,
    pub col: usize,
    pub rows: usize,
    pub cols: usize,
}

impl Shared {
    fn new(program: &Program) -> Self {
        let instance = |w: &Window| {
            let elements = w.rows * w.cols * if w.alternating { 2 } else { 1 };
            Instance {
                bytes: vec![0; elements * w.dtype.bytes()],
                written: vec![(0, 0); elements],
            }
        };
        let ranks = program.ranks;
        Shared {
            windows: program
                .windows
                .iter()
                .map(|w| (0..ranks).map(|_| instance(w)).collect())
                .collect(),
            counters: program
                .counters
                .iter()
                .map(|c| vec![vec![0; c.count]; ranks])
                .collect(),
            epoch: 0,
        }
    }

    /// The first element of each row of a rectangle.
    fn rows(&self, program: &Program, at: At) -> impl Iterator<Item = usize> + use<> {
        let w = &program.windows[at.window];
        let turn = match w.alternating {
            true => (self.epoch % 2) as usize * w.rows,
            false => 0,
        };
        let width = w.cols;
        (at.row..at.row + at.rows).map(move |r| (turn + r) * width + at.col)
    }

    pub fn write(&mut self, program: &Program, at: At, bytes: &[u8], by: usize) {
        let size = program.windows[at.window].dtype.bytes();
        let rows = self.rows(program, at);
        let epoch = self.epoch;
        let instance = &mut self.windows[at.window][at.rank];
        for (start, row) in rows.zip(bytes.chunks_exact(at.cols * size)) {
            instance.bytes[start * size..(start + at.cols) * size].copy_from_slice(row);
            instance.written[start..start + at.cols].fill((epoch, by));
        }
    }

    /// What a rank reads of its own window.
    pub fn read(&self, program: &Program, at: At) -> Result<Vec<u8>, Fault> {
        let w = &program.windows[at.window];
        let size = w.dtype.bytes();
        let instance = &self.windows[at.window][at.rank];
        let mut out = vec![];
        for (row, start) in self.rows(program, at).enumerate() {
            let fresh =
                |(epoch, by): &(i64, usize)| *epoch == self.epoch || *epoch > 0 && *by == at.rank;
            let written = &instance.written[start..start + at.cols];
            if let Some(col) = written.iter().position(|w| !fresh(w)) {
                let before = match written[col].0 {
                    0 => "nobody has written".to_string(),
                    run => format!(
                        "was written in run {run} of the layer, and not yet in run {}",
                        self.epoch
                    ),
                };
                return Err(Fault {
                    what: format!(
                        "it reads element ({}, {}) of window `{}`, which {before}",
                        at.row + row,
                        at.col + col,
                        w.name
                    ),
                    help: "let the ranks that write it notify a counter after it, and wait for that; counters go on from run to run, so compare with a multiple of `epoch`",
                });
            }
            out.extend_from_slice(&instance.bytes[start * size..(start + at.cols) * size]);
        }
        Ok(out)
    }
}
