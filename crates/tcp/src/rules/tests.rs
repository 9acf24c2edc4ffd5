use std::collections::BTreeSet;

use super::Condition as C;
use super::*;
use crate::StateSet;

/// What can be asked about a segment, and about the connection it belongs to.
const ABOUT_SEGMENTS: [C; 13] = [
    C::Rst,
    C::Syn,
    C::Acceptable,
    C::Exact,
    C::Ack,
    C::AckAcceptable,
    C::AcksOurFin,
    C::Fin,
    C::FinRepeated,
    C::CrossingSynAck,
    C::NewIncarnation,
    C::TextAfterClose,
    C::PassiveOpen,
];

/// What can be asked when anything else happens.
const ABOUT_CALLS: [C; 4] = [C::PassiveOpen, C::RemoteKnown, C::TextQueued, C::UnreadText];

fn conditions_for(event: Event) -> &'static [C] {
    if event == Event::Segment { &ABOUT_SEGMENTS } else { &ABOUT_CALLS }
}

/// Every set of facts that can occur together.
fn valuations(event: Event) -> impl Iterator<Item = Facts> {
    let conditions = conditions_for(event);
    (0_u32..1 << conditions.len())
        .map(move |bits| {
            conditions
                .iter()
                .enumerate()
                .filter(|(index, _)| bits & (1 << index) != 0)
                .map(|(_, condition)| *condition)
                .collect()
        })
        .filter(|facts: &Facts| facts.is_consistent())
}

fn segment(state: State, facts: &[C]) -> &'static Rule {
    let facts = Facts::of(facts);
    assert!(facts.is_consistent(), "{facts:?}");
    find(state, Event::Segment, facts).unwrap()
}

#[test]
fn every_event_in_every_state_is_answered_by_exactly_one_rule() {
    for event in Event::ALL {
        let valuations: Vec<Facts> = valuations(event).collect();
        for state in State::ALL {
            let rules = applicable(state, event);
            if !event.possible_in().contains(state) {
                assert!(rules.is_empty(), "{event} cannot happen in {state}");
                assert!(find(state, event, Facts::NONE).is_none());
                continue;
            }
            for facts in &valuations {
                let matching: Vec<&str> =
                    rules.iter().filter(|rule| rule.guard.admits(*facts)).map(|rule| rule.id).collect();
                assert_eq!(matching.len(), 1, "{state}, {event}, {facts:?}: {matching:?}");
            }
        }
    }
}

#[test]
fn every_rule_answers_something() {
    for rule in RULES {
        assert!(
            valuations(rule.event).any(|facts| rule.guard.admits(facts)),
            "{} can never apply: {}",
            rule.id,
            rule.guard
        );
        let asked = rule.guard.required().union(rule.guard.excluded());
        assert!(
            asked.iter().all(|condition| conditions_for(rule.event).contains(&condition)),
            "{} asks what does not belong to {}",
            rule.id,
            rule.event
        );
    }
}

#[test]
fn ids_are_unique_short_and_begin_with_their_state() {
    let ids: BTreeSet<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), RULES.len());
    for item in RULES {
        let prefix = item.from.rfc_name().to_lowercase();
        assert_eq!(item.id.strip_suffix(item.what()), Some(format!("{prefix}.").as_str()), "{}", item.id);
        assert!(item.id.len() <= 40, "{}", item.id);
        assert!(
            item.what()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{}",
            item.id
        );
        assert_eq!(rule(item.id), Some(item));
    }
    assert_eq!(rule("established.no-such-thing"), None);
}

/// A part of an id behind the dot stands for one kind of event, in whatever state.
#[test]
fn the_same_name_in_two_states_is_the_same_event() {
    for one in RULES {
        for other in RULES.iter().filter(|other| other.what() == one.what()) {
            assert_eq!(one.event, other.event, "{} and {}", one.id, other.id);
        }
    }
}

