//! Money that may still be spent: checked before the upstream is called, settled afterwards.
//!
//! The checks run over every scope of the caller, in the order of contract §5.1. A call that is let
//! through holds a [`Hold`], which is where a reservation of its worst case belongs; dropping it
//! without settling gives back whatever it holds.

use std::sync::Arc;

use base::{Code, Error, Millis, Money, Result};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::caller::Caller;
use crate::scopes::{Bill, Moved, Scope, ScopeKind, Standing};
use crate::{Domain, requests, scopes};

/// A call that budgets have let through.
#[derive(Debug)]
pub struct Hold {
    caller: Arc<Caller>,
    /// What the parts of a long call have added so far.
    parts: Vec<Settled>,
}

/// What a settled call has added to one scope, and to which of its counters.
#[derive(Debug)]
pub struct Settled {
    pub scope: Arc<Scope>,
    pub moved: Moved,
    pub bill: Bill,
}

/// What is known of a call's price before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pricing {
    /// Price 0: passes any budget.
    Free,
    Priced,
    /// Nobody knows what it costs: refused where a hard budget applies, never taken for free.
    Unpriced,
}

/// Lets a call through, or names the budget that is used up. One on the caller's own money (`personal`)
/// is held against those budgets alone that count it.
///
/// # Errors
/// [`Code::BudgetExceeded`] with the scope, its limit, what is settled and when it is reset;
/// [`Code::ModelUnpriced`] when a budget applies and the model has no price.
pub fn admit(
    domain: &Domain,
    caller: &Arc<Caller>,
    model: &str,
    pricing: Pricing,
    personal: bool,
) -> Result<Hold> {
    let hold = Hold {
        caller: Arc::clone(caller),
        parts: Vec::new(),
    };
    if pricing == Pricing::Free {
        return Ok(hold);
    }
    let now = domain.clock.now();
    for scope in limiting(domain, caller) {
        if let Some(standing) = scope.exhausted(model, personal, now, &domain.config.zone) {
            return Err(exceeded(domain, caller, scope, &standing));
        }
        if pricing == Pricing::Unpriced && scope.is_limited(model, personal) {
            return Err(Error::new(
                Code::ModelUnpriced,
                format!(
                    "model '{model}' has no price, so its cost cannot be held against the budget of \
                     the {}; an administrator can set input_cost_per_token and \
                     output_cost_per_token for it",
                    describe(caller, scope)
                ),
            )
            .param("model"));
        }
    }
    Ok(hold)
}

/// Refuses a caller whose own budgets are used up, whatever the model (contract §5.1, row 9).
pub fn check(domain: &Domain, caller: &Caller) -> Result<()> {
    let now = domain.clock.now();
    for scope in limiting(domain, caller) {
        if let Some(standing) = scope.exhausted("", false, now, &domain.config.zone) {
            return Err(exceeded(domain, caller, scope, &standing));
        }
    }
    Ok(())
}

/// The scopes whose budgets bind a caller: the user's own does not reach keys of a team, unless it
/// is configured to (contract §5.8).
fn limiting<'a>(domain: &Domain, caller: &'a Caller) -> impl Iterator<Item = &'a Arc<Scope>> {
    let skip_user = caller.team_id().is_some() && !domain.config.user_budget_on_team_keys;
    caller
        .scopes
        .iter()
        .filter(move |scope| !(skip_user && scope.kind == ScopeKind::User))
}

impl Hold {
    /// Replaces the hold by the real cost, on every scope of the caller; gives all that the call has
    /// added to them.
    pub fn settle(
        mut self,
        model: &str,
        cost: Money,
        personal: bool,
        now: Millis,
        zone: &TimeZone,
    ) -> Vec<Settled> {
        let bill = Bill {
            cost,
            personal,
            calls: 1,
        };
        self.add(model, bill, now, zone);
        self.parts
    }

    /// Settles a part of a call that goes on: budgets know of it at once, the database at the end of
    /// the call.
    pub fn settle_part(
        &mut self,
        model: &str,
        cost: Money,
        personal: bool,
        now: Millis,
        zone: &TimeZone,
    ) {
        let bill = Bill {
            cost,
            personal,
            calls: 0,
        };
        self.add(model, bill, now, zone);
    }

