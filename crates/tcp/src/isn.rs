//! Initial sequence numbers (RFC 6528), and where each pair's timestamps begin.

use crate::hash::{Keyed, Purpose};
use crate::policy::Secret;
use crate::{FourTuple, Instant, Policy, SeqNumber};

/// The initial sequence number of a connection: ISN = M + F(addresses, ports, secret) (RFC 6528 §3).
///
/// M is a clock, so that a pair of sockets that is used again begins behind where it ended: a tick is 4 µs
/// (RFC 9293 §3.4.1), for Linux 64 ns (`secure_tcp_seq`).
pub(crate) fn initial_sequence_number(policy: &Policy, pair: &FourTuple, now: Instant) -> SeqNumber {
    let micros = now.as_micros();
    // 1000/64 ticks a microsecond; only the low 32 bits matter, and wrapping keeps them.
    let clock = if policy.is_linux() { micros.wrapping_mul(125) / 8 } else { micros / 4 };
    let offset = Keyed::new(&policy.secret, Purpose::SequenceNumber).pair(pair).finish();
    SeqNumber((clock as u32).wrapping_add(offset as u32))
}

/// What a connection adds to its clock for its timestamps (RFC 7323 §5.4), so that they do not tell how long the
/// host has been up.
///
/// It is the same for all connections between two addresses, so that a later one can be told from an earlier one
/// by its timestamps (RFC 6191, Linux `secure_tcp_ts_off`).
pub(crate) fn timestamp_offset(secret: &Secret, pair: &FourTuple) -> u32 {
    Keyed::new(secret, Purpose::TimestampOffset)
        .address(pair.local_address)
        .address(pair.remote_address)
        .finish() as u32
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::collections::HashSet;

    use super::*;

    fn pair(port: u16) -> FourTuple {
        FourTuple {
            local_address: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote_address: Ipv4Addr::new(10, 0, 0, 9).into(),
            local_port: port,
            remote_port: 443,
        }
    }

    fn policy(secret: u8) -> Policy {
        Policy { secret: Secret([secret; 16]), ..Policy::rfc9293() }
    }

    #[test]
    fn a_pair_goes_on_where_its_clock_is() {
        let number = |micros| initial_sequence_number(&policy(7), &pair(1), Instant::from_micros(micros));
        assert_eq!(number(4), number(0) + 1);
        assert_eq!(number(1_000_000), number(0) + 250_000);
        // It comes round after 4.77 hours.
        assert_eq!(number(4 << 32), number(0));
        let linux = Policy { secret: Secret([7; 16]), ..Policy::linux() };
        let number = |micros| initial_sequence_number(&linux, &pair(1), Instant::from_micros(micros));
        assert_eq!(number(8), number(0) + 125);
        assert_eq!(number(1_000_000), number(0) + 15_625_000);
        // Whatever the time.
        let _ = (number(u64::MAX), number(u64::MAX / 125 + 1));
    }

    #[test]
    fn other_pairs_and_other_secrets_begin_elsewhere() {
        let mut seen = HashSet::new();
        for port in 0..500 {
            for secret in 0..4 {
                seen.insert(initial_sequence_number(&policy(secret), &pair(port), Instant::ZERO));
            }
            seen.insert(initial_sequence_number(&policy(0), &pair(port).reversed(), Instant::ZERO));
        }
        assert!(seen.len() > 2_490, "{}", seen.len());
    }

    #[test]
    fn timestamps_of_a_pair_of_addresses_begin_alike() {
        let secret = Secret([7; 16]);
        assert_eq!(timestamp_offset(&secret, &pair(1)), timestamp_offset(&secret, &pair(2)));
        assert_ne!(timestamp_offset(&secret, &pair(1)), timestamp_offset(&secret, &pair(1).reversed()));
        assert_ne!(timestamp_offset(&secret, &pair(1)), timestamp_offset(&Secret([8; 16]), &pair(1)));
    }
}
