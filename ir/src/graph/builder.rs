//! Builds a graph in Rust.

use super::Rows;
use super::verify::{check_input, check_ragged, check_type};
use super::{
    Accuracy, Binary, Block, Dim, Graph, GraphError, Hold, InputSpec, Node, Op, Output, Prim,
    Region, Schedule, Type, Use, Value, check_counts, infer, name_counts, pair, verify,
};
use crate::dtype::{DType, Round};
use crate::op::AttrValue;
use indexmap::IndexMap;
use petgraph::graph::DiGraph;
use std::collections::HashSet;

/// One dimension as an author writes it: a named size of the graph, or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// A size declared with [`Builder::param`]; the dimension keeps the name as its axis.
    Named(String),
    /// A plain number.
    Number(usize),
}

impl From<&str> for Size {
    fn from(name: &str) -> Self {
        Size::Named(name.into())
    }
}

impl From<usize> for Size {
    fn from(size: usize) -> Self {
        Size::Number(size)
    }
}

/// Builds a [`Graph`] node by node; [`Builder::finish`] verifies it.
///
/// ```
/// use tilewright_ir::DType;
/// use tilewright_ir::graph::{Builder, Op};
///
/// # fn main() -> Result<(), tilewright_ir::graph::GraphError> {
/// let mut b = Builder::new("norm");
/// b.param("T", 8)?;
/// b.param("D", 256)?;
/// let x = b.input("x", DType::Bf16, ["T", "D"])?;
/// let w = b.input("w", DType::Bf16, ["D"])?;
/// b.kernel("rms_norm", None)?;
/// let norm = Op::composite("rms_norm", &[("eps", 1e-6.into())])?;
/// let y = b.op_named(&["y"], norm, &[x, w])?;
/// b.output(y[0]);
/// let graph = b.finish()?;
/// assert_eq!(graph.ty(y[0]).to_string(), "bf16[8, 256]");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    graph: Graph,
    values: IndexMap<String, Value>,
    reserved: HashSet<String>,
}

impl Builder {
    /// A builder of an empty graph.
    pub fn new(name: impl Into<String>) -> Self {
        Builder {
            graph: Graph {
                name: name.into(),
                params: IndexMap::new(),
                nodes: DiGraph::new(),
                regions: vec![],
                outputs: vec![],
                ranks: None,
                capacity: None,
                carried: IndexMap::new(),
                within: IndexMap::new(),
                expected: IndexMap::new(),
            },
            values: IndexMap::new(),
            reserved: HashSet::new(),
        }
    }

    /// Declares a named size or other whole-number constant.
    ///
    /// # Errors
    ///
    /// The name is taken.
    pub fn param(&mut self, name: &str, value: i64) -> Result<(), GraphError> {
        self.free(name)?;
        super::verify::check_param_name(name)?;
        self.graph.params.insert(name.into(), value);
        Ok(())
    }

    /// How many ranks run the graph together, as declared so far.
    pub fn rank_count(&self) -> usize {
        self.graph.ranks()
    }

    /// Declares the number of ranks that run the graph together.
    ///
    /// # Errors
    ///
    /// The name is taken, a number was declared before, or it is none of [`super::RANKS`].
    pub fn ranks(&mut self, name: &str, value: i64) -> Result<(), GraphError> {
        super::ranks::check_ranks(name, value)?;
        self.param(name, value)?;
        match self.graph.ranks.replace(name.into()) {
            None => Ok(()),
            Some(first) => Err(GraphError::RanksTwice {
                first,
                second: name.into(),
            }),
        }
    }

    /// Declares the size that bounds what a rank may receive.
    ///
    /// # Errors
    ///
    /// The name is taken, or one was declared before.
    pub fn capacity(&mut self, name: &str, value: i64) -> Result<(), GraphError> {
        self.param(name, value)?;
        match self.graph.capacity.replace(name.into()) {
            None => Ok(()),
            Some(first) => Err(GraphError::CapacityTwice {
                first,
                second: name.into(),
            }),
        }
    }

