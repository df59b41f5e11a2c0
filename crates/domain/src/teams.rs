//! Teams: groups of users with budgets, models and keys of their own (contract §10).
//!
//! Administrators make and change teams; administrators of a team manage its members; members see
//! their team and themselves. Every change locks the team's row first, so that two changes of one
//! team cannot cross.

mod access;
mod caps;
mod members;
mod plans;
mod views;

use std::collections::BTreeMap;

use base::{Code, Error, Millis, Money, Result, ids};
use serde_json::{Value, json};
use store::json::{Json, Object};
use store::teams::TeamRow;
use store::{On, Tx};

pub use access::{PERMISSIONS, Reach, may_read_calls, reach, reach_of};
use access::{check_permissions, governable, manageable};
pub use caps::default_fields;
pub use members::{Added, MemberChange, MemberTerms, NewMember, Person};
pub use members::{SpendReset, reset_member_budget, reset_member_spend};
pub use members::{add_members, change_member, join, remove_member};
pub(crate) use members::{erase, leave};
pub use plans::MemberPlan;
pub(crate) use plans::follow_plan;
pub use views::{
    Listed, MemberView, TeamView, available, count_keys, list, membership, seen, view, views,
};

use crate::audit::{self, Action, Actor};
use crate::entity_budgets::{self, BudgetPatch};
use crate::grants::{self, Ceiling, Given};
use crate::keys::{self, Owner};
use crate::patch::Patch;
use crate::scopes::ScopeKind;
use crate::{Change, Domain, provider_keys, storage};

/// The team of keys that the UI signs in with; nobody can make it.
const RESERVED: &str = "litellm-dashboard";

/// The entry of a list of models that allows none (contract §7).
const NO_MODELS: &str = "no-default-models";

/// What a member is in a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeamRole {
    /// Manages the members.
    Admin,
    User,
}

impl TeamRole {
    pub fn as_str(self) -> &'static str {
        match self {
            TeamRole::Admin => "admin",
            TeamRole::User => "user",
        }
    }
}

/// What a request says of a team's fields.
#[derive(Clone, Debug, Default)]
pub struct TeamFields {
    pub alias: Patch<String>,
    pub organization_id: Patch<String>,
    pub models: Patch<Vec<String>>,
    pub model_aliases: Patch<BTreeMap<String, String>>,
    pub default_member_models: Patch<Vec<String>>,
    pub member_permissions: Patch<Vec<String>>,
    pub metadata: Patch<Object>,
    /// Fields that are kept in the metadata; null takes one away.
    pub in_metadata: Object,
    /// Fields that are kept and given back; null takes one away.
    pub settings: Object,
    pub blocked: Patch<bool>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
    pub tpd_limit: Patch<i64>,
    pub max_parallel_requests: Patch<i64>,
    pub budgets: BudgetPatch,
    pub member_plan: MemberPlan,
}

/// A team to be made.
#[derive(Clone, Debug, Default)]
pub struct NewTeam {
    pub id: Option<String>,
    pub fields: TeamFields,
    pub members: Vec<NewMember>,
}

/// Makes a team; whoever makes it administers it.
///
/// # Errors
/// [`Code::BadRequest`] for a taken id, an unknown organization, and limits that make no sense.
pub async fn create(domain: &Domain, actor: &Actor, mut new: NewTeam) -> Result<TeamView> {
    let is_among = |user_id: &str| {
        let mut members = new.members.iter();
        members.any(|member| member.person.is(user_id))
    };
    if let Some(user_id) = actor.user_id.as_deref().filter(|id| !is_among(id)) {
        new.members.push(NewMember {
            person: Person::by_id(user_id),
            role: TeamRole::Admin,
        });
    }
    let mut tx = domain.begin().await?;
    let id = Box::pin(create_in(domain, &mut tx, actor, new)).await?;
    domain.commit(tx, &[Change::Team(&id)]).await?;
    let team = view(domain, &id).await?;
    if team.account.spend == Money::ZERO {
        return Ok(team);
    }
    // a team that had this id before has spent something
    entity_budgets::set_spend(domain, ScopeKind::Team, &id, Money::ZERO).await?;
    view(domain, &id).await
}

