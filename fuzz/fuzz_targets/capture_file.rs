//! Any bytes as a capture file: reading ends, and what was read can be taken apart.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_capture::try_any_bytes(bytes));
