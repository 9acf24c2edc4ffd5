//! Ctrl-C.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};

/// Becomes true at the first Ctrl-C; the second ends the program at once.
pub(super) fn on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    use signal_hook::flag::{register, register_conditional_default};
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first one only sets the flag that the second one finds.
        register_conditional_default(signal, Arc::clone(&stop))
            .and_then(|_| register(signal, Arc::clone(&stop)))
            .context("Ctrl-C cannot be caught")?;
    }
    Ok(stop)
}

/// A wait that Ctrl-C ends.
pub(super) struct Waiter {
    stop: Arc<AtomicBool>,
    /// Something to read once there was a signal.
    signals: UnixStream,
}

impl Waiter {
    pub(super) fn new() -> anyhow::Result<Self> {
        let stop = on_interrupt()?;
        let (signals, written) = UnixStream::pair().context("Ctrl-C cannot be caught")?;
        for signal in [SIGINT, SIGTERM] {
            let written = written.try_clone().context("Ctrl-C cannot be caught")?;
            signal_hook::low_level::pipe::register(signal, written).context("Ctrl-C cannot be caught")?;
        }
        Ok(Self { stop, signals })
    }

    /// Whether there was a Ctrl-C.
    pub(super) fn is_interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for so long, or until Ctrl-C, which it returns.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.is_interrupted() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let left = Timespec::try_from(left).ok();
            let mut what = [PollFd::new(&self.signals, PollFlags::IN)];
            // A poll that fails otherwise would fail again at once: the time is up then.
            if !matches!(poll(&mut what, left.as_ref()), Ok(_) | Err(Errno::INTR)) {
                break;
            }
        }
        self.is_interrupted()
    }
}