/// The same in an open transaction, with none but the named members; gives the team's id.
pub(crate) async fn create_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    mut new: NewTeam,
) -> Result<String> {
    let now = domain.clock.now();
    caps::check(domain, &mut new.fields, now, true)?;
    let id = match new.id {
        Some(id) if id == RESERVED => {
            return Err(Error::new(
                Code::BadRequest,
                format!("Team id = {RESERVED} is reserved. Please use a different team id."),
            )
            .param("team_id"));
        }
        Some(id) => id,
        None => ids::new_id(now),
    };
    let organization_id = new.fields.organization_id.as_ref().value();
    if !actor.is_admin() && !organization_id.is_some_and(|id| actor.administers(id)) {
        let message =
            "only administrators of the gateway, and of an organization in it, make teams";
        return Err(Error::new(Code::Forbidden, message).param("organization_id"));
    }
    let mut row = blank(&id, actor, now);
    apply(tx, &mut row, &new.fields).await?;
    let given = whole(tx, &row, &new.fields).await?;
    fit(domain, &mut *tx, &row, given).await?;
    plans::put(domain, tx, &mut row, &new.fields.member_plan, actor).await?;
    if !store::teams::insert(&mut *tx, &row)
        .await
        .map_err(storage)?
    {
        return Err(Error::new(
            Code::BadRequest,
            format!("Team id = {id} already exists. Please use a different team id."),
        )
        .param("team_id"));
    }
    put_budgets(domain, tx, actor, &id, &new.fields.budgets).await?;
    let terms = MemberTerms::default();
    members::join(domain, tx, actor, &row, new.members, &terms).await?;
    let after = described(tx, &row).await?;
    let made = (None, Some(after));
    audit::changed(tx, actor, now, Action::Created, ("team", &id), made);
    Ok(id)
}

/// Changes a team.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::Forbidden`] for anyone but an administrator.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    mut fields: TeamFields,
) -> Result<TeamView> {
    caps::check(domain, &mut fields, domain.clock.now(), false)?;
    let mut tx = domain.begin().await?;
    Box::pin(update_in(domain, &mut tx, actor, id, &fields)).await?;
    domain.commit(tx, &[Change::Team(id)]).await?;
    view(domain, id).await
}

/// The same in an open transaction.
pub(crate) async fn update_in(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    fields: &TeamFields,
) -> Result<TeamRow> {
    governable(&mut *tx, actor, id).await?;
    let moves_to = fields.organization_id.as_ref().value();
    let may_move =
        fields.organization_id.is_absent() || moves_to.is_some_and(|id| actor.administers(id));
    if !actor.is_admin() && !may_move {
        let message = "only a proxy admin can move a team out of its organization";
        return Err(Error::new(Code::Forbidden, message).param("organization_id"));
    }
    let mut row = locked(tx, id).await?;
    let before = described(tx, &row).await?;
    let now = touch(domain, actor, &mut row);
    apply(tx, &mut row, fields).await?;
    // what has become too much since is no reason to refuse another change
    let given = match fields.organization_id {
        Patch::Value(_) => whole(tx, &row, fields).await?,
        Patch::Absent | Patch::Null => Given::from(fields),
    };
    fit(domain, &mut *tx, &row, given).await?;
    put_budgets(domain, tx, actor, id, &fields.budgets).await?;
    plans::put(domain, tx, &mut row, &fields.member_plan, actor).await?;
    store::teams::update(&mut *tx, &row)
        .await
        .map_err(storage)?;
    let after = described(tx, &row).await?;
    let both = (Some(before), Some(after));
    audit::changed(tx, actor, now, Action::Updated, ("team", id), both);
    Ok(row)
}

/// Blocks or unblocks every key of a team.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team.
pub async fn set_blocked(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    blocked: bool,
) -> Result<TeamView> {
    governable(&domain.db, actor, id).await?;
    let action = match blocked {
        true => Action::Blocked,
        false => Action::Unblocked,
    };
    change(domain, actor, id, action, |row| row.blocked = blocked).await
}

/// Sets what plain members may do with the team's keys.
///
/// # Errors
/// [`Code::BadRequest`] for a permission that does not exist, [`Code::Forbidden`] for anyone but an
/// administrator of the team, [`Code::NotFound`] for an unknown team.
pub async fn set_permissions(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    permissions: Vec<String>,
) -> Result<TeamView> {
    manageable(&domain.db, actor, id).await?;
    check_permissions(&permissions)?;
    change(domain, actor, id, Action::Updated, |row| {
        row.member_permissions = Json(permissions);
    })
    .await
}

/// Lets a team use more models.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team, [`Code::BadRequest`] for models that its organization has
/// not.
pub async fn add_models(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    models: Vec<String>,
) -> Result<TeamView> {
    governable(&domain.db, actor, id).await?;
    let row = store::teams::find(&domain.db, id).await.map_err(storage)?;
    let row = row.ok_or_else(|| not_found(id))?;
    let given = Given {
        models: &models,
        ..Given::default()
    };
    fit(domain, &domain.db, &row, given).await?;
    change(domain, actor, id, Action::Updated, |row| {
        row.models.retain(|model| model != NO_MODELS);
        for model in models {
            if !row.models.contains(&model) {
                row.models.push(model);
            }
        }
    })
    .await
}

