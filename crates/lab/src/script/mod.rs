//! Scripts of packetdrill on the kernel of a private namespace: real sockets, real time, and the script's segments
//! through a TUN device.

mod calls;
mod host;
mod sys;

use std::thread;
use std::time::Duration;

use eleven_tcp::script::{Network, Report, Script, run_on};

use crate::LabError;
use host::KernelScript;

/// Kernels and their machines are not exact: a script's tolerance is at least this.
pub const TOLERANCE: Duration = Duration::from_millis(15);

/// What is not as scripts take it for granted on this kernel, as a sentence.
pub fn caveat() -> Option<&'static str> {
    (!host::is_allowed("cubic")).then_some(
        "this kernel allows no cubic in namespaces (net.ipv4.tcp_allowed_congestion_control), so that reno takes its \
         place",
    )
}

/// Plays a script on the kernel.
///
/// # Errors
/// Without the privilege, or where there is no TUN.
pub fn run(script: &Script, tolerance: Duration) -> Result<Report, LabError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("lab".to_owned());
        let played = thread
            .spawn_scoped(scope, || {
                let host = KernelScript::new(Network::of(script), tolerance)?;
                Ok(run_on(script, host))
            })
            .map_err(|source| LabError::System { operation: "start a thread", source })?
            .join();
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
