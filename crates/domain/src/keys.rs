//! Virtual keys: making, changing, rotating, blocking and deleting them (contract §3.3–3.5, §4.4,
//! §8).
//!
//! The plain text of a key exists in the answer that makes it and nowhere else; everything that
//! hangs on a key hangs on its id, which a rotation leaves alone.

mod caps;
mod fields;
mod generate;
pub mod life;
mod list;
pub mod own;
mod owned;
mod permissions;
pub mod plain;
mod rotate;
pub(crate) mod told;
mod update;

use base::{Code, Error, Millis, Result, Secret};
use serde_json::{Value, json};
use store::keys::{KeyRow, KeyStatus};
use store::{On, Tx};

use crate::audit::{self, Action, Actor, Entry};
use crate::entity_budgets::{self, Account};
use crate::scopes::ScopeKind;
use crate::{Change, Domain, Patch, auth, storage};

pub use caps::check_settings;
pub(crate) use caps::{hold, hold_span};
pub(crate) use fields::span;
pub use fields::{Form, Home, KEPT, Kept, KeyPatch, KeyType, Object};
pub(crate) use generate::generate_along;
pub use generate::{Custom, generate};
pub use life::claim;
pub use list::{Listing, aliases, list};
pub(crate) use owned::{Owner, delete_owned};
pub use permissions::may_see;
pub(crate) use permissions::only_for_admins;
pub use rotate::{Rotation, rotate};
pub use update::{Update, update};

/// The team whose keys are sessions of the UI (contract §3.3).
pub const UI_TEAM: &str = "litellm-dashboard";

/// A key, its limits and what it has spent.
#[derive(Clone, Debug)]
pub struct KeyView {
    pub row: KeyRow,
    pub account: Account,
    pub status: KeyStatus,
}

/// A key and its plain text, which is never seen again.
#[derive(Debug)]
pub struct NewKey {
    pub view: KeyView,
    pub plain: Secret,
}

/// How a request names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By its hash.
    Hash(String),
    Alias(String),
}

impl Selector {
    /// A key in plain text, or its hash: every endpoint takes both.
    pub fn key(text: &str) -> Selector {
        let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_hash {
            true => Selector::Hash(text.to_ascii_lowercase()),
            false => Selector::Hash(auth::hash(text)),
        }
    }
}

/// Reads what belongs to a row.
pub async fn view(domain: &Domain, row: KeyRow) -> Result<KeyView> {
    let account = entity_budgets::account(domain, ScopeKind::Key, &row.id).await?;
    let status = status(&row, domain.clock.now());
    Ok(KeyView {
        row,
        account,
        status,
    })
}

/// Reads what belongs to several rows.
pub async fn views(domain: &Domain, rows: Vec<KeyRow>) -> Result<Vec<KeyView>> {
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut accounts = entity_budgets::accounts(domain, ScopeKind::Key, &ids).await?;
    let now = domain.clock.now();
    let views = rows.into_iter().map(|row| KeyView {
        account: accounts.remove(&row.id).unwrap_or_default(),
        status: status(&row, now),
        row,
    });
    Ok(views.collect())
}

/// The keys of teams that are not deleted, newest first.
pub async fn of_teams(domain: &Domain, team_ids: &[String]) -> Result<Vec<KeyView>> {
    let rows = store::keys::live_of_teams(&domain.db, team_ids)
        .await
        .map_err(storage)?;
    views(domain, rows).await
}

fn status(key: &KeyRow, now: Millis) -> KeyStatus {
    if key.deleted_at.is_some() {
        KeyStatus::Deleted
    } else if key.blocked == Some(true) {
        KeyStatus::Revoked
    } else if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
        KeyStatus::Expired
    } else {
        KeyStatus::Active
    }
}

/// One key, live or deleted.
///
/// # Errors
/// 404 when there is none, 403 when it is not the actor's to see.
pub async fn info(domain: &Domain, actor: &Actor, selector: &Selector) -> Result<KeyView> {
    domain.ledger.flush().await?;
    let row = match selector {
        Selector::Hash(hash) => store::keys::find_ever(&domain.db, hash, domain.clock.now()).await,
        Selector::Alias(alias) => store::keys::find_by_alias(&domain.db, alias).await,
    }
    .map_err(storage)?
    .ok_or_else(|| missing("Key not found in database"))?;
    may_see(&domain.db, actor, &row).await?;
    view(domain, row).await
}

