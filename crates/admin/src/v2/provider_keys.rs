//! Keys at providers (the `/v2` API): one's own, which nobody reads back, and the gateway's. A face of the
//! vault: one key for each provider, the first where there are several.

use std::collections::BTreeMap;

use axum::extract::State;
use base::{Code, Error, Secret};
use domain::conversations::owner;
use domain::llm_models::{OPEN_TO_KEYS, shown_provider};
use domain::provider_keys::{self, Owner};
use domain::{Actor, Domain};
use llm::provider::Provider;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::provider_keys::ProviderKeyRow;
use utoipa::ToSchema;

use super::{Detail, Message, must_be_person, naive, wrong};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path};
use crate::fields::Object;

/// What names of fields with keys end in.
const FIELD: &str = "_api_key";

/// Which keys one has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2KeyStatus, example = json!({"has_anthropic_key": true, "has_openai_key": false,
    "has_google_key": false, "providers": {"anthropic": {"configured": true, "source": "personal",
    "last4": "x4Qz", "verified_at": "2026-11-21T10:37:42.020000", "status": "valid"}}}))]
pub struct KeyStatus {
    /// One has a key of one's own there.
    has_anthropic_key: bool,
    has_openai_key: bool,
    has_google_key: bool,
    /// By the provider's name.
    providers: BTreeMap<&'static str, ProviderStatus>,
}

/// What pays at a provider.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = V2ProviderStatus)]
pub struct ProviderStatus {
    configured: bool,
    /// Whose key would pay: `personal`, `system` or `none`.
    #[schema(value_type = String)]
    source: &'static str,
    /// The last letters of one's own key.
    last4: Option<String>,
    verified_at: Option<String>,
    /// What the provider last said of one's own key: `valid`, `invalid`, `restricted`, `unverified` or
    /// `quota`.
    #[schema(value_type = Option<String>)]
    status: Option<&'static str>,
}

impl ProviderStatus {
    fn of_key(row: &ProviderKeyRow) -> ProviderStatus {
        ProviderStatus {
            configured: true,
            source: "personal",
            last4: Some(row.last4.clone()),
            verified_at: row.verified_at.map(naive),
            status: Some(state(row)),
        }
    }
}

/// The state of a key in the words of this API.
fn state(row: &ProviderKeyRow) -> &'static str {
    match row.state.as_str() {
        "valid" => "valid",
        "rejected" => "invalid",
        "restricted" => "restricted",
        "quota" => "quota",
        _ => "unverified",
    }
}

/// The providers whose keys this API has fields for.
fn guided() -> impl Iterator<Item = &'static Provider> {
    OPEN_TO_KEYS
        .iter()
        .filter_map(|name| llm::provider::find(name))
}

/// Says which keys one has, and whose would pay at each provider.
#[utoipa::path(get, path = "/v2/users/me/api-key-status", operation_id = "v2_provider_key_status", tag = "v2",
    responses((status = 200, body = KeyStatus), (status = 401, body = Detail), (status = 403, body = Detail)))]
pub async fn status(State(domain): State<Domain>, actor: Anyone) -> Result<Json<KeyStatus>> {
    let own = own_keys(&domain, &actor).await?;
    let has = |name: &str| own.iter().any(|row| row.provider == name);
    let mut providers: BTreeMap<&'static str, ProviderStatus> = BTreeMap::new();
    let system = |provider: &'static Provider| ProviderStatus {
        configured: has_system_key(&domain, provider),
        source: match has_system_key(&domain, provider) {
            true => "system",
            false => "none",
        },
        ..ProviderStatus::default()
    };
    let known = llm::provider::PROVIDERS
        .iter()
        .filter(|provider| has_system_key(&domain, provider));
    for provider in guided().chain(known) {
        providers.insert(shown_provider(provider), system(provider));
    }
    // the first of several is the one that is asked first
    for row in own.iter().rev() {
        if let Some(provider) = llm::provider::find(&row.provider) {
            providers.insert(shown_provider(provider), ProviderStatus::of_key(row));
        }
    }
    Ok(Json(KeyStatus {
        has_anthropic_key: has("anthropic"),
        has_openai_key: has("openai"),
        has_google_key: has("gemini"),
        providers,
    }))
}

