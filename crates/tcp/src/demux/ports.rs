//! Ephemeral ports: which port to call from (RFC 6056).

use alloc::vec;
use alloc::vec::Vec;

use crate::FourTuple;
use crate::hash::{Keyed, Purpose};
use crate::policy::Secret;

/// Counters of the double hash. More of them tell less about how many connections go elsewhere (RFC 6056 §3.3.4).
const COUNTERS: usize = 1024;

/// Chooses ephemeral ports by double hash: RFC 6056 algorithm 4, as Linux does.
///
/// Where the search begins depends on both addresses and the remote port, and on a counter shared by a few such
/// destinations: so ports to one destination follow on each other, which keeps a port from coming back soon, while
/// somebody who sees those to one destination cannot tell those to another.
#[derive(Clone, Debug, Default)]
pub(super) struct EphemeralPorts {
    first: u16,
    count: u32,
    /// Empty until the first port is wanted.
    counters: Vec<u32>,
}

impl EphemeralPorts {
    /// Ports from the first to the last of `range`. Port 0 is none, and an empty range gives none.
    pub(super) fn new((first, last): (u16, u16)) -> Self {
        let first = first.max(1);
        let count = (u32::from(last) + 1).saturating_sub(u32::from(first));
        Self { first, count, counters: Vec::new() }
    }

    /// A free port for a connection with these addresses and this remote port; `pair.local_port` does not matter.
    /// `None` if none is free; each is asked for once.
    ///
    /// Like Linux it takes every second port first, so that the others are left for programs that bind without
    /// saying where they will connect.
    pub(super) fn choose(
        &mut self,
        pair: &FourTuple,
        secret: &Secret,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        if self.count == 0 {
            return None;
        }
        if self.counters.is_empty() {
            self.counters = vec![0; COUNTERS];
        }
        let offset = hash(pair, secret, Purpose::PortOffset) as u32;
        let index = hash(pair, secret, Purpose::PortTable) as usize % COUNTERS;
        let counter = self.counters[index];
        let start = offset.wrapping_add(counter);

        for parity in 0..self.count.min(2) {
            // How many ports there are of this parity.
            let ports = (self.count - parity).div_ceil(2);
            for step in 0..ports {
                let nth = ((u64::from(start) + u64::from(step)) % u64::from(ports)) as u32;
                let port = self.first + (2 * nth + parity) as u16;
                if is_free(port) {
                    // A step of one to eight keeps others from counting our connections.
                    let jump = Keyed::new(secret, Purpose::PortStep).number(u64::from(start)).finish() % 8;
                    self.counters[index] = counter.wrapping_add(step).wrapping_add(1 + jump as u32);
                    return Some(port);
                }
            }
        }
        None
    }
}

fn hash(pair: &FourTuple, secret: &Secret, purpose: Purpose) -> u64 {
    Keyed::new(secret, purpose)
        .address(pair.local_address)
        .socket(pair.remote_address, pair.remote_port)
        .finish()
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const SECRET: Secret = Secret([3; 16]);
    const RANGE: (u16, u16) = (32_768, 60_999);

    fn to(host: u8) -> FourTuple {
        FourTuple {
            local_address: Ipv4Addr::new(10, 0, 0, 1).into(),
            remote_address: Ipv4Addr::new(10, 0, 0, host).into(),
            local_port: 0,
            remote_port: 443,
        }
    }

    #[test]
    fn a_port_does_not_come_back_soon() {
        let mut ports = EphemeralPorts::new(RANGE);
        let mut seen = HashSet::new();
        let fresh =
            (0..1_000).filter(|_| seen.insert(ports.choose(&to(9), &SECRET, |_| true).unwrap())).count();
        assert_eq!(fresh, 1_000);
        assert!(seen.iter().all(|port| port % 2 == 0), "even ones first");
    }

    #[test]
    fn one_destination_says_nothing_about_another() {
        let mut ports = EphemeralPorts::new(RANGE);
        let mut firsts = HashSet::new();
        for host in 0..200 {
            firsts.insert(ports.choose(&to(host), &SECRET, |_| true).unwrap());
        }
        assert!(firsts.len() > 190, "{}", firsts.len());
        let other = EphemeralPorts::new(RANGE).choose(&to(9), &Secret([4; 16]), |_| true);
        assert_ne!(other, EphemeralPorts::new(RANGE).choose(&to(9), &SECRET, |_| true));
    }

    #[test]
    fn narrow_and_empty_ranges() {
        assert_eq!(EphemeralPorts::new((0, 0)).choose(&to(9), &SECRET, |_| true), None);
        assert_eq!(EphemeralPorts::new((9, 3)).choose(&to(9), &SECRET, |_| true), None);
        assert_eq!(EphemeralPorts::new((7, 7)).choose(&to(9), &SECRET, |_| true), Some(7));
        assert_eq!(EphemeralPorts::new((65_535, 65_535)).choose(&to(9), &SECRET, |_| true), Some(65_535));
        assert_eq!(EphemeralPorts::new((0, 1)).choose(&to(9), &SECRET, |_| true), Some(1));
    }

    proptest! {
        /// Each port of the range is asked for exactly once, whatever was chosen before.
        #[test]
        fn the_last_free_port_is_found(first in any::<u16>(), count in 1..300_u16, free in any::<u16>(), before in 0..20) {
            let last = first.saturating_add(count - 1);
            let mut ports = EphemeralPorts::new((first, last));
            for _ in 0..before {
                ports.choose(&to(9), &SECRET, |_| true);
            }
            let low = first.max(1);
            if last < low {
                return Ok(());
            }
            let free = low + free % (last - low + 1);
            let mut asked = HashSet::new();
            let port = ports.choose(&to(9), &SECRET, |port| {
                assert!(asked.insert(port), "asked twice");
                port == free
            });
            prop_assert_eq!(port, Some(free));
            asked.clear();
            prop_assert_eq!(ports.choose(&to(9), &SECRET, |port| !asked.insert(port)), None);
            prop_assert_eq!(asked.len(), usize::from(last - low) + 1);
            prop_assert!(asked.iter().all(|port| (low..=last).contains(port)));
        }
    }
}
