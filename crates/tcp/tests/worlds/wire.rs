//! What an observer of all packets, who knows nothing of the ends, can hold against them.

use eleven_tcp::ip::Packet;
use eleven_tcp::sim::{Place, Record, Simulation};
use eleven_tcp::{Flags, FourTuple, Segment, SeqNumber};

/// One direction.
#[derive(Clone, Copy, Default)]
struct Direction {
    /// Behind the last number sent.
    next: Option<SeqNumber>,
    /// The largest number the other side has allowed.
    edge: Option<SeqNumber>,
    /// The shift of the windows this side announces.
    scale: u8,
    /// Whether this side's SYN offered one.
    offered: bool,
}

/// Checks every segment of a connection where it was sent.
pub(crate) fn check(world: &Simulation, pair: &FourTuple) -> Result<(), String> {
    let mut directions = [Direction::default(); 2];
    let mut records: Vec<&Record> =
        world.network().records().iter().filter(|record| record.place == Place::Sender).collect();
    records.sort_by_key(|record| record.number);
    for record in records {
        let Ok(packet) = Packet::parse(&record.packet) else { continue };
        let Ok(segment) = Segment::parse(packet.tcp) else { continue };
        let from_client = segment.source_port == pair.local_port;
        let (mine, theirs) = if from_client { (0, 1) } else { (1, 0) };
        check_segment(&mut directions, mine, theirs, &segment)
            .map_err(|wrong| format!("packet {} at {}: {wrong}: {segment:?}", record.number, record.time))?;
    }
    Ok(())
}

fn check_segment(
    directions: &mut [Direction; 2],
    mine: usize,
    theirs: usize,
    segment: &Segment<'_>,
) -> Result<(), String> {
    if segment.flags.contains(Flags::RST) {
        return Ok(());
    }
    let syn = segment.flags.contains(Flags::SYN);
    if syn {
        let scale = segment.options.window_scale();
        let both = scale.is_some() && (directions[theirs].next.is_none() || directions[theirs].offered);
        directions[mine].offered = scale.is_some();
        directions[mine].scale = if both { scale.unwrap_or(0).min(14) } else { 0 };
        if scale.is_none() {
            directions[theirs].scale = 0;
        }
    }
    let end = segment.end();
    if !segment.is_empty()
        && !syn
        && let Some(edge) = directions[mine].edge
        && end.gt(edge)
    {
        return Err(format!("{} beyond the window", end.distance(edge)));
    }
    let next = directions[mine].next.map_or(end, |next| next.later(end));
    directions[mine].next = Some(next);
    if segment.flags.contains(Flags::ACK) {
        let Some(sent) = directions[theirs].next else { return Err("acknowledges what nobody sent".into()) };
        if segment.ack.gt(sent) {
            return Err(format!("acknowledges {} bytes that were never sent", segment.ack.distance(sent)));
        }
        if let Some(block) = segment.options.sack().iter().find(|block| block.end.gt(sent)) {
            return Err(format!("tells of {block:?}, which was never sent"));
        }
        // Before both have spoken nobody knows whether windows are scaled: the larger is assumed.
        let shift = if syn { 0 } else { directions[mine].scale };
        let edge = segment.ack + (u32::from(segment.window) << shift);
        directions[theirs].edge = Some(directions[theirs].edge.map_or(edge, |known| known.later(edge)));
    }
    Ok(())
}
