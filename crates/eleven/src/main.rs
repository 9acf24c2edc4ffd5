//! The `eleven` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    eleven::run(std::env::args_os())
}
