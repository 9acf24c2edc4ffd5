//! What a rule found, without a sentence: texts are named by key, numbers are typed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;

/// How much it matters, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nobody has to act today.
    Info,
    /// Something is wrong and gets worse if nobody acts.
    Warning,
    /// Connections fail now, or are about to.
    Critical,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Responsible {
    /// A program on this host.
    LocalProgram,
    /// This kernel: a limit or a fault of its own.
    LocalKernel,
    /// The other end.
    Peer,
    /// What lies in between.
    Network,
    /// Whoever set a value, here or along the path.
    Configuration,
}

/// How sure the rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Something else could look the same.
    Possible,
    /// Little else looks like this.
    Likely,
    /// The evidence proves it.
    Certain,
}

/// A value in evidence or in a sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number of things.
    Count(u64),
    /// A number that is a name: a port, a value of a sysctl.
    Plain(u64),
    /// A time.
    Ms(u64),
    /// A change a minute.
    PerMinute(f64),
    /// A share in hundredths.
    Percent(f64),
    /// Minutes.
    Minutes(f64),
    /// A name, an address, a list of them.
    Text(String),
}

impl From<u16> for Value {
    fn from(port: u16) -> Self {
        Self::Plain(port.into())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        Self::Text(address.to_string())
    }
}

impl From<SocketAddr> for Value {
    fn from(address: SocketAddr) -> Self {
        Self::Text(address.to_string())
    }
}

/// A number or a fact that the judgement rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Key of its name in the texts, and of its place in a sentence.
    pub key: &'static str,
    /// The value.
    pub value: Value,
    /// Unit of a count: `sockets`, `bytes`, `descriptors`.
    pub unit: Option<&'static str>,
}

/// What a finding is about; what does not apply is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Subject {
    /// Label of the network namespace.
    pub netns: Option<Arc<str>>,
    /// Name of the process.
    pub process: Option<Arc<str>>,
    /// Its id.
    pub pid: Option<u32>,
    /// Local address and port.
    pub local: Option<String>,
    /// Remote address, with the port where it is one.
    pub remote: Option<String>,
    /// State of the sockets, in netstat's spelling.
    pub state: Option<&'static str>,
    /// The sysctl.
    pub sysctl: Option<&'static str>,
    /// The kernel's counter.
    pub counter: Option<&'static str>,
}

/// A sysctl that a fix would set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysctlChange {
    /// Label of the namespace.
    pub netns: Arc<str>,
    /// Dotted name.
    pub name: &'static str,
    /// Value now.
    pub from: String,
    /// Value to set.
    pub to: String,
}

/// Something to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// Key of its texts.
    pub key: &'static str,
    /// What to type; `None` when it is work in a program.
    pub command: Option<String>,
    /// Whether it can be taken back.
    pub reversible: bool,
    /// What `--fix` would do.
    pub change: Option<SysctlChange>,
}

/// What would settle a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// A second look.
    SecondLook,
    /// The privilege to see other users' processes.
    Privilege,
    /// `struct tcp_info`, which /proc does not show.
    TcpInfo,
    /// The kernel's counters.
    Counters,
    /// A sysctl that this kernel lacks or that may not be read.
    Sysctls,
    /// The view from the other end.
    OtherEnd,
    /// A capture of packets.
    Capture,
    /// The timeouts as they are set, where only those of the product are known.
    Settings,
    /// Two saved looks, to compare listeners with those of another day.
    EarlierSnapshot,
}

impl Missing {
    /// Key of its text.
    pub const fn key(self) -> &'static str {
        match self {
            Self::SecondLook => "second-look",
            Self::Privilege => "privilege",
            Self::TcpInfo => "tcp-info",
            Self::Counters => "counters",
            Self::Sysctls => "sysctls",
            Self::OtherEnd => "other-end",
            Self::Capture => "capture",
            Self::Settings => "settings",
            Self::EarlierSnapshot => "earlier-snapshot",
        }
    }
}

/// A fault, its evidence, who must act and what helps.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Code of the fault.
    pub code: &'static str,
    /// Which of the code's titles and causes fits; `None` for the usual one.
    pub variant: Option<&'static str>,
    /// How much it matters.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Who must act.
    pub responsible: Responsible,
    /// What it is about.
    pub subject: Subject,
    /// How many sockets, or events.
    pub count: u64,
    /// What the judgement rests on.
    pub evidence: Vec<Evidence>,
    /// What helps, the best first.
    pub fixes: Vec<Fix>,
    /// Growth of `count`, where two looks measured it.
    pub growth_per_minute: Option<f64>,
    /// What would make it more certain.
    pub missing: Vec<Missing>,
    /// Where it is written.
    pub references: &'static [&'static str],
    /// It is the cause of other findings as severe, and stands before them.
    pub(crate) leads: bool,
    /// What a command begins with to run in the namespace it is about; empty for the one looked from.
    pub inside: String,
}

impl Finding {
    /// A finding with nothing but its verdict.
    pub(crate) fn new(code: &'static str, severity: Severity, responsible: Responsible) -> Self {
        Self {
            code,
            variant: None,
            severity,
            confidence: Confidence::Certain,
            responsible,
            subject: Subject::default(),
            count: 0,
            evidence: Vec::new(),
            fixes: Vec::new(),
            growth_per_minute: None,
            missing: Vec::new(),
            references: &[],
            leads: false,
            inside: String::new(),
        }
    }

    /// Takes another title and cause of the code.
    pub(crate) fn variant(mut self, variant: &'static str) -> Self {
        self.variant = Some(variant);
        self
    }

    /// Sets what it is about.
    pub(crate) fn about(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Sets how many.
    pub(crate) fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Lowers how sure it is, and says what would settle it.
    pub(crate) fn unsure(mut self, confidence: Confidence, missing: &[Missing]) -> Self {
        self.confidence = self.confidence.min(confidence);
        self.missing.extend(missing);
        self
    }

    /// Adds evidence.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.evidence.push(Evidence { key, value: value.into(), unit: None });
        self
    }

    /// Adds a count with its unit.
    pub(crate) fn number(mut self, key: &'static str, count: u64, unit: &'static str) -> Self {
        self.evidence.push(Evidence { key, value: Value::Count(count), unit: Some(unit) });
        self
    }

    /// Adds evidence where it is known.
    pub(crate) fn maybe<V: Into<Value>>(self, key: &'static str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Sets the growth, where it was measured, and makes it evidence.
    pub(crate) fn growth(mut self, per_minute: Option<f64>) -> Self {
        self.growth_per_minute = per_minute;
        match per_minute {
            Some(rate) if rate != 0.0 => self.with("growth", Value::PerMinute(rate)),
            _ => self,
        }
    }

    /// Adds something to do in a program or on the network.
    pub(crate) fn fix(
        mut self,
        key: &'static str,
        command: impl Into<Option<String>>,
        reversible: bool,
    ) -> Self {
        self.fixes.push(Fix { key, command: command.into(), reversible, change: None });
        self
    }

    /// Sets where it is written.
    pub(crate) fn see(mut self, references: &'static [&'static str]) -> Self {
        self.references = references;
        self
    }
}
