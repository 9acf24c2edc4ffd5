//! The state diagram, drawn from the rules: which state leads to which, and by what.
//!
//! RFC 9293 figure 5 leaves out resets, timeouts and most of what a state machine can do
//! without changing state. Here every change of state is an edge; [`Edge::is_ordinary`]
//! tells those apart that the life of a connection without accidents uses.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;

use crate::rules::{Action, Condition, Event, RULES};
use crate::{Flags, Rule, State};

/// An arrow of the diagram: all rules that lead from one state to another.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Where the arrow starts.
    pub from: State,
    /// Where it ends.
    pub to: State,
    /// The rules behind it, ordinary ones first; never empty.
    pub rules: Vec<&'static Rule>,
}

impl Edge {
    /// The inscription of the arrow, from its first rule: `rcv FIN+ACK / snd ACK`.
    pub fn label(&self) -> String {
        self.rules.first().map(|rule| label(rule)).unwrap_or_default()
    }

    /// The inscriptions of all its rules, each once.
    pub fn labels(&self) -> Vec<String> {
        let mut labels = Vec::new();
        for rule in &self.rules {
            let label = label(rule);
            if !labels.contains(&label) {
                labels.push(label);
            }
        }
        labels
    }

    /// The same arrow for accidents only (resets, aborts, timeouts); `None` without any.
    pub fn accidents(&self) -> Option<Self> {
        let rules: Vec<_> = self.rules.iter().copied().filter(|rule| !is_ordinary(rule)).collect();
        (!rules.is_empty()).then_some(Self { rules, ..*self })
    }

    /// Whether the life of a connection without accidents can pass here.
    pub fn is_ordinary(&self) -> bool {
        self.rules.iter().any(|rule| is_ordinary(rule))
    }
}

/// Every edge, in the order of states.
pub fn edges() -> Vec<Edge> {
    State::ALL.into_iter().flat_map(edges_from).collect()
}

/// The ways out of a state.
pub fn edges_from(from: State) -> Vec<Edge> {
    State::ALL.into_iter().filter_map(|to| edge(from, to)).collect()
}

/// The ways into a state.
pub fn edges_into(to: State) -> Vec<Edge> {
    State::ALL.into_iter().filter_map(|from| edge(from, to)).collect()
}

/// The edge from one state to another, if there is one.
pub fn edge(from: State, to: State) -> Option<Edge> {
    let mut rules: Vec<&'static Rule> =
        RULES.iter().filter(|rule| rule.from == from && rule.to == to && rule.changes_state()).collect();
    rules.sort_by_key(|rule| !is_ordinary(rule));
    (!rules.is_empty()).then_some(Edge { from, to, rules })
}

/// Whether a rule is neither an accident nor the answer to one.
fn is_ordinary(rule: &Rule) -> bool {
    let by_accident = [Condition::Rst, Condition::TextAfterClose, Condition::UnreadText];
    let accidents = [
        Event::Abort,
        Event::UserTimeout,
        Event::RetransmissionsExhausted,
        Event::KeepaliveExhausted,
        Event::FinWait2Timeout,
        Event::IcmpHardError,
    ];
    !accidents.contains(&rule.event)
        && !by_accident.into_iter().any(|condition| rule.guard.required().holds(condition))
}

/// What causes a rule and what it sends, in the diagram's words: `CLOSE / snd FIN`.
pub fn label(rule: &Rule) -> String {
    let mut label = match rule.event {
        Event::Segment => format!("rcv {}", received(rule)),
        event => event.to_string(),
    };
    // Text accompanies; what characterises the edge is the control that is sent.
    let sent = rule.actions.iter().filter(|action| !matches!(action, Action::SendText));
    let mut separator = " / snd ";
    for control in sent.filter_map(|action| action.sends()) {
        // Writing to a String cannot fail.
        let _ = write!(label, "{separator}{control}");
        separator = ", ";
    }
    label
}

