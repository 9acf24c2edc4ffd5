use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::listener::{ListenerOptions, SynCookies};
use crate::rules::Failure;
use crate::{Ecn, Envelope, Flags, Instant, Segment, SeqNumber};

const SERVER: &str = "10.0.0.2:80";

/// Two hosts and a wire.
struct Hosts {
    now: Instant,
    client: Demux,
    server: Demux,
    listener: ListenerId,
}

fn server() -> SocketAddr {
    SERVER.parse().unwrap()
}

fn client() -> IpAddr {
    "10.0.0.1".parse().unwrap()
}

impl Hosts {
    fn new(options: ListenerOptions) -> Self {
        Self::with(options, HostOptions::default())
    }

    fn with(options: ListenerOptions, host: HostOptions) -> Self {
        let policy = Arc::new(Policy::linux());
        let mut serving = Demux::new(policy.clone());
        let listener = serving.listen(server(), options).unwrap();
        Self {
            now: Instant::from_secs(10),
            client: Demux::with_options(policy, host),
            server: serving,
            listener,
        }
    }

    fn settle(&mut self) {
        self.exchange(|_, _| false);
    }

    fn exchange(&mut self, mut lose: impl FnMut(bool, &Segment<'_>) -> bool) {
        for _ in 0..100_000 {
            let mut quiet = true;
            for from_client in [true, false] {
                let (sender, receiver) = if from_client {
                    (&mut self.client, &mut self.server)
                } else {
                    (&mut self.server, &mut self.client)
                };
                while let Some(out) = sender.poll_transmit(self.now) {
                    quiet = false;
                    if !lose(from_client, &out.segment) {
                        receiver.handle_segment(self.now, &out.envelope, &out.segment);
                    }
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the two never fall silent");
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn connect(&mut self) -> ConnectionId {
        let id = self.client.connect(self.now, client(), server()).unwrap();
        self.settle();
        id
    }

    fn state(&self, id: ConnectionId) -> State {
        self.client.connection(id).map_or(State::Closed, Connection::state)
    }
}

#[test]
fn many_connections_are_told_apart() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let ids: Vec<ConnectionId> = (0..100).map(|_| hosts.connect()).collect();
    for (number, id) in ids.iter().enumerate() {
        hosts.client.send(hosts.now, *id, &[number as u8]).unwrap();
    }
    hosts.settle();
    let mut accepted = 0;
    while let Some(id) = hosts.server.accept(hosts.listener) {
        let mut text = [0; 2];
        assert_eq!(hosts.server.recv(hosts.now, id, &mut text), Ok(1));
        assert_eq!(hosts.server.connection(id).unwrap().pair().remote_port, {
            let peer = hosts.client.connection(ids[usize::from(text[0])]).unwrap();
            peer.pair().local_port
        });
        accepted += 1;
    }
    assert_eq!(accepted, 100);
}

#[test]
fn strangers_are_reset() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let id = hosts.client.connect(hosts.now, client(), "10.0.0.2:81".parse().unwrap()).unwrap();
    hosts.settle();
    assert_eq!(hosts.state(id), State::Closed);
    assert_eq!(
        hosts.client.poll_event(),
        Some(DemuxEvent::Connection(id, ConnectionEvent::Failed(Failure::ConnectionRefused)))
    );
}

#[test]
fn a_full_accept_queue_leaves_connections_half_open() {
    let mut hosts = Hosts::new(ListenerOptions { backlog: 1, ..ListenerOptions::default() });
    let ids: Vec<ConnectionId> =
        (0..3).map(|_| hosts.client.connect(hosts.now, client(), server()).unwrap()).collect();
    hosts.settle();
    let listener = hosts.server.listener(hosts.listener).unwrap();
    assert_eq!((listener.waiting(), listener.half_open()), (1, 2));
    assert_eq!(listener.counters().overflows, 2);
    // The client believes it is connected: that is how it looks on a real host too.
    assert!(ids.iter().all(|id| hosts.state(*id) == State::Established));
    let pair = hosts.client.connection(ids[2]).unwrap().pair().reversed();
    assert_eq!(hosts.server.state_of(&pair), State::SynReceived);
    // Room in the queue, and the repeated SYN+ACK brings the ACK again.
    hosts.server.accept(hosts.listener).unwrap();
    hosts.pass(Duration::from_secs(2));
    assert_eq!(hosts.server.listener(hosts.listener).unwrap().waiting(), 1);
}

#[test]
fn a_full_accept_queue_can_reset() {
    let options = ListenerOptions { backlog: 1, abort_on_overflow: true, ..ListenerOptions::default() };
    let mut hosts = Hosts::new(options);
    let ids: Vec<ConnectionId> =
        (0..2).map(|_| hosts.client.connect(hosts.now, client(), server()).unwrap()).collect();
    hosts.settle();
    assert_eq!((hosts.state(ids[0]), hosts.state(ids[1])), (State::Established, State::Closed));
}

#[test]
fn requests_time_out_after_their_retries() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    hosts.client.connect(hosts.now, client(), server()).unwrap();
    let mut answers = 0;
    // The client never hears anything.
    for _ in 0..200 {
        hosts.exchange(|from_client, segment| {
            answers += u32::from(!from_client && segment.flags.contains(Flags::SYN));
            !from_client
        });
        let Some(next) = hosts.server.poll_timeout() else { break };
        hosts.now = hosts.now.max(next);
        hosts.server.handle_timeout(hosts.now);
    }
    assert_eq!(answers, 1 + 5, "tcp_synack_retries");
    assert_eq!(hosts.server.listener(hosts.listener).unwrap().half_open(), 0);
    assert_eq!(hosts.now.duration_since(Instant::from_secs(10)).as_secs(), 1 + 2 + 4 + 8 + 16 + 32);
}

#[test]
fn an_accept_can_wait_for_text() {
    let options =
        ListenerOptions { defer_accept: Some(Duration::from_secs(5)), ..ListenerOptions::default() };
    let mut hosts = Hosts::new(options);
    let id = hosts.connect();
    assert_eq!(hosts.server.listener(hosts.listener).unwrap().half_open(), 1);
    assert!(hosts.server.accept(hosts.listener).is_none());
    hosts.client.send(hosts.now, id, b"now").unwrap();
    hosts.settle();
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    assert_eq!(hosts.server.recv(hosts.now, accepted, &mut [0; 10]), Ok(3));
}

#[test]
fn the_active_closer_waits_as_a_small_record() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let id = hosts.connect();
    let pair = hosts.client.connection(id).unwrap().pair();
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    hosts.client.close(hosts.now, id).unwrap();
    hosts.settle();
    assert_eq!(hosts.state(id), State::FinWait2);
    hosts.server.close(hosts.now, accepted).unwrap();
    hosts.settle();
    assert_eq!(hosts.client.time_wait_count(), 1);
    assert_eq!(hosts.client.state_of(&pair), State::TimeWait);
    assert!(hosts.client.connection(id).is_none());
    assert_eq!(hosts.server.connections().count(), 0);
    hosts.pass(Duration::from_secs(59));
    assert_eq!(hosts.client.time_wait_count(), 1);
    hosts.pass(Duration::from_secs(2));
    assert_eq!(hosts.client.state_of(&pair), State::Closed);
}

#[test]
fn a_newer_syn_ends_time_wait_where_a_listener_waits() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let id = hosts.client.connect_from(hosts.now, "10.0.0.1:5000".parse().unwrap(), server()).unwrap();
    hosts.settle();
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    hosts.server.close(hosts.now, accepted).unwrap();
    hosts.settle();
    hosts.client.close(hosts.now, id).unwrap();
    hosts.settle();
    assert_eq!(hosts.server.time_wait_count(), 1);
    hosts.pass(Duration::from_secs(2));
    let again = hosts.client.connect_from(hosts.now, "10.0.0.1:5000".parse().unwrap(), server()).unwrap();
    hosts.settle();
    assert_eq!(hosts.state(again), State::Established);
    assert_eq!(hosts.server.time_wait_count(), 0);
    assert!(hosts.server.accept(hosts.listener).is_some());
}

