//! Packets with every header there may be before TCP.

use std::net::{IpAddr, Ipv4Addr};

use eleven_capture::{
    Carried, Checksum, Dissected, Dissector, LinkType, Packet, PathKey, PathParts, ReassemblyLimits,
    Timestamp, Why, try_any_packets,
};
use eleven_tcp::ip::{IcmpKind, Unreachable};
use eleven_tcp::{Ecn, Flags, Options, Segment, SeqNumber, Timestamps, ip};
use proptest::collection::vec;
use proptest::prelude::*;

const V4: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];

fn v6() -> [IpAddr; 2] {
    ["2001:db8::1", "2001:db8::2"].map(|address| address.parse().expect("it is one"))
}

fn segment() -> Segment<'static> {
    Segment {
        source_port: 40_000,
        destination_port: 443,
        seq: SeqNumber(7),
        flags: Flags::ACK | Flags::PSH,
        window: 99,
        options: Options::with_timestamps(Timestamps { value: 1, echo_reply: 2 }),
        text: b"GET / HTTP/1.1\r\n\r\n".into(),
        ..Segment::default()
    }
}

/// An IP packet with the segment.
fn tcp([source, destination]: [IpAddr; 2]) -> Vec<u8> {
    let mut packet = Vec::new();
    ip::emit_segment(&segment(), source, destination, Ecn::Ect0, 61, &mut packet)
        .expect("it is short enough");
    packet
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let sum =
        bytes.chunks(2).fold(0_u32, |sum, pair| sum + u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    (!((sum >> 16) + (sum & 0xffff)) as u16).to_be_bytes()
}

/// An IPv4 packet that carries anything.
fn ipv4(protocol: u8, flags: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (20 + options.len() + payload.len()) as u16;
    let mut header = vec![0x45 + (options.len() / 4) as u8, 0];
    header.extend([length.to_be_bytes(), [0, 9], flags.to_be_bytes(), [64, protocol], [0, 0]].concat());
    header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    header.extend(options);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    [&header, payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((payload.len() as u16).to_be_bytes());
    header.extend([next, 64]);
    for address in v6() {
        let IpAddr::V6(address) = address else { unreachable!() };
        header.extend(address.octets());
    }
    [&header, payload].concat()
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let words = [5_000, port, 8 + payload.len() as u16, 0].map(u16::to_be_bytes).concat();
    ipv4(17, 0, &[], &[&words, payload].concat())
}

/// An Ethernet frame, with what stands between its addresses and what it carries.
fn ethernet(types: &[u16], payload: &[u8]) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|part| part.to_be_bytes()).collect();
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &*types, payload].concat()
}

