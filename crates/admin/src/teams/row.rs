//! A team and its memberships as answers show them (contract §10).

use std::collections::BTreeMap;

use base::Money;
use domain::teams::{MemberView, TeamView};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::budgets::{self, ModelBudget, Window};
use crate::fields::Object;
use crate::plans;

/// A team.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamObject {
    pub team_id: String,
    pub team_alias: Option<String>,
    pub organization_id: Option<String>,
    /// Always empty: see `members_with_roles`.
    pub admins: Vec<String>,
    /// Always empty: see `members_with_roles`.
    pub members: Vec<String>,
    pub members_with_roles: Vec<MemberObject>,
    /// What plain members may do with the team's keys.
    pub team_member_permissions: Vec<String>,
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    pub tpm_limit: Option<i64>,
    pub rpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    pub max_parallel_requests: Option<i64>,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Option<Money>,
    pub budget_duration: Option<String>,
    pub budget_reset_at: Option<String>,
    /// The plan that it follows.
    pub budget_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub litellm_budget_table: Value,
    pub budget_limits: Option<Vec<Window>>,
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    /// Dollars, in the current window.
    #[schema(value_type = f64)]
    pub spend: Money,
    pub models: Vec<String>,
    pub blocked: bool,
    pub default_team_member_models: Vec<String>,
    pub model_id: Option<i64>,
    #[schema(value_type = Option<Object>)]
    pub litellm_model_table: Option<Value>,
    #[schema(value_type = Object)]
    pub model_spend: Map<String, Value>,
    #[schema(value_type = Object)]
    pub router_settings: Value,
    #[schema(value_type = Vec<String>)]
    pub access_group_ids: Value,
    #[schema(value_type = Vec<String>)]
    pub policies: Value,
    pub allow_team_guardrail_config: bool,
    #[schema(value_type = Option<Object>)]
    pub object_permission: Value,
    pub object_permission_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub litellm_organization_table: Value,
    #[schema(value_type = Option<Object>)]
    pub projects: Value,
    pub created_at: String,
    pub updated_at: String,
}

/// A member in a team's list.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberObject {
    pub user_id: String,
    pub user_email: Option<String>,
    pub user_alias: Option<String>,
    /// `admin` or `user`.
    pub role: String,
}

/// A membership with its budget.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipObject {
    pub user_id: String,
    pub team_id: String,
    pub budget_id: Option<String>,
    /// Dollars spent in this team, in the current window.
    #[schema(value_type = f64)]
    pub spend: Money,
    /// Dollars spent in this team since they joined.
    #[schema(value_type = f64)]
    pub total_spend: Money,
    pub litellm_budget_table: Option<BudgetTable>,
    /// `individual`: a budget of their own; `team_default`: the one of all members; `shared`: a plan
    /// that they follow; `none`.
    #[schema(value_type = String)]
    pub budget_source: &'static str,
}

/// The limits of a member.
#[derive(Debug, Serialize, ToSchema)]
pub struct BudgetTable {
    pub budget_id: Option<String>,
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<Money>,
    pub max_parallel_requests: Option<i64>,
    pub tpm_limit: Option<i64>,
    pub rpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    #[schema(value_type = Option<Object>)]
    pub model_max_budget: Value,
    pub budget_duration: Option<String>,
    pub allowed_models: Vec<String>,
    #[schema(value_type = Option<f64>)]
    pub temp_budget_increase: Option<Money>,
    pub temp_budget_expiry: Option<String>,
    pub budget_reset_at: Option<String>,
    pub created_at: String,
}

