//! Any bytes as an IP packet, of either version: refused, or written again with the same meaning.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_tcp::ip::try_any_bytes(bytes));
