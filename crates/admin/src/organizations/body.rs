//! The bodies of organization endpoints (contract §11).

use std::collections::BTreeMap;

use base::Result;
use domain::entity_budgets::BudgetPatch;
use domain::organizations::{NewMember, OrganizationFields, OrganizationRole};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::budgets::{self, ModelField};
use crate::fields::{self, Amount, Field, Object, Required, Sent, Wrong, choice};
use crate::teams::{NOBODY, Named, person};

/// Which organization.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrganizationRef {
    #[schema(value_type = String)]
    pub organization_id: Required<String>,
}

/// What a new organization has besides its fields.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewOrganizationBody {
    #[schema(value_type = String)]
    pub organization_alias: Required<String>,
    /// A fresh one if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub organization_id: Sent<String>,
}

/// The fields of an organization. Null clears a field; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrganizationBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub organization_alias: Sent<String>,
    /// Public model names that its teams and keys may use; empty: every model.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub models: Sent<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Sent<Object>,
    /// Dollars, for all of its teams and keys together.
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
    #[serde(default)]
    #[schema(value_type = Option<std::collections::HashMap<String, budgets::ModelBudget>>)]
    pub model_max_budget: Sent<BTreeMap<String, ModelField>>,
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
    #[serde(flatten)]
    #[schema(ignore)]
    pub rest: Object,
}

/// A new organization.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read in two parts")]
pub struct NewOrganization {
    #[serde(flatten)]
    organization: NewOrganizationBody,
    #[serde(flatten)]
    fields: OrganizationBody,
}

/// Changes of an organization.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read in two parts")]
pub struct ChangedOrganization {
    #[serde(flatten)]
    organization: OrganizationRef,
    #[serde(flatten)]
    fields: OrganizationBody,
}

/// Kept with the organization and given back, but not acted on.
const KEPT: &[&str] = &["object_permission", "router_settings"];

/// Kept in the organization's metadata, where the reference keeps them too.
const IN_METADATA: &[&str] = &["model_rpm_limit", "model_tpm_limit", "tags"];

impl OrganizationBody {
    /// The fields as the rules know them.
    ///
    /// # Errors
    /// [`base::Code::BadRequest`] for amounts and durations that are none.
    pub fn fields(self) -> Result<OrganizationFields> {
        let budgets = BudgetPatch {
            models: budgets::models(&self.model_max_budget)?,
            include_byok: self.include_byok.0.clone(),
            ..budgets::patch(&self.max_budget, &self.soft_budget, &self.budget_duration)?
        };
        Ok(OrganizationFields {
            alias: self.organization_alias.0,
            models: self.models.0,
            metadata: self.metadata.0,
            in_metadata: fields::pick(&self.rest, IN_METADATA),
            settings: fields::pick(&self.rest, KEPT),
            rpm_limit: self.rpm_limit.0,
            tpm_limit: self.tpm_limit.0,
            tpd_limit: self.tpd_limit.0,
            max_parallel_requests: self.max_parallel_requests.0,
            budgets,
        })
    }

    /// # Errors
    /// [`base::Code::Validation`] for a field that organizations do not have.
    pub fn refuse_unknown(&self) -> Result<()> {
        let is_known = |name: &&String| {
            let name = name.as_str();
            KEPT.contains(&name) || IN_METADATA.contains(&name)
        };
        match self.rest.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let mut wrong = Wrong::new("extra_forbidden", "Extra inputs are not permitted");
                wrong.place = vec![name.as_str().into()];
                Err(fields::invalid("body", wrong))
            }
        }
    }
}

/// A person and their role.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what OrganizationMemberField reads")]
pub struct OrganizationMemberBody {
    /// `org_admin`, `internal_user` or `internal_user_viewer`.
    role: String,
    /// This or `user_email`. Who is not known yet becomes a user.
    user_id: Option<String>,
    user_email: Option<String>,
}

/// One member, or several, as they were sent.
#[derive(Clone, Debug)]
pub struct OrganizationMembers(pub Vec<NewMember>);

impl Field for OrganizationMembers {
    fn read(value: Value) -> std::result::Result<OrganizationMembers, Wrong> {
        let members = match value {
            Value::Array(members) => members,
            one => vec![one],
        };
        let members = members.into_iter().map(member);
        members
            .collect::<std::result::Result<_, _>>()
            .map(OrganizationMembers)
    }
}

fn member(value: Value) -> std::result::Result<NewMember, Wrong> {
    let object = Object::read(value)?;
    let in_role = |mut wrong: Wrong| {
        wrong.place.insert(0, "role".into());
        wrong
    };
    let role = match object.get("role") {
        None => Err(in_role(Wrong::new("missing", "Field required"))),
        Some(role) => OrganizationRole::read(role.clone()).map_err(in_role),
    }?;
    let named: Named = fields::nested(Value::Object(object))?;
    let person = person(&named.user_id, &named.user_email)
        .ok_or_else(|| Wrong::new("value_error", format!("Value error, {NOBODY}")))?;
    Ok(NewMember { person, role })
}

impl Field for OrganizationRole {
    fn read(value: Value) -> std::result::Result<OrganizationRole, Wrong> {
        let words = OrganizationRole::ALL.map(|role| (role.as_str(), role));
        choice(&value, &words).map_err(|wrong| Wrong {
            kind: "literal_error",
            ..wrong
        })
    }
}
