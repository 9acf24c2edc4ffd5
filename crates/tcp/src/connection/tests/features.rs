//! What the two ends agree on, and what comes of it on the wire.

use super::*;
use crate::policy::{DelayedAck, EcnPolicy};
use crate::{SeqNumber, Timestamps};

/// A segment from the server as the client would get it now, to be changed by the test.
fn from_server<'a>(both: &Pair, flags: Flags, text: &'a [u8]) -> (Envelope, Segment<'a>) {
    let info = both.server.info();
    let segment = Segment {
        source_port: pair().remote_port,
        destination_port: pair().local_port,
        seq: info.send_next,
        ack: info.receive_next,
        flags,
        window: 500,
        text: Text::from(text),
        ..Segment::default()
    };
    let source = pair().remote_address;
    (Envelope { source, destination: pair().local_address, ecn: Ecn::NotEct }, segment)
}

/// Everything the client sends now: flags, text, and whether routers may mark it.
fn sent(connection: &mut Connection, now: Instant) -> Vec<(Flags, usize, Ecn)> {
    let mut all = Vec::new();
    while let Some(out) = connection.poll_transmit(now) {
        all.push((out.segment.flags, out.segment.text.len(), out.envelope.ecn));
    }
    all
}

#[test]
fn a_timestamp_from_the_past_is_an_old_duplicate() {
    let mut both = Pair::open(&Policy::linux());
    both.pass(Duration::from_secs(10));
    let (envelope, mut segment) = from_server(&both, Flags::ACK, b"old");
    let value = both.client.receive.timestamp.wrapping_sub(5);
    segment.options = Options::with_timestamps(Timestamps { value, echo_reply: 0 });
    both.client.handle_segment(both.now, &envelope, &segment);
    assert_eq!(ids(&both.client), ["established.outside-window"]);
    assert_eq!(both.client.readable(), 0);
    segment.options = Options::with_timestamps(Timestamps { value: value + 100_000, echo_reply: 0 });
    both.client.handle_segment(both.now, &envelope, &segment);
    assert_eq!(both.client.readable(), 3);
    // After 24 days without a word the clock may have gone round: age proves nothing then (RFC 7323 §5.5).
    both.client.policy_mut().keepalive = None;
    both.now += Duration::from_secs(25 * 24 * 3_600);
    let (envelope, mut late) = from_server(&both, Flags::ACK, b"fresh");
    late.seq = both.client.info().receive_next;
    late.options = Options::with_timestamps(Timestamps { value, echo_reply: 0 });
    both.client.handle_segment(both.now, &envelope, &late);
    assert_eq!(both.client.readable(), 8);
}

