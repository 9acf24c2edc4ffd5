//! Connections that may be in trouble, kept one by one so that a second look can tell what
//! stands still from what was passing by.

use std::sync::Arc;

use eleven_snapshot::{KernelOnly, Owner, Socket, SocketKind, TimerKind};
use eleven_tcp::State;

use super::info::{self, FIELDS};
use super::{Map, Netns, Set, Tuple};

/// Why a connection is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// In CLOSE_WAIT.
    CloseWait,
    /// In FIN_WAIT2, held by a program.
    FinWait2,
    /// In FIN_WAIT1, CLOSING or LAST_ACK.
    Closing,
    /// Data is repeated without an answer, or keepalive probes.
    Unanswered,
    /// Data waits to be read.
    Unread,
    /// Data waits to be sent.
    Unsent,
    /// Complete, and no program has accepted it.
    NotAccepted,
    /// Its segments are much smaller than both ends asked for.
    Shrunk,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::CloseWait,
        Self::FinWait2,
        Self::Closing,
        Self::Unanswered,
        Self::Unread,
        Self::Unsent,
        Self::NotAccepted,
        Self::Shrunk,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Connections kept of each kind.
const KEPT: usize = 20_000;
/// Of those, how many a second look may fill with what the first did not name.
const KEPT_NEW: usize = 4_000;
/// Bytes in a queue that make a suspect.
const UNREAD: u32 = 4096;
const UNSENT: u32 = 65_536;
/// Repeats in the life of a connection before the present ones that tell of a path that loses.
const USED_TO_LOSS: u64 = 8;
/// Time in microseconds that the peer's window held data up, from which on a reader may be slow.
const HELD_UP_US: u64 = 500_000;
/// What probing of the path's MTU begins with (`tcp_base_mss`), and repeats that must have come before.
const BASE_MSS: u64 = 1024;
const REPEATS_BEFORE_PROBING: u64 = 3;

/// A connection as a look saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) netns: Netns,
    pub(crate) tuple: Tuple,
    pub(crate) state: State,
    kinds: u8,
    pub(crate) cookie: Option<u64>,
    pub(crate) owner: Option<Owner>,
    pub(crate) not_accepted: bool,
    pub(crate) unreadable: bool,
    pub(crate) recv_queue: u32,
    pub(crate) send_queue: u32,
    pub(crate) timer: Option<TimerKind>,
    pub(crate) repeats: u8,
    pub(crate) expires_ms: u64,
    pub(crate) idle_ms: Option<u64>,
    /// Since the peer's kernel last acknowledged anything, its FIN included.
    pub(crate) silent_ms: Option<u64>,
    pub(crate) bytes_acked: Option<u64>,
    pub(crate) bytes_received: Option<u64>,
    pub(crate) segments_in: Option<u64>,
    pub(crate) send_window: Option<u64>,
    pub(crate) send_mss: Option<u64>,
    pub(crate) backoff: Option<u64>,
    /// Microseconds for which the peer's window held data up.
    pub(crate) held_up_us: Option<u64>,
    pub(crate) repeated: Option<u64>,
    /// Segments that have arrived beyond one that is missing.
    pub(crate) sacked: Option<u64>,
    /// Size of segments that this side asked for.
    pub(crate) asked_mss: Option<u64>,
}

impl Sample {
    pub(super) fn of(netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) -> Self {
        let info = |field| info::value(socket, field);
        Self {
            netns,
            tuple,
            state: socket.state,
            kinds: 0,
            cookie: socket.cookie,
            owner: socket.owners.first().cloned(),
            not_accepted: socket.no_owner == Some(KernelOnly::NotAccepted),
            unreadable: socket.no_owner == Some(KernelOnly::Unreadable),
            recv_queue: socket.recv_queue.unwrap_or(0),
            send_queue: socket.send_queue.unwrap_or(0),
            timer: socket.timer.map(|timer| timer.kind),
            repeats: socket.timer.map_or(0, |timer| timer.retransmits),
            expires_ms: socket.timer.map_or(0, |timer| timer.expires_ms),
            idle_ms,
            silent_ms: info(FIELDS.last_ack_recv),
            bytes_acked: info(FIELDS.bytes_acked),
            bytes_received: info(FIELDS.bytes_received),
            segments_in: info(FIELDS.segs_in),
            send_window: info(FIELDS.snd_wnd),
            send_mss: info(FIELDS.snd_mss),
            backoff: info(FIELDS.backoff),
            held_up_us: info(FIELDS.rwnd_limited),
            repeated: info(FIELDS.total_retrans),
            sacked: info(FIELDS.sacked),
            asked_mss: info(FIELDS.advmss),
        }
    }

    /// Whether it is kept for this reason.
    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// How often the same has been repeated by now.
    pub(crate) fn repeats(&self) -> u64 {
        u64::from(self.repeats).max(self.backoff.unwrap_or(0))
    }

    /// Whether much was repeated before the present repeats: a path that loses.
    pub(crate) fn is_used_to_loss(&self) -> bool {
        self.repeated.unwrap_or(0).saturating_sub(self.repeats()) >= USED_TO_LOSS
    }

    /// Whether data or a probe of the window goes unanswered.
    pub(crate) fn is_repeating(&self) -> bool {
        self.repeats > 0 && matches!(self.timer, Some(TimerKind::Retransmit | TimerKind::Persist))
    }

