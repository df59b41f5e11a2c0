//! Users. E-mail addresses are kept in lower case.

use base::Millis;

use crate::db::{On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `users`.
    #[derive(Clone, Debug)]
    pub struct UserRow {
        pub id: String,
        pub email: Option<String>,
        pub alias: Option<String>,
        pub role: Option<String>,
        pub sso_subject: Option<String>,
        pub password_hash: Option<String>,
        pub models: Json<Vec<String>>,
        pub metadata: Json<Object>,
        pub settings: Json<Object>,
        pub blocked: bool,
        pub rpm_limit: Option<i64>,
        pub tpm_limit: Option<i64>,
        pub tpd_limit: Option<i64>,
        pub max_parallel_requests: Option<i64>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

/// Adds a row. A taken id or unique name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, user: &UserRow) -> Result<()> {
    sql!(
        "INSERT INTO users (
            id, email, alias, role, sso_subject, password_hash, models, metadata, settings, blocked,
            rpm_limit, tpm_limit, tpd_limit, max_parallel_requests, created_at, created_by, updated_at,
            updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    )
    .bind(&user.id)
    .bind(&user.email)
    .bind(&user.alias)
    .bind(&user.role)
    .bind(&user.sso_subject)
    .bind(&user.password_hash)
    .bind(&user.models)
    .bind(&user.metadata)
    .bind(&user.settings)
    .bind(user.blocked)
    .bind(user.rpm_limit)
    .bind(user.tpm_limit)
    .bind(user.tpd_limit)
    .bind(user.max_parallel_requests)
    .bind(user.created_at)
    .bind(&user.created_by)
    .bind(user.updated_at)
    .bind(&user.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, user: &UserRow) -> Result<u64> {
    sql!(
        "UPDATE users SET
            email = $2, alias = $3, role = $4, sso_subject = $5, password_hash = $6, models = $7,
            metadata = $8, settings = $9, blocked = $10, rpm_limit = $11, tpm_limit = $12,
            tpd_limit = $13, max_parallel_requests = $14, updated_at = $15, updated_by = $16
         WHERE id = $1"
    )
    .bind(&user.id)
    .bind(&user.email)
    .bind(&user.alias)
    .bind(&user.role)
    .bind(&user.sso_subject)
    .bind(&user.password_hash)
    .bind(&user.models)
    .bind(&user.metadata)
    .bind(&user.settings)
    .bind(user.blocked)
    .bind(user.rpm_limit)
    .bind(user.tpm_limit)
    .bind(user.tpd_limit)
    .bind(user.max_parallel_requests)
    .bind(user.updated_at)
    .bind(&user.updated_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<UserRow>> {
    sql!("SELECT * FROM users WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<UserRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM users WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM users WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

pub async fn find_by_email<'a>(on: impl Into<On<'a>>, email: &str) -> Result<Option<UserRow>> {
    sql!("SELECT * FROM users WHERE email = $1")
        .bind(email.to_lowercase())
        .optional(on)
        .await
}
