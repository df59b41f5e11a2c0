//! SCIM 2.0 for identity providers that keep users and groups (RFC 7644): the protocol around
//! [`domain::scim`]. Answers are `application/scim+json`; errors have the RFC's own body
//! ([`crate::dialect`]).

mod definitions;
mod discovery;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::{Code, Error};
use domain::Domain;
use domain::scim::{self, Found, MOST, Question, USUAL};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

pub use discovery::*;

use crate::callers::Anyone;
use crate::error::Result;
use crate::extract::{Json, Path, Query};
use crate::fields::{Object, Sent};
use crate::spend::text;

const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// A user, as SCIM has them. Attributes that are not named here are kept and given back.
#[derive(ToSchema)]
#[schema(example = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "ada@example.com", "externalId": "00u1a2b3c4", "active": true,
    "name": {"givenName": "Ada", "familyName": "Lovelace"}, "displayName": "Ada Lovelace",
    "emails": [{"value": "ada@example.com", "type": "work", "primary": true}]}))]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimUser {
    schemas: Vec<String>,
    /// Ours; what a client sends is not used.
    id: Option<String>,
    /// The provider's.
    #[schema(rename = "externalId")]
    external_id: Option<String>,
    /// Unique, whatever the case.
    #[schema(rename = "userName")]
    user_name: String,
    name: Option<ScimName>,
    #[schema(rename = "displayName")]
    display_name: Option<String>,
    /// Who is not active is blocked: their keys and sessions stop at once.
    active: Option<bool>,
    /// The primary one is the user's address here.
    emails: Option<Vec<ScimEmail>>,
    /// The teams that they are in; only read.
    groups: Option<Vec<ScimReference>>,
    meta: Option<ScimMeta>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimName {
    formatted: Option<String>,
    #[schema(rename = "givenName")]
    given_name: Option<String>,
    #[schema(rename = "familyName")]
    family_name: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimEmail {
    value: String,
    r#type: Option<String>,
    primary: Option<bool>,
}

/// Somebody in a group, or a group that somebody is in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimReference {
    /// The id.
    value: String,
    display: Option<String>,
    #[schema(rename = "$ref")]
    reference: Option<String>,
    r#type: Option<String>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimMeta {
    #[schema(rename = "resourceType")]
    resource_type: String,
    created: String,
    #[schema(rename = "lastModified")]
    last_modified: String,
    location: String,
}

/// A group, which is a team here.
#[derive(ToSchema)]
#[schema(example = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
    "displayName": "Research", "externalId": "00g1a2b3c4",
    "members": [{"value": "0198c2a0-0000-7000-8000-000000000001"}]}))]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimGroup {
    schemas: Vec<String>,
    id: Option<String>,
    #[schema(rename = "externalId")]
    external_id: Option<String>,
    /// The team's alias; no two groups have the same.
    #[schema(rename = "displayName")]
    display_name: String,
    /// Users; who leaves loses the keys that they have in the team.
    members: Option<Vec<ScimReference>>,
    meta: Option<ScimMeta>,
}

/// A page of users.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimUsers {
    schemas: Vec<String>,
    #[schema(rename = "totalResults")]
    total_results: i64,
    #[schema(rename = "startIndex")]
    start_index: i64,
    #[schema(rename = "itemsPerPage")]
    items_per_page: i64,
    #[schema(rename = "Resources")]
    resources: Vec<ScimUser>,
}

/// A page of groups.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimGroups {
    schemas: Vec<String>,
    #[schema(rename = "totalResults")]
    total_results: i64,
    #[schema(rename = "startIndex")]
    start_index: i64,
    #[schema(rename = "itemsPerPage")]
    items_per_page: i64,
    #[schema(rename = "Resources")]
    resources: Vec<ScimGroup>,
}

/// Changes of a user or group (RFC 7644 §3.5.2).
#[derive(ToSchema)]
#[schema(example = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "active", "value": false}]}))]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimPatch {
    schemas: Vec<String>,
    #[schema(rename = "Operations")]
    operations: Vec<ScimOperation>,
}

#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is read as it is")]
pub struct ScimOperation {
    /// `add`, `replace` or `remove`, in any case.
    op: String,
    /// Such as `active` or `members[value eq "…"]`.
    path: Option<String>,
    value: Option<Value>,
}

