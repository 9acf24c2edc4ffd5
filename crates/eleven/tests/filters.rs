//! What the kernel sorts out while it dumps is what the filter means.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::process::Command;

use eleven::filter::{Filter, SystemNames};
use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::sock_diag::{Extensions, Request};
use eleven_linux::{Labelling, ReaderChoice, read_sockets};
use eleven_snapshot::{Family, Socket};
use eleven_tcp::State;
use eleven_testbed::namespace::Net;
use eleven_testbed::sockets::{
    ANYWHERE6, LOOPBACK, LOOPBACK6, address, bound, connect, connecting, fill, listen, listen_on, new, pair,
    time_wait,
};
use eleven_testbed::wire::{HERE, INTERFACE, THERE, Wire};
use eleven_testbed::{or_skip, skipped};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::support::program::RunInside;
use crate::support::sockets::{half_closed, wait_for_state};

/// Mark of some of the sockets.
const MARK: u32 = 0x1177;
/// A port that is not the kernel's choice, so that filters can name it.
const SERVICE: u16 = 8080;

/// Some sixty sockets that differ in all that a filter can ask the kernel for.
struct Crowd {
    wire: Wire,
    _held: Vec<socket2::Socket>,
}

impl Crowd {
    fn gather() -> Result<Self, String> {
        let wire = Wire::new_cut()?;
        let mut held = Vec::new();
        let wire_listener = wire.here.run(|| {
            let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            let service = listen(at(SERVICE), 16);
            let service6 = listen(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, SERVICE + 1)), 16);
            for last in 1..=5 {
                let client = new(socket2::Domain::IPV4);
                client.bind(&SocketAddr::from(([127, 0, last, 1], 0)).into()).expect("all of 127/8 is here");
                client.connect(&SocketAddr::from(([127, 0, 0, last], SERVICE)).into()).expect("it listens");
                held.extend([client, service.accept().expect("a client waits").0]);
                // The same service by way of an IPv6 socket.
                let mapped = connect(SocketAddr::from(([127, 0, 0, last], SERVICE + 1)));
                let plain = connect(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, SERVICE + 1)));
                held.extend([mapped, plain]);
                held.extend([(); 2].map(|()| service6.accept().expect("a client waits").0));
            }
            // Not accepted.
            held.push(connect(SocketAddr::from(([127, 0, 0, 1], SERVICE))));
            for index in 0..4_u8 {
                let marked = listen(LOOPBACK, 1);
                marked.set_mark(if index % 2 == 0 { MARK } else { u32::from(index) }).expect("root may mark");
                let on_device = listen_on(if index % 2 == 0 { "lo" } else { INTERFACE }, at(0));
                held.extend([marked, on_device]);
                held.push(bound(if index % 2 == 0 { LOOPBACK } else { LOOPBACK6 }));
                time_wait(if index % 2 == 0 { LOOPBACK } else { LOOPBACK6 });
            }
            for at in [LOOPBACK, LOOPBACK6] {
                let (client, server) = pair(at);
                client.set_keepalive(true).expect("an open socket");
                client.set_mark(MARK).expect("root may mark");
                fill(&client, &server, &[7; 300]);
                let (done, other) = half_closed(at);
                held.extend([client, server, done, other]);
            }
            // An orphan on its way out.
            let (orphan, other) = pair(LOOPBACK);
            let local = address(&orphan);
            drop(orphan);
            wait_for_state(local, State::FinWait2);
            held.push(other);
            let on_wire = listen(SocketAddr::from((HERE, SERVICE + 2)), 4);
            let listener = address(&on_wire);
            // SYNs that are never answered.
            for port in [443, 8443] {
                held.push(connecting(SocketAddr::from((THERE, port))));
            }
            held.extend([service, service6, on_wire, listen(ANYWHERE6, 3)]);
            listener
        });
        // Answers to these are lost.
        held.extend(wire.there.run(|| [(); 2].map(|()| connecting(wire_listener))));
        wire.here.run(|| wait_for_state(wire_listener, State::SynReceived));
        Ok(Self { wire, _held: held })
    }

    /// What the kernel gives for a filter, when it sorts out as much as it can.
    fn read(&self, filter: &Filter) -> (BTreeMap<u64, Socket>, bool) {
        self.wire.here.run(|| {
            let program = filter.kernel_filter(&SystemNames::new()).compile();
            let bytecode =
                program.ok().filter(|program| !program.is_empty()).map(|program| program.as_bytes().to_vec());
            let families = filter.families();
            let request = Request {
                states: filter.states(),
                family: match (families.inet, families.inet6) {
                    (true, false) => Some(Family::Inet),
                    (false, true) => Some(Family::Inet6),
                    _ => None,
                },
                bytecode,
                extensions: Extensions {
                    tcp_info: true,
                    age: true,
                    congestion: true,
                    ..Extensions::default()
                },
            };
            let helps = request.bytecode.is_some() || request.family.is_some() || request.states.len() < 11;
            let labelling = Labelling { owners: false, cgroups: true };
            let mut rows = BTreeMap::new();
            let choice = (NamespaceChoice::This, ReaderChoice::Netlink);
            let report = read_sockets(&choice.0, choice.1, &request, labelling, &mut |socket: &Socket| {
                rows.insert(socket.cookie.expect("netlink shows cookies"), socket.clone());
                ControlFlow::Continue(())
            });
            report.unwrap_or_else(|error| panic!("{filter}: {error}"));
            (rows, helps)
        })
    }
}

