//! `eleven` alone: the host's connections on one screen.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;

use eleven_knowledge::{DoctorTexts, Language};
use eleven_linux::namespace::NamespaceChoice;
use eleven_snapshot::{KernelOnly, Socket};
use eleven_tcp::State;
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde_json::json;

use super::{doctor, language};
use crate::cli::{Format, Global};
use crate::output::{Column, CsvRecords, JsonRecords, Output, Style, Table, note, print_paragraph};
use crate::text;

/// Rows shown of each list.
const LISTENERS_SHOWN: usize = 12;
const TOP_SHOWN: usize = 8;
/// Columns of the longest bar.
const BAR: usize = 20;

pub(super) fn run(global: &Global) -> anyhow::Result<()> {
    let mut seen = Seen::default();
    let (look, findings) = doctor::one_look(global, &mut |socket| seen.add(socket))?;
    look.notes.iter().for_each(|text| note(text));
    let texts = DoctorTexts::of(language(global));
    let findings: Vec<doctor::Report<'_>> =
        findings.iter().map(|finding| doctor::Report::of(finding, &texts)).collect();
    let mut output = Output::open(global)?;
    seen.settle();
    match output.format {
        Format::Table => print_screen(&mut output, &seen, &findings, &global.netns, language(global))?,
        Format::Json => {
            output.json(&json!({
                "total": seen.total(),
                "states": seen.states(),
                "listeners": seen.listeners,
                "programs": seen.top_programs,
                "peers": seen.top_peers,
                "unreadable_owners": seen.unreadable,
                "findings": findings,
                "reader": look.reader,
                "notes": look.notes,
            }))?;
        }
        Format::Ndjson => {
            let mut records = JsonRecords::new(&mut output, Format::Ndjson);
            for state in seen.states() {
                records.write(&state)?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(&mut output, ["state", "count"])?;
            for state in seen.states() {
                records.write([state.state, &state.count.to_string()])?;
            }
            records.finish()?;
        }
    }
    output.flush()?;
    Ok(())
}

/// A state and how many sockets are in it.
#[derive(Serialize)]
struct StateCount {
    state: &'static str,
    count: u64,
}

/// A program and its sockets.
#[derive(Serialize)]
struct Program {
    process: Arc<str>,
    /// Distinct processes of that name.
    processes: usize,
    sockets: u64,
    states: FxHashMap<&'static str, u64>,
}

/// A remote address and its sockets.
#[derive(Serialize)]
struct Peer {
    remote: IpAddr,
    sockets: u64,
    states: FxHashMap<&'static str, u64>,
}

type PerState = [u64; State::ALL.len()];

/// What the screen shows, collected row by row.
#[derive(Default)]
struct Seen {
    per_state: PerState,
    listeners: Vec<Socket>,
    programs: FxHashMap<Arc<str>, (Vec<u32>, PerState)>,
    peers: FxHashMap<IpAddr, PerState>,
    unreadable: u64,
    top_programs: Vec<Program>,
    top_peers: Vec<Peer>,
}

fn by_name(counts: &PerState) -> FxHashMap<&'static str, u64> {
    State::ALL
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(state, count)| (state.as_str(), *count))
        .collect()
}

impl Seen {
    fn add(&mut self, socket: &Socket) {
        let state = socket.state.index();
        self.per_state[state] += 1;
        if socket.state == State::Listen {
            self.listeners.push(socket.clone());
        } else if socket.remote_port.is_some() {
            self.peers.entry(socket.remote_address.to_canonical()).or_default()[state] += 1;
        }
        self.unreadable += u64::from(socket.no_owner == Some(KernelOnly::Unreadable));
        let mut previous: Option<&str> = None;
        for owner in &socket.owners {
            if !self.programs.contains_key(&owner.process) {
                self.programs.insert(owner.process.clone(), <_>::default());
            }
            let Some((pids, counts)) = self.programs.get_mut(&owner.process) else { continue };
            if let Err(place) = pids.binary_search(&owner.pid) {
                pids.insert(place, owner.pid);
            }
            // A socket that several processes of a program share counts once for it.
            if previous != Some(&*owner.process) {
                counts[state] += 1;
            }
            previous = Some(&owner.process);
        }
    }

    /// Puts the lists in order; the large tables go.
    fn settle(&mut self) {
        // What waits longest for its program first, then by port.
        self.listeners.sort_by_key(|socket| {
            (std::cmp::Reverse(socket.backlog), socket.local_port, socket.local_address, socket.netns.clone())
        });
        let mut programs: Vec<Program> = std::mem::take(&mut self.programs)
            .into_iter()
            .map(|(process, (pids, counts))| Program {
                process,
                processes: pids.len(),
                sockets: counts.iter().sum(),
                states: by_name(&counts),
            })
            .collect();
        programs.sort_by(|a, b| b.sockets.cmp(&a.sockets).then_with(|| a.process.cmp(&b.process)));
        programs.truncate(TOP_SHOWN);
        self.top_programs = programs;
        let mut peers: Vec<(IpAddr, u64, PerState)> = std::mem::take(&mut self.peers)
            .into_iter()
            .map(|(remote, counts)| (remote, counts.iter().sum(), counts))
            .collect();
        peers.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        peers.truncate(TOP_SHOWN);
        self.top_peers = peers
            .into_iter()
            .map(|(remote, sockets, counts)| Peer { remote, sockets, states: by_name(&counts) })
            .collect();
    }

