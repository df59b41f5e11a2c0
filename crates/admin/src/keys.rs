//! Virtual keys (contract §8).

mod answer;
mod fields;
mod list;
mod rotate;

use axum::extract::State;
use base::{Code, Error};
use domain::Domain;
use domain::keys::{self, Custom, Selector, Switch, Update};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use answer::{GeneratedKey, NamedKey};
pub use answer::{KeyObject, budget_table, not_sent};
pub use fields::{KeyFields, describe_kept, id, read as key_fields, with_defaults};
pub use list::{__path_aliases, __path_list, aliases, list};
pub use rotate::*;

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Path, Query};
use crate::fields::{Amount, Object, Required, Sent, Wrong, broken, invalid};

/// A new key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub struct NewKey {
    #[serde(flatten)]
    fields: KeyFields,
    /// The key itself, where the caller has chosen one: `sk-` and at least 13 more characters.
    key: Option<String>,
    /// Tells the owner by mail that they have a key; the key itself is in no mail.
    send_invite_email: Option<bool>,
}

/// Makes a virtual key. The answer is the only place that ever shows it.
#[utoipa::path(post, path = "/key/generate", operation_id = "key_generate",
    tag = "keys", request_body = NewKey,
    responses((status = 200, body = GeneratedKey)))]
pub async fn generate(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<Object>,
) -> Result<Json<GeneratedKey>> {
    let made = make(&domain, &caller, body, false).await?;
    Ok(Json(generated(made)))
}

/// Makes a key that belongs to a team and to no person, so that it outlives whoever made it.
#[utoipa::path(post, path = "/key/service-account/generate", operation_id = "key_generate_service_account",
    tag = "keys", request_body = NewKey,
    responses((status = 200, body = GeneratedKey)))]
pub async fn generate_service_account(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<Object>,
) -> Result<Json<GeneratedKey>> {
    let made = make(&domain, &caller, body, true)
        .await
        .map_err(|error| match error.code() {
            Code::BadRequest if error.parameter().is_none() => Refused::detail_text(error),
            _ => Refused::from(error),
        })?;
    Ok(Json(generated(made)))
}

async fn make(
    domain: &Domain,
    caller: &Anyone,
    body: Object,
    is_service_account: bool,
) -> base::Result<keys::NewKey> {
    let body = fields::with_defaults(body, &domain.config.default_key_params);
    let custom = Custom {
        plain: fields::secret(&body, "key")?,
        is_service_account,
        tells_owner: fields::flag(&body, "send_invite_email")?,
    };
    let patch = fields::read(&body, domain.clock.now())?;
    keys::generate(domain, caller, patch, custom).await
}

fn generated(made: keys::NewKey) -> GeneratedKey {
    GeneratedKey {
        key: made.plain.expose().to_owned(),
        token_id: made.view.row.hash.clone(),
        duration: None,
        object: KeyObject::new(made.view),
    }
}

/// Which key is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// A key, or its hash; by default the caller's own.
    #[param(value_type = Option<String>)]
    pub key: Sent<String>,
}

/// A key with the name that it was asked for by.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyInfo {
    pub key: String,
    pub info: KeyObject,
}

/// Shows a key, live or deleted: one's own, or with the rights for it another.
#[utoipa::path(get, path = "/key/info", operation_id = "key_info",
    tag = "keys", params(KeyQuery),
    responses((status = 200, body = KeyInfo)))]
pub async fn info(
    State(domain): State<Domain>,
    caller: Anyone,
    Query(query): Query<KeyQuery>,
) -> Result<Json<KeyInfo>> {
    let key = named(&caller, query.key.0.value(), "query")?;
    let view = keys::info(&domain, &caller, &Selector::key(&key)).await?;
    Ok(Json(KeyInfo {
        key,
        info: KeyObject::new(view).without_token(),
    }))
}

/// The key that a request names, or the caller's own by its hash.
fn named(caller: &Anyone, key: Option<String>, place: &str) -> base::Result<String> {
    let own = caller.key.as_ref().map(|key| key.hash.clone());
    key.filter(|key| !key.is_empty()).or(own).ok_or_else(|| {
        let mut wrong = Wrong::new("missing", "Field required");
        wrong.place = vec!["key".into()];
        invalid(place, wrong)
    })
}

/// Several keys.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KeysBody {
    #[schema(value_type = Vec<String>)]
    pub keys: Required<Vec<String>>,
}

/// Several keys, those that exist.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyInfos {
    pub key: Vec<String>,
    pub info: Vec<KeyObject>,
}

/// Shows several keys at once.
#[utoipa::path(post, path = "/v2/key/info", operation_id = "key_info_of_several",
    tag = "keys", request_body = KeysBody,
    responses((status = 200, body = KeyInfos)))]
