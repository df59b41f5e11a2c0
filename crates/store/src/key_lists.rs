//! Lists of keys: by what callers ask for, and by whom keys belong to.

use base::Millis;

use crate::db::{Db, On, Query, Result, Select, containing};
use crate::keys::KeyRow;
use crate::{row, sql};

/// Which keys are listed. Every field narrows the list; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// What a caller may see; `None`: all.
    pub visible: Option<Visible>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub organization_id: Option<String>,
    pub hash: Option<String>,
    pub alias: Option<String>,
    /// A part of the alias, in any case.
    pub alias_part: Option<String>,
    /// A whole hash, or a part of the alias.
    pub search: Option<String>,
    pub status: Option<KeyStatus>,
    pub has_expired: Option<bool>,
    /// A team whose keys are never listed.
    pub hidden_team: Option<String>,
}

/// The keys that a user may see.
#[derive(Clone, Debug)]
pub struct Visible {
    /// Keys of this user.
    pub user_id: String,
    /// Also keys of the teams that the user administers.
    pub of_administered_teams: bool,
    /// Also keys that the user has made for others.
    pub made_by_user: bool,
}

/// What a key is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    Active,
    Expired,
    /// Blocked.
    Revoked,
    Deleted,
}

impl KeyStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            KeyStatus::Active => "active",
            KeyStatus::Expired => "expired",
            KeyStatus::Revoked => "revoked",
            KeyStatus::Deleted => "deleted",
        }
    }
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyOrder {
    #[default]
    CreatedAt,
    UpdatedAt,
    Spend,
    MaxBudget,
    Alias,
    Hash,
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    pub offset: i64,
    pub limit: i64,
    pub descending: bool,
}

impl KeyOrder {
    /// What the statement knows the order as.
    fn named(self, descending: bool) -> String {
        let name = match self {
            KeyOrder::CreatedAt => "created_at",
            KeyOrder::UpdatedAt => "updated_at",
            KeyOrder::Spend => "spend",
            KeyOrder::MaxBudget => "max_budget",
            KeyOrder::Alias => "alias",
            KeyOrder::Hash => "hash",
        };
        let direction = if descending { "down" } else { "up" };
        format!("{name} {direction}")
    }
}

/// The keys that a filter leaves, in order.
pub async fn list(
    db: &Db,
    filter: &KeyFilter,
    order: KeyOrder,
    slice: Slice,
    now: Millis,
) -> Result<Vec<KeyRow>> {
    let query = sql!(
        "SELECT keys.* FROM keys
         LEFT JOIN counters ON counters.scope_kind = 'key' AND counters.scope_id = keys.id
            AND counters.counter = 'main'
         LEFT JOIN budgets ON budgets.scope_kind = 'key' AND budgets.scope_id = keys.id
            AND budgets.counter = 'main' AND budgets.enforcement = 'hard'
         WHERE (CAST($1 AS TEXT) IS NULL OR keys.user_id = $1
               OR ($2 AND keys.team_id IN (
                  SELECT team_id FROM team_members WHERE user_id = $1 AND role = 'admin'))
               OR ($3 AND keys.created_by = $1))
            AND (CAST($4 AS TEXT) IS NULL OR keys.user_id = $4)
            AND (CAST($5 AS TEXT) IS NULL OR keys.team_id = $5)
            AND (CAST($6 AS TEXT) IS NULL OR keys.organization_id = $6)
            AND (CAST($7 AS TEXT) IS NULL OR keys.hash = $7)
            AND (CAST($8 AS TEXT) IS NULL OR keys.alias = $8)
            AND (CAST($9 AS TEXT) IS NULL OR LOWER(keys.alias) LIKE $9 ESCAPE '!')
            AND (CAST($10 AS TEXT) IS NULL OR keys.hash = $11
               OR LOWER(keys.alias) LIKE $10 ESCAPE '!')
            AND (CAST($12 AS TEXT) IS NULL OR keys.team_id IS NULL OR keys.team_id <> $12)
            AND ((keys.deleted_at IS NOT NULL) = ($13 = 'deleted'))
            AND ($13 <> 'revoked' OR keys.blocked)
            AND ($13 <> 'active' OR (NOT COALESCE(keys.blocked, FALSE)
               AND (keys.expires_at IS NULL OR keys.expires_at > $15)))
            AND ($13 <> 'expired' OR keys.expires_at <= $15)
            AND (CAST($14 AS BOOLEAN) IS NULL
               OR $14 = (keys.expires_at IS NOT NULL AND keys.expires_at <= $15))
         ORDER BY
            CASE $16 WHEN 'alias up' THEN COALESCE(keys.alias, '')
               WHEN 'hash up' THEN keys.hash END,
            CASE $16 WHEN 'alias down' THEN COALESCE(keys.alias, '')
               WHEN 'hash down' THEN keys.hash END DESC,
            CASE $16 WHEN 'created_at up' THEN keys.created_at
               WHEN 'updated_at up' THEN keys.updated_at
               WHEN 'spend up' THEN COALESCE(counters.settled, 0)
               WHEN 'max_budget up' THEN COALESCE(budgets.amount, -1) END,
            CASE $16 WHEN 'created_at down' THEN keys.created_at
               WHEN 'updated_at down' THEN keys.updated_at
               WHEN 'spend down' THEN COALESCE(counters.settled, 0)
               WHEN 'max_budget down' THEN COALESCE(budgets.amount, -1) END DESC,
            keys.id DESC
         LIMIT $17 OFFSET $18"
    );
    filter
        .bind(query, now)
        .bind(order.named(slice.descending))
        .bind(slice.limit)
        .bind(slice.offset)
        .all(db)
        .await
}

