//! `eleven list`: one row a socket.

use std::io;
use std::ops::ControlFlow;

use eleven_linux::namespace::NamespaceChoice;
use eleven_linux::read_sockets;
use eleven_snapshot::{Socket, TcpInfo};
use eleven_tcp::State;
use serde::Serialize;

use super::why::{Said, Whys};
use super::{
    WrongUsage, labelling, language, nothing_found, owners_for_cgroups, parse_filter, request, say_notes,
};
use crate::cli::{Format, Global, ListArgs};
use crate::fields::{self, Field, FieldValue, Needs, Sort};
use crate::filter::Filter;
use crate::output::{Column, CsvRecords, JsonRecords, Output, Style, Table, note};

pub(super) fn run(global: &Global, args: &ListArgs) -> anyhow::Result<()> {
    let filter = parse_filter(&args.filter.filter)?;
    let columns =
        fields::columns(&args.columns, global.netns != NamespaceChoice::This).map_err(WrongUsage::Other)?;
    let mut wanted = needs(args, global.format, &columns, &filter);
    if args.no_owners {
        wanted.labelling.owners = false;
    }
    let request = request(global, &filter, wanted);
    let whys = args.why.then(|| Whys::new(language(global)));
    let mut rows = Rows::new(Output::open(global)?, args, columns, whys)?;
    let mut sorted = args.sort.map(|sort| Sorted::new(sort, args.limit));
    let mut written = false;
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut failure = None;

    let report = read_sockets(
        &global.netns,
        global.reader.into(),
        &request,
        labelling(&filter, wanted),
        &mut |socket: &Socket| {
            if !filter.matches(socket) {
                return ControlFlow::Continue(());
            }
            if let Some(sorted) = &mut sorted {
                sorted.add(socket);
                return ControlFlow::Continue(());
            }
            if left == 0 {
                return ControlFlow::Break(());
            }
            left -= 1;
            written = true;
            match rows.write(socket) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    if let Some(error) = failure {
        return Err(error.into());
    }
    // What was seen before an error is still worth printing.
    for socket in sorted.into_iter().flat_map(Sorted::finish) {
        written = true;
        rows.write(&socket)?;
    }
    let is_table = matches!(rows, Rows::Table { .. });
    // An empty list would say that there is nothing, when nothing could be seen.
    if written || report.is_ok() {
        rows.finish()?;
    }
    say_notes(&report?);
    if is_table && !written && args.limit != Some(0) {
        note(&nothing_found(global, &filter));
    }
    Ok(())
}

/// What has to be read for the output.
fn needs(args: &ListArgs, format: Format, columns: &[&'static Field], filter: &Filter) -> Needs {
    let mut needs = columns.iter().map(|column| column.needs).fold(Needs::default(), Needs::union);
    needs = args.sort.map_or(needs, |sort| needs.union(sort.field.needs));
    needs.labelling.owners |= owners_for_cgroups(filter, needs);
    // Records for programs carry everything that costs little.
    if matches!(format, Format::Json | Format::Ndjson) {
        needs.labelling.owners = true;
        needs.labelling.cgroups = true;
        needs.extensions.age = true;
    }
    needs.extensions.tcp_info |= args.info || args.why;
    needs.labelling.owners |= args.why;
    needs.extensions.congestion |= args.info;
    needs.extensions.memory_and_options |= args.info;
    needs
}

/// Rows that are kept to be sorted, no more than will be shown.
struct Sorted {
    sort: Sort,
    limit: usize,
    rows: Vec<(FieldValue, Socket)>,
}

impl Sorted {
    fn new(sort: Sort, limit: Option<usize>) -> Self {
        Self { sort, limit: limit.unwrap_or(usize::MAX), rows: Vec::new() }
    }

    fn add(&mut self, socket: &Socket) {
        self.rows.push(((self.sort.field.value)(socket), socket.clone()));
        // Sorting now and then keeps memory to twice the limit at little cost.
        if self.rows.len() >= self.limit.saturating_mul(2).saturating_add(1024) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        let sort = self.sort;
        self.rows.sort_by(|(a, _), (b, _)| sort.compare(a, b));
        self.rows.truncate(self.limit);
    }

    fn finish(mut self) -> impl Iterator<Item = Socket> {
        self.settle();
        self.rows.into_iter().map(|(_, socket)| socket)
    }
}

/// A row with what it waits for.
#[derive(Serialize)]
struct Explained<'a> {
    why: Said,
    #[serde(flatten)]
    socket: &'a Socket,
}

/// The output, in one of its formats.
#[allow(clippy::large_enum_variant, reason = "there is one value of it")]
enum Rows {
    Table { table: Table<Output>, columns: Vec<&'static Field>, info: bool, whys: Option<Whys> },
    Json { records: JsonRecords<Output>, whys: Option<Whys> },
    Csv { records: CsvRecords<Output>, columns: Vec<&'static Field>, whys: Option<Whys> },
}

impl Rows {
    fn new(
        output: Output,
        args: &ListArgs,
        columns: Vec<&'static Field>,
        whys: Option<Whys>,
    ) -> io::Result<Self> {
        Ok(match output.format {
            Format::Table => {
                let layout = columns
                    .iter()
                    .map(|field| Column { title: field.title, right: field.right, rank: field.rank })
                    .collect();
                let (paint, limit) = (output.paint, output.columns);
                let table = Table::new(output, paint, limit, layout);
                Self::Table { table, columns, info: args.info, whys }
            }
            Format::Json | Format::Ndjson => {
                let format = output.format;
                Self::Json { records: JsonRecords::new(output, format), whys }
            }
            Format::Csv => {
                let mut heading: Vec<String> =
                    columns.iter().map(|field| field.name.replace('-', "_")).collect();
                heading.extend(whys.is_some().then(|| "why".to_owned()));
                let records = CsvRecords::new(output, heading.iter().map(String::as_str))?;
                Self::Csv { records, columns, whys }
            }
        })
    }

    fn write(&mut self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Table { table, columns, info, whys } => {
                let colored = columns.first().is_some_and(|field| field.name == "state");
                let style = colored.then_some(Style::State(socket.state));
                let said = whys.as_mut().map(|whys| whys.say(socket).sentence);
                let info = info.then(|| info_line(socket)).filter(|line| !line.is_empty());
                let detail = match (said, info) {
                    (Some(said), Some(info)) => Some(format!("{said} {info}")),
                    (said, info) => said.or(info),
                };
                table.row(style, detail, |index, cell| (columns[index].write)(socket, cell))
            }
            Self::Json { records, whys: None } => records.write(socket),
            Self::Json { records, whys: Some(whys) } => {
                records.write(&Explained { why: whys.say(socket), socket })
            }
            Self::Csv { records, columns, whys } => {
                let cells = columns.iter().map(|field| {
                    let mut cell = String::new();
                    (field.write)(socket, &mut cell);
                    cell
                });
                records.write(cells.chain(whys.as_mut().map(|whys| whys.say(socket).sentence)))
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Table { table, .. } => table.finish(),
            Self::Json { records, .. } => records.finish(),
            Self::Csv { records, .. } => records.finish(),
        }
    }
}

/// The kernel's TCP_INFO on one line: names without their prefix, values that are not 0.
fn info_line(socket: &Socket) -> String {
    let Some(info) = &socket.tcp_info else { return String::new() };
    let mut line = socket.congestion.as_deref().unwrap_or_default().to_owned();
    for field in TcpInfo::fields() {
        // Of a listener the kernel puts the accept queue here, which has its own columns; all
        // ones is "no limit".
        let is_other = socket.state == State::Listen && matches!(field.name, "tcpi_unacked" | "tcpi_sacked");
        let value = info.value(field).filter(|value| !matches!(*value, 0 | u64::MAX) && !is_other);
        if let Some(value) = value.filter(|_| field.name != "tcpi_state") {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(field.name.strip_prefix("tcpi_").unwrap_or(field.name));
            line.push(':');
            line.push_str(itoa::Buffer::new().format(value));
        }
    }
    if let Some(memory) = &socket.memory {
        line.push_str(&format!(
            " mem:(r{}/{} w{}/{} queued {} drops {})",
            memory.rmem_alloc,
            memory.rcvbuf,
            memory.wmem_alloc,
            memory.sndbuf,
            memory.wmem_queued,
            memory.drops.map_or_else(|| "?".to_owned(), |drops| drops.to_string()),
        ));
    }
    let options: Vec<&str> = socket.options.iter().flat_map(|options| options.names()).collect();
    if !options.is_empty() {
        line.push_str(&format!(" options:{}", options.join(",")));
    }
    line
}
