//! What kernels other than this one send, and what none should.

use eleven_linux::ReadError;
use eleven_snapshot::TcpInfo;

use crate::build::{
    DONE, ERROR, INFO, INTERRUPTED, OVERRUN, SOCKET, attribute, done, errno, established, message, socket,
};
use crate::walk::walk;

const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;

fn joined(messages: &[Vec<u8>]) -> Vec<u8> {
    messages.concat()
}

#[test]
fn tcp_info_of_any_kernel_is_kept_as_far_as_it_goes() {
    // 2.6 to 6.18, and two of kernels to come.
    for length in [104, 160, 192, 224, 232, 240, 248, 280, 284, 512] {
        let info: Vec<u8> = (0..length).map(|index| index as u8).collect();
        let body = [established(1), attribute(INFO, &info)].concat();
        let (rows, end) = walk(&message(SOCKET, 0, &body));
        assert_eq!(end.expect("no error").malformed, 0, "{length}");
        let kept = rows[0].tcp_info.as_ref().expect("it was sent");
        assert_eq!(**kept, TcpInfo::from_bytes(&info), "{length}");
        for (field, end) in [
            ("tcpi_total_retrans", 104),
            ("tcpi_data_segs_out", 160),
            ("tcpi_sndbuf_limited", 192),
            ("tcpi_reord_seen", 224),
            ("tcpi_snd_wnd", 232),
            ("tcpi_rehash", 240),
            ("tcpi_total_rto_time", 248),
            ("tcpi_accecn_opt_seen", 280),
        ] {
            assert_eq!(kept.get(field).is_some(), end <= length, "{field} of {length} bytes");
        }
    }
}

#[test]
fn tcp_info_too_short_for_the_clocks_gives_no_age() {
    for length in [0, 1, 47, 55] {
        let body = [established(1), attribute(INFO, &vec![7; length])].concat();
        let (rows, _) = walk(&message(SOCKET, 0, &body));
        assert_eq!((rows[0].age_ms.is_some(), rows.len()), (length > 47, 1), "{length}");
    }
}

#[test]
fn an_interrupted_dump_says_so_wherever_the_flag_stands() {
    let flagged = message(SOCKET, INTERRUPTED, &established(1));
    let end_flagged = message(DONE, INTERRUPTED, &errno(0));
    for datagram in [joined(&[flagged, socket(2), done()]), joined(&[socket(1), socket(2), end_flagged])] {
        let (rows, end) = walk(&datagram);
        assert_eq!((rows.len(), end.expect("no error").interrupted), (2, true));
    }
    assert!(!walk(&joined(&[socket(1), done()])).1.expect("no error").interrupted);
}

#[test]
fn a_kernel_that_lost_messages_counts_as_interrupted() {
    let (rows, end) = walk(&joined(&[socket(1), message(OVERRUN, 0, &[]), socket(2)]));
    assert_eq!((rows.len(), end.expect("no error").interrupted), (2, true));
}

#[test]
fn no_such_handler_means_no_diagnosis_in_this_kernel() {
    for kind in [ERROR, DONE] {
        let (_, end) = walk(&message(kind, 0, &errno(ENOENT)));
        assert!(matches!(end, Err(ReadError::NoSockDiag)), "{end:?}");
    }
}

#[test]
fn an_error_ends_the_dump_after_the_rows_before_it() {
    for (kind, number) in [(ERROR, EINVAL), (DONE, ENOMEM), (DONE, EINTR)] {
        let (rows, end) = walk(&joined(&[socket(1), message(kind, 0, &errno(number)), socket(2)]));
        assert_eq!(rows.len(), 1);
        match end {
            Err(ReadError::Netlink { source, .. }) => assert_eq!(source.raw_os_error(), Some(number)),
            other => panic!("{number} gave {other:?}"),
        }
    }
}

#[test]
fn error_numbers_no_kernel_sends_end_the_dump_too() {
    for number in [-EINVAL, i32::MIN, i32::MAX] {
        let (rows, end) = walk(&joined(&[message(ERROR, 0, &errno(number)), socket(1)]));
        assert!(end.is_err() && rows.is_empty(), "{number}");
    }
}

