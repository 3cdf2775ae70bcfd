//! What the book in `docs/` says is so: its codes and messages are those of the sources, its layers compile and run, its commands are
//! there, and its links lead somewhere.
//!
//! `TILEWRIGHT_BLESS=1 cargo test --test docs` writes the messages in `docs/errors.md` anew.

mod book;
mod check_page;
mod codes;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod fences;
mod literals;
mod runs;
