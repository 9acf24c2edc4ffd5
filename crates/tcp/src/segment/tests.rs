use std::net::{IpAddr, Ipv4Addr};

use super::*;

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

#[test]
fn a_segment_comes_back_as_it_was_sent() {
    let mut options = Options::with_timestamps(Timestamps { value: 1, echo_reply: 2 });
    options.push(TcpOption::MaximumSegmentSize(1460)).unwrap();
    let segment = Segment {
        source_port: 1,
        destination_port: 2,
        seq: SeqNumber(3),
        flags: Flags::SYN | Flags::AE,
        options,
        text: "abc".into(),
        ..Segment::default()
    };
    let mut bytes = Vec::new();
    segment.emit(A, B, &mut bytes);
    assert_eq!(Segment::parse(&bytes), Ok(segment));
    assert!(Segment::verify_checksum(&bytes, A, B));
}
