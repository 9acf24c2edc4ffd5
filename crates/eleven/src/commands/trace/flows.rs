//! A row a flow: as a record for programs, as a line of a table, and as something that a filter chooses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use eleven_capture::Timestamp;
use eleven_snapshot::Family;
use eleven_tcp::State;
use eleven_track::{Anomaly, End, Flow, Side, Step, Zeek};
use serde::Serialize;

use crate::cli::Format;
use crate::filter::{self, ClosedBy, Filterable, FlowPredicate, Measure, Predicate};
use crate::output::{Column, CsvRecords, JsonRecords, Output, Style, Table};
use crate::text;

/// A flow and its number, from 1 in the order of first packets.
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) flow: Flow,
}

impl From<Flow> for Numbered {
    fn from(flow: Flow) -> Self {
        Self { number: flow.ordinal, flow }
    }
}

impl Numbered {
    fn ends(&self) -> [&End; 2] {
        [&self.flow.client, &self.flow.server]
    }

    pub(super) fn packets(&self) -> u64 {
        self.ends().map(|end| u64::from(end.packets)).iter().sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.ends().map(|end| end.bytes).iter().sum()
    }

    pub(super) fn retransmissions(&self) -> u64 {
        self.ends().map(|end| u64::from(end.all_retransmissions())).iter().sum()
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_nanos(self.flow.last_time_ns.saturating_sub(self.flow.first_time_ns).max(0) as u64)
    }
}

impl Filterable for Numbered {
    fn answer(&self, predicate: &Predicate) -> Option<bool> {
        let flow = &self.flow;
        let (sockets, states) = (self.ends().map(|end| end.socket), self.ends().map(|end| end.state));
        match predicate {
            Predicate::RoundTripTime(comparison, time) => {
                Some(comparison.holds(&Duration::from_nanos(flow.round_trips()?.median_ns), time))
            }
            Predicate::Flow(about) => {
                answer_about(predicate, self.number, sockets, states).or_else(|| self.answer_flow(about))
            }
            _ => answer_about(predicate, self.number, sockets, states),
        }
    }
}

/// What number, sockets and states of client and server say.
pub(super) fn answer_about(
    predicate: &Predicate,
    number: u64,
    sockets: [SocketAddr; 2],
    states: [State; 2],
) -> Option<bool> {
    let on = |side, holds: &dyn Fn(SocketAddr) -> bool| match side {
        filter::Side::Local => holds(sockets[0]),
        filter::Side::Remote => holds(sockets[1]),
        filter::Side::Either => sockets.into_iter().any(holds),
    };
    Some(match predicate {
        Predicate::States(wanted) | Predicate::Flow(FlowPredicate::EndState(filter::End::Either, wanted)) => {
            states.into_iter().any(|state| wanted.contains(state))
        }
        Predicate::Flow(FlowPredicate::EndState(end, wanted)) => {
            wanted.contains(states[usize::from(*end == filter::End::Server)])
        }
        Predicate::Flow(FlowPredicate::Number { measure: Measure::Number, comparison, value }) => {
            comparison.holds(&number, value)
        }
        Predicate::Family(family) => (*family == Family::Inet) == sockets[0].is_ipv4(),
        Predicate::Host { side, prefix, port } => on(*side, &|socket: SocketAddr| {
            port.is_none_or(|port| port == socket.port())
                && prefix.is_none_or(|prefix| prefix.contains(socket.ip()))
        }),
        Predicate::Port { side, comparison, port } => {
            on(*side, &|socket: SocketAddr| comparison.holds(&socket.port(), port))
        }
        // Unknown yet; the parser lets no word about sockets of a host through to flows.
        _ => return None,
    })
}

