//! What identity providers say over SCIM of users and teams, besides the users' and teams' own rows.

use crate::db::{On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

/// The kind of a user's row.
pub const USER: &str = "user";
/// The kind of a team's row.
pub const TEAM: &str = "team";

row! {
    /// One row of `scim_resources`.
    #[derive(Clone, Debug)]
    pub struct ScimRow {
        pub kind: String,
        pub id: String,
        pub name: Option<String>,
        pub external_id: Option<String>,
        pub attributes: Json<Object>,
    }
}

/// Writes a row over whatever was there.
///
/// # Errors
/// A unique violation when another row of the kind has the name.
pub async fn put(tx: &mut Tx, row: &ScimRow) -> Result<()> {
    sql!(
        "INSERT INTO scim_resources (kind, id, name, external_id, attributes)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (kind, id) DO UPDATE SET
            name = excluded.name, external_id = excluded.external_id,
            attributes = excluded.attributes"
    )
    .bind(&row.kind)
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.external_id)
    .bind(&row.attributes)
    .execute(tx)
    .await
    .map(drop)
}

/// The rows of a kind among these ids.
pub async fn find_many<'a>(
    on: impl Into<On<'a>>,
    kind: &str,
    ids: &[String],
) -> Result<Vec<ScimRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM scim_resources WHERE kind = $1 AND id = ANY($2)"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM scim_resources
             WHERE kind = $1 AND id IN (SELECT value FROM json_each($2))"
        ),
    };
    query.bind(kind).bind(ids).all(on).await
}

/// The row of a kind with a name in lower case.
pub async fn find_by_name<'a>(
    on: impl Into<On<'a>>,
    kind: &str,
    name: &str,
) -> Result<Option<ScimRow>> {
    sql!("SELECT * FROM scim_resources WHERE kind = $1 AND name = $2")
        .bind(kind)
        .bind(name)
        .optional(on)
        .await
}

/// The rows of a kind with the provider's id.
pub async fn find_by_external_id<'a>(
    on: impl Into<On<'a>>,
    kind: &str,
    external_id: &str,
) -> Result<Vec<ScimRow>> {
    sql!("SELECT * FROM scim_resources WHERE kind = $1 AND external_id = $2 ORDER BY id")
        .bind(kind)
        .bind(external_id)
        .all(on)
        .await
}

pub async fn delete(tx: &mut Tx, kind: &str, id: &str) -> Result<u64> {
    sql!("DELETE FROM scim_resources WHERE kind = $1 AND id = $2")
        .bind(kind)
        .bind(id)
        .execute(tx)
        .await
}
