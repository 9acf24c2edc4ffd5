//! Everything that can be said of a socket in one word: the columns of `list`, the keys of
//! `count`, the order of `--sort`. One table serves them all.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::net::IpAddr;

use eleven_linux::Labelling;
use eleven_linux::sock_diag::Extensions;
use eleven_snapshot::{Owner, Socket};
use eleven_tcp::State;
use serde_json::Value;

use crate::filter::suggest;
use crate::text;

/// A field of a socket.
#[derive(Debug)]
pub struct Field {
    /// Name on the command line.
    pub name: &'static str,
    /// Heading of its column.
    pub title: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Whether the column is set against the right edge.
    pub right: bool,
    /// Columns with a lower number stay when the terminal is narrow.
    pub rank: u8,
    /// The key `--by` knows it by, where it makes sense to group by it.
    pub key: Option<&'static str>,
    /// What has to be read for it.
    pub needs: Needs,
    /// Writes the cell; nothing is "unknown".
    pub write: fn(&Socket, &mut String),
    /// The value in JSON and for sorting.
    pub value: fn(&Socket) -> FieldValue,
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// What has to be read for a field, beside what every row has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Owners, or the control group.
    pub labelling: Labelling,
    /// Optional parts of a row.
    pub extensions: Extensions,
}

impl Needs {
    /// Nothing but the row itself.
    pub const NOTHING: Self = Self {
        labelling: Labelling { owners: false, cgroups: false },
        extensions: Extensions { tcp_info: false, age: false, congestion: false, memory_and_options: false },
    };
    const OWNERS: Self = Self { labelling: Labelling { owners: true, cgroups: false }, ..Self::NOTHING };
    const CGROUPS: Self = Self { labelling: Labelling { owners: false, cgroups: true }, ..Self::NOTHING };
    const AGE: Self =
        Self { extensions: Extensions { age: true, ..Self::NOTHING.extensions }, ..Self::NOTHING };
    const TCP_INFO: Self =
        Self { extensions: Extensions { tcp_info: true, ..Self::NOTHING.extensions }, ..Self::NOTHING };
    const CONGESTION: Self =
        Self { extensions: Extensions { congestion: true, ..Self::NOTHING.extensions }, ..Self::NOTHING };

    /// What either needs.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            labelling: Labelling {
                owners: self.labelling.owners | other.labelling.owners,
                cgroups: self.labelling.cgroups | other.labelling.cgroups,
            },
            extensions: Extensions {
                tcp_info: self.extensions.tcp_info | other.extensions.tcp_info,
                age: self.extensions.age | other.extensions.age,
                congestion: self.extensions.congestion | other.extensions.congestion,
                memory_and_options: self.extensions.memory_and_options | other.extensions.memory_and_options,
            },
        }
    }
}

/// The value of a field, in an order of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldValue {
    /// A number.
    Number(u64),
    /// An address and port.
    Address(IpAddr, Option<u16>),
    /// A word.
    Word(String),
    /// Unknown, or the socket has none.
    Nothing,
}

impl FieldValue {
    fn number(value: Option<impl Into<u64>>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Number(value.into()))
    }

    fn word(value: Option<&str>) -> Self {
        value.map_or(Self::Nothing, |value| Self::Word(value.to_owned()))
    }

    /// The value as JSON has it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Number(value) => (*value).into(),
            Self::Address(address, None) => address.to_string().into(),
            Self::Address(address, Some(port)) => text::endpoint(*address, Some(*port)).into(),
            Self::Word(value) => value.as_str().into(),
            Self::Nothing => Value::Null,
        }
    }

    /// The value as a table has it.
    pub fn to_text(&self) -> String {
        match self {
            Self::Number(value) => value.to_string(),
            Self::Address(address, None) => address.to_string(),
            Self::Address(address, Some(port)) => text::endpoint(*address, Some(*port)),
            Self::Word(value) => text::printable(value).into_owned(),
            Self::Nothing => "-".to_owned(),
        }
    }
}

fn write_number(out: &mut String, value: Option<impl itoa::Integer>) {
    if let Some(value) = value {
        out.push_str(itoa::Buffer::new().format(value));
    }
}

