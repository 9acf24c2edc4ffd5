//! The words of the filter language, in one table. Parser, suggestions, help and man page
//! all read it.

use std::fmt::Write as _;

use eleven_tcp::{State, StateSet};

/// What a keyword asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the keyword of the same name; the table describes it")]
pub enum Topic {
    State,
    Exclude,
    Kind,
    Family,
    Inet,
    Inet6,
    Destination,
    Source,
    Address,
    DestinationPort,
    SourcePort,
    Port,
    AutoBound,
    Interface,
    Mark,
    Process,
    Pid,
    User,
    Uid,
    Owner,
    Cgroup,
    Container,
    Netns,
    ReceiveQueue,
    SendQueue,
    Backlog,
    Age,
    Timer,
    Retransmits,
    RoundTripTime,
    Congestion,
    Inode,
    Cookie,
    Flow,
    EndState,
    ClientState,
    ServerState,
    ClosedBy,
    Anomaly,
    Retransmissions,
    Packets,
    Bytes,
    Duration,
    Handshake,
    ConnState,
}

/// Which operators may stand between a keyword and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operators {
    /// There is no value.
    None,
    /// There is a value and no operator.
    ValueOnly,
    /// `=` and `!=`.
    Equality,
    /// Those and `<`, `<=`, `>`, `>=`.
    Order,
}

/// What a filter chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The sockets of a host.
    Sockets,
    /// The flows in a capture. Their client stands for the local end, their server for the remote one.
    Flows,
}

/// Under which heading a keyword is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// States.
    State,
    /// Addresses and ports.
    Address,
    /// Programs, users, groups.
    Owner,
    /// What the kernel knows of the conversation.
    Conversation,
    /// What a capture shows of a flow.
    Flow,
}

impl Group {
    /// All, in the order of the help.
    pub const ALL: [Self; 5] = [Self::State, Self::Address, Self::Owner, Self::Conversation, Self::Flow];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::State => "States",
            Self::Address => "Addresses and ports",
            Self::Owner => "Who it belongs to",
            Self::Conversation => "How the conversation goes",
            Self::Flow => "What became of the flow",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Keyword {
    /// What it asks about.
    pub topic: Topic,
    /// The word that is printed.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// Which operators it takes; with none written, `=` is meant.
    pub operators: Operators,
    /// What its value is, for people; empty when there is none.
    pub value: &'static str,
    /// Heading in the help.
    pub group: Group,
    /// One line of help.
    pub help: &'static str,
}

impl Keyword {
    /// Whether it can be asked of such a subject.
    pub const fn is_about(&self, subject: Subject) -> bool {
        use Topic::{
            Address, Destination, DestinationPort, Exclude, Family, Inet, Inet6, Port, RoundTripTime, Source,
            SourcePort, State,
        };
        let of_both = matches!(
            self.topic,
            State
                | Exclude
                | Destination
                | Source
                | Address
                | DestinationPort
                | SourcePort
                | Port
                | Family
                | Inet
                | Inet6
                | RoundTripTime
        );
        of_both || matches!(self.group, Group::Flow) == matches!(subject, Subject::Flows)
    }
}

const fn keyword(
    topic: Topic,
    name: &'static str,
    aliases: &'static [&'static str],
    operators: Operators,
    value: &'static str,
    group: Group,
    help: &'static str,
) -> Keyword {
    Keyword { topic, name, aliases, operators, value, group, help }
}

use Operators::{Equality, Order, ValueOnly};

