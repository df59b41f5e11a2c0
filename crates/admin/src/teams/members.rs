//! Adding, changing and removing members of a team (contract §10.5).

use axum::extract::State;
use base::{Code, Error, Money};
use domain::Domain;
use domain::entity_budgets::BudgetPatch;
use domain::teams::{self, MemberChange, MemberTerms, TeamRole};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{MemberBody, MemberField, NOBODY, person};
use super::row::{MembershipObject, TeamObject};
use crate::budgets;
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, OptionalJson, Path};
use crate::fields::{self, Amount, Field, Required, Sent, Wrong};
use crate::keys::id;
use crate::users::UserObject;

/// One member, or several.
#[derive(Clone, Debug)]
pub struct Members(Vec<MemberField>);

impl Field for Members {
    fn read(value: Value) -> std::result::Result<Members, Wrong> {
        match value {
            Value::Array(_) => Vec::read(value).map(Members),
            one => MemberField::read(one).map(|member| Members(vec![member])),
        }
    }
}

/// Who shall join a team, and what they may do there.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddMembers {
    #[schema(value_type = String)]
    team_id: Required<String>,
    /// One member, or a list of them.
    #[schema(value_type = Vec<MemberBody>)]
    member: Required<Members>,
    /// Dollars that each of them may spend in the team.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    max_budget_in_team: Sent<Amount>,
    /// How often that is reset.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    budget_duration: Sent<String>,
    /// A plan (`POST /budget/new`) whose limits hold where nothing else is said here.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    budget_id: Sent<String>,
    /// Public model names; empty: every model of the team.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_models: Sent<Vec<String>>,
}

/// The team, and who was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedMembers {
    #[serde(flatten)]
    team: TeamObject,
    updated_users: Vec<UserObject>,
    updated_team_memberships: Vec<MembershipObject>,
}

/// Adds members to a team. Who is not known yet becomes a user.
#[utoipa::path(post, path = "/team/member_add", operation_id = "team_member_add", tag = "teams", request_body = AddMembers,
    responses((status = 200, body = AddedMembers)))]
pub async fn add_members(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<AddMembers>,
) -> Result<Json<AddedMembers>> {
    let terms = MemberTerms {
        budget: BudgetPatch {
            plan: id(&sent.budget_id),
            ..budget(&sent.max_budget_in_team, &sent.budget_duration)?
        },
        allowed_models: sent.allowed_models.0,
        ..MemberTerms::default()
    };
    let joining = sent.member.0.0.into_iter().map(Into::into).collect();
    let added = teams::add_members(&domain, &actor, &sent.team_id.0, joining, terms)
        .await
        .map_err(refused)?;
    let members = added.user_ids.iter().filter_map(|id| added.team.member(id));
    Ok(Json(AddedMembers {
        team: TeamObject::from(&added.team),
        updated_users: added.users.iter().map(UserObject::from).collect(),
        updated_team_memberships: members.map(MembershipObject::from).collect(),
    }))
}

/// A member's budget in the team.
fn budget(max_budget: &Sent<Amount>, duration: &Sent<String>) -> base::Result<BudgetPatch> {
    let budget = budgets::patch(max_budget, &Sent::default(), duration)?;
    Ok(BudgetPatch {
        max_budget: budgets::amount("max_budget_in_team", max_budget)?,
        ..budget
    })
}

/// Who may not, and what is not there, is said as other team endpoints say it; what is wrong with
/// the members themselves as all others do (contract §10.5).
fn refused(error: Error) -> Refused {
    match error.code() {
        Code::Forbidden | Code::NotFound => Refused::detail(error),
        _ => error.into(),
    }
}

/// What shall be different for a member.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeMember {
    #[schema(value_type = String)]
    team_id: Required<String>,
    /// This or `user_email`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_email: Sent<String>,
    /// `admin` or `user`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    role: Sent<TeamRole>,
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    max_budget_in_team: Sent<Amount>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    budget_duration: Sent<String>,
    /// A plan (`POST /budget/new`) whose limits hold where nothing else is said here.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    budget_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    allowed_models: Sent<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    rpm_limit: Sent<i64>,
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    tpm_limit: Sent<i64>,
    /// Dollars added to the budget until `temp_budget_expiry`.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    temp_budget_increase: Sent<Amount>,
    /// A time, or a duration from now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    temp_budget_expiry: Sent<String>,
}

/// A member as they are now.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedMember {
    user_id: String,
    user_email: Option<String>,
    team_id: String,
    role: String,
    #[schema(value_type = Option<f64>)]
    max_budget_in_team: Option<Money>,
    tpm_limit: Option<i64>,
    rpm_limit: Option<i64>,
    budget_duration: Option<String>,
    allowed_models: Vec<String>,
    #[schema(value_type = Option<f64>)]
    temp_budget_increase: Option<Money>,
    temp_budget_expiry: Option<String>,
}

/// Changes a member's role and limits.
#[utoipa::path(post, path = "/team/member_update", operation_id = "team_member_update", tag = "teams", request_body = ChangeMember,
    responses((status = 200, body = ChangedMember)))]
