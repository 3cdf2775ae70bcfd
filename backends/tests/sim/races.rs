//! Blocks of one launch run in no order, so what one of them writes none of the others may touch, by whatever instruction.

use crate::build::*;
use tilewright_backends::data::Tensors;
use tilewright_backends::sim::{Conflict, Fault};
use tilewright_ir::DType::*;
use tilewright_ir::kernel::*;

/// How a block touches a row of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Touch {
    Load,
    ReadScalar,
    ReadArray,
    Store,
    WriteScalar,
    WriteArray,
}

use Touch::*;

const ALL: [Touch; 6] = [Load, ReadScalar, ReadArray, Store, WriteScalar, WriteArray];

impl Touch {
    fn writes(self) -> bool {
        matches!(self, Store | WriteScalar | WriteArray)
    }

    /// Whether the scalar unit does it.
    fn is_scalar(self) -> bool {
        !matches!(self, Load | Store)
    }

    /// The statements for a row of `y`, which has so many columns.
    fn row(self, row: i64, cols: usize) -> Vec<Stmt> {
        let at = |cols| rect("y", Expr::constant(row), zero(), (1, cols));
        let instr = match self {
            Load => return vec![load(t(1), at(cols))],
            Store => return vec![store(at(cols), t(0))],
            ReadScalar => Instr::ReadScalar { dst: 0, src: at(1) },
            ReadArray => Instr::ReadArray {
                array: 0,
                src: at(cols),
            },
            WriteScalar => Instr::WriteScalar {
                dst: at(1),
                value: Expr::constant(7),
            },
            WriteArray => Instr::WriteArray {
                dst: at(cols),
                array: 0,
            },
        };
        vec![Stmt::Instr(instr)]
    }
}

const ROWS: usize = 4;

/// A kernel that writes all of `y`, `[4, cols]`, and one of as many blocks as there are bodies, each of which does its own.
fn blocks(cols: usize, bodies: &[Vec<Stmt>]) -> Program {
    use Pipe::{Mte2, Mte3};
    let tiles = || {
        vec![
            ub("row", I32, (1, cols), &[0]),
            ub("other", I32, (1, cols), &[1024]),
            ub("all", I32, (ROWS, cols), &[2048]),
        ]
    };
    let all = |name| rect(name, zero(), zero(), (ROWS, cols));
    let mut body = vec![load(t(2), all("x"))];
    body.extend(sync(Mte2, Mte3));
    body.push(store(all("y"), t(2)));
    let first = kernel("first", Unit::Vector, 1, tiles(), body);

    let mut body = vec![load(t(0), rect("x", zero(), zero(), (1, cols)))];
    body.extend(sync(Mte2, Mte3));
    for (block, own) in bodies.iter().enumerate() {
        body.push(Stmt::If {
            cond: Cond::Zero(Expr::var(Var::Grid(0), 1).plus_constant(-(block as i64))),
            then: own.clone(),
            otherwise: vec![],
        });
    }
    let mut second = kernel("second", Unit::Vector, bodies.len(), tiles(), body);
    second.arrays.push(ScalarArray {
        name: "row".into(),
        len: cols,
    });
    let shape = [ROWS, cols];
    program(
        &[
            ("x", tensor(I32, &shape, Role::Input)),
            ("y", tensor(I32, &shape, Role::Output)),
        ],
        vec![first, second],
    )
}

/// The fault of blocks with these bodies, if there is one.
fn fault_of(cols: usize, bodies: &[Vec<Stmt>]) -> Option<Fault> {
    let x: Vec<i64> = (0..(ROWS * cols) as i64).collect();
    let given: Tensors = inputs(&[("x", i32s(&[ROWS, cols], &x))]);
    run(&blocks(cols, bodies), &given).err().map(|e| *e.fault)
}

/// Elements of a row that fill a line of the scalar unit's cache.
const LINE: usize = 16;

