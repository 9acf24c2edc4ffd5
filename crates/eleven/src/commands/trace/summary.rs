//! What there was altogether: packets, flows, how they ended, what was odd, who repeated most.

use std::collections::HashMap as StandardMap;
use std::io::{self, Write};
use std::net::IpAddr;

use eleven_capture::ReassemblyStatistics;
use eleven_tcp::State;
use eleven_track::{Note, Side};
use foldhash::fast::RandomState;

use super::flows::{Numbered, last_states};
use crate::output::{Output, Style};
use crate::text;

/// Keys come from whoever sends packets, and every flow is looked up.
type HashMap<K, V> = StandardMap<K, V, RandomState>;

/// Sums over all flows.
#[derive(Default)]
pub(super) struct Summary {
    flows: u64,
    bytes: u64,
    retransmissions: u64,
    /// By state: client, server.
    states: HashMap<State, [u64; 2]>,
    endings: HashMap<&'static str, u64>,
    closed_by: [u64; 2],
    anomalies: HashMap<Note, Oddity>,
    talkers: HashMap<IpAddr, Talker>,
    first_ns: Option<i64>,
    last_ns: Option<i64>,
}

#[derive(Default)]
struct Oddity {
    count: u64,
    flows: u64,
    first_packet: u64,
    example: u64,
}

/// Who sent again, and how much.
#[derive(Default)]
struct Talker {
    packets: u64,
    again: u64,
}

/// What was read besides TCP segments.
#[derive(Clone, Copy, Default)]
pub(super) struct Read {
    pub(super) packets: u64,
    pub(super) segments: u64,
    pub(super) not_tcp: u64,
    pub(super) unreadable: u64,
    pub(super) fragments: u64,
    pub(super) bad_checksums: u64,
    pub(super) partial_checksums: u64,
    /// Earlier than the packet before.
    pub(super) backwards: u64,
    /// Lost before they could be read.
    pub(super) dropped: u64,
}

/// Talkers are counted for so many addresses; a scan from everywhere would fill memory else.
const MOST_TALKERS: usize = 100_000;
/// So many rows of each list are printed.
const SHOWN: usize = 10;

impl Summary {
    pub(super) fn add(&mut self, numbered: &Numbered) {
        let flow = &numbered.flow;
        self.flows += 1;
        self.bytes += numbered.bytes();
        self.retransmissions += numbered.retransmissions();
        for (index, state) in last_states(flow).into_iter().enumerate() {
            self.states.entry(state).or_default()[index] += 1;
        }
        *self.endings.entry(flow.ending.as_str()).or_default() += 1;
        if let Some(side) = flow.closed_by {
            self.closed_by[side.index()] += 1;
        }
        let mut last_kind = None;
        for anomaly in &flow.anomalies {
            let oddity = self.anomalies.entry(anomaly.kind).or_default();
            if oddity.flows == 0 {
                (oddity.first_packet, oddity.example) = (anomaly.first_packet, numbered.number);
            }
            oddity.count += u64::from(anomaly.count);
            // Those of both sides stand apart.
            if last_kind != Some(anomaly.kind) {
                oddity.flows += 1;
            }
            last_kind = Some(anomaly.kind);
        }
        for side in Side::BOTH {
            let end = flow.end(side);
            let address = end.socket.ip();
            if self.talkers.len() < MOST_TALKERS || self.talkers.contains_key(&address) {
                let talker = self.talkers.entry(address).or_default();
                talker.packets += u64::from(end.packets);
                talker.again += u64::from(end.all_retransmissions());
            }
        }
        self.first_ns = Some(self.first_ns.map_or(flow.first_time_ns, |first| first.min(flow.first_time_ns)));
        self.last_ns = Some(self.last_ns.map_or(flow.last_time_ns, |last| last.max(flow.last_time_ns)));
    }

    /// How many flows it sums up.
    pub(super) const fn flows(&self) -> u64 {
        self.flows
    }