#[test]
fn a_mark_of_congestion_is_echoed_until_the_sender_has_slowed_down() {
    let policy = Policy { ecn: EcnPolicy::Offer, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    assert!(both.client.info().ecn && both.server.info().ecn);
    both.client.send(both.now, &[1; 2_000]).unwrap();
    let mut marked = Vec::new();
    while let Some(out) = both.client.poll_transmit(both.now) {
        assert_eq!(out.envelope.ecn, Ecn::Ect0, "new text may be marked");
        let segment = Segment { text: Text::default(), ..out.segment };
        marked.push((Envelope { ecn: Ecn::Ce, ..out.envelope }, segment, out.segment.text.to_vec()));
    }
    for (envelope, segment, text) in &marked {
        both.server.handle_segment(
            both.now,
            envelope,
            &Segment { text: Text::from(text.as_slice()), ..*segment },
        );
    }
    let window = both.client.info().congestion_window;
    let mut echoes = 0;
    while let Some(out) = both.server.poll_transmit(both.now) {
        echoes += u32::from(out.segment.flags.contains(Flags::ECE));
        let segment = Segment { text: Text::default(), ..out.segment };
        both.client.handle_segment(both.now, &out.envelope, &segment);
    }
    assert!(echoes >= 1);
    assert!(both.client.info().congestion_window < window, "one reduction");
    both.client.send(both.now, &[2; 100]).unwrap();
    both.log.clear();
    both.settle();
    assert!(both.log.iter().any(|(client, flags, _)| *client && flags.contains(Flags::CWR)));
    both.server.send(both.now, b"and now").unwrap();
    both.log.clear();
    both.settle();
    assert!(both.log.iter().all(|(_, flags, _)| !flags.contains(Flags::ECE)), "{:?}", both.log);
}

#[test]
fn small_segments_wait_for_an_acknowledgment_unless_told_not_to() {
    for (nagle, segments) in [(true, 2), (false, 10)] {
        let policy = Policy { nagle, ..Policy::rfc9293() };
        let mut both = Pair::open(&policy);
        let mut count = 0;
        for _ in 0..10 {
            both.client.send(both.now, b"key").unwrap();
            count += sent(&mut both.client, both.now).len();
        }
        // The first leaves at once; with Nagle the rest goes together when it is acknowledged.
        let (envelope, mut ack) = from_server(&both, Flags::ACK, b"");
        ack.ack = both.client.info().send_unacknowledged + 3;
        both.client.handle_segment(both.now, &envelope, &ack);
        count += sent(&mut both.client, both.now).len();
        assert_eq!(count, segments);
    }
}

#[test]
fn one_segment_waits_for_company_two_are_acknowledged() {
    let delayed_ack = DelayedAck { quick: 0, ..Policy::linux().delayed_ack };
    let mut both = Pair::open(&Policy { delayed_ack, ..Policy::linux() });
    let text = [7; 1_448];
    let (envelope, segment) = from_server(&both, Flags::ACK, &text);
    both.client.handle_segment(both.now, &envelope, &segment);
    assert_eq!(sent(&mut both.client, both.now), []);
    assert_eq!(both.client.poll_timeout(), Some(both.now + Policy::linux().delayed_ack.delay));
    let second = Segment { seq: segment.seq + 1_448, ..segment };
    both.client.handle_segment(both.now, &envelope, &second);
    assert_eq!(sent(&mut both.client, both.now), [(Flags::ACK, 0, Ecn::NotEct)]);
    let third = Segment { seq: segment.seq + 2 * 1_448, ..segment };
    both.client.handle_segment(both.now, &envelope, &third);
    both.now += Policy::linux().delayed_ack.delay;
    both.client.handle_timeout(both.now);
    assert_eq!(sent(&mut both.client, both.now).len(), 1);
}

#[test]
fn a_report_that_packets_are_too_big_makes_them_smaller_if_it_is_about_one_in_flight() {
    let mut both = Pair::open(&Policy::linux());
    both.client.send(both.now, &[7; 5_000]).unwrap();
    assert_eq!(sent(&mut both.client, both.now)[0].1, 1_448);
    let seq = both.client.info().send_unacknowledged;
    let forged = IcmpError::PacketTooBig { seq: seq - 1, mtu: 600 };
    both.client.handle_icmp(both.now, forged);
    assert_eq!(both.client.info().path_mtu, 1_500);
    both.client.handle_icmp(both.now, IcmpError::PacketTooBig { seq, mtu: 1_000 });
    assert_eq!(both.client.info().path_mtu, 1_000);
    let again = sent(&mut both.client, both.now);
    assert!(!again.is_empty() && again.iter().all(|(_, text, _)| *text <= 948), "{again:?}");
    // No router can talk it below what every path carries.
    both.client.handle_icmp(both.now, IcmpError::PacketTooBig { seq, mtu: 68 });
    assert_eq!(both.client.info().path_mtu, 552);
}

#[test]
fn a_host_unreachable_ends_an_open_but_only_troubles_a_connection() {
    let now = Instant::from_secs(1);
    for (policy, impatient) in [(Policy::rfc9293(), false), (Policy::linux(), true)] {
        let mut client = Connection::new(Arc::new(policy));
        client.connect(now, pair()).unwrap();
        let _ = sent(&mut client, now);
        let seq = client.info().send_unacknowledged;
        // It may pass (RFC 9293 §3.9.2.2); Linux takes it for the answer to its SYN.
        client.handle_icmp(now, IcmpError::Transient { seq });
        assert_eq!(client.state(), if impatient { State::Closed } else { State::SynSent });
        client.handle_icmp(now, IcmpError::Unreachable { seq });
        assert_eq!((client.state(), client.failure()), (State::Closed, Some(Failure::Unreachable)));
    }
}

#[test]
fn options_are_used_only_where_both_offer_them() {
    let without = Policy { timestamps: false, sack: false, window_scaling: false, ..Policy::linux() };
    let now = Instant::from_secs(1);
    for (one, other) in [(Policy::linux(), without.clone()), (without, Policy::linux())] {
        let mut server = Connection::new(Arc::new(other));
        server.listen(now, pair().remote()).unwrap();
        let mut client = Connection::new(Arc::new(one));
        client.connect(now, pair()).unwrap();
        let mut both = Pair { now, client, server, log: Vec::new() };
        both.settle();
        for side in [&both.client, &both.server] {
            let info = side.info();
            assert_eq!((info.timestamps, info.sack, info.window_scales), (false, false, None));
            assert!(info.receive_window <= 65_535);
        }
    }
}

#[test]
fn numbers_go_round() {
    let mut both = Pair::new(&Policy::linux());
    // The client's text crosses the end of the number space.
    both.client.begin_at(SeqNumber(u32::MAX - 1_000));
    both.settle();
    let text: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let (mut handed, mut received) = (0, Vec::new());
    while received.len() < text.len() {
        handed += both.client.send(both.now, &text[handed..]).unwrap_or(0);
        both.settle();
        received.extend(read_all(&mut both.server, both.now));
        both.pass(Duration::from_millis(50));
    }
    assert!(received == text);
}

#[test]
fn an_old_small_segment_holds_nothing_back() {
    let mut both = Pair::open(&Policy::linux());
    // As after three gigabytes in full segments: the last small one seems to lie ahead.
    both.client.send.small_end = both.client.send.unacknowledged + (1 << 30);
    both.client.send(both.now, b"the rest").unwrap();
    assert_eq!(sent(&mut both.client, both.now).len(), 1);
}

#[test]
fn a_fin_that_was_held_leaves_the_window_as_it_was() {
    let mut both = Pair::open(&Policy::linux());
    let (envelope, request) = from_server(&both, Flags::ACK, b"request");
    let fin =
        Segment { seq: request.seq + 7, flags: Flags::FIN | Flags::ACK, text: Text::default(), ..request };
    both.client.handle_segment(both.now, &envelope, &fin);
    both.client.handle_segment(both.now, &envelope, &request);
    assert_eq!(both.client.state(), State::CloseWait);
    assert!(both.client.info().send_window > 0);
    let _ = sent(&mut both.client, both.now);
    both.client.send(both.now, b"answer").unwrap();
    assert_eq!(sent(&mut both.client, both.now)[0].1, 6);
}

#[test]
fn the_announced_window_never_exceeds_the_memory() {
    let policy = Policy { receive_buffer: 65_536, ..Policy::linux() };
    let mut both = Pair::open(&policy);
    let mut sent_bytes = 0;
    for _ in 0..2_000 {
        sent_bytes += both.client.send(both.now, &[1; 100]).unwrap_or(0);
        both.settle();
        let info = both.server.info();
        assert!(info.receive_window <= 65_536 - both.server.readable() + 128, "{info:?}");
    }
    let unread = both.server.readable();
    assert!(sent_bytes > 65_536 && unread > 60_000, "{sent_bytes} {unread}");
}

#[test]
fn a_peer_that_shuts_its_window_over_text_in_flight_is_not_given_up_while_it_answers() {
    let mut both = Pair::open(&Policy { user_timeout: None, ..Policy::rfc9293() });
    both.client.send(both.now, &[7; 3_000]).unwrap();
    let _ = sent(&mut both.client, both.now);
    let (envelope, mut shut) = from_server(&both, Flags::ACK, b"");
    (shut.window, shut.ack) = (0, both.client.info().send_unacknowledged);
    for _ in 0..40 {
        both.client.handle_segment(both.now, &envelope, &shut);
        let _ = sent(&mut both.client, both.now);
        both.now = both.client.poll_timeout().unwrap();
        both.client.handle_timeout(both.now);
        let _ = sent(&mut both.client, both.now);
    }
    assert_eq!(both.client.state(), State::Established);
}

#[test]
fn a_connection_that_is_opened_anew_knows_nothing_of_the_last() {
    let mut both = Pair::open(&Policy::linux());
    both.server.send(both.now, b"unread").unwrap();
    both.settle();
    both.server.abort(both.now).unwrap();
    both.settle();
    assert_eq!((both.client.state(), both.client.readable()), (State::Closed, 6));
    assert_eq!(both.client.send(both.now, b"x"), Err(CallError::Failed(Failure::ConnectionReset)));
    both.client.connect(both.now, pair()).unwrap();
    assert_eq!(both.client.readable(), 0);
    assert_eq!(both.client.recv(both.now, &mut [0; 4]), Err(CallError::WouldBlock));
}

/// RFC 7323 §5.3: a segment that cannot be the peer's must not shut the peer out by its timestamp.
#[test]
fn an_impossible_acknowledgment_leaves_the_timestamp_alone() {
    let mut both = Pair::open(&Policy::linux());
    let info = both.client.info();
    let stamp = |value| Options::with_timestamps(Timestamps { value, echo_reply: 0 });
    let text = [7; 10];
    let segment = Segment {
        source_port: pair().remote_port,
        destination_port: pair().local_port,
        seq: info.receive_next,
        ack: info.send_next + 9_999,
        flags: Flags::ACK,
        window: 1_000,
        options: stamp(both.client.receive.timestamp.wrapping_add(100_000)),
        ..Segment::default()
    };
    let envelope =
        Envelope { source: pair().remote_address, destination: pair().local_address, ecn: Ecn::NotEct };
    both.client.handle_segment(both.now, &envelope, &segment);
    let honest = Segment {
        ack: info.send_next,
        options: stamp(both.client.receive.timestamp.wrapping_add(1)),
        text: Text::from(&text[..]),
        ..segment
    };
    both.client.handle_segment(both.now, &envelope, &honest);
    assert_eq!(both.client.readable(), 10);
}
