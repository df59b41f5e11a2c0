//! Signing in at an identity provider (contract §15): there, back, and whether it is configured.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base::Error;
use domain::Domain;
use domain::federation::sso::{self, Arrival};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::callers::Anyone;
use crate::cookies;
use crate::error::{Refused, Result};
use crate::extract::{Json, Query};
use crate::fields::Sent;
use crate::pages;
use crate::sign_in::{Guest, entered, is_own_path};

/// Where somebody wanted to go.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Departing {
    /// A page of the gateway to be led to afterwards.
    #[param(value_type = Option<String>)]
    next: Sent<String>,
}

/// Leads to the sign-in page of the identity provider; shows our own where none is configured.
#[utoipa::path(get, path = "/sso/key/generate", operation_id = "sso_start", tag = "sign-in", params(Departing),
    responses((status = 200), (status = 303), (status = 503)))]
pub async fn start(
    State(domain): State<Domain>,
    headers: HeaderMap,
    Query(query): Query<Departing>,
) -> Result<Response> {
    let next = query.next.0.value().unwrap_or_default();
    if domain.config.federation.provider.is_none() {
        return Ok(pages::login_page(&domain, StatusCode::OK, None, &next));
    }
    let next = if is_own_path(&next) { &next } else { "" };
    let departure = match sso::depart(&domain, next).await {
        Ok(departure) => departure,
        Err(error) => return failed(&domain, &headers, error),
    };
    let mut response = pages::see_other(&departure.location);
    let cookie = cookies::state(&domain.config.sign_in, &departure.cookie, sso::VALID);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// What the identity provider sends along.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Arriving {
    #[param(value_type = Option<String>)]
    code: Sent<String>,
    #[param(value_type = Option<String>)]
    state: Sent<String>,
    #[param(value_type = Option<String>)]
    error: Sent<String>,
    #[param(value_type = Option<String>)]
    error_description: Sent<String>,
}

/// Signs in whom the identity provider sends back, and leads to where they wanted to go.
#[utoipa::path(get, path = "/sso/callback", operation_id = "sso_callback", tag = "sign-in", params(Arriving),
    responses((status = 303), (status = 401), (status = 403), (status = 502), (status = 503)))]
pub async fn callback(
    State(domain): State<Domain>,
    guest: Guest,
    headers: HeaderMap,
    Query(query): Query<Arriving>,
) -> Result<Response> {
    let text = |sent: Sent<String>| sent.0.value().unwrap_or_default();
    let arrival = Arrival {
        code: text(query.code),
        state: text(query.state),
        error: text(query.error),
        error_description: text(query.error_description),
        cookie: cookies::read(&headers, cookies::STATE).map(str::to_owned),
    };
    let mut response = match sso::arrive(&domain, &guest.0, &arrival).await {
        Ok((signed_in, next)) => entered(&domain, &signed_in, &next),
        Err(error) => match failed(&domain, &headers, error) {
            Ok(page) => page,
            Err(refused) => refused.into_response(),
        },
    };
    let gone = cookies::no_state(&domain.config.sign_in);
    response.headers_mut().append(header::SET_COOKIE, gone);
    Ok(response)
}

/// A page for people, and for programs what the reference answers.
fn failed(domain: &Domain, headers: &HeaderMap, error: Error) -> Result<Response> {
    if error.status() >= 500 {
        tracing::warn!(%error, "signing in at the identity provider failed");
    }
    match pages::are_wanted(headers) {
        true => Ok(pages::sso_failed(domain, &error)),
        false => Err(Refused::detail_text(error)),
    }
}

/// Whether people can sign in at an identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    #[schema(value_type = String)]
    status: &'static str,
    sso_configured: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    provider: Option<&'static str>,
    message: String,
    /// Settings without which it cannot work.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_environment_variables: Vec<String>,
}

/// Says whether people can sign in at an identity provider, and what is missing.
#[utoipa::path(get, path = "/sso/readiness", operation_id = "sso_readiness", tag = "sign-in",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn readiness(State(domain): State<Domain>, _: Anyone) -> Response {
    let config = &domain.config.federation;
    let Some(provider) = &config.provider else {
        return Json(Readiness {
            status: "healthy",
            sso_configured: false,
            provider: None,
            message: "No SSO provider configured".to_owned(),
            missing_environment_variables: Vec::new(),
        })
        .into_response();
    };
    let title = provider.kind.title();
    let is_whole = config.missing.is_empty();
    let answer = Json(Readiness {
        status: if is_whole { "healthy" } else { "unhealthy" },
        sso_configured: true,
        provider: Some(provider.kind.as_str()),
        message: match is_whole {
            true => format!("{title} SSO is properly configured"),
            false => format!(
                "{title} SSO is configured but these settings are missing: {}",
                config.missing.join(", ")
            ),
        },
        missing_environment_variables: config.missing.clone(),
    });
    let status = match is_whole {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, answer).into_response()
}
