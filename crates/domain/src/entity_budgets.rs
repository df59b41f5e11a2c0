//! The budget fields of keys, users, teams and members as rows of `budgets`, and what each has
//! spent.
//!
//! One row holds `max_budget` and `budget_duration` and measures the `main` counter, which is what
//! APIs call `spend`; a second, which only tells, holds `soft_budget`. Further windows and budgets of
//! single models are rows that measure counters of their own.

mod links;
mod write;

use std::collections::{BTreeMap, HashMap};

use base::{Code, Error, Millis, Money, Result};
use serde_json::{Value, json};
use store::Tx;
use store::budget_plans::BudgetPlanRow;
use store::budgets::BudgetRow;
use store::counters::CounterRow;

use links::{Followed, Own};
use write::{Place, write_rows};

use crate::ledger::Adjustment;
use crate::periods::Period;
use crate::scopes::{INCREASE, LIFETIME, MAIN, Scope, ScopeKind, increase_of};
use crate::{Domain, Patch, storage};

/// The period of a budget that is never reset.
const TOTAL: &str = "total";

/// What an update says of an entity's budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetPatch {
    pub max_budget: Patch<Money>,
    pub soft_budget: Patch<Money>,
    /// How often spend is reset: a duration of contract §5.6.
    pub duration: Patch<String>,
    /// All further windows; given ones replace those that are there.
    pub windows: Patch<Vec<WindowLimit>>,
    /// All limits of single models; given ones replace those that are there.
    pub models: Patch<BTreeMap<String, ModelLimit>>,
    /// A temporary increase of `max_budget` (contract §5.7).
    pub increase: Patch<Increase>,
    /// The named plan whose limits hold where the entity has none of its own (`budget_id`).
    pub plan: Patch<String>,
    /// Whether all of them count what people's own provider keys pay.
    pub include_byok: Patch<bool>,
}

/// A limit on what may be spent in each window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLimit {
    pub max_budget: Money,
    pub duration: String,
}

/// A limit on what may be spent on one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelLimit {
    pub max_budget: Money,
    /// `None`: never reset.
    pub duration: Option<String>,
}

/// What is added to `max_budget` until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Increase {
    pub amount: Money,
    pub until: Millis,
}

/// An entity's budgets and what it has spent, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// In the current window.
    pub spend: Money,
    /// Since the entity was made.
    pub total_spend: Money,
    pub max_budget: Option<Money>,
    pub soft_budget: Option<Money>,
    pub duration: Option<String>,
    pub resets_at: Option<Millis>,
    pub windows: Vec<WindowLimit>,
    pub models: BTreeMap<String, ModelLimit>,
    pub increase: Option<Increase>,
    /// The named plan that it follows; the limits here are its own.
    pub plan: Option<BudgetPlanRow>,
    /// The row of `max_budget`.
    pub main_row: Option<BudgetRow>,
    /// The row of `soft_budget`, which the reference shows as a linked budget.
    pub soft_row: Option<BudgetRow>,
}

/// Reads an entity's account from the database. For an exact answer, flush the ledger first.
pub async fn account(domain: &Domain, kind: ScopeKind, id: &str) -> Result<Account> {
    let mut accounts = accounts(domain, kind, &[id.to_owned()]).await?;
    Ok(accounts.remove(id).unwrap_or_default())
}

/// Reads the accounts of several entities, by their ids, as [`account`] does.
pub async fn accounts(
    domain: &Domain,
    kind: ScopeKind,
    ids: &[String],
) -> Result<HashMap<String, Account>> {
    let budgets = store::budgets::list_for_scopes(&domain.db, kind.as_str(), ids)
        .await
        .map_err(storage)?;
    let counters = store::counters::list_for_scopes(&domain.db, kind.as_str(), ids)
        .await
        .map_err(storage)?;
    let mut rows: HashMap<String, (Vec<BudgetRow>, Vec<CounterRow>)> = HashMap::new();
    for budget in budgets {
        let entity = rows.entry(budget.scope_id.clone()).or_default();
        entity.0.push(budget);
    }
    for counter in counters {
        let entity = rows.entry(counter.scope_id.clone()).or_default();
        entity.1.push(counter);
    }
    let mut followed = links::of(domain, kind, ids).await?;
    for id in followed.keys() {
        rows.entry(id.clone()).or_default();
    }
    let (now, zone) = (domain.clock.now(), &domain.config.zone);
    let accounts = rows.into_iter().map(|(id, (budgets, counters))| {
        let granted = granted(&budgets, now);
        let scope = Scope::of_rows(kind, &id, budgets, counters);
        let mut account = Account {
            spend: scope.spend(now, zone),
            total_spend: scope.lifetime(),
            ..Account::default()
        };
        for standing in scope.standings(now, zone) {
            account.note(standing.budget, standing.resets_at);
        }
        if let Some((own, plan)) = followed.remove(&id) {
            own.show(&mut account, plan);
        }
        account.add_granted(granted, now);
        (id, account)
    });
    Ok(accounts.collect())
}