async fn own_keys(domain: &Domain, actor: &Actor) -> base::Result<Vec<ProviderKeyRow>> {
    let own = Owner::User(owner(actor)?);
    let mut rows = provider_keys::list(domain, actor, own).await?;
    rows.retain(|row| row.enabled);
    Ok(rows)
}

fn has_system_key(domain: &Domain, provider: &'static Provider) -> bool {
    let is_of = |key: &provider_keys::EnvironmentKey| key.provider.name == provider.name;
    !domain.provider_keys.of(Owner::System, provider).is_empty()
        || provider_keys::of_environment(domain).iter().any(is_of)
}

/// Keys to be set: of each provider, `<provider>_api_key`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2ProviderKeys, example = json!({"anthropic_api_key": "sk-ant-api03-Zk3x…"}))]
pub struct ProviderKeys {
    /// Left out or null: as it is; empty: taken away.
    #[expect(dead_code, reason = "says in the document what the body holds")]
    anthropic_api_key: Option<String>,
    #[expect(dead_code, reason = "the same")]
    openai_api_key: Option<String>,
    #[expect(dead_code, reason = "the same")]
    google_api_key: Option<String>,
}

/// Reads what is wished for each provider.
fn wishes(sent: Object) -> base::Result<Vec<provider_keys::Wish>> {
    let mut wishes = Vec::new();
    for (field, value) in sent {
        let Some(name) = field.strip_suffix(FIELD) else {
            continue;
        };
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            _ => {
                let message = "Input should be a valid string";
                return Err(wrong(
                    json!(["body", field]),
                    "string_type",
                    message,
                    Value::Null,
                ));
            }
        };
        let provider = provider_keys::provider_named(name).map_err(|_| {
            let message = format!("Value error, there is no provider {name}");
            wrong(json!(["body", field]), "value_error", &message, Value::Null)
        })?;
        let key = (!text.is_empty()).then(|| Secret::new(text));
        wishes.push((provider, key));
    }
    Ok(wishes)
}

/// Sets one's own keys. They are sealed, checked with their providers, and never shown again.
#[utoipa::path(patch, path = "/v2/users/me/api-key", operation_id = "v2_set_provider_keys", tag = "v2",
    request_body = ProviderKeys,
    responses((status = 200, body = Message), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 422, body = Detail)))]
pub async fn set(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    let own = Owner::User(owner(&actor)?);
    provider_keys::set_several(&domain, &actor, own, wishes(sent)?).await?;
    Ok(Json(Message {
        message: "API keys updated successfully",
    }))
}

/// Takes all of one's own keys away.
#[utoipa::path(delete, path = "/v2/users/me/api-key", operation_id = "v2_remove_provider_keys", tag = "v2",
    responses((status = 200, body = Message), (status = 403, body = Detail)))]
pub async fn remove_all(State(domain): State<Domain>, actor: Anyone) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    let own = Owner::User(owner(&actor)?);
    for row in provider_keys::list(&domain, &actor, own).await? {
        provider_keys::delete(&domain, &actor, &row.id).await?;
    }
    Ok(Json(Message {
        message: "API keys removed successfully",
    }))
}

fn provider_in_path(name: &str) -> base::Result<&'static Provider> {
    provider_keys::provider_named(name)
        .map_err(|error| Error::new(Code::NotFound, "Provider not found").caused_by(error))
}

/// Takes one's own keys at one provider away.
#[utoipa::path(delete, path = "/v2/users/me/api-key/{provider}", operation_id = "v2_remove_provider_key",
    tag = "v2", params(("provider" = String, Path, example = "anthropic")),
    responses((status = 200, body = Message), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn remove(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(name): Path<String>,
) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    let own = Owner::User(owner(&actor)?);
    let provider = provider_in_path(&name)?;
    provider_keys::set_several(&domain, &actor, own, vec![(provider, None)]).await?;
    Ok(Json(Message {
        message: "API key removed successfully",
    }))
}

/// What a provider says of a key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2TestedKey)]
pub struct Tested {
    #[schema(value_type = String)]
    provider: &'static str,
    #[serde(flatten)]
    status: ProviderStatus,
}

