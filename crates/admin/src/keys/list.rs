//! `GET /key/list` and `GET /key/aliases` (contract §8.4).

use std::collections::HashMap;

use axum::extract::State;
use base::{Code, Error};
use domain::entity_budgets::{Account, account};
use domain::keys::{self, Listing, Selector};
use domain::scopes::ScopeKind;
use domain::{Domain, storage};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::keys::{KeyFilter, KeyOrder, KeyRow, KeyStatus, Slice};
use utoipa::{IntoParams, ToSchema};

use super::answer::KeyObject;
use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::{Field, Object, Sent, Wrong, choice};
use crate::page::{Page, Sizes};

/// Which keys are listed, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(value_type = Option<i64>, minimum = 1)]
    pub page: Sent<i64>,
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100)]
    pub size: Sent<i64>,
    #[param(value_type = Option<String>)]
    pub user_id: Sent<String>,
    #[param(value_type = Option<String>)]
    pub team_id: Sent<String>,
    #[param(value_type = Option<String>)]
    pub organization_id: Sent<String>,
    /// A key, or its hash.
    #[param(value_type = Option<String>)]
    pub key_hash: Sent<String>,
    #[param(value_type = Option<String>)]
    pub key_alias: Sent<String>,
    /// `key_alias` may be a part of the alias.
    #[param(value_type = Option<bool>)]
    pub substring_matching: Sent<bool>,
    /// A whole hash, or a part of the alias.
    #[param(value_type = Option<String>)]
    pub search: Sent<String>,
    /// Full objects in place of hashes.
    #[param(value_type = Option<bool>)]
    pub return_full_object: Sent<bool>,
    /// Also keys of teams that the caller administers.
    #[param(value_type = Option<bool>)]
    pub include_team_keys: Sent<bool>,
    /// Also keys that the caller has made for others.
    #[param(value_type = Option<bool>)]
    pub include_created_by_keys: Sent<bool>,
    /// `spend`, `max_budget`, `created_at`, `updated_at`, `token` or `key_alias`.
    #[param(value_type = Option<String>)]
    pub sort_by: Sent<String>,
    /// `asc` or `desc`.
    #[param(value_type = Option<String>)]
    pub sort_order: Sent<SortOrder>,
    /// `active`, `expired`, `revoked` or `deleted`.
    #[param(value_type = Option<String>)]
    pub status: Sent<Status>,
    /// `expired` or `active`.
    #[param(value_type = Option<String>)]
    pub expires: Sent<Expires>,
    /// What to show beside the keys: `user`.
    #[param(value_type = Option<Vec<String>>)]
    pub expand: Sent<Many>,
}

/// Which way a list is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    Ascending,
    Descending,
}

/// A status to list.
#[derive(Clone, Copy, Debug)]
pub struct Status(KeyStatus);

/// Whether expired keys are listed, or the others.
#[derive(Clone, Copy, Debug)]
pub struct Expires(bool);

/// A query parameter that may be there several times.
#[derive(Clone, Debug, Default)]
pub struct Many(Vec<String>);

impl Field for SortOrder {
    fn read(value: Value) -> std::result::Result<SortOrder, Wrong> {
        let words = [
            ("asc", SortOrder::Ascending),
            ("desc", SortOrder::Descending),
        ];
        choice(&value, &words)
    }
}

impl Field for Status {
    fn read(value: Value) -> std::result::Result<Status, Wrong> {
        let all = [
            KeyStatus::Active,
            KeyStatus::Expired,
            KeyStatus::Revoked,
            KeyStatus::Deleted,
        ];
        choice(&value, &all.map(|status| (status.as_str(), Status(status))))
    }
}

impl Field for Expires {
    fn read(value: Value) -> std::result::Result<Expires, Wrong> {
        let words = [("expired", Expires(true)), ("active", Expires(false))];
        choice(&value, &words)
    }
}

impl Field for Many {
    fn read(value: Value) -> std::result::Result<Many, Wrong> {
        match value {
            Value::String(text) => Ok(Many(vec![text])),
            value => Vec::read(value).map(Many),
        }
    }
}

/// A page of keys: hashes, or full objects where they were asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyList {
    pub keys: Vec<Value>,
    pub total_count: i64,
    pub current_page: i64,
    pub total_pages: i64,
}

/// Lists keys, the newest first: one's own, or all for administrators.
#[utoipa::path(get, path = "/key/list", operation_id = "key_list",
    tag = "keys", params(ListQuery),
    responses((status = 200, body = KeyList)))]
