//! Taking a snapshot of the host.

use std::fs;
use std::ops::ControlFlow;
use std::time::{SystemTime, UNIX_EPOCH};

use eleven_snapshot::{NamespaceState, Process, Snapshot, Socket, Tail};
use rustc_hash::FxHashMap;

use crate::ReadError;
use crate::namespace::{self, NamespaceChoice, NamespaceHandle};
use crate::proc::{counters, limits, sysctl};
use crate::reader::{Labelling, ReadReport, ReaderChoice, Tables, read_in};
use crate::sock_diag::{Extensions, Request};

/// A snapshot in the making: everything but the sockets is read, they are to be streamed.
pub struct Taking {
    head: Snapshot,
    handles: Vec<NamespaceHandle>,
    choice: ReaderChoice,
    tables: Tables,
    report: ReadReport,
    extensions: Extensions,
}

impl Taking {
    /// Reads what belongs to the host and its namespaces: counters, sysctls, owners.
    ///
    /// # Errors
    /// [`ReadError`] when a namespace asked for cannot be found or entered.
    pub fn begin(namespaces: &NamespaceChoice, choice: ReaderChoice) -> Result<Self, ReadError> {
        let (handles, notes) = namespace::open(namespaces)?;
        let mut report = ReadReport { notes, ..ReadReport::default() };
        let tables = Tables::read(choice, Labelling { owners: true, cgroups: true }, &mut report);
        let mut head = Snapshot {
            taken_at_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
            host: kernel_text("hostname"),
            kernel: kernel_text("osrelease"),
            boot_id: Some(kernel_text("random/boot_id")).filter(|id| !id.is_empty()),
            ..Snapshot::empty()
        };
        for handle in &handles {
            match handle.run(|| (counters::read(), sysctl::read_tcp())) {
                Ok((counters, sysctls)) => {
                    let namespace = handle.namespace.clone();
                    head.namespaces.push(NamespaceState { namespace, counters, sysctls });
                }
                Err(error) if handles.len() > 1 => report.note(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let extensions = Extensions { tcp_info: true, age: true, congestion: true, memory_and_options: true };
        Ok(Self { head, handles, choice, tables, report, extensions })
    }

    /// Reads only these optional parts of a row, which is quicker than all of them.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Does not look up control groups and containers.
    #[must_use]
    pub fn without_cgroups(mut self) -> Self {
        self.tables.cgroups = None;
        self
    }

    /// The snapshot without sockets and processes.
    pub fn head(&self) -> &Snapshot {
        &self.head
    }

    /// What could not be seen so far, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.report.notes
    }

    /// Streams the sockets, and returns what is known after the last one.
    ///
    /// # Errors
    /// As [`crate::read_sockets`].
    pub fn sockets(
        &mut self,
        visitor: &mut (dyn FnMut(&Socket) -> ControlFlow<()> + Send),
    ) -> Result<Tail, ReadError> {
        let request = Request { extensions: self.extensions, ..Request::default() };
        let mut held: FxHashMap<u32, Process> = FxHashMap::default();
        let mut counting = |socket: &Socket| {
            let mut previous = None;
            for owner in &socket.owners {
                // Owners are in the order of their ids; two descriptors are one socket.
                if previous.replace(owner.pid) == Some(owner.pid) {
                    continue;
                }
                held.entry(owner.pid)
                    .or_insert_with(|| Process {
                        pid: owner.pid,
                        name: owner.process.clone(),
                        uid: None,
                        descriptor_limit: None,
                        sockets: 0,
                        container: None,
                    })
                    .sockets += 1;
            }
            visitor(socket)
        };
        read_in(&self.handles, self.choice, &request, &self.tables, &mut counting, &mut self.report)?;
        self.report.note_end();
        let mut processes: Vec<Process> = held.into_values().collect();
        processes.sort_unstable_by_key(|process| process.pid);
        for process in &mut processes {
            process.uid = limits::effective_uid(process.pid);
            process.descriptor_limit = limits::descriptors(process.pid);
            let cgroup = self.tables.cgroups.as_ref().and_then(|cgroups| cgroups.of_process(process.pid));
            process.container = cgroup.and_then(|cgroup| cgroup.container);
        }
        Ok(Tail { reader: self.report.reader, processes, notes: self.report.notes.clone() })
    }

    /// Takes the whole snapshot into memory.
    ///
    /// # Errors
    /// As [`crate::read_sockets`].
    pub fn finish(mut self) -> Result<Snapshot, ReadError> {
        let mut sockets = Vec::new();
        let tail = self.sockets(&mut |socket| {
            sockets.push(socket.clone());
            ControlFlow::Continue(())
        })?;
        let mut snapshot = self.head;
        snapshot.reader = tail.reader;
        snapshot.socket_count = sockets.len() as u64;
        snapshot.sockets = sockets;
        snapshot.processes = tail.processes;
        snapshot.notes = tail.notes;
        Ok(snapshot)
    }
}

fn kernel_text(name: &str) -> String {
    fs::read_to_string(format!("/proc/sys/kernel/{name}"))
        .map_or_else(|_| String::new(), |text| text.trim().to_owned())
}