    fn total(&self) -> u64 {
        self.per_state.iter().sum()
    }

    fn states(&self) -> Vec<StateCount> {
        State::ALL
            .into_iter()
            .map(|state| StateCount { state: state.as_str(), count: self.per_state[state.index()] })
            .filter(|state| state.count > 0)
            .collect()
    }
}

fn print_screen(
    output: &mut Output,
    seen: &Seen,
    findings: &[doctor::Report<'_>],
    netns: &NamespaceChoice,
    language: Language,
) -> io::Result<()> {
    let words = Words::of(language);
    let sockets = if seen.total() == 1 { words.socket } else { words.sockets };
    let total = format!("{} {sockets}", text::thousands(seen.total()));
    let heading = match netns {
        NamespaceChoice::This => total,
        NamespaceChoice::All => format!("{total}, {}", words.all_namespaces),
        NamespaceChoice::One(name) => format!("{total}, netns {name}"),
    };
    writeln!(output, "{}", output.paint.text(Style::Bold, &heading))?;
    if seen.total() == 0 {
        return writeln!(output, "{}", words.nothing);
    }
    writeln!(output)?;
    print_states(output, seen, language)?;
    print_listeners(output, seen, words)?;
    print_programs(output, seen, words)?;
    print_peers(output, seen, words)?;
    if !findings.is_empty() {
        print_title(output, words.findings)?;
        doctor::print_titles(output, &DoctorTexts::of(language), findings)?;
        print_paragraph(output, words.doctor, "", "", output.text_columns())?;
    }
    writeln!(output)?;
    let columns = output.text_columns();
    print_paragraph(output, words.hint, "", "", columns)
}

/// The few words of the screen that are no field's name.
struct Words {
    socket: &'static str,
    sockets: &'static str,
    all_namespaces: &'static str,
    nothing: &'static str,
    listeners: &'static str,
    programs: &'static str,
    peers: &'static str,
    more: &'static str,
    findings: &'static str,
    doctor: &'static str,
    hint: &'static str,
}

impl Words {
    const fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &Self {
                socket: "TCP socket",
                sockets: "TCP sockets",
                all_namespaces: "all network namespaces",
                nothing: "No TCP socket is open here.",
                listeners: "Listeners",
                programs: "Programs with the most sockets",
                peers: "Peers with the most sockets",
                more: "more",
                findings: "Findings",
                doctor: "`eleven doctor` looks twice, names evidence, cause and fix.",
                hint: "`eleven explain STATE` says what a state means, `eleven list 'state STATE'` shows its sockets.",
            },
            Language::SimplifiedChinese => &Self {
                socket: "个 TCP 套接字",
                sockets: "个 TCP 套接字",
                all_namespaces: "所有网络命名空间",
                nothing: "这里没有打开的 TCP 套接字。",
                listeners: "监听端口",
                programs: "套接字最多的程序",
                peers: "套接字最多的对端",
                more: "个未列出",
                findings: "诊断",
                doctor: "`eleven doctor` 观察两次，给出证据、原因与解决办法。",
                hint: "`eleven explain STATE` 解释某个状态，`eleven list 'state STATE'` 列出处于该状态的套接字。",
            },
        }
    }
}

