//! What requests say of a key, and where each field is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{Code, Error, Millis, Money, Result};
use serde_json::Value;
use store::keys::KeyRow;

use crate::Patch;
use crate::addresses::Networks;
use crate::entity_budgets::BudgetPatch;
use crate::periods::Period;

/// A JSON object whose names we do not prescribe.
pub type Object = serde_json::Map<String, Value>;

/// What a request for a new key, or for a change of one, says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyPatch {
    /// The names of the fields that are there and not null.
    pub named: BTreeSet<String>,
    pub alias: Patch<String>,
    /// How long from now the key works.
    pub duration: Patch<String>,
    pub models: Patch<Vec<String>>,
    pub aliases: Patch<BTreeMap<String, String>>,
    pub spend: Patch<Money>,
    pub user_id: Patch<String>,
    pub team_id: Patch<String>,
    pub organization_id: Patch<String>,
    pub allowed_routes: Patch<Vec<String>>,
    pub key_type: Patch<KeyType>,
    pub permissions: Patch<Object>,
    pub metadata: Patch<Object>,
    pub blocked: Patch<bool>,
    pub rpm_limit: Patch<i64>,
    pub tpm_limit: Patch<i64>,
    pub tpd_limit: Patch<i64>,
    pub max_parallel_requests: Patch<i64>,
    pub auto_rotate: Patch<bool>,
    pub rotation_interval: Patch<String>,
    /// How long the key still works once it is due to be replaced.
    pub rotation_grace_period: Patch<String>,
    /// Addresses and networks that the key may be used from.
    pub allowed_ips: Patch<Vec<String>>,
    /// Bait: nobody should ever use it.
    pub canary: Patch<bool>,
    pub budgets: BudgetPatch,
    /// Fields of [`KEPT`] as they were sent, null for those to be cleared.
    pub kept: Object,
}

/// Presets of `allowed_routes` (contract §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    Default,
    LlmApi,
    Management,
    ReadOnly,
}

impl KeyType {
    pub const WORDS: [(&'static str, KeyType); 4] = [
        ("default", KeyType::Default),
        ("llm_api", KeyType::LlmApi),
        ("management", KeyType::Management),
        ("read_only", KeyType::ReadOnly),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            KeyType::Default => "default",
            KeyType::LlmApi => "llm_api",
            KeyType::Management => "management",
            KeyType::ReadOnly => "read_only",
        }
    }

    pub fn allowed_routes(self) -> Vec<String> {
        let group = match self {
            KeyType::Default => return Vec::new(),
            KeyType::LlmApi => "llm_api_routes",
            KeyType::Management => "management_routes",
            KeyType::ReadOnly => "info_routes",
        };
        vec![group.to_owned()]
    }
}

/// A field that is stored and echoed as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub name: &'static str,
    pub home: Home,
    pub form: Form,
}

/// Where a field is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In `metadata`, where clients look for it.
    Metadata,
    Settings,
}

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Text,
    Texts,
    Flag,
    Count,
    Counts,
    Object,
    /// An object where it is absent, too.
    ObjectOrEmpty,
    /// A list where it is absent, too.
    TextsOrEmpty,
    Objects,
    /// `guaranteed_throughput`, `best_effort_throughput` or `dynamic`.
    LimitType,
}

const fn in_metadata(name: &'static str, form: Form) -> Kept {
    Kept {
        name,
        home: Home::Metadata,
        form,
    }
}

const fn in_settings(name: &'static str, form: Form) -> Kept {
    Kept {
        name,
        home: Home::Settings,
        form,
    }
}

/// The fields that are stored and echoed (contract §8.1).
pub const KEPT: &[Kept] = &[
    in_metadata("model_rpm_limit", Form::Counts),
    in_metadata("model_tpm_limit", Form::Counts),
    in_metadata("mcp_rpm_limit", Form::Counts),
    in_metadata("tag_rpm_limit", Form::Counts),
    in_metadata("rpm_limit_type", Form::LimitType),
    in_metadata("tpm_limit_type", Form::LimitType),
    in_metadata("tags", Form::Texts),
    in_metadata("guardrails", Form::Texts),
    in_metadata("policies", Form::TextsOrEmpty),
    in_metadata("prompts", Form::Texts),
    in_metadata("disable_global_guardrails", Form::Flag),
    in_metadata("enforced_params", Form::Texts),
    in_metadata("allowed_passthrough_routes", Form::Texts),
    in_metadata("denied_passthrough_routes", Form::Texts),
    in_metadata("enable_prompt_caching", Form::Flag),
    in_metadata("throttle_on_budget_exceeded", Form::Flag),
    in_metadata("default_estimated_output_tokens", Form::Count),
    in_metadata("default_estimated_output_tokens_per_model", Form::Counts),
    in_settings("config", Form::ObjectOrEmpty),
    in_settings("router_settings", Form::ObjectOrEmpty),
    in_settings("model_max_budget", Form::ObjectOrEmpty),
    in_settings("budget_fallbacks", Form::ObjectOrEmpty),
    in_settings("allowed_cache_controls", Form::TextsOrEmpty),
    in_settings("access_group_ids", Form::TextsOrEmpty),
    in_settings("object_permission", Form::Object),
    in_settings("allowed_vector_store_indexes", Form::Objects),
    in_settings("end_user_budget_id", Form::Text),
    in_settings("agent_id", Form::Text),
    in_settings("project_id", Form::Text),
];

