use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2));

/// The SYN of a Linux client, as captured: 10.1.0.2 to 10.1.0.1, port 443.
const LINUX_SYN: [u8; 40] = [
    0xc3, 0x50, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x44, 0, 0, 0, 0, 0xa0, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, //
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7,
];

fn emitted(segment: &Segment<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    segment.emit(A, B, &mut bytes);
    bytes
}

fn options(list: &[TcpOption<'_>]) -> Options {
    let mut options = Options::EMPTY;
    for option in list {
        options.push(*option).unwrap();
    }
    options
}

fn block(start: u32, end: u32) -> SackBlock {
    SackBlock { start: SeqNumber(start), end: SeqNumber(end) }
}

#[test]
fn the_syn_of_a_linux_client_is_read() {
    let segment = Segment::parse(&LINUX_SYN).unwrap();
    assert_eq!((segment.source_port, segment.destination_port), (50_000, 443));
    assert_eq!((segment.seq, segment.ack), (SeqNumber(0x1122_3344), SeqNumber(0)));
    assert_eq!((segment.flags, segment.window, segment.urgent), (Flags::SYN, 64_240, 0));
    assert_eq!((segment.len(), segment.end()), (1, SeqNumber(0x1122_3345)));
    assert_eq!(segment.options.mss(), Some(1_460));
    assert!(segment.options.sack_permitted());
    assert_eq!(segment.options.timestamps(), Some(Timestamps { value: 0x0001_0203, echo_reply: 0 }));
    assert_eq!(segment.options.window_scale(), Some(7));
    assert_eq!(segment.options.sack(), SackBlocks::EMPTY);
    assert_eq!(segment.options.fast_open(), None);
    assert!(!segment.options.malformed());
    assert!(segment.text.is_empty());
}

#[test]
fn the_length_counts_text_syn_and_fin() {
    let segment = |flags, text: &'static str| Segment { flags, text: text.into(), ..Segment::default() };
    assert_eq!(segment(Flags::ACK, "").len(), 0);
    assert!(segment(Flags::RST, "").is_empty());
    assert_eq!(segment(Flags::SYN, "abc").len(), 4);
    assert_eq!(segment(Flags::FIN | Flags::ACK, "abc").len(), 4);
    assert_eq!(segment(Flags::SYN | Flags::FIN, "").len(), 2);
}

#[test]
fn bytes_that_hold_no_header_say_why() {
    assert_eq!(Segment::parse(&[]), Err(ParseSegmentError::TooShort { length: 0 }));
    assert_eq!(Segment::parse(&LINUX_SYN[..19]), Err(ParseSegmentError::TooShort { length: 19 }));
    let beyond = ParseSegmentError::DataOffsetBeyondEnd { words: 10, length: 39 };
    assert_eq!(Segment::parse(&LINUX_SYN[..39]), Err(beyond));
    assert_eq!(beyond.to_string(), "the data offset of 10 words goes beyond the segment's 39 bytes");
    let mut bytes = LINUX_SYN;
    for words in 0..5 {
        bytes[12] = words << 4;
        assert_eq!(Segment::parse(&bytes), Err(ParseSegmentError::DataOffsetTooSmall { words }));
    }
}

#[test]
fn what_means_nothing_is_kept() {
    let mut bytes = LINUX_SYN;
    bytes[8..12].copy_from_slice(&[1, 2, 3, 4]);
    bytes[12] |= 0b1111;
    bytes[18..20].copy_from_slice(&[5, 6]);
    let segment = Segment::parse(&bytes).unwrap();
    assert_eq!((segment.ack, segment.urgent), (SeqNumber(0x0102_0304), 0x0506));
    assert_eq!((segment.reserved, segment.flags), (0b111, Flags::SYN | Flags::AE));
    let out = emitted(&segment);
    bytes[16..18].copy_from_slice(&out[16..18]);
    assert_eq!(out, bytes);
}

#[test]
fn a_segment_is_appended_to_what_is_there() {
    let segment = Segment { text: "abc".into(), ..Segment::default() };
    let mut bytes = vec![1, 2, 3];
    segment.emit(A, B, &mut bytes);
    assert_eq!(bytes[..3], [1, 2, 3]);
    assert_eq!(bytes[3..], emitted(&segment));
}

#[test]
fn a_checksum_is_wrong_for_other_bytes_and_other_addresses() {
    for (source, destination, stranger) in [(A, B, IpAddr::from([10, 0, 0, 3])), (A6, B6, A)] {
        let segment =
            Segment { source_port: 1, flags: Flags::ACK, text: "hello".into(), ..Segment::default() };
        let mut bytes = Vec::new();
        segment.emit(source, destination, &mut bytes);
        assert!(Segment::verify_checksum(&bytes, source, destination));
        assert!(!Segment::verify_checksum(&bytes, source, stranger));
        for index in 0..bytes.len() {
            bytes[index] ^= 0x10;
            assert!(!Segment::verify_checksum(&bytes, source, destination), "byte {index}");
            bytes[index] ^= 0x10;
        }
        assert!(!Segment::verify_checksum(&bytes[..19], source, destination));
        assert!(!Segment::verify_checksum(&[], source, destination));
    }
}

#[test]
fn options_come_back_as_they_were_pushed() {
    let blocks: SackBlocks = [block(1, 2), block(u32::MAX, 5)].into_iter().collect();
    for option in [
        TcpOption::NoOperation,
        TcpOption::MaximumSegmentSize(536),
        TcpOption::WindowScale(15),
        TcpOption::SackPermitted,
        TcpOption::Sack(blocks),
        TcpOption::Timestamps(Timestamps { value: 0xfedc_ba98, echo_reply: 7 }),
        TcpOption::UserTimeout(UserTimeout { minutes: true, value: 0x7fff }),
        TcpOption::FastOpen(&[]),
        TcpOption::FastOpen(&[1, 2, 3, 4, 5, 6, 7, 8]),
        TcpOption::FastOpenExperiment(&[1, 2, 3, 4]),
        TcpOption::FastOpenExperiment(&[]),
        TcpOption::Md5Signature(&[7; 16]),
        TcpOption::Authentication(&[1, 2, 3, 4, 5, 6]),
        TcpOption::Unknown { kind: 30, data: &[0, 1] },
        TcpOption::Unknown { kind: 254, data: &[0xf9] },
        TcpOption::Unknown { kind: 253, data: &[] },
        TcpOption::EndOfList,
    ] {
        let options = options(&[TcpOption::NoOperation, option]);
        assert_eq!(options.iter().collect::<Vec<_>>(), [TcpOption::NoOperation, option]);
        assert!(!options.malformed());
    }
}

#[test]
fn a_known_option_of_another_length_is_kept_and_means_nothing() {
    let data = [0; 9];
    for (kind, length) in [
        (2, 1),
        (2, 3),
        (3, 0),
        (3, 2),
        (4, 1),
        (5, 0),
        (5, 7),
        (5, 9),
        (8, 7),
        (8, 9),
        (19, 9),
        (28, 3),
        (29, 1),
    ] {
        let option = TcpOption::Unknown { kind, data: &data[..length] };
        let options = options(&[option, TcpOption::WindowScale(3)]);
        assert_eq!(options.iter().next(), Some(option));
        assert_eq!(options.window_scale(), Some(3));
    }
    // Five blocks would go beyond the header anyway.
    let options = Options::from_bytes(&[&[5, 40], [0; 38].as_slice()].concat()).unwrap();
    assert!(matches!(options.iter().next(), Some(TcpOption::Unknown { kind: 5, .. })));
}

#[test]
fn an_impossible_length_ends_the_list() {
    for broken in [&[8, 0][..], &[8, 1], &[8], &[8, 10, 1, 2, 3, 4, 5, 6, 7], &[255, 255]] {
        let bytes = [&[2, 4, 5, 0xb4, 1], broken].concat();
        let options = Options::from_bytes(&bytes).unwrap();
        assert!(options.malformed(), "{broken:?}");
        assert_eq!(
            options.iter().collect::<Vec<_>>(),
            [TcpOption::MaximumSegmentSize(1_460), TcpOption::NoOperation]
        );
        assert_eq!((options.mss(), options.timestamps()), (Some(1_460), None));
        assert_eq!(options.as_bytes(), bytes);
    }
}

#[test]
fn nothing_behind_the_end_of_the_list_counts() {
    let options = Options::from_bytes(&[3, 3, 7, 0, 2, 4, 1, 1, 8, 99]).unwrap();
    assert_eq!((options.window_scale(), options.mss()), (Some(7), None));
    assert!(!options.malformed());
}

#[test]
fn the_last_of_several_counts() {
    let options = options(&[TcpOption::MaximumSegmentSize(1), TcpOption::MaximumSegmentSize(2)]);
    assert_eq!(options.mss(), Some(2));
}

#[test]
fn timestamps_are_found_wherever_they_stand() {
    let timestamps = Timestamps { value: 1, echo_reply: 0xffff_ffff };
    let aligned = Options::with_timestamps(timestamps);
    assert_eq!(
        aligned,
        options(&[TcpOption::NoOperation, TcpOption::NoOperation, TcpOption::Timestamps(timestamps)])
    );
    assert_eq!(aligned.timestamps(), Some(timestamps));
    assert!(aligned.sack().is_empty());
    assert_eq!(options(&[TcpOption::Timestamps(timestamps)]).timestamps(), Some(timestamps));
    let with_sack = options(&[
        TcpOption::NoOperation,
        TcpOption::NoOperation,
        TcpOption::Timestamps(timestamps),
        TcpOption::NoOperation,
        TcpOption::NoOperation,
        TcpOption::Sack([block(1, 2), block(3, 4), block(5, 6)].into_iter().collect()),
    ]);
    assert_eq!((with_sack.timestamps(), with_sack.len()), (Some(timestamps), 40));
    assert_eq!(*with_sack.sack(), [block(1, 2), block(3, 4), block(5, 6)]);
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut options = options(&[TcpOption::Unknown { kind: 99, data: &[1; 36] }]);
    let before = options;
    assert_eq!(options.push(TcpOption::WindowScale(1)), Err(NoRoom));
    assert_eq!(options.push(TcpOption::Unknown { kind: 1, data: &[0; 300] }), Err(NoRoom));
    assert_eq!(options, before);
    assert_eq!(options.push(TcpOption::SackPermitted), Ok(()));
    assert_eq!(options.push(TcpOption::NoOperation), Err(NoRoom));
    assert_eq!(Options::from_bytes(&[1; 41]), Err(NoRoom));
    assert_eq!(NoRoom.to_string(), "the options of a segment take at most 40 bytes, and 4 SACK blocks");
    let mut blocks: SackBlocks = (0..9).map(|start| block(start, start + 1)).collect();
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks.push(block(1, 2)), Err(NoRoom));
}

