//! Teams and their members (contract §10).

mod body;
mod members;
mod models;
mod row;
mod several;

use std::collections::HashMap;

use axum::extract::{Path, State};
use base::{Code, Error};
use domain::keys::KeyView;
use domain::teams::{self, Reach, TeamView};
use domain::{Actor, Domain};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::teams::{Filter, Sort};
use utoipa::{IntoParams, ToSchema};

pub use body::{ChangedTeam, MemberBody, NewTeam};
pub use members::*;
pub use models::*;
pub use row::{BudgetTable, MemberObject, MembershipObject, TeamObject};
pub use several::*;

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{self, Object, Required, Sent};
use crate::keys::{KeyObject, with_defaults};
use crate::page::{Page, Sizes};
use crate::spend::text;
pub(crate) use body::{NOBODY, Named, person};
use body::{NewTeamBody, TeamBody, TeamRef};
use row::{memberships, plan_table};

/// Makes a team; whoever makes it administers it.
#[utoipa::path(post, path = "/team/new", operation_id = "team_new", tag = "teams", request_body = NewTeam,
    responses((status = 200, body = TeamObject)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Json<TeamObject>> {
    let sent = Value::Object(with_defaults(sent, &domain.config.default_team_params));
    let team: NewTeamBody = fields::read(sent.clone(), "body")?;
    let fields: TeamBody = fields::read(sent, "body")?;
    let new = teams::NewTeam {
        id: text(&team.team_id),
        fields: fields.fields()?,
        members: team.joining(),
    };
    let team = teams::create(&domain, &actor, new).await?;
    Ok(Json(TeamObject::from(&team)))
}

/// Which team is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TeamQuery {
    #[serde(default)]
    #[param(value_type = String)]
    team_id: Sent<String>,
}

/// A team with its keys and memberships.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamInfo {
    team_id: String,
    team_info: TeamDetails,
    /// All keys of the team for its administrators, their own for other members.
    keys: Vec<KeyObject>,
    /// All memberships for its administrators, their own for other members.
    team_memberships: Vec<MembershipObject>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TeamDetails {
    #[serde(flatten)]
    team: TeamObject,
    /// What members may spend who have no budget of their own.
    #[schema(value_type = Option<Object>)]
    team_member_budget_table: Option<Object>,
    access_group_models: Option<Vec<String>>,
    access_group_mcp_server_ids: Option<Vec<String>>,
    access_group_agent_ids: Option<Vec<String>>,
    access_group_details: Option<Vec<String>>,
    organization_models: Option<Vec<String>>,
    #[schema(value_type = Object)]
    model_max_budget_usage: Object,
    caller_edit_access: EditAccess,
}

/// What the caller may change.
#[derive(Debug, Serialize, ToSchema)]
pub struct EditAccess {
    /// `unrestricted`, `members` or `none`.
    #[schema(value_type = String)]
    kind: &'static str,
}

/// Shows a team to its members and to administrators.
#[utoipa::path(get, path = "/team/info", operation_id = "team_info", tag = "teams", params(TeamQuery),
    responses((status = 200, body = TeamInfo)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<TeamQuery>,
) -> Result<Json<TeamInfo>> {
    let id = text(&query.team_id).ok_or_else(|| {
        Error::new(Code::BadRequest, "Malformed request. No team id passed in.")
            .with_status(422)
            .param("team_id")
    })?;
    let (team, reach) = teams::seen(&domain, &actor, &id).await?;
    let keys = domain::keys::of_teams(&domain, std::slice::from_ref(&id)).await?;
    let keys = visible(keys, &actor, &reach);
    let only = only(&actor, &reach);
    let kind = match (actor.is_admin(), reach.manages()) {
        (true, _) => "unrestricted",
        (false, true) => "members",
        (false, false) => "none",
    };
    Ok(Json(TeamInfo {
        team_id: id,
        team_memberships: memberships(&team, only),
        keys,
        team_info: TeamDetails {
            team: TeamObject::from(&team),
            team_member_budget_table: plan_table(&team),
            access_group_models: None,
            access_group_mcp_server_ids: None,
            access_group_agent_ids: None,
            access_group_details: None,
            organization_models: None,
            model_max_budget_usage: Object::new(),
            caller_edit_access: EditAccess { kind },
        },
    }))
}

/// Whose membership a reader is limited to.
fn only<'a>(actor: &'a Actor, reach: &Reach) -> Option<&'a str> {
    match reach.sees_members() {
        true => None,
        // a key without a user sees the team, but nobody in it
        false => Some(actor.user_id.as_deref().unwrap_or_default()),
    }
}

/// The keys of a team that a reader may see, out of all keys.
fn visible(keys: Vec<KeyView>, actor: &Actor, reach: &Reach) -> Vec<KeyObject> {
    let sees_all = reach.sees_members();
    let keys = keys.into_iter().filter(|key| {
        let is_own = key.row.user_id.is_some() && key.row.user_id == actor.user_id;
        sees_all || is_own || actor.key_id() == Some(key.row.id.as_str())
    });
    keys.map(KeyObject::new).collect()
}

