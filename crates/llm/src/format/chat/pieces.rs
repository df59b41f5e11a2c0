//! What a chunk of a client's stream may say.

use serde::Serialize;
use serde_json::{Value, json};

use crate::provider::UpstreamError;

/// Why writing cannot fail.
pub(super) const JSON: &str = "what is written has no maps with odd keys, and memory takes it";

/// The delta of a choice.
#[derive(Serialize, Default)]
pub(super) struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_blocks: Option<[Value; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<[Value; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_specific_fields: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<[Value; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<[CallPiece<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function_call: Option<FunctionPiece<'a>>,
}

#[derive(Serialize)]
pub(super) struct CallPiece<'a> {
    pub index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionPiece<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomPiece<'a>>,
}

#[derive(Serialize)]
pub(super) struct FunctionPiece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

#[derive(Serialize)]
pub(super) struct CustomPiece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub input: &'a str,
}

/// An error as OpenAI's SDKs read it from a stream.
pub(super) fn failed(error: &UpstreamError, out: &mut Vec<u8>) {
    let error = json!({"error": {
        "message": error.message,
        "type": error.kind.as_deref().unwrap_or("upstream_error"),
        "param": error.param,
        "code": error.code.clone().unwrap_or_else(|| error.status.to_string()),
    }});
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, &error).expect(JSON);
    out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
}
