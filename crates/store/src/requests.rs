//! Requests of people, the links that decide them, and the rules of deciding.

use base::{Millis, Money};

use crate::db::{Counted, Db, On, Result, Select, Tx};
use crate::{row, sql};

row! {
    /// One row of `requests`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RequestRow {
        pub id: String,
        pub kind: String,
        pub user_id: String,
        pub team_id: Option<String>,
        pub organization_id: Option<String>,
        pub scope_kind: Option<String>,
        pub scope_id: Option<String>,
        pub budget_id: Option<String>,
        pub amount: Option<Money>,
        pub model: Option<String>,
        pub key_alias: Option<String>,
        pub duration: Option<i64>,
        pub reason: Option<String>,
        pub asked_limit: Option<Money>,
        pub status: String,
        pub decided_at: Option<Millis>,
        pub decided_by: Option<String>,
        pub decided_how: Option<String>,
        pub note: Option<String>,
        pub granted_amount: Option<Money>,
        pub granted_until: Option<Millis>,
        pub made_id: Option<String>,
        pub lapses_at: Millis,
        pub created_at: Millis,
        pub updated_at: Millis,
    }
}

pub async fn insert<'a>(on: impl Into<On<'a>>, request: &RequestRow) -> Result<()> {
    sql!(
        "INSERT INTO requests (
            id, kind, user_id, team_id, organization_id, scope_kind, scope_id, budget_id, amount,
            model, key_alias, duration, reason, asked_limit, status, decided_at, decided_by,
            decided_how, note, granted_amount, granted_until, made_id, lapses_at, created_at,
            updated_at)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21, $22, $23, $24, $25)"
    )
    .bind(&request.id)
    .bind(&request.kind)
    .bind(&request.user_id)
    .bind(&request.team_id)
    .bind(&request.organization_id)
    .bind(&request.scope_kind)
    .bind(&request.scope_id)
    .bind(&request.budget_id)
    .bind(request.amount)
    .bind(&request.model)
    .bind(&request.key_alias)
    .bind(request.duration)
    .bind(&request.reason)
    .bind(request.asked_limit)
    .bind(&request.status)
    .bind(request.decided_at)
    .bind(&request.decided_by)
    .bind(&request.decided_how)
    .bind(&request.note)
    .bind(request.granted_amount)
    .bind(request.granted_until)
    .bind(&request.made_id)
    .bind(request.lapses_at)
    .bind(request.created_at)
    .bind(request.updated_at)
    .execute(on)
    .await
    .map(drop)
}

/// Writes what a decision, or its end, changes.
pub async fn update(tx: &mut Tx, request: &RequestRow) -> Result<u64> {
    sql!(
        "UPDATE requests SET
            status = $2, decided_at = $3, decided_by = $4, decided_how = $5, note = $6,
            granted_amount = $7, granted_until = $8, made_id = $9, updated_at = $10
         WHERE id = $1"
    )
    .bind(&request.id)
    .bind(&request.status)
    .bind(request.decided_at)
    .bind(&request.decided_by)
    .bind(&request.decided_how)
    .bind(&request.note)
    .bind(request.granted_amount)
    .bind(request.granted_until)
    .bind(&request.made_id)
    .bind(request.updated_at)
    .execute(tx)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<RequestRow>> {
    sql!("SELECT * FROM requests WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<RequestRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM requests WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM requests WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

/// Grants that are over and not yet taken back, and requests that nobody decided in time; at most a
/// hundred.
pub async fn due<'a>(on: impl Into<On<'a>>, now: Millis) -> Result<Vec<RequestRow>> {
    sql!(
        "SELECT * FROM requests
         WHERE (status IN ('approved', 'collected') AND granted_until <= $1)
            OR (status = 'pending' AND lapses_at <= $1)
         ORDER BY created_at, id LIMIT 100"
    )
    .bind(now)
    .all(on)
    .await
}

/// What was granted at a moment to a person, in a team, or to all; at most a thousand, the oldest first.
pub async fn granted_at<'a>(
    on: impl Into<On<'a>>,
    at: Millis,
    user_id: Option<&str>,
    team_id: Option<&str>,
) -> Result<Vec<RequestRow>> {
    sql!(
        "SELECT * FROM requests
         WHERE decided_at <= $1 AND granted_until > $1
            AND status IN ('approved', 'collected', 'ended', 'withdrawn')
            AND (user_id = $2 OR team_id = $3 OR scope_kind IN ('organization', 'gateway'))
         ORDER BY decided_at, id LIMIT 1000"
    )
    .bind(at)
    .bind(user_id.unwrap_or_default())
    .bind(team_id.unwrap_or_default())
    .all(on)
    .await
}

row! {
    /// A sum of money.
    pub struct Summed {
        pub total: i64,
    }
}

/// What a person was granted since a moment, by a kind of decision (`rule`, or `team` for its
/// administrators) and in a team; more budget and budgets of keys.
pub async fn granted_since<'a>(
    on: impl Into<On<'a>>,
    user_id: &str,
    decided_how: &str,
    since: Millis,
) -> Result<Money> {
    let summed: Summed = sql!(
        "SELECT CAST(COALESCE(SUM(granted_amount), 0) AS BIGINT) AS total FROM requests
         WHERE user_id = $1 AND decided_how = $2 AND decided_at >= $3
            AND status IN ('approved', 'collected', 'ended')"
    )
    .bind(user_id)
    .bind(decided_how)
    .bind(since)
    .one(on)
    .await?;
    Ok(Money(summed.total))
}

