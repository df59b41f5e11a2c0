//! What happens to keys in time: they become due to be replaced, and they expire; those whom it
//! concerns are told before (contract §8.7).
//!
//! The plain text of a key is in the answer that makes it and nowhere else, so nothing here makes one.
//! A key that is due works on for its grace period, and until then (or later, with other credentials)
//! its owner claims the new one: the text is made when it is claimed, and goes to whoever claims it.

use std::time::Duration;

use base::{Code, Error, Millis, Result};
use store::Tx;
use store::keys::KeyRow;

use super::fields::{REMINDERS, days_of, span};
use super::plain::random;
use super::rotate::put_plain;
use super::{NewKey, Selector, described, lock, missing, note, permissions, told, view};
use crate::audit::{Action, Actor};
use crate::{Change, Domain, storage};

/// How often is looked for keys that are due.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// Keys that are tended at once; the others come next.
const MOST: i64 = 500;

/// Tends keys until the process ends.
pub async fn run(domain: Domain) {
    loop {
        if let Err(error) = tend(&domain).await {
            tracing::warn!(%error, "keys that are due could not be tended; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.tasks.stopping() => return,
        }
    }
}

/// Begins the replacement of keys that are due, and reminds of those that are about to expire.
///
/// # Errors
/// When the database does not answer; what was not done is done next time.
pub async fn tend(domain: &Domain) -> Result<()> {
    let now = domain.clock.now();
    let due = store::keys::due_for_rotation(&domain.db, now, MOST)
        .await
        .map_err(storage)?;
    for key in due {
        begin_rotation(domain, &key.id, now).await?;
    }
    // the last word first: who has heard it needs none of the earlier ones
    let mut days = REMINDERS;
    days.sort_unstable();
    for days in days {
        let until = now + days_of(days);
        let expiring = store::keys::about_to_expire(&domain.db, now, until, days, MOST)
            .await
            .map_err(storage)?;
        for key in expiring {
            remind(domain, &key.id, days, now).await?;
        }
    }
    Ok(())
}

/// From now on a key is due to be replaced.
async fn begin_rotation(domain: &Domain, id: &str, now: Millis) -> Result<()> {
    let mut tx = domain.begin().await?;
    let Some(mut row) = locked(&mut tx, id).await? else {
        return Ok(());
    };
    let is_due = row.auto_rotate && row.next_rotation_at.is_some_and(|at| at <= now);
    if !is_due || row.rotate_by.is_some() {
        // another process was faster
        return Ok(());
    }
    let before = described(&row);
    let grace = match row.rotation_grace_period.as_deref() {
        Some(grace) => span("rotation_grace_period", grace)?,
        None => domain.config.rotation_grace_period,
    };
    let until = grace.after(now);
    row.rotate_by = Some(until);
    store::keys::update(&mut tx, &row).await.map_err(storage)?;
    told::due(domain, &mut tx, &row, until).await?;
    let actor = Actor::system();
    note(domain, &mut tx, &actor, Action::Updated, &row, Some(before)).await?;
    domain.commit(tx, &[Change::Key(&row.hash)]).await
}

/// Reminds that a key expires.
async fn remind(domain: &Domain, id: &str, days: i64, now: Millis) -> Result<()> {
    let mut tx = domain.begin().await?;
    let Some(mut row) = locked(&mut tx, id).await? else {
        return Ok(());
    };
    let expires_at = row
        .expires_at
        .filter(|at| *at > now && *at <= now + days_of(days));
    let Some(expires_at) = expires_at else {
        return Ok(());
    };
    if row.expiry_reminder.is_some_and(|said| said <= days) {
        return Ok(());
    }
    row.expiry_reminder = Some(days);
    store::keys::update(&mut tx, &row).await.map_err(storage)?;
    told::expiring(domain, &mut tx, &row, expires_at, days).await?;
    tx.commit().await.map_err(storage)
}

async fn locked(tx: &mut Tx, id: &str) -> Result<Option<KeyRow>> {
    let row = store::keys::lock(tx, id).await.map_err(storage)?;
    Ok(row.filter(|row| row.deleted_at.is_none()))
}

/// Gives the successor of a key that is due to be replaced to whoever may have it: the key itself as
/// long as it works, its owner, and administrators. The old one works until the end of its grace
/// period.
///
/// # Errors
/// 400 for a key that is not due, 403 for somebody else's, 404 for none.
pub async fn claim(domain: &Domain, actor: &Actor, selector: &Selector) -> Result<NewKey> {
    domain.ledger.flush().await?;
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let mut row = lock(domain, &mut tx, selector)
        .await?
        .ok_or_else(|| missing("Key not found."))?;
    if actor.key_id() != Some(row.id.as_str()) {
        permissions::may_rotate(&mut tx, actor, &row).await?;
    }
    let Some(rotate_by) = row.rotate_by else {
        return Err(Error::new(
            Code::BadRequest,
            "this key is not due to be replaced; POST /key/regenerate replaces a key at any time",
        )
        .param("key"));
    };
    let before = described(&row);
    let plain = random()?;
    let grace = Some(rotate_by).filter(|rotate_by| *rotate_by > now);
    let old = put_plain(&mut tx, &mut row, &plain, grace, now).await?;
    super::touch(&mut row, actor, now);
    store::keys::update(&mut tx, &row).await.map_err(storage)?;
    told::rotated(domain, &mut tx, &row, grace).await?;
    note(domain, &mut tx, actor, Action::Rotated, &row, Some(before)).await?;
    domain
        .commit(tx, &[Change::Key(&old), Change::Key(&row.hash)])
        .await?;
    Ok(NewKey {
        view: view(domain, row).await?,
        plain,
    })
}
