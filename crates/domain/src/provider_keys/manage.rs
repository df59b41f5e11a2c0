//! Making, changing and destroying provider keys: who may, what is checked, what the audit log says.
//!
//! A personal key is its owner's alone: set by them after signing in, never with an API key, which may be
//! in other hands. An administrator can destroy it and cannot read or replace it.

use base::{Code, Error, Millis, Result, Secret, ids};
use llm::provider::{self, Provider};
use serde_json::{Value, json};
use store::provider_keys::{self as rows, ProviderKeyRow};
use store::{Json, Tx, db};

use super::{Fallback, Owner, State, bound_to, check, last4, text};
use crate::audit::{self, Action, Entry};
use crate::{Actor, Change, Domain, Patch, Role, organizations, storage, teams};

/// The most keys that an owner can have.
const MOST: usize = 100;

/// A key as it is asked for.
#[derive(Debug)]
pub struct New<'a> {
    pub owner: Owner<'a>,
    pub provider: &'static Provider,
    pub key: Secret,
    /// The provider's name, with a number, where none is given.
    pub name: Option<String>,
    /// Behind the others where none is given.
    pub position: Option<i64>,
    pub enabled: bool,
    pub fallback: Fallback,
    pub models: Vec<String>,
    pub base_url: Option<String>,
}

impl<'a> New<'a> {
    /// A key with nothing said of it.
    pub fn plain(owner: Owner<'a>, provider: &'static Provider, key: Secret) -> New<'a> {
        New {
            owner,
            provider,
            key,
            name: None,
            position: None,
            enabled: true,
            fallback: Fallback::Never,
            models: Vec::new(),
            base_url: None,
        }
    }
}

/// What is to change of a key.
#[derive(Debug, Default)]
pub struct Changes {
    pub key: Option<Secret>,
    pub name: Option<String>,
    pub position: Option<i64>,
    pub enabled: Option<bool>,
    pub fallback: Option<Fallback>,
    pub models: Option<Vec<String>>,
    pub base_url: Patch<String>,
}

/// The provider that people mean by a name.
///
/// # Errors
/// `BadRequest` for a name that no provider has.
pub fn provider_named(name: &str) -> Result<&'static Provider> {
    let name = name.trim().to_lowercase();
    let known = match name.as_str() {
        "google" | "google_ai_studio" => provider::find("gemini"),
        name => provider::find(name),
    };
    known.ok_or_else(|| {
        let message = format!("no provider has the name {name:?}");
        Error::new(Code::BadRequest, message).param("provider")
    })
}

/// Stores a key, sealed, after asking the provider what it thinks of it.
///
/// # Errors
/// 400 for what cannot be a key, 403 for callers who may not, 404 for an owner who is not there, 409 for a
/// name that is taken.
pub async fn create(domain: &Domain, actor: &Actor, new: New<'_>) -> Result<ProviderKeyRow> {
    may_set(domain, actor, new.owner).await?;
    let key = text::clean_key(new.provider, &new.key)?;
    let name = new.name.as_deref().map(text::clean_name).transpose()?;
    let base_url = new
        .base_url
        .as_deref()
        .map(text::clean_base_url)
        .transpose()?;
    needs_base_url(new.provider, base_url.as_deref())?;
    let models = text::clean_models(new.models)?;
    let found = check::ask(domain, new.owner, new.provider, &key, base_url.as_deref()).await;
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    must_be_there(&mut tx, actor, new.owner).await?;
    let others = rows::of_owner(&mut tx, new.owner.kind(), new.owner.id())
        .await
        .map_err(storage)?;
    if others.len() >= MOST {
        let message = format!("an owner can have {MOST} provider keys at the most");
        return Err(Error::new(Code::BadRequest, message));
    }
    let behind = others.iter().map(|other| other.position + 1).max();
    let mut row = ProviderKeyRow {
        id: ids::new_id(now),
        owner_kind: new.owner.kind().to_owned(),
        owner_id: new.owner.id().to_owned(),
        provider: new.provider.name.to_owned(),
        name: name.unwrap_or_else(|| free_name(new.provider, &others)),
        sealed: String::new(),
        last4: last4(key.expose()),
        position: new.position.or(behind).unwrap_or(0),
        enabled: new.enabled,
        fallback: new.fallback.as_str().to_owned(),
        models: Json(models),
        base_url,
        state: found.as_str().to_owned(),
        verified_at: verified_at(found, now),
        last_used_at: None,
        created_at: now,
        created_by: actor.name(),
        updated_at: now,
        updated_by: actor.name(),
    };
    row.sealed = bound_to(&row, |place| domain.vault.seal(place, &key))?;
    rows::insert(&mut tx, &row).await.map_err(taken)?;
    let after = described(&row, true);
    note(
        &mut tx,
        actor,
        now,
        Action::Created,
        (&row.id, None, Some(after)),
    )
    .await?;
    domain
        .commit(tx, &[Change::ProviderKeys(new.owner)])
        .await?;
    Ok(row)
}

