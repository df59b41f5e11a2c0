//! The addresses and devices that people signed in from.

use base::Millis;

use crate::db::{Counted, Db, On, Result, Tx};
use crate::sql;

/// Remembers a place, or that it was used again.
pub async fn put<'a>(
    on: impl Into<On<'a>>,
    user_id: &str,
    kind: &str,
    hash: &str,
    now: Millis,
) -> Result<()> {
    sql!(
        "INSERT INTO known_places (user_id, kind, hash, last_seen_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, kind, hash) DO UPDATE SET last_seen_at = excluded.last_seen_at"
    )
    .bind(user_id)
    .bind(kind)
    .bind(hash)
    .bind(now)
    .execute(on)
    .await
    .map(drop)
}

/// Whether a place was used since `since`.
pub async fn is_known(
    db: &Db,
    user_id: &str,
    kind: &str,
    hash: &str,
    since: Millis,
) -> Result<bool> {
    let counted: Counted = sql!(
        "SELECT COUNT(*) AS count FROM known_places
         WHERE user_id = $1 AND kind = $2 AND hash = $3 AND last_seen_at >= $4"
    )
    .bind(user_id)
    .bind(kind)
    .bind(hash)
    .bind(since)
    .one(db)
    .await?;
    Ok(counted.count > 0)
}

pub async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<u64> {
    sql!("DELETE FROM known_places WHERE user_id = $1")
        .bind(user_id)
        .execute(tx)
        .await
}

pub async fn delete_unused(tx: &mut Tx, before: Millis) -> Result<u64> {
    sql!("DELETE FROM known_places WHERE last_seen_at < $1")
        .bind(before)
        .execute(tx)
        .await
}
