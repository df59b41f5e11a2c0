//! Deployments: models made through the API. Those of the configuration file are not stored.

use base::Millis;

use crate::db::{Db, On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `deployments`.
    #[derive(Clone, Debug)]
    pub struct DeploymentRow {
        pub id: String,
        pub model_name: String,
        pub params: Json<Object>,
        pub info: Json<Object>,
        pub team_id: Option<String>,
        pub blocked: bool,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

/// Adds a row. A taken id or unique name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, deployment: &DeploymentRow) -> Result<()> {
    sql!(
        "INSERT INTO deployments (
            id, model_name, params, info, team_id, blocked, created_at, created_by, updated_at,
            updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&deployment.id)
    .bind(&deployment.model_name)
    .bind(&deployment.params)
    .bind(&deployment.info)
    .bind(&deployment.team_id)
    .bind(deployment.blocked)
    .bind(deployment.created_at)
    .bind(&deployment.created_by)
    .bind(deployment.updated_at)
    .bind(&deployment.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, deployment: &DeploymentRow) -> Result<u64> {
    sql!(
        "UPDATE deployments SET
            model_name = $2, params = $3, info = $4, team_id = $5, blocked = $6, updated_at = $7,
            updated_by = $8
         WHERE id = $1"
    )
    .bind(&deployment.id)
    .bind(&deployment.model_name)
    .bind(&deployment.params)
    .bind(&deployment.info)
    .bind(&deployment.team_id)
    .bind(deployment.blocked)
    .bind(deployment.updated_at)
    .bind(&deployment.updated_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<DeploymentRow>> {
    sql!("SELECT * FROM deployments WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<DeploymentRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM deployments WHERE id = $1"),
        Tx::Postgres(_) => sql!(
            Postgres,
            "SELECT * FROM deployments WHERE id = $1 FOR UPDATE"
        ),
    };
    query.bind(id).optional(tx).await
}

pub async fn list(db: &Db) -> Result<Vec<DeploymentRow>> {
    sql!("SELECT * FROM deployments ORDER BY created_at, id")
        .all(db)
        .await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM deployments WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}
