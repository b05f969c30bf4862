//! `completions`: what a shell needs to complete our command line, made from the command line itself.

use std::io::{self, Write};

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

/// Write completions for a shell to stdout
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Prints the completions of `command`; README says where each shell looks for them.
pub fn run(args: &CompletionsArgs, mut command: Command) -> anyhow::Result<()> {
    let name = command.get_name().to_owned();
    // The library panics where it cannot write.
    let mut completions = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut completions);
    io::stdout().write_all(&completions).context("cannot write to stdout")
}
