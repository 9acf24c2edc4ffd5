use core::time::Duration;

use super::*;
use crate::policy::MtuProbing;
use crate::sim::{Mtu, Vantage};

const START: Instant = Instant::ZERO;

/// A client and a server, 10 ms from each other, everything recorded.
struct Run {
    world: Simulation,
    client: HostId,
    server: HostId,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn program(text: &str) -> Program {
    text.parse().unwrap()
}

impl Run {
    fn new(policy: &Policy) -> Self {
        let mut world = Simulation::new(1);
        let client = world.add_host("client", &[address("10.0.0.1")], policy.clone());
        let server = world.add_host("server", &[address("10.0.0.2")], policy.clone());
        world.network_mut().set_default_link(Link::with_delay(Duration::from_millis(10)));
        world.record();
        Self { world, client, server }
    }

    fn serve(&mut self, text: &str) {
        self.world.listen(START, self.server, socket("10.0.0.2:80"), program(text));
    }

    fn connect(&mut self, text: &str) -> EndId {
        let (local, remote) = (socket("10.0.0.1:40000"), socket("10.0.0.2:80"));
        self.world.connect(START, self.client, local, remote, program(text))
    }

    fn rules_of(&self, host: HostId) -> Vec<&'static str> {
        let events = self.world.journal().events.iter().filter(|event| event.host == host);
        let changes = events.flat_map(EndEvent::changes);
        changes.filter(|(_, before, after)| before != after).map(|(rule, _, _)| rule.id).collect()
    }
}

fn policies() -> [Policy; 2] {
    [Policy::rfc9293(), Policy::linux()]
}

#[test]
fn a_transfer_over_losses_is_whole_and_explained() {
    for policy in policies() {
        let mut run = Run::new(&policy);
        run.world
            .network_mut()
            .apply(&"drop data 3 from client; drop FIN 1 from server".parse().unwrap())
            .unwrap();
        run.serve("echo; close");
        let end = run.connect("exchange 20000; shutdown; receive all; close");
        assert_eq!(run.world.run_until(Instant::from_secs(600)), Stop::Quiet);
        let (mine, theirs) = (run.world.end(end), &run.world.ends()[1]);
        assert_eq!((mine.sent, mine.received, mine.damaged, mine.failure), (20_000, 20_000, None, None));
        assert_eq!((theirs.sent, theirs.received, theirs.damaged), (20_000, 20_000, None));
        assert_eq!(
            run.rules_of(run.client),
            [
                "closed.active-open",
                "syn-sent.syn-ack",
                "established.shutdown",
                "fin-wait-1.fin-acked",
                "fin-wait-2.fin",
                "time-wait.time-wait-timeout"
            ]
        );
        assert_eq!(
            run.rules_of(run.server),
            ["listen.syn", "syn-received.ack", "established.fin", "close-wait.close", "last-ack.fin-acked"]
        );
        let ladder = run.world.ladder(&mine.pair).text();
        assert!(ladder.contains("FIN_WAIT2") && ladder.contains("✗"), "{ladder}");
    }
}

#[test]
fn captures_tell_the_true_states() {
    let mut run = Run::new(&Policy::linux());
    run.serve("receive all; close");
    run.connect("send 10; shutdown; receive all; close");
    run.world.run_until(Instant::from_secs(1));
    let vantage = Vantage::Between(run.client, run.server);
    let comments: Vec<_> =
        run.world.network().capture(vantage).into_iter().map(|record| run.world.comment(record)).collect();
    assert_eq!(
        comments[0],
        "sender client: CLOSED → SYN_SENT (closed.active-open); receiver server: LISTEN → SYN_RECV (listen.syn)"
    );
    assert_eq!(
        comments[1],
        "sender server: SYN_RECV; receiver client: SYN_SENT → ESTABLISHED (syn-sent.syn-ack)"
    );
    let file = run.world.write_capture(vantage, Vec::new()).unwrap();
    let text = "LISTEN → SYN_RECV (listen.syn)".as_bytes();
    assert!(file.windows(text.len()).any(|window| window == text));
}

#[test]
fn a_crash_forgets_everything_and_the_peer_learns_of_it() {
    for policy in policies() {
        let mut run = Run::new(&policy);
        run.serve("receive all; close");
        let end = run.connect("send 100; wait 10s; send 100; receive all; close");
        run.world.crash(Instant::from_secs(2), run.server);
        run.world.restart(Instant::from_secs(5), run.server);
        run.world.run_until(Instant::from_secs(60));
        let mine = run.world.end(end);
        assert_eq!(mine.failure, Some(Failure::ConnectionReset));
        assert!(run.world.ends()[1].crashed);
        assert!(run.rules_of(run.client).contains(&"established.rst"));
        // What listened listens again.
        let again = run.connect("send 5; close");
        run.world.run_until(Instant::from_secs(70));
        assert_eq!(run.world.end(again).failure, None);
        assert_eq!(run.world.ends().last().unwrap().received, 5);
    }
}

