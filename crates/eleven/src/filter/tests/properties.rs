//! Random filters over random sockets.

use std::time::Duration;

use eleven_linux::bytecode::{Prefix, Subject};
use eleven_snapshot::{Family, KernelOnly, Owner, SocketKind, TcpInfo, Timer, TimerKind};
use eleven_tcp::{State, StateSet};
use proptest::prelude::*;

use super::*;

/// Few values, so that filters and sockets meet.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        4 => (0u8..2, 0u8..3).prop_map(|(a, b)| Ipv4Addr::new(10, a, 0, b)),
        1 => Just(Ipv4Addr::UNSPECIFIED),
        1 => any::<u32>().prop_map(Ipv4Addr::from_bits),
    ]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        3 => v4().prop_map(|v4| v4.to_ipv6_mapped()),
        2 => (0u16..3).prop_map(|a| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, a)),
        1 => Just(Ipv6Addr::UNSPECIFIED),
        1 => any::<u128>().prop_map(Ipv6Addr::from_bits),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..3, Just(443), Just(u16::MAX), 32_767u16..32_770, any::<u16>()]
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn kind() -> impl Strategy<Value = SocketKind> {
    prop::sample::select(SocketKind::ALL.to_vec())
}

fn timer_kind() -> impl Strategy<Value = TimerKind> {
    prop::sample::select(TimerKind::ALL.to_vec())
}

fn reason() -> impl Strategy<Value = KernelOnly> {
    use KernelOnly::{MiniSocket, NotAccepted, Orphan, Unreadable};
    prop::sample::select(vec![MiniSocket, NotAccepted, Orphan, Unreadable])
}

/// Names that need quotes, names that do not, and patterns.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["nginx", "a", "b*", "?", "and", "eq", "12", "~x", ""]).prop_map(str::to_owned),
        1 => "[a-z*?\"' =!()&|é名]{0,6}",
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    prop::sample::select(vec![Equal, Greater, GreaterOrEqual, Less, LessOrEqual])
}

fn side() -> impl Strategy<Value = Side> {
    prop::sample::select(vec![Side::Local, Side::Remote, Side::Either])
}

fn prefix() -> impl Strategy<Value = Prefix> {
    prop_oneof![
        (v4(), 0u8..=32).prop_map(|(address, length)| Prefix::new(address.into(), length).unwrap()),
        (v6(), 0u8..=128).prop_map(|(address, length)| Prefix::new(address.into(), length).unwrap()),
        v4().prop_map(|address| Prefix::host(address.into())),
        v6().prop_map(|address| Prefix::host(address.into())),
    ]
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, any::<u32>().prop_map(u64::from)]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0u64..4).prop_map(Duration::from_secs),
        (0u64..4).prop_map(Duration::from_micros),
        (0u64..=1 << 40).prop_map(Duration::from_micros),
    ]
}

fn states() -> impl Strategy<Value = StateSet> {
    prop::collection::vec(state(), 0..11).prop_map(|states| states.into_iter().collect())
}

/// Predicates that the kernel, the state mask or the families know something of.
fn pushable() -> impl Strategy<Value = Predicate> {
    prop_oneof![
        states().prop_map(Predicate::States),
        kind().prop_map(Predicate::Kind),
        prop::sample::select(vec![Family::Inet, Family::Inet6]).prop_map(Predicate::Family),
        (side(), prop::option::of(prefix()), prop::option::of(port()))
            .prop_map(|(side, prefix, port)| Predicate::Host { side, prefix, port }),
        (side(), comparison(), port()).prop_map(|(side, comparison, port)| Predicate::Port {
            side,
            comparison,
            port
        }),
        Just(Predicate::AutoBound(32_768..=60_999)),
        prop::sample::select(vec!["lo", "eth0", "eth*", "wlan0"])
            .prop_map(|name| Predicate::Interface(Pattern::new(name))),
        (0u32..4, prop_oneof![0u32..4, Just(u32::MAX)])
            .prop_map(|(value, mask)| Predicate::Mark { value, mask }),
        prop::sample::select(vec!["/system.slice/nginx.service", "/user.slice", "/user.*", "/gone"])
            .prop_map(|path| Predicate::Cgroup(Pattern::new(path))),
        (comparison(), small()).prop_map(|(comparison, size)| Predicate::ReceiveQueue(comparison, size)),
        (comparison(), small()).prop_map(|(comparison, size)| Predicate::SendQueue(comparison, size)),
        (comparison(), small()).prop_map(|(comparison, size)| Predicate::Backlog(comparison, size)),
        prop::option::of(timer_kind()).prop_map(Predicate::Timer),
    ]
}

