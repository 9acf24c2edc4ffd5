//! Connections that are kept small: the request of a listener, and what is left in TIME_WAIT.
//!
//! Neither is a second machine. A record is expanded to a [`Connection`] when something happens to
//! it, the connection answers by the rules, and what is left of it is put away again.

use alloc::sync::Arc;
use core::time::Duration;

use super::{Agreed, Connection, facts};
use crate::cookie::{self, CookieOptions};
use crate::policy::EcnPolicy;
use crate::recovery::Sent;
use crate::{FourTuple, Instant, Policy, SeqNumber, State, isn};

/// A connection in SYN_RECV that no program knows of yet: the kernel's request mini-socket.
///
/// It keeps no text; what comes with the SYN or before the accept has to be sent again.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) pair: FourTuple,
    pub(super) agreed: Agreed,
    /// How often the SYN+ACK has been sent again.
    pub(crate) retries: u8,
    pub(super) peer_mss: u16,
    pub(super) window: u16,
    pub(super) initial: SeqNumber,
    pub(super) peer_initial: SeqNumber,
    pub(super) timestamp: u32,
    pub(super) timestamp_at: u32,
    /// When the SYN came.
    pub(crate) since: Instant,
}

/// What TIME_WAIT needs to know: 64 bytes.
#[derive(Clone, Copy)]
pub(crate) struct TimeWaitRecord {
    pub(crate) pair: FourTuple,
    receive_scale: u8,
    timestamps: bool,
    timestamp_offset: u32,
    send_next: SeqNumber,
    receive_next: SeqNumber,
    window: u32,
    timestamp: u32,
    timestamp_at: u32,
}

const _: () = assert!(size_of::<TimeWaitRecord>() <= 64);

impl Request {
    /// The request that `connection`, in SYN_RECV after a passive open, comes down to.
    pub(crate) fn of(connection: &Connection, since: Instant) -> Self {
        debug_assert_eq!(connection.state, State::SynReceived);
        Self {
            pair: connection.pair,
            agreed: connection.agreed,
            retries: connection.recovery.backoffs(),
            peer_mss: connection.send.peer_mss,
            window: connection.send.window.min(u32::from(u16::MAX)) as u16,
            initial: connection.send.initial,
            peer_initial: connection.receive.initial,
            timestamp: connection.receive.timestamp,
            timestamp_at: connection.receive.timestamp_at,
            since,
        }
    }

    /// The connection it stands for.
    pub(crate) fn expand(&self, policy: &Arc<Policy>) -> Connection {
        let mut connection = Connection::new(policy.clone());
        connection.state = State::SynReceived;
        connection.pair = self.pair;
        connection.agreed = self.agreed;
        connection.begin_at(self.initial);
        connection.send.peer_mss = self.peer_mss;
        connection.send.window = u32::from(self.window);
        connection.send.largest_window = connection.send.window;
        connection.send.window_seq = self.peer_initial;
        connection.begin_receiving(self.peer_initial);
        connection.receive.timestamp = self.timestamp;
        connection.receive.timestamp_at = self.timestamp_at;
        connection.timers.heard = self.since;
        connection.begin_counting(self.since);
        // The retransmission timer runs as it did: each timeout doubles from the one before.
        let recovery = &mut connection.recovery;
        let mut at = self.since;
        recovery.on_sent(at, self.initial, self.initial + 1, Sent::New);
        for _ in 0..self.retries {
            if let Some((deadline, _)) = recovery.deadline() {
                at = deadline;
            }
            recovery.on_retransmission_timeout(at, false, policy);
            recovery.on_sent(at, self.initial, self.initial + 1, Sent::Retransmission);
        }
        connection
    }

