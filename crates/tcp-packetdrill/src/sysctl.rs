//! The sysctls of the namespace the script runs in.

use eleven_tcp::policy::Secret;
use eleven_tcp::sockets::{SETTING_NAMES, Settings};

/// Where the runner notes what scripts do to the kernel with tools that leave no trace in `/proc`.
fn note(name: &str) -> Option<std::path::PathBuf> {
    let directory = std::env::var_os("TCP_PACKETDRILL_NOTES")?;
    Some(std::path::Path::new(&directory).join(name)).filter(|path| path.exists())
}

/// Whether the device cuts segments itself: until `ethtool` turns it off.
pub(crate) fn has_offload() -> bool {
    note("no-offload").is_none()
}

/// Whether the Fast Open cookies were flushed since the last time (`ip tcp_metrics flush`).
pub(crate) fn is_flushed() -> bool {
    note("flushed").is_some_and(|path| std::fs::remove_file(path).is_ok())
}

/// What they come to now. What cannot be read or understood stays as it is by default.
pub(crate) fn read() -> Settings {
    let mut settings = Settings::default();
    settings.set_secret(Secret(*b"a script's secret"[..16].first_chunk().unwrap_or(&[0; 16])));
    for name in SETTING_NAMES {
        if let Ok(value) = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")) {
            let _ = settings.set(name, value.trim());
        }
    }
    settings
}
