//! Replacing keys (contract §8.7).

use axum::extract::State;
use base::{Code, Error, Secret};
use domain::Domain;
use domain::keys::{self, Rotation, Selector};
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::GeneratedKey;
use super::{KeyFields, KeyQuery, fields, generated, named};
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, OptionalJson, Path, Query};
use crate::fields::{Object, Sent};

/// How a key is replaced, and what changes with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub struct KeyRotation {
    #[serde(flatten)]
    fields: KeyFields,
    /// A key, or its hash; by default the caller's own.
    key: Option<String>,
    /// The new key, where the caller has chosen one.
    new_key: Option<String>,
    /// How long the old key still works, such as `24h`; by default not at all.
    grace_period: Option<String>,
}

/// Replaces a key by a new one; its spend, limits, owner and alias stay.
#[utoipa::path(post, path = "/key/regenerate", operation_id = "key_regenerate",
    tag = "keys", params(KeyQuery),
    request_body = KeyRotation, responses((status = 200, body = GeneratedKey)))]
pub async fn regenerate(
    State(domain): State<Domain>,
    caller: Anyone,
    Query(query): Query<KeyQuery>,
    OptionalJson(body): OptionalJson<Object>,
) -> Result<Json<GeneratedKey>> {
    let key = match query.key.0.value() {
        Some(key) => Some(key),
        None => fields::text(&body, "key")?,
    };
    replace(&domain, &caller, key, body).await
}

/// Replaces the key that the path names.
#[utoipa::path(post, path = "/key/{key}/regenerate", operation_id = "key_regenerate_named",
    tag = "keys",
    params(("key" = String, Path, description = "A key, or its hash.")),
    request_body = KeyRotation, responses((status = 200, body = GeneratedKey)))]
pub async fn regenerate_named(
    State(domain): State<Domain>,
    caller: Anyone,
    Path(key): Path<String>,
    OptionalJson(body): OptionalJson<Object>,
) -> Result<Json<GeneratedKey>> {
    replace(&domain, &caller, Some(key), body).await
}

async fn replace(
    domain: &Domain,
    caller: &Anyone,
    key: Option<String>,
    mut body: Object,
) -> Result<Json<GeneratedKey>> {
    if fields::text(&body, "new_master_key")?.is_some() {
        return Err(Error::new(
            Code::BadRequest,
            "the master key is not stored here: change TOLLGATE_MASTER_KEY and restart",
        )
        .param("new_master_key")
        .into());
    }
    let key = named(caller, key, "body")?;
    let plain = fields::text(&body, "new_key")?.map(Secret::new);
    let grace = fields::text(&body, "grace_period")?;
    for name in ["key", "new_key", "grace_period", "new_master_key"] {
        body.remove(name);
    }
    let rotation = Rotation {
        selector: Selector::key(&key),
        plain,
        grace,
        patch: fields::read(&body, domain.clock.now())?,
    };
    let made = keys::rotate(domain, caller, rotation).await?;
    Ok(Json(generated(made)))
}

/// A key that is due to be replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct KeyClaim {
    /// A key, or its hash; by default the caller's own.
    #[schema(value_type = Option<String>)]
    key: Sent<String>,
}

/// Gives the new key to the owner of one that is due to be replaced (`rotate_by`). The old one works
/// until then.
#[utoipa::path(post, path = "/key/claim", operation_id = "key_claim",
    tag = "keys", request_body = KeyClaim, responses((status = 200, body = GeneratedKey)))]
pub async fn claim(
    State(domain): State<Domain>,
    caller: Anyone,
    OptionalJson(body): OptionalJson<KeyClaim>,
) -> Result<Json<GeneratedKey>> {
    let key = named(&caller, body.key.0.value(), "body")?;
    let made = keys::claim(&domain, &caller, &Selector::key(&key)).await?;
    Ok(Json(generated(made)))
}
