//! The binary: reads the command line, starts the runtime, serves until a signal comes.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use tollgate::cli::{AuditCommand, Cli, Command};
use tollgate::environment::Environment;

/// Calls are made on one thread and recorded on another, which frees what the first has allocated:
/// the system's allocator has both wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            // the last words of a failed start are for a person, whatever the log looks like
            let _ = writeln!(std::io::stderr(), "tollgate cannot start: {error:#}");
            match cli.command {
                None => ExitCode::FAILURE,
                // 1 says that something was found
                Some(_) => ExitCode::from(2),
            }
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let config = tollgate::config::load(cli, Environment::of_process())?;
    // calls have threads of their own (`workers`); this one is for all that runs beside them
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    match &cli.command {
        None => runtime.block_on(tollgate::run(config))?,
        Some(Command::Audit(AuditCommand::Verify { head })) => {
            let (said, is_whole) =
                runtime.block_on(tollgate::verify::check(&config, head.as_deref()))?;
            std::io::stdout().lock().write_all(said.as_bytes())?;
            if !is_whole {
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(Command::RotateKeys) => {
            let (said, is_whole) = runtime.block_on(tollgate::rotate::run(&config))?;
            std::io::stdout().lock().write_all(said.as_bytes())?;
            if !is_whole {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