fn dissect<T>(link: LinkType, bytes: &[u8], judge: impl FnOnce(&Dissected<'_>) -> T) -> T {
    let mut dissector = Dissector::default();
    judge(&dissector.dissect(&Packet::new(link, Timestamp(0), bytes)))
}

/// The segment has to be found whole, and the way to it is told.
fn path(link: LinkType, bytes: &[u8]) -> String {
    dissect(link, bytes, |dissected| {
        let Dissected::Tcp(tcp) = dissected else { panic!("{dissected:?} in {bytes:02x?}") };
        assert_eq!((tcp.segment, tcp.text_length, tcp.checksum), (segment(), 18, Checksum::Good));
        assert!([V4, v6()].contains(&[tcp.source, tcp.destination]));
        assert_eq!((tcp.hop_limit, tcp.ecn), (61, Ecn::Ect0));
        tcp.path.to_string()
    })
}

#[test]
fn every_link_leads_to_ip() {
    for (inner, kind, family, ppp) in [(tcp(V4), 0x0800_u16, 2, 0x21_u8), (tcp(v6()), 0x86dd, 30, 0x57)] {
        let kind = kind.to_be_bytes();
        let before = |header: &[u8]| [header, &inner].concat();
        let cooked = [&[0; 14][..], &kind].concat();
        let cooked2 = [&kind[..], &[0; 18]].concat();
        for (link, packet) in [
            (LinkType::ETHERNET, ethernet(&[u16::from_be_bytes(kind)], &inner)),
            (LinkType::ETHERNET, ethernet(&[0x30, 0xaaaa, 0x0300, 0, u16::from_be_bytes(kind)], &inner)),
            (LinkType::RAW, inner.clone()),
            (LinkType::RAW_12, inner.clone()),
            (LinkType::RAW_14, inner.clone()),
            (LinkType::IPV4, inner.clone()),
            (LinkType::IPV6, inner.clone()),
            (LinkType::LINUX_SLL, before(&cooked)),
            (LinkType::LINUX_SLL2, before(&cooked2)),
            (LinkType::NULL, before(&[family, 0, 0, 0])),
            (LinkType::NULL, before(&[0, 0, 0, family])),
            (LinkType::LOOP, before(&[0, 0, 0, family])),
            (LinkType::PPP, before(&[0xff, 0x03, 0, ppp])),
            (LinkType::PPP, before(&[ppp])),
            (LinkType::PPP_HDLC, before(&[0xff, 0x03, 0, ppp])),
            (LinkType::PPP_WITH_DIRECTION, before(&[1, 0xff, 0x03, 0, ppp])),
            (LinkType::CISCO_HDLC, before(&[0x0f, 0, kind[0], kind[1]])),
        ] {
            assert_eq!(path(link, &packet), "", "{link}");
            // Padding is cut off, on every link.
            assert_eq!(path(link, &[packet, vec![0xee; 9]].concat()), "", "{link}");
        }
    }
    let pppoe = [&[0x11, 0, 0, 5, 0, 70 + 2, 0, 0x21][..], &tcp(V4)].concat();
    assert_eq!(path(LinkType::PPPOE, &pppoe), "pppoe 5");
    assert_eq!(path(LinkType::MPLS, &[&[0, 1, 1, 64][..], &tcp(V4)].concat()), "mpls 16");
}

#[test]
fn tags_and_labels_are_gone_through() {
    let inner = tcp(V4);
    for (types, expected) in [
        (&[0x8100, 7, 0x0800][..], "vlan 7"),
        (&[0x88a8, 0x2007, 0x8100, 8, 0x0800], "vlan 7, vlan 8"),
        (&[0x9100, 7, 0x8100, 0xf008, 0x0800], "vlan 7, vlan 8"),
        (&[0x8926, 1, 2, 0x8100, 9, 0x0800], "vlan 9"),
        (&[0x893f, 1, 2, 3, 0x0800], ""),
        (&[0x8847, 1, 0x0140], "mpls 16"),
        (&[0x8847, 1, 0x0040, 1, 0x1140], "mpls 16, mpls 17"),
        (&[0x8864, 0x1100, 5, 72, 0x21], "pppoe 5"),
        (&[0x8100, 3, 0x8864, 0x1100, 5, 72, 0x21], "vlan 3, pppoe 5"),
    ] {
        assert_eq!(path(LinkType::ETHERNET, &ethernet(types, &inner)), expected, "{types:04x?}");
    }
    let frame = ethernet(&[0x0800], &inner);
    let backbone = ethernet(&[0x88a8, 7, 0x88e7, 0, 99], &frame);
    assert_eq!(path(LinkType::ETHERNET, &backbone), "vlan 7, i-sid 99");
    assert_eq!(path(LinkType::ETHERNET, &ethernet(&[0x8903, 0x1234], &frame)), "");
    // A pseudowire, with its control word and without.
    let label = [0x8847, 1, 0x0140];
    assert_eq!(path(LinkType::ETHERNET, &ethernet(&label, &[&[0; 4], &*frame].concat())), "mpls 16");
    assert_eq!(path(LinkType::ETHERNET, &ethernet(&label, &frame)), "mpls 16");
    let mut like_ip = frame;
    like_ip[0] = 0x46;
    assert_eq!(path(LinkType::ETHERNET, &ethernet(&label, &like_ip)), "mpls 16");
}

#[test]
fn tunnels_are_gone_through() {
    let (four, six) = (tcp(V4), tcp(v6()));
    let frame = ethernet(&[0x0800], &four);
    let gre = |header: &[u8], inner: &[u8]| ipv4(47, 0, &[], &[header, inner].concat());
    let over_udp = |port, header: &[u8], inner: &[u8]| udp(port, &[header, inner].concat());
    let gtp_length = (four.len() as u16).to_be_bytes();
    let gtp = [&[0x30, 0xff][..], &gtp_length, &[0, 0, 0, 9]].concat();
    let gtp_options =
        [&[0x36, 0xff][..], &(four.len() as u16 + 8).to_be_bytes(), &[0, 0, 0, 9, 0, 1, 0, 0x85, 1, 0, 0, 0]];
    let pptp = [&[0x30, 0x81, 0x88, 0x0b][..], &[0, 71, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0x21]].concat();
    for (packet, expected) in [
        (ipv4(4, 0, &[], &four), "ip-in-ip"),
        (ipv4(41, 0, &[], &six), "ip-in-ip"),
        (ipv6(4, &four), "ip-in-ip"),
        (ipv6(41, &six), "ip-in-ip"),
        (ipv4(97, 0, &[], &[&[0x30, 0], &*frame].concat()), "etherip"),
        (ipv4(137, 0, &[], &[&[0, 1, 1, 64], &*four].concat()), "mpls 16"),
        (gre(&[0, 0, 8, 0], &four), "gre"),
        (gre(&[0xb0, 0, 0x86, 0xdd, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1], &six), "gre 8"),
        (gre(&[0, 0, 0x65, 0x58], &frame), "gre"),
        (gre(&[0, 0, 0x88, 0xbe], &frame), "gre"),
        (gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0x65, 0, 0, 0, 0], &frame), "erspan 101"),
        (
            gre(
                &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 0x65][..], &[0; 7], &[1], &[0; 8]].concat(),
                &frame,
            ),
            "erspan 101",
        ),
        (gre(&pptp, &four), "pptp 6"),
        (over_udp(4_754, &[0, 0, 8, 0], &four), "gre"),
        (over_udp(4_789, &[8, 0, 0, 0, 0, 0, 42, 0], &frame), "vxlan 42"),
        (over_udp(8_472, &[8, 0, 0, 0, 0, 0, 42, 0], &frame), "vxlan 42"),
        (over_udp(6_081, &[1, 0, 0x65, 0x58, 0, 0, 43, 0, 1, 2, 3, 4], &frame), "geneve 43"),
        (over_udp(47_101, &[0, 0, 0x65, 0x58, 0, 0, 43, 0], &frame), "geneve 43"),
        (over_udp(6_081, &[0, 0, 8, 0, 0, 0, 43, 0], &four), "geneve 43"),
        (over_udp(2_152, &gtp, &four), "gtp 0x9"),
        (over_udp(9_999, &gtp, &four), "gtp 0x9"),
        (over_udp(2_152, &gtp_options.concat(), &four), "gtp 0x9"),
        (over_udp(3_544, &[], &six), "teredo"),
        (over_udp(3_544, &[&[0, 1, 0, 0][..], &[0; 9], &[0; 8]].concat(), &six), "teredo"),
        (over_udp(5_072, &[&[0x40, 0x50, 1, 41][..], &[0; 4], &[0; 16], &[0; 20]].concat(), &six), "ayiya"),
    ] {
        assert_eq!(path(LinkType::RAW, &packet), expected, "{packet:02x?}");
    }
    for payload in [&b""[..], b"\x30\xff\0\x04\0\0\0\x01abcd", &[0; 40], &[0x45; 60]] {
        for port in [53, 2_152, 3_544, 5_072, 4_789] {
            dissect(LinkType::RAW, &udp(port, payload), |dissected| {
                assert!(matches!(dissected, Dissected::NotTcp(Carried::Protocol(17))), "{dissected:?}");
            });
        }
    }
}

