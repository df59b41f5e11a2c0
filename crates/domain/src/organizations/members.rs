//! Who is in an organization: adding, changing and removing members, and what each may spend there.

use base::{Code, Error, Result, ids};
use serde_json::{Value, json};
use store::Tx;
use store::organizations::{OrganizationMemberRow, OrganizationRow};

use super::views::{MemberView, member_view};
use super::{locked, reach};
use crate::audit::{self, Action, Actor};
use crate::entity_budgets::{self, BudgetPatch};
use crate::grants::{self, Ceiling, Given};
use crate::scopes::ScopeKind;
use crate::teams::Person;
use crate::users::{self, UserView};
use crate::{Change, Domain, storage};

/// What a member is in an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationRole {
    /// Manages it, within what it has.
    Admin,
    User,
    UserViewer,
}

impl OrganizationRole {
    pub const ALL: [OrganizationRole; 3] = [
        OrganizationRole::Admin,
        OrganizationRole::User,
        OrganizationRole::UserViewer,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            OrganizationRole::Admin => "org_admin",
            OrganizationRole::User => "internal_user",
            OrganizationRole::UserViewer => "internal_user_viewer",
        }
    }
}

/// Somebody who shall join an organization.
#[derive(Clone, Debug)]
pub struct NewMember {
    pub person: Person,
    pub role: OrganizationRole,
}

/// What a member may spend in an organization, over all of its teams.
#[derive(Clone, Debug, Default)]
pub struct MemberTerms {
    pub budget: BudgetPatch,
}

/// What a request says of a member.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    pub role: Option<OrganizationRole>,
    pub terms: MemberTerms,
}

/// Adds members; who is not known yet becomes a user.
///
/// # Errors
/// [`Code::Forbidden`] for anyone but the organization's administrators, [`Code::NotFound`] for an
/// unknown organization, [`Code::BadRequest`] for somebody who is in it. In each case nobody is added.
pub async fn add_members(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    joining: Vec<NewMember>,
    terms: MemberTerms,
) -> Result<(Vec<UserView>, Vec<MemberView>)> {
    reach(actor, id).must_manage()?;
    let mut tx = domain.begin().await?;
    let organization = locked(&mut tx, id).await?;
    let mut user_ids = Vec::with_capacity(joining.len());
    for new in joining {
        let user_id = users::known(domain, &mut tx, actor, &new.person).await?;
        join(domain, &mut tx, actor, &organization, &user_id, new.role).await?;
        set_terms(domain, &mut tx, actor, &organization, &user_id, &terms).await?;
        user_ids.push(user_id);
    }
    let users = user_ids.iter().map(|id| Change::User(id));
    let changes: Vec<Change<'_>> = [Change::Organization(id)]
        .into_iter()
        .chain(users)
        .collect();
    domain.commit(tx, &changes).await?;
    let mut members = Vec::with_capacity(user_ids.len());
    for user_id in &user_ids {
        members.push(member_view(domain, id, user_id).await?);
    }
    Ok((users::views_of(domain, &user_ids).await?, members))
}

/// Changes a member's role and budget.
///
/// # Errors
/// As [`add_members`]; [`Code::NotFound`] for somebody who is not in it.
pub async fn change_member(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    person: &Person,
    change: MemberChange,
) -> Result<MemberView> {
    reach(actor, id).must_manage()?;
    let mut tx = domain.begin().await?;
    let organization = locked(&mut tx, id).await?;
    let mut member = found(&mut tx, id, person).await?;
    let before = described(&mut tx, &member).await?;
    let now = domain.clock.now();
    if let Some(role) = change.role {
        member.role = role.as_str().to_owned();
    }
    member.updated_at = now;
    store::organizations::update_member(&mut tx, &member)
        .await
        .map_err(storage)?;
    let user_id = member.user_id.clone();
    set_terms(
        domain,
        &mut tx,
        actor,
        &organization,
        &user_id,
        &change.terms,
    )
    .await?;
    let after = described(&mut tx, &member).await?;
    let both = (Some(before), Some(after));
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Updated,
        ("organization_member", &member.id),
        both,
    );
    let changes = [Change::Organization(id), Change::User(&user_id)];
    domain.commit(tx, &changes).await?;
    member_view(domain, id, &user_id).await
}

