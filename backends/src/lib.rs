//! What runs or prints a program: a plain interpreter of the layer graph, the PTO-ISA C++ emitter, the simulator, and the
//! emitted text on this machine and on an NPU.
//!
//! * [`data`]: tensors in host memory, safetensors files, generated inputs, comparison.
//! * [`mod@reference`]: interprets a layer graph; the truth that everything else is compared with.
//! * [`sim`]: runs a kernel program on data and in time, and refuses what the hardware would not do right.
//! * [`checker`]: all that is wrong with a kernel program, with places in what is emitted for it.
//! * [`emitter`]: the registry of what prints a kernel program; `source`: what those share.
//! * [`ascend`]: prints a kernel program as PTO-ISA C++.
//! * [`pypto`]: prints it as source of the PyPTO language, in Python.
//! * [`host`]: compiles that text with the system's C++ compiler and runs it.
//! * [`npu`]: a project that CANN builds and an NPU runs, from that text.
//! * [`backend`]: what runs programs, as one trait; [`registry`]: those that there are.

pub mod ascend;
pub mod backend;
pub mod checker;
pub mod data;
pub mod emitter;
pub mod host;
pub mod npu;
pub mod pypto;
pub mod reference;
pub mod registry;
pub mod sim;
mod source;