impl Numbered {
    fn answer_flow(&self, predicate: &FlowPredicate) -> Option<bool> {
        let flow = &self.flow;
        Some(match predicate {
            // Numbers and states are answered already.
            FlowPredicate::EndState(..) => return None,
            FlowPredicate::ClosedBy(wanted) => {
                *wanted
                    == match flow.closed_by {
                        Some(Side::Client) => ClosedBy::Client,
                        Some(Side::Server) => ClosedBy::Server,
                        None => ClosedBy::Nobody,
                    }
            }
            FlowPredicate::Anomaly(name) => {
                flow.anomalies.iter().any(|anomaly| name.matches(anomaly.kind.as_str()))
            }
            FlowPredicate::ConnState(name) => name.matches(flow.zeek.as_ref()?.conn_state),
            FlowPredicate::Number { measure, comparison, value } => {
                let found = match measure {
                    Measure::Retransmissions => self.retransmissions(),
                    Measure::Packets => self.packets(),
                    Measure::Bytes => self.bytes(),
                    // Not a number, or answered already.
                    Measure::Number | Measure::Duration | Measure::Handshake => return None,
                };
                comparison.holds(&found, value)
            }
            FlowPredicate::Time { measure, comparison, value } => {
                let found = match measure {
                    Measure::Handshake => Duration::from_micros(flow.handshake_us?.into()),
                    _ => self.duration(),
                };
                comparison.holds(&found, value)
            }
        })
    }
}

/// What a program reads of a flow. The names are the contract of `eleven trace`.
#[derive(Serialize)]
struct Record<'a> {
    flow: u64,
    client: String,
    server: String,
    direction_known: bool,
    client_state: &'static str,
    server_state: &'static str,
    client_path: Vec<PathStep>,
    server_path: Vec<PathStep>,
    opened_by: Option<&'static str>,
    closed_by: Option<&'static str>,
    ending: &'static str,
    zeek_conn_state: Option<&'static str>,
    zeek_history: Option<&'a str>,
    wireshark_completeness: u8,
    first_packet: u64,
    start: f64,
    duration_s: f64,
    packets_client: u32,
    packets_server: u32,
    bytes_client: u64,
    bytes_server: u64,
    unique_bytes_client: u64,
    unique_bytes_server: u64,
    retransmissions_client: u32,
    retransmissions_server: u32,
    fast_retransmissions_client: u16,
    fast_retransmissions_server: u16,
    spurious_retransmissions_client: u16,
    spurious_retransmissions_server: u16,
    zero_windows_client: u16,
    zero_windows_server: u16,
    handshake_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    close_ms: Option<f64>,
    rtt_ms: Option<RoundTrip>,
    anomalies: Vec<AnomalyRecord>,
}

#[derive(Serialize)]
struct PathStep {
    state: &'static str,
    provenance: &'static str,
    reason: Option<&'static str>,
    rule: Option<&'static str>,
    packet: u64,
    time: f64,
}

#[derive(Serialize)]
struct RoundTrip {
    min: f64,
    median: f64,
    max: f64,
}

#[derive(Serialize)]
struct AnomalyRecord {
    kind: &'static str,
    side: &'static str,
    count: u32,
    first_packet: u64,
}

fn seconds(time_ns: i64) -> f64 {
    time_ns as f64 / 1e9
}

fn path(steps: &[Step]) -> Vec<PathStep> {
    let step = |step: &Step| PathStep {
        state: step.state.as_str(),
        provenance: step.provenance.as_str(),
        reason: Some(step.provenance.reason()).filter(|reason| !reason.is_empty()),
        rule: step.rule.map(|rule| rule.id),
        packet: step.packet,
        time: seconds(step.time_ns),
    };
    steps.iter().map(step).collect()
}

/// As Zeek writes it: a dash for nothing.
fn history(zeek: &Zeek) -> &str {
    if zeek.history.is_empty() { "-" } else { &zeek.history }
}

fn anomaly(anomaly: &Anomaly) -> AnomalyRecord {
    AnomalyRecord {
        kind: anomaly.kind.as_str(),
        side: anomaly.side.as_str(),
        count: anomaly.count,
        first_packet: anomaly.first_packet,
    }
}

