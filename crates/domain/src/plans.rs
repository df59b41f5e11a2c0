//! Named plans: limits that many keys, users, teams and members share by reference (contract §12,
//! "budget rows").
//!
//! Whoever follows a plan (`budget_id`) has counters of their own; a change of the plan holds for all of
//! them at once, and who has a limit of their own keeps it.

use std::collections::BTreeMap;

use base::{Code, Error, Millis, Money, Result, ids};
use serde_json::{Value, json};
use store::budget_plans::BudgetPlanRow;
use store::json::{Json, Object};

use crate::audit::{self, Action, Actor};
use crate::entity_budgets::{self, ModelLimit, parse_duration};
use crate::{Change, Domain, Patch, storage, teams};

/// The longest id.
const LONGEST: usize = 256;

/// What a request says of a plan.
#[derive(Clone, Debug, Default)]
pub struct PlanFields {
    pub max_budget: Patch<Money>,
    pub soft_budget: Patch<Money>,
    /// How often spend is reset: a duration of contract §5.6.
    pub period: Patch<String>,
    /// When the current window ends; by default the period says.
    pub resets_at: Patch<Millis>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
    pub tpd_limit: Patch<i64>,
    pub max_parallel_requests: Patch<i64>,
    /// Limits of single models, as they were sent.
    pub models: Patch<Object>,
}

/// The limits of single models of a plan, whichever way clients spell them.
pub fn models(plan: &BudgetPlanRow) -> BTreeMap<String, ModelLimit> {
    let limit = |(model, sent): (&String, &Value)| {
        let first = |names: [&str; 2]| names.into_iter().find_map(|name| sent.get(name));
        let amount = match sent {
            Value::Object(_) => first(["max_budget", "budget_limit"])?,
            plain => plain,
        };
        let max_budget = match amount {
            Value::Number(number) => Money::from_json(number)?,
            Value::String(text) => Money::from_dollars(text)?,
            _ => return None,
        };
        let duration = first(["budget_duration", "time_period"]).and_then(Value::as_str);
        let limit = ModelLimit {
            max_budget,
            duration: duration.map(str::to_owned),
        };
        Some((model.clone(), limit))
    };
    plan.model_budgets.iter().filter_map(limit).collect()
}

/// Makes a plan.
///
/// # Errors
/// [`Code::BadRequest`] for a taken id, and for what makes no sense.
pub async fn create(
    domain: &Domain,
    actor: &Actor,
    id: Option<String>,
    fields: PlanFields,
) -> Result<BudgetPlanRow> {
    let now = domain.clock.now();
    let id = match id {
        Some(id) => checked(id)?,
        None => ids::new_id(now),
    };
    let mut plan = blank(id, actor, now);
    apply(domain, &mut plan, fields, now)?;
    let mut tx = domain.begin().await?;
    if !store::budget_plans::insert(&mut tx, &plan)
        .await
        .map_err(storage)?
    {
        let message = format!("Budget with id '{}' already exists.", plan.id);
        return Err(Error::new(Code::BadRequest, message).param("budget_id"));
    }
    let after = Some(described(&plan));
    let made = (None, after);
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Created,
        ("budget", &plan.id),
        made,
    );
    domain.commit(tx, &[Change::Budget(&plan.id)]).await?;
    Ok(plan)
}

/// Changes a plan, and with it the limits of all that follow it. `None`: there is no such plan.
///
/// # Errors
/// [`Code::BadRequest`] for what makes no sense.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    fields: PlanFields,
) -> Result<Option<BudgetPlanRow>> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let locked = store::budget_plans::lock(&mut tx, id)
        .await
        .map_err(storage)?;
    let Some(known) = locked else {
        return Ok(None);
    };
    let mut plan = known.clone();
    apply(domain, &mut plan, fields, now)?;
    plan.updated_at = now;
    plan.updated_by = actor.name();
    store::budget_plans::put(&mut tx, &plan)
        .await
        .map_err(storage)?;
    let is_moved = (&plan.period, plan.resets_at) != (&known.period, known.resets_at);
    let by = actor.name();
    entity_budgets::spread(domain, &mut tx, &plan, is_moved, by.as_deref()).await?;
    teams::follow_plan(&mut tx, actor, now, &plan).await?;
    let both = (Some(described(&known)), Some(described(&plan)));
    audit::changed(&mut tx, actor, now, Action::Updated, ("budget", id), both);
    domain.commit(tx, &[Change::Budget(id)]).await?;
    Ok(Some(plan))
}