/// Several keys; those that do not exist are left out.
pub async fn infos(domain: &Domain, actor: &Actor, keys: &[String]) -> Result<Vec<KeyView>> {
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        match info(domain, actor, &Selector::key(key)).await {
            Ok(view) => found.push(view),
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Marks keys as deleted; gives the selectors of those that were. Either all that exist are deleted
/// or none.
///
/// # Errors
/// 404 when none of them exists, 403 when one is not the actor's to delete.
pub async fn delete(
    domain: &Domain,
    actor: &Actor,
    selectors: &[Selector],
) -> Result<Vec<Selector>> {
    let mut tx = domain.begin().await?;
    let now = domain.clock.now();
    let mut deleted = Vec::new();
    let mut hashes = Vec::new();
    for selector in selectors {
        let Some(mut row) = lock(domain, &mut tx, selector).await? else {
            continue;
        };
        permissions::may_delete(&mut tx, actor, &row).await?;
        let before = described(&row);
        row.deleted_at = Some(now);
        row.deleted_by = actor.name();
        store::keys::update(&mut tx, &row).await.map_err(storage)?;
        store::keys::forget_hashes(&mut tx, &row.id)
            .await
            .map_err(storage)?;
        note(domain, &mut tx, actor, Action::Deleted, &row, Some(before)).await?;
        deleted.push(selector.clone());
        hashes.push(row.hash);
    }
    if deleted.is_empty() {
        return Err(Error::new(Code::NotFound, "No keys found").param("keys"));
    }
    let changes: Vec<Change<'_>> = hashes.iter().map(|hash| Change::Key(hash)).collect();
    domain.commit(tx, &changes).await?;
    Ok(deleted)
}

/// Whether a key works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    Block,
    Unblock,
}

/// Blocks a key or lets it work again. Effective with the next request.
///
/// # Errors
/// 404 when there is none; 403 for everybody but administrators and those of the key's team.
pub async fn switch(
    domain: &Domain,
    actor: &Actor,
    selector: &Selector,
    to: Switch,
) -> Result<KeyView> {
    let mut tx = domain.begin().await?;
    let mut row = lock(domain, &mut tx, selector)
        .await?
        .ok_or_else(|| missing("Key not found."))?;
    permissions::must_administer(&mut tx, actor, &row, "/key/block").await?;
    let before = described(&row);
    row.blocked = Some(to == Switch::Block);
    row.settings.remove(own::DISABLED_BY_OWNER);
    touch(&mut row, actor, domain.clock.now());
    store::keys::update(&mut tx, &row).await.map_err(storage)?;
    let action = match to {
        Switch::Block => Action::Blocked,
        Switch::Unblock => Action::Unblocked,
    };
    note(domain, &mut tx, actor, action, &row, Some(before)).await?;
    domain.commit(tx, &[Change::Key(&row.hash)]).await?;
    view(domain, row).await
}

/// What a reset of spend has changed.
#[derive(Debug)]
pub struct SpendReset {
    pub view: KeyView,
    pub previous: base::Money,
}

/// Moves what a key has spent down to an amount.
///
/// # Errors
/// 400 for more than it has spent, 403 for everybody but administrators and those of its team.
pub async fn reset_spend(
    domain: &Domain,
    actor: &Actor,
    selector: &Selector,
    to: base::Money,
) -> Result<SpendReset> {
    domain.ledger.flush().await?;
    let row = find(&domain.db, selector, domain.clock.now())
        .await?
        .ok_or_else(|| missing("Key not found."))?;
    let account = entity_budgets::account(domain, ScopeKind::Key, &row.id).await?;
    let mut tx = domain.begin().await?;
    permissions::must_administer(&mut tx, actor, &row, "/key/reset_spend").await?;
    if to > account.spend {
        return Err(Error::new(
            Code::BadRequest,
            format!(
                "reset_to must be between 0 and the current spend: {to} is more than {}",
                account.spend
            ),
        )
        .param("reset_to"));
    }
    let entry = Entry {
        action: Action::Updated,
        kind: "key",
        id: &row.id,
        before: Some(json!({"spend": account.spend})),
        after: Some(json!({"spend": to})),
    };
    audit::record(&mut tx, actor, domain.clock.now(), entry).await?;
    domain.commit(tx, &[Change::Key(&row.hash)]).await?;
    entity_budgets::set_spend(domain, ScopeKind::Key, &row.id, to).await?;
    domain.ledger.flush().await?;
    Ok(SpendReset {
        previous: account.spend,
        view: view(domain, row).await?,
    })
}

/// The live key that a selector names, locked for the transaction.
async fn lock(domain: &Domain, tx: &mut Tx, selector: &Selector) -> Result<Option<KeyRow>> {
    let found = find(&mut *tx, selector, domain.clock.now()).await?;
    let Some(found) = found else {
        return Ok(None);
    };
    let locked = store::keys::lock(tx, &found.id).await.map_err(storage)?;
    Ok(locked.filter(|row| row.deleted_at.is_none()))
}

async fn find<'a>(
    on: impl Into<On<'a>>,
    selector: &Selector,
    now: Millis,
) -> Result<Option<KeyRow>> {
    match selector {
        Selector::Hash(hash) => store::keys::find_by_hash(on, hash, now).await,
        Selector::Alias(alias) => store::keys::find_by_alias(on, alias).await,
    }
    .map_err(storage)
}

