//! The program: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use rerank_proxy::{
    cli::{Cli, Command},
    commands,
};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => commands::serve::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Rerank(args) => commands::rerank::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Health(args) => commands::health::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
