//! Tiles that fit the sizes of a layer.

use super::edit::Edit;
use tilewright_ir::dtype::DType;
use tilewright_ir::graph::Graph;
use tilewright_ir::op::Type;

/// Gives every tile that does not divide its axis a size that does.
pub(super) fn fit(edit: &mut Edit, graph: &Graph) {
    for (at, region) in graph.regions.iter().enumerate() {
        let Some(schedule) = &region.schedule else {
            continue;
        };
        for (name, tile) in &schedule.tiles {
            let Some(axis) = graph.params.get(&tile.axis) else {
                continue;
            };
            let Ok(extent) = usize::try_from(*axis) else {
                continue;
            };
            let fitting = largest(extent, tile.size, grain(graph, at, &tile.axis));
            if tile.size < extent && fitting != tile.size {
                edit.set_tile(&region.name, name, fitting);
            }
        }
    }
}

/// What a tile of the axis is a multiple of in a region: columns go in blocks of 32 bytes and in fractals, of 32 columns for int8 and of 16
/// for what is wider. Rows are counted one by one.
fn grain(graph: &Graph, region: usize, axis: &str) -> usize {
    let columns = |ty: &Type| {
        let named = ty.shape.last()?.axis.as_deref() == Some(axis);
        (named && ty.shape.len() > 1).then_some(ty.dtype)
    };
    let of = |dtype| match dtype {
        DType::I8 => 32,
        _ => 16,
    };
    let nodes = graph.nodes.node_indices();
    let inside = nodes.filter(|node| graph.node(*node).region == Some(region));
    let types = inside.flat_map(|node| {
        let outputs = graph.node(node).outputs.iter().map(|o| &o.ty);
        let operands = graph.operands(node).into_iter().map(|v| graph.ty(v));
        outputs.chain(operands).collect::<Vec<_>>()
    });
    types.filter_map(columns).map(of).max().unwrap_or(1)
}

/// The largest divisor of an extent that is a multiple of the grain and at most a limit; the whole extent if there is none, since
/// only a whole axis may end within a fractal.
fn largest(extent: usize, limit: usize, grain: usize) -> usize {
    let sizes = (1..=limit.min(extent)).rev();
    let mut whole = sizes.filter(|n| n % grain == 0);
    whole.find(|n| extent.is_multiple_of(*n)).unwrap_or(extent)
}

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn a_tile_divides_and_is_whole_grains() {
        assert_eq!(largest(2048, 256, 32), 256);
        assert_eq!(largest(1408, 256, 32), 128);
        assert_eq!(largest(1408, 512, 32), 352);
        assert_eq!(largest(2880, 256, 32), 192);
        assert_eq!(largest(2880, 256, 16), 240);
        assert_eq!(largest(12, 8, 1), 6);
        // 120 has no divisor of whole grains.
        assert_eq!(largest(120, 64, 16), 120);
    }
}
