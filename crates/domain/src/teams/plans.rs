//! What every member of a team may spend who has no budget of their own (`team_member_budget`).
//!
//! The plan is one row that the team's metadata names (contract §10.1). Each member has a budget made
//! from it, with a counter of their own; who gets a budget of their own leaves the plan.

use base::{Code, Error, Millis, Money, Result, ids};
use serde_json::Value;
use store::Tx;
use store::budget_plans::BudgetPlanRow;
use store::budgets::BudgetRow;
use store::json::{Json, Object};
use store::teams::{MemberRow, TeamRow};

use crate::audit::Actor;
use crate::patch::Patch;
use crate::periods::Period;
use crate::scopes::{MAIN, ScopeKind};
use crate::{Domain, storage};

/// Where the metadata of a team names its plan.
const PLAN_ID: &str = "team_member_budget_id";

/// What a request says of a team's plan.
#[derive(Clone, Debug, Default)]
pub struct MemberPlan {
    pub max_budget: Patch<Money>,
    pub period: Patch<String>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
}

impl MemberPlan {
    fn is_absent(&self) -> bool {
        self.max_budget.is_absent()
            && self.period.is_absent()
            && self.rpm_limit.is_absent()
            && self.tpm_limit.is_absent()
    }
}

/// The id of a team's plan.
pub fn id_of(team: &TeamRow) -> Option<&str> {
    team.metadata.get(PLAN_ID).and_then(Value::as_str)
}

/// A team's plan.
pub async fn of(tx: &mut Tx, team: &TeamRow) -> Result<Option<BudgetPlanRow>> {
    let Some(id) = id_of(team) else {
        return Ok(None);
    };
    let found = store::budget_plans::find_many(tx, &[id.to_owned()])
        .await
        .map_err(storage)?;
    Ok(found.into_iter().next())
}

/// Replaces a team's metadata, but for what the gateway keeps there itself.
pub fn put_metadata(team: &mut TeamRow, metadata: Patch<Object>) {
    let plan_id = team.metadata.get(PLAN_ID).cloned();
    metadata.apply_or_default(&mut team.metadata);
    match plan_id {
        Some(id) => drop(team.metadata.insert(PLAN_ID.to_owned(), id)),
        None => drop(team.metadata.remove(PLAN_ID)),
    }
}

/// Changes a team's plan and the budgets that were made from it. Writes the plan's id into `team`,
/// which the caller then stores.
///
/// # Errors
/// [`Code::BadRequest`] for a period that cannot be read.
pub async fn put(
    domain: &Domain,
    tx: &mut Tx,
    team: &mut TeamRow,
    sent: &MemberPlan,
    actor: &Actor,
) -> Result<()> {
    if sent.is_absent() {
        return Ok(());
    }
    let now = domain.clock.now();
    let before = of(tx, team).await?;
    let mut plan = match &before {
        Some(plan) => plan.clone(),
        None => blank(&team.id, actor, now),
    };
    let sent = sent.clone();
    sent.max_budget.apply(&mut plan.max_budget);
    sent.period.apply(&mut plan.period);
    sent.rpm_limit.apply(&mut plan.rpm_limit);
    sent.tpm_limit.apply(&mut plan.tpm_limit);
    plan.updated_at = now;
    plan.updated_by = actor.name();
    let period = plan.period.as_deref().map(Period::parse).transpose();
    let period = period.map_err(|error| {
        Error::new(Code::BadRequest, error.message().to_owned())
            .param("team_member_budget_duration")
    })?;
    plan.resets_at = period.map(|period| period.first_reset(now, &domain.config.zone));
    store::budget_plans::put(&mut *tx, &plan)
        .await
        .map_err(storage)?;
    team.metadata
        .insert(PLAN_ID.to_owned(), Value::String(plan.id.clone()));
    spread(tx, actor, now, team, before.as_ref(), &plan).await
}