fn opaque() -> impl Strategy<Value = Predicate> {
    prop_oneof![
        name().prop_map(|name| Predicate::Process(Pattern::new(&name))),
        (0u32..3).prop_map(Predicate::Pid),
        name().prop_map(|name| {
            let uid = TestNames.user(&name);
            Predicate::User { name: Pattern::new(&name), uid }
        }),
        (0u32..3).prop_map(Predicate::Uid),
        prop_oneof![Just(NoOwner::Any), reason().prop_map(NoOwner::Because)].prop_map(Predicate::NoOwner),
        name().prop_map(|name| Predicate::Container(Pattern::new(&name))),
        name().prop_map(|name| Predicate::Netns(Pattern::new(&name))),
        (comparison(), duration()).prop_map(|(comparison, age)| Predicate::Age(comparison, age)),
        (comparison(), small()).prop_map(|(comparison, times)| Predicate::Retransmits(comparison, times)),
        (comparison(), duration()).prop_map(|(comparison, time)| Predicate::RoundTripTime(comparison, time)),
        name().prop_map(|name| Predicate::Congestion(Pattern::new(&name))),
        small().prop_map(Predicate::Inode),
        any::<u64>().prop_map(Predicate::Cookie),
    ]
}

/// Whether the language has `!=` for it as it stands.
fn can_be_negated(predicate: &Predicate) -> bool {
    match predicate {
        Predicate::States(_) | Predicate::AutoBound(_) => false,
        Predicate::Port { comparison, .. }
        | Predicate::Age(comparison, _)
        | Predicate::ReceiveQueue(comparison, _)
        | Predicate::SendQueue(comparison, _)
        | Predicate::Backlog(comparison, _)
        | Predicate::Retransmits(comparison, _)
        | Predicate::RoundTripTime(comparison, _) => *comparison == Comparison::Equal,
        _ => true,
    }
}

fn expression() -> impl Strategy<Value = Expression> {
    let leaf = (prop_oneof![3 => pushable().boxed(), 2 => opaque().boxed()], any::<bool>()).prop_map(
        |(predicate, negated)| {
            let negated = negated && can_be_negated(&predicate);
            Expression::Test { predicate, negated }
        },
    );
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
}