/// The amount of an entity's `max_budget`.
pub async fn limit<'a>(
    on: impl Into<store::On<'a>>,
    kind: ScopeKind,
    id: &str,
) -> Result<Option<Money>> {
    let rows = store::budgets::list_for_scope(on, kind.as_str(), id)
        .await
        .map_err(storage)?;
    Ok(rows
        .iter()
        .find(|row| is_main(row))
        .and_then(|row| row.amount))
}

/// An entity's budgets for the audit log, as the open transaction has them.
pub async fn described(tx: &mut Tx, kind: ScopeKind, id: &str) -> Result<Value> {
    let rows = store::budgets::list_for_scope(&mut *tx, kind.as_str(), id)
        .await
        .map_err(storage)?;
    let mut account = Account::default();
    let is_granted = |row: &&BudgetRow| row.enforcement == INCREASE;
    let grants: Vec<Value> = rows
        .iter()
        .filter(is_granted)
        .map(|row| {
            let until = row.increase_until.map(Millis::to_rfc3339);
            json!({"amount": row.increase, "until": until})
        })
        .collect();
    for row in rows.into_iter().filter(|row| row.enforcement != INCREASE) {
        account.note(row, None);
    }
    let link = store::budget_links::find(tx, kind.as_str(), id)
        .await
        .map_err(storage)?;
    let windows = account.windows.iter();
    let models = account.models.iter();
    Ok(json!({
        "budget_id": link.map(|link| link.plan_id),
        "max_budget": account.max_budget,
        "soft_budget": account.soft_budget,
        "budget_duration": account.duration,
        "temp_budget_increase": account.increase.map(|increase| increase.amount),
        "temp_budget_expiry": account.increase.map(|increase| increase.until.to_rfc3339()),
        "include_byok": account.main_row.as_ref().is_some_and(|row| row.include_byok),
        "granted": grants,
        "budget_limits": windows
            .map(|window| (window.duration.clone(), window.max_budget))
            .collect::<BTreeMap<_, _>>(),
        "model_max_budget": models
            .map(|(model, limit)| (model.clone(), limit.max_budget))
            .collect::<BTreeMap<_, _>>(),
    }))
}

/// What is granted of the main budget beside its row, and when the first of it ends.
fn granted(rows: &[BudgetRow], now: Millis) -> Option<(Money, Millis)> {
    let of_main = |row: &&BudgetRow| row.enforcement == INCREASE && row.counter == MAIN;
    increase_of(rows.iter().filter(of_main), now)
}

impl Account {
    /// Shows grants as the temporary increase that they are.
    fn add_granted(&mut self, granted: Option<(Money, Millis)>, now: Millis) {
        let Some((amount, until)) = granted else {
            return;
        };
        let own = self.increase.filter(|increase| now < increase.until);
        self.increase = Some(match own {
            None => Increase { amount, until },
            Some(own) => Increase {
                amount: own.amount.saturating_add(amount),
                until: own.until.min(until),
            },
        });
    }

    fn note(&mut self, row: BudgetRow, resets_at: Option<Millis>) {
        let duration = Some(row.period.clone()).filter(|period| period != TOTAL);
        if is_main(&row) {
            self.max_budget = row.amount;
            self.duration = duration;
            self.resets_at = resets_at;
            self.increase = row
                .increase
                .zip(row.increase_until)
                .map(|(amount, until)| Increase { amount, until });
            self.main_row = Some(row);
        } else if is_soft(&row) {
            self.soft_budget = row.amount;
            self.soft_row = Some(row);
        } else if let Some(max_budget) = row.amount {
            match (row.model, duration) {
                (Some(model), duration) => {
                    let limit = ModelLimit {
                        max_budget,
                        duration,
                    };
                    self.models.insert(model, limit);
                }
                (None, Some(duration)) => self.windows.push(WindowLimit {
                    max_budget,
                    duration,
                }),
                (None, None) => {}
            }
        }
    }
}

