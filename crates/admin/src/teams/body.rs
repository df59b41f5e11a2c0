//! The bodies of team endpoints (contract Appendix A.7, A.8).

use std::collections::BTreeMap;

use base::{Code, Error, Result};
use domain::Patch;
use domain::entity_budgets::BudgetPatch;
use domain::teams::{MemberPlan, NewMember, Person, TeamFields, TeamRole};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::budgets::{self, ModelField, WindowField};
use crate::fields::{self, Amount, Field, Object, Required, Sent, Wrong, choice};

/// Which team.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TeamRef {
    #[schema(value_type = String)]
    pub team_id: Required<String>,
}

/// The fields of a team. Null clears a field; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TeamBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub team_alias: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub organization_id: Sent<String>,
    /// Public model names; empty: every model.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub models: Sent<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, String>>)]
    pub model_aliases: Sent<BTreeMap<String, String>>,
    /// The models of new members.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub default_team_member_models: Sent<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub team_member_permissions: Sent<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Sent<Object>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub blocked: Sent<bool>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub rpm_limit: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub tpm_limit: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub tpd_limit: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub max_parallel_requests: Sent<i64>,
    /// Dollars.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    pub max_budget: Sent<Amount>,
    /// Dollars; reaching it is told, not refused.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    pub soft_budget: Sent<Amount>,
    /// How often spend is reset: `30d`, `1mo`, `24h` …
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub budget_duration: Sent<String>,
    /// Its budgets also count what people's own provider keys pay, at list price.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub include_byok: Sent<bool>,
    /// A plan (`POST /budget/new`) whose limits hold where nothing else is said here.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub budget_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<budgets::Window>>)]
    pub budget_limits: Sent<Vec<WindowField>>,
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, budgets::ModelBudget>>)]
    pub model_max_budget: Sent<BTreeMap<String, ModelField>>,
    /// Dollars that each member may spend who has no budget of their own.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    pub team_member_budget: Sent<Amount>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub team_member_budget_duration: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub team_member_rpm_limit: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub team_member_tpm_limit: Sent<i64>,
    #[serde(flatten)]
    #[schema(ignore)]
    pub rest: Object,
}

/// What a new team has besides its fields.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewTeamBody {
    /// A fresh one if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub team_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<MemberBody>>)]
    pub members_with_roles: Sent<Vec<MemberField>>,
    /// User ids; `members_with_roles` says the same.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub admins: Sent<Vec<String>>,
    /// User ids; `members_with_roles` says the same.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub members: Sent<Vec<String>>,
}

/// A new team.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read in two parts")]
pub struct NewTeam {
    #[serde(flatten)]
    team: NewTeamBody,
    #[serde(flatten)]
    fields: TeamBody,
}

/// Changes of a team.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read in two parts")]
pub struct ChangedTeam {
    #[serde(flatten)]
    team: TeamRef,
    #[serde(flatten)]
    fields: TeamBody,
}

/// A person and their role.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what MemberField reads")]
pub struct MemberBody {
    /// `admin` or `user`.
    role: String,
    /// This or `user_email`. Who is not known yet becomes a user.
    user_id: Option<String>,
    user_email: Option<String>,
}

/// A person and their role, as they were sent.
#[derive(Clone, Debug)]
pub struct MemberField {
    role: TeamRole,
    person: Person,
}

impl From<MemberField> for NewMember {
    fn from(member: MemberField) -> NewMember {
        NewMember {
            person: member.person,
            role: member.role,
        }
    }
}

/// The fields that say who a request is about.
#[derive(Debug, Deserialize)]
pub struct Named {
    #[serde(default)]
    pub user_id: Sent<String>,
    #[serde(default)]
    pub user_email: Sent<String>,
}

impl Field for MemberField {
    fn read(value: Value) -> std::result::Result<MemberField, Wrong> {
        let object = Object::read(value)?;
        let role = match object.get("role") {
            None => {
                let mut wrong = Wrong::new("missing", "Field required");
                wrong.place = vec!["role".into()];
                return Err(wrong);
            }
            Some(role) => TeamRole::read(role.clone()).map_err(|mut wrong| {
                wrong.place.insert(0, "role".into());
                wrong
            })?,
        };
        let named: Named = fields::nested(Value::Object(object))?;
        Ok(MemberField {
            role,
            person: person(&named.user_id, &named.user_email)
                .ok_or_else(|| Wrong::new("value_error", format!("Value error, {NOBODY}")))?,
        })
    }
}

