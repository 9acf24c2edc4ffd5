//! Tests that cannot run here.

use std::io::Write;

/// Says on stderr that the calling test proves nothing here, and why. The test harness
/// holds back what `eprintln!` prints, so this goes to the stream itself.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").to_owned();
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// The value of an `Ok`; for an `Err` of a sentence, [`skipped`](crate::skipped) and the end
/// of the calling test.
#[macro_export]
macro_rules! or_skip {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(why) => return $crate::skipped(&why),
        }
    };
}
