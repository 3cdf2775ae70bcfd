//! Integers: constants are folded, and the range of what does not depend on data is known.

use super::{Check, Checked, Named, Range};
use crate::dtype::DType;
use crate::op::exchange::ExchangeError;
use crate::op::exchange::program::{Arith, Int, Place, Source};
use crate::syntax::ast::{Expr, ExprKind, Ident, Infix, Slice, Span};
use crate::syntax::print_expr;

impl Check<'_> {
    /// An integer, and its range.
    pub(super) fn integer(&mut self, expr: &Expr) -> Checked<(Int, Range)> {
        match &expr.kind {
            ExprKind::Number(text) => match text.parse::<i64>() {
                Ok(n) => Ok(constant(n)),
                Err(_) => Err(self.arithmetic(
                    expr.span,
                    format!("`{text}` is no whole number"),
                    "counts, indices and ranks are whole numbers",
                )),
            },
            ExprKind::Name(name) => {
                let ident = Ident {
                    name: name.clone(),
                    span: expr.span,
                };
                self.integer_named(&ident)
            }
            ExprKind::Paren(inner) => self.integer(inner),
            ExprKind::Negate(inner) => {
                let inner = self.integer(inner)?;
                self.computed(Arith::Sub, constant(0), inner, expr)
            }
            ExprKind::Infix { op, left, right } => {
                let (left, right) = (self.integer(left)?, self.integer(right)?);
                let op = match op {
                    Infix::Add => Arith::Add,
                    Infix::Sub => Arith::Sub,
                    Infix::Mul => Arith::Mul,
                    Infix::Div => Arith::Div,
                    Infix::Rem => Arith::Rem,
                };
                self.computed(op, left, right, expr)
            }
            ExprKind::Call { name, args, attrs } => {
                let op = match name.name.as_str() {
                    "min" => Some(Arith::Min),
                    "max" => Some(Arith::Max),
                    _ => None,
                };
                let (Some(op), [left, right], []) = (op, &args[..], &attrs[..]) else {
                    return Err(self.arithmetic(
                        expr.span,
                        format!("`{}` is no integer", print_expr(expr)),
                        "integers are made with + - * / % and min(a, b), max(a, b)",
                    ));
                };
                let (left, right) = (self.integer(left)?, self.integer(right)?);
                self.computed(op, left, right, expr)
            }
            ExprKind::Index { name, at } => self.element(name, at),
        }
    }

    fn integer_named(&mut self, name: &Ident) -> Checked<(Int, Range)> {
        match self.named(&name.name, name.span)? {
            Named::Const(n) => Ok(constant(n)),
            Named::Int(int, range) => Ok((int, range)),
            Named::Variable(v) => Ok((Int::Variable(v), None)),
            other => Err(self.kind(
                name,
                &other,
                ("an integer", "take an element of it: `NAME[row, column]`"),
            )),
        }
    }

    /// An element that is read.
    fn element(&mut self, name: &Ident, at: &[Slice]) -> Checked<(Int, Range)> {
        let named = self.named(&name.name, name.span)?;
        let (of, (dtype, rows, cols), vector) = match named {
            Named::Array(a) => {
                let length = self.program.arrays[a].length;
                (Source::Array(a), (DType::I32, 1, length), true)
            }
            Named::View(v) => {
                let of = &self.program.views[v].of;
                let (rows, cols, vector) = (of.rows, of.cols, self.is_vector(of.place));
                (Source::View(v), (DType::I32, rows, cols), vector)
            }
            Named::Memory(place @ (Place::Operand(_) | Place::Window(_))) => {
                let vector = self.is_vector(place);
                (Source::Memory(place), self.extent(place), vector)
            }
            other => {
                let help = match other {
                    Named::Memory(_) => {
                        "a result is only written: keep what is needed again in an array or a window"
                    }
                    Named::Tile(_) => {
                        "the scalar unit reads no tiles: read the memory that the tile was loaded from"
                    }
                    _ => {
                        "elements are of arrays, of operands and windows of integers, and of what `read` names"
                    }
                };
                return Err(self.kind(name, &other, ("an element's home", help)));
            }
        };
        if !matches!(dtype, DType::I32 | DType::U32 | DType::I64) {
            return Err(ExchangeError::ElementType {
                at: self.at(name.span),
                what: format!("`{name}` is {dtype}, which the scalar unit does not compute with"),
                help: "take integers of type i32, u32 or i64; others are moved through tiles"
                    .into(),
            });
        }
        let exact = at.iter().all(|s| s.count.is_none());
        let (row, col) = match at {
            [i] if exact && vector => (constant(0), self.integer(&i.start)?),
            [i] if exact && cols == 1 => (self.integer(&i.start)?, constant(0)),
            [r, c] if exact && !vector => (self.integer(&r.start)?, self.integer(&c.start)?),
            _ => {
                return Err(self.shape_error(
                    name.span,
                    format!("one element of `{name}`, {rows} x {cols}, is needed"),
                    "name its row and its column: `NAME[row, column]`",
                ));
            }
        };
        self.within(name, ("rows", row.1, 1), rows)?;
        self.within(name, ("columns", col.1, 1), cols)?;
        let int = Int::Element {
            of,
            row: Box::new(row.0),
            col: Box::new(col.0),
        };
        Ok((int, None))
    }

    /// An index with so many elements after it lies in what it indexes.
    pub(super) fn within(
        &self,
        name: &Ident,
        (axis, range, count): (&'static str, Range, usize),
        limit: usize,
    ) -> Checked<()> {
        let Some((low, high)) = range else {
            return Ok(());
        };
        let end = high.saturating_add(count as i64);
        if low >= 0 && end <= limit as i64 {
            return Ok(());
        }
        Err(ExchangeError::Bounds {
            at: self.at(name.span),
            name: name.name.clone(),
            axis,
            low,
            high: end,
            limit,
        })
    }

    fn computed(
        &self,
        op: Arith,
        (a, a_range): (Int, Range),
        (b, b_range): (Int, Range),
        expr: &Expr,
    ) -> Checked<(Int, Range)> {
        if matches!(op, Arith::Div | Arith::Rem) {
            self.divides(a_range, b_range, expr)?;
        }
        if let (Int::Const(a), Int::Const(b)) = (&a, &b) {
            return match op.apply(*a, *b) {
                Some(n) => Ok(constant(n)),
                None => Err(self.arithmetic(
                    expr.span,
                    format!("`{}` overflows", print_expr(expr)),
                    "use smaller numbers: integers have 64 bits",
                )),
            };
        }
        let range = range(op, a_range, b_range);
        let int = match (op, &a, &b) {
            (Arith::Add, Int::Const(0), _) | (Arith::Mul, Int::Const(1), _) => b,
            (Arith::Add | Arith::Sub, _, Int::Const(0))
            | (Arith::Mul | Arith::Div, _, Int::Const(1)) => a,
            _ => Int::Arith(op, Box::new(a), Box::new(b)),
        };
        Ok((int, range))
    }

    /// A dividend is not negative and a divisor is positive.
    fn divides(&self, dividend: Range, divisor: Range, expr: &Expr) -> Checked<()> {
        if divisor.is_some_and(|(low, _)| low <= 0) {
            let (low, high) = divisor.unwrap_or_default();
            let what = match low == 0 && high == 0 {
                true => format!("`{}` divides by zero", print_expr(expr)),
                false => format!(
                    "the divisor of `{}` is from {low} to {high}",
                    print_expr(expr)
                ),
            };
            return Err(self.arithmetic(expr.span, what, "divide by what is at least 1"));
        }
        if let Some((low, _)) = dividend.filter(|(low, _)| *low < 0) {
            return Err(self.arithmetic(
                expr.span,
                format!(
                    "`{}` divides what may be as little as {low}",
                    print_expr(expr)
                ),
                "add a multiple of the divisor first: `(rank - step + ranks) % ranks`",
            ));
        }
        Ok(())
    }

    pub(super) fn arithmetic(&self, span: Span, what: String, help: &str) -> ExchangeError {
        ExchangeError::Arithmetic {
            at: self.at(span),
            what,
            help: help.into(),
        }
    }

    /// An integer that is known here.
    pub(super) fn constant(&mut self, expr: &Expr) -> Checked<i64> {
        match self.integer(expr)? {
            (Int::Const(n), _) => Ok(n),
            _ => Err(self.rule(
                expr.span,
                format!("`{}` is not known before a run", print_expr(expr)),
                "sizes and bounds of loops are made of sizes, attributes and `ranks`; for fewer trips write `if i < n { ... }` in the loop",
            )),
        }
    }

    /// A size, from 1 up to a limit.
    pub(super) fn size(&mut self, expr: &Expr, what: &str, limit: i64) -> Checked<usize> {
        let value = self.constant(expr)?;
        if (1..=limit).contains(&value) {
            return Ok(value as usize);
        }
        Err(ExchangeError::Size {
            at: self.at(expr.span),
            what: format!("{what} `{}`", print_expr(expr)),
            value,
            low: 1,
            high: limit,
        })
    }
}

