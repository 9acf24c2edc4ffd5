//! Who holds which socket, listed by the kernel (`bpf/descriptors.bpf.c`).

use aya::include_bytes_aligned;

use super::{read_to_end, start};
use crate::ReadError;
use crate::netlink::{read_u32, read_u64};
use crate::owners::Descriptor;

static OBJECT: &[u8] = include_bytes_aligned!("../../../../bpf/descriptors.bpf.o");

/// Length of the program's `struct record`.
const RECORD_LENGTH: usize = 16;

/// Hands every descriptor of a TCP socket to `visitor`, of every process in the caller's
/// pid namespace.
///
/// # Errors
/// [`ReadError::Bpf`] where the kernel refuses the program.
pub(crate) fn descriptors(visitor: &mut dyn FnMut(Descriptor)) -> Result<(), ReadError> {
    // The iterator keeps the program alive.
    let (_, iterator) = start(OBJECT, &[], "list_descriptors", "task_file")?;
    // The kernel hands out whole records, but a read may end within one.
    let mut rest: Vec<u8> = Vec::new();
    read_to_end(iterator, |bytes| {
        let mut bytes = bytes;
        if !rest.is_empty() {
            let missing = (RECORD_LENGTH - rest.len()).min(bytes.len());
            rest.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if rest.len() < RECORD_LENGTH {
                return;
            }
            record(&rest).into_iter().for_each(&mut *visitor);
            rest.clear();
        }
        let records = bytes.chunks_exact(RECORD_LENGTH);
        rest.extend_from_slice(records.remainder());
        records.filter_map(record).for_each(&mut *visitor);
    })
}

fn record(bytes: &[u8]) -> Option<Descriptor> {
    Some(Descriptor { inode: read_u64(bytes, 0)?, pid: read_u32(bytes, 8)?, fd: read_u32(bytes, 12)? })
}