/// Names in `metadata` that are ours: replacing the object leaves them (contract §8.5).
fn is_reserved(name: &str) -> bool {
    const OWN: [&str; 3] = [
        "service_account_id",
        "temp_budget_increase",
        "temp_budget_expiry",
    ];
    OWN.contains(&name)
        || KEPT
            .iter()
            .any(|kept| kept.home == Home::Metadata && kept.name == name)
}

impl KeyPatch {
    /// Whether nothing is said of any field that a key has.
    pub(super) fn is_empty(&self) -> bool {
        let patch = KeyPatch {
            named: BTreeSet::new(),
            ..self.clone()
        };
        patch == KeyPatch::default()
    }

    /// Writes the plain fields into a row: everything that needs no permission and no look at other
    /// tables.
    pub(super) fn apply(&self, row: &mut KeyRow, now: Millis) -> Result<()> {
        let alias = self.alias.clone().map(|alias| alias.trim().to_owned());
        alias.apply(&mut row.alias);
        row.alias = row.alias.take().filter(|alias| !alias.is_empty());
        self.apply_life(row, now)?;
        self.models.clone().apply_or_default(&mut row.models.0);
        self.aliases.clone().apply_or_default(&mut row.aliases.0);
        self.permissions
            .clone()
            .apply_or_default(&mut row.permissions.0);
        self.apply_routes(row);
        self.blocked.clone().apply(&mut row.blocked);
        for (name, limit, field) in [
            ("rpm_limit", &self.rpm_limit, &mut row.rpm_limit),
            ("tpm_limit", &self.tpm_limit, &mut row.tpm_limit),
            ("tpd_limit", &self.tpd_limit, &mut row.tpd_limit),
            (
                "max_parallel_requests",
                &self.max_parallel_requests,
                &mut row.max_parallel_requests,
            ),
        ] {
            if let Patch::Value(..0) = limit {
                return Err(Error::new(
                    Code::BadRequest,
                    format!("{name} must not be negative; leave it out for no limit"),
                )
                .param(name));
            }
            limit.clone().apply(field);
        }
        self.apply_rotation(row, now)?;
        self.apply_watch(row)?;
        self.apply_kept(row);
        Ok(())
    }

    fn apply_life(&self, row: &mut KeyRow, now: Millis) -> Result<()> {
        row.expires_at = match &self.duration {
            Patch::Absent => row.expires_at,
            Patch::Null => None,
            Patch::Value(text) => expiry(text, now)?,
        };
        if !self.duration.is_absent() {
            row.expiry_reminder = reminded(row.expires_at, now);
        }
        Ok(())
    }

    fn apply_watch(&self, row: &mut KeyRow) -> Result<()> {
        if let Patch::Value(entries) = &self.allowed_ips {
            Networks::parse(entries).map_err(|error| error.param("allowed_ips"))?;
        }
        let entries = self.allowed_ips.clone();
        entries.apply_or_default(&mut row.allowed_ips.0);
        self.canary.clone().apply_or_default(&mut row.canary);
        Ok(())
    }

    fn apply_routes(&self, row: &mut KeyRow) {
        match &self.key_type {
            Patch::Absent => {}
            Patch::Null => {
                row.key_type = None;
                row.allowed_routes.0 = Vec::new();
            }
            Patch::Value(key_type) => {
                row.key_type = Some(key_type.as_str().to_owned());
                row.allowed_routes.0 = key_type.allowed_routes();
            }
        }
        // routes that are named win over a preset, which is then not the key's type
        match &self.allowed_routes {
            Patch::Value(routes) if !routes.is_empty() => {
                row.allowed_routes.0 = routes.clone();
                row.key_type = None;
            }
            Patch::Value(_) | Patch::Null if self.key_type.is_absent() => {
                row.allowed_routes.0 = Vec::new();
                row.key_type = None;
            }
            _ => {}
        }
    }

