//! Organizations and their members (contract §11).

mod body;
mod members;
mod row;

use axum::extract::{Path, State};
use base::{Code, Error};
use domain::Domain;
use domain::organizations;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::organizations::Filter;
use utoipa::{IntoParams, ToSchema};

pub use body::{ChangedOrganization, NewOrganization, OrganizationBody, OrganizationMemberBody};
pub use members::*;
pub use row::{OrganizationMembershipObject, OrganizationObject, OrganizationTeam};

use crate::callers::Anyone;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::{self, Required, Sent};
use crate::spend::text;
use body::{NewOrganizationBody, OrganizationRef};

/// Makes an organization.
#[utoipa::path(post, path = "/organization/new", operation_id = "organization_new", tag = "organizations",
    request_body = NewOrganization, responses((status = 200, body = OrganizationObject)))]
pub async fn new(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Value>,
) -> Result<Json<OrganizationObject>> {
    let new: NewOrganizationBody = fields::read(sent.clone(), "body")?;
    let mut body: OrganizationBody = fields::read(sent, "body")?;
    body.organization_alias = Sent(domain::Patch::Value(new.organization_alias.0));
    let id = text(&new.organization_id);
    let made = organizations::create(&domain, &actor, id, body.fields()?)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OrganizationObject::from(&made)))
}

/// Changes an organization. Its own administrators give it nothing that it has not.
#[utoipa::path(patch, path = "/organization/update", operation_id = "organization_update", tag = "organizations",
    request_body = ChangedOrganization, responses((status = 200, body = OrganizationObject)))]
pub async fn update(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Value>,
) -> Result<Json<OrganizationObject>> {
    let which: OrganizationRef = fields::read(sent.clone(), "body")?;
    let body: OrganizationBody = fields::read(sent, "body")?;
    changed(&domain, &actor, &which.organization_id.0, body).await
}

/// Changes an organization. Fields that it does not know are refused.
#[utoipa::path(patch, path = "/v2/organization/{organization_id}", operation_id = "v2_organization_update",
    tag = "organizations", params(("organization_id" = String, Path)), request_body = OrganizationBody,
    responses((status = 200, body = OrganizationObject)))]
pub async fn patch(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(organization_id): Path<String>,
    Json(sent): Json<Value>,
) -> Result<Json<OrganizationObject>> {
    let body: OrganizationBody = fields::read(sent, "body")?;
    body.refuse_unknown()?;
    changed(&domain, &actor, &organization_id, body).await
}

async fn changed(
    domain: &Domain,
    actor: &Anyone,
    id: &str,
    body: OrganizationBody,
) -> Result<Json<OrganizationObject>> {
    let changed = organizations::update(domain, actor, id, body.fields()?)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OrganizationObject::from(&changed)))
}

/// Which organizations.
#[derive(Debug, Deserialize, ToSchema)]
pub struct OrganizationIds {
    #[schema(value_type = Vec<String>)]
    organization_ids: Required<Vec<String>>,
}

/// Deletes organizations with their teams and keys: all of them, or none if one is unknown.
#[utoipa::path(delete, path = "/organization/delete", operation_id = "organization_delete", tag = "organizations",
    request_body = OrganizationIds, responses((status = 200, body = Vec<OrganizationObject>)))]
pub async fn delete(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<OrganizationIds>,
) -> Result<Json<Vec<OrganizationObject>>> {
    let gone = organizations::delete(&domain, &actor, &sent.organization_ids.0)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(gone.iter().map(OrganizationObject::from).collect()))
}

/// Which organizations to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OrganizationsQuery {
    #[serde(default)]
    #[param(value_type = Option<String>)]
    org_id: Sent<String>,
    #[serde(default)]
    #[param(value_type = Option<String>)]
    org_alias: Sent<String>,
}

/// Lists organizations: all for administrators, their own for others.
#[utoipa::path(get, path = "/organization/list", operation_id = "organization_list", tag = "organizations",
    params(OrganizationsQuery), responses((status = 200, body = Vec<OrganizationObject>)))]
pub async fn list(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<OrganizationsQuery>,
) -> Result<Json<Vec<OrganizationObject>>> {
    let filter = Filter {
        id: text(&query.org_id),
        alias: text(&query.org_alias),
        ..Filter::default()
    };
    let listed = organizations::list(&domain, &actor, filter).await?;
    Ok(Json(listed.iter().map(OrganizationObject::from).collect()))
}

/// Which organization is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OrganizationQuery {
    #[serde(default)]
    #[param(value_type = String)]
    organization_id: Sent<String>,
}

/// Shows an organization to its members and to administrators.
#[utoipa::path(get, path = "/organization/info", operation_id = "organization_info", tag = "organizations",
    params(OrganizationQuery), responses((status = 200, body = OrganizationObject)))]
pub async fn info(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<OrganizationQuery>,
) -> Result<Json<OrganizationObject>> {
    let missing = || fields::missing("query", "organization_id");
    let id = text(&query.organization_id).ok_or_else(missing)?;
    let seen = organizations::seen(&domain, &actor, &id)
        .await
        .map_err(Refused::detail)?;
    Ok(Json(OrganizationObject::from(&seen)))
}

/// Which organizations are asked for.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct SeveralOrganizations {
    organizations: Vec<String>,
}

/// Shows several organizations; unknown ones are left out.
#[utoipa::path(post, path = "/organization/info", operation_id = "organization_infos", tag = "organizations",
    request_body = SeveralOrganizations, responses((status = 200, body = Vec<OrganizationObject>)))]
pub async fn infos(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<SeveralOrganizations>,
) -> Result<Json<Vec<OrganizationObject>>> {
    let mut seen = Vec::with_capacity(sent.organizations.len());
    for id in &sent.organizations {
        match organizations::seen(&domain, &actor, id).await {
            Ok(organization) => seen.push(OrganizationObject::from(&organization)),
            Err(error) if error.code() == Code::NotFound => {}
            Err(error) => return Err(Refused::detail(error)),
        }
    }
    Ok(Json(seen))
}

/// What is said to whoever names nobody.
fn nobody() -> Error {
    fields::broken(crate::teams::NOBODY)
}
