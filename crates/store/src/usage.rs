//! Sums of the ledger as usage reports show them: by person, model, source and whose key paid.
//!
//! What counts are calls that were completed and those that cost something all the same; what
//! corrections add counts in the money alone.

use base::{Millis, Money};

use crate::db::{Db, On, Result, Select};
use crate::{row, sql};

/// Which calls a report is about.
#[derive(Clone, Debug)]
pub struct Window {
    /// The first moment that counts.
    pub from: Millis,
    /// The last moment that counts.
    pub until: Millis,
    /// One person's alone.
    pub user_id: Option<String>,
}

row! {
    /// The calls that agree in all of these.
    #[derive(Clone, Debug)]
    pub struct UsageSum {
        pub user_id: Option<String>,
        /// Today's address of that user; null for one who is gone or has none.
        pub email: Option<String>,
        /// The model as its provider names it, else as it was asked for.
        pub model: String,
        pub model_group: Option<String>,
        pub provider: Option<String>,
        pub source: String,
        pub paid_by: String,
        pub requests: i64,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost: Money,
    }
}

row! {
    /// One call of an export.
    #[derive(Clone, Debug)]
    pub struct UsageLine {
        pub request_id: String,
        pub started_at: Millis,
        pub user_id: Option<String>,
        pub email: Option<String>,
        pub model: String,
        pub provider: Option<String>,
        pub source: String,
        pub paid_by: String,
        pub input_tokens: i64,
        pub output_tokens: i64,
        pub cost: Option<Money>,
        pub session_id: Option<String>,
    }
}

/// Sums by all that reports tell apart: as many rows as there are people times models, however many
/// calls there were.
pub async fn sums(db: &Db, window: &Window) -> Result<Vec<UsageSum>> {
    narrow(
        Select::new(
            "SELECT ledger.user_id, users.email,
                COALESCE(upstream_model, requested_model) AS model, model_group, provider, source,
                paid_by,
                CAST(SUM(CASE WHEN kind = 'call' THEN 1 ELSE 0 END) AS BIGINT) AS requests,
                CAST(SUM(input_tokens + cache_read_tokens + cache_write_5m_tokens
                    + cache_write_1h_tokens + input_audio_tokens + input_image_tokens)
                    AS BIGINT) AS input_tokens,
                CAST(SUM(output_tokens + reasoning_tokens + output_audio_tokens
                    + output_image_tokens) AS BIGINT) AS output_tokens,
                CAST(SUM(COALESCE(cost, 0)) AS BIGINT) AS cost
             FROM ledger LEFT JOIN users ON users.id = ledger.user_id
             WHERE (status = 'completed' OR COALESCE(cost, 0) <> 0)",
        ),
        window,
    )
    .then(
        " GROUP BY ledger.user_id, users.email, COALESCE(upstream_model, requested_model),
            model_group, provider, source, paid_by",
    )
    .query()
    .all(db)
    .await
}

/// Calls one by one, the oldest first, after the call of an earlier page.
pub async fn lines(
    db: &Db,
    window: &Window,
    after: Option<(Millis, &str)>,
    limit: i64,
) -> Result<Vec<UsageLine>> {
    let select = narrow(
        Select::new(
            "SELECT request_id, started_at, ledger.user_id, users.email,
                COALESCE(upstream_model, requested_model) AS model, provider, source, paid_by,
                input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens
                    + input_audio_tokens + input_image_tokens AS input_tokens,
                output_tokens + reasoning_tokens + output_audio_tokens + output_image_tokens
                    AS output_tokens,
                cost, session_id
             FROM ledger LEFT JOIN users ON users.id = ledger.user_id
             WHERE (status = 'completed' OR COALESCE(cost, 0) <> 0)",
        ),
        window,
    );
    let select = match after {
        None => select,
        Some((at, id)) => select
            .when("started_at >= ?", Some(at))
            .when("(started_at, request_id) > (?, ", Some(at))
            .then_with("?)", id),
    };
    select
        .then(" ORDER BY started_at, request_id")
        .then_with(" LIMIT ?", limit)
        .query()
        .all(db)
        .await
}

fn narrow(select: Select, window: &Window) -> Select {
    select
        .when("started_at >= ?", Some(window.from))
        .when("started_at <= ?", Some(window.until))
        .when("ledger.user_id = ?", window.user_id.as_ref())
}

row! {
    /// How often a key was used.
    #[derive(Clone, Debug)]
    pub struct KeyUse {
        pub key_id: Option<String>,
        pub requests: i64,
    }
}

/// How often keys were used; those that never were are not among them.
pub async fn of_keys(db: &Db, key_ids: &[String]) -> Result<Vec<KeyUse>> {
    let query = match On::from(db).is_postgres() {
        true => sql!(
            Postgres,
            "SELECT key_id, COUNT(*) AS requests FROM ledger
             WHERE kind = 'call' AND key_id = ANY($1) GROUP BY key_id"
        ),
        false => sql!(
            Sqlite,
            "SELECT key_id, COUNT(*) AS requests FROM ledger
             WHERE kind = 'call' AND key_id IN (SELECT value FROM json_each($1))
             GROUP BY key_id"
        ),
    };
    query.bind(key_ids).all(db).await
}