fn write_word(out: &mut String, value: Option<&str>) {
    out.push_str(&text::printable(value.unwrap_or_default()));
}

/// Recv-Q as ss shows it: of a listener, the accept queue.
fn receive_queue(socket: &Socket) -> Option<u32> {
    if socket.state == State::Listen { socket.backlog } else { socket.recv_queue }
}

/// Send-Q as ss shows it: of a listener, the accept queue's limit.
fn send_queue(socket: &Socket) -> Option<u32> {
    if socket.state == State::Listen { socket.backlog_limit } else { socket.send_queue }
}

fn write_owners(socket: &Socket, out: &mut String) {
    match (socket.owners.as_slice(), socket.no_owner) {
        ([], None) => {}
        ([], Some(why)) => {
            let _ = write!(out, "({})", why.as_str());
        }
        ([only], _) => {
            let _ = write!(out, "{} ({})", text::printable(&only.process), only.pid);
        }
        ([first, rest @ ..], _) => {
            let _ = write!(out, "{} ({}, +{})", text::printable(&first.process), first.pid, rest.len());
        }
    }
}

fn tcp_info(socket: &Socket, name: &str) -> Option<u64> {
    socket.tcp_info.as_ref()?.get(name)
}

fn join<T: ToString>(owners: &[Owner], part: impl Fn(&Owner) -> T) -> Option<String> {
    (!owners.is_empty())
        .then(|| owners.iter().map(|owner| part(owner).to_string()).collect::<Vec<_>>().join(","))
}