    /// The request that an acknowledged cookie stands for.
    pub(crate) fn from_cookie(
        policy: &Policy,
        now: Instant,
        pair: FourTuple,
        segment: &crate::Segment<'_>,
    ) -> Option<Self> {
        let timestamps = segment.options.timestamps().filter(|_| policy.timestamps);
        let timestamp_offset = isn::timestamp_offset(&policy.secret, &pair);
        let echoed = timestamps.map(|stamps| stamps.echo_reply.wrapping_sub(timestamp_offset));
        let kept = cookie::check(now, &pair, segment.seq, segment.ack, echoed, &policy.secret)?;
        // The low bits of a timestamp are no secret: they can bring back nothing that is not allowed here.
        let scale = kept.window_scale.filter(|_| policy.window_scaling);
        // How long the answer took; where that is not known, as long as a first timeout.
        let round_trip = echoed.map_or(policy.rto.initial, |echoed| {
            Duration::from_millis(u64::from((now.as_millis() as u32).wrapping_sub(echoed)))
        });
        Some(Self {
            pair,
            agreed: Agreed {
                timestamps: timestamps.is_some(),
                timestamp_offset,
                sack: kept.sack && policy.sack,
                window_scaling: scale.is_some(),
                send_scale: scale.unwrap_or(0),
                receive_scale: if scale.is_some() { policy.window_scale() } else { 0 },
                ecn: kept.ecn && policy.ecn != EcnPolicy::Off,
                passive: true,
                fast_open: false,
            },
            retries: 0,
            peer_mss: kept.mss.max(policy.min_mss),
            window: segment.window,
            initial: segment.ack - 1,
            peer_initial: segment.seq - 1,
            timestamp: timestamps.map_or(0, |stamps| stamps.value),
            timestamp_at: facts::seconds(now),
            since: now - round_trip.min(policy.rto.initial),
        })
    }

    /// How long it has waited.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.since)
    }
}

impl TimeWaitRecord {
    /// What is left of `connection` in TIME_WAIT.
    pub(crate) fn of(connection: &Connection) -> Self {
        debug_assert_eq!(connection.state, State::TimeWait);
        Self {
            pair: connection.pair,
            receive_scale: connection.agreed.receive_scale,
            timestamps: connection.agreed.timestamps,
            timestamp_offset: connection.agreed.timestamp_offset,
            send_next: connection.send.next,
            receive_next: connection.receive.next,
            window: connection.receive_window().size,
            timestamp: connection.receive.timestamp,
            timestamp_at: connection.receive.timestamp_at,
        }
    }

    /// The connection it stands for. Its timer is kept outside.
    pub(crate) fn expand(&self, policy: &Arc<Policy>, expires: Option<Instant>) -> Connection {
        let mut connection = Connection::new(policy.clone());
        connection.state = State::TimeWait;
        connection.pair = self.pair;
        connection.agreed = Agreed {
            timestamps: self.timestamps,
            timestamp_offset: self.timestamp_offset,
            receive_scale: self.receive_scale,
            ..Agreed::default()
        };
        connection.send.initial = self.send_next - 2;
        connection.send.next = self.send_next;
        connection.send.unacknowledged = self.send_next;
        connection.send.syn_acknowledged = true;
        connection.send.fin_queued = true;
        connection.send.fin_sent = true;
        connection.receive.initial = self.receive_next - 2;
        connection.receive.next = self.receive_next;
        connection.receive.edge = self.receive_next + self.window;
        connection.receive.acknowledged = self.receive_next;
        connection.receive.fin_received = true;
        connection.receive.timestamp = self.timestamp;
        connection.receive.timestamp_at = self.timestamp_at;
        connection.timers.state = expires.into();
        connection.program.gone = true;
        connection
    }

    /// Whether a new connection of ours may take its place (`tcp_tw_reuse`): with timestamps, and a
    /// second after the last one, nothing old can be taken for new (RFC 6191).
    pub(crate) fn may_be_reused(&self, now: Instant) -> bool {
        self.timestamps && facts::seconds(now).wrapping_sub(self.timestamp_at) >= 1
    }

