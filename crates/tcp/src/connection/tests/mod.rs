mod every_rule;
mod features;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::rules::Failure;
use crate::{Ecn, Flags, Options, Segment, Text};

/// Two connections and a wire between them that loses what it is told to lose.
struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
    /// What went over the wire, the client's segments first: who, flags, bytes of text.
    log: Vec<(bool, Flags, usize)>,
}

type Lose<'a> = &'a mut dyn FnMut(bool, &Segment<'_>) -> bool;

fn pair() -> FourTuple {
    FourTuple::new("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:80".parse().unwrap())
}

impl Pair {
    fn new(policy: &Policy) -> Self {
        let now = Instant::from_secs(1);
        let mut server = Connection::new(Arc::new(policy.clone()));
        server.listen(now, pair().remote()).unwrap();
        let mut client = Connection::new(Arc::new(policy.clone()));
        client.connect(now, pair()).unwrap();
        Self { now, client, server, log: Vec::new() }
    }

    fn open(policy: &Policy) -> Self {
        let mut both = Self::new(policy);
        both.settle();
        assert_eq!(both.states(), (State::Established, State::Established));
        both
    }

    fn states(&self) -> (State, State) {
        (self.client.state(), self.server.state())
    }

    fn settle(&mut self) {
        self.exchange(&mut |_, _| false);
    }

    /// Carries segments until both are silent. What is lost is gone.
    fn exchange(&mut self, lose: Lose<'_>) {
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
                    self.log.push((from_client, out.segment.flags, out.segment.text.len()));
                    if !lose(from_client, &out.segment) {
                        receiver.handle_segment(self.now, &out.envelope, &out.segment);
                    }
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the two never fall silent: {:?}", &self.log[self.log.len() - 20..]);
    }

    /// Goes to the next deadline of either side.
    fn advance(&mut self) -> bool {
        let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
        true
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            match next {
                Some(next) if next <= end => {
                    assert!(self.advance());
                    self.settle();
                }
                _ => break,
            }
        }
        self.now = end;
    }
}

fn policies() -> [Policy; 2] {
    [Policy::rfc9293(), Policy::linux()]
}

fn read_all(connection: &mut Connection, now: Instant) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [0; 4_096];
    while let Ok(count) = connection.recv(now, &mut chunk) {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&chunk[..count]);
    }
    all
}

fn ids(connection: &Connection) -> Vec<&'static str> {
    connection.steps().iter().map(|rule| rule.id).collect()
}

#[test]
fn three_segments_open_and_four_close() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        assert_eq!(both.log.len(), 3);
        assert_eq!(both.client.poll_event(), Some(ConnectionEvent::Opened));
        both.log.clear();
        both.client.shutdown(both.now).unwrap();
        both.settle();
        assert_eq!(both.states(), (State::FinWait2, State::CloseWait));
        both.server.close(both.now).unwrap();
        both.settle();
        assert_eq!(both.states(), (State::TimeWait, State::Closed));
        assert_eq!(both.log.len(), 4);
        both.pass(policy.time_wait);
        assert_eq!(both.states(), (State::Closed, State::Closed));
    }
}

#[test]
fn text_goes_both_ways_through_windows_smaller_than_itself() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        let text: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 251) as u8).collect();
        let mut sent = [0, 0];
        let mut received = [Vec::new(), Vec::new()];
        while received.iter().any(|got| got.len() < text.len()) {
            sent[0] += both.client.send(both.now, &text[sent[0]..]).unwrap_or(0);
            sent[1] += both.server.send(both.now, &text[sent[1]..]).unwrap_or(0);
            both.settle();
            received[0].extend(read_all(&mut both.client, both.now));
            received[1].extend(read_all(&mut both.server, both.now));
            both.settle();
            if both.client.poll_timeout().is_some() || both.server.poll_timeout().is_some() {
                both.advance();
            }
        }
        assert!(received.iter().all(|got| *got == text));
    }
}

#[test]
fn lost_segments_are_sent_again_until_everything_has_arrived() {
    for policy in policies() {
        let mut both = Pair::new(&policy);
        let text: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
        let mut sent = 0;
        let mut received = Vec::new();
        let mut count = 0_u32;
        for _ in 0..100_000 {
            if both.client.state() == State::Established {
                sent += both.client.send(both.now, &text[sent..]).unwrap_or(0);
            }
            both.exchange(&mut |_, _| {
                count += 1;
                count % 7 == 3
            });
            received.extend(read_all(&mut both.server, both.now));
            if received.len() == text.len() {
                break;
            }
            both.now += Duration::from_millis(1);
            both.advance();
        }
        assert_eq!(received.len(), text.len());
        assert!(received == text);
    }
}

