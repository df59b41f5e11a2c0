//! Virtual keys. `id` is what counters and ledger rows hang on; `hash` changes with each rotation.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `keys`.
    #[derive(Clone, Debug)]
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
            updated_by, deleted_at, deleted_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)"
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
            deleted_at = $29, deleted_by = $30
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
pub async fn find_by_hash(db: &Db, hash: &str, now: Millis) -> Result<Option<KeyRow>> {
    sql!(
        "SELECT * FROM keys WHERE deleted_at IS NULL AND (hash = $1 OR id = (
            SELECT key_id FROM previous_hashes WHERE hash = $1 AND valid_until > $2))"
    )
    .bind(hash)
    .bind(now)
    .optional(db)
    .await
}

/// Notes that a key was used.
pub async fn mark_used(tx: &mut Tx, id: &str, at: Millis) -> Result<u64> {
    sql!("UPDATE keys SET last_used_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at)
        .execute(tx)
        .await
}
