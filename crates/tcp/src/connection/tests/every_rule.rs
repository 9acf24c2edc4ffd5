//! Drives every rule of the table through the endpoint.
//!
//! For each state, reached in every way that makes a difference, all combinations of flags,
//! numbers and text are tried, every call, every timer and every ICMP error. The endpoint must answer each
//! as the rule says; and in the end every rule must have been met.

use std::collections::BTreeSet;

use super::*;
use crate::policy::Keepalive;
use crate::rules::{Event, Facts, RULES};
use crate::{Rule, SeqNumber, Timestamps};

const NOW: Instant = Instant::from_secs(100);

/// How a connection came to be where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct History {
    state: State,
    passive: bool,
    /// Text from the peer has not been read.
    unread: bool,
    /// Text has been handed over that was never sent.
    queued: bool,
    /// The program has called close(), not only shutdown().
    gone: bool,
    /// The program named a remote socket before.
    remote: bool,
}

impl History {
    fn all() -> impl Iterator<Item = Self> {
        (0..11 * 32).map(|number: usize| Self {
            state: State::ALL[number % 11],
            passive: (number / 11) & 1 != 0,
            unread: (number / 11) & 2 != 0,
            queued: (number / 11) & 4 != 0,
            gone: (number / 11) & 8 != 0,
            remote: (number / 11) & 16 != 0,
        })
    }

    /// The connection, if there is such a history.
    fn build(self, policy: &Policy) -> Option<Connection> {
        let mut stage = Stage::new(policy);
        let unsynchronized = matches!(self.state, State::Closed | State::Listen | State::SynSent);
        if unsynchronized && (self.unread || self.gone || (self.passive && self.state == State::SynSent)) {
            return None;
        }
        match self.state {
            State::Closed => {
                if self.queued || self.passive {
                    return None;
                }
                if self.remote {
                    stage.connection.pair = pair();
                }
            }
            State::Listen => {
                if self.queued {
                    return None;
                }
                stage.listen();
                if self.remote {
                    stage.connection.set_remote(pair().remote());
                }
            }
            State::SynSent => {
                stage.connect();
                stage.queue(self.queued);
            }
            State::SynReceived => {
                if self.unread || self.gone {
                    return None;
                }
                stage.half_open(self.passive);
                stage.queue(self.queued);
            }
            _ => {
                stage.open(self.passive);
                if self.queued {
                    stage.shut_window();
                    stage.queue(true);
                }
                if self.unread {
                    if self.gone {
                        return None;
                    }
                    stage.receive(Flags::ACK, b"unread");
                }
                stage.close_into(self.state, self.gone, self.queued)?;
            }
        }
        assert_eq!(stage.connection.state(), self.state, "{self:?}");
        stage.connection.set_may_reopen(self.remote);
        Some(stage.connection)
    }
}

/// A connection and a peer made of hand-written segments.
struct Stage {
    connection: Connection,
    peer_next: SeqNumber,
    window: u16,
}

const PEER_START: SeqNumber = SeqNumber(0xffff_fff0);

impl Stage {
    fn new(policy: &Policy) -> Self {
        Self { connection: Connection::new(Arc::new(policy.clone())), peer_next: PEER_START, window: 60_000 }
    }

    fn drain(&mut self) {
        while self.connection.poll_transmit(NOW).is_some() {}
    }

    fn listen(&mut self) {
        self.connection.listen(NOW, pair().local()).unwrap();
    }

    fn connect(&mut self) {
        self.connection.connect(NOW, pair()).unwrap();
        self.drain();
    }

    fn receive(&mut self, flags: Flags, text: &[u8]) {
        let ack = self.connection.send.next;
        self.receive_ack(flags, text, ack);
    }

    fn receive_ack(&mut self, flags: Flags, text: &[u8], ack: SeqNumber) {
        let mut segment = bare(flags, self.peer_next, ack);
        segment.text = Text::from(text);
        segment.window = self.window;
        segment.options = timestamps(500);
        if flags.contains(Flags::SYN) {
            let _ = segment.options.push(crate::TcpOption::WindowScale(0));
            let _ = segment.options.push(crate::TcpOption::SackPermitted);
        }
        self.peer_next += segment.len();
        self.connection.handle_segment(NOW, &envelope(), &segment);
        self.drain();
    }

    fn half_open(&mut self, passive: bool) {
        if passive {
            self.listen();
        } else {
            self.connect();
        }
        self.receive(Flags::SYN, b"");
    }