/// Why a request was refused (RFC 7644 §3.12).
#[derive(Serialize, ToSchema)]
pub struct ScimError {
    #[schema(value_type = Vec<String>)]
    schemas: [&'static str; 1],
    detail: String,
    /// The status as a text.
    status: String,
    #[serde(rename = "scimType", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    kind: Option<&'static str>,
}

impl ScimError {
    pub fn new(error: &Error, status: u16) -> ScimError {
        ScimError {
            schemas: ["urn:ietf:params:scim:api:messages:2.0:Error"],
            detail: error.message().to_owned(),
            status: status.to_string(),
            kind: scim::kind_of_error(error),
        }
    }
}

/// Which resources are listed, and what of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ScimQuery {
    /// Such as `userName eq "ada@example.com"`.
    #[param(value_type = Option<String>)]
    filter: Sent<String>,
    /// The number of the first one, counted from 1.
    #[param(value_type = Option<i64>)]
    start_index: Sent<i64>,
    /// 100 if not given, at most 200.
    #[param(value_type = Option<i64>)]
    count: Sent<i64>,
    /// Only these attributes, with commas between them.
    #[param(value_type = Option<String>)]
    attributes: Sent<String>,
    /// All but these attributes, with commas between them.
    #[param(value_type = Option<String>)]
    excluded_attributes: Sent<String>,
}

impl ScimQuery {
    fn question(&self) -> base::Result<Question> {
        let number = |sent: &Sent<i64>, usual| sent.0.clone().value().unwrap_or(usual);
        let filter = text(&self.filter);
        Ok(Question {
            filter: filter.as_deref().map(scim::parse).transpose()?,
            start: number(&self.start_index, 1).max(1),
            count: number(&self.count, USUAL).clamp(0, MOST),
        })
    }

    /// Leaves of a resource what was asked for.
    fn narrow(&self, resource: &mut Value) {
        let Value::Object(resource) = resource else {
            return;
        };
        let is_fixed = |name: &str| matches!(name, "id" | "schemas");
        let names = |name: &str, list: &str| {
            let mut list = list.split(',').map(str::trim);
            // a part of an attribute is given with all of it
            list.any(|it| {
                it.split('.')
                    .next()
                    .is_some_and(|it| it.eq_ignore_ascii_case(name))
            })
        };
        if let Some(wanted) = text(&self.attributes) {
            resource.retain(|name, _| is_fixed(name) || names(name, &wanted));
        } else if let Some(left_out) = text(&self.excluded_attributes) {
            resource.retain(|name, _| is_fixed(name) || !names(name, &left_out));
        }
    }

    fn listed(&self, question: &Question, found: Found) -> Response {
        let mut resources = found.resources;
        for resource in &mut resources {
            self.narrow(resource);
        }
        answer(
            StatusCode::OK,
            &json!({"schemas": [LIST], "totalResults": found.total,
                "startIndex": question.start, "itemsPerPage": resources.len(),
                "Resources": resources}),
        )
    }
}

/// An answer as SCIM has it.
fn answer(status: StatusCode, body: &Value) -> Response {
    const KIND: HeaderValue = HeaderValue::from_static("application/scim+json");
    (status, [(header::CONTENT_TYPE, KIND)], body.to_string()).into_response()
}

fn made(resource: &Value) -> Response {
    let mut response = answer(StatusCode::CREATED, resource);
    let location = resource["meta"]["location"].as_str().unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn resource(sent: Object) -> Value {
    Value::Object(sent)
}

fn operations(sent: Object) -> base::Result<Map<String, Value>> {
    const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
    let is_patch = |schemas: &Value| {
        let mut schemas = schemas.as_array().into_iter().flatten();
        schemas.any(|it| it.as_str().is_some_and(|it| it.eq_ignore_ascii_case(PATCH)))
    };
    match sent.get("schemas").is_none_or(is_patch) {
        true => Ok(sent),
        false => {
            let message = format!("'schemas' of a change names {PATCH}");
            Err(Error::new(Code::BadRequest, message).param("value"))
        }
    }
}

/// Lists users.
#[utoipa::path(get, path = "/scim/v2/Users", operation_id = "scim_users", tag = "scim", params(ScimQuery),
    responses((status = 200, body = ScimUsers, content_type = "application/scim+json")))]
pub async fn users(
    State(domain): State<Domain>,
    Query(query): Query<ScimQuery>,
) -> Result<Response> {
    let question = query.question()?;
    let found = scim::users::list(&domain, &question).await?;
    Ok(query.listed(&question, found))
}

/// Makes a user.
#[utoipa::path(post, path = "/scim/v2/Users", operation_id = "scim_new_user", tag = "scim",
    request_body(content = ScimUser, content_type = "application/scim+json"),
    responses((status = 201, body = ScimUser, content_type = "application/scim+json")))]
pub async fn new_user(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let user = scim::users::create(&domain, &actor, &resource(sent)).await?;
    Ok(made(&user))
}

