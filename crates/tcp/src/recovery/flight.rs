//! What loss recovery remembers while something is in flight.

use super::prr::Prr;
use super::scoreboard::{Delivered, Scoreboard};
use crate::{Instant, SeqNumber};

/// What the sender is doing about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// All is well, as far as is known.
    Open,
    /// The network told of congestion; the window is on its way down (RFC 3168 §6.1.2).
    Reducing,
    /// Fast recovery: losses were seen by acknowledgments (RFC 5681 §3.2, RFC 6675 §5).
    Recovery,
    /// The retransmission timer has expired (RFC 6298, RFC 5681 §3.1).
    Loss,
}

/// What is needed to see that a reduction of the window was for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// SND.UNA when the window was reduced.
    pub(super) from: SeqNumber,
    /// Bytes sent again since then of which the peer has not told that they arrived twice; `None`: nothing was sent
    /// again.
    pub(super) repeated: Option<u32>,
}

/// A tail loss probe under way (RFC 8985 §7.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct TailProbe {
    /// TLP.end_seq.
    pub(super) end: SeqNumber,
    /// TLP.is_retrans.
    pub(super) repeated: bool,
}

/// A segment larger than any before, and its fate ([`super::Trial`]).
#[derive(Clone, Copy, Debug)]
pub(super) struct TrialRange {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    pub(super) fate: super::Trial,
}

#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) board: Scoreboard,
    pub(super) phase: Phase,
    /// What was SND.NXT when the phase began (`recover` of RFC 6582, RecoveryPoint of RFC 6675); with SACK in
    /// [`Phase::Open`], when the last recovery ended: beyond it there is nothing to take back.
    pub(super) recover: SeqNumber,
    /// The most recently sent of what has arrived (RACK).
    pub(super) delivered: Delivered,
    /// RACK.fack: behind the highest number that has arrived.
    pub(super) highest: SeqNumber,
    pub(super) undo: Option<Undo>,
    /// When something was first sent again in this phase (Eifel, RFC 3522).
    pub(super) first_repeat: Option<Instant>,
    /// When what is first unacknowledged was first sent, if it was sent again.
    pub(super) stalled_since: Option<Instant>,
    pub(super) prr: Prr,
    pub(super) probe: Option<TailProbe>,
    pub(super) trial: Option<TrialRange>,
    /// Whether the next acknowledgments can show that a timeout was spurious (RFC 5682).
    pub(super) frto: bool,
    /// Bytes of new text that F-RTO wants sent before anything is sent again.
    pub(super) new_first: u32,
    /// Duplicate acknowledgments, or acknowledgments with news in their blocks, at SND.UNA.
    pub(super) duplicates: u8,
    /// Bytes that duplicates say have left the network, where there are no blocks to say which.
    pub(super) left: u32,
    /// Whether duplicates below `recover` are no sign of loss any more (RFC 6582 §3.2 step 2).
    pub(super) deaf: bool,
    /// Whether the window held the sender back in this round trip …
    pub(super) window_limited: bool,
    /// … the most that was in flight …
    pub(super) largest: u32,
    /// … and where the round trip ends.
    pub(super) usage_end: SeqNumber,
}

impl Flight {
    pub(super) fn new(next: SeqNumber) -> Self {
        Self {
            board: Scoreboard::new(next),
            phase: Phase::Open,
            recover: next,
            delivered: Delivered::default(),
            highest: next,
            undo: None,
            first_repeat: None,
            stalled_since: None,
            prr: Prr::default(),
            probe: None,
            trial: None,
            frto: false,
            new_first: 0,
            duplicates: 0,
            left: 0,
            deaf: false,
            window_limited: false,
            largest: 0,
            usage_end: next,
        }
    }

    /// What is taken to be in the network (RFC 6675 §4; without blocks, each duplicate tells that a segment
    /// has left it, RFC 5681 §3.2 step 4).
    pub(super) fn pipe(&self) -> u32 {
        self.board.pipe().saturating_sub(self.left)
    }

    /// Whether the window is governed by proportional rate reduction.
    pub(super) fn reducing(&self) -> bool {
        matches!(self.phase, Phase::Reducing | Phase::Recovery)
    }

    /// New text was sent: whether the window is what holds the sender back (RFC 5681 §3.1, RFC 7661 §4).
    pub(super) fn note_usage(&mut self, window: u32, mss: u32) {
        let pipe = self.pipe();
        let limited = pipe.saturating_add(mss) > window;
        let outstanding = self.board.outstanding();
        if limited
            || self.board.una().ge(self.usage_end)
            || (!self.window_limited && outstanding > self.largest)
        {
            self.window_limited = limited;
            self.largest = outstanding;
            self.usage_end = self.board.next();
        }
    }

    /// Nothing is amiss any more, or never was.
    pub(super) fn open(&mut self) {
        self.phase = Phase::Open;
        self.frto = false;
        self.new_first = 0;
        self.first_repeat = None;
    }
}
