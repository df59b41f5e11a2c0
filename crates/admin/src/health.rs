//! What load balancers, orchestrators and Prometheus ask (contract §19).

use std::net::IpAddr;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Actor, Domain, auth, health, permissions};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::callers::{Anyone, Client};
use crate::error::Result;
use crate::extract::{Json, Query};
use crate::fields::Sent;
use crate::model_info;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct HealthQuery {
    /// Only deployments of this public name; 503 when one of them is unhealthy.
    #[param(value_type = Option<String>)]
    model: Sent<String>,
    /// Only the deployment with this id.
    #[param(value_type = Option<String>)]
    model_id: Sent<String>,
}

/// Deployments by whether their upstream answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Endpoints {
    #[schema(value_type = Vec<Object>)]
    healthy_endpoints: Vec<Value>,
    #[schema(value_type = Vec<Object>)]
    unhealthy_endpoints: Vec<Value>,
    healthy_count: usize,
    unhealthy_count: usize,
}

/// Whether calls are welcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(value_type = String)]
    db: &'static str,
}

/// Readiness, and what the process is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadinessDetails {
    #[serde(flatten)]
    readiness: Readiness,
    #[schema(value_type = Object)]
    cache: Value,
    #[schema(value_type = String)]
    litellm_version: &'static str,
    #[schema(value_type = Vec<String>)]
    success_callbacks: Vec<&'static str>,
    log_level: String,
    is_detailed_debug: bool,
}

/// Asks the upstreams of the deployments that the key may call whether they answer.
#[utoipa::path(get, path = "/health", operation_id = "health_all", tag = "health", params(HealthQuery),
    responses((status = 200, body = Endpoints), (status = 503, body = Endpoints)))]
pub async fn all(
    State(domain): State<Domain>,
    actor: Anyone,
    Query(query): Query<HealthQuery>,
) -> Result<Response> {
    let snapshot = domain.models.now();
    let mut deployments = model_info::visible(&actor, &snapshot);
    let (model, id) = (query.model.0.value(), query.model_id.0.value());
    deployments.retain(|deployment| {
        model
            .as_ref()
            .is_none_or(|model| *model == deployment.model_name)
            && id.as_ref().is_none_or(|id| *id == deployment.id)
    });
    let checked = health::check(&domain, deployments).await?;
    let mut found = Endpoints {
        healthy_endpoints: Vec::new(),
        unhealthy_endpoints: Vec::new(),
        healthy_count: 0,
        unhealthy_count: 0,
    };
    for one in &checked {
        let mut shown = shown(&actor, one);
        match &one.verdict {
            Ok(()) => found.healthy_endpoints.push(shown),
            Err(reason) => {
                shown["error"] = reason.as_str().into();
                found.unhealthy_endpoints.push(shown);
            }
        }
    }
    found.healthy_count = found.healthy_endpoints.len();
    found.unhealthy_count = found.unhealthy_endpoints.len();
    let status = match model.is_some() && found.unhealthy_count > 0 {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    Ok((status, Json(found)).into_response())
}

fn shown(actor: &Actor, checked: &health::Checked) -> Value {
    let deployment = &checked.deployment;
    let mut shown = json!({"model": deployment.params.get("model"), "model_id": deployment.id});
    if let Some(api_base) = deployment
        .params
        .get("api_base")
        .filter(|_| actor.sees_all())
    {
        shown["api_base"] = api_base.clone();
    }
    shown
}

/// Says that the process runs.
#[utoipa::path(get, path = "/health/liveliness", operation_id = "health_liveliness", tag = "health",
    responses((status = 200, body = String)))]
pub async fn liveliness() -> Json<&'static str> {
    Json("I'm alive!")
}

/// The same, spelled as others spell it.
#[utoipa::path(get, path = "/health/liveness", operation_id = "health_liveness", tag = "health",
    responses((status = 200, body = String)))]
pub async fn liveness() -> Json<&'static str> {
    Json("I'm alive!")
}

/// Says whether calls are welcome: the database answers, and the process is not stopping.
#[utoipa::path(get, path = "/health/readiness", operation_id = "health_readiness", tag = "health",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn readiness(State(domain): State<Domain>) -> Response {
    let (status, readiness) = ready(&domain).await;
    (status, Json(readiness)).into_response()
}

/// Says the same, and more, to those who have a key.
#[utoipa::path(get, path = "/health/readiness/details", operation_id = "health_readiness_details", tag = "health",
    responses((status = 200, body = ReadinessDetails), (status = 503, body = ReadinessDetails)))]
pub async fn readiness_details(State(domain): State<Domain>, _: Anyone) -> Response {
    let (status, readiness) = ready(&domain).await;
    let level = tracing::level_filters::LevelFilter::current();
    let details = ReadinessDetails {
        readiness,
        cache: Value::Null,
        litellm_version: env!("CARGO_PKG_VERSION"),
        success_callbacks: Vec::new(),
        log_level: level.to_string().to_uppercase(),
        is_detailed_debug: level >= tracing::level_filters::LevelFilter::DEBUG,
    };
    (status, Json(details)).into_response()
}

async fn ready(domain: &Domain) -> (StatusCode, Readiness) {
    let is_connected = health::database_answers(domain).await;
    let db = match is_connected {
        true => "connected",
        false => "disconnected",
    };
    match is_connected && !domain.tasks.is_draining() {
        true => (
            StatusCode::OK,
            Readiness {
                status: "healthy",
                db,
            },
        ),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            Readiness {
                status: "unhealthy",
                db,
            },
        ),
    }
}

/// What Prometheus reads. Needs the key of somebody who sees everything, or one that is limited to
/// this route, unless `litellm_settings.require_auth_for_metrics_endpoint` is false.
#[utoipa::path(get, path = "/metrics", operation_id = "health_metrics", tag = "health",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics(
    State(domain): State<Domain>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
) -> Response {
    let address = client.map(|Extension(client)| client.0);
    if domain.config.metrics_need_key
        && let Err(reason) = may_read_metrics(&domain, &headers, address).await
    {
        let text = format!(
            "Unauthorized access to metrics endpoint: {reason} To allow unauthenticated access, set \
             `litellm_settings.require_auth_for_metrics_endpoint: false` in the configuration file."
        );
        return (StatusCode::UNAUTHORIZED, Json(text)).into_response();
    }
    let text = domain.metrics.encode(domain.ledger.depth());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// The same with a slash, where others redirect to.
#[utoipa::path(get, path = "/metrics/", operation_id = "health_metrics_with_slash", tag = "health",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
pub async fn metrics_with_slash(
    domain: State<Domain>,
    client: Option<Extension<Client>>,
    headers: HeaderMap,
) -> Response {
    metrics(domain, client, headers).await
}

async fn may_read_metrics(
    domain: &Domain,
    headers: &HeaderMap,
    client: Option<IpAddr>,
) -> std::result::Result<(), String> {
    let key = auth::key_from_headers(headers, domain.config.key_header.as_deref());
    let key = key.map_err(|error| format!("{}.", error.message().trim_end_matches('.')))?;
    let caller = auth::authenticate(domain, key, client).await;
    let caller = caller.map_err(|error| format!("{}.", error.message().trim_end_matches('.')))?;
    let path = "/metrics";
    let is_named = match permissions::find(&Method::GET, path) {
        Some(row) => {
            permissions::admit(row, &caller, path).map_err(|error| error.message().to_owned())?;
            permissions::is_delegate(&caller, row, path)
        }
        None => false,
    };
    match caller.sees_all() || is_named {
        true => Ok(()),
        false => Err("the key's role may not see everything.".to_owned()),
    }
}
