//! The fault bench: real faults, made by real programs in namespaces of their own, each beside near misses that look
//! alike and are healthy, and what `eleven doctor` says of them.
//!
//! ```sh
//! cargo test --release -p eleven --test faults                      # as root
//! cargo test --release -p eleven --test faults -- --list
//! cargo test --release -p eleven --test faults -- --only close-wait-leak
//! ```
//!
//! A row is right if the expected code comes first, names who must act and whom it is about, and if nothing above info
//! is said that is not true. What cannot be played here says why, and does not count as right.

mod arguments;
mod children;
mod helper;
mod judge;
mod lab;
mod own;
mod play;
mod programs;
mod row;
mod table;

use std::process::ExitCode;

use arguments::Arguments;
use row::Row;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of this program.
const FILES: u64 = 20_000;

fn main() -> ExitCode {
    if let Some(code) = helper::run(std::env::args().skip(1)) {
        return code;
    }
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    // Both ends of very many connections are this program's.
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    if getrlimit(Resource::Nofile).current < Some(FILES) && setrlimit(Resource::Nofile, files).is_err() {
        eprintln!("only some descriptors may be open: rows with many connections will not come about");
    }
    let mut rows: Vec<Row> = lab::rows().into_iter().chain(own::rows()).chain(programs::rows()).collect();
    rows.retain(|row| arguments.wants(&row.name));
    if arguments.list {
        for row in &rows {
            let expected = row.expected.map_or("(healthy)", |expected| expected.code);
            println!("{:<34} {expected}", row.name);
        }
        return ExitCode::SUCCESS;
    }
    let played = play::all(&rows, arguments.at_once);
    if arguments.json {
        println!("{:#}", table::json(&rows, &played));
    } else {
        table::print(&rows, &played);
    }
    let is_wrong = rows.iter().zip(&played).any(|(row, played)| played.is_wrong(row));
    if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
