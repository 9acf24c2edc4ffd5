//! Any text as a filter: refused with a place in it, or understood so well that what it
//! prints is understood alike.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| eleven::filter::try_any_text(text));