/// How many requests of a person wait.
pub async fn count_pending<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<i64> {
    let counted: Counted =
        sql!("SELECT COUNT(*) AS count FROM requests WHERE user_id = $1 AND status = 'pending'")
            .bind(user_id)
            .one(on)
            .await?;
    Ok(counted.count)
}

/// Requests of a person that still matter: they wait, or what they gave lasts.
pub async fn open_of_user<'a>(on: impl Into<On<'a>>, user_id: &str) -> Result<Vec<RequestRow>> {
    sql!(
        "SELECT * FROM requests WHERE user_id = $1
            AND status IN ('pending', 'approved', 'collected') ORDER BY created_at, id"
    )
    .bind(user_id)
    .all(on)
    .await
}

/// Which requests to read; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub kind: Option<String>,
    pub status: Option<String>,
    /// Only what this person asked for, and what they may decide.
    pub reader: Option<String>,
}

impl Filter {
    fn narrow(&self, select: Select) -> Select {
        select
            .when("user_id = ?", self.user_id.as_ref())
            .when("team_id = ?", self.team_id.as_ref())
            .when("kind = ?", self.kind.as_ref())
            .when("status = ?", self.status.as_ref())
            .when(
                "(user_id = ? OR team_id IN (
                    SELECT team_id FROM team_members WHERE user_id = ? AND role = 'admin')
                OR organization_id IN (
                    SELECT organization_id FROM organization_members
                    WHERE user_id = ? AND role = 'org_admin'))",
                self.reader.as_ref(),
            )
    }
}

/// One page of requests, the newest first.
pub async fn page(db: &Db, filter: &Filter, limit: i64, offset: i64) -> Result<Vec<RequestRow>> {
    filter
        .narrow(Select::new("SELECT * FROM requests WHERE 1 = 1"))
        .then(" ORDER BY created_at DESC, id DESC")
        .then_with(" LIMIT ?", limit)
        .then_with(" OFFSET ?", offset)
        .query()
        .all(db)
        .await
}

/// How many requests there are.
pub async fn count(db: &Db, filter: &Filter) -> Result<i64> {
    let counted: Counted = filter
        .narrow(Select::new(
            "SELECT COUNT(*) AS count FROM requests WHERE 1 = 1",
        ))
        .query()
        .one(db)
        .await?;
    Ok(counted.count)
}

row! {
    /// One row of `request_links`.
    #[derive(Clone, Debug)]
    pub struct LinkRow {
        pub id: String,
        pub request_id: String,
        pub approver_id: String,
        pub expires_at: Millis,
        pub used_at: Option<Millis>,
    }
}

pub async fn insert_link(tx: &mut Tx, link: &LinkRow) -> Result<()> {
    sql!(
        "INSERT INTO request_links (id, request_id, approver_id, expires_at, used_at)
         VALUES ($1, $2, $3, $4, $5)"
    )
    .bind(&link.id)
    .bind(&link.request_id)
    .bind(&link.approver_id)
    .bind(link.expires_at)
    .bind(link.used_at)
    .execute(tx)
    .await
    .map(drop)
}

pub async fn find_link<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<LinkRow>> {
    sql!("SELECT * FROM request_links WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Uses a link up; `false`: it was used before, or is too old.
pub async fn use_link(tx: &mut Tx, id: &str, now: Millis) -> Result<bool> {
    let used = sql!(
        "UPDATE request_links SET used_at = $2
         WHERE id = $1 AND used_at IS NULL AND expires_at > $2"
    )
    .bind(id)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(used == 1)
}

row! {
    /// One row of `request_rules`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RuleRow {
        pub team_id: String,
        pub team_admin_limit: Option<Money>,
        pub automatic_limit: Option<Money>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

pub async fn find_rule<'a>(on: impl Into<On<'a>>, team_id: &str) -> Result<Option<RuleRow>> {
    sql!("SELECT * FROM request_rules WHERE team_id = $1")
        .bind(team_id)
        .optional(on)
        .await
}

pub async fn put_rule(tx: &mut Tx, rule: &RuleRow) -> Result<()> {
    sql!(
        "INSERT INTO request_rules (
            team_id, team_admin_limit, automatic_limit, updated_at, updated_by)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (team_id) DO UPDATE SET
            team_admin_limit = excluded.team_admin_limit,
            automatic_limit = excluded.automatic_limit,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by"
    )
    .bind(&rule.team_id)
    .bind(rule.team_admin_limit)
    .bind(rule.automatic_limit)
    .bind(rule.updated_at)
    .bind(&rule.updated_by)
    .execute(tx)
    .await
    .map(drop)
}

row! {
    /// A person who may decide.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ApproverRow {
        pub id: String,
        pub email: Option<String>,
    }
}

/// Administrators of a team, of an organization, and of the gateway, who have an address; at most
/// fifty.
pub async fn approvers<'a>(
    on: impl Into<On<'a>>,
    team_id: Option<&str>,
    organization_id: Option<&str>,
) -> Result<Vec<ApproverRow>> {
    sql!(
        "SELECT id, email FROM users WHERE email IS NOT NULL AND NOT blocked AND (
            role = 'proxy_admin'
            OR id IN (SELECT user_id FROM team_members WHERE team_id = $1 AND role = 'admin')
            OR id IN (SELECT user_id FROM organization_members
                WHERE organization_id = $2 AND role = 'org_admin'))
         ORDER BY id LIMIT 50"
    )
    .bind(team_id.unwrap_or_default())
    .bind(organization_id.unwrap_or_default())
    .all(on)
    .await
}
