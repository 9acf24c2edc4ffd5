//! Scripts of packetdrill, on the endpoint and on the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use eleven_testbed::or_skip;
use serde_json::Value;
use tempfile::tempdir;

use super::kernel_works;
use crate::support::program::run;

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tcp/tests/scripts");
    let entries = fs::read_dir(directory).expect("the scripts are part of the source");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths
}

#[test]
fn scripts_go_on_the_endpoint_as_they_say() {
    let paths: Vec<String> = scripts().iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["lab", "run-script", "--backend", "endpoint", "--format", "json"];
    arguments.extend(paths.iter().map(String::as_str));
    let played = run(&arguments).json();
    let played = played.as_array().expect("an array");
    assert_eq!(played.len(), paths.len());
    assert!(played.iter().all(|it| it["passed"] == true && it["differs_at"].is_null()), "{played:#?}");
}

#[test]
fn scripts_go_on_the_kernel_as_on_the_endpoint() {
    or_skip!(kernel_works());
    let play = |paths: &[PathBuf]| -> Vec<Value> {
        let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let mut arguments =
            vec!["lab", "run-script", "--backend", "both", "--tolerance", "60ms", "--format", "json"];
        arguments.extend(files.iter().map(String::as_str));
        serde_json::from_str(&run(&arguments).stdout).expect("JSON")
    };
    let mut wrong = scripts();
    // The machine is shared: a time that is right at one of three looks is right.
    for _ in 0..3 {
        let played = play(&wrong);
        wrong = wrong
            .iter()
            .zip(&played)
            .filter(|(_, it)| it["passed"] != true)
            .map(|(path, _)| path.clone())
            .collect();
        if wrong.is_empty() {
            return;
        }
        println!("{played:#?}");
    }
    panic!("{wrong:?} go otherwise on the kernel");
}

#[test]
fn what_is_wrong_in_a_script_is_told_by_its_place() {
    let directory = tempdir().expect("a directory");
    let write = |text: &str| {
        let path = directory.path().join("a.pkt");
        fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let file = write("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 < S 0:0(0 win 1000\n");
    run(&["lab", "run-script", &file, "--backend", "endpoint"]).fails(2, &["a.pkt", "line 2, column", "^"]);
    run(&["lab", "run-script", "/nonexistent.pkt"]).fails(1, &["cannot read /nonexistent.pkt"]);

    let file = write("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 listen(3, 1) = -1 EINVAL\n");
    let ran = run(&["lab", "run-script", &file, "--backend", "endpoint"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in
        ["line 2: the call returned something else", "listen(3, 1)", "expected: -1 EINVAL", "got:      0"]
    {
        assert!(ran.stdout.contains(words), "`{words}` is missing in {}", ran.stdout);
    }
    or_skip!(kernel_works());
    let ran = run(&["lab", "run-script", &file, "--backend", "both"]);
    assert!(ran.stdout.contains("no difference between the kernel and the endpoint"), "{ran:?}");
    assert_eq!(ran.code, Some(1), "the script is wrong on both: {ran:?}");
}
