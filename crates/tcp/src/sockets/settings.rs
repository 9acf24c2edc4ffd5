//! The sysctls of a host, as Linux names them.

use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use crate::demux::HostOptions;
use crate::policy::{CongestionAlgorithm, EcnPolicy, Keepalive, MtuProbing, Secret};
use crate::{Policy, fast_open::FastOpenSecret};

/// What the sysctls under `net.ipv4.tcp_` come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The policy of a socket that is made now.
    pub policy: Policy,
    /// The bits of `tcp_fastopen`.
    pub fast_open: u32,
    /// `tcp_notsent_lowat`: unsent bytes from which on a socket is not writable.
    pub unsent_low: u32,
    /// `tcp_syncookies`.
    pub syn_cookies: u8,
    /// Largest listen backlog, `net.core.somaxconn`.
    pub backlog: u32,
    /// `tcp_max_syn_backlog`: half-open connections of a listener, of which three quarters may be strangers while there
    /// are no cookies (`tcp_conn_request`).
    pub syn_backlog: u32,
    /// `tcp_abort_on_overflow`: a connection that finds the accept queue full is reset.
    pub abort_on_overflow: bool,
    /// `ip_local_port_range`, `tcp_tw_reuse` and `tcp_max_tw_buckets`.
    pub host: HostOptions,
}

/// A setting that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingError {
    /// The value is none for this setting.
    Value {
        /// The setting.
        name: String,
        /// What it should be.
        value: String,
    },
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Value { name, value } = self;
        write!(
            f,
            "{name} cannot be {value:?}: a number is expected, three for tcp_rmem and tcp_wmem, two for \
             ip_local_port_range"
        )
    }
}

impl core::error::Error for SettingError {}

/// The settings that [`Settings::set`] heeds, without the `net.ipv4.` before them.
pub const NAMES: [&str; 33] = [
    "tcp_timestamps",
    "tcp_sack",
    "tcp_window_scaling",
    "tcp_rmem",
    "tcp_wmem",
    "tcp_syn_retries",
    "tcp_synack_retries",
    "tcp_syn_linear_timeouts",
    "tcp_retries2",
    "tcp_orphan_retries",
    "tcp_ecn",
    "tcp_fastopen",
    "tcp_fastopen_key",
    "tcp_congestion_control",
    "tcp_min_tso_segs",
    "tcp_slow_start_after_idle",
    "tcp_syncookies",
    "tcp_notsent_lowat",
    "tcp_fin_timeout",
    "tcp_rfc1337",
    "tcp_keepalive_time",
    "tcp_keepalive_intvl",
    "tcp_keepalive_probes",
    "tcp_invalid_ratelimit",
    "tcp_mtu_probing",
    "tcp_probe_interval",
    "tcp_early_retrans",
    "tcp_recovery",
    "tcp_max_syn_backlog",
    "tcp_abort_on_overflow",
    "tcp_tw_reuse",
    "tcp_max_tw_buckets",
    "ip_local_port_range",
];

impl Default for Settings {
    fn default() -> Self {
        let mut policy = Policy::linux();
        policy.receive_buffer = INITIAL_WINDOW;
        policy.segmentation_offload = OFFLOAD;
        policy.counters = true;
        // The host has a TUN device without a queue: nothing spreads its segments.
        policy.pacing = false;
        Self {
            policy,
            fast_open: 1,
            unsent_low: u32::MAX,
            syn_cookies: 1,
            backlog: 4_096,
            syn_backlog: 4_096,
            abort_on_overflow: false,
            host: HostOptions::default(),
        }
    }
}

/// However large the buffer, Linux begins with a window of so many bytes (`tcp_select_initial_window`).
const INITIAL_WINDOW: u32 = 65_535;
/// The most that a device takes to cut into segments itself.
const OFFLOAD: u32 = 65_536;

