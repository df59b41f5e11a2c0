//! Telling people that a budget is nearly used up, used up, or beyond its soft limit: once for each
//! threshold and window. Budgets are looked at beside calls, which know nothing of it.

use std::time::Duration;

use base::{Millis, Money, Result};
use store::budgets::SpentRow;
use store::users::Filter;

use crate::caller::Role;
use crate::mail::{self, Event};
use crate::organizations::OrganizationRole;
use crate::scopes::ScopeKind;
use crate::teams::TeamRole;
use crate::{Domain, storage};

/// How often budgets are looked at.
const PERIOD: Duration = Duration::from_secs(30);
/// Counters that have moved this long ago are looked at once more: what is written late is not missed.
const OVERLAP: Duration = Duration::from_secs(5 * 60);
/// The most administrators who are told.
const MOST: i64 = 100;

/// Looks at budgets until the process ends.
pub async fn watch(domain: Domain) {
    if domain.config.mail.is_none() {
        return;
    }
    // what was crossed while no process ran is told, too
    let mut since = Millis(0);
    loop {
        let now = domain.clock.now();
        match look(&domain, since).await {
            Ok(()) => since = now - OVERLAP,
            Err(error) => tracing::warn!(%error, "budgets could not be looked at; trying again"),
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = domain.tasks.stopping() => return,
        }
    }
}

/// Writes to those whose budgets have crossed a threshold and who were not told yet.
///
/// # Errors
/// When the database does not answer.
pub async fn look(domain: &Domain, since: Millis) -> Result<()> {
    let Some(config) = &domain.config.mail else {
        return Ok(());
    };
    let now = domain.clock.now();
    // a ratio from above 0 to 1
    let thousandths = (config.warning_ratio * 1000.0).round() as i64;
    let spent = store::budgets::nearly_spent(&domain.db, thousandths, now, since)
        .await
        .map_err(storage)?;
    for budget in spent {
        tell(domain, &budget).await?;
    }
    Ok(())
}

async fn tell(domain: &Domain, budget: &SpentRow) -> Result<()> {
    let (event, threshold) = match (budget.enforcement.as_str(), budget.settled >= budget.amount) {
        ("soft", _) => (Event::SoftBudget, "soft"),
        (_, true) => (Event::MaxBudget, "all"),
        (_, false) => (Event::MaxBudget, "most"),
    };
    let Some((name, readers)) = readers(domain, budget).await? else {
        return Ok(());
    };
    let of = match &budget.model {
        Some(model) => format!("{name}, model {model}"),
        None => name,
    };
    let (spent, amount) = (Money(budget.settled), Money(budget.amount));
    let letter = mail::budget_letter(event, &of, spent, amount, budget.resets_at);
    let mut tx = domain.begin().await?;
    for reader in readers {
        // a window is known by its start; another amount is another threshold
        let once = format!(
            "budget/{}/{}/{}/{threshold}/{reader}",
            budget.id, budget.started_at.0, budget.amount
        );
        mail::queue(domain, &mut tx, &reader, &letter, Some(once)).await?;
    }
    tx.commit().await.map_err(storage)
}