#[test]
fn options_are_padded_with_zeros_to_whole_words() {
    let mut options = options(&[TcpOption::WindowScale(7)]);
    let segment = Segment { options, text: "x".into(), ..Segment::default() };
    assert_eq!((options.padded_len(), segment.header_len()), (4, 24));
    assert_eq!(emitted(&segment)[20..], [3, 3, 7, 0, b'x']);
    options.pad_to_word();
    assert_eq!(options.as_bytes(), [3, 3, 7, 0]);
    options.pad_to_word();
    assert_eq!(options.len(), 4);
    assert_eq!(emitted(&Segment { options, ..segment }), emitted(&segment));
}

#[test]
fn user_timeouts_are_told_in_seconds_or_minutes() {
    let timeout = |minutes, value| UserTimeout { minutes, value };
    for (duration, expected) in [
        (Duration::ZERO, timeout(false, 0)),
        (Duration::from_millis(1_001), timeout(false, 2)),
        (Duration::from_secs(0x7fff), timeout(false, 0x7fff)),
        (Duration::from_secs(0x8000), timeout(true, 547)),
        (Duration::MAX, timeout(true, 0x7fff)),
    ] {
        assert_eq!(UserTimeout::from_duration(duration), expected, "{duration:?}");
    }
    assert_eq!(timeout(true, 2).as_duration(), Duration::from_secs(120));
    let set = options(&[TcpOption::UserTimeout(timeout(true, 5))]);
    assert_eq!(set.as_bytes(), [28, 4, 0x80, 5]);
    assert_eq!(set.user_timeout(), Some(timeout(true, 5)));
}

