//! One direction of the way between two hosts: what it does to packets, and what became of one.

use core::net::IpAddr;
use core::time::Duration;

use super::loss::LossState;
use super::{Loss, Random};
use crate::Instant;

/// What one direction of a link is like. The default is perfect: no delay, no loss, no limit.
///
/// In the middle of each link stands a router. A packet passes it after half its delay; that is
/// where captures between the hosts are taken and where reports of packets too big come from.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Link {
    /// How long a packet is on its way, once it has left the queue.
    pub delay: Duration,
    /// Up to so much is added to the delay, at random. No packet overtakes another because of it.
    pub jitter: Duration,
    /// Which packets are lost.
    pub loss: Loss,
    /// The probability that a packet arrives twice. The copy has a jitter of its own.
    pub duplication: f64,
    /// Which packets are overtaken.
    pub reordering: Reordering,
    /// The probability that one bit of a packet, any bit, arrives wrong. No checksum misses that, but IPv6 has none
    /// for hop limit, ECN and flow label.
    pub corruption: f64,
    /// Bits per second; `None`: no limit.
    pub bandwidth: Option<u64>,
    /// What waits for the bandwidth.
    pub queue: Queue,
    /// The size of the largest packet that gets past the router.
    pub mtu: Mtu,
}

impl Link {
    /// A link that takes time and does nothing else.
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// Packets that are held back, so that later ones overtake them.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Reordering {
    /// The probability that a packet is held back.
    pub probability: f64,
    /// For how long.
    pub delay: Duration,
}

/// The queue before a link of limited bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Queue {
    /// A packet that would make the queue longer than so many bytes is dropped; `None`: no limit.
    pub limit: Option<u64>,
    /// A packet that finds more than so many bytes before it is marked, if its sender takes part in ECN; `None`: never.
    pub mark_above: Option<u64>,
}

/// The size of the largest packet, and what happens to a larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mtu {
    /// There is none.
    #[default]
    Unlimited,
    /// The router drops larger packets and reports that to their sender.
    Reported(u16),
    /// The router drops larger packets and keeps silent: a black hole for path-MTU discovery (RFC 2923 §2.1).
    Silent(u16),
}

impl Mtu {
    /// In bytes, IP header included.
    pub const fn size(self) -> Option<u16> {
        match self {
            Self::Unlimited => None,
            Self::Reported(size) | Self::Silent(size) => Some(size),
        }
    }
}

/// The addresses that routers report from.
pub(super) fn router_address(about: IpAddr) -> IpAddr {
    // The blocks for documentation (RFC 5737, RFC 3849): no host of a simulation should have these.
    match about {
        IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
        IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1]),
    }
}

/// What a direction remembers from packet to packet.
#[derive(Clone, Debug, Default)]
pub(super) struct LinkState {
    loss: LossState,
    /// When the latest packet has left the queue, in nanoseconds: at high bandwidths a packet takes less
    /// than a microsecond.
    busy_until: u64,
    /// When the latest packet that was not held back arrives.
    latest_arrival: Instant,
    /// So many packets have been sent.
    pub(super) packets: u64,
}

/// What chance has in store for a packet.
pub(super) struct Chance {
    pub(super) lost: bool,
    /// Whether what happens to it happens between sender and router, not between router and receiver.
    pub(super) before_router: bool,
    pub(super) duplicated: bool,
    pub(super) held_back: bool,
    /// Picks the bit that arrives wrong.
    pub(super) corrupted: Option<u64>,
    pub(super) jitter: Duration,
    pub(super) jitter_of_copy: Duration,
}

/// When a packet leaves the queue, if it gets there.
pub(super) enum Queued {
    Leaves {
        /// In whole microseconds.
        at: Instant,
        marked: bool,
    },
    Full,
}

impl LinkState {
    /// Draws the fate of the next packet: always the same numbers in the same order, so that changing one
    /// trait of a link leaves the others' choices as they were.
    pub(super) fn draw(&mut self, link: &Link, random: &mut Random) -> Chance {
        let lost = self.loss.loses(link.loss, random);
        let before_router = random.chance(0.5);
        let duplicated = random.chance(link.duplication);
        let held_back = random.chance(link.reordering.probability);
        let corrupted = random.chance(link.corruption);
        let bit = random.next_u64();
        let jitter = random.up_to(link.jitter);
        let jitter_of_copy = random.up_to(link.jitter);
        let corrupted = corrupted.then_some(bit);
        Chance { lost, before_router, duplicated, held_back, corrupted, jitter, jitter_of_copy }
    }

    /// Puts a packet of so many bytes into the queue.
    pub(super) fn queue(&mut self, now: Instant, length: usize, link: &Link) -> Queued {
        let Some(bandwidth) = link.bandwidth else {
            return Queued::Leaves { at: now, marked: false };
        };
        // A link without any bandwidth takes for ever; a century does as well.
        let takes = |bytes: u64| {
            let nanoseconds = u128::from(bytes) * 8_000_000_000 / u128::from(bandwidth.max(1));
            u64::try_from(nanoseconds).unwrap_or(u64::MAX)
        };
        let length = length as u64;
        let now_ns = now.as_micros().saturating_mul(1_000);
        let waits = self.busy_until.saturating_sub(now_ns);
        let waiting = u128::from(waits) * u128::from(bandwidth) / 8_000_000_000;
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        if link.queue.limit.is_some_and(|limit| waiting.saturating_add(length) > limit) {
            return Queued::Full;
        }
        self.busy_until = now_ns.saturating_add(waits).saturating_add(takes(length));
        let marked = link.queue.mark_above.is_some_and(|threshold| waiting > threshold);
        Queued::Leaves { at: Instant::from_micros(self.busy_until.div_ceil(1_000)), marked }
    }

    /// When a packet arrives that leaves the queue at the given time.
    pub(super) fn arrival(&mut self, leaves: Instant, delay: Duration, held_back: bool) -> Instant {
        let arrival = leaves + delay;
        if held_back {
            return arrival;
        }
        self.latest_arrival = self.latest_arrival.max(arrival);
        self.latest_arrival
    }
}
