//! Keys as answers show them (contract §8.1, §8.3, §8.4). Never their plain text, but for the answer
//! that makes one.

use std::collections::BTreeMap;

use base::{Millis, Money};
use domain::keys::{Form, Home, KEPT, KeyView};
use serde::Serialize;
use serde_json::{Value, json};
use store::budgets::BudgetRow;
use utoipa::ToSchema;

use crate::budgets::{Window, shown_windows};
use crate::fields::Object;
use crate::plans;

/// A key with its limits and what it has spent.
///
/// Beside the fields listed here are those that are stored and echoed as they were sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyObject {
    /// The hash that names the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What people may see of the key: `sk-...abcd`.
    pub key_name: String,
    pub key_alias: Option<String>,
    /// Dollars spent in the current period.
    #[schema(value_type = f64)]
    pub spend: Money,
    /// Dollars spent since the key was made.
    #[schema(value_type = f64)]
    pub total_spend: Money,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Option<Money>,
    pub soft_budget_cooldown: bool,
    pub budget_duration: Option<String>,
    pub budget_reset_at: Option<String>,
    pub budget_limits: Option<Vec<Window>>,
    pub budget_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub litellm_budget_table: Value,
    pub expires: Option<String>,
    /// `active`, `expired`, `revoked` (blocked) or `deleted`.
    #[schema(value_type = String)]
    pub status: &'static str,
    pub models: Vec<String>,
    pub aliases: BTreeMap<String, String>,
    pub user_id: Option<String>,
    pub team_id: Option<String>,
    pub organization_id: Option<String>,
    pub org_id: Option<String>,
    pub permissions: Object,
    pub metadata: Object,
    pub blocked: Option<bool>,
    pub tpm_limit: Option<i64>,
    pub rpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    pub max_parallel_requests: Option<i64>,
    pub allowed_routes: Vec<String>,
    pub key_type: String,
    pub model_spend: Object,
    pub created_at: String,
    pub created_by: Option<String>,
    pub updated_at: String,
    pub updated_by: Option<String>,
    /// When the key's settings were last changed; null: never.
    pub settings_updated_at: Option<String>,
    pub last_active: Option<String>,
    pub auto_rotate: bool,
    pub rotation_interval: Option<String>,
    pub rotation_count: i64,
    pub last_rotation_at: Option<String>,
    pub key_rotation_at: Option<String>,
    pub rotation_grace_period: Option<String>,
    /// The key is due to be replaced, and stops working then.
    pub rotate_by: Option<String>,
    /// Addresses and networks that the key may be used from; none: from everywhere.
    pub allowed_ips: Vec<String>,
    /// Bait that nobody should ever use.
    pub canary: bool,
    /// The immutable id of a deleted key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<String>,
    /// Stored and echoed.
    #[serde(flatten)]
    pub kept: Object,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct GeneratedKey {
    /// The key itself: shown here, and never again.
    pub key: String,
    pub token_id: String,
    pub duration: Option<String>,
    #[serde(flatten)]
    pub object: KeyObject,
}

/// A key with the name that it was asked for by.
#[derive(Debug, Serialize, ToSchema)]
pub struct NamedKey {
    pub key: String,
    #[serde(flatten)]
    pub object: KeyObject,
}

impl KeyObject {
    pub fn new(view: KeyView) -> KeyObject {
        let kept = kept(&view);
        let KeyView {
            row,
            account,
            status,
        } = view;
        let time = |at: Option<Millis>| at.map(Millis::to_rfc3339);
        let budget_limits = shown_windows(&account);
        let soft = account.soft_row;
        KeyObject {
            token: Some(row.hash),
            key_name: row.name,
            key_alias: row.alias,
            spend: account.spend,
            total_spend: account.total_spend,
            max_budget: account.max_budget,
            soft_budget: account.soft_budget,
            soft_budget_cooldown: false,
            budget_duration: account.duration,
            budget_reset_at: time(account.resets_at),
            budget_limits,
            budget_id: match &account.plan {
                Some(plan) => Some(plan.id.clone()),
                None => soft.as_ref().map(|row| row.id.clone()),
            },
            litellm_budget_table: match &account.plan {
                Some(plan) => plans::table(plan),
                None => soft.as_ref().map_or(Value::Null, budget_table),
            },
            expires: time(row.expires_at),
            status: status.as_str(),
            models: row.models.0,
            aliases: row.aliases.0,
            user_id: row.user_id,
            team_id: row.team_id,
            org_id: row.organization_id.clone(),
            organization_id: row.organization_id,
            permissions: row.permissions.0,
            metadata: row.metadata.0,
            blocked: row.blocked,
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
            allowed_routes: row.allowed_routes.0,
            key_type: row.key_type.unwrap_or_else(|| "default".to_owned()),
            model_spend: Object::new(),
            created_at: row.created_at.to_rfc3339(),
            created_by: row.created_by,
            updated_at: row.updated_at.to_rfc3339(),
            updated_by: row.updated_by,
            settings_updated_at: time(Some(row.updated_at).filter(|at| *at > row.created_at)),
            last_active: time(row.last_used_at),
            auto_rotate: row.auto_rotate,
            rotation_interval: row.rotation_interval,
            rotation_count: row.rotation_count,
            last_rotation_at: time(row.last_rotation_at),
            key_rotation_at: time(row.next_rotation_at),
            rotation_grace_period: row.rotation_grace_period,
            rotate_by: time(row.rotate_by),
            allowed_ips: row.allowed_ips.0,
            canary: row.canary,
            id: row.deleted_at.map(|_| row.id),
            deleted_at: time(row.deleted_at),
            deleted_by: row.deleted_by,
            kept,
        }
    }

    /// As `/key/info` shows it: there the question has named the key.
    pub fn without_token(mut self) -> KeyObject {
        self.token = None;
        self
    }
}

/// What was stored to be echoed, and what the reference shows of features that are not here.
fn kept(view: &KeyView) -> Object {
    const ABSENT: [&str; 5] = [
        "object_permission_id",
        "litellm_organization_table",
        "litellm_project_table",
        "jwt_key_mappings",
        "litellm_changed_by",
    ];
    let mut kept: Object = ABSENT
        .iter()
        .map(|name| (name.to_string(), Value::Null))
        .collect();
    for field in KEPT {
        let home = match field.home {
            Home::Metadata => &view.row.metadata.0,
            Home::Settings => &view.row.settings.0,
        };
        let kept_value = home.get(field.name).cloned();
        let value = kept_value.unwrap_or_else(|| not_sent(field.form));
        kept.insert(field.name.to_owned(), value);
    }
    kept
}

/// What stands in an answer for a field that was not sent.
pub fn not_sent(form: Form) -> Value {
    match form {
        Form::ObjectOrEmpty => json!({}),
        Form::TextsOrEmpty => json!([]),
        _ => Value::Null,
    }
}

/// The row of a soft budget as the reference shows its budgets (contract §12).
pub fn budget_table(row: &BudgetRow) -> Value {
    json!({
        "budget_id": row.id,
        "max_budget": null,
        "soft_budget": row.amount,
        "max_parallel_requests": null,
        "tpm_limit": null,
        "rpm_limit": null,
        "tpd_limit": null,
        "model_max_budget": {},
        "budget_duration": null,
        "budget_reset_at": null,
        "allowed_models": [],
        "temp_budget_increase": null,
        "temp_budget_expiry": null,
        "created_at": row.created_at.to_rfc3339(),
        "created_by": row.created_by,
        "updated_at": row.updated_at.to_rfc3339(),
        "updated_by": row.updated_by,
    })
}
