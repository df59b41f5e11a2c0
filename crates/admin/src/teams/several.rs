//! Changing much of a team at once: its members, its keys (contract §10.5, §4.2).

use axum::extract::State;
use base::{Code, Error};
use domain::keys::{self, Update};
use domain::teams::{self, MemberTerms, NewMember, Person, TeamRole};
use domain::{Actor, Domain, users};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::{MemberBody, MemberField};
use super::row::{MembershipObject, TeamObject};
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::Json;
use crate::fields::{Amount, Object, Required, Sent, broken};
use crate::keys::{BulkChanged, Changed, KeyObject, NotChanged, key_fields};
use crate::users::UserObject;

/// How many are changed at once.
const MOST: usize = 500;

/// Who shall join a team.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AddManyMembers {
    #[schema(value_type = String)]
    team_id: Required<String>,
    /// At most 500.
    #[serde(default)]
    #[schema(value_type = Option<Vec<MemberBody>>)]
    members: Sent<Vec<MemberField>>,
    /// Every user who is not in it, at most 500; for administrators.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    all_users: Sent<bool>,
    /// Dollars that each of them may spend in the team.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    max_budget_in_team: Sent<Amount>,
}

/// What became of each.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedManyMembers {
    team_id: String,
    results: Vec<AddedMember>,
    total_requested: usize,
    successful_additions: usize,
    failed_additions: usize,
    updated_team: TeamObject,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AddedMember {
    user_id: Option<String>,
    user_email: Option<String>,
    success: bool,
    error: Option<String>,
    updated_user: Option<UserObject>,
    updated_team_membership: Option<MembershipObject>,
}

/// Adds many members to a team, each by itself: one who cannot be added leaves the others alone.
#[utoipa::path(post, path = "/team/bulk_member_add", operation_id = "team_bulk_member_add", tag = "teams",
    request_body = AddManyMembers, responses((status = 200, body = AddedManyMembers)))]
pub async fn add_many_members(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<AddManyMembers>,
) -> Result<Json<AddedManyMembers>> {
    let Required(team_id) = sent.team_id;
    let mut terms = MemberTerms::default();
    terms.budget.max_budget =
        crate::budgets::amount("max_budget_in_team", &sent.max_budget_in_team)?;
    let all = sent.all_users.0.value().unwrap_or_default();
    let joining = joining(&domain, &actor, &team_id, sent.members.0.value(), all)
        .await
        .map_err(Refused::detail)?;
    let mut results = Vec::with_capacity(joining.len());
    for member in joining {
        let Person { user_id, email } = member.person.clone();
        let added =
            teams::add_members(&domain, &actor, &team_id, vec![member], terms.clone()).await;
        results.push(match added {
            Ok(added) => {
                let id = added.user_ids.first();
                let membership = id.and_then(|id| added.team.member(id));
                let user = added.users.first();
                AddedMember {
                    user_id: id.cloned(),
                    user_email: user.and_then(|user| user.row.email.clone()).or(email),
                    success: true,
                    error: None,
                    updated_user: user.map(UserObject::from),
                    updated_team_membership: membership.map(MembershipObject::from),
                }
            }
            // about the team, not about this member
            Err(error) if matches!(error.code(), Code::Forbidden) => {
                return Err(Refused::detail(error));
            }
            Err(error) => AddedMember {
                user_id,
                user_email: email,
                success: false,
                error: Some(error.message().to_owned()),
                updated_user: None,
                updated_team_membership: None,
            },
        });
    }
    let team = teams::view(&domain, &team_id)
        .await
        .map_err(Refused::detail)?;
    let successful = results.iter().filter(|result| result.success).count();
    Ok(Json(AddedManyMembers {
        team_id,
        total_requested: results.len(),
        successful_additions: successful,
        failed_additions: results.len() - successful,
        results,
        updated_team: TeamObject::from(&team),
    }))
}

