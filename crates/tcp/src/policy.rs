//! Every number and every choice an endpoint makes where the RFCs leave one, as one value.
//!
//! The machine itself is the same for all of them: [`Policy::rfc9293`] takes what the RFCs
//! recommend, [`Policy::linux`] what Linux does by default.

use core::time::Duration;

/// Whose habits an endpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The rules as RFC 9293 has them.
    Rfc9293,
    /// The rules with the deviations of Linux (see [`crate::rules::Deviation`]).
    Linux,
}

/// Sixteen bytes nobody outside may know: they make initial sequence numbers, cookies and
/// ports hard to guess (RFC 6528).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

/// The secret stays one.
impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// When an idle connection is asked whether its peer is alive (RFC 9293 §3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing arrives before the first probe.
    pub time: Duration,
    /// From one unanswered probe to the next.
    pub interval: Duration,
    /// So many unanswered probes end the connection.
    pub probes: u8,
}

impl Keepalive {
    /// RFC 9293 allows nothing under two hours as a default; probes and interval are those of Linux:
    /// a dead peer is noticed after 2 h 11 min 15 s.
    pub const DEFAULT: Self =
        Self { time: Duration::from_secs(7_200), interval: Duration::from_secs(75), probes: 9 };
}

/// Bounds and start of the retransmission timeout (RFC 6298).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetransmissionTimeout {
    /// Before the first measurement.
    pub initial: Duration,
    /// Never less.
    pub min: Duration,
    /// Never more.
    pub max: Duration,
}

/// How long an acknowledgment may wait for company (RFC 1122 §4.2.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelayedAck {
    /// How long an acknowledgment waits, at the most half a second.
    pub delay: Duration,
    /// So many segments at the start of a connection and behind a gap are acknowledged at once.
    pub quick: u8,
}

/// Which algorithm keeps the network from being overrun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CongestionAlgorithm {
    /// RFC 5681 and RFC 6582.
    NewReno,
    /// RFC 9438, with HyStart++ (RFC 9406).
    Cubic,
}

/// Whether the path's MTU is looked for by trying sizes (RFC 4821).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MtuProbing {
    /// Never: only what routers report counts.
    Off,
    /// Where large segments vanish without a report smaller ones are tried, and then larger ones again.
    AfterBlackHole,
    /// From the start: a connection begins with small segments and tries larger ones.
    Always,
}

/// Whether explicit congestion notification is used (RFC 3168).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EcnPolicy {
    /// Neither offered nor accepted.
    Off,
    /// Accepted where the peer offers it.
    Accept,
    /// Offered and accepted.
    Offer,
}

/// Sixteen bytes that make Fast Open cookies (RFC 7413 §4.1.2). Servers behind one address share them, Linux ones
/// too: the formula is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FastOpenSecret(pub [u8; 16]);

impl FastOpenSecret {
    /// As `net.ipv4.tcp_fastopen_key` has it: four words of eight hexadecimal digits, a dash between them.
    pub fn from_sysctl(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut words = text.trim().split('-');
        for place in bytes.chunks_exact_mut(4) {
            let word = words.next().filter(|word| !word.is_empty() && word.len() <= 8)?;
            place.copy_from_slice(&u32::from_str_radix(word, 16).ok()?.to_le_bytes());
        }
        words.next().is_none().then_some(Self(bytes))
    }
}

/// The secret stays one.
impl core::fmt::Debug for FastOpenSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FastOpenSecret(…)")
    }
}

/// TCP Fast Open (RFC 7413).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct FastOpenPolicy {
    /// Ask for cookies, and send text with the SYN where there is one.
    pub client: bool,
    /// Give out cookies, and take text that comes with a SYN and a good one.
    pub server: bool,
    /// Send text with the SYN even without a cookie: within a network one trusts.
    pub client_without_cookie: bool,
    /// Take text that comes with a SYN even without a cookie: within a network one trusts.
    pub server_without_cookie: bool,
    /// Makes the cookies; `None`: derived from [`Policy::secret`].
    pub secret: Option<FastOpenSecret>,
}

impl FastOpenPolicy {
    /// Not used at all.
    pub const OFF: Self = Self {
        client: false,
        server: false,
        client_without_cookie: false,
        server_without_cookie: false,
        secret: None,
    };
}

