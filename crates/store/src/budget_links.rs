//! Which scopes follow which named plan of budgets, and what each says of its budgets itself.

use crate::db::{On, Result};
use crate::json::{Json, Object};
use crate::{row, sql};

row! {
    /// One row of `budget_links`.
    #[derive(Clone, Debug)]
    pub struct BudgetLinkRow {
        pub scope_kind: String,
        pub scope_id: String,
        pub plan_id: String,
        pub own: Json<Object>,
    }
}

/// Writes a link, whether it is there already or not.
pub async fn put<'a>(on: impl Into<On<'a>>, link: &BudgetLinkRow) -> Result<()> {
    sql!(
        "INSERT INTO budget_links (scope_kind, scope_id, plan_id, own) VALUES ($1, $2, $3, $4)
         ON CONFLICT (scope_kind, scope_id) DO UPDATE SET
            plan_id = excluded.plan_id, own = excluded.own"
    )
    .bind(&link.scope_kind)
    .bind(&link.scope_id)
    .bind(&link.plan_id)
    .bind(&link.own)
    .execute(on)
    .await
    .map(drop)
}

pub async fn find<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_id: &str,
) -> Result<Option<BudgetLinkRow>> {
    sql!("SELECT * FROM budget_links WHERE scope_kind = $1 AND scope_id = $2")
        .bind(scope_kind)
        .bind(scope_id)
        .optional(on)
        .await
}

/// The links of several scopes of one kind.
pub async fn list_for_scopes<'a>(
    on: impl Into<On<'a>>,
    scope_kind: &str,
    scope_ids: &[String],
) -> Result<Vec<BudgetLinkRow>> {
    let on = on.into();
    let query = match on.is_postgres() {
        true => sql!(
            Postgres,
            "SELECT * FROM budget_links WHERE scope_kind = $1 AND scope_id = ANY($2)"
        ),
        false => sql!(
            Sqlite,
            "SELECT * FROM budget_links WHERE scope_kind = $1
                AND scope_id IN (SELECT value FROM json_each($2))"
        ),
    };
    query.bind(scope_kind).bind(scope_ids).all(on).await
}

/// Everything that follows a plan.
pub async fn list_for_plan<'a>(on: impl Into<On<'a>>, plan_id: &str) -> Result<Vec<BudgetLinkRow>> {
    sql!("SELECT * FROM budget_links WHERE plan_id = $1 ORDER BY scope_kind, scope_id")
        .bind(plan_id)
        .all(on)
        .await
}

pub async fn delete<'a>(on: impl Into<On<'a>>, scope_kind: &str, scope_id: &str) -> Result<u64> {
    sql!("DELETE FROM budget_links WHERE scope_kind = $1 AND scope_id = $2")
        .bind(scope_kind)
        .bind(scope_id)
        .execute(on)
        .await
}

/// Nothing follows this plan any more.
pub async fn delete_for_plan<'a>(on: impl Into<On<'a>>, plan_id: &str) -> Result<u64> {
    sql!("DELETE FROM budget_links WHERE plan_id = $1")
        .bind(plan_id)
        .execute(on)
        .await
}
