//! Keys at providers. The key itself is sealed; this module never sees it.

use base::Millis;

use crate::db::{Counted, Db, On, Result, Tx};
use crate::json::Json;
use crate::{row, sql};

row! {
    /// One row of `provider_keys`.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ProviderKeyRow {
        pub id: String,
        pub owner_kind: String,
        pub owner_id: String,
        pub provider: String,
        pub name: String,
        pub sealed: String,
        pub last4: String,
        pub position: i64,
        pub enabled: bool,
        pub fallback: String,
        pub models: Json<Vec<String>>,
        pub base_url: Option<String>,
        pub state: String,
        pub verified_at: Option<Millis>,
        pub last_used_at: Option<Millis>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

/// Adds a row. A taken id or name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, key: &ProviderKeyRow) -> Result<()> {
    sql!(
        "INSERT INTO provider_keys (
            id, owner_kind, owner_id, provider, name, sealed, last4, position, enabled, fallback,
            models, base_url, state, verified_at, last_used_at, created_at, created_by, updated_at,
            updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    )
    .bind(&key.id)
    .bind(&key.owner_kind)
    .bind(&key.owner_id)
    .bind(&key.provider)
    .bind(&key.name)
    .bind(&key.sealed)
    .bind(&key.last4)
    .bind(key.position)
    .bind(key.enabled)
    .bind(&key.fallback)
    .bind(&key.models)
    .bind(&key.base_url)
    .bind(&key.state)
    .bind(key.verified_at)
    .bind(key.last_used_at)
    .bind(key.created_at)
    .bind(&key.created_by)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes what can change of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, key: &ProviderKeyRow) -> Result<u64> {
    sql!(
        "UPDATE provider_keys SET
            name = $2, sealed = $3, last4 = $4, position = $5, enabled = $6, fallback = $7,
            models = $8, base_url = $9, state = $10, verified_at = $11, updated_at = $12,
            updated_by = $13
         WHERE id = $1"
    )
    .bind(&key.id)
    .bind(&key.name)
    .bind(&key.sealed)
    .bind(&key.last4)
    .bind(key.position)
    .bind(key.enabled)
    .bind(&key.fallback)
    .bind(&key.models)
    .bind(&key.base_url)
    .bind(&key.state)
    .bind(key.verified_at)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .execute(on)
    .await
}

/// Notes what a provider said of a key as it was at `updated_at`, unless it was changed since.
pub async fn set_state(
    tx: &mut Tx,
    id: &str,
    updated_at: Millis,
    state: &str,
    verified_at: Option<Millis>,
) -> Result<u64> {
    sql!(
        "UPDATE provider_keys SET state = $3, verified_at = $4
         WHERE id = $1 AND updated_at = $2"
    )
    .bind(id)
    .bind(updated_at)
    .bind(state)
    .bind(verified_at)
    .execute(tx)
    .await
}

/// Notes when a key was last used.
pub async fn set_used<'a>(on: impl Into<On<'a>>, id: &str, at: Millis) -> Result<u64> {
    sql!(
        "UPDATE provider_keys SET last_used_at = $2
         WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)"
    )
    .bind(id)
    .bind(at)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<ProviderKeyRow>> {
    sql!("SELECT * FROM provider_keys WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<ProviderKeyRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM provider_keys WHERE id = $1"),
        Tx::Postgres(_) => sql!(
            Postgres,
            "SELECT * FROM provider_keys WHERE id = $1 FOR UPDATE"
        ),
    };
    query.bind(id).optional(tx).await
}

/// An owner's keys, in the order in which they are asked.
pub async fn of_owner<'a>(
    on: impl Into<On<'a>>,
    kind: &str,
    id: &str,
) -> Result<Vec<ProviderKeyRow>> {
    sql!(
        "SELECT * FROM provider_keys WHERE owner_kind = $1 AND owner_id = $2
         ORDER BY provider, position, created_at, id"
    )
    .bind(kind)
    .bind(id)
    .all(on)
    .await
}

/// All keys by their ids, at the most `limit` after the id `after`.
pub async fn page<'a>(
    on: impl Into<On<'a>>,
    after: &str,
    limit: i64,
) -> Result<Vec<ProviderKeyRow>> {
    sql!("SELECT * FROM provider_keys WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after)
        .bind(limit)
        .all(on)
        .await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM provider_keys WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

/// Destroys all keys of an owner who leaves.
pub async fn delete_of_owner<'a>(on: impl Into<On<'a>>, kind: &str, id: &str) -> Result<u64> {
    sql!("DELETE FROM provider_keys WHERE owner_kind = $1 AND owner_id = $2")
        .bind(kind)
        .bind(id)
        .execute(on)
        .await
}

/// Keys that are sealed otherwise than with this beginning, at the most `limit` after the id `after`.
pub async fn sealed_otherwise(
    db: &Db,
    prefix: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<ProviderKeyRow>> {
    sql!(
        "SELECT * FROM provider_keys
         WHERE id > $1 AND substr(sealed, 1, length($2)) <> $2 ORDER BY id LIMIT $3"
    )
    .bind(after)
    .bind(prefix)
    .bind(limit)
    .all(db)
    .await
}

/// Puts another ciphertext of the same key in place of one, unless that has changed meanwhile.
pub async fn reseal(tx: &mut Tx, id: &str, old: &str, new: &str) -> Result<u64> {
    sql!("UPDATE provider_keys SET sealed = $3 WHERE id = $1 AND sealed = $2")
        .bind(id)
        .bind(old)
        .bind(new)
        .execute(tx)
        .await
}

/// How many keys are sealed with none of these beginnings; all of one length.
pub async fn count_not_sealed_with(db: &Db, prefixes: &[String]) -> Result<u64> {
    let length = prefixes.first().map_or(1, String::len);
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let query = match db {
        Db::Sqlite(_) => sql!(
            Sqlite,
            "SELECT COUNT(*) AS count FROM provider_keys
             WHERE substr(sealed, 1, $1) NOT IN (SELECT value FROM json_each($2))"
        ),
        Db::Postgres(_) => sql!(
            Postgres,
            "SELECT COUNT(*) AS count FROM provider_keys
             WHERE substr(sealed, 1, $1::int) <> ALL($2)"
        ),
    };
    let counted: Counted = query.bind(length).bind(prefixes).one(db).await?;
    Ok(u64::try_from(counted.count).unwrap_or(0))
}
