//! Addresses of hand-built and of random kernels.

#[allow(dead_code)]
#[path = "synchronise/build.rs"]
mod build;
#[path = "synchronise/random.rs"]
mod random;

use build::*;
use std::collections::BTreeMap;
use tilewright_ir::kernel::{Cond, Expr, Instr, Kernel, Space, Stmt, TileId, TileRef, Unit};
use tilewright_ir::machine::Machine;
use tilewright_passes::kernel::allocate::{AllocateError, allocate, footprint};

fn machine() -> Machine {
    Machine::builtin("910b1").unwrap()
}

/// Adds a tile of so many KiB a slot.
fn sized(kernel: &mut Kernel, name: &str, kib: usize, slots: usize) -> TileId {
    let id = tile(kernel, name, Space::Ub, &vec![0; slots]);
    kernel.tiles[id].rows = kib;
    kernel.tiles[id].addrs.clear();
    id
}

fn addresses(kernel: &Kernel) -> Vec<(&str, &[usize])> {
    kernel
        .tiles
        .iter()
        .map(|t| (t.name.as_str(), t.addrs.as_slice()))
        .collect()
}

/// `x -> a -> b -> c -> y`: of the temporaries, every second one shares bytes.
#[test]
fn temporaries_of_a_body_share() {
    let mut k = kernel(&["i"]);
    let x = sized(&mut k, "x", 1, 2);
    let [a, b, c] = ["a", "b", "c"].map(|n| sized(&mut k, n, 1, 1));
    let y = sized(&mut k, "y", 1, 2);
    let slot = Some(0);
    k.body = vec![each_of(
        0,
        4,
        2,
        vec![
            load(at(x, slot), row("x", each(0))),
            unary(at(a, None), at(x, slot)),
            unary(at(b, None), at(a, None)),
            unary(at(c, None), at(b, None)),
            unary(at(y, slot), at(c, None)),
            store(row("y", each(0)), at(y, slot)),
        ],
    )];
    assert_eq!(footprint(&k, &machine()), Ok([6144, 0, 0, 0, 0]));
    allocate(&mut k, &machine()).unwrap();
    assert_eq!(
        addresses(&k),
        [
            ("x", [0, 1024].as_slice()),
            ("a", &[4096]),
            ("b", &[5120]),
            ("c", &[4096]),
            ("y", &[2048, 3072]),
        ]
    );
}

/// Tiles of two loops share bytes when they do not fit beside each other, and only then.
#[test]
fn phases_share_when_they_must() {
    let phases = |kib: usize| {
        let mut k = kernel(&["i", "j"]);
        let x = sized(&mut k, "x", kib, 2);
        let y = sized(&mut k, "y", kib, 2);
        k.body = [(0, x), (1, y)]
            .map(|(id, t)| {
                each_of(
                    id,
                    4,
                    2,
                    vec![
                        load(at(t, Some(id)), row("a", each(id))),
                        store(row("b", each(id)), at(t, Some(id))),
                    ],
                )
            })
            .to_vec();
        allocate(&mut k, &machine()).map(|()| k)
    };
    let k = phases(32).unwrap();
    assert_eq!(
        addresses(&k),
        [("x", [0, 32768].as_slice()), ("y", &[65536, 98304])]
    );
    let k = phases(64).unwrap();
    assert_eq!(
        addresses(&k),
        [("x", [0, 65536].as_slice()), ("y", &[0, 65536])]
    );
}

/// Outside of loops, a tile that is loaded lies where nothing was needed for a while, if there is room: its load waits for nothing
/// that was computed just before.
#[test]
fn a_load_lies_where_nothing_was_just_needed() {
    let mut k = kernel(&[]);
    let tiles: Vec<TileId> = (0..9)
        .map(|i| sized(&mut k, &format!("x{i}"), 40, 1))
        .collect();
    let sum = sized(&mut k, "sum", 1, 1);
    k.body = (tiles.iter().enumerate())
        .flat_map(|(i, x)| {
            let x = at(*x, None);
            let rows = row("x", Expr::constant(i as i64));
            [load(x.clone(), rows), unary(at(sum, None), x)]
        })
        .collect();
    allocate(&mut k, &machine()).unwrap();
    // Four of 40 KiB fit into the 184 that there are.
    for pair in tiles.windows(4) {
        let mut places: Vec<&[usize]> = pair.iter().map(|t| &k.tiles[*t].addrs[..]).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 4, "{:?}", addresses(&k));
    }
}

