//! Entities that follow a named plan (`budget_id`, contract §8.1, §12).
//!
//! What an entity says itself is kept beside its link; its rows of `budgets` are what follows from that
//! and from the plan, so that whatever checks or counts money need not know of plans. Each entity has
//! counters of its own.

use std::collections::{BTreeMap, HashMap};

use base::{Code, Error, Millis, Money, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::budget_links::BudgetLinkRow;
use store::budget_plans::BudgetPlanRow;
use store::json::{Json, Object};
use store::{On, Tx};

use super::write::Place;
use super::{Account, BudgetPatch, ModelLimit, TOTAL, is_main, is_soft};
use crate::periods::Period;
use crate::scopes::ScopeKind;
use crate::{Domain, Patch, plans, storage};

/// What an entity says of its budgets itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub(super) struct Own {
    max_budget: Option<Money>,
    soft_budget: Option<Money>,
    duration: Option<String>,
    models: BTreeMap<String, ModelLimit>,
}

/// The same in the database: money as nano-dollars, a model's with its period.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    max_budget: Option<i64>,
    soft_budget: Option<i64>,
    duration: Option<String>,
    models: BTreeMap<String, (i64, Option<String>)>,
}

impl From<Kept> for Own {
    fn from(kept: Kept) -> Own {
        let limit = |(model, (max_budget, duration))| {
            let max_budget = Money(max_budget);
            (
                model,
                ModelLimit {
                    max_budget,
                    duration,
                },
            )
        };
        Own {
            max_budget: kept.max_budget.map(Money),
            soft_budget: kept.soft_budget.map(Money),
            duration: kept.duration,
            models: kept.models.into_iter().map(limit).collect(),
        }
    }
}

impl From<Own> for Kept {
    fn from(own: Own) -> Kept {
        let limit =
            |(model, limit): (String, ModelLimit)| (model, (limit.max_budget.0, limit.duration));
        Kept {
            max_budget: own.max_budget.map(|amount| amount.0),
            soft_budget: own.soft_budget.map(|amount| amount.0),
            duration: own.duration,
            models: own.models.into_iter().map(limit).collect(),
        }
    }
}

/// Which plan an entity follows after a change.
pub(super) enum Followed {
    /// None, and none before.
    None,
    /// None any more.
    No(Own),
    Plan {
        own: Own,
        plan: Box<BudgetPlanRow>,
        /// It did not before.
        is_new: bool,
    },
}

impl Own {
    pub fn read(link: &BudgetLinkRow) -> Result<Own> {
        let own = Value::Object(link.own.0.clone());
        serde_json::from_value(own).map_err(Error::internal)
    }

    /// Of an entity that follows no plan so far.
    async fn of_rows(on: On<'_>, kind: ScopeKind, id: &str) -> Result<Own> {
        let rows = store::budgets::list_for_scope(on, kind.as_str(), id)
            .await
            .map_err(storage)?;
        let mut own = Own::default();
        for row in rows {
            let duration = Some(row.period.clone()).filter(|period| period != TOTAL);
            if is_main(&row) {
                own.max_budget = row.amount;
                own.duration = duration;
            } else if is_soft(&row) {
                own.soft_budget = row.amount;
            } else if let (Some(model), Some(max_budget)) = (row.model, row.amount) {
                let limit = ModelLimit {
                    max_budget,
                    duration,
                };
                own.models.insert(model, limit);
            }
        }
        Ok(own)
    }

    fn apply(&mut self, patch: &BudgetPatch) {
        let patch = patch.clone();
        patch.max_budget.apply(&mut self.max_budget);
        patch.soft_budget.apply(&mut self.soft_budget);
        patch.duration.apply(&mut self.duration);
        patch.models.apply_or_default(&mut self.models);
    }

    /// What the rows are to be: what the entity says, and the plan where it says nothing. Windows and
    /// increases are the entity's alone.
    pub fn merged(&self, plan: Option<&BudgetPlanRow>, patch: &BudgetPatch) -> BudgetPatch {
        let said = |own: Option<Money>, plan: Option<Money>| {
            own.or(plan).map_or(Patch::Null, Patch::Value)
        };
        let own = self.clone();
        let period = plan.and_then(|plan| plan.period.clone());
        let mut models = plan.map(plans::models).unwrap_or_default();
        models.extend(own.models);
        BudgetPatch {
            include_byok: patch.include_byok.clone(),
            max_budget: said(own.max_budget, plan.and_then(|plan| plan.max_budget)),
            soft_budget: said(own.soft_budget, plan.and_then(|plan| plan.soft_budget)),
            duration: own.duration.or(period).map_or(Patch::Null, Patch::Value),
            models: Patch::Value(models),
            windows: patch.windows.clone(),
            increase: patch.increase.clone(),
            plan: Patch::Absent,
        }
    }

