//! Every scenario keeps its promises, on the simulator and on the kernel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use eleven_lab::{Backend, Options, Privilege, Scenario, all, run};
use eleven_testbed::skipped;

fn play(scenario: &'static Scenario, backend: Backend) -> Result<(), String> {
    let name = scenario.name;
    let outcome = run(scenario, Options::new(backend)).map_err(|stop| format!("{name}: {stop}"))?;
    if outcome.reached() {
        return Ok(());
    }
    let mut text = format!("{name} on the {}: {:?}\n", backend.as_str(), outcome.stopped);
    for verdict in &outcome.verdicts {
        text += &format!(
            "  {} {}: {}\n",
            if verdict.kept { "✓" } else { "✗" },
            verdict.promised,
            verdict.witnessed
        );
    }
    text += &eleven_lab::ladder::ladder(&outcome.evidence, backend.as_str()).text();
    Err(text)
}

#[test]
fn the_simulator_reaches_every_scenario() {
    let failures: Vec<String> =
        all().filter_map(|scenario| play(scenario, Backend::Simulator).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_kernel_reaches_every_scenario() {
    if !rustix::process::geteuid().is_root() {
        return skipped("it takes root to make namespaces from a program with threads");
    }
    // They mostly wait, but not all of them at once: the machine is shared, and timers count.
    let scenarios: Vec<&'static Scenario> = all().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failures = Vec::new();
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            // What is reached at one of three looks can be reached.
            let attempts: Vec<String> =
                (0..3).map_while(|_| play(scenario, Backend::Kernel(Privilege::Own)).err()).collect();
            if attempts.len() == 3 {
                failures.extend(attempts.into_iter().last());
            }
        }
        failures
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no scenario panics")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
