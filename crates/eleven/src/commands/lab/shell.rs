//! `eleven lab shell NAME`: a shell beside the socket.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use eleven_lab::{Afterwards, Lab, LabError, Options, Stop, find};
use rustix::process::{Signal, set_parent_process_death_signal};

use super::report::Heading;
use super::{backend, told, wrong};
use crate::cli::{Global, LabShellArgs};
use crate::commands::Interrupted;
use crate::commands::interrupt::on_interrupt;
use crate::output::{Output, note};

pub(super) fn run(global: &Global, args: &LabShellArgs) -> anyhow::Result<()> {
    let scenario = find(&args.name).map_err(wrong)?;
    let backend = backend(false)?;
    Heading { scenario, settings: args.set.clone() }.print(&mut Output::open(global)?)?;
    let afterwards: Afterwards = Box::new(move |lab, verdicts| {
        let kept = verdicts.iter().all(|verdict| verdict.kept);
        let state = if kept { "reached" } else { "not reached as promised" };
        note(&format!(
            "{} is {state}; the shell is inside: try `ss -tanoe`, and leave it to end this",
            scenario.name
        ));
        shell(lab, scenario.name)
    });
    let options = Options {
        settings: args.set.clone(),
        interrupt: on_interrupt()?,
        afterwards: Some(afterwards),
        ..Options::new(backend)
    };
    let outcome = eleven_lab::run(scenario, options).map_err(told)?;
    if outcome.interrupted {
        return Err(Interrupted.into());
    }
    match outcome.stopped {
        Some(why) => Err(anyhow::anyhow!("{} did not reach what it promises: {why}", scenario.name)),
        None => Ok(()),
    }
}

/// Runs the user's shell in the namespace, which the calling thread is in, while the hosts are served.
fn shell(lab: &mut Lab, scenario: &str) -> Result<(), Stop> {
    let program =
        std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(program);
    command.env("ELEVEN_LAB", scenario);
    // SAFETY: between fork and exec nothing but one system call is made, which takes no lock and no memory.
    #[allow(unsafe_code, reason = "pre_exec is unsafe for what must not be done there")]
    unsafe {
        // The namespace is not to live on in a shell whose laboratory was killed.
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let failed = |source| Stop::Failed(LabError::System { operation: "start a shell", source });
    let mut child = command.spawn().map_err(failed)?;
    let served = lab.serve_while(|| matches!(child.try_wait(), Ok(None)));
    if served.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    served
}
