//! Invitations, known by the SHA-256 of the id in their link.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `invitations`.
    #[derive(Clone, Debug)]
    pub struct InvitationRow {
        pub hash: String,
        pub user_id: String,
        pub accepted_at: Option<Millis>,
        pub expires_at: Millis,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

pub async fn insert<'a>(on: impl Into<On<'a>>, invitation: &InvitationRow) -> Result<()> {
    sql!(
        "INSERT INTO invitations (
            hash, user_id, accepted_at, expires_at, created_at, created_by, updated_at, updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&invitation.hash)
    .bind(&invitation.user_id)
    .bind(invitation.accepted_at)
    .bind(invitation.expires_at)
    .bind(invitation.created_at)
    .bind(&invitation.created_by)
    .bind(invitation.updated_at)
    .bind(&invitation.updated_by)
    .execute(on)
    .await
    .map(drop)
}

pub async fn find(db: &Db, hash: &str) -> Result<Option<InvitationRow>> {
    sql!("SELECT * FROM invitations WHERE hash = $1")
        .bind(hash)
        .optional(db)
        .await
}

/// Reads an invitation that the open transaction is about to change; others wait for it.
pub async fn lock(tx: &mut Tx, hash: &str) -> Result<Option<InvitationRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM invitations WHERE hash = $1"),
        Tx::Postgres(_) => sql!(
            Postgres,
            "SELECT * FROM invitations WHERE hash = $1 FOR UPDATE"
        ),
    };
    query.bind(hash).optional(tx).await
}

pub async fn accept(tx: &mut Tx, hash: &str, now: Millis, by: Option<&str>) -> Result<()> {
    sql!(
        "UPDATE invitations SET accepted_at = $2, updated_at = $2, updated_by = $3 WHERE hash = $1"
    )
    .bind(hash)
    .bind(now)
    .bind(by.map(str::to_owned))
    .execute(tx)
    .await
    .map(drop)
}

pub async fn delete(tx: &mut Tx, hash: &str) -> Result<u64> {
    sql!("DELETE FROM invitations WHERE hash = $1")
        .bind(hash)
        .execute(tx)
        .await
}

/// Takes back the invitations of a user that nobody has accepted.
pub async fn delete_open(tx: &mut Tx, user_id: &str) -> Result<u64> {
    sql!("DELETE FROM invitations WHERE user_id = $1 AND accepted_at IS NULL")
        .bind(user_id)
        .execute(tx)
        .await
}

pub async fn delete_of_user(tx: &mut Tx, user_id: &str) -> Result<u64> {
    sql!("DELETE FROM invitations WHERE user_id = $1")
        .bind(user_id)
        .execute(tx)
        .await
}
