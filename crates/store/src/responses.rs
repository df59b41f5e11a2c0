//! Answers of `/v1/responses` that the gateway keeps itself.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `responses`.
    #[derive(Clone, Debug)]
    pub struct ResponseRow {
        pub id: String,
        pub key_id: Option<String>,
        pub user_id: Option<String>,
        pub created_at: Millis,
        pub expires_at: Millis,
        pub input: String,
        pub body: String,
    }
}

/// Keeps an answer. One that is kept already stays as it is.
pub async fn insert(tx: &mut Tx, row: &ResponseRow) -> Result<()> {
    sql!(
        "INSERT INTO responses (id, key_id, user_id, created_at, expires_at, input, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING"
    )
    .bind(&row.id)
    .bind(&row.key_id)
    .bind(&row.user_id)
    .bind(row.created_at)
    .bind(row.expires_at)
    .bind(&row.input)
    .bind(&row.body)
    .execute(tx)
    .await
    .map(drop)
}

pub async fn find(db: &Db, id: &str) -> Result<Option<ResponseRow>> {
    sql!("SELECT * FROM responses WHERE id = $1")
        .bind(id)
        .optional(db)
        .await
}

/// Whether there was one.
pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<bool> {
    let deleted = sql!("DELETE FROM responses WHERE id = $1")
        .bind(id)
        .execute(on)
        .await?;
    Ok(deleted > 0)
}

/// Deletes what nobody may ask for any more.
pub async fn delete_expired<'a>(on: impl Into<On<'a>>, now: Millis) -> Result<u64> {
    sql!("DELETE FROM responses WHERE expires_at <= $1")
        .bind(now)
        .execute(on)
        .await
}
