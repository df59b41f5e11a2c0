//! The protocols in which the gateway may be asked. One path may be asked in several of them; an error
//! goes back in the one that was spoken.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base::Error;
use domain::v2::{self, Proof};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::scim::ScimError;

/// Who asks, as far as the shape of answers goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
    /// What identity providers speak; see [`crate::scim`].
    Scim,
    /// The `/v2` API, with what is told to whom a path is not open.
    V2(Proof, &'static str),
}

impl Dialect {
    /// What a request speaks. Only lists of models are known in more than one dialect.
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Dialect {
        let path = uri.path();
        if path.starts_with("/scim/") {
            return Dialect::Scim;
        }
        if v2::is_path(path) {
            return Dialect::V2(Proof::of(headers), v2::gate(path));
        }
        let path = path.strip_prefix("/v1").unwrap_or(path);
        match path {
            _ if path.starts_with("beta/") => Dialect::Gemini,
            _ if !(path == "/models" || path.starts_with("/models/")) => Dialect::OpenAi,
            _ if headers.contains_key("anthropic-version") => Dialect::Anthropic,
            _ => Dialect::OpenAi,
        }
    }

    /// An answer as this dialect says it: an error is put into its own shape.
    pub fn say(self, mut response: Response) -> Response {
        let Some(told) = response.extensions_mut().remove::<Told>() else {
            return response;
        };
        let body = match self {
            Dialect::OpenAi => return response,
            Dialect::Anthropic => anthropic(&told.0),
            Dialect::Gemini => gemini(&told.0),
            Dialect::Scim => return scim(&told.0, response),
            Dialect::V2(proof, gate) => {
                let said = v2::told(&told.0, proof, gate);
                if let Ok(status) = StatusCode::from_u16(said.status) {
                    *response.status_mut() = status;
                }
                if said.status == 401 {
                    let bearer = HeaderValue::from_static("Bearer");
                    let headers = response.headers_mut();
                    headers.insert(header::WWW_AUTHENTICATE, bearer);
                }
                v2_body(&told.0, said.detail)
            }
        };
        let (mut head, _) = response.into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        let mut own = Json(body).into_response();
        *own.status_mut() = head.status;
        head.headers.extend(std::mem::take(own.headers_mut()));
        *own.headers_mut() = head.headers;
        own
    }
}

/// The error that an answer tells of.
#[derive(Clone, Debug)]
pub struct Told(pub std::sync::Arc<Error>);

/// RFC 7644 §3.12, which knows no 422.
fn scim(error: &Error, response: Response) -> Response {
    let status = match error.status() {
        422 => 400,
        status => status,
    };
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::from_u16(status).unwrap_or(head.status);
    head.headers.remove(header::CONTENT_LENGTH);
    let kind = HeaderValue::from_static("application/scim+json");
    head.headers.insert(header::CONTENT_TYPE, kind);
    let body = json!(ScimError::new(error, status)).to_string();
    Response::from_parts(head, body.into())
}

/// <https://docs.claude.com/en/api/errors>
fn anthropic(error: &Error) -> Value {
    json!({"type": "error", "error": {
        "type": error.code().anthropic_kind(),
        "message": error.message(),
    }})
}

/// Places of a body that are wrong as pydantic names them, but for what was sent: it may be a secret.
fn v2_body(error: &Error, detail: String) -> Value {
    let Some(Value::Array(places)) = error.details().filter(|_| error.status() == 422) else {
        return json!({"detail": detail});
    };
    let places = places.iter().cloned().map(|mut place| {
        if let Some(place) = place.as_object_mut() {
            place.entry("input").or_insert(Value::Null);
        }
        place
    });
    json!({"detail": places.collect::<Vec<_>>()})
}

/// Google's `google.rpc.Status` as JSON.
fn gemini(error: &Error) -> Value {
    let status = match error.status() {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 | 405 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": error.status(), "message": error.message(), "status": status}})
}
