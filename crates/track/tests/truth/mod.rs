//! What a midpoint can know, as a function of what really happened, and the tracker held against it.
//!
//! The definition in words stands in the crate's documentation (`eleven_track::knowledge`); each clause is marked here.

use std::collections::BTreeMap;

use eleven_tcp::ip::Packet;
use eleven_tcp::rules;
use eleven_tcp::sim::{Cause, Random, Record, Vantage};
use eleven_tcp::{Flags, Segment, State};
use eleven_track::{
    Checksums, Flow, Inference, Note, Provenance, Settings, Side, Sighting, Step, Tracker, Verdict,
};

use crate::world::Outcome;

/// How many sides were judged, and which clauses their accounts needed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) sides: u64,
    /// The path is the true one, state for state.
    pub(crate) equal: u64,
    /// It is, but for clauses of the definition, by name.
    pub(crate) clauses: BTreeMap<&'static str, u64>,
    /// Sides of which only what is claimed to be observed was checked.
    pub(crate) only_claims: u64,
    pub(crate) observed_claims: u64,
    pub(crate) segments: u64,
}

impl Account {
    pub(crate) fn add(&mut self, other: &Self) {
        self.sides += other.sides;
        self.equal += other.equal;
        self.only_claims += other.only_claims;
        self.observed_claims += other.observed_claims;
        self.segments += other.segments;
        for (clause, count) in &other.clauses {
            *self.clauses.entry(clause).or_default() += count;
        }
    }
}

/// A packet of the capture.
struct Captured<'a> {
    record: &'a Record,
    segment: Segment<'a>,
    good: bool,
}

/// What was captured and not lost before it was looked at.
fn capture(outcome: &Outcome) -> Vec<Captured<'_>> {
    let mut random = Random::stream(0xcafe, outcome.world.seed, 1);
    let records = outcome.simulation.network().capture(outcome.world.vantage);
    records
        .into_iter()
        .filter(|_| outcome.world.capture_loss == 0.0 || !random.chance(outcome.world.capture_loss))
        .filter_map(|record| {
            let packet = Packet::parse(&record.packet).ok()?;
            let segment = Segment::parse(packet.tcp).ok()?;
            let good = Segment::verify_checksum(packet.tcp, packet.source, packet.destination);
            let pair = outcome.pair;
            let ports = [segment.source_port, segment.destination_port];
            (ports.contains(&pair.local_port) && ports.contains(&pair.remote_port) || good)
                .then_some(Captured { record, segment, good })
        })
        .collect()
}