impl From<&TeamView> for TeamObject {
    fn from(team: &TeamView) -> TeamObject {
        let (row, account) = (&team.row, &team.account);
        let kept = |name: &str, empty: Value| row.settings.get(name).cloned().unwrap_or(empty);
        let aliases = (!row.model_aliases.is_empty()).then(|| {
            json!({
                "id": null,
                "model_aliases": row.model_aliases.0,
                "created_by": row.created_by,
                "updated_by": row.updated_by,
                "team": null,
            })
        });
        TeamObject {
            team_id: row.id.clone(),
            team_alias: row.alias.clone(),
            organization_id: row.organization_id.clone(),
            admins: Vec::new(),
            members: Vec::new(),
            members_with_roles: team.members.iter().map(MemberObject::from).collect(),
            team_member_permissions: row.member_permissions.0.clone(),
            metadata: row.metadata.0.clone(),
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
            max_budget: account.max_budget,
            soft_budget: account.soft_budget,
            budget_duration: account.duration.clone(),
            budget_reset_at: budgets::shown_time(account.resets_at),
            budget_id: account.plan.as_ref().map(|plan| plan.id.clone()),
            litellm_budget_table: account.plan.as_ref().map_or(Value::Null, plans::table),
            budget_limits: budgets::shown_windows(account),
            model_max_budget: budgets::shown_models(account),
            spend: account.spend,
            models: row.models.0.clone(),
            blocked: row.blocked,
            default_team_member_models: row.default_member_models.0.clone(),
            model_id: None,
            litellm_model_table: aliases,
            model_spend: Map::new(),
            router_settings: kept("router_settings", json!({})),
            access_group_ids: kept("access_group_ids", json!([])),
            policies: kept("policies", json!([])),
            allow_team_guardrail_config: false,
            object_permission: kept("object_permission", Value::Null),
            object_permission_id: None,
            litellm_organization_table: Value::Null,
            projects: Value::Null,
            created_at: row.created_at.to_rfc3339(),
            updated_at: row.updated_at.to_rfc3339(),
        }
    }
}

impl From<&MemberView> for MemberObject {
    fn from(member: &MemberView) -> MemberObject {
        MemberObject {
            user_id: member.row.user_id.clone(),
            user_email: member.email.clone(),
            user_alias: member.alias.clone(),
            role: member.row.role.clone(),
        }
    }
}

impl From<&MemberView> for MembershipObject {
    fn from(member: &MemberView) -> MembershipObject {
        let (row, account) = (&member.row, &member.account);
        let of_team = account
            .main_row
            .as_ref()
            .and_then(|budget| budget.plan_id.clone());
        let plan_id = match &account.plan {
            Some(plan) => Some(plan.id.clone()),
            None => of_team,
        };
        let source = match (&account.main_row, &plan_id) {
            (_, Some(_)) if account.plan.is_some() => "shared",
            (None, _) => "none",
            (Some(_), None) => "individual",
            (Some(_), Some(_)) => "team_default",
        };
        let own_id = account.main_row.as_ref().map(|budget| budget.id.clone());
        let budget_id = plan_id.or(own_id);
        let is_limited = account.main_row.is_some()
            || row.rpm_limit.is_some()
            || row.tpm_limit.is_some()
            || !row.allowed_models.is_empty();
        MembershipObject {
            user_id: row.user_id.clone(),
            team_id: row.team_id.clone(),
            spend: account.spend,
            total_spend: account.total_spend,
            litellm_budget_table: is_limited.then(|| BudgetTable {
                budget_id: budget_id.clone(),
                soft_budget: account.soft_budget,
                // what holds, whoever says it
                max_budget: account.main_row.as_ref().and_then(|budget| budget.amount),
                max_parallel_requests: None,
                tpm_limit: row.tpm_limit,
                rpm_limit: row.rpm_limit,
                tpd_limit: None,
                model_max_budget: Value::Null,
                budget_duration: account.duration.clone(),
                allowed_models: row.allowed_models.0.clone(),
                temp_budget_increase: account.increase.map(|increase| increase.amount),
                temp_budget_expiry: budgets::shown_time(
                    account.increase.map(|increase| increase.until),
                ),
                budget_reset_at: budgets::shown_time(account.resets_at),
                created_at: row.created_at.to_rfc3339(),
            }),
            budget_id,
            budget_source: source,
        }
    }
}

/// The memberships of a team that a reader may see: all, or their own.
pub fn memberships(team: &TeamView, only: Option<&str>) -> Vec<MembershipObject> {
    let members = team.members.iter();
    members
        .filter(|member| only.is_none_or(|only| member.row.user_id == only))
        .map(MembershipObject::from)
        .collect()
}

/// What `team_member_budget_table` says of the budget that all members have.
pub fn plan_table(team: &TeamView) -> Option<Object> {
    let plan = team.plan.as_ref()?;
    let table = json!({
        "budget_id": plan.id,
        "max_budget": plan.max_budget,
        "soft_budget": plan.soft_budget,
        "budget_duration": plan.period,
        "budget_reset_at": budgets::shown_time(plan.resets_at),
        "rpm_limit": plan.rpm_limit,
        "tpm_limit": plan.tpm_limit,
        "tpd_limit": plan.tpd_limit,
        "max_parallel_requests": plan.max_parallel_requests,
        "model_max_budget": null,
        "allowed_models": [],
        "temp_budget_increase": null,
        "temp_budget_expiry": null,
        "created_at": plan.created_at.to_rfc3339(),
    });
    match table {
        Value::Object(table) => Some(table),
        _ => None,
    }
}