#[test]
fn the_table_is_found_by_state_and_event() {
    assert!(RULES.is_sorted_by_key(|rule| (rule.from.index(), rule.event.index())));
    for state in State::ALL {
        assert!(rules_from(state).iter().all(|rule| rule.from == state));
        let by_event: usize = Event::ALL.into_iter().map(|event| applicable(state, event).len()).sum();
        assert_eq!(by_event, rules_from(state).len());
        assert!(rules_into(state).all(|rule| rule.to == state && rule.from != state));
    }
    assert_eq!(State::ALL.into_iter().map(|state| rules_from(state).len()).sum::<usize>(), RULES.len());
    for (index, event) in Event::ALL.into_iter().enumerate() {
        assert_eq!(event.index(), index);
    }
    for (index, condition) in C::ALL.into_iter().enumerate() {
        assert_eq!(condition as usize, index);
    }
}

#[test]
fn every_state_can_be_reached_and_left() {
    let mut reached = StateSet::EMPTY.with(State::Closed);
    loop {
        let next = RULES
            .iter()
            .filter(|rule| reached.contains(rule.from))
            .fold(reached, |reached, rule| reached.with(rule.to));
        if next == reached {
            break;
        }
        reached = next;
    }
    assert_eq!(reached, StateSet::ALL);
    for state in State::ALL {
        assert!(rules_from(state).iter().any(Rule::changes_state), "{state}");
    }
}

#[test]
fn a_synchronized_connection_never_goes_back_to_opening() {
    let opening = StateSet::EMPTY.with(State::Listen).with(State::SynSent).with(State::SynReceived);
    for rule in RULES.iter().filter(|rule| rule.from.is_synchronized()) {
        // Only the next connection between the same sockets, out of TIME_WAIT, begins anew.
        let reopens = rule.id == "time-wait.syn-of-new-connection";
        assert!(!opening.contains(rule.to) || reopens, "{}", rule.id);
    }
}

/// §3.10.7.4, first check: what is outside the window changes nothing, except that a
/// reopening SYN and the crossing SYN+ACK are judged by other numbers.
#[test]
fn nothing_outside_the_window_changes_the_state() {
    let states =
        State::ALL.into_iter().filter(|state| state.is_synchronized() || *state == State::SynReceived);
    for state in states {
        for facts in valuations(Event::Segment).filter(|facts| !facts.holds(C::Acceptable)) {
            let rule = find(state, Event::Segment, facts).unwrap();
            let exempt = ["time-wait.syn-of-new-connection", "syn-received.crossing-syn-ack"];
            assert!(!rule.changes_state() || exempt.contains(&rule.id), "{}", rule.id);
        }
    }
}

/// §3.5.2: a reset is never answered with a reset, or two sides would reset each other
/// for ever.
#[test]
fn a_reset_is_never_answered_with_a_reset() {
    for rule in RULES.iter().filter(|rule| rule.guard.required().holds(C::Rst)) {
        assert!(!rule.actions.iter().any(|action| matches!(action, Action::SendReset(_))), "{}", rule.id);
    }
}

/// RFC 5961 §3.2: exact resets, inside asks back, outside is dropped.
#[test]
fn resets_in_synchronized_states() {
    for state in State::ALL.into_iter().filter(|state| state.is_synchronized()) {
        let exact = segment(state, &[C::Rst, C::Acceptable, C::Exact]);
        assert_eq!(exact.to, State::Closed);
        let inside = segment(state, &[C::Rst, C::Acceptable]);
        assert_eq!((inside.to, inside.actions[0]), (state, Action::SendChallengeAck));
        let outside = segment(state, &[C::Rst]);
        assert_eq!((outside.to, outside.actions), (state, [Action::DiscardSegment].as_slice()));
    }
}

