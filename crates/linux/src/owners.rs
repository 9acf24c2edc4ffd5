//! Which programs hold which sockets.

mod proc;

use std::sync::Arc;

use eleven_snapshot::Owner;
use rustc_hash::FxHashMap;

use crate::bpf;
use crate::descriptor::Descriptor;
use crate::proc::counters::tcp_sockets_of_host;

/// Above this many TCP sockets on the host a BPF iterator costs less than reading every link
/// below `/proc/*/fd`, loading included.
const BPF_WORTH_SOCKETS: u64 = 20_000;

/// How owners are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnerReader {
    /// BPF on a host with many sockets, else `/proc`; `/proc` too where BPF is refused.
    #[default]
    Auto,
    /// The BPF iterator over all open files.
    Bpf,
    /// The links below `/proc/PID/fd`.
    Proc,
}

/// Who holds which socket, by inode, of the whole host.
#[derive(Debug, Default)]
pub struct Owners {
    /// First descriptor of each inode, an index into `descriptors`.
    first: FxHashMap<u64, u32>,
    descriptors: Vec<Linked>,
    names: FxHashMap<u32, Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Linked {
    pid: u32,
    fd: u32,
    /// The next descriptor of the same inode; `NONE` ends the chain.
    next: u32,
}

const NONE: u32 = u32::MAX;

impl Owners {
    /// Reads them. The second value says why BPF was not used although it would have paid.
    pub fn read(reader: OwnerReader) -> (Self, Option<String>) {
        let wants_bpf = match reader {
            OwnerReader::Bpf => true,
            OwnerReader::Proc => false,
            OwnerReader::Auto => tcp_sockets_of_host() >= BPF_WORTH_SOCKETS,
        };
        if !wants_bpf {
            return (Self::from_proc(), None);
        }
        let mut owners = Self::default();
        match bpf::descriptors(&mut |descriptor| owners.insert(descriptor)) {
            Ok(()) => {
                owners.read_names();
                (owners, None)
            }
            Err(error) => (Self::from_proc(), Some(error.to_string())),
        }
    }

    fn from_proc() -> Self {
        let mut owners = Self::default();
        proc::descriptors(&mut |descriptor| owners.insert(descriptor));
        owners.read_names();
        owners
    }

    fn insert(&mut self, descriptor: Descriptor) {
        let Descriptor { inode, pid, fd } = descriptor;
        // 2³² descriptors do not fit a host's memory.
        let index = self.descriptors.len() as u32;
        let next = self.first.insert(inode, index).unwrap_or(NONE);
        self.descriptors.push(Linked { pid, fd, next });
    }

    fn read_names(&mut self) {
        for descriptor in &self.descriptors {
            self.names.entry(descriptor.pid).or_insert_with(|| proc::name(descriptor.pid));
        }
    }

    /// Appends the owners of the socket with this inode to `owners`, in the order of their
    /// process ids.
    pub fn append(&self, inode: u64, owners: &mut Vec<Owner>) {
        let start = owners.len();
        let mut next = self.first.get(&inode).copied().unwrap_or(NONE);
        while let Some(descriptor) = self.descriptors.get(next as usize) {
            owners.push(Owner {
                pid: descriptor.pid,
                process: self.names.get(&descriptor.pid).cloned().unwrap_or_else(|| "?".into()),
                fd: descriptor.fd,
            });
            next = descriptor.next;
        }
        if owners.len() - start > 1 {
            owners[start..].sort_unstable();
        }
    }

    /// Number of descriptors known.
    pub fn len(&self) -> usize {
        self.descriptors.len()
    }

    /// Whether no descriptor is known.
    pub fn is_empty(&self) -> bool {
        self.descriptors.is_empty()
    }
}