#[test]
fn both_open_at_once() {
    for policy in policies() {
        let now = Instant::from_secs(1);
        let mut one = Connection::new(Arc::new(policy.clone()));
        let mut two = Connection::new(Arc::new(policy.clone()));
        one.connect(now, pair()).unwrap();
        two.connect(now, pair().reversed()).unwrap();
        let mut both = Pair { now, client: one, server: two, log: Vec::new() };
        // Both SYNs are under way before either arrives.
        let first = both.client.poll_transmit(now).map(|out| (out.envelope, out.segment)).unwrap();
        let (envelope, segment) = (first.0, Segment { text: Text::default(), ..first.1 });
        let second = both.server.poll_transmit(now).map(|out| (out.envelope, out.segment)).unwrap();
        let (other_envelope, other) = (second.0, Segment { text: Text::default(), ..second.1 });
        both.server.handle_segment(now, &envelope, &segment);
        assert_eq!(ids(&both.server), ["syn-sent.simultaneous-open"]);
        both.client.handle_segment(now, &other_envelope, &other);
        assert_eq!(both.states(), (State::SynReceived, State::SynReceived));
        both.settle();
        assert_eq!(both.states(), (State::Established, State::Established));
    }
}

#[test]
fn both_close_at_once() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        both.client.shutdown(both.now).unwrap();
        both.server.shutdown(both.now).unwrap();
        both.settle();
        // One FIN is carried before the other side sends its own only if it polls first.
        assert!(
            matches!(both.states(), (State::TimeWait, State::TimeWait | State::Closed)),
            "{:?}",
            both.states()
        );
    }
}

#[test]
fn text_flows_on_after_a_half_close() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        both.client.shutdown(both.now).unwrap();
        both.settle();
        assert_eq!(both.server.send(both.now, b"still here").unwrap(), 10);
        both.settle();
        assert_eq!(read_all(&mut both.client, both.now), b"still here");
        both.server.close(both.now).unwrap();
        both.settle();
        assert_eq!(both.states(), (State::TimeWait, State::Closed));
    }
}

#[test]
fn a_close_with_unread_text_resets() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        both.client.send(both.now, b"nobody reads this").unwrap();
        both.settle();
        both.server.close(both.now).unwrap();
        assert_eq!(ids(&both.server), ["established.close-with-text-unread"]);
        both.settle();
        assert_eq!(both.states(), (State::Closed, State::Closed));
        assert_eq!(both.client.failure(), Some(Failure::ConnectionReset));
    }
}

#[test]
fn text_after_close_resets() {
    let mut both = Pair::open(&Policy::linux());
    both.server.close(both.now).unwrap();
    both.settle();
    both.client.send(both.now, b"too late").unwrap();
    both.settle();
    assert_eq!(both.states(), (State::Closed, State::Closed));
}

#[test]
fn an_open_nobody_answers_fails_after_its_retries() {
    for policy in policies() {
        let mut client = Connection::new(Arc::new(policy.clone()));
        let mut now = Instant::from_secs(1);
        client.connect(now, pair()).unwrap();
        let mut syns = 0;
        loop {
            while let Some(out) = client.poll_transmit(now) {
                assert_eq!(out.segment.flags.intersection(Flags::CLASSIC), Flags::SYN);
                syns += 1;
            }
            let Some(next) = client.poll_timeout() else { break };
            now = next;
            client.handle_timeout(now);
        }
        assert_eq!(client.state(), State::Closed);
        assert_eq!(client.failure(), Some(Failure::TimedOut));
        let retries = u32::from(policy.syn_retries) + u32::from(policy.syn_linear_timeouts);
        assert_eq!(syns, 1 + retries);
    }
}

#[test]
fn a_refused_open_says_so() {
    let mut client = Connection::new(Arc::new(Policy::linux()));
    let mut nobody = Connection::new(Arc::new(Policy::linux()));
    let now = Instant::from_secs(1);
    client.connect(now, pair()).unwrap();
    let mut both = Pair { now, client, server: Connection::new(Arc::new(Policy::linux())), log: Vec::new() };
    core::mem::swap(&mut both.server, &mut nobody);
    both.settle();
    assert_eq!(both.client.state(), State::Closed);
    assert_eq!(both.client.failure(), Some(Failure::ConnectionRefused));
}

