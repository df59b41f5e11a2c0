//! Reading a request of a Google client.

use std::collections::BTreeMap;

use base::{Code, Error, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::request_parts::Turns;
use super::wire::{Contents, list};
use super::{read_config, read_tools};
use crate::conversation::{Conversation, Other, Part};

/// Reads a request.
///
/// # Errors
/// `InvalidRequest` (400), naming the member that is wrong.
pub(super) fn read(body: &[u8]) -> Result<Conversation> {
    let members = serde_json::from_slice::<BTreeMap<String, &RawValue>>(body)
        .map_err(|error| invalid("request_body", format!("Invalid JSON payload: {error}")))?;
    let mut conversation = Conversation::default();
    let mut has_contents = false;
    let mut tool_config = None;
    for (name, raw) in members {
        if raw.get() == "null" {
            continue;
        }
        let name = camel_case(&name);
        has_contents |= name == "contents";
        match &*name {
            "toolConfig" => tool_config = Some(raw),
            _ => member(&name, raw, &mut conversation)?,
        }
    }
    // it speaks of the tools
    if let Some(raw) = tool_config {
        read_tools::tool_config(raw, &mut conversation)?;
    }
    if !has_contents {
        return Err(invalid("contents", "contents is not specified".to_owned()));
    }
    Ok(conversation)
}

fn member(name: &str, raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    match name {
        "contents" => contents(raw, conversation)?,
        "systemInstruction" => conversation.system = system(raw, &mut conversation.other)?,
        "tools" => read_tools::tools(raw, conversation)?,
        "generationConfig" => read_config::read(raw, conversation)?,
        "labels" => conversation.metadata = parse(name, raw)?,
        "serviceTier" => {
            let tier: String = parse(name, raw)?;
            conversation.service_tier = match &*tier.to_ascii_lowercase() {
                "unspecified" | "" => None,
                "standard" => Some("default".to_owned()),
                tier => Some(tier.to_owned()),
            };
        }
        "safetySettings" => {
            let value: Value = parse(name, raw)?;
            let is_hint = blocks_nothing(&value);
            other(conversation, name, value, is_hint);
        }
        "store" => {
            let value = parse(name, raw)?;
            other(conversation, name, value, true);
        }
        // stands in the URL
        "model" => {}
        // LiteLLM's, for the gateway itself
        "tags"
        | "litellmMetadata"
        | "fallbacks"
        | "numRetries"
        | "guardrails"
        | "mockResponse"
        | "mockTestingFallbacks"
        | "cache" => {}
        _ => {
            let value = parse(name, raw)?;
            other(conversation, name, value, false);
        }
    }
    Ok(())
}

fn contents(raw: &RawValue, conversation: &mut Conversation) -> Result<()> {
    let mut turns = Turns::default();
    for (place, raw) in elements("contents", raw)?.into_iter().enumerate() {
        let path = format!("contents[{place}]");
        let content: Contents<'_> = parse(&path, raw)?;
        turns.add(place, &path, content, &mut conversation.other)?;
    }
    conversation.turns = turns.into_turns();
    Ok(())
}

/// A content, or its text alone.
fn system(raw: &RawValue, others: &mut Vec<Other>) -> Result<Vec<Part>> {
    let path = "systemInstruction";
    if raw.get().starts_with('"') {
        let text: String = parse(path, raw)?;
        return Ok(vec![Part::text(text)]);
    }
    let mut content: Contents<'_> = parse(path, raw)?;
    content.role = None;
    let mut turns = Turns::default();
    turns.add(0, path, content, others)?;
    let parts = turns.into_turns().into_iter().flat_map(|turn| turn.parts);
    Ok(parts.collect())
}

/// Settings that let everything pass are what other providers do anyhow.
fn blocks_nothing(settings: &Value) -> bool {
    settings.as_array().is_some_and(|settings| {
        settings.iter().all(|setting| {
            matches!(
                setting["threshold"].as_str(),
                None | Some("BLOCK_NONE" | "OFF" | "HARM_BLOCK_THRESHOLD_UNSPECIFIED")
            )
        })
    })
}

pub(super) fn other(
    conversation: &mut Conversation,
    field: impl Into<String>,
    value: Value,
    is_hint: bool,
) {
    conversation.other.push(Other {
        field: field.into(),
        value,
        is_hint,
    });
}

/// The elements of the list `path`, where one object stands for a list of one.
pub(super) fn elements<'a>(path: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>> {
    list(Some(raw)).map_err(|_| invalid(path, format!("{path} must be an array")))
}

/// The members of the object `path` under their names in camel case; nulls are left out.
pub(super) fn object<'a>(path: &str, raw: &'a RawValue) -> Result<BTreeMap<String, &'a RawValue>> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get())
        .map_err(|_| invalid(path, format!("{path} must be an object")))?;
    let present = members.into_iter().filter(|(_, raw)| raw.get() != "null");
    Ok(present
        .map(|(name, raw)| (camel_case(&name), raw))
        .collect())
}

/// The value of the member `path`.
pub(super) fn parse<'a, T: Deserialize<'a>>(path: &str, raw: &'a RawValue) -> Result<T> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let error = error.to_string();
        let why = error.split(" at line").next().unwrap_or(&error);
        invalid(path, format!("Invalid value at '{path}': {why}"))
    })
}

pub(super) fn invalid(path: &str, message: String) -> Error {
    Error::new(Code::InvalidRequest, message).param(path.to_owned())
}

pub(super) fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_raised = false;
    for c in name.chars() {
        match c {
            '_' if !camel.is_empty() => is_raised = true,
            c if is_raised => {
                is_raised = false;
                camel.push(c.to_ascii_uppercase());
            }
            c => camel.push(c),
        }
    }
    camel
}
