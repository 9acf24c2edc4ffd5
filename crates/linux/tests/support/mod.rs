//! What the tests on the real kernel stand on.

pub(crate) mod gallery;
pub(crate) mod namespace;
pub(crate) mod proc_table;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod ss;
pub(crate) mod stage;

use std::io::Write;

/// Says on stderr that the calling test proves nothing here, and why. The test harness
/// holds back what `eprintln!` prints, so this goes to the stream itself.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").to_owned();
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