#[test]
fn an_acknowledgement_is_no_error_and_a_short_end_is_a_good_one() {
    let acknowledged = walk(&joined(&[message(ERROR, 0, &errno(0)), socket(1)]));
    assert_eq!(acknowledged.1.expect("no error").rows, 1);
    let (rows, end) = walk(&joined(&[socket(1), message(DONE, 0, &[]), socket(2)]));
    assert_eq!((rows.len(), end.expect("no error").malformed), (1, 0));
}

#[test]
fn a_header_that_promises_too_much_or_too_little_ends_the_walk_once() {
    for length in [0_u32, 1, 15, 89, 1 << 20, u32::MAX] {
        let mut broken = socket(2);
        broken[..4].copy_from_slice(&length.to_ne_bytes());
        let (rows, end) = walk(&joined(&[socket(1), broken]));
        assert_eq!((rows.len(), end.expect("no error").malformed), (1, 1), "{length}");
    }
    for length in 1..16 {
        let (rows, end) = walk(&joined(&[socket(1), vec![0; length]]));
        assert_eq!((rows.len(), end.expect("no error").malformed), (1, 1), "{length} bytes of a header");
    }
}

#[test]
fn a_message_too_short_for_a_socket_is_counted_and_passed_over() {
    for length in [0, 1, 71] {
        let short = message(SOCKET, 0, &established(1)[..length]);
        let (rows, end) = walk(&joined(&[short, socket(2)]));
        assert_eq!((rows.len(), end.expect("no error").malformed), (1, 1), "{length}");
        assert_eq!(rows[0].cookie, Some(2));
    }
}

#[test]
fn messages_and_attributes_of_odd_lengths_are_followed_by_the_next() {
    let name = attribute(4, b"bbr\0x");
    let mark = attribute(15, &0x77_u32.to_ne_bytes());
    let odd = message(SOCKET, 0, &[established(1), name, mark, vec![0; 3]].concat());
    let (rows, end) = walk(&joined(&[odd, socket(2)]));
    assert_eq!((rows.len(), end.expect("no error").malformed), (2, 0));
    assert_eq!((rows[0].congestion.as_deref(), rows[0].mark), (Some("bbr"), Some(0x77)));
    // What the first row had must not stick to the second.
    assert_eq!((rows[1].congestion.as_deref(), rows[1].mark), (None, None));
}

#[test]
fn a_broken_attribute_costs_itself_and_what_follows_but_not_the_row() {
    let mark = attribute(15, &0x77_u32.to_ne_bytes());
    for length in [0_u16, 3, 200, u16::MAX] {
        let mut broken = attribute(4, b"bbr\0");
        broken[..2].copy_from_slice(&length.to_ne_bytes());
        let (rows, end) = walk(&message(SOCKET, 0, &[established(1), mark.clone(), broken].concat()));
        assert_eq!((rows.len(), end.expect("no error").malformed), (1, 0), "{length}");
        assert_eq!((rows[0].congestion.as_deref(), rows[0].mark), (None, Some(0x77)), "{length}");
    }
    // Too short for its number: unknown, not 0.
    let (rows, _) = walk(&message(SOCKET, 0, &[established(1), attribute(15, &[0x77])].concat()));
    assert_eq!(rows[0].mark, None);
}

#[test]
fn states_and_families_tcp_does_not_have_are_counted_and_passed_over() {
    for (offset, value) in [(0, 0), (0, 1), (0, 255), (1, 0), (1, 14), (1, 255)] {
        let mut body = established(1);
        body[offset] = value;
        let (rows, end) = walk(&message(SOCKET, 0, &body));
        assert_eq!((rows.len(), end.expect("no error").malformed), (0, 1), "{value} at {offset}");
    }
}

#[test]
fn a_socket_that_comes_again_is_left_out() {
    let (rows, end) = walk(&joined(&[socket(1), socket(2), socket(1), socket(3), socket(2)]));
    assert_eq!(end.expect("no error").duplicates, 2);
    let cookies: Vec<_> = rows.iter().map(|row| row.cookie).collect();
    assert_eq!(cookies, [Some(1), Some(2), Some(3)]);
}

#[test]
fn sockets_without_a_cookie_are_not_taken_for_one_another() {
    for cookie in [u64::MAX, 0] {
        let (rows, end) = walk(&joined(&[socket(cookie), socket(cookie)]));
        assert_eq!((rows.len(), end.expect("no error").duplicates), (2, 0), "{cookie}");
        assert_eq!(rows[0].cookie, None, "{cookie}");
    }
}
