//! The endpoint against smoltcp, and against what a host with many connections needs.
//!
//! `cargo bench -p eleven-tcp` runs everything on one thread; every figure of a peer is measured in
//! the same run, alternating with ours, and only ratios are worth quoting. A word chooses what
//! runs: `cargo bench -p eleven-tcp -- throughput`.

mod cycles;
mod goodput;
mod idle;
mod ours;
mod smol;
mod throughput;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    // `cargo test` runs benchmarks too, to see that they work; figures need `cargo bench`.
    let quick = cfg!(debug_assertions) || std::env::args().any(|word| word == "--test");
    if wanted("throughput") {
        throughput::run(quick);
    }
    if wanted("cycles") {
        cycles::run(quick);
    }
    if wanted("goodput") {
        goodput::run(quick);
    }
    if wanted("idle") {
        idle::run(quick);
    }
}

/// The median, and with it the smallest and the largest.
fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}
