//! Capture files of every kind, whole.

mod support;

use std::fs::{self, OpenOptions};
use std::io::{Cursor, Write};
use std::time::Duration;

use eleven_capture::{Capture, CaptureErrorKind, Interface, LinkType, Packet, Timestamp, Writer};
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use support::{BIG, LITTLE, read, read_all, sound};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// So many packets of a second each.
fn pcap(packets: u32) -> Vec<u8> {
    let mut bytes = LITTLE.pcap(0xa1b2_c3d4);
    for number in 1..=packets {
        bytes.extend(LITTLE.record(number, 0, &vec![number as u8; number as usize % 97], 100));
    }
    bytes
}

#[test]
fn pcap_of_every_byte_order_and_resolution() {
    for order in [LITTLE, BIG] {
        for (magic, nanos) in [(0xa1b2_c3d4, 5_000_000_007_000), (0xa1b2_3c4d, 5_000_000_000_007)] {
            let file = [order.pcap(magic), order.record(5_000, 7, b"abc", 9)].concat();
            let packets = sound(&file);
            assert_eq!(packets.len(), 1);
            assert_eq!((packets[0].nanos, packets[0].link, packets[0].number), (nanos, 1, 1));
            assert_eq!((&*packets[0].data, packets[0].original_length), (&b"abc"[..], 9));
        }
        // The header of a record has eight bytes more.
        let mut modified = order.pcap(0xa1b2_cd34);
        let mut record = order.record(5, 6, b"abc", 9);
        record.splice(16..16, [1; 8]);
        modified.extend([record.clone(), record].concat());
        let packets = sound(&modified);
        assert_eq!((packets.len(), &*packets[1].data, packets[1].nanos), (2, &b"abc"[..], 5_000_006_000));
    }
}

#[test]
fn pcapng_of_several_sections_and_interfaces() {
    let mut file = Vec::new();
    for order in [LITTLE, BIG] {
        let nano = [order.option(2, b"eth0"), order.option(9, &[9]), order.option(0, b"")].concat();
        let binary = [order.option(9, &[0x8a]), order.option(14, &order.long(100))].concat();
        file.extend(order.section());
        file.extend(order.interface(1, 0, &nano));
        file.extend(order.interface(101, 4, &binary));
        let comments =
            [order.option(1, b"one"), order.option(2, &[0; 4]), order.option(1, "zwei, drei ✓".as_bytes())];
        file.extend(order.packet(0, 1_234, b"a", 1, &comments.concat()));
        // Names, something unknown, and what the recorder lost.
        file.extend(order.block(4, &[0; 8]));
        file.extend(order.block(0x8000_0001, b"whatever"));
        file.extend(order.packet(1, 1_536, b"bc", 70_000, b""));
        let lost = [order.word(1).to_vec(), vec![0; 8], order.option(5, &order.long(7))].concat();
        file.extend(order.block(5, &lost));
        // An obsolete packet: interface and drops in one word.
        let obsolete = [order.half(1), order.half(0)].concat();
        let words = [0, 2_048, 3, 3].map(|word| order.word(word)).concat();
        file.extend(order.block(2, &[obsolete, words, b"def".to_vec()].concat()));
    }
    // A simple packet, which belongs to interface 0 and has no time.
    let mut simple = [LITTLE.section(), LITTLE.interface(101, 4, b"")].concat();
    simple.extend(LITTLE.block(3, &[LITTLE.word(9).to_vec(), b"wxyz".to_vec()].concat()));

    let (packets, errors, capture) = read_all(Capture::from_reader("", Cursor::new(file.clone())).unwrap());
    assert!(errors.is_empty(), "{errors:?}");
    let times: Vec<_> = packets.iter().map(|packet| packet.nanos).collect();
    assert_eq!(times, [1_234, 101_500_000_000, 102_000_000_000].repeat(2));
    assert_eq!(packets[3].comments, ["one", "zwei, drei ✓"]);
    assert!(packets[1].comments.is_empty());
    assert_eq!(packets.iter().map(|packet| packet.link).collect::<Vec<_>>(), [1, 101, 101].repeat(2));
    assert_eq!((&*packets[4].data, packets[4].original_length), (&b"bc"[..], 70_000));
    // Interfaces that look alike are one.
    assert_eq!(capture.interfaces().len(), 2);
    assert_eq!(capture.interfaces()[0].name.as_deref(), Some("eth0"));
    assert_eq!((packets[0].interface, packets[3].interface, packets[4].interface), (0, 0, 1));
    assert_eq!(capture.dropped_by_recorders(), 14);
    let statistics = capture.statistics();
    assert_eq!((statistics.packets, statistics.backwards, statistics.first_backwards), (6, 1, Some(4)));

    let packets = sound(&[file, simple].concat());
    assert_eq!((&*packets[6].data, packets[6].original_length), (&b"wxyz"[..], 9));
    assert_eq!(packets[6].nanos, packets[5].nanos);
}