#[test]
fn a_host_that_is_down_answers_nothing() {
    let mut run = Run::new(&Policy::linux());
    run.serve("close");
    run.world.crash(Instant::from_micros(1), run.server);
    let end = run.connect("close");
    run.world.run_until(Instant::from_secs(1_000));
    assert_eq!(run.world.end(end).failure, Some(Failure::TimedOut));
    let receipts = run.world.journal().received.values().flatten();
    assert!(receipts.clone().count() > 3);
    assert!(receipts.clone().all(|receipt| receipt.reception == Reception::HostDown));
}

#[test]
fn damaged_packets_are_dropped_where_they_arrive() {
    let mut run = Run::new(&Policy::linux());
    run.world.network_mut().apply(&"corrupt data 1 from client".parse().unwrap()).unwrap();
    run.serve("receive all; close");
    run.connect("send 3000; close");
    run.world.run_until(Instant::from_secs(10));
    let theirs = &run.world.ends()[1];
    assert_eq!((theirs.received, theirs.damaged), (3_000, None));
    let receptions = run.world.journal().received.values().flatten();
    assert_eq!(receptions.filter(|receipt| receipt.reception == Reception::Damaged).count(), 1);
}

#[test]
fn reports_of_routers_reach_the_connection() {
    let mut run = Run::new(&Policy::linux());
    let link = Link { mtu: Mtu::Reported(800), ..Link::with_delay(Duration::from_millis(10)) };
    run.world.network_mut().set_default_link(link);
    run.serve("receive all; close");
    run.connect("send 3000; close");
    run.world.run_until(Instant::from_secs(10));
    assert_eq!(run.world.ends()[1].received, 3_000);
    assert!(run.world.journal().events.iter().any(|event| matches!(event.cause, Cause::Report(_))));
}

#[test]
fn calls_come_from_outside_too() {
    let mut run = Run::new(&Policy::linux());
    run.serve("receive all; close");
    let end = run.connect("receive all");
    run.world.call(Instant::from_secs(1), end, Do::Abort);
    run.world.run_until(Instant::from_secs(2));
    assert!(run.world.end(end).aborted);
    assert_eq!(run.world.ends()[1].failure, Some(Failure::ConnectionReset));
}

/// RFC 4821: with routers that report nothing, the size goes down where the path carries less, comes near to what it
/// carries, and goes up again after the path has changed for the better. A probe that is lost is no congestion.
#[test]
fn the_largest_packet_is_found_without_reports() {
    for probing in [MtuProbing::AfterBlackHole, MtuProbing::Always] {
        for policy in policies() {
            let policy =
                Policy { mtu_probing: probing, mtu_probe_interval: Duration::from_secs(5), ..policy };
            let mut run = Run::new(&policy);
            let delay = Link::with_delay(Duration::from_millis(10));
            run.serve("receive all; close");
            let end =
                run.connect("send 200000; wait 40s; send 400000; wait 20s; send 400000; wait 60s; close");
            let at = Instant::from_secs;
            run.world.change_link(START, run.client, run.server, Link { mtu: Mtu::Silent(1_300), ..delay });
            run.world.change_link(at(50), run.client, run.server, delay);
            let info = |run: &Run| {
                let demux = run.world.demux(run.client).unwrap();
                demux.connection(run.world.end(end).connection().unwrap()).unwrap().info()
            };
            run.world.run_until(at(35));
            let found = info(&run);
            assert!((1_064..=1_300).contains(&found.path_mtu), "{}", found.path_mtu);
            run.world.run_until(at(45));
            let found = info(&run);
            assert!((1_290..=1_300).contains(&found.path_mtu), "{probing:?} {}", found.path_mtu);
            if probing == MtuProbing::Always {
                assert_eq!(found.slow_start_threshold, None, "probes were lost, and nothing else");
            }
            run.world.run_until(at(90));
            assert!(info(&run).path_mtu >= 1_490, "{probing:?} {}", info(&run).path_mtu);
            assert_eq!(run.world.run_until(at(600)), Stop::Quiet);
            assert_eq!((run.world.ends()[1].received, run.world.ends()[1].damaged), (1_000_000, None));
        }
    }
}
