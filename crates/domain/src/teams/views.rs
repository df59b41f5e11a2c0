//! Teams and memberships as their readers see them: rows with the names, budgets and spend that
//! belong to them, read for many teams at once.

use std::collections::HashMap;

use base::{Code, Error, Result};
use store::budget_plans::BudgetPlanRow;
use store::teams::{Filter, MemberRow, Sort, TeamRow};

use super::{Reach, not_found, plans, reach_of};
use crate::audit::Actor;
use crate::entity_budgets::{self, Account};
use crate::scopes::ScopeKind;
use crate::{Domain, storage, users};

/// A team with its members.
#[derive(Clone, Debug)]
pub struct TeamView {
    pub row: TeamRow,
    pub account: Account,
    /// In the order in which they joined.
    pub members: Vec<MemberView>,
    /// What members may spend who have no budget of their own.
    pub plan: Option<BudgetPlanRow>,
}

/// A membership.
#[derive(Clone, Debug)]
pub struct MemberView {
    pub row: MemberRow,
    pub email: Option<String>,
    pub alias: Option<String>,
    pub account: Account,
}

impl TeamView {
    pub fn member(&self, user_id: &str) -> Option<&MemberView> {
        let mut members = self.members.iter();
        members.find(|member| member.row.user_id == user_id)
    }
}

/// A page of teams.
#[derive(Clone, Debug)]
pub struct Listed {
    pub teams: Vec<TeamView>,
    /// How many there are on all pages.
    pub total: i64,
}

/// One team.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team.
pub async fn view(domain: &Domain, id: &str) -> Result<TeamView> {
    let row = store::teams::find(&domain.db, id).await.map_err(storage)?;
    let row = row.ok_or_else(|| not_found(id))?;
    let mut views = views(domain, vec![row]).await?;
    views.pop().ok_or_else(|| not_found(id))
}

/// One team, for somebody who may see it.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::Forbidden`] for somebody who is not in it.
pub async fn seen(domain: &Domain, actor: &Actor, id: &str) -> Result<(TeamView, Reach)> {
    let team = view(domain, id).await?;
    let reach = reach_of(actor, &team);
    match reach.sees() {
        true => Ok((team, reach)),
        false => Err(Error::new(
            Code::Forbidden,
            format!(
                "User={} not authorized to access this team={id}",
                actor.user_id.as_deref().unwrap_or("unknown")
            ),
        )),
    }
}

/// The actor's own membership of a team.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team and for somebody who is not in it.
pub async fn membership(
    domain: &Domain,
    actor: &Actor,
    id: &str,
) -> Result<(TeamView, MemberView)> {
    let team = view(domain, id).await?;
    let own = actor.user_id.as_deref();
    let member = own.and_then(|own| team.member(own)).cloned();
    let member = member.ok_or_else(|| {
        let message = format!("you are not a member of team {id}");
        Error::new(Code::NotFound, message)
    })?;
    Ok((team, member))
}

/// The teams that the actor may list. Everybody may list their own; administrators all.
///
/// # Errors
/// [`Code::RoleForbidden`] for a list of other people's teams.
pub async fn list(
    domain: &Domain,
    actor: &Actor,
    filter: Filter,
    (sort, descending): (Sort, bool),
    (limit, offset): (i64, i64),
) -> Result<Listed> {
    let is_own = filter.user_id.is_some() && filter.user_id == actor.user_id;
    let organization = filter.organization_id.as_ref();
    let is_theirs = organization.is_some_and(|id| actor.administers(id));
    if !(actor.sees_all() || is_own || is_theirs) {
        return Err(Error::new(
            Code::RoleForbidden,
            format!(
                "Only admin users can query all teams/other teams. Your user role={}",
                actor.role.map_or("unknown", crate::Role::as_str)
            ),
        ));
    }
    let rows = store::teams::page(&domain.db, &filter, sort, descending, limit, offset)
        .await
        .map_err(storage)?;
    let total = store::teams::count(&domain.db, &filter)
        .await
        .map_err(storage)?;
    Ok(Listed {
        teams: views(domain, rows).await?,
        total,
    })
}

/// The teams that are open to all and that the actor is not in.
pub async fn available(domain: &Domain, actor: &Actor) -> Result<Vec<TeamView>> {
    let open = users::defaults(domain)?.available_teams;
    let rows = store::teams::find_many(&domain.db, &open)
        .await
        .map_err(storage)?;
    let mut teams = views(domain, rows).await?;
    let own = actor.user_id.as_deref();
    teams.retain(|team| own.is_none_or(|own| team.member(own).is_none()));
    Ok(teams)
}

/// Adds to rows all that belongs to them.
pub async fn views(domain: &Domain, rows: Vec<TeamRow>) -> Result<Vec<TeamView>> {
    domain.ledger.flush().await?;
    let db = &domain.db;
    let team_ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let members = store::teams::members_of_teams(db, &team_ids)
        .await
        .map_err(storage)?;
    let mut accounts = entity_budgets::accounts(domain, ScopeKind::Team, &team_ids).await?;
    let plan_ids: Vec<String> = rows
        .iter()
        .filter_map(|row| plans::id_of(row).map(str::to_owned))
        .collect();
    let plans = store::budget_plans::find_many(db, &plan_ids)
        .await
        .map_err(storage)?;
    let mut members = by_team(member_views(domain, members).await?);
    let views = rows.into_iter().map(|row| TeamView {
        account: accounts.remove(&row.id).unwrap_or_default(),
        members: members.remove(&row.id).unwrap_or_default(),
        plan: plans
            .iter()
            .find(|plan| plans::id_of(&row) == Some(plan.id.as_str()))
            .cloned(),
        row,
    });
    Ok(views.collect())
}

/// How many keys these teams have.
pub async fn count_keys(domain: &Domain, ids: &[String]) -> Result<HashMap<String, i64>> {
    let counted = store::keys::count_by_team(&domain.db, ids)
        .await
        .map_err(storage)?;
    Ok(counted.into_iter().map(|row| (row.id, row.count)).collect())
}

async fn member_views(domain: &Domain, rows: Vec<MemberRow>) -> Result<Vec<MemberView>> {
    let user_ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let users = store::users::find_many(&domain.db, &user_ids)
        .await
        .map_err(storage)?;
    let users: HashMap<String, (Option<String>, Option<String>)> = users
        .into_iter()
        .map(|user| (user.id, (user.email, user.alias)))
        .collect();
    let mut accounts = entity_budgets::accounts(domain, ScopeKind::TeamMember, &ids).await?;
    let views = rows.into_iter().map(|row| {
        let (email, alias) = users.get(&row.user_id).cloned().unwrap_or_default();
        MemberView {
            email,
            alias,
            account: accounts.remove(&row.id).unwrap_or_default(),
            row,
        }
    });
    Ok(views.collect())
}

fn by_team(members: Vec<MemberView>) -> HashMap<String, Vec<MemberView>> {
    let mut teams: HashMap<String, Vec<MemberView>> = HashMap::new();
    for member in members {
        let team = teams.entry(member.row.team_id.clone()).or_default();
        team.push(member);
    }
    teams
}
