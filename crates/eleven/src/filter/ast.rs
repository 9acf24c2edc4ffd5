//! A filter as a tree.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use eleven_linux::bytecode::Prefix;
use eleven_snapshot::{Family, KernelOnly, SocketKind, TimerKind};
use eleven_tcp::{State, StateSet};

use super::comparison::Comparison;
use super::flow::FlowPredicate;
use super::lex::{ends_word, word_operator};
use super::pattern::Pattern;

/// Tests, and how they are joined.
///
/// Printing one and parsing the text gives the same tree again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// All of two or more.
    And(Vec<Self>),
    /// Any of two or more.
    Or(Vec<Self>),
    /// The sockets that do not match.
    Not(Box<Self>),
    /// A single test.
    Test {
        /// What is asked.
        predicate: Predicate,
        /// `!=`: the answer must be no. Where it is unknown, this does not match either.
        negated: bool,
    },
}

/// Which end of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Here.
    Local,
    /// There.
    Remote,
    /// One of the two.
    Either,
}

/// Why no program is shown, as a filter asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoOwner {
    /// For whatever reason.
    Any,
    /// For this one.
    Because(KernelOnly),
}

impl NoOwner {
    /// The word in a filter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "none",
            Self::Because(KernelOnly::MiniSocket) => "kernel",
            Self::Because(KernelOnly::Orphan) => "orphan",
            Self::Because(KernelOnly::NotAccepted) => "not-accepted",
            Self::Because(KernelOnly::Unreadable) => "unreadable",
        }
    }
}

/// One question about a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// Its state is one of these.
    States(StateSet),
    /// The kernel stores it like this.
    Kind(SocketKind),
    /// Its family.
    Family(Family),
    /// An address, a port, or both.
    Host {
        /// Of which end.
        side: Side,
        /// What holds the address; `None` is any.
        prefix: Option<Prefix>,
        /// The port; `None` is any.
        port: Option<u16>,
    },
    /// A port.
    Port {
        /// Of which end.
        side: Side,
        /// How it compares; a port that is not set counts as 0, as in the kernel.
        comparison: Comparison,
        /// To what.
        port: u16,
    },
    /// The kernel chose the local port, going by its number.
    AutoBound(RangeInclusive<u16>),
    /// The interface it is bound to.
    Interface(Pattern),
    /// `mark & mask == value`.
    Mark {
        /// What the masked mark is.
        value: u32,
        /// Which bits count.
        mask: u32,
    },
    /// A program that holds it.
    Process(Pattern),
    /// A process that holds it.
    Pid(u32),
    /// The user that made it.
    User {
        /// By name.
        name: Pattern,
        /// The number of that user here, for sockets of which only the number is known.
        uid: Option<u32>,
    },
    /// The number of the user that made it.
    Uid(u32),
    /// Why no program is shown.
    NoOwner(NoOwner),
    /// The control group that made it.
    Cgroup(Pattern),
    /// The container of that group.
    Container(Pattern),
    /// Its network namespace.
    Netns(Pattern),
    /// How long it has existed.
    Age(Comparison, Duration),
    /// Bytes not read.
    ReceiveQueue(Comparison, u64),
    /// Bytes not acknowledged.
    SendQueue(Comparison, u64),
    /// Connections that wait for accept.
    Backlog(Comparison, u64),
    /// The timer that runs; `None` when none does.
    Timer(Option<TimerKind>),
    /// How often that timer has fired without an answer.
    Retransmits(Comparison, u64),
    /// Smoothed round-trip time.
    RoundTripTime(Comparison, Duration),
    /// Congestion control algorithm.
    Congestion(Pattern),
    /// Inode of its file.
    Inode(u64),
    /// Its cookie.
    Cookie(u64),
    /// Something that only a flow in a capture has.
    Flow(FlowPredicate),
}

impl From<Predicate> for Expression {
    fn from(predicate: Predicate) -> Self {
        Self::Test { predicate, negated: false }
    }
}

impl Expression {
    /// All of `parts`: a lone part is itself.
    pub(super) fn and(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.swap_remove(0) } else { Self::And(parts) }
    }

    /// Any of `parts`: a lone part is itself.
    pub(super) fn or(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.swap_remove(0) } else { Self::Or(parts) }
    }

    /// The tests in it, from left to right.
    pub(super) fn tests(&self) -> Box<dyn Iterator<Item = &Predicate> + '_> {
        match self {
            Self::And(parts) | Self::Or(parts) => Box::new(parts.iter().flat_map(Self::tests)),
            Self::Not(inner) => inner.tests(),
            Self::Test { predicate, .. } => Box::new(std::iter::once(predicate)),
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => join(f, parts, " and ", |part| matches!(part, Self::And(_) | Self::Or(_))),
            Self::Or(parts) => join(f, parts, " or ", |part| matches!(part, Self::Or(_))),
            Self::Not(inner) => {
                f.write_str("not ")?;
                enclose(f, inner, matches!(**inner, Self::And(_) | Self::Or(_)))
            }
            Self::Test { predicate, negated } => predicate.write(f, *negated),
        }
    }
}

fn join(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expression],
    between: &str,
    encloses: impl Fn(&Expression) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(between)?;
        }
        enclose(f, part, encloses(part))?;
    }
    Ok(())
}

