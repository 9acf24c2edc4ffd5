//! `eleven count`: sockets by state, or by any other keys.

use std::io::Write;
use std::ops::ControlFlow;

use eleven_knowledge::Language;
use eleven_linux::bpf::{GroupKeys, SocketGroup};
use eleven_linux::{Users, count_groups, read_sockets};
use eleven_snapshot::{ReaderKind, Socket};
use eleven_tcp::State;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value, json};

use super::{labelling, language, nothing_found, owners_for_cgroups, parse_filter, request};
use crate::cli::{CountArgs, Format, Global};
use crate::fields::{Field, FieldValue, Needs};
use crate::filter::Filter;
use crate::output::{Column, CsvRecords, JsonRecords, Output, Paint, Style, Table, note};
use crate::text;

pub(super) fn run(global: &Global, args: &CountArgs) -> anyhow::Result<()> {
    let filter = parse_filter(&args.filter.filter)?;
    // A key that is named twice still makes one column.
    let mut keys: Vec<&'static Field> = Vec::new();
    for key in &args.by {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let counted = count(global, &keys, &filter)?;
    for text in &counted.notes {
        note(text);
    }
    if counted.total == 0 {
        note(&nothing_found(global, &filter));
    }
    let output = Output::open(global)?;
    print(output, &keys, &counted, args.limit, language(global))
}

/// Groups of sockets, the largest first.
struct Counted {
    total: u64,
    groups: Vec<(Vec<FieldValue>, u64)>,
    reader: Option<ReaderKind>,
    notes: Vec<String>,
}

fn count(global: &Global, keys: &[&'static Field], filter: &Filter) -> anyhow::Result<Counted> {
    let mut groups = Groups::new(keys);
    let mut notes = Vec::new();
    if let Some(kernel_keys) = kernel_keys(keys).filter(|_| filter.is_only_states()) {
        let (counted, said) =
            count_groups(&global.netns, global.reader.into(), kernel_keys, filter.states())?;
        notes = said;
        if let Some(counted) = counted {
            let mut users = Users::default();
            for (netns, group) in counted {
                groups.add(&representative(netns, &group, &mut users), group.count);
            }
            return Ok(groups.finish(Some(ReaderKind::Bpf), notes));
        }
    }
    let mut needs = keys.iter().map(|key| key.needs).fold(Needs::default(), Needs::union);
    needs.labelling.owners |= owners_for_cgroups(filter, needs);
    let request = request(global, filter, needs);
    let labelling = labelling(filter, needs);
    let report = read_sockets(&global.netns, global.reader.into(), &request, labelling, &mut |socket| {
        if filter.matches(socket) {
            groups.add(socket, 1);
        }
        ControlFlow::Continue(())
    })?;
    notes.extend(report.notes);
    Ok(groups.finish(report.reader, notes))
}

/// The keys as the kernel's counter knows them; `None` when it does not know one.
fn kernel_keys(keys: &[&'static Field]) -> Option<GroupKeys> {
    let mut known = GroupKeys::default();
    for key in keys {
        match key.name {
            "state" | "kind" | "family" | "netns" => {}
            "port" | "local-port" => known.local_port = true,
            "remote-port" => known.remote_port = true,
            "local" => known.local_address = true,
            "remote" => known.remote_address = true,
            "user" | "uid" => known.user = true,
            _ => return None,
        }
    }
    Some(known)
}

/// A socket that has what all sockets of a group have in common.
fn representative(netns: Option<std::sync::Arc<str>>, group: &SocketGroup, users: &mut Users) -> Socket {
    let mut socket = Socket::new(group.state);
    socket.netns = netns;
    socket.kind = group.kind;
    socket.family = group.family;
    socket.local_port = group.local_port;
    socket.remote_port = group.remote_port;
    socket.local_address = group.local_address.unwrap_or(socket.local_address);
    socket.remote_address = group.remote_address.unwrap_or(socket.remote_address);
    socket.uid = group.uid;
    socket.user = group.uid.and_then(|uid| users.name(uid));
    socket
}

/// Counts in the making.
enum Groups<'a> {
    /// Only states: no key has to be built for a row.
    States([u64; State::ALL.len()]),
    Any {
        keys: &'a [&'static Field],
        counts: FxHashMap<Vec<FieldValue>, u64>,
    },
}

impl<'a> Groups<'a> {
    fn new(keys: &'a [&'static Field]) -> Self {
        match keys {
            [only] if only.name == "state" => Self::States([0; State::ALL.len()]),
            _ => Self::Any { keys, counts: FxHashMap::default() },
        }
    }

    fn add(&mut self, socket: &Socket, count: u64) {
        match self {
            Self::States(counts) => counts[socket.state.index()] += count,
            Self::Any { keys, counts } => {
                let key = keys.iter().map(|field| key_value(field, socket)).collect();
                *counts.entry(key).or_default() += count;
            }
        }
    }

    fn finish(self, reader: Option<ReaderKind>, notes: Vec<String>) -> Counted {
        let mut groups: Vec<(Vec<FieldValue>, u64)> = match self {
            Self::States(counts) => State::ALL
                .into_iter()
                .zip(counts)
                .filter(|(_, count)| *count > 0)
                .map(|(state, count)| (vec![FieldValue::Word(state.to_string())], count))
                .collect(),
            Self::Any { counts, .. } => counts.into_iter().collect(),
        };
        groups.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
        Counted { total: groups.iter().map(|(_, count)| count).sum(), groups, reader, notes }
    }
}

