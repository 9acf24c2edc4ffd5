//! Whatever the bytes: no panic, no endless walk, no row that contradicts itself.

use eleven_linux::proc::sockets;
use eleven_snapshot::{KernelOnly, Socket};
use eleven_tcp::State;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::build::{DONE, ERROR, OVERRUN, SOCKET, attribute, established, message};
use crate::hex;
use crate::walk::walk;

fn check_row(row: &Socket) {
    assert_eq!(row.recv_queue.is_some(), row.state != State::Listen);
    assert_eq!(row.backlog.is_some(), row.state == State::Listen);
    assert_eq!(row.age_ms.is_some(), row.age_is_lower_bound.is_some());
    assert_ne!((row.local_port, row.remote_port), (Some(0), Some(0)));
    assert!(!row.kind.is_mini() || row.uid.is_none());
    assert!(row.inode.is_some() || row.uid != Some(0), "a socket without a file became root's");
    assert!(!matches!(row.no_owner, Some(KernelOnly::Unreadable)), "owners were not looked up");
}

/// Walks the bytes; the walk takes at least 16 of them for each message.
fn check(bytes: &[u8]) {
    let (rows, end) = walk(bytes);
    rows.iter().for_each(check_row);
    assert!(rows.len() <= bytes.len() / 16);
    if let Ok(end) = end {
        assert_eq!(end.rows, rows.len() as u64);
        assert!(end.rows + end.duplicates + end.malformed <= bytes.len() as u64 / 16 + 1);
    }
}

/// Messages with a right frame and anything inside: plain noise seldom gets past a header.
fn framed() -> impl Strategy<Value = Vec<u8>> {
    let attributes = vec((0..24_u16, vec(any::<u8>(), 0..300)), 0..4)
        .prop_map(|list| list.iter().flat_map(|(kind, value)| attribute(*kind, value)).collect::<Vec<u8>>());
    let fixed = vec(any::<u8>(), 72).prop_map(|mut body| {
        let template = established(0);
        // Half of them pass for TCP.
        if body[2] % 2 == 0 {
            body[0] = template[0];
            body[1] = body[1] % 13 + 1;
        }
        body
    });
    let kinds = select(vec![SOCKET, SOCKET, SOCKET, SOCKET, 18, ERROR, DONE, OVERRUN]);
    vec((kinds, any::<u16>(), fixed, attributes), 0..6).prop_map(|list| {
        list.iter()
            .flat_map(|(kind, flags, fixed, attributes)| {
                message(*kind, *flags, &[fixed.as_slice(), attributes].concat())
            })
            .collect()
    })
}

/// Lines that look like a table's, for the same reason.
fn table() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[ 0-9A-F:]{0,160}",
        "  0: [0-9A-F]{8}:[0-9A-F]{4} [0-9A-F]{8}:[0-9A-F]{4} 0[1-9A-F] [0-9A-F]{8}:[0-9A-F]{8} 0[0-4]:[0-9A-F]{8} [0-9A-F]{8} {1,4}[0-9]{1,10} 0 [0-9]{1,20} 1",
        "  0: [0-9A-F]{32}:[0-9A-F]{4} [0-9A-F]{32}:[0-9A-F]{4} 0[1-9A-F] [0-9A-F]{8}:[0-9A-F]{8} 0[0-4]:[0-9A-F]{8} [0-9A-F]{8} 0 0 [0-9]{1,20} 1",
        "\\PC{0,40}",
    ];
    vec(line, 0..8).prop_map(|lines| format!("heading\n{}", lines.join("\n")))
}

proptest! {
    #[test]
    fn any_bytes_are_walked_to_an_end(bytes in vec(any::<u8>(), 0..2000)) {
        check(&bytes);
    }

    #[test]
    fn any_messages_are_walked_to_an_end(bytes in framed()) {
        check(&bytes);
    }

    #[test]
    fn any_changed_byte_of_a_recorded_message_is_survived(at: Index, byte: u8) {
        for (_, mut bytes) in hex::recorded() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            check(&bytes);
        }
    }

    #[test]
    fn any_bytes_pass_the_tables_of_proc(bytes in vec(any::<u8>(), 0..5000)) {
        let lines = bytes.split(|byte| *byte == b'\n').count() as u64;
        let end = sockets::read_any_bytes(&bytes);
        // Each table is read twice, and a line of any length is several at most.
        prop_assert!(end.rows + end.malformed <= 2 * (lines + 2));
    }

    #[test]
    fn any_lines_pass_the_tables_of_proc(text in table()) {
        let lines = text.lines().count() as u64;
        let end = sockets::read_any_bytes(text.as_bytes());
        prop_assert_eq!(end.duplicates, 0);
        prop_assert!(end.rows + end.malformed <= 2 * lines);
    }
}
