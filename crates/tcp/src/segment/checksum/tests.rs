use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// As RFC 1071 §1 words it, a word at a time.
fn naively(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}

#[test]
fn the_example_of_rfc_1071() {
    assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
}

#[test]
fn long_runs_of_the_largest_byte_lose_no_carry() {
    for length in [0, 1, 2, 3, 127, 128, 129, 1_460, 65_535, (1 << 20) - 1, 1 << 20, (1 << 21) + 37] {
        let bytes = vec![0xff; length];
        assert_eq!(sum(&bytes), naively(&bytes), "{length}");
        assert_eq!(u16::from_be(fold(sum_portably(&bytes))), naively(&bytes), "{length}");
    }
}

#[test]
fn the_pseudo_header_is_that_of_both_versions() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 200), Ipv4Addr::new(198, 51, 100, 7));
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend([0, 6, 0x12, 0x34]);
    assert_eq!(fold(pseudo_header(source.into(), destination.into(), 6, 0x1234)), naively(&bytes));

    let source: Ipv6Addr = "2001:db8::ffff:1".parse().unwrap();
    let destination: Ipv6Addr = "fe80::dead:beef:ffff:ffff".parse().unwrap();
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend([0x00, 0x01, 0x12, 0x34, 0, 0, 0, 6]);
    assert_eq!(fold(pseudo_header(source.into(), destination.into(), 6, 0x1_1234)), naively(&bytes));
}

proptest! {
    #[test]
    fn every_way_to_the_sum_agrees(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let expected = naively(&bytes);
        prop_assert_eq!(sum(&bytes), expected);
        prop_assert_eq!(u16::from_be(fold(sum_portably(&bytes))), expected);
        let mut out = vec![1, 2, 3];
        prop_assert_eq!(copy_and_sum(&bytes, &mut out), expected);
        prop_assert_eq!(&out[..3], [1, 2, 3]);
        prop_assert_eq!(&out[3..], &bytes);
    }

    #[test]
    fn sums_join_wherever_the_bytes_are_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        cut in any::<proptest::sample::Index>(),
    ) {
        let (first, second) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(join(sum(first), first.len(), sum(second)), sum(&bytes));
    }
}
