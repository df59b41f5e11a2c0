//! Sealing all that is stored with the newest encryption key, so that older ones can be let go.
//!
//! It goes on beside gateways that serve: in short transactions with pauses between them, and each secret
//! only where it is still the one that was read. What was done stays done, so that it can be broken off
//! and begun again. Gateways must already know the newest key, and keep the older ones until it is over.

use std::time::{Duration, Instant};

use base::{Clock, Result, Secret};
use store::deployments::DeploymentRow;
use store::{Db, deployments, outbox, provider_keys as rows};

use crate::definition::is_secret;
use crate::provider_keys::bound_to;
use crate::vault::{Place, Vault};
use crate::{mail, snapshot, storage};

/// Secrets in one transaction: some milliseconds, for which SQLite's other writers wait.
const BATCH: i64 = 250;
/// The setting that shows whether an encryption key is the right one.
pub const CHECK: &str = "encryption_check";
const CHECK_PLACE: Place<'static> = Place {
    table: "settings",
    column: "value",
    row: CHECK,
    owner: "system",
};

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub provider_keys: u64,
    pub models: u64,
    pub letters: u64,
    /// What cannot be opened with any of the keys, and why; it stays as it is.
    pub unopened: Vec<String>,
    /// Secrets that are sealed with another key than the newest after all.
    pub left: u64,
}

impl Report {
    /// Whether no secret needs an older key any more.
    pub fn is_whole(&self) -> bool {
        self.left == 0 && self.unopened.is_empty()
    }
}

