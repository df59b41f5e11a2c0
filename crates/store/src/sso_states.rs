//! States of sign-ins at an identity provider that were used, known by their SHA-256.

use base::Millis;

use crate::db::{Result, Tx};
use crate::sql;

/// Uses a state up; gives `false` when it was used before.
pub async fn insert(tx: &mut Tx, hash: &str, expires_at: Millis) -> Result<bool> {
    let added =
        sql!("INSERT INTO sso_states (hash, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(hash)
            .bind(expires_at)
            .execute(tx)
            .await?;
    Ok(added == 1)
}

pub async fn delete_expired(tx: &mut Tx, now: Millis) -> Result<u64> {
    sql!("DELETE FROM sso_states WHERE expires_at <= $1")
        .bind(now)
        .execute(tx)
        .await
}
