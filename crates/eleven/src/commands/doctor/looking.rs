//! Looks: at this moment, or at saved snapshots.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use eleven_doctor::{Case, Digest, Finding, Look, Severity, judge};
use eleven_linux::namespace::{self, NamespaceChoice, NamespaceHandle};
use eleven_linux::proc::{counters, process};
use eleven_linux::sock_diag::Extensions;
use eleven_linux::{ReadError, Taking};
use eleven_snapshot::{Counters, Snapshot, Socket};
use eleven_tcp::State;

use super::Looks;
use super::servers::Traffic;
use crate::cli::Global;
use crate::commands::Interrupted;
use crate::commands::interrupt::Waiter;
use crate::filter::Filter;
use crate::output::note;

/// What a look reads of a socket.
const CLOSELY: Extensions =
    Extensions { tcp_info: true, age: true, congestion: false, memory_and_options: false };

/// Where to look, and what is expected there.
pub(super) struct Looking<'a> {
    pub(super) global: &'a Global,
    /// The listeners that are expected; `None` where nobody said.
    pub(super) expected: Option<Filter>,
}

impl Looking<'_> {
    /// Two looks at this moment, so far apart. The last of them fills `traffic` too.
    pub(super) fn twice(&self, apart: Duration, traffic: &mut Traffic) -> anyhow::Result<Looks> {
        if apart.is_zero() {
            return Ok(Looks { before: None, after: self.seeing(None, traffic)? });
        }
        let first = self.now(None)?;
        let after = self.again(&first, apart, &Waiter::new()?, traffic)?;
        Ok(Looks { before: Some(first), after })
    }

    /// Waits, reads the counters now and then meanwhile, and looks again, also at what web servers and proxies
    /// have to do with each other.
    ///
    /// # Errors
    /// [`Interrupted`] by Ctrl-C, or what reading the kernel gave.
    pub(super) fn again(
        &self,
        before: &Look,
        apart: Duration,
        waiter: &Waiter,
        traffic: &mut Traffic,
    ) -> anyhow::Result<Look> {
        let pulses = wait(waiter, &namespace::open(&self.global.netns)?.0, apart)?;
        let mut after = self.seeing(Some(before), traffic)?;
        after.pulses = pulses;
        Ok(after)
    }

    /// A look at this moment; one that follows another also looks for what that one suspects.
    pub(super) fn now(&self, before: Option<&Look>) -> Result<Look, ReadError> {
        self.look(CLOSELY, before, &mut |_| ())
    }

    fn seeing(&self, before: Option<&Look>, traffic: &mut Traffic) -> Result<Look, ReadError> {
        self.look(CLOSELY, before, &mut |socket| traffic.add(socket))
    }

    fn look(
        &self,
        extensions: Extensions,
        before: Option<&Look>,
        visitor: &mut (dyn FnMut(&Socket) + Send),
    ) -> Result<Look, ReadError> {
        let taking = Taking::begin(&self.global.netns, self.global.reader.into())?;
        let mut taking = taking.with_extensions(extensions).without_cgroups();
        let mut namespaces = taking.head().namespaces.clone();
        if let (NamespaceChoice::One(path), [only]) = (&self.global.netns, namespaces.as_mut_slice())
            && path.contains('/')
        {
            only.namespace.path = Some(path.clone());
        }
        let mut digest = match before {
            None => Digest::first(&namespaces),
            Some(before) => Digest::following(&before.digest, &namespaces),
        };
        let tail = taking.sockets(&mut |socket: &Socket| {
            add(&mut digest, socket, self.expected.as_ref());
            visitor(socket);
            ControlFlow::Continue(())
        })?;
        let head = taking.head();
        let mut look = Look {
            taken_at_s: head.taken_at_s,
            boot_id: head.boot_id.clone(),
            kernel: head.kernel.clone(),
            reader: tail.reader,
            saved: false,
            own_namespace: own(),
            notes: tail.notes,
            namespaces,
            pulses: Vec::new(),
            processes: tail.processes,
            details: Vec::new(),
            digest,
        };
        look.details = look.wants_detail().into_iter().filter_map(process::detail).collect();
        Ok(look)
    }
}

/// Takes a socket into account, and of a listener whether it is expected.
fn add(digest: &mut Digest, socket: &Socket, expected: Option<&Filter>) {
    match expected.filter(|_| socket.state == State::Listen) {
        Some(expected) => digest.add_listener(socket, expected.matches(socket)),
        None => digest.add(socket),
    }
}

/// Times the counters are read while waiting.
const PULSES: u32 = 4;
/// Namespaces they are read in: each costs a thread that enters it.
const PULSING: usize = 64;

/// Counters of namespaces at moments in between.
type Pulses = Vec<Vec<(Arc<str>, Counters)>>;

/// Waits, and says so on a terminal.
///
/// # Errors
/// [`Interrupted`] by Ctrl-C.
fn wait(waiter: &Waiter, namespaces: &[NamespaceHandle], apart: Duration) -> Result<Pulses, Interrupted> {
    let start = Instant::now();
    let end = start + apart;
    let mut pulses = Vec::new();
    let mut error = std::io::stderr();
    let shows = error.is_terminal();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if shows {
            let _ = if left.is_zero() {
                write!(error, "\r\x1b[K")
            } else {
                write!(error, "\r\x1b[Keleven: looked once; again in {} s …", left.as_secs() + 1)
            };
            let _ = error.flush();
        }
        if left.is_zero() {
            return Ok(pulses);
        }
        let taken = pulses.len() as u32;
        let next = apart / (PULSES + 1) * (taken + 1);
        if taken < PULSES && start.elapsed() >= next {
            pulses.push(pulse(namespaces));
            continue;
        }
        let rest = if taken < PULSES { next.saturating_sub(start.elapsed()) } else { left };
        if waiter.wait(if shows { rest.min(Duration::from_millis(250)) } else { rest }) {
            if shows {
                let _ = write!(error, "\r\x1b[K");
            }
            return Err(Interrupted);
        }
    }
}

