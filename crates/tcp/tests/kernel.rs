//! The endpoint against the kernel, over a TUN device in a private namespace.
//!
//! What is checked is the example's: `cargo run -p eleven-tcp --example tun` does the same with more.

#[path = "../examples/tun/device.rs"]
mod device;
#[path = "../examples/tun/kernel.rs"]
mod kernel;
#[path = "../examples/tun/programs.rs"]
mod programs;
#[path = "../examples/tun/stack.rs"]
#[allow(dead_code, reason = "the example serves as well")]
mod stack;

use eleven_tcp::State;
use eleven_testbed::namespace::Net;
use eleven_testbed::skipped;

use device::Faults;
use stack::{Options, check};

fn run(faults: Faults, offload: bool, bytes: u64) {
    let net = match Net::new() {
        Ok(net) => net,
        Err(why) => return skipped(&why),
    };
    let options = Options { bytes, faults, offload };
    let seen = match net.run(|| check(&options, |line| println!("{line}"))) {
        Ok(seen) => seen,
        Err(why) if why.contains("no TUN device") => return skipped(&why),
        Err(why) => panic!("{why}"),
    };
    for state in State::ALL.into_iter().filter(|state| !seen.contains(*state)) {
        // Whether our side is in these depends on which of two ACKs the kernel sends first.
        assert!(
            matches!(state, State::FinWait2 | State::LastAck | State::Closed | State::Listen),
            "{state} not seen"
        );
    }
}

#[test]
fn text_arrives_intact_in_all_directions() {
    run(Faults::default(), false, 8 << 20);
}

#[test]
fn text_arrives_intact_in_large_segments() {
    run(Faults::default(), true, 8 << 20);
}

#[test]
fn text_arrives_intact_in_spite_of_loss_and_reordering() {
    run(Faults { loss: 0.02, reordering: 0.02 }, false, 1 << 20);
}
