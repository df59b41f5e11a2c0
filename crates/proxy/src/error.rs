//! Errors in the shape of the protocol that the client speaks: before an answer has begun as JSON,
//! afterwards as the last event of the stream.

use base::{Code, Error, RequestId};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use llm::Format;
use serde_json::{Value, json};

use crate::body::Body;
use crate::headers;

/// The answer to a call that failed before its own answer began.
pub fn respond(format: Format, id: RequestId, error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::whole(body(format, id, error)));
    *response.status_mut() =
        StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers::common(headers, id);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers::cost(headers, Some(base::Money::ZERO), "none");
    if let Some(delay) = error.retry_delay() {
        let seconds = delay.as_millis().div_ceil(1000);
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)),
        );
    }
    response
}

/// The error body of a protocol.
fn body(format: Format, id: RequestId, error: &Error) -> Bytes {
    let object = match format {
        Format::Anthropic | Format::AnthropicTokenCount => anthropic(id, error),
        Format::Gemini
        | Format::GeminiTokenCount
        | Format::GeminiEmbedding
        | Format::GeminiBatchEmbedding => gemini(error),
        _ => openai(error),
    };
    object.to_string().into()
}

/// LiteLLM's and OpenAI's envelope (contract §2.1, E1).
fn openai(error: &Error) -> Value {
    let mut object = json!({
        "message": error.message(),
        "type": error.kind(),
        "param": error.parameter(),
        "code": error.status().to_string(),
    });
    if let Some(details) = error.details() {
        object["details"] = details.clone();
    }
    json!({ "error": object })
}

/// <https://docs.claude.com/en/api/errors>
fn anthropic(id: RequestId, error: &Error) -> Value {
    let mut object = json!({
        "type": anthropic_kind(error),
        "message": error.message(),
    });
    if let Some(details) = error.details() {
        object["details"] = details.clone();
    }
    json!({ "type": "error", "error": object, "request_id": id.to_string() })
}

/// The kinds that Anthropic's clients know, by status where a provider's own word is another's.
fn anthropic_kind(error: &Error) -> &str {
    match error.code() {
        Code::UpstreamRefused | Code::UpstreamUnavailable => match error.status() {
            400 | 422 => "invalid_request_error",
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            503 | 529 => "overloaded_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        },
        code => code.anthropic_kind(),
    }
}

/// Google's `google.rpc.Status` as JSON.
fn gemini(error: &Error) -> Value {
    let status = match error.status() {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    let mut object = json!({
        "code": error.status(),
        "message": error.message(),
        "status": status,
    });
    if let Some(details) = error.details() {
        object["details"] = json!([details]);
    }
    json!({ "error": object })
}

/// The event that ends a stream which has begun and cannot go on.
pub fn event(format: Format, id: RequestId, error: &Error) -> Bytes {
    let mut event = Vec::new();
    match format {
        Format::Anthropic => event.extend_from_slice(b"event: error\n"),
        Format::OpenAiResponses => {
            event.extend_from_slice(b"event: error\ndata: ");
            let object = json!({
                "type": "error",
                "code": error.kind(),
                "message": error.message(),
                "param": error.parameter(),
            });
            event.extend_from_slice(object.to_string().as_bytes());
            event.extend_from_slice(b"\n\n");
            return event.into();
        }
        _ => {}
    }
    event.extend_from_slice(b"data: ");
    event.extend_from_slice(&body(format, id, error));
    event.extend_from_slice(b"\n\n");
    event.into()
}
