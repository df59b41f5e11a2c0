//! Organizations.

use base::Millis;

use crate::db::{On, Result, Select, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `organizations`.
    #[derive(Clone, Debug)]
    pub struct OrganizationRow {
        pub id: String,
        pub alias: Option<String>,
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
pub async fn insert<'a>(on: impl Into<On<'a>>, organization: &OrganizationRow) -> Result<()> {
    sql!(
        "INSERT INTO organizations (
            id, alias, models, metadata, settings, blocked, rpm_limit, tpm_limit, tpd_limit,
            max_parallel_requests, created_at, created_by, updated_at, updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    )
    .bind(&organization.id)
    .bind(&organization.alias)
    .bind(&organization.models)
    .bind(&organization.metadata)
    .bind(&organization.settings)
    .bind(organization.blocked)
    .bind(organization.rpm_limit)
    .bind(organization.tpm_limit)
    .bind(organization.tpd_limit)
    .bind(organization.max_parallel_requests)
    .bind(organization.created_at)
    .bind(&organization.created_by)
    .bind(organization.updated_at)
    .bind(&organization.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, organization: &OrganizationRow) -> Result<u64> {
    sql!(
        "UPDATE organizations SET
            alias = $2, models = $3, metadata = $4, settings = $5, blocked = $6, rpm_limit = $7,
            tpm_limit = $8, tpd_limit = $9, max_parallel_requests = $10, updated_at = $11,
            updated_by = $12
         WHERE id = $1"
    )
    .bind(&organization.id)
    .bind(&organization.alias)
    .bind(&organization.models)
    .bind(&organization.metadata)
    .bind(&organization.settings)
    .bind(organization.blocked)
    .bind(organization.rpm_limit)
    .bind(organization.tpm_limit)
    .bind(organization.tpd_limit)
    .bind(organization.max_parallel_requests)
    .bind(organization.updated_at)
    .bind(&organization.updated_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<OrganizationRow>> {
    sql!("SELECT * FROM organizations WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<OrganizationRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM organizations WHERE id = $1"),
        Tx::Postgres(_) => sql!(
            Postgres,
            "SELECT * FROM organizations WHERE id = $1 FOR UPDATE"
        ),
    };
    query.bind(id).optional(tx).await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM organizations WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

/// Which organizations to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A member.
    pub user_id: Option<String>,
    pub id: Option<String>,
    pub alias: Option<String>,
}

/// The organizations that the filter lets through, oldest first.
pub async fn list<'a>(on: impl Into<On<'a>>, filter: &Filter) -> Result<Vec<OrganizationRow>> {
    Select::new("SELECT * FROM organizations WHERE 1 = 1")
        .when(
            "id IN (SELECT organization_id FROM organization_members WHERE user_id = ?)",
            filter.user_id.as_ref(),
        )
        .when("id = ?", filter.id.as_ref())
        .when("alias = ?", filter.alias.as_ref())
        .then(" ORDER BY created_at, id")
        .query()
        .all(on)
        .await
}

row! {
    /// One row of `organization_members`: a user in an organization. Budgets hang on its `id`.
    #[derive(Clone, Debug)]
    pub struct OrganizationMemberRow {
        pub id: String,
        pub organization_id: String,
        pub user_id: String,
        pub role: String,
        pub created_at: Millis,
        pub updated_at: Millis,
    }
}

/// Adds a member; gives `false` when the user is in the organization already.
pub async fn insert_member<'a>(
    on: impl Into<On<'a>>,
    member: &OrganizationMemberRow,
) -> Result<bool> {
    let added = sql!(
        "INSERT INTO organization_members (
            id, organization_id, user_id, role, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING"
    )
    .bind(&member.id)
    .bind(&member.organization_id)
    .bind(&member.user_id)
    .bind(&member.role)
    .bind(member.created_at)
    .bind(member.updated_at)
    .execute(on)
    .await?;
    Ok(added == 1)
}

/// Writes what may change of a membership; gives 0 when there is none.
pub async fn update_member<'a>(
    on: impl Into<On<'a>>,
    member: &OrganizationMemberRow,
) -> Result<u64> {
    sql!("UPDATE organization_members SET role = $2, updated_at = $3 WHERE id = $1")
        .bind(&member.id)
        .bind(&member.role)
        .bind(member.updated_at)
        .execute(on)
        .await
}

pub async fn delete_member<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM organization_members WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

pub async fn find_member<'a>(
    on: impl Into<On<'a>>,
    organization_id: &str,
    user_id: &str,
) -> Result<Option<OrganizationMemberRow>> {
    sql!("SELECT * FROM organization_members WHERE organization_id = $1 AND user_id = $2")
        .bind(organization_id)
        .bind(user_id)
        .optional(on)
        .await
}

pub async fn find_member_by_id<'a>(
    on: impl Into<On<'a>>,
    id: &str,
) -> Result<Option<OrganizationMemberRow>> {
    sql!("SELECT * FROM organization_members WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// The members of an organization, in the order in which they joined.
pub async fn members<'a>(
    on: impl Into<On<'a>>,
    organization_id: &str,
) -> Result<Vec<OrganizationMemberRow>> {
    sql!(
        "SELECT * FROM organization_members WHERE organization_id = $1
         ORDER BY created_at, user_id"
    )
    .bind(organization_id)
    .all(on)
    .await
}

/// The organizations that a user is in.
pub async fn memberships_of_user<'a>(
    on: impl Into<On<'a>>,
    user_id: &str,
) -> Result<Vec<OrganizationMemberRow>> {
    sql!(
        "SELECT * FROM organization_members WHERE user_id = $1 ORDER BY created_at, organization_id"
    )
    .bind(user_id)
    .all(on)
    .await
}
