//! The opening: initial sequence numbers, and the options both sides say once.

use super::step::Arrival;
use super::types::Events;
use super::{Agreed, Connection, facts};
use crate::policy::EcnPolicy;
use core::time::Duration;

use crate::segment::{Options, TcpOption, Timestamps, UserTimeout};
use crate::{Flags, Instant, Segment, State, isn};

/// What the options of a SYN say, read in one go.
#[derive(Default)]
struct Said {
    mss: Option<u16>,
    window_scale: Option<u8>,
    sack_permitted: bool,
    timestamps: Option<Timestamps>,
    user_timeout: Option<UserTimeout>,
}

impl Said {
    fn of(options: &Options) -> Self {
        let mut said = Self::default();
        for option in options {
            match option {
                TcpOption::MaximumSegmentSize(mss) => said.mss = Some(mss),
                TcpOption::WindowScale(scale) => said.window_scale = Some(scale),
                TcpOption::SackPermitted => said.sack_permitted = true,
                TcpOption::Timestamps(timestamps) => said.timestamps = Some(timestamps),
                TcpOption::UserTimeout(timeout) => said.user_timeout = Some(timeout),
                _ => {}
            }
        }
        said
    }
}

impl Connection {
    /// SYN or SYN+ACK: chooses the initial sequence number where none is chosen yet.
    pub(super) fn begin_handshake(&mut self, now: Instant, answer: bool) {
        let chosen = self.state == State::SynSent || (answer && self.state == State::SynReceived);
        if !chosen {
            // Linux continues where TIME_WAIT ended, far enough ahead (RFC 6191, RFC 1122 §4.2.2.13).
            let initial = if self.state == State::TimeWait && self.policy.is_linux() {
                self.send.next + 65_537
            } else {
                isn::initial_sequence_number(&self.policy, &self.pair, now)
            };
            self.begin_at(initial);
            self.fresh_recovery();
            if self.is_fast_opened() {
                // Text may leave before the handshake is over: the network's limits count from now on. There is
                // nothing to probe for before the peer has our SYN.
                let mss = u32::from(self.segment_size());
                self.recovery.begin_early(mss, &self.policy);
            }
        }
        if !answer {
            self.agreed = self.offer();
            self.send.window = 0;
            self.send.largest_window = 0;
        }
        self.due.handshake = true;
    }

    /// What a SYN of ours offers.
    fn offer(&self) -> Agreed {
        let policy = &self.policy;
        Agreed {
            timestamps: policy.timestamps,
            timestamp_offset: isn::timestamp_offset(&policy.secret, &self.pair),
            sack: policy.sack,
            window_scaling: policy.window_scaling,
            send_scale: 0,
            receive_scale: policy.window_scale(),
            ecn: policy.ecn == EcnPolicy::Offer,
            passive: false,
            fast_open: self.agreed.fast_open,
        }
    }

    /// Takes over what a SYN says: from a stranger in LISTEN and TIME_WAIT, from the peer in SYN_SENT.
    pub(super) fn learn_peer(&mut self, now: Instant, arrival: &Arrival<'_>) {
        let segment = arrival.segment;
        let active = self.state == State::SynSent;
        if !active {
            self.pair.local_address = arrival.envelope.destination;
            self.pair.remote_address = arrival.envelope.source;
            self.pair.local_port = segment.destination_port;
            self.pair.remote_port = segment.source_port;
            self.agreed = Agreed { passive: true, ecn: self.policy.ecn != EcnPolicy::Off, ..self.offer() };
        }
        let said = Said::of(&segment.options);
        self.agreed.timestamps &= said.timestamps.is_some();
        self.agreed.sack &= said.sack_permitted;
        match said.window_scale {
            // RFC 7323 §2.3: a shift beyond 14 is taken for 14.
            Some(scale) if self.agreed.window_scaling => self.agreed.send_scale = scale.min(14),
            _ => {
                self.agreed.window_scaling = false;
                self.agreed.send_scale = 0;
                self.agreed.receive_scale = 0;
            }
        }
        if let Some(timeout) = said.user_timeout.filter(|_| self.policy.user_timeout_option) {
            self.take_advice(timeout.as_duration());
        }
        // RFC 3168 §6.1.1: a SYN offers with ECE and CWR, a SYN+ACK agrees with ECE alone.
        let ecn = segment.flags.intersection(Flags::ECE | Flags::CWR);
        let expected = if segment.flags.contains(Flags::ACK) { Flags::ECE } else { Flags::ECE | Flags::CWR };
        self.agreed.ecn &= ecn == expected;

        // RFC 9293 §3.7.1 (MUST-15): without the option the peer takes only the default.
        let default = if self.pair.remote_address.is_ipv4() { 536 } else { 1220 };
        self.send.peer_mss = said.mss.unwrap_or(default).max(self.policy.min_mss);

        self.hear_fast_open(segment, self.send.peer_mss);
        self.begin_receiving(segment.seq);
        if let Some(timestamps) = said.timestamps {
            self.receive.timestamp = timestamps.value;
            self.receive.timestamp_at = facts::seconds(now);
        }
        self.send.window = u32::from(segment.window);
        self.send.largest_window = self.send.window;
        self.send.window_seq = segment.seq;
        self.send.window_ack = segment.ack;
        self.timers.heard = now;
    }

    /// The peer tells how long it waits before it gives up; both had better wait as long, within
    /// reason (RFC 5482 §3.1).
    fn take_advice(&mut self, remote: Duration) {
        // Less than R2's hundred seconds would give up too soon (RFC 9293 §3.8.3), and nobody waits longer than a day.
        const LEAST: Duration = Duration::from_secs(100);
        const MOST: Duration = Duration::from_secs(24 * 3_600);
        // Who waits without a limit waits longer than anybody asks for.
        let Some(local) = self.policy.user_timeout else { return };
        self.policy_mut().user_timeout = Some(local.max(remote).clamp(LEAST, MOST));
    }

