//! Budgets: limits on what a scope may spend.

use base::{Millis, Money};

use crate::db::{Db, On, Result, Tx};
use crate::{row, sql};

row! {
    /// One row of `budgets`.
    #[derive(Clone, Debug)]
    pub struct BudgetRow {
        pub id: String,
        pub scope_kind: String,
        pub scope_id: String,
        pub model: Option<String>,
        pub amount: Option<Money>,
        pub increase: Option<Money>,
        pub increase_until: Option<Millis>,
        pub period: String,
        pub zone: String,
        pub enforcement: String,
        pub include_byok: bool,
        pub counter: String,
        pub plan_id: Option<String>,
        pub resets_at: Option<Millis>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

/// Adds a row. A taken id or unique name is a unique violation.
pub async fn insert<'a>(on: impl Into<On<'a>>, budget: &BudgetRow) -> Result<()> {
    sql!(
        "INSERT INTO budgets (
            id, scope_kind, scope_id, model, amount, increase, increase_until, period, zone,
            enforcement, include_byok, counter, plan_id, resets_at, created_at, created_by, updated_at,
            updated_by)
         VALUES (
            $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
    )
    .bind(&budget.id)
    .bind(&budget.scope_kind)
    .bind(&budget.scope_id)
    .bind(&budget.model)
    .bind(budget.amount)
    .bind(budget.increase)
    .bind(budget.increase_until)
    .bind(&budget.period)
    .bind(&budget.zone)
    .bind(&budget.enforcement)
    .bind(budget.include_byok)
    .bind(&budget.counter)
    .bind(&budget.plan_id)
    .bind(budget.resets_at)
    .bind(budget.created_at)
    .bind(&budget.created_by)
    .bind(budget.updated_at)
    .bind(&budget.updated_by)
    .execute(on)
    .await
    .map(drop)
}

/// Writes every column of an existing row; gives 0 when there is none.
pub async fn update<'a>(on: impl Into<On<'a>>, budget: &BudgetRow) -> Result<u64> {
    sql!(
        "UPDATE budgets SET
            scope_kind = $2, scope_id = $3, model = $4, amount = $5, increase = $6,
            increase_until = $7, period = $8, zone = $9, enforcement = $10, include_byok = $11,
            counter = $12, plan_id = $13, resets_at = $14, updated_at = $15, updated_by = $16
         WHERE id = $1"
    )
    .bind(&budget.id)
    .bind(&budget.scope_kind)
    .bind(&budget.scope_id)
    .bind(&budget.model)
    .bind(budget.amount)
    .bind(budget.increase)
    .bind(budget.increase_until)
    .bind(&budget.period)
    .bind(&budget.zone)
    .bind(&budget.enforcement)
    .bind(budget.include_byok)
    .bind(&budget.counter)
    .bind(&budget.plan_id)
    .bind(budget.resets_at)
    .bind(budget.updated_at)
    .bind(&budget.updated_by)
    .execute(on)
    .await
}

pub async fn find<'a>(on: impl Into<On<'a>>, id: &str) -> Result<Option<BudgetRow>> {
    sql!("SELECT * FROM budgets WHERE id = $1")
        .bind(id)
        .optional(on)
        .await
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<BudgetRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM budgets WHERE id = $1"),
        Tx::Postgres(_) => sql!(Postgres, "SELECT * FROM budgets WHERE id = $1 FOR UPDATE"),
    };
    query.bind(id).optional(tx).await
}

/// The budgets of one scope.
pub async fn list_for_scope<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_id: &str,
) -> Result<Vec<BudgetRow>> {
    sql!("SELECT * FROM budgets WHERE scope_kind = $1 AND scope_id = $2 ORDER BY created_at, id")
        .bind(scope_kind)
        .bind(scope_id)
        .all(on)
        .await
}

/// The budgets of several scopes of one kind.
pub async fn list_for_scopes<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_ids: &[String],
) -> Result<Vec<BudgetRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM budgets WHERE scope_kind = $1 AND scope_id = ANY($2)
             ORDER BY created_at, id"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM budgets WHERE scope_kind = $1
                AND scope_id IN (SELECT value FROM json_each($2))
             ORDER BY created_at, id"
        ),
    };
    query.bind(scope_kind).bind(scope_ids).all(on).await
}

/// The budgets that were made from a plan.
pub async fn list_for_plan<'a>(on: impl Into<On<'a>>, plan_id: &str) -> Result<Vec<BudgetRow>> {
    sql!("SELECT * FROM budgets WHERE plan_id = $1 ORDER BY created_at, id")
        .bind(plan_id)
        .all(on)
        .await
}

/// Makes the budgets that were made from a plan their scopes' own.
pub async fn leave_plan<'a>(on: impl Into<On<'a>>, plan_id: &str) -> Result<u64> {
    sql!("UPDATE budgets SET plan_id = NULL WHERE plan_id = $1")
        .bind(plan_id)
        .execute(on)
        .await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM budgets WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}

pub async fn delete_for_scope<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_id: &str,
) -> Result<u64> {
    sql!("DELETE FROM budgets WHERE scope_kind = $1 AND scope_id = $2")
        .bind(scope_kind)
        .bind(scope_id)
        .execute(on)
        .await
}

row! {
    /// A budget of which so much is spent that somebody may want to know.
    #[derive(Clone, Debug)]
    pub struct SpentRow {
        pub id: String,
        pub scope_kind: String,
        pub scope_id: String,
        pub model: Option<String>,
        pub amount: i64,
        pub enforcement: String,
        pub resets_at: Option<Millis>,
        pub settled: i64,
        pub started_at: Millis,
    }
}

/// The budgets that are spent to at least this part (in thousandths), soft ones wholly, and whose
/// counters have moved since `since`. Temporary increases that last until after `now` count.
pub async fn nearly_spent(
    db: &Db,
    thousandths: i64,
    now: Millis,
    since: Millis,
) -> Result<Vec<SpentRow>> {
    sql!(
        "SELECT limits.id, limits.scope_kind, limits.scope_id, limits.model, limits.amount,
            limits.enforcement, limits.resets_at, counters.settled, counters.started_at
         FROM (
            SELECT id, scope_kind, scope_id, model, enforcement, resets_at, counter,
                amount + CASE WHEN increase_until > $2 THEN COALESCE(increase, 0) ELSE 0 END AS amount
            FROM budgets WHERE amount IS NOT NULL) AS limits
         JOIN counters ON counters.scope_kind = limits.scope_kind
            AND counters.scope_id = limits.scope_id AND counters.counter = limits.counter
         WHERE counters.updated_at >= $3 AND limits.amount > 0
            AND (limits.resets_at IS NULL OR limits.resets_at > $2)
            AND counters.settled >= CASE
                WHEN limits.enforcement = 'soft' THEN limits.amount
                ELSE limits.amount / 1000 * $1 END
         ORDER BY limits.id LIMIT 10000"
    )
    .bind(thousandths)
    .bind(now)
    .bind(since)
    .all(db)
    .await
}