row! {
    /// How many rows there are.
    pub struct CountRow {
        pub count: i64,
    }
}

/// How many keys a filter leaves.
pub async fn count(db: &Db, filter: &KeyFilter, now: Millis) -> Result<i64> {
    let query = sql!(
        "SELECT COUNT(*) AS count FROM keys
         WHERE (CAST($1 AS TEXT) IS NULL OR keys.user_id = $1
               OR ($2 AND keys.team_id IN (
                  SELECT team_id FROM team_members WHERE user_id = $1 AND role = 'admin'))
               OR ($3 AND keys.created_by = $1))
            AND (CAST($4 AS TEXT) IS NULL OR keys.user_id = $4)
            AND (CAST($5 AS TEXT) IS NULL OR keys.team_id = $5)
            AND (CAST($6 AS TEXT) IS NULL OR keys.organization_id = $6)
            AND (CAST($7 AS TEXT) IS NULL OR keys.hash = $7)
            AND (CAST($8 AS TEXT) IS NULL OR keys.alias = $8)
            AND (CAST($9 AS TEXT) IS NULL OR LOWER(keys.alias) LIKE $9 ESCAPE '!')
            AND (CAST($10 AS TEXT) IS NULL OR keys.hash = $11
               OR LOWER(keys.alias) LIKE $10 ESCAPE '!')
            AND (CAST($12 AS TEXT) IS NULL OR keys.team_id IS NULL OR keys.team_id <> $12)
            AND ((keys.deleted_at IS NOT NULL) = ($13 = 'deleted'))
            AND ($13 <> 'revoked' OR keys.blocked)
            AND ($13 <> 'active' OR (NOT COALESCE(keys.blocked, FALSE)
               AND (keys.expires_at IS NULL OR keys.expires_at > $15)))
            AND ($13 <> 'expired' OR keys.expires_at <= $15)
            AND (CAST($14 AS BOOLEAN) IS NULL
               OR $14 = (keys.expires_at IS NOT NULL AND keys.expires_at <= $15))"
    );
    let row: CountRow = filter.bind(query, now).one(db).await?;
    Ok(row.count)
}

impl KeyFilter {
    /// Binds the values of the condition that [`list`] and [`count`] share.
    fn bind(&self, query: Query, now: Millis) -> Query {
        let visible = self.visible.as_ref();
        query
            .bind(visible.map(|visible| visible.user_id.as_str()))
            .bind(visible.is_some_and(|visible| visible.of_administered_teams))
            .bind(visible.is_some_and(|visible| visible.made_by_user))
            .bind(&self.user_id)
            .bind(&self.team_id)
            .bind(&self.organization_id)
            .bind(&self.hash)
            .bind(&self.alias)
            .bind(self.alias_part.as_deref().map(containing))
            .bind(self.search.as_deref().map(containing))
            .bind(&self.search)
            .bind(&self.hidden_team)
            .bind(self.status.map_or("any", KeyStatus::as_str))
            .bind(self.has_expired)
            .bind(now)
    }
}

