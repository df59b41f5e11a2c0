//! Virtual keys. `id` is what counters and ledger rows hang on; `hash` changes with each rotation.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{Db, On, Result, Select, Tx};
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

/// The keys that are not deleted, of a user, of a team, or of both; newest first.
pub async fn live<'a>(
    on: impl Into<On<'a>>,
    user_id: Option<&str>,
    team_id: Option<&str>,
    limit: i64,
) -> Result<Vec<KeyRow>> {
    Select::new("SELECT * FROM keys WHERE deleted_at IS NULL")
        .when("user_id = ?", user_id)
        .when("team_id = ?", team_id)
        .then(" ORDER BY created_at DESC, id DESC")
        .then_with(" LIMIT ?", limit)
        .query()
        .all(on)
        .await
}

/// The keys of these teams that are not deleted, newest first.
pub async fn live_of_teams<'a>(on: impl Into<On<'a>>, team_ids: &[String]) -> Result<Vec<KeyRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM keys WHERE deleted_at IS NULL AND team_id = ANY($1)
             ORDER BY created_at DESC, id DESC"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM keys WHERE deleted_at IS NULL
                AND team_id IN (SELECT value FROM json_each($1))
             ORDER BY created_at DESC, id DESC"
        ),
    };
    query.bind(team_ids).all(on).await
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

row! {
    /// How many keys a user has.
    pub struct UserKeysRow {
        pub id: String,
        pub count: i64,
    }
}

/// How many keys these users have that are not deleted.
pub async fn count_by_user(db: &Db, user_ids: &[String]) -> Result<Vec<UserKeysRow>> {
    let query = match On::from(db).is_postgres() {
        true => sql!(
            Postgres,
            "SELECT user_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND user_id = ANY($1) GROUP BY user_id"
        ),
        false => sql!(
            Sqlite,
            "SELECT user_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND user_id IN (SELECT value FROM json_each($1))
             GROUP BY user_id"
        ),
    };
    query.bind(user_ids).all(db).await
}