/// Sockets as the kernel can show them: kind, state, queues and timer agree.
fn socket() -> impl Strategy<Value = Socket> {
    let identity = (
        prop_oneof![
            (v4(), v4()).prop_map(|(a, b)| (Family::Inet, IpAddr::V4(a), IpAddr::V4(b))),
            (v6(), v6()).prop_map(|(a, b)| (Family::Inet6, IpAddr::V6(a), IpAddr::V6(b))),
        ],
        prop::option::of(port()),
        prop::option::of(port()),
        state(),
        kind(),
    );
    let known = (
        prop::option::of(prop::sample::select(INTERFACES.to_vec())),
        prop::option::of(0u32..4),
        prop::option::of(prop::sample::select(CGROUPS.to_vec())),
        prop::option::of(0u32..4),
        prop::option::of((timer_kind(), 0u8..4)),
        prop::option::of((0u64..5_000, any::<bool>())),
        prop::collection::vec((0u32..3, name()), 0..3),
        prop::option::of(reason()),
        prop::option::of(name()),
        prop::option::of(0u32..4_000_000),
    );
    (identity, known).prop_map(|(identity, known)| {
        let ((family, local, remote), local_port, remote_port, state, kind) = identity;
        let (interface, mark, cgroup, queue, timer, age, owners, no_owner, text, rtt) = known;
        let state = match kind {
            SocketKind::Full => state,
            SocketKind::Request => State::SynReceived,
            SocketKind::TimeWait if state == State::FinWait2 => state,
            SocketKind::TimeWait => State::TimeWait,
            SocketKind::Bound => State::Closed,
        };
        let expires = matches!(state, State::TimeWait | State::FinWait2);
        let mut socket = Socket::new(state);
        socket.family = family;
        socket.kind = kind;
        socket.local_address = local;
        socket.remote_address = remote;
        socket.local_port = local_port.filter(|port| *port != 0);
        socket.remote_port = remote_port.filter(|port| *port != 0);
        socket.interface = interface.map(Into::into);
        socket.mark = mark;
        socket.cgroup = cgroup.map(Into::into);
        if state == State::Listen {
            socket.backlog = queue;
        } else {
            (socket.recv_queue, socket.send_queue) = (queue, queue.map(|queue| queue / 2));
        }
        socket.timer = timer
            .filter(|(kind, _)| expires || *kind != TimerKind::TimeWait)
            .map(|(kind, retransmits)| Timer { kind, expires_ms: 1, retransmits });
        socket.age_ms = age.map(|age| age.0);
        socket.age_is_lower_bound = age.map(|age| age.1);
        socket.owners =
            owners.into_iter().map(|(pid, name)| Owner { pid, process: name.into(), fd: 0 }).collect();
        socket.no_owner = no_owner;
        socket.uid = queue;
        socket.user = text.clone().map(Into::into);
        socket.container = text.clone().map(Into::into);
        socket.netns = text.clone().map(Into::into);
        socket.congestion = text.map(Into::into);
        socket.inode = queue.map(u64::from);
        socket.tcp_info = rtt.map(|rtt| {
            let mut bytes = vec![0; 104];
            bytes[68..72].copy_from_slice(&rtt.to_ne_bytes());
            Box::new(TcpInfo::from_bytes(&bytes))
        });
        socket
    })
}

