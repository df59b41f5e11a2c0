//! What scopes have spent. Written only together with the ledger rows that explain it.

use base::{Millis, Money};

use crate::db::{On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `counters`.
    #[derive(Clone, Debug)]
    pub struct CounterRow {
        pub scope_kind: String,
        pub scope_id: String,
        pub counter: String,
        pub started_at: Millis,
        pub settled: Money,
        pub personal: Money,
        pub requests: i64,
        pub updated_at: Millis,
    }
}

/// The counters of one scope.
pub async fn list_for_scope<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_id: &str,
) -> Result<Vec<CounterRow>> {
    sql!("SELECT * FROM counters WHERE scope_kind = $1 AND scope_id = $2")
        .bind(scope_kind)
        .bind(scope_id)
        .all(on)
        .await
}

/// The counters of several scopes of one kind.
pub async fn list_for_scopes<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_ids: &[String],
) -> Result<Vec<CounterRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM counters WHERE scope_kind = $1 AND scope_id = ANY($2)"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM counters WHERE scope_kind = $1
                AND scope_id IN (SELECT value FROM json_each($2))"
        ),
    };
    query.bind(scope_kind).bind(scope_ids).all(on).await
}

/// Adds to a counter. `delta.started_at` names the window that the amounts belong to: a later
/// window replaces the counter's, an earlier one is history and changes nothing.
pub async fn add(tx: &mut Tx, delta: &CounterRow) -> Result<()> {
    sql!(
        "INSERT INTO counters (
            scope_kind, scope_id, counter, started_at, settled, personal, requests, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (scope_kind, scope_id, counter) DO UPDATE SET
            settled = CASE WHEN excluded.started_at > counters.started_at THEN excluded.settled
                WHEN excluded.started_at < counters.started_at THEN counters.settled
                ELSE counters.settled + excluded.settled END,
            personal = CASE WHEN excluded.started_at > counters.started_at THEN excluded.personal
                WHEN excluded.started_at < counters.started_at THEN counters.personal
                ELSE counters.personal + excluded.personal END,
            requests = CASE WHEN excluded.started_at > counters.started_at THEN excluded.requests
                WHEN excluded.started_at < counters.started_at THEN counters.requests
                ELSE counters.requests + excluded.requests END,
            started_at = CASE WHEN excluded.started_at > counters.started_at
                THEN excluded.started_at ELSE counters.started_at END,
            updated_at = excluded.updated_at"
    )
    .bind(&delta.scope_kind)
    .bind(&delta.scope_id)
    .bind(&delta.counter)
    .bind(delta.started_at)
    .bind(delta.settled)
    .bind(delta.personal)
    .bind(delta.requests)
    .bind(delta.updated_at)
    .execute(tx)
    .await
    .map(drop)
}

/// Sets a counter to an amount: an administrator's reset or initial spend.
pub async fn put(tx: &mut Tx, counter: &CounterRow) -> Result<()> {
    sql!(
        "INSERT INTO counters (
            scope_kind, scope_id, counter, started_at, settled, personal, requests, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (scope_kind, scope_id, counter) DO UPDATE SET
            started_at = excluded.started_at, settled = excluded.settled,
            personal = excluded.personal, requests = excluded.requests,
            updated_at = excluded.updated_at"
    )
    .bind(&counter.scope_kind)
    .bind(&counter.scope_id)
    .bind(&counter.counter)
    .bind(counter.started_at)
    .bind(counter.settled)
    .bind(counter.personal)
    .bind(counter.requests)
    .bind(counter.updated_at)
    .execute(tx)
    .await
    .map(drop)
}
