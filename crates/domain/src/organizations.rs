//! Organizations: groups of teams with budgets and models of their own, and people who administer
//! them (contract §11).
//!
//! Administrators make and delete organizations. Who administers one manages its members, teams and
//! keys within what the organization itself has. What an organization has is a ceiling: no team in it
//! has more. Every change locks the organization's row first.

mod access;
mod members;
mod views;

use base::{Code, Error, Millis, Result, ids};
use serde_json::{Value, json};
use store::Tx;
use store::json::{Json, Object};
use store::organizations::OrganizationRow;

pub use access::{Reach, administered_by, must_administer_user, reach};
pub use members::{MemberChange, NewMember, OrganizationRole, add_members, change_member};
pub use members::{MemberTerms, remove_member};
pub(crate) use members::{erase, join};
pub use views::{MemberView, OrganizationView, ids, list, seen, view};

use crate::audit::{self, Action, Actor};
use crate::entity_budgets::{self, BudgetPatch};
use crate::grants::{self, Ceiling, Given};
use crate::keys::{self, Owner};
use crate::patch::Patch;
use crate::scopes::ScopeKind;
use crate::{Change, Domain, provider_keys, storage, teams};

/// What a request says of an organization's fields.
#[derive(Clone, Debug, Default)]
pub struct OrganizationFields {
    pub alias: Patch<String>,
    pub models: Patch<Vec<String>>,
    pub metadata: Patch<Object>,
    /// Fields that are kept in the metadata; null takes one away.
    pub in_metadata: Object,
    /// Fields that are kept and given back; null takes one away.
    pub settings: Object,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
    pub tpd_limit: Patch<i64>,
    pub max_parallel_requests: Patch<i64>,
    pub budgets: BudgetPatch,
}

/// Makes an organization.
///
/// # Errors
/// [`Code::BadRequest`] for a taken id and for limits that make no sense.
pub async fn create(
    domain: &Domain,
    actor: &Actor,
    id: Option<String>,
    fields: OrganizationFields,
) -> Result<OrganizationView> {
    let now = domain.clock.now();
    let id = id.unwrap_or_else(|| ids::new_id(now));
    let mut row = blank(&id, actor, now);
    apply(&mut row, &fields);
    let mut tx = domain.begin().await?;
    store::organizations::insert(&mut tx, &row)
        .await
        .map_err(|failure| taken(&id, failure))?;
    put_budgets(domain, &mut tx, actor, &id, &fields.budgets).await?;
    let after = described(&mut tx, &row).await?;
    let made = (None, Some(after));
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Created,
        ("organization", &id),
        made,
    );
    domain.commit(tx, &[Change::Organization(&id)]).await?;
    view(domain, &id).await
}

/// Changes an organization. Who administers it without administering the gateway can give it nothing
/// that it has not.
///
/// # Errors
/// [`Code::NotFound`] for an unknown organization, [`Code::Forbidden`] for anyone but its
/// administrators, and for more than it has.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    fields: OrganizationFields,
) -> Result<OrganizationView> {
    reach(actor, id).must_manage()?;
    let mut tx = domain.begin().await?;
    let mut row = locked(&mut tx, id).await?;
    if !actor.is_admin() {
        let ceiling = Ceiling::of_organization(&mut tx, &row).await?;
        grants::keep(&fields, &ceiling)?;
        grants::check(domain, actor, &Given::from(&fields), &[ceiling])?;
    }
    let before = described(&mut tx, &row).await?;
    let now = domain.clock.now();
    row.updated_at = now;
    row.updated_by = actor.name();
    apply(&mut row, &fields);
    store::organizations::update(&mut tx, &row)
        .await
        .map_err(|failure| taken(id, failure))?;
    put_budgets(domain, &mut tx, actor, id, &fields.budgets).await?;
    let after = described(&mut tx, &row).await?;
    let both = (Some(before), Some(after));
    audit::changed(
        &mut tx,
        actor,
        now,
        Action::Updated,
        ("organization", id),
        both,
    );
    domain.commit(tx, &[Change::Organization(id)]).await?;
    view(domain, id).await
}

