//! Virtual keys. `id` is what counters and ledger rows hang on; `hash` changes with each rotation.

use std::collections::BTreeMap;

use base::Millis;

use crate::db::{Db, Dialect, On, Query, Result, Select, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `keys`.
    #[derive(Clone, Debug, Default)]
    pub struct KeyRow {
        pub id: String,
        pub hash: String,
        pub name: String,
        pub alias: Option<String>,
        pub user_id: Option<String>,
        pub team_id: Option<String>,
        pub organization_id: Option<String>,
        pub models: Json<Vec<String>>,
        pub aliases: Json<BTreeMap<String, String>>,
        pub allowed_routes: Json<Vec<String>>,
        pub key_type: Option<String>,
        pub permissions: Json<Object>,
        pub metadata: Json<Object>,
        pub settings: Json<Object>,
        pub blocked: Option<bool>,
        pub expires_at: Option<Millis>,
        pub rpm_limit: Option<i64>,
        pub tpm_limit: Option<i64>,
        pub tpd_limit: Option<i64>,
        pub max_parallel_requests: Option<i64>,
        pub auto_rotate: bool,
        pub rotation_interval: Option<String>,
        pub rotation_count: i64,
        pub last_rotation_at: Option<Millis>,
        pub next_rotation_at: Option<Millis>,
        pub last_used_at: Option<Millis>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
        pub deleted_at: Option<Millis>,
        pub deleted_by: Option<String>,
    }
}

/// Adds a row. A taken id or unique name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, key: &KeyRow) -> Result<()> {
    sql!(
        "INSERT INTO keys (
            id, hash, name, alias, user_id, team_id, organization_id, models, aliases, allowed_routes,
            key_type, permissions, metadata, settings, blocked, expires_at, rpm_limit, tpm_limit,
            tpd_limit, max_parallel_requests, auto_rotate, rotation_interval, rotation_count,
            last_rotation_at, next_rotation_at, last_used_at, created_at, created_by, updated_at,
            updated_by, deleted_at, deleted_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)"
    )
    .bind(&key.id)
    .bind(&key.hash)
    .bind(&key.name)
    .bind(&key.alias)
    .bind(&key.user_id)
    .bind(&key.team_id)
    .bind(&key.organization_id)
    .bind(&key.models)
    .bind(&key.aliases)
    .bind(&key.allowed_routes)
    .bind(&key.key_type)
    .bind(&key.permissions)
    .bind(&key.metadata)
    .bind(&key.settings)
    .bind(key.blocked)
    .bind(key.expires_at)
    .bind(key.rpm_limit)
    .bind(key.tpm_limit)
    .bind(key.tpd_limit)
    .bind(key.max_parallel_requests)
    .bind(key.auto_rotate)
    .bind(&key.rotation_interval)
    .bind(key.rotation_count)
    .bind(key.last_rotation_at)
    .bind(key.next_rotation_at)
    .bind(key.last_used_at)
    .bind(key.created_at)
    .bind(&key.created_by)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .bind(key.deleted_at)
    .bind(&key.deleted_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, key: &KeyRow) -> Result<u64> {
    sql!(
        "UPDATE keys SET
            hash = $2, name = $3, alias = $4, user_id = $5, team_id = $6, organization_id = $7,
            models = $8, aliases = $9, allowed_routes = $10, key_type = $11, permissions = $12,
            metadata = $13, settings = $14, blocked = $15, expires_at = $16, rpm_limit = $17,
            tpm_limit = $18, tpd_limit = $19, max_parallel_requests = $20, auto_rotate = $21,
            rotation_interval = $22, rotation_count = $23, last_rotation_at = $24,
            next_rotation_at = $25, last_used_at = $26, updated_at = $27, updated_by = $28,
            deleted_at = $29, deleted_by = $30
         WHERE id = $1"
    )
    .bind(&key.id)
    .bind(&key.hash)
    .bind(&key.name)
    .bind(&key.alias)
    .bind(&key.user_id)
    .bind(&key.team_id)
    .bind(&key.organization_id)
    .bind(&key.models)
    .bind(&key.aliases)
    .bind(&key.allowed_routes)
    .bind(&key.key_type)
    .bind(&key.permissions)
    .bind(&key.metadata)
    .bind(&key.settings)
    .bind(key.blocked)
    .bind(key.expires_at)
    .bind(key.rpm_limit)
    .bind(key.tpm_limit)
    .bind(key.tpd_limit)
    .bind(key.max_parallel_requests)
    .bind(key.auto_rotate)
    .bind(&key.rotation_interval)
    .bind(key.rotation_count)
    .bind(key.last_rotation_at)
    .bind(key.next_rotation_at)
    .bind(key.last_used_at)
    .bind(key.updated_at)
    .bind(&key.updated_by)
    .bind(key.deleted_at)
    .bind(&key.deleted_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<KeyRow>> {
    sql!("SELECT * FROM keys WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<KeyRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM keys WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM keys WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

/// The live key with this hash: its own, or one it was rotated away from and that is still in its
/// grace period at `now`.
pub async fn find_by_hash<'a>(
    on: impl Into<On<'a>>,
    hash: &str,
    now: Millis,
) -> Result<Option<KeyRow>> {
    sql!(
        "SELECT * FROM keys WHERE deleted_at IS NULL AND (hash = $1 OR id = (
            SELECT key_id FROM previous_hashes WHERE hash = $1 AND valid_until > $2))"
    )
    .bind(hash)
    .bind(now)
    .optional(on)
    .await
}

/// The key with this hash, deleted or not; a live one before deleted ones.
pub async fn find_ever(db: &Db, hash: &str, now: Millis) -> Result<Option<KeyRow>> {
    if let Some(key) = find_by_hash(db, hash, now).await? {
        return Ok(Some(key));
    }
    sql!("SELECT * FROM keys WHERE hash = $1 ORDER BY deleted_at DESC LIMIT 1")
        .bind(hash)
        .optional(db)
        .await
}

/// The live key with this alias.
pub async fn find_by_alias<'a>(on: impl Into<On<'a>>, alias: &str) -> Result<Option<KeyRow>> {
    sql!("SELECT * FROM keys WHERE alias = $1 AND deleted_at IS NULL")
        .bind(alias)
        .optional(on)
        .await
}