/// Changes what is named of a key. Another host needs the key again: nobody can have it sent to a place
/// that its owner has not chosen.
///
/// # Errors
/// As [`create`]; 404 for a key that the caller may not know of.
pub async fn update(
    domain: &Domain,
    actor: &Actor,
    id: &str,
    changes: Changes,
) -> Result<ProviderKeyRow> {
    let known = rows::find(&domain.db, id).await.map_err(storage)?;
    let known = known.ok_or_else(|| not_found(id))?;
    must_see(domain, actor, &known).await?;
    let owner = owner_of(&known)?;
    may_set(domain, actor, owner).await?;
    let provider = provider_named(&known.provider)?;
    let base_url = match &changes.base_url {
        Patch::Absent => known.base_url.clone(),
        Patch::Null => None,
        Patch::Value(url) => Some(text::clean_base_url(url)?),
    };
    needs_base_url(provider, base_url.as_deref())?;
    let key = changes.key.as_ref();
    let key = key.map(|key| text::clean_key(provider, key)).transpose()?;
    if base_url != known.base_url && key.is_none() {
        let message = "another base_url needs the key that is meant for it: send api_key, too";
        return Err(Error::new(Code::BadRequest, message).param("api_key"));
    }
    let name = changes.name.as_deref().map(text::clean_name).transpose()?;
    let models = changes.models.map(text::clean_models).transpose()?;
    let found = match &key {
        Some(key) => Some(check::ask(domain, owner, provider, key, base_url.as_deref()).await),
        None => None,
    };
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let before = rows::lock(&mut tx, id).await.map_err(storage)?;
    let before = before.ok_or_else(|| not_found(id))?;
    if key.is_none() && before.base_url != known.base_url {
        return Err(Error::new(
            Code::Conflict,
            "the key was changed meanwhile; try again",
        ));
    }
    let mut after = ProviderKeyRow {
        base_url,
        updated_at: now,
        updated_by: actor.name(),
        ..before.clone()
    };
    after.name = name.unwrap_or(after.name);
    after.position = changes.position.unwrap_or(after.position);
    after.enabled = changes.enabled.unwrap_or(after.enabled);
    if let Some(fallback) = changes.fallback {
        after.fallback = fallback.as_str().to_owned();
    }
    if let Some(models) = models {
        after.models = Json(models);
    }
    if let (Some(key), Some(found)) = (&key, found) {
        after.sealed = bound_to(&after, |place| domain.vault.seal(place, key))?;
        after.last4 = last4(key.expose());
        after.state = found.as_str().to_owned();
        after.verified_at = verified_at(found, now);
    }
    rows::update(&mut tx, &after).await.map_err(taken)?;
    let (old, new) = (described(&before, false), described(&after, key.is_some()));
    note(
        &mut tx,
        actor,
        now,
        Action::Updated,
        (id, Some(old), Some(new)),
    )
    .await?;
    domain.commit(tx, &[Change::ProviderKeys(owner)]).await?;
    Ok(after)
}

/// Destroys a key.
///
/// # Errors
/// 403 for callers who may not, 404 for a key that they may not know of.
pub async fn delete(domain: &Domain, actor: &Actor, id: &str) -> Result<ProviderKeyRow> {
    let known = rows::find(&domain.db, id).await.map_err(storage)?;
    let known = known.ok_or_else(|| not_found(id))?;
    must_see(domain, actor, &known).await?;
    let owner = owner_of(&known)?;
    if !actor.is_admin() {
        may_set(domain, actor, owner).await?;
    }
    let mut tx = domain.begin().await?;
    let row = rows::lock(&mut tx, id).await.map_err(storage)?;
    let row = row.ok_or_else(|| not_found(id))?;
    rows::delete(&mut tx, id).await.map_err(storage)?;
    let now = domain.clock.now();
    let before = described(&row, false);
    note(
        &mut tx,
        actor,
        now,
        Action::Deleted,
        (id, Some(before), None),
    )
    .await?;
    domain.commit(tx, &[Change::ProviderKeys(owner)]).await?;
    Ok(row)
}

