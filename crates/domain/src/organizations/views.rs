//! Organizations as their readers see them: rows with the budgets, spend, members and teams that
//! belong to them.

use base::{Code, Error, Result};
use store::organizations::{Filter, OrganizationMemberRow, OrganizationRow};
use store::teams::TeamRow;

use super::{not_found, reach};
use crate::audit::Actor;
use crate::entity_budgets::{self, Account};
use crate::scopes::ScopeKind;
use crate::users::{self, UserView};
use crate::{Domain, storage};

/// An organization.
#[derive(Clone, Debug)]
pub struct OrganizationView {
    pub row: OrganizationRow,
    pub account: Account,
    /// In the order in which they joined.
    pub members: Vec<MemberView>,
    pub teams: Vec<TeamRow>,
}

/// A membership.
#[derive(Clone, Debug)]
pub struct MemberView {
    pub row: OrganizationMemberRow,
    pub user: Option<UserView>,
    pub account: Account,
}

/// The ids of all organizations.
pub async fn ids(domain: &Domain) -> Result<Vec<String>> {
    let rows = store::organizations::list(&domain.db, &Filter::default())
        .await
        .map_err(storage)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// One organization.
///
/// # Errors
/// [`Code::NotFound`] for an unknown organization.
pub async fn view(domain: &Domain, id: &str) -> Result<OrganizationView> {
    let row = store::organizations::find(&domain.db, id)
        .await
        .map_err(storage)?;
    whole(domain, row.ok_or_else(|| not_found(id))?).await
}

/// One organization, for somebody who may see it: of the other members, those who do not administer
/// it see nothing.
///
/// # Errors
/// [`Code::Forbidden`] for somebody who is not in it, whether it is there or not;
/// [`Code::NotFound`] for an unknown organization.
pub async fn seen(domain: &Domain, actor: &Actor, id: &str) -> Result<OrganizationView> {
    let sees = reach(actor, id).sees();
    let is_member = match &actor.user_id {
        Some(user_id) if !sees => store::organizations::find_member(&domain.db, id, user_id)
            .await
            .map_err(storage)?
            .is_some(),
        _ => false,
    };
    if !sees && !is_member {
        return Err(Error::new(
            Code::Forbidden,
            format!("you are not in this organization. organization_id={id}"),
        ));
    }
    let mut organization = view(domain, id).await?;
    limit(domain, actor, &mut organization).await?;
    Ok(organization)
}

/// The organizations that the actor may list: all, or their own.
pub async fn list(
    domain: &Domain,
    actor: &Actor,
    mut filter: Filter,
) -> Result<Vec<OrganizationView>> {
    if !actor.sees_all() {
        let Some(own) = &actor.user_id else {
            return Ok(Vec::new());
        };
        filter.user_id = Some(own.clone());
    }
    let rows = store::organizations::list(&domain.db, &filter)
        .await
        .map_err(storage)?;
    let mut organizations = Vec::with_capacity(rows.len());
    for row in rows {
        let mut organization = whole(domain, row).await?;
        limit(domain, actor, &mut organization).await?;
        organizations.push(organization);
    }
    Ok(organizations)
}

/// Leaves of an organization what a plain member may see: themselves, and the teams they are in.
async fn limit(domain: &Domain, actor: &Actor, organization: &mut OrganizationView) -> Result<()> {
    if reach(actor, &organization.row.id).sees() {
        return Ok(());
    }
    let own: Vec<String> = actor.user_id.clone().into_iter().collect();
    let teams = store::teams::memberships_of_users(&domain.db, &own)
        .await
        .map_err(storage)?;
    organization
        .members
        .retain(|member| own.contains(&member.row.user_id));
    organization
        .teams
        .retain(|team| teams.iter().any(|member| member.team_id == team.id));
    organization.row.metadata.0.clear();
    Ok(())
}

/// One membership.
pub(super) async fn member_view(domain: &Domain, id: &str, user_id: &str) -> Result<MemberView> {
    let row = store::organizations::find_member(&domain.db, id, user_id)
        .await
        .map_err(storage)?;
    let row = row.ok_or_else(|| not_found(id))?;
    let mut members = member_views(domain, vec![row]).await?;
    members.pop().ok_or_else(|| not_found(id))
}

async fn whole(domain: &Domain, row: OrganizationRow) -> Result<OrganizationView> {
    domain.ledger.flush().await?;
    let members = store::organizations::members(&domain.db, &row.id)
        .await
        .map_err(storage)?;
    let teams = store::teams::of_organization(&domain.db, &row.id)
        .await
        .map_err(storage)?;
    Ok(OrganizationView {
        account: entity_budgets::account(domain, ScopeKind::Organization, &row.id).await?,
        members: member_views(domain, members).await?,
        teams,
        row,
    })
}

async fn member_views(
    domain: &Domain,
    rows: Vec<OrganizationMemberRow>,
) -> Result<Vec<MemberView>> {
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let user_ids: Vec<String> = rows.iter().map(|row| row.user_id.clone()).collect();
    let kind = ScopeKind::OrganizationMember;
    let mut accounts = entity_budgets::accounts(domain, kind, &ids).await?;
    let users = users::views_of(domain, &user_ids).await?;
    let views = rows.into_iter().map(|row| MemberView {
        user: users
            .iter()
            .find(|user| user.row.id == row.user_id)
            .cloned(),
        account: accounts.remove(&row.id).unwrap_or_default(),
        row,
    });
    Ok(views.collect())
}
