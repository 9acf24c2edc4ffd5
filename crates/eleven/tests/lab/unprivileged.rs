//! A laboratory of an ordinary user.

use std::process::Command;

use eleven_testbed::or_skip;

use super::kernel_works;
use crate::support::program::{Ran, clean_environment, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_eleven");

/// Runs a line of a shell, and the laboratory as whom the line makes of it.
fn shell(line: &str) -> Ran {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    clean_environment(&mut command);
    command.output().expect("there is a shell").into()
}

/// Becomes nobody.
const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

/// Whether nobody can run the program where it stands, and set up what is needed, else why not.
fn nobody_works() -> Result<(), String> {
    kernel_works()?;
    let ran = shell(&format!("{NOBODY} {PROGRAM} --version"));
    if ran.code != Some(0) {
        return Err(format!("nobody cannot run the program: {}", ran.stderr.trim()));
    }
    let ran = shell(&format!("{NOBODY} unshare --user --net true"));
    if ran.code != Some(0) {
        return Err(format!("this kernel allows nobody a user namespace: {}", ran.stderr.trim()));
    }
    Ok(())
}

#[test]
fn a_user_namespace_is_enough() {
    or_skip!(nobody_works());
    // With a TUN device as most hosts have it, and without one: then a pair of devices has to do.
    let open = "mount -t tmpfs none /dev/net && mknod /dev/net/tun c 10 200 && chmod 666 /dev/net/tun";
    let closed = "mount -t tmpfs none /dev/net";
    for device in [open, closed] {
        let ran = shell(&format!(
            "exec unshare --mount sh -c '{device} && exec {NOBODY} {PROGRAM} lab run --all --format json'"
        ));
        let results = ran.json();
        for result in results.as_array().expect("an array") {
            assert_eq!(
                (&result["backend"], &result["reached"]),
                (&"kernel".into(), &true.into()),
                "{result:#}"
            );
        }
    }
}

#[test]
fn where_nothing_is_allowed_the_simulator_is_named() {
    or_skip!(nobody_works());
    // User namespaces are forbidden within one that says so, to who has no capabilities in it.
    let forbidden = "exec unshare --user --map-root-user sh -c \
                     'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all";
    let ran = shell(&format!("{forbidden} {PROGRAM} lab run closing'"));
    ran.fails(1, &["no private network namespace", "user.max_user_namespaces is 0", "--simulate"]);

    let ran = shell(&format!("{forbidden} {PROGRAM} lab run --all --format json'"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let results: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    for result in results.as_array().expect("an array") {
        assert!(result["skipped"].as_str().is_some_and(|why| why.contains("--simulate")), "{result:#}");
        assert_eq!(result["reached"], false);
    }
}

#[test]
fn the_simulator_takes_no_privilege() {
    or_skip!(nobody_works());
    let ran = shell(&format!("exec {NOBODY} {PROGRAM} lab run --all --simulate --format csv"));
    assert_eq!(ran.done(), run(&["lab", "run", "--all", "--simulate", "--format", "csv"]).done());
}
