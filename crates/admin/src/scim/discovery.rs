//! What a provider can do here (RFC 7644 §4).

use axum::extract::State;
use axum::response::Response;
use base::{Code, Error};
use domain::Domain;
use domain::scim::{ENTERPRISE_SCHEMA, GROUP_SCHEMA, MOST, USER_SCHEMA};
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{LIST, answer, definitions};
use crate::error::Result;
use crate::extract::Path;
use crate::fields::Object;

/// A part of the protocol that is there or not.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimFeature {
    supported: bool,
}

/// Which parts of the protocol are there (RFC 7643 §5).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimConfig {
    schemas: Vec<String>,
    documentation_uri: String,
    patch: ScimFeature,
    bulk: ScimFeature,
    filter: ScimFeature,
    change_password: ScimFeature,
    sort: ScimFeature,
    etag: ScimFeature,
    authentication_schemes: Vec<Object>,
    meta: Object,
}

/// A kind of resources, or a schema (RFC 7643 §6, §7).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimDefinition {
    schemas: Vec<String>,
    id: String,
    name: String,
    description: Option<String>,
    /// Of a kind of resources.
    endpoint: Option<String>,
    schema: Option<String>,
    schema_extensions: Option<Vec<Object>>,
    /// Of a schema.
    attributes: Option<Vec<Object>>,
    meta: Object,
}

/// All kinds of resources, or all schemas.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body that is made as it is")]
pub struct ScimDefinitions {
    schemas: Vec<String>,
    #[schema(rename = "totalResults")]
    total_results: i64,
    #[schema(rename = "startIndex")]
    start_index: i64,
    #[schema(rename = "itemsPerPage")]
    items_per_page: i64,
    #[schema(rename = "Resources")]
    resources: Vec<ScimDefinition>,
}

/// Lists the kinds of resources.
#[utoipa::path(get, path = "/scim/v2", operation_id = "scim_root", tag = "scim",
    responses((status = 200, body = ScimDefinitions, content_type = "application/scim+json")))]
pub async fn root(State(domain): State<Domain>) -> Response {
    listed(types(&domain))
}

/// Says which parts of the protocol are there.
#[utoipa::path(get, path = "/scim/v2/ServiceProviderConfig", operation_id = "scim_config", tag = "scim",
    responses((status = 200, body = ScimConfig, content_type = "application/scim+json")))]
pub async fn config(State(domain): State<Domain>) -> Response {
    let is = |supported: bool| json!({"supported": supported});
    let config = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "documentationUri": "https://datatracker.ietf.org/doc/html/rfc7644",
        "patch": is(true),
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MOST},
        "changePassword": is(false),
        "sort": is(false),
        "etag": is(false),
        "authenticationSchemes": [{"type": "oauthbearertoken", "name": "OAuth Bearer Token",
            "description": "A virtual key that is limited to the routes /scim/*", "primary": true}],
        "meta": {"resourceType": "ServiceProviderConfig",
            "location": link(&domain, "ServiceProviderConfig")},
    });
    answer(StatusCode::OK, &config)
}

/// Lists the kinds of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes", operation_id = "scim_types", tag = "scim",
    responses((status = 200, body = ScimDefinitions, content_type = "application/scim+json")))]
pub async fn resource_types(State(domain): State<Domain>) -> Response {
    listed(types(&domain))
}

/// Shows a kind of resources.
#[utoipa::path(get, path = "/scim/v2/ResourceTypes/{name}", operation_id = "scim_type", tag = "scim",
    responses((status = 200, body = ScimDefinition, content_type = "application/scim+json")))]
pub async fn resource_type(
    State(domain): State<Domain>,
    Path(name): Path<String>,
) -> Result<Response> {
    named(types(&domain), &name)
}

/// Lists the schemas of resources.
#[utoipa::path(get, path = "/scim/v2/Schemas", operation_id = "scim_schemas", tag = "scim",
    responses((status = 200, body = ScimDefinitions, content_type = "application/scim+json")))]
pub async fn schemas(State(domain): State<Domain>) -> Response {
    listed(all_schemas(&domain))
}

/// Shows a schema.
#[utoipa::path(get, path = "/scim/v2/Schemas/{urn}", operation_id = "scim_schema", tag = "scim",
    responses((status = 200, body = ScimDefinition, content_type = "application/scim+json")))]
pub async fn schema(State(domain): State<Domain>, Path(urn): Path<String>) -> Result<Response> {
    named(all_schemas(&domain), &urn)
}

fn link(domain: &Domain, path: &str) -> String {
    domain.config.sign_in.link(&format!("/scim/v2/{path}"))
}

fn types(domain: &Domain) -> Vec<Value> {
    let kind = |name: &str, endpoint: &str, schema: &str, extensions: Value| {
        json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name, "name": name, "endpoint": endpoint, "schema": schema,
            "schemaExtensions": extensions,
            "meta": {"resourceType": "ResourceType",
                "location": link(domain, &format!("ResourceTypes/{name}"))}})
    };
    let enterprise = json!([{"schema": ENTERPRISE_SCHEMA, "required": false}]);
    vec![
        kind("User", "/Users", USER_SCHEMA, enterprise),
        kind("Group", "/Groups", GROUP_SCHEMA, json!([])),
    ]
}

fn all_schemas(domain: &Domain) -> Vec<Value> {
    let located = definitions::all().into_iter().map(|mut schema| {
        let id = schema["id"].as_str().unwrap_or_default().to_owned();
        schema["meta"] = json!({"resourceType": "Schema",
            "location": link(domain, &format!("Schemas/{id}"))});
        schema
    });
    located.collect()
}

fn listed(resources: Vec<Value>) -> Response {
    let count = resources.len();
    let list = json!({"schemas": [LIST], "totalResults": count, "startIndex": 1,
        "itemsPerPage": count, "Resources": resources});
    answer(StatusCode::OK, &list)
}

fn named(resources: Vec<Value>, id: &str) -> Result<Response> {
    let mut resources = resources.iter();
    match resources.find(|it| {
        it["id"]
            .as_str()
            .is_some_and(|own| own.eq_ignore_ascii_case(id))
    }) {
        Some(resource) => Ok(answer(StatusCode::OK, resource)),
        None => Err(Error::new(Code::NotFound, format!("there is no {id}")).into()),
    }
}