#[test]
fn ports_run_out_and_time_wait_can_be_reused() {
    for reuse in [false, true] {
        let host = HostOptions { ports: (50_000, 50_003), reuse_time_wait: reuse, ..HostOptions::default() };
        let mut hosts = Hosts::with(ListenerOptions::default(), host);
        for _ in 0..4 {
            let id = hosts.connect();
            let accepted = hosts.server.accept(hosts.listener).unwrap();
            hosts.client.close(hosts.now, id).unwrap();
            hosts.settle();
            hosts.server.close(hosts.now, accepted).unwrap();
            hosts.settle();
        }
        assert_eq!(hosts.client.time_wait_count(), 4);
        hosts.pass(Duration::from_secs(2));
        let result = hosts.client.connect(hosts.now, client(), server());
        hosts.settle();
        match result {
            Err(error) => assert_eq!((error, reuse), (OpenError::NoPortLeft, false)),
            Ok(id) => assert_eq!((hosts.state(id), reuse), (State::Established, true)),
        }
    }
}

#[test]
fn closing_a_listener_resets_what_nobody_accepted() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let id = hosts.connect();
    hosts.server.close_listener(hosts.now, hosts.listener);
    hosts.settle();
    assert_eq!(hosts.state(id), State::Closed);
    assert_eq!(hosts.server.connections().count(), 0);
}