/// The table, in the order of the help.
#[rustfmt::skip]
pub const KEYWORDS: &[Keyword] = &[
    keyword(Topic::State, "state", &[], Equality, "STATE[,STATE…]", Group::State,
        "a state or class of states; `state A state B` unites them"),
    keyword(Topic::Exclude, "exclude", &["excl"], ValueOnly, "STATE[,STATE…]", Group::State,
        "every state but this; after `state A` takes it away from A"),
    keyword(Topic::Kind, "kind", &[], Equality, "full|request|timewait|bound", Group::State,
        "how the kernel stores the socket"),

    keyword(Topic::Destination, "dst", &[], Equality, "HOST", Group::Address,
        "remote address, network, or address and port"),
    keyword(Topic::Source, "src", &[], Equality, "HOST", Group::Address,
        "local address, network, or address and port"),
    keyword(Topic::Address, "address", &["addr"], Equality, "HOST", Group::Address,
        "local or remote"),
    keyword(Topic::DestinationPort, "dport", &[], Order, "PORT", Group::Address,
        "remote port, by number or name of the service"),
    keyword(Topic::SourcePort, "sport", &[], Order, "PORT", Group::Address,
        "local port"),
    keyword(Topic::Port, "port", &[], Order, "PORT", Group::Address,
        "local or remote port; `port != N` is neither"),
    keyword(Topic::AutoBound, "autobound", &[], Operators::None, "", Group::Address,
        "local port in the range from which the kernel chooses"),
    keyword(Topic::Family, "family", &[], Equality, "inet|inet6", Group::Address,
        "family of the socket, not of the traffic"),
    keyword(Topic::Inet, "inet", &["ipv4"], Operators::None, "", Group::Address,
        "short for `family inet`"),
    keyword(Topic::Inet6, "inet6", &["ipv6"], Operators::None, "", Group::Address,
        "short for `family inet6`"),
    keyword(Topic::Interface, "dev", &["interface"], Equality, "NAME|INDEX", Group::Address,
        "interface that the socket is bound to"),
    keyword(Topic::Mark, "fwmark", &["mark"], Equality, "N[/MASK]", Group::Address,
        "firewall mark (needs CAP_NET_ADMIN)"),

    keyword(Topic::Process, "process", &["proc", "comm"], Equality, "NAME", Group::Owner,
        "program that holds the socket"),
    keyword(Topic::Pid, "pid", &[], Equality, "N", Group::Owner,
        "process that holds the socket"),
    keyword(Topic::User, "user", &[], Equality, "NAME|UID", Group::Owner,
        "user that made the socket"),
    keyword(Topic::Uid, "uid", &[], Equality, "N", Group::Owner,
        "the same by number"),
    keyword(Topic::Owner, "owner", &[], Equality, "none|orphan|unreadable|not-accepted|kernel", Group::Owner,
        "why no program is shown"),
    keyword(Topic::Cgroup, "cgroup", &[], Equality, "PATH", Group::Owner,
        "control group that made the socket"),
    keyword(Topic::Container, "container", &[], Equality, "NAME", Group::Owner,
        "container or service of that group"),
    keyword(Topic::Netns, "netns", &[], Equality, "NAME", Group::Owner,
        "network namespace, by name or inode number"),

    keyword(Topic::Age, "age", &[], Order, "DURATION", Group::Conversation,
        "how long the socket has existed; of `≥ 5m` the 5m count"),
    keyword(Topic::ReceiveQueue, "recvq", &["recv_queue", "recv-q"], Order, "SIZE", Group::Conversation,
        "bytes that the program has not read (not for LISTEN)"),
    keyword(Topic::SendQueue, "sendq", &["send_queue", "send-q"], Order, "SIZE", Group::Conversation,
        "bytes that the peer has not acknowledged (not for LISTEN)"),
    keyword(Topic::Backlog, "backlog", &[], Order, "N", Group::Conversation,
        "connections that wait for accept (LISTEN only)"),
    keyword(Topic::Timer, "timer", &[], Equality, "retransmit|keepalive|time_wait|persist|none", Group::Conversation,
        "the timer that runs"),
    keyword(Topic::Retransmits, "retransmits", &["retrans"], Order, "N", Group::Conversation,
        "how often that timer has fired without an answer"),
    keyword(Topic::RoundTripTime, "rtt", &[], Order, "DURATION", Group::Conversation,
        "smoothed round-trip time; takes a unit"),
    keyword(Topic::Congestion, "congestion", &["cc"], Equality, "NAME", Group::Conversation,
        "congestion control algorithm"),
    keyword(Topic::Inode, "inode", &["ino"], Equality, "N", Group::Conversation,
        "inode of the socket's file"),
    keyword(Topic::Cookie, "cookie", &["sk"], Equality, "N", Group::Conversation,
        "the kernel's number of the socket"),

    keyword(Topic::Flow, "flow", &[], Order, "N", Group::Flow,
        "its number, from 1 in the order of first packets"),
    keyword(Topic::EndState, "end-state", &["end_state"], Equality, "STATE[,STATE…]", Group::Flow,
        "state in which one of the two ends was last"),
    keyword(Topic::ClientState, "client-state", &["client_state"], Equality, "STATE[,STATE…]", Group::Flow,
        "the same of the client"),
    keyword(Topic::ServerState, "server-state", &["server_state"], Equality, "STATE[,STATE…]", Group::Flow,
        "the same of the server"),
    keyword(Topic::ClosedBy, "closed-by", &["closed_by"], Equality, "client|server|none", Group::Flow,
        "who sent the first FIN or RST"),
    keyword(Topic::Anomaly, "anomaly", &["anomalies"], Equality, "NAME", Group::Flow,
        "something odd happened in it: zero-window, retransmission, …"),
    keyword(Topic::Retransmissions, "retransmissions", &["retransmission"], Order, "N", Group::Flow,
        "segments that were sent again, by both ends"),
    keyword(Topic::Packets, "packets", &[], Order, "N", Group::Flow,
        "packets of both ends"),
    keyword(Topic::Bytes, "bytes", &[], Order, "SIZE", Group::Flow,
        "text of both ends, repeats included"),
    keyword(Topic::Duration, "duration", &[], Order, "DURATION", Group::Flow,
        "from the first packet to the last"),
    keyword(Topic::Handshake, "handshake", &[], Order, "DURATION", Group::Flow,
        "from the SYN to the ACK that opens; takes a unit"),
    keyword(Topic::ConnState, "conn-state", &["zeek_conn_state", "conn_state"], Equality, "NAME", Group::Flow,
        "Zeek's verdict: S0, SF, REJ, RSTO, …"),
];

