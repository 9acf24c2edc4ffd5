//! What a script consists of.

use alloc::string::String;
use alloc::vec::Vec;

use super::expression::Statement;
use crate::{Ecn, Flags};

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its options, without the dashes: `("tolerance_usecs", "10000")`.
    pub options: Vec<(String, String)>,
    /// What happens, in order.
    pub events: Vec<Event>,
    /// Its lines, for reports.
    pub lines: Vec<String>,
}

impl Script {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub time: Time,
    /// For a call that blocks: when it returns, as [`Time`] from the same origin, in microseconds.
    pub end: Option<i64>,
    /// Where it stands, from 1.
    pub line: usize,
    /// What.
    pub action: Action,
}

/// When something happens, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// Since the script began.
    Absolute(i64),
    /// Since the event before.
    Relative(i64),
    /// At any time.
    Any,
    /// Between two times since the script began.
    AbsoluteRange(i64, i64),
    /// Between two times since the event before.
    RelativeRange(i64, i64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A program calls.
    Call(SystemCall),
    /// A segment arrives.
    Inbound(SegmentSpec),
    /// A segment has to leave.
    Outbound(SegmentSpec),
    /// An ICMP error arrives.
    Icmp(Icmp),
    /// Sysctls change.
    Set(Vec<(String, String)>),
    /// They go back to what they were at first.
    Restore,
    /// The host forgets its Fast Open cookies.
    ForgetCookies,
    /// The device cuts no segments any more.
    NoOffload,
    /// Something has to be true.
    Assert(Vec<Statement>),
}

/// A call and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCall {
    /// Its name.
    pub name: String,
    /// What it is given.
    pub arguments: Vec<Value>,
    /// What it returns; [`Value::Ellipsis`]: anything.
    pub result: Value,
    /// The error it fails with, if it does.
    pub errno: Option<String>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `...`: the runner knows.
    Ellipsis,
    /// A number, or names of numbers joined by `|`.
    Number(i64),
    /// A string of bytes.
    Text(Vec<u8>),
    /// `[…, …]`.
    List(Vec<Value>),
    /// `{name=…, …}`; what has no name has an empty one.
    Record(Vec<(String, Value)>),
}

/// A segment as a script writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSpec {
    /// The control bits.
    pub flags: Flags,
    /// First number: absolute with SYN, relative to it otherwise.
    pub start: u32,
    /// Behind the last byte.
    pub end: u32,
    /// Bytes of text.
    pub length: u32,
    /// The acknowledgment, relative.
    pub ack: Option<u32>,
    /// The window field.
    pub window: Option<u16>,
    /// The urgent pointer.
    pub urgent: Option<u16>,
    /// The options; `None`: any (`<...>`).
    pub options: Option<Vec<OptionSpec>>,
    /// The mark of the packet, if one is named.
    pub ecn: Option<Ecn>,
}

/// An option as a script writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionSpec {
    /// `nop`.
    NoOperation,
    /// `eol`.
    EndOfList,
    /// `mss 1460`.
    MaximumSegmentSize(u16),
    /// `wscale 7`.
    WindowScale(u8),
    /// `sackOK`.
    SackPermitted,
    /// `sack 1:1001 2001:3001`.
    Sack(Vec<(u32, u32)>),
    /// `TS val 1 ecr 2`.
    Timestamps {
        /// The value.
        value: u32,
        /// The echo.
        echo: u32,
    },
    /// `FO abcd1234`, or `FOEXP`; without a cookie it asks for one.
    FastOpen {
        /// The cookie.
        cookie: Vec<u8>,
        /// The option of the experiment.
        experiment: bool,
    },
    /// One that scripts have no word for; only seen, never written.
    Other(String),
}

/// An ICMP error about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    /// What it reports.
    pub kind: crate::ip::IcmpKind,
    /// The number it quotes, as in a SYN.
    pub seq: Option<u32>,
}
