//! The parts of the `eleven` command: its command line, filter language, output and commands.
//!
//! The binary only calls [`run`]. This library exists for the binary, its tests, benchmarks
//! and fuzz targets; programs that want to read sockets use `eleven-linux`.

pub mod cli;
pub mod fields;
pub mod filter;

mod ask;
mod commands;
mod output;
mod text;
mod undo;

pub use commands::run;