    fn apply_rotation(&self, row: &mut KeyRow, now: Millis) -> Result<()> {
        if let Patch::Value(grace) = &self.rotation_grace_period {
            span("rotation_grace_period", grace)?;
        }
        self.rotation_grace_period
            .clone()
            .apply(&mut row.rotation_grace_period);
        if self.auto_rotate.is_absent() && self.rotation_interval.is_absent() {
            return Ok(());
        }
        self.auto_rotate
            .clone()
            .apply_or_default(&mut row.auto_rotate);
        self.rotation_interval
            .clone()
            .apply(&mut row.rotation_interval);
        row.next_rotation_at = next_rotation(row, now)?;
        row.rotate_by = None;
        if row.auto_rotate && row.next_rotation_at.is_none() {
            return Err(Error::new(
                Code::BadRequest,
                "auto_rotate needs a rotation_interval such as '30d'",
            )
            .param("rotation_interval"));
        }
        Ok(())
    }

    fn apply_kept(&self, row: &mut KeyRow) {
        if !self.metadata.is_absent() {
            let mut metadata = self.metadata.clone().value().unwrap_or_default();
            metadata.remove("service_account_id");
            for (name, value) in std::mem::take(&mut row.metadata.0) {
                if is_reserved(&name) && !metadata.contains_key(&name) {
                    metadata.insert(name, value);
                }
            }
            row.metadata.0 = metadata;
        }
        for kept in KEPT {
            let Some(value) = self.kept.get(kept.name) else {
                continue;
            };
            let home = match kept.home {
                Home::Metadata => &mut row.metadata.0,
                Home::Settings => &mut row.settings.0,
            };
            match value {
                Value::Null => drop(home.remove(kept.name)),
                value => drop(home.insert(kept.name.to_owned(), value.clone())),
            }
        }
        match &self.budgets.increase {
            Patch::Absent => {}
            Patch::Null => {
                row.metadata.remove("temp_budget_increase");
                row.metadata.remove("temp_budget_expiry");
            }
            Patch::Value(increase) => {
                let amount = Value::Number(increase.amount.to_json());
                row.metadata
                    .insert("temp_budget_increase".to_owned(), amount);
                let until = increase.until.to_rfc3339().into();
                row.metadata.insert("temp_budget_expiry".to_owned(), until);
            }
        }
    }

    /// Whether a field is there that only administrators may set on a key that exists.
    pub(super) fn touches_money(&self) -> bool {
        let budgets = &self.budgets;
        !(self.spend.is_absent()
            && budgets.plan.is_absent()
            && budgets.max_budget.is_absent()
            && budgets.soft_budget.is_absent()
            && budgets.duration.is_absent()
            && budgets.windows.is_absent()
            && budgets.models.is_absent()
            && budgets.increase.is_absent())
    }
}

/// When a key made now with this `duration` expires; blank and `-1` mean never (contract §3.5).
///
/// # Errors
/// [`Code::BadRequest`] naming the field.
pub(super) fn expiry(text: &str, now: Millis) -> Result<Option<Millis>> {
    match text.trim() {
        "" | "-1" => Ok(None),
        text => Ok(Some(span("duration", text)?.after(now))),
    }
}

/// Days before a key expires at which its owner is told.
pub(super) const REMINDERS: [i64; 2] = [7, 1];

/// What a new life of a key counts as reminded of: who asks for a key of three days needs no word of
/// a week.
fn reminded(expires_at: Option<Millis>, now: Millis) -> Option<i64> {
    let left = expires_at?.since(now);
    let is_past = |days: &i64| left <= days_of(*days);
    REMINDERS.into_iter().filter(is_past).min()
}

pub(super) fn days_of(days: i64) -> Duration {
    Duration::from_secs(days.unsigned_abs() * 24 * 60 * 60)
}

/// Reads a span of time from a field.
pub(crate) fn span(field: &'static str, text: &str) -> Result<Period> {
    Period::parse(text).map_err(|error| {
        let message = format!("invalid {field}: {}", error.message());
        Error::new(Code::BadRequest, message).param(field)
    })
}

/// When a key is due to be rotated.
pub(super) fn next_rotation(row: &KeyRow, now: Millis) -> Result<Option<Millis>> {
    match row.rotation_interval.as_deref() {
        Some(interval) if row.auto_rotate => {
            Ok(Some(span("rotation_interval", interval)?.after(now)))
        }
        Some(interval) => span("rotation_interval", interval).map(|_| None),
        None => Ok(None),
    }
}
