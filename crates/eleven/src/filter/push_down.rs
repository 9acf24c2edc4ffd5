//! What of a filter can be decided before a row is complete: by the state mask and the
//! families of a dump, by the kernel's bytecode, and by not reading what is not asked for.
//!
//! Each of these lets through at least what matches. Under a negation "at least" turns
//! into "at most", so everything here is computed as a pair of bounds, or towards one of
//! them: the upper bound holds for every socket that matches, the lower bound only for
//! sockets that match.

use std::net::{IpAddr, Ipv6Addr};

use eleven_linux::bytecode::{HostTest, KernelFilter, PortTest, Prefix};
use eleven_snapshot::{Family, SocketKind, TimerKind};
use eleven_tcp::{State, StateSet};

use super::ast::{Expression, Predicate, Side};
use super::comparison::Comparison;
use super::names::Names;

/// Families of sockets that can match; a dump of the other one can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4 sockets.
    pub inet: bool,
    /// IPv6 sockets.
    pub inet6: bool,
}

impl Families {
    /// Both.
    pub const ALL: Self = Self { inet: true, inet6: true };
    /// Neither.
    pub const NONE: Self = Self { inet: false, inet6: false };

    /// Whether sockets of `family` can match.
    pub const fn contains(self, family: Family) -> bool {
        match family {
            Family::Inet => self.inet,
            Family::Inet6 => self.inet6,
        }
    }
}

/// What has to be read of a socket beyond what every row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The processes that hold it.
    pub owners: bool,
    /// The names of users.
    pub users: bool,
    /// `struct tcp_info`.
    pub tcp_info: bool,
    /// Its age. Readers that have no better source find a lower bound in `tcp_info`, so
    /// whoever needs the one needs the other.
    pub age: bool,
    /// Congestion control.
    pub congestion: bool,
    /// Control group.
    pub cgroup: bool,
    /// Container of the control group.
    pub container: bool,
    /// Name of the network namespace.
    pub netns: bool,
    /// Name of the interface it is bound to.
    pub interface: bool,
    /// Firewall mark.
    pub mark: bool,
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            owners: self.owners || other.owners,
            users: self.users || other.users,
            tcp_info: self.tcp_info || other.tcp_info,
            age: self.age || other.age,
            congestion: self.congestion || other.congestion,
            cgroup: self.cgroup || other.cgroup,
            container: self.container || other.container,
            netns: self.netns || other.netns,
            interface: self.interface || other.interface,
            mark: self.mark || other.mark,
        }
    }
}

/// A set that all matching sockets are in, and one of which every socket matches.
#[derive(Clone, Copy)]
pub(super) struct Bounds<T> {
    pub(super) upper: T,
    pub(super) lower: T,
}

/// What bounds are computed in.
pub(super) trait Set: Copy {
    const ALL: Self;
    const NONE: Self;
    fn union(self, other: Self) -> Self;
    fn intersection(self, other: Self) -> Self;
    fn complement(self) -> Self;
}

impl Set for StateSet {
    const ALL: Self = Self::ALL;
    const NONE: Self = Self::EMPTY;
    fn union(self, other: Self) -> Self {
        self.union(other)
    }
    fn intersection(self, other: Self) -> Self {
        self.intersection(other)
    }
    fn complement(self) -> Self {
        self.complement()
    }
}

impl Set for Families {
    const ALL: Self = Self::ALL;
    const NONE: Self = Self::NONE;
    fn union(self, other: Self) -> Self {
        Self { inet: self.inet || other.inet, inet6: self.inet6 || other.inet6 }
    }
    fn intersection(self, other: Self) -> Self {
        Self { inet: self.inet && other.inet, inet6: self.inet6 && other.inet6 }
    }
    fn complement(self) -> Self {
        Self { inet: !self.inet, inet6: !self.inet6 }
    }
}

impl<T: Set> Bounds<T> {
    const ANY: Self = Self { upper: T::ALL, lower: T::NONE };

    const fn exactly(set: T) -> Self {
        Self { upper: set, lower: set }
    }

    const fn at_most(set: T) -> Self {
        Self { upper: set, lower: T::NONE }
    }

    fn of(expression: &Expression, test: &impl Fn(&Predicate, bool) -> Self) -> Self {
        match expression {
            Expression::And(parts) => {
                parts.iter().map(|part| Self::of(part, test)).fold(Self::exactly(T::ALL), |a, b| Self {
                    upper: a.upper.intersection(b.upper),
                    lower: a.lower.intersection(b.lower),
                })
            }
            Expression::Or(parts) => {
                parts.iter().map(|part| Self::of(part, test)).fold(Self::exactly(T::NONE), |a, b| Self {
                    upper: a.upper.union(b.upper),
                    lower: a.lower.union(b.lower),
                })
            }
            Expression::Not(inner) => {
                let inner = Self::of(inner, test);
                Self { upper: inner.lower.complement(), lower: inner.upper.complement() }
            }
            Expression::Test { predicate, negated } => test(predicate, *negated),
        }
    }
}

