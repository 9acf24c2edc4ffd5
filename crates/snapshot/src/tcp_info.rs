//! `struct tcp_info` of any kernel.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// Where a field of `struct tcp_info` stands (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The kernel's name.
    pub name: &'static str,
    offset: u16,
    /// Width in bytes (1, 2, 4, 8); for a bit field, the byte that holds it.
    width: u8,
    /// Lowest bit and number of bits, for bit fields.
    bits: Option<(u8, u8)>,
}

const fn field(name: &'static str, offset: u16, width: u8) -> Field {
    Field { name, offset, width, bits: None }
}

const fn bits(name: &'static str, offset: u16, low: u8, count: u8) -> Field {
    Field { name, offset, width: 1, bits: Some((low, count)) }
}

/// The layout, oldest fields first. The kernel only ever appends, so a shorter structure
/// is an older kernel's and what lies beyond its end is unknown.
const FIELDS: &[Field] = &[
    field("tcpi_state", 0, 1),
    field("tcpi_ca_state", 1, 1),
    field("tcpi_retransmits", 2, 1),
    field("tcpi_probes", 3, 1),
    field("tcpi_backoff", 4, 1),
    field("tcpi_options", 5, 1),
    bits("tcpi_snd_wscale", 6, 0, 4),
    bits("tcpi_rcv_wscale", 6, 4, 4),
    bits("tcpi_delivery_rate_app_limited", 7, 0, 1),
    bits("tcpi_fastopen_client_fail", 7, 1, 2),
    field("tcpi_rto", 8, 4),
    field("tcpi_ato", 12, 4),
    field("tcpi_snd_mss", 16, 4),
    field("tcpi_rcv_mss", 20, 4),
    field("tcpi_unacked", 24, 4),
    field("tcpi_sacked", 28, 4),
    field("tcpi_lost", 32, 4),
    field("tcpi_retrans", 36, 4),
    field("tcpi_fackets", 40, 4),
    field("tcpi_last_data_sent", 44, 4),
    field("tcpi_last_ack_sent", 48, 4),
    field("tcpi_last_data_recv", 52, 4),
    field("tcpi_last_ack_recv", 56, 4),
    field("tcpi_pmtu", 60, 4),
    field("tcpi_rcv_ssthresh", 64, 4),
    field("tcpi_rtt", 68, 4),
    field("tcpi_rttvar", 72, 4),
    field("tcpi_snd_ssthresh", 76, 4),
    field("tcpi_snd_cwnd", 80, 4),
    field("tcpi_advmss", 84, 4),
    field("tcpi_reordering", 88, 4),
    field("tcpi_rcv_rtt", 92, 4),
    field("tcpi_rcv_space", 96, 4),
    field("tcpi_total_retrans", 100, 4),
    field("tcpi_pacing_rate", 104, 8),
    field("tcpi_max_pacing_rate", 112, 8),
    field("tcpi_bytes_acked", 120, 8),
    field("tcpi_bytes_received", 128, 8),
    field("tcpi_segs_out", 136, 4),
    field("tcpi_segs_in", 140, 4),
    field("tcpi_notsent_bytes", 144, 4),
    field("tcpi_min_rtt", 148, 4),
    field("tcpi_data_segs_in", 152, 4),
    field("tcpi_data_segs_out", 156, 4),
    field("tcpi_delivery_rate", 160, 8),
    field("tcpi_busy_time", 168, 8),
    field("tcpi_rwnd_limited", 176, 8),
    field("tcpi_sndbuf_limited", 184, 8),
    field("tcpi_delivered", 192, 4),
    field("tcpi_delivered_ce", 196, 4),
    field("tcpi_bytes_sent", 200, 8),
    field("tcpi_bytes_retrans", 208, 8),
    field("tcpi_dsack_dups", 216, 4),
    field("tcpi_reord_seen", 220, 4),
    field("tcpi_rcv_ooopack", 224, 4),
    field("tcpi_snd_wnd", 228, 4),
    field("tcpi_rcv_wnd", 232, 4),
    field("tcpi_rehash", 236, 4),
    field("tcpi_total_rto", 240, 2),
    field("tcpi_total_rto_recoveries", 242, 2),
    field("tcpi_total_rto_time", 244, 4),
    field("tcpi_received_ce", 248, 4),
    field("tcpi_delivered_e1_bytes", 252, 4),
    field("tcpi_delivered_e0_bytes", 256, 4),
    field("tcpi_delivered_ce_bytes", 260, 4),
    field("tcpi_received_e1_bytes", 264, 4),
    field("tcpi_received_e0_bytes", 268, 4),
    field("tcpi_received_ce_bytes", 272, 4),
    field("tcpi_accecn_fail_mode", 276, 2),
    field("tcpi_accecn_opt_seen", 278, 2),
];

/// The kernel's `struct tcp_info`, as long as the kernel that wrote it made it.
#[derive(Clone, PartialEq, Eq)]
pub struct TcpInfo {
    bytes: [u8; Self::MAX_LENGTH],
    length: u16,
}