    fn add(&mut self, model: &str, bill: Bill, now: Millis, zone: &TimeZone) {
        self.parts.reserve(self.caller.scopes.len());
        for scope in &self.caller.scopes {
            let moved = scope.settle(model, bill, now, zone);
            // a call of many parts does not grow but with the windows it goes through
            let same = |known: &&mut Settled| {
                Arc::ptr_eq(&known.scope, scope)
                    && known.moved == moved
                    && known.bill.personal == bill.personal
            };
            match self.parts.iter_mut().find(same) {
                Some(known) => {
                    known.bill.cost = known.bill.cost.saturating_add(bill.cost);
                    known.bill.calls += bill.calls;
                }
                None => self.parts.push(Settled {
                    scope: Arc::clone(scope),
                    moved,
                    bill,
                }),
            }
        }
    }
}

/// A scope in words, with the name that its owner knows.
fn describe(caller: &Caller, scope: &Scope) -> String {
    match scope.kind {
        ScopeKind::Gateway => "gateway".to_owned(),
        ScopeKind::Organization => format!("organization {}", scope.id),
        ScopeKind::OrganizationMember => format!(
            "member {} of the organization",
            caller.user_id.as_deref().unwrap_or_default(),
        ),
        ScopeKind::Team => format!("team {}", scope.id),
        ScopeKind::TeamMember => format!(
            "member {} of team {}",
            caller.user_id.as_deref().unwrap_or_default(),
            caller.team_id().unwrap_or_default()
        ),
        ScopeKind::User => format!("user {}", scope.id),
        ScopeKind::Key => {
            let key = caller.key.as_ref();
            let name = key.map(|key| key.alias.as_deref().unwrap_or(&key.name));
            format!("key {}", name.unwrap_or_default())
        }
    }
}

fn exceeded(domain: &Domain, caller: &Caller, scope: &Scope, standing: &Standing) -> Error {
    let limit = standing.budget.amount.unwrap_or_default();
    let settled = standing.settled;
    let id = &scope.id;
    // the beginnings are those that clients match on (contract §5.2)
    let what = match scope.kind {
        _ if standing.budget.counter != scopes::MAIN => format!(
            "ExceededBudget: {} over {} budget. Spend=${settled}, Limit=${limit}",
            describe(caller, scope),
            standing.budget.period
        ),
        ScopeKind::Key => {
            let key = caller.key.as_ref();
            let alias = key.and_then(|key| key.alias.as_deref()).unwrap_or("key");
            let name = key.map(|key| key.name.as_str()).unwrap_or_default();
            format!(
                "Budget has been exceeded! Key={alias} ({name}) Current cost: {settled}, Max \
                 budget: {limit}"
            )
        }
        ScopeKind::User => {
            format!("ExceededBudget: User={id} over budget. Spend={settled}, Budget={limit}")
        }
        ScopeKind::Team => format!(
            "Budget has been exceeded! Team={id} Current cost: {settled}, Max budget: {limit}"
        ),
        ScopeKind::TeamMember => format!(
            "Budget has been exceeded! TeamMember={}:{} Current cost: {settled}, Max budget: {limit}",
            caller.user_id.as_deref().unwrap_or_default(),
            caller.team_id().unwrap_or_default()
        ),
        ScopeKind::Organization => format!(
            "Budget has been exceeded! Organization={id} Current cost: {settled}, Max budget: \
             {limit}"
        ),
        ScopeKind::OrganizationMember => format!(
            "Budget has been exceeded! OrganizationMember={} Current cost: {settled}, Max budget: \
             {limit}",
            caller.user_id.as_deref().unwrap_or_default(),
        ),
        ScopeKind::Gateway => {
            format!("Budget has been exceeded! Current cost: {settled}, Max budget: {limit}")
        }
    };
    let reset = match standing.resets_at {
        Some(at) => format!("; it is reset at {at}"),
        None => String::new(),
    };
    let who = match scope.kind {
        ScopeKind::Team | ScopeKind::TeamMember => "an administrator or a team administrator",
        _ => "an administrator",
    };
    Error::new(
        Code::BudgetExceeded,
        format!("{what}{reset}; {who} can raise it"),
    )
    .with_status(domain.config.budget_exceeded_status)
    .with_details(requests::with_url(
        json!({
            "scope": scope.kind.as_str(),
            "scope_id": id,
            "limit_nano_dollars": limit.0,
            "settled_nano_dollars": settled.0,
            "resets_at": standing.resets_at.map(|at| at.to_rfc3339()),
        }),
        requests::for_budget(domain, caller, scope, &standing.budget.id),
    ))
}