impl<'a> Record<'a> {
    fn new(numbered: &'a Numbered) -> Self {
        let flow = &numbered.flow;
        let (client, server) = (&flow.client, &flow.server);
        let millis = |micros: f64| micros / 1e3;
        Self {
            flow: numbered.number,
            client: client.socket.to_string(),
            server: server.socket.to_string(),
            direction_known: flow.direction_known,
            client_state: client.state.as_str(),
            server_state: server.state.as_str(),
            client_path: path(&client.path),
            server_path: path(&server.path),
            opened_by: flow.opened_by.map(Side::as_str),
            closed_by: flow.closed_by.map(Side::as_str),
            ending: flow.ending.as_str(),
            zeek_conn_state: flow.zeek.as_ref().map(|zeek| zeek.conn_state),
            zeek_history: flow.zeek.as_ref().map(history),
            wireshark_completeness: flow.wireshark.bits(),
            first_packet: flow.id,
            start: seconds(flow.first_time_ns),
            duration_s: numbered.duration().as_secs_f64(),
            packets_client: client.packets,
            packets_server: server.packets,
            bytes_client: client.bytes,
            bytes_server: server.bytes,
            unique_bytes_client: client.unique_bytes,
            unique_bytes_server: server.unique_bytes,
            retransmissions_client: client.all_retransmissions(),
            retransmissions_server: server.all_retransmissions(),
            fast_retransmissions_client: client.fast_retransmissions,
            fast_retransmissions_server: server.fast_retransmissions,
            spurious_retransmissions_client: client.spurious_retransmissions,
            spurious_retransmissions_server: server.spurious_retransmissions,
            zero_windows_client: client.zero_windows,
            zero_windows_server: server.zero_windows,
            handshake_ms: flow.handshake_us.map(|micros| millis(micros.into())),
            first_byte_ms: flow.first_byte_us.map(|micros| millis(micros.into())),
            close_ms: flow.close_us.map(|micros| millis(micros as f64)),
            rtt_ms: flow.round_trips().map(|trips| RoundTrip {
                min: trips.min_ns as f64 / 1e6,
                median: trips.median_ns as f64 / 1e6,
                max: trips.max_ns as f64 / 1e6,
            }),
            anomalies: flow.anomalies.iter().map(anomaly).collect(),
        }
    }
}

/// The columns of the table: heading, whether right, rank.
const COLUMNS: [(&str, bool, u8); 12] = [
    ("FLOW", true, 0),
    ("CLIENT", false, 0),
    ("SERVER", false, 0),
    ("CLIENT STATE", false, 0),
    ("SERVER STATE", false, 0),
    ("PACKETS", true, 2),
    ("BYTES", true, 3),
    ("AGAIN", true, 2),
    ("DURATION", true, 4),
    ("RTT", true, 5),
    ("END", false, 3),
    ("ODD", false, 1),
];

/// The columns of the CSV.
const FIELDS: [&str; 25] = [
    "flow",
    "client",
    "server",
    "direction_known",
    "client_state",
    "server_state",
    "client_path",
    "server_path",
    "closed_by",
    "ending",
    "zeek_conn_state",
    "zeek_history",
    "wireshark_completeness",
    "first_packet",
    "start",
    "duration_s",
    "packets_client",
    "packets_server",
    "bytes_client",
    "bytes_server",
    "retransmissions_client",
    "retransmissions_server",
    "handshake_ms",
    "rtt_ms_median",
    "anomalies",
];

/// Rows of flows, in one of the formats.
#[allow(clippy::large_enum_variant, reason = "there is one value of it")]
pub(super) enum FlowRows {
    Table(Table<Output>),
    Json(JsonRecords<Output>),
    Csv(CsvRecords<Output>),
}

impl FlowRows {
    pub(super) fn new(output: Output) -> io::Result<Self> {
        Ok(match output.format {
            Format::Table => {
                let columns = COLUMNS.map(|(title, right, rank)| Column { title, right, rank }).into();
                let (paint, limit) = (output.paint, output.columns);
                Self::Table(Table::new(output, paint, limit, columns))
            }
            format @ (Format::Json | Format::Ndjson) => Self::Json(JsonRecords::new(output, format)),
            Format::Csv => Self::Csv(CsvRecords::new(output, FIELDS)?),
        })
    }

