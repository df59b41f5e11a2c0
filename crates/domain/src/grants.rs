//! Nobody gives more than they have. Every change that gives somebody something (a key, a role,
//! models, money, limits) asks here; administrators of the gateway have everything.
//!
//! What somebody has to give is bounded by ceilings: the user's own limits for personal keys, the
//! team's and the organization's for what is in them, the limits of the key that asks for the keys it
//! makes. Ties ([`crate::permissions::Tie`]) say whose object one may touch at all; this says what one
//! may put into it.

use base::{Code, Error, Money, Result};
use store::On;
use store::keys::KeyRow;
use store::organizations::OrganizationRow;
use store::teams::{MemberRow, TeamRow};
use store::users::UserRow;

use crate::audit::Actor;
use crate::caller::Role;
use crate::entity_budgets::{self, BudgetPatch};
use crate::keys::KeyPatch;
use crate::organizations::OrganizationFields;
use crate::patch::Patch;
use crate::scopes::ScopeKind;
use crate::snapshot::Snapshot;
use crate::teams::{MemberTerms, TeamFields};
use crate::users::UserFields;
use crate::{Domain, access};

/// What is given. What is left out is not given: it stays under the ceilings by itself.
#[derive(Clone, Debug, Default)]
pub struct Given<'a> {
    pub role: Option<Role>,
    pub models: &'a [String],
    pub max_budget: Option<Money>,
    /// The largest of the amounts in single windows and for single models.
    pub largest_part: Option<Money>,
    /// Limits are taken from a plan, whose amounts its owner may raise at any time.
    pub names_plan: bool,
    pub rpm_limit: Option<i64>,
    pub tpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    pub max_parallel_requests: Option<i64>,
}

/// The most that can be given.
#[derive(Clone, Debug)]
pub struct Ceiling {
    /// Whose it is, in words.
    name: String,
    /// Empty: every model.
    models: Vec<String>,
    max_budget: Option<Money>,
    rpm_limit: Option<i64>,
    tpm_limit: Option<i64>,
    tpd_limit: Option<i64>,
    max_parallel_requests: Option<i64>,
}

/// Checks that what somebody gives is theirs to give.
///
/// # Errors
/// [`Code::Forbidden`] naming the first thing that is more than one of the ceilings, or a role that
/// only administrators give.
pub fn check(
    domain: &Domain,
    actor: &Actor,
    given: &Given<'_>,
    ceilings: &[Ceiling],
) -> Result<()> {
    if actor.is_admin() {
        return Ok(());
    }
    if let Some(role @ (Role::ProxyAdmin | Role::ProxyAdminViewer)) = given.role {
        return Err(Error::new(
            Code::Forbidden,
            format!("only a proxy admin can give the role {}", role.as_str()),
        )
        .param("user_role"));
    }
    let limited = ceilings.iter().find(|ceiling| ceiling.max_budget.is_some());
    if let Some(ceiling) = limited.filter(|_| given.names_plan) {
        let message = format!(
            "only a proxy admin can give a budget_id below the budget of {}; say max_budget instead",
            ceiling.name
        );
        return Err(Error::new(Code::Forbidden, message).param("budget_id"));
    }
    let snapshot = domain.models.now();
    match ceilings
        .iter()
        .find_map(|ceiling| ceiling.excess(given, &snapshot))
    {
        Some(excess) => Err(excess),
        None => Ok(()),
    }
}

/// Checks that what is in something stays under its ceiling, whoever puts it there.
///
/// # Errors
/// [`Code::BadRequest`].
pub fn fit(domain: &Domain, given: &Given<'_>, ceiling: &Ceiling) -> Result<()> {
    match ceiling.excess(given, &domain.models.now()) {
        Some(excess) => {
            let param = excess.parameter().unwrap_or_default().to_owned();
            let message = excess.message().to_owned();
            Err(Error::new(Code::BadRequest, message).param(param))
        }
        None => Ok(()),
    }
}

