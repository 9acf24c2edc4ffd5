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
mod judge;
mod lab;
mod play;
mod programs;
mod row;
mod table;

use std::process::ExitCode;

use arguments::Arguments;
use row::Row;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    let mut rows: Vec<Row> = lab::rows().into_iter().chain(programs::rows()).collect();
    rows.retain(|row| arguments.wants(&row.name));
    if arguments.list {
        for row in &rows {
            let expected = row.expected.map_or("(healthy)", |expected| expected.code);
            println!("{:<34} {expected}", row.name);
        }
        return ExitCode::SUCCESS;
    }
    let played = play::all(&rows, arguments.at_once);
    table::print(&rows, &played);
    let is_wrong = rows.iter().zip(&played).any(|(row, played)| played.is_wrong(row));
    if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
