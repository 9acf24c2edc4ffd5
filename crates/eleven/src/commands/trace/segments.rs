//! A line a segment: both ends' states before and after it, and what it means.

use std::io::{self, Write};

use eleven_capture::Timestamp;
use eleven_tcp::State;
use eleven_track::{Note, Side, Verdict};

use super::convert::Sighted;
use super::flows::answer_about;
use crate::cli::Format;
use crate::filter::{Filterable, Predicate};
use crate::output::{Column, CsvRecords, Output, Style, Table};

/// A segment with everything that is known of it.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// What was captured.
    pub(super) sighted: &'a Sighted,
    /// Number of its flow, from 1.
    pub(super) flow: u64,
    /// What it is and does.
    pub(super) verdict: &'a Verdict,
}

impl Seen<'_> {
    /// When it was captured.
    pub(super) fn time(&self) -> Timestamp {
        Timestamp(self.sighted.time_ns)
    }
}

/// What can be told of a flow at one of its segments.
impl Filterable for Seen<'_> {
    fn answer(&self, predicate: &Predicate) -> Option<bool> {
        let [from, to] = self.sighted.sockets();
        let [client, server] = if self.verdict.from == Side::Client { [from, to] } else { [to, from] };
        let states = [Side::Client, Side::Server].map(|side| self.verdict.after(side));
        answer_about(predicate, self.flow, [client, server], states)
    }
}

/// The lines, in one of the formats.
#[allow(clippy::large_enum_variant, reason = "there is one value of it")]
pub(super) enum SegmentRows {
    Table { table: Table<Output>, start: Option<Timestamp> },
    Json { out: Output, is_array: bool, is_first: bool, line: Vec<u8> },
    Csv(CsvRecords<Output>),
}

/// Headings of the table; the last column takes what room is left.
const COLUMNS: [(&str, bool, u8); 12] = [
    ("PACKET", true, 0),
    ("TIME", true, 0),
    ("FLOW", true, 0),
    ("FROM", false, 0),
    ("FLAGS", false, 0),
    ("SEQ", true, 1),
    ("ACK", true, 1),
    ("LEN", true, 1),
    ("WINDOW", true, 4),
    ("CLIENT", false, 0),
    ("SERVER", false, 0),
    ("WHAT", false, 1),
];

/// The keys of a record, in their order.
const KEYS: [&str; 16] = [
    "packet",
    "time",
    "flow",
    "from",
    "seq",
    "ack",
    "length",
    "flags",
    "window",
    "client_before",
    "client_after",
    "server_before",
    "server_after",
    "rule",
    "provenance",
    "notes",
];

impl SegmentRows {
    pub(super) fn new(output: Output) -> io::Result<Self> {
        Ok(match output.format {
            Format::Table => {
                let columns = COLUMNS.map(|(title, right, rank)| Column { title, right, rank }).into();
                let (paint, limit) = (output.paint, output.columns);
                Self::Table { table: Table::new(output, paint, limit, columns), start: None }
            }
            format @ (Format::Json | Format::Ndjson) => {
                let is_array = format == Format::Json;
                Self::Json { out: output, is_array, is_first: true, line: Vec::with_capacity(1_024) }
            }
            Format::Csv => Self::Csv(CsvRecords::new(output, KEYS)?),
        })
    }

    pub(super) fn write(&mut self, seen: &Seen<'_>) -> io::Result<()> {
        match self {
            Self::Table { table, start } => {
                let start = *start.get_or_insert(seen.time());
                let style = style(seen);
                table.row(style, None, |column, cell| write_cell(seen, start, column, cell))
            }
            Self::Json { out, is_array, is_first, line } => {
                line.clear();
                if *is_array {
                    line.extend_from_slice(if *is_first { b"[\n" } else { b",\n" });
                }
                *is_first = false;
                write_json(seen, line);
                if !*is_array {
                    line.push(b'\n');
                }
                out.write_all(line)
            }
            Self::Csv(records) => records.write((0..KEYS.len()).map(|key| csv_field(seen, key))),
        }
    }

    /// What has been written is seen at once.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Table { table, .. } => table.flush(),
            Self::Json { out, .. } => out.flush(),
            Self::Csv(records) => records.flush(),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Table { table, .. } => table.finish(),
            Self::Json { mut out, is_array, is_first, .. } => {
                match (is_array, is_first) {
                    (true, true) => out.write_all(b"[]\n")?,
                    (true, false) => out.write_all(b"\n]\n")?,
                    (false, _) => {}
                }
                out.flush()
            }
            Self::Csv(records) => records.finish(),
        }
    }
}

/// What is odd is seen from afar.
fn style(seen: &Seen<'_>) -> Option<Style> {
    let odd = seen.verdict.notes.iter().any(Note::is_anomaly);
    odd.then_some(Style::Alarm)
}

/// `SYN_SENT → ESTABLISHED`, or the one state.
pub(super) fn states(verdict: &Verdict, side: Side) -> String {
    let (before, after) = (verdict.before(side), verdict.after(side));
    if before == after { after.to_string() } else { format!("{before} → {after}") }
}