fn enclose(f: &mut fmt::Formatter<'_>, expression: &Expression, encloses: bool) -> fmt::Result {
    if encloses { write!(f, "({expression})") } else { write!(f, "{expression}") }
}

impl Predicate {
    fn write(&self, f: &mut fmt::Formatter<'_>, negated: bool) -> fmt::Result {
        let equal = if negated { "!=" } else { "=" };
        // Only equality is ever negated: the parser has words for the rest.
        let compare = |comparison: Comparison| if negated { "!=" } else { comparison.as_str() };
        match self {
            Self::States(states) => write_states(f, *states, negated),
            Self::Kind(kind) => write!(f, "kind {equal} {}", kind.as_str()),
            Self::Family(family) => write!(f, "family {equal} {}", family.as_str()),
            Self::Host { side, prefix, port } => {
                let keyword = match side {
                    Side::Local => "src",
                    Side::Remote => "dst",
                    Side::Either => "address",
                };
                write!(f, "{keyword} {equal} ")?;
                match prefix {
                    Some(prefix) => write!(f, "{prefix}")?,
                    None if port.is_none() => f.write_str("*")?,
                    None => {}
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Port { side, comparison, port } => {
                let keyword = match side {
                    Side::Local => "sport",
                    Side::Remote => "dport",
                    Side::Either => "port",
                };
                write!(f, "{keyword} {} {port}", compare(*comparison))
            }
            Self::AutoBound(_) => f.write_str("autobound"),
            Self::Interface(name) => write_name(f, "dev", equal, name),
            Self::Mark { value, mask: u32::MAX } => write!(f, "fwmark {equal} {value:#x}"),
            Self::Mark { value, mask } => write!(f, "fwmark {equal} {value:#x}/{mask:#x}"),
            Self::Process(name) => write_name(f, "process", equal, name),
            Self::Pid(pid) => write!(f, "pid {equal} {pid}"),
            Self::User { name, .. } => write_name(f, "user", equal, name),
            Self::Uid(uid) => write!(f, "uid {equal} {uid}"),
            Self::NoOwner(reason) => write!(f, "owner {equal} {}", reason.as_str()),
            Self::Cgroup(path) => write_name(f, "cgroup", equal, path),
            Self::Container(name) => write_name(f, "container", equal, name),
            Self::Netns(name) => write_name(f, "netns", equal, name),
            Self::Age(comparison, age) => {
                write!(f, "age {} {}", compare(*comparison), DurationText(*age))
            }
            Self::ReceiveQueue(comparison, size) => write!(f, "recvq {} {size}", compare(*comparison)),
            Self::SendQueue(comparison, size) => write!(f, "sendq {} {size}", compare(*comparison)),
            Self::Backlog(comparison, length) => write!(f, "backlog {} {length}", compare(*comparison)),
            Self::Timer(timer) => {
                write!(f, "timer {equal} {}", timer.map_or("none", TimerKind::as_str))
            }
            Self::Retransmits(comparison, times) => {
                write!(f, "retransmits {} {times}", compare(*comparison))
            }
            Self::RoundTripTime(comparison, time) => {
                write!(f, "rtt {} {}", compare(*comparison), DurationText(*time))
            }
            Self::Congestion(name) => write_name(f, "congestion", equal, name),
            Self::Inode(inode) => write!(f, "inode {equal} {inode}"),
            Self::Cookie(cookie) => write!(f, "cookie {equal} {cookie:#x}"),
            Self::Flow(predicate) => predicate.write(f, equal, compare),
        }
    }
}

fn write_states(f: &mut fmt::Formatter<'_>, states: StateSet, negated: bool) -> fmt::Result {
    let names = |states: StateSet| states.iter().map(State::as_str).collect::<Vec<_>>().join(",");
    let states = if negated { states.complement() } else { states };
    match states.len() {
        0 => f.write_str("state none"),
        1..=6 => write!(f, "state {}", names(states)),
        7..=10 => write!(f, "exclude {}", names(states.complement())),
        _ => f.write_str("state all"),
    }
}

pub(super) fn write_name(
    f: &mut fmt::Formatter<'_>,
    keyword: &str,
    equal: &str,
    name: &Pattern,
) -> fmt::Result {
    write!(f, "{keyword} {equal} {}", quote(name.as_str()))
}

/// The text as one word of a filter, in quotes where it would not be one by itself.
fn quote(text: &str) -> Arc<str> {
    // A name of digits could be taken for a number.
    let is_plain = !text.is_empty()
        && !text.starts_with('~')
        && !text.contains(ends_word)
        && !text.chars().all(|c| c.is_ascii_digit())
        && word_operator(text).is_none();
    if is_plain {
        return text.into();
    }
    // There are no escapes, so each quotation mark goes into a piece quoted by the other.
    let pieces = text.split('"').map(|piece| format!("\"{piece}\"")).collect::<Vec<_>>();
    pieces.join("'\"'").into()
}

/// A duration as a filter writes it.
pub(super) struct DurationText(pub(super) Duration);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        for (unit, size) in [
            ("d", 86_400_000_000),
            ("h", 3_600_000_000),
            ("m", 60_000_000),
            ("s", 1_000_000),
            ("ms", 1_000),
            ("us", 1),
        ] {
            if micros >= size && micros.is_multiple_of(size) {
                return write!(f, "{}{unit}", micros / size);
            }
        }
        f.write_str("0s")
    }
}
