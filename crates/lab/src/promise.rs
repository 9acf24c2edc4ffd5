//! What a scenario promises, and whether what was seen keeps it.

use std::fmt;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State;

use crate::evidence::{Evidence, What};
use crate::host::{HostId, SUBJECT};
use crate::wire::Pattern;

/// One thing that a scenario promises. It is judged by what the witness saw, never by what the scenario did.
#[derive(Clone, Copy, Debug)]
pub enum Promise {
    /// At the end a host's row shows this state.
    State(HostId, State),
    /// A host's rows showed these states one after the other, with none between.
    Path(HostId, &'static [State]),
    /// At some time a host's row was like this.
    Row(HostId, Sight),
    /// At the end a host's row is like this.
    RowAtEnd(HostId, Sight),
    /// At some time a timer ran in a state, having expired at least so often.
    Timer(HostId, State, TimerKind, u8),
    /// A call returned this: `connect` and `ECONNREFUSED`; the text before the parenthesis counts.
    Answer(HostId, &'static str, &'static str),
    /// A counter of the subject's kernel rose by at least so much. The simulator counts nothing.
    Counter(&'static str, i64),
    /// A counter of the subject's kernel did not rise. The simulator counts nothing.
    NotCounted(&'static str),
    /// So many segments of a kind were sent, at the least and at the most.
    Segments(HostId, Pattern, usize, usize),
    /// The scenario has looked at all rows of a host and found this (`Lab::wait_rows`).
    Seen(HostId, &'static str),
}

/// Something to be seen in a row.
#[derive(Clone, Copy)]
pub struct Sight {
    /// In words: `no program owns it`.
    pub what: &'static str,
    /// Whether a row shows it.
    pub test: fn(&Socket) -> bool,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// What has become of a promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was promised, in words.
    pub promised: String,
    /// What was seen, in words.
    pub witnessed: String,
    /// Whether the one keeps the other.
    pub kept: bool,
}

fn arrows(states: &[State]) -> String {
    states.iter().map(|state| state.as_str()).collect::<Vec<_>>().join(" → ")
}

/// The word of a timer.
fn word(kind: TimerKind) -> &'static str {
    match kind {
        TimerKind::Retransmit => "retransmission",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "TIME_WAIT",
        TimerKind::Persist => "persist",
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::State(host, state) => write!(f, "{} ends in {state}", host.name()),
            Self::Path(host, states) => write!(f, "{}: {}", host.name(), arrows(states)),
            Self::Row(host, sight) | Self::RowAtEnd(host, sight) => {
                write!(f, "{}: {}", host.name(), sight.what)
            }
            Self::Timer(host, state, kind, 0) => {
                write!(f, "{}: the {} timer runs in {state}", host.name(), word(kind))
            }
            Self::Timer(host, state, kind, times) => {
                let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
                write!(f, "{}: the {} timer has expired {times} in {state}", host.name(), word(kind))
            }
            Self::Answer(host, call, answer) => write!(f, "{}: {call}() returns {answer}", host.name()),
            Self::Counter(name, rise) => write!(f, "the kernel counts {name} up by {rise} or more"),
            Self::NotCounted(name) => write!(f, "the kernel does not count {name} up"),
            Self::Segments(host, pattern, least, most) => {
                let count = match (least, most) {
                    (least, most) if least == most => format!("{least} times"),
                    (least, usize::MAX) => format!("{least} times or more"),
                    (least, most) => format!("{least} to {most} times"),
                };
                write!(f, "{} sends {} {count}", host.name(), pattern.name)
            }
            Self::Seen(host, what) => write!(f, "{}: {what}", host.name()),
        }
    }
}

impl Promise {
    /// Whether only a kernel can keep it.
    pub const fn needs_kernel(&self) -> bool {
        matches!(self, Self::Counter(..) | Self::NotCounted(_))
    }

    /// Whether it is kept, with what was seen.
    pub fn judge(&self, evidence: &Evidence) -> Verdict {
        let (kept, witnessed) = self.look(evidence);
        Verdict { promised: self.to_string(), witnessed, kept }
    }

    fn look(&self, evidence: &Evidence) -> (bool, String) {
        let told = |host: HostId, what: String| format!("{}: {what}", host.name());
        let path = |host| arrows(&evidence.path(host));
        match *self {
            Self::State(host, state) => {
                let seen = evidence.state(host);
                (seen == state, told(host, seen.to_string()))
            }
            Self::Path(host, states) => {
                let seen = evidence.path(host);
                let kept = seen.windows(states.len().max(1)).any(|window| window == states);
                (kept, told(host, arrows(&seen)))
            }
            Self::Row(host, sight) => {
                let mut rows = evidence.samples.iter().filter(|sample| sample.host == host);
                let found = rows.find(|sample| sample.row.as_ref().is_some_and(sight.test));
                match found {
                    Some(sample) => (true, told(host, format!("{} in {}", sight.what, sample.state))),
                    None => (false, told(host, format!("never: {}, through {}", sight.what, path(host)))),
                }
            }
            Self::RowAtEnd(host, sight) => {
                let row = evidence.latest(host).and_then(|sample| sample.row.as_ref());
                match row.map(|row| ((sight.test)(row), describe(row))) {
                    Some((kept, row)) => (kept, told(host, row)),
                    None => (false, told(host, "no row at the end".to_owned())),
                }
            }
            Self::Timer(host, state, kind, times) => {
                let timers = evidence.samples.iter().filter(|sample| sample.host == host);
                let timers = timers.filter(|sample| sample.state == state);
                let timers = timers.filter_map(|sample| sample.row.as_ref()?.timer);
                let most = timers.filter(|timer| timer.kind == kind).map(|timer| timer.retransmits).max();
                let seen = match most {
                    Some(most) => format!("{} timer in {state}, expired {most} times", word(kind)),
                    None => format!("no {} timer in {state}, through {}", word(kind), path(host)),
                };
                (most.is_some_and(|most| most >= times), told(host, seen))
            }
            Self::Answer(host, call, answer) => {
                let answers: Vec<String> = evidence
                    .events
                    .iter()
                    .filter(|event| event.host == host)
                    .filter_map(|event| match &event.what {
                        What::Call { text, answer } if text.split('(').next() == Some(call) => {
                            Some(answer.as_ref().map_or_else(ToString::to_string, Clone::clone))
                        }
                        _ => None,
                    })
                    .collect();
                let kept = answers.iter().any(|seen| seen == answer);
                let seen = if kept { answer.to_owned() } else { answers.join(", ") };
                (kept, told(host, format!("{call}() = {seen}")))
            }
            Self::Counter(name, least) => match evidence.rise(name) {
                Some(rise) => (rise >= least, format!("{name} +{rise}")),
                None => (false, format!("{name} is not counted")),
            },
            Self::NotCounted(name) => match evidence.rise(name) {
                Some(rise) => (rise == 0, format!("{name} +{rise}")),
                None => (false, format!("{name} is not counted")),
            },
            Self::Segments(host, pattern, least, most) => {
                let sent = evidence.passages.iter().filter(|passage| passage.from == host);
                let count = sent.filter(|passage| passage.segment(pattern.matches) == Some(true)).count();
                ((least..=most).contains(&count), told(host, format!("{} × {count}", pattern.name)))
            }
            Self::Seen(host, what) => {
                let kept = evidence.sights.iter().any(|(at, seen)| *at == host && seen == what);
                (kept, told(host, if kept { what.to_owned() } else { format!("never: {what}") }))
            }
        }
    }
}

/// A row in a few words.
pub fn describe(row: &Socket) -> String {
    let mut text = row.state.to_string();
    if row.kind.is_mini() || row.state == State::Closed {
        text += &format!(" ({})", row.kind.as_str());
    }
    match (row.recv_queue, row.send_queue) {
        (Some(receive), Some(send)) => text += &format!(" recv-q {receive} send-q {send}"),
        _ => {
            if let (Some(backlog), Some(limit)) = (row.backlog, row.backlog_limit) {
                text += &format!(" queue {backlog} of {limit}");
            }
        }
    }
    if let Some(timer) = row.timer {
        text += &format!(" timer {}", word(timer.kind));
        if timer.retransmits > 0 {
            text += &format!(" ×{}", timer.retransmits);
        }
    }
    match row.no_owner {
        Some(why) if !row.kind.is_mini() => text += &format!(" {}", why.as_str()),
        _ => {}
    }
    text
}

/// The subject ends in a state.
pub(crate) const fn ends_in(state: State) -> Promise {
    Promise::State(SUBJECT, state)
}