/// What the budget is of, and whom to tell.
async fn readers(domain: &Domain, budget: &SpentRow) -> Result<Option<(String, Vec<String>)>> {
    let (db, id) = (&domain.db, &budget.scope_id);
    let kind = budget.scope_kind.as_str();
    if kind == ScopeKind::User.as_str() {
        return Ok(Some((
            "your account".to_owned(),
            emails(domain, std::slice::from_ref(id)).await?,
        )));
    }
    if kind == ScopeKind::Key.as_str() {
        let key = store::keys::find(db, id).await.map_err(storage)?;
        let Some(key) = key.filter(|key| key.deleted_at.is_none()) else {
            return Ok(None);
        };
        let owner: Vec<String> = key.user_id.into_iter().collect();
        let name = format!("the key {}", key.alias.unwrap_or(key.name));
        return Ok(Some((name, emails(domain, &owner).await?)));
    }
    if kind == ScopeKind::Team.as_str() {
        let team = store::teams::find(db, id).await.map_err(storage)?;
        let Some(team) = team else {
            return Ok(None);
        };
        let members = store::teams::members_of_teams(db, std::slice::from_ref(id))
            .await
            .map_err(storage)?;
        let administrators: Vec<String> = members
            .into_iter()
            .filter(|member| member.role == TeamRole::Admin.as_str())
            .map(|member| member.user_id)
            .collect();
        let mut readers = emails(domain, &administrators).await?;
        let named = team.metadata.get("soft_budget_alerting_emails");
        let named = named
            .and_then(|named| named.as_array())
            .into_iter()
            .flatten();
        readers.extend(named.filter_map(|email| email.as_str().map(str::to_owned)));
        readers.sort_unstable();
        readers.dedup();
        let name = format!("the team {}", team.alias.unwrap_or(team.id));
        return Ok(Some((name, readers)));
    }
    if kind == ScopeKind::TeamMember.as_str() {
        let member = store::teams::find_member_by_id(db, id)
            .await
            .map_err(storage)?;
        let Some(member) = member else {
            return Ok(None);
        };
        let team = store::teams::find(db, &member.team_id)
            .await
            .map_err(storage)?;
        let alias = team.and_then(|team| team.alias);
        let name = format!("you in the team {}", alias.unwrap_or(member.team_id));
        return Ok(Some((name, emails(domain, &[member.user_id]).await?)));
    }
    if kind == ScopeKind::Organization.as_str() {
        return of_organization(domain, id).await;
    }
    if kind == ScopeKind::OrganizationMember.as_str() {
        return of_organization_member(domain, id).await;
    }
    if kind == ScopeKind::Gateway.as_str() {
        let filter = Filter {
            role: Some(Role::ProxyAdmin.as_str().to_owned()),
            ..Filter::default()
        };
        let sort = store::users::Sort::Id;
        let administrators = store::users::page(db, &filter, sort, false, MOST, 0)
            .await
            .map_err(storage)?;
        let readers = administrators.into_iter().filter_map(|user| user.email);
        return Ok(Some(("the whole gateway".to_owned(), readers.collect())));
    }
    Ok(None)
}

/// An organization, and who administers it.
async fn of_organization(domain: &Domain, id: &str) -> Result<Option<(String, Vec<String>)>> {
    let db = &domain.db;
    let found = store::organizations::find(db, id).await.map_err(storage)?;
    let Some(organization) = found else {
        return Ok(None);
    };
    let members = store::organizations::members(db, id).await;
    let administrators: Vec<String> = members
        .map_err(storage)?
        .into_iter()
        .filter(|member| member.role == OrganizationRole::Admin.as_str())
        .map(|member| member.user_id)
        .collect();
    let alias = organization.alias.unwrap_or(organization.id);
    let name = format!("the organization {alias}");
    Ok(Some((name, emails(domain, &administrators).await?)))
}

/// A member of an organization.
async fn of_organization_member(
    domain: &Domain,
    id: &str,
) -> Result<Option<(String, Vec<String>)>> {
    let db = &domain.db;
    let member = store::organizations::find_member_by_id(db, id).await;
    let Some(member) = member.map_err(storage)? else {
        return Ok(None);
    };
    let found = store::organizations::find(db, &member.organization_id).await;
    let alias = found.map_err(storage)?.and_then(|found| found.alias);
    let name = alias.unwrap_or(member.organization_id);
    let name = format!("you in the organization {name}");
    Ok(Some((name, emails(domain, &[member.user_id]).await?)))
}

async fn emails(domain: &Domain, user_ids: &[String]) -> Result<Vec<String>> {
    let users = store::users::find_many(&domain.db, user_ids)
        .await
        .map_err(storage)?;
    Ok(users.into_iter().filter_map(|user| user.email).collect())
}
