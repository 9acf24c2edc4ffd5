use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Flags, FourTuple, SeqNumber};

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 9, 9));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));
const ROUTER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, 9));

/// The header that textbooks compute the checksum of: 0xb861.
const UDP_HEADER: [u8; 20] =
    [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

fn segment() -> Segment<'static> {
    Segment {
        source_port: 40_000,
        destination_port: 80,
        seq: SeqNumber(0xaabb_ccdd),
        flags: Flags::ACK,
        text: "hello".into(),
        ..Segment::default()
    }
}

fn packet(source: IpAddr, destination: IpAddr, ecn: Ecn) -> Vec<u8> {
    let mut bytes = Vec::new();
    emit_segment(&segment(), source, destination, ecn, 64, &mut bytes).unwrap();
    bytes
}

/// Puts the checksum of an IPv4 header right, also where its length says more than there is.
fn mend(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let length = (usize::from(packet[0] & 0xf) * 4).min(packet.len());
    let sum = crate::segment::checksum::sum(&packet[..length]);
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
}

#[test]
fn segments_travel_in_packets_of_both_versions() {
    for (source, destination, header) in [(A, B, 20), (A6, B6, 40)] {
        let bytes = packet(source, destination, Ecn::Ect0);
        assert_eq!(bytes.len(), header + 25);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.source, packet.destination), (source, destination));
        assert_eq!((packet.ecn, packet.hop_limit), (Ecn::Ect0, 64));
        assert_eq!(Segment::parse(packet.tcp), Ok(segment()));
        assert!(Segment::verify_checksum(packet.tcp, source, destination));
        let mut again = Vec::new();
        packet.emit(&mut again).unwrap();
        assert_eq!(again, bytes);
        assert_eq!(Received::parse(&bytes), Ok(Received::Tcp(packet)));
    }
}

#[test]
fn the_header_of_ipv4_is_laid_out_as_rfc_791_draws_it() {
    let bytes = packet(A, B, Ecn::Ce);
    assert_eq!(bytes[..10], [0x45, 3, 0, 45, 0, 0, 0x40, 0, 64, 6]);
    assert_eq!(bytes[12..20], [10, 0, 0, 1, 10, 0, 0, 2]);
    let mut known = UDP_HEADER;
    mend(&mut known);
    assert_eq!(known, UDP_HEADER);
}

#[test]
fn the_header_of_ipv6_is_laid_out_as_rfc_8200_draws_it() {
    let bytes = packet(A6, B6, Ecn::Ect1);
    assert_eq!(bytes[..8], [0x60, 0x10, 0, 0, 0, 25, 6, 64]);
    assert_eq!(bytes[8..12], [0x20, 0x01, 0x0d, 0xb8]);
    assert_eq!((bytes[23], bytes[39]), (1, 2));
}

#[test]
fn what_is_no_packet_of_tcp_says_why() {
    let good = packet(A, B, Ecn::NotEct);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        mend(&mut bytes);
        Packet::parse(&bytes).unwrap_err()
    };
    assert_eq!(Packet::parse(&[]), Err(ParsePacketError::TooShort { length: 0 }));
    assert_eq!(Packet::parse(&good[..19]), Err(ParsePacketError::TooShort { length: 19 }));
    assert_eq!(Packet::parse(&good[..44]), Err(ParsePacketError::TotalLength { told: 45, length: 44 }));
    assert_eq!(Packet::parse(&[0x50; 20]), Err(ParsePacketError::Version(5)));
    assert_eq!(changed(&|bytes| bytes[0] = 0x44), ParsePacketError::HeaderLength { words: 4 });
    assert_eq!(changed(&|bytes| bytes[3] = 19), ParsePacketError::TotalLength { told: 19, length: 45 });
    assert_eq!(changed(&|bytes| bytes[6] = 0x20), ParsePacketError::Fragment);
    assert_eq!(changed(&|bytes| bytes[7] = 1), ParsePacketError::Fragment);
    assert_eq!(changed(&|bytes| bytes[9] = 17), ParsePacketError::Protocol(17));
    let mut bytes = good.clone();
    bytes[0] = 0x4f;
    bytes.truncate(59);
    assert_eq!(Packet::parse(&bytes), Err(ParsePacketError::TooShort { length: 45 }));
    let mut bytes = good.clone();
    bytes[8] = 63;
    assert_eq!(Packet::parse(&bytes), Err(ParsePacketError::HeaderChecksum));
    assert_eq!(ParsePacketError::Protocol(17).to_string(), "the packet carries protocol 17, not TCP (6)");

    let good = packet(A6, B6, Ecn::NotEct);
    assert_eq!(Packet::parse(&good[..39]), Err(ParsePacketError::TooShort { length: 39 }));
    assert_eq!(Packet::parse(&good[..64]), Err(ParsePacketError::TotalLength { told: 65, length: 64 }));
    for (next, error) in [
        (44, ParsePacketError::Fragment),
        (43, ParsePacketError::ExtensionHeader(43)),
        (51, ParsePacketError::ExtensionHeader(51)),
        (17, ParsePacketError::Protocol(17)),
        // ICMP for the other version.
        (1, ParsePacketError::Protocol(1)),
    ] {
        let mut bytes = good.clone();
        bytes[6] = next;
        assert_eq!(Packet::parse(&bytes), Err(error));
        assert_eq!(Received::parse(&bytes), Err(error));
    }
}