/// Who is meant.
async fn joining(
    domain: &Domain,
    actor: &Actor,
    team_id: &str,
    members: Option<Vec<MemberField>>,
    all: bool,
) -> base::Result<Vec<NewMember>> {
    let (team, _) = teams::seen(domain, actor, team_id).await?;
    match (members, all) {
        (Some(members), false) if !members.is_empty() => match members.len() {
            ..=MOST => Ok(members.into_iter().map(Into::into).collect()),
            count => Err(Error::new(
                Code::BadRequest,
                format!("at most {MOST} members at once, not {count}"),
            )
            .param("members")),
        },
        (None, true) if !actor.is_admin() => Err(Error::new(
            Code::Forbidden,
            "only administrators can add all users to a team",
        )),
        (None, true) => {
            let most = i64::try_from(MOST).unwrap_or(i64::MAX);
            let ids = users::all_ids(domain, most).await?;
            let new = ids.iter().filter(|id| team.member(id).is_none());
            let new = new.map(|id| NewMember {
                person: Person::by_id(id),
                role: TeamRole::User,
            });
            Ok(new.collect())
        }
        _ => Err(broken("either members or all_users=true must be provided")),
    }
}

/// A change of keys of a team.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangeTeamKeys {
    #[schema(value_type = String)]
    team_id: Required<String>,
    /// Keys, or their hashes; at most 500.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    key_ids: Sent<Vec<String>>,
    /// All of them, at most 500.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    all_keys_in_team: Sent<bool>,
    /// What is changed of each, as `/key/update` takes it.
    #[schema(value_type = Object)]
    update_fields: Required<Object>,
}

/// Changes several keys of a team, each by itself: one that cannot be changed leaves the others alone.
#[utoipa::path(post, path = "/team/key/bulk_update", operation_id = "team_key_bulk_update", tag = "teams",
    request_body = ChangeTeamKeys, responses((status = 200, body = BulkChanged)))]
pub async fn update_keys(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<ChangeTeamKeys>,
) -> Result<Json<BulkChanged>> {
    let Required(team_id) = sent.team_id;
    let (_, reach) = teams::seen(&domain, &actor, &team_id)
        .await
        .map_err(Refused::detail)?;
    if !reach.manages() {
        return Err(Refused::detail(Error::new(
            Code::Forbidden,
            format!("only administrators of a team can change its keys at once. team_id={team_id}"),
        )));
    }
    let of_team = keys::of_teams(&domain, std::slice::from_ref(&team_id)).await?;
    let all = sent.all_keys_in_team.0.value().unwrap_or_default();
    let named = match (sent.key_ids.0.value(), all) {
        (Some(keys), false) if !keys.is_empty() => keys,
        (None, true) => of_team.iter().map(|key| key.row.hash.clone()).collect(),
        _ => return Err(broken("either key_ids or all_keys_in_team=true must be provided").into()),
    };
    if named.len() > MOST {
        let message = format!("at most {MOST} keys at once, not {}", named.len());
        return Err(Error::new(Code::BadRequest, message)
            .param("key_ids")
            .into());
    }
    let Required(mut change) = sent.update_fields;
    // a key is named by the list, and stays in its team
    for name in ["key", "key_alias", "team_id"] {
        change.remove(name);
    }
    let patch = key_fields(&change, domain.clock.now())?;
    let mut answer = BulkChanged {
        total_requested: named.len(),
        successful_updates: Vec::new(),
        failed_updates: Vec::new(),
    };
    for key in named {
        let selector = keys::Selector::key(&key);
        let is_of_team = of_team
            .iter()
            .any(|view| selector == keys::Selector::Hash(view.row.hash.clone()));
        let changed = match is_of_team {
            true => {
                let patch = patch.clone();
                keys::update(&domain, &actor, Update { selector, patch }).await
            }
            false => Err(Error::new(Code::NotFound, "the team has no such key")),
        };
        match changed {
            Ok(view) => answer.successful_updates.push(Changed {
                key,
                key_info: KeyObject::new(view).without_token(),
            }),
            Err(error) => answer.failed_updates.push(NotChanged {
                key,
                key_info: Value::Null,
                failed_reason: error.message().to_owned(),
            }),
        }
    }
    Ok(Json(answer))
}
