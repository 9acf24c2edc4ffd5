//! What a segment costs the tracker, and what memory a flow takes.
//!
//!     cargo bench -p eleven-track
//!
//! Two mixes: few long connections, and very many short ones. Segments are made in memory; making them is not timed.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use eleven_tcp::{Ecn, Flags, Options, Segment, SeqNumber, TcpOption, Timestamps};
use eleven_track::{Settings, Sighting, Tracker};

/// A connection in the making.
#[derive(Clone, Copy)]
struct Life {
    client: u32,
    server: u32,
    port: u16,
    at: u32,
    sent: [u32; 2],
}

const TEXT: &[u8] = &[0; 1_460];

/// The next segment of a life: handshake, request and answer as often as wanted, close. `None` when it is over.
fn next(life: &mut Life, exchanges: u32, size: u32) -> Option<(bool, Segment<'static>, u32)> {
    let steps = 3 + exchanges * 2;
    let (from_client, flags, length) = match life.at {
        0 => (true, Flags::SYN, 0),
        1 => (false, Flags::SYN | Flags::ACK, 0),
        2 => (true, Flags::ACK, 0),
        at if at < steps => (at % 2 == 1, Flags::ACK | Flags::PSH, size),
        at if at == steps => (true, Flags::FIN | Flags::ACK, 0),
        at if at == steps + 1 => (false, Flags::FIN | Flags::ACK, 0),
        at if at == steps + 2 => (true, Flags::ACK, 0),
        _ => return None,
    };
    let (mine, theirs) = if from_client { (0, 1) } else { (1, 0) };
    let timestamps = Timestamps { value: life.at, echo_reply: life.at };
    let mut options = Options::with_timestamps(timestamps);
    if flags.contains(Flags::SYN) {
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
    }
    let segment = Segment {
        source_port: if from_client { life.port } else { 443 },
        destination_port: if from_client { 443 } else { life.port },
        seq: SeqNumber(life.sent[mine]),
        ack: SeqNumber(if flags.contains(Flags::ACK) { life.sent[theirs] } else { 0 }),
        flags,
        window: 64_000,
        options,
        text: TEXT[..length as usize].into(),
        ..Segment::default()
    };
    life.sent[mine] = life.sent[mine].wrapping_add(segment.len());
    life.at += 1;
    Some((from_client, segment, length))
}

fn run(name: &str, flows: u32, exchanges: u32, size: u32, together: usize, batch: bool, zeek: bool) {
    let mut tracker = Tracker::new(Settings { zeek, ..Settings::default() });
    let mut lives: Vec<Life> = Vec::new();
    let mut begun = 0;
    let mut packets = 0_u64;
    let mut spent = Duration::ZERO;
    let mut random = 88_172_645_463_325_252_u64;
    let mut made = Vec::with_capacity(4_096);
    loop {
        made.clear();
        while made.len() < 4_096 {
            while lives.len() < together && begun < flows {
                begun += 1;
                lives.push(Life {
                    client: 0x0a00_0000 + begun,
                    server: 0xc000_0000 + begun / 8,
                    port: 1_024 + (begun % 50_000) as u16,
                    at: 0,
                    sent: [begun.wrapping_mul(7_919), begun.wrapping_mul(104_729)],
                });
            }
            if lives.is_empty() {
                break;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let index = random as usize % lives.len();
            match next(&mut lives[index], exchanges, size) {
                Some((from_client, segment, length)) => {
                    made.push(((lives[index].client, lives[index].server), from_client, segment, length));
                }
                None => {
                    lives.swap_remove(index);
                }
            }
        }
        if made.is_empty() {
            break;
        }
        let sightings: Vec<Sighting<'_>> = made
            .iter()
            .enumerate()
            .map(|(index, (sockets, from_client, segment, length))| {
                let (client, server) = (Ipv4Addr::from_bits(sockets.0), Ipv4Addr::from_bits(sockets.1));
                let (source, destination) = if *from_client { (client, server) } else { (server, client) };
                Sighting {
                    number: packets + index as u64 + 1,
                    time_ns: (packets + index as u64).cast_signed() * 1_000,
                    source: source.into(),
                    destination: destination.into(),
                    identification: None,
                    hop_limit: 64,
                    ecn: Ecn::NotEct,
                    segment,
                    text_length: *length,
                    checksum_bad: false,
                    path: 0,
                }
            })
            .collect();
        let begins = Instant::now();
        if batch {
            tracker.observe_batch(
                &sightings,
                |sighting| *sighting,
                |_, verdict| {
                    black_box(verdict);
                },
            );
        } else {
            for sighting in &sightings {
                black_box(tracker.observe(sighting));
            }
        }
        spent += begins.elapsed();
        packets += sightings.len() as u64;
    }
    for anomaly in tracker.flow(1).into_iter().flat_map(|flow| flow.anomalies) {
        println!("  unexpected: {anomaly:?}");
    }
    let nanoseconds = spent.as_nanos() as f64 / packets as f64;
    let memory = tracker.memory() / tracker.len().max(1);
    println!(
        "{name}: {packets} segments, {} flows: {nanoseconds:.1} ns a segment, {memory} bytes a flow",
        tracker.len()
    );
}

fn main() {
    let scale = if std::env::args().any(|argument| argument == "--test") { 100 } else { 1 };
    for zeek in [true, false] {
        println!("{} Zeek beside it:", if zeek { "with" } else { "without" });
        for batch in [false, true] {
            let way = if batch { "in batches" } else { "one by one" };
            run(&format!("long,  {way}"), 24_000 / scale, 18, 800, 2_000, batch, zeek);
            run(&format!("short, {way}"), 438_000 / scale, 1, 20, 5_000, batch, zeek);
        }
    }
}