#[test]
fn a_closed_window_is_probed_until_it_opens() {
    for policy in policies() {
        let policy = Policy { receive_buffer: 10_000, receive_buffer_max: 10_000, keepalive: None, ..policy };
        let mut both = Pair::open(&policy);
        let text = vec![7; 30_000];
        let mut sent = both.client.send(both.now, &text).unwrap();
        both.settle();
        both.pass(Duration::from_secs(30));
        assert_eq!(both.server.readable(), 10_000);
        both.log.clear();
        both.pass(Duration::from_secs(100));
        assert!(
            both.log.iter().filter(|(client, _, text)| *client && *text == 0).count() >= 1,
            "{:?}",
            both.log
        );
        let mut received = Vec::new();
        while received.len() < text.len() {
            received.extend(read_all(&mut both.server, both.now));
            both.settle();
            sent += both.client.send(both.now, &text[sent..]).unwrap_or(0);
            both.settle();
            both.pass(Duration::from_secs(5));
        }
        assert_eq!(received, text);
    }
}

#[test]
fn keepalive_finds_a_dead_peer() {
    let policy =
        Policy { keepalive: Some(crate::policy::Keepalive::DEFAULT), user_timeout: None, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    both.pass(Duration::from_secs(7_201));
    assert_eq!(both.states(), (State::Established, State::Established));
    let silent_since = both.now;
    let mut lost = both.client;
    let mut now = silent_since;
    while let Some(next) = lost.poll_timeout() {
        now = next;
        lost.handle_timeout(now);
        while lost.poll_transmit(now).is_some() {}
    }
    assert_eq!((lost.state(), lost.failure()), (State::Closed, Some(Failure::TimedOut)));
    let waited = now.duration_since(silent_since).as_secs();
    assert!((7_874..=7_876).contains(&waited), "{waited} s");
}

#[test]
fn an_old_reset_is_ignored_one_in_the_window_is_questioned_an_exact_one_counts() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        let envelope =
            Envelope { source: pair().remote_address, destination: pair().local_address, ecn: Ecn::NotEct };
        let next = both.client.info().receive_next;
        let reset = |seq| Segment {
            source_port: 80,
            destination_port: 40_000,
            seq,
            flags: Flags::RST,
            options: Options::EMPTY,
            ..Segment::default()
        };
        both.client.handle_segment(both.now, &envelope, &reset(next - 1));
        assert_eq!(ids(&both.client), ["established.rst-outside-window"]);
        assert!(both.client.poll_transmit(both.now).is_none());
        both.client.handle_segment(both.now, &envelope, &reset(next + 1));
        assert_eq!(ids(&both.client), ["established.rst-in-window"]);
        assert_eq!(both.client.poll_transmit(both.now).unwrap().segment.flags, Flags::ACK);
        both.client.handle_segment(both.now, &envelope, &reset(next));
        assert_eq!((both.client.state(), ids(&both.client)), (State::Closed, vec!["established.rst"]));
    }
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Connection>() <= 512, "{} bytes", size_of::<Connection>());
    let mut both = Pair::open(&Policy::linux());
    assert_eq!(both.client.send(both.now, &vec![1; 100_000]).unwrap(), 100_000);
    let mut received = 0;
    while received < 100_000 {
        both.settle();
        received += read_all(&mut both.server, both.now).len();
        both.pass(Duration::from_millis(300));
    }
    both.pass(Duration::from_secs(5));
    assert_eq!((both.client.memory(), both.server.memory()), (0, 0));
}