/// Asks a provider what it thinks of one's own key.
#[utoipa::path(post, path = "/v2/users/me/api-key/{provider}/test", operation_id = "v2_test_provider_key",
    tag = "v2", params(("provider" = String, Path, example = "anthropic")),
    responses((status = 200, body = Tested), (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn test(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(name): Path<String>,
) -> Result<Json<Tested>> {
    must_be_person(&actor)?;
    let own = Owner::User(owner(&actor)?);
    let provider = provider_in_path(&name)?;
    let known = provider_keys::of_provider(&domain, &actor, own, provider).await?;
    let first = known.first().ok_or_else(|| {
        let shown = shown_provider(provider);
        Error::new(Code::NotFound, format!("No API key configured for {shown}"))
    })?;
    let tested = provider_keys::test(&domain, &actor, &first.id).await?;
    Ok(Json(Tested {
        provider: shown_provider(provider),
        status: ProviderStatus::of_key(&tested),
    }))
}

/// The gateway's keys, as far as they are shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2SystemKeys)]
pub struct SystemKeys {
    /// The end of the key, for telling it from others; null where there is none.
    anthropic_masked: Option<String>,
    openai_masked: Option<String>,
    google_masked: Option<String>,
    anthropic_configured: bool,
    openai_configured: bool,
    google_configured: bool,
    /// By the provider's name.
    providers: BTreeMap<&'static str, SystemKey>,
}

/// A key of the gateway's.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2SystemKey)]
pub struct SystemKey {
    masked: Option<String>,
    /// `database`, or `environment`: set there, and changed there or by a key in the database above it.
    #[schema(value_type = String)]
    source: &'static str,
    /// Of a key in the database, as in the status of one's own keys.
    #[schema(value_type = Option<String>)]
    status: Option<&'static str>,
    updated_at: Option<String>,
    updated_by: Option<String>,
}

/// Shows which keys the gateway has.
#[utoipa::path(get, path = "/v2/admin/llm-keys", operation_id = "v2_system_keys", tag = "v2",
    responses((status = 200, body = SystemKeys), (status = 403, body = Detail)))]
pub async fn system(State(domain): State<Domain>, actor: Anyone) -> Result<Json<SystemKeys>> {
    let rows = provider_keys::list(&domain, &actor, Owner::System).await?;
    let mut providers: BTreeMap<&'static str, SystemKey> = BTreeMap::new();
    for key in provider_keys::of_environment(&domain) {
        let shown = SystemKey {
            masked: masked(&key.last4),
            source: "environment",
            status: None,
            updated_at: None,
            updated_by: None,
        };
        providers.insert(shown_provider(key.provider), shown);
    }
    for row in rows.iter().rev().filter(|row| row.enabled) {
        let Some(provider) = llm::provider::find(&row.provider) else {
            continue;
        };
        let shown = SystemKey {
            masked: masked(&row.last4),
            source: "database",
            status: Some(state(row)),
            updated_at: Some(naive(row.updated_at)),
            updated_by: row.updated_by.clone(),
        };
        providers.insert(shown_provider(provider), shown);
    }
    let masked = |name: &str| providers.get(name).and_then(|key| key.masked.clone());
    Ok(Json(SystemKeys {
        anthropic_masked: masked("anthropic"),
        openai_masked: masked("openai"),
        google_masked: masked("google"),
        anthropic_configured: providers.contains_key("anthropic"),
        openai_configured: providers.contains_key("openai"),
        google_configured: providers.contains_key("google"),
        providers,
    }))
}

fn masked(last4: &str) -> Option<String> {
    (!last4.is_empty()).then(|| format!("...{last4}"))
}

/// That the gateway's keys were set.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2SystemKeysSet)]
pub struct SystemKeysSet {
    #[schema(value_type = String)]
    message: &'static str,
    #[schema(value_type = String)]
    note: &'static str,
}

/// Sets the gateway's keys, for everybody and at once.
#[utoipa::path(patch, path = "/v2/admin/llm-keys", operation_id = "v2_set_system_keys", tag = "v2",
    request_body = ProviderKeys,
    responses((status = 200, body = SystemKeysSet), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 422, body = Detail)))]
pub async fn set_system(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Json<SystemKeysSet>> {
    must_be_person(&actor)?;
    provider_keys::set_several(&domain, &actor, Owner::System, wishes(sent)?).await?;
    Ok(Json(SystemKeysSet {
        message: "System API keys updated successfully",
        note: "Changes are applied immediately. No restart required.",
    }))
}
