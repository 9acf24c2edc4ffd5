//! Messages of a real kernel read as they did when they were recorded.

use eleven_snapshot::Socket;

use crate::hex;
use crate::walk::{portable, walk};

#[test]
fn every_recorded_message_reads_as_the_row_beside_it() {
    for (name, bytes) in hex::recorded() {
        let (rows, end) = walk(&bytes);
        let end = end.expect("no recorded message is an error");
        assert_eq!((end.rows, end.malformed, end.duplicates), (1, 0, 0), "{name}");
        let expected = std::fs::read_to_string(hex::directory().join(format!("{name}.json")))
            .unwrap_or_else(|error| panic!("{name}.json: {error}"));
        let expected: Socket = serde_json::from_str(&expected).expect("rows are JSON");
        assert_eq!(portable(&rows[0]), expected, "{name}");
    }
}

#[test]
fn recorded_messages_in_one_datagram_are_all_read() {
    let recorded = hex::recorded();
    let datagram: Vec<u8> = recorded.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let (rows, end) = walk(&datagram);
    assert_eq!(end.expect("no error is among them").rows, recorded.len() as u64);
    assert_eq!(rows.len(), recorded.len());
}

#[test]
fn a_message_cut_anywhere_gives_no_socket() {
    for (name, bytes) in hex::recorded() {
        for length in 0..bytes.len() {
            let (rows, end) = walk(&bytes[..length]);
            // The header promises more bytes than there are.
            assert_eq!(rows, Vec::new(), "{name} after {length}");
            assert_eq!(end.expect("no error").malformed, u64::from(length > 0), "{name} after {length}");
        }
    }
}