#[test]
fn a_black_hole_is_passed_by_smaller_segments() {
    let policy = Policy { mtu_probing: crate::policy::MtuProbing::AfterBlackHole, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    let text = vec![7; 20_000];
    both.client.send(both.now, &text).unwrap();
    let mut received = Vec::new();
    for _ in 0..40 {
        both.exchange(&mut |_, segment| segment.text.len() > 1_100);
        received.extend(read_all(&mut both.server, both.now));
        if received.len() == text.len() {
            break;
        }
        both.advance();
    }
    assert_eq!(received.len(), text.len());
    assert!(both.client.info().path_mtu < 1_500);
}

#[test]
fn the_longer_user_timeout_of_the_two_counts() {
    let offer = |seconds| Policy {
        user_timeout: Some(Duration::from_secs(seconds)),
        user_timeout_option: true,
        ..Policy::rfc9293()
    };
    let now = Instant::from_secs(1);
    let mut server = Connection::new(Arc::new(offer(200)));
    server.listen(now, pair().remote()).unwrap();
    let mut client = Connection::new(Arc::new(offer(900)));
    client.connect(now, pair()).unwrap();
    let mut both = Pair { now, client, server, log: Vec::new() };
    both.settle();
    for side in [&both.client, &both.server] {
        assert_eq!(side.policy().user_timeout, Some(Duration::from_secs(900)));
    }
}

#[test]
fn the_end_of_file_outlasts_the_connection() {
    for policy in policies() {
        let mut both = Pair::open(&policy);
        both.client.shutdown(both.now).unwrap();
        both.settle();
        both.server.close(both.now).unwrap();
        both.settle();
        both.pass(policy.time_wait);
        assert_eq!(both.client.state(), State::Closed);
        let end = if policy.is_linux() { Ok(0) } else { Err(CallError::Failed(Failure::ConnectionClosing)) };
        assert_eq!(both.client.recv(both.now, &mut [0; 10]), end);
    }
}

#[test]
fn a_fin_behind_text_there_is_no_memory_for_waits() {
    // A step of the window's scale is more than the memory that is left.
    let policy = Policy { receive_buffer: 200, receive_buffer_max: 6 << 20, nagle: false, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    let (step, limit) = (1 << policy.window_scale(), 200);
    assert!(step < limit && limit < 2 * step);
    both.client.send(both.now, &[7; 250]).unwrap();
    both.client.shutdown(both.now).unwrap();
    both.settle();
    both.pass(Duration::from_secs(1));
    assert_eq!(both.server.state(), State::Established);
    assert_eq!(read_all(&mut both.server, both.now).len(), 200);
    both.pass(Duration::from_secs(10));
    assert_eq!(read_all(&mut both.server, both.now).len(), 50);
    assert_eq!(both.server.state(), State::CloseWait);
}

#[test]
fn a_window_is_announced_whatever_its_scale() {
    // The smallest window that can be told is larger than the buffer asked for.
    let policy = Policy { receive_buffer: 1, receive_buffer_max: 1 << 24, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    let mut received = 0;
    both.client.send(both.now, &[7; 3_000]).unwrap();
    for _ in 0..100 {
        both.settle();
        both.pass(Duration::from_millis(300));
        received += read_all(&mut both.server, both.now).len();
        both.settle();
    }
    assert_eq!(received, 3_000);
}

#[test]
fn pacing_waits_for_nothing_while_the_window_is_shut() {
    let policy = Policy { receive_buffer: 2_000, receive_buffer_max: 2_000, pacing: true, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    // A round trip that takes time: the rate is known.
    both.client.send(both.now, &[7; 1_000]).unwrap();
    both.now += Duration::from_millis(10);
    both.settle();
    both.client.send(both.now, &[7; 10_000]).unwrap();
    both.pass(Duration::from_millis(500));
    both.settle();
    let deadline = both.client.poll_timeout().unwrap();
    assert!(deadline > both.now, "{deadline:?} is not after {:?}", both.now);
}

#[test]
fn text_sent_again_brings_the_window_of_today() {
    let policy = Policy { timestamps: false, ..Policy::rfc9293() };
    let mut both = Pair::open(&policy);
    both.client.send(both.now, &[7; 100]).unwrap();
    while both.client.poll_transmit(both.now).is_some() {}
    let (seq, ack) = (both.client.receive.next, both.client.send.next);
    let arrive = |client: &mut Connection, seq, ack, window| {
        let envelope =
            Envelope { source: pair().remote_address, destination: pair().local_address, ecn: Ecn::NotEct };
        let text = Text::from(&[1][..]);
        let flags = Flags::ACK;
        let segment = Segment {
            source_port: 80,
            destination_port: 40_000,
            seq,
            ack,
            flags,
            window,
            text,
            ..Segment::default()
        };
        client.handle_segment(Instant::from_secs(2), &envelope, &segment);
    };
    arrive(&mut both.client, seq + 1, ack - 100, 500);
    assert_eq!(both.client.info().send_window, 500 << both.client.agreed.send_scale);
    // Its number is older than the window's, its acknowledgment is newer.
    arrive(&mut both.client, seq, ack, 0);
    assert_eq!(both.client.info().send_window, 0);
}

/// A connection in SYN_RECV to which `segment` of the peer's arrives.
fn in_syn_received(policy: &Policy, passive: bool) -> Connection {
    let now = Instant::from_secs(1);
    let mut connection = Connection::new(Arc::new(policy.clone()));
    if passive {
        connection.listen(now, pair().local()).unwrap();
    } else {
        connection.connect(now, pair()).unwrap();
        assert!(connection.poll_transmit(now).is_some());
    }
    let syn = Segment { seq: SeqNumber(100), flags: Flags::SYN, window: 1_000, ..Segment::default() };
    arrive(&mut connection, now, &syn);
    assert_eq!(connection.state(), State::SynReceived);
    while connection.poll_transmit(now).is_some() {}
    connection
}

fn arrive(connection: &mut Connection, now: Instant, segment: &Segment<'_>) {
    let envelope =
        Envelope { source: pair().remote_address, destination: pair().local_address, ecn: Ecn::NotEct };
    let segment = Segment { source_port: 80, destination_port: 40_000, ..*segment };
    connection.handle_segment(now, &envelope, &segment);
}

#[test]
fn a_close_that_waits_for_the_opening_is_not_forgotten_when_that_fails() {
    let now = Instant::from_secs(1);
    let policy = Policy::rfc9293();
    for passive in [false, true] {
        let mut connection = in_syn_received(&policy, passive);
        connection.send(now, b"text").unwrap();
        connection.close(now).unwrap();
        assert_eq!(connection.state(), State::SynReceived);
        let reset = Segment { seq: SeqNumber(101), flags: Flags::RST, ..Segment::default() };
        arrive(&mut connection, now, &reset);
        // A passive one would go on listening for nobody.
        assert_eq!((connection.state(), connection.is_orphaned()), (State::Closed, true), "{passive}");
    }
}

#[test]
fn a_syn_is_sent_again_at_once_only_once() {
    let now = Instant::from_secs(1);
    let mut client = Connection::new(Arc::new(Policy::linux()));
    client.connect(now, pair()).unwrap();
    while client.poll_transmit(now).is_some() {}
    let mut syns = 0;
    for _ in 0..10 {
        // What TIME_WAIT answers that no reset ends (RFC 1337).
        let ack = Segment { seq: SeqNumber(7), ack: SeqNumber(9), flags: Flags::ACK, ..Segment::default() };
        arrive(&mut client, now, &ack);
        while let Some(out) = client.poll_transmit(now) {
            syns += u32::from(out.segment.flags.contains(Flags::SYN));
        }
    }
    assert_eq!(syns, 1);
}

#[test]
fn linux_sends_text_and_fin_once_the_opening_that_was_closed_succeeds() {
    let now = Instant::from_secs(1);
    let mut connection = in_syn_received(&Policy::linux(), false);
    connection.send(now, b"text").unwrap();
    connection.close(now).unwrap();
    assert_eq!(connection.state(), State::FinWait1);
    assert!(connection.poll_transmit(now).is_none());
    let ack = connection.send.next;
    let opens = Segment { seq: SeqNumber(101), ack, flags: Flags::ACK, window: 1_000, ..Segment::default() };
    arrive(&mut connection, now, &opens);
    let out = connection.poll_transmit(now).expect("the text");
    assert_eq!((out.segment.text.to_vec(), out.segment.flags.contains(Flags::FIN)), (b"text".to_vec(), true));
}

#[test]
fn two_whose_windows_are_in_flight_do_not_answer_each_other_for_ever() {
    for policy in policies() {
        let policy = Policy {
            receive_buffer: 2,
            receive_buffer_max: 2,
            nagle: false,
            invalid_rate_limit: Duration::ZERO,
            ..policy
        };
        let mut both = Pair::open(&policy);
        both.client.send(both.now, b"a").unwrap();
        both.server.send(both.now, b"b").unwrap();
        both.exchange(&mut |_, segment| !segment.text.is_empty());
        both.log.clear();
        both.client.close(both.now).unwrap();
        both.server.close(both.now).unwrap();
        both.settle();
        assert!(both.log.len() < 10, "{} segments", both.log.len());
        both.pass(Duration::from_secs(600));
        assert_eq!(both.states(), (State::Closed, State::Closed));
    }
}

#[test]
fn keepalive_probes_keep_their_distance_however_late_they_are() {
    let keepalive = crate::policy::Keepalive {
        time: Duration::from_secs(10),
        interval: Duration::from_secs(5),
        probes: 2,
    };
    let mut both = Pair::open(&Policy { keepalive: Some(keepalive), ..Policy::linux() });
    // The host was suspended for an hour.
    let late = both.now + Duration::from_secs(3_600);
    both.client.handle_timeout(late);
    assert!(both.client.poll_transmit(late).is_some());
    assert_eq!(both.client.poll_timeout(), Some(late + keepalive.interval));
}
