//! Any bytes as packets of any link: each is taken apart or says why not.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| eleven_capture::try_any_packets(bytes));
