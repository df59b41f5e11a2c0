//! The binary: reads the command line, starts the runtime, serves until a signal comes.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tollgate::cli::Cli;
use tollgate::environment::Environment;

/// Calls are made on one thread and recorded on another, which frees what the first has allocated:
/// the system's allocator has both wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // the last words of a failed start are for a person, whatever the log looks like
            let _ = writeln!(std::io::stderr(), "tollgate cannot start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    let config = tollgate::config::load(cli, Environment::of_process())?;
    // calls have threads of their own (`workers`); this one is for all that runs beside them
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(tollgate::run(config))
}
