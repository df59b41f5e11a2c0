//! The events of a provider's stream, as they stand on the wire.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::UpstreamError;

#[derive(Deserialize)]
pub(super) struct WireEvent<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    #[serde(default)]
    pub index: u64,
    #[serde(borrow, default)]
    pub delta: Option<WireDelta<'a>>,
    #[serde(borrow, default)]
    pub content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub message: Option<WireMessage<'a>>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct WireDelta<'a> {
    #[serde(borrow, default)]
    pub r#type: Option<Cow<'a, str>>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub partial_json: Option<String>,
    #[serde(default)]
    pub thinking: Option<String>,
    #[serde(default)]
    pub signature: Option<String>,
    #[serde(default)]
    pub citation: Option<Value>,
    #[serde(default)]
    pub content: Option<Value>,
    #[serde(default)]
    pub stop_reason: Option<String>,
    #[serde(default)]
    pub stop_sequence: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WireMessage<'a> {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(borrow, default)]
    pub content: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    pub stop_reason: Option<String>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
}

/// Reads an error event; its status is told by its type.
pub(super) fn error(data: &[u8]) -> UpstreamError {
    let mut error = UpstreamError::read(502, data);
    // the event says of itself that it is an `error`, and of the error what it is
    let value: Option<Value> = serde_json::from_slice(data).ok();
    let kind = value
        .as_ref()
        .and_then(|value| value["error"]["type"].as_str());
    if let Some(kind) = kind {
        error.kind = Some(kind.to_owned());
    }
    error.status = match error.kind.as_deref() {
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("request_too_large") => 413,
        Some("rate_limit_error") => 429,
        Some("api_error") => 500,
        Some("timeout_error") => 504,
        Some("overloaded_error") => 529,
        _ => 502,
    };
    error
}
