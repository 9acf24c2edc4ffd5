//! Segments of a script: those that arrive are made, those that leave are compared.

use alloc::format;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{PORT, Player, Stage, differs};
use crate::ip::{self, Received};
use crate::script::ast::{Icmp, OptionSpec, SegmentSpec, Time};
use crate::script::host::ScriptHost;
use crate::script::notation::{spec_text, time_text};
use crate::script::report::Difference;
use crate::sockets::Departure;
use crate::{Ecn, Flags, Instant, Options, SackBlock, Segment, SeqNumber, TcpOption, Timestamps};

impl<H: ScriptHost> Player<H> {
    pub(super) fn arrive(&mut self, spec: &SegmentSpec) {
        let handshake = spec.flags.intersection(Flags::SYN | Flags::ACK);
        if handshake == Flags::SYN && matches!(self.stage, Stage::Nothing | Stage::Listening) {
            self.stage = Stage::Open;
            self.next_port += 1;
            self.flow.remote.set_port(self.next_port);
            self.flow.local.set_port(PORT);
            self.flow.stamps.clear();
        }
        if spec.flags.contains(Flags::SYN) {
            self.flow.remote_isn = spec.start;
        }
        let flow = &self.flow;
        let base = if spec.flags.contains(Flags::SYN) { 0 } else { flow.remote_isn };
        let text = alloc::vec![0; spec.length as usize];
        let segment = Segment {
            source_port: flow.remote.port(),
            destination_port: flow.local.port(),
            seq: SeqNumber(base) + spec.start,
            ack: spec.ack.map_or(SeqNumber(0), |ack| {
                let first = if spec.flags.contains(Flags::SYN) { flow.script_isn } else { 0 };
                SeqNumber(flow.local_isn) + ack.wrapping_sub(first)
            }),
            flags: spec.flags,
            window: spec.window.unwrap_or(0),
            urgent: spec.urgent.unwrap_or(0),
            options: self.options_of(spec),
            text: text.as_slice().into(),
            ..Segment::default()
        };
        let mut packet = Vec::new();
        let ecn = spec.ecn.unwrap_or(Ecn::NotEct);
        let (source, destination) = (flow.remote.ip(), flow.local.ip());
        if ip::emit_segment(&segment, source, destination, ecn, 64, &mut packet).is_ok() {
            self.sockets.receive_packet(&packet);
        }
    }

    fn options_of(&self, spec: &SegmentSpec) -> Options {
        let mut options = Options::EMPTY;
        for option in spec.options.iter().flatten() {
            let flow = &self.flow;
            let ours = |number: u32| SeqNumber(flow.local_isn) + number;
            let option = match option {
                OptionSpec::NoOperation => TcpOption::NoOperation,
                OptionSpec::EndOfList => TcpOption::EndOfList,
                OptionSpec::MaximumSegmentSize(size) => TcpOption::MaximumSegmentSize(*size),
                OptionSpec::WindowScale(shift) => TcpOption::WindowScale(*shift),
                OptionSpec::SackPermitted => TcpOption::SackPermitted,
                OptionSpec::Sack(blocks) => TcpOption::Sack(
                    blocks
                        .iter()
                        .map(|(start, end)| SackBlock { start: ours(*start), end: ours(*end) })
                        .collect(),
                ),
                OptionSpec::Timestamps { value, echo } => {
                    // An echo is of what was really sent.
                    let known = flow.stamps.iter().rev().find(|(script, _)| script == echo);
                    let echo_reply = known.map_or(*echo, |(_, live)| *live);
                    TcpOption::Timestamps(Timestamps { value: *value, echo_reply })
                }
                OptionSpec::FastOpen { cookie, experiment: false } => TcpOption::FastOpen(cookie),
                OptionSpec::FastOpen { cookie, experiment: true } => TcpOption::FastOpenExperiment(cookie),
                OptionSpec::Other(_) => continue,
            };
            // What has no room is left away: the script cannot mean it.
            let _ = options.push(option);
        }
        options.pad_to_word();
        options
    }

    pub(super) fn report(&mut self, icmp: &Icmp) {
        let flow = &self.flow;
        let seq = SeqNumber(flow.local_isn) + icmp.seq.map_or(0, |seq| seq.wrapping_sub(flow.script_isn));
        let about = Segment {
            source_port: flow.local.port(),
            destination_port: flow.remote.port(),
            seq,
            ..Segment::default()
        };
        let (mut packet, mut report) = (Vec::new(), Vec::new());
        let (source, destination) = (flow.local.ip(), flow.remote.ip());
        if ip::emit_segment(&about, source, destination, Ecn::NotEct, 64, &mut packet).is_ok()
            && icmp.kind.report(destination, &packet, &mut report).is_ok()
        {
            self.sockets.receive_packet(&report);
        }
    }

    /// The next segment of the connection under test; time passes until there is one.
    fn sniff(&mut self, limit: Instant) -> Option<Departure> {
        loop {
            self.try_pending();
            while let Some(departure) = self.sockets.take_packet() {
                if self.belongs(&departure.packet) {
                    return Some(departure);
                }
            }
            let deadline = self.deadline_of_call();
            let next = self.sockets.next_timer().into_iter().chain(deadline).min()?;
            if next > limit {
                return None;
            }
            self.wait_until(next.max(self.sockets.now()));
        }
    }