pub async fn info_of_several(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<KeysBody>,
) -> Result<Json<KeyInfos>> {
    let keys = body.keys.0;
    at_most_500(keys.len())?;
    let found = keys::infos(&domain, &caller, &keys).await?;
    let shown = |view| KeyObject::new(view).without_token();
    Ok(Json(KeyInfos {
        key: keys,
        info: found.into_iter().map(shown).collect(),
    }))
}

fn at_most_500(count: usize) -> base::Result<()> {
    match count {
        ..=500 => Ok(()),
        _ => Err(Error::new(
            Code::BadRequest,
            format!("at most 500 keys at once, not {count}"),
        )
        .param("keys")),
    }
}

/// A change of a key.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read field by field")]
pub struct KeyChange {
    #[serde(flatten)]
    fields: KeyFields,
    /// A key, or its hash. Without it, `key_alias` names the key.
    key: Option<String>,
}

/// Changes the fields that are there. Null clears a field.
#[utoipa::path(post, path = "/key/update", operation_id = "key_update",
    tag = "keys", request_body = KeyChange,
    responses((status = 200, body = NamedKey)))]
pub async fn update(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(mut body): Json<Object>,
) -> Result<Json<NamedKey>> {
    let (key, selector) = match fields::text(&body, "key")? {
        Some(key) => (key.clone(), Selector::key(&key)),
        None => match fields::text(&body, "key_alias")? {
            Some(alias) => {
                body.remove("key_alias");
                (alias.clone(), Selector::Alias(alias))
            }
            None => return Err(broken("either key or key_alias must be provided").into()),
        },
    };
    let patch = fields::read(&body, domain.clock.now())?;
    let view = keys::update(&domain, &caller, Update { selector, patch }).await?;
    Ok(Json(NamedKey {
        key,
        object: KeyObject::new(view),
    }))
}

/// Changes of several keys.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BulkChange {
    /// Each with `key`, and `max_budget`, `team_id` or `tags`; at most 500.
    #[schema(value_type = Vec<Object>)]
    pub keys: Required<Vec<Object>>,
}

/// What became of each change.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkChanged {
    pub total_requested: usize,
    pub successful_updates: Vec<Changed>,
    pub failed_updates: Vec<NotChanged>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Changed {
    pub key: String,
    pub key_info: KeyObject,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NotChanged {
    pub key: String,
    #[schema(value_type = Option<Object>)]
    pub key_info: Value,
    pub failed_reason: String,
}

/// Changes several keys, each by itself: one that cannot be changed leaves the others alone.
#[utoipa::path(post, path = "/key/bulk_update", operation_id = "key_update_several",
    tag = "keys", request_body = BulkChange,
    responses((status = 200, body = BulkChanged)))]
pub async fn update_several(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<BulkChange>,
) -> Result<Json<BulkChanged>> {
    const FIELDS: [&str; 5] = [
        "max_budget",
        "budget_id",
        "team_id",
        "tags",
        "object_permission",
    ];
    let changes = body.keys.0;
    at_most_500(changes.len())?;
    let mut answer = BulkChanged {
        total_requested: changes.len(),
        successful_updates: Vec::new(),
        failed_updates: Vec::new(),
    };
    for change in changes {
        let key = fields::text(&change, "key")?.ok_or_else(|| broken("each change needs a key"))?;
        let known = |(name, _): &(String, Value)| FIELDS.contains(&name.as_str());
        let fields: Object = change.into_iter().filter(known).collect();
        match change_one(&domain, &caller, &key, &fields).await {
            Ok(key_info) => answer.successful_updates.push(Changed { key, key_info }),
            Err(error) => answer.failed_updates.push(NotChanged {
                key,
                key_info: Value::Null,
                failed_reason: error.message().to_owned(),
            }),
        }
    }
    Ok(Json(answer))
}

async fn change_one(
    domain: &Domain,
    caller: &Anyone,
    key: &str,
    change: &Object,
) -> base::Result<KeyObject> {
    let change = Update {
        selector: Selector::key(key),
        patch: fields::read(change, domain.clock.now())?,
    };
    let view = keys::update(domain, caller, change).await?;
    Ok(KeyObject::new(view).without_token())
}

/// Keys to delete, by themselves, their hashes or their aliases.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeleteBody {
    #[schema(value_type = Option<Vec<String>>)]
    pub keys: Sent<Vec<String>>,
    #[schema(value_type = Option<Vec<String>>)]
    pub key_aliases: Sent<Vec<String>>,
}

/// What was deleted, as it was named.
#[derive(Debug, Serialize, ToSchema)]
pub struct Deleted {
    pub deleted_keys: Vec<String>,
}

/// Deletes keys. They stop working at once, and stay to be looked at.
#[utoipa::path(post, path = "/key/delete", operation_id = "key_delete",
    tag = "keys", request_body = DeleteBody,
    responses((status = 200, body = Deleted)))]