/// Gives a changed plan to the members who are in it, and to those who have no budget.
async fn spread(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    team: &TeamRow,
    before: Option<&BudgetPlanRow>,
    plan: &BudgetPlanRow,
) -> Result<()> {
    let members = store::teams::members_of_teams(&mut *tx, std::slice::from_ref(&team.id))
        .await
        .map_err(storage)?;
    for mut member in members {
        let budgets =
            store::budgets::list_for_scope(&mut *tx, ScopeKind::TeamMember.as_str(), &member.id)
                .await
                .map_err(storage)?;
        match budgets.into_iter().find(|budget| budget.counter == MAIN) {
            None => adopt(tx, actor, now, &member, plan).await?,
            Some(mut budget) if budget.plan_id.as_ref() == Some(&plan.id) => {
                copy(plan, &mut budget);
                budget.updated_at = now;
                budget.updated_by = actor.name();
                store::budgets::update(&mut *tx, &budget)
                    .await
                    .map_err(storage)?;
            }
            Some(_) => {}
        }
        // limits that are still the plan's follow it
        if member.rpm_limit == before.and_then(|plan| plan.rpm_limit) {
            member.rpm_limit = plan.rpm_limit;
        }
        if member.tpm_limit == before.and_then(|plan| plan.tpm_limit) {
            member.tpm_limit = plan.tpm_limit;
        }
        store::teams::update_member(&mut *tx, &member)
            .await
            .map_err(storage)?;
    }
    Ok(())
}

/// Writes a changed plan into the budgets that were made from it.
pub async fn follow_plan(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    plan: &BudgetPlanRow,
) -> Result<()> {
    let budgets = store::budgets::list_for_plan(&mut *tx, &plan.id)
        .await
        .map_err(storage)?;
    for mut budget in budgets {
        copy(plan, &mut budget);
        budget.updated_at = now;
        budget.updated_by = actor.name();
        store::budgets::update(&mut *tx, &budget)
            .await
            .map_err(storage)?;
    }
    Ok(())
}

/// Gives a member a budget from the plan.
pub async fn adopt(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    member: &MemberRow,
    plan: &BudgetPlanRow,
) -> Result<()> {
    let mut budget = BudgetRow {
        id: ids::new_id(now),
        scope_kind: ScopeKind::TeamMember.as_str().to_owned(),
        scope_id: member.id.clone(),
        model: None,
        amount: None,
        increase: None,
        increase_until: None,
        period: String::new(),
        zone: "UTC".to_owned(),
        enforcement: "hard".to_owned(),
        include_byok: false,
        counter: MAIN.to_owned(),
        plan_id: Some(plan.id.clone()),
        resets_at: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    };
    copy(plan, &mut budget);
    store::budgets::insert(tx, &budget).await.map_err(storage)
}

/// Makes a member's budget their own.
pub async fn leave(tx: &mut Tx, member_id: &str) -> Result<()> {
    let budgets =
        store::budgets::list_for_scope(&mut *tx, ScopeKind::TeamMember.as_str(), member_id)
            .await
            .map_err(storage)?;
    for mut budget in budgets {
        if budget.plan_id.take().is_some() {
            store::budgets::update(&mut *tx, &budget)
                .await
                .map_err(storage)?;
        }
    }
    Ok(())
}

/// Takes away what a member has from the team's plan.
pub async fn take_away(tx: &mut Tx, member_id: &str) -> Result<()> {
    let budgets =
        store::budgets::list_for_scope(&mut *tx, ScopeKind::TeamMember.as_str(), member_id)
            .await
            .map_err(storage)?;
    for budget in budgets.iter().filter(|budget| budget.plan_id.is_some()) {
        store::budgets::delete(&mut *tx, &budget.id)
            .await
            .map_err(storage)?;
    }
    Ok(())
}

/// Deletes a team's plan.
pub async fn erase(tx: &mut Tx, team: &TeamRow) -> Result<()> {
    let Some(id) = id_of(team) else {
        return Ok(());
    };
    store::budget_plans::delete(tx, id)
        .await
        .map_err(storage)
        .map(drop)
}

fn copy(plan: &BudgetPlanRow, budget: &mut BudgetRow) {
    budget.amount = plan.max_budget;
    // a budget keeps the anchor of its windows as long as its period stays
    let period = plan.period.clone().unwrap_or_else(|| "total".to_owned());
    if budget.period != period {
        budget.period = period;
        budget.resets_at = plan.resets_at;
    }
}

fn blank(team_id: &str, actor: &Actor, now: Millis) -> BudgetPlanRow {
    BudgetPlanRow {
        id: format!("team-{team_id}-budget-{}", ids::new_id(now)),
        max_budget: None,
        soft_budget: None,
        period: None,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        model_budgets: Json::default(),
        resets_at: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    }
}