const EXPIRING: StateSet = StateSet::EMPTY.with(State::TimeWait).with(State::FinWait2);
const LISTENING: StateSet = StateSet::EMPTY.with(State::Listen);

pub(super) fn states(expression: &Expression) -> Bounds<StateSet> {
    Bounds::of(expression, &|predicate, negated| match predicate {
        Predicate::States(set) => Bounds::exactly(if negated { set.complement() } else { *set }),
        // These are unknown of other states, and what is unknown matches neither way.
        Predicate::Backlog(..) => Bounds::at_most(LISTENING),
        Predicate::ReceiveQueue(..) | Predicate::SendQueue(..) => Bounds::at_most(LISTENING.complement()),
        Predicate::Kind(kind) if !negated => match kind {
            SocketKind::Full => Bounds::ANY,
            SocketKind::Request => Bounds::at_most(StateSet::EMPTY.with(State::SynReceived)),
            SocketKind::TimeWait => Bounds::at_most(EXPIRING),
            SocketKind::Bound => Bounds::at_most(StateSet::EMPTY.with(State::Closed)),
        },
        Predicate::Timer(Some(TimerKind::TimeWait)) if !negated => Bounds::at_most(EXPIRING),
        _ => Bounds::ANY,
    })
}

pub(super) fn families(expression: &Expression) -> Bounds<Families> {
    const INET: Families = Families { inet: true, inet6: false };
    const INET6: Families = Families { inet: false, inet6: true };
    Bounds::of(expression, &|predicate, negated| match predicate {
        Predicate::Family(family) => {
            Bounds::exactly(if (*family == Family::Inet) == negated { INET6 } else { INET })
        }
        // An IPv4 prefix also holds v4-mapped addresses of IPv6 sockets.
        Predicate::Host { prefix: Some(prefix), .. } if !negated && prefix.address().is_ipv6() => {
            Bounds::at_most(INET6)
        }
        _ => Bounds::ANY,
    })
}

/// Towards which bound to compute.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Towards {
    Upper,
    Lower,
}

impl Towards {
    const fn opposite(self) -> Self {
        match self {
            Self::Upper => Self::Lower,
            Self::Lower => Self::Upper,
        }
    }

    /// The bound of what the kernel cannot tell.
    const fn unknown(self) -> KernelFilter {
        match self {
            Self::Upper => KernelFilter::All,
            Self::Lower => KernelFilter::NOTHING,
        }
    }
}

pub(super) fn kernel_filter(expression: &Expression, names: &dyn Names) -> KernelFilter {
    bound(expression, names, Towards::Upper)
}

fn bound(expression: &Expression, names: &dyn Names, towards: Towards) -> KernelFilter {
    match expression {
        Expression::And(parts) => KernelFilter::all_of(parts.iter().map(|part| bound(part, names, towards))),
        Expression::Or(parts) => KernelFilter::any_of(parts.iter().map(|part| bound(part, names, towards))),
        Expression::Not(inner) => bound(inner, names, towards.opposite()).negated(),
        Expression::Test { predicate, negated } => test(predicate, *negated, names, towards),
    }
}

