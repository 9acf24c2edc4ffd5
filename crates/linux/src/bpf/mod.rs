//! BPF iterators: what the kernel can count or list itself.
//!
//! The programs stand in `bpf/` at the root of the repository, their objects are embedded.

mod count;
mod descriptors;

pub use count::{GroupKeys, SocketGroup, count};
pub(crate) use descriptors::descriptors;

use std::fs::File;
use std::io::{self, Read};

use aya::programs::Iter;
use aya::{Btf, Ebpf, EbpfLoader};

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
    let mut ebpf = loader.load(object).map_err(refused)?;
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

/// Reads an iterator to its end. One read ends with EAGAIN after a million objects that
/// wrote nothing; the next goes on from there.
fn read_to_end(mut file: File, mut consume: impl FnMut(&[u8])) -> Result<(), ReadError> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => consume(&buffer[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(ReadError::Bpf(format!("reading the iterator failed ({error})"))),
        }
    }
}

/// The error in one line: its chain of causes without the verifier's log.
fn refused(error: impl std::error::Error) -> ReadError {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let line = causes.iter().filter_map(|cause| cause.lines().next()).collect::<Vec<_>>().join(": ");
    ReadError::Bpf(line)
}