    /// Declares an input.
    ///
    /// # Errors
    ///
    /// The name is taken, a size is unknown or out of range.
    pub fn input<S: Into<Size>>(
        &mut self,
        name: &str,
        dtype: DType,
        shape: impl IntoIterator<Item = S>,
    ) -> Result<Value, GraphError> {
        self.input_with(name, dtype, shape, InputSpec::default())
    }

    /// Declares an input and what it may hold.
    ///
    /// # Errors
    ///
    /// As [`Builder::input`], and when the range does not fit the type.
    pub fn input_with<S: Into<Size>>(
        &mut self,
        name: &str,
        dtype: DType,
        shape: impl IntoIterator<Item = S>,
        spec: InputSpec,
    ) -> Result<Value, GraphError> {
        let mut dims = vec![];
        for size in shape {
            dims.push(match size.into() {
                Size::Number(size) => Dim::new(size),
                Size::Named(axis) => match self.graph.params.get(&axis) {
                    None => return Err(GraphError::UnknownSize { name: axis }),
                    Some(value) => match usize::try_from(*value) {
                        Ok(size) => Dim::named(size, axis),
                        Err(_) => {
                            return Err(GraphError::Size {
                                value: name.into(),
                                size: value.to_string(),
                            });
                        }
                    },
                },
            });
        }
        self.input_typed(name, Type::new(dtype, dims), spec)
    }

    /// Declares an input of a type.
    ///
    /// # Errors
    ///
    /// As [`Builder::input_with`].
    pub fn input_typed(
        &mut self,
        name: &str,
        ty: Type,
        spec: InputSpec,
    ) -> Result<Value, GraphError> {
        self.free(name)?;
        check_type(name, &ty, &self.graph.params)?;
        let counts = ty.ragged.as_ref().and_then(|r| self.value(&r.counts));
        check_ragged(name, &ty, counts.map(|c| self.ty(c)))?;
        check_input(name, &ty, &spec)?;
        let outputs = vec![Output {
            name: name.into(),
            ty,
        }];
        Ok(self.push(Op::Input, outputs, spec, &[])[0])
    }

    /// Starts a kernel: the operations that follow belong to it.
    ///
    /// # Errors
    ///
    /// A kernel of that name exists.
    pub fn kernel(&mut self, name: &str, schedule: Option<Schedule>) -> Result<(), GraphError> {
        if self.graph.regions.iter().any(|r| r.name == name) {
            return Err(GraphError::DuplicateRegion { name: name.into() });
        }
        self.graph.regions.push(Region {
            name: name.into(),
            schedule,
            holds: vec![],
        });
        Ok(())
    }

    /// Holds a parameter of the kernel that was started last.
    ///
    /// # Errors
    ///
    /// No kernel was started.
    pub fn hold(&mut self, hold: Hold) -> Result<(), GraphError> {
        let no_region = || GraphError::NoRegion {
            node: hold.part.clone(),
        };
        let region = self.graph.regions.last_mut().ok_or_else(no_region)?;
        region.holds.push(hold);
        Ok(())
    }

    /// Adds an operation with named results.
    ///
    /// # Errors
    ///
    /// No kernel was started, a name is taken, the operands do not fit, or the count of names is not that of the results.
    pub fn op_named(
        &mut self,
        names: &[&str],
        op: Op,
        operands: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        let types = self.infer(names.first().copied(), &op, operands)?;
        self.add(names, op, operands, types)
    }