fn test(predicate: &Predicate, negated: bool, names: &dyn Names, towards: Towards) -> KernelFilter {
    let exact = |filter: KernelFilter| if negated { filter.negated() } else { filter };
    // The kernel's answer need not be the row's: a mark may be unreadable, an interface
    // renamed. A row that matches was accepted all the same; the reverse does not hold.
    let at_most = |filter: Option<KernelFilter>| match filter {
        Some(filter) if !negated && towards == Towards::Upper => filter,
        _ => towards.unknown(),
    };
    match predicate {
        Predicate::Host { side, prefix, port } => {
            let test = HostTest { prefix: *prefix, port: *port };
            exact(match (side, prefix, port) {
                (_, None, None) => KernelFilter::All,
                (Side::Local, ..) => KernelFilter::LocalAddress(test),
                (Side::Remote, ..) => KernelFilter::RemoteAddress(test),
                (Side::Either, ..) => KernelFilter::any_of([
                    KernelFilter::LocalAddress(test),
                    KernelFilter::RemoteAddress(test),
                ]),
            })
        }
        Predicate::Port { side, comparison, port } => {
            exact(port_filter(*side, |filter| compare(filter, *comparison, *port)))
        }
        Predicate::AutoBound(range) => exact(KernelFilter::all_of([
            compare(KernelFilter::LocalPort, Comparison::GreaterOrEqual, *range.start()),
            compare(KernelFilter::LocalPort, Comparison::LessOrEqual, *range.end()),
        ])),
        Predicate::Family(family) => {
            let any = Prefix::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
            let inet6 = KernelFilter::LocalAddress(HostTest { prefix: any, port: None });
            exact(if *family == Family::Inet6 { inet6 } else { inet6.negated() })
        }
        Predicate::Interface(name) => {
            let index = name.literal().and_then(|name| names.interface_index(name));
            at_most(index.map(KernelFilter::Interface))
        }
        Predicate::Mark { value, mask } => at_most(Some(KernelFilter::Mark { value: *value, mask: *mask })),
        Predicate::Cgroup(path) => {
            let id = path.literal().and_then(|path| names.cgroup_id(path));
            at_most(id.map(KernelFilter::Cgroup))
        }
        Predicate::States(_)
        | Predicate::Kind(_)
        | Predicate::Process(_)
        | Predicate::Pid(_)
        | Predicate::User { .. }
        | Predicate::Uid(_)
        | Predicate::NoOwner(_)
        | Predicate::Container(_)
        | Predicate::Netns(_)
        | Predicate::Age(..)
        | Predicate::ReceiveQueue(..)
        | Predicate::SendQueue(..)
        | Predicate::Backlog(..)
        | Predicate::Timer(_)
        | Predicate::Retransmits(..)
        | Predicate::RoundTripTime(..)
        | Predicate::Congestion(_)
        | Predicate::Inode(_)
        | Predicate::Cookie(_)
        | Predicate::Flow(_) => towards.unknown(),
    }
}

fn port_filter(side: Side, compare: impl Fn(fn(PortTest) -> KernelFilter) -> KernelFilter) -> KernelFilter {
    match side {
        Side::Local => compare(KernelFilter::LocalPort),
        Side::Remote => compare(KernelFilter::RemotePort),
        Side::Either => {
            KernelFilter::any_of([compare(KernelFilter::LocalPort), compare(KernelFilter::RemotePort)])
        }
    }
}

/// The kernel has ≥ and ≤; the strict ones begin a port further.
fn compare(filter: fn(PortTest) -> KernelFilter, comparison: Comparison, port: u16) -> KernelFilter {
    match comparison {
        Comparison::Equal => filter(PortTest::Equal(port)),
        Comparison::GreaterOrEqual if port == 0 => KernelFilter::All,
        Comparison::GreaterOrEqual => filter(PortTest::AtLeast(port)),
        Comparison::LessOrEqual if port == u16::MAX => KernelFilter::All,
        Comparison::LessOrEqual => filter(PortTest::AtMost(port)),
        Comparison::Greater => {
            port.checked_add(1).map_or(KernelFilter::NOTHING, |port| filter(PortTest::AtLeast(port)))
        }
        Comparison::Less => {
            port.checked_sub(1).map_or(KernelFilter::NOTHING, |port| filter(PortTest::AtMost(port)))
        }
    }
}

pub(super) fn needs(expression: &Expression) -> Needs {
    expression.tests().map(predicate_needs).fold(Needs::default(), Needs::union)
}

fn predicate_needs(predicate: &Predicate) -> Needs {
    let none = Needs::default();
    match predicate {
        Predicate::Process(_) | Predicate::Pid(_) | Predicate::NoOwner(_) => Needs { owners: true, ..none },
        Predicate::User { uid, .. } => Needs { users: uid.is_none(), ..none },
        Predicate::Age(..) => Needs { age: true, tcp_info: true, ..none },
        Predicate::RoundTripTime(..) => Needs { tcp_info: true, ..none },
        Predicate::Congestion(_) => Needs { congestion: true, ..none },
        Predicate::Cgroup(_) => Needs { cgroup: true, ..none },
        Predicate::Container(_) => Needs { cgroup: true, container: true, ..none },
        Predicate::Netns(_) => Needs { netns: true, ..none },
        Predicate::Interface(_) => Needs { interface: true, ..none },
        Predicate::Mark { .. } => Needs { mark: true, ..none },
        Predicate::States(_)
        | Predicate::Kind(_)
        | Predicate::Family(_)
        | Predicate::Host { .. }
        | Predicate::Port { .. }
        | Predicate::AutoBound(_)
        | Predicate::Uid(_)
        | Predicate::ReceiveQueue(..)
        | Predicate::SendQueue(..)
        | Predicate::Backlog(..)
        | Predicate::Timer(_)
        | Predicate::Retransmits(..)
        | Predicate::Inode(_)
        | Predicate::Cookie(_)
        | Predicate::Flow(_) => none,
    }
}
