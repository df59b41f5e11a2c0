//! Keys at providers: the gateway's, an organization's, a team's and one's own. A key goes in and never
//! comes out.

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Code, Error, Millis, Secret};
use domain::provider_keys::{self, Changes, Fallback, New, Owner, Policy, provider_named};
use domain::{Actor, Domain, Patch};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::provider_keys::ProviderKeyRow;
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::{Field, Object, Required, Sent, Wrong, choice};
use crate::spend::text;

impl Field for Fallback {
    fn read(value: Value) -> std::result::Result<Fallback, Wrong> {
        let words: Vec<_> = Fallback::ALL.iter().map(|it| (it.as_str(), *it)).collect();
        choice(&value, &words)
    }
}

impl Field for Policy {
    fn read(value: Value) -> std::result::Result<Policy, Wrong> {
        let words: Vec<_> = Policy::ALL.iter().map(|it| (it.as_str(), *it)).collect();
        choice(&value, &words)
    }
}

impl Field for Secret {
    fn read(value: Value) -> std::result::Result<Secret, Wrong> {
        String::read(value).map(Secret::new)
    }
}

/// A provider key, without the key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderKeyObject {
    id: String,
    /// `user`, `team`, `organization` or `system`
    owner_kind: String,
    /// Null for the gateway's own.
    owner_id: Option<String>,
    provider: String,
    name: String,
    /// The last letters of the key.
    last4: String,
    /// The lower is asked first.
    position: i64,
    enabled: bool,
    /// When another key may pay: `never`, `on_quota` or `on_error`.
    fallback: String,
    /// Patterns of the models that it pays for; empty: all.
    models: Vec<String>,
    base_url: Option<String>,
    /// What the provider last said of it: `valid`, `rejected`, `restricted`, `quota` or `unverified`.
    state: String,
    verified_at: Option<String>,
    last_used_at: Option<String>,
    created_at: String,
    created_by: Option<String>,
    updated_at: String,
    updated_by: Option<String>,
}

impl From<ProviderKeyRow> for ProviderKeyObject {
    fn from(row: ProviderKeyRow) -> ProviderKeyObject {
        ProviderKeyObject {
            id: row.id,
            owner_kind: row.owner_kind,
            owner_id: Some(row.owner_id).filter(|id| !id.is_empty()),
            provider: row.provider,
            name: row.name,
            last4: row.last4,
            position: row.position,
            enabled: row.enabled,
            fallback: row.fallback,
            models: row.models.0,
            base_url: row.base_url,
            state: row.state,
            verified_at: row.verified_at.map(Millis::to_rfc3339),
            last_used_at: row.last_used_at.map(Millis::to_rfc3339),
            created_at: row.created_at.to_rfc3339(),
            created_by: row.created_by,
            updated_at: row.updated_at.to_rfc3339(),
            updated_by: row.updated_by,
        }
    }
}

/// A key of the environment or the configuration file: the gateway's, where the database has none.
#[derive(Debug, Serialize, ToSchema)]
pub struct EnvironmentKeyObject {
    provider: String,
    /// The environment variable that holds it.
    variable: String,
    /// The last letters of the key.
    last4: String,
    /// Whether a key of the database stands before it.
    overridden: bool,
}

/// An owner's keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderKeyList {
    data: Vec<ProviderKeyObject>,
    /// With the gateway's own: keys of its environment, beneath those of the database.
    environment: Vec<EnvironmentKeyObject>,
}

/// Whose keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ProviderKeyQuery {
    /// `user` (if not given), `team`, `organization` or `system`
    #[param(value_type = Option<String>)]
    owner_kind: Sent<String>,
    /// Oneself if not given.
    #[param(value_type = Option<String>)]
    owner_id: Sent<String>,
}

