//! The fields of a key as requests send them (contract Appendix A.1–A.3), read into what the rules
//! work with.

use std::collections::BTreeMap;

use base::{Millis, Result, Secret};
use domain::Patch;
use domain::entity_budgets::BudgetPatch;
use domain::keys::{Form, KEPT, KeyPatch, KeyType};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, SchemaType};
use utoipa::openapi::{Components, ObjectBuilder, RefOr, Schema, Type};

use crate::budgets::{self, ModelBudget, ModelField, Window, WindowField};
use crate::fields::{self, Amount, Field, Object, Sent, Wrong, choice};

/// What can be said of a key when it is made or changed.
///
/// Further fields are stored and echoed as they are sent: `model_rpm_limit`, `model_tpm_limit`,
/// `tags`, `guardrails`, `policies`, `prompts`, `enforced_params`, `config`, `router_settings`,
/// `object_permission`, `allowed_cache_controls`, `access_group_ids`, `agent_id`, `project_id` and
/// others of the reference.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct KeyFields {
    /// A label, unique among all keys.
    #[schema(value_type = Option<String>)]
    pub key_alias: Sent<String>,
    /// How long the key works from now, such as `30d`; null, `""` and `-1` mean for ever.
    #[schema(value_type = Option<String>)]
    pub duration: Sent<String>,
    /// The models that the key may use; none named means all.
    #[schema(value_type = Option<Vec<String>>)]
    pub models: Sent<Vec<String>>,
    /// Names of the key's own for models.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub aliases: Sent<BTreeMap<String, String>>,
    /// Dollars that count as spent already.
    #[schema(value_type = Option<f64>)]
    pub spend: Sent<Amount>,
    /// The owner.
    #[schema(value_type = Option<String>)]
    pub user_id: Sent<String>,
    #[schema(value_type = Option<String>)]
    pub team_id: Sent<String>,
    /// Where a key of a team names none, it is the team's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Sent<String>,
    /// Dollars that may be spent, in each period of `budget_duration` where one is given.
    #[schema(value_type = Option<f64>)]
    pub max_budget: Sent<Amount>,
    /// Dollars above which is told, and nothing refused.
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Sent<Amount>,
    /// How often spend is reset, such as `30d`.
    #[schema(value_type = Option<String>)]
    pub budget_duration: Sent<String>,
    /// Its budgets also count what people's own provider keys pay, at list price.
    #[schema(value_type = Option<bool>)]
    pub include_byok: Sent<bool>,
    /// Further budgets, each with its own period.
    #[schema(value_type = Option<Vec<Window>>)]
    pub budget_limits: Sent<Vec<WindowField>>,
    /// Budgets of single models.
    #[schema(value_type = Option<BTreeMap<String, ModelBudget>>)]
    pub model_max_budget: Sent<BTreeMap<String, ModelField>>,
    /// A plan (`POST /budget/new`) whose limits hold where nothing else is said here.
    #[schema(value_type = Option<String>)]
    pub budget_id: Sent<String>,
    /// The routes that the key may call: groups, paths, or beginnings of paths with `*`.
    /// Administrators only.
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_routes: Sent<Vec<String>>,
    /// `default`, `llm_api`, `management` or `read_only`.
    #[schema(value_type = Option<String>)]
    pub key_type: Sent<KeyType>,
    /// Administrators only.
    #[schema(value_type = Option<Object>)]
    pub permissions: Sent<Object>,
    /// Free; copied into logs.
    #[schema(value_type = Option<Object>)]
    pub metadata: Sent<Object>,
    #[schema(value_type = Option<bool>)]
    pub blocked: Sent<bool>,
    /// Requests per minute.
    #[schema(value_type = Option<i64>)]
    pub rpm_limit: Sent<i64>,
    /// Tokens per minute.
    #[schema(value_type = Option<i64>)]
    pub tpm_limit: Sent<i64>,
    /// Tokens per day.
    #[schema(value_type = Option<i64>)]
    pub tpd_limit: Sent<i64>,
    #[schema(value_type = Option<i64>)]
    pub max_parallel_requests: Sent<i64>,
    #[schema(value_type = Option<bool>)]
    pub auto_rotate: Sent<bool>,
    /// How often the key is to be replaced, such as `30d`.
    #[schema(value_type = Option<String>)]
    pub rotation_interval: Sent<String>,
    /// How long the key still works once it is due to be replaced; 7 days if not configured otherwise.
    #[schema(value_type = Option<String>)]
    pub rotation_grace_period: Sent<String>,
    /// Addresses and networks (`10.0.0.0/8`) that the key may be used from; none named means all.
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_ips: Sent<Vec<String>>,
    /// Bait: the key is refused as an unknown one is, and whoever runs the gateway is told.
    /// Administrators only.
    #[schema(value_type = Option<bool>)]
    pub canary: Sent<bool>,
    /// Dollars added to `max_budget` until `temp_budget_expiry`; for keys that exist.
    #[schema(value_type = Option<f64>)]
    pub temp_budget_increase: Sent<Amount>,
    /// A moment, or a duration from now.
    #[schema(value_type = Option<String>)]
    pub temp_budget_expiry: Sent<String>,
}

