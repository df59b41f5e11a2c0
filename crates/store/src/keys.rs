//! Virtual keys. `id` is what counters and ledger rows hang on; `hash` changes with each rotation.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{Db, Dialect, On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

pub use crate::key_lists::*;

row! {
    /// One row of `keys`.
    #[derive(Clone, Debug, Default)]
    pub struct KeyRow {
        pub id: String,
        pub hash: String,
        pub name: String,
        pub alias: Option<String>,
        pub user_id: Option<String>,
        pub team_id: Option<String>,
        pub organization_id: Option<String>,
        pub models: Json<Vec<String>>,
        pub aliases: Json<BTreeMap<String, String>>,
        pub allowed_routes: Json<Vec<String>>,
        pub key_type: Option<String>,
        pub permissions: Json<Object>,
        pub metadata: Json<Object>,
        pub settings: Json<Object>,
        pub blocked: Option<bool>,
        pub expires_at: Option<Millis>,
        pub rpm_limit: Option<i64>,
        pub tpm_limit: Option<i64>,
        pub tpd_limit: Option<i64>,
        pub max_parallel_requests: Option<i64>,
        pub auto_rotate: bool,
        pub rotation_interval: Option<String>,
        pub rotation_count: i64,
        pub last_rotation_at: Option<Millis>,
        pub next_rotation_at: Option<Millis>,
        pub last_used_at: Option<Millis>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
        pub deleted_at: Option<Millis>,
        pub deleted_by: Option<String>,
        /// Addresses and networks that it may be used from; none: from everywhere.
        pub allowed_ips: Json<Vec<String>>,
        /// Bait: nobody should ever use it.
        pub canary: bool,
        /// How long it still works once it is due to be replaced.
        pub rotation_grace_period: Option<String>,
        /// It is due to be replaced, and stops working then.
        pub rotate_by: Option<Millis>,
        /// Of how many days before it expires its owner was last reminded.
        pub expiry_reminder: Option<i64>,
    }
}

/// Adds a row. A taken id or unique name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, key: &KeyRow) -> Result<()> {
    sql!(
        "INSERT INTO keys (
            id, hash, name, alias, user_id, team_id, organization_id, models, aliases, allowed_routes,
            key_type, permissions, metadata, settings, blocked, expires_at, rpm_limit, tpm_limit,
            tpd_limit, max_parallel_requests, auto_rotate, rotation_interval, rotation_count,
            last_rotation_at, next_rotation_at, last_used_at, created_at, created_by, updated_at,
            updated_by, deleted_at, deleted_by, allowed_ips, canary, rotation_grace_period, rotate_by,
            expiry_reminder)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37)"
    )
    .bind(&key.id)
    .bind(&key.hash)
    .bind(&key.name)
    .bind(&key.alias)
    .bind(&key.user_id)
    .bind(&key.team_id)
    .bind(&key.organization_id)
    .bind(&key.models)
    .bind(&key.aliases)
    .bind(&key.allowed_routes)
    .bind(&key.key_type)
    .bind(&key.permissions)
    .bind(&key.metadata)
    .bind(&key.settings)
    .bind(key.blocked)
    .bind(key.expires_at)
    .bind(key.rpm_limit)
    .bind(key.tpm_limit)
    .bind(key.tpd_limit)
    .bind(key.max_parallel_requests)
    .bind(key.auto_rotate)
    .bind(&key.rotation_interval)
    .bind(key.rotation_count)
    .bind(key.last_rotation_at)
    .bind(key.next_rotation_at)
    .bind(key.last_used_at)
    .bind(key.created_at)
    .bind(&key.created_by)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .bind(key.deleted_at)
    .bind(&key.deleted_by)
    .bind(&key.allowed_ips)
    .bind(key.canary)
    .bind(&key.rotation_grace_period)
    .bind(key.rotate_by)
    .bind(key.expiry_reminder)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, key: &KeyRow) -> Result<u64> {
    sql!(
        "UPDATE keys SET
            hash = $2, name = $3, alias = $4, user_id = $5, team_id = $6, organization_id = $7,
            models = $8, aliases = $9, allowed_routes = $10, key_type = $11, permissions = $12,
            metadata = $13, settings = $14, blocked = $15, expires_at = $16, rpm_limit = $17,
            tpm_limit = $18, tpd_limit = $19, max_parallel_requests = $20, auto_rotate = $21,
            rotation_interval = $22, rotation_count = $23, last_rotation_at = $24,
            next_rotation_at = $25, last_used_at = $26, updated_at = $27, updated_by = $28,
            deleted_at = $29, deleted_by = $30, allowed_ips = $31, canary = $32,
            rotation_grace_period = $33, rotate_by = $34, expiry_reminder = $35
         WHERE id = $1"
    )
    .bind(&key.id)
    .bind(&key.hash)
    .bind(&key.name)
    .bind(&key.alias)
    .bind(&key.user_id)
    .bind(&key.team_id)
    .bind(&key.organization_id)
    .bind(&key.models)
    .bind(&key.aliases)
    .bind(&key.allowed_routes)
    .bind(&key.key_type)
    .bind(&key.permissions)
    .bind(&key.metadata)
    .bind(&key.settings)
    .bind(key.blocked)
    .bind(key.expires_at)
    .bind(key.rpm_limit)
    .bind(key.tpm_limit)
    .bind(key.tpd_limit)
    .bind(key.max_parallel_requests)
    .bind(key.auto_rotate)
    .bind(&key.rotation_interval)
    .bind(key.rotation_count)
    .bind(key.last_rotation_at)
    .bind(key.next_rotation_at)
    .bind(key.last_used_at)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .bind(key.deleted_at)
    .bind(&key.deleted_by)
    .bind(&key.allowed_ips)
    .bind(key.canary)
    .bind(&key.rotation_grace_period)
    .bind(key.rotate_by)
    .bind(key.expiry_reminder)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<KeyRow>> {
    sql!("SELECT * FROM keys WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<KeyRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM keys WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM keys WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

/// The live key with this hash: its own, or one it was rotated away from and that is still in its
/// grace period at `now`.
pub async fn find_by_hash<'a>(
    on: impl Into<On<'a>>,
    hash: &str,
    now: Millis,
) -> Result<Option<KeyRow>> {
    sql!(
        "SELECT * FROM keys WHERE deleted_at IS NULL AND (hash = $1 OR id = (
            SELECT key_id FROM previous_hashes WHERE hash = $1 AND valid_until > $2))"
    )
    .bind(hash)
    .bind(now)
    .optional(on)
    .await
}

