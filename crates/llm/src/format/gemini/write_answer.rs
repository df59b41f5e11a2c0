//! Writing a whole answer for Google's clients.

use serde_json::{Map, Value, json};

use super::answer_parts::finish_reason;
use super::grounding::{self, Cited};
use super::write_contents::{media_part, sealed};
use crate::conversation::{Answer, Choice, Content, Part, Seal, TokenLogprob};
use crate::format::{Format, Shown};
use crate::json;
use crate::usage;

pub(super) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let candidates: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| candidate(index, choice))
        .collect();
    let mut response = Map::new();
    response.insert("candidates".to_owned(), candidates.into());
    if let Some(usage) = &answer.usage {
        let metadata = usage::gemini::write(usage, tier(answer.service_tier.as_deref()));
        response.insert("usageMetadata".to_owned(), metadata);
    }
    response.insert("modelVersion".to_owned(), shown.model.as_str().into());
    let id = answer.id.as_deref().unwrap_or(&shown.id);
    response.insert("responseId".to_owned(), id.into());
    json::write(&Value::Object(response))
}

/// The service tiers that Google's clients know.
pub(super) fn tier(tier: Option<&str>) -> Option<&str> {
    match tier? {
        "default" | "standard" => Some("standard"),
        tier @ ("flex" | "priority") => Some(tier),
        _ => None,
    }
}

fn candidate(index: usize, choice: &Choice) -> Value {
    let mut parts = Vec::new();
    let mut cited = Vec::new();
    for part in &choice.parts {
        let Some(value) = part_value(part) else {
            continue;
        };
        if let Content::Text { text, citations } = &part.content {
            cited.extend(citations.iter().map(|citation| Cited {
                citation,
                part: parts.len(),
                bytes: grounding::in_bytes(text, citation.span),
            }));
        }
        parts.push(value);
    }
    if parts.is_empty() {
        // Google's clients throw a turn without parts out of their history
        parts.push(json!({"text": ""}));
    }
    let mut candidate = Map::new();
    let content = json!({"parts": parts, "role": "model"});
    candidate.insert("content".to_owned(), content);
    let reason = choice.stop.as_ref().map_or("STOP", finish_reason);
    candidate.insert("finishReason".to_owned(), reason.into());
    candidate.insert("index".to_owned(), index.into());
    if let Some(metadata) = grounding::write(&cited) {
        candidate.insert("groundingMetadata".to_owned(), metadata);
    }
    if !choice.logprobs.is_empty() {
        candidate.insert(
            "logprobsResult".to_owned(),
            logprobs_result(&choice.logprobs),
        );
    }
    Value::Object(candidate)
}

/// A part for the client; `None` for what it has no way to be shown.
pub(super) fn part_value(part: &Part) -> Option<Value> {
    let mut redacted = false;
    let value = match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => json!({"text": text}),
        Content::Reasoning {
            text,
            redacted: is_redacted,
        } => {
            redacted = *is_redacted;
            let pad = part.seal.as_ref().map_or("", pad);
            json!({"text": format!("{text}{pad}"), "thought": true})
        }
        Content::Media(media) => media_part(media).ok()?,
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => json!({"functionCall": function_call(id, name, arguments)}),
        Content::Native {
            format: Format::Gemini,
            value,
        } => value.clone(),
        Content::Native { .. } | Content::ToolResult { .. } => return None,
    };
    let signature = part.seal.as_ref().map(|seal| signature(seal, redacted));
    Some(sealed(value, signature))
}

/// `functionCall`. Arguments are an object always: what is none is put into one.
pub(super) fn function_call(id: &str, name: &str, arguments: &str) -> Value {
    let args = match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(args)) => Value::Object(args),
        Ok(Value::Null) => json!({}),
        Ok(other) => json!({"input": other}),
        Err(_) if arguments.trim().is_empty() => json!({}),
        Err(_) => json!({"input": arguments}),
    };
    json!({"id": id, "name": name, "args": args})
}

/// Marks the seal of reasoning that its provider does not show.
pub(super) const REDACTED: &str = "redacted:";

/// Ends a thought that bears another provider's seal; the reader takes it off again. Clients forget
/// parts without text, seals and all (Vercel's AI SDK), and in a stream the seal comes behind the text.
pub(super) const PAD: &str = " ";

/// What of [`PAD`] a thought with this seal ends in.
pub(super) fn pad(seal: &Seal) -> &'static str {
    match seal.format {
        Format::Gemini => "",
        _ => PAD,
    }
}

/// The thought signature under which a client sends a seal back.
pub(super) fn signature(seal: &Seal, redacted: bool) -> String {
    match redacted {
        true => Seal::new(seal.format, format!("{REDACTED}{}", seal.data)).write(Format::Gemini),
        false => seal.write(Format::Gemini),
    }
}

pub(super) fn logprobs_result(logprobs: &[TokenLogprob]) -> Value {
    let chosen: Vec<Value> = logprobs
        .iter()
        .map(|token| json!({"token": token.token, "logProbability": token.logprob}))
        .collect();
    let top: Vec<Value> = logprobs
        .iter()
        .map(|token| {
            let candidates: Vec<Value> = token
                .top
                .iter()
                .map(|top| json!({"token": top.token, "logProbability": top.logprob}))
                .collect();
            json!({"candidates": candidates})
        })
        .collect();
    json!({"chosenCandidates": chosen, "topCandidates": top})
}