impl Settings {
    /// Takes one setting; one that means nothing to the endpoint is passed over.
    ///
    /// # Errors
    /// If the value is not understood.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let error = || SettingError::Value { name: name.to_string(), value: value.to_string() };
        let number = || parse(value.trim()).ok_or_else(error);
        let third = |place: usize| {
            value.split_whitespace().nth(place).and_then(parse).map(|number| number as u32).ok_or_else(error)
        };
        let flag = || number().map(|number| number != 0);
        let seconds = || number().map(Duration::from_secs);
        let policy = &mut self.policy;
        let keepalive = policy.keepalive.unwrap_or(Keepalive::DEFAULT);
        match name {
            "tcp_timestamps" => policy.timestamps = flag()?,
            "tcp_sack" => policy.sack = flag()?,
            "tcp_window_scaling" => policy.window_scaling = flag()?,
            "tcp_rmem" => {
                policy.receive_buffer = third(1)?.clamp(2_304, INITIAL_WINDOW);
                policy.receive_buffer_max = third(2)?;
            }
            "tcp_wmem" => policy.send_buffer = third(1)?,
            "tcp_syn_retries" => policy.syn_retries = number()? as u8,
            "tcp_synack_retries" => policy.syn_ack_retries = number()? as u8,
            "tcp_syn_linear_timeouts" => policy.syn_linear_timeouts = number()? as u8,
            "tcp_retries2" => policy.retries = number()? as u8,
            "tcp_orphan_retries" => {
                policy.orphan_retries = number().map(|tries| if tries == 0 { 8 } else { tries })? as u8;
            }
            "tcp_ecn" => {
                policy.ecn = match number()? {
                    0 => EcnPolicy::Off,
                    1 => EcnPolicy::Offer,
                    _ => EcnPolicy::Accept,
                };
            }
            "tcp_fastopen" => self.fast_open = number()? as u32,
            "tcp_fastopen_key" => {
                // Two keys, the one before the second, are separated by a comma.
                let first = value.split(',').next().unwrap_or_default();
                self.policy.fast_open.secret = Some(FastOpenSecret::from_sysctl(first).ok_or_else(error)?);
            }
            "tcp_congestion_control" => {
                policy.congestion = match value.trim() {
                    "reno" => CongestionAlgorithm::NewReno,
                    _ => CongestionAlgorithm::Cubic,
                };
            }
            "tcp_min_tso_segs" => policy.least_offload = number()? as u8,
            "tcp_slow_start_after_idle" => policy.restart_after_idle = flag()?,
            "tcp_syncookies" => self.syn_cookies = number()? as u8,
            "tcp_max_syn_backlog" => self.syn_backlog = number()? as u32,
            "tcp_abort_on_overflow" => self.abort_on_overflow = flag()?,
            // 2 is for loopback only, which no endpoint has.
            "tcp_tw_reuse" => self.host.reuse_time_wait = number()? == 1,
            "tcp_max_tw_buckets" => self.host.max_time_wait = number()? as u32,
            "ip_local_port_range" => {
                let port = |place| u16::try_from(third(place)?).map_err(|_| error());
                self.host.ports = (port(0)?, port(1)?);
            }
            "tcp_notsent_lowat" => self.unsent_low = number()? as u32,
            "tcp_fin_timeout" => policy.fin_wait_2_timeout = Some(seconds()?),
            "tcp_rfc1337" => policy.protect_time_wait = flag()?,
            "tcp_invalid_ratelimit" => policy.invalid_rate_limit = number().map(Duration::from_millis)?,
            "tcp_mtu_probing" => {
                policy.mtu_probing = match number()? {
                    0 => MtuProbing::Off,
                    1 => MtuProbing::AfterBlackHole,
                    _ => MtuProbing::Always,
                };
            }
            "tcp_probe_interval" => policy.mtu_probe_interval = seconds()?,
            "tcp_early_retrans" => policy.tail_loss_probes = flag()?,
            "tcp_keepalive_time" => policy.keepalive = Some(Keepalive { time: seconds()?, ..keepalive }),
            "tcp_keepalive_intvl" => policy.keepalive = Some(Keepalive { interval: seconds()?, ..keepalive }),
            "tcp_keepalive_probes" => {
                policy.keepalive = Some(Keepalive { probes: number()? as u8, ..keepalive });
            }
            _ => {}
        }
        Ok(())
    }

    /// The secret of the host's sequence numbers, ports and cookies.
    pub const fn set_secret(&mut self, secret: Secret) {
        self.policy.secret = secret;
    }
}

/// Decimal or, with `0x`, hexadecimal.
fn parse(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
