//! Proportional rate reduction (RFC 6937): how the window comes down to the threshold during recovery.

/// The state of RFC 6937 §3, and the window it gave at the last acknowledgment. All in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Prr {
    /// prr_delivered.
    delivered: u32,
    /// prr_out.
    out: u32,
    /// RecoverFS: the flight when recovery began.
    flight: u32,
    window: u32,
}

/// What an acknowledgment says to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    /// DeliveredData.
    pub(super) bytes: u32,
    /// What is in the network, this acknowledgment counted.
    pub(super) pipe: u32,
    pub(super) threshold: u32,
    pub(super) mss: u32,
    /// Whether SND.UNA advanced and nothing more was lost, so that slow start up to the threshold does no harm.
    /// RFC 6937 left the choice of the bound open; Linux and RFC 9937 (SafeACK) decide like this.
    pub(super) safe: bool,
    /// Whether a segment has to be sent again whatever the window says (RFC 6582 §3.2 step 5).
    pub(super) urgent: bool,
}

impl Prr {
    /// Recovery begins with `flight` bytes outstanding, of which `pipe` are in the network.
    pub(super) fn start(&mut self, flight: u32, pipe: u32) {
        *self = Self { delivered: 0, out: 0, flight: flight.max(1), window: pipe };
    }

    /// RFC 6937 §3.1.
    pub(super) fn on_ack(&mut self, delivery: &Delivery) {
        let &Delivery { bytes, pipe, threshold, mss, safe, urgent } = delivery;
        self.delivered = self.delivered.saturating_add(bytes);
        let mut send = if pipe > threshold {
            // Proportional rate reduction: CEIL(prr_delivered · ssthresh / RecoverFS) − prr_out.
            let share = (u64::from(self.delivered) * u64::from(threshold)).div_ceil(u64::from(self.flight));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            // The reduction bound: conservative, with slow start where it is safe.
            let limit = self.delivered.saturating_sub(self.out).max(bytes);
            limit.saturating_add(if safe { mss } else { 0 }).min(threshold - pipe)
        };
        if self.out == 0 || urgent {
            // So does the fast retransmit itself.
            send = send.max(mss);
        }
        self.window = pipe.saturating_add(send);
    }

    pub(super) fn on_sent(&mut self, bytes: u32) {
        self.out = self.out.saturating_add(bytes);
    }

    pub(super) fn window(&self) -> u32 {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// The window begins at 20 segments and the threshold is 10, the first of 20 is lost: one segment goes out
    /// for every two that arrive, and the pipe ends at the threshold (RFC 6937 §4 draws such a case).
    #[test]
    fn sends_one_segment_for_two_delivered() {
        let mut prr = Prr::default();
        let mut pipe = 16 * MSS;
        let mut sent = 0;
        prr.start(20 * MSS, pipe);
        let mut each = Vec::new();
        for _ in 0..16 {
            pipe -= MSS;
            let delivery =
                Delivery { bytes: MSS, pipe, threshold: 10 * MSS, mss: MSS, safe: false, urgent: false };
            prr.on_ack(&delivery);
            let send = (prr.window() - pipe) / MSS * MSS;
            prr.on_sent(send);
            pipe += send;
            sent += send;
            each.push(send / MSS);
        }
        // The first is the fast retransmit, half a segment ahead of its share.
        assert_eq!(each[..8], [1, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!((pipe, sent), (10 * MSS, 10 * MSS), "and no less than the threshold");
    }

    /// Where more was lost than the window had to shrink by, the pipe grows back to the threshold, by a segment
    /// more than was delivered for each acknowledgment that is safe.
    #[test]
    fn grows_back_to_the_threshold_by_slow_start() {
        let mut prr = Prr::default();
        prr.start(20 * MSS, 4 * MSS);
        let delivery =
            |pipe, safe| Delivery { bytes: MSS, pipe, threshold: 10 * MSS, mss: MSS, safe, urgent: false };
        prr.on_ack(&delivery(4 * MSS, false));
        assert_eq!(prr.window(), 5 * MSS);
        prr.on_sent(MSS);
        prr.on_ack(&delivery(4 * MSS, true));
        assert_eq!(prr.window(), 6 * MSS);
        prr.on_sent(2 * MSS);
        prr.on_ack(&delivery(9 * MSS, true));
        assert_eq!(prr.window(), 10 * MSS, "never beyond the threshold");
    }

    #[test]
    fn the_first_retransmission_always_goes_out() {
        let mut prr = Prr::default();
        prr.start(20 * MSS, 20 * MSS);
        prr.on_ack(&Delivery {
            bytes: 0,
            pipe: 20 * MSS,
            threshold: 10 * MSS,
            mss: MSS,
            safe: false,
            urgent: false,
        });
        assert_eq!(prr.window(), 21 * MSS);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut prr = Prr::default();
        prr.start(0, u32::MAX);
        for _ in 0..3 {
            prr.on_ack(&Delivery {
                bytes: u32::MAX,
                pipe: u32::MAX - 1,
                threshold: 1,
                mss: u32::MAX,
                safe: true,
                urgent: false,
            });
            prr.on_ack(&Delivery {
                bytes: u32::MAX,
                pipe: 0,
                threshold: u32::MAX,
                mss: u32::MAX,
                safe: true,
                urgent: false,
            });
            prr.on_sent(u32::MAX);
        }
    }
}