impl TcpInfo {
    /// Length of the structure on kernel 6.18, the longest that is understood.
    pub const MAX_LENGTH: usize = 280;

    /// Takes the bytes of an `INET_DIAG_INFO` attribute or of `getsockopt(TCP_INFO)`.
    /// What a newer kernel appends is left out.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let length = bytes.len().min(Self::MAX_LENGTH);
        let mut info = Self { bytes: [0; Self::MAX_LENGTH], length: length as u16 };
        info.bytes[..length].copy_from_slice(&bytes[..length]);
        info
    }

    /// The fields there are, in the kernel's order.
    pub fn fields() -> &'static [Field] {
        FIELDS
    }

    /// The value of a field by the kernel's name (`tcpi_rtt`).
    /// `None` when this kernel did not have it, or no kernel does.
    pub fn get(&self, name: &str) -> Option<u64> {
        FIELDS.iter().find(|field| field.name == name).and_then(|field| self.value(field))
    }

    /// The value of a field; `None` when the structure ends before it.
    pub fn value(&self, field: &Field) -> Option<u64> {
        let start = usize::from(field.offset);
        let end = start + usize::from(field.width);
        if end > usize::from(self.length) {
            return None;
        }
        let mut wide = [0; 8];
        wide[..end - start].copy_from_slice(&self.bytes[start..end]);
        let whole = u64::from_le_bytes(if cfg!(target_endian = "little") {
            wide
        } else {
            let mut swapped = [0; 8];
            for (to, from) in swapped.iter_mut().zip(self.bytes[start..end].iter().rev()) {
                *to = *from;
            }
            swapped
        });
        Some(match field.bits {
            None => whole,
            Some((low, count)) => whole >> low & ((1 << count) - 1),
        })
    }
}

impl fmt::Debug for TcpInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(FIELDS.iter().filter_map(|field| self.value(field).map(|value| (field.name, value))))
            .finish()
    }
}

impl Serialize for TcpInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(FIELDS.len()))?;
        for field in FIELDS {
            map.serialize_entry(field.name, &self.value(field))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TcpInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = TcpInfo;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tcp_info fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TcpInfo, A::Error> {
                let mut info = TcpInfo { bytes: [0; TcpInfo::MAX_LENGTH], length: 0 };
                while let Some((name, value)) = map.next_entry::<std::borrow::Cow<'de, str>, Option<u64>>()? {
                    let field = FIELDS.iter().find(|field| field.name == name);
                    if let (Some(field), Some(value)) = (field, value) {
                        info.set(field, value)
                            .ok_or_else(|| A::Error::custom(format_args!("{name} = {value} does not fit")))?;
                    }
                }
                Ok(info)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

impl TcpInfo {
    /// Writes a field and lengthens the structure to hold it; `None` when it does not fit.
    fn set(&mut self, field: &Field, value: u64) -> Option<()> {
        let start = usize::from(field.offset);
        let width = usize::from(field.width);
        let bytes = match field.bits {
            None if width < 8 && value >> (8 * width) != 0 => return None,
            None => value.to_ne_bytes(),
            Some((_, count)) if value >> count != 0 => return None,
            Some((low, _)) => (u64::from(self.bytes[start]) | value << low).to_ne_bytes(),
        };
        let bytes = if cfg!(target_endian = "little") { &bytes[..width] } else { &bytes[8 - width..] };
        self.bytes[start..start + width].copy_from_slice(bytes);
        self.length = self.length.max((start + width) as u16);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_has_no_holes_between_words() {
        for pair in FIELDS.windows(2) {
            let [a, b] = pair else { unreachable!() };
            let same_byte = a.bits.is_some() && b.bits.is_some() && a.offset == b.offset;
            assert!(same_byte || a.offset + u16::from(a.width) == b.offset, "{} then {}", a.name, b.name);
        }
    }

    #[test]
    fn an_older_kernel_leaves_the_rest_unknown() {
        // 2.6.32 and 3.x wrote 104 bytes, 4.2 wrote 160, 4.19 wrote 224, 5.5 wrote 232, 6.18 writes 280.
        for length in [104, 160, 192, 224, 232, 240, 280] {
            let info = TcpInfo::from_bytes(&vec![1; length]);
            for field in FIELDS {
                let end = usize::from(field.offset) + usize::from(field.width);
                assert_eq!(info.value(field).is_some(), end <= length, "{} of {length}", field.name);
            }
            let json = serde_json::to_string(&info).unwrap();
            let back: TcpInfo = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&back).unwrap(), json);
        }
    }

    #[test]
    fn bit_fields_are_told_apart() {
        let mut bytes = [0; 16];
        bytes[6] = 0x7a;
        bytes[7] = 0b101;
        let info = TcpInfo::from_bytes(&bytes);
        assert_eq!(info.get("tcpi_snd_wscale"), Some(10));
        assert_eq!(info.get("tcpi_rcv_wscale"), Some(7));
        assert_eq!(info.get("tcpi_delivery_rate_app_limited"), Some(1));
        assert_eq!(info.get("tcpi_fastopen_client_fail"), Some(2));
        assert_eq!(info.get("tcpi_rtt"), None);
    }
}
