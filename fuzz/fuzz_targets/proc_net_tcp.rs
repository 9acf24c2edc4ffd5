//! Any bytes as `/proc/net/tcp` and as `/proc/net/tcp6`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = eleven_linux::proc::sockets::read_any_bytes(bytes);
});
