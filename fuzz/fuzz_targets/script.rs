//! Any bytes as a packetdrill script: refused with a place and a reason, or played.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_tcp::script::try_any_bytes(bytes));
