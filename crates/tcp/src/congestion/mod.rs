//! How much may be in the network at once: congestion control.
//!
//! [`CongestionControl`] is the interface; [`NewReno`] (RFC 5681, RFC 6582) and [`Cubic`] (RFC 9438 with
//! HyStart++, RFC 9406) are built in. What was lost is none of its business: loss recovery finds that out,
//! and keeps to proportional rate reduction (RFC 6937) while it repairs.

use alloc::boxed::Box;
use core::fmt;

use crate::policy::CongestionAlgorithm;
use crate::{Instant, Policy, SeqNumber};

mod cubic;
mod hystart;
mod new_reno;

pub use cubic::Cubic;
pub use new_reno::NewReno;

/// The slow start threshold before the first congestion: as high as can be (RFC 5681 §3.1).
pub const NO_THRESHOLD: u32 = u32::MAX;

/// What an acknowledgment says to the congestion control.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// When it arrived.
    pub now: Instant,
    /// Bytes it acknowledged, by number or selectively, that were not acknowledged before.
    pub bytes: u32,
    /// Whether the window held the sender back during the last round trip; if not, it must not grow
    /// (RFC 5681 §3.1, RFC 9438 §5.8).
    pub window_limited: bool,
    /// The round trip this acknowledgment measured, in microseconds.
    pub rtt: Option<u32>,
    /// The smoothed round trip, in microseconds; 0: unknown.
    pub srtt: u32,
    /// SND.UNA, this acknowledgment counted.
    pub una: SeqNumber,
    /// SND.NXT.
    pub next: SeqNumber,
}

/// Why the window has to shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Congestion {
    /// Something was lost, and the loss was seen by acknowledgments.
    Loss,
    /// The network has said so (RFC 3168).
    Ecn,
}

/// An algorithm of congestion control. All windows are in bytes.
///
/// The calls come in this order: [`start`](Self::start) once the maximum segment size is known, then
/// [`on_ack`](Self::on_ack) for each acknowledgment of something new outside of fast recovery,
/// [`on_congestion`](Self::on_congestion) at most once a round trip, [`on_timeout`](Self::on_timeout) for the
/// first retransmission timeout of a series and for each of the next ones, [`undo`](Self::undo)
/// where the last reduction proves to have been for nothing.
pub trait CongestionControl: fmt::Debug + Send + Sync {
    /// The congestion window.
    fn window(&self) -> u32;

    /// The slow start threshold; [`NO_THRESHOLD`] before the first congestion.
    fn threshold(&self) -> u32;

    /// The connection is established.
    fn start(&mut self, initial_window: u32, mss: u32);

    /// The maximum segment size has changed; the window stays as many bytes as it was.
    fn set_mss(&mut self, mss: u32);

    /// Something new was acknowledged.
    fn on_ack(&mut self, progress: &Progress);

    /// The network is congested, with `in_flight` bytes outstanding: sets threshold and window.
    ///
    /// What is needed for [`undo`](Self::undo) has to be kept.
    fn on_congestion(&mut self, now: Instant, cause: Congestion, in_flight: u32);

    /// The retransmission timer has expired (RFC 5681 §3.1). `outstanding` bytes were in flight, of which
    /// `in_flight` still are taken to be on their way. `first` is false where the threshold was lowered
    /// already for this loss; then only the window collapses.
    fn on_timeout(&mut self, now: Instant, outstanding: u32, in_flight: u32, first: bool);

    /// The last congestion event or timeout was no congestion: take the reduction back.
    fn undo(&mut self, now: Instant);

    /// Nothing was sent for longer than a retransmission timeout: begin again with `window` bytes, at the most
    /// (RFC 5681 §4.1).
    fn restart(&mut self, now: Instant, window: u32);

    /// Whether the window grows exponentially.
    fn in_slow_start(&self) -> bool {
        self.window() < self.threshold()
    }

    /// A copy of the algorithm with its state.
    fn boxed_clone(&self) -> Box<dyn CongestionControl>;
}

/// By how many segments one acknowledgment may grow the window in slow start (L of RFC 3465 §2.2 and RFC 9406
/// §4.2); 0: any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Appetite(u8);

impl Appetite {
    const UNLIMITED: Self = Self(0);

    fn limit(self, bytes: u32, mss: u32) -> u32 {
        match self.0 {
            0 => bytes,
            segments => bytes.min(mss.saturating_mul(u32::from(segments))),
        }
    }
}

/// The congestion control of a connection: a built-in one without indirection, or one brought along.
#[derive(Debug)]
pub(crate) enum Controller {
    NewReno(NewReno),
    Cubic(Cubic),
    Custom(Box<dyn CongestionControl>),
}

impl Clone for Controller {
    fn clone(&self) -> Self {
        match self {
            Self::NewReno(control) => Self::NewReno(control.clone()),
            Self::Cubic(control) => Self::Cubic(control.clone()),
            Self::Custom(control) => Self::Custom(control.boxed_clone()),
        }
    }
}

/// Calls the same method of whatever is inside.
macro_rules! inside {
    ($self:expr, $control:ident => $call:expr) => {
        match $self {
            Controller::NewReno($control) => $call,
            Controller::Cubic($control) => $call,
            Controller::Custom($control) => $call,
        }
    };
}

impl Controller {
    pub(crate) fn new(policy: &Policy) -> Self {
        // Linux lets an acknowledgment count for all of what it acknowledges, paced or not.
        let unlimited = policy.pacing || policy.is_linux();
        match policy.congestion {
            CongestionAlgorithm::NewReno if unlimited => Self::NewReno(NewReno::new().paced()),
            CongestionAlgorithm::NewReno => Self::NewReno(NewReno::new()),
            CongestionAlgorithm::Cubic if unlimited => Self::Cubic(Cubic::new().paced()),
            CongestionAlgorithm::Cubic => Self::Cubic(Cubic::new()),
        }
    }

    pub(crate) fn window(&self) -> u32 {
        inside!(self, control => control.window())
    }

    pub(crate) fn threshold(&self) -> u32 {
        inside!(self, control => control.threshold())
    }

    pub(crate) fn start(&mut self, initial_window: u32, mss: u32) {
        inside!(self, control => control.start(initial_window, mss))
    }

    pub(crate) fn set_mss(&mut self, mss: u32) {
        inside!(self, control => control.set_mss(mss))
    }

    pub(crate) fn on_ack(&mut self, progress: &Progress) {
        inside!(self, control => control.on_ack(progress))
    }

    pub(crate) fn on_congestion(&mut self, now: Instant, cause: Congestion, in_flight: u32) {
        inside!(self, control => control.on_congestion(now, cause, in_flight))
    }

    pub(crate) fn on_timeout(&mut self, now: Instant, outstanding: u32, in_flight: u32, first: bool) {
        inside!(self, control => control.on_timeout(now, outstanding, in_flight, first))
    }

    pub(crate) fn undo(&mut self, now: Instant) {
        inside!(self, control => control.undo(now))
    }

    pub(crate) fn restart(&mut self, now: Instant, window: u32) {
        inside!(self, control => control.restart(now, window))
    }

    pub(crate) fn in_slow_start(&self) -> bool {
        inside!(self, control => control.in_slow_start())
    }
}