#[test]
fn what_stands_before_tcp_in_ip_is_gone_through() {
    let text = &tcp(V4)[20..];
    for options in [&[1, 1, 1, 0][..], &[7, 7, 4, 0, 0, 0, 0, 0]] {
        let is_good = dissect(
            LinkType::RAW,
            &ipv4(6, 0x4000, options, text),
            |dissected| matches!(dissected, Dissected::Tcp(tcp) if tcp.checksum == Checksum::Good && tcp.identification == Some(9)),
        );
        assert!(is_good);
    }
    // A route that is not at its end: the segment is for there.
    let routed = ipv4(6, 0, &[131, 7, 4, 10, 9, 9, 9, 0], text);
    dissect(LinkType::RAW, &routed, |dissected| {
        let Dissected::Tcp(tcp) = dissected else { panic!("{dissected:?}") };
        assert_eq!(tcp.destination, IpAddr::from([10, 9, 9, 9]));
    });
    let authenticated = ipv4(51, 0, &[], &[&[6, 4], &[0; 22][..], text].concat());
    assert!(dissect(LinkType::RAW, &authenticated, |dissected| matches!(dissected, Dissected::Tcp(_))));
    let text = &tcp(v6())[40..];
    let chain = [
        &[60, 0, 1, 4, 0, 0, 0, 0][..],
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[44, 0, 0, 0, 0, 0, 0, 0],
        &[6, 0, 0, 0, 0, 0, 0, 7],
    ];
    let is_good = dissect(
        LinkType::RAW,
        &ipv6(0, &[&chain.concat(), text].concat()),
        |dissected| matches!(dissected, Dissected::Tcp(tcp) if tcp.checksum == Checksum::Good && tcp.identification.is_none()),
    );
    assert!(is_good);
    for protocol in [50, 59, 132] {
        dissect(LinkType::RAW, &ipv6(protocol, &[0; 40]), |dissected| {
            assert!(matches!(dissected, Dissected::NotTcp(Carried::Protocol(it)) if *it == protocol));
        });
    }
}

