//! `TCP_INFO`: a connection in the numbers of Linux.

use alloc::vec::Vec;

use super::{Descriptor, Errno, Kind, Sockets};
use crate::State;
use crate::connection::Phase;

macro_rules! fields {
    ($($name:ident: $type:ty;)*) => {
        /// `struct tcp_info`, field by field; those that this endpoint does not keep are zero.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are those of the C header, without `tcpi_`")]
        pub struct TcpInfo {
            $(pub $name: $type,)*
        }

        impl TcpInfo {
            /// The names of the fields, with `tcpi_` before them.
            pub const NAMES: &'static [&'static str] = &[$(concat!("tcpi_", stringify!($name)),)*];

            /// A field by its name in C.
            pub fn field(&self, name: &str) -> Option<i64> {
                match name.strip_prefix("tcpi_")? {
                    $(stringify!($name) => i64::try_from(self.$name).ok(),)*
                    _ => None,
                }
            }

            /// From the bytes of a kernel's structure; what an older one does not have is zero.
            pub fn from_bytes(bytes: &[u8]) -> Self {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().max(512), 0);
                // Two fields of four bits, and one of one bit, share bytes.
                let (scales, limited) = (bytes[6], bytes[7]);
                bytes[6] = scales & 0xf;
                bytes[7] = scales >> 4;
                bytes.insert(8, limited & 1);
                let mut rest = bytes.as_slice();
                let mut out = Self::default();
                $(
                    if let Some((field, behind)) = rest.split_first_chunk() {
                        out.$name = <$type>::from_ne_bytes(*field);
                        rest = behind;
                    }
                )*
                let _ = rest;
                out
            }

            /// The bytes of the structure as the kernel lays it out.
            pub fn to_bytes(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity(256);
                $(bytes.extend_from_slice(&self.$name.to_ne_bytes());)*
                // Two fields of four bits, and one of one bit, share bytes.
                bytes[6] |= bytes[7] << 4;
                bytes[7] = bytes[8];
                bytes.remove(8);
                // Newer kernels have more fields; they are zero here.
                bytes.resize(512, 0);
                bytes
            }
        }
    };
}

fields! {
    state: u8;
    ca_state: u8;
    retransmits: u8;
    probes: u8;
    backoff: u8;
    options: u8;
    snd_wscale: u8;
    rcv_wscale: u8;
    delivery_rate_app_limited: u8;
    rto: u32;
    ato: u32;
    snd_mss: u32;
    rcv_mss: u32;
    unacked: u32;
    sacked: u32;
    lost: u32;
    retrans: u32;
    fackets: u32;
    last_data_sent: u32;
    last_ack_sent: u32;
    last_data_recv: u32;
    last_ack_recv: u32;
    pmtu: u32;
    rcv_ssthresh: u32;
    rtt: u32;
    rttvar: u32;
    snd_ssthresh: u32;
    snd_cwnd: u32;
    advmss: u32;
    reordering: u32;
    rcv_rtt: u32;
    rcv_space: u32;
    total_retrans: u32;
    pacing_rate: u64;
    max_pacing_rate: u64;
    bytes_acked: u64;
    bytes_received: u64;
    segs_out: u32;
    segs_in: u32;
    notsent_bytes: u32;
    min_rtt: u32;
    data_segs_in: u32;
    data_segs_out: u32;
    delivery_rate: u64;
    busy_time: u64;
    rwnd_limited: u64;
    sndbuf_limited: u64;
    delivered: u32;
    delivered_ce: u32;
    bytes_sent: u64;
    bytes_retrans: u64;
    dsack_dups: u32;
    reord_seen: u32;
    rcv_ooopack: u32;
    snd_wnd: u32;
    rcv_wnd: u32;
    rehash: u32;
}

/// The names of numbers that scripts compare fields with.
pub const NAMES: [(&str, i64); 23] = [
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCPI_OPT_USEC_TS", 64),
];

/// A threshold that is none yet.
const INFINITE: u32 = 0x7fff_ffff;

