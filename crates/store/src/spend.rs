//! Reading the ledger: rows, newest first, and sums by day.

use base::{Millis, Money};

use crate::db::{Counted, Db, On, Result, Select};
use crate::ledger::LedgerRow;
use crate::row;

/// Which calls to read; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The first moment that counts.
    pub from: Option<Millis>,
    /// The first moment that counts no more.
    pub until: Option<Millis>,
    /// The id of the call, or of its answer.
    pub request_id: Option<String>,
    pub key_id: Option<String>,
    /// What stands where a hash would, for calls without a virtual key.
    pub key_hash: Option<String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub organization_id: Option<String>,
    /// The requested, answered or upstream model.
    pub model: Option<String>,
    pub deployment_id: Option<String>,
    pub end_user: Option<String>,
    pub session_id: Option<String>,
    /// Only calls that were completed, or only those that were not.
    pub completed: Option<bool>,
    pub error_code: Option<String>,
    pub least_cost: Option<Money>,
    pub most_cost: Option<Money>,
}

impl Filter {
    fn narrow(&self, select: Select) -> Select {
        let completed = self
            .completed
            .filter(|completed| *completed)
            .map(|_| "completed");
        let failed = self
            .completed
            .filter(|completed| !*completed)
            .map(|_| "completed");
        select
            .when("started_at >= ?", self.from)
            .when("started_at < ?", self.until)
            .when(
                "(request_id = ? OR upstream_id = ?)",
                self.request_id.as_ref(),
            )
            .when("key_id = ?", self.key_id.as_ref())
            .when("key_hash = ?", self.key_hash.as_ref())
            .when("user_id = ?", self.user_id.as_ref())
            .when("team_id = ?", self.team_id.as_ref())
            .when("organization_id = ?", self.organization_id.as_ref())
            .when(
                "(requested_model = ? OR answered_model = ? OR upstream_model = ?)",
                self.model.as_ref(),
            )
            .when("deployment_id = ?", self.deployment_id.as_ref())
            .when("end_user = ?", self.end_user.as_ref())
            .when("session_id = ?", self.session_id.as_ref())
            .when("status = ?", completed)
            .when("status <> ?", failed)
            .when("error_code = ?", self.error_code.as_ref())
            .when("COALESCE(cost, 0) >= ?", self.least_cost)
            .when("COALESCE(cost, 0) <= ?", self.most_cost)
    }
}

/// What a list of calls is sorted by. Only the first has an index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    StartedAt,
    EndedAt,
    Cost,
    Tokens,
    Duration,
    FirstToken,
    Model,
}

/// The order of a list of calls: the newest first, if nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub sort: Sort,
    pub ascending: bool,
}

impl Order {
    fn clause(self) -> &'static str {
        let [up, down] = match self.sort {
            Sort::StartedAt => [
                " ORDER BY started_at, request_id",
                " ORDER BY started_at DESC, request_id DESC",
            ],
            Sort::EndedAt => [
                " ORDER BY ended_at, request_id",
                " ORDER BY ended_at DESC, request_id DESC",
            ],
            Sort::Cost => [
                " ORDER BY COALESCE(cost, 0), request_id",
                " ORDER BY COALESCE(cost, 0) DESC, request_id DESC",
            ],
            Sort::Tokens => [
                " ORDER BY input_tokens + cache_read_tokens + cache_write_5m_tokens
                    + cache_write_1h_tokens + output_tokens + reasoning_tokens, request_id",
                " ORDER BY input_tokens + cache_read_tokens + cache_write_5m_tokens
                    + cache_write_1h_tokens + output_tokens + reasoning_tokens DESC,
                    request_id DESC",
            ],
            Sort::Duration => [
                " ORDER BY ended_at - started_at, request_id",
                " ORDER BY ended_at - started_at DESC, request_id DESC",
            ],
            Sort::FirstToken => [
                " ORDER BY COALESCE(first_token_at, ended_at) - started_at, request_id",
                " ORDER BY COALESCE(first_token_at, ended_at) - started_at DESC, request_id DESC",
            ],
            Sort::Model => [
                " ORDER BY COALESCE(upstream_model, requested_model), request_id",
                " ORDER BY COALESCE(upstream_model, requested_model) DESC, request_id DESC",
            ],
        };
        if self.ascending { up } else { down }
    }
}

/// One page of calls.
pub async fn page(
    db: &Db,
    filter: &Filter,
    order: Order,
    limit: i64,
    offset: i64,
) -> Result<Vec<LedgerRow>> {
    filter
        .narrow(Select::new("SELECT * FROM ledger WHERE 1 = 1"))
        .then(order.clause())
        .then_with(" LIMIT ?", limit)
        .then_with(" OFFSET ?", offset)
        .query()
        .all(db)
        .await
}