/// What the kernel sees where a row shows `socket`. What the row does not know, the kernel
/// may: `hidden` stands for it.
fn subject(socket: &Socket, hidden: u32) -> Subject {
    Subject {
        local_address: socket.local_address,
        local_port: socket.local_port.unwrap_or(0),
        remote_address: socket.remote_address,
        remote_port: socket.remote_port.unwrap_or(0),
        interface: socket.interface.as_deref().and_then(|name| TestNames.interface_index(name)).unwrap_or(0),
        mark: socket.mark.unwrap_or(hidden),
        cgroup: socket
            .cgroup
            .as_deref()
            .and_then(|path| TestNames.cgroup_id(path))
            .unwrap_or(u64::from(hidden)),
        port_chosen: hidden.is_multiple_of(2),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn printing_and_parsing_gives_the_same_filter(expression in expression()) {
        let filter = Filter { expression: Some(expression) };
        let text = filter.to_string();
        let again = Filter::parse(&text, &TestNames).map_err(|error| TestCaseError::fail(error.render()))?;
        prop_assert_eq!(again, filter, "{}", text);
    }

    #[test]
    fn nothing_that_matches_is_lost_on_the_way(
        expression in expression(),
        sockets in prop::collection::vec((socket(), 0u32..4), 1..24),
    ) {
        let filter = Filter { expression: Some(expression) };
        let kernel = filter.kernel_filter(&TestNames);
        let unprivileged = kernel.without_marks();
        let (states, families) = (filter.states(), filter.families());
        let only_states = filter.is_only_states();
        for (socket, hidden) in &sockets {
            let matches = filter.matches(socket);
            if only_states {
                prop_assert_eq!(matches, states.contains(socket.state), "{} {:?}", filter, socket);
            }
            if matches {
                prop_assert!(states.contains(socket.state), "{} {:?}", filter, socket);
                prop_assert!(families.contains(socket.family), "{} {:?}", filter, socket);
                let subject = subject(socket, *hidden);
                prop_assert!(kernel.matches(&subject), "{} {:?} {:?}", filter, kernel, socket);
                prop_assert!(unprivileged.matches(&subject), "{} {:?} {:?}", filter, unprivileged, socket);
            }
        }
    }

    #[test]
    fn what_the_kernel_knows_whole_it_decides_alone(
        side in side(), prefix in prop::option::of(prefix()), comparison in comparison(), wanted in port(),
        negated in any::<bool>(), socket in socket(),
    ) {
        for predicate in [
            Predicate::Host { side, prefix, port: Some(wanted) },
            Predicate::Host { side, prefix, port: None },
            Predicate::Port { side, comparison, port: wanted },
            Predicate::Family(Family::Inet),
            Predicate::Family(Family::Inet6),
        ] {
            let filter = Filter { expression: Some(Expression::Test { predicate, negated }) };
            let kernel = filter.kernel_filter(&TestNames);
            prop_assert_eq!(kernel.matches(&subject(&socket, 0)), filter.matches(&socket), "{}", filter);
        }
    }

    #[test]
    fn a_socket_needs_nothing_but_what_is_said(expression in expression(), mut socket in socket()) {
        let filter = Filter { expression: Some(expression) };
        let before = filter.matches(&socket);
        let needs = filter.needs();
        if !needs.owners { (socket.owners, socket.no_owner) = (Vec::new(), None); }
        if !needs.tcp_info { socket.tcp_info = None; }
        if !needs.age { socket.set_age(None); }
        if !needs.congestion { socket.congestion = None; }
        if !needs.cgroup { socket.cgroup = None; }
        if !needs.container { socket.container = None; }
        if !needs.netns { socket.netns = None; }
        if !needs.interface { socket.interface = None; }
        if !needs.mark { socket.mark = None; }
        prop_assert_eq!(filter.matches(&socket), before, "{} {:?}", filter, needs);
    }

    #[test]
    fn any_text_is_understood_or_refused(text in "\\PC{0,60}") {
        if let Err(error) = Filter::parse(&text, &TestNames) {
            prop_assert_eq!(error.render().lines().count(), 3);
        }
    }

    #[test]
    fn any_words_are_understood_or_refused(words in prop::collection::vec(word(), 0..12)) {
        let text = words.concat();
        match Filter::parse(&text, &TestNames) {
            Err(error) => prop_assert_eq!(error.render().lines().count(), 3),
            Ok(filter) => {
                let again = Filter::parse(&filter.to_string(), &TestNames);
                prop_assert_eq!(again.as_ref(), Ok(&filter), "{}", text);
            }
        }
    }
}

/// Pieces of filters, more or less.
fn word() -> impl Strategy<Value = String> {
    let keywords: Vec<String> = KEYWORDS.iter().map(|keyword| format!("{} ", keyword.name)).collect();
    prop_oneof![
        4 => prop::sample::select(keywords),
        2 => prop::sample::select(vec![
            "listen ", "bound ", "all ", "estab,bound ", "10.0.0.1 ", "10.0.0.0/8 ", "::1 ", "[::1]:443 ", ":443 ",
            "* ", "localhost ", "443 ", "0x1f/3 ", "5m ", "10ms ", "4k ", "full ", "none ", "inet6 ", "/a/b ", "lo ",
        ])
        .prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "(", ")", "! ", "not ", "and ", "or ", " ", "=", "!=", ">", "<= ", "'", "\"", "ge ", ",", "é",
        ])
        .prop_map(str::to_owned),
    ]
}
