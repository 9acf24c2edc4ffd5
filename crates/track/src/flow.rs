//! What is told about a whole flow.

use core::fmt;
use core::net::SocketAddr;

use eleven_tcp::State;

use crate::conversation::{Conversation, UNKNOWN};
use crate::half::Marks;
use crate::note::{Note, Notes};
use crate::path::Step;
use crate::{Anomaly, Assumption, Completeness, Provenance, RoundTrips, Settings, Side};

/// How a flow ended, as far as was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides closed.
    Fin,
    /// A reset ended it.
    Reset,
    /// The SYN was answered with a reset.
    Refused,
    /// Nothing answered the SYN.
    Unanswered,
    /// It was open, or closing, when it was seen last.
    Open,
    /// Something else came in its place before it ended.
    Unknown,
}

impl Ending {
    /// The word that is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "rst",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Everything about one side of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Its address and port.
    pub socket: SocketAddr,
    /// Its state at the end, as if everything seen on its way to it had arrived.
    pub state: State,
    /// How sure that is.
    pub provenance: Provenance,
    /// The states it went through.
    pub path: Vec<Step>,
    /// Its segments.
    pub packets: u32,
    /// The text in them, repeats included.
    pub bytes: u64,
    /// How many different bytes of text those are.
    pub unique_bytes: u64,
    /// Segments sent again after a timeout or for reasons that were not seen.
    pub retransmissions: u16,
    /// Segments sent again because duplicate acknowledgments or SACK asked for it.
    pub fast_retransmissions: u16,
    /// Segments sent again although they had arrived.
    pub spurious_retransmissions: u16,
    /// Segments that told of a zero window.
    pub zero_windows: u16,
    /// From its text being seen to the acknowledgment being seen.
    pub round_trips: Option<RoundTrips>,
    /// The maximum segment size it announced; `None` if that was not seen.
    pub mss: Option<u16>,
    /// The shift of its windows, where both SYNs were seen.
    pub window_scale: Option<u8>,
    /// Whether it permits selective acknowledgments.
    pub sack_permitted: bool,
    /// Whether it uses timestamps.
    pub timestamps: bool,
}

impl End {
    /// All text sent again, of every kind.
    pub fn all_retransmissions(&self) -> u32 {
        u32::from(self.retransmissions)
            + u32::from(self.fast_retransmissions)
            + u32::from(self.spurious_retransmissions)
    }
}

/// Everything about one flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Its identity: the number of its first packet, the same whichever tracker saw it.
    pub id: u64,
    /// Its place among the flows that its tracker saw begin, counted from 1.
    pub ordinal: u64,
    /// What else its key had ([`crate::Sighting::path`]).
    pub path: u64,
    /// Whether client and server are known from SYNs, not guessed from ports.
    pub direction_known: bool,
    /// When its first packet was seen, in nanoseconds since the Unix epoch.
    pub first_time_ns: i64,
    /// When its last was.
    pub last_time_ns: i64,
    /// The client.
    pub client: End,
    /// The server.
    pub server: End,
    /// Who sent the first SYN; `None` if none was seen.
    pub opened_by: Option<Side>,
    /// Who sent the first FIN or RST.
    pub closed_by: Option<Side>,
    /// How it ended.
    pub ending: Ending,
    /// From the first SYN to the ACK that ends the handshake, in microseconds.
    pub handshake_us: Option<u32>,
    /// From the first packet to the server's first text.
    pub first_byte_us: Option<u32>,
    /// From the first FIN or RST to the last change of a state.
    pub close_us: Option<u64>,
    /// What was out of the ordinary.
    pub anomalies: Vec<Anomaly>,
    /// Zeek's `conn_state` and `history`, where they are kept.
    pub zeek: Option<Zeek>,
    /// Wireshark's completeness.
    pub wireshark: Completeness,
}

/// What Zeek would write in its `conn.log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zeek {
    /// `conn_state`: `SF`.
    pub conn_state: &'static str,
    /// `history`: `ShADadFf`; empty where Zeek writes `-`.
    pub history: String,
    /// Whom Zeek takes for the originator: not always our client.
    pub originator: Side,
}

/// How much is told of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Without paths, round trips and Zeek: nothing that needs memory of its own, but for anomalies.
    Outline,
    /// Everything.
    Whole,
}

impl Flow {
    /// The end on a side.
    pub const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The round trip over the whole path: from here to the farther side and back, and the quickest from here to the
    /// nearer. What delays acknowledgments on the nearer side does not count.
    pub fn round_trips(&self) -> Option<RoundTrips> {
        let (one, other) = match (self.client.round_trips, self.server.round_trips) {
            (Some(one), Some(other)) => (one, other),
            (one, other) => return one.or(other),
        };
        let (near, far) = if one.min_ns <= other.min_ns { (one, other) } else { (other, one) };
        Some(RoundTrips {
            min_ns: far.min_ns + near.min_ns,
            median_ns: far.median_ns + near.min_ns,
            max_ns: far.max_ns + near.min_ns,
            count: far.count,
        })
    }

    pub(crate) fn sort_anomalies(&mut self) {
        self.anomalies.sort_by_key(|anomaly| (anomaly.first_packet, anomaly.kind, anomaly.side));
    }