/// RFC 5961 §4.2: whatever its number, a SYN in a synchronized state is asked back.
#[test]
fn a_syn_in_a_synchronized_state_gets_a_challenge_ack() {
    for state in State::ALL.into_iter().filter(|state| state.is_synchronized()) {
        for facts in
            [&[C::Syn][..], &[C::Syn, C::Acceptable], &[C::Syn, C::Acceptable, C::Ack, C::AckAcceptable]]
        {
            let rule = segment(state, facts);
            assert_eq!((rule.to, rule.actions[0]), (state, Action::SendChallengeAck), "{}", rule.id);
        }
    }
    // RFC 6191: only in TIME_WAIT, and only if new enough, it opens the next connection.
    assert_eq!(segment(State::TimeWait, &[C::Syn, C::NewIncarnation]).to, State::SynReceived);
}

/// RFC 9293 §3.10.7.4, second check: where SYN_RECV came from decides.
#[test]
fn a_reset_in_syn_recv_leads_back_to_where_the_open_came_from() {
    let exact = [C::Rst, C::Acceptable, C::Exact];
    let passive = segment(State::SynReceived, &[&exact[..], &[C::PassiveOpen]].concat());
    assert_eq!(passive.to, State::Listen);
    let active = segment(State::SynReceived, &exact);
    assert_eq!(active.to, State::Closed);
    assert!(active.actions.contains(&Action::Signal(Failure::ConnectionRefused)));
}

/// §3.5: both SYN+ACKs of a simultaneous open lie left of the other's window.
#[test]
fn the_crossing_syn_ack_opens_the_connection() {
    let facts = [C::Syn, C::Ack, C::AckAcceptable, C::CrossingSynAck];
    assert_eq!(segment(State::SynReceived, &facts).to, State::Established);
    assert_eq!(segment(State::SynReceived, &facts[..3]).to, State::SynReceived);
}

#[test]
fn the_ways_through_fin_wait_1() {
    let ack = [C::Acceptable, C::Ack, C::AckAcceptable];
    for (more, to) in [
        (&[][..], State::FinWait1),
        (&[C::AcksOurFin], State::FinWait2),
        (&[C::Fin], State::Closing),
        (&[C::AcksOurFin, C::Fin], State::TimeWait),
        (&[C::TextAfterClose], State::Closed),
    ] {
        assert_eq!(segment(State::FinWait1, &[&ack[..], more].concat()).to, to, "{more:?}");
    }
}

/// The FIN sent once more lies left of the window and yet has to restart the wait.
#[test]
fn a_repeated_fin_restarts_time_wait() {
    let rule = segment(State::TimeWait, &[C::Ack, C::AckAcceptable, C::AcksOurFin, C::Fin, C::FinRepeated]);
    assert_eq!(rule.id, "time-wait.fin-repeated");
    assert!(rule.actions.contains(&Action::StartTimeWaitTimer));
    assert!(rule.sends().any(|sent| sent == "ACK"));
}

/// The active closer waits: every way into TIME_WAIT starts the timer.
#[test]
fn time_wait_is_entered_with_its_timer_running() {
    for rule in rules_into(State::TimeWait) {
        assert!(rule.actions.contains(&Action::StartTimeWaitTimer), "{}", rule.id);
        assert!([State::FinWait1, State::FinWait2, State::Closing].contains(&rule.from), "{}", rule.id);
    }
}

#[test]
fn whoever_closes_the_connection_deletes_it() {
    for rule in rules_into(State::Closed) {
        assert!(rule.actions.contains(&Action::DeleteConnection), "{}", rule.id);
    }
}

/// §3.10.5: only where the peer may still believe in the connection does ABORT send RST.
#[test]
fn abort_sends_a_reset_from_syn_recv_to_close_wait() {
    let resets = [State::SynReceived, State::Established, State::FinWait1, State::FinWait2, State::CloseWait];
    for state in State::ALL {
        let rule = find(state, Event::Abort, Facts::NONE).unwrap();
        let sends = rule.actions.contains(&Action::SendReset(ResetForm::AtSendNext));
        assert_eq!(sends, resets.contains(&state), "{}", rule.id);
        assert_eq!(rule.to, State::Closed);
    }
}

