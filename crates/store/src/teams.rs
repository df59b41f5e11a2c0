//! Teams and their members.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{Counted, Db, On, Result, Select, Tx, containing};
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

/// Adds a row; gives `false` when its id is taken.
pub async fn insert<'a>(on: impl Into<On<'a>>, team: &TeamRow) -> Result<bool> {
    let added = sql!(
        "INSERT INTO teams (
            id, alias, organization_id, models, model_aliases, default_member_models,
            member_permissions, metadata, settings, blocked, rpm_limit, tpm_limit, tpd_limit,
            max_parallel_requests, created_at, created_by, updated_at, updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT DO NOTHING"
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
    .await?;
    Ok(added == 1)
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

/// The teams among these ids that exist.
pub async fn find_many<'a>(on: impl Into<On<'a>>, ids: &[String]) -> Result<Vec<TeamRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(Postgres, "SELECT * FROM teams WHERE id = ANY($1)"),
        false => sql!(
            Sqlite,
            "SELECT * FROM teams WHERE id IN (SELECT value FROM json_each($1))"
        ),
    };
    query.bind(ids).all(on).await
}

/// The teams of an organization, oldest first.
pub async fn of_organization<'a>(
    on: impl Into<On<'a>>,
    organization_id: &str,
) -> Result<Vec<TeamRow>> {
    sql!("SELECT * FROM teams WHERE organization_id = $1 ORDER BY created_at, id")
        .bind(organization_id)
        .all(on)
        .await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM teams WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

/// Which teams to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A member.
    pub user_id: Option<String>,
    pub organization_id: Option<String>,
    pub id: Option<String>,
    /// Part of an alias.
    pub alias: Option<String>,
    /// Part of an id or an alias.
    pub search: Option<String>,
}

/// What a list of teams is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    Alias,
    CreatedAt,
}

impl Sort {
    /// The order, and the same backwards.
    fn clauses(self) -> [&'static str; 2] {
        match self {
            Sort::Id => [" ORDER BY id", " ORDER BY id DESC"],
            Sort::Alias => [
                " ORDER BY COALESCE(alias, ''), id",
                " ORDER BY COALESCE(alias, '') DESC, id DESC",
            ],
            Sort::CreatedAt => [
                " ORDER BY created_at, id",
                " ORDER BY created_at DESC, id DESC",
            ],
        }
    }
}

/// One page of the teams that the filter lets through.
pub async fn page(
    db: &Db,
    filter: &Filter,
    sort: Sort,
    descending: bool,
    limit: i64,
    offset: i64,
) -> Result<Vec<TeamRow>> {
    filter
        .narrow(Select::new("SELECT * FROM teams WHERE 1 = 1"))
        .then(sort.clauses()[usize::from(descending)])
        .then_with(" LIMIT ?", limit)
        .then_with(" OFFSET ?", offset)
        .query()
        .all(db)
        .await
}

/// How many teams the filter lets through.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let select = Select::new("SELECT COUNT(*) AS count FROM teams WHERE 1 = 1");
    let counted: Counted = filter.narrow(select).query().one(db).await?;
    Ok(counted.count)
}

impl Filter {
    fn narrow(&self, select: Select) -> Select {
        select
            .when(
                "id IN (SELECT team_id FROM team_members WHERE user_id = ?)",
                self.user_id.as_ref(),
            )
            .when("organization_id = ?", self.organization_id.as_ref())
            .when("id = ?", self.id.as_ref())
            .when(
                "LOWER(alias) LIKE ? ESCAPE '!'",
                self.alias.as_deref().map(containing),
            )
            .when(
                "(LOWER(id) LIKE ? ESCAPE '!' OR LOWER(alias) LIKE ? ESCAPE '!')",
                self.search.as_deref().map(containing),
            )
    }
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

/// Adds a member; gives `false` when the user is in the team already.
pub async fn insert_member<'a>(on: impl Into<On<'a>>, member: &MemberRow) -> Result<bool> {
    let added = sql!(
        "INSERT INTO team_members (
            id, team_id, user_id, role, allowed_models, rpm_limit, tpm_limit, created_at, updated_at)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT DO NOTHING"
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
    .await?;
    Ok(added == 1)
}

/// Writes what may change of a membership; gives 0 when there is none.
pub async fn update_member<'a>(on: impl Into<On<'a>>, member: &MemberRow) -> Result<u64> {
    sql!(
        "UPDATE team_members SET
            role = $2, allowed_models = $3, rpm_limit = $4, tpm_limit = $5, updated_at = $6
         WHERE id = $1"
    )
    .bind(&member.id)
    .bind(&member.role)
    .bind(&member.allowed_models)
    .bind(member.rpm_limit)
    .bind(member.tpm_limit)
    .bind(member.updated_at)
    .execute(on)
    .await
}

pub async fn delete_member<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM team_members WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
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

pub async fn find_member_by_id(db: &Db, id: &str) -> Result<Option<MemberRow>> {
    sql!("SELECT * FROM team_members WHERE id = $1")
        .bind(id)
        .optional(db)
        .await
}

/// The members of these teams, in the order in which they joined.
pub async fn members_of_teams<'a>(
    on: impl Into<On<'a>>,
    team_ids: &[String],
) -> Result<Vec<MemberRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM team_members WHERE team_id = ANY($1) ORDER BY created_at, id"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM team_members WHERE team_id IN (SELECT value FROM json_each($1))
             ORDER BY created_at, id"
        ),
    };
    query.bind(team_ids).all(on).await
}

/// The memberships of these users, in the order in which they joined.
pub async fn memberships_of_users<'a>(
    on: impl Into<On<'a>>,
    user_ids: &[String],
) -> Result<Vec<MemberRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM team_members WHERE user_id = ANY($1) ORDER BY created_at, id"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM team_members WHERE user_id IN (SELECT value FROM json_each($1))
             ORDER BY created_at, id"
        ),
    };
    query.bind(user_ids).all(on).await
}
