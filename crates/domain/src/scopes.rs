//! Scopes: everything that spends and can have a budget, with its counters in memory.
//!
//! The counters here are the database's plus what the ledger's writer has not written yet. They are
//! loaded when a scope is first met and from then on moved only by [`Scope::settle`] and
//! [`Scope::adjust`], both of which hand the same amounts to the writer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use base::{Millis, Money, Result};
use jiff::tz::TimeZone;
use store::On;
use store::budgets::BudgetRow;
use store::counters::CounterRow;

use crate::periods::Period;
use crate::storage;

/// What kind of thing a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeKind {
    /// All that runs through this gateway.
    Gateway,
    Organization,
    OrganizationMember,
    Team,
    TeamMember,
    User,
    Key,
}

impl ScopeKind {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            ScopeKind::Gateway => "gateway",
            ScopeKind::Organization => "organization",
            ScopeKind::OrganizationMember => "organization_member",
            ScopeKind::Team => "team",
            ScopeKind::TeamMember => "team_member",
            ScopeKind::User => "user",
            ScopeKind::Key => "key",
        }
    }

    pub fn parse(name: &str) -> Option<ScopeKind> {
        const ALL: [ScopeKind; 7] = [
            ScopeKind::Gateway,
            ScopeKind::Organization,
            ScopeKind::OrganizationMember,
            ScopeKind::Team,
            ScopeKind::TeamMember,
            ScopeKind::User,
            ScopeKind::Key,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The counter that APIs show as `spend`.
pub const MAIN: &str = "main";
/// `enforcement` of a row that is no budget, but adds to the one whose counter it names for a time.
pub const INCREASE: &str = "increase";
/// The counter that is never reset (`total_spend`).
pub const LIFETIME: &str = "lifetime";

/// A scope and what it has spent. `id` is immutable: rotating a key changes nothing here.
#[derive(Debug)]
pub struct Scope {
    pub kind: ScopeKind,
    pub id: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    budgets: Vec<Budget>,
    /// What is granted beside the budgets, each until its own end.
    increases: Vec<BudgetRow>,
    counters: Vec<Counter>,
}

/// A budget with its period parsed.
#[derive(Clone, Debug)]
pub struct Budget {
    pub row: BudgetRow,
    /// `None`: never reset.
    period: Option<Period>,
    /// Named by `row.counter`.
    counter: CounterName,
}

impl Budget {
    /// The amount at which calls are refused, with what is added to it for a time.
    fn limit(&self, now: Millis) -> Option<Money> {
        let row = &self.row;
        let amount = row.amount.filter(|_| row.enforcement == "hard")?;
        let more = row
            .increase
            .filter(|_| row.increase_until.is_some_and(|until| now < until));
        Some(amount.saturating_add(more.unwrap_or_default()))
    }
}

#[derive(Clone, Debug)]
struct Counter {
    name: String,
    started_at: Millis,
    settled: Money,
    personal: Money,
    requests: i64,
}

/// A budget as it stands at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    pub budget: BudgetRow,
    pub settled: Money,
    pub resets_at: Option<Millis>,
}

/// Which of a scope's counters. Cheap to clone: each call names several.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CounterName {
    /// Never reset (`total_spend`).
    Lifetime,
    /// What APIs call `spend`.
    Main,
    /// A further budget's own, named by its id.
    Budget(Arc<str>),
}

impl CounterName {
    /// The name in the database.
    pub fn as_str(&self) -> &str {
        match self {
            CounterName::Lifetime => LIFETIME,
            CounterName::Main => MAIN,
            CounterName::Budget(id) => id,
        }
    }
}

/// An amount that a scope's counter moved by, for the writer.
#[derive(Clone, Debug)]
pub struct Delta {
    pub counter: CounterName,
    pub started_at: Millis,
    pub settled: Money,
    pub personal: Money,
    pub requests: i64,
}