/// Takes models away from a team. A team that had a choice of models keeps one: with the last model
/// gone it may use none.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team.
pub async fn remove_models(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    models: Vec<String>,
) -> Result<TeamView> {
    governable(&domain.db, actor, id).await?;
    change(domain, actor, id, Action::Updated, |row| {
        let had_some = !row.models.is_empty();
        row.models.retain(|model| !models.contains(model));
        if had_some && row.models.is_empty() {
            // an empty list would mean every model (contract §7)
            row.models.push(NO_MODELS.to_owned());
        }
    })
    .await
}

/// Deletes teams with their members, budgets and keys: all of them, or none.
///
/// # Errors
/// [`Code::NotFound`] naming the first team that is not there.
pub async fn delete(domain: &Domain, actor: &Actor, team_ids: &[String]) -> Result<Vec<String>> {
    let mut team_ids = team_ids.to_vec();
    // in one order, so that two deletions cannot wait for each other
    team_ids.sort_unstable();
    team_ids.dedup();
    let mut tx = domain.begin().await?;
    let mut hashes = Vec::new();
    for id in &team_ids {
        governable(&mut tx, actor, id).await?;
        hashes.extend(erase_team(domain, &mut tx, actor, id).await?);
    }
    let teams = team_ids.iter().map(|id| Change::Team(id));
    let keys = hashes.iter().map(|hash| Change::Key(hash));
    let changes: Vec<Change<'_>> = teams.chain(keys).collect();
    domain.commit(tx, &changes).await?;
    Ok(team_ids)
}

/// Deletes one team with its members, budgets and keys; gives the keys' hashes.
///
/// # Errors
/// [`Code::NotFound`] for an unknown team.
pub(crate) async fn erase_team(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
) -> Result<Vec<String>> {
    let row = store::teams::lock(tx, id).await.map_err(storage)?;
    let row = row.ok_or_else(|| {
        let message = format!("Team not found, passed team_id={id}");
        Error::new(Code::NotFound, message)
    })?;
    let before = described(tx, &row).await?;
    let members = store::teams::members_of_teams(&mut *tx, &[id.to_owned()])
        .await
        .map_err(storage)?;
    for member in members {
        members::erase(tx, &member).await?;
    }
    plans::erase(tx, &row).await?;
    let hashes = keys::delete_owned(domain, tx, actor, Owner::Team(id)).await?;
    entity_budgets::erase(tx, ScopeKind::Team, id).await?;
    let (owner, now) = (provider_keys::Owner::Team(id), domain.clock.now());
    provider_keys::erase(tx, actor, owner, now).await?;
    store::scim::delete(tx, store::scim::TEAM, id)
        .await
        .map_err(storage)?;
    store::teams::delete(&mut *tx, id).await.map_err(storage)?;
    let gone = (Some(before), None);
    audit::changed(
        tx,
        actor,
        domain.clock.now(),
        Action::Deleted,
        ("team", id),
        gone,
    );
    Ok(hashes)
}

/// Holds what is put into a team to what its organization has (contract §11).
async fn fit<'a>(
    domain: &Domain,
    on: impl Into<On<'a>>,
    row: &TeamRow,
    given: Given<'_>,
) -> Result<()> {
    let Some(id) = &row.organization_id else {
        return Ok(());
    };
    let mut on = on.into();
    let found = store::organizations::find(on.again(), id)
        .await
        .map_err(storage)?;
    match found {
        Some(organization) => {
            let ceiling = Ceiling::of_organization(on, &organization).await?;
            grants::fit(domain, &given, &ceiling)
        }
        None => Ok(()),
    }
}

/// All that a team has, with what is about to be put into it.
async fn whole<'a>(tx: &mut Tx, row: &'a TeamRow, fields: &TeamFields) -> Result<Given<'a>> {
    let max_budget = match Given::budget(&fields.budgets).max_budget {
        Some(amount) => Some(amount),
        None => entity_budgets::limit(tx, ScopeKind::Team, &row.id).await?,
    };
    Ok(Given {
        role: None,
        models: &row.models,
        max_budget,
        largest_part: Given::budget(&fields.budgets).largest_part,
        names_plan: false,
        rpm_limit: row.rpm_limit,
        tpm_limit: row.tpm_limit,
        tpd_limit: row.tpd_limit,
        max_parallel_requests: row.max_parallel_requests,
    })
}

