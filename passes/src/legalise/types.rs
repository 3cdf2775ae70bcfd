//! Element types that a core does not compute on, or casts to another in one step: the same values by way of a type that has them all.
//!
//! - What is computed of bf16 is computed of f32 and rounded once, as the operation says; so are sums of f16. Of i8 it is computed of
//!   f16, in which a result is exact or beyond what i8 holds, so that it ends at the same limit.
//! - A cast goes through types that hold each value of the first one; only its last step rounds.

use crate::rebuild::Rebuild;
use tilewright_ir::dtype::{DType, Round};
use tilewright_ir::graph::{GraphError, Node, Op, Prim, Reduce, Value};
use tilewright_ir::kernel::has_cast;
use tilewright_ir::op::OpError;

/// The type in which a primitive is computed whose operands are of a type that cores do not compute on: `None` where they do.
///
/// # Errors
///
/// No type that they compute on holds all values of this one.
pub fn wider(prim: &Prim, own: DType) -> Result<Option<DType>, String> {
    let Some(types) = prim.computed_on() else {
        return Ok(None);
    };
    let sum = matches!(prim, Prim::RowReduce(Reduce::Sum));
    if sum && own == DType::F16 {
        // A core adds in f16 and rounds each time: of a long row little is right then.
        return Ok(Some(DType::F32));
    }
    if types.contains(&own) {
        return Ok(None);
    }
    // A sum of many may leave the wider type before it comes back.
    let exact = own.is_float() || !sum;
    let there_and_back =
        |to: &&DType| own.widens_to(**to) && has_cast(own, **to) && has_cast(**to, own);
    let wide = types.iter().find(there_and_back).filter(|_| exact);
    let names: Vec<&str> = types.iter().map(|t| t.name()).collect();
    wide.map(|to| Some(*to)).ok_or_else(|| names.join(" or "))
}

/// The types that a cast goes through before its last step; `None` where there is no way.
fn steps(from: DType, to: DType) -> Option<Vec<DType>> {
    let mut ways = vec![vec![]];
    // Breadth first: the shortest way.
    for _ in DType::ALL {
        let last = |way: &Vec<DType>| way.last().copied().unwrap_or(from);
        if let Some(way) = ways.iter().find(|way| has_cast(last(way), to)) {
            return Some(way.clone());
        }
        let on = |way: &Vec<DType>| {
            let next = DType::ALL.into_iter();
            let next = next.filter(|t| from.widens_to(*t) && has_cast(last(way), *t));
            next.map(|t| [way.clone(), vec![t]].concat()).collect()
        };
        let longer: Vec<Vec<Vec<DType>>> = ways.iter().map(on).collect();
        ways = longer.concat();
    }
    None
}

/// The node's results by way of another type; `None` where cores do it as it is.
pub(super) fn widened(
    rebuild: &mut Rebuild,
    node: &Node,
    prim: &Prim,
    operands: &[Value],
) -> Result<Option<Vec<Value>>, GraphError> {
    let Some(first) = operands.first() else {
        return Ok(None);
    };
    let own = rebuild.out.ty(*first).dtype;
    let refused = |expected: String, rebuild: &Rebuild| GraphError::AtNode {
        node: node
            .outputs
            .first()
            .map(|o| o.name.clone())
            .unwrap_or_default(),
        error: Box::new(GraphError::from(OpError::Element {
            op: node.op.name().into(),
            operand: 1,
            found: rebuild.out.ty(*first).clone(),
            expected,
        })),
    };
    if let Prim::Cast { to, round } = *prim {
        if own == to || has_cast(own, to) {
            return Ok(None);
        }
        let Some(way) = steps(own, to) else {
            let from: Vec<&str> = DType::ALL
                .into_iter()
                .filter(|from| *from != own && steps(*from, to).is_some())
                .map(DType::name)
                .collect();
            let what = format!("{}, which kernels cast to {to}", from.join(" or "));
            return Err(refused(what, rebuild));
        };
        let mut x = *first;
        for to in way {
            x = cast(rebuild, x, to, Round::Rint)?;
        }
        let last = Op::Prim(Prim::Cast { to, round });
        return Ok(Some(rebuild.operation(&["result".into()], last, &[x])?));
    }
    let wide = wider(prim, own);
    let wide =
        wide.map_err(|types| refused(format!("{types}, which kernels compute on"), rebuild))?;
    let Some(wide) = wide else {
        return Ok(None);
    };
    let mut of = vec![];
    for x in operands {
        // An index stays what it is.
        of.push(match rebuild.out.ty(*x).dtype == own {
            true => cast(rebuild, *x, wide, Round::Rint)?,
            false => *x,
        });
    }
    let result = rebuild.operation(&["wide".into()], node.op.clone(), &of)?;
    Ok(Some(vec![cast(rebuild, result[0], own, Round::Rint)?]))
}

fn cast(rebuild: &mut Rebuild, x: Value, to: DType, round: Round) -> Result<Value, GraphError> {
    let op = Op::Prim(Prim::Cast { to, round });
    Ok(rebuild.operation(&[format!("{to}")], op, &[x])?[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tilewright_ir::graph::{Binary, Unary};

    #[test]
    fn work_is_done_in_the_nearest_type_that_holds_all_values() {
        let add = Prim::Binary(Binary::Add);
        assert_eq!(wider(&add, DType::Bf16), Ok(Some(DType::F32)));
        assert_eq!(wider(&add, DType::I8), Ok(Some(DType::F16)));
        assert_eq!(wider(&add, DType::F16), Ok(None));
        assert_eq!(
            wider(&Prim::Unary(Unary::Exp), DType::Bf16),
            Ok(Some(DType::F32))
        );
        assert_eq!(
            wider(&Prim::RowReduce(Reduce::Sum), DType::F16),
            Ok(Some(DType::F32))
        );
        assert_eq!(wider(&Prim::GatherCols, DType::Bf16), Ok(Some(DType::F32)));
        assert!(wider(&add, DType::U32).is_err());
        assert!(wider(&Prim::RowReduce(Reduce::Sum), DType::I8).is_err());
        assert_eq!(
            wider(&Prim::RowReduce(Reduce::Max), DType::I8),
            Ok(Some(DType::F16))
        );
    }

    #[test]
    fn a_cast_goes_only_through_types_that_keep_all_of_it() {
        assert_eq!(steps(DType::I8, DType::F32), Some(vec![DType::F16]));
        assert_eq!(steps(DType::I8, DType::I32), Some(vec![DType::F16]));
        assert_eq!(steps(DType::Bf16, DType::F16), Some(vec![DType::F32]));
        // By way of f16 large numbers would be rounded twice.
        assert_eq!(steps(DType::F32, DType::I8), None);
        assert_eq!(steps(DType::U32, DType::F32), None);
    }
}
