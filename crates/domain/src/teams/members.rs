//! Who is in a team: adding, changing and removing members, and what each may spend there.
//!
//! Budgets and counters of a member hang on the membership's own id, so that somebody who leaves and
//! comes back starts anew.

use base::{Code, Error, Millis, Money, Result, ids};
use serde_json::{Value, json};
use store::Tx;
use store::teams::{MemberRow, TeamRow};

use super::{TeamRole, TeamView, locked, manageable, plans, touch, view};
use crate::audit::{self, Action, Actor};
use crate::entity_budgets::{self, BudgetPatch};
use crate::grants::{self, Ceiling, Given};
use crate::keys::{self, Owner};
use crate::patch::Patch;
use crate::scopes::ScopeKind;
use crate::users::{self, UserView};
use crate::{Change, Domain, storage};

/// A person, by what the caller knows of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub user_id: Option<String>,
    pub email: Option<String>,
}

impl Person {
    pub fn by_id(user_id: &str) -> Person {
        Person {
            user_id: Some(user_id.to_owned()),
            email: None,
        }
    }

    pub fn is(&self, user_id: &str) -> bool {
        self.user_id.as_deref() == Some(user_id)
    }
}

/// Somebody who shall join a team.
#[derive(Clone, Debug)]
pub struct NewMember {
    pub person: Person,
    pub role: TeamRole,
}

/// What a member may do in a team.
#[derive(Clone, Debug, Default)]
pub struct MemberTerms {
    pub budget: BudgetPatch,
    pub allowed_models: Patch<Vec<String>>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
}

impl MemberTerms {
    fn has_budget(&self) -> bool {
        let budget = &self.budget;
        !(budget.max_budget.is_absent()
            && budget.duration.is_absent()
            && budget.increase.is_absent()
            && budget.plan.is_absent())
    }

    fn is_empty(&self) -> bool {
        !self.has_budget()
            && self.allowed_models.is_absent()
            && self.rpm_limit.is_absent()
            && self.tpm_limit.is_absent()
    }
}

/// What a request says of a member.
#[derive(Clone, Debug, Default)]
pub struct MemberChange {
    pub role: Option<TeamRole>,
    pub terms: MemberTerms,
}

/// A team after members were added, and who they are.
#[derive(Clone, Debug)]
pub struct Added {
    pub team: TeamView,
    pub users: Vec<UserView>,
    pub user_ids: Vec<String>,
}

/// Adds members; who is not known yet becomes a user.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::Forbidden`] for anyone but its administrators,
/// [`Code::AlreadyMember`] for somebody who is in it. In each case nobody is added.
pub async fn add_members(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    joining: Vec<NewMember>,
    terms: MemberTerms,
) -> Result<Added> {
    let mut tx = domain.begin().await?;
    let team = store::teams::lock(&mut tx, team_id)
        .await
        .map_err(storage)?;
    let mut team = team.ok_or_else(|| {
        Error::new(
            Code::NotFound,
            format!("Team doesn't exist in db. Team={team_id}. Create team via `/team/new` call."),
        )
        .param("team_id")
    })?;
    may_add(domain, &mut tx, actor, team_id, &joining, &terms).await?;
    let ceiling = Ceiling::of_team(&mut tx, &team).await?;
    grants::check(domain, actor, &Given::from(&terms), &[ceiling])?;
    let user_ids = join(domain, &mut tx, actor, &team, joining, &terms).await?;
    touch(domain, actor, &mut team);
    store::teams::update(&mut tx, &team)
        .await
        .map_err(storage)?;
    let users = user_ids.iter().map(|id| Change::User(id));
    let changes: Vec<Change<'_>> = [Change::Team(team_id)].into_iter().chain(users).collect();
    domain.commit(tx, &changes).await?;
    Ok(Added {
        team: view(domain, team_id).await?,
        users: users::views_of(domain, &user_ids).await?,
        user_ids,
    })
}