#[test]
fn offload_leaves_its_marks() {
    // No length: the card was to fill it in for each piece.
    for version in [V4, v6()] {
        let mut packet = tcp(version);
        let at = if version == V4 { 2 } else { 4 };
        packet[at..at + 2].fill(0);
        assert_eq!(path(LinkType::RAW, &packet), "");
    }
    // A jumbogram says its length in an option.
    let large = vec![7; 70_000];
    let mut text = Vec::new();
    Segment { text: (&*large).into(), ..segment() }.emit(v6()[0], v6()[1], &mut text);
    let jumbo = [&[6, 0, 0xc2, 4][..], &(text.len() as u32 + 8).to_be_bytes(), &text].concat();
    let mut packet = ipv6(0, &[]);
    packet.extend(&jumbo);
    dissect(LinkType::RAW, &[&*packet, &[0; 9]].concat(), |dissected| {
        let Dissected::Tcp(tcp) = dissected else { panic!("{dissected:?}") };
        assert_eq!((tcp.text_length, tcp.checksum), (70_000, Checksum::Good));
    });
    // The checksum of the pseudo-header alone: 10.0.0.1, 10.0.0.2, 6, 50 bytes.
    let mut packet = tcp(V4);
    let partial = 0x0a00_u16 * 2 + 3 + 6 + (packet.len() as u16 - 20);
    packet[36..38].copy_from_slice(&partial.to_be_bytes());
    let judged = |packet: &[u8]| {
        dissect(LinkType::RAW, packet, |dissected| match dissected {
            Dissected::Tcp(tcp) => tcp.checksum,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(judged(&packet), Checksum::Partial);
    packet[36] ^= 1;
    assert_eq!(judged(&packet), Checksum::Bad);
}

#[test]
fn what_was_cut_keeps_its_length() {
    let whole = ethernet(&[0x8100, 7, 0x0800], &tcp(V4));
    for length in 0..whole.len() {
        let mut packet = Packet::new(LinkType::ETHERNET, Timestamp(0), &whole[..length]);
        packet.original_length = whole.len() as u32;
        let mut dissector = Dissector::default();
        match dissector.dissect(&packet) {
            Dissected::Unreadable { why: Why::Cut, .. } => assert!(length < 18 + 40, "{length}"),
            Dissected::Tcp(tcp) => {
                assert_eq!((tcp.text_length, tcp.checksum), (18, Checksum::NotCaptured));
                let captured = tcp.segment.options.len() + tcp.segment.text.len();
                assert_eq!((captured, tcp.segment.seq, tcp.segment.window), (length - 58, SeqNumber(7), 99));
            }
            other => panic!("{length}: {other:?}"),
        }
        // Without what the recorder says, the packet simply ends.
        let short = dissect(LinkType::ETHERNET, &whole[..length], |dissected| {
            matches!(dissected, Dissected::Unreadable { .. })
        });
        assert_eq!(short, length < 58, "{length}");
    }
}

#[test]
fn what_makes_no_sense_says_why() {
    let why = |link, packet: &[u8]| {
        dissect(link, packet, |dissected| match dissected {
            Dissected::Unreadable { why, offset } => {
                assert!(!why.to_string().is_empty());
                (*why, *offset)
            }
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(why(LinkType(147), &[0; 60]), (Why::LinkType(LinkType(147)), 0));
    assert_eq!(why(LinkType::RAW, &[0x75; 60]), (Why::IpVersion(7), 0));
    assert_eq!(
        why(LinkType::ETHERNET, &ethernet(&[0x0800], &[0x44; 60])),
        (Why::IpHeaderLength { bytes: 16 }, 14)
    );
    let mut packet = tcp(V4);
    packet[3] = 19;
    assert_eq!(why(LinkType::RAW, &packet).0, Why::IpLength { told: 19, header: 20 });
    let mut packet = tcp(V4);
    packet[32] = 0x40;
    assert_eq!(why(LinkType::RAW, &packet), (Why::TcpHeaderLength { bytes: 16 }, 20));
    packet[32] = 0xf0;
    assert_eq!(why(LinkType::RAW, &packet), (Why::TcpHeaderLength { bytes: 60 }, 20));
    assert_eq!(why(LinkType::RAW, &ipv4(6, 0, &[], &[0; 19])), (Why::TooShort, 20));
    assert_eq!(why(LinkType::RAW, &ipv4(47, 0, &[], &[0x40, 0, 8, 0])).0, Why::GreRouting);
    assert_eq!(why(LinkType::RAW, &ipv4(47, 0, &[], &[0, 3, 8, 0])).0, Why::GreVersion(3));
    let deep = (0..60).fold(tcp(V4), |inner, _| ipv4(4, 0, &[], &inner));
    assert_eq!(why(LinkType::RAW, &deep).0, Why::TooDeep);
}

#[test]
fn reports_about_segments_are_typed() {
    let kinds = [
        IcmpKind::PacketTooBig { mtu: 1_280 },
        IcmpKind::Unreachable(Unreachable::Port),
        IcmpKind::TimeExceeded { code: 0 },
    ];
    for (version, router) in [(V4, "10.0.0.254"), (v6(), "2001:db8::ff")] {
        for kind in kinds {
            let mut report = Vec::new();
            kind.report(router.parse().unwrap(), &tcp(version), &mut report).unwrap();
            let check = |dissected: &Dissected<'_>| {
                let Dissected::Icmp(report) = dissected else { panic!("{dissected:?}") };
                assert_eq!((report.message.kind, report.message.reporter), (kind, router.parse().unwrap()));
                assert_eq!(report.message.quoted.seq, SeqNumber(7));
                assert_eq!(report.path.to_string(), "");
            };
            dissect(LinkType::RAW, &report, check);
            // Cut behind the eight bytes that are always quoted.
            let header = if version == V4 { 20 } else { 40 };
            let mut packet = Packet::new(LinkType::RAW, Timestamp(0), &report[..2 * header + 16]);
            packet.original_length = report.len() as u32;
            check(&Dissector::default().dissect(&packet));
            let last = report.len() - 1;
            report[last] ^= 1;
            dissect(LinkType::RAW, &report, |dissected| {
                assert!(matches!(dissected, Dissected::Unreadable { why: Why::IcmpChecksum, .. }));
            });
        }
    }
}

/// Fragments of a packet, cut behind so many bytes each.
fn fragments(whole: &[u8], size: usize) -> Vec<Vec<u8>> {
    let v4 = whole[0] >> 4 == 4;
    let (header, payload) = whole.split_at(if v4 { 20 } else { 40 });
    let pieces = payload.chunks(size).enumerate();
    pieces
        .map(|(index, piece)| {
            let (start, more) = (index * size, (index + 1) * size < payload.len());
            if v4 {
                let flags = (start / 8) as u16 | if more { 0x2000 } else { 0 };
                let mut fragment = ipv4(header[9], flags, &[], piece);
                fragment[8] = header[8];
                fragment[1] = header[1];
                fragment
            } else {
                let offset = (start as u16 | u16::from(more)).to_be_bytes();
                let mut fragment = ipv6(44, &[&[6, 0, offset[0], offset[1], 0, 0, 0, 5], piece].concat());
                fragment[..2].copy_from_slice(&header[..2]);
                fragment[7] = header[7];
                fragment
            }
        })
        .collect()
}

/// Each fragment at its second; whether the last completes the segment.
fn completes(dissector: &mut Dissector, fragments: &[Vec<u8>], seconds: i64) -> bool {
    let mut complete = false;
    for fragment in fragments {
        let packet = Packet::new(LinkType::RAW, Timestamp::new(seconds, 0), fragment);
        complete = match dissector.dissect(&packet) {
            Dissected::Tcp(tcp) => {
                assert_eq!((tcp.segment, tcp.checksum, tcp.hop_limit), (segment(), Checksum::Good, 61));
                true
            }
            Dissected::Fragment => false,
            other => panic!("{other:?}"),
        };
    }
    complete
}

#[test]
fn fragments_are_put_together_in_any_order() {
    for version in [V4, v6()] {
        for size in [8, 16, 24, 40] {
            let mut pieces = fragments(&tcp(version), size);
            let mut dissector = Dissector::default();
            assert!(completes(&mut dissector, &pieces, 0));
            pieces.reverse();
            assert!(completes(&mut dissector, &pieces, 0));
            // Repeated ones are left out.
            let last = pieces.pop().unwrap();
            assert!(!completes(&mut dissector, &[pieces.clone(), pieces].concat(), 0));
            assert!(completes(&mut dissector, &[last], 0));
            let statistics = dissector.reassembly();
            assert_eq!((statistics.completed, statistics.overlapping), (3, 0));
            assert!(statistics.repeated > 0);
        }
    }
}

#[test]
fn overlaps_old_age_and_excess_discard_fragments() {
    let pieces = fragments(&tcp(V4), 24);
    let mut overlapping = pieces.clone();
    // From 16 to 40, across the border at 24.
    overlapping.insert(1, ipv4(6, 0x2002, &[], &[0xee; 24]));
    let mut dissector = Dissector::default();
    assert!(!completes(&mut dissector, &overlapping, 0));
    assert_eq!(dissector.reassembly().overlapping, 1);

    let mut dissector = Dissector::default();
    assert!(!completes(&mut dissector, &pieces[..2], 0));
    assert!(!completes(&mut dissector, &pieces[2..], 31));
    assert_eq!(dissector.reassembly().expired, 1);

    let limits = ReassemblyLimits { bytes: 2_000, ..ReassemblyLimits::default() };
    let mut dissector = Dissector::new(limits);
    for identification in 0..1_000_u16 {
        let mut piece = pieces[0].clone();
        piece[4..6].copy_from_slice(&identification.to_be_bytes());
        assert!(!completes(&mut dissector, &[piece], 0));
    }
    assert!(dissector.reassembly().evicted > 990, "{:?}", dissector.reassembly());

    let mut dissector = Dissector::default();
    for impossible in [0x3fff, 0x1fff] {
        assert!(!completes(&mut dissector, &[ipv4(6, impossible, &[], &[0; 24])], 0));
    }
    assert!(!completes(&mut dissector, &[ipv4(6, 0x2000, &[], &[0; 23])], 0));
    assert_eq!(dissector.reassembly().impossible, 3);
}

#[test]
fn a_cut_fragment_leaves_the_length_and_what_was_captured() {
    let pieces = fragments(&tcp(V4), 40);
    let mut dissector = Dissector::default();
    assert!(!completes(&mut dissector, &pieces[..1], 0));
    let mut packet = Packet::new(LinkType::RAW, Timestamp(0), &pieces[1][..22]);
    packet.original_length = pieces[1].len() as u32;
    let dissected = dissector.dissect(&packet);
    let Dissected::Tcp(tcp) = &dissected else { panic!("{dissected:?}") };
    assert_eq!((tcp.text_length, tcp.segment.text.len(), tcp.checksum), (18, 10, Checksum::NotCaptured));
}

#[test]
fn fragments_in_a_tunnel_are_put_together() {
    let pieces: Vec<_> = fragments(&tcp(V4), 24).iter().map(|piece| ipv4(4, 0, &[], piece)).collect();
    assert!(completes(&mut Dissector::default(), &pieces, 0));
    // A tunnel's own fragments too.
    let outer = fragments(&ipv4(4, 0, &[], &tcp(V4)), 32);
    assert!(completes(&mut Dissector::default(), &outer, 0));
}

#[test]
fn the_path_is_no_part_of_a_flow_unless_asked_for() {
    let key = |vlan| {
        dissect(LinkType::ETHERNET, &ethernet(&[0x8100, vlan, 0x0800], &tcp(V4)), |dissected| match dissected
        {
            Dissected::Tcp(tcp) => tcp.path,
            other => panic!("{other:?}"),
        })
    };
    assert_ne!(key(1), key(2));
    assert_eq!(key(1).identity(PathParts::NONE), PathKey::EMPTY);
    assert_eq!(key(1).identity(PathParts::TUNNEL), key(2).identity(PathParts::TUNNEL));
    assert_ne!(key(1).identity(PathParts::VLAN).number(), key(2).identity(PathParts::VLAN).number());
}

proptest! {
    #[test]
    fn no_packet_is_too_odd(link in any::<u8>(), packets in vec(vec(any::<u8>(), 0..120), 0..6)) {
        let mut bytes = vec![link];
        for packet in packets {
            bytes.extend([0, packet.len() as u8, 0]);
            bytes.extend(packet);
        }
        try_any_packets(&bytes);
    }

    #[test]
    fn no_damage_to_a_tunnel_is_too_much(damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), which in 0..4_usize) {
        let frame = ethernet(&[0x8100, 7, 0x0800], &tcp(V4));
        let mut packet = [
            ethernet(&[0x0800], &udp(4_789, &[&[8, 0, 0, 0, 0, 0, 42, 0], &*frame].concat())),
            ethernet(&[0x8847, 1, 0x0140], &[&[0; 4], &*frame].concat()),
            ethernet(&[0x86dd], &ipv6(0, &[&[44, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 7], &tcp(v6())[40..]].concat())),
            ethernet(&[0x0800], &ipv4(47, 0, &[], &[&[0x30, 0x81, 0x88, 0x0b, 0, 71, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0x21], &*tcp(V4)].concat())),
        ][which].clone();
        for (index, byte) in damage {
            let length = packet.len();
            packet[index.index(length)] = byte;
        }
        dissect(LinkType::ETHERNET, &packet, |_| {});
    }
}
