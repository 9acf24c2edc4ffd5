//! What was seen in a laboratory: by the kernel's own view, at the calls, and on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eleven_snapshot::{Counters, Socket};
use eleven_tcp::ip::Packet;
use eleven_tcp::{Flags, FourTuple, Instant, Segment, SeqNumber, State};

use crate::clock::START;
use crate::host::{Errno, HostId};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// To which host.
    pub host: HostId,
    /// What.
    pub what: What,
    /// The state of the host's end of the connection that is looked at, before and after it.
    pub before: State,
    /// The state after.
    pub after: State,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// The scenario says what it is about to do.
    Step(String),
    /// All rows of the host show something that was looked for: in words, with how many rows of each state there are.
    Seen(String),
    /// A program called.
    Call {
        /// As in C: `connect(192.0.2.2:80)`.
        text: String,
        /// What it returned.
        answer: Result<String, Errno>,
    },
    /// A packet left: a place in [`Evidence::passages`].
    Sent(usize),
    /// A packet arrived: a place in [`Evidence::passages`].
    Received(usize),
    /// Nothing that could be seen: a timer of the host.
    ByItself,
}

/// A packet that was sent, and what became of it.
#[derive(Clone, Debug)]
pub struct PassageRecord {
    /// By which host.
    pub from: HostId,
    /// When.
    pub sent: Instant,
    /// When it arrived; of several times the first.
    pub received: Option<Instant>,
    /// It waits on the wire.
    pub held: bool,
    /// From the IP header on.
    pub packet: Arc<[u8]>,
    /// In words: `SYN seq=0 win=64240`.
    pub label: String,
}

impl PassageRecord {
    /// Lets `look` see the segment, if it is one.
    pub fn segment<T>(&self, look: impl FnOnce(&Segment<'_>) -> T) -> Option<T> {
        let packet = Packet::parse(&self.packet).ok()?;
        Segment::parse(packet.tcp).ok().map(|segment| look(&segment))
    }
}

/// How a host's end of the connection looked when it had changed.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was looked at.
    pub at: Instant,
    /// Whose end.
    pub host: HostId,
    /// Its state: CLOSED where there is no row any more, LISTEN where there is only a listener yet.
    pub state: State,
    /// The row, as the witness saw it.
    pub row: Option<Socket>,
}

/// So many packets are kept; a capture has them all.
const MOST_PASSAGES: usize = 20_000;

/// Everything that was seen, in order of time.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// What happened.
    pub events: Vec<Event>,
    /// The packets that were sent; of very many the first.
    pub passages: Vec<PassageRecord>,
    /// The rows, whenever one had changed.
    pub samples: Vec<Sample>,
    /// What the scenario has looked at in all rows of a host, in its words, and who said so.
    pub sights: Vec<(HostId, String)>,
    /// The subject's counters at the start and at the end.
    pub counters: (Counters, Counters),
    /// The connection that is looked at, as the subject sees it.
    pub focus: Option<FourTuple>,
    starts: BTreeMap<(FourTuple, bool), SeqNumber>,
}

impl Evidence {
    /// The time since the start.
    pub fn since_start(at: Instant) -> Duration {
        at.duration_since(START)
    }

    /// The states a host's end went through, each once as long as it lasted.
    pub fn path(&self, host: HostId) -> Vec<State> {
        let mut path: Vec<State> =
            self.samples.iter().filter(|sample| sample.host == host).map(|sample| sample.state).collect();
        path.dedup();
        path
    }

    /// How a host's end looked last.
    pub fn latest(&self, host: HostId) -> Option<&Sample> {
        self.samples.iter().rev().find(|sample| sample.host == host)
    }

    /// The state of a host's end as it looked last.
    pub fn state(&self, host: HostId) -> State {
        self.latest(host).map_or(State::Closed, |sample| sample.state)
    }

    /// How much a counter of the subject rose; `None` where it is not counted.
    pub fn rise(&self, name: &str) -> Option<i64> {
        let value = |counters: &Counters| {
            counters.iter().find(|(_, known, _)| *known == name).map(|(_, _, value)| value)
        };
        Some(value(&self.counters.1)? - value(&self.counters.0)?)
    }

    pub(crate) fn add_passage(&mut self, from: HostId, at: Instant, packet: &Arc<[u8]>) -> usize {
        if self.passages.len() >= MOST_PASSAGES {
            return usize::MAX;
        }
        let label = self.label(packet);
        let packet = packet.clone();
        self.passages.push(PassageRecord { from, sent: at, received: None, held: false, packet, label });
        self.passages.len() - 1
    }

    /// A packet in words, its numbers counted from the first of its direction.
    pub(crate) fn label(&mut self, packet: &[u8]) -> String {
        let Ok(packet) = Packet::parse(packet) else { return "no TCP".to_owned() };
        let Ok(segment) = Segment::parse(packet.tcp) else { return "no segment".to_owned() };
        let pair = FourTuple {
            local_address: packet.source,
            remote_address: packet.destination,
            local_port: segment.source_port,
            remote_port: segment.destination_port,
        };
        // Each direction has its own numbers. A later SYN begins them anew.
        let mine = (pair, true);
        let theirs = (pair.reversed(), true);
        if segment.flags.contains(Flags::SYN) {
            self.starts.insert(mine, segment.seq);
        }
        if segment.flags.contains(Flags::ACK) {
            self.starts.entry(theirs).or_insert(segment.ack - 1);
        }
        let start = *self.starts.entry(mine).or_insert(segment.seq);
        let mut label = format!("{} seq={}", segment.flags, relative(segment.seq, start));
        if segment.flags.contains(Flags::ACK) {
            let start = self.starts.get(&theirs).copied().unwrap_or_default();
            label += &format!(" ack={}", relative(segment.ack, start));
        }
        if !segment.text.is_empty() {
            label += &format!(" len={}", segment.text.len());
        }
        if !segment.flags.contains(Flags::RST) {
            label += &format!(" win={}", segment.window);
        }
        label
    }
}

/// A number from a start, small ones before it too.
fn relative(number: SeqNumber, start: SeqNumber) -> i64 {
    i64::from(number.0.wrapping_sub(start.0).cast_signed())
}
