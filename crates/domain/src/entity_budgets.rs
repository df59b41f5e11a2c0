//! The budget fields of keys, users, teams and members as rows of `budgets`, and what each has
//! spent.
//!
//! One row holds `max_budget` and `budget_duration` and measures the `main` counter, which is what
//! APIs call `spend`; a second, which only tells, holds `soft_budget`. Further windows and budgets of
//! single models are rows that measure counters of their own.

use std::collections::{BTreeMap, HashMap};

use base::{Code, Error, Millis, Money, Result, ids};
use serde_json::{Value, json};
use store::Tx;
use store::budgets::BudgetRow;
use store::counters::CounterRow;

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
        account.add_granted(granted, now);
        (id, account)
    });
    Ok(accounts.collect())
}

/// An entity's budgets for the audit log, as the open transaction has them.
pub async fn described(tx: &mut Tx, kind: ScopeKind, id: &str) -> Result<Value> {
    let rows = store::budgets::list_for_scope(tx, kind.as_str(), id)
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
    let windows = account.windows.iter();
    let models = account.models.iter();
    Ok(json!({
        "max_budget": account.max_budget,
        "soft_budget": account.soft_budget,
        "budget_duration": account.duration,
        "temp_budget_increase": account.increase.map(|increase| increase.amount),
        "temp_budget_expiry": account.increase.map(|increase| increase.until.to_rfc3339()),
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
/// [`Code::BadRequest`] for a duration that is none.
pub async fn write(
    domain: &Domain,
    tx: &mut Tx,
    kind: ScopeKind,
    id: &str,
    patch: &BudgetPatch,
    by: Option<&str>,
) -> Result<()> {
    let rows = store::budgets::list_for_scope(&mut *tx, kind.as_str(), id)
        .await
        .map_err(storage)?;
    let writer = Writer {
        domain,
        kind,
        id,
        by,
        now: domain.clock.now(),
    };
    let main = writer.write_main(tx, &rows, patch).await?;
    writer.write_soft(tx, &rows, patch, main.as_ref()).await?;
    writer.write_windows(tx, &rows, &patch.windows).await?;
    writer.write_models(tx, &rows, &patch.models).await
}

struct Writer<'a> {
    domain: &'a Domain,
    kind: ScopeKind,
    id: &'a str,
    by: Option<&'a str>,
    now: Millis,
}

impl Writer<'_> {
    /// Gives the row as it is afterwards.
    async fn write_main(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        patch: &BudgetPatch,
    ) -> Result<Option<BudgetRow>> {
        let known = rows.iter().find(|row| is_main(row));
        let untouched = patch.max_budget.is_absent()
            && patch.duration.is_absent()
            && patch.increase.is_absent();
        if untouched {
            return Ok(known.cloned());
        }
        let mut row = known.cloned().unwrap_or_else(|| self.fresh());
        patch.max_budget.clone().apply(&mut row.amount);
        match &patch.increase {
            Patch::Absent => {}
            Patch::Null => (row.increase, row.increase_until) = (None, None),
            Patch::Value(increase) => {
                row.increase = Some(increase.amount);
                row.increase_until = Some(increase.until);
            }
        }
        let period = match &patch.duration {
            Patch::Absent => row.period.clone(),
            Patch::Null => TOTAL.to_owned(),
            Patch::Value(text) => text.trim().to_owned(),
        };
        if period != row.period {
            if known.is_some() {
                self.enter_window(tx).await?;
            }
            self.set_period(&mut row, &period)?;
        }
        if row.amount.is_none() && row.increase.is_none() && row.period == TOTAL {
            if let Some(known) = known {
                self.delete(tx, known).await?;
            }
            return Ok(None);
        }
        self.put(tx, known.is_some(), &mut row).await?;
        Ok(Some(row))
    }

    /// The soft budget is measured in the windows of the main one.
    async fn write_soft(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        patch: &BudgetPatch,
        main: Option<&BudgetRow>,
    ) -> Result<()> {
        let known = rows.iter().find(|row| is_soft(row));
        let mut row = match (known, &patch.soft_budget) {
            (None, Patch::Absent | Patch::Null) => return Ok(()),
            (Some(known), Patch::Null) => return self.delete(tx, known).await,
            (Some(known), Patch::Absent) => known.clone(),
            (known, Patch::Value(amount)) => BudgetRow {
                amount: Some(*amount),
                enforcement: "soft".to_owned(),
                ..known.cloned().unwrap_or_else(|| self.fresh())
            },
        };
        row.period = main.map_or(TOTAL.to_owned(), |main| main.period.clone());
        row.resets_at = main.and_then(|main| main.resets_at);
        self.put(tx, known.is_some(), &mut row).await
    }

    async fn write_windows(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        windows: &Patch<Vec<WindowLimit>>,
    ) -> Result<()> {
        let wanted: &[WindowLimit] = match windows {
            Patch::Absent => return Ok(()),
            Patch::Null => &[],
            Patch::Value(windows) => windows,
        };
        let is_window = |row: &&BudgetRow| {
            row.counter != MAIN && row.model.is_none() && row.enforcement != INCREASE
        };
        let mut known: Vec<&BudgetRow> = rows.iter().filter(is_window).collect();
        for window in wanted {
            let same = known.iter().position(|row| row.period == window.duration);
            let row = same.map(|at| known.swap_remove(at));
            self.put_own(tx, row, window.max_budget, &window.duration, None)
                .await?;
        }
        for row in known {
            self.delete(tx, row).await?;
        }
        Ok(())
    }

    async fn write_models(
        &self,
        tx: &mut Tx,
        rows: &[BudgetRow],
        models: &Patch<BTreeMap<String, ModelLimit>>,
    ) -> Result<()> {
        let none = BTreeMap::new();
        let wanted = match models {
            Patch::Absent => return Ok(()),
            Patch::Null => &none,
            Patch::Value(models) => models,
        };
        for row in rows {
            let kept = row
                .model
                .as_ref()
                .is_none_or(|model| wanted.contains_key(model));
            if !kept {
                self.delete(tx, row).await?;
            }
        }
        for (model, limit) in wanted {
            let known = rows.iter().find(|row| row.model.as_ref() == Some(model));
            let duration = limit.duration.as_deref().unwrap_or(TOTAL);
            self.put_own(tx, known, limit.max_budget, duration, Some(model))
                .await?;
        }
        Ok(())
    }

    /// Writes a budget that measures a counter of its own.
    async fn put_own(
        &self,
        tx: &mut Tx,
        known: Option<&BudgetRow>,
        amount: Money,
        duration: &str,
        model: Option<&str>,
    ) -> Result<()> {
        let mut row = known.cloned().unwrap_or_else(|| {
            let fresh = self.fresh();
            BudgetRow {
                counter: fresh.id.clone(),
                ..fresh
            }
        });
        row.amount = Some(amount);
        row.model = model.map(str::to_owned);
        if row.period != duration {
            self.set_period(&mut row, duration)?;
        }
        self.put(tx, known.is_some(), &mut row).await
    }

    fn set_period(&self, row: &mut BudgetRow, period: &str) -> Result<()> {
        row.resets_at = match period {
            TOTAL => None,
            text => {
                let zone = &self.domain.config.zone;
                Some(parse_duration(text)?.first_reset(self.now, zone))
            }
        };
        row.period = period.to_owned();
        Ok(())
    }

    /// Moves the `main` counter into its current window, so that spend of windows that are over does
    /// not count again when the period changes.
    async fn enter_window(&self, tx: &mut Tx) -> Result<()> {
        let domain = self.domain;
        let scope = domain.scopes.load(tx, self.kind, self.id).await?;
        let spend = scope.spend(self.now, &domain.config.zone);
        adjust(domain, &scope, spend).await
    }

    fn fresh(&self) -> BudgetRow {
        BudgetRow {
            id: ids::new_id(self.now),
            scope_kind: self.kind.as_str().to_owned(),
            scope_id: self.id.to_owned(),
            model: None,
            amount: None,
            increase: None,
            increase_until: None,
            period: TOTAL.to_owned(),
            zone: self
                .domain
                .config
                .zone
                .iana_name()
                .unwrap_or("UTC")
                .to_owned(),
            enforcement: "hard".to_owned(),
            include_byok: false,
            counter: MAIN.to_owned(),
            plan_id: None,
            resets_at: None,
            created_at: self.now,
            created_by: self.by.map(str::to_owned),
            updated_at: self.now,
            updated_by: self.by.map(str::to_owned),
        }
    }

    async fn put(&self, tx: &mut Tx, exists: bool, row: &mut BudgetRow) -> Result<()> {
        row.updated_at = self.now;
        row.updated_by = self.by.map(str::to_owned);
        match exists {
            true => store::budgets::update(tx, row).await.map(drop),
            false => store::budgets::insert(tx, row).await,
        }
        .map_err(storage)
    }

    async fn delete(&self, tx: &mut Tx, row: &BudgetRow) -> Result<()> {
        store::budgets::delete(tx, &row.id)
            .await
            .map(drop)
            .map_err(storage)
    }
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