/// Lets a key answer to a hash that it was rotated away from, for a while.
pub async fn keep_hash(tx: &mut Tx, hash: &str, key_id: &str, valid_until: Millis) -> Result<()> {
    sql!(
        "INSERT INTO previous_hashes (hash, key_id, valid_until) VALUES ($1, $2, $3)
         ON CONFLICT (hash) DO UPDATE SET
            key_id = excluded.key_id, valid_until = excluded.valid_until"
    )
    .bind(hash)
    .bind(key_id)
    .bind(valid_until)
    .execute(tx)
    .await
    .map(drop)
}

/// Ends every grace period of a key.
pub async fn forget_hashes(tx: &mut Tx, key_id: &str) -> Result<u64> {
    sql!("DELETE FROM previous_hashes WHERE key_id = $1")
        .bind(key_id)
        .execute(tx)
        .await
}

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

/// A pattern for texts that contain this one, in any case.
fn containing(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.to_lowercase().chars() {
        if matches!(character, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// Notes when keys were used, by their ids.
pub async fn mark_used(tx: &mut Tx, used: &BTreeMap<String, Millis>) -> Result<()> {
    if used.is_empty() {
        return Ok(());
    }
    let query = match tx.dialect() {
        Dialect::Postgres => sql!(
            Postgres,
            "UPDATE keys SET last_used_at = CAST(used.value AS BIGINT)
             FROM json_each_text(CAST($1 AS JSON)) AS used WHERE keys.id = used.key"
        ),
        Dialect::Sqlite => sql!(
            Sqlite,
            "UPDATE keys SET last_used_at = used.value
             FROM json_each($1) AS used WHERE keys.id = used.key"
        ),
    };
    let times: BTreeMap<&str, i64> = used.iter().map(|(id, at)| (id.as_str(), at.0)).collect();
    let times = serde_json::to_string(&times).expect("names and numbers are JSON");
    query.bind(times).execute(tx).await.map(drop)
}

/// The keys among these ids, deleted ones too.
pub async fn find_many<'a>(on: impl Into<On<'a>>, ids: &[String]) -> Result<Vec<KeyRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(Postgres, "SELECT * FROM keys WHERE id = ANY($1)"),
        false => sql!(
            Sqlite,
            "SELECT * FROM keys WHERE id IN (SELECT value FROM json_each($1))"
        ),
    };
    query.bind(ids).all(on).await
}

row! {
    /// The id of a key.
    pub struct IdRow {
        pub id: String,
    }
}

/// The id of the key that has or had this hash, the live one first.
pub async fn find_id_by_any_hash(db: &Db, hash: &str) -> Result<Option<String>> {
    let found: Option<IdRow> = sql!(
        "SELECT id FROM keys
         WHERE hash = $1 OR id IN (SELECT key_id FROM previous_hashes WHERE hash = $1)
         ORDER BY COALESCE(deleted_at, 9223372036854775807) DESC LIMIT 1"
    )
    .bind(hash)
    .optional(db)
    .await?;
    Ok(found.map(|row| row.id))
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

/// Marks a key as deleted; gives 0 when it is already.
pub async fn mark_deleted(tx: &mut Tx, id: &str, at: Millis, by: &Option<String>) -> Result<u64> {
    sql!("UPDATE keys SET deleted_at = $2, deleted_by = $3 WHERE id = $1 AND deleted_at IS NULL")
        .bind(id)
        .bind(at)
        .bind(by)
        .execute(tx)
        .await
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