/// The counters of a scope that a call's cost was added to, by the start of their windows: the
/// lifetime's, which has none, and these.
#[derive(Debug, PartialEq, Eq)]
pub struct Moved {
    pub main: Millis,
    pub others: Vec<(CounterName, Millis)>,
}

/// What is added to counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    pub cost: Money,
    /// The cost is a personal credential's.
    pub personal: bool,
    /// 1 at the end of a call, 0 for a part of one that goes on.
    pub calls: i64,
}

impl Bill {
    /// What of it is settled, and what is personal.
    pub fn amounts(self) -> (Money, Money) {
        match self.personal {
            true => (Money::ZERO, self.cost),
            false => (self.cost, Money::ZERO),
        }
    }
}

impl Scope {
    fn new(kind: ScopeKind, id: &str) -> Scope {
        Scope {
            kind,
            id: id.into(),
            state: Mutex::default(),
        }
    }

    /// A scope as the database has it, for an answer; calls move those of [`Scopes`].
    pub fn of_rows(
        kind: ScopeKind,
        id: &str,
        budgets: Vec<BudgetRow>,
        counters: Vec<CounterRow>,
    ) -> Scope {
        let scope = Scope::new(kind, id);
        let mut state = State::of_budgets(budgets);
        state.counters = counters.into_iter().map(Counter::from).collect();
        *scope.locked() = state;
        scope
    }

    /// What the scope has spent since it was made.
    pub fn lifetime(&self) -> Money {
        self.locked().settled_since(LIFETIME, Millis(0))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        // the state is plain numbers, changed in single steps: usable even after a panic
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the scope has spent in the current window of its `main` counter.
    pub fn spend(&self, now: Millis, zone: &TimeZone) -> Money {
        let state = self.locked();
        let started_at = state.window_start(MAIN, now, zone);
        state.settled_since(MAIN, started_at)
    }

    /// What the `main` counter has seen in its current window, and the hard limit on it.
    pub fn spend_and_limit(&self, now: Millis, zone: &TimeZone) -> (Money, Option<Money>) {
        let state = self.locked();
        let started_at = state.window_start(MAIN, now, zone);
        let mut main = state.budgets.iter().filter(|it| it.row.counter == MAIN);
        let limit = main.find_map(|budget| state.limit(budget, now));
        (state.settled_since(MAIN, started_at), limit)
    }

    /// Every budget of the scope with what its window has seen so far.
    pub fn standings(&self, now: Millis, zone: &TimeZone) -> Vec<Standing> {
        let state = self.locked();
        state
            .budgets
            .iter()
            .map(|budget| {
                let (started_at, resets_at) = state.window(budget, now, zone);
                Standing {
                    budget: budget.row.clone(),
                    settled: state.measured(budget, started_at),
                    resets_at,
                }
            })
            .collect()
    }

    /// The first hard budget that is used up for a call to `model`, if any; for one on the caller's own
    /// money among those that count it.
    pub fn exhausted(
        &self,
        model: &str,
        personal: bool,
        now: Millis,
        zone: &TimeZone,
    ) -> Option<Standing> {
        let state = self.locked();
        state.budgets.iter().find_map(|budget| {
            let row = &budget.row;
            let limit = state.limit(budget, now)?;
            if row.model.as_deref().is_some_and(|only| only != model)
                || (personal && !row.include_byok)
            {
                return None;
            }
            let (started_at, resets_at) = state.window(budget, now, zone);
            let settled = state.measured(budget, started_at);
            (settled >= limit).then(|| Standing {
                budget: BudgetRow {
                    amount: Some(limit),
                    ..row.clone()
                },
                settled,
                resets_at,
            })
        })
    }

    /// Whether any budget limits a call to `model`.
    pub fn is_limited(&self, model: &str, personal: bool) -> bool {
        self.locked().budgets.iter().any(|budget| {
            let row = &budget.row;
            row.amount.is_some()
                && row.enforcement == "hard"
                && row.model.as_deref().is_none_or(|only| only == model)
                && (row.include_byok || !personal)
        })
    }

    /// Adds a bill to every counter it belongs to; gives which those are.
    pub fn settle(&self, model: &str, bill: Bill, now: Millis, zone: &TimeZone) -> Moved {
        let (settled, personal) = bill.amounts();
        let delta = |counter, started_at| Delta {
            counter,
            started_at,
            settled,
            personal,
            requests: bill.calls,
        };
        let mut state = self.locked();
        state.apply(&delta(CounterName::Lifetime, Millis(0)));
        let main = state.window_start(MAIN, now, zone);
        state.apply(&delta(CounterName::Main, main));
        let mut others = Vec::new();
        for index in 0..state.budgets.len() {
            let budget = &state.budgets[index];
            let only = budget.row.model.as_deref();
            if budget.counter != CounterName::Main && only.is_none_or(|only| only == model) {
                let counter = budget.counter.clone();
                let (started_at, _) = state.window(budget, now, zone);
                state.apply(&delta(counter.clone(), started_at));
                others.push((counter, started_at));
            }
        }
        Moved { main, others }
    }

    /// Moves the `main` counter to an amount, as an administrator asks; gives what to write.
    pub fn adjust(&self, to: Money, now: Millis, zone: &TimeZone) -> Delta {
        let mut state = self.locked();
        let started_at = state.window_start(MAIN, now, zone);
        let delta = Delta {
            counter: CounterName::Main,
            started_at,
            settled: to - state.settled_since(MAIN, started_at),
            personal: Money::ZERO,
            requests: 0,
        };
        state.apply(&delta);
        delta
    }
}

impl State {
    fn of_budgets(rows: Vec<BudgetRow>) -> State {
        let (increases, budgets): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| row.enforcement == INCREASE);
        State {
            budgets: budgets.into_iter().map(Budget::from).collect(),
            increases,
            counters: Vec::new(),
        }
    }