fn track(captured: &[Captured<'_>]) -> (Vec<Verdict>, Vec<Flow>) {
    let settings = Settings {
        checksums: Checksums::Drop,
        time_wait: std::time::Duration::from_secs(1_000_000),
        hash_key: [7; 16],
        ..Settings::default()
    };
    let mut tracker = Tracker::new(settings);
    let mut verdicts = Vec::new();
    for (index, packet) in captured.iter().enumerate() {
        let Ok(parsed) = Packet::parse(&packet.record.packet) else { continue };
        let sighting = Sighting {
            number: index as u64 + 1,
            time_ns: i64::try_from(packet.record.time.as_micros()).unwrap() * 1_000,
            source: parsed.source,
            destination: parsed.destination,
            identification: None,
            hop_limit: parsed.hop_limit,
            ecn: parsed.ecn,
            segment: &packet.segment,
            text_length: packet.segment.text.len() as u32,
            checksum_bad: !packet.good,
            path: 0,
        };
        verdicts.push(tracker.observe(&sighting));
    }
    (verdicts, tracker.finish().collect())
}

/// A state a side came to, in the terms of the wire, and what brought it there.
#[derive(Clone, Copy, Debug)]
struct Turn {
    state: State,
    cause: Why,
    /// How many events had happened by then.
    events: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Why {
    /// It sent something that was captured.
    Sent(u64),
    /// A packet arrived.
    Packet(u64),
    /// Nothing that shows: a timer, a crash, a call that sent nothing that was captured.
    Unseen,
}

/// Clause "wire": the states of a side as if its program had called CLOSE in the moment in which the first FIN left
/// that was captured. A life for each time it began anew.
fn wire_path(outcome: &Outcome, captured: &[Captured<'_>], host: usize) -> Vec<Vec<Turn>> {
    let journal = outcome.simulation.journal();
    let host = eleven_tcp::sim::HostId(host);
    let pair = if host.0 == 0 { outcome.pair } else { outcome.pair.reversed() };
    // What it sent, with how many events had happened by then.
    let mut sent: Vec<(usize, u64, Flags, bool)> = captured
        .iter()
        .filter(|packet| packet.record.from == host && packet.good)
        .filter_map(|packet| {
            let number = packet.record.number;
            journal.sent.get(&number).map(|sending| {
                (sending.events, number, packet.segment.flags, !packet.segment.text.is_empty())
            })
        })
        .collect();
    sent.sort_unstable();
    sent.dedup();
    let mut lives = Vec::new();
    let mut life: Vec<Turn> = Vec::new();
    let mut state = State::Closed;
    let mut fin_sent = false;
    let mut closed_after_peer = false;
    let mut opened = false;
    let mut next_sent = 0;
    let push = |life: &mut Vec<Turn>, state, cause, events| {
        if life.last().is_none_or(|turn: &Turn| turn.state != state) {
            life.push(Turn { state, cause, events });
        }
    };
    let wire = |state: State, fin_sent: bool, after_peer: bool, opened: bool| match state {
        State::FinWait1 if !fin_sent => {
            if opened {
                State::Established
            } else {
                State::SynReceived
            }
        }
        State::FinWait2 if !fin_sent => State::Established,
        State::Closing | State::LastAck if !fin_sent => State::CloseWait,
        State::Closing if after_peer => State::LastAck,
        State::TimeWait if after_peer => State::Closed,
        State::TimeWait if !fin_sent => State::CloseWait,
        State::Listen => State::Closed,
        state => state,
    };
    for index in 0..=journal.events.len() {
        // What was sent before this event.
        while let Some((_, number, flags, text)) =
            sent.get(next_sent).copied().filter(|(events, ..)| *events <= index)
        {
            next_sent += 1;
            // Text is sent only by who is open, even if its program has called CLOSE before that.
            if state == State::FinWait1 && !fin_sent && text && !flags.contains(Flags::SYN) {
                opened = true;
                push(&mut life, wire(state, false, false, true), Why::Sent(number), index);
            }
            if flags.contains(Flags::FIN) && !fin_sent {
                fin_sent = true;
                closed_after_peer = matches!(state, State::Closing | State::LastAck);
                push(&mut life, wire(state, true, closed_after_peer, opened), Why::Sent(number), index);
            }
        }
        let Some(event) = journal.events.get(index) else { break };
        if event.host != host || event.pair != pair {
            continue;
        }
        let mut steps: Vec<(bool, State)> = event
            .changes()
            .map(|(rule, _, after)| {
                // What only the program's earlier call, or a habit of Linux, makes of a segment, the segment does not show.
                let hidden = rule.what() == "text-after-close"
                    || (after == State::Closed && !matches!(rule.to, State::Closed | State::Listen));
                (hidden, after)
            })
            .collect();
        if steps.is_empty() {
            steps.push((false, event.after));
        }
        for (hidden, after) in steps {
            if matches!(after, State::SynSent | State::SynReceived)
                && matches!(state, State::Closed | State::TimeWait | State::Listen)
                && !life.is_empty()
            {
                lives.push(std::mem::take(&mut life));
                fin_sent = false;
                closed_after_peer = false;
                opened = false;
            }
            state = after;
            opened |= after == State::Established || after == State::CloseWait;
            let shown = sent.iter().find(|(events, _, flags, _)| {
                // The segments it sent because of this event come after it and before its next.
                let next_own = journal.events[index + 1..]
                    .iter()
                    .position(|e| e.host == host && e.pair == pair)
                    .map_or(usize::MAX, |place| index + 1 + place);
                *events > index && *events <= next_own && flags.intersects(Flags::RST | Flags::SYN)
            });
            let cause = match (event.cause, shown) {
                (Cause::Packet(number), _) if !hidden => Why::Packet(number),
                (Cause::Packet(_) | Cause::Call(_) | Cause::Timer, Some((_, number, ..))) => {
                    Why::Sent(*number)
                }
                _ => Why::Unseen,
            };
            push(&mut life, wire(state, fin_sent, closed_after_peer, opened), cause, index + 1);
        }
    }
    lives.push(life);
    for life in &mut lives {
        // Clause "beginning": CLOSED and LISTEN before the first SYN are no part of the connection.
        while life.first().is_some_and(|turn| turn.state == State::Closed) {
            life.remove(0);
        }
    }
    lives.retain(|life| !life.is_empty());
    lives
}

fn is_subsequence(part: &[State], whole: &[State]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|state| rest.any(|other| other == state))
}

/// Judges the tracker's account of a world.
pub(crate) fn judge(outcome: &Outcome) -> Result<Account, String> {
    let captured = capture(outcome);
    let (verdicts, flows) = track(&captured);
    let mut account = Account { segments: verdicts.len() as u64, ..Account::default() };
    check_edges(&verdicts, &flows)?;
    for host in 0..2 {
        let lives = wire_path(outcome, &captured, host);
        let socket = if host == 0 { outcome.pair.local() } else { outcome.pair.remote() };
        let side_of = |flow: &Flow| {
            Side::BOTH.into_iter().find(|side| flow.end(*side).socket == socket).expect("one of the two")
        };
        let all: Vec<State> = lives.iter().flatten().map(|turn| turn.state).collect();
        // Whatever the capture lost: what is called observed has happened, in this order.
        let mut claims = Vec::new();
        for flow in &flows {
            let end = flow.end(side_of(flow));
            claims.extend(
                end.path
                    .iter()
                    .filter(|step| step.provenance == Provenance::Observed)
                    .filter(|step| !matches!(step.state, State::Closed | State::Listen))
                    .map(|step| step.state),
            );
        }
        // A SYN that is sent on and on may show the same of two flows.
        claims.dedup();
        account.observed_claims += claims.len() as u64;
        account.sides += 1;
        if !is_subsequence(&claims, &all) {
            return Err(format!("host {host}: observed {claims:?}, but there was only {all:?}"));
        }
        if outcome.world.capture_loss > 0.0 || flows.len() != 1 || lives.len() > 1 {
            account.only_claims += 1;
            continue;
        }
        let end = flows[0].end(side_of(&flows[0]));
        let life = lives.first().cloned().unwrap_or_default();
        match compare(outcome, &captured, host, &life, end) {
            Ok(None) => account.equal += 1,
            Ok(Some(clause)) => *account.clauses.entry(clause).or_default() += 1,
            Err(wrong) => return Err(format!("host {host}: {wrong}")),
        }
    }
    Ok(account)
}

/// `None` if the path is the true one; else the clauses by which it is as far as can be known.
fn compare(
    outcome: &Outcome,
    captured: &[Captured<'_>],
    host: usize,
    life: &[Turn],
    end: &eleven_track::End,
) -> Result<Option<&'static str>, String> {
    let steps: Vec<&Step> =
        end.path.iter().skip_while(|step| matches!(step.state, State::Listen | State::Closed)).collect();
    // A passive end that is reset is back in LISTEN: its connection is gone.
    let plain = |state| if state == State::Listen { State::Closed } else { state };
    let told: Vec<State> = steps.iter().map(|step| plain(step.state)).collect();
    let truth: Vec<State> = life.iter().map(|turn| turn.state).collect();
    if told == truth {
        return Ok(None);
    }
    let optional: Vec<bool> = (0..life.len())
        .map(|index| {
            is_hidden(outcome, captured, host, life, index) || is_passing(outcome, host, &truth, index)
        })
        .collect();
    let removable: Vec<bool> = (0..steps.len())
        .map(|index| {
            is_under_way(outcome, captured, host, &steps, index)
                || is_passing(outcome, host, &told, index)
                || is_passing_open(&steps, index)
                || (is_closing_alike(&steps, index) && truth.contains(&State::Closing))
        })
        .collect();
    // The two paths side by side: what one has and the other has not must be covered by a clause.
    let mut reached = vec![vec![None; truth.len() + 1]; told.len() + 1];
    reached[0][0] = Some((false, false));
    for one in 0..=told.len() {
        for other in 0..=truth.len() {
            let Some((unseen, under_way)) = reached[one][other] else { continue };
            if one < told.len() && other < truth.len() && told[one] == truth[other] {
                reached[one + 1][other + 1].get_or_insert((unseen, under_way));
            }
            if one < told.len() && removable[one] {
                reached[one + 1][other].get_or_insert((unseen, true));
            }
            if other < truth.len() && optional[other] {
                reached[one][other + 1].get_or_insert((true, under_way));
            }
        }
    }
    match reached[told.len()][truth.len()] {
        Some((true, false)) => Ok(Some("unseen")),
        Some((false, true)) => Ok(Some("under way")),
        Some(_) => Ok(Some("both")),
        None => {
            Err(format!("told {told:?} ({:?}) {removable:?}, true {life:?} {optional:?}", end.provenance))
        }
    }
}

/// Clause "unseen": a turn that no captured segment shows. What caused it passed elsewhere, or was no segment; or the side sent
/// nothing in this state that was captured.
fn is_hidden(outcome: &Outcome, captured: &[Captured<'_>], host: usize, life: &[Turn], index: usize) -> bool {
    let journal = outcome.simulation.journal();
    let turn = life[index];
    let until = life.get(index + 1).map_or(usize::MAX, |next| next.events);
    let before = index.checked_sub(1).map(|before| life[before].state);
    let opens = (before, turn.state) == (Some(State::SynReceived), State::Established);
    let closes = (before, turn.state) == (Some(State::Closing), State::TimeWait);
    let is_mute = || {
        !captured.iter().any(|packet| {
            packet.good
                && packet.record.from.0 == host
                && !(opens && is_first_ack(captured, host, packet))
                && !(closes && packet.segment.flags == Flags::ACK && packet.segment.text.is_empty())
                && journal
                    .sent
                    .get(&packet.record.number)
                    .is_some_and(|sending| sending.events >= turn.events && sending.events < until)
        })
    };
    match turn.cause {
        // The SYN of a SYN_SENT may have been lost before it came here.
        Why::Sent(_) => turn.state == State::SynSent && is_mute(),
        Why::Unseen => true,
        Why::Packet(_) => is_mute(),
    }
}

/// Clause "passing": whether FIN_WAIT2 or CLOSING lies between FIN_WAIT1 and what follows depends on which of two segments
/// arrived first, and the side sends the same in both. Only who listens at its own host knows.
fn is_passing(outcome: &Outcome, host: usize, path: &[State], index: usize) -> bool {
    let at_home = outcome.world.vantage == Vantage::Host(eleven_tcp::sim::HostId(host));
    !at_home
        && index > 0
        && path[index - 1] == State::FinWait1
        && matches!(path[index], State::FinWait2 | State::Closing)
        && index + 1 < path.len()
}

/// Clause "passing", for ESTABLISHED between SYN_RECV and CLOSE_WAIT: whether the ACK arrived that was seen on its way, or the
/// FIN behind it was the first that did. The side answers the same.
fn is_passing_open(steps: &[&Step], index: usize) -> bool {
    let state = |index: usize| steps.get(index).map(|step| step.state);
    index > 0
        && state(index - 1) == Some(State::SynReceived)
        && state(index) == Some(State::Established)
        && state(index + 1) == Some(State::CloseWait)
        && steps[index].provenance != Provenance::Observed
}

/// Clause "the same ACK", for TIME_WAIT: who has got the peer's FIN acknowledges it alike in CLOSING, where it waits for the
/// acknowledgment of its own.
fn is_closing_alike(steps: &[&Step], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| steps[before].state);
    steps[index].state == State::TimeWait && matches!(before, Some(State::Closing | State::FinWait2))
}

/// Clause "under way": what was seen on its way to a side, and did not arrive or was not taken, is told as if it had been, as
/// long as nothing the side sends behind it shows otherwise.
fn is_under_way(
    outcome: &Outcome,
    captured: &[Captured<'_>],
    host: usize,
    steps: &[&Step],
    index: usize,
) -> bool {
    let step = steps[index];
    if step.provenance != Provenance::Inferred(Inference::SeenTravelling)
        || moved_by(outcome, captured, host, step.packet, step.state)
    {
        return false;
    }
    let journal = outcome.simulation.journal();
    let Some(cause) = captured.get(step.packet as usize - 1) else { return false };
    let next = steps.get(index + 1).map_or(u64::MAX, |next| next.packet);
    let before = index.checked_sub(1).map(|before| steps[before].state);
    let opens = step.state == State::Established && before == Some(State::SynReceived);
    let closes = is_closing_alike(steps, index);
    let contradicted = captured.iter().enumerate().any(|(place, packet)| {
        let number = place as u64 + 1;
        let sent = journal.sent.get(&packet.record.number);
        packet.good
            && packet.record.from.0 == host
            && number > step.packet
            && number < next
            && sent.is_some_and(|sending| sending.time > cause.record.time)
            && !(opens && is_first_ack(captured, host, packet))
            && !(closes && packet.segment.flags == Flags::ACK && packet.segment.text.is_empty())
    });
    !contradicted || index + 1 == steps.len()
}

/// Clause "the same ACK": one that acknowledges nothing but the SYN is sent alike in SYN_RECV, where it questions or answers what
/// came, and in ESTABLISHED. It shows neither; nor does the first SYN+ACK, which may cross the peer's.
fn is_first_ack(captured: &[Captured<'_>], host: usize, packet: &Captured<'_>) -> bool {
    let answer = captured.iter().find(|other| {
        other.good && other.record.from.0 == host && other.segment.flags.contains(Flags::SYN | Flags::ACK)
    });
    let acks = packet.segment.flags == Flags::ACK && packet.segment.text.is_empty();
    answer.is_some_and(|answer| {
        std::ptr::eq(answer, packet) || (acks && answer.segment.ack == packet.segment.ack)
    })
}

/// Whether a packet of the capture brought a side to a state.
fn moved_by(outcome: &Outcome, captured: &[Captured<'_>], host: usize, packet: u64, state: State) -> bool {
    let Some(packet) = captured.get(packet as usize - 1) else { return false };
    let journal = outcome.simulation.journal();
    journal.events.iter().any(|event| {
        event.host.0 == host
            && event.cause == Cause::Packet(packet.record.number)
            && event.after == state
            && event.changes_state()
    })
}

/// Every step the tracker takes is an edge of the model.
fn check_edges(verdicts: &[Verdict], flows: &[Flow]) -> Result<(), String> {
    for verdict in verdicts.iter().filter(|verdict| !verdict.has(Note::TakenBack)) {
        for side in Side::BOTH {
            let (before, after) = (verdict.before(side), verdict.after(side));
            let rule = if side == verdict.from { verdict.sender_rule } else { verdict.receiver_rule };
            let Some(rule) = rule else {
                // A flow that was open before.
                if before != after && !matches!((before, after), (State::Closed, State::Established)) {
                    return Err(format!("{before} → {after} by no rule: {verdict:?}"));
                }
                continue;
            };
            // Who sends may take several steps at once: LISTEN is only known behind it.
            let edge = rule.from == before && (rule.to == after || rule.to_on_linux() == after);
            // As may who is shown to have sent a FIN outside what was taken for the window.
            let several = side == verdict.from || verdict.has(Note::AckedUnseen);
            if !edge && !several {
                return Err(format!("{} does not lead from {before} to {after}: {verdict:?}", rule.id));
            }
        }
    }
    for end in flows.iter().flat_map(|flow| [&flow.client, &flow.server]) {
        let mut state = None;
        for step in &end.path {
            if let Some(rule) = step.rule {
                let from = state.unwrap_or(State::Closed);
                if rule.from != from || (rule.to != step.state && rule.to_on_linux() != step.state) {
                    return Err(format!("{} does not lead from {from} to {}", rule.id, step.state));
                }
                if rules::rule(rule.id).is_none() {
                    return Err(format!("{} is no rule", rule.id));
                }
            }
            state = Some(step.state);
        }
    }
    Ok(())
}

/// Shows a world: the ladder, and what the tracker makes of the capture.
pub(crate) fn print(outcome: &Outcome) {
    println!("{}", outcome.simulation.ladder(&outcome.pair).text());
    let captured = capture(outcome);
    let (verdicts, flows) = track(&captured);
    for (packet, verdict) in captured.iter().zip(&verdicts) {
        println!(
            "{:>4} #{:<4} {:>10} {} {:<10} seq {} ack {:?} len {} | {:?} → {:?} | {} {} {:?}",
            verdict.flow,
            packet.record.number,
            packet.record.time,
            verdict.from,
            packet.segment.flags,
            verdict.seq,
            verdict.ack,
            verdict.length,
            verdict.before,
            verdict.after,
            verdict.sender_rule.map_or("", |rule| rule.id),
            verdict.receiver_rule.map_or("", |rule| rule.id),
            verdict.notes,
        );
    }
    for flow in flows {
        for side in Side::BOTH {
            let end = flow.end(side);
            println!("{side} {} {}:", end.socket, end.state);
            for step in &end.path {
                let rule = step.rule.map_or("", |rule| rule.id);
                println!("  {} {} {rule} #{}", step.state, step.provenance, step.packet);
            }
        }
    }
    let vantage: Vantage = outcome.world.vantage;
    println!("captured at {vantage:?}");
    for host in 0..2 {
        println!("true of host {host}: {:?}", wire_path(outcome, &captured, host));
    }
}