/// A test of one thing, as a person would write it.
fn test() -> impl Strategy<Value = String> {
    let address = prop_oneof![
        (0u8..7).prop_map(|last| format!("127.0.0.{last}")),
        (0u8..7, 8u8..=32).prop_map(|(third, length)| format!("127.0.{third}.1/{length}")),
        (0u8..=128).prop_map(|length| format!("[::1]/{length}")),
        Just(format!("{HERE}/31")),
        Just(THERE.to_string()),
        prop::sample::select(vec![
            "::1",
            "::",
            "0.0.0.0",
            "0.0.0.0/0",
            "[::]/0",
            "[::ffff:127.0.0.0]/104",
            "*"
        ])
        .prop_map(str::to_owned),
    ];
    let port = prop_oneof![
        (SERVICE - 1..SERVICE + 4).prop_map(|port| port.to_string()),
        prop::sample::select(vec!["0", "443", "8443", "32768", "45000", "65535"]).prop_map(str::to_owned),
    ];
    let order = prop::sample::select(vec!["=", "!=", "<", "<=", ">", ">="]);
    let equality = prop::sample::select(vec!["=", "!="]);
    let side = prop::sample::select(vec!["src", "dst", "address"]);
    let port_side = prop::sample::select(vec!["sport", "dport", "port"]);
    let states = prop::sample::select(State::ALL.map(State::as_str).to_vec());
    prop_oneof![
        3 => (side.clone(), equality.clone(), address.clone()).prop_map(|(side, equal, address)| format!("{side} {equal} {address}")),
        2 => (side, equality.clone(), port.clone()).prop_map(|(side, equal, port)| format!("{side} {equal} *:{port}")),
        3 => (port_side, order, port).prop_map(|(side, order, port)| format!("{side} {order} {port}")),
        2 => (states, any::<bool>()).prop_map(|(state, out)| format!("{} {state}", if out { "exclude" } else { "state" })),
        1 => (equality.clone(), prop::sample::select(vec!["inet", "inet6"])).prop_map(|(equal, family)| format!("family {equal} {family}")),
        1 => (equality.clone(), prop::sample::select(vec!["lo", "wire0", "w*", "nowhere0"])).prop_map(|(equal, name)| format!("dev {equal} {name}")),
        1 => (equality, prop::sample::select(vec!["0x1177", "1", "0", "0x1000/0xf000", "1/1"])).prop_map(|(equal, mark)| format!("fwmark {equal} {mark}")),
        1 => prop::sample::select(vec![
            "connected", "synchronized", "bucket", "big", "bound", "autobound", "kind timewait", "kind request",
            "kind full", "recvq > 0", "recvq = 300", "sendq = 0", "backlog > 0", "backlog = 0", "timer keepalive",
            "timer time_wait", "timer none", "age > 1h", "congestion != none", "cgroup /nowhere", "uid 0", "uid != 0",
        ]).prop_map(str::to_owned),
    ]
}

