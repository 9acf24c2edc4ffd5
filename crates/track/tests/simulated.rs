//! Random worlds, captured somewhere on the way, and what a midpoint can know of them compared with what the ends
//! themselves did.
//!
//!     cargo test -p eleven-track --test simulated                     # 6,000 worlds
//!     RUNS=100000 cargo test --release -p eleven-track --test simulated
//!     SEED=123 cargo test -p eleven-track --test simulated -- --nocapture   # one, with its ladder

mod truth;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Worlds in which the tracker was once wrong, and about what.
const ONCE_WRONG: &[(u64, &str)] = &[
    (41_419, "a FIN before the first segment captured may be among what a FIN acknowledges"),
    (45_443, "the FIN may have moved an end from SYN_RECV whose peer's SYN was not captured"),
    (67_380, "the same, and text behind it"),
    (32_803, "the answer of a closed end to a SYN came behind the SYN it sent afterwards"),
    (60_082, "the same, when it was taken to be open"),
    (62_567, "an end refused a SYN, and opened when that was sent again"),
    (57_039, "text was acknowledged before the FIN of which it was not known whether it arrived"),
    (69_796, "a reset with ACK comes from an open connection, not from behind TIME_WAIT"),
    (41_570, "a FIN sent once more, while the peer's, which acknowledges it, was under way"),
    (48_814, "the same, by a copy of the FIN"),
    (89_476, "a SYN sent once more behind the peer's, which had not arrived"),
    (10_855, "the ACK that questions something in SYN_RECV is the one that is sent in ESTABLISHED"),
    (56_160, "the same, in answer to keepalives"),
    (
        284_384,
        "a FIN outside the window was sent all the same: the ACK of the peer's does not show CLOSING alone",
    ),
    (330_713, "the same in a connection that was open before"),
    (201_324, "a SYN came behind what it was answered with, and its sender was taken for still opening"),
    (833_765, "a reset overtook the ACK that ends the handshake"),
    (7_259, "a keepalive shows that the SYN+ACK arrived"),
    (642_454, "so it does when the SYN had come again"),
    (263_150, "of two resets the one counts that answers what the end sent"),
    (363_629, "who is kept alive is open, although the FIN was seen on its way"),
    (299_744, "or in FIN_WAIT2, and not in TIME_WAIT"),
    (624_247, "nobody in TIME_WAIT resets, and a FIN starts it anew"),
    (213_668, "the answer to the first SYN came when both were open"),
    (716_974, "an acknowledgment older than the last raised nobody from the dead"),
    (698_196, "an ACK that its sender's reset overtook is no sign of forgery"),
    (672_230, "a FIN that acknowledges less than its sender did is old"),
    (673_863, "who was in CLOSING had the FIN, and did not have to answer it again"),
    (313_072, "the ACK of a FIN is the same in CLOSING and TIME_WAIT"),
    (441_101, "the first SYN+ACK of a simultaneous open may cross the other's"),
    (706_986, "a FIN crossed the one that acknowledges it"),
    (988_254, "the same behind an acknowledgment"),
    (633_316, "a reset overtook the acknowledgment of the FIN"),
];

#[test]
fn what_was_once_wrong_stays_right() {
    for (seed, what) in ONCE_WRONG {
        if let Err(wrong) = judge(*seed) {
            panic!("{what}: {wrong}\nSEED={seed} cargo test -p eleven-track --test simulated -- --nocapture");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// What is wrong with the tracker's account of a world, a panic included; else which clauses of the definition it needed.
fn judge(seed: u64) -> Result<truth::Account, String> {
    let judged = catch_unwind(AssertUnwindSafe(|| truth::judge(&World::random(seed).run())));
    judged.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        Err(words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

#[test]
fn what_a_midpoint_says_is_what_the_ends_did() {
    if let Some(seed) = number("SEED") {
        let world = World::random(seed);
        println!("{world:#?}");
        let outcome = world.run();
        truth::print(&outcome);
        let judged = truth::judge(&outcome);
        assert!(judged.is_ok(), "{}", judged.unwrap_err());
        println!("{:?}", judged.unwrap());
        return;
    }
    let runs = number("RUNS").unwrap_or(6_000);
    let first = number("FIRST").unwrap_or(0);
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let totals = Mutex::new((truth::Account::default(), BTreeMap::<&str, u64>::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = truth::Account::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs || failures.lock().unwrap().len() > 200 {
                        break;
                    }
                    match judge(seed) {
                        Ok(account) => mine.add(&account),
                        Err(wrong) => failures.lock().unwrap().push((seed, wrong)),
                    }
                }
                totals.lock().unwrap().0.add(&mine);
            });
        }
    });
    println!("{runs} worlds: {:#?}", totals.into_inner().unwrap().0);
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    for (seed, wrong) in &failures {
        println!("SEED={seed}: {wrong}");
    }
    if let Some((seed, wrong)) = failures.first() {
        panic!("{wrong}\nSEED={seed} cargo test -p eleven-track --test simulated -- --nocapture");
    }
}
