//! `eleven man`: manual pages, made from the command line's definition.

use std::io::{self, Write};

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, ManArgs};

pub(super) fn run(args: &ManArgs) -> anyhow::Result<()> {
    match &args.output {
        Some(directory) => clap_mangen::generate_to(Cli::command(), directory)
            .with_context(|| format!("cannot write manual pages into {}", directory.display())),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            io::stdout().write_all(&page)?;
            Ok(())
        }
    }
}
