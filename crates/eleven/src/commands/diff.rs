//! `eleven diff`: what changed between two snapshots, or between one and now.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use eleven_linux::Taking;
use eleven_linux::namespace::{NamespaceChoice, NamespaceHandle};
use eleven_snapshot::{Change, CountChange, Diff, Snapshot, Socket};
use serde_json::json;

use crate::cli::{DiffArgs, Format, Global};
use crate::output::{Column, CsvRecords, JsonRecords, Output, Style, Table, note};
use crate::text;

/// Counters shown in the table; the formats for programs have them all.
const COUNTERS_SHOWN: usize = 12;

pub(super) fn run(global: &Global, args: &DiffArgs) -> anyhow::Result<()> {
    let before = read(&args.before)?;
    let after = match &args.after {
        Some(path) => read(path)?,
        None => {
            let now = Taking::begin(&namespaces_of(global, &before), global.reader.into())?.finish()?;
            now.notes.iter().for_each(|text| note(text));
            now
        }
    };
    let diff = Diff::between(&before, &after);
    if !diff.matched_by_cookie {
        note(
            "the snapshots are of different boots, hosts or readers: sockets are matched by address, which a reused port can deceive",
        );
    }
    if diff.elapsed_s < 0.0 {
        note("the first snapshot is the later one: rates are backwards");
    }
    print(Output::open(global)?, &diff, args.limit)
}

fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let file = File::open(path).with_context(|| format!("cannot open the snapshot {}", path.display()))?;
    let (snapshot, _) = eleven_snapshot::read(file).with_context(|| path.display().to_string())?;
    // Among them, that it is cut short.
    for text in &snapshot.notes {
        note(&format!("{}: {text}", path.display()));
    }
    Ok(snapshot)
}

/// The moment is to be compared like with like: a snapshot of all namespaces with all.
fn namespaces_of(global: &Global, before: &Snapshot) -> NamespaceChoice {
    let own = || NamespaceHandle::own().ok().map(|own| own.namespace.inode);
    match before.namespaces.as_slice() {
        _ if global.netns != NamespaceChoice::This => global.netns.clone(),
        [only] if Some(only.namespace.inode) != own() && is_this_boot(before) => {
            NamespaceChoice::One(only.namespace.label.to_string())
        }
        [_, _, ..] => NamespaceChoice::All,
        _ => NamespaceChoice::This,
    }
}

/// Whether a snapshot was taken since this host was started: else its namespaces are others.
fn is_this_boot(snapshot: &Snapshot) -> bool {
    snapshot.boot_id.as_deref() == Some(&*crate::undo::boot_id())
}

fn print(mut output: Output, diff: &Diff, limit: usize) -> anyhow::Result<()> {
    match output.format {
        Format::Json => output.json(diff)?,
        Format::Ndjson => {
            let mut records = JsonRecords::new(&mut output, Format::Ndjson);
            for count in diff.states.iter().chain(&diff.counters) {
                records.write(&json!({ "change": "count", "count": count }))?;
            }
            for (change, socket) in sockets(diff) {
                records.write(&json!({ "change": change, "socket": socket }))?;
            }
            for (change, of) in changes(diff) {
                records.write(&json!({ "change": change, "socket": of }))?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let heading = [
                "change",
                "state_before",
                "state",
                "local",
                "remote",
                "recv_queue_growth",
                "send_queue_growth",
            ];
            let mut records = CsvRecords::new(&mut output, heading)?;
            for (change, socket) in sockets(diff) {
                records.write(csv_row(change, "", socket, ["", ""]))?;
            }
            for (change, of) in changes(diff) {
                let growth = [of.recv_queue_growth.to_string(), of.send_queue_growth.to_string()];
                records.write(csv_row(
                    change,
                    of.state_before.as_str(),
                    &of.socket,
                    [&growth[0], &growth[1]],
                ))?;
            }
            records.finish()?;
        }
        Format::Table => print_tables(&mut output, diff, limit)?,
    }
    output.flush()?;
    Ok(())
}

fn sockets(diff: &Diff) -> impl Iterator<Item = (&'static str, &Socket)> {
    let appeared = diff.appeared.iter().map(|socket| ("appeared", socket));
    appeared.chain(diff.vanished.iter().map(|socket| ("vanished", socket)))
}

fn changes(diff: &Diff) -> impl Iterator<Item = (&'static str, &Change)> {
    let changed = diff.changed.iter().map(|change| ("changed", change));
    changed.chain(diff.grew.iter().map(|change| ("grew", change)))
}

fn csv_row(change: &str, before: &str, socket: &Socket, growth: [&str; 2]) -> Vec<String> {
    vec![
        change.to_owned(),
        before.to_owned(),
        socket.state.to_string(),
        text::endpoint(socket.local_address, socket.local_port),
        text::endpoint(socket.remote_address, socket.remote_port),
        growth[0].to_owned(),
        growth[1].to_owned(),
    ]
}

fn print_tables(output: &mut Output, diff: &Diff, limit: usize) -> io::Result<()> {
    let elapsed = text::duration((diff.elapsed_s.abs() * 1000.0) as u64);
    let summary = format!(
        "{elapsed} apart: {} appeared, {} vanished, {} changed state, {} grew",
        text::thousands(diff.appeared.len() as u64),
        text::thousands(diff.vanished.len() as u64),
        text::thousands(diff.changed.len() as u64),
        text::thousands(diff.grew.len() as u64),
    );
    for line in text::wrap(&summary, output.text_columns()) {
        writeln!(output, "{}", output.paint.text(Style::Bold, &line))?;
    }
    print_counts(output, "STATE", &diff.states)?;
    let tcp = diff.counters.iter().filter(|counter| is_about_tcp(&counter.name)).take(COUNTERS_SHOWN);
    print_counts(output, "COUNTER", &tcp.cloned().collect::<Vec<_>>())?;
    print_sockets(output, diff, limit)
}

/// Counters of TCP itself: `snmp.Tcp.…`, `netstat.TcpExt.…`, `sockstat.TCP.…`.
fn is_about_tcp(name: &str) -> bool {
    name.rsplit(": ")
        .next()
        .and_then(|name| name.split('.').nth(1))
        .is_some_and(|group| group.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("tcp")))
}

