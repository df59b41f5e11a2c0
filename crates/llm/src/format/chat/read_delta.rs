//! The shape of a chunk of a provider's stream.
//!
//! Members whose type differs from provider to provider are taken as raw JSON and looked at only
//! where they are there.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub model: Raw<'a>,
    #[serde(borrow)]
    pub created: Raw<'a>,
    #[serde(borrow)]
    pub choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub x_groq: Raw<'a>,
    #[serde(borrow)]
    pub service_tier: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    /// Perplexity
    #[serde(borrow)]
    pub citations: Raw<'a>,
    #[serde(borrow)]
    pub search_results: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Choice<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub finish_reason: Raw<'a>,
    #[serde(borrow)]
    pub stop_reason: Raw<'a>,
    #[serde(borrow)]
    pub logprobs: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Delta<'a> {
    /// A string, or a list of parts (Mistral).
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub reasoning_content: Raw<'a>,
    #[serde(borrow)]
    pub reasoning: Raw<'a>,
    #[serde(borrow)]
    pub reasoning_details: Raw<'a>,
    #[serde(borrow)]
    pub thinking_blocks: Raw<'a>,
    #[serde(borrow)]
    pub refusal: Raw<'a>,
    #[serde(borrow)]
    pub annotations: Raw<'a>,
    #[serde(borrow)]
    pub audio: Raw<'a>,
    #[serde(borrow)]
    pub images: Raw<'a>,
    #[serde(borrow)]
    pub tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    pub function_call: Option<Function<'a>>,
    #[serde(borrow)]
    pub extra_content: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Call<'a> {
    pub index: Option<u32>,
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    #[serde(borrow)]
    pub custom: Option<Function<'a>>,
    #[serde(borrow)]
    pub extra_content: Raw<'a>,
    #[serde(borrow)]
    pub provider_specific_fields: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    /// JSON text; some servers send the object itself.
    #[serde(borrow)]
    pub arguments: Raw<'a>,
    /// Of a custom tool.
    #[serde(borrow)]
    pub input: Raw<'a>,
}

/// The text of a string that is not empty.
pub(super) fn text(raw: Raw<'_>) -> Option<String> {
    let json = raw?.get();
    if !json.starts_with('"') || json.len() == 2 {
        return None;
    }
    serde_json::from_str(json).ok()
}

/// The elements of a list that is not empty.
pub(super) fn list(raw: Raw<'_>) -> Option<Vec<Value>> {
    let json = raw?.get();
    if !json.starts_with('[') {
        return None;
    }
    let items: Vec<Value> = serde_json::from_str(json).ok()?;
    (!items.is_empty()).then_some(items)
}

/// An object.
pub(super) fn object(raw: Raw<'_>) -> Option<serde_json::Map<String, Value>> {
    let json = raw?.get();
    match json.starts_with('{') {
        true => serde_json::from_str(json).ok(),
        false => None,
    }
}
