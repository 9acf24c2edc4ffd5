//! Plays a script on a host in virtual time.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use super::ast::{Action, Event, Icmp, OptionSpec, Script, SegmentSpec, SystemCall, Time, Value};
use super::notation::{result_text, spec_text, time_text};
use super::report::{Difference, Report, Verdict};
use crate::fast_open::CookieCache;
use crate::ip::{self, Received};
use crate::sockets::constants::message;
use crate::sockets::{
    Call, Departure, Descriptor, EpollChange, Errno, Outcome, PollEntry, Settings, Shutdown, Sockets,
};
use crate::{Ecn, Flags, Instant, Options, SackBlock, Segment, SeqNumber, TcpOption, Timestamps};

/// When scripts begin: some numbers reach back from there.
const START: Instant = Instant::from_secs(1_000);
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 1);
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 8080;
/// After this nothing is waited for.
const LONGEST: Duration = Duration::from_secs(3_600);
/// Nothing that a script calls gets more bytes.
const MOST_BYTES: i64 = 16 << 20;

/// Plays a script on a host whose sysctls are `settings` at first.
pub fn run(script: &Script, settings: &Settings) -> Report {
    let mut player = Player::new(script, settings);
    let mut report = Report { verdicts: Vec::new(), text: String::new() };
    for event in &script.events {
        let difference = player.play(event).and_then(|()| player.check_returned()).err();
        let failed = difference.is_some();
        let line = difference.as_ref().and_then(|_| player.failed_line.take()).unwrap_or(event.line);
        report.verdicts.push(Verdict { line, difference });
        if failed {
            report.text = script.lines.get(line - 1).cloned().unwrap_or_default();
            return report;
        }
    }
    if let Some(pending) = player.pending.take() {
        let difference = differs::<()>("the call has not returned at the end", "a result", "nothing");
        if let Some(last) = report.verdicts.last_mut() {
            last.line = pending.line;
            last.difference = difference.err();
            report.text = script.lines.get(pending.line - 1).cloned().unwrap_or_default();
        }
    }
    report
}

fn differs<T>(
    what: impl Into<String>,
    expected: impl Into<String>,
    got: impl Into<String>,
) -> Result<T, Difference> {
    Err(Difference { what: what.into(), expected: expected.into(), got: got.into() })
}

/// What the numbers of segments are relative to.
#[derive(Clone, Debug)]
struct Flow {
    local: SocketAddr,
    remote: SocketAddr,
    /// Ours as it is, and as the script has it.
    local_isn: u32,
    script_isn: u32,
    remote_isn: u32,
    /// Timestamps of ours: as the script has them, and as they are.
    stamps: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Nothing,
    Listening,
    Connecting,
    Open,
}

/// A call that has to wait.
struct Pending {
    call: Call,
    expected: SystemCall,
    /// When it should return.
    end: Option<Instant>,
    /// How exact that is.
    tolerance: i64,
    line: usize,
}

struct Player {
    settings: Settings,
    sockets: Sockets,
    descriptors: BTreeMap<i64, Descriptor>,
    /// The descriptor whose connection assertions are about.
    latest: Option<Descriptor>,
    flow: Flow,
    stage: Stage,
    next_port: u16,
    tolerance: i64,
    pending: Option<Pending>,
    /// What it has come to, and when.
    returned: Option<(Result<Outcome, Errno>, Instant)>,
    /// When the event before should have happened, if it was an inbound segment.
    anchor: Option<Instant>,
    last: Instant,
    failed_line: Option<usize>,
}