/// Where two slots of an operand of a product do not fit L0, its tiles have one each.
#[test]
fn l0_goes_without_a_second_slot() {
    let product = |kib: usize| {
        let mut k = kernel(&["k"]);
        k.unit = Unit::Cube;
        let mut sized = |name: &str, space: Space, slots: usize| {
            let id = tile(&mut k, name, space, &vec![0; slots]);
            k.tiles[id].rows = kib;
            k.tiles[id].addrs.clear();
            id
        };
        let b1 = sized("b_l1", Space::L1, 2);
        let b0 = sized("b_l0", Space::L0b, 2);
        k.body = vec![each_of(
            0,
            4,
            2,
            vec![
                load(at(b1, Some(0)), row("b", each(0))),
                Stmt::Instr(Instr::Move {
                    dst: at(b0, Some(0)),
                    src: at(b1, Some(0)),
                    from: (0, 0),
                }),
            ],
        )];
        allocate(&mut k, &machine()).map(|()| k)
    };
    let fits = product(32).unwrap();
    assert_eq!(
        addresses(&fits),
        [("b_l1", [0, 32768].as_slice()), ("b_l0", &[0, 32768])]
    );
    let narrow = product(64).unwrap();
    assert_eq!(
        addresses(&narrow),
        [("b_l1", [0, 65536].as_slice()), ("b_l0", &[0])]
    );
    let mut slots = vec![];
    narrow.visit(&mut |i| {
        if let Instr::Move { dst, src, .. } = i {
            slots.push((dst.slot, src.slot));
        }
    });
    assert_eq!(slots, [(None, Some(0))]);
    assert!(product(128).is_err());
}

#[test]
fn too_large() {
    let mut k = kernel(&["i"]);
    let tiles: Vec<_> = (0..6)
        .map(|i| sized(&mut k, &format!("t{i}"), 10 * (i + 1), 2))
        .collect();
    let body = tiles
        .iter()
        .map(|&t| load(at(t, Some(0)), row("a", each(0))))
        .collect();
    k.body = vec![each_of(0, 4, 2, body)];
    let error = allocate(&mut k, &machine()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernel `k` needs 430080 bytes of ub, which has 188416; the largest tiles are `t5` (122880 bytes), \
         `t4` (102400 bytes), `t3` (81920 bytes), `t2` (61440 bytes)"
    );
    assert!(k.tiles.iter().all(|t| t.addrs.is_empty()));
    assert_eq!(footprint(&k, &machine()).unwrap()[0], 430080);
}

#[test]
fn an_unknown_tile() {
    let mut k = kernel(&[]);
    k.body = vec![load(at(3, None), row("a", Expr::constant(0)))];
    let error = allocate(&mut k, &machine()).unwrap_err();
    assert!(matches!(
        error,
        AllocateError::UnknownTile {
            tile: 3,
            count: 0,
            ..
        }
    ));
}

/// A run sees in each tile what was last written to that tile, whatever shares its bytes.
#[test]
fn random_kernels_keep_their_values() {
    for seed in 0..2000 {
        let mut k = random::random(seed, seed as usize % 4, seed % 2 == 0);
        for t in &mut k.tiles {
            t.addrs.clear();
        }
        allocate(&mut k, &machine()).unwrap();
        for tile in &k.tiles {
            assert_eq!(tile.addrs.len(), tile.slots);
        }
        for outcome in [true, false] {
            let mut run = Run {
                kernel: &k,
                counters: vec![0; k.loops.len()],
                outcome,
                written: BTreeMap::new(),
                bytes: BTreeMap::new(),
                clock: 0,
            };
            run.body(&k.body);
        }
    }
}

/// A run that remembers who wrote what; all random tiles are 1 KiB, on addresses of 32 bytes.
struct Run<'a> {
    kernel: &'a Kernel,
    counters: Vec<usize>,
    outcome: bool,
    /// When a slot was last written.
    written: BTreeMap<(TileId, usize), usize>,
    /// When each block of 32 bytes was last written.
    bytes: BTreeMap<(Space, usize), usize>,
    clock: usize,
}

impl Run<'_> {
    fn body(&mut self, body: &[Stmt]) {
        for stmt in body {
            match stmt {
                Stmt::Loop {
                    id, trips, body, ..
                } => {
                    for n in 0..*trips {
                        self.counters[*id] = n;
                        self.body(body);
                    }
                }
                Stmt::If {
                    cond,
                    then,
                    otherwise,
                } => {
                    let yes = match cond {
                        Cond::First(id) => self.counters[*id] == 0,
                        Cond::Positive(_) | Cond::Zero(_) => self.outcome,
                    };
                    self.body(if yes { then } else { otherwise });
                }
                Stmt::Instr(instr) => self.instr(instr),
                _ => {}
            }
        }
    }

    fn blocks(&self, at: &TileRef) -> ((TileId, usize), Space, std::ops::Range<usize>) {
        let tile = &self.kernel.tiles[at.tile];
        let slot = at.slot.map_or(0, |l| self.counters[l] % tile.slots);
        let start = tile.addrs[slot] / 32;
        (
            (at.tile, slot),
            tile.space,
            start..start + tile.bytes() / 32,
        )
    }

    fn instr(&mut self, instr: &Instr) {
        self.clock += 1;
        let (reads, writes) = instr.tiles();
        for at in &reads {
            let (slot, space, blocks) = self.blocks(at);
            let Some(&when) = self.written.get(&slot) else {
                continue;
            };
            for b in blocks {
                assert_eq!(self.bytes.get(&(space, b)), Some(&when), "{instr:?}");
            }
        }
        for at in &writes {
            let (slot, space, blocks) = self.blocks(at);
            for read in &reads {
                let (other, its_space, its) = self.blocks(read);
                let apart =
                    space != its_space || blocks.end <= its.start || its.end <= blocks.start;
                assert!(apart || other.0 == slot.0, "{instr:?}");
            }
            self.written.insert(slot, self.clock);
            for b in blocks {
                self.bytes.insert((space, b), self.clock);
            }
        }
    }
}