    /// When the current window of the plan ends, if that is the entity's.
    pub fn anchor(&self, domain: &Domain, plan: &BudgetPlanRow) -> Option<Millis> {
        let period = Period::parse(plan.period.as_deref()?).ok()?;
        let resets_at = plan.resets_at.filter(|_| self.duration.is_none())?;
        let now = domain.clock.now();
        Some(match resets_at > now {
            true => resets_at,
            false => {
                let window = period.window_at(resets_at, now, &domain.config.zone);
                window.ends_at
            }
        })
    }

    /// Shows an account as the entity's own, beside the plan.
    pub fn show(self, account: &mut Account, plan: BudgetPlanRow) {
        account.max_budget = self.max_budget;
        account.soft_budget = self.soft_budget;
        account.duration = self.duration;
        account.models = self.models;
        account.soft_row = None;
        account.plan = Some(plan);
    }

    fn link(&self, to: &Place<'_>, plan_id: &str) -> Result<BudgetLinkRow> {
        let own = match serde_json::to_value(self).map_err(Error::internal)? {
            Value::Object(own) => own,
            _ => Object::new(),
        };
        Ok(BudgetLinkRow {
            scope_kind: to.kind.as_str().to_owned(),
            scope_id: to.id.to_owned(),
            plan_id: plan_id.to_owned(),
            own: Json(own),
        })
    }
}

/// Writes what a change says of an entity's plan, and of what it says itself beside one.
pub(super) async fn change(tx: &mut Tx, to: &Place<'_>, patch: &BudgetPatch) -> Result<Followed> {
    let known = store::budget_links::find(&mut *tx, to.kind.as_str(), to.id)
        .await
        .map_err(storage)?;
    let wanted = match (&patch.plan, &known) {
        (Patch::Value(id), _) => Some(id.clone()),
        (Patch::Absent, Some(link)) => Some(link.plan_id.clone()),
        (Patch::Null, Some(_)) => None,
        (Patch::Absent | Patch::Null, None) => return Ok(Followed::None),
    };
    let mut own = match &known {
        Some(link) => Own::read(link)?,
        None => Own::of_rows(On::from(&mut *tx), to.kind, to.id).await?,
    };
    own.apply(patch);
    let Some(plan_id) = wanted else {
        store::budget_links::delete(tx, to.kind.as_str(), to.id)
            .await
            .map_err(storage)?;
        return Ok(Followed::No(own));
    };
    // locked, so that it is not changed or deleted without this entity
    let plan = store::budget_plans::lock(tx, &plan_id)
        .await
        .map_err(storage)?;
    let plan = plan.ok_or_else(|| unknown(&plan_id))?;
    store::budget_links::put(tx, &own.link(to, &plan_id)?)
        .await
        .map_err(storage)?;
    Ok(Followed::Plan {
        own,
        is_new: known.is_none_or(|link| link.plan_id != plan_id),
        plan: Box::new(plan),
    })
}

fn unknown(plan_id: &str) -> Error {
    let message = format!("budget '{plan_id}' does not exist: make it with POST /budget/new");
    Error::new(Code::BadRequest, message).param("budget_id")
}

/// The plans that these entities follow, and what each says itself.
pub(super) async fn of(
    domain: &Domain,
    kind: ScopeKind,
    ids: &[String],
) -> Result<HashMap<String, (Own, BudgetPlanRow)>> {
    let links = store::budget_links::list_for_scopes(&domain.db, kind.as_str(), ids)
        .await
        .map_err(storage)?;
    if links.is_empty() {
        return Ok(HashMap::new());
    }
    let plan_ids: Vec<String> = links.iter().map(|link| link.plan_id.clone()).collect();
    let plans = store::budget_plans::find_many(&domain.db, &plan_ids)
        .await
        .map_err(storage)?;
    let mut followed = HashMap::new();
    for link in links {
        if let Some(plan) = plans.iter().find(|plan| plan.id == link.plan_id) {
            let own = Own::read(&link)?;
            followed.insert(link.scope_id, (own, plan.clone()));
        }
    }
    Ok(followed)
}