/// What a socket is counted under: of an endpoint, the address.
fn key_value(field: &Field, socket: &Socket) -> FieldValue {
    match (field.value)(socket) {
        FieldValue::Address(address, _) => FieldValue::Address(address, None),
        value => value,
    }
}

fn print(
    mut output: Output,
    keys: &[&'static Field],
    counted: &Counted,
    limit: Option<usize>,
    language: Language,
) -> anyhow::Result<()> {
    let shown = &counted.groups[..counted.groups.len().min(limit.unwrap_or(usize::MAX))];
    let names: Vec<&str> = keys.iter().map(|key| key.key.unwrap_or(key.name)).collect();
    let record = |(values, count): &(Vec<FieldValue>, u64)| -> Map<String, Value> {
        let mut record: Map<String, Value> =
            names.iter().map(|name| (*name).to_owned()).zip(values.iter().map(FieldValue::to_json)).collect();
        record.insert("count".to_owned(), (*count).into());
        record
    };
    match output.format {
        Format::Json => {
            let groups: Vec<_> = shown.iter().map(record).collect();
            output.json(&json!({
                "total": counted.total,
                "groups": groups,
                "reader": counted.reader,
                "notes": counted.notes,
            }))?;
            output.flush()?;
        }
        Format::Ndjson => {
            let mut records = JsonRecords::new(output, Format::Ndjson);
            for group in shown {
                records.write(&record(group))?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(output, names.iter().copied().chain(["count"]))?;
            for (values, count) in shown {
                let cells = values.iter().map(FieldValue::to_text).chain([count.to_string()]);
                records.write(cells)?;
            }
            records.finish()?;
        }
        Format::Table => print_table(output, keys, counted, shown, language)?,
    }
    Ok(())
}

fn print_table(
    mut output: Output,
    keys: &[&'static Field],
    counted: &Counted,
    shown: &[(Vec<FieldValue>, u64)],
    language: Language,
) -> anyhow::Result<()> {
    let (paint, limit) = (output.paint, output.columns);
    let state_at = keys.iter().position(|key| key.name == "state");
    let meanings = match keys {
        [only] if only.name == "state" => Some(Meanings(language)),
        _ => None,
    };
    let mut columns: Vec<Column> =
        keys.iter().map(|key| Column { title: key.title, right: key.right, rank: 0 }).collect();
    columns.push(Column { title: "COUNT", right: true, rank: 1 });
    columns.extend(meanings.as_ref().map(|_| Column { title: "MEANING", right: false, rank: 2 }));
    let mut table = Table::new(&mut output, paint, limit, columns);
    for (values, count) in shown {
        let state = state_at.filter(|at| *at == 0).and_then(|at| state_of(&values[at]));
        table.row(state.map(Style::State), None, |index, cell| match values.get(index) {
            Some(value) => cell.push_str(&value.to_text()),
            None if index == values.len() => cell.push_str(&count.to_string()),
            None => cell
                .push_str(&meanings.as_ref().zip(state).map_or_else(String::new, |(m, state)| m.of(state))),
        })?;
    }
    table.finish()?;
    let total = total_line(counted, shown.len(), paint);
    writeln!(output, "{total}")?;
    output.flush()?;
    Ok(())
}

fn total_line(counted: &Counted, shown: usize, paint: Paint) -> String {
    let mut line =
        format!("{} socket{}", text::thousands(counted.total), if counted.total == 1 { "" } else { "s" });
    if shown < counted.groups.len() {
        let groups = counted.groups.len() as u64;
        let plural = if groups == 1 { "" } else { "s" };
        line.push_str(&format!(" in {} group{plural}, {shown} shown", text::thousands(groups)));
    }
    paint.text(Style::Dim, &line)
}

fn state_of(value: &FieldValue) -> Option<State> {
    match value {
        FieldValue::Word(word) => word.parse().ok(),
        _ => None,
    }
}

/// What states mean, in a few words.
struct Meanings(Language);

impl Meanings {
    fn of(&self, state: State) -> String {
        eleven_knowledge::state(state, self.0).short
    }
}
