//! The parts of a file around the statements: head comment, constants, types, tiles at their addresses.

use super::Lines;
use super::registers::registers_of;
use super::text::{INDENT, fold, kib};
use super::types::{TileType, element};
use super::views::{View, extent_call};
use super::writer::{Section, Writer};
use crate::source::index::count_vars;
use crate::source::manifest::{CROSS_BASE, RankNeeds};
use crate::source::printable;
use crate::source::schedule;
use indexmap::{IndexMap, IndexSet};
use std::fmt::Write as _;
use tilewright_ir::kernel::{Space, Stmt, Unit, Var};

impl Writer<'_> {
    pub(super) fn assemble(mut self, notes: &[String]) -> (String, Lines) {
        let mut out = self.head(notes);
        out.push_str("\n#include <pto/pto-inst.hpp>\n");
        if self.signals {
            out.push_str("#include <pto/comm/pto_comm_inst.hpp>\n");
        }
        out.push_str("\nusing namespace pto;\n\n");
        self.definitions(&mut out);
        let mut known = Lines {
            statements: IndexMap::new(),
            tiles: IndexMap::new(),
            function: out.lines().count() + 1,
        };
        for section in std::mem::take(&mut self.sections) {
            self.section(section, &mut out, &mut known);
        }
        if self.kernel.unit == Unit::Mixed {
            known.function = out.lines().count() + 2;
            write_lines(&mut out, self.entry());
        }
        (out, known)
    }

    /// Constants, alias templates and helpers.
    fn definitions(&mut self, out: &mut String) {
        let kernel = self.kernel;
        let used = &mut self.names.constants.used;
        used.sort_keys();
        let place = |name: &str| {
            let mut params = kernel.params.keys();
            params.position(|p| p.to_ascii_uppercase() == name)
        };
        used.sort_by_key(|name, _| place(name).unwrap_or(usize::MAX));
        for (name, value) in &*used {
            let _ = writeln!(out, "constexpr int {name} = {value};");
        }
        if !used.is_empty() {
            out.push('\n');
        }
        self.templates.sort_keys();
        for text in self.templates.values() {
            let _ = writeln!(out, "{text}\n");
        }
        if self.clamps {
            out.push_str(
                "// How many of `limit` rows there are if `n` are left.\n\
                 AICORE inline int Clamp(int n, int limit)\n{\n    \
                 return n < 0 ? 0 : (n < limit ? n : limit);\n}\n\n",
            );
        }
        if kernel.unit == Unit::Mixed {
            out.push_str(
                "// The message of a cross-core flag: one step up, between a cube core and its vector cores (mode 2).\n\
                 AICORE constexpr uint16_t CrossCore(int flag)\n{\n    \
                 return static_cast<uint16_t>(1 | 2 << 4 | flag << 8);\n}\n\n",
            );
        }
    }

    /// The function of what one core type runs, and the lines on which its parts are.
    fn section(&self, section: Section, out: &mut String, known: &mut Lines) {
        let kernel = self.kernel;
        let mut lines = vec![];
        let name = match kernel.unit {
            Unit::Mixed => {
                lines.push(match section.unit {
                    Unit::Cube => "// What the cube core of a block does.".into(),
                    _ => "// What each vector core of a block does.".into(),
                });
                part_name(&kernel.name, section.unit)
            }
            _ => kernel.name.clone(),
        };
        fold(&mut lines, "", &self.signature(&name));
        lines.push("{".into());
        let core = match section.unit {
            Unit::Cube => "__DAV_CUBE__",
            Unit::Vector | Unit::Mixed => "__DAV_VEC__",
        };
        lines.push(format!(
            "#if defined({core}) || defined(__CPU_SIM) || defined(__COSTMODEL)"
        ));
        let above = out.lines().count() + lines.len() + 1;
        // A part is where its function is, under a line of comment.
        let part = section.path.map(|p| (p, out.lines().count() + 2));
        known.statements.extend(part);
        let first = above + section.preamble.len();
        let statements = section.statements.into_iter();
        (known.statements).extend(statements.map(|(path, at)| (path, first + at)));
        let tiles = section.tiles.into_iter();
        (known.tiles).extend(tiles.map(|(name, at)| (name, above + at)));
        lines.extend(section.preamble);
        lines.extend(section.lines);
        lines.push("#endif".into());
        lines.push("}".into());
        write_lines(out, lines);
        if kernel.unit == Unit::Mixed {
            out.push('\n');
        }
    }

    /// The function of a mixed kernel, which calls those of its parts.
    fn entry(&self) -> Vec<String> {
        let kernel = self.kernel;
        let mut lines = vec!["// Started once for both core types.".into()];
        fold(&mut lines, "", &self.signature(&kernel.name));
        lines.push("{".into());
        lines.push(format!(
            "{INDENT}set_ffts_base_addr((uint64_t){CROSS_BASE});"
        ));
        for unit in [Unit::Cube, Unit::Vector] {
            let part = part_name(&kernel.name, unit);
            let call = format!("{part}({});", self.arguments().join(", "));
            fold(&mut lines, INDENT, &call);
        }
        lines.push("}".into());
        lines
    }

    fn head(&self, notes: &[String]) -> String {
        let k = self.kernel;
        let (unit, spaces): (_, &[Space]) = match k.unit {
            Unit::Cube => ("cube", &[Space::L1, Space::L0a, Space::L0b, Space::L0c]),
            Unit::Vector => ("vector", &[Space::Ub]),
            Unit::Mixed => ("mixed", &Space::ALL),
        };
        let mut rows = schedule(k, self.machine);
        let memory: Vec<String> = spaces
            .iter()
            .filter(|s| k.used(**s) > 0)
            .map(|s| {
                let capacity = self.machine.capacity_of(*s);
                format!(
                    "{} {} of {} KiB",
                    s.name().to_uppercase(),
                    kib(k.used(*s)),
                    kib(capacity)
                )
            })
            .collect();
        if !memory.is_empty() {
            rows.push(("memory", memory.join(", ")));
        }
        let mut lines = vec![];
        let title = format!(
            "{}: a {unit} kernel of {}, for {}. Made by tilewright.",
            k.name, self.program.name, self.program.machine
        );
        fold(&mut lines, "// ", &printable(&title));
        lines.push("//".into());
        for (key, text) in rows {
            // Folded lines stand under the text.
            let text = printable(&text);
            let mut folded = vec![];
            fold(&mut folded, "//            ", &text);
            for (i, line) in folded.iter().enumerate() {
                match i {
                    0 => lines.push(format!(
                        "//   {key:<9}{}",
                        line.trim_start_matches("//").trim_start()
                    )),
                    _ => lines.push(line.clone()),
                }
            }
        }
        if !notes.is_empty() || !k.notes.is_empty() {
            lines.push("//".into());
        }
        for note in &k.notes {
            fold(&mut lines, "// ", &printable(&format!("note: {note}")));
        }
        for note in notes {
            fold(&mut lines, "// ", &printable(note));
        }
        let mut out = String::new();
        write_lines(&mut out, lines);
        out
    }

    /// The head of the kernel's function, or of a part of it.
    fn signature(&self, name: &str) -> String {
        let tensors = self.names.tensors.iter().map(|(name, id)| {
            let dtype = self
                .program
                .tensors
                .get(name)
                .map_or("uint8_t", |t| element(t.dtype));
            format!("__gm__ {dtype} *{id}")
        });
        let needs = RankNeeds::of(self.kernel);
        let names = &self.ranks;
        let table = needs
            .peers
            .then(|| format!("__gm__ uint64_t *{}", names.bases));
        let scalars = self.names.scalars.values();
        let scalars = scalars.chain(needs.rank.then_some(&names.rank));
        let scalars = scalars.chain(needs.epoch.then_some(&names.epoch));
        let scalars = scalars.map(|id| format!("int32_t {id}"));
        let whole = name == self.kernel.name;
        let cross = (whole && self.kernel.unit == Unit::Mixed)
            .then(|| format!("__gm__ uint64_t *{CROSS_BASE}"));
        let own = tensors.chain(table).chain(scalars);
        let arguments: Vec<String> = cross.into_iter().chain(own).collect();
        let head = match whole {
            true => "__global__ AICORE",
            false => "AICORE inline",
        };
        format!("{head} void {name}({})", arguments.join(", "))
    }

    /// The arguments of the kernel's function, but for where the cross-core flags are.
    fn arguments(&self) -> Vec<String> {
        let needs = RankNeeds::of(self.kernel);
        let names = &self.ranks;
        let tensors = self.names.tensors.values().cloned();
        tensors
            .chain(needs.peers.then(|| names.bases.clone()))
            .chain(self.names.scalars.values().cloned())
            .chain(needs.rank.then(|| names.rank.clone()))
            .chain(needs.epoch.then(|| names.epoch.clone()))
            .collect()
    }

    /// Coordinates, tiles and their addresses, extents.
    pub(super) fn preamble(
        &mut self,
        statements: &[Stmt],
        declared: &mut IndexMap<String, usize>,
    ) -> Vec<String> {
        let body = std::mem::take(&mut self.lines);
        self.coordinates(statements);
        let mut views = std::mem::take(&mut self.views);
        let kernel = self.kernel;
        // A tile as it is declared, then its other views.
        views.sort_by_key(|v| (v.tile, v.ty != TileType::of(&kernel.tiles[v.tile])));
        for space in Space::ALL {
            let views: Vec<&View> = views
                .iter()
                .filter(|v| kernel.tiles[v.tile].space == space)
                .collect();
            if views.is_empty() {
                continue;
            }
            self.blank();
            self.line(&format!(
                "// {}: {} of {} KiB.",
                space_name(space),
                kib(kernel.used(space)),
                kib(self.machine.capacity_of(space))
            ));
            for v in &views {
                let ty = v.ty.text(&mut self.names.constants);
                let slots = match kernel.tiles[v.tile].slots {
                    0 | 1 => String::new(),
                    n => format!("[{n}]"),
                };
                let note = v.note(&kernel.tiles[v.tile], &self.names.tiles[v.tile], &views);
                self.line(&format!("{ty} {}{slots};{note}", v.name));
                let tile = kernel.tiles[v.tile].name.clone();
                declared.entry(tile).or_insert(self.lines.len() - 1);
            }
            let top = kernel.used(space);
            let digits = format!("{top:x}").len();
            for v in &views {
                let tile = &kernel.tiles[v.tile];
                for (i, addr) in tile.addrs.iter().enumerate() {
                    let slot = if tile.slots > 1 {
                        format!("[{i}]")
                    } else {
                        String::new()
                    };
                    let addr = addr + v.offset;
                    self.line(&format!("TASSIGN({}{slot}, 0x{addr:0digits$x});", v.name));
                }
            }
            for v in &views {
                // The flag is not initialised; a product of f32 reads it.
                let tile = &kernel.tiles[v.tile];
                let operand = matches!(space, Space::L0a | Space::L0b);
                if operand && tile.dtype == tilewright_ir::DType::F32 {
                    for i in 0..tile.slots {
                        let slot = if tile.slots > 1 {
                            format!("[{i}]")
                        } else {
                            String::new()
                        };
                        self.line(&format!("{}{slot}.SetKAligned(false);", v.name));
                    }
                }
            }
        }
        self.early_extents(&views);
        if let Some(name) = self.merges.clone() {
            self.line(&format!("MrgSortExecutedNumList {name};"));
        }
        for (array, name) in self.kernel.arrays.iter().zip(self.names.arrays.clone()) {
            let len = array.len;
            self.line(&format!("int32_t {name}[{len}];"));
            self.line(&format!("for (int i = 0; i < {len}; ++i) {{"));
            self.line(&format!("{INDENT}{name}[i] = 0;"));
            self.line("}");
        }
        let filled = registers_of(statements);
        for r in 0..self.names.registers.len() {
            let here = filled.contains(&r);
            if here && self.wide_registers[r] && !self.names.registers[r].is_empty() {
                let name = self.names.registers[r].clone();
                self.line(&format!("int64_t {name} = 0;"));
            }
        }
        self.blank();
        std::mem::replace(&mut self.lines, body)
    }

    /// Grid coordinates that are used.
    fn coordinates(&mut self, statements: &[Stmt]) {
        let mut used = IndexSet::new();
        let mut sub = false;
        count_vars(statements, &mut |v| match v {
            Var::Grid(i) => {
                used.insert(i);
            }
            Var::Sub => sub = true,
            _ => {}
        });
        let grid = &self.kernel.launch.grid;
        let one_axis = grid.iter().filter(|a| a.count > 1).count() <= 1;
        for (i, axis) in grid.iter().enumerate() {
            if !used.contains(&i) {
                continue;
            }
            let inner: Vec<String> = (i + 1..grid.len())
                .filter(|i| grid[*i].count > 1)
                .map(|i| {
                    self.names
                        .constants
                        .named(&self.names.blocks[i], grid[i].count as i64)
                })
                .collect();
            let mut text = "get_block_idx()".to_owned();
            if !one_axis {
                text = match inner.as_slice() {
                    [] => text,
                    [n] => format!("{text} / {n}"),
                    more => format!("{text} / ({})", more.join(" * ")),
                };
                if grid[..i].iter().any(|a| a.count > 1) {
                    let n = self
                        .names
                        .constants
                        .named(&self.names.blocks[i], axis.count as i64);
                    text = format!("{text} % {n}");
                }
            }
            let name = self.names.grid[i].clone();
            self.line(&format!("const int {name} = {text};"));
        }
        if sub {
            let name = self.sub.clone();
            self.line(&format!("const int {name} = get_subblockid();"));
        }
    }

    /// Extents that depend on arguments and the block only.
    fn early_extents(&mut self, views: &[View]) {
        let early = std::mem::take(&mut self.early);
        for (expr, limit, name) in &early {
            self.blank();
            let text = self.clamped(expr, *limit, name);
            self.line(&text);
            for v in views {
                if v.ty.run_time() != Some((expr, *limit)) {
                    continue;
                }
                let call = extent_call(&v.ty);
                let tile = &self.kernel.tiles[v.tile];
                for i in 0..tile.slots {
                    let slot = if tile.slots > 1 {
                        format!("[{i}]")
                    } else {
                        String::new()
                    };
                    self.line(&format!("{}{slot}.{call}({name});", v.name));
                }
            }
        }
    }
}

fn write_lines(out: &mut String, lines: Vec<String>) {
    for line in lines {
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// The function of a part of a mixed kernel.
pub(crate) fn part_name(kernel: &str, unit: Unit) -> String {
    format!("{kernel}_on_{}", unit.name())
}

fn space_name(space: Space) -> &'static str {
    match space {
        Space::Ub => "Unified buffer",
        Space::L1 => "L1",
        Space::L0a => "L0A",
        Space::L0b => "L0B",
        Space::L0c => "L0C",
    }
}