/// Tests, joined.
fn filter() -> impl Strategy<Value = String> {
    test().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|inner| format!("not ({inner})")),
        ]
    })
}

/// Filters tried on one crowd. TIME_WAIT lasts a minute, and a walk over a host with a
/// million sockets a tenth of a second.
const BATCH: usize = 60;
const BATCHES: usize = 5;

#[test]
fn what_the_kernel_sorts_out_is_what_the_filter_means() {
    // The same filters in every run: a failure can be repeated.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, b"eleven states, sixty-odd sockets");
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let names = SystemNames::new();
    let (mut pushed, mut selective) = (0, 0);
    for _ in 0..BATCHES {
        let crowd = or_skip!(Crowd::gather());
        let everything = Filter::everything();
        let (before, _) = crowd.read(&everything);
        assert!(before.len() > 60, "{} sockets are no crowd", before.len());
        let mut answers = Vec::new();
        for _ in 0..BATCH {
            let text = filter().new_tree(&mut runner).expect("nothing is rejected").current();
            let parsed = crowd
                .wire
                .here
                .run(|| Filter::parse(&text, &names))
                .unwrap_or_else(|error| panic!("{}", error.render()));
            let (rows, helps) = crowd.read(&parsed);
            pushed += usize::from(helps);
            answers.push((text, parsed, rows));
        }
        let (after, _) = crowd.read(&everything);
        // A TIME_WAIT may end meanwhile, and its sockets count for nothing then.
        let steady: BTreeMap<u64, &Socket> = before
            .iter()
            .filter(|(cookie, row)| after.get(cookie).is_some_and(|later| essence(later) == essence(row)))
            .map(|(cookie, row)| (*cookie, row))
            .collect();
        assert!(steady.len() > 50, "{} of {} are steady", steady.len(), before.len());
        for (text, parsed, rows) in answers {
            let expected: BTreeSet<u64> =
                steady.iter().filter(|(_, row)| parsed.matches(row)).map(|(cookie, _)| *cookie).collect();
            let found: BTreeSet<u64> = rows
                .iter()
                .filter(|(cookie, row)| steady.contains_key(cookie) && parsed.matches(row))
                .map(|(cookie, _)| *cookie)
                .collect();
            let different: Vec<_> =
                expected.symmetric_difference(&found).map(|cookie| steady[cookie]).collect();
            assert!(different.is_empty(), "`{text}` differs over {different:#?}");
            selective += usize::from(!expected.is_empty() && expected.len() < steady.len());
        }
    }
    // Else the test would prove nothing.
    assert!(pushed > BATCH * BATCHES / 2, "the kernel was asked {pushed} times only");
    assert!(selective > BATCH * BATCHES / 3, "{selective} filters told sockets apart");
}

/// What must stay the same for two looks at a socket to be compared.
fn essence(row: &Socket) -> impl PartialEq + use<> {
    (row.state, row.kind, row.recv_queue, row.send_queue, row.backlog, row.timer.map(|timer| timer.kind))
}