    fn take_budgets(&mut self, fresh: State) {
        self.budgets = fresh.budgets;
        self.increases = fresh.increases;
    }

    /// The amount at which calls are refused, with all that is added to it at this moment.
    fn limit(&self, budget: &Budget, now: Millis) -> Option<Money> {
        let limit = budget.limit(now)?;
        let of_budget = |row: &&BudgetRow| row.counter == budget.row.counter;
        let more = increase_of(self.increases.iter().filter(of_budget), now);
        Some(limit.saturating_add(more.map_or(Money::ZERO, |(amount, _)| amount)))
    }

    /// When the current window of a budget began, and when it ends.
    fn window(&self, budget: &Budget, now: Millis, zone: &TimeZone) -> (Millis, Option<Millis>) {
        let started_at = self
            .counters
            .iter()
            .find(|counter| counter.name == budget.row.counter)
            .map_or(Millis(0), |counter| counter.started_at);
        match (&budget.period, budget.row.resets_at) {
            (Some(period), Some(resets_at)) if resets_at <= now => {
                let window = period.window_at(resets_at, now, zone);
                (window.starts_at, Some(window.ends_at))
            }
            (_, resets_at) => (started_at, resets_at),
        }
    }

    fn window_start(&self, counter: &str, now: Millis, zone: &TimeZone) -> Millis {
        match self
            .budgets
            .iter()
            .find(|budget| budget.row.counter == counter)
        {
            Some(budget) => self.window(budget, now, zone).0,
            None => self
                .counters
                .iter()
                .find(|known| known.name == counter)
                .map_or(Millis(0), |known| known.started_at),
        }
    }

    fn settled_since(&self, name: &str, started_at: Millis) -> Money {
        self.counters
            .iter()
            .find(|counter| counter.name == name && counter.started_at == started_at)
            .map_or(Money::ZERO, |counter| counter.settled)
    }

