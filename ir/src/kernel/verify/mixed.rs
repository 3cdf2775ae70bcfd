//! Mixed kernels: their parts, and the cross-core flags between them.

use super::super::{Instr, Pipe, Space, Stmt, Unit};
use super::{Check, KernelError, Place, Spot, Verifier};

impl Verifier<'_> {
    /// A mixed kernel is a part of the cube and a part of the vector cores, and no other kernel has parts.
    pub(super) fn parts(&self) -> Check {
        let k = self.kernel;
        let form = |what: &str, help: &str| {
            Err(KernelError::Form {
                place: Box::new(Place {
                    kernel: self.name(),
                    at: "body".to_owned(),
                    spot: Spot::Launch,
                }),
                what: what.to_owned(),
                help: help.to_owned(),
            })
        };
        let mut parts = 0;
        visit(&k.body, &mut |s| {
            parts += usize::from(matches!(s, Stmt::Part { .. }));
        });
        let both = matches!(
            k.body.as_slice(),
            [
                Stmt::Part {
                    unit: Unit::Cube,
                    ..
                },
                Stmt::Part {
                    unit: Unit::Vector,
                    ..
                }
            ]
        );
        match (k.unit, parts) {
            (Unit::Mixed, 2) if both => {}
            (Unit::Mixed, _) => {
                return form(
                    "a mixed kernel is not a part of the cube and a part of the vector cores",
                    "make its body one part of each, the cube's first, with all statements in them",
                );
            }
            (_, 0) => {}
            _ => {
                return form(
                    "a kernel of one core type has parts",
                    "make the kernel mixed, or take its statements out of the parts",
                );
            }
        }
        // A flag counts on the side that waits for it.
        let flags = self.machine.geometry.cross_flags.count();
        let mut sides = vec![[false; 2]; flags];
        for (i, part) in k.body.iter().enumerate() {
            let Stmt::Part { body, .. } = part else {
                continue;
            };
            visit(body, &mut |s| {
                let (side, flag) = match s {
                    Stmt::SetCross { flag, .. } => (i, *flag),
                    Stmt::WaitCross { flag } => (1 - i, *flag),
                    _ => return,
                };
                if let Some(sides) = sides.get_mut(flag) {
                    sides[side] = true;
                }
            });
        }
        match sides.iter().position(|s| s[0] && s[1]) {
            Some(flag) => form(
                &format!("cross-core flag {flag} is used in both directions"),
                "use a flag for each direction",
            ),
            None => Ok(()),
        }
    }

    /// A cross-core flag, and the pipe that sets it.
    pub(super) fn cross(&self, flag: usize, pipe: Option<Pipe>) -> Check {
        let form = |what: String, help: String| {
            Err(KernelError::Form {
                place: self.place(),
                what,
                help,
            })
        };
        let Some(part) = self.part else {
            return form(
                "a cross-core flag outside of a mixed kernel's parts".to_owned(),
                "order pipes of one core by flags between pipes".to_owned(),
            );
        };
        let flags = self.machine.geometry.cross_flags.count();
        self.index("cross-core flag", flag, flags)?;
        let pipes: &[Pipe] = match part {
            Unit::Cube => &[Pipe::M, Pipe::Mte1, Pipe::Mte2, Pipe::Fix],
            _ => &[Pipe::V, Pipe::Mte2, Pipe::Mte3],
        };
        match pipe {
            Some(p) if !pipes.contains(&p) => {
                let names: Vec<_> = pipes.iter().map(|p| p.name()).collect();
                form(
                    format!(
                        "{} of a {} core sets a cross-core flag",
                        p.name(),
                        part.name()
                    ),
                    format!("let one of {} set it", names.join(", ")),
                )
            }
            _ => Ok(()),
        }
    }

    /// The number of the vector core is known in their part only.
    pub(super) fn sub(&self) -> Check {
        if self.part == Some(Unit::Vector) {
            return Ok(());
        }
        Err(KernelError::Form {
            place: self.place(),
            what: "an index by the number of the vector core".to_owned(),
            help: "use it in the vector part of a mixed kernel only".to_owned(),
        })
    }

    /// An instruction of a part works in the memories of its core, and not between ranks.
    pub(super) fn in_part(&self, instr: &Instr) -> Check {
        if self.kernel.unit != Unit::Mixed {
            return Ok(());
        }
        if instr.kind().row().between_ranks {
            return Err(KernelError::Form {
                place: self.place(),
                what: "a mixed kernel talks to other ranks".to_owned(),
                help: "let a kernel of vector cores do that".to_owned(),
            });
        }
        let (reads, writes) = instr.tiles();
        for tile in reads.into_iter().chain(writes) {
            let Some(t) = self.kernel.tiles.get(tile.tile) else {
                continue;
            };
            let vector = self.part == Some(Unit::Vector);
            if vector != (t.space == Space::Ub) {
                let part = self.part.unwrap_or(Unit::Mixed);
                return Err(KernelError::Space {
                    place: self.place(),
                    what: format!(
                        "tile `{}` is in {}, which a {} core does not have",
                        t.name,
                        t.space.name(),
                        part.name()
                    ),
                    help: "move the instruction to the other part, or use a tile of this core"
                        .to_owned(),
                });
            }
        }
        Ok(())
    }
}

fn visit<'a>(body: &'a [Stmt], f: &mut impl FnMut(&'a Stmt)) {
    for s in body {
        f(s);
        match s {
            Stmt::Loop { body, .. } | Stmt::Part { body, .. } => visit(body, f),
            Stmt::If {
                then, otherwise, ..
            } => {
                visit(then, f);
                visit(otherwise, f);
            }
            _ => {}
        }
    }
}
