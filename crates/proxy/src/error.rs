//! Errors in the shape of the protocol that the client speaks: before an answer has begun as JSON,
//! afterwards as the last event of the stream.

use base::{Error, RequestId};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use llm::Format;
use serde_json::json;

use crate::body::Body;
use crate::headers;

/// The answer to a call that failed before its own answer began.
pub fn respond(format: Format, id: RequestId, error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::whole(body(format, error)));
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

/// The error body of a protocol: Anthropic's own, else LiteLLM's and OpenAI's envelope (contract §2.1, E1).
fn body(format: Format, error: &Error) -> Bytes {
    let mut object = json!({
        "message": error.message(),
        "type": error.kind(),
        "param": error.parameter(),
        "code": error.status().to_string(),
    });
    if let Some(details) = error.details() {
        object["details"] = details.clone();
    }
    let mut body = json!({ "error": object });
    if matches!(format, Format::Anthropic | Format::AnthropicTokenCount) {
        body = json!({
            "type": "error",
            "error": {"type": error.code().anthropic_kind(), "message": error.message()},
        });
    }
    body.to_string().into()
}

/// The event that ends a stream which has begun and cannot go on.
pub fn event(format: Format, error: &Error) -> Bytes {
    let mut event = b"data: ".to_vec();
    event.extend_from_slice(&body(format, error));
    event.extend_from_slice(b"\n\n");
    event.into()
}
