//! Replacing a key's plain text: everything else stays, its spend, its limits, its alias (contract
//! §8.7).

use base::{Millis, Result, Secret};
use store::Tx;
use store::keys::KeyRow;

use super::fields::{KeyPatch, next_rotation, span};
use super::generate::{check_custom, masked};
use super::plain::random;
use super::{
    NewKey, Selector, described, lock, missing, note, permissions, taken, told, update, view,
};
use crate::audit::{Action, Actor};
use crate::{Change, Domain, auth, storage};

/// Which key is replaced, and how.
#[derive(Debug)]
pub struct Rotation {
    pub selector: Selector,
    /// The new plain text, where the caller has chosen one.
    pub plain: Option<Secret>,
    /// How long the old one still works: a duration; none or blank for not at all.
    pub grace: Option<String>,
    /// What changes with it.
    pub patch: KeyPatch,
}

/// Gives a key another plain text.
///
/// # Errors
/// As for an update; 409 for a chosen text that exists.
pub async fn rotate(domain: &Domain, actor: &Actor, mut rotation: Rotation) -> Result<NewKey> {
    domain.ledger.flush().await?;
    let now = domain.clock.now();
    let grace = rotation.grace.as_deref().map(str::trim);
    let grace = match grace.filter(|grace| !grace.is_empty()) {
        Some(grace) => Some(span("grace_period", grace)?.after(now)),
        None => None,
    };
    let plain = match rotation.plain {
        Some(plain) => check_custom(domain, plain, now).await?,
        None => random()?,
    };
    let mut tx = domain.begin().await?;
    let mut row = lock(domain, &mut tx, &rotation.selector)
        .await?
        .ok_or_else(|| missing("Key not found."))?;
    permissions::may_rotate(&mut tx, actor, &row).await?;
    let before = described(&row);
    if !rotation.patch.is_empty() {
        update::apply(domain, actor, &mut tx, &mut row, &mut rotation.patch).await?;
    }
    let old = put_plain(&mut tx, &mut row, &plain, grace, now).await?;
    super::touch(&mut row, actor, now);
    store::keys::update(&mut tx, &row)
        .await
        .map_err(|failure| taken(&row, failure))?;
    told::rotated(domain, &mut tx, &row, grace).await?;
    note(domain, &mut tx, actor, Action::Rotated, &row, Some(before)).await?;
    domain
        .commit(tx, &[Change::Key(&old), Change::Key(&row.hash)])
        .await?;
    update::move_spend(domain, &row, &rotation.patch).await?;
    domain.ledger.flush().await?;
    Ok(NewKey {
        view: view(domain, row).await?,
        plain,
    })
}

/// Writes a new plain text into a row, which the caller then stores; gives the old hash, which works
/// until the end of its grace.
pub(super) async fn put_plain(
    tx: &mut Tx,
    row: &mut KeyRow,
    plain: &Secret,
    grace: Option<Millis>,
    now: Millis,
) -> Result<String> {
    let old = std::mem::replace(&mut row.hash, auth::hash(plain.expose()));
    match grace {
        Some(until) => store::keys::keep_hash(tx, &old, &row.id, until).await,
        // whoever replaces a key at once wants no older one to work either
        None => store::keys::forget_hashes(tx, &row.id).await.map(drop),
    }
    .map_err(storage)?;
    row.name = masked(plain);
    row.rotation_count += 1;
    row.last_rotation_at = Some(now);
    row.next_rotation_at = next_rotation(row, now)?;
    row.rotate_by = None;
    Ok(old)
}