pub async fn change_member(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<ChangeMember>,
) -> Result<Json<ChangedMember>> {
    let person = person(&sent.user_id, &sent.user_email).ok_or_else(|| fields::broken(NOBODY))?;
    let increase = budgets::increase(
        &sent.temp_budget_increase,
        &sent.temp_budget_expiry,
        domain.clock.now(),
    )?;
    let change = MemberChange {
        role: sent.role.0.value(),
        terms: MemberTerms {
            budget: BudgetPatch {
                increase,
                plan: id(&sent.budget_id),
                ..budget(&sent.max_budget_in_team, &sent.budget_duration)?
            },
            allowed_models: sent.allowed_models.0,
            rpm_limit: sent.rpm_limit.0,
            tpm_limit: sent.tpm_limit.0,
        },
    };
    let team_id = sent.team_id.0;
    let (team, user_id) = teams::change_member(&domain, &actor, &team_id, &person, change)
        .await
        .map_err(refused)?;
    let member = team
        .member(&user_id)
        .ok_or_else(|| Error::new(Code::NotFound, "User not found in team"))
        .map_err(Refused::detail)?;
    let account = &member.account;
    Ok(Json(ChangedMember {
        user_email: member.email.clone(),
        role: member.row.role.clone(),
        max_budget_in_team: account.max_budget,
        tpm_limit: member.row.tpm_limit,
        rpm_limit: member.row.rpm_limit,
        budget_duration: account.duration.clone(),
        allowed_models: member.row.allowed_models.0.clone(),
        temp_budget_increase: account.increase.map(|increase| increase.amount),
        temp_budget_expiry: budgets::shown_time(account.increase.map(|increase| increase.until)),
        user_id,
        team_id,
    }))
}

/// What a member's spend becomes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct ResetMember {
    /// Dollars, at most what is spent; none if not given.
    #[schema(value_type = Option<f64>)]
    reset_to: Sent<Amount>,
}

/// What a member's spend was and is.
#[derive(Debug, Serialize, ToSchema)]
pub struct MemberReset {
    team_id: String,
    user_id: String,
    #[schema(value_type = f64)]
    spend: Money,
    #[schema(value_type = f64)]
    previous_spend: Money,
    #[schema(value_type = Option<f64>)]
    max_budget: Option<Money>,
    budget_reset_at: Option<String>,
}

/// Moves what a member has spent in a team in the current period down to an amount.
#[utoipa::path(post, path = "/team/{team_id}/member/{user_id}/reset_spend", operation_id = "team_member_reset_spend",
    tag = "teams", params(("team_id" = String, Path), ("user_id" = String, Path)),
    request_body = ResetMember, responses((status = 200, body = MemberReset)))]
pub async fn reset_member_spend(
    State(domain): State<Domain>,
    actor: Anyone,
    Path((team_id, user_id)): Path<(String, String)>,
    OptionalJson(sent): OptionalJson<ResetMember>,
) -> Result<Json<MemberReset>> {
    let to = budgets::amount("reset_to", &sent.reset_to).map_err(Refused::detail)?;
    let to = to.value().unwrap_or_default();
    let reset = teams::reset_member_spend(&domain, &actor, &team_id, &user_id, to)
        .await
        .map_err(Refused::detail)?;
    let account = reset
        .team
        .member(&user_id)
        .map(|member| member.account.clone());
    let account = account.unwrap_or_default();
    Ok(Json(MemberReset {
        team_id,
        user_id,
        spend: account.spend,
        previous_spend: reset.previous,
        max_budget: account.max_budget,
        budget_reset_at: budgets::shown_time(account.resets_at),
    }))
}

/// Takes a member's own limits away: they have those of all members again.
#[utoipa::path(post, path = "/team/{team_id}/member/{user_id}/reset_budget", operation_id = "team_member_reset_budget",
    tag = "teams", params(("team_id" = String, Path), ("user_id" = String, Path)),
    responses((status = 200, body = MembershipObject)))]
pub async fn reset_member_budget(
    State(domain): State<Domain>,
    actor: Anyone,
    Path((team_id, user_id)): Path<(String, String)>,
) -> Result<Json<MembershipObject>> {
    let team = teams::reset_member_budget(&domain, &actor, &team_id, &user_id)
        .await
        .map_err(Refused::detail)?;
    let member = team
        .member(&user_id)
        .ok_or_else(|| Error::new(Code::NotFound, "User not found in team"))
        .map_err(Refused::detail)?;
    Ok(Json(MembershipObject::from(member)))
}

/// Who shall leave a team.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RemoveMember {
    #[schema(value_type = String)]
    team_id: Required<String>,
    /// This or `user_email`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_id: Sent<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_email: Sent<String>,
}

/// Removes a member from a team, with the keys that they have in it.
#[utoipa::path(post, path = "/team/member_delete", operation_id = "team_member_delete", tag = "teams", request_body = RemoveMember,
    responses((status = 200, body = TeamObject)))]
pub async fn remove_member(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<RemoveMember>,
) -> Result<Json<TeamObject>> {
    let person = person(&sent.user_id, &sent.user_email).ok_or_else(|| fields::broken(NOBODY))?;
    let team = teams::remove_member(&domain, &actor, &sent.team_id.0, &person)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(TeamObject::from(&team)))
}