/// The part of a segment that makes the rule apply.
fn received(rule: &Rule) -> String {
    let required = rule.guard.required();
    if required.holds(Condition::CrossingSynAck) {
        return (Flags::SYN | Flags::ACK).to_string();
    }
    if required.holds(Condition::TextAfterClose) {
        return "text after close".to_owned();
    }
    let flags: Flags =
        required.iter().filter_map(Condition::flag).fold(Flags::NONE, |flags, flag| flags | flag);
    let acknowledged = if required.holds(Condition::AcksOurFin) {
        Some("ACK of FIN")
    } else if rule.from == State::SynReceived && required.holds(Condition::AckAcceptable) {
        Some("ACK of SYN")
    } else {
        None
    };
    match acknowledged {
        None => flags.to_string(),
        Some(words) => {
            let others = flags.difference(Flags::ACK);
            if others.is_empty() { words.to_owned() } else { format!("{others}, {words}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State::{
        CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
        TimeWait,
    };

    /// The arrows of RFC 9293 figure 5 with its two notes: SYN_RECV back to LISTEN on a
    /// reset, FIN_WAIT1 straight to TIME_WAIT.
    const FIGURE_5: [(State, State); 21] = [
        (Closed, Listen),
        (Closed, SynSent),
        (Listen, Closed),
        (Listen, SynReceived),
        (Listen, SynSent),
        (SynSent, Closed),
        (SynSent, SynReceived),
        (SynSent, Established),
        (SynReceived, Established),
        (SynReceived, FinWait1),
        (SynReceived, Listen),
        (Established, FinWait1),
        (Established, CloseWait),
        (FinWait1, FinWait2),
        (FinWait1, Closing),
        (FinWait1, TimeWait),
        (FinWait2, TimeWait),
        (Closing, TimeWait),
        (CloseWait, LastAck),
        (LastAck, Closed),
        (TimeWait, Closed),
    ];

    /// What the text of RFC 9293 adds: resets, aborts and timeouts, a FIN that comes with
    /// what opens the connection, and the next connection out of TIME_WAIT (MAY-2).
    const BEYOND_FIGURE_5: [(State, State); 9] = [
        (SynReceived, Closed),
        (Established, Closed),
        (FinWait1, Closed),
        (FinWait2, Closed),
        (CloseWait, Closed),
        (Closing, Closed),
        (SynSent, CloseWait),
        (SynReceived, CloseWait),
        (TimeWait, SynReceived),
    ];

    #[test]
    fn the_edges_are_those_of_figure_5_and_of_the_text() {
        let found: Vec<(State, State)> = edges().iter().map(|edge| (edge.from, edge.to)).collect();
        for edge in FIGURE_5.iter().chain(&BEYOND_FIGURE_5) {
            assert!(found.contains(edge), "{} → {} is missing", edge.0, edge.1);
        }
        for edge in &found {
            assert!(
                FIGURE_5.contains(edge) || BEYOND_FIGURE_5.contains(edge),
                "{} → {} is not TCP",
                edge.0,
                edge.1
            );
        }
        assert_eq!(found.len(), FIGURE_5.len() + BEYOND_FIGURE_5.len());
    }

    #[test]
    fn ordinary_edges_are_figure_5_without_resets() {
        for edge in edges() {
            let pair = (edge.from, edge.to);
            let expected = FIGURE_5.contains(&pair)
                || [(SynSent, CloseWait), (SynReceived, CloseWait), (TimeWait, SynReceived)].contains(&pair);
            assert_eq!(edge.is_ordinary(), expected, "{} → {}", edge.from, edge.to);
        }
    }

    #[test]
    fn labels_say_what_figure_5_says() {
        for (from, to, expected) in [
            (Closed, Listen, "passive OPEN"),
            (Closed, SynSent, "active OPEN / snd SYN"),
            (Listen, SynReceived, "rcv SYN / snd SYN+ACK"),
            (SynSent, SynReceived, "rcv SYN / snd SYN+ACK"),
            (SynSent, Established, "rcv SYN+ACK / snd ACK"),
            (SynSent, Closed, "CLOSE"),
            (SynReceived, Established, "rcv SYN+ACK / snd ACK"),
            (Established, FinWait1, "CLOSE / snd FIN"),
            (Established, CloseWait, "rcv FIN+ACK / snd ACK"),
            (FinWait1, FinWait2, "rcv ACK of FIN"),
            (FinWait1, Closing, "rcv FIN+ACK / snd ACK"),
            (FinWait1, TimeWait, "rcv FIN, ACK of FIN / snd ACK"),
            (FinWait2, TimeWait, "rcv FIN+ACK / snd ACK"),
            (CloseWait, LastAck, "CLOSE / snd FIN"),
            (LastAck, Closed, "rcv ACK of FIN"),
            (TimeWait, Closed, "2MSL timeout"),
        ] {
            assert_eq!(edge(from, to).unwrap().label(), expected, "{from} → {to}");
        }
        assert_eq!(edge(Listen, SynSent).unwrap().labels(), ["active OPEN / snd SYN", "SEND / snd SYN"]);
        assert!(edge(Closed, Established).is_none());
    }

    #[test]
    fn ways_in_and_ways_out_are_the_same_edges() {
        let mut out: Vec<_> = edges().iter().map(|edge| (edge.from, edge.to)).collect();
        let mut into: Vec<_> =
            State::ALL.into_iter().flat_map(edges_into).map(|edge| (edge.from, edge.to)).collect();
        out.sort_unstable();
        into.sort_unstable();
        assert_eq!(out, into);
    }
}
