//! How large a packet the path carries: told by routers (RFC 1191, RFC 8201), or found out without them (RFC 4821).

use super::Connection;
use crate::policy::MtuProbing;
use crate::recovery::{RecoveryPhase, Trial};
use crate::{Instant, State};

/// No path has less (RFC 791: 68 bytes; below 552 Linux does not believe it either).
const LEAST_MTU_V4: u16 = 552;
/// RFC 8200 §5.
const LEAST_MTU_V6: u16 = 1280;
/// RFC 4821 §7.2: the size to begin the search from; 1024 bytes of text, as `tcp_base_mss`.
const FIRST: u16 = 1_064;
/// A gain of less is not worth a probe (`tcp_probe_threshold`).
const THRESHOLD: u16 = 8;
/// So many segments have to fit the congestion window: fewer could not tell that only the probe was lost
/// (RFC 4821 §7.4; Linux `tcp_mtu_probe`).
const LEAST_WINDOW: u32 = 11;
/// So many segments follow the probe, and one more: those that arrive tell that it did not.
const FOLLOWERS: u32 = 3;

/// The search for the largest packet (RFC 4821 §7.2). What is known to pass is the path MTU in use.
#[derive(Clone, Copy)]
pub(super) struct PathSearch {
    /// Nothing larger will pass, as far as is known.
    ceiling: u16,
    /// The size that is being tried.
    tried: Option<u16>,
    /// When the last search ended, or a router told the size.
    settled_at: Instant,
}

impl Connection {
    /// Begins at a size that nearly every path carries, where the policy has it so.
    pub(super) fn begin_path_search(&mut self, now: Instant) {
        if self.policy.mtu_probing == MtuProbing::Always && self.path_search().is_none() {
            self.set_path_search(PathSearch { ceiling: self.largest_mtu(), tried: None, settled_at: now });
            self.send.path_mtu = self.send.path_mtu.min(FIRST.max(self.least_mtu()));
        }
    }

    /// The largest packet that the device and the peer take.
    fn largest_mtu(&self) -> u16 {
        let headers = u16::MAX - self.pair.largest_text(u16::MAX);
        self.policy.mtu.min(self.send.peer_mss.saturating_add(headers))
    }

    const fn least_mtu(&self) -> u16 {
        if self.pair.remote_address.is_ipv4() { LEAST_MTU_V4 } else { LEAST_MTU_V6 }
    }

    /// Full-sized segments vanish and nobody says why: a router on the path drops what is too big and its report
    /// is lost (RFC 4821 §7.7, RFC 2923 §2.1). Smaller ones may pass.
    pub(super) fn suspect_black_hole(&mut self, now: Instant) {
        /// Timeouts in a row before it is worth a try: Linux's `tcp_retries1`.
        const PATIENCE: u8 = 3;
        let full = self
            .recovery
            .retransmission()
            .is_some_and(|(start, end)| end.offset_from(start) >= u32::from(self.segment_size()));
        if self.policy.mtu_probing == MtuProbing::Off || !full || self.recovery.backoffs() < PATIENCE {
            return;
        }
        let before = self.send.path_mtu;
        let mtu = if before > FIRST { FIRST } else { before / 2 };
        self.reduce_path_mtu(mtu);
        // Perhaps it was no black hole: the search goes up to what was sent before.
        self.set_path_search(PathSearch { ceiling: before, tried: None, settled_at: now });
    }

    /// A router has told what a link carries: nothing larger needs to be tried for a while.
    pub(super) fn hear_path_mtu(&mut self, now: Instant, mtu: u16) {
        self.reduce_path_mtu(mtu);
        if self.policy.mtu_probing != MtuProbing::Off {
            let ceiling = self.send.path_mtu;
            self.set_path_search(PathSearch { ceiling, tried: None, settled_at: now });
        }
    }

    /// The path carries less than was sent: what is in flight is sent again in smaller segments.
    fn reduce_path_mtu(&mut self, mtu: u16) {
        let mtu = mtu.max(self.least_mtu());
        // RFC 8201 §4: it only ever shrinks this way.
        if mtu >= self.send.path_mtu {
            return;
        }
        self.send.path_mtu = mtu;
        if self.state == State::SynSent {
            // What was too big is the text of the SYN: it goes again without, and at once (RFC 7413 §4.1.3).
            self.due.handshake = true;
        }
        self.recovery.on_too_large(u32::from(self.segment_size()));
    }

    /// Bytes of text for a probe, where one can be sent now (RFC 4821 §7.4): there is enough text for the probe and
    /// for segments whose arrival would show its loss, windows have room for all of it, and nothing is amiss.
    pub(super) fn probe_size(&mut self, now: Instant, unsent: u32, usable: u32) -> Option<u32> {
        let mut search = *self.path_search()?;
        if search.tried.is_some() || self.recovery.phase() != RecoveryPhase::Open {
            return None;
        }
        let low = self.send.path_mtu;
        if search.ceiling < low.saturating_add(THRESHOLD) {
            // The search is over. Routes change: it begins anew after a while (§7.6.2).
            if now.duration_since(search.settled_at) < self.policy.mtu_probe_interval {
                return None;
            }
            search.settled_at = now;
            search.ceiling = self.largest_mtu();
            self.set_path_search(search);
            if search.ceiling < low.saturating_add(THRESHOLD) {
                return None;
            }
        }
        let size = u32::from(self.segment_size());
        let tried = low + (search.ceiling - low).div_ceil(2);
        let text = size + u32::from(tried - low);
        let needed = text + (FOLLOWERS + 1) * size;
        if unsent < needed
            || usable < needed
            || self.recovery.cwnd() < LEAST_WINDOW * size
            || self.recovery.allowance() < text
            || self.record_end(self.send.next).is_some()
        {
            return None;
        }
        self.set_path_search(PathSearch { tried: Some(tried), ..search });
        Some(text)
    }

    /// What has become of the probe (RFC 4821 §7.6).
    pub(super) fn follow_probe(&mut self, now: Instant) {
        let Some(&search) = self.path_search() else { return };
        let Some(tried) = search.tried else { return };
        let mut next = PathSearch { tried: None, settled_at: now, ..search };
        match self.recovery.trial() {
            Some(Trial::UnderWay) => return,
            Some(Trial::Arrived) => {
                self.send.path_mtu = self.send.path_mtu.max(tried);
                self.recovery.set_mss(u32::from(self.segment_size()));
            }
            Some(Trial::Lost) => next.ceiling = tried - 1,
            // It was sent again for another reason: it proves nothing.
            None => {}
        }
        self.set_path_search(next);
    }
}
