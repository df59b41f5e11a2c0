//! Which models a team may use, and what its members may do with its keys (contract §10.6).

use axum::extract::State;
use domain::{Domain, teams};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{TeamObject, TeamQuery};
use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{self, Required};
use crate::spend::text;

/// Models of a team.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TeamModels {
    #[schema(value_type = String)]
    team_id: Required<String>,
    #[schema(value_type = Vec<String>)]
    models: Required<Vec<String>>,
}

/// Lets a team use more models.
#[utoipa::path(post, path = "/team/model/add", operation_id = "team_model_add", tag = "teams", request_body = TeamModels,
    responses((status = 200, body = TeamObject)))]
pub async fn add_models(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<TeamModels>,
) -> Result<Json<TeamObject>> {
    let team = teams::add_models(&domain, &actor, &sent.team_id.0, sent.models.0)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(TeamObject::from(&team)))
}

/// Takes models away from a team. A team without models left may use none.
#[utoipa::path(post, path = "/team/model/delete", operation_id = "team_model_delete", tag = "teams", request_body = TeamModels,
    responses((status = 200, body = TeamObject)))]
pub async fn remove_models(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<TeamModels>,
) -> Result<Json<TeamObject>> {
    let team = teams::remove_models(&domain, &actor, &sent.team_id.0, sent.models.0)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(TeamObject::from(&team)))
}

/// What plain members of a team may do with its keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct Permissions {
    team_id: String,
    team_member_permissions: Vec<String>,
    #[schema(value_type = Vec<String>)]
    all_available_permissions: &'static [&'static str],
}

/// Shows what plain members of a team may do with its keys.
#[utoipa::path(get, path = "/team/permissions_list", operation_id = "team_permissions_list", tag = "teams", params(TeamQuery),
    responses((status = 200, body = Permissions)))]
pub async fn permissions(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<TeamQuery>,
) -> Result<Json<Permissions>> {
    let id = text(&query.team_id).ok_or_else(|| fields::missing("query", "team_id"))?;
    let (team, _) = teams::seen(&domain, &actor, &id)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(Permissions {
        team_id: id,
        team_member_permissions: team.row.member_permissions.0,
        all_available_permissions: teams::PERMISSIONS,
    }))
}

/// What plain members of a team shall be allowed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SetPermissions {
    #[schema(value_type = String)]
    team_id: Required<String>,
    #[schema(value_type = Vec<String>)]
    team_member_permissions: Required<Vec<String>>,
}

/// Sets what plain members of a team may do with its keys.
#[utoipa::path(post, path = "/team/permissions_update", operation_id = "team_permissions_update", tag = "teams",
    request_body = SetPermissions, responses((status = 200, body = TeamObject)))]
pub async fn set_permissions(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<SetPermissions>,
) -> Result<Json<TeamObject>> {
    let permissions = sent.team_member_permissions.0;
    let team = teams::set_permissions(&domain, &actor, &sent.team_id.0, permissions)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(TeamObject::from(&team)))
}