/// Administrators and the team's own may add anybody; where a team is open to all, users may add
/// themselves.
async fn may_add(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    team_id: &str,
    joining: &[NewMember],
    terms: &MemberTerms,
) -> Result<()> {
    let is_open = users::defaults(domain)?
        .available_teams
        .iter()
        .any(|open| open == team_id);
    let manages = manageable(tx, actor, team_id).await;
    if manages.is_ok() || !is_open {
        return manages;
    }
    let is_self = |member: &NewMember| {
        let own = actor.user_id.as_deref();
        own.is_some_and(|own| member.person.is(own))
    };
    if !joining.iter().all(is_self) {
        return Err(Error::new(
            Code::Forbidden,
            "Available-team self-join can only add the caller (user_id must match the \
             authenticated user's user_id).",
        ));
    }
    if joining.iter().any(|member| member.role != TeamRole::User) || !terms.is_empty() {
        return Err(Error::new(
            Code::Forbidden,
            "Available-team self-join can only add the caller as a user, without limits of their \
             own choice.",
        ));
    }
    Ok(())
}

/// Changes a member's role and limits.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team and for somebody who is not in it, [`Code::Forbidden`]
/// for anyone but its administrators.
pub async fn change_member(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    person: &Person,
    change: MemberChange,
) -> Result<(TeamView, String)> {
    let mut tx = domain.begin().await?;
    let team = locked(&mut tx, team_id).await?;
    manageable(&mut tx, actor, team_id).await?;
    let ceiling = Ceiling::of_team(&mut tx, &team).await?;
    grants::check(domain, actor, &Given::from(&change.terms), &[ceiling])?;
    let mut member = found(&mut tx, team_id, person)
        .await?
        .ok_or_else(not_in_team)?;
    let before = described(&mut tx, &member).await?;
    if let Some(role) = change.role {
        member.role = role.as_str().to_owned();
    }
    let now = domain.clock.now();
    member.updated_at = now;
    set_limits(&mut member, &change.terms);
    set_budget(domain, &mut tx, actor, &member, &change.terms).await?;
    store::teams::update_member(&mut tx, &member)
        .await
        .map_err(storage)?;
    let after = described(&mut tx, &member).await?;
    let both = (Some(before), Some(after));
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Updated,
        ("team_member", &member.id),
        both,
    );
    let changes = [Change::Team(&team.id), Change::User(&member.user_id)];
    domain.commit(tx, &changes).await?;
    Ok((view(domain, team_id).await?, member.user_id))
}

/// Removes a member, with the keys that they have in the team.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::BadRequest`] for somebody who is not in it,
/// [`Code::Forbidden`] for anyone but its administrators.
pub async fn remove_member(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    person: &Person,
) -> Result<TeamView> {
    let mut tx = domain.begin().await?;
    let mut team = locked(&mut tx, team_id).await?;
    manageable(&mut tx, actor, team_id).await?;
    let member = found(&mut tx, team_id, person)
        .await?
        .ok_or_else(|| Error::new(Code::BadRequest, "User not found in team").param("user_id"))?;
    let hashes = leave(domain, &mut tx, actor, &member).await?;
    touch(domain, actor, &mut team);
    store::teams::update(&mut tx, &team)
        .await
        .map_err(storage)?;
    let own = [Change::Team(team_id), Change::User(&member.user_id)];
    let keys = hashes.iter().map(|hash| Change::Key(hash));
    let changes: Vec<Change<'_>> = own.into_iter().chain(keys).collect();
    domain.commit(tx, &changes).await?;
    view(domain, team_id).await
}

/// Ends a membership in an open transaction; gives the hashes of the keys that end with it.
pub(crate) async fn leave(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    member: &MemberRow,
) -> Result<Vec<String>> {
    let before = described(tx, member).await?;
    erase(tx, member).await?;
    let owner = Owner::Member {
        team_id: &member.team_id,
        user_id: &member.user_id,
    };
    let hashes = keys::delete_owned(domain, tx, actor, owner).await?;
    let gone = (Some(before), None);
    let now = domain.clock.now();
    let kind = "team_member";
    audit::changed(tx, actor, now, Action::Deleted, (kind, &member.id), gone);
    Ok(hashes)
}

