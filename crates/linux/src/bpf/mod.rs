//! BPF iterators: what the kernel can count or list itself.
//!
//! The programs stand in `bpf/` at the root of the repository, their objects are embedded.

mod count;
mod descriptors;
mod rows;

pub use count::{GroupKeys, SocketGroup, count};
pub(crate) use descriptors::descriptors;
pub(crate) use rows::rows;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;

use aya::programs::Iter;
use aya::{Btf, Ebpf, EbpfLoader};
use eleven_snapshot::SocketKind;
use eleven_tcp::{State, StateSet};
use rustix::thread::CapabilitySet;

use crate::ReadError;

/// Loads `object` with its constants set and starts the iterator `program`, which walks
/// what the kernel calls `target`. It sees the namespaces of the calling thread.
fn start(
    object: &[u8],
    constants: &[(&str, &u32)],
    program: &str,
    target: &str,
) -> Result<(Ebpf, File), ReadError> {
    let mut loader = EbpfLoader::new();
    // A new loader has parsed the kernel's types for itself, but `Iter::load` wants them too:
    // drop its copy first, each takes some 15 MB.
    loader.btf(None);
    let types = Btf::from_sys_fs()
        .map_err(|error| ReadError::Bpf(format!("the kernel's type information is missing ({error})")))?;
    loader.btf(Some(&types));
    for (name, value) in constants {
        loader.override_global(name, *value, true);
    }
    let mut ebpf = loader.load(object).map_err(|error| unprivileged().unwrap_or_else(|| refused(error)))?;
    let iterator: &mut Iter = ebpf
        .program_mut(program)
        .ok_or_else(|| ReadError::Bpf(format!("the object lacks the program {program}")))?
        .try_into()
        .map_err(refused)?;
    iterator.load(target, &types).map_err(refused)?;
    let link = iterator.attach().map_err(refused)?;
    let file = iterator.take_link(link).map_err(refused)?.into_file().map_err(refused)?;
    Ok((ebpf, file))
}

/// Why the kernel refuses programs altogether. It answers each attempt with the same EPERM,
/// and a loader that has guessed from that what the kernel can do fails in odd ways.
fn unprivileged() -> Option<ReadError> {
    /// `PROC_USER_INIT_INO`, the inode of the first user namespace on every host.
    const FIRST: u64 = 0xEFFF_FFFD;
    let needed = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let held = rustix::thread::capabilities(None).ok()?.effective;
    if !held.contains(needed) && !held.contains(CapabilitySet::SYS_ADMIN) {
        return Some(ReadError::Bpf("this user has no privilege to load programs".to_owned()));
    }
    let namespace = std::fs::metadata("/proc/self/ns/user").ok()?;
    (namespace.ino() != FIRST)
        .then(|| ReadError::Bpf("programs cannot be loaded from within a user namespace".to_owned()))
}

/// The program's constant STATES: the kernel's numbers as bits.
fn state_mask(states: StateSet) -> u32 {
    let requests = if states.contains(State::SynReceived) { 1 << 12 } else { 0 };
    states.iter().fold(requests, |mask, state| mask | 1 << state.kernel_number())
}

/// The programs' KIND_FULL, KIND_REQUEST, KIND_TIMEWAIT.
fn kind_of(number: u8) -> Option<SocketKind> {
    match number {
        0 => Some(SocketKind::Full),
        1 => Some(SocketKind::Request),
        2 => Some(SocketKind::TimeWait),
        _ => None,
    }
}

/// Reads once from an iterator; 0 is its end. One read ends with EAGAIN after a million
/// objects that wrote nothing; the next goes on from there.
fn read_some(file: &mut File, buffer: &mut [u8]) -> Result<usize, ReadError> {
    loop {
        match file.read(buffer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            outcome => {
                return outcome
                    .map_err(|error| ReadError::Bpf(format!("reading the iterator failed ({error})")));
            }
        }
    }
}

/// Cuts what an iterator wrote into records of `N` bytes: the kernel hands out whole ones,
/// but a read may end within one.
struct Records<const N: usize>(Vec<u8>);

impl<const N: usize> Records<N> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    /// Hands every record that `bytes` completes to `visitor`, until it has seen enough.
    fn feed(
        &mut self,
        mut bytes: &[u8],
        visitor: &mut dyn FnMut(&[u8; N]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let rest = &mut self.0;
        if !rest.is_empty() {
            let missing = (N - rest.len()).min(bytes.len());
            rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let Ok(record) = rest.as_slice().try_into() else { return ControlFlow::Continue(()) };
            let wanted = visitor(record);
            rest.clear();
            wanted?;
        }
        let (records, remainder) = bytes.as_chunks::<N>();
        rest.extend_from_slice(remainder);
        records.iter().try_for_each(visitor)
    }
}

/// The error in one line: its chain of causes, each said once, without the verifier's log.
fn refused(error: impl std::error::Error) -> ReadError {
    let mut line = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        if !line.contains(first) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(first);
        }
        cause = error.source();
    }
    ReadError::Bpf(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_any_division_into_reads() {
        let bytes: Vec<u8> = (0..60).collect();
        for piece in 1..=60 {
            let mut records = Records::<12>::new();
            let mut found: Vec<u8> = Vec::new();
            for part in bytes.chunks(piece) {
                let _ = records.feed(part, &mut |record| {
                    found.extend_from_slice(record);
                    ControlFlow::Continue(())
                });
            }
            assert_eq!(found, bytes, "in pieces of {piece}");
        }
    }
}
