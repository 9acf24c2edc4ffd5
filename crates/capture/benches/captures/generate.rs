//! Makes the two captures that speeds are told of. They are the same on every machine.
//!
//! - A: 1 M packets of about 870 bytes in 24 k flows, as servers of large answers see them.
//! - B: 3 M packets of about 80 bytes in 411 k flows, as a scan or a flood of short connections looks.
//!
//! Every flow is a whole connection: it opens, carries text both ways and closes. Flows overlap in time. Checksums are right.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use eleven_tcp::{Ecn, Flags, Options, Segment, SeqNumber, TcpOption, Timestamps, ip};

/// What a capture shall be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its packets; a few more, until the last flow has closed.
    pub(crate) packets: u64,
    /// So many segments with text a flow: at least, and how many more there may be.
    pub(crate) segments: (u64, u64),
    /// Their text, likewise; 0: most have none.
    pub(crate) text: (usize, usize),
    /// So many flows are open at a time.
    pub(crate) open: usize,
}

/// Capture A.
pub(crate) const A: Shape = Shape { packets: 1_000_000, segments: (5, 40), text: (1_240, 208), open: 512 };
/// Capture B.
pub(crate) const B: Shape = Shape { packets: 3_000_000, segments: (0, 2), text: (30, 70), open: 4_096 };

/// What was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    /// Packets.
    pub(crate) packets: u64,
    /// Flows.
    pub(crate) flows: u64,
    /// Bytes of the packets, without the headers of records.
    pub(crate) bytes: u64,
}

/// xorshift64*: all that is needed of chance here.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}

/// A connection, and how far it is.
struct Flow {
    client: (Ipv4Addr, u16),
    server: (Ipv4Addr, u16),
    /// What each end sends next: client, server.
    next: [u32; 2],
    step: u64,
    segments: u64,
}

/// Writes a capture of that shape: Ethernet in pcap with microseconds.
pub(crate) fn generate(path: &Path, shape: Shape) -> io::Result<Made> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0])?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let text: Vec<u8> = (0..2_048).map(|_| random.below(256) as u8).collect();
    let mut made = Made::default();
    let mut flows: Vec<Flow> = Vec::new();
    let mut micros = 1_700_000_000_000_000_u64;
    let mut packet = Vec::new();
    while made.packets < shape.packets || !flows.is_empty() {
        if made.packets < shape.packets && flows.len() < shape.open {
            flows.push(open(made.flows, shape, &mut random));
            made.flows += 1;
        }
        let chosen = random.below(flows.len() as u64) as usize;
        let flow = &mut flows[chosen];
        packet.clear();
        packet.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        let closed = advance(flow, shape, micros, &text, &mut random, &mut packet);
        if closed {
            flows.swap_remove(chosen);
        }
        micros += 1 + random.below(9);
        let length = packet.len() as u32;
        for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&packet)?;
        made.packets += 1;
        made.bytes += u64::from(length);
    }
    out.into_inner()?.sync_data()?;
    Ok(made)
}

fn open(number: u64, shape: Shape, random: &mut Random) -> Flow {
    let number = number as u32;
    let client = (
        Ipv4Addr::from_bits(0x0a00_0000 + number / 60_000 * 7 + random.below(4_000) as u32 * 16),
        1_024 + (number % 60_000) as u16,
    );
    let server = (
        Ipv4Addr::from_bits(0xc0a8_0000 + random.below(200) as u32),
        [80, 443, 5_432, 8_080][random.below(4) as usize],
    );
    let (least, more) = shape.segments;
    Flow {
        client,
        server,
        next: [random.below(1 << 32) as u32, random.below(1 << 32) as u32],
        step: 0,
        segments: least + random.below(more + 1),
    }
}

/// Appends the flow's next packet; whether that was its last.
fn advance(
    flow: &mut Flow,
    shape: Shape,
    micros: u64,
    text: &[u8],
    random: &mut Random,
    out: &mut Vec<u8>,
) -> bool {
    let last_text = 3 + flow.segments * 3 / 2;
    let timestamps = Timestamps { value: (micros / 1_000) as u32, echo_reply: (micros / 1_000) as u32 - 1 };
    let mut options = Options::with_timestamps(timestamps);
    let (from, flags, length) = match flow.step {
        0 | 1 => {
            options = Options::EMPTY;
            for option in [
                TcpOption::MaximumSegmentSize(1_460),
                TcpOption::SackPermitted,
                TcpOption::Timestamps(timestamps),
                TcpOption::NoOperation,
                TcpOption::WindowScale(7),
            ] {
                options.push(option).expect("they fit");
            }
            (flow.step as usize, if flow.step == 0 { Flags::SYN } else { Flags::SYN | Flags::ACK }, 0)
        }
        2 => (0, Flags::ACK, 0),
        // Two segments of the server, one acknowledgment of the client.
        step if step < last_text => {
            if (step - 3) % 3 == 2 {
                (0, Flags::ACK, 0)
            } else {
                (1, Flags::ACK | Flags::PSH, shape.text.0 + random.below(shape.text.1 as u64 + 1) as usize)
            }
        }
        step if step == last_text => (1, Flags::FIN | Flags::ACK, 0),
        step if step == last_text + 1 => (0, Flags::FIN | Flags::ACK, 0),
        _ => (1, Flags::ACK, 0),
    };
    let (one, other) = if from == 0 { (flow.client, flow.server) } else { (flow.server, flow.client) };
    let segment = Segment {
        source_port: one.1,
        destination_port: other.1,
        seq: SeqNumber(flow.next[from]),
        ack: SeqNumber(if flow.step == 0 { 0 } else { flow.next[1 - from] }),
        flags,
        window: 502,
        options,
        text: text[..length].into(),
        ..Segment::default()
    };
    let addresses = (IpAddr::V4(one.0), IpAddr::V4(other.0));
    ip::emit_segment(&segment, addresses.0, addresses.1, Ecn::NotEct, 64, out).expect("it is short enough");
    flow.next[from] = flow.next[from].wrapping_add(segment.len());
    flow.step += 1;
    flow.step > last_text + 2
}