/// A SYN from a made-up source.
fn spoofed(number: u32) -> (Envelope, Segment<'static>) {
    let source = IpAddr::V4(core::net::Ipv4Addr::from_bits(0xc000_0000 + number / 1_000));
    let segment = Segment {
        source_port: 1_024 + (number % 1_000) as u16,
        destination_port: 80,
        seq: SeqNumber(number.wrapping_mul(2_654_435_761)),
        flags: Flags::SYN,
        window: 1_024,
        ..Segment::default()
    };
    (Envelope { source, destination: server().ip(), ecn: Ecn::NotEct }, segment)
}

#[test]
fn a_flood_fills_the_syn_queue_and_no_more() {
    for cookies in [SynCookies::Off, SynCookies::OnOverflow, SynCookies::Always] {
        let mut hosts =
            Hosts::new(ListenerOptions { syn_backlog: 128, cookies, ..ListenerOptions::default() });
        let mut answered = 0;
        for number in 0..10_000 {
            let (envelope, segment) = spoofed(number);
            hosts.server.handle_segment(hosts.now, &envelope, &segment);
            while hosts.server.poll_transmit(hosts.now).is_some() {
                answered += 1;
            }
        }
        let listener = hosts.server.listener(hosts.listener).unwrap();
        let kept = if cookies == SynCookies::Always { 0 } else { 128 };
        assert_eq!(listener.half_open(), kept);
        assert_eq!(answered, if cookies == SynCookies::Off { 128 } else { 10_000 });
        // A real client gets in all the same where cookies are allowed.
        let id = hosts.connect();
        let expected = if cookies == SynCookies::Off { State::SynSent } else { State::Established };
        assert_eq!(hosts.state(id), expected);
        if cookies != SynCookies::Off {
            hosts.client.send(hosts.now, id, b"let me in").unwrap();
            hosts.settle();
            let accepted = hosts.server.accept(hosts.listener).unwrap();
            assert_eq!(hosts.server.recv(hosts.now, accepted, &mut [0; 20]), Ok(9));
            let info = hosts.server.connection(accepted).unwrap().info();
            assert!(info.timestamps && info.sack && info.window_scales.is_some(), "{info:?}");
        }
    }
}

#[test]
fn a_connection_that_gives_way_keeps_its_text_to_itself() {
    let mut hosts = Hosts::new(ListenerOptions::default());
    let first = hosts.connect();
    let port = hosts.client.connection(first).unwrap().pair().local();
    let old = hosts.server.accept(hosts.listener).unwrap();
    hosts.client.send(hosts.now, first, b"old").unwrap();
    hosts.server.shutdown(hosts.now, old).unwrap();
    hosts.settle();
    hosts.client.close(hosts.now, first).unwrap();
    hosts.settle();
    assert_eq!(hosts.server.connection(old).unwrap().state(), State::TimeWait);

    hosts.pass(Duration::from_secs(1));
    let second = hosts.client.connect_from(hosts.now, port, server()).unwrap();
    hosts.client.send(hosts.now, second, b"new").unwrap();
    hosts.settle();
    let new = hosts.server.accept(hosts.listener).expect("another connection");
    let mut text = [0; 10];
    assert_eq!(hosts.server.recv(hosts.now, old, &mut text), Ok(3));
    assert_eq!(&text[..3], b"old");
    assert_eq!(hosts.server.recv(hosts.now, old, &mut text), Ok(0));
    hosts.server.close(hosts.now, old).unwrap_err();
    assert_eq!(hosts.server.recv(hosts.now, new, &mut text), Ok(3));
    assert_eq!(&text[..3], b"new");
    assert_eq!(hosts.server.connection(new).unwrap().state(), State::Established);
}

/// Hosts that use Fast Open both ways.
fn fast_open_hosts() -> Hosts {
    let mut policy = Policy::linux();
    policy.fast_open.server = true;
    let mut hosts = Hosts::new(ListenerOptions { fast_open: Some(2), ..ListenerOptions::default() });
    hosts.server.change_listener(hosts.listener, &policy, |_| {});
    hosts
}

impl Hosts {
    fn open_with(&mut self, text: &[u8]) -> (ConnectionId, usize) {
        let local = SocketAddr::new(client(), 0);
        self.client.connect_fast_open(self.now, local, server(), text).unwrap()
    }
}

