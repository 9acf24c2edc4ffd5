//! What the user of a tracker chooses.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// What is done with segments whose checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Checksums {
    /// They are marked and used. Captures of a sender's own packets are full of them where its device sums.
    #[default]
    Flag,
    /// They are used like all others.
    Ignore,
    /// They are marked and left out, as Zeek does.
    Drop,
}

/// Choices of a tracker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long TIME_WAIT lasts: 2·MSL. Linux: 60 s, RFC 9293: 240 s.
    pub time_wait: Duration,
    /// At most so many flows are kept, finished ones included; more are handed out early
    /// ([`crate::Tracker::drain_evicted`]).
    pub max_flows: usize,
    /// What is done with wrong checksums.
    pub checksums: Checksums,
    /// Whether Zeek's `conn_state` and `history` are kept along.
    pub zeek: bool,
    /// So many unfinished handshakes with one socket within ten seconds are a flood.
    pub flood_threshold: u32,
    /// So many sockets that one source tries in vain within ten seconds are a scan.
    pub scan_threshold: u32,
    /// The key of the hash of sockets. Who shards flows over trackers gives all of them the same.
    pub hash_key: [u8; 16],
}

impl Default for Settings {
    /// Linux's 2·MSL, a million flows, and a key nobody outside can guess.
    fn default() -> Self {
        let random = RandomState::new();
        let mut hash_key = [0; 16];
        hash_key[..8].copy_from_slice(&random.hash_one(1_u8).to_ne_bytes());
        hash_key[8..].copy_from_slice(&random.hash_one(2_u8).to_ne_bytes());
        Self {
            time_wait: Duration::from_secs(60),
            max_flows: 1_000_000,
            checksums: Checksums::Flag,
            zeek: true,
            flood_threshold: 200,
            scan_threshold: 25,
            hash_key,
        }
    }
}
