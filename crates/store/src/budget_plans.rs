//! Named sets of limits that many scopes share, such as what each member of a team may spend.

use base::{Millis, Money};

use crate::db::{Db, On, Query, Result, Tx};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `budget_plans`.
    #[derive(Clone, Debug)]
    pub struct BudgetPlanRow {
        pub id: String,
        pub max_budget: Option<Money>,
        pub soft_budget: Option<Money>,
        pub period: Option<String>,
        pub rpm_limit: Option<i64>,
        pub tpm_limit: Option<i64>,
        pub tpd_limit: Option<i64>,
        pub max_parallel_requests: Option<i64>,
        pub model_budgets: Json<Object>,
        pub resets_at: Option<Millis>,
        pub created_at: Millis,
        pub created_by: Option<String>,
        pub updated_at: Millis,
        pub updated_by: Option<String>,
    }
}

/// Writes a plan, whether it is there already or not.
pub async fn put<'a>(on: impl Into<On<'a>>, plan: &BudgetPlanRow) -> Result<()> {
    let query = sql!(
        "INSERT INTO budget_plans (
            id, max_budget, soft_budget, period, rpm_limit, tpm_limit, tpd_limit,
            max_parallel_requests, model_budgets, resets_at, created_at, created_by, updated_at,
            updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO UPDATE SET
            max_budget = excluded.max_budget, soft_budget = excluded.soft_budget,
            period = excluded.period, rpm_limit = excluded.rpm_limit,
            tpm_limit = excluded.tpm_limit, tpd_limit = excluded.tpd_limit,
            max_parallel_requests = excluded.max_parallel_requests,
            model_budgets = excluded.model_budgets, resets_at = excluded.resets_at,
            updated_at = excluded.updated_at, updated_by = excluded.updated_by"
    );
    bind(query, plan).execute(on).await.map(drop)
}

/// Adds a plan; gives `false` when its id is taken.
pub async fn insert(tx: &mut Tx, plan: &BudgetPlanRow) -> Result<bool> {
    let query = sql!(
        "INSERT INTO budget_plans (
            id, max_budget, soft_budget, period, rpm_limit, tpm_limit, tpd_limit,
            max_parallel_requests, model_budgets, resets_at, created_at, created_by, updated_at,
            updated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO NOTHING"
    );
    bind(query, plan).execute(tx).await.map(|added| added > 0)
}

fn bind(query: Query, plan: &BudgetPlanRow) -> Query {
    query
        .bind(&plan.id)
        .bind(plan.max_budget)
        .bind(plan.soft_budget)
        .bind(&plan.period)
        .bind(plan.rpm_limit)
        .bind(plan.tpm_limit)
        .bind(plan.tpd_limit)
        .bind(plan.max_parallel_requests)
        .bind(&plan.model_budgets)
        .bind(plan.resets_at)
        .bind(plan.created_at)
        .bind(&plan.created_by)
        .bind(plan.updated_at)
        .bind(&plan.updated_by)
}

/// Reads a row that the open transaction is about to change, so that no other changes it meanwhile.
pub async fn lock(tx: &mut Tx, id: &str) -> Result<Option<BudgetPlanRow>> {
    let query = match tx {
        // the transaction already holds SQLite's only write lock
        Tx::Sqlite(_) => sql!("SELECT * FROM budget_plans WHERE id = $1"),
        Tx::Postgres(_) => sql!(
            Postgres,
            "SELECT * FROM budget_plans WHERE id = $1 FOR UPDATE"
        ),
    };
    query.bind(id).optional(tx).await
}

/// Every plan, the oldest first.
pub async fn list(db: &Db) -> Result<Vec<BudgetPlanRow>> {
    sql!("SELECT * FROM budget_plans ORDER BY created_at, id")
        .all(db)
        .await
}

/// The plans among these ids that exist.
pub async fn find_many<'a>(on: impl Into<On<'a>>, ids: &[String]) -> Result<Vec<BudgetPlanRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(Postgres, "SELECT * FROM budget_plans WHERE id = ANY($1)"),
        false => sql!(
            Sqlite,
            "SELECT * FROM budget_plans WHERE id IN (SELECT value FROM json_each($1))"
        ),
    };
    query.bind(ids).all(on).await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, id: &str) -> Result<u64> {
    sql!("DELETE FROM budget_plans WHERE id = $1")
        .bind(id)
        .execute(on)
        .await
}