/// A name for several states at once.
#[derive(Clone, Copy, Debug)]
pub struct StateClass {
    /// The name.
    pub name: &'static str,
    /// The states; `None` for `bound`, which is a kind of socket and not a state.
    pub states: Option<StateSet>,
    /// One line of help.
    pub help: &'static str,
}

const ALL: StateSet = StateSet::ALL;
const CONNECTED: StateSet = ALL.without(State::Listen).without(State::Closed);
const BUCKET: StateSet = StateSet::EMPTY.with(State::SynReceived).with(State::TimeWait);

/// ss's classes, and two more.
#[rustfmt::skip]
pub const STATE_CLASSES: &[StateClass] = &[
    StateClass { name: "all", states: Some(ALL), help: "every state" },
    StateClass { name: "none", states: Some(StateSet::EMPTY), help: "no state" },
    StateClass { name: "connected", states: Some(CONNECTED), help: "all but LISTEN and CLOSED" },
    StateClass { name: "synchronized", states: Some(CONNECTED.without(State::SynSent)),
        help: "connected but SYN_SENT" },
    StateClass { name: "bucket", states: Some(BUCKET),
        help: "kept as mini-sockets: SYN_RECV and TIME_WAIT" },
    StateClass { name: "big", states: Some(ALL.without(State::SynReceived).without(State::TimeWait)),
        help: "all but SYN_RECV and TIME_WAIT" },
    StateClass { name: "bound", states: None, help: "bound to a port, neither listening nor connected" },
];

/// The keyword with this spelling, in any case, whatever it can be asked of.
pub(super) fn find(word: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| {
        std::iter::once(&keyword.name).chain(keyword.aliases).any(|name| name.eq_ignore_ascii_case(word))
    })
}

/// The class with this name, in any case.
pub(super) fn find_class(word: &str) -> Option<&'static StateClass> {
    STATE_CLASSES.iter().find(|class| class.name.eq_ignore_ascii_case(word))
}

/// States and classes, as `state` takes them.
pub(super) fn state_words() -> Vec<String> {
    let spellings = State::ALL
        .into_iter()
        .flat_map(|state| [state.rfc_name(), state.as_str(), state.ss_name()])
        .map(str::to_ascii_lowercase);
    spellings.chain(STATE_CLASSES.iter().map(|class| class.name.to_owned())).collect()
}

/// Everything that a term about `subject` can begin with.
pub(super) fn term_words(subject: Subject) -> Vec<String> {
    let mut words: Vec<String> = KEYWORDS
        .iter()
        .filter(|keyword| keyword.is_about(subject))
        .flat_map(|keyword| std::iter::once(&keyword.name).chain(keyword.aliases))
        .chain(&["and", "or", "not"])
        .map(|name| (*name).to_owned())
        .collect();
    words.extend(state_words());
    words
}

/// The help of the filter language, for a terminal and the man page.
pub fn help(subject: Subject) -> String {
    /// Where the explanations begin.
    const COLUMN: usize = 36;
    let mut text = String::from(
        "A filter is made of terms, joined by `and` (&, &&, or nothing at all), `or` (|, ||), `not` (!)\n\
         and parentheses; `not` binds tightest, then `and`. OP is = != < <= > >= (eq ne lt le gt ge),\n\
         [!=] is = or !=, and where none is written it is =. Names may have * and ?; what has blanks or\n\
         signs in it is quoted.\n",
    );
    for group in Group::ALL {
        let keywords =
            || KEYWORDS.iter().filter(|keyword| keyword.group == group && keyword.is_about(subject));
        if keywords().next().is_none() {
            continue;
        }
        let _ = writeln!(text, "\n{}:", group.title());
        for keyword in keywords() {
            let operator = match keyword.operators {
                Operators::None | ValueOnly => "",
                Equality => "[!=] ",
                Order => "OP ",
            };
            let usage = format!("  {} {operator}{}", keyword.name, keyword.value);
            let usage = usage.trim_end();
            // A usage that does not fit its column has a line of its own.
            if usage.chars().count() >= COLUMN {
                let _ = writeln!(text, "{usage}\n{:COLUMN$}{}", "", keyword.help);
            } else {
                let _ = writeln!(text, "{usage:COLUMN$}{}", keyword.help);
            }
        }
    }
    text.push_str("\nClasses of states (each state and class also stands as a term of its own):\n");
    for class in STATE_CLASSES {
        let _ = writeln!(text, "  {:<width$}{}", class.name, class.help, width = COLUMN - 2);
    }
    if subject == Subject::Flows {
        text.push_str(
            "\nThe client of a flow is its local end, its server the remote one; `state` is `end-state`.\n",
        );
    }
    text.push_str(
        "\nHOST is ADDRESS, ADDRESS/LENGTH, ADDRESS:PORT, [IPV6]:PORT, :PORT, a name, or *. An IPv4\n\
         address also matches IPv6 sockets that talk to it. DURATION is 90 (seconds), 250ms, 10m, 2h30m,\n\
         7d. SIZE is bytes, or 4k, 16M, 1G. What is unknown matches neither = nor !=.\n",
    );
    text
}
