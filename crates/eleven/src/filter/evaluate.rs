//! Whether a socket matches.
//!
//! The answer is yes or no. A question about something that is not known of a socket is
//! answered neither way by its test, so `process = nginx` and `process != nginx` both leave
//! out a socket whose program is unknown. `not` works on whole answers: `not process nginx`
//! keeps it.

use std::net::IpAddr;
use std::time::Duration;

use eleven_linux::bytecode::Prefix;
use eleven_snapshot::{Age, Socket};

use super::ast::{Expression, NoOwner, Predicate, Side};
use super::comparison::Comparison;
use super::pattern::Pattern;

/// The kernel cuts names of processes to 15 bytes.
const COMM_LENGTH: usize = 15;

/// Something that a filter can choose: a socket, a flow.
pub trait Filterable {
    /// The answer to one question; `None` where it is unknown.
    fn answer(&self, predicate: &Predicate) -> Option<bool>;
}

impl<T: Filterable> Filterable for &T {
    fn answer(&self, predicate: &Predicate) -> Option<bool> {
        (**self).answer(predicate)
    }
}

impl Expression {
    pub(super) fn matches(&self, subject: &impl Filterable) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Self::Or(parts) => parts.iter().any(|part| part.matches(subject)),
            Self::Not(inner) => !inner.matches(subject),
            Self::Test { predicate, negated } => {
                subject.answer(predicate).is_some_and(|answer| answer != *negated)
            }
        }
    }
}

impl Filterable for Socket {
    fn answer(&self, predicate: &Predicate) -> Option<bool> {
        let socket = self;
        match predicate {
            Predicate::States(states) => Some(states.contains(socket.state)),
            Predicate::Kind(kind) => Some(socket.kind == *kind),
            Predicate::Family(family) => Some(socket.family == *family),
            Predicate::Host { side, prefix, port } => {
                Some(either(*side, socket, |address, found| host(*prefix, *port, address, found)))
            }
            Predicate::Port { side, comparison, port } => {
                Some(either(*side, socket, |_, found| comparison.holds(&found, port)))
            }
            Predicate::AutoBound(range) => Some(range.contains(&socket.local_port.unwrap_or(0))),
            // None is "bound to no interface", which every name differs from.
            Predicate::Interface(name) => {
                Some(socket.interface.as_deref().is_some_and(|interface| name.matches(interface)))
            }
            Predicate::Mark { value, mask } => socket.mark.map(|mark| mark & mask == *value),
            Predicate::Process(name) => {
                any_owner(socket, socket.owners.iter().any(|owner| process(name, &owner.process)))
            }
            Predicate::Pid(pid) => any_owner(socket, socket.owners.iter().any(|owner| owner.pid == *pid)),
            Predicate::User { name, uid } => match (&socket.user, socket.uid, uid) {
                (Some(user), _, _) => Some(name.matches(user)),
                (None, Some(found), Some(uid)) => Some(found == *uid),
                (None, _, _) => None,
            },
            Predicate::Uid(uid) => socket.uid.map(|found| found == *uid),
            Predicate::NoOwner(reason) => no_owner(socket, *reason),
            Predicate::Cgroup(path) => text(path, socket.cgroup.as_deref()),
            Predicate::Container(name) => text(name, socket.container.as_deref()),
            Predicate::Netns(name) => text(name, socket.netns.as_deref()),
            Predicate::Age(comparison, wanted) => age(*comparison, *wanted, socket.age()?),
            Predicate::ReceiveQueue(comparison, size) => number(*comparison, socket.recv_queue, *size),
            Predicate::SendQueue(comparison, size) => number(*comparison, socket.send_queue, *size),
            Predicate::Backlog(comparison, length) => number(*comparison, socket.backlog, *length),
            Predicate::Timer(kind) => Some(socket.timer.map(|timer| timer.kind) == *kind),
            Predicate::Retransmits(comparison, times) => {
                number(*comparison, socket.timer.map(|timer| timer.retransmits), *times)
            }
            Predicate::RoundTripTime(comparison, wanted) => {
                let micros = socket.tcp_info.as_ref()?.get("tcpi_rtt")?;
                Some(comparison.holds(&Duration::from_micros(micros), wanted))
            }
            Predicate::Congestion(name) => text(name, socket.congestion.as_deref()),
            Predicate::Inode(inode) => socket.inode.map(|found| found == *inode),
            Predicate::Cookie(cookie) => socket.cookie.map(|found| found == *cookie),
            // The parser lets none of these through to sockets.
            Predicate::Flow(_) => None,
        }
    }
}

/// Asks one end or both. A port that is not set is 0, as in the kernel, so that what is
/// pushed down and what is evaluated here agree.
fn either(side: Side, socket: &Socket, holds: impl Fn(IpAddr, u16) -> bool) -> bool {
    let local = || holds(socket.local_address, socket.local_port.unwrap_or(0));
    let remote = || holds(socket.remote_address, socket.remote_port.unwrap_or(0));
    match side {
        Side::Local => local(),
        Side::Remote => remote(),
        Side::Either => local() || remote(),
    }
}

fn host(prefix: Option<Prefix>, port: Option<u16>, address: IpAddr, found: u16) -> bool {
    port.is_none_or(|port| port == found) && prefix.is_none_or(|prefix| prefix.contains(address))
}

/// Without an owner there is nothing to compare with.
fn any_owner(socket: &Socket, matches: bool) -> Option<bool> {
    (!socket.owners.is_empty()).then_some(matches)
}

fn process(wanted: &Pattern, name: &str) -> bool {
    wanted.matches(name)
        || (name.len() == COMM_LENGTH && wanted.literal().is_some_and(|wanted| wanted.starts_with(name)))
}

fn no_owner(socket: &Socket, wanted: NoOwner) -> Option<bool> {
    if !socket.owners.is_empty() {
        return Some(false);
    }
    let reason = socket.no_owner?;
    Some(match wanted {
        NoOwner::Any => true,
        NoOwner::Because(wanted) => reason == wanted,
    })
}

fn text(pattern: &Pattern, found: Option<&str>) -> Option<bool> {
    found.map(|found| pattern.matches(found))
}

fn number<N: Into<u64>>(comparison: Comparison, found: Option<N>, wanted: u64) -> Option<bool> {
    found.map(|found| comparison.holds(&found.into(), &wanted))
}

/// Of many sockets it is known only that they are at least so old. Such a bound proves an
/// age above a threshold that it reaches. Below that it proves nothing, and the socket
/// counts as no older than what is known: `age < 10m` keeps it and `age > 10m` does not.
/// No bound proves equality.
fn age(comparison: Comparison, wanted: Duration, age: Age) -> Option<bool> {
    let known = Duration::from_millis(age.ms);
    if !age.is_lower_bound {
        return Some(comparison.holds(&known, &wanted));
    }
    match comparison {
        Comparison::Equal if known > wanted => Some(false),
        Comparison::Equal => None,
        Comparison::Greater | Comparison::GreaterOrEqual => Some(known >= wanted),
        Comparison::Less => Some(known < wanted),
        Comparison::LessOrEqual => Some(known <= wanted),
    }
}