/// The choices of an endpoint. Plain data: take a profile and change what should be otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whose habits.
    pub profile: Profile,
    /// Makes sequence numbers hard to guess. Give every host one of its own.
    pub secret: Secret,

    /// How long TIME_WAIT lasts: 2·MSL.
    pub time_wait: Duration,
    /// Whether a reset leaves TIME_WAIT alone (RFC 1337 §4, `tcp_rfc1337`).
    pub protect_time_wait: bool,
    /// How long FIN_WAIT2 lasts once no program owns the connection; `None`: for ever.
    pub fin_wait_2_timeout: Option<Duration>,

    /// How often a SYN is sent again before the open fails.
    pub syn_retries: u8,
    /// How often a SYN+ACK is.
    pub syn_ack_retries: u8,
    /// How often anything else is (R2 of RFC 9293 §3.8.3).
    pub retries: u8,
    /// How often anything is once no program owns the connection.
    pub orphan_retries: u8,
    /// How often the SYN is sent again at a steady pace before the timeout begins to double.
    pub syn_linear_timeouts: u8,
    /// Bounds of the retransmission timeout.
    pub rto: RetransmissionTimeout,
    /// How long what was sent may stay unacknowledged, whatever the retries; `None`: no limit.
    pub user_timeout: Option<Duration>,
    /// Whether the user timeout is told to the peer, and the peer's advice taken (RFC 5482).
    pub user_timeout_option: bool,
    /// Keepalive; `None`: off.
    pub keepalive: Option<Keepalive>,

    /// How acknowledgments are delayed.
    pub delayed_ack: DelayedAck,
    /// Whether small segments wait while something is unacknowledged (Nagle, RFC 9293 §3.7.4).
    pub nagle: bool,

    /// Largest IP packet the path is taken to carry at first.
    pub mtu: u16,
    /// Largest segment text offered to the peer; `None`: as the MTU allows.
    pub mss: Option<u16>,
    /// The smallest maximum segment size taken from a peer: less would cost more headers than text.
    pub min_mss: u16,
    /// Whether the path's MTU is looked for without the help of routers (RFC 4821, `tcp_mtu_probing`).
    pub mtu_probing: MtuProbing,
    /// How long after a search has ended the next begins (`tcp_probe_interval`).
    pub mtu_probe_interval: Duration,

    /// Bytes of text that wait to be sent or acknowledged, at the most.
    pub send_buffer: u32,
    /// Bytes of received text that wait to be read: at first, …
    pub receive_buffer: u32,
    /// … and at the most, as the program proves to read quickly.
    pub receive_buffer_max: u32,
    /// Whether window scaling is offered (RFC 7323 §2).
    pub window_scaling: bool,
    /// Whether timestamps are offered (RFC 7323 §3).
    pub timestamps: bool,
    /// Whether selective acknowledgments are offered (RFC 2018).
    pub sack: bool,
    /// Whether explicit congestion notification is.
    pub ecn: EcnPolicy,
    /// Whether text may come with the SYN.
    pub fast_open: FastOpenPolicy,

    /// The congestion control.
    pub congestion: CongestionAlgorithm,
    /// Segments that may be sent before the first acknowledgment (RFC 6928).
    pub initial_window: u16,
    /// Whether transmissions are spread over the round trip instead of sent in bursts.
    pub pacing: bool,
    /// Largest text handed out in one transmission, for devices that cut segments themselves;
    /// 0: one segment at a time.
    pub segmentation_offload: u32,
    /// With it, at least so many segments at once, however slow the path (`tcp_min_tso_segs`).
    pub least_offload: u8,
    /// Whether the congestion window shrinks while nothing is sent (RFC 5681 §4.1, `tcp_slow_start_after_idle`).
    pub restart_after_idle: bool,
    /// Whether the last segment is sent again early when nothing is heard (RFC 8985 §7, `tcp_early_retrans`).
    pub tail_loss_probes: bool,

    /// Whether connections count what happens to them ([`crate::Connection::counters`]); it takes a little memory.
    pub counters: bool,

    /// At least this long from one answer to an unacceptable segment to the next
    /// (`tcp_invalid_ratelimit`); zero: answer each.
    pub invalid_rate_limit: Duration,
    /// Challenge ACKs a connection sends in one second (RFC 5961 §7).
    pub challenge_ack_limit: u32,
}