pub(super) fn constant(n: i64) -> (Int, Range) {
    (Int::Const(n), Some((n, n)))
}

fn range(op: Arith, a: Range, b: Range) -> Range {
    // A remainder by a number is below it, whatever is divided.
    if let (Arith::Rem, None, Some((low, high))) = (op, a, b)
        && low > 0
    {
        return Some((0, high - 1));
    }
    let ((a0, a1), (b0, b1)) = (a?, b?);
    let ends = |f: fn(i64, i64) -> Option<i64>| {
        let all = [f(a0, b0)?, f(a0, b1)?, f(a1, b0)?, f(a1, b1)?];
        Some((*all.iter().min()?, *all.iter().max()?))
    };
    match op {
        Arith::Add => Some((a0.checked_add(b0)?, a1.checked_add(b1)?)),
        Arith::Sub => Some((a0.checked_sub(b1)?, a1.checked_sub(b0)?)),
        Arith::Mul => ends(i64::checked_mul),
        Arith::Div => ends(i64::checked_div),
        Arith::Rem if b0 == b1 && a1 < b0 => Some((a0, a1)),
        Arith::Rem => Some((0, a1.min(b1 - 1))),
        Arith::Min => Some((a0.min(b0), a1.min(b1))),
        Arith::Max => Some((a0.max(b0), a1.max(b1))),
    }
}