/// Seals everything with the newest key. `tell` hears how many provider keys are done, batch by batch.
///
/// # Errors
/// When the database does not answer; what was done stays done.
pub async fn everything(
    db: &Db,
    vault: &Vault,
    clock: &Clock,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<Report> {
    let mut report = Report::default();
    provider_keys(db, vault, &mut report, tell).await?;
    models(db, vault, &mut report).await?;
    letters(db, vault, &mut report).await?;
    report.left = left(db, vault).await?;
    if report.is_whole() {
        // the last of all: as long as it is not done, the older key is asked for at start
        check(db, vault, clock).await?;
    }
    Ok(report)
}

/// Waits as long as the last transaction took, so that other writers have their turn.
async fn pause(began: Instant) {
    let took = began.elapsed();
    tokio::time::sleep(took.clamp(Duration::from_millis(2), Duration::from_millis(100))).await;
}

async fn provider_keys(
    db: &Db,
    vault: &Vault,
    report: &mut Report,
    tell: &mut (dyn FnMut(u64) + Send),
) -> Result<()> {
    let newest = vault.newest()?;
    let mut after = String::new();
    loop {
        let found = rows::sealed_otherwise(db, &newest, &after, BATCH)
            .await
            .map_err(storage)?;
        let Some(last) = found.last() else {
            return Ok(());
        };
        after.clone_from(&last.id);
        let mut anew = Vec::with_capacity(found.len());
        for row in &found {
            match bound_to(row, |place| vault.reseal(place, &row.sealed)) {
                Ok(sealed) => anew.push((row, sealed)),
                Err(error) => report.unopened.push(error.to_string()),
            }
        }
        let began = Instant::now();
        let mut tx = db.begin().await.map_err(storage)?;
        for (row, sealed) in &anew {
            report.provider_keys += rows::reseal(&mut tx, &row.id, &row.sealed, sealed)
                .await
                .map_err(storage)?;
        }
        tx.commit().await.map_err(storage)?;
        tell(report.provider_keys);
        pause(began).await;
    }
}

async fn models(db: &Db, vault: &Vault, report: &mut Report) -> Result<()> {
    let newest = vault.newest()?;
    for known in deployments::list(db).await.map_err(storage)? {
        if outdated(&known, &newest).is_empty() {
            continue;
        }
        let began = Instant::now();
        let mut tx = db.begin().await.map_err(storage)?;
        let Some(mut row) = deployments::lock(&mut tx, &known.id)
            .await
            .map_err(storage)?
        else {
            continue;
        };
        let mut is_changed = false;
        for name in outdated(&row, &newest) {
            let column = format!("params.{name}");
            let place = snapshot::place(&known.id, &column);
            let sealed = row.params.0.get(&name).and_then(|value| value.as_str());
            match vault.reseal(place, sealed.unwrap_or_default()) {
                Ok(sealed) => {
                    row.params.0.insert(name, sealed.into());
                    is_changed = true;
                }
                Err(error) => report.unopened.push(error.to_string()),
            }
        }
        if is_changed {
            deployments::update(&mut tx, &row).await.map_err(storage)?;
            report.models += 1;
        }
        tx.commit().await.map_err(storage)?;
        pause(began).await;
    }
    Ok(())
}

/// The secrets of a model that are sealed otherwise.
fn outdated(row: &DeploymentRow, newest: &str) -> Vec<String> {
    let sealed = row.params.0.iter().filter(|(name, value)| {
        let text = value.as_str();
        is_secret(name) && text.is_some_and(|text| !text.starts_with(newest))
    });
    sealed.map(|(name, _)| name.clone()).collect()
}

async fn letters(db: &Db, vault: &Vault, report: &mut Report) -> Result<()> {
    let newest = vault.newest()?;
    for mail in outbox::sealed_otherwise(db, &newest)
        .await
        .map_err(storage)?
    {
        let sealed = match vault.reseal(mail::place(&mail.id), &mail.content) {
            Ok(sealed) => sealed,
            Err(error) => {
                report.unopened.push(error.to_string());
                continue;
            }
        };
        let mut tx = db.begin().await.map_err(storage)?;
        report.letters += outbox::reseal(&mut tx, &mail.id, &mail.content, &sealed)
            .await
            .map_err(storage)?;
        tx.commit().await.map_err(storage)?;
    }
    Ok(())
}

/// How many secrets are sealed otherwise than with the newest key: somebody may have written one
/// meanwhile who has another newest key.
async fn left(db: &Db, vault: &Vault) -> Result<u64> {
    let newest = vault.newest()?;
    let keys = rows::count_not_sealed_with(db, std::slice::from_ref(&newest))
        .await
        .map_err(storage)?;
    let letters = outbox::sealed_otherwise(db, &newest)
        .await
        .map_err(storage)?;
    let models = deployments::list(db).await.map_err(storage)?;
    let models = models
        .iter()
        .filter(|row| !outdated(row, &newest).is_empty());
    let others = u64::try_from(letters.len() + models.count()).unwrap_or(u64::MAX);
    Ok(keys.saturating_add(others))
}

/// How many secrets of any kind are stored, and of the provider keys among them, how many none of the
/// vault's keys opens.
///
/// # Errors
/// When the database does not answer.
pub async fn stored(db: &Db, vault: &Vault) -> Result<(u64, u64)> {
    let all = rows::count_not_sealed_with(db, &[])
        .await
        .map_err(storage)?;
    let lost = rows::count_not_sealed_with(db, &vault.known())
        .await
        .map_err(storage)?;
    let models = deployments::list(db).await.map_err(storage)?;
    let models = models
        .iter()
        .filter(|row| !outdated(row, "none").is_empty());
    let models = u64::try_from(models.count()).unwrap_or(u64::MAX);
    Ok((all.saturating_add(models), lost))
}

/// Seals the text that shows whether an encryption key is the right one.
///
/// # Errors
/// When the database does not answer.
pub async fn check(db: &Db, vault: &Vault, clock: &Clock) -> Result<()> {
    let sealed = vault.seal(CHECK_PLACE, &Secret::new("tollgate"))?;
    store::settings::put(db, CHECK, &sealed, clock.now())
        .await
        .map_err(storage)
}

/// Whether the vault opens that text; nothing where there is none yet.
///
/// # Errors
/// When the database does not answer.
pub async fn is_right(db: &Db, vault: &Vault) -> Result<Option<bool>> {
    let row = store::settings::find(db, CHECK).await.map_err(storage)?;
    Ok(row.map(|row| vault.open(CHECK_PLACE, &row.value).is_ok()))
}