/// Removes a member; gives the membership as it was.
///
/// # Errors
/// As [`change_member`].
pub async fn remove_member(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    person: &Person,
) -> Result<MemberView> {
    reach(actor, id).must_manage()?;
    let mut tx = domain.begin().await?;
    locked(&mut tx, id).await?;
    let member = found(&mut tx, id, person).await?;
    // read before it goes; the open transaction keeps others from changing it
    let gone = member_view(domain, id, &member.user_id).await?;
    let before = described(&mut tx, &member).await?;
    erase(&mut tx, &member).await?;
    let now = domain.clock.now();
    let both = (Some(before), None);
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Deleted,
        ("organization_member", &member.id),
        both,
    );
    let changes = [Change::Organization(id), Change::User(&member.user_id)];
    domain.commit(tx, &changes).await?;
    Ok(gone)
}

/// Adds a user to an organization whose row the transaction holds.
///
/// # Errors
/// [`Code::BadRequest`] for somebody who is in it.
pub(crate) async fn join(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    organization: &OrganizationRow,
    user_id: &str,
    role: OrganizationRole,
) -> Result<()> {
    let now = domain.clock.now();
    let member = OrganizationMemberRow {
        id: ids::new_id(now),
        organization_id: organization.id.clone(),
        user_id: user_id.to_owned(),
        role: role.as_str().to_owned(),
        created_at: now,
        updated_at: now,
    };
    let added = store::organizations::insert_member(&mut *tx, &member)
        .await
        .map_err(storage)?;
    if !added {
        let message = format!(
            "User already in organization. user_id={user_id}, organization_id={}",
            organization.id
        );
        return Err(Error::new(Code::BadRequest, message).param("member"));
    }
    let joined = (None, Some(described(tx, &member).await?));
    audit::changed(
        tx,
        actor,
        now,
        Action::Created,
        ("organization_member", &member.id),
        joined,
    );
    Ok(())
}

/// Removes a membership with its budgets.
pub(crate) async fn erase(tx: &mut Tx, member: &OrganizationMemberRow) -> Result<()> {
    entity_budgets::erase(tx, ScopeKind::OrganizationMember, &member.id).await?;
    store::organizations::delete_member(tx, &member.id)
        .await
        .map_err(storage)
        .map(drop)
}

async fn set_terms(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    organization: &OrganizationRow,
    user_id: &str,
    terms: &MemberTerms,
) -> Result<()> {
    let ceiling = Ceiling::of_organization(&mut *tx, organization).await?;
    grants::check(domain, actor, &Given::budget(&terms.budget), &[ceiling])?;
    let member = store::organizations::find_member(&mut *tx, &organization.id, user_id)
        .await
        .map_err(storage)?;
    let Some(member) = member else { return Ok(()) };
    let kind = ScopeKind::OrganizationMember;
    let by = actor.name();
    entity_budgets::write(domain, tx, kind, &member.id, &terms.budget, by.as_deref()).await
}

/// The membership of a person.
async fn found(tx: &mut Tx, id: &str, person: &Person) -> Result<OrganizationMemberRow> {
    let absent = || {
        let message = format!("User not found in organization. organization_id={id}");
        Error::new(Code::NotFound, message).param("user_id")
    };
    let user_id = match (&person.user_id, &person.email) {
        (Some(user_id), _) => user_id.clone(),
        (None, Some(email)) => {
            let user = store::users::find_by_email(&mut *tx, email.trim())
                .await
                .map_err(storage)?;
            user.ok_or_else(absent)?.id
        }
        (None, None) => return Err(absent()),
    };
    let member = store::organizations::find_member(tx, id, &user_id)
        .await
        .map_err(storage)?;
    member.ok_or_else(absent)
}

/// A membership for the audit log.
async fn described(tx: &mut Tx, row: &OrganizationMemberRow) -> Result<Value> {
    let kind = ScopeKind::OrganizationMember;
    Ok(json!({
        "organization_id": row.organization_id,
        "user_id": row.user_id,
        "user_role": row.role,
        "budgets": entity_budgets::described(tx, kind, &row.id).await?,
    }))
}