#[test]
fn fast_open_cookies_of_both_kinds_are_found() {
    let standard = options(&[TcpOption::FastOpen(&[1, 2, 3, 4])]);
    assert_eq!(standard.as_bytes(), [34, 6, 1, 2, 3, 4]);
    assert_eq!(standard.fast_open(), Some(&[1, 2, 3, 4][..]));
    let experiment = options(&[TcpOption::FastOpenExperiment(&[])]);
    assert_eq!(experiment.as_bytes(), [254, 4, 0xf9, 0x89]);
    assert_eq!(experiment.fast_open(), Some(&[][..]));
}

#[test]
fn text_is_shown_by_its_beginning() {
    assert_eq!(format!("{:?}", Text::from("GET /\r\n")), r#"Text(7: "GET /\r\n")"#);
    let shown = format!("{:?}", Text::new(&[b'a'; 30], &[b'b'; 30]));
    assert_eq!(shown, format!("Text(60: \"{}bb\"…)", "a".repeat(30)));
}

prop_compose! {
    fn any_segment()(
        ports in any::<(u16, u16)>(),
        numbers in any::<(u32, u32)>(),
        flags in 0..0x200_u16,
        reserved in 0..8_u8,
        window in any::<u16>(),
        urgent in any::<u16>(),
        options in vec(any::<u8>(), 0..11).prop_map(|words| words.repeat(4)),
    ) -> Segment<'static> {
        Segment {
            source_port: ports.0,
            destination_port: ports.1,
            seq: SeqNumber(numbers.0),
            ack: SeqNumber(numbers.1),
            flags: Flags::from_bits(flags),
            reserved,
            window,
            urgent,
            options: Options::from_bytes(&options).unwrap(),
            text: Text::EMPTY,
        }
    }
}

