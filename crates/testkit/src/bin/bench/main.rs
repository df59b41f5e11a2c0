//! `cargo xtask bench`: the gateway beside nginx as a plain reverse proxy, on the same work, in one
//! interleaved run on loopback, with everything on that a gateway is for: keys, budgets of key,
//! team and user, usage read from every answer, a ledger row a call.
//!
//! Calls that the gateway translates, from clients of messages and of responses to an upstream of chat
//! completions, are measured beside those that it passes on.
//!
//! What counts are ratios in the same run: absolute times move by 10 to 40 % with what
//! else the machine does, ratios by about 10 %. CPU is what the target's processes used from the
//! first request of a run until they were quiet again, so that work put off is not left out.
//! Every process started here is ended, however the run ends.

#![expect(clippy::print_stdout, reason = "the output is what it is for")]

mod gateway;
mod load;
mod machine;
mod nginx;
mod open_streams;
mod process;
mod report;
mod runs;
mod translated;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A sentence for whoever runs the bench.
type Result<T> = std::result::Result<T, String>;

#[derive(Parser)]
#[command(about = "Measures the gateway beside nginx and writes bench/RESULTS.md")]
struct Arguments {
    /// How often everything is measured; figures are medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds measured of each kind of work in each round.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only these kinds of work, for example `a32,d200`; nothing is written then.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this program instead of building the gateway.
    #[arg(long, conflicts_with = "no_gateway")]
    gateway: Option<PathBuf>,
    /// Measure nginx alone; nothing is written then.
    #[arg(long)]
    no_gateway: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a thread can have a runtime");
    // Dropping the measurement ends its processes.
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = measure(&arguments) => outcome,
            () = told_to_stop() => Err("stopped".to_owned()),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn told_to_stop() {
    let listen = |kind| signal(kind).expect("signals can be listened to");
    let (mut interrupt, mut terminate) = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let works = runs::chosen(&arguments.only)?;
    let programs = machine::programs(arguments.gateway.as_deref(), arguments.no_gateway)?;
    let folder = testkit::Folder::new();
    let upstream = runs::Upstream::start(&programs, folder.path())?;
    let nginx = nginx::start(&programs.nginx, folder.path(), upstream.address).await?;
    let mut gateway = match &programs.gateway {
        Some(program) => {
            Some(gateway::Gateway::start(program, folder.path(), upstream.address).await?)
        }
        None => None,
    };
    let bench = runs::Bench {
        programs: &programs,
        upstream: &upstream,
        nginx: &nginx,
        gateway: gateway.as_ref(),
        seconds: arguments.seconds,
    };
    let runs = bench.rounds(&works, arguments.rounds).await?;
    let mut open_streams = Vec::new();
    let mut about_gateway = None;
    if let Some(gateway) = &mut gateway {
        let loaded = gateway.memory();
        let names = &arguments.only;
        if names.is_empty() || names.iter().any(|name| name == open_streams::NAME) {
            open_streams = open_streams::measure(gateway, &upstream, &programs).await?;
        }
        about_gateway = Some(gateway.conclude(&upstream, loaded).await?);
    }
    let results = report::Results {
        runs: &runs,
        works: &works,
        nginx_memory: testkit::processes::memory(nginx.process.id()),
        gateway: about_gateway.as_ref(),
        open_streams: &open_streams,
    };
    let text = results.text();
    println!("\n{text}");
    if arguments.only.is_empty() && about_gateway.is_some() {
        let facts = machine::facts(&programs.nginx, arguments.rounds, arguments.seconds);
        machine::write_results(&format!("{facts}\n{text}"))?;
    }
    results.verdict()
}