impl Field for KeyType {
    fn read(value: Value) -> std::result::Result<KeyType, Wrong> {
        choice(&value, &KeyType::WORDS)
    }
}

/// Reads the fields of a key from a body.
///
/// # Errors
/// 422 for a field of the wrong type, 400 for a value that makes no sense.
pub fn read(body: &Object, now: Millis) -> Result<KeyPatch> {
    let sent: KeyFields = fields::read(Value::Object(body.clone()), "body")?;
    let budgets = budgets(&sent, now)?;
    let here = |(name, value): (&String, &Value)| (!value.is_null()).then(|| name.clone());
    Ok(KeyPatch {
        named: body.iter().filter_map(here).collect(),
        alias: sent.key_alias.0,
        duration: sent.duration.0,
        models: sent.models.0,
        aliases: sent.aliases.0,
        spend: sent.spend.0.try_map(|amount| amount.limit("spend"))?,
        user_id: id(&sent.user_id),
        team_id: id(&sent.team_id),
        organization_id: id(&sent.organization_id),
        allowed_routes: sent.allowed_routes.0,
        key_type: sent.key_type.0,
        permissions: sent.permissions.0,
        metadata: sent.metadata.0,
        blocked: sent.blocked.0,
        rpm_limit: sent.rpm_limit.0,
        tpm_limit: sent.tpm_limit.0,
        tpd_limit: sent.tpd_limit.0,
        max_parallel_requests: sent.max_parallel_requests.0,
        auto_rotate: sent.auto_rotate.0,
        rotation_interval: sent.rotation_interval.0,
        rotation_grace_period: sent.rotation_grace_period.0,
        allowed_ips: sent.allowed_ips.0,
        canary: sent.canary.0,
        budgets,
        kept: kept(body)?,
    })
}

/// An id; clients send an empty one for none.
pub fn id(sent: &Sent<String>) -> Patch<String> {
    match &sent.0 {
        Patch::Value(id) if id.is_empty() => Patch::Null,
        sent => sent.clone(),
    }
}

/// The budget fields of a body.
fn budgets(sent: &KeyFields, now: Millis) -> Result<BudgetPatch> {
    Ok(BudgetPatch {
        windows: budgets::windows(&sent.budget_limits)?,
        models: budgets::models(&sent.model_max_budget)?,
        increase: budgets::increase(&sent.temp_budget_increase, &sent.temp_budget_expiry, now)?,
        plan: id(&sent.budget_id),
        include_byok: sent.include_byok.0.clone(),
        ..budgets::patch(&sent.max_budget, &sent.soft_budget, &sent.budget_duration)?
    })
}

/// The fields that are stored as they were sent, each of the type that the contract has for it.
fn kept(body: &Object) -> Result<Object> {
    let mut kept = Object::new();
    for field in KEPT {
        let Some(value) = body.get(field.name) else {
            continue;
        };
        if !value.is_null() {
            check(field.form, value.clone()).map_err(|mut wrong| {
                wrong.place.insert(0, json!(field.name));
                fields::invalid("body", wrong)
            })?;
        }
        kept.insert(field.name.to_owned(), value.clone());
    }
    Ok(kept)
}

