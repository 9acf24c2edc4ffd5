//! Any bytes as a datagram of a sock_diag dump.
#![no_main]

use std::ops::ControlFlow;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eleven_linux::sock_diag::read_any_bytes(bytes, &mut |_| ControlFlow::Continue(()));
});