/// Asks the provider again what it thinks of a key.
///
/// # Errors
/// As [`update`]; internal for a key that does not open.
pub async fn test(domain: &Domain, actor: &Actor, id: &str) -> Result<ProviderKeyRow> {
    let known = rows::find(&domain.db, id).await.map_err(storage)?;
    let known = known.ok_or_else(|| not_found(id))?;
    must_see(domain, actor, &known).await?;
    let owner = owner_of(&known)?;
    may_set(domain, actor, owner).await?;
    let provider = provider_named(&known.provider)?;
    let key = bound_to(&known, |place| domain.vault.open(place, &known.sealed))?;
    let found = check::ask(domain, owner, provider, &key, known.base_url.as_deref()).await;
    let now = domain.clock.now();
    let mut tx = domain.begin().await?;
    let verified_at = verified_at(found, now).or(known.verified_at);
    let changed = rows::set_state(&mut tx, id, known.updated_at, found.as_str(), verified_at)
        .await
        .map_err(storage)?;
    if changed == 0 {
        return Err(Error::new(
            Code::Conflict,
            "the key was changed meanwhile; try again",
        ));
    }
    let after = ProviderKeyRow {
        state: found.as_str().to_owned(),
        verified_at,
        ..known.clone()
    };
    let (old, new) = (described(&known, false), described(&after, false));
    note(
        &mut tx,
        actor,
        now,
        Action::Updated,
        (id, Some(old), Some(new)),
    )
    .await?;
    domain.commit(tx, &[Change::ProviderKeys(owner)]).await?;
    Ok(after)
}

/// An owner's keys, in the order in which they are asked, without what they are.
///
/// # Errors
/// 403 for callers who may not see them.
pub async fn list(domain: &Domain, actor: &Actor, owner: Owner<'_>) -> Result<Vec<ProviderKeyRow>> {
    if !sees(domain, actor, owner).await? {
        let message = "only the owner and administrators may see these provider keys";
        return Err(Error::new(Code::Forbidden, message));
    }
    rows::of_owner(&domain.db, owner.kind(), owner.id())
        .await
        .map_err(storage)
}

/// Destroys the keys of an owner who leaves, in the transaction that removes them.
pub(crate) async fn erase(tx: &mut Tx, actor: &Actor, owner: Owner<'_>, now: Millis) -> Result<()> {
    let gone = rows::of_owner(&mut *tx, owner.kind(), owner.id())
        .await
        .map_err(storage)?;
    for row in gone {
        rows::delete(&mut *tx, &row.id).await.map_err(storage)?;
        let before = described(&row, false);
        note(
            tx,
            actor,
            now,
            Action::Deleted,
            (&row.id, Some(before), None),
        )
        .await?;
    }
    Ok(())
}

fn owner_of(row: &ProviderKeyRow) -> Result<Owner<'_>> {
    let owner = Owner::read(&row.owner_kind, &row.owner_id);
    owner.ok_or_else(|| Error::internal(format!("provider key {} has no owner", row.id)))
}

/// Whether the actor may know of an owner's keys.
async fn sees(domain: &Domain, actor: &Actor, owner: Owner<'_>) -> Result<bool> {
    Ok(actor.sees_all()
        || match owner {
            Owner::System => false,
            Owner::User(id) => actor.user_id.as_deref() == Some(id),
            Owner::Team(id) => teams::reach(&domain.db, actor, id).await?.manages(),
            Owner::Organization(id) => organizations::reach(actor, id).sees(),
        })
}

/// Nobody learns which keys others have.
async fn must_see(domain: &Domain, actor: &Actor, row: &ProviderKeyRow) -> Result<()> {
    match sees(domain, actor, owner_of(row)?).await? {
        true => Ok(()),
        false => Err(not_found(&row.id)),
    }
}

