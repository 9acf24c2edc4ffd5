use eleven_tcp::ip::{Received, emit_segment};
use eleven_tcp::{Ecn, Flags};

use super::*;
use crate::host::{PEER, SUBJECT};

const DELAY: Duration = Duration::from_millis(5);
const NOW: Instant = Instant::from_secs(1);

/// A packet of the subject's.
fn packet(number: usize, flags: Flags, seq: u32, length: usize) -> Passage {
    let text = vec![0; length];
    let segment = Segment {
        source_port: 1,
        destination_port: 2,
        seq: eleven_tcp::SeqNumber(seq),
        flags,
        text: text.as_slice().into(),
        ..Segment::default()
    };
    let mut packet = Vec::new();
    emit_segment(&segment, SUBJECT.v4().into(), PEER.v4().into(), Ecn::NotEct, 64, &mut packet).unwrap();
    Passage { number, from: SUBJECT, to: PEER, packet: packet.into(), copy: false }
}

/// The numbers of what has arrived by a time.
fn arrived(wire: &mut Wire, at: Instant) -> Vec<usize> {
    std::iter::from_fn(|| wire.arrived(at)).map(|passage| passage.number).collect()
}

#[test]
fn what_is_sent_arrives_after_the_delay_and_in_order() {
    let mut wire = Wire::new(DELAY);
    for number in 0..3 {
        assert_eq!(wire.send(NOW, packet(number, Flags::ACK, 1, 0)), Fate::UnderWay);
    }
    assert_eq!(wire.next_arrival(), Some(NOW + DELAY));
    assert!(arrived(&mut wire, NOW).is_empty());
    assert_eq!(arrived(&mut wire, NOW + DELAY), [0, 1, 2]);
    assert_eq!(wire.next_arrival(), None);
}

#[test]
fn a_fault_concerns_so_many_of_its_kind_and_its_host() {
    let mut wire = Wire::new(DELAY);
    wire.lose(SUBJECT, Pattern::FIN, 2);
    wire.lose(PEER, Pattern::ACK, ALWAYS);
    let fates = [Flags::ACK, Flags::FIN | Flags::ACK, Flags::FIN | Flags::ACK, Flags::FIN | Flags::ACK]
        .map(|flags| wire.send(NOW, packet(0, flags, 1, 0)));
    assert_eq!(fates, [Fate::UnderWay, Fate::Lost, Fate::Lost, Fate::UnderWay]);
    wire.lose_later(SUBJECT, Pattern::TEXT, 1, 1);
    let fates = [0; 3].map(|_| wire.send(NOW, packet(0, Flags::ACK, 1, 9)));
    assert_eq!(fates, [Fate::UnderWay, Fate::Lost, Fate::UnderWay]);
}

#[test]
fn what_is_held_arrives_when_it_is_released_and_its_repetitions_do_not() {
    let mut wire = Wire::new(DELAY);
    let held = wire.hold(SUBJECT, Pattern::FIN);
    let fates = [1, 1, 2].map(|seq| wire.send(NOW, packet(seq as usize, Flags::FIN, seq, 0)));
    assert_eq!(fates, [Fate::Held, Fate::Lost, Fate::Held]);
    assert_eq!((wire.held(held), wire.next_arrival()), (2, None));
    assert_eq!(wire.release(NOW, held), [1, 2]);
    assert_eq!(arrived(&mut wire, NOW), [1, 2]);
    // The fault is over.
    assert_eq!(wire.send(NOW, packet(3, Flags::FIN, 3, 0)), Fate::UnderWay);
    let dropped = wire.hold(SUBJECT, Pattern::SYN);
    assert_eq!(wire.send(NOW, packet(4, Flags::SYN, 3, 0)), Fate::Held);
    wire.mend(dropped);
    assert_eq!(arrived(&mut wire, NOW + DELAY), [3]);
}

#[test]
fn packets_are_repeated_and_copies_kept() {
    let mut wire = Wire::new(DELAY);
    wire.repeat(SUBJECT, Pattern::TEXT);
    wire.send(NOW, packet(0, Flags::ACK, 1, 9));
    wire.send(NOW, packet(1, Flags::ACK, 10, 9));
    assert_eq!(arrived(&mut wire, NOW + DELAY), [0, 0, 1]);
    let copy = wire.keep_copy(SUBJECT, Pattern::TEXT);
    wire.send(NOW, packet(2, Flags::ACK, 1, 9));
    assert_eq!(arrived(&mut wire, NOW + DELAY), [2]);
    assert_eq!(wire.release(NOW + DELAY, copy), [2]);
    assert!(wire.arrived(NOW + DELAY).is_some_and(|passage| passage.copy));
}

#[test]
fn what_is_too_large_is_lost_and_told_if_so_wanted() {
    let mut wire = Wire::new(DELAY);
    wire.limit(576, false);
    assert_eq!(wire.send(NOW, packet(0, Flags::ACK, 1, 1_000)), Fate::Lost);
    assert_eq!(wire.next_arrival(), None);
    wire.limit(576, true);
    assert_eq!(wire.send(NOW, packet(1, Flags::ACK, 1, 1_000)), Fate::Lost);
    let report = wire.arrived(NOW + DELAY).expect("a router says so");
    assert_eq!(report.to, SUBJECT);
    let Ok(Received::Icmp(message)) = Received::parse(&report.packet) else { panic!("it is ICMP") };
    assert_eq!(message.kind, IcmpKind::PacketTooBig { mtu: 576 });
}

#[test]
fn chance_loses_the_same_packets_in_every_run() {
    let fates = || {
        let mut wire = Wire::new(DELAY);
        wire.lose_share(SUBJECT, 0.5);
        (0..64).map(|number| wire.send(NOW, packet(number, Flags::ACK, 1, 0))).collect::<Vec<_>>()
    };
    let lost = fates().iter().filter(|fate| **fate == Fate::Lost).count();
    assert!((16..48).contains(&lost), "{lost}");
    assert_eq!(fates(), fates());
}
