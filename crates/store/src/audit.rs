//! The audit log: who changed what, append-only.

use base::Millis;

use crate::db::{On, Result};
use crate::{row, sql};

row! {
    /// One row of `audit`. `before` and `after` are JSON without secrets.
    #[derive(Clone, Debug)]
    pub struct AuditRow {
        pub id: String,
        pub at: Millis,
        pub actor_user_id: Option<String>,
        pub actor_key_id: Option<String>,
        pub changed_by: Option<String>,
        pub action: String,
        pub object_kind: String,
        pub object_id: String,
        pub before: Option<String>,
        pub after: Option<String>,
    }
}

/// Adds an entry, in the transaction that makes the change.
pub async fn insert<'a>(on: impl Into<On<'a>>, entry: &AuditRow) -> Result<()> {
    sql!(
        "INSERT INTO audit (
            id, at, actor_user_id, actor_key_id, changed_by, action, object_kind, object_id, before,
            after)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&entry.id)
    .bind(entry.at)
    .bind(&entry.actor_user_id)
    .bind(&entry.actor_key_id)
    .bind(&entry.changed_by)
    .bind(&entry.action)
    .bind(&entry.object_kind)
    .bind(&entry.object_id)
    .bind(&entry.before)
    .bind(&entry.after)
    .execute(on)
    .await
    .map(drop)
}

/// The entries about objects of one kind, oldest first, at most a thousand.
pub async fn list<'a>(on: impl Into<On<'a>>, object_kind: &str) -> Result<Vec<AuditRow>> {
    sql!("SELECT * FROM audit WHERE object_kind = $1 ORDER BY at, id LIMIT 1000")
        .bind(object_kind)
        .all(on)
        .await
}
