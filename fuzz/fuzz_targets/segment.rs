//! Any bytes as a segment: refused, or written again as they were.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_tcp::segment::try_any_bytes(bytes));
