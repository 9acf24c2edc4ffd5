//! Waiting for Enter.

use std::io::{self, Read as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::output::note;

/// A key that is waited for, without standing still meanwhile.
#[derive(Default)]
pub(super) struct Enter {
    /// It was said what for.
    told: bool,
    /// There will be no more keys.
    is_over: bool,
    /// It is not said here.
    is_quiet: bool,
}

impl Enter {
    /// Somebody else says what is waited for.
    pub(super) const fn quiet() -> Self {
        Self { told: false, is_over: false, is_quiet: true }
    }

    /// Whether there are keys at all, so that the last wait ended by one.
    pub(super) const fn was_pressed(&self) -> bool {
        !self.is_over
    }

    /// Whether Enter has not been pressed yet; at the first time it is said that it is waited for. The end of input counts
    /// for all that follow.
    pub(super) fn is_awaited(&mut self, what: &str) -> bool {
        if self.is_over {
            return false;
        }
        if !self.told {
            self.told = true;
            if !self.is_quiet {
                note(&format!("Enter for {what}"));
            }
        }
        if self.is_pressed() {
            self.told = false;
            return false;
        }
        !self.is_over
    }

    fn is_pressed(&mut self) -> bool {
        let stdin = io::stdin();
        loop {
            let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(poll(&mut ready, Some(&now)), Ok(count) if count > 0) {
                return false;
            }
            let mut byte = [0];
            match stdin.lock().read(&mut byte) {
                Ok(0) | Err(_) => {
                    self.is_over = true;
                    return false;
                }
                Ok(_) if byte == *b"\n" => return true,
                Ok(_) => {}
            }
        }
    }
}
