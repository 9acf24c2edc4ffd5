//! Any bytes as calls, segments, reports and time for one connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_tcp::try_any_events(bytes));