/// Options as they come: sensible ones, padding and rubbish in any order.
fn any_option_bytes() -> impl Strategy<Value = Vec<u8>> {
    let sensible = prop_oneof![
        Just(vec![1]),
        Just(vec![0]),
        any::<[u8; 2]>().prop_map(|size| [&[2, 4], &size[..]].concat()),
        any::<u8>().prop_map(|shift| vec![3, 3, shift]),
        Just(vec![4, 2]),
        (1..5_usize).prop_flat_map(|count| vec(any::<u8>(), count * 8)).prop_map(with_length(5)),
        vec(any::<u8>(), 8).prop_map(with_length(8)),
        vec(any::<u8>(), 0..20).prop_map(with_length(34)),
        (any::<u8>(), vec(any::<u8>(), 0..20)).prop_map(|(kind, data)| with_length(kind)(data)),
        vec(any::<u8>(), 0..4),
    ];
    vec(sensible, 0..8).prop_map(|options| {
        let mut bytes = options.concat();
        bytes.truncate(40);
        bytes
    })
}

fn with_length(kind: u8) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |data| [&[kind, data.len() as u8 + 2], &data[..]].concat()
}

proptest! {
    #[test]
    fn any_segment_comes_back(segment in any_segment(), text in vec(any::<u8>(), 0..2_000)) {
        let segment = Segment { text: Text::from(&text[..]), ..segment };
        for (source, destination) in [(A, B), (A6, B6)] {
            let mut bytes = Vec::new();
            segment.emit(source, destination, &mut bytes);
            prop_assert_eq!(Segment::parse(&bytes), Ok(segment));
            prop_assert!(Segment::verify_checksum(&bytes, source, destination));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100)) {
        try_any_bytes(&bytes);
    }

    /// The same with a header that is always whole.
    #[test]
    fn any_header_is_read(header in any::<[u8; 20]>(), options in any_option_bytes(), text in vec(any::<u8>(), 0..10)) {
        let mut bytes = [&header[..], &options, &[0; 3], &text].concat();
        bytes[12] = (5 + options.len().div_ceil(4) as u8) << 4 | header[12] & 0xf;
        prop_assert!(Segment::parse(&bytes).is_ok());
        try_any_bytes(&bytes);
    }

    #[test]
    fn where_text_is_cut_changes_nothing(
        segment in any_segment(),
        text in vec(any::<u8>(), 0..2_000),
        cuts in any::<[proptest::sample::Index; 4]>(),
    ) {
        let [cut, other, skip, take] = cuts.map(|cut| cut.index(text.len() + 1));
        let whole = Text::from(&text[..]);
        let split = |cut| {
            let (first, second) = text.split_at(cut);
            Text::new(first, second)
        };
        prop_assert_eq!(split(cut), whole);
        prop_assert_eq!(split(cut), split(other));
        prop_assert_eq!(split(cut).to_vec(), text.clone());
        prop_assert!(split(cut).iter().eq(text.iter().copied()));
        prop_assert_eq!(split(cut).skip(skip).take(take), Text::from(&text[skip..text.len().min(skip + take)]));
        prop_assert_eq!(split(cut).take(take).skip(skip), Text::from(&text[skip.min(take)..take]));
        let mut out = vec![0; take];
        prop_assert_eq!(split(cut).copy_to_slice(&mut out), take);
        prop_assert_eq!(&out, &text[..take]);
        prop_assert_eq!(
            emitted(&Segment { text: split(cut), ..segment }),
            emitted(&Segment { text: whole, ..segment })
        );
        if !text.is_empty() {
            let mut changed = text.clone();
            changed[skip.min(text.len() - 1)] ^= 1;
            prop_assert_ne!(split(cut), Text::from(&changed[..]));
        }
        let longer = [&text[..], &[0]].concat();
        prop_assert_ne!(split(cut), Text::from(&longer[..]));
    }
}