fn missing(message: &'static str) -> Error {
    Error::new(Code::NotFound, message).param("key")
}

fn touch(row: &mut KeyRow, actor: &Actor, now: Millis) {
    row.updated_at = now;
    row.updated_by = actor.name();
}

/// What a unique index says of a row: only the alias is chosen by people and may be taken.
fn taken(row: &KeyRow, failure: store::Failure) -> Error {
    match store::db::is_unique_violation(&failure) {
        true => {
            let alias = row.alias.as_deref().unwrap_or_default();
            Error::new(
                Code::BadRequest,
                format!(
                    "Key with alias '{alias}' already exists. Unique key aliases across all keys \
                     are required."
                ),
            )
            .param("key_alias")
        }
        false => storage(failure),
    }
}

/// An alias in the form that the configuration asks for (`enable_key_alias_format_validation`,
/// contract §3.3).
fn check_alias(domain: &Domain, alias: &Patch<String>) -> Result<()> {
    let Patch::Value(alias) = alias else {
        return Ok(());
    };
    let alias = alias.trim();
    let ends = [alias.chars().next(), alias.chars().next_back()];
    let has_form = (2..=255).contains(&alias.len())
        && ends.iter().flatten().all(char::is_ascii_alphanumeric)
        && alias
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-/.@".contains(letter));
    match has_form || alias.is_empty() || !domain.config.key_aliases_have_form {
        true => Ok(()),
        false => Err(Error::new(
            Code::BadRequest,
            "key_alias has 2 to 255 letters, digits and _ - / . @, with a letter or digit at both ends",
        )
        .param("key_alias")),
    }
}

/// Writes the audit entry of a change.
async fn note(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    action: Action,
    row: &KeyRow,
    before: Option<Value>,
) -> Result<()> {
    let entry = Entry {
        action,
        kind: "key",
        id: &row.id,
        before,
        after: (action != Action::Deleted).then(|| described(row)),
    };
    audit::record(tx, actor, domain.clock.now(), entry).await
}

/// A key for the audit log: everything but what it is, and but the values of its metadata, which may
/// hold secrets of its owner.
fn described(row: &KeyRow) -> Value {
    json!({
        "key_name": row.name,
        "key_alias": row.alias,
        "user_id": row.user_id,
        "team_id": row.team_id,
        "organization_id": row.organization_id,
        "models": row.models,
        "aliases": row.aliases,
        "allowed_routes": row.allowed_routes,
        "permissions": row.permissions,
        "metadata": row.metadata.keys().collect::<Vec<_>>(),
        "blocked": row.blocked,
        "expires_at": row.expires_at.map(Millis::to_rfc3339),
        "rpm_limit": row.rpm_limit,
        "tpm_limit": row.tpm_limit,
        "tpd_limit": row.tpd_limit,
        "max_parallel_requests": row.max_parallel_requests,
        "rotation_count": row.rotation_count,
        "rotate_by": row.rotate_by.map(Millis::to_rfc3339),
        "allowed_ips": row.allowed_ips,
        "canary": row.canary,
    })
}