/// The keys that are not deleted, of a user, of a team, or of both; newest first.
pub async fn live<'a>(
    on: impl Into<On<'a>>,
    user_id: Option<&str>,
    team_id: Option<&str>,
    limit: i64,
) -> Result<Vec<KeyRow>> {
    Select::new("SELECT * FROM keys WHERE deleted_at IS NULL")
        .when("user_id = ?", user_id)
        .when("team_id = ?", team_id)
        .then(" ORDER BY created_at DESC, id DESC")
        .then_with(" LIMIT ?", limit)
        .query()
        .all(on)
        .await
}

/// The keys of these teams that are not deleted, newest first.
pub async fn live_of_teams<'a>(on: impl Into<On<'a>>, team_ids: &[String]) -> Result<Vec<KeyRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM keys WHERE deleted_at IS NULL AND team_id = ANY($1)
             ORDER BY created_at DESC, id DESC"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM keys WHERE deleted_at IS NULL
                AND team_id IN (SELECT value FROM json_each($1))
             ORDER BY created_at DESC, id DESC"
        ),
    };
    query.bind(team_ids).all(on).await
}

/// How many keys these teams have that are not deleted.
pub async fn count_by_team(db: &Db, team_ids: &[String]) -> Result<Vec<OwnedKeysRow>> {
    let query = match On::from(db).is_postgres() {
        true => sql!(
            Postgres,
            "SELECT team_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND team_id = ANY($1) GROUP BY team_id"
        ),
        false => sql!(
            Sqlite,
            "SELECT team_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND team_id IN (SELECT value FROM json_each($1))
             GROUP BY team_id"
        ),
    };
    query.bind(team_ids).all(db).await
}

/// The keys of these users that are not deleted, newest first.
pub async fn live_of_users(db: &Db, user_ids: &[String]) -> Result<Vec<KeyRow>> {
    let query = match On::from(db).is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM keys WHERE deleted_at IS NULL AND user_id = ANY($1)
             ORDER BY created_at DESC, id DESC"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM keys WHERE deleted_at IS NULL
                AND user_id IN (SELECT value FROM json_each($1))
             ORDER BY created_at DESC, id DESC"
        ),
    };
    query.bind(user_ids).all(db).await
}

row! {
    /// How many keys a user or a team has.
    pub struct OwnedKeysRow {
        pub id: String,
        pub count: i64,
    }
}

/// How many keys these users have that are not deleted.
pub async fn count_by_user(db: &Db, user_ids: &[String]) -> Result<Vec<OwnedKeysRow>> {
    let query = match On::from(db).is_postgres() {
        true => sql!(
            Postgres,
            "SELECT user_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND user_id = ANY($1) GROUP BY user_id"
        ),
        false => sql!(
            Sqlite,
            "SELECT user_id AS id, COUNT(*) AS count FROM keys
             WHERE deleted_at IS NULL AND user_id IN (SELECT value FROM json_each($1))
             GROUP BY user_id"
        ),
    };
    query.bind(user_ids).all(db).await
}

/// Keys that are due to be replaced and whose replacement has not begun, the longest due first.
pub async fn due_for_rotation(db: &Db, now: Millis, limit: i64) -> Result<Vec<KeyRow>> {
    sql!(
        "SELECT * FROM keys
         WHERE auto_rotate AND deleted_at IS NULL AND next_rotation_at <= $1 AND rotate_by IS NULL
         ORDER BY next_rotation_at, id LIMIT $2"
    )
    .bind(now)
    .bind(limit)
    .all(db)
    .await
}

/// Keys that expire after `now` and by `until`, and whose owner was not yet reminded `days` before.
pub async fn about_to_expire(
    db: &Db,
    now: Millis,
    until: Millis,
    days: i64,
    limit: i64,
) -> Result<Vec<KeyRow>> {
    sql!(
        "SELECT * FROM keys
         WHERE expires_at IS NOT NULL AND deleted_at IS NULL AND expires_at > $1
            AND expires_at <= $2 AND (expiry_reminder IS NULL OR expiry_reminder > $3)
         ORDER BY expires_at, id LIMIT $4"
    )
    .bind(now)
    .bind(until)
    .bind(days)
    .bind(limit)
    .all(db)
    .await
}
