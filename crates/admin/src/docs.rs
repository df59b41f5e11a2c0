//! What the gateway can do, for programs and people: the OpenAPI document, the list of routes, and
//! the way to the reference page.

use axum::extract::State;
use axum::response::Redirect;
use domain::Domain;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

use crate::extract::Json;
use crate::openapi::operations;

/// Every route of the gateway.
#[derive(Debug, Serialize, ToSchema)]
pub struct Routes {
    routes: Vec<Route>,
}

/// A path and how it may be called.
#[derive(Debug, Serialize, ToSchema)]
pub struct Route {
    path: String,
    methods: Vec<String>,
    name: String,
    endpoint: String,
}

/// Leads to the reference page.
#[utoipa::path(get, path = "/", operation_id = "documentation_root", tag = "documentation", responses((status = 307)))]
pub async fn root(State(domain): State<Domain>) -> Redirect {
    Redirect::temporary(&format!("{}/docs", domain.config.sign_in.root_path))
}

/// The OpenAPI document of the gateway.
#[utoipa::path(get, path = "/openapi.json", operation_id = "documentation_openapi", tag = "documentation",
    responses((status = 200, body = Object)))]
pub async fn openapi() -> Json<OpenApi> {
    Json(crate::openapi())
}

/// Lists all routes.
#[utoipa::path(get, path = "/routes", operation_id = "documentation_routes", tag = "documentation",
    responses((status = 200, body = Routes)))]
pub async fn routes() -> Json<Routes> {
    let document = crate::openapi();
    let mut routes: Vec<Route> = Vec::new();
    for (method, path, operation) in operations(&document) {
        let method = method.to_string();
        if let Some(route) = routes.last_mut().filter(|route| route.path == path) {
            route.methods.push(method);
            continue;
        }
        let name = operation.operation_id.clone().unwrap_or_default();
        routes.push(Route {
            path: path.to_owned(),
            methods: vec![method],
            endpoint: name.clone(),
            name,
        });
    }
    Json(Routes { routes })
}