/// §3.10.4, for a program with nothing left to read or to send.
#[test]
fn close_in_each_state() {
    for (state, to) in [
        (State::Listen, State::Closed),
        (State::SynSent, State::Closed),
        (State::SynReceived, State::FinWait1),
        (State::Established, State::FinWait1),
        (State::FinWait1, State::FinWait1),
        (State::FinWait2, State::FinWait2),
        (State::CloseWait, State::LastAck),
        (State::Closing, State::Closing),
        (State::LastAck, State::LastAck),
        (State::TimeWait, State::TimeWait),
        (State::Closed, State::Closed),
    ] {
        for event in [Event::Close, Event::Shutdown] {
            let rule = find(state, event, Facts::NONE).unwrap();
            assert_eq!(rule.to, to, "{}", rule.id);
        }
    }
    for state in [State::Established, State::FinWait1, State::FinWait2, State::CloseWait] {
        let rule = find(state, Event::Close, Facts::of(&[C::UnreadText])).unwrap();
        assert_eq!(rule.to, State::Closed, "{}", rule.id);
    }
}

#[test]
fn a_listener_answers_an_ack_with_a_reset_and_ignores_what_says_nothing() {
    let rule = segment(State::Listen, &[C::Syn, C::Ack]);
    assert_eq!(rule.actions[0], Action::SendReset(ResetForm::AtTheirAck));
    assert_eq!(segment(State::Listen, &[C::Fin]).actions, [Action::DiscardSegment]);
    assert_eq!(segment(State::Listen, &[C::Rst]).actions, [Action::DiscardSegment]);
}

/// A deviation of Linux only ever leads where some rule of TCP could lead, or nowhere.
#[test]
fn deviations_stay_within_the_diagram() {
    for rule in RULES {
        let Some(to) = rule.linux.and_then(|deviation| deviation.to) else { continue };
        let cookie = rule.id == "listen.ack";
        let takes_over = rule.id == "time-wait.active-open";
        assert!(
            to == rule.from || crate::diagram::edge(rule.from, to).is_some() || cookie || takes_over,
            "{} → {to}",
            rule.id
        );
    }
}

#[test]
fn what_a_segment_with_given_flags_can_meet() {
    let met = |state, text: &str| -> Vec<&str> {
        segment_rules(state, text.parse().unwrap()).iter().map(|rule| rule.what()).collect()
    };
    assert_eq!(
        met(State::FinWait1, "FIN+ACK"),
        ["outside-window", "bad-ack", "fin", "fin-acked-and-fin", "text-after-close"]
    );
    assert_eq!(
        met(State::FinWait1, "ACK"),
        ["outside-window", "bad-ack", "ack", "fin-acked", "text-after-close"]
    );
    assert_eq!(met(State::Listen, "SYN"), ["syn"]);
    assert_eq!(met(State::Established, "none"), ["outside-window", "no-ack"]);
    assert_eq!(met(State::Established, "RST+ACK"), ["rst-outside-window", "rst-in-window", "rst"]);
    assert_eq!(met(State::TimeWait, "SYN"), ["syn-of-new-connection", "syn"]);
    assert_eq!(met(State::TimeWait, "SYN+ACK"), ["syn"]);
    for state in State::ALL {
        for bits in 0..64 {
            assert!(!segment_rules(state, Flags::from_bits(bits)).is_empty());
        }
    }
}

/// The flags given and the conditions free: what `segment_rules` lists is what `find` can
/// give, no more and no less.
#[test]
fn segment_rules_lists_exactly_what_can_be_found() {
    for state in State::ALL {
        for bits in 0..32 {
            let flags = Flags::from_bits(bits);
            let given = Facts::of_flags(flags);
            let found: BTreeSet<&str> = valuations(Event::Segment)
                .filter(|facts| {
                    C::ALL.into_iter().all(|c| c.flag().is_none() || facts.holds(c) == given.holds(c))
                })
                .filter_map(|facts| find(state, Event::Segment, facts))
                .map(|rule| rule.id)
                .collect();
            let listed: BTreeSet<&str> = segment_rules(state, flags).iter().map(|rule| rule.id).collect();
            assert_eq!(found, listed, "{state} {flags}");
        }
    }
}

