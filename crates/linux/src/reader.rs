//! Reading a host's sockets by the best way there is, and saying so when it is not the best.

use std::ops::ControlFlow;
use std::thread;

use eleven_snapshot::{KernelOnly, ReaderKind, Socket};
use eleven_tcp::{State, StateSet};

use crate::bpf::{self, GroupKeys, SocketGroup};
use crate::cpu::Occupied;
use crate::namespace::{NamespaceChoice, NamespaceHandle};
use crate::owners::{OwnerReader, Owners};
use crate::proc::counters;
use crate::sock_diag::{self, DumpEnd, Extensions, Request};
use crate::{Cgroups, Labels, ReadError, namespace, proc};

/// From this many sockets on, a BPF iterator costs less than a dump, loading the program
/// (some 50 ms) included.
const LARGE: u64 = 150_000;

/// How sockets are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReaderChoice {
    /// The best there is: BPF on a large host, else netlink, `/proc` where that is refused.
    #[default]
    Auto,
    /// BPF iterators, and netlink for what they do not tell.
    Bpf,
    /// sock_diag.
    Netlink,
    /// The text tables.
    Proc,
}

impl ReaderChoice {
    /// The way to look up owners that goes with it.
    fn owner_reader(self) -> OwnerReader {
        match self {
            Self::Auto | Self::Netlink => OwnerReader::Auto,
            Self::Bpf => OwnerReader::Bpf,
            Self::Proc => OwnerReader::Proc,
        }
    }
}

/// Which names rows are to carry. Each costs a look at the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labelling {
    /// The programs that hold the socket.
    pub owners: bool,
    /// Control group and container.
    pub cgroups: bool,
}

/// How a reading went.
#[derive(Clone, Debug, Default)]
pub struct ReadReport {
    /// Rows, duplicates, interruptions of all namespaces together.
    pub end: DumpEnd,
    /// The way that was used.
    pub reader: Option<ReaderKind>,
    /// What was left out or done another way, a sentence each, each once.
    pub notes: Vec<String>,
}

impl ReadReport {
    pub(crate) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Says how many sockets have an owner that is out of sight.
    fn note_unreadable(&mut self, sockets: u64) {
        let sockets = match sockets {
            0 => return,
            1 => "1 socket shows no owner".to_owned(),
            many => format!("{many} sockets show no owner"),
        };
        let why = if rustix::process::geteuid().is_root() {
            "opened or closed while this was read, in another pid namespace, or the kernel's own"
        } else {
            "another user's, which root sees, or opened or closed while this was read"
        };
        self.note(format!("{sockets}: {why}"));
    }

    /// Turns what the dump noticed into sentences.
    pub(crate) fn note_end(&mut self) {
        if self.end.interrupted {
            self.note("sockets came and went during the dump: a few rows may be missing".to_owned());
        }
        if self.end.malformed > 0 {
            self.note(format!("{} rows could not be understood and were left out", self.end.malformed));
        }
    }
}

/// A visitor of rows; it answers whether it wants more.
pub type Visitor<'a> = dyn FnMut(&Socket) -> ControlFlow<()> + Send + 'a;

/// Hands the sockets of the chosen namespaces to `visitor`, one after the other as they
/// come from the kernel. The value is filled again for every row: clone what is to be kept.
///
/// # Errors
/// [`ReadError`] when no way of reading works, or the one that does breaks off; rows seen
/// before that have reached the visitor.
pub fn read_sockets(
    namespaces: &NamespaceChoice,
    choice: ReaderChoice,
    request: &Request,
    labelling: Labelling,
    visitor: &mut Visitor<'_>,
) -> Result<ReadReport, ReadError> {
    let (handles, notes) = namespace::open(namespaces)?;
    let mut report = ReadReport { notes, ..ReadReport::default() };
    let tables = Tables::read(choice, labelling, &mut report);
    read_in(&handles, choice, request, &tables, visitor, &mut report)?;
    report.note_end();
    Ok(report)
}

/// The tables that name what rows carry in numbers.
pub(crate) struct Tables {
    pub(crate) owners: Option<Owners>,
    pub(crate) cgroups: Option<Cgroups>,
}

impl Tables {
    pub(crate) fn read(choice: ReaderChoice, labelling: Labelling, report: &mut ReadReport) -> Self {
        let owners = labelling.owners.then(|| {
            let (owners, why_not_bpf) = Owners::read(choice.owner_reader());
            if let Some(why) = why_not_bpf {
                report.note(format!("owners are read from /proc, which takes longer: {why}"));
            }
            owners
        });
        Self { owners, cgroups: labelling.cgroups.then(Cgroups::default) }
    }
}

