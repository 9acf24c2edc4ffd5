//! Descriptors from the links below `/proc/PID/fd`.

use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::descriptor::Descriptor;

/// Hands every socket descriptor of every readable process to `visitor`. A process that ends
/// meanwhile is passed over: it holds no socket any more. One that may not be looked at is
/// too; its sockets then show that they have an owner out of sight.
pub(super) fn descriptors(visitor: &mut dyn FnMut(Descriptor)) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let mut buffer = Vec::with_capacity(32 * 1024);
    for entry in processes.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            let _ = of_process(pid, &mut buffer, visitor);
        }
    }
}

fn of_process(pid: u32, buffer: &mut Vec<u8>, visitor: &mut dyn FnMut(Descriptor)) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, format!("/proc/{pid}/fd"), flags, Mode::empty())?;
    let mut entries = RawDir::new(&directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
        let mut target = [std::mem::MaybeUninit::uninit(); 40];
        match readlinkat_raw(&directory, name, &mut target[..]) {
            Ok((target, _)) => {
                if let Some(inode) = socket_inode(target) {
                    visitor(Descriptor { inode, pid, fd });
                }
            }
            // A process whose directory may be listed can still hide where its links lead.
            Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

/// The inode in a link's target `socket:[12345]`.
fn socket_inode(target: &[u8]) -> Option<u64> {
    let digits = target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The kernel's name of a process; `?` when it has gone.
pub(super) fn name(pid: u32) -> Arc<str> {
    match std::fs::read(format!("/proc/{pid}/comm")) {
        Ok(bytes) => String::from_utf8_lossy(bytes.trim_ascii_end()).into(),
        Err(_) => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::socket_inode;

    #[test]
    fn only_sockets_have_socket_inodes() {
        assert_eq!(socket_inode(b"socket:[4242]"), Some(4242));
        for other in ["pipe:[1]", "socket:[", "socket:[x]", "/dev/null", "socket:[99999999999999999999999]"] {
            assert_eq!(socket_inode(other.as_bytes()), None, "{other}");
        }
    }
}
