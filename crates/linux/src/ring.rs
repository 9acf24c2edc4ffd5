//! Reading from the kernel while what was read is worked on.
//!
//! The kernel walks its tables inside our `recv` or `read`. A thread that does nothing else
//! keeps the walk going while rows are parsed and printed; buffers travel in a ring between
//! the two, which bounds memory and makes a slow consumer slow the walk down.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

/// Buffers on the way between the two threads.
const BUFFERS: usize = 32;

/// What one call to fill a buffer came to.
pub(crate) struct Filled {
    /// Bytes in the buffer.
    pub(crate) length: usize,
    /// Nothing comes after them.
    pub(crate) is_last: bool,
}

/// Runs `fill` in a thread of its own, over buffers of `buffer_length` bytes, and `consume`
/// here, until `fill` says that it was the last or `consume` has seen enough.
///
/// # Errors
/// Those of both; and `start_failed` of the system's error when no thread can be started.
pub(crate) fn run<E: Send>(
    name: &str,
    buffer_length: usize,
    mut fill: impl FnMut(&mut [u8]) -> Result<Filled, E> + Send,
    mut consume: impl FnMut(&[u8]) -> Result<ControlFlow<()>, E>,
    start_failed: impl FnOnce(io::Error) -> E,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (filled, to_consume) = mpsc::sync_channel::<Result<(Vec<u8>, usize), E>>(BUFFERS);
        let (emptied, to_fill) = mpsc::channel::<Vec<u8>>();
        let kernel_side = move || loop {
            let mut buffer = to_fill.try_recv().unwrap_or_else(|_| vec![0; buffer_length]);
            let outcome = fill(&mut buffer);
            let is_last = outcome.as_ref().map_or(true, |filled| filled.is_last);
            if filled.send(outcome.map(|filled| (buffer, filled.length))).is_err() || is_last {
                return;
            }
        };
        thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, kernel_side)
            .map_err(start_failed)?;
        while let Ok(outcome) = to_consume.recv() {
            let (buffer, length) = outcome?;
            if consume(&buffer[..length])?.is_break() {
                break;
            }
            // The other side has gone when its last buffer is out.
            let _ = emptied.send(buffer);
        }
        Ok(())
    })
}
