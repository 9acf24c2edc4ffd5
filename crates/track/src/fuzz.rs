//! A tracker under attack: for the fuzz target and its replay.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eleven_tcp::{Ecn, Flags, Options, Segment, SeqNumber};

use crate::zeek::observer::Observer;
use crate::{Checksums, Report, Reported, Settings, Side, Sighting, Tracker};

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

    fn word(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A number near another, or any.
    fn near(&mut self, number: u32) -> u32 {
        match self.byte() {
            0..=0x5f => number,
            byte @ 0x60..=0x9f => number.wrapping_add(u32::from(byte - 0x60)),
            byte @ 0xa0..=0xbf => number.wrapping_sub(u32::from(byte - 0x9f)),
            byte @ 0xc0..=0xef => number.wrapping_add(u32::from(byte - 0xc0) << 9),
            _ => self.word(),
        }
    }
}

/// So many flows are kept: few enough that some are evicted.
const FLOWS: usize = 6;

/// Any bytes as segments and reports of a few flows: nothing panics, memory stays bounded, no flow and no packet is lost
/// from the totals, and what is told hangs together.
#[doc(hidden)]
pub fn try_any_bytes(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let checksums = [Checksums::Flag, Checksums::Ignore, Checksums::Drop][usize::from(bytes.byte() % 3)];
    let settings = Settings { max_flows: FLOWS, checksums, hash_key: [1; 16], ..Settings::default() };
    let mut tracker = Tracker::new(settings);
    let mut next = [0x1000_u32, 0xffff_ff00];
    let mut number = 0;
    let mut time_ns = 0_i64;
    let mut observers: BTreeMap<u64, (Observer, IpAddr)> = BTreeMap::new();
    let mut flows = Vec::new();
    let mut reported = 0;
    while !bytes.0.is_empty() {
        number += 1;
        let shape = bytes.byte();
        let client = shape & 1 == 0;
        // Now and then time stands still, jumps, or goes back.
        time_ns = match shape >> 6 {
            0 => time_ns,
            1 => time_ns.saturating_add(1_000_000),
            2 => time_ns.saturating_add(1_000_000_000),
            _ => time_ns.saturating_add(i64::from(bytes.word().cast_signed()) << (bytes.byte() % 40)),
        };
        let (mine, theirs) = if client { (0, 1) } else { (1, 0) };
        let which = if shape & 2 == 0 { 0 } else { bytes.byte() % 9 };
        let addresses: [IpAddr; 2] = if which % 4 == 3 {
            [[0, 0, 0, 0, 0, 0, 0, 1_u16].into(), [10, 0, 0, 2].into()]
        } else {
            [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]
        };
        let ports = [1_000 + u16::from(which), 80];
        if shape & 0x3c == 0x3c {
            let report = match bytes.byte() % 3 {
                0 => Report::PacketTooBig { mtu: bytes.word() },
                1 => Report::Unreachable,
                _ => Report::Transient,
            };
            reported += 1;
            let _ = tracker.observe_icmp(&Reported {
                number,
                time_ns,
                source: (addresses[mine], ports[mine]).into(),
                destination: (addresses[theirs], ports[theirs]).into(),
                seq: bytes.near(next[mine]),
                path: 0,
                report,
            });
            continue;
        }
        let flags = if shape & 4 == 0 { Flags::ACK } else { Flags::from_bits(u16::from(bytes.byte())) };
        let seq = bytes.near(next[mine]);
        let ack = bytes.near(next[theirs]);
        let text = if shape & 8 == 0 { 0 } else { u32::from(bytes.byte()) << (bytes.byte() % 12) };
        let window = if shape & 16 == 0 { 60_000 } else { u16::from(bytes.byte()) };
        let mut raw = [0; Options::MAX_LENGTH];
        let length = if shape & 32 == 0 { 0 } else { usize::from(bytes.byte() % 11) * 4 };
        raw[..length].fill_with(|| bytes.byte());
        let segment = Segment {
            source_port: ports[mine],
            destination_port: ports[theirs],
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags,
            window,
            options: Options::from_bytes(&raw[..length]).unwrap_or(Options::EMPTY),
            ..Segment::default()
        };
        let sighting = Sighting {
            number,
            time_ns,
            source: addresses[mine],
            destination: addresses[theirs],
            identification: (shape & 64 == 0).then_some(number as u16),
            hop_limit: 64,
            ecn: Ecn::NotEct,
            segment: &segment,
            text_length: text,
            checksum_bad: shape & 0x60 == 0x60,
            path: 0,
        };
        let verdict = tracker.observe(&sighting);
        let direction = (addresses[mine], ports[mine]) > (addresses[theirs], ports[theirs]);
        let drops = checksums == Checksums::Drop;
        observers
            .entry(verdict.flow)
            .or_insert_with(|| (Observer::new(&sighting, direction), addresses[mine]))
            .0
            .observe(&sighting, direction, drops);
        next[mine] = seq
            .wrapping_add(text)
            .wrapping_add(u32::from(flags.contains(Flags::SYN)))
            .wrapping_add(u32::from(flags.contains(Flags::FIN)));
        assert!(tracker.len() <= FLOWS);
        assert!(tracker.memory() < 1 << 20, "{} bytes", tracker.memory());
        flows.extend(tracker.drain_evicted());
    }
    let totals = tracker.totals();
    flows.extend(tracker.finish());
    assert_eq!(totals.packets, number - reported);
    assert_eq!(totals.flows, flows.len() as u64);
    let dropped = if checksums == Checksums::Drop { totals.bad_checksums } else { 0 };
    let packets: u64 =
        flows.iter().map(|flow| u64::from(flow.client.packets) + u64::from(flow.server.packets)).sum();
    assert_eq!(packets + dropped, totals.packets);
    for flow in &flows {
        for side in Side::BOTH {
            let end = flow.end(side);
            assert!(end.unique_bytes <= end.bytes, "{end:?}");
            if let Some(last) = end.path.last() {
                assert_eq!((last.state, last.provenance), (end.state, end.provenance));
            }
            for pair in end.path.windows(2) {
                if let Some(rule) = pair[1].rule {
                    assert_eq!(rule.from, pair[0].state, "{:?}", end.path);
                    assert_eq!(rule.to, pair[1].state, "{:?}", end.path);
                }
            }
        }
        // The observer that keeps numbers of its own from the beginning says the same as the one that begins late.
        let told = flow.zeek.as_ref().map(|zeek| (zeek.conn_state, zeek.history.clone()));
        let (observer, _) = &observers[&flow.id];
        assert_eq!(told, Some((observer.conn_state(), observer.history())));
    }
}