pub(crate) fn read_in(
    handles: &[NamespaceHandle],
    choice: ReaderChoice,
    request: &Request,
    tables: &Tables,
    visitor: &mut Visitor<'_>,
    report: &mut ReadReport,
) -> Result<(), ReadError> {
    let mut unreadable_owners = 0;
    for handle in handles {
        let mut noticing = |row: &Socket| {
            unreadable_owners += u64::from(row.no_owner == Some(KernelOnly::Unreadable));
            visitor(row)
        };
        let outcome = handle.run(|| {
            let mut labels = Labels::new(Some(handle.namespace.label.clone()))
                .with_owners(tables.owners.as_ref())
                .with_cgroups(tables.cgroups.as_ref());
            read_here(choice, request, &mut labels, &mut noticing)
        });
        match outcome {
            Ok(Ok((end, reader, note))) => {
                report.end.add(end);
                report.reader = Some(reader);
                if let Some(note) = note {
                    report.note(note);
                }
            }
            // One namespace of many that cannot be entered is no reason to hide the others.
            Err(error @ ReadError::EnterNamespace { .. }) if handles.len() > 1 => {
                report.note(error.to_string());
            }
            Ok(Err(error)) | Err(error) => return Err(error),
        }
        if report.end.stopped {
            break;
        }
    }
    report.note_unreadable(unreadable_owners);
    Ok(())
}

/// Reads the calling thread's namespace.
fn read_here(
    choice: ReaderChoice,
    request: &Request,
    labels: &mut Labels<'_>,
    visitor: &mut Visitor<'_>,
) -> Result<(DumpEnd, ReaderKind, Option<String>), ReadError> {
    let mut rows = 0_u64;
    let mut counting = |row: &Socket| {
        rows += 1;
        visitor(row)
    };
    let mut note = None;
    if bpf_pays(choice, request) {
        match read_beside_bound(bpf::rows, request, labels, &mut counting) {
            Ok((end, note)) => return Ok((end, ReaderKind::Bpf, note)),
            // Rows are out: reading them again from elsewhere would show them twice.
            Err(error) if choice != ReaderChoice::Auto || rows > 0 => return Err(error),
            Err(error) => {
                note = Some(format!("sockets are read through netlink, which takes longer: {error}"))
            }
        }
    } else if choice == ReaderChoice::Bpf {
        note = Some("TCP_INFO, memory and options are read through netlink: BPF rows have none".to_owned());
    }
    if choice != ReaderChoice::Proc {
        let mut counting = |row: &Socket| {
            rows += 1;
            visitor(row)
        };
        let outcome = if is_large(request.states) {
            read_beside_bound(sock_diag::dump, request, labels, &mut counting)
        } else {
            sock_diag::dump(request, labels, &mut counting).map(|end| (end, None))
        };
        match outcome {
            Ok((end, bound_note)) => return Ok((end, ReaderKind::Netlink, note.or(bound_note))),
            Err(error) if matches!(choice, ReaderChoice::Netlink) || rows > 0 => return Err(error),
            Err(error) => note = Some(format!("{PROC_NOTE}: {error}")),
        }
    }
    let end = proc::sockets::read(request.states, request.family, labels, visitor)?;
    Ok((end, ReaderKind::Proc, note.or_else(|| Some(PROC_NOTE.to_owned()))))
}

/// What `/proc` leaves out, said whenever it is read.
const PROC_NOTE: &str = "sockets are read from /proc/net/tcp, which shows neither bound sockets nor cookies, \
                         interfaces, marks, TCP_INFO, accept limits and the ages of connections";

/// Whether the BPF iterator is the way to read rows. Of what takes an extension it has only
/// the age, and a filter that the kernel runs during a dump saves more than it does.
fn bpf_pays(choice: ReaderChoice, request: &Request) -> bool {
    let Extensions { tcp_info, congestion, memory_and_options, age: _ } = request.extensions;
    if tcp_info || congestion || memory_and_options {
        return false;
    }
    match choice {
        ReaderChoice::Bpf => true,
        ReaderChoice::Netlink | ReaderChoice::Proc => false,
        ReaderChoice::Auto => request.bytecode.is_none() && is_large(request.states),
    }
}

/// Whether so many sockets have to be walked that loading a program pays.
fn is_large(states: StateSet) -> bool {
    // Listeners and bound sockets have small tables of their own, which a dump walks at once.
    let walked = states.without(State::Listen).without(State::Closed);
    !walked.is_empty() && counters::tcp_sockets_of_host() >= LARGE
}

