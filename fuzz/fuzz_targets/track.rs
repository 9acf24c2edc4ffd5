//! Any bytes as segments and reports of a few flows.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_track::try_any_bytes(bytes));