/// Checks that nobody lifts a limit by clearing it.
///
/// # Errors
/// [`Code::Forbidden`].
pub fn keep(fields: &OrganizationFields, ceiling: &Ceiling) -> Result<()> {
    let budgets = &fields.budgets;
    let clears_models = match &fields.models {
        Patch::Null => true,
        Patch::Value(models) => models.is_empty(),
        Patch::Absent => false,
    };
    let cleared = [
        ("models", clears_models && !ceiling.models.is_empty()),
        (
            "max_budget",
            budgets.max_budget == Patch::Null && ceiling.max_budget.is_some(),
        ),
        // a shorter period is more money
        (
            "budget_duration",
            !budgets.duration.is_absent() && ceiling.max_budget.is_some(),
        ),
        ("temp_budget_increase", !budgets.increase.is_absent()),
        ("budget_limits", !budgets.windows.is_absent()),
        ("model_max_budget", !budgets.models.is_absent()),
        (
            "rpm_limit",
            fields.rpm_limit == Patch::Null && ceiling.rpm_limit.is_some(),
        ),
        (
            "tpm_limit",
            fields.tpm_limit == Patch::Null && ceiling.tpm_limit.is_some(),
        ),
        (
            "tpd_limit",
            fields.tpd_limit == Patch::Null && ceiling.tpd_limit.is_some(),
        ),
        (
            "max_parallel_requests",
            fields.max_parallel_requests == Patch::Null && ceiling.max_parallel_requests.is_some(),
        ),
    ];
    match cleared.into_iter().find(|(_, is_cleared)| *is_cleared) {
        Some((name, _)) => Err(Error::new(
            Code::Forbidden,
            format!("only a proxy admin can change {name} of {}", ceiling.name),
        )
        .param(name)),
        None => Ok(()),
    }
}

impl Ceiling {
    pub async fn of_organization<'a>(
        on: impl Into<On<'a>>,
        row: &OrganizationRow,
    ) -> Result<Ceiling> {
        Ok(Ceiling {
            name: format!("organization {}", row.id),
            models: row.models.0.clone(),
            max_budget: entity_budgets::limit(on, ScopeKind::Organization, &row.id).await?,
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
        })
    }

    pub async fn of_team<'a>(on: impl Into<On<'a>>, row: &TeamRow) -> Result<Ceiling> {
        Ok(Ceiling {
            name: format!("team {}", row.id),
            models: row.models.0.clone(),
            max_budget: entity_budgets::limit(on, ScopeKind::Team, &row.id).await?,
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
        })
    }

    pub async fn of_member<'a>(on: impl Into<On<'a>>, row: &MemberRow) -> Result<Ceiling> {
        Ok(Ceiling {
            name: format!("member {} of team {}", row.user_id, row.team_id),
            models: row.allowed_models.0.clone(),
            max_budget: entity_budgets::limit(on, ScopeKind::TeamMember, &row.id).await?,
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: None,
            max_parallel_requests: None,
        })
    }

    pub async fn of_user<'a>(on: impl Into<On<'a>>, row: &UserRow) -> Result<Ceiling> {
        Ok(Ceiling {
            name: format!("user {}", row.id),
            models: row.models.0.clone(),
            max_budget: entity_budgets::limit(on, ScopeKind::User, &row.id).await?,
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
        })
    }

    /// The first thing that is more than this.
    fn excess(&self, given: &Given<'_>, snapshot: &Snapshot) -> Option<Error> {
        if let Some(model) = given
            .models
            .iter()
            .find(|model| !access::lets_through(&self.models, snapshot, model))
        {
            let message = format!("{} may not use the model '{model}'", self.name);
            return Some(Error::new(Code::TeamModelForbidden, message).param("models"));
        }
        let limits = [
            ("rpm_limit", given.rpm_limit, self.rpm_limit),
            ("tpm_limit", given.tpm_limit, self.tpm_limit),
            ("tpd_limit", given.tpd_limit, self.tpd_limit),
            (
                "max_parallel_requests",
                given.max_parallel_requests,
                self.max_parallel_requests,
            ),
        ];
        let budget = self.more("max_budget", given.max_budget, self.max_budget);
        let part = || self.more("budget_limits", given.largest_part, self.max_budget);
        budget.or_else(part).or_else(|| {
            limits
                .into_iter()
                .find_map(|(name, given, most)| self.more(name, given, most))
        })
    }

    fn more<T: PartialOrd + std::fmt::Display>(
        &self,
        name: &'static str,
        given: Option<T>,
        most: Option<T>,
    ) -> Option<Error> {
        let (given, most) = (given?, most?);
        let message = format!("{name} {given} is more than the {most} of {}", self.name);
        (given > most).then(|| Error::new(Code::Forbidden, message).param(name))
    }
}

impl Given<'_> {
    /// Money alone.
    pub fn budget(budgets: &BudgetPatch) -> Given<'static> {
        Given {
            max_budget: with_increase(budgets),
            largest_part: largest_part(budgets),
            names_plan: matches!(budgets.plan, Patch::Value(_)),
            ..Given::default()
        }
    }
}

