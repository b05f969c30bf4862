//! `man`: the manual pages, made from the command line itself.

use std::{io, path::PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;

/// Write the manual page to stdout, or all pages into a folder
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write `rerank-proxy.1` and a page for each subcommand into this folder, which must be there
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
}

/// Writes the pages of `command` (roff, section 1).
pub fn run(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    match &args.into {
        Some(folder) => clap_mangen::generate_to(command, folder)
            .with_context(|| format!("cannot write manual pages into {}", folder.display())),
        None => Man::new(command).render(&mut io::stdout()).context("cannot write to stdout"),
    }
}