fn check(form: Form, value: Value) -> std::result::Result<(), Wrong> {
    const LIMIT_TYPES: [(&str, ()); 3] = [
        ("guaranteed_throughput", ()),
        ("best_effort_throughput", ()),
        ("dynamic", ()),
    ];
    match form {
        Form::Text => String::read(value).map(drop),
        Form::Texts | Form::TextsOrEmpty => Vec::<String>::read(value).map(drop),
        Form::Flag => bool::read(value).map(drop),
        Form::Count => i64::read(value).map(drop),
        Form::Counts => BTreeMap::<String, i64>::read(value).map(drop),
        Form::Object | Form::ObjectOrEmpty => Object::read(value).map(drop),
        Form::Objects => Vec::<Object>::read(value).map(drop),
        Form::LimitType => choice(&value, &LIMIT_TYPES),
    }
}

/// Describes the fields that are stored and echoed, in the schemas of keys that are sent and shown.
pub fn describe_kept(components: &mut Components) {
    for (name, is_shown) in [("KeyFields", false), ("KeyObject", true)] {
        let schema = components.schemas.get_mut(name);
        let Some(RefOr::T(Schema::Object(object))) = schema else {
            continue;
        };
        object.additional_properties = None;
        for kept in KEPT {
            object
                .properties
                .insert(kept.name.to_owned(), described(kept.form));
            if is_shown {
                object.required.push(kept.name.to_owned());
            }
        }
    }
}

fn described(form: Form) -> RefOr<Schema> {
    let one = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let or_null =
        |kind| ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]));
    let list = |items: ObjectBuilder| ArrayBuilder::new().items(items);
    let nullable = SchemaType::from_iter([Type::Array, Type::Null]);
    match form {
        Form::Text | Form::LimitType => or_null(Type::String).into(),
        Form::Flag => or_null(Type::Boolean).into(),
        Form::Count => or_null(Type::Integer).into(),
        Form::Object => or_null(Type::Object).into(),
        Form::ObjectOrEmpty => one(Type::Object).into(),
        Form::Counts => or_null(Type::Object)
            .additional_properties(Some(one(Type::Integer)))
            .into(),
        Form::TextsOrEmpty => list(one(Type::String)).into(),
        Form::Texts => list(one(Type::String)).schema_type(nullable).into(),
        Form::Objects => list(one(Type::Object)).schema_type(nullable).into(),
    }
}

/// A key in a body, in plain text.
///
/// # Errors
/// 422 where it is no text.
pub fn secret(body: &Object, name: &str) -> Result<Option<Secret>> {
    text(body, name).map(|text| text.map(Secret::new))
}

/// Whether a body says yes.
///
/// # Errors
/// 422 where it says neither yes nor no.
pub fn flag(body: &Object, name: &str) -> Result<bool> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => bool::read(value.clone()).map_err(|mut wrong| {
            wrong.place.insert(0, json!(name));
            fields::invalid("body", wrong)
        }),
    }
}

/// A text of a body; null and absent are the same.
///
/// # Errors
/// 422 where it is no text.
pub fn text(body: &Object, name: &str) -> Result<Option<String>> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => String::read(value.clone()).map(Some).map_err(|mut wrong| {
            wrong.place.insert(0, json!(name));
            fields::invalid("body", wrong)
        }),
    }
}

/// Fills what a body leaves out, or says null to, with configured defaults; not what a plan says that
/// the body names.
pub fn with_defaults(mut body: Object, defaults: &Object) -> Object {
    const OF_PLANS: [&str; 3] = ["max_budget", "soft_budget", "budget_duration"];
    let named = body.get("budget_id").and_then(Value::as_str);
    let follows_plan = named.is_some_and(|id| !id.is_empty());
    for (name, value) in defaults {
        if follows_plan && OF_PLANS.contains(&name.as_str()) {
            continue;
        }
        let sent = body.entry(name.clone()).or_insert(Value::Null);
        if sent.is_null() {
            *sent = value.clone();
        }
    }
    body
}
