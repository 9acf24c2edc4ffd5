//! Every scenario keeps its promises, on the simulator and on the kernel.

use std::sync::Mutex;
use std::thread;

use eleven_lab::{Backend, Options, Privilege, Scenario, all, run};
use eleven_testbed::skipped;

/// So many at a time, as `eleven lab run --all` plays them.
const AT_ONCE: usize = 8;

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
    // They mostly wait, but a witness looks at each a hundred times a second: all at once would slow each other down by
    // more than a retransmission timeout.
    let waiting = Mutex::new(all());
    let next = || waiting.lock().expect("no scenario panics").next();
    let play_some = || {
        let mut failures = Vec::new();
        while let Some(scenario) = next() {
            // The machine is shared: what is reached at one of three looks can be reached.
            let attempts: Vec<String> =
                (0..3).map_while(|_| play(scenario, Backend::Kernel(Privilege::Own)).err()).collect();
            if attempts.len() == 3 {
                failures.extend(attempts.into_iter().last());
            }
        }
        failures
    };
    let failures: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play_some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no scenario panics")).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
