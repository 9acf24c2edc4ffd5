//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;

/// Becomes true at the first Ctrl-C; the second ends the program at once.
pub(super) fn on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGINT, SIGTERM};
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