/// Which teams are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TeamsQuery {
    /// Only teams of this user. Others than administrators can list their own alone.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    user_id: Sent<String>,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    organization_id: Sent<String>,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    team_id: Sent<String>,
    /// A part of the alias.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    team_alias: Sent<String>,
    /// A part of the id or the alias.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    search: Sent<String>,
    /// `team_id`, `team_alias` or `created_at`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    sort_by: Sent<String>,
    /// `asc` or `desc`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    sort_order: Sent<String>,
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    page: Sent<i64>,
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    page_size: Sent<i64>,
}

impl TeamsQuery {
    fn filter(&self) -> Filter {
        Filter {
            user_id: text(&self.user_id),
            organization_id: text(&self.organization_id),
            id: text(&self.team_id),
            alias: text(&self.team_alias),
            search: text(&self.search),
        }
    }

    fn order(&self) -> Result<(Sort, bool)> {
        let sort = match text(&self.sort_by).as_deref() {
            None | Some("created_at") => Sort::CreatedAt,
            Some("team_id") => Sort::Id,
            Some("team_alias") => Sort::Alias,
            Some(other) => {
                let message = format!(
                    "sort_by is '{other}'; teams are sorted by team_id, team_alias or created_at"
                );
                return Err(Error::new(Code::BadRequest, message)
                    .param("sort_by")
                    .into());
            }
        };
        Ok((sort, is_descending(&self.sort_order, true)?))
    }
}

/// Reads `sort_order`.
///
/// # Errors
/// [`Code::BadRequest`] for anything but `asc` and `desc`.
pub fn is_descending(order: &Sent<String>, usual: bool) -> Result<bool> {
    match text(order).as_deref() {
        None => Ok(usual),
        Some("asc") => Ok(false),
        Some("desc") => Ok(true),
        Some(other) => {
            let message = format!("sort_order is '{other}'; it is asc or desc");
            Err(Error::new(Code::BadRequest, message)
                .param("sort_order")
                .into())
        }
    }
}

/// A team in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedTeam {
    #[serde(flatten)]
    team: TeamObject,
    keys: Vec<KeyObject>,
    team_memberships: Vec<MembershipObject>,
}

/// Lists all teams, or those of one user.
#[utoipa::path(get, path = "/team/list", operation_id = "team_list", tag = "teams", params(TeamsQuery),
    responses((status = 200, body = Vec<ListedTeam>)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<TeamsQuery>,
) -> Result<Json<Vec<ListedTeam>>> {
    let all = (i64::MAX, 0);
    let order = match text(&query.sort_by) {
        None => (Sort::CreatedAt, false),
        Some(_) => query.order()?,
    };
    let listed = teams::list(&domain, &actor, query.filter(), order, all)
        .await
        .map_err(Refused::detail)?;
    let ids: Vec<String> = listed.teams.iter().map(|it| it.row.id.clone()).collect();
    let mut keys: HashMap<Option<String>, Vec<KeyView>> = HashMap::new();
    for key in domain::keys::of_teams(&domain, &ids).await? {
        keys.entry(key.row.team_id.clone()).or_default().push(key);
    }
    let listed = listed.teams.iter().map(|team| {
        let reach = teams::reach_of(&actor, team);
        let keys = keys.remove(&Some(team.row.id.clone())).unwrap_or_default();
        ListedTeam {
            keys: visible(keys, &actor, &reach),
            team_memberships: memberships(team, only(&actor, &reach)),
            team: TeamObject::from(team),
        }
    });
    Ok(Json(listed.collect()))
}

/// A page of teams.
#[derive(Debug, Serialize, ToSchema)]
pub struct TeamsPage {
    teams: Vec<CountedTeam>,
    total: i64,
    page: i64,
    page_size: i64,
    total_pages: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CountedTeam {
    #[serde(flatten)]
    team: TeamObject,
    members_count: usize,
    keys_count: i64,
    access_group_models: Option<Vec<String>>,
    access_group_mcp_server_ids: Option<Vec<String>>,
    access_group_agent_ids: Option<Vec<String>>,
}

/// Lists teams page by page.
#[utoipa::path(get, path = "/v2/team/list", operation_id = "v2_team_list", tag = "teams", params(TeamsQuery),
    responses((status = 200, body = TeamsPage)))]
pub async fn list_v2(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<TeamsQuery>,
) -> Result<Json<TeamsPage>> {
    let sizes = Sizes {
        name: "page_size",
        usual: 10,
        most: 100,
    };
    let page = Page::read(&query.page, &query.page_size, sizes)?;
    let part = (page.size, page.offset());
    let listed = teams::list(&domain, &actor, query.filter(), query.order()?, part)
        .await
        .map_err(Refused::detail)?;
    let ids: Vec<String> = listed
        .teams
        .iter()
        .map(|team| team.row.id.clone())
        .collect();
    let counts = teams::count_keys(&domain, &ids).await?;
    let counted = |team: TeamView| CountedTeam {
        members_count: team.members.len(),
        keys_count: counts.get(&team.row.id).copied().unwrap_or_default(),
        team: TeamObject::from(&team),
        access_group_models: None,
        access_group_mcp_server_ids: None,
        access_group_agent_ids: None,
    };
    Ok(Json(TeamsPage {
        teams: listed.teams.into_iter().map(counted).collect(),
        total: listed.total,
        page: page.number,
        page_size: page.size,
        total_pages: page.count(listed.total),
    }))
}

