//! Whether this process may make network namespaces, and how.

use std::fs;
use std::io;

use rustix::process::{getegid, geteuid};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::LabError;

/// How network namespaces of our own can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The process has the capabilities.
    Own,
    /// It has them in a user namespace that it has moved into.
    UserNamespace,
}

/// CAP_NET_ADMIN and CAP_SYS_ADMIN (linux/capability.h): devices and sysctls, and namespaces.
const NEEDED: u64 = 1 << 12 | 1 << 21;

/// Sees to it that threads of this process can make network namespaces: where it lacks the privilege, the process moves
/// into a user namespace of its own, in which it has all.
///
/// To be called before the first thread is started: the kernel lets only a process of one thread move.
///
/// # Errors
/// [`LabError::NoNamespace`] where user namespaces are forbidden.
pub fn prepare() -> Result<Privilege, LabError> {
    if is_capable() {
        return Ok(Privilege::Own);
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    move_into_user_namespace()
        .and_then(|()| {
            // Without this the kernel takes no group (user_namespaces(7)).
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
        })
        .map_err(|source| LabError::NoNamespace { source, hint: hint() })?;
    Ok(Privilege::UserNamespace)
}

/// Whether the effective capabilities suffice; where `/proc` cannot tell, the attempt will.
fn is_capable() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    capabilities.is_none_or(|capabilities| capabilities & NEEDED == NEEDED)
}

fn move_into_user_namespace() -> io::Result<()> {
    // SAFETY: file descriptor tables, memory and file systems stay as they are; only credentials and the network change.
    #[allow(unsafe_code, reason = "unshare(2) is unsafe for flags that are not used here")]
    unsafe {
        unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
    }
    Ok(())
}

/// What forbids user namespaces here, as far as the usual switches tell.
fn hint() -> &'static str {
    let is = |file: &str, value: &str| fs::read_to_string(file).is_ok_and(|text| text.trim() == value);
    if is("/proc/sys/user/max_user_namespaces", "0") {
        " (user namespaces are forbidden: user.max_user_namespaces is 0); root may make one"
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        " (kernel.unprivileged_userns_clone is 0); root may make one"
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        " (kernel.apparmor_restrict_unprivileged_userns is 1); root may make one"
    } else {
        "; root may make one"
    }
}
