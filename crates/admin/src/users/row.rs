//! A user as answers show them (contract §9.2). Never their password.

use std::collections::BTreeMap;

use base::Money;
use domain::users::UserView;
use serde::Serialize;
use serde_json::{Value, json};
use store::organizations::OrganizationMemberRow;
use utoipa::ToSchema;

use crate::budgets::{self, ModelBudget, Window};
use crate::fields::Object;
use crate::plans;

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserObject {
    pub user_id: String,
    pub user_email: Option<String>,
    pub user_alias: Option<String>,
    /// `proxy_admin`, `proxy_admin_viewer`, `internal_user` or `internal_user_viewer`.
    pub user_role: Option<String>,
    pub sso_user_id: Option<String>,
    /// The ids of their teams.
    pub teams: Vec<String>,
    pub models: Vec<String>,
    pub metadata: Object,
    /// Dollars, in the current window.
    #[schema(value_type = f64)]
    pub spend: Money,
    #[schema(value_type = f64)]
    pub total_spend: Money,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Option<Money>,
    pub budget_duration: Option<String>,
    pub budget_reset_at: Option<String>,
    /// The plan that they follow.
    pub budget_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub litellm_budget_table: Value,
    pub budget_limits: Option<Vec<Window>>,
    pub model_max_budget: BTreeMap<String, ModelBudget>,
    pub model_max_budget_usage: Object,
    pub model_spend: Object,
    pub blocked: bool,
    pub tpm_limit: Option<i64>,
    pub rpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    pub max_parallel_requests: Option<i64>,
    /// How many keys they have.
    pub key_count: i64,
    #[schema(value_type = Vec<String>)]
    pub allowed_cache_controls: Value,
    #[schema(value_type = Vec<String>)]
    pub policies: Value,
    #[schema(value_type = Option<Object>)]
    pub object_permission: Value,
    pub object_permission_id: Option<String>,
    pub organization_id: Option<String>,
    pub organization_memberships: Option<Vec<OrganizationMembership>>,
    #[schema(value_type = Option<Object>)]
    pub litellm_organization_table: Value,
    pub team_id: Option<String>,
    pub password_reset_required: Option<bool>,
    pub last_breach_check_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub verified_subjects: Value,
    #[schema(value_type = Option<Object>)]
    pub invitations_created: Value,
    #[schema(value_type = Option<Object>)]
    pub invitations_updated: Value,
    #[schema(value_type = Option<Object>)]
    pub invitations_user: Value,
    pub created_at: String,
    pub updated_at: String,
}

/// An organization that a user is in.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationMembership {
    pub user_id: String,
    pub organization_id: String,
    pub user_role: String,
    pub created_at: String,
}

impl From<&UserView> for UserObject {
    fn from(user: &UserView) -> UserObject {
        let (row, account) = (&user.row, &user.account);
        let kept = |name: &str, empty: Value| row.settings.get(name).cloned().unwrap_or(empty);
        UserObject {
            user_id: row.id.clone(),
            user_email: row.email.clone(),
            user_alias: row.alias.clone(),
            user_role: row.role.clone(),
            sso_user_id: row.sso_subject.clone(),
            teams: user.teams.clone(),
            models: row.models.0.clone(),
            metadata: row.metadata.0.clone(),
            spend: account.spend,
            total_spend: account.total_spend,
            max_budget: account.max_budget,
            soft_budget: account.soft_budget,
            budget_duration: account.duration.clone(),
            budget_reset_at: budgets::shown_time(account.resets_at),
            budget_id: account.plan.as_ref().map(|plan| plan.id.clone()),
            litellm_budget_table: account.plan.as_ref().map_or(Value::Null, plans::table),
            budget_limits: budgets::shown_windows(account),
            model_max_budget: budgets::shown_models(account),
            model_max_budget_usage: Object::new(),
            model_spend: Object::new(),
            blocked: row.blocked,
            tpm_limit: row.tpm_limit,
            rpm_limit: row.rpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
            key_count: user.keys,
            allowed_cache_controls: kept("allowed_cache_controls", json!([])),
            policies: kept("policies", json!([])),
            object_permission: kept("object_permission", Value::Null),
            object_permission_id: None,
            organization_id: None,
            organization_memberships: None,
            litellm_organization_table: Value::Null,
            team_id: None,
            password_reset_required: Some(false),
            last_breach_check_at: None,
            verified_subjects: Value::Null,
            invitations_created: Value::Null,
            invitations_updated: Value::Null,
            invitations_user: Value::Null,
            created_at: row.created_at.to_rfc3339(),
            updated_at: row.updated_at.to_rfc3339(),
        }
    }
}

impl UserObject {
    pub fn in_organizations(mut self, rows: Vec<OrganizationMemberRow>) -> UserObject {
        let membership = |row: OrganizationMemberRow| OrganizationMembership {
            user_id: row.user_id,
            organization_id: row.organization_id,
            user_role: row.role,
            created_at: row.created_at.to_rfc3339(),
        };
        self.organization_memberships = Some(rows.into_iter().map(membership).collect());
        self
    }
}