    pub(super) fn write(&mut self, flow: &Numbered) -> io::Result<()> {
        match self {
            Self::Table(table) => {
                let odd = flow.flow.anomalies.is_empty();
                let style = (!odd).then_some(Style::Alarm);
                table.row(style, None, |column, cell| write_cell(flow, column, cell))
            }
            Self::Json(records) => records.write(&Record::new(flow)),
            Self::Csv(records) => records.write(csv_fields(flow)),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Table(table) => table.finish(),
            Self::Json(records) => records.finish(),
            Self::Csv(records) => records.finish(),
        }
    }
}

/// A state, and a sign where it was not observed: `?` assumed, `~` inferred.
fn state(end: &End) -> String {
    let sign = match end.provenance.as_str() {
        "inferred" => "~",
        "assumed" => "?",
        _ => "",
    };
    format!("{}{sign}", end.state)
}

fn write_cell(numbered: &Numbered, column: usize, cell: &mut String) {
    let flow = &numbered.flow;
    match column {
        0 => cell.push_str(&numbered.number.to_string()),
        1 => cell.push_str(&flow.client.socket.to_string()),
        2 => cell.push_str(&flow.server.socket.to_string()),
        3 => cell.push_str(&state(&flow.client)),
        4 => cell.push_str(&state(&flow.server)),
        5 => cell.push_str(&numbered.packets().to_string()),
        6 => cell.push_str(&numbered.bytes().to_string()),
        7 => match numbered.retransmissions() {
            0 => {}
            count => cell.push_str(&count.to_string()),
        },
        8 => cell.push_str(&format!("{:.3} s", numbered.duration().as_secs_f64())),
        9 => {
            if let Some(trips) = flow.round_trips() {
                cell.push_str(&format!("{:.2} ms", trips.median_ns as f64 / 1e6));
            }
        }
        10 => {
            cell.push_str(flow.ending.as_str());
            if let Some(side) = flow.closed_by {
                cell.push_str(" by ");
                cell.push_str(side.as_str());
            }
        }
        _ => cell.push_str(&odd(flow)),
    }
}

/// `zero-window ×3, syn-retransmission`.
fn odd(flow: &Flow) -> String {
    let mut kinds: Vec<(&str, u32)> = Vec::new();
    for anomaly in &flow.anomalies {
        let name = anomaly.kind.as_str();
        match kinds.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += anomaly.count,
            None => kinds.push((name, anomaly.count)),
        }
    }
    let names = kinds.iter().map(|(name, count)| match count {
        1 => (*name).to_owned(),
        count => format!("{name} ×{}", text::thousands(u64::from(*count))),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn csv_fields(numbered: &Numbered) -> [String; FIELDS.len()] {
    let flow = &numbered.flow;
    let states = |end: &End| end.path.iter().map(|step| step.state.as_str()).collect::<Vec<_>>().join(" ");
    let optional = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let zeek = flow.zeek.as_ref();
    [
        numbered.number.to_string(),
        flow.client.socket.to_string(),
        flow.server.socket.to_string(),
        flow.direction_known.to_string(),
        flow.client.state.to_string(),
        flow.server.state.to_string(),
        states(&flow.client),
        states(&flow.server),
        flow.closed_by.map_or_else(String::new, |side| side.to_string()),
        flow.ending.to_string(),
        zeek.map_or_else(String::new, |zeek| zeek.conn_state.to_owned()),
        zeek.map_or_else(String::new, |zeek| history(zeek).to_owned()),
        flow.wireshark.bits().to_string(),
        flow.id.to_string(),
        Timestamp(flow.first_time_ns).to_string(),
        numbered.duration().as_secs_f64().to_string(),
        flow.client.packets.to_string(),
        flow.server.packets.to_string(),
        flow.client.bytes.to_string(),
        flow.server.bytes.to_string(),
        flow.client.all_retransmissions().to_string(),
        flow.server.all_retransmissions().to_string(),
        optional(flow.handshake_us.map(|micros| f64::from(micros) / 1e3)),
        optional(flow.round_trips().map(|trips| trips.median_ns as f64 / 1e6)),
        odd(flow),
    ]
}

/// The state in which each side was last, for the summary.
pub(super) fn last_states(flow: &Flow) -> [State; 2] {
    [flow.client.state, flow.server.state]
}
