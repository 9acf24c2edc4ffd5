//! Packets from capture files and live interfaces, taken apart down to the TCP segment.
//!
//! - [`Capture`] reads pcap and pcapng: a file, several merged by time, a pipe, a file that grows.
//! - [`live`] captures from an interface of Linux, with a [`filter`] that the kernel runs.
//! - [`Dissector`] finds the TCP segment in a packet, through link layers, tunnels and fragments.
//! - [`Writer`] writes packets as pcapng.
//!
//! Packets are not copied: they lie in the reader's buffer, or in the ring that the kernel fills.
//!
//! The formats are read by code of our own. They are small; and a parser that hands out blocks knows neither where
//! in the file it is, which every error here tells, nor how to find the next block behind damage.

mod capture;
mod error;
mod file;
pub mod filter;
mod layers;
mod link;
pub mod live;
mod packet;
mod time;
mod writer;

#[doc(hidden)]
pub use capture::try_any_bytes;
pub use capture::{Capture, Statistics};
pub use error::{BlockFault, CaptureError, CaptureErrorKind};
#[doc(hidden)]
pub use layers::try_any_packets;
pub use layers::{
    Carried, Checksum, Dissected, Dissector, IcmpReport, PathKey, PathParts, PathStep, ReassemblyLimits,
    ReassemblyStatistics, TcpPacket, Why,
};
pub use link::LinkType;
pub use packet::{Comments, Interface, Packet};
pub use time::Timestamp;
pub use writer::Writer;