#[test]
fn a_rule_reads_as_a_sentence() {
    let rule = rule("fin-wait-1.fin-acked").unwrap();
    assert_eq!(
        rule.to_string(),
        "FIN_WAIT1, segment (no RST, no SYN, in window, ACK, acknowledgment acceptable, our FIN acknowledged, \
         no FIN, no text that nobody can read): accept acknowledgment, deliver text → FIN_WAIT2"
    );
    assert_eq!(Guard::ALWAYS.to_string(), "always");
}

/// RFC 9293 §3.10.7 once more, as the steps one after the other that it is written in.
fn steps_of_the_rfc(state: State, facts: Facts) -> State {
    let holds = |condition| facts.holds(condition);
    match state {
        State::Closed => State::Closed,
        State::Listen if holds(C::Rst) || holds(C::Ack) || !holds(C::Syn) => State::Listen,
        State::Listen => State::SynReceived,
        State::SynSent => {
            if holds(C::Ack) && !holds(C::AckAcceptable) {
                return State::SynSent;
            }
            match (holds(C::Rst), holds(C::Ack), holds(C::Syn)) {
                (true, true, _) => State::Closed,
                (true, false, _) | (false, _, false) => State::SynSent,
                (false, false, true) => State::SynReceived,
                (false, true, true) if holds(C::Fin) => State::CloseWait,
                (false, true, true) => State::Established,
            }
        }
        _ => steps_in_other_states(state, facts),
    }
}

fn steps_in_other_states(state: State, facts: Facts) -> State {
    let holds = |condition| facts.holds(condition);
    // First, the sequence number, with its two exemptions.
    if state == State::TimeWait && holds(C::NewIncarnation) {
        return State::SynReceived;
    }
    if state == State::SynReceived && holds(C::CrossingSynAck) {
        return State::Established;
    }
    if !holds(C::Acceptable) {
        return state;
    }
    // Second, RST.
    if holds(C::Rst) {
        return match (holds(C::Exact), state == State::SynReceived && holds(C::PassiveOpen)) {
            (false, _) => state,
            (true, true) => State::Listen,
            (true, false) => State::Closed,
        };
    }
    // Fourth, SYN.
    if holds(C::Syn) {
        return if state == State::SynReceived && holds(C::PassiveOpen) { State::Listen } else { state };
    }
    // Fifth, ACK.
    if !holds(C::Ack) || !holds(C::AckAcceptable) {
        return state;
    }
    let mut now = match state {
        State::SynReceived => State::Established,
        State::FinWait1 if holds(C::AcksOurFin) => State::FinWait2,
        State::Closing if holds(C::AcksOurFin) => return State::TimeWait,
        State::LastAck if holds(C::AcksOurFin) => return State::Closed,
        other => other,
    };
    // Seventh, the text.
    if holds(C::TextAfterClose) && matches!(state, State::FinWait1 | State::FinWait2) {
        return State::Closed;
    }
    // Eighth, FIN.
    if holds(C::Fin) {
        now = match now {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            other => other,
        };
    }
    now
}

/// The rules sum up all steps for one segment; step by step the result has to be the same.
#[test]
fn a_rule_comes_to_the_same_as_the_steps_of_the_rfc() {
    let valuations: Vec<Facts> = valuations(Event::Segment).collect();
    for state in State::ALL {
        for facts in &valuations {
            let rule = find(state, Event::Segment, *facts).unwrap();
            assert_eq!(rule.to, steps_of_the_rfc(state, *facts), "{}, {facts:?}", rule.id);
        }
    }
}