    /// How often an anomaly was seen, on both sides together.
    pub fn count_of(&self, kind: Note) -> u32 {
        self.anomalies.iter().filter(|anomaly| anomaly.kind == kind).map(|anomaly| anomaly.count).sum()
    }
}

/// The unknown, where there is no number for it.
fn known(micros: u32) -> Option<u32> {
    (micros != UNKNOWN).then_some(micros)
}

impl Conversation {
    fn end(&self, side: Side, now_ns: i64, settings: &Settings, detail: Detail) -> End {
        let half = &self.halves[side.index()];
        let whole = detail == Detail::Whole;
        let mut path: Vec<Step> = if whole { half.path.steps(self.origin).collect() } else { Vec::new() };
        let (mut state, mut provenance) = (half.state(), half.provenance());
        if self.time_wait_over(side, now_ns, settings)
            && let Some(rule) = crate::moves::rule_of(State::TimeWait, crate::moves::Deed::TimeWaitTimeout)
        {
            state = rule.to;
            provenance = Provenance::Assumed(Assumption::TimeWaitOver);
            if let Some(last) = path.last() {
                let lasts = i64::try_from(settings.time_wait.as_nanos()).unwrap_or(i64::MAX);
                let time_ns = self.last_time.saturating_add(lasts);
                path.push(Step { state, rule: Some(rule), provenance, packet: last.packet, time_ns });
            }
        }
        End {
            socket: self.key.socket((side == Side::Client) == self.reversed),
            state,
            provenance,
            path,
            packets: half.packets,
            bytes: half.bytes,
            unique_bytes: half.unique_bytes,
            retransmissions: half.resent[0],
            fast_retransmissions: half.resent[1],
            spurious_retransmissions: half.resent[2],
            zero_windows: half.zero_windows,
            round_trips: if whole { self.round_trips[side.index()].told() } else { None },
            mss: (half.mss > 0).then_some(half.mss),
            window_scale: (half.is(Marks::SCALE_KNOWN) && half.is(Marks::HAD_SCALE)).then_some(half.scale),
            sack_permitted: half.is(Marks::SACK),
            timestamps: half.is(Marks::TIMESTAMPS),
        }
    }

    fn ending(&self) -> Ending {
        let [client, server] = &self.halves;
        let refused = client.state() == State::Closed
            && client.path.find(State::SynSent) == client.path.len().checked_sub(2);
        if refused && client.path.len() >= 2 && client.path.find(State::Established).is_none() {
            return Ending::Refused;
        }
        if client.state() == State::SynSent && server.path.len() == 0 {
            return Ending::Unanswered;
        }
        let reset = [client, server].iter().any(|half| half.is(Marks::RESET) || half.is(Marks::WAS_RESET));
        let fins = client.is(Marks::FIN) && server.is(Marks::FIN);
        if self.is_over() && reset && !(fins && !self.closed_by_reset && self.both_finished_by_fin()) {
            return Ending::Reset;
        }
        if fins && self.is_over() {
            return Ending::Fin;
        }
        Ending::Open
    }

    /// Both FINs were acknowledged; a reset behind them ended nothing.
    fn both_finished_by_fin(&self) -> bool {
        self.halves.iter().all(|half| half.is(Marks::ACKED) && half.acked.ge(half.fin_end))
    }

    /// Tells everything.
    pub(crate) fn tell(&self, now_ns: i64, settings: &Settings, detail: Detail) -> Flow {
        let mut told = self.clone_anomalies();
        let ending = self.ending();
        if ending == Ending::Unanswered {
            let mut notes = Notes::NONE;
            notes.insert(Note::UnansweredSyn);
            told.push(Anomaly {
                kind: Note::UnansweredSyn,
                side: Side::Client,
                count: self.halves[0].packets,
                first_packet: self.origin.packet,
            });
        }
        let opened_by = Side::BOTH.into_iter().find(|side| self.halves[side.index()].is(Marks::ACTIVE));
        let last_change = self
            .halves
            .iter()
            .filter_map(|half| half.path.len().checked_sub(1).map(|last| half.path.offset_ns_at(last)))
            .max();
        let mut flow = Flow {
            id: self.origin.packet,
            ordinal: self.ordinal,
            path: self.path,
            direction_known: self.direction_known,
            first_time_ns: self.origin.time_ns,
            last_time_ns: self.last_time,
            client: self.end(Side::Client, now_ns, settings, detail),
            server: self.end(Side::Server, now_ns, settings, detail),
            opened_by,
            closed_by: self.closed_by,
            ending,
            handshake_us: known(self.handshake_us),
            first_byte_us: known(self.halves[1].first_text_us),
            close_us: known(self.close_us).zip(last_change).map(|(since, last)| {
                u64::try_from(last / 1_000).unwrap_or(0).saturating_sub(u64::from(since))
            }),
            anomalies: told,
            zeek: if detail == Detail::Whole { self.tell_zeek() } else { None },
            wireshark: self.wireshark,
        };
        flow.sort_anomalies();
        flow
    }

    fn tell_zeek(&self) -> Option<Zeek> {
        let (conn_state, history, second) = self.zeek.tell(self.reversed)?;
        Some(Zeek { conn_state, history, originator: self.side(second) })
    }

    fn clone_anomalies(&self) -> Vec<Anomaly> {
        self.anomalies.as_ref().map(|list| list.to_vec()).unwrap_or_default()
    }
}
