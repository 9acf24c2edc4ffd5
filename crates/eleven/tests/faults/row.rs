//! What a row of the bench makes, and what doctor is to say of it.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use eleven_testbed::namespace::Net;

/// Why a row cannot be played here.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl From<String> for Skip {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<&str> for Skip {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a fault, or what looks like one; it is there when this returns. The thread that calls it lives for as long as
/// what it made is looked at.
pub(crate) type Make = Box<dyn Fn(&Net) -> Result<Fault, Skip> + Send + Sync>;

/// A line of the table.
pub(crate) struct Row {
    /// What it is called.
    pub(crate) name: String,
    /// What is to be found; `None` for a near miss, where nothing above info may be.
    pub(crate) expected: Option<Expected>,
    /// Codes that may be found as well, because they are true too.
    pub(crate) allowed: &'static [&'static str],
    /// For how long it stands before doctor begins to look: some faults are told by their age alone. At most 75 s.
    pub(crate) ripens: Duration,
    /// How far the two looks are apart.
    pub(crate) looks: Duration,
    /// Why no look can show it: it is listed, and not played.
    pub(crate) unseen: Option<&'static str>,
    /// How it is made, in a namespace of its own.
    pub(crate) make: Make,
}

/// The usual time between the looks.
pub(crate) const LOOKS: Duration = Duration::from_secs(3);

impl Row {
    /// A fault, told by its code.
    pub(crate) fn fault(
        name: impl Into<String>,
        code: &'static str,
        responsible: &'static str,
        who: Who,
        make: impl Fn(&Net) -> Result<Fault, Skip> + Send + Sync + 'static,
    ) -> Self {
        let expected = Expected { code, responsible, who };
        Self { expected: Some(expected), ..Self::healthy(name, make) }
    }

    /// A near miss.
    pub(crate) fn healthy(
        name: impl Into<String>,
        make: impl Fn(&Net) -> Result<Fault, Skip> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            expected: None,
            allowed: &[],
            ripens: Duration::ZERO,
            looks: LOOKS,
            unseen: None,
            make: Box::new(make),
        }
    }

    /// Allows further codes.
    pub(crate) fn allow(mut self, codes: &'static [&'static str]) -> Self {
        self.allowed = codes;
        self
    }

    /// Lets it stand for so long first.
    pub(crate) fn ripe_after(mut self, time: Duration) -> Self {
        self.ripens = time;
        self
    }
}

/// What comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Code of the finding.
    pub(crate) code: &'static str,
    /// Who must act.
    pub(crate) responsible: &'static str,
    /// What it is about.
    pub(crate) who: Who,
}

/// What the subject of a finding has to name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    /// One of the fault's processes.
    Process,
    /// The remote address, with its port where that is given; or the one that the fault itself names.
    Remote(&'static str),
    /// The local address and port.
    Local(&'static str),
    /// The peer or the process that the fault names, both if it names both.
    Named,
    /// A sysctl.
    Sysctl(&'static str),
    /// The namespace alone: the fault is the whole host's.
    Host,
}

/// A fault that stands for as long as this value.
pub(crate) struct Fault {
    /// Where doctor looks, if not into the namespace that was given.
    pub(crate) netns: Option<String>,
    /// Ids of the processes that are at fault, of which a finding names one.
    pub(crate) pids: Vec<u32>,
    /// Address of the peer that is at fault, with its port where that is known.
    pub(crate) remote: Option<String>,
    /// What doctor is asked instead of two looks at this moment: `--from` with files, `--path` with a chain.
    pub(crate) asks: Vec<String>,
    /// Ends it in an orderly way, where that is more than dropping it.
    pub(crate) release: Option<Box<dyn FnOnce() + Send>>,
    /// What it consists of: dropped in this order.
    held: Vec<Box<dyn Any + Send>>,
}

impl Fault {
    /// One that consists of a value: sockets, programs, threads.
    pub(crate) fn of(held: impl Any + Send) -> Self {
        let held: Vec<Box<dyn Any + Send>> = vec![Box::new(held)];
        Self { netns: None, pids: Vec::new(), remote: None, asks: Vec::new(), release: None, held }
    }

    /// Holds something more, which ends after all that was there before.
    pub(crate) fn with(mut self, more: impl Any + Send) -> Self {
        self.held.push(Box::new(more));
        self
    }

    /// Doctor looks there.
    pub(crate) fn at(mut self, netns: String) -> Self {
        self.netns = Some(netns);
        self
    }

    /// Doctor is asked this instead of looking.
    pub(crate) fn asking<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.asks = arguments.into_iter().map(str::to_owned).collect();
        self
    }

    /// A process that is at fault.
    pub(crate) fn by(mut self, pid: u32) -> Self {
        self.pids.push(pid);
        self
    }

    /// The peer that is at fault.
    pub(crate) fn from(mut self, remote: impl Into<String>) -> Self {
        self.remote = Some(remote.into());
        self
    }

    /// Ends it.
    pub(crate) fn end(mut self) {
        if let Some(release) = self.release.take() {
            release();
        }
    }
}