#[test]
fn what_one_block_writes_no_other_one_touches() {
    for first in ALL {
        for second in ALL {
            let fault = fault_of(LINE, &[first.row(1, LINE), second.row(1, LINE)]);
            let what = format!("{first:?} in one block, {second:?} in the next: {fault:?}");
            let want = match (first.writes(), second.writes()) {
                (false, false) => {
                    assert_eq!(fault, None, "{what}");
                    continue;
                }
                (true, false) => Conflict::ReadAfterWrite,
                (false, true) => Conflict::WriteAfterRead,
                (true, true) => Conflict::WriteAfterWrite,
            };
            match fault {
                Some(Fault::BlockRace {
                    conflict,
                    row: 1,
                    col: 0,
                    other: 0,
                    ..
                }) => assert_eq!(conflict, want, "{what}"),
                // The line has two writers before an element has.
                Some(Fault::SharedLine { other: 0, .. }) => {
                    assert!(first.is_scalar() && second.is_scalar(), "{what}");
                    assert_eq!(want, Conflict::WriteAfterWrite, "{what}");
                }
                _ => panic!("{what}"),
            }
        }
    }
}

#[test]
fn blocks_touch_rows_of_their_own() {
    for first in ALL {
        for second in ALL {
            let fault = fault_of(LINE, &[first.row(1, LINE), second.row(2, LINE)]);
            assert_eq!(fault, None, "{first:?} of row 1, {second:?} of row 2");
        }
    }
}

#[test]
fn a_block_touches_again_what_it_wrote() {
    use Pipe::{Mte2, Mte3};
    let mut body = Store.row(1, LINE);
    body.extend(sync(Mte3, Mte2));
    body.extend(Load.row(1, LINE));
    body.extend(sync(Mte2, Mte3));
    body.extend(Store.row(1, LINE));
    assert_eq!(fault_of(LINE, &[body, vec![]]), None);
}

#[test]
fn of_many_blocks_that_read_an_element_none_writes_it() {
    let read = Load.row(1, LINE);
    // The block that writes has read the element, too.
    let mut both = read.clone();
    both.extend([
        set(Pipe::Mte2, Pipe::Mte3, 1),
        wait(Pipe::Mte2, Pipe::Mte3, 1),
    ]);
    both.extend(Store.row(1, LINE));
    for bodies in [
        vec![read.clone(), both.clone()],
        vec![read.clone(), read.clone(), both.clone()],
        vec![both.clone(), read.clone()],
    ] {
        let fault = fault_of(LINE, &bodies);
        let want = match bodies[0] == both {
            true => Conflict::ReadAfterWrite,
            false => Conflict::WriteAfterRead,
        };
        assert!(
            matches!(&fault, Some(Fault::BlockRace { conflict, other: 0, .. }) if *conflict == want),
            "{fault:?}"
        );
    }
}

#[test]
fn a_line_of_the_scalar_cache_has_one_writer() {
    // Two rows of 8 elements are one line: bytes that are not its own would be written back by either block.
    let half = LINE / 2;
    for first in [WriteScalar, WriteArray] {
        for second in [WriteScalar, WriteArray] {
            let fault = fault_of(half, &[first.row(2, half), second.row(3, half)]);
            assert!(
                matches!(
                    fault,
                    Some(Fault::SharedLine {
                        line: 64,
                        other: 0,
                        ..
                    })
                ),
                "{first:?}, {second:?}: {fault:?}"
            );
            let fault = fault_of(half, &[first.row(1, half), second.row(2, half)]);
            assert_eq!(fault, None, "{first:?}, {second:?} in two lines");
        }
    }
    // Stores of tiles go past the cache, and reads write nothing back.
    for other in [Store, Load, ReadScalar, ReadArray] {
        let fault = fault_of(half, &[WriteScalar.row(2, half), other.row(3, half)]);
        assert_eq!(fault, None, "{other:?}");
    }
}
