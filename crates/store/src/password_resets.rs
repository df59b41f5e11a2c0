//! Links that let somebody set a new password, known by their SHA-256.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `password_resets`.
    #[derive(Clone, Debug)]
    pub struct ResetRow {
        pub hash: String,
        pub user_id: String,
        pub created_at: Millis,
        pub expires_at: Millis,
    }
}

pub async fn insert<'a>(on: impl Into<On<'a>>, reset: &ResetRow) -> Result<()> {
    sql!(
        "INSERT INTO password_resets (hash, user_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4)"
    )
    .bind(&reset.hash)
    .bind(&reset.user_id)
    .bind(reset.created_at)
    .bind(reset.expires_at)
    .execute(on)
    .await
    .map(drop)
}

pub async fn find(db: &Db, hash: &str) -> Result<Option<ResetRow>> {
    sql!("SELECT * FROM password_resets WHERE hash = $1")
        .bind(hash)
        .optional(db)
        .await
}

/// Uses a link up; gives 0 when somebody else has.
pub async fn delete(tx: &mut Tx, hash: &str) -> Result<u64> {
    sql!("DELETE FROM password_resets WHERE hash = $1")
        .bind(hash)
        .execute(tx)
        .await
}

pub async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<u64> {
    sql!("DELETE FROM password_resets WHERE user_id = $1")
        .bind(user_id)
        .execute(tx)
        .await
}

pub async fn delete_expired(tx: &mut Tx, now: Millis) -> Result<u64> {
    sql!("DELETE FROM password_resets WHERE expires_at <= $1")
        .bind(now)
        .execute(tx)
        .await
}
