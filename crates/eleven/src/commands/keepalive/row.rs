//! What is shown of a socket.

use std::io;
use std::time::Duration;

use eleven_linux::act::{ReachError, SocketTimers};
use eleven_snapshot::Socket;
use eleven_tcp::patience;
use serde::Serialize;

use crate::cli::Format;
use crate::output::{Column, CsvRecords, JsonRecords, Output, Style, Table};
use crate::text;

/// A socket and its timers.
pub(super) struct Row {
    pub(super) socket: Socket,
    pub(super) before: Result<SocketTimers, ReachError>,
    /// Where they were to be changed.
    pub(super) after: Option<Result<SocketTimers, ReachError>>,
}

impl Row {
    /// Why it could not be changed.
    pub(super) fn error(&self) -> Option<&ReachError> {
        match &self.after {
            Some(after) => after.as_ref().err(),
            None => self.before.as_ref().err(),
        }
    }

    /// What is in effect now.
    fn timers(&self) -> Option<&SocketTimers> {
        match &self.after {
            Some(Ok(after)) => Some(after),
            _ => self.before.as_ref().ok(),
        }
    }

    fn result(&self) -> &'static str {
        match (&self.after, &self.before) {
            (Some(Ok(_)), _) => "changed",
            (Some(Err(_)), _) | (None, Err(_)) => "failed",
            (None, Ok(_)) => "unchanged",
        }
    }
}

/// After how long an idle connection notices that its peer is gone; `None`: never.
pub(super) fn detects_idle(timers: &SocketTimers) -> Option<Duration> {
    let keepalive = &timers.keepalive;
    let seconds = |time: Option<u32>| time.map(|time| Duration::from_secs(time.into()));
    let user_timeout = timers.user_timeout_ms.map(|ms| Duration::from_millis(ms.into()));
    let known = seconds(keepalive.idle_s).zip(seconds(keepalive.interval_s)).zip(keepalive.probes);
    known
        .filter(|_| keepalive.enabled)
        .map(|((idle, interval), probes)| patience::keepalive(idle, interval, probes, user_timeout))
}

#[derive(Serialize)]
struct Record<'a> {
    result: &'static str,
    error: Option<String>,
    pid: Option<u32>,
    process: Option<&'a str>,
    fd: Option<u32>,
    netns: Option<&'a str>,
    state: &'static str,
    local_address: std::net::IpAddr,
    local_port: Option<u16>,
    remote_address: std::net::IpAddr,
    remote_port: Option<u16>,
    cookie: Option<u64>,
    keepalive: Option<eleven_snapshot::Keepalive>,
    user_timeout_ms: Option<u32>,
    /// Null: unknown, or never ("never" in `detects_dead_peer`).
    detects_idle_peer_s: Option<f64>,
    detects_dead_peer: Option<bool>,
}

impl<'a> Record<'a> {
    fn of(row: &'a Row) -> Self {
        let (socket, timers) = (&row.socket, row.timers());
        let owner = socket.owners.first();
        let detects = timers.and_then(detects_idle);
        Self {
            result: row.result(),
            error: row.error().map(ToString::to_string),
            pid: owner.map(|owner| owner.pid),
            process: owner.map(|owner| &*owner.process),
            fd: owner.map(|owner| owner.fd),
            netns: socket.netns.as_deref(),
            state: socket.state.as_str(),
            local_address: socket.local_address,
            local_port: socket.local_port,
            remote_address: socket.remote_address,
            remote_port: socket.remote_port,
            cookie: socket.cookie,
            keepalive: timers.map(|timers| timers.keepalive),
            user_timeout_ms: timers.and_then(|timers| timers.user_timeout_ms),
            detects_idle_peer_s: detects.map(|time| time.as_secs_f64()),
            detects_dead_peer: timers.map(|_| detects.is_some()),
        }
    }
}

const TITLES: [(&str, bool, u8); 9] = [
    ("STATE", false, 0),
    ("LOCAL", false, 1),
    ("REMOTE", false, 1),
    ("OWNER", false, 2),
    ("KEEPALIVE", false, 1),
    ("TIME", true, 3),
    ("INTERVAL", true, 3),
    ("PROBES", true, 3),
    ("NOTICES AFTER", false, 2),
];

