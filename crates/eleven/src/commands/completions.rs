//! `eleven completions`: a script that teaches a shell the command line.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs};

pub(super) fn run(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "eleven", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}
