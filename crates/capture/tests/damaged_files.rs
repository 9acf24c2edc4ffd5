//! Files that are cut, damaged, or lie: what was read before stays, the offset is told, and nothing panics.

mod support;

use std::io::Cursor;

use eleven_capture::{BlockFault, Capture, CaptureErrorKind, try_any_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{BIG, LITTLE, Order, Owned, read, read_all, sound};

fn pcap() -> Vec<u8> {
    let records =
        (1..=3_u8).flat_map(|number| LITTLE.record(number.into(), 0, &vec![number; 5 * number as usize], 99));
    [LITTLE.pcap(0xa1b2_c3d4), records.collect()].concat()
}

fn packet(order: Order, number: u8) -> Vec<u8> {
    order.packet(0, number.into(), &vec![number; 5 * number as usize], 99, &order.option(1, b"said"))
}

fn pcapng(order: Order) -> Vec<u8> {
    let packets = (1..=3).flat_map(|number| packet(order, number));
    [order.section(), order.interface(1, 0, b""), packets.collect()].concat()
}

/// The first byte of each packet.
fn numbers(packets: &[Owned]) -> Vec<u8> {
    packets.iter().map(|packet| packet.data[0]).collect()
}

#[test]
fn cut_anywhere_a_file_gives_the_packets_before() {
    for file in [pcap(), pcapng(LITTLE), pcapng(BIG)] {
        let all = sound(&file);
        assert_eq!(all.len(), 3);
        let mut counts = Vec::new();
        for length in 0..file.len() {
            let (packets, errors) = read(&file[..length]);
            assert!(all.starts_with(&packets), "{length}");
            counts.push(packets.len());
            match &errors[..] {
                // Cut between two records.
                [] => assert!(length > 0),
                [CaptureErrorKind::Truncated { .. } | CaptureErrorKind::Empty] => {}
                errors => panic!("{length}: {errors:?}"),
            }
        }
        assert!(counts.is_sorted() && counts.last() == Some(&2));
    }
}

#[test]
fn garbage_between_blocks_is_skipped_and_told() {
    for order in [LITTLE, BIG] {
        let before = [order.section(), order.interface(1, 0, b""), packet(order, 1)].concat();
        for garbage in [vec![0xff; 1_001], vec![0; 64], b"\x06\0\0\0\x0a\x0d\x0d\x0a".repeat(9), vec![7; 3]] {
            let file = [before.clone(), garbage.clone(), packet(order, 2)].concat();
            let capture = Capture::from_reader("file", Cursor::new(file)).unwrap();
            let (packets, errors, capture) = read_all(capture);
            assert_eq!(numbers(&packets), [1, 2], "{garbage:?} {errors:?}");
            let [error] = &errors[..] else { panic!("{errors:?}") };
            assert_eq!((error.offset, error.can_continue()), (before.len() as u64, true));
            let CaptureErrorKind::Garbage { skipped, found: true, .. } = error.kind else {
                panic!("{error}")
            };
            assert_eq!((skipped, capture.statistics().skipped_bytes), (garbage.len() as u64, skipped));
        }
        // To the end.
        let (packets, errors) = read(&[before.clone(), vec![0xee; 50]].concat());
        assert_eq!(numbers(&packets), [1]);
        assert!(
            matches!(errors[..], [CaptureErrorKind::Garbage { skipped: 50, found: false, .. }]),
            "{errors:?}"
        );
    }
}

#[test]
fn lying_lengths_cost_their_block_and_no_other() {
    let start = [LITTLE.section(), LITTLE.interface(1, 0, b""), packet(LITTLE, 1)].concat();
    let lie = |at: usize, value: u32| {
        let mut block = packet(LITTLE, 2);
        let at = if at == usize::MAX { block.len() - 4 } else { at };
        block[at..at + 4].copy_from_slice(&value.to_le_bytes());
        read(&[start.clone(), block, packet(LITTLE, 3)].concat())
    };
    // Its own length: too small, odd, a little more, far too much.
    for (told, beyond) in [(8, false), (61, false), (64, false), (1 << 20, true), (u32::MAX - 3, false)] {
        let (packets, errors) = lie(4, told);
        assert_eq!(numbers(&packets), [1, 3], "{told}: {errors:?}");
        let [CaptureErrorKind::Garbage { fault, .. }] = errors[..] else { panic!("{told}: {errors:?}") };
        assert_eq!(matches!(fault, BlockFault::BeyondEnd(_)), beyond, "{told}: {fault}");
    }
    // The one at the end.
    let (packets, errors) = lie(usize::MAX, 60);
    assert_eq!(numbers(&packets), [1, 3], "{errors:?}");
    // The packet's.
    let (packets, errors) = lie(20, 1_000);
    assert_eq!(numbers(&packets), [1, 3]);
    assert!(matches!(errors[..], [CaptureErrorKind::BadBlock { block: 6, .. }]), "{errors:?}");
    // An interface that was not described, told once.
    let (packets, errors) =
        read(&[start.clone(), LITTLE.packet(9, 0, b"x", 1, b"").repeat(3), packet(LITTLE, 3)].concat());
    assert_eq!(numbers(&packets), [1, 3]);
    assert!(
        matches!(errors[..], [CaptureErrorKind::UnknownInterface { interface: 9, known: 1 }]),
        "{errors:?}"
    );
}

#[test]
fn what_a_damaged_packet_carries_is_not_taken_for_a_block() {
    // Somebody transfers a capture; the block around it has a broken end.
    let inside = packet(LITTLE, 9);
    let mut around = LITTLE.packet(0, 5, &inside, 0, b"");
    let end = around.len() - 4;
    around[end] ^= 0x40;
    let start = [LITTLE.section(), LITTLE.interface(1, 0, b"")].concat();
    let (packets, errors) = read(&[start, around, packet(LITTLE, 3)].concat());
    assert_eq!((numbers(&packets), errors.len()), (vec![3], 1));
}

#[test]
fn pcap_stops_where_it_is_damaged() {
    let mut file = pcap();
    let second = 24 + 16 + 5;
    file[second + 8..second + 12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let (packets, errors, _) = read_all(Capture::from_reader("file", Cursor::new(file)).unwrap());
    assert_eq!(numbers(&packets), [1]);
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.offset, error.can_continue()), (second as u64, false));
    assert!(error.to_string().starts_with("file at byte 45: a record claims 2147483647 bytes"), "{error}");
}