/// The output, in one of its formats.
pub(super) struct Rows {
    output: Output,
    /// A column says what became of each.
    acts: bool,
}

impl Rows {
    #[allow(clippy::unnecessary_wraps, reason = "as other outputs are opened")]
    pub(super) fn open(output: Output, acts: bool) -> io::Result<Self> {
        Ok(Self { output, acts })
    }

    /// What is to be changed, before it is asked.
    pub(super) fn preview(&mut self, rows: &[Row]) -> io::Result<()> {
        if self.output.format == Format::Table {
            const SHOWN: usize = 30;
            self.table(rows.get(..SHOWN).unwrap_or(rows), false)?;
            if rows.len() > SHOWN {
                use io::Write as _;
                writeln!(self.output, "… {} more", text::thousands((rows.len() - SHOWN) as u64))?;
            }
            io::Write::flush(&mut self.output)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, rows: &[Row]) -> anyhow::Result<()> {
        match self.output.format {
            Format::Table => {
                self.table(rows, self.acts)?;
                io::Write::flush(&mut self.output)?;
            }
            Format::Json | Format::Ndjson => {
                let format = self.output.format;
                let mut records = JsonRecords::new(self.output, format);
                for row in rows {
                    records.write(&Record::of(row))?;
                }
                records.finish()?;
            }
            Format::Csv => {
                let mut heading: Vec<String> =
                    TITLES.iter().map(|(title, ..)| title.to_lowercase().replace(' ', "_")).collect();
                heading.push("result".to_owned());
                let mut records = CsvRecords::new(self.output, heading.iter().map(String::as_str))?;
                for row in rows {
                    let cells = (0..TITLES.len()).map(|index| cell(row, index));
                    records.write(cells.chain([row.result().to_owned()]))?;
                }
                records.finish()?;
            }
        }
        Ok(())
    }

    fn table(&mut self, rows: &[Row], with_results: bool) -> io::Result<()> {
        let layout = TITLES.iter().map(|(title, right, rank)| Column { title, right: *right, rank: *rank });
        let result = with_results.then_some(Column { title: "RESULT", right: false, rank: 1 });
        let (paint, columns) = (self.output.paint, self.output.columns);
        let mut table = Table::new(&mut self.output, paint, columns, layout.chain(result).collect());
        for row in rows {
            let style = Some(Style::State(row.socket.state));
            table.row(style, None, |index, out| match index {
                index if index < TITLES.len() => out.push_str(&cell(row, index)),
                _ => match row.error() {
                    Some(error) => out.push_str(&error.to_string()),
                    None => out.push_str(row.result()),
                },
            })?;
        }
        table.finish()
    }
}

fn cell(row: &Row, index: usize) -> String {
    let socket = &row.socket;
    let timers = row.timers();
    let keepalive = timers.map(|timers| timers.keepalive);
    let seconds = |time: Option<u32>| time.map_or_else(|| "?".to_owned(), |time| format!("{time} s"));
    match index {
        0 => socket.state.to_string(),
        1 => text::endpoint(socket.local_address, socket.local_port),
        2 => text::endpoint(socket.remote_address, socket.remote_port),
        3 => socket.owners.first().map_or_else(
            || "-".to_owned(),
            |owner| format!("{}/{} fd {}", text::printable(&owner.process), owner.pid, owner.fd),
        ),
        4 => keepalive.map_or("?", |keepalive| if keepalive.enabled { "on" } else { "off" }).to_owned(),
        5 => keepalive.map_or_else(String::new, |keepalive| seconds(keepalive.idle_s)),
        6 => keepalive.map_or_else(String::new, |keepalive| seconds(keepalive.interval_s)),
        7 => keepalive
            .and_then(|keepalive| keepalive.probes)
            .map_or_else(String::new, |probes| probes.to_string()),
        _ => notices(timers),
    }
}

/// `idle 1m30s, sending 30s`.
fn notices(timers: Option<&SocketTimers>) -> String {
    let Some(timers) = timers else { return "?".to_owned() };
    let idle = match detects_idle(timers) {
        Some(time) => format!("idle {}", text::duration(time.as_millis() as u64)),
        None => "idle never".to_owned(),
    };
    match timers.user_timeout_ms {
        Some(ms) => format!("{idle}, sending {}", text::duration(ms.into())),
        None => idle,
    }
}