    fn open(&mut self, passive: bool) {
        if passive {
            self.half_open(true);
            self.receive(Flags::ACK, b"");
        } else {
            self.connect();
            self.receive(Flags::SYN | Flags::ACK, b"");
        }
        assert_eq!(self.connection.state(), State::Established);
    }

    fn shut_window(&mut self) {
        self.window = 0;
        self.receive(Flags::ACK, b"");
    }

    fn queue(&mut self, queued: bool) {
        if queued {
            self.connection.send(NOW, b"queued").unwrap();
            self.drain();
        }
    }

    /// Closes one side and the other until the connection is in `state`.
    fn close_into(&mut self, state: State, gone: bool, queued: bool) -> Option<()> {
        let close = |stage: &mut Self| {
            let result = if gone { stage.connection.close(NOW) } else { stage.connection.shutdown(NOW) };
            result.unwrap();
            stage.drain();
        };
        let una = self.connection.send.unacknowledged;
        match state {
            State::Established if !gone => {}
            State::FinWait1 => close(self),
            State::FinWait2 | State::TimeWait if queued => return None,
            State::FinWait2 => {
                close(self);
                self.receive(Flags::ACK, b"");
            }
            State::CloseWait if !gone => self.receive(Flags::FIN | Flags::ACK, b""),
            State::Closing => {
                close(self);
                self.receive_ack(Flags::FIN | Flags::ACK, b"", una);
            }
            State::LastAck => {
                self.receive(Flags::FIN | Flags::ACK, b"");
                close(self);
            }
            State::TimeWait => {
                close(self);
                self.receive(Flags::FIN | Flags::ACK, b"");
            }
            _ => return None,
        }
        Some(())
    }
}

fn envelope() -> Envelope {
    Envelope { source: pair().remote_address, destination: pair().local_address, ecn: Ecn::NotEct }
}

fn bare<'a>(flags: Flags, seq: SeqNumber, ack: SeqNumber) -> Segment<'a> {
    Segment {
        source_port: pair().remote_port,
        destination_port: pair().local_port,
        seq,
        ack,
        flags,
        window: 60_000,
        ..Segment::default()
    }
}

fn timestamps(value: u32) -> Options {
    Options::with_timestamps(Timestamps { value, echo_reply: 0 })
}

fn policy_for(base: &Policy) -> Policy {
    Policy {
        // Small, so that both sides of every edge can be tried.
        receive_buffer: 1_000,
        receive_buffer_max: 1_000,
        keepalive: Some(Keepalive::DEFAULT),
        fin_wait_2_timeout: Some(Duration::from_secs(60)),
        user_timeout: None,
        ..base.clone()
    }
}

/// What an endpoint may do where the table says `rule`.
fn check(rule: &Rule, policy: &Policy, connection: &Connection, what: &dyn std::fmt::Debug) {
    let states: &[State] = if policy.is_linux() { &[rule.to, rule.to_on_linux()] } else { &[rule.to] };
    assert!(states.contains(&connection.state()), "{}: {what:?} led to {}", rule.id, connection.state());
}