/// RFC 7413 §3: the first connection brings a cookie, the next one's text goes with its SYN.
#[test]
fn fast_open_sends_text_with_the_syn() {
    let mut hosts = fast_open_hosts();
    let (first, taken) = hosts.open_with(b"too early");
    assert_eq!(taken, 0);
    hosts.settle();
    assert_eq!(hosts.client.cookies_mut().len(), 1);
    assert!(!hosts.client.connection(first).unwrap().is_fast_open());
    let _ = hosts.server.accept(hosts.listener).unwrap();

    let (second, taken) = hosts.open_with(b"request");
    assert_eq!(taken, 7);
    let mut syn = None;
    // The server hears only the SYN, and can answer at once.
    hosts.exchange(|from_client, segment| {
        if from_client && syn.is_none() {
            syn = Some((segment.flags, segment.text.to_vec()));
            return false;
        }
        true
    });
    assert_eq!(syn, Some((Flags::SYN, b"request".to_vec())));
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    assert_eq!(hosts.server.connection(accepted).unwrap().state(), State::SynReceived);
    let mut text = [0; 20];
    assert_eq!(hosts.server.recv(hosts.now, accepted, &mut text), Ok(7));
    assert_eq!(hosts.server.send(hosts.now, accepted, b"answer"), Ok(6));
    hosts.now += Duration::from_secs(2);
    hosts.server.handle_timeout(hosts.now);
    hosts.settle();
    let opened = hosts.client.connection(second).unwrap();
    assert_eq!((opened.state(), opened.is_fast_open()), (State::Established, true));
    assert_eq!(hosts.client.recv(hosts.now, second, &mut text), Ok(6));
    assert_eq!(hosts.server.connection(accepted).unwrap().state(), State::Established);
}

/// §4.1.3: a SYN that is lost is sent again without anything new in it, and nothing is lost by that.
#[test]
fn fast_open_falls_back_when_the_syn_is_lost() {
    let mut hosts = fast_open_hosts();
    hosts.open_with(b"");
    hosts.settle();
    let (id, taken) = hosts.open_with(b"request");
    assert_eq!(taken, 7);
    hosts.exchange(|_, _| true);
    hosts.now += Duration::from_secs(1);
    hosts.client.handle_timeout(hosts.now);
    let mut sent = Vec::new();
    hosts.exchange(|from_client, segment| {
        if from_client {
            sent.push((
                segment.flags.contains(Flags::SYN),
                segment.text.len(),
                segment.options.fast_open().is_some(),
            ));
        }
        false
    });
    assert_eq!(sent[0], (true, 0, false));
    assert!(sent.contains(&(false, 7, false)));
    assert!(!hosts.client.connection(id).unwrap().is_fast_open());
    let _ = hosts.server.accept(hosts.listener);
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    assert_eq!(hosts.server.recv(hosts.now, accepted, &mut [0; 20]), Ok(7));
}

/// §5.1: no more than the listener wants are opened before their handshake is over; the others are opened as ever.
#[test]
fn fast_open_connections_are_limited() {
    let mut hosts = fast_open_hosts();
    hosts.open_with(b"");
    hosts.settle();
    let ids: Vec<_> = (0..4).map(|_| hosts.open_with(b"request").0).collect();
    hosts.exchange(|from_client, segment| from_client && !segment.flags.contains(Flags::SYN));
    let opened = ids.iter().filter(|id| hosts.client.connection(**id).unwrap().is_fast_open()).count();
    assert_eq!(opened, 2);
}

/// A cookie of one's own making opens nothing early, and gets a good one.
#[test]
fn fast_open_wants_a_good_cookie() {
    use crate::fast_open::{FastOpenCookie, Remembered};
    let mut hosts = fast_open_hosts();
    let cookie = FastOpenCookie::from_bytes(&[7; 8]).unwrap();
    let forged = Remembered::Cookie { cookie, mss: 1460, experiment: false };
    hosts.client.cookies_mut().put(server().ip(), forged);
    let (id, taken) = hosts.open_with(b"request");
    assert_eq!(taken, 7);
    hosts.settle();
    assert!(!hosts.client.connection(id).unwrap().is_fast_open());
    assert_ne!(hosts.client.cookies_mut().get(server().ip()), Some(forged));
    let accepted = hosts.server.accept(hosts.listener).unwrap();
    assert_eq!(hosts.server.recv(hosts.now, accepted, &mut [0; 20]), Ok(7), "it was sent again");
}

/// Who still holds the identifier of a listener that was closed does not get at the next one's connections.
#[test]
fn the_identifier_of_a_closed_listener_finds_no_other() {
    let mut host = Demux::new(Arc::new(Policy::linux()));
    let old = host.listen(server(), ListenerOptions::default()).unwrap();
    host.close_listener(Instant::ZERO, old);
    let new = host.listen(server(), ListenerOptions::default()).unwrap();
    assert_ne!(old, new);
    assert!(host.listener(old).is_none() && host.listener(new).is_some());
    assert_eq!(host.accept(old), None);
    host.close_listener(Instant::ZERO, old);
    assert!(host.listener(new).is_some());
}
