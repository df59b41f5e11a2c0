//! Sessions of people who signed in, and the tokens that stand for them. Tokens are kept as hashes.

use base::Millis;

use crate::db::{On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `sessions`.
    #[derive(Clone, Debug)]
    pub struct SessionRow {
        pub id: String,
        pub user_id: String,
        pub method: String,
        pub stamp: Option<String>,
        pub created_at: Millis,
        pub last_used_at: Millis,
        pub expires_at: Millis,
        pub address: Option<String>,
        pub user_agent: Option<String>,
    }
}

row! {
    /// One row of `session_tokens`.
    #[derive(Clone, Debug)]
    pub struct TokenRow {
        pub hash: String,
        pub session_id: String,
        pub created_at: Millis,
        pub valid_until: Option<Millis>,
    }
}

pub async fn insert<'a>(on: impl Into<On<'a>>, session: &SessionRow) -> Result<()> {
    sql!(
        "INSERT INTO sessions (
            id, user_id, method, stamp, created_at, last_used_at, expires_at, address, user_agent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&session.id)
    .bind(&session.user_id)
    .bind(&session.method)
    .bind(&session.stamp)
    .bind(session.created_at)
    .bind(session.last_used_at)
    .bind(session.expires_at)
    .bind(&session.address)
    .bind(&session.user_agent)
    .execute(on)
    .await
    .map(drop)
}

pub async fn insert_token<'a>(on: impl Into<On<'a>>, token: &TokenRow) -> Result<()> {
    sql!(
        "INSERT INTO session_tokens (hash, session_id, created_at, valid_until)
         VALUES ($1, $2, $3, $4)"
    )
    .bind(&token.hash)
    .bind(&token.session_id)
    .bind(token.created_at)
    .bind(token.valid_until)
    .execute(on)
    .await
    .map(drop)
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<SessionRow>> {
    sql!("SELECT * FROM sessions WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

pub async fn find_token<'a>(on: impl Into<On<'a>>, hash: &str) -> Result<Option<TokenRow>> {
    sql!("SELECT * FROM session_tokens WHERE hash = $1")
        .bind(hash)
        .optional(on)
        .await
}

/// Lets a token end at `until`, if it was to be valid as long as its session; gives `false` when
/// another has done so.
pub async fn retire_token(tx: &mut Tx, hash: &str, until: Millis) -> Result<bool> {
    let retired =
        sql!("UPDATE session_tokens SET valid_until = $2 WHERE hash = $1 AND valid_until IS NULL")
            .bind(hash)
            .bind(until)
            .execute(tx)
            .await?;
    Ok(retired == 1)
}

/// Says that a session is in use.
pub async fn touch<'a>(on: impl Into<On<'a>>, id: &str, now: Millis) -> Result<()> {
    sql!("UPDATE sessions SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2")
        .bind(id)
        .bind(now)
        .execute(on)
        .await
        .map(drop)
}

/// The sessions of a user, the newest first.
pub async fn list_of_user<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<Vec<SessionRow>> {
    sql!("SELECT * FROM sessions WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1000")
        .bind(user_id)
        .all(on)
        .await
}

/// Ends a session.
pub async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    sql!("DELETE FROM session_tokens WHERE session_id = $1")
        .bind(id)
        .execute(&mut *tx)
        .await?;
    sql!("DELETE FROM sessions WHERE id = $1")
        .bind(id)
        .execute(tx)
        .await
}

/// Ends all sessions of a user.
pub async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<u64> {
    sql!(
        "DELETE FROM session_tokens
         WHERE session_id IN (SELECT id FROM sessions WHERE user_id = $1)"
    )
    .bind(user_id)
    .execute(&mut *tx)
    .await?;
    sql!("DELETE FROM sessions WHERE user_id = $1")
        .bind(user_id)
        .execute(tx)
        .await
}

/// Forgets sessions that have ended by themselves, and tokens that were replaced.
pub async fn delete_expired(tx: &mut Tx, now: Millis, idle_since: Millis) -> Result<u64> {
    sql!(
        "DELETE FROM session_tokens WHERE valid_until <= $1 OR session_id IN (
            SELECT id FROM sessions WHERE expires_at <= $1 OR last_used_at <= $2)"
    )
    .bind(now)
    .bind(idle_since)
    .execute(&mut *tx)
    .await?;
    sql!("DELETE FROM sessions WHERE expires_at <= $1 OR last_used_at <= $2")
        .bind(now)
        .bind(idle_since)
        .execute(tx)
        .await
}
