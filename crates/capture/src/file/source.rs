//! Where a capture's bytes come from: a file or any reader, unpacked on the way.

use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::zstd::Zstd;
use crate::error::CaptureErrorKind;

/// A reader that can be sent to another thread.
pub(crate) type Reader = Box<dyn Read + Send>;

/// How much is read of a compressed file at once.
const COMPRESSED_BUFFER: usize = 64 << 10;
/// A compressed file may be compressed once more.
const LAYERS: u32 = 2;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The last three bytes of the magic of a zstd frame to be skipped, which begins with 0x50 to 0x5f.
const ZSTD_SKIPPED: [u8; 3] = [0x2a, 0x4d, 0x18];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Self {
        if magic.starts_with(&GZIP) {
            Self::Gzip
        } else if magic.starts_with(&ZSTD)
            || matches!(magic, [first, rest @ ..] if first & 0xf0 == 0x50 && *rest == ZSTD_SKIPPED)
        {
            Self::Zstd
        } else {
            Self::None
        }
    }
}

/// Whether bytes that a file begins with are those of a compressed file.
pub(super) fn is_compressed(magic: &[u8]) -> bool {
    Compression::of(magic) != Compression::None
}

/// Unpacks what is packed, at most twice. It streams: a bomb costs time and no memory.
pub(super) fn unpack(mut reader: Reader) -> Result<Reader, CaptureErrorKind> {
    for layer in 0..=LAYERS {
        let (magic, whole) = peek(reader).map_err(read_error)?;
        let compression = Compression::of(&magic);
        if compression != Compression::None && layer == LAYERS {
            return Err(CaptureErrorKind::CompressedTooOften);
        }
        reader = match compression {
            Compression::None => return Ok(Box::new(whole)),
            Compression::Gzip => {
                Box::new(MultiGzDecoder::new(BufReader::with_capacity(COMPRESSED_BUFFER, whole)))
            }
            Compression::Zstd => Box::new(Zstd::new(BufReader::with_capacity(COMPRESSED_BUFFER, whole))),
        };
    }
    Ok(reader)
}

/// A reader of which the beginning was read.
type Whole = Chain<Cursor<Vec<u8>>, Reader>;

/// The first bytes, at most four, and a reader that gives all.
fn peek(mut reader: Reader) -> io::Result<(Vec<u8>, Whole)> {
    let mut magic = Vec::with_capacity(4);
    reader.by_ref().take(4).read_to_end(&mut magic)?;
    Ok((magic.clone(), Cursor::new(magic).chain(reader)))
}

/// What an error of a reader means.
pub(super) fn read_error(error: io::Error) -> CaptureErrorKind {
    if error.kind() == ErrorKind::UnexpectedEof {
        CaptureErrorKind::CompressedCut
    } else {
        CaptureErrorKind::Read(error)
    }
}

/// A reader that counts what it gave, for whoever shows progress.
pub(super) struct Counted<R> {
    pub(super) reader: R,
    pub(super) count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(out)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}