    /// Adds an operation; its results get names derived from the operation's.
    ///
    /// # Errors
    ///
    /// As [`Builder::op_named`].
    pub fn op(&mut self, op: Op, operands: &[Value]) -> Result<Vec<Value>, GraphError> {
        let types = self.infer(None, &op, operands)?;
        let mut names = vec![];
        for _ in &types {
            let name = self.fresh(op.name());
            self.reserve(&name);
            names.push(name);
        }
        for name in &names {
            self.reserved.remove(name);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.add(&names, op, operands, types)
    }

    /// Adds a composite of the library; its results get names derived from it.
    ///
    /// # Errors
    ///
    /// As [`Builder::op_named`]; the library has none of the name, or it has other attributes.
    pub fn composite(
        &mut self,
        name: &str,
        attributes: &[(&str, AttrValue)],
        operands: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        self.op(Op::composite(name, attributes)?, operands)
    }

    /// Adds a primitive with an automatic name.
    ///
    /// # Errors
    ///
    /// As [`Builder::op_named`].
    pub fn prim(&mut self, prim: Prim, operands: &[Value]) -> Result<Value, GraphError> {
        Ok(self.op(Op::Prim(prim), operands)?[0])
    }

    /// Adds an element-wise operation of two values, in the form that their shapes ask for.
    ///
    /// # Errors
    ///
    /// As [`Builder::op_named`]; no form fits the two shapes.
    pub fn binary(&mut self, op: Binary, left: Value, right: Value) -> Result<Value, GraphError> {
        let (prim, swap) = pair(op, self.ty(left), self.ty(right))?;
        let operands = if swap { [right, left] } else { [left, right] };
        self.prim(prim, &operands)
    }

    /// Adds a cast that rounds to nearest, ties to even.
    ///
    /// # Errors
    ///
    /// As [`Builder::op_named`].
    pub fn cast(&mut self, x: Value, to: DType) -> Result<Value, GraphError> {
        let round = Round::Rint;
        self.prim(Prim::Cast { to, round }, &[x])
    }

    /// Names a result of the graph.
    pub fn output(&mut self, value: Value) {
        self.graph.outputs.push(value);
    }

    /// Makes an output an input of the next run of the layer.
    ///
    /// # Errors
    ///
    /// An input that is not there, of another type, or carried to already.
    pub fn carry(&mut self, output: Value, input: &str) -> Result<(), GraphError> {
        let name = self.graph.name(output).to_string();
        self.graph.carried.insert(name.clone(), input.into());
        super::ranks::check_feed(&self.graph, &name, input)
    }

    /// Says how near an output must come to what is expected, where the default of its element type is not right.
    ///
    /// # Errors
    ///
    /// No accuracy: a part that is below 0 or not finite.
    pub fn within(&mut self, value: Value, accuracy: Accuracy) -> Result<(), GraphError> {
        let name = self.graph.name(value).to_string();
        if let Some(problem) = accuracy.problem() {
            return Err(GraphError::Within { name, problem });
        }
        self.graph.within.insert(name, accuracy);
        Ok(())
    }

    /// Keeps automatic names away from a name that comes later.
    pub fn reserve(&mut self, name: &str) {
        self.reserved.insert(name.into());
    }

    /// A name that nothing has yet: `base`, or `base` with a number.
    pub fn fresh(&self, base: &str) -> String {
        let taken = |name: &str| self.taken(name) || self.reserved.contains(name);
        if !taken(base) {
            return base.into();
        }
        let mut number = 1usize;
        loop {
            let name = format!("{base}_{number}");
            if !taken(&name) {
                return name;
            }
            number += 1;
        }
    }

    /// The type of a value added before.
    pub fn ty(&self, value: Value) -> &Type {
        self.graph.ty(value)
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<Value> {
        self.values.get(name).copied()
    }

    /// Names dimensions of a node's results after a declared size: those of that size that have no name yet, and the rows
    /// of groups that an exchange brings, if there are so many at most.
    pub fn name_axes(&mut self, node: petgraph::graph::NodeIndex, axis: &str) {
        let size = self.graph.params.get(axis).copied();
        let Node { op, outputs, .. } = &mut self.graph.nodes[node];
        let rows = size.and_then(|n| usize::try_from(n).ok());
        if let (Op::Exchange(_), Some(size)) = (&op, rows) {
            for ty in outputs.iter_mut().map(|o| &mut o.ty) {
                let groups = ty.ragged.as_ref().map(|r| r.groups);
                if let (Some(groups), Some(rows)) = (groups, ty.shape.first_mut())
                    && groups.checked_mul(size) == Some(rows.size)
                {
                    let axis = axis.into();
                    rows.block = Some(Block { size, axis });
                }
            }
        }
        for dim in outputs.iter_mut().flat_map(|o| &mut o.ty.shape) {
            if dim.axis.is_none() && size == i64::try_from(dim.size).ok() {
                dim.axis = Some(axis.into());
            }
        }
    }

    /// The axes that the values of the last kernel have.
    pub(crate) fn kernel_axes(&self) -> Vec<String> {
        match self.graph.regions.len() {
            0 => vec![],
            n => super::verify::region_axes(&self.graph, n - 1),
        }
    }

    /// The graph, verified.
    ///
    /// # Errors
    ///
    /// Whatever [`verify`] finds.
    pub fn finish(mut self) -> Result<Graph, GraphError> {
        self.graph.expect_rows(&Rows::Said)?;
        verify(&self.graph)?;
        Ok(self.graph)
    }

    fn taken(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.graph.params.contains_key(name)
    }

    fn free(&self, name: &str) -> Result<(), GraphError> {
        if !super::is_identifier(name) {
            return Err(GraphError::Name { name: name.into() });
        }
        if self.taken(name) {
            return Err(GraphError::DuplicateName { name: name.into() });
        }
        Ok(())
    }

    fn infer(
        &self,
        name: Option<&str>,
        op: &Op,
        operands: &[Value],
    ) -> Result<Vec<Type>, GraphError> {
        let operands: Vec<Type> = operands.iter().map(|v| self.ty(*v).clone()).collect();
        let error = match infer(op, &operands, self.graph.ranks()) {
            Ok(types) => return Ok(types),
            Err(error) => error,
        };
        Err(match name {
            None => error.into(),
            Some(name) => GraphError::AtNode {
                node: name.into(),
                error: Box::new(error.into()),
            },
        })
    }

    fn add(
        &mut self,
        names: &[&str],
        op: Op,
        operands: &[Value],
        types: Vec<Type>,
    ) -> Result<Vec<Value>, GraphError> {
        let node = names.first().copied().unwrap_or(op.name());
        if names.len() != types.len() {
            return Err(GraphError::ResultCount {
                node: node.into(),
                op: op.name().into(),
                expected: types.len(),
                found: names.len(),
            });
        }
        let typed = |v: &Value| (self.graph.name(*v), self.graph.ty(*v));
        let typed: Vec<(&str, &Type)> = operands.iter().map(typed).collect();
        check_counts(&op, &typed, self.graph.ranks())?;
        let operand_names: Vec<&str> = operands.iter().map(|v| self.graph.name(*v)).collect();
        let types = name_counts(types, names, &operand_names);
        if self.graph.regions.is_empty() {
            return Err(GraphError::NoRegion { node: node.into() });
        }
        for (i, (name, ty)) in names.iter().zip(&types).enumerate() {
            self.free(name)?;
            if names[..i].contains(name) {
                return Err(GraphError::DuplicateName {
                    name: (*name).into(),
                });
            }
            check_type(name, ty, &self.graph.params)?;
        }
        let outputs = names
            .iter()
            .zip(types)
            .map(|(name, ty)| Output {
                name: (*name).into(),
                ty,
            })
            .collect();
        Ok(self.push(op, outputs, InputSpec::default(), operands))
    }

    fn push(
        &mut self,
        op: Op,
        outputs: Vec<Output>,
        input: InputSpec,
        operands: &[Value],
    ) -> Vec<Value> {
        let region = match op {
            Op::Input => None,
            _ => self.graph.regions.len().checked_sub(1),
        };
        let names: Vec<String> = outputs.iter().map(|o| o.name.clone()).collect();
        let node = self.graph.nodes.add_node(Node {
            op,
            outputs,
            region,
            input,
        });
        for (operand, v) in operands.iter().enumerate() {
            let result = v.result;
            self.graph
                .nodes
                .add_edge(v.node, node, Use { result, operand });
        }
        let mut values = vec![];
        for (result, name) in names.into_iter().enumerate() {
            let value = Value { node, result };
            self.values.insert(name, value);
            values.push(value);
        }
        values
    }
}
