//! Thoughts in a message, in all the places where providers and clients keep them.
//!
//! A thought of a chat provider has a seal too, so that it finds back to the member it came from
//! through clients of any format: the member's name, or OpenRouter's whole list of details.

use serde_json::Value;

use super::read_parts::reasoning;
use super::walk::{Object, take};
use crate::conversation::{Content, Part, Seal};
use crate::format::Format;

/// The members of a message that hold thoughts as text; the first one that has any counts.
pub(super) const TEXT_MEMBERS: [&str; 2] = ["reasoning_content", "reasoning"];

/// The seal of a thought that stood in the member `name`.
pub(super) fn seal_of_member(name: &str) -> Seal {
    Seal::new(Format::OpenAiChat, name)
}

/// The seal of a thought with OpenRouter's `reasoning_details`.
pub(super) fn seal_of_details(details: Vec<Value>) -> Seal {
    Seal::new(Format::OpenAiChat, Value::Array(details).to_string())
}

/// OpenRouter's details in a seal.
pub(super) fn details_of_seal(seal: &Seal) -> Option<Vec<Value>> {
    let data = seal.for_format(Format::OpenAiChat)?;
    match data.starts_with('[') {
        true => serde_json::from_str(data).ok(),
        false => None,
    }
}

/// All thoughts of a message, taken out of it. `with_seals`: of a provider's answer, where text alone
/// gets a seal as well.
pub(super) fn of_message(message: &mut Object, with_seals: bool) -> Vec<Part> {
    let blocks = match take(message, "thinking_blocks") {
        Some(Value::Array(blocks)) => blocks,
        _ => Vec::new(),
    };
    let details = match take(message, "reasoning_details") {
        Some(Value::Array(details)) => details,
        _ => Vec::new(),
    };
    let mut text = (String::new(), "");
    for name in TEXT_MEMBERS {
        if let Some(Value::String(found)) = take(message, name)
            && text.0.is_empty()
        {
            text = (found, name);
        }
    }
    let (text, member) = text;
    let parts = thoughts_of_blocks(blocks);
    if !parts.is_empty() {
        return parts;
    }
    if !details.is_empty() {
        let text = match text.is_empty() {
            true => text_of_details(&details),
            false => text,
        };
        let redacted = text.is_empty();
        return vec![reasoning(text, redacted, Some(seal_of_details(details)))];
    }
    if text.is_empty() {
        return Vec::new();
    }
    let seal = with_seals.then(|| seal_of_member(member));
    vec![reasoning(text, false, seal)]
}

/// The thoughts of a list of blocks. Of a streamed thought a client may have kept the pieces, of which
/// only the last one is signed: what goes before it is its text.
fn thoughts_of_blocks(blocks: Vec<Value>) -> Vec<Part> {
    let mut thoughts: Vec<Part> = Vec::new();
    for block in blocks {
        let Value::Object(mut block) = block else {
            continue;
        };
        let Some(thought) = thinking_block(&mut block) else {
            continue;
        };
        match (thoughts.last_mut(), &thought.content) {
            (
                Some(Part {
                    content: Content::Reasoning { text, .. },
                    seal: seal @ None,
                    ..
                }),
                Content::Reasoning {
                    text: more,
                    redacted: false,
                },
            ) => {
                text.push_str(more);
                *seal = thought.seal;
            }
            _ => thoughts.push(thought),
        }
    }
    thoughts
}

/// A block as Anthropic and LiteLLM write it, or a chunk of Mistral's.
pub(super) fn thinking_block(block: &mut Object) -> Option<Part> {
    if let Some(Value::String(data)) = take(block, "data") {
        let seal = Seal::read(Format::Anthropic, &data);
        return Some(reasoning(String::new(), true, Some(seal)));
    }
    let signature = match take(block, "signature") {
        Some(Value::String(signature)) if !signature.is_empty() => Some(signature),
        _ => None,
    };
    match take(block, "thinking")? {
        Value::String(text) => {
            let seal = signature.map(|signature| Seal::read(Format::Anthropic, &signature));
            Some(reasoning(text, false, seal))
        }
        Value::Array(chunks) => {
            let seal = Some(seal_of_member("thinking"));
            Some(reasoning(text_of_chunks(&chunks), false, seal))
        }
        _ => None,
    }
}

/// The text of Mistral's chunks.
pub(super) fn text_of_chunks(chunks: &[Value]) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk["text"].as_str())
        .collect()
}

/// The readable text of OpenRouter's details.
pub(super) fn text_of_details(details: &[Value]) -> String {
    details
        .iter()
        .filter_map(|detail| detail["text"].as_str().or(detail["summary"].as_str()))
        .collect()
}

/// Adds a streamed detail to those before it: texts of the same kind and index go on.
pub(super) fn add_detail(details: &mut Vec<Value>, detail: Value) {
    if let (Some(Value::Object(last)), Value::Object(next)) = (details.last_mut(), &detail)
        && last.get("type") == next.get("type")
        && last.get("index") == next.get("index")
        && last.get("data").is_none()
    {
        for (name, value) in next {
            match (name.as_str(), last.get_mut(name), value) {
                ("text" | "summary", Some(Value::String(text)), Value::String(more)) => {
                    text.push_str(more);
                }
                (_, _, Value::Null) => {}
                (_, _, value) => {
                    last.insert(name.clone(), value.clone());
                }
            }
        }
        return;
    }
    details.push(detail);
}

/// Gemini's thought signature, as its OpenAI-compatible endpoint and LiteLLM write it.
pub(super) fn thought_signature(object: &mut Object) -> Option<Seal> {
    let google = take(object, "extra_content").and_then(|extra| {
        extra["google"]["thought_signature"]
            .as_str()
            .map(str::to_owned)
    });
    let litellm = take(object, "provider_specific_fields").and_then(|fields| {
        let signature = &fields["thought_signature"];
        let first = &fields["thought_signatures"][0];
        signature.as_str().or(first.as_str()).map(str::to_owned)
    });
    let text = google.or(litellm).filter(|text| !text.is_empty())?;
    Some(Seal::read(Format::Gemini, &text))
}