pub async fn delete(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<DeleteBody>,
) -> Result<Json<Deleted>> {
    let by_key = |key: String| (Selector::key(&key), key);
    let by_alias = |alias: String| (Selector::Alias(alias.clone()), alias);
    let keys = body.keys.0.value().unwrap_or_default();
    let aliases = body.key_aliases.0.value().unwrap_or_default();
    let named: Vec<(Selector, String)> = keys
        .into_iter()
        .map(by_key)
        .chain(aliases.into_iter().map(by_alias))
        .collect();
    if named.is_empty() {
        return Err(broken("At least one of 'keys' or 'key_aliases' must be provided.").into());
    }
    let selectors: Vec<Selector> = named.iter().map(|(selector, _)| selector.clone()).collect();
    let deleted = keys::delete(&domain, &caller, &selectors).await?;
    let was_deleted = |(selector, _): &(Selector, String)| deleted.contains(selector);
    let deleted_keys = named.into_iter().filter(was_deleted).map(|(_, name)| name);
    Ok(Json(Deleted {
        deleted_keys: deleted_keys.collect(),
    }))
}

/// A key.
#[derive(Debug, Deserialize, ToSchema)]
pub struct KeyBody {
    /// A key, or its hash.
    #[schema(value_type = String)]
    pub key: Required<String>,
}

/// Blocks a key: it is refused from the next request on.
#[utoipa::path(post, path = "/key/block", operation_id = "key_block",
    tag = "keys", request_body = KeyBody,
    responses((status = 200, body = KeyObject)))]
pub async fn block(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<KeyBody>,
) -> Result<Json<KeyObject>> {
    switch(&domain, &caller, &body.key.0, Switch::Block).await
}

/// Lets a blocked key work again.
#[utoipa::path(post, path = "/key/unblock", operation_id = "key_unblock",
    tag = "keys", request_body = KeyBody,
    responses((status = 200, body = KeyObject)))]
pub async fn unblock(
    State(domain): State<Domain>,
    caller: Anyone,
    Json(body): Json<KeyBody>,
) -> Result<Json<KeyObject>> {
    switch(&domain, &caller, &body.key.0, Switch::Unblock).await
}

async fn switch(
    domain: &Domain,
    caller: &Anyone,
    key: &str,
    to: Switch,
) -> Result<Json<KeyObject>> {
    let view = keys::switch(domain, caller, &Selector::key(key), to)
        .await
        .map_err(|error| match error.code() {
            Code::Forbidden => Refused::detail(error),
            _ => Refused::from(error),
        })?;
    Ok(Json(KeyObject::new(view)))
}

/// What a key's spend becomes.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResetBody {
    /// Dollars, at most what is spent.
    #[schema(value_type = f64)]
    pub reset_to: Required<Amount>,
}

/// What a key's spend was and is.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpendReset {
    pub key_hash: String,
    #[schema(value_type = f64)]
    pub spend: base::Money,
    #[schema(value_type = f64)]
    pub previous_spend: base::Money,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<base::Money>,
    pub budget_reset_at: Option<String>,
}

/// Moves what a key has spent in its current period down to an amount.
#[utoipa::path(post, path = "/key/{key}/reset_spend", operation_id = "key_reset_spend",
    tag = "keys", request_body = ResetBody,
    params(("key" = String, Path, description = "A key, or its hash.")),
    responses((status = 200, body = SpendReset)))]
pub async fn reset_spend(
    State(domain): State<Domain>,
    caller: Anyone,
    Path(key): Path<String>,
    Json(body): Json<ResetBody>,
) -> Result<Json<SpendReset>> {
    let plainly = |error: Error| match error.code() {
        Code::BadRequest | Code::Forbidden => Refused::detail(error),
        _ => Refused::from(error),
    };
    let to = body.reset_to.0.limit("reset_to").map_err(plainly)?;
    let reset = keys::reset_spend(&domain, &caller, &Selector::key(&key), to)
        .await
        .map_err(plainly)?;
    let account = reset.view.account;
    Ok(Json(SpendReset {
        key_hash: reset.view.row.hash,
        spend: account.spend,
        previous_spend: reset.previous,
        max_budget: account.max_budget,
        budget_reset_at: account.resets_at.map(base::Millis::to_rfc3339),
    }))
}

/// What the check of a key's own logging found.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyHealth {
    /// `healthy`: the key was accepted.
    #[schema(value_type = String)]
    pub key: &'static str,
    /// Keys have no logging of their own here, so there is nothing to test: always null.
    #[schema(value_type = Option<Object>)]
    pub logging_callbacks: Value,
}

/// Says whether the key in the header works.
#[utoipa::path(post, path = "/key/health", operation_id = "key_health",
    tag = "keys", responses((status = 200, body = KeyHealth)))]
pub async fn health(_: Anyone) -> Result<Json<KeyHealth>> {
    Ok(Json(KeyHealth {
        key: "healthy",
        logging_callbacks: Value::Null,
    }))
}
