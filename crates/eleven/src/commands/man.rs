//! `eleven man`: manual pages, made from the command line's definition.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::cli::{Cli, ManArgs};

pub(super) fn run(args: &ManArgs) -> anyhow::Result<()> {
    match &args.output {
        Some(directory) => write_pages(directory)
            .with_context(|| format!("cannot write manual pages into {}", directory.display())),
        None => Ok(io::stdout().write_all(page(Cli::command())?.as_bytes())?),
    }
}

/// Writes a page for the program and one for each command.
fn write_pages(directory: &Path) -> io::Result<()> {
    let mut program = Cli::command();
    // Gives the commands their whole names.
    program.build();
    let commands = program.get_subcommands().cloned();
    for command in commands.chain([program.clone()]) {
        let name = Man::new(command.clone()).get_filename();
        fs::write(directory.join(name), page(command)?)?;
    }
    Ok(())
}

/// A page in roff.
fn page(command: Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(keep_lines(&String::from_utf8_lossy(&page)))
}

/// What stands below the options are tables and examples: their lines must not be filled.
fn keep_lines(page: &str) -> String {
    const SECTION: &str = ".SH EXTRA\n";
    let Some((before, details)) = page.split_once(SECTION) else { return page.to_owned() };
    let (details, behind) = match details.find("\n.SH ") {
        Some(end) => details.split_at(end + 1),
        None => (details, ""),
    };
    format!("{before}.SH DETAILS\n.nf\n{}\n.fi\n{behind}", details.trim_end())
}
