//! `countTokens`, both sides: what is to be counted, and the count.

use base::{Code, Error, Result};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::read_request::{self, invalid, object};
use super::write_request;
use crate::conversation::{Carry, Conversation};
use crate::format::{Format, To};

/// Reads a client's request: `contents` alone, or a whole `generateContentRequest`.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub fn read_request(body: &[u8]) -> Result<Conversation> {
    let raw: &RawValue = serde_json::from_slice(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    match object("request_body", raw)?.get("generateContentRequest") {
        Some(inner) => read_request::read(inner.get().as_bytes()),
        None => read_request::read(body),
    }
}

/// Writes a request for the provider at `to`. What changes no count is left out.
///
/// # Errors
/// `InvalidRequest` (400) for content that Gemini does not take.
pub fn write_request(from: Format, conversation: &Conversation, to: &To<'_>) -> Result<Vec<u8>> {
    let mut carry = Carry::new(from, to.provider.title, true);
    let request = write_request::write(conversation, to, &mut carry)?;
    let mut request: Value = serde_json::from_slice(&request).map_err(|error| {
        Error::internal("a request of our own is no JSON").caused_by(error.to_string())
    })?;
    let is_vertex = to.provider.name.starts_with("vertex");
    if let Value::Object(members) = &mut request {
        members.retain(|name, _| {
            matches!(&**name, "contents" | "systemInstruction" | "tools")
                || !is_vertex && matches!(&**name, "toolConfig" | "generationConfig")
        });
        if !is_vertex {
            let name = to.model.strip_prefix("models/").unwrap_or(to.model);
            members.insert("model".to_owned(), format!("models/{name}").into());
        }
    }
    Ok(match is_vertex {
        true => request,
        false => json!({"generateContentRequest": request}),
    }
    .to_string()
    .into_bytes())
}

/// Reads a provider's count of tokens.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of that call.
pub fn read_answer(body: &[u8]) -> Result<u64> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        total_tokens: u64,
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider sent an answer that cannot be read",
        )
        .caused_by(error.to_string())
    })?;
    Ok(answer.total_tokens)
}

/// Writes a count for a client.
pub fn write_answer(tokens: u64) -> Vec<u8> {
    json!({"totalTokens": tokens}).to_string().into_bytes()
}
