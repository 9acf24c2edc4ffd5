//! What the first byte of a captured packet belongs to.

use std::fmt;

/// A link type, by its number in the registry of pcap and pcapng (`LINKTYPE_…`).
///
/// Any number can occur in a file; those that can be taken apart have a constant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LinkType(pub u16);

/// The constants and their names from one list.
macro_rules! link_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl LinkType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// All that can be taken apart.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its short name, such as `EN10MB`; `None` if it is unknown here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

link_types! {
    /// BSD loopback: four bytes in the capturing host's byte order say which version of IP follows.
    NULL = 0, "NULL";
    /// Ethernet.
    ETHERNET = 1, "EN10MB";
    /// PPP, with or without the two bytes of HDLC framing.
    PPP = 9, "PPP";
    /// IP of either version, as some systems number it in files.
    RAW_12 = 12, "RAW12";
    /// The same on OpenBSD.
    RAW_14 = 14, "RAW14";
    /// PPP in HDLC-like framing (RFC 1662).
    PPP_HDLC = 50, "PPP_SERIAL";
    /// PPPoE, beginning with its header (RFC 2516).
    PPPOE = 51, "PPP_ETHER";
    /// IP of either version.
    RAW = 101, "RAW";
    /// Cisco HDLC.
    CISCO_HDLC = 104, "C_HDLC";
    /// OpenBSD loopback: like [`Self::NULL`], in network byte order.
    LOOP = 108, "LOOP";
    /// Linux "cooked" capture.
    LINUX_SLL = 113, "LINUX_SLL";
    /// PPP, behind a byte that tells the direction.
    PPP_WITH_DIRECTION = 204, "PPP_WITH_DIR";
    /// MPLS, beginning with its first label.
    MPLS = 219, "MPLS";
    /// IPv4.
    IPV4 = 228, "IPV4";
    /// IPv6.
    IPV6 = 229, "IPV6";
    /// Linux "cooked" capture, version 2.
    LINUX_SLL2 = 276, "LINUX_SLL2";
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "link type {}", self.0),
        }
    }
}
