//! Changes made by other processes: read from the database each second, so that what this process
//! keeps in memory follows.

use std::time::Duration;

use base::{Millis, Result};

use crate::{Change, Domain, storage};

const PERIOD: Duration = Duration::from_secs(1);
/// Changes older than this have been seen by every process, and are deleted.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often old changes are deleted.
const CLEANED: Duration = Duration::from_secs(60 * 60);

/// The number of the last change. To be read before anything is kept in memory.
pub async fn last(domain: &Domain) -> Result<i64> {
    store::changes::last(&domain.db).await.map_err(storage)
}

/// Follows the changes after `seen` until the process ends.
pub async fn follow(domain: Domain, mut seen: i64) {
    let mut cleaned_at = domain.clock.now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.tasks.stopping() => return,
        }
        if let Err(error) = apply(&domain, &mut seen).await {
            tracing::warn!(%error, "changes of other processes could not be read; trying again");
            continue;
        }
        let now = domain.clock.now();
        if now.since(cleaned_at) >= CLEANED {
            cleaned_at = now;
            clean(&domain, now).await;
        }
    }
}

/// Applies all changes after `seen`, and moves it.
///
/// # Errors
/// When the database does not answer; what was not applied is applied next time.
pub async fn apply(domain: &Domain, seen: &mut i64) -> Result<()> {
    loop {
        let changes = store::changes::list_after(&domain.db, *seen)
            .await
            .map_err(storage)?;
        let Some(last) = changes.last() else {
            return Ok(());
        };
        let last = last.sequence;
        let known = changes
            .iter()
            .filter_map(|change| Change::read(&change.kind, &change.id));
        domain.refresh(known).await?;
        *seen = last;
    }
}

async fn clean(domain: &Domain, now: Millis) {
    if let Err(error) = store::changes::forget_before(&domain.db, now - KEPT).await {
        tracing::warn!(%error, "old changes could not be deleted");
    }
}