pub async fn list(
    State(domain): State<Domain>,
    caller: Anyone,
    Query(query): Query<ListQuery>,
) -> Result<Json<KeyList>> {
    const SIZES: Sizes = Sizes {
        name: "size",
        usual: 10,
        most: 100,
    };
    let page = Page::read(&query.page, &query.size, SIZES)?;
    let slice = Slice {
        offset: page.offset(),
        limit: page.size,
        descending: query.sort_order.0.as_ref().value() != Some(&SortOrder::Ascending),
    };
    let is_full = query.return_full_object.0.as_ref().value() == Some(&true);
    let expand = query.expand.0.clone().value().unwrap_or_default().0;
    let with_user = expand.iter().any(|name| name == "user");
    let (rows, total) = keys::list(&domain, &caller, listing(query)?, slice).await?;
    let keys = match is_full {
        true => full(&domain, rows, with_user).await?,
        false => rows
            .into_iter()
            .map(|row| Value::String(row.hash))
            .collect(),
    };
    Ok(Json(KeyList {
        keys,
        total_count: total,
        current_page: page.number,
        total_pages: page.count(total),
    }))
}

fn listing(query: ListQuery) -> base::Result<Listing> {
    // clients send empty texts for filters that are not used
    let text = |sent: Sent<String>| sent.0.value().filter(|text| !text.is_empty());
    let alias = text(query.key_alias);
    let is_part = query.substring_matching.0.value().unwrap_or_default();
    let (alias, alias_part) = match is_part {
        true => (None, alias),
        false => (alias, None),
    };
    let hash = text(query.key_hash).map(|key| match Selector::key(&key) {
        Selector::Hash(hash) | Selector::Alias(hash) => hash,
    });
    Ok(Listing {
        order: order(text(query.sort_by).as_deref())?,
        include_team_keys: query.include_team_keys.0.value().unwrap_or_default(),
        include_created_by_keys: query.include_created_by_keys.0.value().unwrap_or_default(),
        filter: KeyFilter {
            user_id: text(query.user_id),
            team_id: text(query.team_id),
            organization_id: text(query.organization_id),
            hash,
            alias,
            alias_part,
            search: text(query.search),
            status: query.status.0.value().map(|status| status.0),
            has_expired: query.expires.0.value().map(|expires| expires.0),
            ..KeyFilter::default()
        },
    })
}

fn order(name: Option<&str>) -> base::Result<KeyOrder> {
    Ok(match name {
        None | Some("created_at") => KeyOrder::CreatedAt,
        Some("updated_at") => KeyOrder::UpdatedAt,
        Some("spend") => KeyOrder::Spend,
        Some("max_budget") => KeyOrder::MaxBudget,
        Some("token") => KeyOrder::Hash,
        Some("key_alias") => KeyOrder::Alias,
        Some(other) => {
            return Err(Error::new(
                Code::BadRequest,
                format!(
                    "keys cannot be sorted by '{other}': use spend, max_budget, created_at, \
                     updated_at, token or key_alias"
                ),
            )
            .param("sort_by"));
        }
    })
}

/// Full objects with what the reference joins to them, each team and user read once.
async fn full(domain: &Domain, rows: Vec<KeyRow>, with_user: bool) -> base::Result<Vec<Value>> {
    let mut joined = Joined::default();
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let team = joined.team(domain, row.team_id.as_deref()).await?;
        let user = joined.user(domain, row.user_id.as_deref()).await?;
        let organization = joined
            .organization(domain, row.organization_id.as_deref())
            .await?;
        let object = KeyObject::new(keys::view(domain, row).await?);
        let mut object = match serde_json::to_value(object).map_err(Error::internal)? {
            Value::Object(object) => object,
            _ => Object::new(),
        };
        for part in [absent(), team, user.clone(), organization] {
            object.extend(part);
        }
        if with_user {
            let user = user.into_iter().filter(|(_, value)| !value.is_null());
            object.insert("user".to_owned(), Value::Object(user.collect()));
        }
        keys.push(Value::Object(object));
    }
    Ok(keys)
}

/// What was read for keys before.
#[derive(Default)]
struct Joined {
    teams: HashMap<String, Object>,
    users: HashMap<String, Object>,
    organizations: HashMap<String, Object>,
}

impl Joined {
    async fn team(&mut self, domain: &Domain, id: Option<&str>) -> base::Result<Object> {
        let Some(id) = id else {
            return Ok(team_fields(None, &Account::default()));
        };
        if let Some(known) = self.teams.get(id) {
            return Ok(known.clone());
        }
        let row = store::teams::find(&domain.db, id).await.map_err(storage)?;
        let account = account(domain, ScopeKind::Team, id).await?;
        let fields = team_fields(row.as_ref(), &account);
        self.teams.insert(id.to_owned(), fields.clone());
        Ok(fields)
    }

    async fn user(&mut self, domain: &Domain, id: Option<&str>) -> base::Result<Object> {
        let Some(id) = id else {
            return Ok(user_fields(None, &Account::default()));
        };
        if let Some(known) = self.users.get(id) {
            return Ok(known.clone());
        }
        let row = store::users::find(&domain.db, id).await.map_err(storage)?;
        let account = account(domain, ScopeKind::User, id).await?;
        let fields = user_fields(row.as_ref(), &account);
        self.users.insert(id.to_owned(), fields.clone());
        Ok(fields)
    }

