//! The binary's parts, as a library so that tests run the real gateway inside their own process.
//!
//! Only this crate reads the command line, the environment and files. It builds everything else,
//! listens, and ends it in order.

pub mod cli;
pub mod config;
pub mod data_folder;
pub mod environment;
mod federation;
pub mod lifecycle;
pub mod litellm_config;
mod payers;
pub mod people;
pub mod rotate;
pub mod routes;
pub mod section;
pub mod serve;
pub mod services;
pub mod telemetry;
pub mod verify;
pub mod workers;
pub mod yaml;

use std::io::Write as _;
use std::num::NonZero;

use anyhow::Result;
use base::Clock;
use domain::Domain;
use proxy::Proxy;

use config::Config;
use data_folder::{KeptKey, Lock};
use routes::{Gateway, Management};
use serve::Server;

/// A gateway that serves.
pub struct Running {
    pub domain: Domain,
    pub server: Server,
    _lock: Option<Lock>,
}

/// Serves until a signal asks for the end.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(config: Config) -> Result<()> {
    telemetry::start(&config.logs);
    tell(&config.notes);
    if let Some(key) = &config.new_master_key {
        show(key);
    }
    let running = start(&config, Clock::system()).await?;
    for address in &running.server.addresses {
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    let signal = lifecycle::asked_to_stop().await?;
    tracing::info!(
        signal,
        "stopping: open calls may end, a second signal stops at once"
    );
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        signal = lifecycle::asked_to_stop() => {
            tracing::warn!(signal = signal?, "stopped at once: calls that were open are not in the ledger");
            std::process::exit(1);
        }
    }
    Ok(())
}

/// Builds the services and listens.
///
/// # Errors
/// What keeps it from starting.
pub async fn start(config: &Config, clock: Clock) -> Result<Running> {
    let services::Started { domain, lock } = services::start(config, clock).await?;
    let management = Management::new(domain.clone());
    let proxy = Proxy::new(domain.clone(), config.calls.clone())?;
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let gateways = (0..workers).map(|_| {
        Ok(Gateway {
            proxy: proxy.for_worker()?,
            management: management.clone(),
            root_path: config.rules.sign_in.root_path.clone(),
            trusted_proxies: config.rules.trusted_proxies.clone(),
            max_management_bytes: config.serve.max_management_bytes,
        })
    });
    let gateways = gateways.collect::<Result<Vec<_>>>()?;
    let server = Server::start(&config.listen, config.serve, gateways).await?;
    Ok(Running {
        domain,
        server,
        _lock: lock,
    })
}

impl Running {
    /// Ends in order: readiness fails, nothing is accepted, open calls end, the ledger is written, the
    /// database is closed.
    pub async fn stop(self) {
        self.domain.tasks.drain();
        self.server.stop().await;
        self.domain.tasks.stop().await;
        self.domain.db.close().await;
    }
}

/// Says what is to be said of the configuration.
fn tell(notes: &section::Notes) {
    for warning in &notes.warnings {
        tracing::warn!("{warning}");
    }
    if !notes.unused.is_empty() {
        tracing::info!(
            settings = notes.unused.join(", "),
            "these settings are known and have no effect in this version"
        );
    }
}

/// Shows a generated master key, this once: on standard output, which no log collects by itself.
fn show(key: &KeptKey) {
    let file = key.file.display();
    let secret = key.secret.expose();
    let text = format!(
        "\n  No master key is configured, so one was made. It is the administrator's key:\n\n      \
         {secret}\n\n  It is kept in {file} and not shown again.\n\n"
    );
    let mut output = std::io::stdout().lock();
    let _ = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
}
