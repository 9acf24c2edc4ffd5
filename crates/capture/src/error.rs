//! What can be wrong with a capture: in which file, at which byte, and what to do about it.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Something is wrong with a file. What was read before it stays valid.
#[derive(Debug)]
pub struct CaptureError {
    /// The file's name, as it was given.
    pub file: Arc<str>,
    /// Where in it, in bytes from its beginning; in a compressed file, of what it unpacks to.
    pub offset: u64,
    /// What.
    pub kind: CaptureErrorKind,
}

/// What is wrong; see [`CaptureError`].
#[derive(Debug)]
pub enum CaptureErrorKind {
    /// The operating system does not open the file.
    Open(io::Error),
    /// It does not read on, or what is compressed cannot be unpacked.
    Read(io::Error),
    /// A compressed file ends before its end.
    CompressedCut,
    /// A compressed file within a compressed file within a compressed file.
    CompressedTooOften,
    /// A compressed file cannot be followed while it grows.
    CompressedFollowed,
    /// The file holds nothing.
    Empty,
    /// It begins with something else than a capture does.
    NotACapture {
        /// Its first bytes.
        magic: [u8; 4],
    },
    /// A version of the format that does not exist yet.
    Version {
        /// pcap or pcapng.
        format: &'static str,
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// The file ends within a record: its recorder was stopped, or the file was cut.
    Truncated {
        /// How many bytes of the record there are.
        there: u64,
        /// How many it needs.
        needed: u64,
    },
    /// A record claims to be longer than any is.
    TooLong {
        /// What it claims, in bytes.
        claimed: u32,
        /// The most that is believed.
        limit: u32,
    },
    /// Bytes that are no block of pcapng.
    Garbage {
        /// What is wrong with them.
        fault: BlockFault,
        /// So many bytes were skipped.
        skipped: u64,
        /// Whether a block was found behind them; else they last to the end of the file.
        found: bool,
    },
    /// A block that is framed well, and whose content makes no sense. It was skipped.
    BadBlock {
        /// Its type.
        block: u32,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Packets of an interface that was not described. They are skipped; this is said once for each section.
    UnknownInterface {
        /// Its number.
        interface: u32,
        /// So many were described.
        known: u32,
    },
    /// More interfaces than are believed.
    TooManyInterfaces,
    /// A file that is followed became shorter, or was replaced.
    Shrunk,
}

/// What is wrong with a block of pcapng.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockFault {
    /// It is shorter than a block can be, or no multiple of four, or longer than is believed.
    Length(u32),
    /// The length at its end is another than the one at its beginning.
    TrailingLength {
        /// At its beginning.
        leading: u32,
        /// At its end.
        trailing: u32,
    },
    /// It claims to be longer than the file is, and than what it holds is.
    BeyondEnd(u32),
    /// The bytes that tell the byte order of a section are not those.
    ByteOrder(u32),
}

impl CaptureError {
    /// Whether reading may go on behind it: [`Capture::next_packet`](crate::Capture::next_packet) then hands out
    /// what follows. After any other error the file gives no more packets (others that are merged with it do).
    pub const fn can_continue(&self) -> bool {
        matches!(
            self.kind,
            CaptureErrorKind::Garbage { .. }
                | CaptureErrorKind::BadBlock { .. }
                | CaptureErrorKind::UnknownInterface { .. }
        )
    }
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, kind } = self;
        match kind {
            CaptureErrorKind::Open(error) => return write!(f, "{file} cannot be opened: {error}"),
            CaptureErrorKind::Empty => {
                return write!(f, "{file} is empty: its recorder wrote nothing; see whether it ran");
            }
            CaptureErrorKind::NotACapture { magic } => {
                write!(f, "{file} is no capture: it begins with ")?;
                magic.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                return f.write_str(
                    ", and pcap and pcapng (or one of them in gzip or zstd) do not; `file` may know what it is",
                );
            }
            _ => write!(f, "{file} at byte {offset}: ")?,
        }
        match kind {
            CaptureErrorKind::Open(_) | CaptureErrorKind::Empty | CaptureErrorKind::NotACapture { .. } => Ok(()),
            CaptureErrorKind::Read(error) => {
                write!(f, "it cannot be read on: {error}; what was read before is used")
            }
            CaptureErrorKind::CompressedCut => f.write_str(
                "the compressed file is cut off there; what was read before is used, copy the file again for the rest",
            ),
            CaptureErrorKind::CompressedTooOften => {
                f.write_str("it is compressed more than twice; unpack it once yourself")
            }
            CaptureErrorKind::CompressedFollowed => {
                f.write_str("a compressed file cannot be followed; unpack it into a pipe and read that")
            }
            CaptureErrorKind::Version { format, major, minor } => write!(
                f,
                "version {major}.{minor} of {format} is not known here; write it as pcapng 1.0 with another program"
            ),
            CaptureErrorKind::Truncated { there, needed } => write!(
                f,
                "the file ends {there} bytes into a record of {needed}; what was read before is used, \
                 and if the recorder is still running, follow the file"
            ),
            CaptureErrorKind::TooLong { claimed, limit } => write!(
                f,
                "a record claims {claimed} bytes, and none has more than {limit}: the file is damaged there; \
                 what was read before is used, and pcap gives no way to find the next record"
            ),
            CaptureErrorKind::Garbage { fault, skipped, found } => {
                write!(f, "{fault}; {skipped} bytes were skipped ")?;
                f.write_str(if *found { "up to the next block" } else { "to the end of the file" })
            }
            CaptureErrorKind::BadBlock { block, why } => {
                write!(f, "the block of type {block:#x} was skipped: {why}; tell the author of its recorder")
            }
            CaptureErrorKind::UnknownInterface { interface, known } => write!(
                f,
                "packets of interface {interface} are skipped, of which the section describes only {known}: \
                 the description is lost or damaged"
            ),
            CaptureErrorKind::TooManyInterfaces => {
                f.write_str("there are more than 65,536 interfaces: the file is damaged or made to harm; it is read no further")
            }
            CaptureErrorKind::Shrunk => {
                f.write_str("the file became shorter or was replaced while it was followed; follow the new one")
            }
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            CaptureErrorKind::Open(error) | CaptureErrorKind::Read(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "a block of {length} bytes cannot be"),
            Self::TrailingLength { leading, trailing } => {
                write!(f, "a block has {leading} bytes at its beginning and {trailing} at its end")
            }
            Self::BeyondEnd(length) => write!(f, "a block of {length} bytes goes beyond the end of the file"),
            Self::ByteOrder(magic) => write!(f, "a section's byte order is {magic:#010x}, which is none"),
        }
    }
}