#[test]
fn filters_that_the_kernel_knows_whole_give_no_row_too_many() {
    let crowd = or_skip!(Crowd::gather());
    let names = SystemNames::new();
    for text in [
        "sport = 8080",
        "dport != 8080",
        "src 127.0.0.0/8",
        "dst 127.0.2.1 or dst 127.0.3.1",
        "not (dst 127.0.0.0/8) and state established",
        "dst [::1] and sport < 9000",
        "dst = 127.0.0.3:8080",
        "fwmark 0x1177",
        "dev lo or dev wire0",
    ] {
        let filter = crowd.wire.here.run(|| Filter::parse(text, &names)).expect("it is right");
        let (rows, _) = crowd.read(&filter);
        assert!(!rows.is_empty(), "`{text}` finds nothing");
        for row in rows.values() {
            // Of a mini-socket the kernel may show no mark, but let it through.
            assert!(filter.matches(row) || row.kind.is_mini(), "`{text}` lets through {row:?}");
        }
    }
}

/// Both ends of each row, sorted. That tells rows apart, and ss leaves the state out where
/// a filter asks for one.
fn of_eleven(net: &Net, filter: &str) -> Vec<String> {
    let rows =
        net.eleven(&["list", "--no-owners", "--format", "ndjson", "--reader", "netlink", filter]).ndjson();
    let endpoint = |row: &serde_json::Value, end: &str| {
        let port = row[format!("{end}_port")].as_u64().unwrap_or(0);
        format!("{}|{port}", row[format!("{end}_address")].as_str().expect("an address"))
    };
    let mut rows: Vec<String> = rows
        .iter()
        // ss has no bound sockets.
        .filter(|row| row["kind"] != "bound")
        .map(|row| format!("{} {}", endpoint(row, "local"), endpoint(row, "remote")))
        .collect();
    rows.sort();
    rows
}

/// The same of ss, which writes `*` for any address of both families.
fn of_ss(net: &Net, filter: &str) -> Vec<String> {
    let mut command = Command::new("ss");
    command.arg("-Htan").args(filter.split(' '));
    let text = net.output(&mut command).done();
    let endpoint = |word: &str| {
        let (address, port) = word.rsplit_once(':').expect("an endpoint");
        let address = address.split('%').next().unwrap_or_default().trim_matches(['[', ']']);
        let address = if address == "*" { "::" } else { address };
        let port = if port == "*" { "0" } else { port };
        format!("{address}|{port}")
    };
    let mut rows: Vec<String> = text
        .lines()
        .map(|line| {
            let ends: Vec<String> =
                line.split_ascii_whitespace().filter(|word| word.contains(':')).map(endpoint).collect();
            ends[..2].join(" ")
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn ss_gives_the_same_rows() {
    if Command::new("ss").arg("-V").output().is_err() {
        return skipped("no ss to compare with");
    }
    let crowd = or_skip!(Crowd::gather());
    let net = &crowd.wire.here;
    for filter in [
        "state established",
        "state time-wait",
        "state listening",
        "state connected",
        "state synchronized",
        "state bucket",
        "state big",
        "exclude listening",
        "exclude established",
        "state syn-sent",
        "state syn-recv",
        "state fin-wait-2",
        "state close-wait",
        "state established state syn-sent",
        "sport = :8080",
        "dport = :8080",
        "sport = 8080 or dport = 8081",
        "sport != :8080",
        "dport gt :8080",
        "sport <= 8081",
        "src 127.0.0.3",
        "dst 127.0.0.0/30",
        "dst = 127.0.0.3:8080",
        "state established dst [::1]",
        "state established ( dport = :8080 or sport = :8081 )",
        "not dport = :8080",
        "state established not ( src 127.0.0.1 or dst 127.0.0.1 )",
        "dev = wire0",
    ] {
        let mut looks = (of_eleven(net, filter), of_ss(net, filter));
        if looks.0 != looks.1 {
            // The crowd stands still but for the end of a TIME_WAIT between two looks.
            looks = (of_eleven(net, filter), of_ss(net, filter));
        }
        assert!(!looks.0.is_empty(), "`{filter}` finds nothing");
        assert_eq!(looks.0, looks.1, "`{filter}`");
    }
}