/// The key with this hash, deleted or not; a live one before deleted ones.
pub async fn find_ever(db: &Db, hash: &str, now: Millis) -> Result<Option<KeyRow>> {
    if let Some(key) = find_by_hash(db, hash, now).await? {
        return Ok(Some(key));
    }
    sql!("SELECT * FROM keys WHERE hash = $1 ORDER BY deleted_at DESC LIMIT 1")
        .bind(hash)
        .optional(db)
        .await
}

/// The live key with this alias.
pub async fn find_by_alias<'a>(on: impl Into<On<'a>>, alias: &str) -> Result<Option<KeyRow>> {
    sql!("SELECT * FROM keys WHERE alias = $1 AND deleted_at IS NULL")
        .bind(alias)
        .optional(on)
        .await
}

/// Lets a key answer to a hash that it was rotated away from, for a while.
pub async fn keep_hash(tx: &mut Tx, hash: &str, key_id: &str, valid_until: Millis) -> Result<()> {
    sql!(
        "INSERT INTO previous_hashes (hash, key_id, valid_until) VALUES ($1, $2, $3)
         ON CONFLICT (hash) DO UPDATE SET
            key_id = excluded.key_id, valid_until = excluded.valid_until"
    )
    .bind(hash)
    .bind(key_id)
    .bind(valid_until)
    .execute(tx)
    .await
    .map(drop)
}

/// Ends every grace period of a key.
pub async fn forget_hashes(tx: &mut Tx, key_id: &str) -> Result<u64> {
    sql!("DELETE FROM previous_hashes WHERE key_id = $1")
        .bind(key_id)
        .execute(tx)
        .await
}

/// Notes when keys were used, by their ids.
pub async fn mark_used(tx: &mut Tx, used: &BTreeMap<String, Millis>) -> Result<()> {
    if used.is_empty() {
        return Ok(());
    }
    let query = match tx.dialect() {
        Dialect::Postgres => sql!(
            Postgres,
            "UPDATE keys SET last_used_at = CAST(used.value AS BIGINT)
             FROM json_each_text(CAST($1 AS JSON)) AS used WHERE keys.id = used.key"
        ),
        Dialect::Sqlite => sql!(
            Sqlite,
            "UPDATE keys SET last_used_at = used.value
             FROM json_each($1) AS used WHERE keys.id = used.key"
        ),
    };
    let times: BTreeMap<&str, i64> = used.iter().map(|(id, at)| (id.as_str(), at.0)).collect();
    let times = serde_json::to_string(&times).expect("names and numbers are JSON");
    query.bind(times).execute(tx).await.map(drop)
}

/// The keys among these ids, deleted ones too.
pub async fn find_many<'a>(on: impl Into<On<'a>>, ids: &[String]) -> Result<Vec<KeyRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(Postgres, "SELECT * FROM keys WHERE id = ANY($1)"),
        false => sql!(
            Sqlite,
            "SELECT * FROM keys WHERE id IN (SELECT value FROM json_each($1))"
        ),
    };
    query.bind(ids).all(on).await
}

row! {
    /// The id of a key.
    pub struct IdRow {
        pub id: String,
    }
}

/// The id of the key that has or had this hash, the live one first.
pub async fn find_id_by_any_hash(db: &Db, hash: &str) -> Result<Option<String>> {
    let found: Option<IdRow> = sql!(
        "SELECT id FROM keys
         WHERE hash = $1 OR id IN (SELECT key_id FROM previous_hashes WHERE hash = $1)
         ORDER BY COALESCE(deleted_at, 9223372036854775807) DESC LIMIT 1"
    )
    .bind(hash)
    .optional(db)
    .await?;
    Ok(found.map(|row| row.id))
}

/// Marks a key as deleted; gives 0 when it is already.
pub async fn mark_deleted(tx: &mut Tx, id: &str, at: Millis, by: &Option<String>) -> Result<u64> {
    sql!("UPDATE keys SET deleted_at = $2, deleted_by = $3 WHERE id = $1 AND deleted_at IS NULL")
        .bind(id)
        .bind(at)
        .bind(by)
        .execute(tx)
        .await
}

/// The keys of an organization that are not deleted, newest first.
pub async fn live_of_organization<'a>(
    on: impl Into<On<'a>>,
    organization_id: &str,
) -> Result<Vec<KeyRow>> {
    sql!(
        "SELECT * FROM keys WHERE deleted_at IS NULL AND organization_id = $1
         ORDER BY created_at DESC, id DESC"
    )
    .bind(organization_id)
    .all(on)
    .await
}