/// How many calls there are, counting no further than `most`.
pub async fn count(db: &Db, filter: &Filter, most: i64) -> Result<i64> {
    let counted: Counted = filter
        .narrow(Select::new(
            "SELECT COUNT(*) AS count FROM (SELECT 1 AS one FROM ledger WHERE 1 = 1",
        ))
        .then_with(" LIMIT ?) AS counted", most)
        .query()
        .one(db)
        .await?;
    Ok(counted.count)
}

row! {
    /// The calls of one UTC day that agree in all of these.
    #[derive(Clone, Debug)]
    pub struct Cell {
        /// Days since 1970-01-01.
        pub day: i64,
        pub key_id: Option<String>,
        /// The hash, at the time, of the key; or what stands in its place.
        pub key_hash: Option<String>,
        pub user_id: Option<String>,
        pub team_id: Option<String>,
        pub end_user: Option<String>,
        pub requested_model: String,
        pub model_group: Option<String>,
        pub upstream_model: Option<String>,
        pub provider: Option<String>,
        pub endpoint: String,
        /// Paid by the keys of the gateway, of organizations and of teams.
        pub spend: Money,
        /// Paid by people's own keys, at list price.
        pub personal: Money,
        pub prompt_tokens: i64,
        pub completion_tokens: i64,
        pub cache_read_tokens: i64,
        pub cache_write_tokens: i64,
        pub completed: i64,
        pub failed: i64,
        /// Milliseconds that the completed calls took together.
        pub duration: i64,
    }
}

/// Sums of calls. Corrections count in the money, not in the calls.
pub async fn cells(db: &Db, filter: &Filter) -> Result<Vec<Cell>> {
    filter
        .narrow(Select::new(
            "SELECT started_at / 86400000 AS day, key_id, key_hash, user_id, team_id, end_user,
                requested_model, model_group, upstream_model, provider, endpoint,
                CAST(SUM(CASE WHEN paid_by IN ('personal', 'header') THEN 0 ELSE COALESCE(cost, 0) END)
                    AS BIGINT) AS spend,
                CAST(SUM(CASE WHEN paid_by IN ('personal', 'header') THEN COALESCE(cost, 0) ELSE 0 END)
                    AS BIGINT) AS personal,
                CAST(SUM(input_tokens + cache_read_tokens + cache_write_5m_tokens
                    + cache_write_1h_tokens + input_audio_tokens + input_image_tokens)
                    AS BIGINT) AS prompt_tokens,
                CAST(SUM(output_tokens + reasoning_tokens + output_audio_tokens
                    + output_image_tokens) AS BIGINT) AS completion_tokens,
                CAST(SUM(cache_read_tokens) AS BIGINT) AS cache_read_tokens,
                CAST(SUM(cache_write_5m_tokens + cache_write_1h_tokens) AS BIGINT)
                    AS cache_write_tokens,
                CAST(SUM(CASE WHEN kind = 'call' AND status = 'completed' THEN 1 ELSE 0 END)
                    AS BIGINT) AS completed,
                CAST(SUM(CASE WHEN kind = 'call' AND status <> 'completed' THEN 1 ELSE 0 END)
                    AS BIGINT) AS failed,
                CAST(SUM(CASE WHEN kind = 'call' AND status = 'completed'
                    THEN ended_at - started_at ELSE 0 END) AS BIGINT) AS duration
             FROM ledger WHERE 1 = 1",
        ))
        .then(
            " GROUP BY started_at / 86400000, key_id, key_hash, user_id, team_id, end_user,
                requested_model, model_group, upstream_model, provider, endpoint",
        )
        .query()
        .all(db)
        .await
}

row! {
    /// The calls that carry one tag.
    #[derive(Clone, Debug)]
    pub struct TagSum {
        pub tag: String,
        pub spend: Money,
        pub calls: i64,
    }
}

/// Sums by tag, the dearest first.
pub async fn by_tag(db: &Db, filter: &Filter) -> Result<Vec<TagSum>> {
    let select = match On::from(db).is_postgres() {
        // what stands for U+0000 in JSON cannot be unpacked by PostgreSQL
        true => Select::new(
            "SELECT tag.value AS tag,
                CAST(SUM(CASE WHEN paid_by IN ('personal', 'header') THEN 0 ELSE COALESCE(cost, 0) END)
                    AS BIGINT) AS spend,
                COUNT(*) AS calls
             FROM ledger CROSS JOIN LATERAL json_array_elements_text(CAST(
                CASE WHEN strpos(tags, '\\u0000') > 0 THEN '[]' ELSE tags END AS JSON))
                AS tag(value)
             WHERE kind = 'call'",
        ),
        false => Select::new(
            "SELECT tag.value AS tag,
                CAST(SUM(CASE WHEN paid_by IN ('personal', 'header') THEN 0 ELSE COALESCE(cost, 0) END)
                    AS BIGINT) AS spend,
                COUNT(*) AS calls
             FROM ledger, json_each(ledger.tags) AS tag
             WHERE kind = 'call'",
        ),
    };
    filter
        .narrow(select)
        .then(" GROUP BY tag.value ORDER BY spend DESC, tag.value")
        .query()
        .all(db)
        .await
}
