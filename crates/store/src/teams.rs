//! Teams and their members.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{On, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `teams`.
    #[derive(Clone, Debug)]
    pub struct TeamRow {
        pub id: String,
        pub alias: Option<String>,
        pub organization_id: Option<String>,
        pub models: Json<Vec<String>>,
        pub model_aliases: Json<BTreeMap<String, String>>,
        pub default_member_models: Json<Vec<String>>,
        pub member_permissions: Json<Vec<String>>,
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
pub async fn insert<'a>(on: impl Into<On<'a>>, team: &TeamRow) -> Result<()> {
    sql!(
        "INSERT INTO teams (
            id, alias, organization_id, models, model_aliases, default_member_models,
            member_permissions, metadata, settings, blocked, rpm_limit, tpm_limit, tpd_limit,
            max_parallel_requests, created_at, created_by, updated_at, updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    )
    .bind(&team.id)
    .bind(&team.alias)
    .bind(&team.organization_id)
    .bind(&team.models)
    .bind(&team.model_aliases)
    .bind(&team.default_member_models)
    .bind(&team.member_permissions)
    .bind(&team.metadata)
    .bind(&team.settings)
    .bind(team.blocked)
    .bind(team.rpm_limit)
    .bind(team.tpm_limit)
    .bind(team.tpd_limit)
    .bind(team.max_parallel_requests)
    .bind(team.created_at)
    .bind(&team.created_by)
    .bind(team.updated_at)
    .bind(&team.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, team: &TeamRow) -> Result<u64> {
    sql!(
        "UPDATE teams SET
            alias = $2, organization_id = $3, models = $4, model_aliases = $5,
            default_member_models = $6, member_permissions = $7, metadata = $8, settings = $9,
            blocked = $10, rpm_limit = $11, tpm_limit = $12, tpd_limit = $13,
            max_parallel_requests = $14, updated_at = $15, updated_by = $16
         WHERE id = $1"
    )
    .bind(&team.id)
    .bind(&team.alias)
    .bind(&team.organization_id)
    .bind(&team.models)
    .bind(&team.model_aliases)
    .bind(&team.default_member_models)
    .bind(&team.member_permissions)
    .bind(&team.metadata)
    .bind(&team.settings)
    .bind(team.blocked)
    .bind(team.rpm_limit)
    .bind(team.tpm_limit)
    .bind(team.tpd_limit)
    .bind(team.max_parallel_requests)
    .bind(team.updated_at)
    .bind(&team.updated_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<TeamRow>> {
    sql!("SELECT * FROM teams WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<TeamRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM teams WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM teams WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

row! {
    /// One row of `team_members`: a user in a team. Budgets hang on its `id`.
    #[derive(Clone, Debug)]
    pub struct MemberRow {
        pub id: String,
        pub team_id: String,
        pub user_id: String,
        pub role: String,
        pub allowed_models: Json<Vec<String>>,
        pub rpm_limit: Option<i64>,
        pub tpm_limit: Option<i64>,
        pub created_at: Millis,
        pub updated_at: Millis,
    }
}

/// Adds a member. A user who is in the team already is a unique violation.
pub async fn insert_member<'a>(on: impl Into<On<'a>>, member: &MemberRow) -> Result<()> {
    sql!(
        "INSERT INTO team_members (
            id, team_id, user_id, role, allowed_models, rpm_limit, tpm_limit, created_at, updated_at)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&member.id)
    .bind(&member.team_id)
    .bind(&member.user_id)
    .bind(&member.role)
    .bind(&member.allowed_models)
    .bind(member.rpm_limit)
    .bind(member.tpm_limit)
    .bind(member.created_at)
    .bind(member.updated_at)
    .execute(on)
    .await
    .map(drop)
}

pub async fn find_member<'a>(
    on: impl Into<On<'a>>,
    team_id: &str,
    user_id: &str,
) -> Result<Option<MemberRow>> {
    sql!("SELECT * FROM team_members WHERE team_id = $1 AND user_id = $2")
        .bind(team_id)
        .bind(user_id)
        .optional(on)
        .await
}