/// A key at a provider.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewProviderKey {
    /// The prefix of its models: `anthropic`, `openai`, `gemini` …
    #[schema(value_type = String, example = "anthropic")]
    provider: Required<String>,
    /// The key as the provider gave it, or the key file of a service account.
    #[schema(value_type = String, write_only)]
    api_key: Required<Secret>,
    /// `user` (if not given), `team`, `organization` or `system`
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    owner_kind: Sent<String>,
    /// Oneself if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    owner_id: Sent<String>,
    /// The provider's name if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Sent<String>,
    /// Of several keys the lower is asked first; behind the others if not given.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    position: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Sent<bool>,
    /// When another key may pay: `never` (if not given), `on_quota` or `on_error`. A key that the provider
    /// does not take, and a call that it does not accept, are never a reason.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    fallback: Sent<Fallback>,
    /// Patterns of the models that it pays for; all if not given.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    models: Sent<Vec<String>>,
    /// Another host than the provider's own. It needs a key of its own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base_url: Sent<String>,
}

/// What is to change of a key. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProviderKeyChanges {
    /// A new key in place of the old one.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    api_key: Sent<Secret>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    name: Sent<String>,
    /// Of several keys the lower is asked first.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    position: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Sent<bool>,
    /// When another key may pay: `never`, `on_quota` or `on_error`. A key that the provider
    /// does not take, and a call that it does not accept, are never a reason.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    fallback: Sent<Fallback>,
    /// Patterns of the models that it pays for; null or empty: all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    models: Sent<Vec<String>>,
    /// Another host than the provider's own. It needs a key of its own: `api_key`, too.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    base_url: Sent<String>,
}

/// What was destroyed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderKeyDeleted {
    id: String,
    deleted: bool,
}

/// Who may pay with their own keys, by provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderKeyPolicies {
    /// `allowed`, `required` or `forbidden`; `allowed` for providers that are not in it.
    policies: BTreeMap<String, String>,
}

/// Policies to be set.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ProviderKeyPolicyChanges {
    /// `allowed`, `required` or `forbidden` by provider; null: as configured.
    #[schema(value_type = BTreeMap<String, Option<String>>)]
    policies: Required<Object>,
}

/// Whose keys are meant: oneself where nothing is said.
fn owner<'a>(actor: &'a Actor, kind: Option<&str>, id: Option<&'a str>) -> base::Result<Owner<'a>> {
    let wrong =
        |name: &'static str, message: String| Error::new(Code::BadRequest, message).param(name);
    let kind = kind.unwrap_or("user");
    let own = actor.user_id.as_deref().filter(|_| kind == "user");
    let id = match kind {
        "system" => "",
        _ => id
            .or(own)
            .ok_or_else(|| wrong("owner_id", format!("owner_id must name the {kind}")))?,
    };
    Owner::read(kind, id).ok_or_else(|| {
        let message = "owner_kind must be user, team, organization or system";
        wrong("owner_kind", message.to_owned())
    })
}

/// The keys of an owner, in the order in which they are asked.
#[utoipa::path(get, path = "/provider_keys", operation_id = "provider_keys_list", tag = "provider keys",
    params(ProviderKeyQuery), responses((status = 200, body = ProviderKeyList)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<ProviderKeyQuery>,
) -> Result<Json<ProviderKeyList>> {
    let (kind, id) = (text(&query.owner_kind), text(&query.owner_id));
    let owner = owner(&actor, kind.as_deref(), id.as_deref())?;
    let rows = provider_keys::list(&domain, &actor, owner).await?;
    let environment = match owner {
        Owner::System => provider_keys::of_environment(&domain),
        _ => Vec::new(),
    };
    Ok(Json(ProviderKeyList {
        environment: environment
            .into_iter()
            .map(|key| EnvironmentKeyObject {
                provider: key.provider.name.to_owned(),
                variable: key.variable.to_owned(),
                last4: key.last4,
                overridden: key.is_overridden,
            })
            .collect(),
        data: rows.into_iter().map(ProviderKeyObject::from).collect(),
    }))
}

