//! Sysctls of the namespace that the calling thread is in.

use std::fs;
use std::path::PathBuf;

use crate::LabError;

/// The dotted name in full: `tcp_fin_timeout` and `somaxconn` are known without what stands before them.
pub(crate) fn full_name(name: &str) -> String {
    if name.starts_with("net.") {
        return name.to_owned();
    }
    let is_core = matches!(name, "somaxconn" | "netdev_max_backlog" | "rmem_max" | "wmem_max");
    format!("net.{}.{name}", if is_core { "core" } else { "ipv4" })
}

/// Sets one. Only the namespace's own are reached: all of them are below `/proc/sys/net`.
///
/// # Errors
/// [`LabError::Setting`], if there is no such sysctl or the kernel does not take the value.
pub(crate) fn write(name: &str, value: &str) -> Result<(), LabError> {
    let failed = |why: String| LabError::Setting { name: name.to_owned(), value: value.to_owned(), why };
    let full = full_name(name);
    let path = path(&full).ok_or_else(|| failed("it is no name of a sysctl".to_owned()))?;
    fs::write(path, value).map_err(|error| failed(error.to_string()))
}

/// The values of those of these names that the kernel has; secrets are left out.
pub(crate) fn read_all(names: &[&str]) -> Vec<(String, String)> {
    let public = names.iter().filter(|name| !name.ends_with("_key"));
    let read = |name: &&str| Some(((*name).to_owned(), eleven_linux::proc::sysctl::read(&full_name(name))?));
    public.filter_map(read).collect()
}

/// Whether the kernel has one of this name.
pub(crate) fn exists(name: &str) -> bool {
    path(&full_name(name)).is_some_and(|path| path.exists())
}

/// Where it is; a name that is not of this form could lead out of `/proc/sys`.
fn path(full: &str) -> Option<PathBuf> {
    let ok = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    full.split('.').all(ok).then(|| std::iter::once("/proc/sys").chain(full.split('.')).collect())
}