/// A way to read the rows of a request.
type Read =
    fn(&Request, &mut Labels<'_>, &mut dyn FnMut(&Socket) -> ControlFlow<()>) -> Result<DumpEnd, ReadError>;

/// Reads rows by `read`, and those that are only bound by a dump of their own beside it: it
/// goes over every port in use, and a BPF iterator does not see them at all. The second value
/// says why bound sockets are missing, if they are.
fn read_beside_bound(
    read: Read,
    request: &Request,
    labels: &mut Labels<'_>,
    visitor: &mut dyn FnMut(&Socket) -> ControlFlow<()>,
) -> Result<(DumpEnd, Option<String>), ReadError> {
    thread::scope(|scope| {
        let mut bound_labels = labels.fork();
        let here = Occupied::here();
        let bound = scope.spawn(move || {
            here.leave();
            bound_sockets(request, &mut bound_labels)
        });
        let walked = Request { states: request.states.without(State::Closed), ..request.clone() };
        let mut end = read(&walked, labels, visitor)?;
        let bound = bound.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (sockets, note) = or_note(bound);
        for socket in sockets {
            if end.stopped {
                break;
            }
            end.rows += 1;
            end.stopped = visitor(&socket).is_break();
        }
        Ok((end, note))
    })
}

/// Sockets that are only bound, as sock_diag tells; nothing else does.
fn bound_sockets(request: &Request, labels: &mut Labels<'_>) -> Result<Vec<Socket>, ReadError> {
    let states = request.states.intersection(StateSet::EMPTY.with(State::Closed));
    let mut found = Vec::new();
    if !states.is_empty() {
        sock_diag::dump(&Request { states, ..request.clone() }, labels, &mut |row| {
            found.push(row.clone());
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

/// Bound sockets, or none and a sentence that says why.
fn or_note(bound: Result<Vec<Socket>, ReadError>) -> (Vec<Socket>, Option<String>) {
    match bound {
        Ok(sockets) => (sockets, None),
        Err(error) => (Vec::new(), Some(format!("sockets that are only bound are left out: {error}"))),
    }
}

/// Counts sockets inside the kernel where that pays: on a large host, with the privilege to
/// load BPF programs. `None` means that rows are to be counted instead, and the second value
/// then says why if the kernel refused.
///
/// # Errors
/// Those of finding and entering namespaces.
#[allow(clippy::type_complexity, reason = "two plain lists, named by the documentation")]
pub fn count_groups(
    namespaces: &NamespaceChoice,
    choice: ReaderChoice,
    keys: GroupKeys,
    states: StateSet,
) -> Result<(Option<Vec<(Option<std::sync::Arc<str>>, SocketGroup)>>, Vec<String>), ReadError> {
    let worth = match choice {
        ReaderChoice::Bpf => true,
        ReaderChoice::Netlink | ReaderChoice::Proc => false,
        ReaderChoice::Auto => is_large(states),
    };
    if !worth {
        return Ok((None, Vec::new()));
    }
    let (handles, mut notes) = namespace::open(namespaces)?;
    let mut all = Vec::new();
    for handle in &handles {
        let label = &handle.namespace.label;
        let counted = handle.run(|| {
            thread::scope(|scope| {
                // The iterator does not walk the table of sockets that are only bound.
                let here = Occupied::here();
                let bound = scope.spawn(move || {
                    here.leave();
                    count_bound(keys, states)
                });
                let groups = bpf::count(keys, states);
                let bound = bound.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                groups.map(|groups| (groups, bound))
            })
        });
        match counted {
            Ok(Ok((groups, (bound, note)))) => {
                notes.extend(note);
                all.extend(groups.into_iter().chain(bound).map(|group| (Some(label.clone()), group)));
            }
            Err(error @ ReadError::EnterNamespace { .. }) if handles.len() > 1 => {
                notes.push(error.to_string());
            }
            Ok(Err(error)) if choice == ReaderChoice::Auto => {
                notes.push(format!("every socket is read to be counted, which takes longer: {error}"));
                return Ok((None, notes));
            }
            Ok(Err(error)) | Err(error) => return Err(error),
        }
    }
    Ok((Some(all), notes))
}

/// Bound sockets as groups, or none and a sentence that says why.
fn count_bound(keys: GroupKeys, states: StateSet) -> (Vec<SocketGroup>, Option<String>) {
    let group = |row: Socket| SocketGroup {
        state: row.state,
        kind: row.kind,
        family: row.family,
        local_port: row.local_port.filter(|_| keys.local_port),
        remote_port: None,
        local_address: keys.local_address.then_some(row.local_address),
        remote_address: keys.remote_address.then_some(row.remote_address),
        uid: row.uid.filter(|_| keys.user),
        count: 1,
    };
    let request = Request { states, ..Request::default() };
    let (sockets, note) = or_note(bound_sockets(&request, &mut Labels::new(None)));
    (sockets.into_iter().map(group).collect(), note)
}
