//! Zstandard (RFC 8878) as a stream of frames.
//!
//! The decoder keeps back as much as later blocks may refer to, and would lose that with the error of a file that was
//! cut. So blocks are cut out here and given to it whole; where one is cut short, an empty last block in its
//! place makes it hand out everything, and the error follows.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// No block is longer, header and checksum aside (RFC 8878 §3.1.1.2.4).
const LONGEST_BLOCK: usize = 128 << 10;
/// The last block of a frame, raw and of no bytes, with the longest checksum behind it.
const EMPTY_LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

pub(super) struct Zstd<R> {
    reader: R,
    decoder: FrameDecoder,
    /// Whether the decoder is in a frame, and whether that has a checksum.
    frame: Option<Frame>,
    block: Vec<u8>,
    /// To be told when all is handed out.
    cut: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    checksum: bool,
    ended: bool,
}

impl<R: BufRead> Zstd<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, decoder: FrameDecoder::new(), frame: None, block: Vec::new(), cut: false }
    }

    /// Reads up to the end of `length` more bytes into the block; whether they are all there.
    fn gather(&mut self, length: usize) -> io::Result<bool> {
        let read = self.reader.by_ref().take(length as u64).read_to_end(&mut self.block)?;
        Ok(read == length)
    }

    /// Begins the next frame, skipping those that are to be skipped; whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.reader.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.block.clear();
            if !self.gather(4)? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if self.block.first().is_some_and(|first| first & 0xf0 == 0x50) {
                self.skip_frame()?;
                continue;
            }
            if !self.gather(1)? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let descriptor = self.block.last().copied().unwrap_or_default();
            // RFC 8878 §3.1.1.1.1: how long the fields behind are.
            let single = descriptor >> 5 & 1;
            let content = match descriptor >> 6 {
                0 => usize::from(single),
                bits => 1 << bits,
            };
            let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
            let rest = usize::from(1 - single) + dictionary + content;
            if !self.gather(rest)? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.decoder.reset(&mut self.block.as_slice()).map_err(damaged)?;
            self.frame = Some(Frame { checksum: descriptor & 4 != 0, ended: false });
            return Ok(true);
        }
    }

    fn skip_frame(&mut self) -> io::Result<()> {
        self.block.clear();
        if !self.gather(4)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let length = self.block.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)));
        let skipped = io::copy(&mut self.reader.by_ref().take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Unpacks one block.
    fn next_block(&mut self, checksum: bool) -> io::Result<()> {
        self.block.clear();
        let whole = self.gather(3)? && self.gather_body(checksum)?;
        if !whole {
            self.cut = true;
            self.block.clear();
            self.block.extend_from_slice(&EMPTY_LAST_BLOCK);
        }
        let strategy = BlockDecodingStrategy::UptoBlocks(1);
        let ended = self.decoder.decode_blocks(&mut self.block.as_slice(), strategy).map_err(damaged)?;
        self.frame = Some(Frame { checksum, ended });
        Ok(())
    }

    /// What follows the three bytes of a block's header; whether it is all there.
    fn gather_body(&mut self, checksum: bool) -> io::Result<bool> {
        let header = match *self.block {
            [low, middle, high, ..] => u32::from_le_bytes([low, middle, high, 0]),
            _ => 0,
        };
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        // A block of one byte, repeated, tells how often.
        let size = if kind == 1 { 1 } else { size };
        if size > LONGEST_BLOCK {
            return Err(io::Error::new(ErrorKind::InvalidData, "a zstd block of more than 128 KiB"));
        }
        self.gather(size + if last && checksum { 4 } else { 0 })
    }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(out);
            }
            match self.frame {
                Some(Frame { ended: true, .. }) => self.frame = None,
                Some(Frame { checksum, ended: false }) => self.next_block(checksum)?,
                None if self.cut => return Err(ErrorKind::UnexpectedEof.into()),
                None => {
                    if !self.begin()? {
                        return Ok(0);
                    }
                }
            }
        }
    }
}