/// Lists the teams that the caller may join by themselves.
#[utoipa::path(get, path = "/team/available", operation_id = "team_available", tag = "teams",
    responses((status = 200, body = Vec<TeamObject>)))]
pub async fn available(
    State(domain): State<Domain>,
    actor: Anyone,
) -> Result<Json<Vec<TeamObject>>> {
    let teams = teams::available(&domain, &actor).await?;
    Ok(Json(teams.iter().map(TeamObject::from).collect()))
}

/// A team after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct UpdatedTeam {
    team_id: String,
    data: TeamObject,
}

/// Changes a team.
#[utoipa::path(post, path = "/team/update", operation_id = "team_update", tag = "teams", request_body = ChangedTeam,
    responses((status = 200, body = UpdatedTeam)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Value>,
) -> Result<Json<UpdatedTeam>> {
    let team: TeamRef = fields::read(sent.clone(), "body")?;
    let body: TeamBody = fields::read(sent, "body")?;
    let Required(team_id) = team.team_id;
    let team = teams::update(&domain, &actor, &team_id, body.fields()?).await?;
    Ok(Json(UpdatedTeam {
        team_id,
        data: TeamObject::from(&team),
    }))
}

/// Changes the team that the path names; null clears a field.
#[utoipa::path(patch, path = "/team/{team_id}", operation_id = "team_patch", tag = "teams",
    params(("team_id" = String, Path)), request_body = ChangedTeam,
    responses((status = 200, body = UpdatedTeam)))]
pub async fn patch(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(team_id): Path<String>,
    Json(mut sent): Json<Object>,
) -> Result<Json<UpdatedTeam>> {
    sent.remove("team_id");
    let body: TeamBody = fields::read(Value::Object(sent), "body")?;
    let team = teams::update(&domain, &actor, &team_id, body.fields()?).await?;
    Ok(Json(UpdatedTeam {
        team_id,
        data: TeamObject::from(&team),
    }))
}

/// Which teams.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TeamIds {
    #[schema(value_type = Vec<String>)]
    team_ids: Required<Vec<String>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedTeams {
    deleted_teams: Vec<String>,
}

/// Deletes teams with their keys: all of them, or none if one is unknown.
#[utoipa::path(post, path = "/team/delete", operation_id = "team_delete", tag = "teams", request_body = TeamIds,
    responses((status = 200, body = DeletedTeams)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<TeamIds>,
) -> Result<Json<DeletedTeams>> {
    let deleted = teams::delete(&domain, &actor, &sent.team_ids.0)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(DeletedTeams {
        deleted_teams: deleted,
    }))
}

/// Blocks every key of a team.
#[utoipa::path(post, path = "/team/block", operation_id = "team_block", tag = "teams", request_body = TeamRef,
    responses((status = 200, body = TeamObject)))]
pub async fn block(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(team): Json<TeamRef>,
) -> Result<Json<TeamObject>> {
    set_blocked(&domain, &actor, &team, true).await
}

/// Lets the keys of a team work again.
#[utoipa::path(post, path = "/team/unblock", operation_id = "team_unblock", tag = "teams", request_body = TeamRef,
    responses((status = 200, body = TeamObject)))]
pub async fn unblock(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(team): Json<TeamRef>,
) -> Result<Json<TeamObject>> {
    set_blocked(&domain, &actor, &team, false).await
}

async fn set_blocked(
    domain: &Domain,
    actor: &Actor,
    team: &TeamRef,
    blocked: bool,
) -> Result<Json<TeamObject>> {
    let team = teams::set_blocked(domain, actor, &team.team_id.0, blocked)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(TeamObject::from(&team)))
}

/// The caller's own membership of a team.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnMembership {
    #[serde(flatten)]
    membership: MembershipObject,
    role: String,
    user_email: Option<String>,
    team_alias: Option<String>,
}

/// Shows the caller's own membership of a team.
#[utoipa::path(get, path = "/team/{team_id}/members/me", operation_id = "team_team_id_members_me", tag = "teams",
    params(("team_id" = String, Path)), responses((status = 200, body = OwnMembership)))]
pub async fn own_membership(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(team_id): Path<String>,
) -> Result<Json<OwnMembership>> {
    let (team, member) = teams::membership(&domain, &actor, &team_id)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OwnMembership {
        membership: MembershipObject::from(&member),
        role: member.row.role,
        user_email: member.email,
        team_alias: team.row.alias,
    }))
}