/// What a reset of a member's spend has changed.
#[derive(Debug)]
pub struct SpendReset {
    pub team: TeamView,
    pub previous: Money,
}

/// Moves what a member has spent in the team down to an amount.
///
/// # Errors
/// [`Code::BadRequest`] for more than they have spent, and as for [`change_member`].
pub async fn reset_member_spend(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    user_id: &str,
    to: Money,
) -> Result<SpendReset> {
    domain.ledger.flush().await?;
    let kind = ScopeKind::TeamMember;
    let mut tx = domain.begin().await?;
    let team = locked(&mut tx, team_id).await?;
    manageable(&mut tx, actor, team_id).await?;
    let member = found(&mut tx, team_id, &Person::by_id(user_id))
        .await?
        .ok_or_else(not_in_team)?;
    let previous = entity_budgets::account(domain, kind, &member.id)
        .await?
        .spend;
    if to > previous {
        return Err(Error::new(
            Code::BadRequest,
            format!(
                "reset_to must be between 0 and the current spend: {to} is more than {previous}"
            ),
        )
        .param("reset_to"));
    }
    let both = (Some(json!({"spend": previous})), Some(json!({"spend": to})));
    let now = domain.clock.now();
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Updated,
        ("team_member", &member.id),
        both,
    );
    domain.commit(tx, &[Change::Team(&team.id)]).await?;
    entity_budgets::set_spend(domain, kind, &member.id, to).await?;
    domain.ledger.flush().await?;
    Ok(SpendReset {
        team: view(domain, team_id).await?,
        previous,
    })
}

/// Takes a member's own limits away, so that they have the team's for all members again.
///
/// # Errors
/// As for [`change_member`].
pub async fn reset_member_budget(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    user_id: &str,
) -> Result<TeamView> {
    let mut tx = domain.begin().await?;
    let team = locked(&mut tx, team_id).await?;
    manageable(&mut tx, actor, team_id).await?;
    let mut member = found(&mut tx, team_id, &Person::by_id(user_id))
        .await?
        .ok_or_else(not_in_team)?;
    let before = described(&mut tx, &member).await?;
    let plan = plans::of(&mut tx, &team).await?;
    let now = domain.clock.now();
    entity_budgets::erase(&mut tx, ScopeKind::TeamMember, &member.id).await?;
    if let Some(plan) = &plan {
        plans::adopt(&mut tx, actor, now, &member, plan).await?;
    }
    member.rpm_limit = plan.as_ref().and_then(|plan| plan.rpm_limit);
    member.tpm_limit = plan.as_ref().and_then(|plan| plan.tpm_limit);
    member.updated_at = now;
    store::teams::update_member(&mut tx, &member)
        .await
        .map_err(storage)?;
    let after = described(&mut tx, &member).await?;
    let both = (Some(before), Some(after));
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Updated,
        ("team_member", &member.id),
        both,
    );
    let changes = [Change::Team(&team.id), Change::User(&member.user_id)];
    domain.commit(tx, &changes).await?;
    view(domain, team_id).await
}

fn not_in_team() -> Error {
    Error::new(Code::NotFound, "User not found in team").param("user_id")
}