fn is_main(row: &BudgetRow) -> bool {
    row.counter == MAIN && row.enforcement == "hard"
}

fn is_soft(row: &BudgetRow) -> bool {
    row.counter == MAIN && row.enforcement == "soft"
}

/// Reads a `budget_duration`.
///
/// # Errors
/// [`Code::BadRequest`] naming the field.
pub fn parse_duration(text: &str) -> Result<Period> {
    Period::parse(text).map_err(|_| {
        Error::new(
            Code::BadRequest,
            format!(
                "Invalid budget_duration '{text}'. Use a format like '1h', '24h', '7d', or '30d'."
            ),
        )
        .param("budget_duration")
    })
}

/// Changes an entity's budgets in the transaction that changes the entity.
///
/// # Errors
/// [`Code::BadRequest`] for a duration that is none, and for a plan that does not exist.
pub async fn write(
    domain: &Domain,
    tx: &mut Tx,
    kind: ScopeKind,
    id: &str,
    patch: &BudgetPatch,
    by: Option<&str>,
) -> Result<()> {
    let to = Place { kind, id, by };
    match links::change(&mut *tx, &to, patch).await? {
        Followed::None => write_rows(domain, tx, &to, patch, None).await,
        Followed::No(own) => write_rows(domain, tx, &to, &own.merged(None, patch), None).await,
        Followed::Plan { own, plan, is_new } => {
            let anchor = is_new.then(|| own.anchor(domain, &plan)).flatten();
            write_rows(domain, tx, &to, &own.merged(Some(&plan), patch), anchor).await
        }
    }
}

/// Writes a changed plan into the budgets of all that follow it. `is_moved`: its windows end at other
/// times than before.
pub async fn spread(
    domain: &Domain,
    tx: &mut Tx,
    plan: &BudgetPlanRow,
    is_moved: bool,
    by: Option<&str>,
) -> Result<()> {
    let followers = store::budget_links::list_for_plan(&mut *tx, &plan.id)
        .await
        .map_err(storage)?;
    for link in followers {
        let kind = ScopeKind::parse(&link.scope_kind).ok_or_else(|| {
            Error::internal(format!("a budget is linked to a '{}'", link.scope_kind))
        })?;
        let own = Own::read(&link)?;
        let anchor = is_moved.then(|| own.anchor(domain, plan)).flatten();
        let patch = own.merged(Some(plan), &BudgetPatch::default());
        let id = &link.scope_id;
        write_rows(domain, tx, &Place { kind, id, by }, &patch, anchor).await?;
    }
    Ok(())
}

/// Deletes an entity's budgets with the entity; what it has spent stays.
pub async fn erase(tx: &mut Tx, kind: ScopeKind, id: &str) -> Result<()> {
    store::budgets::delete_for_scope(&mut *tx, kind.as_str(), id)
        .await
        .map_err(storage)?;
    store::budget_links::delete(tx, kind.as_str(), id)
        .await
        .map_err(storage)
        .map(drop)
}

/// Notes what a new entity has spent elsewhere before.
pub async fn start_with(
    domain: &Domain,
    tx: &mut Tx,
    kind: ScopeKind,
    id: &str,
    spend: Money,
) -> Result<()> {
    for counter in [MAIN, LIFETIME] {
        let counter = CounterRow {
            scope_kind: kind.as_str().to_owned(),
            scope_id: id.to_owned(),
            counter: counter.to_owned(),
            started_at: Millis(0),
            settled: spend,
            personal: Money::ZERO,
            requests: 0,
            updated_at: domain.clock.now(),
        };
        store::counters::put(tx, &counter).await.map_err(storage)?;
    }
    Ok(())
}

/// Moves what an entity has spent in its current window to an amount, as an administrator asks.
/// After the commit of what else changes; flush the ledger before it is read again.
pub async fn set_spend(domain: &Domain, kind: ScopeKind, id: &str, to: Money) -> Result<()> {
    let scope = domain.scopes.load(&domain.db, kind, id).await?;
    adjust(domain, &scope, to).await
}

async fn adjust(domain: &Domain, scope: &Scope, to: Money) -> Result<()> {
    let delta = scope.adjust(to, domain.clock.now(), &domain.config.zone);
    let adjustment = Adjustment {
        kind: scope.kind,
        id: scope.id.clone(),
        delta,
    };
    domain.ledger.adjust(adjustment).await
}
