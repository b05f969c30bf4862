//! The program: parse, dispatch, exit code.

use std::io::{self, Write};

use clap::{CommandFactory, Parser};
use rerank_proxy::{
    cli::{Cli, Command},
    commands,
};

// Large answers come and go; the system's allocator keeps what they took. Measured by tests/memory.rs, MiB at the start, at
// most and after: the system's 103, 424, 339; mimalloc 91, 377, 208; jemalloc as .cargo/config.toml sets it 154, 316, 156
// (with a larger model).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ! {
    let result = match Cli::parse().command {
        Command::Serve(args) => commands::serve::run(&args),
        #[cfg(feature = "demo")]
        Command::Demo(args) => commands::demo::run(&args),
        Command::Check(args) => commands::check::run(&args),
        #[cfg(feature = "bench")]
        Command::Bench(args) => commands::bench::run(&args),
        Command::Rerank(args) => commands::rerank::run(&args),
        Command::Models(args) => commands::models::run(&args),
        Command::Health(args) => commands::health::run(&args),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, Cli::command()),
    };
    if let Err(error) = &result {
        eprintln!("error: {error:#}");
    }
    let _ = io::stdout().flush();
    // Not `std::process::exit`: it takes ONNX Runtime apart, which crashes where a thread is in the midst of a load or a run.
    signal_hook::low_level::exit(i32::from(result.is_err()))
}
