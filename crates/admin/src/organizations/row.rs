//! An organization and its memberships as answers show them (contract §11).

use std::collections::BTreeMap;

use base::Money;
use domain::entity_budgets::Account;
use domain::organizations::{MemberView, OrganizationView};
use serde::Serialize;
use serde_json::Value;
use store::teams::TeamRow;
use utoipa::ToSchema;

use crate::budgets::{self, ModelBudget};
use crate::fields::Object;
use crate::users::UserObject;

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationObject {
    pub organization_id: String,
    pub organization_alias: Option<String>,
    pub budget_id: String,
    /// Dollars, in the current window.
    #[schema(value_type = f64)]
    pub spend: Money,
    pub metadata: Object,
    /// Empty: every model.
    pub models: Vec<String>,
    pub model_spend: Object,
    #[schema(value_type = Option<Object>)]
    pub object_permission: Value,
    pub object_permission_id: Option<String>,
    pub created_by: Option<String>,
    pub updated_by: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    pub litellm_budget_table: OrganizationBudget,
    /// All for those who administer it, oneself for others.
    pub members: Vec<OrganizationMembershipObject>,
    /// Always null: see `members`.
    #[schema(value_type = Option<Vec<Object>>)]
    pub users: Value,
    /// All for those who administer it, one's own for others.
    pub teams: Vec<OrganizationTeam>,
}

/// What an organization, or a member in it, may spend.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationBudget {
    pub budget_id: String,
    #[schema(value_type = Option<f64>)]
    pub max_budget: Option<Money>,
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Option<Money>,
    pub budget_duration: Option<String>,
    pub budget_reset_at: Option<String>,
    pub rpm_limit: Option<i64>,
    pub tpm_limit: Option<i64>,
    pub tpd_limit: Option<i64>,
    pub max_parallel_requests: Option<i64>,
    pub model_max_budget: BTreeMap<String, ModelBudget>,
}

/// A team of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationTeam {
    pub team_id: String,
    pub team_alias: Option<String>,
    pub organization_id: Option<String>,
    pub models: Vec<String>,
    pub blocked: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A user in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationMembershipObject {
    pub user_id: String,
    pub organization_id: String,
    /// `org_admin`, `internal_user` or `internal_user_viewer`.
    pub user_role: String,
    pub user_email: Option<String>,
    /// Dollars spent in the organization, in the current window.
    #[schema(value_type = f64)]
    pub spend: Money,
    pub budget_id: Option<String>,
    pub created_at: String,
    pub updated_at: String,
    pub user: Option<UserObject>,
    pub litellm_budget_table: Option<OrganizationBudget>,
}

impl From<&OrganizationView> for OrganizationObject {
    fn from(view: &OrganizationView) -> OrganizationObject {
        let (row, account) = (&view.row, &view.account);
        let budget = OrganizationBudget {
            rpm_limit: row.rpm_limit,
            tpm_limit: row.tpm_limit,
            tpd_limit: row.tpd_limit,
            max_parallel_requests: row.max_parallel_requests,
            ..budget(account, &row.id)
        };
        let kept = |name: &str| row.settings.get(name).cloned().unwrap_or(Value::Null);
        OrganizationObject {
            organization_id: row.id.clone(),
            organization_alias: row.alias.clone(),
            budget_id: budget.budget_id.clone(),
            spend: account.spend,
            metadata: row.metadata.0.clone(),
            models: row.models.0.clone(),
            model_spend: Object::new(),
            object_permission: kept("object_permission"),
            object_permission_id: None,
            created_by: row.created_by.clone(),
            updated_by: row.updated_by.clone(),
            created_at: row.created_at.to_rfc3339(),
            updated_at: row.updated_at.to_rfc3339(),
            litellm_budget_table: budget,
            members: view.members.iter().map(Into::into).collect(),
            users: Value::Null,
            teams: view.teams.iter().map(OrganizationTeam::from).collect(),
        }
    }
}

/// The budget of an account; without one of its own it has the id of whose it is.
fn budget(account: &Account, owner: &str) -> OrganizationBudget {
    let id = account.main_row.as_ref().map(|row| row.id.as_str());
    OrganizationBudget {
        budget_id: id.unwrap_or(owner).to_owned(),
        max_budget: account.max_budget,
        soft_budget: account.soft_budget,
        budget_duration: account.duration.clone(),
        budget_reset_at: budgets::shown_time(account.resets_at),
        rpm_limit: None,
        tpm_limit: None,
        tpd_limit: None,
        max_parallel_requests: None,
        model_max_budget: budgets::shown_models(account),
    }
}

impl From<&TeamRow> for OrganizationTeam {
    fn from(row: &TeamRow) -> OrganizationTeam {
        OrganizationTeam {
            team_id: row.id.clone(),
            team_alias: row.alias.clone(),
            organization_id: row.organization_id.clone(),
            models: row.models.0.clone(),
            blocked: row.blocked,
            created_at: row.created_at.to_rfc3339(),
            updated_at: row.updated_at.to_rfc3339(),
        }
    }
}

impl From<&MemberView> for OrganizationMembershipObject {
    fn from(member: &MemberView) -> OrganizationMembershipObject {
        let (row, account) = (&member.row, &member.account);
        let own = account.main_row.as_ref();
        let user = member.user.as_ref().map(UserObject::from);
        OrganizationMembershipObject {
            user_id: row.user_id.clone(),
            organization_id: row.organization_id.clone(),
            user_role: row.role.clone(),
            user_email: user.as_ref().and_then(|user| user.user_email.clone()),
            spend: account.spend,
            budget_id: own.map(|row| row.id.clone()),
            created_at: row.created_at.to_rfc3339(),
            updated_at: row.updated_at.to_rfc3339(),
            user,
            litellm_budget_table: own.map(|_| budget(account, &row.id)),
        }
    }
}
