//! Memory maps: who has which bytes of an on-chip memory, from which instruction to which.

use super::kernels::Kernel;
use super::parts::{COLOURS, at, bytes, count, figure, percent};
use crate::detail::{Buffer, MemoryMap};
use maud::{Markup, html};

/// Of the drawing: the room for addresses, for instructions, and above for loops.
const LEFT: f64 = 56.0;
const WIDTH: f64 = 460.0;
/// Of a map with many buffers, and of one with few.
const HEIGHTS: [f64; 2] = [150.0, 72.0];
const FEW: usize = 5;
const LOOP: f64 = 13.0;

pub fn view(k: &Kernel) -> Markup {
    html! {
        @for map in &k.details.memory { (draw(&k.report.name, map)) }
        @if k.details.memory.is_empty() { p.hint { "No tiles: the scalar unit does it all." } }
    }
}

/// How deep each loop lies in others.
fn depths(map: &MemoryMap) -> Vec<usize> {
    let inside = |i: usize, j: usize| {
        let (a, b) = (&map.loops[i], &map.loops[j]);
        b.first <= a.first && a.last <= b.last
    };
    (0..map.loops.len())
        .map(|i| (0..i).filter(|j| inside(i, *j)).count())
        .collect()
}

fn draw(kernel: &str, map: &MemoryMap) -> Markup {
    let name = map.space.name().to_uppercase();
    let height = HEIGHTS[usize::from(map.buffers.len() <= FEW)];
    let depths = depths(map);
    let top = LOOP * depths.iter().map(|d| d + 1).max().unwrap_or(0) as f64 + 4.0;
    let x = |position: usize| LEFT + WIDTH * position as f64 / map.positions.max(1) as f64;
    let top_of_memory = map.used.max(1) as f64;
    let y = |address: usize| top + height * (1.0 - address as f64 / top_of_memory);
    let size = (LEFT + WIDTH + 4.0, top + height + 22.0);
    let svg = html! {
        svg.chart viewBox={ "0 0 " (at(size.0)) " " (at(size.1)) } role="img" aria-label={ (name) " of " (kernel) } {
            rect.plot x=(LEFT) y=(at(top)) width=(WIDTH) height=(height) {}
            @for (span, depth) in map.loops.iter().zip(&depths) {
                g.loop data-say="" {
                    title { "loop " (span.name) ", " (count(span.trips, "trip")) }
                    rect x=(at(x(span.first))) y=(at(*depth as f64 * LOOP)) width=(at(x(span.last + 1) - x(span.first)))
                        height=(at(top + height - *depth as f64 * LOOP)) rx="2" {}
                    @if x(span.last + 1) - x(span.first) > 7.0 * span.name.len() as f64 {
                        text x=(at(x(span.first) + 4.0)) y=(at((*depth as f64 + 1.0) * LOOP - 3.0)) { (span.name) }
                    }
                }
            }
            @for (i, b) in map.buffers.iter().enumerate() {
                (buffer(b, colour(map, i), (x(b.first), x(b.last + 1)), (y(b.address + b.bytes), y(b.address))))
            }
            text.tick.end x=(at(LEFT - 6.0)) y=(at(top + height)) { "0" }
            text.tick.end x=(at(LEFT - 6.0)) y=(at(top + 9.0)) { (bytes(map.used)) }
            text.tick.start x=(LEFT) y=(at(top + height + 15.0)) { "instructions in program order" }
        }
    };
    let share = map.used as f64 / map.capacity.max(1) as f64;
    let note = format!(
        "{name}: {} of {}, {}; {}",
        bytes(map.used),
        bytes(map.capacity),
        percent(share),
        count(map.buffers.len(), "buffer")
    );
    figure(&format!("{name} of {kernel}"), &svg, &note)
}

/// Slots of one tile have one colour.
fn colour(map: &MemoryMap, buffer: usize) -> usize {
    let mut names: Vec<&str> = vec![];
    for b in &map.buffers[..=buffer] {
        if !names.contains(&b.tile.as_str()) {
            names.push(&b.tile);
        }
    }
    let own = names.iter().position(|n| *n == map.buffers[buffer].tile);
    own.unwrap_or(0) % COLOURS
}

fn buffer(
    b: &Buffer,
    colour: usize,
    (left, right): (f64, f64),
    (top, bottom): (f64, f64),
) -> Markup {
    let slot = match b.slots {
        1 => String::new(),
        n => format!(", slot {} of {n}", b.slot + 1),
    };
    let end = b.address + b.bytes;
    let title = format!(
        "{}{slot}: {}, bytes {} to {end} ({})",
        b.tile,
        b.shape,
        b.address,
        bytes(b.bytes)
    );
    let wide = right - left > 6.2 * b.tile.len() as f64 + 6.0 && bottom - top > 11.0;
    html! {
        g.buffer data-say="" {
            title { (title) }
            rect.{ "k" (colour) } x=(at(left)) y=(at(top)) width=(at((right - left).max(1.5))) height=(at((bottom - top).max(1.0))) rx="1.5" {}
            @if wide { text x=(at(left + 4.0)) y=(at((top + bottom) / 2.0 + 3.5)) { (b.tile) } }
        }
    }
}