/// Deletes a plan. Who followed it keeps its limits as their own: nobody is without a limit because of
/// it. `None`: there is no such plan.
pub async fn delete(domain: &Domain, actor: &Actor, id: &str) -> Result<Option<BudgetPlanRow>> {
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let locked = store::budget_plans::lock(&mut tx, id)
        .await
        .map_err(storage)?;
    let Some(plan) = locked else {
        return Ok(None);
    };
    store::budget_links::delete_for_plan(&mut tx, id)
        .await
        .map_err(storage)?;
    store::budgets::leave_plan(&mut tx, id)
        .await
        .map_err(storage)?;
    store::budget_plans::delete(&mut tx, id)
        .await
        .map_err(storage)?;
    let gone = (Some(described(&plan)), None);
    audit::changed(&mut tx, actor, now, Action::Deleted, ("budget", id), gone);
    domain.commit(tx, &[Change::Budget(id)]).await?;
    Ok(Some(plan))
}

/// Every plan, the oldest first.
pub async fn list(domain: &Domain) -> Result<Vec<BudgetPlanRow>> {
    store::budget_plans::list(&domain.db).await.map_err(storage)
}

/// The plans among these ids that exist, in this order.
pub async fn find(domain: &Domain, ids: &[String]) -> Result<Vec<BudgetPlanRow>> {
    let mut found = store::budget_plans::find_many(&domain.db, ids)
        .await
        .map_err(storage)?;
    let place = |plan: &BudgetPlanRow| ids.iter().position(|id| *id == plan.id);
    found.sort_by_key(place);
    Ok(found)
}

fn apply(domain: &Domain, plan: &mut BudgetPlanRow, fields: PlanFields, now: Millis) -> Result<()> {
    for (name, limit, field) in [
        ("rpm_limit", fields.rpm_limit, &mut plan.rpm_limit),
        ("tpm_limit", fields.tpm_limit, &mut plan.tpm_limit),
        ("tpd_limit", fields.tpd_limit, &mut plan.tpd_limit),
        (
            "max_parallel_requests",
            fields.max_parallel_requests,
            &mut plan.max_parallel_requests,
        ),
    ] {
        if matches!(limit, Patch::Value(..0)) {
            let message = format!("{name} must not be negative; leave it out for no limit");
            return Err(Error::new(Code::BadRequest, message).param(name));
        }
        limit.apply(field);
    }
    fields.max_budget.apply(&mut plan.max_budget);
    fields.soft_budget.apply(&mut plan.soft_budget);
    fields.models.apply_or_default(&mut plan.model_budgets.0);
    for limit in models(plan).into_values() {
        limit.duration.as_deref().map(parse_duration).transpose()?;
    }
    let period = fields.period.map(|period| period.trim().to_owned());
    let is_new = !period.is_absent() && period.as_ref().value() != plan.period.as_ref();
    period.apply(&mut plan.period);
    let period = plan.period.as_deref().map(parse_duration).transpose()?;
    match (period, fields.resets_at) {
        (None, Patch::Value(_)) => {
            let message = "budget_reset_at needs a budget_duration";
            return Err(Error::new(Code::BadRequest, message).param("budget_reset_at"));
        }
        (None, _) => plan.resets_at = None,
        (Some(_), Patch::Value(at)) => plan.resets_at = Some(at),
        (Some(period), Patch::Null) => {
            plan.resets_at = Some(period.first_reset(now, &domain.config.zone));
        }
        (Some(period), Patch::Absent) if is_new => {
            plan.resets_at = Some(period.first_reset(now, &domain.config.zone));
        }
        (Some(_), Patch::Absent) => {}
    }
    Ok(())
}

fn checked(id: String) -> Result<String> {
    let fits = !id.trim().is_empty()
        && id.len() <= LONGEST
        && !id.contains(|letter: char| letter.is_control());
    match fits {
        true => Ok(id),
        false => Err(Error::new(
            Code::BadRequest,
            format!("budget_id must be a text of 1 to {LONGEST} bytes without control characters"),
        )
        .param("budget_id")),
    }
}

fn blank(id: String, actor: &Actor, now: Millis) -> BudgetPlanRow {
    BudgetPlanRow {
        id,
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

fn described(plan: &BudgetPlanRow) -> Value {
    json!({
        "max_budget": plan.max_budget,
        "soft_budget": plan.soft_budget,
        "budget_duration": plan.period,
        "budget_reset_at": plan.resets_at.map(Millis::to_rfc3339),
        "rpm_limit": plan.rpm_limit,
        "tpm_limit": plan.tpm_limit,
        "tpd_limit": plan.tpd_limit,
        "max_parallel_requests": plan.max_parallel_requests,
        "model_max_budget": plan.model_budgets,
    })
}