fn print_states(output: &mut Output, seen: &Seen, language: Language) -> io::Result<()> {
    let most = seen.per_state.iter().copied().max().unwrap_or(0);
    let columns = vec![
        Column { title: "STATE", right: false, rank: 0 },
        Column { title: "COUNT", right: true, rank: 1 },
        Column { title: "", right: false, rank: 3 },
        Column { title: "MEANING", right: false, rank: 2 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut table = Table::new(output, paint, width, columns);
    for state in State::ALL {
        let count = seen.per_state[state.index()];
        if count == 0 {
            continue;
        }
        table.row(Some(Style::State(state)), None, |index, cell| match index {
            0 => cell.push_str(state.as_str()),
            1 => cell.push_str(&text::thousands(count)),
            2 => cell.push_str(&bar(count, most)),
            _ => cell.push_str(&eleven_knowledge::state(state, language).short),
        })?;
    }
    table.finish()
}

/// A bar as long as `count` is of `most`, in eighths of a column.
fn bar(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (count as f64 / most.max(1) as f64 * (BAR * 8) as f64).round().max(1.0) as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn print_title(output: &mut Output, title: &str) -> io::Result<()> {
    writeln!(output, "\n{}", output.paint.text(Style::Bold, title))
}

fn print_more(output: &mut Output, all: usize, shown: usize, words: &Words) -> io::Result<()> {
    if all > shown {
        let line = format!("… {} {}", all - shown, words.more);
        writeln!(output, "{}", output.paint.text(Style::Dim, &line))?;
    }
    Ok(())
}

fn print_listeners(output: &mut Output, seen: &Seen, words: &Words) -> io::Result<()> {
    if seen.listeners.is_empty() {
        return Ok(());
    }
    print_title(output, words.listeners)?;
    let shown = seen.listeners.len().min(LISTENERS_SHOWN);
    let several = seen.listeners.windows(2).any(|pair| pair[0].netns != pair[1].netns);
    let columns = vec![
        Column { title: "LOCAL", right: false, rank: 0 },
        Column { title: "QUEUE", right: true, rank: 1 },
        Column { title: "LIMIT", right: true, rank: 2 },
        Column { title: "OWNER", right: false, rank: 2 },
        Column { title: if several { "NETNS" } else { "" }, right: false, rank: 4 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut table = Table::new(&mut *output, paint, width, columns);
    let owner = crate::fields::field("owner");
    for socket in &seen.listeners[..shown] {
        let full =
            socket.backlog.zip(socket.backlog_limit).is_some_and(|(queue, limit)| queue >= limit.max(1));
        table.row(full.then_some(Style::Alarm), None, |index, cell| match index {
            0 => text::write_endpoint(cell, socket.local_address, socket.local_port),
            1 => cell.push_str(&socket.backlog.map_or_else(String::new, |queue| queue.to_string())),
            2 => cell.push_str(&socket.backlog_limit.map_or_else(String::new, |limit| limit.to_string())),
            3 => owner.iter().for_each(|owner| (owner.write)(socket, cell)),
            _ if several => cell.push_str(&text::printable(socket.netns.as_deref().unwrap_or("-"))),
            _ => {}
        })?;
    }
    table.finish()?;
    print_more(output, seen.listeners.len(), shown, words)
}

/// `1,204 ESTABLISHED, 31 CLOSE_WAIT`, the most first.
fn states_line(states: &FxHashMap<&'static str, u64>) -> String {
    let mut states: Vec<_> = states.iter().collect();
    states.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let words: Vec<String> =
        states.into_iter().map(|(state, count)| format!("{} {state}", text::thousands(*count))).collect();
    words.join(", ")
}

fn print_programs(output: &mut Output, seen: &Seen, words: &Words) -> io::Result<()> {
    if seen.top_programs.is_empty() {
        return Ok(());
    }
    print_title(output, words.programs)?;
    let columns = vec![
        Column { title: "PROCESS", right: false, rank: 0 },
        Column { title: "PROCESSES", right: true, rank: 3 },
        Column { title: "SOCKETS", right: true, rank: 1 },
        Column { title: "STATES", right: false, rank: 2 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut table = Table::new(output, paint, width, columns);
    for program in &seen.top_programs {
        table.row(None, None, |index, cell| match index {
            0 => cell.push_str(&text::printable(&program.process)),
            1 => cell.push_str(&program.processes.to_string()),
            2 => cell.push_str(&text::thousands(program.sockets)),
            _ => cell.push_str(&states_line(&program.states)),
        })?;
    }
    table.finish()
}

fn print_peers(output: &mut Output, seen: &Seen, words: &Words) -> io::Result<()> {
    if seen.top_peers.is_empty() {
        return Ok(());
    }
    print_title(output, words.peers)?;
    let columns = vec![
        Column { title: "REMOTE", right: false, rank: 0 },
        Column { title: "SOCKETS", right: true, rank: 1 },
        Column { title: "STATES", right: false, rank: 2 },
    ];
    let (paint, width) = (output.paint, output.columns);
    let mut table = Table::new(output, paint, width, columns);
    for peer in &seen.top_peers {
        table.row(None, None, |index, cell| match index {
            0 => cell.push_str(&peer.remote.to_string()),
            1 => cell.push_str(&text::thousands(peer.sockets)),
            _ => cell.push_str(&states_line(&peer.states)),
        })?;
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_never_empty_and_never_too_long() {
        assert_eq!(bar(1, 1_000_000), "▏");
        assert_eq!(bar(5, 5), "█".repeat(BAR));
        assert_eq!(bar(1, 2), "█".repeat(BAR / 2));
    }

    #[test]
    fn a_shared_socket_counts_once_for_its_program() {
        let mut seen = Seen::default();
        let mut socket = Socket::new(State::Listen);
        for pid in [7, 8] {
            socket.owners.push(eleven_snapshot::Owner { pid, process: "nginx".into(), fd: 6 });
        }
        seen.add(&socket);
        seen.settle();
        assert_eq!((seen.top_programs[0].sockets, seen.top_programs[0].processes), (1, 2));
    }
}
