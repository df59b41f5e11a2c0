//! API keys (the `/v2` API): virtual keys of one's own, for calls of models and for reading what is one's
//! own. Keys do not make keys: that is for people.

use axum::extract::State;
use domain::Domain;
use domain::Patch;
use domain::keys::own::{self, OwnKey};
use domain::keys::{self, Custom, KeyPatch, KeyType};
use serde::{Deserialize, Serialize};
use store::keys::KeyRow;
use utoipa::ToSchema;

use super::{Detail, Message, PartQuery, check_id, check_length, must_be_person, naive, part};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::Required;

/// Where the name is kept: unlike an alias, many may have the same.
const NAME: &str = "name";
/// The longest name of a key.
const LONGEST_NAME: usize = 100;

/// An API key. Its text is never shown again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2ApiKey)]
pub struct ApiKey {
    id: String,
    name: String,
    /// What is shown of the key: how it begins and ends.
    key_prefix: String,
    request_count: i64,
    last_used_at: Option<String>,
    last_ip: Option<String>,
    is_active: bool,
    created_at: String,
}

impl From<OwnKey> for ApiKey {
    fn from(key: OwnKey) -> ApiKey {
        ApiKey {
            request_count: key.requests,
            last_ip: key.last_address,
            ..ApiKey::from(key.row)
        }
    }
}

impl From<KeyRow> for ApiKey {
    fn from(row: KeyRow) -> ApiKey {
        ApiKey {
            name: match row.metadata.get(NAME).and_then(|name| name.as_str()) {
                Some(name) => name.to_owned(),
                None => row.alias.unwrap_or_else(|| row.name.clone()),
            },
            key_prefix: row.name,
            request_count: 0,
            last_used_at: row.last_used_at.map(naive),
            last_ip: None,
            is_active: row.blocked != Some(true),
            created_at: naive(row.created_at),
            id: row.id,
        }
    }
}

/// API keys.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2ApiKeys)]
pub struct ApiKeys {
    data: Vec<ApiKey>,
    /// How many there are in all.
    count: i64,
}

/// Lists one's API keys, the newest first.
#[utoipa::path(get, path = "/v2/api-keys", operation_id = "v2_api_keys", tag = "v2", params(PartQuery),
    responses((status = 200, body = ApiKeys), (status = 401, body = Detail), (status = 422, body = Detail)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<PartQuery>,
) -> Result<Json<ApiKeys>> {
    let part = part(&query.skip, &query.limit)?;
    let (keys, count) = own::page(&domain, &actor, part).await?;
    Ok(Json(ApiKeys {
        data: keys.into_iter().map(ApiKey::from).collect(),
        count,
    }))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = V2NewApiKey, example = json!({"name": "CI/CD"}))]
pub struct NewApiKey {
    #[schema(value_type = String)]
    name: Required<String>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = V2CreatedApiKey)]
pub struct CreatedApiKey {
    #[serde(flatten)]
    key: ApiKey,
    /// The key itself, which is shown this once.
    full_key: String,
}

/// Makes an API key. It calls models and reads models and usage; it changes no account and no key.
#[utoipa::path(post, path = "/v2/api-keys", operation_id = "v2_create_api_key", tag = "v2", request_body = NewApiKey,
    responses((status = 200, body = CreatedApiKey), (status = 400, body = Detail), (status = 403, body = Detail),
        (status = 422, body = Detail)))]
pub async fn create(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<NewApiKey>,
) -> Result<Json<CreatedApiKey>> {
    must_be_person(&actor)?;
    check_length("name", &sent.name.0, 1, LONGEST_NAME)?;
    let patch = KeyPatch {
        named: ["metadata", "key_type"].map(str::to_owned).into(),
        metadata: Patch::Value(
            [(NAME.to_owned(), sent.name.0.into())]
                .into_iter()
                .collect(),
        ),
        key_type: Patch::Value(KeyType::LlmApi),
        user_id: actor.user_id.clone().into(),
        ..KeyPatch::default()
    };
    let made = keys::generate(&domain, &actor, patch, Custom::default()).await?;
    Ok(Json(CreatedApiKey {
        full_key: made.plain.expose().to_owned(),
        key: made.view.row.into(),
    }))
}

/// Switches an API key off, and on again.
#[utoipa::path(patch, path = "/v2/api-keys/{key_id}/toggle", operation_id = "v2_toggle_api_key", tag = "v2",
    params(("key_id" = String, Path)),
    responses((status = 200, body = ApiKey), (status = 403, body = Detail), (status = 404, body = Detail),
        (status = 422, body = Detail)))]
pub async fn toggle(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<ApiKey>> {
    must_be_person(&actor)?;
    check_id("key_id", &id)?;
    let key = own::toggle(&domain, &actor, &id.to_lowercase()).await?;
    Ok(Json(key.into()))
}

/// Deletes an API key. What it was used for stays in the ledger.
#[utoipa::path(delete, path = "/v2/api-keys/{key_id}", operation_id = "v2_delete_api_key", tag = "v2",
    params(("key_id" = String, Path)),
    responses((status = 200, body = Message), (status = 403, body = Detail), (status = 404, body = Detail),
        (status = 422, body = Detail)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<Json<Message>> {
    must_be_person(&actor)?;
    check_id("key_id", &id)?;
    own::remove(&domain, &actor, &id.to_lowercase()).await?;
    Ok(Json(Message {
        message: "API key deleted successfully",
    }))
}