#[test]
fn compressed_files_are_unpacked_as_they_are_read() {
    let plain = pcap(500);
    let packets = sound(&plain);
    assert_eq!(packets.len(), 500);
    for packed in [gzip(&plain), zstd(&plain), gzip(&gzip(&plain)), zstd(&gzip(&plain)), gzip(&zstd(&plain))]
    {
        assert_eq!(sound(&packed), packets);
    }
    // Files put one behind the other, with a frame to be skipped.
    let (first, second) = plain.split_at(3_000);
    assert_eq!(sound(&[gzip(first), gzip(second)].concat()), packets);
    let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    assert_eq!(sound(&[&*zstd(first), &skipped, &zstd(second)].concat()), packets);
    assert_eq!(sound(&[&skipped, &*zstd(&plain)].concat()), packets);
    let (_, errors) = read(&gzip(&gzip(&gzip(&plain))));
    assert!(matches!(errors[..], [CaptureErrorKind::CompressedTooOften]), "{errors:?}");
}

#[test]
fn a_cut_compressed_file_gives_what_is_there() {
    let packets = sound(&pcap(20_000));
    for packed in [gzip(&pcap(20_000)), zstd(&pcap(20_000))] {
        for length in [packed.len() / 4, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
            let (read, errors) = read(&packed[..length]);
            assert!(packets.starts_with(&read));
            assert!(matches!(errors[..], [CaptureErrorKind::CompressedCut]), "{length}: {errors:?}");
        }
        // Nearly all of it is there, and nearly all of it is handed out.
        let (read, _) = read(&packed[..packed.len() - 9]);
        assert!(read.len() > 10_000, "{}", read.len());
    }
    let mut damaged = gzip(&pcap(20_000));
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xa5);
    let (read, errors) = read(&damaged);
    assert!(packets.starts_with(&read) && errors.len() == 1, "{errors:?}");
}

#[test]
fn a_bomb_costs_time_and_no_memory() {
    let bomb = [LITTLE.pcap(0xa1b2_c3d4), vec![0; 16 << 20]].concat();
    for packed in [gzip(&bomb), zstd(&bomb)] {
        assert!(packed.len() < 100_000);
        let mut capture = Capture::from_reader("bomb", Cursor::new(packed)).unwrap();
        while let Some(packet) = capture.next_packet().unwrap() {
            assert!(packet.data.is_empty());
        }
        assert_eq!(capture.statistics().packets, 1 << 20);
    }
}

#[test]
fn several_files_are_merged_by_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let file = |times: &[u32]| {
        let records = times.iter().flat_map(|time| LITTLE.record(*time, 0, &[*time as u8], 1));
        [LITTLE.pcap(0xa1b2_c3d4), records.collect()].concat()
    };
    fs::write(path("a"), file(&[1, 4, 6, 9])).unwrap();
    fs::write(path("b"), gzip(&file(&[2, 4, 3]))).unwrap();
    // One that is damaged behind its second packet.
    fs::write(path("c"), [file(&[5, 7]), vec![0xff; 40]].concat()).unwrap();
    let (packets, errors, capture) = read_all(Capture::open_all([path("a"), path("b"), path("c")]).unwrap());
    let order: Vec<_> = packets.iter().map(|packet| packet.data[0]).collect();
    assert_eq!(order, [1, 2, 4, 4, 3, 5, 6, 7, 9]);
    assert!(packets.iter().map(|packet| packet.number).eq(1..=9));
    assert_eq!((errors.len(), errors[0].offset), (1, 24 + 34));
    assert!(errors[0].file.ends_with('c'), "{}", errors[0]);
    assert_eq!(capture.statistics().backwards, 1);
    let (read, of) = capture.progress();
    let sizes: u64 = ["a", "b", "c"].iter().map(|name| fs::metadata(path(name)).unwrap().len()).sum();
    assert_eq!((read, of), (sizes, Some(sizes)));
    assert!(Capture::open(path("nothing")).err().unwrap().to_string().contains("cannot be opened"));
}