/// Adds members to a team whose row the transaction holds; gives their user ids.
pub async fn join(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    team: &TeamRow,
    joining: Vec<NewMember>,
    terms: &MemberTerms,
) -> Result<Vec<String>> {
    let now = domain.clock.now();
    let plan = plans::of(tx, team).await?;
    let mut user_ids = Vec::with_capacity(joining.len());
    for (position, new) in (0..).zip(joining) {
        let user_id = users::known(domain, tx, actor, &new.person).await?;
        let mut member = MemberRow {
            id: ids::new_id(now),
            team_id: team.id.clone(),
            user_id: user_id.clone(),
            role: new.role.as_str().to_owned(),
            allowed_models: team.default_member_models.clone(),
            rpm_limit: None,
            tpm_limit: None,
            // lists of members keep the order in which they were named
            created_at: Millis(now.0 + position),
            updated_at: now,
        };
        if let Some(plan) = &plan {
            member.rpm_limit = plan.rpm_limit;
            member.tpm_limit = plan.tpm_limit;
        }
        // the budget comes after the row, so that a second membership leaves nothing behind
        set_limits(&mut member, terms);
        if !store::teams::insert_member(&mut *tx, &member)
            .await
            .map_err(storage)?
        {
            return Err(already_member(&new.person, &user_id));
        }
        if !set_budget(domain, tx, actor, &member, terms).await?
            && let Some(plan) = &plan
        {
            plans::adopt(tx, actor, now, &member, plan).await?;
        }
        let joined = (None, Some(described(tx, &member).await?));
        audit::changed(
            tx,
            actor,
            now,
            Action::Created,
            ("team_member", &member.id),
            joined,
        );
        user_ids.push(user_id);
    }
    Ok(user_ids)
}

fn already_member(person: &Person, user_id: &str) -> Error {
    let name = person.email.as_deref().unwrap_or(user_id);
    Error::new(
        Code::AlreadyMember,
        format!("User already in team. Member: {name} (user_id={user_id})"),
    )
    .param("member")
}

/// The membership of a person, if there is one.
async fn found(tx: &mut Tx, team_id: &str, person: &Person) -> Result<Option<MemberRow>> {
    let user_id = match (&person.user_id, &person.email) {
        (Some(user_id), _) => user_id.clone(),
        (None, Some(email)) => {
            let user = store::users::find_by_email(&mut *tx, email.trim())
                .await
                .map_err(storage)?;
            let Some(user) = user else { return Ok(None) };
            user.id
        }
        (None, None) => return Ok(None),
    };
    store::teams::find_member(tx, team_id, &user_id)
        .await
        .map_err(storage)
}

fn set_limits(member: &mut MemberRow, terms: &MemberTerms) {
    let terms = terms.clone();
    terms.rpm_limit.apply(&mut member.rpm_limit);
    terms.tpm_limit.apply(&mut member.tpm_limit);
    terms
        .allowed_models
        .apply_or_default(&mut member.allowed_models);
}

/// Sets a member's own budget, if the terms speak of one.
async fn set_budget(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    member: &MemberRow,
    terms: &MemberTerms,
) -> Result<bool> {
    if !terms.has_budget() {
        return Ok(false);
    }
    match terms.budget.plan {
        // what the team gives is no limit of the member's own beside another plan
        Patch::Value(_) => plans::take_away(tx, &member.id).await?,
        Patch::Absent | Patch::Null => plans::leave(tx, &member.id).await?,
    }
    let kind = ScopeKind::TeamMember;
    let by = actor.name();
    entity_budgets::write(domain, tx, kind, &member.id, &terms.budget, by.as_deref()).await?;
    Ok(true)
}

/// Removes a membership with its budgets.
pub async fn erase(tx: &mut Tx, member: &MemberRow) -> Result<()> {
    entity_budgets::erase(tx, ScopeKind::TeamMember, &member.id).await?;
    store::teams::delete_member(tx, &member.id)
        .await
        .map_err(storage)
        .map(drop)
}

/// A membership for the audit log.
async fn described(tx: &mut Tx, row: &MemberRow) -> Result<Value> {
    Ok(json!({
        "team_id": row.team_id,
        "user_id": row.user_id,
        "role": row.role,
        "allowed_models": row.allowed_models,
        "rpm_limit": row.rpm_limit,
        "tpm_limit": row.tpm_limit,
        "budgets": entity_budgets::described(tx, ScopeKind::TeamMember, &row.id).await?,
    }))
}