    /// A number that is ahead of everything this connection sent.
    pub(crate) fn next_initial(&self) -> SeqNumber {
        self.send_next + 65_537
    }
}

impl Connection {
    /// The send variables of a connection whose SYN has this number.
    pub(crate) fn begin_at(&mut self, initial: SeqNumber) {
        self.send.initial = initial;
        self.send.unacknowledged = initial;
        self.send.next = initial + 1;
        self.send.small_end = initial;
        self.send.pushed = initial + 1;
        self.send.syn_acknowledged = false;
        self.send.fin_queued = false;
        self.send.fin_sent = false;
    }

    /// The receive variables after the peer's SYN.
    pub(super) fn begin_receiving(&mut self, initial: SeqNumber) {
        let window = self.text_in.free().min(u32::from(u16::MAX));
        let receive = &mut self.receive;
        receive.initial = initial;
        receive.next = initial + 1;
        receive.acknowledged = receive.next;
        receive.fin_received = false;
        receive.held_fin = None;
        // No window is scaled before the handshake is over (RFC 7323 §2.2).
        receive.edge = receive.next + window;
        receive.segment_size = self.send.peer_mss.min(self.pair.largest_text(self.send.path_mtu));
        receive.quick_acks = self.policy.delayed_ack.quick;
    }

    /// In SYN_RECV: makes the initial sequence number a cookie that says everything a request would.
    pub(crate) fn use_cookie(&mut self, now: Instant, peer_initial: SeqNumber) {
        let secret = &self.policy.secret;
        let agreed = &mut self.agreed;
        if agreed.timestamps {
            let clock = now.as_millis() as u32;
            let options = CookieOptions {
                mss: self.send.peer_mss,
                window_scale: agreed.window_scaling.then_some(agreed.send_scale),
                sack: agreed.sack,
                ecn: agreed.ecn,
                timestamps: true,
            };
            // This connection is forgotten once it has answered: its clock may be a little slow.
            let behind = clock.wrapping_sub(cookie::timestamp(clock, options));
            agreed.timestamp_offset = agreed.timestamp_offset.wrapping_sub(behind);
        } else {
            // Nothing will bring them back (Linux `tcp_clear_options`).
            (agreed.sack, agreed.ecn, agreed.window_scaling) = (false, false, false);
            (agreed.send_scale, agreed.receive_scale) = (0, 0);
        }
        let initial = cookie::make(now, &self.pair, peer_initial, self.send.peer_mss, secret);
        self.begin_at(initial);
    }

    /// Whether `segment` would end SYN_RECV and open the connection.
    pub(crate) fn would_open(&self, now: Instant, segment: &crate::Segment<'_>) -> bool {
        let facts = self.segment_facts(now, segment);
        let rule = crate::rules::find(self.state, crate::rules::Event::Segment, facts);
        rule.is_some_and(|rule| !self.state.is_synchronized() && rule.to.is_synchronized())
    }

    /// Whether `segment` would end TIME_WAIT and begin another connection (RFC 6191).
    pub(crate) fn would_reopen(&self, now: Instant, segment: &crate::Segment<'_>) -> bool {
        let facts = self.segment_facts(now, segment);
        let rule = crate::rules::find(self.state, crate::rules::Event::Segment, facts);
        self.state == State::TimeWait && rule.is_some_and(|rule| rule.to == State::SynReceived)
    }

    /// TIME_WAIT goes on as a record elsewhere: for its program the connection is over.
    pub(crate) fn retire(&mut self) {
        self.delete();
        self.enter(Instant::ZERO, State::Closed);
    }

    /// Whether nothing is left of it but the wait: a [`TimeWaitRecord`] says it all.
    pub(crate) fn is_only_waiting(&self) -> bool {
        self.state == State::TimeWait
            && self.program.gone
            && self.text_in.readable() == 0
            && !self.due.ack
            && !self.has_reply()
    }
}