/// Stores a key, sealed, and asks the provider whether it takes it.
#[utoipa::path(post, path = "/provider_keys", operation_id = "provider_key_new", tag = "provider keys",
    request_body = NewProviderKey, responses((status = 200, body = ProviderKeyObject)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<NewProviderKey>,
) -> Result<Json<ProviderKeyObject>> {
    let (kind, id) = (text(&body.owner_kind), text(&body.owner_id));
    let owner = owner(&actor, kind.as_deref(), id.as_deref())?;
    let new = New {
        owner,
        provider: provider_named(&body.provider.0)?,
        key: body.api_key.0,
        name: body.name.0.value(),
        position: body.position.0.value(),
        enabled: body.enabled.0.value().unwrap_or(true),
        fallback: body.fallback.0.value().unwrap_or(Fallback::Never),
        models: body.models.0.value().unwrap_or_default(),
        base_url: body.base_url.0.value(),
    };
    let row = provider_keys::create(&domain, &actor, new).await?;
    Ok(Json(row.into()))
}

/// Changes a key, or what is said of it.
#[utoipa::path(patch, path = "/provider_keys/{provider_key_id}", operation_id = "provider_key_update",
    tag = "provider keys", params(("provider_key_id" = String, Path)),
    request_body = ProviderKeyChanges, responses((status = 200, body = ProviderKeyObject)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(body): Json<ProviderKeyChanges>,
) -> Result<Json<ProviderKeyObject>> {
    let changes = Changes {
        key: body.api_key.0.value(),
        name: body.name.0.value(),
        position: body.position.0.value(),
        enabled: body.enabled.0.value(),
        fallback: body.fallback.0.value(),
        models: match body.models.0 {
            Patch::Absent => None,
            Patch::Null => Some(Vec::new()),
            Patch::Value(models) => Some(models),
        },
        base_url: body.base_url.0,
    };
    let row = provider_keys::update(&domain, &actor, &id, changes).await?;
    Ok(Json(row.into()))
}

/// Destroys a key.
#[utoipa::path(delete, path = "/provider_keys/{provider_key_id}", operation_id = "provider_key_delete",
    tag = "provider keys", params(("provider_key_id" = String, Path)),
    responses((status = 200, body = ProviderKeyDeleted)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<ProviderKeyDeleted>> {
    let row = provider_keys::delete(&domain, &actor, &id).await?;
    Ok(Json(ProviderKeyDeleted {
        id: row.id,
        deleted: true,
    }))
}

/// Asks the provider again whether it takes a key, with a call that costs nothing.
#[utoipa::path(post, path = "/provider_keys/{provider_key_id}/test", operation_id = "provider_key_test",
    tag = "provider keys", params(("provider_key_id" = String, Path)),
    responses((status = 200, body = ProviderKeyObject)))]
pub async fn test(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<ProviderKeyObject>> {
    let row = provider_keys::test(&domain, &actor, &id).await?;
    Ok(Json(row.into()))
}

/// Where people may pay with their own keys, must, or may not.
#[utoipa::path(get, path = "/provider_key_policies", operation_id = "provider_key_policies",
    tag = "provider keys", responses((status = 200, body = ProviderKeyPolicies)))]
pub async fn policies(State(domain): State<Domain>, _: Anyone) -> Json<ProviderKeyPolicies> {
    shown(&domain)
}

/// Sets where people may pay with their own keys; providers that are not named stay as they are.
#[utoipa::path(post, path = "/provider_key_policies", operation_id = "provider_key_policies_set",
    tag = "provider keys", request_body = ProviderKeyPolicyChanges,
    responses((status = 200, body = ProviderKeyPolicies)))]
pub async fn set_policies(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(body): Json<ProviderKeyPolicyChanges>,
) -> Result<Json<ProviderKeyPolicies>> {
    let mut changes = Vec::new();
    for (name, policy) in body.policies.0 {
        let provider = provider_named(&name)?;
        let policy = match policy {
            Value::Null => None,
            policy => Some(Policy::read(policy).map_err(|wrong| {
                let message = format!("{name}: {}", wrong.message);
                Error::new(Code::BadRequest, message).param("policies")
            })?),
        };
        changes.push((provider, policy));
    }
    provider_keys::set_policies(&domain, &actor, &changes).await?;
    Ok(shown(&domain))
}

fn shown(domain: &Domain) -> Json<ProviderKeyPolicies> {
    let policies = domain.provider_keys.policies();
    let policies = policies.iter();
    Json(ProviderKeyPolicies {
        policies: policies
            .map(|(name, policy)| ((*name).to_owned(), policy.as_str().to_owned()))
            .collect(),
    })
}