impl Field for TeamRole {
    fn read(value: Value) -> std::result::Result<TeamRole, Wrong> {
        let words = [("admin", TeamRole::Admin), ("user", TeamRole::User)];
        choice(&value, &words).map_err(|wrong| Wrong {
            kind: "literal_error",
            ..wrong
        })
    }
}

/// What a request reads that names nobody.
pub const NOBODY: &str = "Either user id or user email must be provided";

/// Whom a request means.
pub fn person(user_id: &Sent<String>, user_email: &Sent<String>) -> Option<Person> {
    let person = Person {
        user_id: given(user_id),
        email: given(user_email),
    };
    (person != Person::default()).then_some(person)
}

fn given(sent: &Sent<String>) -> Option<String> {
    sent.0
        .clone()
        .value()
        .filter(|text| !text.trim().is_empty())
}

/// Kept with the team and given back, but not acted on.
const KEPT: &[&str] = &[
    "router_settings",
    "access_group_ids",
    "policies",
    "prompts",
    "object_permission",
    "secret_manager_settings",
    "allowed_passthrough_routes",
    "denied_passthrough_routes",
    "allowed_vector_store_indexes",
    "enforced_batch_output_expires_after",
    "enforced_file_expires_after",
    "rpm_limit_type",
    "tpm_limit_type",
    "team_member_key_duration",
];

/// Kept in the team's metadata, where the reference keeps them too.
const IN_METADATA: &[&str] = &[
    "tags",
    "guardrails",
    "disable_global_guardrails",
    "model_rpm_limit",
    "model_tpm_limit",
    "mcp_rpm_limit",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
];

impl TeamBody {
    /// The fields as the rules know them.
    ///
    /// # Errors
    /// [`Code::BadRequest`] for amounts and durations that are none, and a soft budget that is never
    /// reached before the hard one.
    pub fn fields(self) -> Result<TeamFields> {
        let budgets = BudgetPatch {
            windows: budgets::windows(&self.budget_limits)?,
            models: budgets::models(&self.model_max_budget)?,
            plan: crate::keys::id(&self.budget_id),
            include_byok: self.include_byok.0.clone(),
            ..budgets::patch(&self.max_budget, &self.soft_budget, &self.budget_duration)?
        };
        if let (Patch::Value(soft), Patch::Value(hard)) =
            (&budgets.soft_budget, &budgets.max_budget)
            && soft >= hard
        {
            let message = format!("soft_budget ({soft}) must be lower than max_budget ({hard})");
            return Err(Error::new(Code::BadRequest, message).param("soft_budget"));
        }
        let member_plan = MemberPlan {
            max_budget: budgets::amount("team_member_budget", &self.team_member_budget)?,
            period: self.team_member_budget_duration.0,
            rpm_limit: self.team_member_rpm_limit.0,
            tpm_limit: self.team_member_tpm_limit.0,
        };
        Ok(TeamFields {
            alias: self.team_alias.0,
            organization_id: self.organization_id.0,
            models: self.models.0,
            model_aliases: self.model_aliases.0,
            default_member_models: self.default_team_member_models.0,
            member_permissions: self.team_member_permissions.0,
            metadata: self.metadata.0,
            in_metadata: fields::pick(&self.rest, IN_METADATA),
            settings: fields::pick(&self.rest, KEPT),
            blocked: self.blocked.0,
            rpm_limit: self.rpm_limit.0,
            tpm_limit: self.tpm_limit.0,
            tpd_limit: self.tpd_limit.0,
            max_parallel_requests: self.max_parallel_requests.0,
            budgets,
            member_plan,
        })
    }
}

impl NewTeamBody {
    /// Who is in the team from the start.
    pub fn joining(self) -> Vec<NewMember> {
        let with_role = |ids: Sent<Vec<String>>, role: TeamRole| {
            let ids = ids.0.value().unwrap_or_default();
            ids.into_iter().map(move |id| NewMember {
                person: Person::by_id(&id),
                role,
            })
        };
        let members = self.members_with_roles.0.value().unwrap_or_default();
        members
            .into_iter()
            .map(NewMember::from)
            .chain(with_role(self.admins, TeamRole::Admin))
            .chain(with_role(self.members, TeamRole::User))
            .collect()
    }
}