    async fn organization(&mut self, domain: &Domain, id: Option<&str>) -> base::Result<Object> {
        let Some(id) = id else {
            return Ok(organization_fields(None, &Account::default()));
        };
        if let Some(known) = self.organizations.get(id) {
            return Ok(known.clone());
        }
        let row = store::organizations::find(&domain.db, id)
            .await
            .map_err(storage)?;
        let account = account(domain, ScopeKind::Organization, id).await?;
        let fields = organization_fields(row.as_ref(), &account);
        self.organizations.insert(id.to_owned(), fields.clone());
        Ok(fields)
    }
}

fn team_fields(team: Option<&store::teams::TeamRow>, account: &Account) -> Object {
    object(json!({
        "team_alias": team.and_then(|team| team.alias.as_ref()),
        "team_spend": team.map(|_| account.spend),
        "team_max_budget": account.max_budget,
        "team_soft_budget": account.soft_budget,
        "team_models": team.map(|team| team.models.0.clone()).unwrap_or_default(),
        "team_model_aliases": team.map(|team| &team.model_aliases),
        "team_metadata": team.map(|team| &team.metadata),
        "team_blocked": team.is_some_and(|team| team.blocked),
        "team_tpm_limit": team.and_then(|team| team.tpm_limit),
        "team_rpm_limit": team.and_then(|team| team.rpm_limit),
        "team_tpd_limit": team.and_then(|team| team.tpd_limit),
    }))
}

fn user_fields(user: Option<&store::users::UserRow>, account: &Account) -> Object {
    object(json!({
        "user_email": user.and_then(|user| user.email.as_ref()),
        "user_role": user.and_then(|user| user.role.as_ref()),
        "user_spend": user.map(|_| account.spend),
        "user_max_budget": account.max_budget,
        "user_tpm_limit": user.and_then(|user| user.tpm_limit),
        "user_rpm_limit": user.and_then(|user| user.rpm_limit),
    }))
}

fn organization_fields(
    row: Option<&store::organizations::OrganizationRow>,
    account: &Account,
) -> Object {
    object(json!({
        "organization_alias": row.and_then(|row| row.alias.as_ref()),
        "organization_max_budget": account.max_budget,
        "organization_tpm_limit": row.and_then(|row| row.tpm_limit),
        "organization_rpm_limit": row.and_then(|row| row.rpm_limit),
        "organization_metadata": row.map(|row| &row.metadata),
    }))
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}

/// What the reference joins of features that are not here: always null.
fn absent() -> Object {
    const NAMES: [&str; 32] = [
        "team_model_max_budget",
        "team_member",
        "team_object_permission_id",
        "team_member_spend",
        "team_member_tpm_limit",
        "team_member_rpm_limit",
        "end_user_id",
        "end_user_tpm_limit",
        "end_user_rpm_limit",
        "end_user_tpd_limit",
        "end_user_max_budget",
        "end_user_model_max_budget",
        "project_alias",
        "project_metadata",
        "last_refreshed_at",
        "api_key",
        "allowed_model_region",
        "parent_otel_span",
        "rpm_limit_per_model",
        "tpm_limit_per_model",
        "user_model_max_budget",
        "request_route",
        "user",
        "created_by_user",
        "end_user_object_permission",
        "team_object_permission",
        "jwt_claims",
        "object_permission_id",
        "litellm_organization_table",
        "litellm_project_table",
        "jwt_key_mappings",
        "litellm_changed_by",
    ];
    let null = |name: &&str| (name.to_string(), Value::Null);
    let mut absent: Object = NAMES.iter().map(null).collect();
    absent.insert("is_session_token".to_owned(), Value::Bool(false));
    absent
}

/// Which aliases are listed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct AliasQuery {
    #[param(value_type = Option<i64>, minimum = 1)]
    pub page: Sent<i64>,
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100)]
    pub size: Sent<i64>,
    /// A part of the alias.
    #[param(value_type = Option<String>)]
    pub search: Sent<String>,
}

/// A page of aliases.
#[derive(Debug, Serialize, ToSchema)]
pub struct AliasList {
    pub aliases: Vec<String>,
    pub total_count: i64,
    pub current_page: i64,
    pub total_pages: i64,
    pub size: i64,
}

/// Lists the aliases of the keys that the caller may see, in order.
#[utoipa::path(get, path = "/key/aliases", operation_id = "key_aliases",
    tag = "keys", params(AliasQuery),
    responses((status = 200, body = AliasList)))]
pub async fn aliases(
    State(domain): State<Domain>,
    caller: Anyone,
    Query(query): Query<AliasQuery>,
) -> Result<Json<AliasList>> {
    const SIZES: Sizes = Sizes {
        name: "size",
        usual: 50,
        most: 100,
    };
    let page = Page::read(&query.page, &query.size, SIZES)?;
    let slice = Slice {
        offset: page.offset(),
        limit: page.size,
        descending: false,
    };
    let search = query.search.0.value();
    let (aliases, total) = keys::aliases(&domain, &caller, search, slice).await?;
    Ok(Json(AliasList {
        aliases,
        total_count: total,
        current_page: page.number,
        total_pages: page.count(total),
        size: page.size,
    }))
}