#[test]
fn more_captured_than_there_was_is_counted() {
    let file = [LITTLE.pcap(0xa1b2_c3d4), LITTLE.record(1, 0, b"abcdef", 2)].concat();
    let (packets, errors, capture) = read_all(Capture::from_reader("file", Cursor::new(file)).unwrap());
    assert_eq!((packets[0].original_length, errors.len()), (6, 0));
    assert_eq!((capture.statistics().longer_than_original, capture.statistics().first_longer), (1, Some(1)));
}

#[test]
fn what_is_no_capture_says_so() {
    let one = |bytes: &[u8]| {
        let (packets, mut errors) = read(bytes);
        assert!(packets.is_empty());
        errors.pop().expect("it is none")
    };
    assert!(matches!(one(b""), CaptureErrorKind::Empty));
    assert!(matches!(one(b"<htm"), CaptureErrorKind::NotACapture { magic: [b'<', b'h', b't', b'm'] }));
    let mut newer = pcap();
    newer[4] = 3;
    assert!(matches!(one(&newer), CaptureErrorKind::Version { format: "pcap", major: 3, .. }));
    let mut newer = pcapng(LITTLE);
    newer[12] = 2;
    assert!(matches!(one(&newer), CaptureErrorKind::Version { format: "pcapng", major: 2, .. }));
    let interfaces = LITTLE.interface(1, 0, b"").repeat(65_537);
    let (_, errors) = read(&[LITTLE.section(), interfaces].concat());
    assert!(matches!(errors[..], [CaptureErrorKind::TooManyInterfaces]));
}

proptest! {
    #[test]
    fn no_damage_is_too_much(big in any::<bool>(), ng in any::<bool>(), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..12)) {
        let mut file = if ng { pcapng(Order { big }) } else { pcap() };
        for (index, byte) in damage {
            let length = file.len();
            file[index.index(length)] = byte;
        }
        try_any_bytes(&file);
    }

    #[test]
    fn any_bytes_end(bytes in vec(any::<u8>(), 0..2_000), magic in 0..4_usize) {
        let magics = [&[][..], &[0xd4, 0xc3, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a], &[0x28, 0xb5, 0x2f, 0xfd]];
        try_any_bytes(&[magics[magic], &bytes].concat());
    }
}
