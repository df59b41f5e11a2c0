//! What scopes have spent. Written only together with the ledger rows that explain it.

use base::{Millis, Money};

use crate::db::{Dialect, On, Result, Tx};
use crate::filled::Filled;
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

impl CounterRow {
    /// What names a counter, and orders them.
    pub fn place(&self) -> (&str, &str, &str) {
        (&self.scope_kind, &self.scope_id, &self.counter)
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

/// Counters in one statement. Few sizes, so that each statement is prepared once and then kept.
pub const SIZES: [usize; 3] = [100, 10, 1];

/// Adds to counters. `started_at` names the window that the amounts belong to: a later window replaces
/// the counter's, an earlier one is history and changes nothing.
///
/// Each counter is named once at the most. Whoever else adds to them must do so in the same order, or
/// two writers may wait for each other.
pub async fn add_all(tx: &mut Tx, deltas: &[CounterRow]) -> Result<()> {
    let mut rest = deltas;
    for size in SIZES {
        while let Some((now, later)) = rest.split_at_checked(size) {
            add(tx, now).await?;
            rest = later;
        }
    }
    Ok(())
}

async fn add(tx: &mut Tx, deltas: &[CounterRow]) -> Result<()> {
    let dialect = tx.dialect();
    let mut filled = Filled::new(dialect, deltas.len() * COLUMNS);
    for delta in deltas {
        filled.text(Some(&delta.scope_kind));
        filled.text(Some(&delta.scope_id));
        filled.text(Some(&delta.counter));
        filled.int(Some(delta.started_at.0));
        filled.int(Some(delta.settled.0));
        filled.int(Some(delta.personal.0));
        filled.int(Some(delta.requests));
        filled.int(Some(delta.updated_at.0));
    }
    filled
        .execute(add_statement(deltas.len(), dialect), tx)
        .await
}

const COLUMNS: usize = 8;

/// The statement that adds to so many counters.
pub fn add_statement(counters: usize, dialect: Dialect) -> String {
    format!(
        "INSERT INTO counters (
            scope_kind, scope_id, counter, started_at, settled, personal, requests, updated_at)
         VALUES {}
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
            updated_at = excluded.updated_at",
        Filled::places(dialect, counters, COLUMNS)
    )
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