/// The counters as they stand.
fn pulse(namespaces: &[NamespaceHandle]) -> Vec<(Arc<str>, Counters)> {
    let read = |handle: &NamespaceHandle| {
        // A namespace that has gone meanwhile has no counters any more.
        Some((handle.namespace.label.clone(), handle.run(counters::read).ok()?))
    };
    namespaces.iter().take(PULSING).filter_map(read).collect()
}

/// A single quick look whose sockets `visitor` sees too, and what is clear from it alone.
pub(in crate::commands) fn one_look(
    global: &Global,
    visitor: &mut (dyn FnMut(&Socket) + Send),
) -> Result<(Look, Vec<Finding>), ReadError> {
    let looking = Looking { global, expected: None };
    let look = looking.look(Extensions::default(), None, visitor)?;
    let (mut findings, _) = judge(&Case::new(None, &look), |_| true);
    findings.retain(|finding| finding.severity > Severity::Info);
    Ok((look, findings))
}

fn own() -> Option<u64> {
    NamespaceHandle::own().ok().map(|own| own.namespace.inode)
}

/// Saved looks: one, or an earlier and a later one.
pub(super) fn from_files(paths: &[PathBuf], expected: Option<&Filter>) -> anyhow::Result<Looks> {
    let mut snapshots = paths.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<Snapshot>>>()?;
    let Some(last) = snapshots.pop() else { anyhow::bail!("no snapshot is named") };
    match snapshots.pop() {
        Some(first) => {
            let (first, last) = if first.taken_at_s > last.taken_at_s {
                note("the first snapshot is the later one: they are judged the other way round");
                (last, first)
            } else {
                (first, last)
            };
            if let Some(text) = unlike(&first, &last) {
                note(&text);
            }
            let before = look_at(&first, None, expected);
            let after = look_at(&last, Some(&before.digest), expected);
            Ok(Looks { before: Some(before), after })
        }
        None => {
            // Twice over the same rows: what the first time suspects, the second looks up the
            // other end of.
            let first = look_at(&last, None, expected);
            Ok(Looks { before: None, after: look_at(&last, Some(&first.digest), expected) })
        }
    }
}

/// Why two snapshots say less together than two looks at one host do.
fn unlike(first: &Snapshot, last: &Snapshot) -> Option<String> {
    if first.host != last.host {
        return Some(format!(
            "the snapshots are of different hosts, {} and {}: what changed between them means little",
            crate::text::printable(&first.host),
            crate::text::printable(&last.host)
        ));
    }
    if first.boot_id != last.boot_id || first.kernel != last.kernel {
        let kernels = if first.kernel == last.kernel {
            String::new()
        } else {
            format!(
                " (Linux {} and {})",
                crate::text::printable(&first.kernel),
                crate::text::printable(&last.kernel)
            )
        };
        return Some(format!(
            "the snapshots are of different boots{kernels}: counters began anew in between, so they tell no rates, and \
             sockets are known again by address only"
        ));
    }
    (last.taken_at_s - first.taken_at_s <= 0.05)
        .then(|| "both snapshots are of the same moment: they tell no rates and no growth".to_owned())
}

/// Seconds from 1970 to a time that no snapshot is of.
const TOO_LATE_S: f64 = 1e11;

fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let file = File::open(path).with_context(|| format!("cannot open the snapshot {}", path.display()))?;
    let (mut snapshot, _) = eleven_snapshot::read(file).with_context(|| path.display().to_string())?;
    anyhow::ensure!(
        (0.0..TOO_LATE_S).contains(&snapshot.taken_at_s),
        "{}: it says that it was taken at {} s since 1970, which no snapshot was; was it edited?",
        path.display(),
        snapshot.taken_at_s
    );
    for text in &mut snapshot.notes {
        *text = format!("{}: {text}", path.display());
    }
    Ok(snapshot)
}

fn look_at(snapshot: &Snapshot, before: Option<&Digest>, expected: Option<&Filter>) -> Look {
    let mut digest = match before {
        None => Digest::first(&snapshot.namespaces),
        Some(before) => Digest::following(before, &snapshot.namespaces),
    };
    for socket in &snapshot.sockets {
        add(&mut digest, socket, expected);
    }
    Look {
        taken_at_s: snapshot.taken_at_s,
        boot_id: snapshot.boot_id.clone(),
        kernel: snapshot.kernel.clone(),
        reader: snapshot.reader,
        saved: true,
        // Of another moment, maybe another host: commands are written as for the host itself.
        own_namespace: snapshot.namespaces.first().map(|state| state.namespace.inode),
        notes: snapshot.notes.clone(),
        namespaces: snapshot.namespaces.clone(),
        pulses: Vec::new(),
        processes: snapshot.processes.clone(),
        details: Vec::new(),
        digest,
    }
}