    /// What counts against a budget: with what the caller's own keys have paid, where it says so.
    fn measured(&self, budget: &Budget, started_at: Millis) -> Money {
        let row = &budget.row;
        let mut counters = self.counters.iter();
        let counter = counters
            .find(|counter| counter.name == row.counter && counter.started_at == started_at);
        match counter {
            None => Money::ZERO,
            Some(counter) if row.include_byok => counter.settled.saturating_add(counter.personal),
            Some(counter) => counter.settled,
        }
    }

    fn apply(&mut self, delta: &Delta) {
        let known = self
            .counters
            .iter_mut()
            .find(|counter| counter.name == delta.counter.as_str());
        match known {
            Some(counter) if counter.started_at == delta.started_at => {
                counter.settled = counter.settled.saturating_add(delta.settled);
                counter.personal = counter.personal.saturating_add(delta.personal);
                counter.requests += delta.requests;
            }
            Some(counter) if counter.started_at > delta.started_at => {}
            Some(counter) => *counter = Counter::starting(delta),
            None => self.counters.push(Counter::starting(delta)),
        }
    }
}

impl Counter {
    fn starting(delta: &Delta) -> Counter {
        Counter {
            name: delta.counter.as_str().to_owned(),
            started_at: delta.started_at,
            settled: delta.settled,
            personal: delta.personal,
            requests: delta.requests,
        }
    }
}

/// All scopes met so far.
#[derive(Debug, Default)]
pub struct Scopes {
    known: RwLock<HashMap<(ScopeKind, String), Arc<Scope>>>,
}

impl Scopes {
    fn known(&self, kind: ScopeKind, id: &str) -> Option<Arc<Scope>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(kind, id.to_owned())).cloned()
    }

    /// The scope, with its budgets as the database has them now. Its counters are read only the
    /// first time: afterwards memory is ahead of the database.
    pub async fn load<'a>(
        &self,
        on: impl Into<On<'a>>,
        kind: ScopeKind,
        id: &str,
    ) -> Result<Arc<Scope>> {
        let mut on = on.into();
        let budgets = store::budgets::list_for_scope(on.again(), kind.as_str(), id)
            .await
            .map_err(storage)?;
        let fresh = State::of_budgets(budgets);
        if let Some(scope) = self.known(kind, id) {
            scope.locked().take_budgets(fresh);
            return Ok(scope);
        }
        let counters = store::counters::list_for_scope(on, kind.as_str(), id)
            .await
            .map_err(storage)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let scope = known
            .entry((kind, id.to_owned()))
            .or_insert_with(|| {
                let scope = Scope::new(kind, id);
                scope.locked().counters = counters.into_iter().map(Counter::from).collect();
                Arc::new(scope)
            })
            .clone();
        scope.locked().take_budgets(fresh);
        Ok(scope)
    }
}

/// What increases add to a budget at a moment, and when the first of them ends.
pub(crate) fn increase_of<'a>(
    increases: impl Iterator<Item = &'a BudgetRow>,
    now: Millis,
) -> Option<(Money, Millis)> {
    let active = increases.filter_map(|row| {
        let until = row.increase_until.filter(|until| now < *until)?;
        Some((row.increase?, until))
    });
    active.reduce(|(sum, first), (amount, until)| (sum.saturating_add(amount), first.min(until)))
}

impl From<BudgetRow> for Budget {
    fn from(row: BudgetRow) -> Budget {
        Budget {
            // rows are written only after their period was parsed
            period: Period::parse(&row.period).ok(),
            counter: match row.counter.as_str() {
                MAIN => CounterName::Main,
                id => CounterName::Budget(id.into()),
            },
            row,
        }
    }
}

impl From<CounterRow> for Counter {
    fn from(row: CounterRow) -> Counter {
        Counter {
            name: row.counter,
            started_at: row.started_at,
            settled: row.settled,
            personal: row.personal,
            requests: row.requests,
        }
    }
}
