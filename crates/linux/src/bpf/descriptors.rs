//! Who holds which socket, listed by the kernel (`bpf/descriptors.bpf.c`).

use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;

use aya::include_bytes_aligned;

use super::{Records, read_some, start};
use crate::ReadError;
use crate::descriptor::Descriptor;
use crate::netlink::{read_u32, read_u64};

static OBJECT: &[u8] = include_bytes_aligned!("../../../../bpf/descriptors.bpf.o");

/// Length of the program's `struct record`.
const RECORD_LENGTH: usize = 16;

/// Hands every descriptor of a TCP socket to `visitor`, of every process in the caller's
/// pid namespace.
///
/// # Errors
/// [`ReadError::Bpf`] where the kernel refuses the program, and in a pid namespace of one's
/// own: the program knows processes by the host's numbers, which mean others there.
pub(crate) fn descriptors(visitor: &mut dyn FnMut(Descriptor)) -> Result<(), ReadError> {
    if !is_in_first_pid_namespace() {
        return Err(ReadError::Bpf(
            "it numbers processes as the host does, and this is another pid namespace".to_owned(),
        ));
    }
    // The iterator keeps the program alive.
    let (_, mut iterator) = start(OBJECT, &[], "list_descriptors", "task_file")?;
    let mut records = Records::<RECORD_LENGTH>::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = read_some(&mut iterator, &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let _ = records.feed(&buffer[..length], &mut |bytes| {
            if let Some(descriptor) = descriptor(bytes) {
                visitor(descriptor);
            }
            ControlFlow::Continue(())
        });
    }
}

/// Whether process ids are the host's. The first namespace has the same inode on every host
/// (`PROC_PID_INIT_INO`).
fn is_in_first_pid_namespace() -> bool {
    const FIRST: u64 = 0xEFFF_FFFC;
    std::fs::metadata("/proc/self/ns/pid").map_or(true, |namespace| namespace.ino() == FIRST)
}

fn descriptor(record: &[u8]) -> Option<Descriptor> {
    Some(Descriptor { inode: read_u64(record, 0)?, pid: read_u32(record, 8)?, fd: read_u32(record, 12)? })
}