#[test]
fn a_file_that_grows_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("growing.pcap");
    fs::write(&path, b"").unwrap();
    let mut capture = Capture::follow(&path).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    assert!(capture.next_packet().unwrap().is_none() && !capture.is_finished());
    // Byte by byte: nothing is an error, and each packet is there as soon as it is whole.
    let bytes = pcap(3);
    let mut seen = 0;
    for byte in &bytes {
        file.write_all(&[*byte]).unwrap();
        // Not a wait for time: it returns as the file has grown.
        capture.wait(Duration::from_secs(60));
        while let Some(packet) = capture.next_packet().unwrap() {
            seen += 1;
            assert_eq!((packet.number, packet.data.len()), (seen, seen as usize));
        }
    }
    assert_eq!((seen, capture.is_finished()), (3, false));
    drop(file);
    fs::write(&path, b"other").unwrap();
    assert!(matches!(capture.next_packet().err().unwrap().kind, CaptureErrorKind::Shrunk));
    assert!(capture.next_packet().unwrap().is_none() && capture.is_finished());

    fs::write(&path, gzip(&bytes)).unwrap();
    let error = Capture::follow(&path).unwrap().next_packet().err().unwrap();
    assert!(matches!(error.kind, CaptureErrorKind::CompressedFollowed));
}

#[test]
fn a_pipe_gives_each_packet_when_it_is_there() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&LITTLE.pcap(0xa1b2_c3d4)).unwrap();
    let mut capture = Capture::from_reader("pipe", reader).unwrap();
    for number in 1..=3 {
        writer.write_all(&LITTLE.record(number, 0, b"abc", 3)).unwrap();
        assert_eq!(capture.next_packet().unwrap().unwrap().number, u64::from(number));
    }
    drop(writer);
    assert!(capture.next_packet().unwrap().is_none() && capture.is_finished());
}

/// Packets that a writer is given: link, time, bytes, what is missing of them, comments.
type Given = (u8, i64, Vec<u8>, u32, Vec<String>);

proptest! {
    #[test]
    fn what_is_written_is_read(
        given in vec((any::<u8>(), 0..i64::MAX, vec(any::<u8>(), 0..200), 0..9_000_u32, vec("[ -~é✓]{1,20}", 0..3)), 0..20)
    ) {
        let given: Vec<Given> = given;
        let interfaces: Vec<_> = LinkType::ALL
            .iter()
            .map(|link| Interface { name: Some(link.to_string().into()), link: *link, ..Interface::default() })
            .collect();
        let mut writer = Writer::new(Vec::new(), "test").unwrap();
        for (interface, nanos, data, missing, comments) in &given {
            let interface = usize::from(*interface) % interfaces.len();
            let mut packet = Packet::new(interfaces[interface].link, Timestamp(*nanos), data);
            packet.interface = interface as u32;
            packet.original_length += missing;
            let comments: Vec<_> = comments.iter().map(String::as_str).collect();
            writer.write(&packet, &interfaces, &comments).unwrap();
        }
        let file = writer.into_inner();
        let (packets, errors, capture) = read_all(Capture::from_reader("", Cursor::new(file)).unwrap());
        prop_assert!(errors.is_empty());
        prop_assert_eq!(packets.len(), given.len());
        for (packet, (interface, nanos, data, missing, comments)) in packets.iter().zip(&given) {
            let expected = &interfaces[usize::from(*interface) % interfaces.len()];
            prop_assert_eq!(&capture.interfaces()[packet.interface as usize], expected);
            prop_assert_eq!((packet.nanos, &packet.data, &packet.comments), (*nanos, data, comments));
            prop_assert_eq!(packet.original_length as usize, data.len() + *missing as usize);
            prop_assert_eq!(packet.link, expected.link.0);
        }
    }
}