/// The amount with what is added to it for a time.
fn with_increase(budgets: &BudgetPatch) -> Option<Money> {
    let increase = budgets.increase.clone().value();
    let increase = increase.map(|increase| increase.amount);
    let amount = budgets.max_budget.clone().value();
    match (amount, increase) {
        (None, None) => None,
        (amount, increase) => {
            let amount = amount.unwrap_or_default();
            Some(amount.saturating_add(increase.unwrap_or_default()))
        }
    }
}

fn largest_part(budgets: &BudgetPatch) -> Option<Money> {
    let windows = budgets.windows.as_ref().value();
    let windows = windows
        .into_iter()
        .flatten()
        .map(|window| window.max_budget);
    let models = budgets.models.as_ref().value();
    let models = models
        .into_iter()
        .flatten()
        .map(|(_, limit)| limit.max_budget);
    windows.chain(models).max()
}

fn listed(models: &Patch<Vec<String>>) -> &[String] {
    match models {
        Patch::Value(models) => models,
        Patch::Absent | Patch::Null => &[],
    }
}

macro_rules! given_of {
    ($($fields:ty),*) => {$(
        impl<'a> From<&'a $fields> for Given<'a> {
            fn from(fields: &'a $fields) -> Given<'a> {
                Given {
                    models: listed(&fields.models),
                    rpm_limit: fields.rpm_limit.clone().value(),
                    tpm_limit: fields.tpm_limit.clone().value(),
                    tpd_limit: fields.tpd_limit.clone().value(),
                    max_parallel_requests: fields.max_parallel_requests.clone().value(),
                    ..Given::budget(&fields.budgets)
                }
            }
        }
    )*};
}
given_of!(KeyPatch, OrganizationFields, TeamFields, UserFields);

impl<'a> From<&'a MemberTerms> for Given<'a> {
    fn from(terms: &'a MemberTerms) -> Given<'a> {
        Given {
            models: listed(&terms.allowed_models),
            rpm_limit: terms.rpm_limit.clone().value(),
            tpm_limit: terms.tpm_limit.clone().value(),
            ..Given::budget(&terms.budget)
        }
    }
}

/// Holds a new key to the limits of the key that makes it: what it leaves out it inherits.
///
/// # Errors
/// [`Code::Forbidden`] for more than the making key has.
pub fn inherit(
    domain: &Domain,
    actor: &Actor,
    row: &mut KeyRow,
    patch: &mut KeyPatch,
) -> Result<()> {
    let Some(own) = actor.key.as_ref().filter(|_| !actor.is_admin()) else {
        return Ok(());
    };
    let now = domain.clock.now();
    let scope = actor.scopes.iter().find(|it| it.kind == ScopeKind::Key);
    let max_budget = scope.and_then(|it| it.spend_and_limit(now, &domain.config.zone).1);
    let ceiling = Ceiling {
        name: "the key that makes it".to_owned(),
        models: own.models.0.clone(),
        max_budget,
        rpm_limit: own.rpm_limit,
        tpm_limit: own.tpm_limit,
        tpd_limit: own.tpd_limit,
        max_parallel_requests: own.max_parallel_requests,
    };
    check(domain, actor, &Given::from(&*patch), &[ceiling])?;
    let refused = |name: &'static str| {
        let message = format!("a key gives no more than it has: {name}");
        Err(Error::new(Code::Forbidden, message).param(name))
    };
    if row.models.is_empty() {
        row.models = own.models.clone();
    }
    if row.allowed_routes.is_empty() {
        row.allowed_routes = own.allowed_routes.clone();
    } else if !own.allowed_routes.is_empty()
        && !row
            .allowed_routes
            .iter()
            .all(|it| own.allowed_routes.contains(it))
    {
        return refused("allowed_routes");
    }
    match (row.expires_at, own.expires_at) {
        (Some(at), Some(most)) if at > most && patch.named.contains("duration") => {
            return refused("duration");
        }
        // a configured default
        (Some(at), Some(most)) if at > most => row.expires_at = Some(most),
        (None, most) => row.expires_at = most,
        _ => {}
    }
    row.rpm_limit = row.rpm_limit.or(own.rpm_limit);
    row.tpm_limit = row.tpm_limit.or(own.tpm_limit);
    row.tpd_limit = row.tpd_limit.or(own.tpd_limit);
    row.max_parallel_requests = row.max_parallel_requests.or(own.max_parallel_requests);
    patch.budgets.max_budget.fill(max_budget);
    Ok(())
}