    /// Prints it for people.
    pub(super) fn print(
        &self,
        out: &mut Output,
        read: &Read,
        reassembly: &ReassemblyStatistics,
    ) -> io::Result<()> {
        let paint = out.paint;
        let span = match (self.first_ns, self.last_ns) {
            (Some(first), Some(last)) => format!(", {:.3} s", (last - first).max(0) as f64 / 1e9),
            _ => String::new(),
        };
        let (number, counted) = (text::thousands, text::counted);
        writeln!(
            out,
            "{}{span}: {} in {}, {} of text, {} sent again",
            paint.text(Style::Bold, &counted(read.packets, "packet")),
            counted(read.segments, "TCP segment"),
            counted(self.flows, "flow"),
            counted(self.bytes, "byte"),
            counted(self.retransmissions, "segment"),
        )?;
        let rest = [
            (read.not_tcp, "of something else"),
            (read.unreadable, "unreadable"),
            (read.fragments, "fragments of packets that stayed incomplete"),
            (reassembly.overlapping, "overlapping fragments"),
            (read.bad_checksums, "with a wrong checksum"),
            (read.partial_checksums, "captured before their checksum was complete"),
            (read.dropped, "dropped before they could be read"),
            (read.backwards, "earlier than the packet before"),
        ];
        let rest: Vec<String> = rest
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", number(*count)))
            .collect();
        if !rest.is_empty() {
            writeln!(out, "{}", paint.text(Style::Dim, &format!("packets {}", rest.join(", "))))?;
        }
        if self.flows == 0 {
            return Ok(());
        }
        writeln!(out, "\n{}", paint.text(Style::Bold, "  CLIENTS   SERVERS  were last in"))?;
        for state in State::ALL {
            if let Some([client, server]) = self.states.get(&state) {
                let name = paint.text(Style::State(state), state.as_str());
                writeln!(out, "{:>9} {:>9}  {name}", number(*client), number(*server))?;
            }
        }
        let mut endings: Vec<_> = self.endings.iter().collect();
        endings.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
        let endings: Vec<String> =
            endings.iter().map(|(name, count)| format!("{} {name}", number(**count))).collect();
        let [client, server] = self.closed_by.map(number);
        writeln!(
            out,
            "\nended: {}; closed first by the client {client}, by the server {server}",
            endings.join(", ")
        )?;
        self.print_anomalies(out)?;
        self.print_talkers(out)
    }

    fn print_anomalies(&self, out: &mut Output) -> io::Result<()> {
        let mut odd: Vec<_> = self.anomalies.iter().collect();
        if odd.is_empty() {
            return writeln!(out, "nothing odd was seen");
        }
        odd.sort_by_key(|(note, oddity)| {
            (std::cmp::Reverse(oddity.flows), std::cmp::Reverse(oddity.count), **note)
        });
        writeln!(out, "\n{}", out.paint.text(Style::Bold, "    TIMES     FLOWS  odd"))?;
        let width = odd.iter().map(|(note, _)| note.as_str().len()).max().unwrap_or(0);
        for (note, oddity) in &odd {
            let name = format!("{:width$}", note.as_str());
            let name = out.paint.text(Style::Alarm, &name);
            writeln!(
                out,
                "{:>9} {:>9}  {name}  {} (first: packet {}, flow {})",
                text::thousands(oddity.count),
                text::thousands(oddity.flows),
                note.text(),
                oddity.first_packet,
                oddity.example
            )?;
        }
        Ok(())
    }

    fn print_talkers(&self, out: &mut Output) -> io::Result<()> {
        let mut talkers: Vec<_> = self.talkers.iter().filter(|(_, talker)| talker.again > 0).collect();
        if talkers.is_empty() {
            return Ok(());
        }
        talkers.sort_by_key(|(address, talker)| (std::cmp::Reverse(talker.again), **address));
        writeln!(out, "\n{}", out.paint.text(Style::Bold, "SENT AGAIN  OF ITS  by"))?;
        for (address, talker) in talkers.iter().take(SHOWN) {
            let share = 100.0 * talker.again as f64 / talker.packets.max(1) as f64;
            writeln!(out, "{:>10} {share:>6.1}%  {address}", text::thousands(talker.again))?;
        }
        Ok(())
    }
}
