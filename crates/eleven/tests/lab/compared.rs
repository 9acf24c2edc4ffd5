//! The endpoint beside the kernel.

use eleven_testbed::or_skip;

use super::kernel_works;
use crate::support::program::run;

#[test]
fn no_difference_from_the_kernel_is_unexplained() {
    or_skip!(kernel_works());
    let compared = run(&["lab", "compare", "--format", "json"]).json();
    let compared = compared.as_array().expect("an array");
    assert!(compared.len() >= 28, "all paths and losses: {}", compared.len());
    for it in compared {
        for difference in it["differences"].as_array().expect("an array") {
            assert!(!difference["explanation"].is_null(), "{it:#}");
        }
    }
    let one = run(&["lab", "compare", "refused"]).done();
    assert!(one.contains("refused") && one.contains("1 compared"), "{one}");
    run(&["lab", "compare", "refusd"]).fails(2, &["did you mean `refused`?"]);
}
