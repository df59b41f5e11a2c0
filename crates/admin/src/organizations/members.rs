//! Adding, changing and removing members of an organization (contract §11).

use axum::extract::State;
use domain::Domain;
use domain::entity_budgets::BudgetPatch;
use domain::organizations::{self, MemberChange, MemberTerms, OrganizationRole};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{OrganizationMemberBody, OrganizationMembers};
use super::nobody;
use super::row::OrganizationMembershipObject;
use crate::budgets;
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::Json;
use crate::fields::{Amount, Required, Sent};
use crate::teams::person;
use crate::users::UserObject;

/// Who shall join an organization, and what they may spend there.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddOrganizationMembers {
    #[schema(value_type = String)]
    organization_id: Required<String>,
    /// One member, or a list of them.
    #[schema(value_type = Vec<OrganizationMemberBody>)]
    member: Required<OrganizationMembers>,
    /// Dollars that each of them may spend in the organization.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    max_budget_in_organization: Sent<Amount>,
}

/// Who was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedOrganizationMembers {
    organization_id: String,
    updated_users: Vec<UserObject>,
    updated_organization_memberships: Vec<OrganizationMembershipObject>,
}

/// Adds members to an organization. Who is not known yet becomes a user.
#[utoipa::path(post, path = "/organization/member_add", operation_id = "organization_member_add", tag = "organizations",
    request_body = AddOrganizationMembers, responses((status = 200, body = AddedOrganizationMembers)))]
pub async fn add_members(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<AddOrganizationMembers>,
) -> Result<Json<AddedOrganizationMembers>> {
    let organization_id = sent.organization_id.0;
    let terms = terms(&sent.max_budget_in_organization)?;
    let joining = sent.member.0.0;
    let (users, members) =
        organizations::add_members(&domain, &actor, &organization_id, joining, terms)
            .await
            .map_err(Refused::detail)?;
    let members = members.iter().map(OrganizationMembershipObject::from);
    Ok(Json(AddedOrganizationMembers {
        organization_id,
        updated_users: users.iter().map(UserObject::from).collect(),
        updated_organization_memberships: members.collect(),
    }))
}

fn terms(max_budget: &Sent<Amount>) -> base::Result<MemberTerms> {
    Ok(MemberTerms {
        budget: BudgetPatch {
            max_budget: budgets::amount("max_budget_in_organization", max_budget)?,
            ..BudgetPatch::default()
        },
    })
}

/// What shall be different for a member.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeOrganizationMember {
    #[schema(value_type = String)]
    organization_id: Required<String>,
    /// This or `user_email`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_email: Sent<String>,
    /// `org_admin`, `internal_user` or `internal_user_viewer`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Sent<OrganizationRole>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    max_budget_in_organization: Sent<Amount>,
}

/// Changes a member's role and budget.
#[utoipa::path(patch, path = "/organization/member_update", operation_id = "organization_member_update",
    tag = "organizations", request_body = ChangeOrganizationMember,
    responses((status = 200, body = OrganizationMembershipObject)))]
pub async fn change_member(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<ChangeOrganizationMember>,
) -> Result<Json<OrganizationMembershipObject>> {
    let person = person(&sent.user_id, &sent.user_email).ok_or_else(nobody)?;
    let change = MemberChange {
        role: sent.role.0.value(),
        terms: terms(&sent.max_budget_in_organization)?,
    };
    let id = sent.organization_id.0;
    let member = organizations::change_member(&domain, &actor, &id, &person, change)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OrganizationMembershipObject::from(&member)))
}

/// Who shall leave an organization.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RemoveOrganizationMember {
    #[schema(value_type = String)]
    organization_id: Required<String>,
    /// This or `user_email`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_email: Sent<String>,
}

/// Removes a member from an organization; gives the membership as it was.
#[utoipa::path(delete, path = "/organization/member_delete", operation_id = "organization_member_delete",
    tag = "organizations", request_body = RemoveOrganizationMember,
    responses((status = 200, body = OrganizationMembershipObject)))]
pub async fn remove_member(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<RemoveOrganizationMember>,
) -> Result<Json<OrganizationMembershipObject>> {
    let person = person(&sent.user_id, &sent.user_email).ok_or_else(nobody)?;
    let id = sent.organization_id.0;
    let member = organizations::remove_member(&domain, &actor, &id, &person)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OrganizationMembershipObject::from(&member)))
}