/// Ids of the processes that hold the socket, each once.
fn process_ids(socket: &Socket) -> Option<String> {
    let mut ids: Vec<u32> = socket.owners.iter().map(|owner| owner.pid).collect();
    ids.dedup();
    (!ids.is_empty()).then(|| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
}

/// A field of which the cell is the value's text.
macro_rules! plain {
    ($name:literal, $title:literal, $help:literal, $right:literal, $rank:literal, $key:expr, $needs:expr, $value:expr) => {
        Field {
            name: $name,
            title: $title,
            help: $help,
            right: $right,
            rank: $rank,
            key: $key,
            needs: $needs,
            write: |socket, out| {
                let value: FieldValue = ($value)(socket);
                if value != FieldValue::Nothing {
                    out.push_str(&value.to_text());
                }
            },
            value: $value,
        }
    };
}

/// All fields.
pub static FIELDS: &[Field] = &[
    Field {
        name: "state",
        title: "STATE",
        help: "state, in netstat's spelling",
        right: false,
        rank: 0,
        key: Some("state"),
        needs: Needs::NOTHING,
        write: |socket, out| out.push_str(socket.state.as_str()),
        value: |socket| FieldValue::Word(socket.state.to_string()),
    },
    Field {
        name: "recvq",
        title: "RECV-Q",
        help: "bytes the program has not read; of a listener, connections not accepted yet",
        right: true,
        rank: 3,
        key: None,
        needs: Needs::NOTHING,
        write: |socket, out| write_number(out, receive_queue(socket)),
        value: |socket| FieldValue::number(receive_queue(socket)),
    },
    Field {
        name: "sendq",
        title: "SEND-Q",
        help: "bytes the peer has not acknowledged; of a listener, how many may wait",
        right: true,
        rank: 3,
        key: None,
        needs: Needs::NOTHING,
        write: |socket, out| write_number(out, send_queue(socket)),
        value: |socket| FieldValue::number(send_queue(socket)),
    },
    Field {
        name: "local",
        title: "LOCAL",
        help: "local address and port (count: the address)",
        right: false,
        rank: 1,
        key: Some("local"),
        needs: Needs::NOTHING,
        write: |socket, out| text::write_endpoint(out, socket.local_address, socket.local_port),
        value: |socket| FieldValue::Address(socket.local_address, socket.local_port),
    },
    Field {
        name: "remote",
        title: "REMOTE",
        help: "remote address and port (count: the address)",
        right: false,
        rank: 1,
        key: Some("remote"),
        needs: Needs::NOTHING,
        write: |socket, out| text::write_endpoint(out, socket.remote_address, socket.remote_port),
        value: |socket| FieldValue::Address(socket.remote_address, socket.remote_port),
    },
    Field {
        name: "age",
        title: "AGE",
        help: "how long it has existed, as far as one look can tell",
        right: true,
        rank: 4,
        key: None,
        needs: Needs::AGE,
        write: |socket, out| {
            if let Some(age) = socket.age() {
                text::write_age(out, age);
            }
        },
        value: |socket| FieldValue::number(socket.age_ms),
    },
    Field {
        name: "timer",
        title: "TIMER",
        help: "the timer that runs, and when it fires",
        right: false,
        rank: 5,
        key: Some("timer"),
        needs: Needs::NOTHING,
        write: |socket, out| {
            if let Some(timer) = socket.timer {
                text::write_timer(out, timer);
            }
        },
        value: |socket| FieldValue::word(socket.timer.map(|timer| timer.kind.as_str())),
    },
    Field {
        name: "owner",
        title: "OWNER",
        help: "the program that holds it, or why none is shown",
        right: false,
        rank: 2,
        key: None,
        needs: Needs::OWNERS,
        write: write_owners,
        value: |socket| FieldValue::word(socket.process_names().as_deref()),
    },
    plain!(
        "process",
        "PROCESS",
        "names of the programs that hold it",
        false,
        2,
        Some("process"),
        Needs::OWNERS,
        |socket: &Socket| FieldValue::word(socket.process_names().as_deref())
    ),
    plain!(
        "pid",
        "PID",
        "ids of the processes that hold it",
        true,
        3,
        Some("pid"),
        Needs::OWNERS,
        |socket: &Socket| FieldValue::word(process_ids(socket).as_deref())
    ),
    plain!(
        "fd",
        "FD",
        "descriptors by which they hold it",
        true,
        5,
        None,
        Needs::OWNERS,
        |socket: &Socket| FieldValue::word(join(&socket.owners, |owner| owner.fd).as_deref())
    ),
    Field {
        name: "user",
        title: "USER",
        help: "user that made it",
        right: false,
        rank: 4,
        key: Some("user"),
        needs: Needs::NOTHING,
        write: |socket, out| match &socket.user {
            Some(name) => write_word(out, Some(name)),
            None => write_number(out, socket.uid),
        },
        value: |socket| match (&socket.user, socket.uid) {
            (Some(name), _) => FieldValue::Word(name.to_string()),
            (None, Some(uid)) => FieldValue::Word(uid.to_string()),
            (None, None) => FieldValue::Nothing,
        },
    },
    plain!("uid", "UID", "number of that user", true, 5, Some("uid"), Needs::NOTHING, |socket: &Socket| {
        FieldValue::number(socket.uid)
    }),
    plain!(
        "netns",
        "NETNS",
        "network namespace",
        false,
        2,
        Some("netns"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::word(socket.netns.as_deref())
    ),
    plain!(
        "container",
        "CONTAINER",
        "container or service it belongs to",
        false,
        3,
        Some("container"),
        Needs::CGROUPS,
        |socket: &Socket| FieldValue::word(socket.container.as_deref())
    ),
    plain!(
        "cgroup",
        "CGROUP",
        "control group that made it",
        false,
        5,
        Some("cgroup"),
        Needs::CGROUPS,
        |socket: &Socket| FieldValue::word(socket.cgroup.as_deref())
    ),
    plain!(
        "local-port",
        "LPORT",
        "local port",
        true,
        3,
        Some("local_port"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::number(socket.local_port)
    ),
    plain!(
        "port",
        "PORT",
        "local port, the one a service is known by",
        true,
        3,
        Some("port"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::number(socket.local_port)
    ),
    plain!(
        "remote-port",
        "RPORT",
        "remote port",
        true,
        3,
        Some("remote_port"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::number(socket.remote_port)
    ),
    plain!(
        "family",
        "FAMILY",
        "inet or inet6",
        false,
        5,
        Some("family"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::word(Some(socket.family.as_str()))
    ),
    plain!(
        "kind",
        "KIND",
        "how the kernel stores it: full, request, timewait, bound",
        false,
        5,
        Some("kind"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::word(Some(socket.kind.as_str()))
    ),
    plain!(
        "interface",
        "INTERFACE",
        "interface it is bound to",
        false,
        5,
        Some("interface"),
        Needs::NOTHING,
        |socket: &Socket| FieldValue::word(socket.interface.as_deref())
    ),
    plain!(
        "retransmits",
        "RETRANS",
        "how often its timer has fired without an answer",
        true,
        5,
        None,
        Needs::NOTHING,
        |socket: &Socket| FieldValue::number(socket.timer.map(|timer| timer.retransmits))
    ),
    plain!("inode", "INODE", "inode of its file", true, 6, None, Needs::NOTHING, |socket: &Socket| {
        FieldValue::number(socket.inode)
    }),
    plain!(
        "cookie",
        "COOKIE",
        "the kernel's identity of it",
        true,
        6,
        None,
        Needs::NOTHING,
        |socket: &Socket| FieldValue::number(socket.cookie)
    ),
    plain!("mark", "MARK", "firewall mark", true, 6, Some("mark"), Needs::NOTHING, |socket: &Socket| {
        FieldValue::number(socket.mark)
    }),
    plain!(
        "congestion",
        "CONGESTION",
        "congestion control algorithm",
        false,
        6,
        Some("congestion"),
        Needs::CONGESTION,
        |socket: &Socket| FieldValue::word(socket.congestion.as_deref())
    ),
    Field {
        name: "rtt",
        title: "RTT",
        help: "smoothed round-trip time",
        right: true,
        rank: 5,
        key: None,
        needs: Needs::TCP_INFO,
        write: |socket, out| {
            if let Some(us) = tcp_info(socket, "tcpi_rtt").filter(|us| *us > 0) {
                let _ = write!(out, "{}.{:03} ms", us / 1000, us % 1000);
            }
        },
        value: |socket| FieldValue::number(tcp_info(socket, "tcpi_rtt").filter(|us| *us > 0)),
    },
    plain!(
        "cwnd",
        "CWND",
        "congestion window in segments",
        true,
        6,
        None,
        Needs::TCP_INFO,
        |socket: &Socket| FieldValue::number(tcp_info(socket, "tcpi_snd_cwnd"))
    ),
    plain!(
        "total-retransmits",
        "TOTAL-RETRANS",
        "segments sent again since it was opened",
        true,
        6,
        None,
        Needs::TCP_INFO,
        |socket: &Socket| FieldValue::number(tcp_info(socket, "tcpi_total_retrans"))
    ),
    plain!(
        "bytes-sent",
        "SENT",
        "bytes of data sent since it was opened",
        true,
        6,
        None,
        Needs::TCP_INFO,
        |socket: &Socket| FieldValue::number(tcp_info(socket, "tcpi_bytes_sent"))
    ),
    plain!(
        "bytes-received",
        "RECEIVED",
        "bytes of data received since it was opened",
        true,
        6,
        None,
        Needs::TCP_INFO,
        |socket: &Socket| FieldValue::number(tcp_info(socket, "tcpi_bytes_received"))
    ),
];

/// Columns of `list` when none are named.
pub const USUAL_COLUMNS: [&str; 7] = ["state", "recvq", "sendq", "local", "remote", "age", "owner"];

/// A field by name; `_` may stand for `-`.
pub fn field(name: &str) -> Option<&'static Field> {
    let name = name.replace('_', "-").to_ascii_lowercase();
    FIELDS.iter().find(|field| field.name == name)
}

fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let known_names = known.join(", ");
    match suggest::nearest(name, known.iter().copied()) {
        Some(nearest) => {
            format!("there is no {what} `{name}`; did you mean `{nearest}`? There are: {known_names}")
        }
        None => format!("there is no {what} `{name}`; there are: {known_names}"),
    }
}

/// A column by name.
///
/// # Errors
/// A sentence that lists what there is.
pub fn parse_column(name: &str) -> Result<&'static Field, String> {
    let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
    field(name).ok_or_else(|| unknown("column", name, &names))
}

/// A key of `count --by` by name.
///
/// # Errors
/// A sentence that lists what there is.
pub fn parse_key(name: &str) -> Result<&'static Field, String> {
    let plain = name.strip_suffix("-address").or_else(|| name.strip_suffix("_address")).unwrap_or(name);
    field(plain).filter(|field| field.key.is_some()).ok_or_else(|| {
        let names: Vec<&str> =
            FIELDS.iter().filter(|field| field.key.is_some()).map(|field| field.name).collect();
        unknown("key", name, &names)
    })
}

/// The columns `list` is to show. Names with a `+` add to the usual ones.
///
/// # Errors
/// A sentence about a name that is no column.
pub fn columns(names: &[String], several_namespaces: bool) -> Result<Vec<&'static Field>, String> {
    let mut columns: Vec<&'static Field> = Vec::new();
    if names.iter().any(|name| name.starts_with('+')) || names.is_empty() {
        columns.extend(several_namespaces.then_some("netns").iter().filter_map(|name| field(name)));
        columns.extend(USUAL_COLUMNS.iter().filter_map(|name| field(name)));
    }
    for name in names {
        let column = parse_column(name.trim_start_matches('+'))?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// The order of rows.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// Field to sort by.
    pub field: &'static Field,
    /// Whether the order is turned round.
    pub reversed: bool,
}

/// `NAME` or `-NAME`.
///
/// # Errors
/// A sentence that lists what there is.
pub fn parse_sort(text: &str) -> Result<Sort, String> {
    let name = text.trim_start_matches(['-', '+']);
    Ok(Sort { field: parse_column(name)?, reversed: text.starts_with('-') })
}

impl Sort {
    /// Which of two values comes first: numbers from the largest, words and addresses from
    /// the first; what is unknown comes last either way.
    pub fn compare(self, a: &FieldValue, b: &FieldValue) -> Ordering {
        let order = match (a, b) {
            (FieldValue::Nothing, FieldValue::Nothing) => return Ordering::Equal,
            (FieldValue::Nothing, _) => return Ordering::Greater,
            (_, FieldValue::Nothing) => return Ordering::Less,
            (FieldValue::Number(a), FieldValue::Number(b)) => b.cmp(a),
            (a, b) => a.cmp(b),
        };
        if self.reversed { order.reverse() } else { order }
    }
}

fn help_lines<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    fields.fold(String::new(), |mut help, (name, text)| {
        let _ = writeln!(help, "  {name:<18} {text}");
        help
    })
}

/// The columns, a line each.
pub fn columns_help() -> String {
    help_lines(FIELDS.iter().map(|field| (field.name, field.help)))
}

/// The keys of `count --by`, a line each.
pub fn keys_help() -> String {
    help_lines(FIELDS.iter().filter(|field| field.key.is_some()).map(|field| (field.name, field.help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_usual_columns_exist() {
        for (index, field) in FIELDS.iter().enumerate() {
            assert!(FIELDS[index + 1..].iter().all(|other| other.name != field.name), "{}", field.name);
        }
        assert_eq!(columns(&[], false).map(|columns| columns.len()), Ok(USUAL_COLUMNS.len()));
        assert_eq!(
            columns(&["+rtt".to_owned()], true).map(|columns| columns.len()),
            Ok(USUAL_COLUMNS.len() + 2)
        );
    }

    #[test]
    fn a_wrong_name_gets_the_nearest() {
        let error = parse_column("recq").unwrap_err();
        assert!(error.starts_with("there is no column `recq`; did you mean `recvq`?"), "{error}");
        assert!(parse_key("age").is_err());
        assert_eq!(parse_key("remote_address").map(|field| field.name), Ok("remote"));
    }

    #[test]
    fn unknown_comes_last_either_way() {
        let value = FieldValue::Number;
        for sort in ["recvq", "-recvq"] {
            let sort = parse_sort(sort).unwrap();
            assert_eq!(sort.compare(&FieldValue::Nothing, &value(1)), Ordering::Greater);
            assert_eq!(sort.compare(&value(1), &FieldValue::Nothing), Ordering::Less);
        }
        assert_eq!(parse_sort("recvq").unwrap().compare(&value(2), &value(1)), Ordering::Less);
        assert_eq!(parse_sort("-recvq").unwrap().compare(&value(2), &value(1)), Ordering::Greater);
    }
}