    /// `(pid, name)` of the first owner.
    pub(crate) fn holder(&self) -> Option<(u32, Arc<str>)> {
        self.owner.as_ref().map(|owner| (owner.pid, owner.process.clone()))
    }
}

/// All suspects of a look.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    pub(crate) rows: Map<(Netns, Tuple), Sample>,
    totals: [u64; Kind::ALL.len()],
    kept: [usize; Kind::ALL.len()],
    asked: Option<Set<(Netns, Tuple)>>,
}

/// Whether the peer's window has room for a full segment.
fn is_open(socket: &Socket) -> bool {
    let window = info::value(socket, FIELDS.snd_wnd);
    window.zip(info::value(socket, FIELDS.snd_mss)).is_some_and(|(window, mss)| mss > 0 && window >= mss)
}

/// Whether the peer's window has held up what was to be sent for most of the time.
fn is_held_up(socket: &Socket) -> bool {
    let held_up = info::value(socket, FIELDS.rwnd_limited).filter(|time| *time >= HELD_UP_US);
    held_up
        .zip(info::value(socket, FIELDS.busy_time))
        .is_some_and(|(held_up, busy)| held_up.saturating_mul(2) >= busy)
}

/// Whether segments are as small as probing of the path's MTU makes them, after losses.
fn is_shrunk(socket: &Socket) -> bool {
    let value = |field| info::value(socket, field);
    let (Some(mss), Some(asked), Some(mtu)) =
        (value(FIELDS.snd_mss), value(FIELDS.advmss), value(FIELDS.pmtu))
    else {
        return false;
    };
    let (is_small, could_be_larger) =
        (mss > 0 && mss <= BASE_MSS, asked >= mss.saturating_add(200) && mtu >= mss.saturating_add(240));
    is_small && could_be_larger && value(FIELDS.total_retrans) >= Some(REPEATS_BEFORE_PROBING)
}

/// The reasons to keep a socket, as bits; most have none.
fn kinds(socket: &Socket) -> u8 {
    if socket.kind != SocketKind::Full {
        return 0;
    }
    let mut kinds = 0;
    let (recv, send) = (socket.recv_queue.unwrap_or(0), socket.send_queue.unwrap_or(0));
    match socket.state {
        State::CloseWait => kinds |= Kind::CloseWait.bit(),
        State::FinWait2 => kinds |= Kind::FinWait2.bit(),
        State::FinWait1 | State::Closing | State::LastAck => kinds |= Kind::Closing.bit(),
        State::Established => {
            if recv >= UNREAD {
                kinds |= Kind::Unread.bit();
            }
        }
        _ => return 0,
    }
    if matches!(socket.state, State::Established | State::CloseWait) {
        if socket.no_owner == Some(KernelOnly::NotAccepted) {
            kinds |= Kind::NotAccepted.bit();
        }
        match socket.timer {
            Some(timer) if timer.kind == TimerKind::Retransmit && timer.retransmits > 0 => {
                kinds |= Kind::Unanswered.bit();
            }
            // Probes although the window is open: this host's own device refuses what is larger.
            Some(timer) if timer.kind == TimerKind::Persist && timer.retransmits > 1 && is_open(socket) => {
                kinds |= Kind::Unanswered.bit();
            }
            Some(timer) if timer.kind == TimerKind::Persist => kinds |= Kind::Unsent.bit(),
            // Probes of keepalive: only those without an answer are counted.
            Some(timer) if timer.kind == TimerKind::Keepalive && timer.retransmits > 0 => {
                kinds |= Kind::Unanswered.bit();
            }
            _ => {}
        }
        if send >= UNSENT || (send > 0 && is_held_up(socket)) {
            kinds |= Kind::Unsent.bit();
        }
        if is_shrunk(socket) {
            kinds |= Kind::Shrunk.bit();
        }
    }
    kinds
}

impl Suspects {
    /// Keeps above all what an earlier look named.
    pub(super) fn ask(&mut self, earlier: &Self) {
        self.asked = Some(earlier.rows.keys().copied().collect());
    }

    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) {
        let kinds = kinds(socket);
        if kinds == 0 {
            return;
        }
        let asked = self.asked.as_ref().map(|asked| asked.contains(&(netns, tuple)));
        let mut keep = false;
        for kind in Kind::ALL.into_iter().filter(|kind| kinds & kind.bit() != 0) {
            let index = kind as usize;
            self.totals[index] += 1;
            let room = match (kind, asked) {
                (_, Some(true)) => usize::MAX,
                (_, Some(false)) => KEPT_NEW,
                (_, None) => KEPT,
            };
            if self.kept[index] < room {
                self.kept[index] += 1;
                keep = true;
            }
        }
        if keep {
            let mut sample = Sample::of(netns, tuple, socket, idle_ms);
            sample.kinds = kinds;
            self.rows.insert((netns, tuple), sample);
        }
    }

    pub(super) fn tuples(&self) -> impl Iterator<Item = Tuple> {
        self.rows.keys().map(|(_, tuple)| *tuple)
    }

    /// How many there are of a kind, kept or not.
    pub(crate) fn total(&self, kind: Kind) -> u64 {
        self.totals[kind as usize]
    }

    /// Those of a kind that were kept, in a fixed order.
    pub(crate) fn of(&self, kind: Kind) -> Vec<&Sample> {
        let mut samples: Vec<&Sample> = self.rows.values().filter(|sample| sample.is(kind)).collect();
        samples.sort_unstable_by_key(|sample| (sample.netns, sample.tuple));
        samples
    }
}
