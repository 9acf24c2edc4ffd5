//! What is asked for wrongly, and what cannot be had.

use eleven_testbed::or_skip;

use super::kernel_works;
use crate::support::program::run;

#[test]
fn what_does_not_exist_is_wrong_usage_with_a_suggestion() {
    for (arguments, says) in [
        (
            &["lab", "run", "closng", "--simulate"][..],
            &["no scenario `closng`", "did you mean `closing`?"][..],
        ),
        (&["lab", "run", "zzzzzzzz", "--simulate"], &["no scenario", "eleven lab list"]),
        (&["lab", "shell", "fin-wait"], &["did you mean `fin-wait1`"]),
        (
            &["lab", "run", "closing", "--simulate", "--set", "tcp_fin_timout=3"],
            &["no setting `tcp_fin_timout`", "did you mean `tcp_fin_timeout`?"],
        ),
        (
            &["lab", "run", "closing", "--simulate", "--set", "tcp_fin_timeout=soon"],
            &["tcp_fin_timeout", "soon", "a number is expected"],
        ),
        (&["lab", "run", "closing", "--simulate", "--set", "tcp_fin_timeout"], &["KEY=VALUE"]),
        (&["lab", "run", "closing", "--simulate", "--set", "=3"], &["KEY"]),
        (&["lab", "run", "closing", "--simulate", "--set", "../../kernel/hostname=x"], &["no setting"]),
        (&["lab", "run"], &["<NAME>"]),
        (&["lab", "run", "closing", "--all"], &["cannot be used with"]),
        (&["lab", "run", "--all", "--hold"], &["cannot be used with"]),
    ] {
        run(arguments).fails(2, says);
    }
}

#[test]
fn a_value_that_the_kernel_refuses_is_wrong_usage() {
    or_skip!(kernel_works());
    let ran = run(&["lab", "run", "closing", "--set", "tcp_fin_timeout=soon"]);
    ran.fails(2, &["cannot set tcp_fin_timeout to `soon`"]);
}

#[test]
fn a_full_disk_and_a_missing_directory_are_said() {
    for arguments in [&["lab", "run", "closing", "--simulate"][..], &["lab", "run", "closing"]] {
        if arguments.len() == 3 {
            or_skip!(kernel_works());
        }
        let write = |path| run(&[arguments, &["--format", "json", "-w", path]].concat());
        write("/dev/full").fails(1, &["cannot write the capture", "No space left"]);
        write("/nonexistent/a.pcapng").fails(1, &["cannot write /nonexistent/a.pcapng", "No such file"]);
    }
    let ran = run(&["lab", "run", "closing", "--simulate", "--format", "json", "-o", "/nonexistent/a.svg"]);
    ran.fails(1, &["cannot write /nonexistent/a.svg"]);
    let ran = run(&["lab", "run", "--all", "--simulate", "--format", "json", "-w", "/proc/nothing"]);
    ran.fails(1, &["cannot make the directory /proc/nothing"]);
}