impl Player {
    fn new(script: &Script, settings: &Settings) -> Self {
        let option = |name: &str| {
            script.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let address = |name: &str, default: Ipv4Addr| {
            option(name).and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        let (local, remote) = (address("local_ip", LOCAL), address("remote_ip", REMOTE));
        let mut sockets = Sockets::new(settings.clone());
        let mtu = option("mtu").and_then(|value| value.parse().ok()).unwrap_or(1500);
        sockets.set_device(local, Ipv6Addr::LOCALHOST, mtu);
        sockets.advance(START, |_| false);
        Self {
            settings: settings.clone(),
            sockets,
            descriptors: BTreeMap::new(),
            latest: None,
            flow: Flow {
                local: (IpAddr::from(local), PORT).into(),
                remote: (IpAddr::from(remote), PORT).into(),
                local_isn: 0,
                script_isn: 0,
                remote_isn: 0,
                stamps: Vec::new(),
            },
            stage: Stage::Nothing,
            next_port: 33_000,
            tolerance: option("tolerance_usecs").and_then(|value| value.parse().ok()).unwrap_or(4_000),
            pending: None,
            returned: None,
            anchor: None,
            last: START,
            failed_line: None,
        }
    }

    fn micros(at: Instant) -> i64 {
        at.as_micros().saturating_sub(START.as_micros()).cast_signed()
    }

    fn instant(micros: i64) -> Instant {
        START + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// What relative times are relative to.
    fn origin(&self, event: &Event) -> Instant {
        let anchored = matches!(event.action, Action::Inbound(_) | Action::Icmp(_));
        self.anchor.filter(|_| anchored).unwrap_or(self.sockets.now())
    }

    fn play(&mut self, event: &Event) -> Result<(), Difference> {
        let origin = self.origin(event);
        let after = |micros: i64| Self::instant(Self::micros(origin) + micros);
        let (first, last) = match event.time {
            Time::Absolute(at) => (Self::instant(at), Self::instant(at)),
            Time::Relative(at) => (after(at), after(at)),
            Time::Any => (self.sockets.now(), self.sockets.now()),
            Time::AbsoluteRange(from, to) => (Self::instant(from), Self::instant(to)),
            Time::RelativeRange(from, to) => (after(from), after(to)),
        };
        let tolerance = self.tolerance.max((Self::micros(first) - Self::micros(self.last)).max(0) / 8);
        if let Action::Outbound(spec) = &event.action {
            self.anchor = None;
            let result = self.expect(spec, event.time, first, last, tolerance);
            self.last = first;
            return result;
        }
        self.wait_until(first);
        let late = Self::micros(self.sockets.now()) - Self::micros(last);
        if late > tolerance && event.time != Time::Any {
            return differs(
                "the time for this has passed",
                time_text(Self::micros(last)),
                time_text(Self::micros(self.sockets.now())),
            );
        }
        self.anchor = None;
        let end = event.end.map(|end| match event.time {
            Time::Absolute(_) => Self::instant(end),
            _ => after(end),
        });
        self.last = first;
        match &event.action {
            Action::Call(call) => {
                if self.pending.is_some() {
                    // The other thread is given its chance.
                    self.try_pending();
                }
                let tolerance = end.map_or(tolerance, |end| {
                    self.tolerance.max((Self::micros(end) - Self::micros(first)) / 8)
                });
                self.make(call, end, tolerance, event.line)
            }
            Action::Inbound(spec) => {
                self.anchor = Some(first);
                self.arrive(spec);
                Ok(())
            }
            Action::Icmp(icmp) => {
                self.anchor = Some(first);
                self.report(icmp);
                Ok(())
            }
            Action::Set(settings) => {
                for (name, value) in settings {
                    if let Err(error) = self.sockets.settings_mut().set(name, value) {
                        return differs(
                            "this cannot be set",
                            "a value that is understood",
                            error.to_string(),
                        );
                    }
                }
                Ok(())
            }
            Action::Restore => {
                *self.sockets.settings_mut() = self.settings.clone();
                Ok(())
            }
            Action::ForgetCookies => {
                *self.sockets.demux_mut().cookies_mut() = CookieCache::default();
                Ok(())
            }
            Action::NoOffload => {
                self.sockets.set_offload(false);
                Ok(())
            }
            Action::Assert(statements) => self.assert(statements),
            Action::Outbound(_) => Ok(()),
        }
    }

    // Time.

    fn wait_until(&mut self, until: Instant) {
        self.try_pending();
        loop {
            let deadline = self.pending.as_ref().and_then(|pending| pending.call.deadline());
            let deadline = deadline.filter(|deadline| *deadline <= until);
            let (pending, returned) = (&mut self.pending, &mut self.returned);
            let whole = self.sockets.advance(deadline.unwrap_or(until), |sockets| {
                let Some(waiting) = pending.as_mut().filter(|_| returned.is_none()) else { return false };
                let Some(outcome) = sockets.attempt(&mut waiting.call) else { return false };
                *returned = Some((outcome, sockets.now()));
                true
            });
            self.try_pending();
            if whole && (deadline.is_none() || self.returned.is_some()) && self.sockets.now() >= until {
                return;
            }
        }
    }

    fn try_pending(&mut self) {
        if self.returned.is_none()
            && let Some(pending) = &mut self.pending
            && let Some(outcome) = self.sockets.attempt(&mut pending.call)
        {
            self.returned = Some((outcome, self.sockets.now()));
        }
    }

    /// A call that waited has returned: with what it should, and when it should.
    fn check_returned(&mut self) -> Result<(), Difference> {
        self.try_pending();
        let Some((outcome, at)) = self.returned.take() else { return Ok(()) };
        let Some(pending) = self.pending.take() else { return Ok(()) };
        self.failed_line = Some(pending.line);
        if let Some(end) = pending.end
            && (Self::micros(at) - Self::micros(end)).abs() > pending.tolerance
        {
            return differs(
                "the call returned at another time",
                time_text(Self::micros(end)),
                time_text(Self::micros(at)),
            );
        }
        self.compare(&pending.expected, outcome)?;
        self.failed_line = None;
        Ok(())
    }

    // Segments.

    fn arrive(&mut self, spec: &SegmentSpec) {
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

    fn report(&mut self, icmp: &Icmp) {
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
            let deadline = self.pending.as_ref().and_then(|pending| pending.call.deadline());
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
    fn expect(
        &mut self,
        spec: &SegmentSpec,
        time: Time,
        first: Instant,
        last: Instant,
        tolerance: i64,
    ) -> Result<(), Difference> {
        let expected = spec_text(spec);
        let limit = self.sockets.now() + LONGEST;
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

    // Calls.

    fn make(
        &mut self,
        call: &SystemCall,
        end: Option<Instant>,
        tolerance: i64,
        line: usize,
    ) -> Result<(), Difference> {
        let prepared = match self.prepare(call) {
            Ok(prepared) => prepared,
            Err(problem) => return differs(problem, call.name.as_str(), "nothing"),
        };
        match prepared {
            Prepared::Done(outcome) => self.compare(call, outcome),
            Prepared::Checked(result) => result,
            Prepared::Waits(mut waits) => match self.sockets.attempt(&mut waits) {
                Some(outcome) => {
                    if let Some(end) = end.filter(|end| {
                        *end > self.sockets.now() + Duration::from_micros(tolerance.unsigned_abs())
                    }) {
                        return differs(
                            "the call returned at once",
                            time_text(Self::micros(end)),
                            time_text(Self::micros(self.sockets.now())),
                        );
                    }
                    self.compare(call, outcome)
                }
                None if end.is_none() => differs("the call blocks", result_text(call), "nothing"),
                None if self.pending.is_some() => {
                    differs("another call blocks already", "one at a time", call.name.as_str())
                }
                None => {
                    self.pending =
                        Some(Pending { call: waits, expected: call.clone(), end, tolerance, line });
                    Ok(())
                }
            },
        }
    }

    fn prepare(&mut self, call: &SystemCall) -> Result<Prepared, String> {
        let arguments = &call.arguments;
        let number = |place: usize| match arguments.get(place) {
            Some(Value::Number(number)) => Ok(*number),
            _ => Err(format!("argument {} of {} should be a number", place + 1, call.name)),
        };
        let int = |place: usize| number(place).map(|number| number as i32);
        let bytes = |place: usize| {
            number(place).and_then(|count| {
                let fits = (0..=MOST_BYTES).contains(&count);
                if fits { Ok(count as usize) } else { Err(format!("{count} bytes are not played")) }
            })
        };
        let is_null = |place: usize| matches!(arguments.get(place), Some(Value::Number(0)));
        let name = call.name.as_str();
        let descriptor = match name {
            "socket" | "epoll_create" | "poll" => 0,
            _ => self.descriptors.get(&number(0)?).copied().unwrap_or(-1),
        };
        let done = |result: Result<(), Errno>| Prepared::Done(result.map(|()| Outcome::Done));
        let taken = |result: Result<usize, Errno>| Prepared::Done(result.map(Outcome::Taken));
        let faulty = |place: usize, count: usize| is_null(place) && count > 0;
        Ok(match name {
            "socket" => {
                let new = self.sockets.socket(false);
                self.learn(call, new);
                Prepared::Checked(Ok(()))
            }
            "epoll_create" => {
                let new = self.sockets.epoll_create();
                self.learn(call, new);
                Prepared::Checked(Ok(()))
            }
            "bind" => {
                let local = SocketAddr::new(self.flow.local.ip(), PORT);
                done(self.sockets.bind(descriptor, local))
            }
            "listen" => {
                self.stage = Stage::Listening;
                done(self.sockets.listen(descriptor, int(1)?))
            }
            "accept" => Prepared::Waits(Call::Accept { descriptor }),
            "connect" => {
                self.begin_connecting(descriptor);
                Prepared::Waits(Call::Connect { descriptor, remote: self.server(), begun: false })
            }
            "read" | "recv" | "recvfrom" => {
                let length = bytes(2)?;
                let flags = if name == "read" { 0 } else { int(3)? };
                if faulty(1, length) {
                    taken(Err(Errno::BadAddress))
                } else {
                    Prepared::Waits(Call::Receive { descriptor, length, flags })
                }
            }
            "write" | "send" | "sendto" => {
                let length = bytes(2)?;
                let flags = if name == "write" { 0 } else { int(3)? };
                if faulty(1, length) {
                    taken(Err(Errno::BadAddress))
                } else {
                    let unspecified = name == "sendto" && is_null(4);
                    self.sending(descriptor, length, flags, unspecified)
                }
            }
            "readv" | "recvmsg" => {
                let message = arguments.get(1).ok_or("a message is missing")?;
                let flags = if name == "readv" { 0 } else { int(2)? };
                if flags & message::MSG_ERRQUEUE != 0 {
                    return Ok(Prepared::Checked(self.take_errors(descriptor, call, message)));
                }
                Prepared::Waits(Call::Receive { descriptor, length: vector_length(message)?, flags })
            }
            "writev" | "sendmsg" => {
                let message = arguments.get(1).ok_or("a message is missing")?;
                let flags = if name == "writev" { 0 } else { int(2)? };
                self.sending(descriptor, vector_length(message)?, flags, false)
            }
            "fcntl" => match (number(1)?, arguments.get(2)) {
                (3, _) => {
                    let flags = if self.sockets.is_blocking(descriptor) { 2 } else { 0o4002 };
                    taken(Ok(flags))
                }
                (4, Some(Value::Number(flags))) => {
                    done(self.sockets.set_nonblocking(descriptor, flags & 0o4000 != 0))
                }
                _ => return Err("of fcntl there is F_GETFL and F_SETFL".into()),
            },
            "ioctl" => {
                let count = match number(1)? {
                    0x541b => self.sockets.unread(descriptor),
                    0x5411 => self.sockets.unacknowledged(descriptor),
                    _ => return Err("of ioctl there is SIOCINQ and SIOCOUTQ".into()),
                };
                let wanted = arguments.get(2).and_then(single);
                Prepared::Checked(match (count, wanted) {
                    (Ok(count), Some(wanted)) if i64::from(count) != wanted => {
                        differs("another number of bytes", wanted.to_string(), count.to_string())
                    }
                    (Ok(_), _) => self.compare(call, Ok(Outcome::Done)),
                    (Err(errno), _) => self.compare(call, Err(errno)),
                })
            }
            "close" => done(self.sockets.close(descriptor)),
            "shutdown" => done(match int(1)? {
                0 => self.sockets.shutdown(descriptor, Shutdown::Read),
                1 => self.sockets.shutdown(descriptor, Shutdown::Write),
                _ => self.sockets.shutdown(descriptor, Shutdown::Both),
            }),
            "setsockopt" => {
                let value = arguments.get(3).map(option_bytes).unwrap_or_default();
                let length = value.len().min(bytes(4)?);
                done(self.sockets.set_option(descriptor, int(1)?, int(2)?, &value[..length]))
            }
            "getsockopt" => {
                let value = self.sockets.option(descriptor, int(1)?, int(2)?);
                let wanted = arguments.get(3).map(option_bytes).unwrap_or_default();
                Prepared::Checked(match value {
                    Ok(value) if value != wanted => {
                        differs("another value", format!("{wanted:?}"), format!("{value:?}"))
                    }
                    Ok(_) => self.compare(call, Ok(Outcome::Done)),
                    Err(errno) => self.compare(call, Err(errno)),
                })
            }
            "poll" => {
                let Some(Value::List(list)) = arguments.first() else {
                    return Err("poll wants a list".into());
                };
                let entries = list
                    .iter()
                    .map(|entry| {
                        let fd = field(entry, "fd").ok_or("fd is missing")?;
                        let descriptor = self.descriptors.get(&fd).copied().unwrap_or(-1);
                        Ok(PollEntry { descriptor, events: field(entry, "events").unwrap_or(0) as u32 })
                    })
                    .collect::<Result<_, String>>()?;
                Prepared::Waits(Call::Poll { entries, deadline: self.deadline(number(2)?) })
            }
            "epoll_ctl" => {
                let change = match int(1)? {
                    1 => EpollChange::Add,
                    2 => EpollChange::Delete,
                    _ => EpollChange::Modify,
                };
                let watched = self.descriptors.get(&number(2)?).copied().unwrap_or(-1);
                let events = arguments.get(3).and_then(|event| field(event, "events")).unwrap_or(0) as u32;
                let data = number(2)?.cast_unsigned();
                done(self.sockets.epoll_change(descriptor, change, watched, events, data))
            }
            "epoll_wait" => {
                let count = arguments.len();
                let (most, timeout) = (bytes(count.saturating_sub(2))?, number(count.saturating_sub(1))?);
                Prepared::Waits(Call::EpollWait { descriptor, most, deadline: self.deadline(timeout) })
            }
            other => return Err(format!("{other} is no call that is known here")),
        })
    }

    fn deadline(&self, milliseconds: i64) -> Option<Instant> {
        let milliseconds = u64::try_from(milliseconds).ok()?;
        Some(self.sockets.now() + Duration::from_millis(milliseconds))
    }

    fn server(&self) -> SocketAddr {
        SocketAddr::new(self.flow.remote.ip(), PORT)
    }

    fn begin_connecting(&mut self, descriptor: Descriptor) {
        let fresh = self.sockets.connection_of(descriptor).is_none();
        if fresh {
            self.stage = Stage::Connecting;
            self.latest = Some(descriptor);
        }
    }

    fn sending(&mut self, descriptor: Descriptor, length: usize, flags: i32, unspecified: bool) -> Prepared {
        let opens = flags & message::MSG_FASTOPEN != 0;
        if opens && unspecified {
            return Prepared::Done(Err(Errno::NotSupported));
        }
        if self.sockets.connection_of(descriptor).is_none() && (opens || self.stage != Stage::Listening) {
            self.begin_connecting(descriptor);
        }
        let to = opens.then(|| self.server());
        Prepared::Waits(Call::Send { descriptor, text: alloc::vec![0; length], done: 0, flags, to })
    }

    /// `recvmsg(MSG_ERRQUEUE)`: what zero-copy sends have come to.
    fn take_errors(
        &mut self,
        descriptor: Descriptor,
        call: &SystemCall,
        message: &Value,
    ) -> Result<(), Difference> {
        match self.sockets.take_zero_copied(descriptor) {
            Ok((first, last)) => {
                let wanted = deep_field(message, "ee_info").zip(deep_field(message, "ee_data"));
                if wanted != Some((first.into(), last.into())) {
                    return differs(
                        "other sends are done",
                        format!("{wanted:?}"),
                        format!("{first} to {last}"),
                    );
                }
                self.compare(call, Ok(Outcome::Done))
            }
            Err(errno) => self.compare(call, Err(errno)),
        }
    }

    fn learn(&mut self, call: &SystemCall, new: Descriptor) {
        if let Value::Number(number) = call.result {
            self.descriptors.insert(number, new);
        }
    }

    /// Whether a call has brought what it should.
    fn compare(&mut self, call: &SystemCall, outcome: Result<Outcome, Errno>) -> Result<(), Difference> {
        let (value, errno) = match &outcome {
            Ok(Outcome::Done) => (0, None),
            Ok(Outcome::Taken(count)) => ((*count).cast_signed() as i64, None),
            Ok(Outcome::Text(text)) => (text.len().cast_signed() as i64, None),
            Ok(Outcome::Accepted(new, _)) => {
                self.learn(call, *new);
                self.latest = Some(*new);
                // The number is the script's to choose.
                (if let Value::Number(number) = call.result { number.max(0) } else { 0 }, None)
            }
            Ok(Outcome::Ready(ready)) => {
                (ready.iter().filter(|ready| **ready != 0).count().cast_signed() as i64, None)
            }
            Ok(Outcome::Events(events)) => (events.len().cast_signed() as i64, None),
            Err(errno) => (-1, Some(*errno)),
        };
        let got = errno.map_or_else(|| value.to_string(), |errno| format!("-1 {errno}"));
        let as_wanted = match call.result {
            Value::Number(wanted) => wanted == value,
            _ => true,
        };
        let right_error = match (&call.errno, errno) {
            (Some(wanted), Some(errno)) => Errno::from_name(wanted) == Some(errno),
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !as_wanted || !right_error {
            return differs("the call returned something else", result_text(call), got);
        }
        match outcome {
            Ok(Outcome::Ready(ready)) => {
                let Some(Value::List(list)) = call.arguments.first() else { return Ok(()) };
                for (entry, ready) in list.iter().zip(ready) {
                    let wanted = field(entry, "revents").unwrap_or(0);
                    if wanted != i64::from(ready) {
                        return differs("other events", format!("{wanted:#x}"), format!("{ready:#x}"));
                    }
                }
            }
            Ok(Outcome::Events(events)) => {
                for (entry, (ready, _)) in call.arguments.iter().skip(1).zip(events) {
                    let wanted = field(entry, "events").unwrap_or(0);
                    if wanted != i64::from(ready) {
                        return differs("other events", format!("{wanted:#x}"), format!("{ready:#x}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn assert(&mut self, statements: &[super::Statement]) -> Result<(), Difference> {
        self.check_returned()?;
        let descriptor = self.latest.or_else(|| self.descriptors.values().next_back().copied());
        let info =
            descriptor.and_then(|descriptor| self.sockets.tcp_info(descriptor).ok()).unwrap_or_default();
        for statement in statements {
            if statement.condition.value(&info) == 0 {
                let mut fields = Vec::new();
                statement.condition.fields(&info, &mut fields);
                let shown: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                return differs("the assertion does not hold", statement.text.as_str(), shown.join(", "));
            }
        }
        Ok(())
    }
}

enum Prepared {
    /// It has happened.
    Done(Result<Outcome, Errno>),
    /// It has happened and was as it should, or not.
    Checked(Result<(), Difference>),
    /// It may have to wait.
    Waits(Call),
}

/// `[1]`: the number in it.
fn single(value: &Value) -> Option<i64> {
    match value {
        Value::List(list) => match list.as_slice() {
            [Value::Number(number)] => Some(*number),
            _ => None,
        },
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

fn field(value: &Value, name: &str) -> Option<i64> {
    let Value::Record(fields) = value else { return None };
    fields.iter().find(|(known, _)| known == name).and_then(|(_, value)| single(value))
}

/// A field wherever it stands.
fn deep_field(value: &Value, name: &str) -> Option<i64> {
    match value {
        Value::Record(fields) => {
            field(value, name).or_else(|| fields.iter().find_map(|(_, inner)| deep_field(inner, name)))
        }
        Value::List(list) => list.iter().find_map(|inner| deep_field(inner, name)),
        _ => None,
    }
}

fn option_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => text.clone(),
        Value::Record(fields) => {
            fields.iter().flat_map(|(_, value)| (single(value).unwrap_or(0) as i32).to_ne_bytes()).collect()
        }
        value => (single(value).unwrap_or(0) as i32).to_ne_bytes().to_vec(),
    }
}

/// The bytes that the vectors of a message have in all.
fn vector_length(message: &Value) -> Result<usize, String> {
    let list = match message {
        Value::Record(fields) => fields.iter().find(|(name, _)| name == "msg_iov").map(|(_, value)| value),
        other => Some(other),
    };
    let Some(Value::List(list)) = list else { return Err("msg_iov is missing".into()) };
    let mut total = 0_i64;
    for vector in list {
        let Value::Record(fields) = vector else { return Err("a vector is {..., LENGTH}".into()) };
        total = total.saturating_add(fields.last().and_then(|(_, value)| single(value)).unwrap_or(0).max(0));
    }
    if total > MOST_BYTES {
        return Err(format!("{total} bytes are not played"));
    }
    Ok(total as usize)
}
