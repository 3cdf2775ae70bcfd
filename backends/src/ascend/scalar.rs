//! Instructions of the scalar unit, and those between ranks.
//!
//! A peer's instance of a window lies as far behind the beginning of the peer's window memory as the rank's own instance
//! lies behind the beginning of its own. A kernel that needs peers gets a table of these beginnings, one address a rank.
//!
//! The data cache of the scalar unit sees no other core, and no other core sees it. So a line is dropped before it is
//! written or read (another core may have changed the rest of it), and written back after it has been written.

use super::error::Fault;
use super::writer::Writer;
use crate::source::index::Axis;
use tilewright_ir::kernel::{ArrayId, Expr, GlobalRef, IntOp, NotifyOp, RegId};

const PEER_OF: &str = "\
// A peer's instance of what lies at `own` in this rank's window memory; `bases` are the beginnings of all ranks'.
template <typename T>
AICORE inline __gm__ T *PeerOf(__gm__ uint64_t *bases, int rank, int peer, __gm__ T *own)
{
    return (__gm__ T *)(bases[peer] + ((uint64_t)own - bases[rank]));
}";

const WRITE_SCALAR: &str = "\
// Writes one element past the scalar unit's data cache.
template <typename T>
AICORE inline void WriteScalar(__gm__ T *to, T value)
{
    dcci((__gm__ void *)to, SINGLE_CACHE_LINE);
    *to = value;
    dcci((__gm__ void *)to, SINGLE_CACHE_LINE);
    dsb(DSB_DDR);
}";

const READ_ARRAY: &str = "\
// Reads elements that lie one after the other past the scalar unit's data cache, each line ({LINE} bytes) once.
template <typename T>
AICORE inline void ReadArray(int32_t *to, __gm__ T *from, int count)
{
    for (uint64_t line = (uint64_t)from / {LINE} * {LINE}; line < (uint64_t)(from + count); line += {LINE}) {
        dcci((__gm__ void *)line, SINGLE_CACHE_LINE);
    }
    for (int i = 0; i < count; ++i) {
        to[i] = (int32_t)from[i];
    }
}";

const WRITE_ARRAY: &str = "\
// Writes elements one after the other past the scalar unit's data cache, each line ({LINE} bytes) once.
template <typename T>
AICORE inline void WriteArray(__gm__ T *to, const int32_t *from, int count)
{
    const uint64_t first = (uint64_t)to / {LINE} * {LINE}, end = (uint64_t)(to + count);
    for (uint64_t line = first; line < end; line += {LINE}) {
        dcci((__gm__ void *)line, SINGLE_CACHE_LINE);
    }
    for (int i = 0; i < count; ++i) {
        to[i] = (T)from[i];
    }
    for (uint64_t line = first; line < end; line += {LINE}) {
        dcci((__gm__ void *)line, SINGLE_CACHE_LINE);
    }
    dsb(DSB_DDR);
}";

const ELEMENT: [Axis; 2] = [Axis::Rows, Axis::Cols];

