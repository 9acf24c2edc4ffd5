//! A whole connection under attack: for the fuzz target and its replay.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Connection, Envelope, IcmpError};
use crate::ip::Ecn;
use crate::policy::{CongestionAlgorithm, EcnPolicy, Keepalive};
use crate::{Flags, FourTuple, Instant, Options, Policy, Segment, SeqNumber};

/// Takes bytes from the front; zeros when there are no more.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn half(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number near `number`, or any.
    fn near(&mut self, number: SeqNumber) -> SeqNumber {
        match self.byte() {
            byte @ ..=0x7f => number + u32::from(byte),
            byte @ 0x80..=0xbf => number - u32::from(byte - 0x7f),
            0xc0..=0xef => number + u32::from(self.half()),
            _ => SeqNumber(u32::from(self.half()) << 16 | u32::from(self.half())),
        }
    }
}

fn policy(bytes: &mut Bytes<'_>) -> Policy {
    let (bits, more) = (bytes.byte(), bytes.byte());
    let mut policy = if bits & 1 == 0 { Policy::linux() } else { Policy::rfc9293() };
    policy.sack = bits & 2 == 0;
    policy.timestamps = bits & 4 == 0;
    policy.window_scaling = bits & 8 == 0;
    policy.nagle = bits & 16 == 0;
    policy.pacing = bits & 32 != 0;
    policy.ecn = if bits & 64 == 0 { EcnPolicy::Accept } else { EcnPolicy::Offer };
    if bits & 128 != 0 {
        policy.receive_buffer = 1 + u32::from(bytes.half());
        policy.receive_buffer_max = policy.receive_buffer;
        policy.send_buffer = 1 + u32::from(bytes.half());
    }
    if more & 1 != 0 {
        let interval = Duration::from_secs(10);
        policy.keepalive = Some(Keepalive { time: interval, interval, probes: 2 });
    }
    if more & 2 != 0 {
        policy.congestion = CongestionAlgorithm::NewReno;
    }
    if more & 4 != 0 {
        policy.segmentation_offload = 65_535;
    }
    policy
}

/// Any bytes as a policy and then calls, segments, reports and time for one connection: it never panics, sends
/// only what can be sent, uses only listed transitions, falls silent and keeps its memory.
#[doc(hidden)]
pub fn try_any_events(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let policy = policy(&mut bytes);
    let linux = policy.is_linux();
    let most_memory = 2 * (policy.receive_buffer_max.max(1 << 15) + policy.send_buffer) as usize + 32_768;
    let mut connection = Connection::new(Arc::new(policy));
    let mut now = Instant::from_secs(1_000);
    let (local, remote) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let pair =
        FourTuple { local_address: local, remote_address: remote, local_port: 40_000, remote_port: 80 };
    let mut packet = Vec::new();
    while !bytes.0.is_empty() {
        let before = connection.state;
        match bytes.byte() % 16 {
            0 => drop(connection.connect(now, pair)),
            1 => drop(connection.listen(now, pair.local())),
            2 => drop(connection.send(now, &vec![7; usize::from(bytes.half() & 0x3fff)])),
            3 => drop(connection.recv(now, &mut vec![0; usize::from(bytes.half())])),
            4 => drop(connection.shutdown(now)),
            5 => drop(connection.close(now)),
            6 => drop(connection.abort(now)),
            7 => {
                now = now.max(connection.poll_timeout().unwrap_or(now));
                connection.handle_timeout(now);
            }
            8 => {
                now = now.plus_micros(u64::from(bytes.half()) << (bytes.byte() % 16));
                connection.handle_timeout(now);
            }
            9 => {
                let seq = bytes.near(connection.send.unacknowledged);
                let error = match bytes.byte() % 3 {
                    0 => IcmpError::Unreachable { seq },
                    1 => IcmpError::Transient { seq },
                    _ => IcmpError::PacketTooBig { seq, mtu: bytes.half() },
                };
                connection.handle_icmp(now, error);
            }
            10 => {
                connection.set_may_reopen(true);
                continue;
            }
            _ => segment(&mut connection, now, &mut bytes, &pair),
        }
        let mut state = before;
        let rules: Vec<_> = connection.steps.iter().collect();
        for (index, rule) in rules.iter().enumerate() {
            assert_eq!(rule.from, state, "{}", rule.id);
            state = rules.get(index + 1).map_or(connection.state, |next| next.from);
            assert!(
                state == rule.to || state == rule.to_on_linux() && (linux || rule.linux.is_some()),
                "{}",
                rule.id
            );
        }
        drain(&mut connection, now, &mut packet);
        while connection.poll_event().is_some() {}
        assert!(connection.memory() <= most_memory, "{} bytes", connection.memory());
    }
    // Left alone, it does not spin.
    for _ in 0..100 {
        let Some(due) = connection.poll_timeout() else { return };
        let later = now.max(due);
        connection.handle_timeout(later);
        drain(&mut connection, later, &mut packet);
        assert!(connection.poll_timeout().is_none_or(|next| next > later), "a timer stays due");
        now = later;
    }
}

fn drain(connection: &mut Connection, now: Instant, packet: &mut Vec<u8>) {
    let mut count = 0;
    while let Some(out) = connection.poll_transmit(now) {
        packet.clear();
        let (source, destination) = (out.envelope.source, out.envelope.destination);
        out.segment.emit(source, destination, packet);
        assert_eq!(Segment::parse(packet), Ok(out.segment));
        count += 1;
        assert!(count < 100_000, "it never falls silent");
    }
}

/// A segment that may fit: its numbers are told relative to what is expected.
fn segment(connection: &mut Connection, now: Instant, bytes: &mut Bytes<'_>, pair: &FourTuple) {
    let flags = Flags::from_bits(u16::from(bytes.byte()));
    let seq = bytes.near(connection.receive.next);
    let ack = bytes.near(connection.send.next);
    let shape = bytes.byte();
    let window = if shape & 1 == 0 { 60_000 } else { bytes.half() };
    let text = vec![shape; if shape & 2 == 0 { 0 } else { usize::from(bytes.half() & 0x0fff) }];
    let mut raw = [0; Options::MAX_LENGTH];
    let length =
        if shape & 4 == 0 { 0 } else { usize::from(bytes.byte()) % (Options::MAX_LENGTH / 4 + 1) * 4 };
    raw[..length].fill_with(|| bytes.byte());
    let options = Options::from_bytes(&raw[..length]).unwrap_or(Options::EMPTY);
    let ecn = if shape & 8 == 0 { Ecn::NotEct } else { Ecn::Ce };
    let envelope = Envelope { source: pair.remote_address, destination: pair.local_address, ecn };
    let segment = Segment {
        source_port: pair.remote_port,
        destination_port: pair.local_port,
        seq,
        ack,
        flags,
        window,
        options,
        text: text.as_slice().into(),
        ..Segment::default()
    };
    connection.handle_segment(now, &envelope, &segment);
}