/// Who sets an owner's keys.
async fn may_set(domain: &Domain, actor: &Actor, owner: Owner<'_>) -> Result<()> {
    let (may, message) = match owner {
        Owner::System => (
            actor.is_admin(),
            "only administrators of the gateway may set its provider keys",
        ),
        Owner::Organization(id) => (
            organizations::reach(actor, id).manages(),
            "only administrators of the organization may set its provider keys",
        ),
        Owner::Team(id) => (
            teams::reach(&domain.db, actor, id).await?.manages(),
            "only administrators of the team may set its provider keys",
        ),
        Owner::User(id) if actor.user_id.as_deref() != Some(id) => (
            false,
            "a personal provider key is set by its owner and nobody else",
        ),
        Owner::User(_) if actor.role == Some(Role::InternalUserViewer) => {
            (false, "who only views sets no provider keys")
        }
        Owner::User(_) => (
            actor.session.is_some(),
            "a personal provider key is set after signing in, not with an API key",
        ),
    };
    match may {
        true => Ok(()),
        false => Err(Error::new(Code::Forbidden, message)),
    }
}

/// The owner, locked, so that they do not leave meanwhile.
async fn must_be_there(tx: &mut Tx, actor: &Actor, owner: Owner<'_>) -> Result<()> {
    let is_there = match owner {
        Owner::System => true,
        Owner::Organization(id) => store::organizations::lock(tx, id)
            .await
            .map_err(storage)?
            .is_some(),
        Owner::Team(id) => store::teams::lock(tx, id).await.map_err(storage)?.is_some(),
        // the administrator of the configuration needs no row
        Owner::User(id) => {
            let row = store::users::lock(tx, id).await.map_err(storage)?;
            row.is_some() || actor.is_admin()
        }
    };
    match is_there {
        true => Ok(()),
        false => {
            let message = format!("there is no {} {}", owner.kind(), owner.id());
            Err(Error::new(Code::NotFound, message).param("owner_id"))
        }
    }
}

fn needs_base_url(provider: &Provider, base_url: Option<&str>) -> Result<()> {
    let has_place = provider.base_url.is_some()
        || matches!(
            provider.api,
            llm::provider::Api::Vertex | llm::provider::Api::Bedrock
        );
    match has_place || base_url.is_some() {
        true => Ok(()),
        false => {
            let message = format!("{} needs a base_url", provider.title);
            Err(Error::new(Code::BadRequest, message).param("base_url"))
        }
    }
}

fn free_name(provider: &Provider, others: &[ProviderKeyRow]) -> String {
    let name = provider.name;
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| others.iter().all(|other| other.name != *name));
    free.unwrap_or_else(|| name.to_owned())
}

/// When the provider said so; nobody is asked for a state that is not known.
fn verified_at(found: State, now: Millis) -> Option<Millis> {
    (found != State::Unverified).then_some(now)
}

/// A key for the audit log. Of the key itself nothing but that it is another one.
pub(super) fn described(row: &ProviderKeyRow, is_new_key: bool) -> Value {
    let mut described = json!({
        "owner_kind": row.owner_kind,
        "provider": row.provider,
        "name": row.name,
        "last4": row.last4,
        "position": row.position,
        "enabled": row.enabled,
        "fallback": row.fallback,
        "models": row.models.0,
        "base_url": row.base_url,
        "state": row.state,
    });
    if row.owner_kind != "system" {
        described[format!("{}_id", row.owner_kind)] = row.owner_id.clone().into();
    }
    if is_new_key {
        described["api_key"] = "changed".into();
    }
    described
}

pub(super) async fn note(
    tx: &mut Tx,
    actor: &Actor,
    now: Millis,
    action: Action,
    (id, before, after): (&str, Option<Value>, Option<Value>),
) -> Result<()> {
    let entry = Entry {
        action,
        kind: "provider_key",
        id,
        before,
        after,
    };
    audit::record(tx, actor, now, entry).await
}

fn not_found(id: &str) -> Error {
    Error::new(Code::NotFound, format!("there is no provider key {id}")).param("id")
}

fn taken(failure: store::Failure) -> Error {
    match db::is_unique_violation(&failure) {
        true => Error::new(
            Code::Conflict,
            "another provider key of this owner has that name",
        )
        .param("name"),
        false => storage(failure),
    }
}
