//! Users. E-mail addresses are kept in lower case.

use base::Millis;

use crate::db::{Counted, Db, On, Result, Select, Tx, containing};
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

/// Adds a row; gives `false` when its id, e-mail address or SSO subject is taken. Waits for another
/// transaction that is adding the same.
pub async fn insert<'a>(on: impl Into<On<'a>>, user: &UserRow) -> Result<bool> {
    let added = sql!(
        "INSERT INTO users (
            id, email, alias, role, sso_subject, password_hash, models, metadata, settings, blocked,
            rpm_limit, tpm_limit, tpd_limit, max_parallel_requests, created_at, created_by, updated_at,
            updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT DO NOTHING"
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
    .await?;
    Ok(added == 1)
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

pub async fn find_by_sso_subject<'a>(
    on: impl Into<On<'a>>,
    subject: &str,
) -> Result<Option<UserRow>> {
    sql!("SELECT * FROM users WHERE sso_subject = $1")
        .bind(subject)
        .optional(on)
        .await
}

/// The users among these ids that exist.
pub async fn find_many<'a>(on: impl Into<On<'a>>, ids: &[String]) -> Result<Vec<UserRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(Postgres, "SELECT * FROM users WHERE id = ANY($1)"),
        false => sql!(
            Sqlite,
            "SELECT * FROM users WHERE id IN (SELECT value FROM json_each($1))"
        ),
    };
    query.bind(ids).all(on).await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM users WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

/// Which users to list; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub role: Option<String>,
    /// Part of an e-mail address.
    pub email: Option<String>,
    /// Part of an id or an e-mail address.
    pub search: Option<String>,
    pub ids: Option<Vec<String>>,
    pub sso_subjects: Option<Vec<String>>,
    pub team_id: Option<String>,
    pub organization_ids: Option<Vec<String>>,
}

/// What a list of users is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    Email,
    Alias,
    Role,
    CreatedAt,
    Spend,
}

impl Sort {
    /// The order, and the same backwards.
    fn clauses(self) -> [&'static str; 2] {
        match self {
            Sort::Id => [" ORDER BY id", " ORDER BY id DESC"],
            Sort::Email => [
                " ORDER BY COALESCE(email, ''), id",
                " ORDER BY COALESCE(email, '') DESC, id DESC",
            ],
            Sort::Alias => [
                " ORDER BY COALESCE(alias, ''), id",
                " ORDER BY COALESCE(alias, '') DESC, id DESC",
            ],
            Sort::Role => [
                " ORDER BY COALESCE(role, ''), id",
                " ORDER BY COALESCE(role, '') DESC, id DESC",
            ],
            Sort::CreatedAt => [
                " ORDER BY created_at, id",
                " ORDER BY created_at DESC, id DESC",
            ],
            Sort::Spend => [
                " ORDER BY COALESCE(counters.settled, 0), id",
                " ORDER BY COALESCE(counters.settled, 0) DESC, id DESC",
            ],
        }
    }
}

/// One page of the users that the filter lets through.
pub async fn page(
    db: &Db,
    filter: &Filter,
    sort: Sort,
    descending: bool,
    limit: i64,
    offset: i64,
) -> Result<Vec<UserRow>> {
    let select = Select::new(
        "SELECT users.* FROM users
         LEFT JOIN counters ON counters.scope_kind = 'user' AND counters.scope_id = users.id
            AND counters.counter = 'main'
         WHERE 1 = 1",
    );
    filter
        .narrow(select, db)
        .then(sort.clauses()[usize::from(descending)])
        .then_with(" LIMIT ?", limit)
        .then_with(" OFFSET ?", offset)
        .query()
        .all(db)
        .await
}

/// How many users the filter lets through.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let select = Select::new("SELECT COUNT(*) AS count FROM users WHERE 1 = 1");
    let counted: Counted = filter.narrow(select, db).query().one(db).await?;
    Ok(counted.count)
}

impl Filter {
    fn narrow(&self, select: Select, db: &Db) -> Select {
        let postgres = On::from(db).is_postgres();
        let either = |of_postgres, of_sqlite| if postgres { of_postgres } else { of_sqlite };
        select
            .when("role = ?", self.role.as_ref())
            .when(
                "email LIKE ? ESCAPE '!'",
                self.email.as_deref().map(containing),
            )
            .when(
                "(LOWER(id) LIKE ? ESCAPE '!' OR email LIKE ? ESCAPE '!')",
                self.search.as_deref().map(containing),
            )
            .when(
                either("id = ANY(?)", "id IN (SELECT value FROM json_each(?))"),
                self.ids.as_deref(),
            )
            .when(
                either(
                    "sso_subject = ANY(?)",
                    "sso_subject IN (SELECT value FROM json_each(?))",
                ),
                self.sso_subjects.as_deref(),
            )
            .when(
                "id IN (SELECT user_id FROM team_members WHERE team_id = ?)",
                self.team_id.as_ref(),
            )
            .when(
                either(
                    "id IN (SELECT user_id FROM organization_members
                        WHERE organization_id = ANY(?))",
                    "id IN (SELECT user_id FROM organization_members
                        WHERE organization_id IN (SELECT value FROM json_each(?)))",
                ),
                self.organization_ids.as_deref(),
            )
    }
}