impl Policy {
    /// What the RFCs recommend.
    pub const fn rfc9293() -> Self {
        Self {
            profile: Profile::Rfc9293,
            secret: Secret([0; 16]),
            // MSL is two minutes (RFC 9293 §3.4.2).
            time_wait: Duration::from_secs(240),
            protect_time_wait: false,
            fin_wait_2_timeout: None,
            // R2 for a SYN is at least three minutes, for anything else at least 100 seconds (§3.8.3).
            syn_retries: 7,
            syn_ack_retries: 7,
            retries: 8,
            orphan_retries: 8,
            syn_linear_timeouts: 0,
            rto: RetransmissionTimeout {
                initial: Duration::from_secs(1),
                min: Duration::from_secs(1),
                max: Duration::from_secs(60),
            },
            // §3.9.1.1: the default of OPEN's timeout is five minutes.
            user_timeout: Some(Duration::from_secs(300)),
            user_timeout_option: false,
            keepalive: None,
            delayed_ack: DelayedAck { delay: Duration::from_millis(200), quick: 0 },
            nagle: true,
            mtu: 1500,
            mss: None,
            min_mss: 64,
            mtu_probing: MtuProbing::AfterBlackHole,
            mtu_probe_interval: Duration::from_secs(600),
            send_buffer: 1 << 20,
            receive_buffer: 1 << 16,
            receive_buffer_max: 6 << 20,
            window_scaling: true,
            timestamps: true,
            sack: true,
            ecn: EcnPolicy::Accept,
            fast_open: FastOpenPolicy::OFF,
            congestion: CongestionAlgorithm::NewReno,
            initial_window: 10,
            pacing: false,
            segmentation_offload: 0,
            least_offload: 2,
            restart_after_idle: true,
            tail_loss_probes: true,
            counters: false,
            invalid_rate_limit: Duration::ZERO,
            challenge_ack_limit: 1_000,
        }
    }

    /// What Linux does with the default values of its sysctls.
    pub const fn linux() -> Self {
        Self {
            profile: Profile::Linux,
            // TCP_TIMEWAIT_LEN, a constant.
            time_wait: Duration::from_secs(60),
            fin_wait_2_timeout: Some(Duration::from_secs(60)),
            syn_retries: 6,
            syn_ack_retries: 5,
            retries: 15,
            // tcp_orphan_retries 0 acts as 8.
            orphan_retries: 8,
            syn_linear_timeouts: 4,
            rto: RetransmissionTimeout {
                initial: Duration::from_secs(1),
                min: Duration::from_millis(200),
                max: Duration::from_secs(120),
            },
            user_timeout: None,
            delayed_ack: DelayedAck { delay: Duration::from_millis(40), quick: 16 },
            min_mss: 48,
            mtu_probing: MtuProbing::Off,
            send_buffer: 4 << 20,
            congestion: CongestionAlgorithm::Cubic,
            invalid_rate_limit: Duration::from_millis(500),
            fast_open: FastOpenPolicy { client: true, ..FastOpenPolicy::OFF },
            ..Self::rfc9293()
        }
    }

    /// Whether the endpoint has Linux's habits.
    pub const fn is_linux(&self) -> bool {
        matches!(self.profile, Profile::Linux)
    }

    /// The scale with which this side's window is announced: the smallest that lets the largest
    /// receive buffer be told in sixteen bits, 14 at the most (RFC 7323 §2.3).
    pub const fn window_scale(&self) -> u8 {
        let mut scale = 0;
        while scale < 14 && (self.receive_buffer_max >> scale) > u16::MAX as u32 {
            scale += 1;
        }
        scale
    }
}

/// What Linux does: the peer most programs will meet.
impl Default for Policy {
    fn default() -> Self {
        Self::linux()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_scale_is_the_smallest_that_suffices() {
        let scale = |size| Policy { receive_buffer_max: size, ..Policy::linux() }.window_scale();
        assert_eq!(
            (scale(1), scale(65_535), scale(65_536), scale(6 << 20), scale(u32::MAX)),
            (0, 0, 1, 7, 14)
        );
    }
}