fn print_counts(output: &mut Output, title: &'static str, counts: &[CountChange]) -> io::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    writeln!(output)?;
    let columns = vec![
        Column { title, right: false, rank: 0 },
        Column { title: "BEFORE", right: true, rank: 2 },
        Column { title: "AFTER", right: true, rank: 1 },
        Column { title: "CHANGE", right: true, rank: 1 },
        Column { title: "PER SECOND", right: true, rank: 3 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut table = Table::new(output, paint, width, columns);
    for count in counts {
        let style = count.name.parse().ok().map(Style::State);
        table.row(style, None, |index, cell| match index {
            0 => cell.push_str(&text::printable(&count.name)),
            1 => cell.push_str(&count.before.to_string()),
            2 => cell.push_str(&count.after.to_string()),
            3 => cell.push_str(&format!("{:+}", count.after - count.before)),
            _ => {
                cell.push_str(&count.per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:+.2}")))
            }
        })?;
    }
    table.finish()
}

fn print_sockets(output: &mut Output, diff: &Diff, limit: usize) -> io::Result<()> {
    if diff.is_empty() {
        return Ok(());
    }
    writeln!(output)?;
    let columns = vec![
        Column { title: "CHANGE", right: false, rank: 1 },
        Column { title: "STATE", right: false, rank: 0 },
        Column { title: "LOCAL", right: false, rank: 1 },
        Column { title: "REMOTE", right: false, rank: 1 },
        Column { title: "OWNER", right: false, rank: 2 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut left_out = 0;
    let mut table = Table::new(&mut *output, paint, width, columns);
    let mut shown = ("", 0);
    let mut row = |change: &'static str, detail: String, socket: &Socket| {
        if shown.0 != change {
            shown = (change, 0);
        }
        shown.1 += 1;
        if shown.1 > limit {
            left_out += 1;
            return Ok(());
        }
        table.row(None, None, |index, cell| match index {
            0 => cell.push_str(change),
            1 => cell.push_str(&detail),
            2 => text::write_endpoint(cell, socket.local_address, socket.local_port),
            3 => text::write_endpoint(cell, socket.remote_address, socket.remote_port),
            _ => cell.push_str(&text::printable(&socket.process_names().unwrap_or_default())),
        })
    };
    for (change, socket) in sockets(diff) {
        row(change, socket.state.to_string(), socket)?;
    }
    for (change, of) in changes(diff) {
        row(change, transition(of), &of.socket)?;
    }
    table.finish()?;
    if left_out > 0 {
        let line = format!("{} more; --limit shows them", text::thousands(left_out));
        writeln!(output, "{}", paint.text(Style::Dim, &line))?;
    }
    Ok(())
}

/// `ESTABLISHED → CLOSE_WAIT`, or how much the queues of the same state grew.
fn transition(change: &Change) -> String {
    if change.state_before != change.socket.state {
        return format!("{} → {}", change.state_before, change.socket.state);
    }
    let mut words = change.socket.state.to_string();
    for (queue, growth) in [("recvq", change.recv_queue_growth), ("sendq", change.send_queue_growth)] {
        if growth != 0 {
            words.push_str(&format!(" {queue} {growth:+}"));
        }
    }
    words
}