async fn put_budgets(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    budgets: &BudgetPatch,
) -> Result<()> {
    let by = actor.name();
    entity_budgets::write(domain, tx, ScopeKind::Team, id, budgets, by.as_deref()).await
}

/// Changes the row of a team and nothing around it.
async fn change(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    action: Action,
    change: impl FnOnce(&mut TeamRow),
) -> Result<TeamView> {
    let mut tx = domain.begin().await?;
    let mut row = locked(&mut tx, id).await?;
    let before = described(&mut tx, &row).await?;
    let now = touch(domain, actor, &mut row);
    change(&mut row);
    store::teams::update(&mut tx, &row).await.map_err(storage)?;
    let after = described(&mut tx, &row).await?;
    let both = (Some(before), Some(after));
    audit::changed(&mut tx, actor, now, action, ("team", id), both);
    domain.commit(tx, &[Change::Team(id)]).await?;
    view(domain, id).await
}

/// The team's row, locked.
async fn locked(tx: &mut Tx, id: &str) -> Result<TeamRow> {
    let row = store::teams::lock(tx, id).await.map_err(storage)?;
    row.ok_or_else(|| not_found(id))
}

pub fn not_found(id: &str) -> Error {
    Error::new(
        Code::NotFound,
        format!("Team not found, passed team_id={id}"),
    )
    .param("team_id")
}

/// Notes who changes a row, and when.
fn touch(domain: &Domain, actor: &Actor, row: &mut TeamRow) -> Millis {
    let now = domain.clock.now();
    row.updated_at = now;
    row.updated_by = actor.name();
    now
}

fn blank(id: &str, actor: &Actor, now: Millis) -> TeamRow {
    TeamRow {
        id: id.to_owned(),
        alias: None,
        organization_id: None,
        models: Json::default(),
        model_aliases: Json::default(),
        default_member_models: Json::default(),
        member_permissions: Json::default(),
        metadata: Json::default(),
        settings: Json::default(),
        blocked: false,
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    }
}

/// Puts what was sent into a row.
async fn apply(tx: &mut Tx, row: &mut TeamRow, fields: &TeamFields) -> Result<()> {
    let fields = fields.clone();
    if let Patch::Value(organization_id) = &fields.organization_id {
        let found = store::organizations::find(tx, organization_id)
            .await
            .map_err(storage)?;
        if found.is_none() {
            return Err(Error::new(
                Code::BadRequest,
                format!("Organization not found for organization_id={organization_id}"),
            )
            .param("organization_id"));
        }
    }
    if let Patch::Value(permissions) = &fields.member_permissions {
        check_permissions(permissions)?;
    }
    fields.alias.apply(&mut row.alias);
    fields.organization_id.apply(&mut row.organization_id);
    fields.models.apply_or_default(&mut row.models);
    fields
        .model_aliases
        .apply_or_default(&mut row.model_aliases);
    fields
        .default_member_models
        .apply_or_default(&mut row.default_member_models);
    fields
        .member_permissions
        .apply_or_default(&mut row.member_permissions);
    plans::put_metadata(row, fields.metadata);
    crate::patch::merge(&mut row.metadata, fields.in_metadata);
    crate::patch::merge(&mut row.settings, fields.settings);
    fields.blocked.apply_or_default(&mut row.blocked);
    fields.rpm_limit.apply(&mut row.rpm_limit);
    fields.tpm_limit.apply(&mut row.tpm_limit);
    fields.tpd_limit.apply(&mut row.tpd_limit);
    fields
        .max_parallel_requests
        .apply(&mut row.max_parallel_requests);
    Ok(())
}

/// A team for the audit log. Values of its metadata may be secrets of its owner.
async fn described(tx: &mut Tx, row: &TeamRow) -> Result<Value> {
    Ok(json!({
        "team_alias": row.alias,
        "organization_id": row.organization_id,
        "models": row.models,
        "model_aliases": row.model_aliases,
        "default_team_member_models": row.default_member_models,
        "team_member_permissions": row.member_permissions,
        "metadata": row.metadata.keys().collect::<Vec<_>>(),
        "blocked": row.blocked,
        "rpm_limit": row.rpm_limit,
        "tpm_limit": row.tpm_limit,
        "tpd_limit": row.tpd_limit,
        "max_parallel_requests": row.max_parallel_requests,
        "budgets": entity_budgets::described(tx, ScopeKind::Team, &row.id).await?,
    }))
}