#[test]
fn a_segment_cut_in_its_options_is_read_as_far_as_it_goes() {
    let options = Options::with_timestamps(Timestamps { value: 1, echo_reply: 2 });
    let whole = Segment { source_port: 1, window: 7, options, text: "text".into(), ..Segment::default() };
    let address = IpAddr::from([127, 0, 0, 1]);
    let mut bytes = Vec::new();
    whole.emit(address, address, &mut bytes);
    for length in 0..=bytes.len() {
        let cut = &bytes[..length];
        let Ok((segment, header)) = Segment::parse_beginning(cut) else {
            assert!(length < 20);
            continue;
        };
        assert_eq!((segment.source_port, segment.window, header), (1, 7, 32));
        assert_eq!(segment.options.as_bytes(), &cut[20..length.min(32)]);
        assert_eq!(segment.text.len(), length.saturating_sub(32));
        assert_eq!(Segment::parse(cut).is_ok(), length >= 32);
    }
    assert_eq!(Segment::parse_beginning(&bytes), Ok((whole, 32)));
}

#[test]
fn a_checksum_that_a_card_was_to_complete_is_known() {
    let [source, destination] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
    let mut bytes = Vec::new();
    Segment { text: "text".into(), ..Segment::default() }.emit(source, destination, &mut bytes);
    assert!(!Segment::has_partial_checksum(&bytes, source, destination));
    // 10.0.0.1, 10.0.0.2, protocol 6 and 24 bytes.
    bytes[16..18].copy_from_slice(&(0x0a00_u16 * 2 + 3 + 6 + 24).to_be_bytes());
    assert!(Segment::has_partial_checksum(&bytes, source, destination));
    assert!(!Segment::has_partial_checksum(&bytes[..17], source, destination));
}
