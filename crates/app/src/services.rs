//! Building the services, once and in order.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use base::Clock;
use domain::alarms::Alarms;
use domain::audit::Refusals;
use domain::auth::Callers;
use domain::federation::Federation;
use domain::health::Health;
use domain::keys::life;
use domain::ledger::Ledger;
use domain::mail::{self, Mail};
use domain::metrics::Metrics;
use domain::passwords::Hashing;
use domain::provider_keys::{self, ProviderKeys};
use domain::responses::Responses;
use domain::scopes::Scopes;
use domain::seals::Seals;
use domain::sign_in::Guesses;
use domain::snapshot::{self, Models};
use domain::tasks::Tasks;
use domain::vault::Vault;
use domain::{Domain, Services, budget_warnings, changes, gateway, requests, reseal, sessions};
use store::Db;

use crate::config::{Config, Database};
use crate::data_folder::{self, Lock};

/// What a start has built.
pub struct Started {
    pub domain: Domain,
    /// Held while the process uses the embedded database.
    pub lock: Option<Lock>,
}

/// Opens the database and builds the rules on it, with their background tasks.
///
/// # Errors
/// What a person can put right: a database that does not open or is not migrated, a folder in use,
/// an encryption key that does not fit.
pub async fn start(config: &Config, clock: Clock) -> Result<Started> {
    let (db, lock) = open(config).await?;
    migrate(&db, config.migrate).await?;
    let vault = Vault::new(&config.encryption_keys);
    check_encryption(&db, &vault, &clock, config.new_encryption_key.as_deref()).await?;
    let tasks = Tasks::default();
    let metrics = Arc::new(Metrics::default());
    let mail = Mail::new(config.rules.mail.as_ref())?;
    let domain = Domain::new(Services {
        config: config.rules.clone(),
        clock,
        vault,
        seals: Seals::new(&config.encryption_keys),
        refusals: Refusals::default(),
        models: Models::default(),
        callers: Callers::new(&config.rules.master_key),
        scopes: Scopes::default(),
        ledger: Ledger::start(db.clone(), Arc::clone(&metrics), &tasks),
        responses: Responses::start(db.clone(), &tasks),
        metrics,
        health: Health::default(),
        passwords: Hashing::default(),
        guesses: Guesses::default(),
        mail,
        alarms: Alarms::default(),
        federation: Federation::new()?,
        provider_keys: ProviderKeys::default(),
        tasks,
        db,
    });
    let seen = changes::last(&domain).await?;
    snapshot::rebuild(&domain).await?;
    provider_keys::rebuild(&domain).await?;
    gateway::apply_budget(&domain).await?;
    domain.tasks.spawn(changes::follow(domain.clone(), seen));
    domain.tasks.spawn(requests::run(domain.clone()));
    domain.tasks.spawn(sessions::clean(domain.clone()));
    domain.tasks.spawn(mail::deliver(domain.clone()));
    domain.tasks.spawn(budget_warnings::watch(domain.clone()));
    domain.tasks.spawn(life::run(domain.clone()));
    domain
        .tasks
        .spawn(provider_keys::write_uses(domain.clone()));
    Ok(Started { domain, lock })
}

async fn open(config: &Config) -> Result<(Db, Option<Lock>)> {
    match &config.database {
        Database::Postgres(url) => {
            let db = Db::postgres(url.expose())
                .await
                .context("the PostgreSQL database of DATABASE_URL cannot be opened")?;
            Ok((db, None))
        }
        Database::Sqlite(path) => {
            let lock = Lock::of(path)?;
            data_folder::make_private(path)?;
            let db = Db::sqlite(path)
                .await
                .with_context(|| format!("the database {} cannot be opened", path.display()))?;
            Ok((db, Some(lock)))
        }
    }
}

async fn migrate(db: &Db, apply: bool) -> Result<()> {
    if apply {
        return db
            .migrate()
            .await
            .context("the database cannot be migrated");
    }
    if !db
        .is_migrated()
        .await
        .context("the database's version cannot be read")?
    {
        bail!("the database needs a migration: start once without --no-migrate");
    }
    Ok(())
}

/// Refuses a start without the encryption keys that the stored secrets were sealed with: they would be
/// lost without anybody noticing.
async fn check_encryption(
    db: &Db,
    vault: &Vault,
    clock: &Clock,
    new_key: Option<&Path>,
) -> Result<()> {
    let is_right = reseal::is_right(db, vault).await?;
    let (stored, lost) = reseal::stored(db, vault).await?;
    match is_right {
        Some(true) if lost == 0 => Ok(()),
        Some(true) => bail!(
            "{lost} provider keys in the database were sealed with an encryption key that is not \
             configured: add it to TOLLGATE_ENCRYPTION_KEY behind the newest, separated by a comma, and \
             run `tollgate rotate-keys` before it is taken away"
        ),
        None if stored == 0 => Ok(reseal::check(db, vault, clock).await?),
        Some(false) | None => {
            if let Some(file) = new_key {
                // made a moment ago for nothing; the right one belongs in its place
                let _ = std::fs::remove_file(file);
                bail!(
                    "no encryption key is configured, and the database holds secrets ({stored} provider \
                     keys and models): set TOLLGATE_ENCRYPTION_KEY to the key that was used before, or put \
                     its file back to {}",
                    file.display()
                );
            }
            bail!(
                "the database's secrets were sealed with another encryption key: set \
                 TOLLGATE_ENCRYPTION_KEY to the key that was used before (by default it is in the file \
                 encryption-key of the data folder)"
            )
        }
    }
}
