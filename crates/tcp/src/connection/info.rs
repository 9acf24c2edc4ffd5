//! A connection described in numbers, as `TCP_INFO` does.

use core::time::Duration;

use super::Connection;
use crate::{SeqNumber, State};

pub use crate::recovery::RecoveryPhase as Phase;

/// What a connection knows about itself and its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The state.
    pub state: State,
    /// Smoothed round trip time, if measured.
    pub rtt: Option<Duration>,
    /// Its mean deviation.
    pub rtt_variation: Option<Duration>,
    /// The shortest of the last minutes.
    pub min_rtt: Option<Duration>,
    /// The retransmission timeout, backoff counted.
    pub rto: Duration,
    /// Retransmission timeouts since anything was acknowledged.
    pub backoffs: u8,
    /// Unanswered window or keepalive probes.
    pub probes: u8,
    /// The congestion window in bytes.
    pub congestion_window: u32,
    /// The slow start threshold in bytes; `None`: none yet.
    pub slow_start_threshold: Option<u32>,
    /// Text of the largest segment sent, in bytes.
    pub send_mss: u16,
    /// Text of the largest segment received, in bytes.
    pub receive_mss: u16,
    /// What the path is taken to carry: the largest IP packet.
    pub path_mtu: u16,
    /// SND.UNA.
    pub send_unacknowledged: SeqNumber,
    /// SND.NXT.
    pub send_next: SeqNumber,
    /// SND.WND in bytes.
    pub send_window: u32,
    /// RCV.NXT.
    pub receive_next: SeqNumber,
    /// RCV.WND in bytes, as announced.
    pub receive_window: u32,
    /// Bytes sent and not acknowledged by number.
    pub outstanding: u32,
    /// Bytes taken to be in the network.
    pub in_flight: u32,
    /// Whether lost text is being sent again.
    pub in_recovery: bool,
    /// Whether timestamps are in use.
    pub timestamps: bool,
    /// Whether selective acknowledgments are.
    pub sack: bool,
    /// The shifts of the peer's and of our windows.
    pub window_scales: Option<(u8, u8)>,
    /// Whether explicit congestion notification is in use.
    pub ecn: bool,
    /// At which rate to send, in bytes a second.
    pub pacing_rate: Option<u64>,
    /// What is being done about losses.
    pub phase: Phase,
    /// Bytes acknowledged selectively only.
    pub sacked: u32,
    /// Bytes taken for lost.
    pub lost: u32,
    /// Bytes sent again and not acknowledged since.
    pub retransmitted: u32,
    /// The maximum segment size told to the peer.
    pub advertised_mss: u16,
    /// Whether text went with the SYN and was taken (RFC 7413).
    pub fast_open: bool,
    /// The largest window the peer ever announced.
    pub largest_window: u32,
}

impl Connection {
    /// Its numbers.
    pub fn info(&self) -> Info {
        let recovery = &self.recovery;
        Info {
            state: self.state,
            rtt: recovery.srtt(),
            rtt_variation: recovery.rttvar(),
            min_rtt: recovery.min_rtt(),
            rto: recovery.rto(),
            backoffs: recovery.backoffs(),
            probes: self.timers.persist_probes.max(self.timers.keepalive_probes),
            congestion_window: recovery.cwnd(),
            slow_start_threshold: Some(recovery.ssthresh()).filter(|threshold| *threshold != u32::MAX),
            send_mss: self.segment_size(),
            receive_mss: self.receive.segment_size,
            path_mtu: self.send.path_mtu,
            send_unacknowledged: self.send.unacknowledged,
            send_next: self.send.next,
            send_window: self.send.window,
            receive_next: self.receive.next,
            receive_window: self.receive_window().size,
            outstanding: recovery.outstanding(),
            in_flight: recovery.pipe(),
            in_recovery: recovery.in_recovery(),
            timestamps: self.agreed.timestamps,
            sack: self.agreed.sack,
            window_scales: self
                .agreed
                .window_scaling
                .then_some((self.agreed.send_scale, self.agreed.receive_scale)),
            ecn: self.agreed.ecn,
            pacing_rate: recovery.pacing_rate(),
            phase: recovery.phase(),
            sacked: recovery.sacked(),
            lost: recovery.lost(),
            retransmitted: recovery.retransmitted(),
            advertised_mss: self.advertised_mss(),
            fast_open: self.agreed.fast_open,
            largest_window: self.send.largest_window,
        }
    }
}
