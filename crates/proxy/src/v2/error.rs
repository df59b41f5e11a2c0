//! Errors of chats in the words of the `/v2` API: `{"detail": …}`, with statuses that a page can act on.
//! A provider's refusal of a key is never a 401 or 403 of ours: front ends sign people out on those.

use base::{Code, Error, RequestId};
use domain::llm_models;
use domain::v2::{self, Proof};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::Chat;
use crate::body::Body;
use crate::handle::Call;
use crate::headers;

/// A failure as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub detail: String,
    /// A word for programs.
    pub code: Option<String>,
}

/// The kind of errors about a key that a provider does not take.
pub const KEY_REJECTED: &str = "provider_key_rejected";

/// The answer to a chat that failed before its own answer began.
pub fn respond(id: RequestId, error: &Error, proof: Proof, call: &Call) -> Response<Body> {
    let told = told(error, proof, call);
    let body = match (error.code(), error.details()) {
        (Code::Validation, Some(details)) => json!({"detail": with_inputs(details)}),
        _ => body(&told),
    };
    let mut response = response(id, told.status, &body);
    let headers = response.headers_mut();
    if told.status == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(delay) = error.retry_delay() {
        let seconds = HeaderValue::from(delay.as_secs().max(1));
        headers.insert(RETRY_AFTER, seconds);
    }
    response
}

/// The answer to a chat that the provider refused.
pub fn upstream(
    error: &Error,
    upstream_headers: &HeaderMap,
    chat: &Chat,
    call: &Call,
) -> Response<Body> {
    let told = told_of_upstream(error, provider(call).unwrap_or(chat.model.provider.title));
    let mut response = response(call.id, told.status, &body(&told));
    if told.status == 429
        && let Some(delay) = upstream_headers.get(RETRY_AFTER)
    {
        response.headers_mut().insert(RETRY_AFTER, delay.clone());
    }
    response
}

fn response(id: RequestId, status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::whole(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers::common(headers, id);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn body(told: &Told) -> Value {
    let mut body = json!({"detail": told.detail});
    if let Some(code) = &told.code {
        body["code"] = json!(code);
    }
    body
}

/// Validation errors as pydantic has them, which name what was sent. It may be a secret, so we do not.
fn with_inputs(details: &Value) -> Value {
    let mut details = details.clone();
    for wrong in details.as_array_mut().into_iter().flatten() {
        if let Some(wrong) = wrong.as_object_mut() {
            wrong.entry("input").or_insert(Value::Null);
        }
    }
    details
}

fn provider(call: &Call) -> Option<&'static str> {
    use domain::deployment::Target;
    match &call.chosen.as_ref()?.deployment.target {
        Target::Upstream(upstream) => Some(upstream.provider.title),
        Target::Demo | Target::Mock(_) => None,
    }
}

fn told(error: &Error, proof: Proof, call: &Call) -> Told {
    let said = |status, detail: String, code: &str| Told {
        status,
        detail,
        code: Some(code.to_owned()),
    };
    match error.code() {
        _ if error.kind() == KEY_REJECTED => said(400, api_error(error.message()), KEY_REJECTED),
        Code::ProviderKeyMissing => {
            let chosen = call.chosen.as_ref();
            let provider = chosen.and_then(|chosen| match &chosen.deployment.target {
                domain::deployment::Target::Upstream(upstream) => {
                    Some(llm_models::shown_provider(upstream.provider))
                }
                _ => None,
            });
            let provider = provider.unwrap_or("this provider");
            let detail = format!(
                "No API key configured for {provider}. Please set your API key in settings."
            );
            said(400, detail, "provider_key_missing")
        }
        // what is refused is not told apart from what is not there
        Code::ModelUnknown
        | Code::KeyModelForbidden
        | Code::TeamModelForbidden
        | Code::UserModelForbidden
        | Code::OrganizationModelForbidden => Told {
            status: 404,
            detail: format!("Model not found: {}", call.requested_model),
            code: None,
        },
        Code::BudgetExceeded => said(403, error.message().to_owned(), "budget_exceeded"),
        Code::UpstreamRefused | Code::UpstreamUnavailable | Code::UpstreamTimeout => {
            told_of_upstream(error, provider(call).unwrap_or("the provider"))
        }
        _ => {
            let told = v2::told(error, proof, v2::gate(""));
            Told {
                status: told.status,
                detail: told.detail,
                code: None,
            }
        }
    }
}

/// What a provider's failure is told as. What a provider says of a key, or of its own troubles, stays in
/// the log.
pub fn told_of_upstream(error: &Error, provider: &str) -> Told {
    let told = |status, detail: String, code: &str| Told {
        status,
        detail: api_error(&detail),
        code: Some(code.to_owned()),
    };
    if error.kind() == KEY_REJECTED {
        return told(400, error.message().to_owned(), KEY_REJECTED);
    }
    match (error.code(), error.status()) {
        (Code::UpstreamTimeout, _) | (_, 408 | 504) => told(
            504,
            format!("{provider} did not answer in time"),
            "upstream_timeout",
        ),
        (_, 401 | 403) => told(
            400,
            format!(
                "{provider} did not accept the API key of this gateway; tell its administrator"
            ),
            KEY_REJECTED,
        ),
        (_, 429) => told(
            429,
            format!("{provider} limits the rate of calls"),
            "rate_limited",
        ),
        (_, 400..500) => told(400, error.message().to_owned(), "invalid_request"),
        _ => told(
            502,
            format!("{provider} could not answer"),
            "upstream_error",
        ),
    }
}

fn api_error(detail: &str) -> String {
    format!("LLM API error: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_keys_sign_nobody_out() {
        let of = |status| {
            let error = Error::new(Code::UpstreamRefused, "Incorrect API key provided: sk-abc")
                .with_status(status);
            told_of_upstream(&error, "OpenAI")
        };
        assert_eq!((of(401).status, of(403).status), (400, 400));
        assert_eq!(of(401).code.as_deref(), Some(KEY_REJECTED));
        assert!(!of(401).detail.contains("sk-abc"));
        for (upstream, ours) in [(400, 400), (404, 400), (413, 400), (422, 400), (429, 429)] {
            assert_eq!(of(upstream).status, ours);
        }
        for (upstream, ours) in [(408, 504), (500, 502), (503, 502), (504, 504), (529, 502)] {
            assert_eq!(of(upstream).status, ours);
        }
        assert!(of(400).detail.starts_with("LLM API error: "));
    }
}
