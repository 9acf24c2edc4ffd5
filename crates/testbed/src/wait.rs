//! Waiting for what has no event.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a condition may take. It is far more than any needs, on a shared machine and on
/// a host with a million sockets too, so that only a test that is wrong runs into it.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks: long enough not to starve the softirq that is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Calls `look` until it finds what it waits for; an `Err` is what it saw instead.
///
/// # Panics
/// After a minute in vain, with `what` and what was seen last.
pub fn wait_for<T, E: Debug>(what: &str, look: impl FnMut() -> Result<T, E>) -> T {
    wait_until(Instant::now() + DEADLINE, what, look)
}

fn wait_until<T, E: Debug>(deadline: Instant, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if Instant::now() > deadline => panic!("waited for {what} in vain; seen: {seen:#?}"),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_again_until_there_is_something() {
        let mut looks = 0;
        let found = wait_for("the third look", || {
            looks += 1;
            if looks == 3 { Ok("found") } else { Err(looks) }
        });
        assert_eq!((found, looks), ("found", 3));
    }

    #[test]
    #[should_panic(expected = "waited for rain in vain; seen: \"sun\"")]
    fn waiting_in_vain_says_for_what_and_what_was_seen() {
        wait_until(Instant::now(), "rain", || Err::<(), _>("sun"));
    }
}
