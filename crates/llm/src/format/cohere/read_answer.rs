//! Cohere's whole answer.

use base::{Code, Error, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{Logprobs, PLAN, THINKING, citations, stop};
use crate::conversation::{Answer, Choice, Content, Part, Seal, ToolKind};
use crate::format::Format;
use crate::usage;

#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    message: Message,
    finish_reason: Option<String>,
    #[serde(default)]
    usage: Value,
    logprobs: Option<Vec<Logprobs>>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Vec<Block>>,
    tool_plan: Option<String>,
    tool_calls: Option<Vec<ToolCall>>,
    citations: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<String>,
}

/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of this format, and for a generation that failed.
pub(super) fn read(body: &[u8]) -> Result<Answer> {
    let unavailable = |message: &'static str| Error::new(Code::UpstreamUnavailable, message);
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        unavailable("the provider sent an answer that cannot be read").caused_by(error)
    })?;
    let reason = body.finish_reason.as_deref().unwrap_or("COMPLETE");
    let stop = stop(reason)
        .ok_or_else(|| unavailable("the provider failed while it generated the answer"))?;
    let logprobs = body.logprobs.into_iter().flatten();
    Ok(Answer {
        id: body.id,
        choices: vec![Choice {
            parts: parts(body.message),
            stop: Some(stop),
            logprobs: logprobs.filter_map(Logprobs::token).collect(),
        }],
        usage: usage::cohere::read(&body.usage),
        ..Answer::default()
    })
}

fn parts(message: Message) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(plan) = message.tool_plan.filter(|plan| !plan.is_empty()) {
        parts.push(thought(plan, PLAN));
    }
    let mut cited = message.citations.unwrap_or_default();
    for (index, block) in message.content.into_iter().flatten().enumerate() {
        if let Some(text) = block.thinking.filter(|text| !text.is_empty()) {
            parts.push(thought(text, THINKING));
        } else if let Some(text) = block.text.filter(|text| !text.is_empty()) {
            let own = |citation: &mut Value| {
                let place = citation.get("content_index").and_then(Value::as_u64);
                place.unwrap_or(index as u64) == index as u64
            };
            let citations = cited.extract_if(.., own).flat_map(citations).collect();
            parts.push(Part::new(Content::Text { text, citations }));
        }
    }
    for call in message.tool_calls.into_iter().flatten() {
        let arguments = call.function.arguments.filter(|text| !text.is_empty());
        parts.push(Part::new(Content::ToolCall {
            id: call.id,
            name: call.function.name,
            arguments: arguments.unwrap_or_else(|| "{}".to_owned()),
            kind: ToolKind::Function,
        }));
    }
    parts
}

fn thought(text: String, place: &str) -> Part {
    let mut part = Part::new(Content::Reasoning {
        text,
        redacted: false,
    });
    part.seal = Some(Seal::new(Format::Cohere, place));
    part
}