    /// The handshake is over.
    pub(super) fn opened(&mut self, now: Instant) {
        self.begin_path_search(now);
        self.events.note(Events::OPENED | Events::WRITABLE);
        self.timers.heard = now;
        self.begin_counting(now);
        self.count(|counters| counters.text_heard_at = now);
        self.receive.read_since = now.as_millis() as u32;
        self.established();
        if self.text_in.readable() > 0 {
            self.events.note(Events::READABLE);
        }
    }

    /// Our SYN is acknowledged: from now on the network's limits count.
    pub(super) fn established(&mut self) {
        if self.is_fast_opened() {
            // They have counted since text came with the SYN.
            self.recovery.end_early(self.agreed.sack, &self.policy);
            return;
        }
        let mss = u32::from(self.segment_size());
        self.recovery.established(mss, self.agreed.sack, self.agreed.timestamps, &self.policy);
    }

    /// The maximum segment size told to the peer.
    pub(super) fn advertised_mss(&self) -> u16 {
        let path = self.pair.largest_text(self.send.path_mtu);
        self.policy.mss.map_or(path, |mss| mss.min(path))
    }

    /// The options of a SYN or SYN+ACK, in the order Linux has them.
    pub(super) fn handshake_options(&self, now: Instant) -> Options {
        let mut options = Options::EMPTY;
        let mss = self.advertised_mss();
        // Where SYNs cross, Linux sends its own again with an ACK: all that it offers, whatever the peer's SYN had.
        let (agreed, policy) = (&self.agreed, &self.policy);
        let repeats = policy.is_linux() && !agreed.passive;
        let timestamps = if repeats { policy.timestamps } else { agreed.timestamps };
        let sack = if repeats { policy.sack } else { agreed.sack };
        let scale = if repeats {
            policy.window_scaling.then(|| policy.window_scale())
        } else {
            agreed.window_scaling.then_some(agreed.receive_scale)
        };
        let mut add = |option: TcpOption<'_>| {
            // 24 bytes at the most: there is always room.
            let added = options.push(option);
            debug_assert!(added.is_ok());
        };
        add(TcpOption::MaximumSegmentSize(mss));
        if timestamps {
            // The SACK option takes the place of the padding in front of the timestamps.
            if sack {
                add(TcpOption::SackPermitted);
            } else {
                add(TcpOption::NoOperation);
                add(TcpOption::NoOperation);
            }
            add(TcpOption::Timestamps(self.timestamps(now)));
        } else if sack {
            add(TcpOption::NoOperation);
            add(TcpOption::NoOperation);
            add(TcpOption::SackPermitted);
        }
        if let Some(scale) = scale {
            add(TcpOption::NoOperation);
            add(TcpOption::WindowScale(scale));
        }
        if self.policy.user_timeout_option
            && let Some(timeout) = self.policy.user_timeout
        {
            add(TcpOption::UserTimeout(UserTimeout::from_duration(timeout)));
        }
        let added = self.push_fast_open(&mut options);
        debug_assert!(added.is_ok());
        options
    }

    /// The timestamps of a segment sent now: a clock of milliseconds (RFC 7323 §5.4).
    pub(super) fn timestamps(&self, now: Instant) -> Timestamps {
        Timestamps { value: self.timestamp_clock(now), echo_reply: self.receive.timestamp }
    }

    pub(super) const fn timestamp_clock(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.agreed.timestamp_offset)
    }

    /// The largest text of a segment, options that every segment has counted off.
    pub(super) fn segment_size(&self) -> u16 {
        let path = self.pair.largest_text(self.send.path_mtu);
        let options = if self.agreed.timestamps { 12 } else { 0 };
        let own = self.policy.mss.filter(|_| self.policy.is_linux()).unwrap_or(u16::MAX);
        self.send.peer_mss.min(path).min(own).saturating_sub(options).max(8)
    }

    /// Text and FIN that come with a SYN wait until the connection is open (RFC 9293 §3.10.7.2).
    pub(super) fn hold_for_later(&mut self, segment: &Segment<'_>) {
        if self.is_fast_opened() {
            self.take_syn_text(segment);
            return;
        }
        // Linux drops them; the peer sends them again.
        if self.policy.is_linux() {
            return;
        }
        let seq = segment.seq + 1;
        let room = self.receive.edge.offset_from(self.receive.next);
        let text = segment.text.take(room as usize);
        if segment.flags.contains(Flags::FIN) && text.len() == segment.text.len() {
            self.receive.held_fin = Some(seq + text.len() as u32);
        }
        self.text_in.hold(seq, text);
    }

    /// Text of a SYN with a good cookie is the program's at once, and the program may answer (RFC 7413 §4.2.2).
    fn take_syn_text(&mut self, segment: &Segment<'_>) {
        let next = self.receive.next;
        let room = self.receive.edge.offset_from(next);
        let inserted = self.text_in.insert(next, next, segment.text.take(room as usize));
        self.receive.next += inserted.advanced;
        self.count(|counters| {
            counters.received += u64::from(inserted.advanced);
            counters.syn_text = inserted.advanced > 0;
        });
        self.receive.segment_size = self.receive.segment_size.max(segment.text.len().min(0xffff) as u16);
        self.events.note(if inserted.advanced > 0 {
            Events::READABLE | Events::WRITABLE
        } else {
            Events::WRITABLE
        });
    }
}
