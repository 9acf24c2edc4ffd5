//! Random worlds: two hosts with random policies and programs on a network with random faults, and what has to be
//! true of every one of them.
//!
//!     cargo test -p eleven-tcp --test simulated                       # 20,000 of them
//!     RUNS=1000000 cargo test --release -p eleven-tcp --test simulated   # a long run
//!     SEED=123 cargo test -p eleven-tcp --test simulated              # one, with its ladder
//!
//! A world that fails is made smaller, choice by choice, as long as it still fails.

mod worlds;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use worlds::{Report, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// What is wrong with a world, a panic included.
fn problem(world: &World) -> Result<Report, String> {
    catch_unwind(AssertUnwindSafe(|| world.run())).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        Err(words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

/// Leaves choices away as long as what is left still fails.
fn smaller(mut world: World, mut wrong: String) -> (World, String) {
    'again: loop {
        for index in 0..world.choices.len() {
            let mut candidate = world.clone();
            candidate.choices.remove(index);
            if let Err(found) = problem(&candidate) {
                (world, wrong) = (candidate, found);
                continue 'again;
            }
        }
        return (world, wrong);
    }
}

#[test]
fn random_worlds_keep_the_rules() {
    if let Some(seed) = number("SEED") {
        let world = World::random(seed);
        println!("{world:#?}");
        let outcome = world.run_and_draw();
        assert_eq!(outcome.map(drop), Ok(()));
        return;
    }
    let runs = number("RUNS").unwrap_or(20_000);
    let first = number("FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let totals = Mutex::new((0_u64, 0_u64, BTreeMap::<&str, u64>::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut packets, mut whole, mut rules) = (0, 0, BTreeMap::<&str, u64>::new());
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        break;
                    }
                    let world = World::random(seed);
                    match problem(&world) {
                        Ok(report) => {
                            packets += report.packets;
                            whole += u64::from(report.whole);
                            for rule in report.rules {
                                *rules.entry(rule).or_default() += 1;
                            }
                        }
                        Err(wrong) => {
                            let mut failures = failures.lock().unwrap();
                            failures.push((seed, wrong));
                            stop.store(failures.len() >= 20, Ordering::Relaxed);
                        }
                    }
                }
                let mut totals = totals.lock().unwrap();
                totals.0 += packets;
                totals.1 += whole;
                for (rule, count) in rules {
                    *totals.2.entry(rule).or_default() += count;
                }
            });
        }
    });
    let (packets, whole, rules) = totals.into_inner().unwrap();
    let done = next.load(Ordering::Relaxed).min(first + runs) - first;
    println!("{done} worlds, {packets} packets, {whole} transfers whole, {} rules used", rules.len());
    if number("RULES").is_some() {
        println!("{rules:#?}");
    }
    let failures = failures.into_inner().unwrap();
    for (seed, wrong) in &failures {
        println!("SEED={seed}: {wrong}");
    }
    if let Some((seed, wrong)) = failures.into_iter().min() {
        let (world, wrong) = smaller(World::random(seed), wrong);
        println!("what is left of the first: {world:#?}\n");
        let _ = catch_unwind(AssertUnwindSafe(|| world.run_and_draw()));
        panic!("{wrong}\nSEED={seed} cargo test -p eleven-tcp --test simulated -- --nocapture");
    }
}