/// Shows a user.
#[utoipa::path(get, path = "/scim/v2/Users/{user_id}", operation_id = "scim_user", tag = "scim", params(ScimQuery),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json")))]
pub async fn user(
    State(domain): State<Domain>,
    Path(id): Path<String>,
    Query(query): Query<ScimQuery>,
) -> Result<Response> {
    let mut user = scim::users::find(&domain, &id).await?;
    query.narrow(&mut user);
    Ok(answer(StatusCode::OK, &user))
}

/// Puts a user in the place of what is there of them.
#[utoipa::path(put, path = "/scim/v2/Users/{user_id}", operation_id = "scim_put_user", tag = "scim",
    request_body(content = ScimUser, content_type = "application/scim+json"),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json")))]
pub async fn put_user(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let user = scim::users::replace(&domain, &actor, &id, &resource(sent)).await?;
    Ok(answer(StatusCode::OK, &user))
}

/// Changes a user.
#[utoipa::path(patch, path = "/scim/v2/Users/{user_id}", operation_id = "scim_patch_user", tag = "scim",
    request_body(content = ScimPatch, content_type = "application/scim+json"),
    responses((status = 200, body = ScimUser, content_type = "application/scim+json")))]
pub async fn patch_user(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let user = scim::users::change(&domain, &actor, &id, &operations(sent)?).await?;
    Ok(answer(StatusCode::OK, &user))
}

/// Deletes a user with their keys and memberships.
#[utoipa::path(delete, path = "/scim/v2/Users/{user_id}", operation_id = "scim_delete_user", tag = "scim",
    responses((status = 204)))]
pub async fn delete_user(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    scim::users::delete(&domain, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists groups.
#[utoipa::path(get, path = "/scim/v2/Groups", operation_id = "scim_groups", tag = "scim", params(ScimQuery),
    responses((status = 200, body = ScimGroups, content_type = "application/scim+json")))]
pub async fn groups(
    State(domain): State<Domain>,
    Query(query): Query<ScimQuery>,
) -> Result<Response> {
    let question = query.question()?;
    let found = scim::teams::list(&domain, &question).await?;
    Ok(query.listed(&question, found))
}

/// Makes a group.
#[utoipa::path(post, path = "/scim/v2/Groups", operation_id = "scim_new_group", tag = "scim",
    request_body(content = ScimGroup, content_type = "application/scim+json"),
    responses((status = 201, body = ScimGroup, content_type = "application/scim+json")))]
pub async fn new_group(
    State(domain): State<Domain>,
    actor: Anyone,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let group = scim::teams::create(&domain, &actor, &resource(sent)).await?;
    Ok(made(&group))
}

/// Shows a group.
#[utoipa::path(get, path = "/scim/v2/Groups/{team_id}", operation_id = "scim_group", tag = "scim", params(ScimQuery),
    responses((status = 200, body = ScimGroup, content_type = "application/scim+json")))]
pub async fn group(
    State(domain): State<Domain>,
    Path(id): Path<String>,
    Query(query): Query<ScimQuery>,
) -> Result<Response> {
    let mut group = scim::teams::find(&domain, &id).await?;
    query.narrow(&mut group);
    Ok(answer(StatusCode::OK, &group))
}

/// Puts a group in the place of what is there of it.
#[utoipa::path(put, path = "/scim/v2/Groups/{team_id}", operation_id = "scim_put_group", tag = "scim",
    request_body(content = ScimGroup, content_type = "application/scim+json"),
    responses((status = 200, body = ScimGroup, content_type = "application/scim+json")))]
pub async fn put_group(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let group = scim::teams::replace(&domain, &actor, &id, &resource(sent)).await?;
    Ok(answer(StatusCode::OK, &group))
}

/// Changes a group.
#[utoipa::path(patch, path = "/scim/v2/Groups/{team_id}", operation_id = "scim_patch_group", tag = "scim",
    request_body(content = ScimPatch, content_type = "application/scim+json"),
    responses((status = 200, body = ScimGroup, content_type = "application/scim+json")))]
pub async fn patch_group(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
    Json(sent): Json<Object>,
) -> Result<Response> {
    let group = scim::teams::change(&domain, &actor, &id, &operations(sent)?).await?;
    Ok(answer(StatusCode::OK, &group))
}

/// Deletes a group, which is a team with its keys; the people stay.
#[utoipa::path(delete, path = "/scim/v2/Groups/{team_id}", operation_id = "scim_delete_group", tag = "scim",
    responses((status = 204)))]
pub async fn delete_group(
    State(domain): State<Domain>,
    actor: Anyone,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    scim::teams::delete(&domain, &actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
