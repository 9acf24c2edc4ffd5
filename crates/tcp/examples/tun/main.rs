//! The endpoint against the kernel, over a TUN device in a private network namespace (as root).
//!
//! ```text
//! cargo run --release -p eleven-tcp --example tun -- --bytes 1G
//! cargo run --release -p eleven-tcp --example tun -- --bytes 64M --loss 0.01 --reorder 0.01
//! cargo run --release -p eleven-tcp --example tun -- --serve
//! ```
//!
//! Without `--serve`, text goes four ways, each byte is compared, and the rates are printed: our
//! client to a kernel server and back, a kernel client to our server and back; then `curl` and `nc`
//! fetch from our server, where they are installed. With `--serve`, our server waits and the
//! command that enters the namespace is printed. `--offload` hands the kernel segments of up to 64 KiB and
//! takes as large ones from it. Loss and reordering happen to packets of both directions. `--smoltcp` has
//! smoltcp do the same afterwards, in our place on the same device.

mod device;
mod kernel;
mod peer;
mod programs;
mod stack;

use std::process::ExitCode;
use std::time::Duration;

use eleven_testbed::namespace::Net;

use device::Faults;
use stack::{HTTP, OURS, Options, SINK, SOURCE, Stack, check};

/// What to do once the stage is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Check,
    CheckBoth,
    Serve,
}

fn main() -> ExitCode {
    match options().and_then(|(options, task)| run(&options, task)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What is asked for.
fn options() -> Result<(Options, Task), String> {
    let mut options = Options { bytes: 256 << 20, faults: Faults::default(), offload: false };
    let mut task = Task::Check;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--bytes" => options.bytes = parse_bytes(&value()?)?,
            "--loss" => options.faults.loss = parse_probability(&value()?)?,
            "--reorder" => options.faults.reordering = parse_probability(&value()?)?,
            "--offload" => options.offload = true,
            "--serve" => task = Task::Serve,
            "--smoltcp" => task = Task::CheckBoth,
            _ => {
                return Err(format!(
                    "{word}: not an option; there are --bytes, --loss, --reorder, --offload, --serve, --smoltcp"
                ));
            }
        }
    }
    Ok((options, task))
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.trim_end_matches(['K', 'M', 'G']) {
        digits if text.ends_with('K') => (digits, 10),
        digits if text.ends_with('M') => (digits, 20),
        digits if text.ends_with('G') => (digits, 30),
        digits => (digits, 0),
    };
    digits
        .parse::<u64>()
        .map(|count| count << shift)
        .map_err(|_| format!("{text}: not a number of bytes, as 64M"))
}

fn parse_probability(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or(format!("{text}: not between 0 and 1"))
}

fn run(options: &Options, task: Task) -> Result<(), String> {
    let net = Net::new()?;
    net.run(|| {
        if task == Task::Serve {
            let mut stack = Stack::new(options)?;
            println!("our server: {OURS}, ports {SINK} (discard), {SOURCE} (source), {HTTP} (http)");
            println!("enter with: nsenter --net={} curl http://{OURS}/", net.path());
            loop {
                stack.turn(Duration::from_secs(1))?;
            }
        }
        let seen = check(options, |line| println!("{line}"))?;
        let names: Vec<String> = seen.iter().map(|state| state.to_string()).collect();
        println!("states our side went through: {}", names.join(" "));
        if task == Task::CheckBoth {
            peer::check(options.bytes, |line| println!("{line}"))?;
        }
        Ok(())
    })
}
