//! What the tests of the command stand on.

pub(crate) mod namespace;
pub(crate) mod program;
pub(crate) mod sockets;
pub(crate) mod terminal;

use std::io::Write;
use std::time::{Duration, Instant};

/// How long a condition may take. It is far more than any needs, so that only a test that
/// is wrong runs into it.
const DEADLINE: Duration = Duration::from_secs(60);

/// Says on stderr that the calling test proves nothing here, and why. The test harness
/// holds back what `eprintln!` prints, so this goes to the stream itself.
pub(crate) fn skipped(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").to_owned();
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// The value, or `skipped` and the end of the calling test.
macro_rules! or_skip {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(why) => return $crate::support::skipped(&why),
        }
    };
}
pub(crate) use or_skip;

/// Asks until the answer is yes.
pub(crate) fn wait_for<T, E: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(state) => {
                assert!(start.elapsed() < DEADLINE, "{what} never came about: {state:?}");
                std::thread::yield_now();
            }
        }
    }
}

/// Whether this process is root, without whom most tests can make nothing.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
