//! `tollgate audit verify`: checks the chain of the audit log, beside a gateway that runs or without one.

use anyhow::{Context as _, Result, bail};
use domain::audit::chain::{self, Verdict};
use domain::seals::Seals;
use store::Db;

use crate::config::{Config, Database};

/// Checks the whole log; gives what is to be said, and whether the log is whole. Changes nothing.
///
/// # Errors
/// When the database cannot be read.
pub async fn check(config: &Config, expected: Option<&str>) -> Result<(String, bool)> {
    let db = open(config).await?;
    let seals = Seals::new(&config.encryption_keys);
    let verdict = chain::verify(&db, &seals, expected).await?;
    db.close().await;
    Ok(say(&verdict))
}

fn say(verdict: &Verdict) -> (String, bool) {
    match verdict {
        Verdict::Whole {
            entries,
            head,
            before_chain,
        } => {
            let mut said = format!("the audit log is whole: {entries} entries\n");
            if !head.is_empty() {
                said.push_str(&format!("head {head}\n"));
            }
            if *before_chain > 0 {
                said.push_str(&format!(
                    "{before_chain} entries are older than the chain and not vouched for\n"
                ));
            }
            (said, true)
        }
        Verdict::Broken(broken) => (format!("the audit log is broken: {broken}\n"), false),
    }
}

/// Opens the database beside whoever else uses it.
///
/// # Errors
/// One that is not there, or not of this version.
pub(crate) async fn open(config: &Config) -> Result<Db> {
    let db = match &config.database {
        Database::Postgres(url) => Db::postgres(url.expose())
            .await
            .context("the PostgreSQL database of DATABASE_URL cannot be opened")?,
        Database::Sqlite(path) => {
            if !path.exists() {
                bail!("there is no database {}", path.display());
            }
            Db::sqlite(path)
                .await
                .with_context(|| format!("the database {} cannot be opened", path.display()))?
        }
    };
    if !db
        .is_migrated()
        .await
        .context("the database's version cannot be read")?
    {
        bail!("the database is of another version: start the gateway once to migrate it");
    }
    Ok(db)
}