#[test]
fn padding_behind_the_packet_is_left_aside() {
    for (source, destination) in [(A, B), (A6, B6)] {
        let bytes = packet(source, destination, Ecn::NotEct);
        let padded = [&bytes[..], &[0; 9]].concat();
        assert_eq!(Packet::parse(&padded), Packet::parse(&bytes));
    }
}

#[test]
fn options_before_the_segment_are_skipped() {
    let bytes = packet(A, B, Ecn::NotEct);
    let mut with_options = [&bytes[..20], &[1, 1, 1, 0], &bytes[20..]].concat();
    with_options[0] = 0x46;
    with_options[3] += 4;
    mend(&mut with_options);
    assert_eq!(Packet::parse(&with_options).unwrap().tcp, &bytes[20..]);

    let bytes = packet(A6, B6, Ecn::NotEct);
    let (hop_by_hop, options) =
        ([60, 0, 1, 4, 0, 0, 0, 0], [6, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut with_options = [&bytes[..40], &hop_by_hop, &options, &bytes[40..]].concat();
    with_options[6] = 0;
    with_options[5] += 24;
    assert_eq!(Packet::parse(&with_options).unwrap().tcp, &bytes[40..]);
    // Options that go beyond the packet's end.
    with_options[41] = 200;
    assert_eq!(Packet::parse(&with_options), Err(ParsePacketError::TooShort { length: 89 }));
}

#[test]
fn packets_that_cannot_be_are_not_written() {
    let zeros = vec![0; 65_536];
    let mut out = vec![7];
    let packet = |destination, tcp| Packet { source: A, destination, ecn: Ecn::NotEct, hop_limit: 1, tcp };
    assert_eq!(packet(B6, &[]).emit(&mut out), Err(EmitPacketError::MixedVersions));
    assert_eq!(packet(B, &zeros[..65_516]).emit(&mut out), Err(EmitPacketError::TooLong));
    assert_eq!(out, [7]);
    assert_eq!(packet(B, &zeros[..65_515]).emit(&mut out), Ok(()));
    let six = Packet { source: A6, ..packet(B6, &zeros) };
    assert_eq!(six.emit(&mut out), Err(EmitPacketError::TooLong));
    assert_eq!(Packet { tcp: &zeros[..65_535], ..six }.emit(&mut out), Ok(()));
}

#[test]
fn a_router_marks_only_packets_whose_sender_takes_part() {
    for (source, destination) in [(A, B), (A6, B6)] {
        for (ecn, after) in
            [(Ecn::NotEct, Ecn::NotEct), (Ecn::Ect0, Ecn::Ce), (Ecn::Ect1, Ecn::Ce), (Ecn::Ce, Ecn::Ce)]
        {
            let mut bytes = packet(source, destination, ecn);
            assert_eq!(mark_congestion(&mut bytes), ecn.is_capable());
            assert_eq!(Packet::parse(&bytes).unwrap().ecn, after);
        }
    }
    assert!(!mark_congestion(&mut []));
    assert!(!mark_congestion(&mut [0x45, 2]));
    assert!(!mark_congestion(&mut [0x60, 0x20]));
}

#[test]
fn routers_report_what_they_could_not_forward() {
    for (source, destination, router) in [(A, B, ROUTER), (A6, B6, ROUTER6)] {
        for kind in [
            IcmpKind::PacketTooBig { mtu: 1_300 },
            IcmpKind::TimeExceeded { code: 0 },
            IcmpKind::Unreachable(Unreachable::Network),
            IcmpKind::Unreachable(Unreachable::Host),
            IcmpKind::Unreachable(Unreachable::Protocol),
            IcmpKind::Unreachable(Unreachable::Port),
            IcmpKind::Unreachable(Unreachable::Prohibited),
            IcmpKind::Unreachable(Unreachable::Other(7)),
        ] {
            let mut report = vec![1];
            kind.report(router, &packet(source, destination, Ecn::Ce), &mut report).unwrap();
            let Ok(Received::Icmp(message)) = Received::parse(&report[1..]) else {
                panic!("{kind:?} was not understood");
            };
            assert_eq!((message.reporter, message.kind), (router, kind));
            assert_eq!(message.quoted.seq, SeqNumber(0xaabb_ccdd));
            assert_eq!(
                message.quoted.pair(),
                FourTuple {
                    local_address: source,
                    remote_address: destination,
                    local_port: 40_000,
                    remote_port: 80
                }
            );
            let protocol = if source.is_ipv4() { 1 } else { 58 };
            assert_eq!(Packet::parse(&report[1..]), Err(ParsePacketError::Protocol(protocol)));
        }
    }
}

#[test]
fn types_and_codes_are_those_of_the_standards() {
    let head = |kind: IcmpKind, v6: bool| {
        let (source, destination, router, at) = if v6 { (A6, B6, ROUTER6, 40) } else { (A, B, ROUTER, 20) };
        let mut report = Vec::new();
        kind.report(router, &packet(source, destination, Ecn::NotEct), &mut report).unwrap();
        let head = &report[at..at + 8];
        (head[0], head[1], u32::from_be_bytes([head[4], head[5], head[6], head[7]]))
    };
    let too_big = IcmpKind::PacketTooBig { mtu: 70_000 };
    let protocol = IcmpKind::Unreachable(Unreachable::Protocol);
    assert_eq!((head(too_big, false), head(too_big, true)), ((3, 4, 65_535), (2, 0, 70_000)));
    assert_eq!((head(protocol, false), head(protocol, true)), ((3, 2, 0), (4, 1, 6)));
    let source_route = IcmpKind::Unreachable(Unreachable::SourceRoute);
    assert_eq!((head(source_route, false), head(source_route, true)), ((3, 5, 0), (1, 6, 0)));
    let port = IcmpKind::Unreachable(Unreachable::Port);
    assert_eq!((head(port, false), head(port, true)), ((3, 3, 0), (1, 4, 0)));
    let time = IcmpKind::TimeExceeded { code: 0 };
    assert_eq!((head(time, false), head(time, true)), ((11, 0, 0), (3, 0, 0)));
}

#[test]
fn hard_errors_are_those_of_the_clause() {
    let hard = [Unreachable::Protocol, Unreachable::Port, Unreachable::Prohibited];
    let soft = [Unreachable::Network, Unreachable::Host, Unreachable::SourceRoute, Unreachable::Other(9)];
    assert!(hard.into_iter().all(|what| IcmpKind::Unreachable(what).is_hard()));
    assert!(!soft.into_iter().any(|what| IcmpKind::Unreachable(what).is_hard()));
    assert!(!IcmpKind::PacketTooBig { mtu: 0 }.is_hard());
    assert!(!IcmpKind::TimeExceeded { code: 0 }.is_hard());
}

#[test]
fn a_report_quotes_as_much_as_every_path_carries() {
    for (source, destination, router, longest) in [(A, B, ROUTER, 576), (A6, B6, ROUTER6, 1_280)] {
        let mut large = Vec::new();
        let text = [7; 3_000];
        let segment = Segment { text: text[..].into(), ..segment() };
        emit_segment(&segment, source, destination, Ecn::NotEct, 64, &mut large).unwrap();
        let mut report = Vec::new();
        IcmpKind::PacketTooBig { mtu: 1_500 }.report(router, &large, &mut report).unwrap();
        assert_eq!(report.len(), longest);
        assert!(matches!(Received::parse(&report), Ok(Received::Icmp(_))));
    }
}

#[test]
fn reports_that_cannot_be_are_refused() {
    let kind = IcmpKind::TimeExceeded { code: 0 };
    let mut report = Vec::new();
    kind.report(ROUTER, &packet(A, B, Ecn::NotEct), &mut report).unwrap();
    let mut out = Vec::new();
    assert_eq!(kind.report(ROUTER, &report, &mut out), Err(EmitIcmpError::NoSegment));
    let mixed = EmitIcmpError::Packet(EmitPacketError::MixedVersions);
    assert_eq!(kind.report(ROUTER6, &packet(A, B, Ecn::NotEct), &mut out), Err(mixed));
    let unreadable = EmitIcmpError::Unreadable(ParsePacketError::TooShort { length: 0 });
    assert_eq!(kind.report(ROUTER, &[], &mut out), Err(unreadable));
    assert!(out.is_empty());

    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = report.clone();
        change(&mut bytes);
        Received::parse(&bytes).unwrap_err()
    };
    // A byte of the message is at 20 + 8 + …, as the packet it quotes begins there.
    assert_eq!(refused(&|bytes| bytes[40] ^= 1), ParsePacketError::Icmp(ParseIcmpError::Checksum));
    let resum = |bytes: &mut Vec<u8>| {
        bytes[22..24].fill(0);
        let sum = crate::segment::checksum::sum(&bytes[20..]);
        bytes[22..24].copy_from_slice(&(!sum).to_be_bytes());
    };
    for (at, byte, error) in [
        (20, 8, ParseIcmpError::Type(8)),
        (28 + 9, 17, ParseIcmpError::NoSegment),
        (28, 0x55, ParseIcmpError::NoSegment),
        // The segment of somebody else.
        (28 + 15, 77, ParseIcmpError::NoSegment),
    ] {
        let refusal = refused(&|bytes| {
            bytes[at] = byte;
            resum(bytes);
        });
        assert_eq!(refusal, ParsePacketError::Icmp(error));
    }
    let cut = refused(&|bytes| {
        bytes.truncate(20 + 8 + 20 + 7);
        bytes[3] = 55;
        mend(bytes);
        resum(bytes);
    });
    assert_eq!(cut, ParsePacketError::Icmp(ParseIcmpError::NoSegment));
    let cut = refused(&|bytes| {
        bytes.truncate(27);
        bytes[3] = 27;
        mend(bytes);
    });
    assert_eq!(cut, ParsePacketError::Icmp(ParseIcmpError::TooShort));
}

#[test]
fn a_quotation_may_be_cut_behind_the_sequence_number() {
    let mut report = Vec::new();
    IcmpKind::TimeExceeded { code: 0 }.report(ROUTER, &packet(A, B, Ecn::NotEct), &mut report).unwrap();
    report.truncate(20 + 8 + 20 + 8);
    report[3] = 56;
    report[22..24].fill(0);
    let sum = crate::segment::checksum::sum(&report[20..]);
    report[22..24].copy_from_slice(&(!sum).to_be_bytes());
    mend(&mut report);
    let Ok(Received::Icmp(message)) = Received::parse(&report) else {
        panic!("a short quotation was not understood");
    };
    assert_eq!(message.quoted.seq, SeqNumber(0xaabb_ccdd));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 1..200), version in 0..4_usize) {
        bytes[0] = bytes[0] & 0xf | [0x40, 0x60, 0x50, bytes[0] & 0xf0][version];
        try_any_bytes(&bytes);
    }

    /// Nearly right packets, which get further than rubbish does.
    #[test]
    fn damaged_packets_are_read_or_refused(
        v6 in any::<bool>(),
        report in any::<bool>(),
        sound_checksum in any::<bool>(),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        length in any::<proptest::sample::Index>(),
    ) {
        let (source, destination, router) = if v6 { (A6, B6, ROUTER6) } else { (A, B, ROUTER) };
        let mut bytes = packet(source, destination, Ecn::Ect0);
        if report {
            let mut out = Vec::new();
            IcmpKind::PacketTooBig { mtu: 1_280 }.report(router, &bytes, &mut out).unwrap();
            bytes = out;
        }
        for (index, byte) in damage {
            bytes[index.index(45)] = byte;
        }
        if sound_checksum && bytes[0] >> 4 == 4 && bytes[0] & 0xf >= 5 {
            mend(&mut bytes);
        }
        try_any_bytes(&bytes);
        try_any_bytes(&bytes[..length.index(bytes.len())]);
    }
}