fn segments(connection: &Connection) -> Vec<Segment<'static>> {
    let next = connection.receive.next;
    let window = connection.receive_window().size;
    let una = connection.send.unacknowledged;
    let sent = connection.send.next;
    let numbers =
        [next, next - 1, next + 1, next - 11, next + window, next + window - 1, connection.receive.initial];
    let acks = [sent, una, una - 1, sent + 1, una - connection.send.largest_window - 1];
    let texts: [&'static [u8]; 4] = [b"", b"x", b"0123456789", &[b'y'; 1_100]];
    let mut all = Vec::new();
    for bits in 0..16 {
        let flags: Flags = [Flags::FIN, Flags::SYN, Flags::RST, Flags::ACK]
            .into_iter()
            .enumerate()
            .filter(|(index, _)| bits & (1 << index) != 0)
            .map(|(_, flag)| flag)
            .collect();
        for seq in numbers {
            for ack in acks {
                for text in texts {
                    for value in [400, 600] {
                        let mut segment = bare(flags, seq, ack);
                        segment.text = Text::from(text);
                        segment.options = timestamps(value);
                        all.push(segment);
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_rule_is_met_and_obeyed() {
    for policy in policies().map(|base| policy_for(&base)) {
        let mut met: BTreeSet<&str> = BTreeSet::new();
        for history in History::all() {
            let Some(sample) = history.build(&policy) else { continue };
            try_segments(history, &sample, &policy, &mut met);
            try_calls(history, &policy, &mut met);
            try_timers(history, &policy, &mut met);
        }
        let missed: Vec<&str> = RULES.iter().map(|rule| rule.id).filter(|id| !met.contains(id)).collect();
        assert!(missed.is_empty(), "{:?}: never met: {missed:?}", policy.profile);
    }
}

fn try_segments(history: History, sample: &Connection, policy: &Policy, met: &mut BTreeSet<&'static str>) {
    for segment in segments(sample) {
        let mut connection = history.build(policy).unwrap();
        let facts = connection.segment_facts(NOW, &segment);
        assert!(facts.is_consistent(), "{history:?} {segment:?} {facts:?}");
        let rule = rules_find(history.state, Event::Segment, facts);
        connection.handle_segment(NOW, &envelope(), &segment);
        let steps: Vec<&Rule> = connection.steps().iter().collect();
        assert_eq!(steps[0], rule, "{history:?} {segment:?}");
        met.extend(steps.iter().map(|rule| rule.id));
        check(steps.last().unwrap(), policy, &connection, &(history, segment));
        // Whatever came, at most one answer besides text that waits to be sent.
        let mut answers = 0;
        while let Some(out) = connection.poll_transmit(NOW) {
            answers += u32::from(out.segment.text.is_empty() && !out.segment.flags.contains(Flags::FIN));
            assert!(
                !segment.flags.contains(Flags::RST) || !out.segment.flags.contains(Flags::RST),
                "{history:?}"
            );
        }
        assert!(answers <= 2, "{history:?} {segment:?}: {answers} answers");
    }
}

fn rules_find(state: State, event: Event, facts: Facts) -> &'static Rule {
    crate::rules::find(state, event, facts).unwrap()
}

fn try_calls(history: History, policy: &Policy, met: &mut BTreeSet<&'static str>) {
    type Call = fn(&mut Connection) -> Result<(), CallError>;
    let calls: [(Event, Call); 9] = [
        (Event::ActiveOpen, |connection| connection.connect(NOW, pair())),
        (Event::ActiveOpen, |connection| connection.connect(NOW, FourTuple::UNSPECIFIED)),
        (Event::PassiveOpen, |connection| connection.listen(NOW, pair().local())),
        (Event::Send, |connection| connection.send(NOW, b"text").map(drop)),
        (Event::Receive, |connection| connection.recv(NOW, &mut [0; 10]).map(drop)),
        (Event::Shutdown, |connection| connection.shutdown(NOW)),
        (Event::Close, |connection| connection.close(NOW)),
        (Event::Abort, |connection| connection.abort(NOW)),
        (Event::Status, |connection| connection.status(NOW).map(drop)),
    ];
    for (event, call) in calls {
        let mut connection = history.build(policy).unwrap();
        let _ = call(&mut connection);
        let steps: Vec<&Rule> = connection.steps().iter().collect();
        assert_eq!((steps[0].from, steps[0].event), (history.state, event), "{history:?}");
        check(steps.last().unwrap(), policy, &connection, &(history, event));
        met.extend(steps.iter().map(|rule| rule.id));
        while connection.poll_transmit(NOW).is_some() {}
    }
}

fn try_timers(history: History, policy: &Policy, met: &mut BTreeSet<&'static str>) {
    // A peer that never answers again: all timers run out.
    for (user_timeout, in_flight) in [
        (None, false),
        (None, true),
        (Some(Duration::from_millis(3_500)), false),
        (Some(Duration::from_millis(3_500)), true),
    ] {
        let mut connection = history.build(policy).unwrap();
        connection.policy_mut().user_timeout = user_timeout;
        if in_flight && matches!(history.state, State::Established | State::CloseWait) {
            connection.send(NOW, b"in flight").unwrap();
        }
        let mut now = NOW;
        for _ in 0..200 {
            while connection.poll_transmit(now).is_some() {}
            let Some(next) = connection.poll_timeout() else { break };
            now = now.max(next);
            let before = connection.state();
            connection.handle_timeout(now);
            let steps: Vec<&Rule> = connection.steps().iter().collect();
            if let (Some(first), Some(last)) = (steps.first(), steps.last()) {
                assert_eq!(first.from, before);
                check(last, policy, &connection, &history);
            }
            met.extend(steps.iter().map(|rule| rule.id));
        }
        assert!(now < NOW + Duration::from_secs(40_000), "{history:?} still waits");
    }
    let mut connection = history.build(policy).unwrap();
    // Something of it has to be in flight for an ICMP error to be believed.
    connection.send.unacknowledged = connection.send.next - 1;
    let seq = connection.send.next - 1;
    connection.handle_icmp(NOW, IcmpError::Unreachable { seq });
    if let Some(rule) = connection.steps().last() {
        check(rule, policy, &connection, &history);
        met.insert(rule.id);
    }
}