/// Deletes organizations with their teams, keys, memberships and budgets: all of them, or none. Gives
/// them as they were.
///
/// # Errors
/// [`Code::NotFound`] naming the first that is not there.
pub async fn delete(
    domain: &Domain,
    actor: &Actor,
    ids: &[String],
) -> Result<Vec<OrganizationView>> {
    let mut ids = ids.to_vec();
    // in one order, so that two deletions cannot wait for each other
    ids.sort_unstable();
    ids.dedup();
    let mut gone = Vec::with_capacity(ids.len());
    for id in &ids {
        gone.push(view(domain, id).await?);
    }
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let mut hashes = Vec::new();
    let mut team_ids = Vec::new();
    for id in &ids {
        let row = locked(&mut tx, id).await?;
        let before = described(&mut tx, &row).await?;
        let members = store::organizations::members(&mut tx, id)
            .await
            .map_err(storage)?;
        for member in members {
            erase(&mut tx, &member).await?;
        }
        let of_organization = store::teams::of_organization(&mut tx, id)
            .await
            .map_err(storage)?;
        for team in of_organization {
            hashes.extend(teams::erase_team(domain, &mut tx, actor, &team.id).await?);
            team_ids.push(team.id);
        }
        let owner = Owner::Organization(id);
        hashes.extend(keys::delete_owned(domain, &mut tx, actor, owner).await?);
        entity_budgets::erase(&mut tx, ScopeKind::Organization, id).await?;
        let owner = provider_keys::Owner::Organization(id);
        provider_keys::erase(&mut tx, actor, owner, now).await?;
        store::organizations::delete(&mut tx, id)
            .await
            .map_err(storage)?;
        let gone = (Some(before), None);
        audit::changed(
            &mut tx,
            actor,
            now,
            Action::Deleted,
            ("organization", id),
            gone,
        );
    }
    let organizations = ids.iter().map(|id| Change::Organization(id));
    let teams = team_ids.iter().map(|id| Change::Team(id));
    let keys = hashes.iter().map(|hash| Change::Key(hash));
    let changes: Vec<Change<'_>> = organizations.chain(teams).chain(keys).collect();
    domain.commit(tx, &changes).await?;
    Ok(gone)
}

/// The organization's row, locked.
async fn locked(tx: &mut Tx, id: &str) -> Result<OrganizationRow> {
    let row = store::organizations::lock(tx, id).await.map_err(storage)?;
    row.ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> Error {
    let message = format!("Organization not found for organization_id={id}");
    Error::new(Code::NotFound, message).param("organization_id")
}

fn taken(id: &str, failure: store::Failure) -> Error {
    match store::db::is_unique_violation(&failure) {
        true => {
            let message = format!("Organization id = {id} already exists. Use a different one.");
            Error::new(Code::BadRequest, message).param("organization_id")
        }
        false => storage(failure),
    }
}

fn blank(id: &str, actor: &Actor, now: Millis) -> OrganizationRow {
    OrganizationRow {
        id: id.to_owned(),
        alias: None,
        models: Json::default(),
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
fn apply(row: &mut OrganizationRow, fields: &OrganizationFields) {
    let fields = fields.clone();
    fields.alias.apply(&mut row.alias);
    fields.models.apply_or_default(&mut row.models);
    fields.metadata.apply_or_default(&mut row.metadata);
    crate::patch::merge(&mut row.metadata, fields.in_metadata);
    crate::patch::merge(&mut row.settings, fields.settings);
    fields.rpm_limit.apply(&mut row.rpm_limit);
    fields.tpm_limit.apply(&mut row.tpm_limit);
    fields.tpd_limit.apply(&mut row.tpd_limit);
    fields
        .max_parallel_requests
        .apply(&mut row.max_parallel_requests);
}

async fn put_budgets(
    domain: &Domain,
    tx: &mut Tx,
    actor: &Actor,
    id: &str,
    budgets: &BudgetPatch,
) -> Result<()> {
    let by = actor.name();
    let kind = ScopeKind::Organization;
    entity_budgets::write(domain, tx, kind, id, budgets, by.as_deref()).await
}

/// An organization for the audit log. Values of its metadata may be secrets of its owner.
async fn described(tx: &mut Tx, row: &OrganizationRow) -> Result<Value> {
    Ok(json!({
        "organization_alias": row.alias,
        "models": row.models,
        "metadata": row.metadata.keys().collect::<Vec<_>>(),
        "rpm_limit": row.rpm_limit,
        "tpm_limit": row.tpm_limit,
        "tpd_limit": row.tpd_limit,
        "max_parallel_requests": row.max_parallel_requests,
        "budgets": entity_budgets::described(tx, ScopeKind::Organization, &row.id).await?,
    }))
}