/// What a segment is, in words: its notes, else the rule by its name.
pub(super) fn meaning(verdict: &Verdict) -> String {
    let notes: Vec<&str> = verdict.notes.iter().map(Note::text).collect();
    match verdict.rule() {
        _ if !notes.is_empty() => notes.join("; "),
        Some(rule) => rule.id.to_owned(),
        None => String::new(),
    }
}

fn write_cell(seen: &Seen<'_>, start: Timestamp, column: usize, cell: &mut String) {
    use std::fmt::Write as _;
    let Seen { sighted, verdict, .. } = seen;
    let _ = match column {
        0 => write!(cell, "{}", seen.sighted.number),
        1 => write!(cell, "{:.6}", seen.time().since(start) as f64 / 1e9),
        2 => write!(cell, "{}", seen.flow),
        3 => write!(cell, "{}", verdict.from),
        4 => write!(cell, "{}", sighted.segment.flags),
        5 => write!(cell, "{}", verdict.seq),
        6 => verdict.ack.map_or(Ok(()), |ack| write!(cell, "{ack}")),
        7 => write!(cell, "{}", verdict.length),
        8 => write!(cell, "{}", sighted.segment.window),
        9 => write!(cell, "{}", states(verdict, Side::Client)),
        10 => write!(cell, "{}", states(verdict, Side::Server)),
        _ => write!(cell, "{}", meaning(verdict)),
    };
}

fn csv_field(seen: &Seen<'_>, key: usize) -> String {
    let Seen { sighted, verdict, .. } = seen;
    let state = |state: State| state.as_str().to_owned();
    match key {
        0 => seen.sighted.number.to_string(),
        1 => seconds(seen.time()),
        2 => seen.flow.to_string(),
        3 => verdict.from.to_string(),
        4 => verdict.seq.to_string(),
        5 => verdict.ack.map_or_else(String::new, |ack| ack.to_string()),
        6 => verdict.length.to_string(),
        7 => sighted.segment.flags.to_string(),
        8 => sighted.segment.window.to_string(),
        9 => state(verdict.before(Side::Client)),
        10 => state(verdict.after(Side::Client)),
        11 => state(verdict.before(Side::Server)),
        12 => state(verdict.after(Side::Server)),
        13 => verdict.rule().map_or_else(String::new, |rule| rule.id.to_owned()),
        14 => verdict.provenance().as_str().to_owned(),
        _ => verdict.notes.iter().map(Note::as_str).collect::<Vec<_>>().join(" "),
    }
}

/// Seconds since the epoch, with all digits there are.
fn seconds(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let nanos = time.0.unsigned_abs();
    format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// By hand: a capture has millions of them. No word here needs to be escaped.
fn write_json(seen: &Seen<'_>, line: &mut Vec<u8>) {
    let Seen { sighted, verdict, .. } = seen;
    let mut digits = itoa::Buffer::new();
    let mut number = |line: &mut Vec<u8>, key: &str, value: u64| {
        line.extend_from_slice(key.as_bytes());
        line.extend_from_slice(digits.format(value).as_bytes());
    };
    let word = |line: &mut Vec<u8>, key: &str, value: &str| {
        line.extend_from_slice(key.as_bytes());
        line.push(b'"');
        line.extend_from_slice(value.as_bytes());
        line.push(b'"');
    };
    number(line, "{\"packet\":", seen.sighted.number);
    let nanos = seen.time().0.unsigned_abs();
    number(line, if seen.time().0 < 0 { ",\"time\":-" } else { ",\"time\":" }, nanos / 1_000_000_000);
    // A leading one keeps the zeros, and is overwritten by the point.
    let point = line.len();
    number(line, "", 1_000_000_000 + nanos % 1_000_000_000);
    line[point] = b'.';
    number(line, ",\"flow\":", seen.flow);
    word(line, ",\"from\":", verdict.from.as_str());
    number(line, ",\"seq\":", verdict.seq.into());
    match verdict.ack {
        Some(ack) => number(line, ",\"ack\":", ack.into()),
        None => line.extend_from_slice(b",\"ack\":null"),
    }
    number(line, ",\"length\":", verdict.length.into());
    line.extend_from_slice(b",\"flags\":\"");
    // Writing to a vector cannot fail.
    let _ = write!(line, "{}", sighted.segment.flags);
    line.push(b'"');
    number(line, ",\"window\":", sighted.segment.window.into());
    word(line, ",\"client_before\":", verdict.before(Side::Client).as_str());
    word(line, ",\"client_after\":", verdict.after(Side::Client).as_str());
    word(line, ",\"server_before\":", verdict.before(Side::Server).as_str());
    word(line, ",\"server_after\":", verdict.after(Side::Server).as_str());
    match verdict.rule() {
        Some(rule) => word(line, ",\"rule\":", rule.id),
        None => line.extend_from_slice(b",\"rule\":null"),
    }
    word(line, ",\"provenance\":", verdict.provenance().as_str());
    line.extend_from_slice(b",\"notes\":[");
    for (index, note) in verdict.notes.iter().enumerate() {
        word(line, if index == 0 { "" } else { "," }, note.as_str());
    }
    line.extend_from_slice(b"]}");
}
