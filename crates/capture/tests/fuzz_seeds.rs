//! The seeds of the fuzz targets, and what fuzzing found, replayed by an ordinary test: every
//! input calls what its target calls.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use eleven_capture::{LinkType, try_any_bytes, try_any_packets};
use eleven_tcp::{Ecn, Flags, Options, Segment, Timestamps, ip};
use support::{BIG, LITTLE};

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
fn file_seeds_pass() {
    replay("capture_file", try_any_bytes);
}

#[test]
fn layer_seeds_pass() {
    replay("capture_layers", try_any_packets);
}

/// An IPv4 packet with a segment.
fn packet() -> Vec<u8> {
    let options = Options::with_timestamps(Timestamps { value: 1, echo_reply: 2 });
    let segment = Segment {
        destination_port: 443,
        flags: Flags::ACK,
        options,
        text: "text".into(),
        ..Segment::default()
    };
    let mut packet = Vec::new();
    ip::emit_segment(&segment, [10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Ecn::NotEct, 64, &mut packet)
        .unwrap();
    packet
}

/// Another header before a packet, its protocol or type told.
fn ipv4(protocol: u8, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = packet()[..20].to_vec();
    header[2..4].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    header[6..8].copy_from_slice(&flags.to_be_bytes());
    header[9] = protocol;
    [&header, payload].concat()
}

#[test]
#[ignore = "writes the seeds of the fuzz targets into the source tree"]
fn write_fuzz_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(directory(target)).unwrap();
        fs::write(directory(target).join(name), bytes).unwrap();
    };
    let frame = [&[0; 12][..], &[8, 0], &packet()].concat();
    for (order, name) in [(LITTLE, "little"), (BIG, "big")] {
        let pcap =
            [order.pcap(0xa1b2_3c4d), order.record(1, 2, &frame, 99), order.record(1, 2, b"", 0)].concat();
        write("capture_file", &format!("pcap_{name}"), &pcap);
        write("capture_file", &format!("pcap_{name}_cut"), &pcap[..pcap.len() - 20]);
        let options =
            [order.option(9, &[0x8a]), order.option(14, &order.long(5)), order.option(2, b"eth0")].concat();
        let start = [order.section(), order.interface(1, 96, &options)].concat();
        let one = order.packet(0, 7, &frame, 99, &order.option(1, b"said"));
        let simple = order.block(3, &[order.word(9).to_vec(), b"wxyz".to_vec()].concat());
        let lost = [order.word(0).to_vec(), vec![0; 8], order.option(5, &order.long(7))].concat();
        let pcapng =
            [start.clone(), one.clone(), simple, order.block(5, &lost), order.block(4, b"name"), start]
                .concat();
        write("capture_file", &format!("pcapng_{name}"), &pcapng);
        write("capture_file", &format!("pcapng_{name}_garbage"), &[&*pcapng, &[7; 33], &one].concat());
    }
    let plain = [LITTLE.pcap(0xa1b2_c3d4), LITTLE.record(1, 2, &frame, 99)].concat();
    let zstd = ruzstd::encoding::compress_to_vec(&*plain, ruzstd::encoding::CompressionLevel::Fastest);
    write("capture_file", "zstd", &zstd);
    let mut gzip = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::GzEncoder::new(&*plain, flate2::Compression::best()),
        &mut gzip,
    )
    .unwrap();
    write("capture_file", "gzip", &gzip);

    let inner = packet();
    let udp = |port: u16, header: &[u8], inner: &[u8]| {
        let length = (8 + header.len() + inner.len()) as u16;
        ipv4(
            17,
            0,
            &[&[9, 9][..], &port.to_be_bytes(), &length.to_be_bytes(), &[0, 0], header, inner].concat(),
        )
    };
    let halves = [ipv4(6, 0x2000, &inner[20..44]), ipv4(6, 3, &inner[44..])];
    let ethernet = |types: &[u8], inner: &[u8]| [&[0; 12], types, inner].concat();
    for (name, link, packets) in [
        ("ethernet", LinkType::ETHERNET, vec![frame.clone()]),
        ("tags", LinkType::ETHERNET, vec![ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0], &inner)]),
        ("pppoe", LinkType::ETHERNET, vec![ethernet(&[0x88, 0x64, 0x11, 0, 0, 5, 0, 58, 0, 0x21], &inner)]),
        ("mpls", LinkType::ETHERNET, vec![ethernet(&[0x88, 0x47, 0, 1, 1, 64, 0, 0, 0, 0], &frame)]),
        ("cooked", LinkType::LINUX_SLL, vec![[&[0; 14], &[8, 0][..], &inner].concat()]),
        ("loopback", LinkType::NULL, vec![[&[2, 0, 0, 0], &*inner].concat()]),
        ("fragments", LinkType::RAW, halves.to_vec()),
        (
            "gre",
            LinkType::RAW,
            vec![ipv4(47, 0, &[&[0x30, 0, 8, 0, 0, 0, 0, 7, 0, 0, 0, 1], &*inner].concat())],
        ),
        ("vxlan", LinkType::RAW, vec![udp(4_789, &[8, 0, 0, 0, 0, 0, 7, 0], &frame)]),
        ("geneve", LinkType::RAW, vec![udp(6_081, &[1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 4], &frame)]),
        ("gtp", LinkType::RAW, vec![udp(2_152, &[0x30, 0xff, 0, inner.len() as u8, 0, 0, 0, 7], &inner)]),
    ] {
        let chosen = LinkType::ALL.iter().position(|it| *it == link).unwrap();
        let mut bytes = vec![chosen as u8];
        for packet in packets {
            bytes.extend((packet.len() as u16).to_be_bytes());
            bytes.push(0);
            bytes.extend(packet);
        }
        write("capture_layers", name, &bytes);
    }
}