    fn belongs(&mut self, packet: &[u8]) -> bool {
        let Ok(Received::Tcp(packet)) = Received::parse(packet) else { return false };
        let Ok(segment) = Segment::parse(packet.tcp) else { return false };
        let opens = segment.flags.intersection(Flags::SYN | Flags::ACK) == Flags::SYN;
        if self.stage == Stage::Connecting && opens {
            self.stage = Stage::Open;
            self.flow.local = SocketAddr::new(packet.source, segment.source_port);
            self.flow.remote.set_port(segment.destination_port);
            self.flow.local_isn = segment.seq.0;
            self.flow.stamps.clear();
            return true;
        }
        // Those of an earlier connection are not what is tested now.
        self.stage == Stage::Open
            && packet.source == self.flow.local.ip()
            && segment.source_port == self.flow.local.port()
            && segment.destination_port == self.flow.remote.port()
    }

    /// A segment has to leave: as it is written, and when.
    pub(super) fn expect(
        &mut self,
        spec: &SegmentSpec,
        time: Time,
        first: Instant,
        last: Instant,
        tolerance: i64,
    ) -> Result<(), Difference> {
        let expected = spec_text(spec);
        let limit = self.sockets.now().max(last) + self.sockets.longest_wait();
        let Some(mut departure) = self.sniff(limit) else {
            return differs("a segment should have left", expected, "none");
        };
        let mut got = self.seen(&departure.packet, spec);
        // What a device cuts into segments may be told in one.
        while got.length < spec.length {
            let Some(next) = self.sniff(limit) else { break };
            let more = self.seen(&next.packet, spec);
            if more.start != got.end || more.flags.difference(Flags::PSH) != got.flags.difference(Flags::PSH)
            {
                departure = next;
                got.flags = more.flags;
                break;
            }
            got.end = more.end;
            got.length += more.length;
            // The last one tells what is pushed.
            got.flags = more.flags;
        }
        let same = got.flags == spec.flags
            && (got.start, got.end, got.length) == (spec.start, spec.end, spec.length)
            && (spec.ack.is_none() || got.ack == spec.ack)
            && (spec.window.is_none() || got.window == spec.window)
            && (spec.options.is_none() || got.options == spec.options)
            && (spec.ecn.is_none() || got.ecn == spec.ecn);
        let shown = SegmentSpec {
            window: got.window.filter(|_| spec.window.is_some()),
            ecn: got.ecn.filter(|_| spec.ecn.is_some()),
            ..got
        };
        if !same {
            return differs("another segment left", expected, spec_text(&shown));
        }
        let (at, from, to) = (Self::micros(departure.at), Self::micros(first), Self::micros(last));
        if time != Time::Any && (at < from - tolerance || at > to + tolerance) {
            let wanted = if from == to {
                time_text(from)
            } else {
                format!("{} to {}", time_text(from), time_text(to))
            };
            return differs("the segment left at another time", wanted, time_text(at));
        }
        Ok(())
    }

    /// A packet in the numbers of the script.
    fn seen(&mut self, packet: &[u8], spec: &SegmentSpec) -> SegmentSpec {
        let mut seen = SegmentSpec {
            flags: Flags::NONE,
            start: 0,
            end: 0,
            length: 0,
            ack: None,
            window: None,
            urgent: None,
            options: Some(Vec::new()),
            ecn: None,
        };
        let Ok(Received::Tcp(packet)) = Received::parse(packet) else { return seen };
        let Ok(segment) = Segment::parse(packet.tcp) else { return seen };
        if segment.flags.contains(Flags::SYN) {
            // The script's own first number stands for ours.
            self.flow.local_isn = segment.seq.0;
            if spec.flags.contains(Flags::SYN) {
                self.flow.script_isn = spec.start;
            }
        }
        let flow = &self.flow;
        let relative = segment.seq.offset_from(SeqNumber(flow.local_isn));
        let syn = segment.flags.contains(Flags::SYN);
        seen.flags = segment.flags;
        seen.start = if syn { flow.script_isn } else { relative };
        seen.length = segment.text.len() as u32;
        seen.end = seen.start.wrapping_add(seen.length);
        // A SYN's numbers are as they are, others are relative.
        let ack = if syn { segment.ack.0 } else { segment.ack.offset_from(SeqNumber(flow.remote_isn)) };
        seen.ack = segment.flags.contains(Flags::ACK).then_some(ack);
        seen.window = Some(segment.window);
        seen.ecn = Some(packet.ecn);
        let wanted = spec.options.iter().flatten().find_map(|option| match option {
            OptionSpec::Timestamps { value, .. } => Some(*value),
            _ => None,
        });
        let theirs = |number: SeqNumber| number.offset_from(SeqNumber(flow.remote_isn));
        let mut stamp = None;
        let options = segment.options.iter().map(|option| match option {
            TcpOption::NoOperation => OptionSpec::NoOperation,
            TcpOption::EndOfList => OptionSpec::EndOfList,
            TcpOption::MaximumSegmentSize(size) => OptionSpec::MaximumSegmentSize(size),
            TcpOption::WindowScale(shift) => OptionSpec::WindowScale(shift),
            TcpOption::SackPermitted => OptionSpec::SackPermitted,
            TcpOption::Sack(blocks) => OptionSpec::Sack(
                blocks.iter().map(|block| (theirs(block.start), theirs(block.end))).collect(),
            ),
            TcpOption::Timestamps(stamps) => {
                // The clock is the host's own: what the script calls it is only remembered.
                let value = wanted.unwrap_or(stamps.value);
                stamp = Some((value, stamps.value));
                OptionSpec::Timestamps { value, echo: stamps.echo_reply }
            }
            TcpOption::FastOpen(cookie) => {
                OptionSpec::FastOpen { cookie: cookie.to_vec(), experiment: false }
            }
            TcpOption::FastOpenExperiment(cookie) => {
                OptionSpec::FastOpen { cookie: cookie.to_vec(), experiment: true }
            }
            other => OptionSpec::Other(format!("{other:?}")),
        });
        seen.options = Some(options.collect());
        self.flow.stamps.extend(stamp);
        seen
    }
}