impl Writer<'_> {
    /// The pointer to the first element of a tensor's instance.
    pub(super) fn base(&mut self, g: &GlobalRef) -> Result<String, Fault> {
        let own = self.tensor(&g.tensor)?;
        let Some(peer) = &g.peer else {
            return Ok(own);
        };
        let peer = self.value(peer);
        let name = self.template("PeerOf", PEER_OF);
        Ok(format!(
            "{name}({}, {}, {peer}, {own})",
            self.ranks.bases, self.ranks.rank
        ))
    }

    /// A value that is no extent.
    fn value(&mut self, e: &Expr) -> String {
        self.sum(e, Axis::Rows).text()
    }

    /// A register's new value.
    pub(super) fn fill(&mut self, dst: RegId, ty: &str, value: &str) {
        self.forget(dst);
        let (name, declared) = self.register(dst);
        self.line(&match declared {
            true => format!("{name} = {value};"),
            false => format!("const {ty} {name} = {value};"),
        });
    }

    pub(super) fn set_register(&mut self, dst: RegId, value: &Expr) {
        let value = self.value(value);
        self.fill(dst, "int64_t", &value);
    }

    pub(super) fn compute(&mut self, dst: RegId, op: IntOp, lhs: &Expr, rhs: &Expr) {
        let (a, b) = (self.value(lhs), self.value(rhs));
        let (a, b) = (operand(a), operand(b));
        let value = match op {
            IntOp::Mul => format!("(int64_t){a} * {b}"),
            IntOp::Div => format!("{a} / {b}"),
            IntOp::Rem => format!("{a} % {b}"),
            IntOp::Min => format!("{a} < {b} ? {a} : {b}"),
            IntOp::Max => format!("{a} > {b} ? {a} : {b}"),
        };
        self.fill(dst, "int64_t", &value);
    }

    pub(super) fn array_get(
        &mut self,
        dst: RegId,
        array: ArrayId,
        index: &Expr,
    ) -> Result<(), Fault> {
        let element = self.element(array, index)?;
        self.fill(dst, "int32_t", &element);
        Ok(())
    }

    pub(super) fn array_set(
        &mut self,
        array: ArrayId,
        index: &Expr,
        value: &Expr,
    ) -> Result<(), Fault> {
        let element = self.element(array, index)?;
        let value = self.value(value);
        self.line(&format!("{element} = {value};"));
        Ok(())
    }

    pub(super) fn write_scalar(&mut self, dst: &GlobalRef, value: &Expr) -> Result<(), Fault> {
        let dtype = self.program.tensors.get(&dst.tensor).map(|t| t.dtype);
        let dtype = dtype.ok_or_else(|| Fault::Missing {
            what: format!("tensor `{}`", dst.tensor),
        })?;
        let address = self.address(dst, ELEMENT)?;
        let value = self.value(value);
        let name = self.template("WriteScalar", WRITE_SCALAR);
        let ty = super::types::element(dtype);
        self.line(&format!("{name}({address}, ({ty}){});", operand(value)));
        Ok(())
    }

    pub(super) fn read_array(&mut self, array: ArrayId, src: &GlobalRef) -> Result<(), Fault> {
        let address = self.address(src, ELEMENT)?;
        let array = self.array(array)?;
        let name = self.template_of_lines("ReadArray", READ_ARRAY);
        let count = src.rows * src.cols;
        self.line(&format!("{name}({array}, {address}, {count});"));
        Ok(())
    }

    pub(super) fn write_array(&mut self, dst: &GlobalRef, array: ArrayId) -> Result<(), Fault> {
        let address = self.address(dst, ELEMENT)?;
        let array = self.array(array)?;
        let name = self.template_of_lines("WriteArray", WRITE_ARRAY);
        let count = dst.rows * dst.cols;
        self.line(&format!("{name}({address}, {array}, {count});"));
        Ok(())
    }

    /// A helper that goes line by line of the scalar unit's data cache.
    fn template_of_lines(&mut self, name: &'static str, text: &str) -> &'static str {
        let bytes = self.machine.gm_scalar_line.count();
        self.template(name, &text.replace("{LINE}", &bytes.to_string()))
    }

    pub(super) fn notify(
        &mut self,
        counter: &GlobalRef,
        op: NotifyOp,
        value: &Expr,
    ) -> Result<(), Fault> {
        let signal = self.signal(counter)?;
        let value = self.value(value);
        let op = match op {
            NotifyOp::Set => "Set",
            NotifyOp::Add => "AtomicAdd",
        };
        self.line("dsb(DSB_DDR);");
        self.line(&format!(
            "comm::TNOTIFY({signal}, {value}, comm::NotifyOp::{op});"
        ));
        Ok(())
    }

    pub(super) fn wait_counter(
        &mut self,
        counter: &GlobalRef,
        at_least: &Expr,
    ) -> Result<(), Fault> {
        let signal = self.signal(counter)?;
        let value = self.value(at_least);
        self.line(&format!(
            "comm::TWAIT({signal}, {value}, comm::WaitCmp::GE);"
        ));
        Ok(())
    }

    /// Declares the signal at a counter.
    fn signal(&mut self, counter: &GlobalRef) -> Result<String, Fault> {
        let address = self.address(counter, ELEMENT)?;
        let name = self.fresh(&format!("{}_signal", counter.tensor));
        self.signals = true;
        self.line(&format!("comm::Signal {name}({address});"));
        Ok(name)
    }

    fn array(&self, array: usize) -> Result<String, Fault> {
        let name = self.names.arrays.get(array).cloned();
        name.ok_or_else(|| Fault::Missing {
            what: format!("array {array}"),
        })
    }

    fn element(&mut self, array: usize, index: &Expr) -> Result<String, Fault> {
        let name = self.array(array)?;
        Ok(format!("{name}[{}]", self.value(index)))
    }
}

/// A value as an operand of another operation.
fn operand(text: String) -> String {
    match text.contains([' ', '-']) {
        true => format!("({text})"),
        false => text,
    }
}
