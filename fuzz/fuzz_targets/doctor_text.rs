//! Any text as a path of idle timeouts, and as a configuration file.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| eleven_doctor::chain::try_any_text(text));
