//! The fields of `struct tcp_info` that the rules read, found once by name.

use std::sync::LazyLock;

use eleven_snapshot::{Field, Socket, TcpInfo};
use eleven_tcp::State;

macro_rules! fields {
    ($($name:ident = $kernel:literal),* $(,)?) => {
        /// Places of the fields.
        pub(super) struct Fields { $(pub(super) $name: Option<&'static Field>),* }
        impl Fields {
            fn find() -> Self {
                let find = |name: &str| TcpInfo::fields().iter().find(|field| field.name == name);
                Self { $($name: find($kernel)),* }
            }
        }
    };
}

fields! {
    advmss = "tcpi_advmss",
    backoff = "tcpi_backoff",
    busy_time = "tcpi_busy_time",
    bytes_acked = "tcpi_bytes_acked",
    bytes_received = "tcpi_bytes_received",
    data_segs_out = "tcpi_data_segs_out",
    last_ack_recv = "tcpi_last_ack_recv",
    last_data_recv = "tcpi_last_data_recv",
    last_data_sent = "tcpi_last_data_sent",
    pmtu = "tcpi_pmtu",
    rwnd_limited = "tcpi_rwnd_limited",
    sacked = "tcpi_sacked",
    segs_in = "tcpi_segs_in",
    snd_mss = "tcpi_snd_mss",
    snd_wnd = "tcpi_snd_wnd",
    total_retrans = "tcpi_total_retrans",
}

pub(super) static FIELDS: LazyLock<Fields> = LazyLock::new(Fields::find);

/// A field of a socket's structure.
pub(super) fn value(socket: &Socket, field: Option<&'static Field>) -> Option<u64> {
    socket.tcp_info.as_ref()?.value(field?)
}

/// How long no data has moved either way: at least so long, where the structure is missing.
pub(super) fn idle_ms(socket: &Socket) -> Option<u64> {
    if !matches!(socket.state, State::Established | State::CloseWait | State::FinWait2) {
        return None;
    }
    let Some(info) = &socket.tcp_info else { return None };
    let sent = info.value(FIELDS.last_data_sent?)?;
    // The clock of received data is only set by data.
    let has_received =
        FIELDS.bytes_received.and_then(|field| info.value(field)).is_some_and(|bytes| bytes > 0);
    let received = if has_received { info.value(FIELDS.last_data_recv?)? } else { sent };
    Some(sent.min(received))
}
