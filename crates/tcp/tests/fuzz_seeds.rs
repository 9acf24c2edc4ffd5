//! The seeds of the fuzz targets, and what fuzzing found, replayed by an ordinary test: every
//! input calls what its target calls.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use eleven_tcp::ip::{self, IcmpKind, Packet, Unreachable};
use eleven_tcp::{Ecn, Flags, Options, SackBlock, Segment, SeqNumber, TcpOption, Timestamps, segment};

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target)
}

/// Calls `target` with every seed of the target called `name`.
fn replay(name: &str, target: impl Fn(&[u8])) {
    let mut seeds = 0;
    for entry in fs::read_dir(directory(name)).expect("the seeds are part of the source") {
        let path = entry.expect("the directory can be read").path();
        let bytes = fs::read(&path).expect("a seed can be read");
        // The harness shows this for a seed that fails.
        println!("{}", path.display());
        target(&bytes);
        seeds += 1;
    }
    assert!(seeds > 0, "{name} has no seeds");
}

#[test]
fn segment_seeds_pass() {
    replay("segment", segment::try_any_bytes);
}

#[test]
fn packet_seeds_pass() {
    replay("packet", ip::try_any_bytes);
}

#[test]
fn script_seeds_pass() {
    replay("script", eleven_tcp::script::try_any_bytes);
}

#[test]
fn connection_seeds_pass() {
    replay("connection", eleven_tcp::try_any_events);
}

fn options(list: &[TcpOption<'_>]) -> Options {
    let mut options = Options::EMPTY;
    for option in list {
        options.push(*option).expect("the options of a seed fit");
    }
    options
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_fuzz_seeds() {
    let timestamps = Timestamps { value: 0x0102_0304, echo_reply: 0x0506_0708 };
    let blocks =
        (1..4).map(|n| SackBlock { start: SeqNumber(n * 100), end: SeqNumber(n * 100 + 50) }).collect();
    let ordinary = Segment {
        source_port: 40_000,
        destination_port: 443,
        seq: SeqNumber(0x1122_3344),
        ack: SeqNumber(0x5566_7788),
        flags: Flags::ACK,
        window: 64_240,
        ..Segment::default()
    };
    let segments = [
        ("plain", ordinary),
        (
            "text",
            Segment { flags: Flags::PSH | Flags::ACK, text: "GET / HTTP/1.1\r\n\r\n".into(), ..ordinary },
        ),
        ("timestamps", Segment { options: Options::with_timestamps(timestamps), ..ordinary }),
        (
            "sack",
            Segment {
                options: options(&[
                    TcpOption::NoOperation,
                    TcpOption::NoOperation,
                    TcpOption::Timestamps(timestamps),
                    TcpOption::NoOperation,
                    TcpOption::NoOperation,
                    TcpOption::Sack(blocks),
                ]),
                ..ordinary
            },
        ),
        (
            "syn",
            Segment {
                flags: Flags::SYN | Flags::ECE | Flags::CWR,
                options: options(&[
                    TcpOption::MaximumSegmentSize(1_460),
                    TcpOption::SackPermitted,
                    TcpOption::Timestamps(timestamps),
                    TcpOption::NoOperation,
                    TcpOption::WindowScale(7),
                    TcpOption::FastOpen(&[1, 2, 3, 4, 5, 6, 7, 8]),
                ]),
                ..ordinary
            },
        ),
        (
            "rare_options",
            Segment {
                reserved: 0b101,
                urgent: 9,
                flags: Flags::ALL,
                options: options(&[
                    TcpOption::Md5Signature(&[9; 16]),
                    TcpOption::Authentication(&[1, 2, 3, 4]),
                    TcpOption::FastOpenExperiment(&[1, 2]),
                    TcpOption::Unknown { kind: 30, data: &[0, 1] },
                    TcpOption::EndOfList,
                ]),
                ..ordinary
            },
        ),
        (
            "malformed_option",
            Segment { options: Options::from_bytes(&[2, 4, 5, 0xb4, 8, 1, 0, 0]).unwrap(), ..ordinary },
        ),
    ];
    let v4 = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 254]].map(IpAddr::from);
    let v6 = ["2001:db8::1", "2001:db8::2", "2001:db8::ff"].map(|address| address.parse::<IpAddr>().unwrap());
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(directory(target)).unwrap();
        fs::write(directory(target).join(name), bytes).unwrap();
    };
    for (name, segment) in segments {
        // The target sums the pseudo-header of unspecified addresses.
        let mut bytes = Vec::new();
        segment.emit([0; 4].into(), [0; 4].into(), &mut bytes);
        write("segment", name, &bytes);
    }
    // A policy, then calls by their number and segments by flags, numbers relative to the expected ones and shape.
    let (syn, fin_ack, ack, rst) = (2, 17, 16, 4);
    for (name, policy) in [("linux", [0, 0]), ("rfc", [1, 0]), ("keepalive", [0x72, 3])] {
        let mut passive = policy.to_vec();
        passive.extend([1, 11, syn, 0, 0, 0, 11, ack, 1, 0, 0, 2, 0, 9, 3, 0, 4]);
        passive.extend([11, ack, 0, 0, 2, 0, 5, 3, 0, 5, 4, 11, fin_ack, 0, 0, 0, 7, 7]);
        write("connection", &format!("{name}_passive"), &passive);
        let mut active = policy.to_vec();
        active.extend([0, 11, syn | ack, 0, 0, 4, 2, 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 2, 0x20, 0, 5, 7, 7, 7]);
        active.extend([11, ack, 0, 0x80, 0, 9, 0, 2, 5, 0, 11, rst, 1, 0, 0, 11, rst, 0, 0, 0]);
        write("connection", &format!("{name}_active"), &active);
        let mut both = policy.to_vec();
        both.extend([
            0,
            11,
            syn,
            0,
            0,
            0,
            11,
            syn | ack,
            0xbf,
            0,
            0,
            5,
            11,
            fin_ack,
            0,
            0,
            0,
            8,
            0xff,
            0xff,
            15,
        ]);
        write("connection", &format!("{name}_simultaneous"), &both);
    }
    write("segment", "short_header", &[0; 19]);
    write("segment", "offset_beyond_end", &[0xff; 24]);

    for (version, [source, destination, router]) in [("v4", v4), ("v6", v6)] {
        let mut packet = Vec::new();
        ip::emit_segment(&segments[1].1, source, destination, Ecn::Ect0, 64, &mut packet).unwrap();
        write("packet", version, &packet);
        write("packet", &format!("{version}_cut"), &packet[..packet.len() - 1]);
        for (name, kind) in [
            ("too_big", IcmpKind::PacketTooBig { mtu: 1_280 }),
            ("port_unreachable", IcmpKind::Unreachable(Unreachable::Port)),
            ("time_exceeded", IcmpKind::TimeExceeded { code: 0 }),
        ] {
            let mut report = Vec::new();
            kind.report(router, &packet, &mut report).unwrap();
            write("packet", &format!("{version}_{name}"), &report);
        }
        assert!(Packet::parse(&packet).is_ok());
    }
    // Hop-by-hop options before the segment, and a fragment header.
    let mut packet = Vec::new();
    ip::emit_segment(&segments[0].1, v6[0], v6[1], Ecn::NotEct, 64, &mut packet).unwrap();
    packet[5] += 8;
    packet[6] = 0;
    packet.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    write("packet", "v6_hop_by_hop", &packet);
    packet[6] = 44;
    write("packet", "v6_fragment", &packet);
}
