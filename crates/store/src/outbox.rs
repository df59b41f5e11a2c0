//! Mail on its way.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `outbox`.
    #[derive(Clone, Debug)]
    pub struct OutboxRow {
        pub id: String,
        pub event: String,
        pub recipient: String,
        pub subject: String,
        pub content: String,
        pub once: Option<String>,
        pub created_at: Millis,
        pub attempts: i64,
        pub next_attempt_at: Option<Millis>,
        pub sent_at: Option<Millis>,
        pub failed_at: Option<Millis>,
        pub last_error: Option<String>,
    }
}

/// Adds mail; gives `false` when what it tells once was told before.
pub async fn insert<'a>(on: impl Into<On<'a>>, mail: &OutboxRow) -> Result<bool> {
    let added = sql!(
        "INSERT INTO outbox (
            id, event, recipient, subject, content, once, created_at, attempts, next_attempt_at,
            sent_at, failed_at, last_error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (once) DO NOTHING"
    )
    .bind(&mail.id)
    .bind(&mail.event)
    .bind(&mail.recipient)
    .bind(&mail.subject)
    .bind(&mail.content)
    .bind(&mail.once)
    .bind(mail.created_at)
    .bind(mail.attempts)
    .bind(mail.next_attempt_at)
    .bind(mail.sent_at)
    .bind(mail.failed_at)
    .bind(&mail.last_error)
    .execute(on)
    .await?;
    Ok(added == 1)
}

/// Mail that is to be tried now, the oldest first.
pub async fn due(db: &Db, now: Millis) -> Result<Vec<OutboxRow>> {
    sql!(
        "SELECT * FROM outbox WHERE next_attempt_at IS NOT NULL AND next_attempt_at <= $1
         ORDER BY next_attempt_at, id LIMIT 20"
    )
    .bind(now)
    .all(db)
    .await
}

/// Takes mail for an attempt, so that no other process tries it before `until`; gives `false` when
/// another has taken it.
pub async fn take(db: &Db, mail: &OutboxRow, until: Millis) -> Result<bool> {
    let taken = sql!(
        "UPDATE outbox SET next_attempt_at = $3, attempts = attempts + 1
         WHERE id = $1 AND next_attempt_at = $2"
    )
    .bind(&mail.id)
    .bind(mail.next_attempt_at)
    .bind(until)
    .execute(db)
    .await?;
    Ok(taken == 1)
}

pub async fn sent(db: &Db, id: &str, now: Millis) -> Result<()> {
    sql!(
        "UPDATE outbox SET sent_at = $2, next_attempt_at = NULL, content = '', last_error = NULL
         WHERE id = $1"
    )
    .bind(id)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// An attempt that failed, and when the next is.
pub async fn failed(db: &Db, id: &str, error: &str, next_attempt_at: Millis) -> Result<()> {
    sql!("UPDATE outbox SET next_attempt_at = $3, last_error = $2 WHERE id = $1")
        .bind(id)
        .bind(error)
        .bind(next_attempt_at)
        .execute(db)
        .await
        .map(drop)
}

/// Mail that will not be tried again.
pub async fn give_up(db: &Db, id: &str, error: &str, now: Millis) -> Result<()> {
    sql!(
        "UPDATE outbox
         SET failed_at = $3, next_attempt_at = NULL, content = '', last_error = $2 WHERE id = $1"
    )
    .bind(id)
    .bind(error)
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// The newest mail first, at most a thousand.
pub async fn list(db: &Db) -> Result<Vec<OutboxRow>> {
    sql!("SELECT * FROM outbox ORDER BY created_at DESC, id DESC LIMIT 1000")
        .all(db)
        .await
}

/// Forgets mail that was sent or given up long ago.
pub async fn delete_done(tx: &mut Tx, before: Millis) -> Result<u64> {
    sql!("DELETE FROM outbox WHERE next_attempt_at IS NULL AND created_at < $1")
        .bind(before)
        .execute(tx)
        .await
}

/// Mail that is not yet forgotten and sealed otherwise than with this beginning.
pub async fn sealed_otherwise(db: &Db, prefix: &str) -> Result<Vec<OutboxRow>> {
    sql!(
        "SELECT * FROM outbox
         WHERE content <> '' AND substr(content, 1, length($1)) <> $1 ORDER BY id"
    )
    .bind(prefix)
    .all(db)
    .await
}

/// Puts another ciphertext of the same letter in place of one, unless that has changed meanwhile.
pub async fn reseal(tx: &mut Tx, id: &str, old: &str, new: &str) -> Result<u64> {
    sql!("UPDATE outbox SET content = $3 WHERE id = $1 AND content = $2")
        .bind(id)
        .bind(old)
        .bind(new)
        .execute(tx)
        .await
}
