//! Captures written byte by byte, in either byte order.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::Cursor;

use eleven_capture::{Capture, CaptureError, CaptureErrorKind};

/// Numbers in a byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) big: bool,
}

pub(crate) const LITTLE: Order = Order { big: false };
pub(crate) const BIG: Order = Order { big: true };

impl Order {
    pub(crate) fn half(self, value: u16) -> [u8; 2] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn word(self, value: u32) -> [u8; 4] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(crate) fn long(self, value: u64) -> [u8; 8] {
        if self.big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The header of a pcap file: Ethernet, no limit to speak of.
    pub(crate) fn pcap(self, magic: u32) -> Vec<u8> {
        let mut out = self.word(magic).to_vec();
        out.extend([self.half(2), self.half(4)].concat());
        out.extend([0; 8]);
        out.extend([self.word(65_535), self.word(1)].concat());
        out
    }

    /// A record of it.
    pub(crate) fn record(self, seconds: u32, fraction: u32, data: &[u8], original: u32) -> Vec<u8> {
        let words = [seconds, fraction, data.len() as u32, original].map(|word| self.word(word)).concat();
        [words, data.to_vec()].concat()
    }

    /// A block of pcapng.
    pub(crate) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut padded = body.to_vec();
        padded.resize(body.len().next_multiple_of(4), 0);
        let length = self.word(padded.len() as u32 + 12);
        [self.word(kind).to_vec(), length.to_vec(), padded, length.to_vec()].concat()
    }

    pub(crate) fn section(self) -> Vec<u8> {
        let body =
            [self.word(0x1a2b_3c4d).to_vec(), self.half(1).to_vec(), self.half(0).to_vec(), vec![0xff; 8]];
        self.block(0x0a0d_0d0a, &body.concat())
    }

    pub(crate) fn interface(self, link: u16, snap_length: u32, options: &[u8]) -> Vec<u8> {
        let head = [self.half(link), [0; 2]].concat();
        self.block(1, &[head, self.word(snap_length).to_vec(), options.to_vec()].concat())
    }

    pub(crate) fn option(self, number: u16, value: &[u8]) -> Vec<u8> {
        let mut out = [self.half(number), self.half(value.len() as u16)].concat();
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    /// An enhanced packet block.
    pub(crate) fn packet(
        self,
        interface: u32,
        ticks: u64,
        data: &[u8],
        original: u32,
        options: &[u8],
    ) -> Vec<u8> {
        let head = [interface, (ticks >> 32) as u32, ticks as u32, data.len() as u32, original];
        let mut body = head.map(|word| self.word(word)).concat();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(options);
        self.block(6, &body)
    }
}

/// A packet that was read, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) number: u64,
    pub(crate) nanos: i64,
    pub(crate) interface: u32,
    pub(crate) link: u16,
    pub(crate) data: Vec<u8>,
    pub(crate) original_length: u32,
    pub(crate) comments: Vec<String>,
}

/// Reads to the end: what was read, and what was wrong.
pub(crate) fn read_all(mut capture: Capture) -> (Vec<Owned>, Vec<CaptureError>, Capture) {
    let (mut packets, mut errors) = (Vec::new(), Vec::new());
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => packets.push(Owned {
                number: packet.number,
                nanos: packet.time.0,
                interface: packet.interface,
                link: packet.link.0,
                data: packet.data.to_vec(),
                original_length: packet.original_length,
                comments: packet.comments.iter().map(std::borrow::Cow::into_owned).collect(),
            }),
            Ok(None) => {
                assert!(capture.is_finished());
                return (packets, errors, capture);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                errors.push(error);
            }
        }
    }
}

/// The same of bytes. Bytes that cannot be opened are an error like others.
pub(crate) fn read(bytes: &[u8]) -> (Vec<Owned>, Vec<CaptureErrorKind>) {
    match Capture::from_reader("bytes", Cursor::new(bytes.to_vec())) {
        Ok(capture) => {
            let (packets, errors, _) = read_all(capture);
            (packets, errors.into_iter().map(|error| error.kind).collect())
        }
        Err(error) => (Vec::new(), vec![error.kind]),
    }
}

/// What must be read without a word of complaint.
pub(crate) fn sound(bytes: &[u8]) -> Vec<Owned> {
    let (packets, errors) = read(bytes);
    assert!(errors.is_empty(), "{errors:?}");
    packets
}