const fn linux_state(state: State) -> u8 {
    match state {
        State::Established => 1,
        State::SynSent => 2,
        State::SynReceived => 3,
        State::FinWait1 => 4,
        State::FinWait2 => 5,
        State::TimeWait => 6,
        State::Closed => 7,
        State::CloseWait => 8,
        State::LastAck => 9,
        State::Listen => 10,
        State::Closing => 11,
    }
}

impl Sockets {
    /// `getsockopt(TCP_INFO)`.
    ///
    /// # Errors
    /// If the descriptor is none.
    pub fn tcp_info(&self, descriptor: Descriptor) -> Result<TcpInfo, Errno> {
        let socket = self.socket_of(descriptor)?;
        let mut out = TcpInfo { state: 7, snd_ssthresh: INFINITE, snd_cwnd: 10, ..TcpInfo::default() };
        let Some(connection) = self.connection(socket) else {
            if let Kind::Listening(_) = socket.kind {
                out.state = linux_state(State::Listen);
            }
            return Ok(out);
        };
        let info = connection.info();
        let mss = u32::from(info.send_mss).max(1);
        let segments = |bytes: u32| bytes.div_ceil(mss);
        let micros = |time: Option<core::time::Duration>| time.map_or(0, |time| time.as_micros() as u32);
        let since = |at: crate::Instant| self.now().duration_since(at).as_millis() as u32;
        let (send_scale, receive_scale) = info.window_scales.unwrap_or_default();
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out.state = linux_state(info.state);
        out.ca_state = match info.phase {
            Phase::Open => 0,
            Phase::Disorder => 1,
            Phase::Reducing => 2,
            Phase::Recovery => 3,
            Phase::Loss => 4,
        };
        out.retransmits = info.backoffs;
        out.backoff = info.backoffs;
        out.probes = info.probes;
        out.options = flag(info.timestamps, 1)
            | flag(info.sack, 2)
            | flag(info.window_scales.is_some(), 4)
            | flag(info.ecn, 8)
            | flag(connection.counters().is_some_and(|counters| counters.syn_text), 32);
        out.snd_wscale = send_scale;
        out.rcv_wscale = receive_scale;
        out.rto = info.rto.as_micros() as u32;
        out.snd_mss = mss;
        out.rcv_mss = info.receive_mss.into();
        out.unacked = segments(info.send_next.offset_from(info.send_unacknowledged));
        out.sacked = segments(info.sacked);
        out.lost = segments(info.lost);
        out.retrans = segments(info.retransmitted);
        out.last_data_recv = connection.counters().map_or(0, |counters| since(counters.text_heard_at));
        out.pmtu = info.path_mtu.into();
        out.rtt = micros(info.rtt);
        out.rttvar = micros(info.rtt_variation);
        out.min_rtt = info.min_rtt.map_or(u32::MAX, |rtt| rtt.as_micros() as u32);
        out.snd_cwnd = (info.congestion_window / mss).max(1);
        out.snd_ssthresh = info.slow_start_threshold.map_or(INFINITE, |bytes| (bytes / mss).max(1));
        out.advmss = info.advertised_mss.into();
        out.reordering = 3;
        if let Some(counters) = connection.counters() {
            out.total_retrans = counters.retransmissions;
            out.delivered = counters.delivered;
            out.bytes_acked = counters.acknowledged;
            out.bytes_received = counters.received;
        }
        out.pacing_rate = info.pacing_rate.unwrap_or(u64::MAX);
        out.max_pacing_rate = u64::MAX;
        out.notsent_bytes = connection.unsent();
        out.snd_wnd = info.send_window;
        out.rcv_wnd = info.receive_window;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::TcpInfo;

    #[test]
    fn bytes_are_read_as_they_are_written() {
        let info = TcpInfo {
            state: 1,
            snd_wscale: 7,
            rcv_wscale: 10,
            delivery_rate_app_limited: 1,
            rto: 200_000,
            bytes_acked: 1 << 40,
            rehash: 3,
            ..TcpInfo::default()
        };
        assert_eq!(TcpInfo::from_bytes(&info.to_bytes()), info);
        assert_eq!(TcpInfo::from_bytes(&[1]), TcpInfo { state: 1, ..TcpInfo::default() });
    }
}
