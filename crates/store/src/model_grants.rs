//! Models that people may use for a time although lists leave them out.

use base::Millis;

use crate::db::{On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `model_grants`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ModelGrantRow {
        pub id: String,
        pub user_id: String,
        pub team_id: Option<String>,
        pub key_id: Option<String>,
        pub model: String,
        pub level: String,
        pub until: Millis,
        pub created_at: Millis,
    }
}

pub async fn insert(tx: &mut Tx, grant: &ModelGrantRow) -> Result<()> {
    sql!(
        "INSERT INTO model_grants (id, user_id, team_id, key_id, model, level, until, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&grant.id)
    .bind(&grant.user_id)
    .bind(&grant.team_id)
    .bind(&grant.key_id)
    .bind(&grant.model)
    .bind(&grant.level)
    .bind(grant.until)
    .bind(grant.created_at)
    .execute(tx)
    .await
    .map(drop)
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<ModelGrantRow>> {
    sql!("SELECT * FROM model_grants WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

pub async fn delete(tx: &mut Tx, id: &str) -> Result<u64> {
    sql!("DELETE FROM model_grants WHERE id = $1")
        .bind(id)
        .execute(tx)
        .await
}

/// What a person is granted at a moment, with the keys of a team or with personal ones.
pub async fn of_user<'a>(
    on: impl Into<On<'a>>,
    user_id: &str,
    team_id: Option<&str>,
    now: Millis,
) -> Result<Vec<ModelGrantRow>> {
    sql!(
        "SELECT * FROM model_grants
         WHERE user_id = $1 AND COALESCE(team_id, '') = $2 AND until > $3 ORDER BY until, id"
    )
    .bind(user_id)
    .bind(team_id.unwrap_or_default())
    .bind(now)
    .all(on)
    .await
}
