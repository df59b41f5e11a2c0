//! Bedrock's whole answer.

use base::{Code, Error, Result};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ANSWER_TOOL, REDACTED};
use crate::conversation::{
    Answer, Choice, Citation, Content, Media, MediaKind, MediaSource, Part, Seal, Stop, ToolKind,
};
use crate::format::Format;
use crate::usage;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    stop_reason: Option<String>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    additional_model_response_fields: Value,
    service_tier: Option<ServiceTier>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ServiceTier {
    #[serde(rename = "type")]
    pub name: String,
}

/// A block of any kind: one member is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    reasoning_content: Option<ReasoningContent>,
    citations_content: Option<CitationsContent>,
    image: Option<Image>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    tool_use_id: String,
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    /// `server_tool_use`: the provider runs it.
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningContent {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ReasoningText {
    #[serde(default)]
    text: String,
    signature: Option<String>,
}

#[derive(Deserialize)]
struct CitationsContent {
    #[serde(default)]
    content: Vec<Value>,
    #[serde(default)]
    citations: Vec<Value>,
}

#[derive(Deserialize)]
struct Image {
    format: String,
    #[serde(default)]
    source: Value,
}

/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of this format.
pub(super) fn read(body: &[u8]) -> Result<Answer> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider sent an answer that cannot be read",
        )
        .caused_by(error)
    })?;
    let mut parts: Vec<Part> = Vec::new();
    let mut is_forced = false;
    for raw in body.output.message.content {
        let part = part(raw, &mut is_forced);
        parts.extend(part);
    }
    let mut stop = stop(
        body.stop_reason.as_deref().unwrap_or("end_turn"),
        &body.additional_model_response_fields,
    );
    if is_forced && stop == Stop::ToolCalls && !parts.iter().any(is_call) {
        stop = Stop::End;
    }
    Ok(Answer {
        choices: vec![Choice {
            parts,
            stop: Some(stop),
            logprobs: Vec::new(),
        }],
        usage: usage::converse::read(&body.usage),
        service_tier: body.service_tier.map(|tier| tier.name),
        ..Answer::default()
    })
}

fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall { .. })
}

/// `None` for a block that says nothing.
fn part(raw: &RawValue, is_forced: &mut bool) -> Option<Part> {
    let native = || {
        let value = serde_json::from_str(raw.get()).ok()?;
        Some(Part::new(native(value)))
    };
    let Ok(block) = serde_json::from_str::<Block<'_>>(raw.get()) else {
        return native();
    };
    if let Some(text) = block.text {
        return (!text.is_empty()).then(|| Part::text(text));
    }
    if let Some(call) = block.tool_use {
        let arguments = call.input.map_or("{}", RawValue::get);
        if call.kind.as_deref() == Some("server_tool_use") {
            return native();
        }
        if call.name == ANSWER_TOOL {
            *is_forced = true;
            return Some(Part::text(arguments));
        }
        return Some(Part::new(Content::ToolCall {
            id: call.tool_use_id,
            name: call.name,
            arguments: arguments.to_owned(),
            kind: ToolKind::Function,
        }));
    }
    if let Some(reasoning) = block.reasoning_content {
        return reasoning_part(reasoning);
    }
    if let Some(cited) = block.citations_content {
        return Some(cited_text(cited));
    }
    match block.image {
        Some(image) => image_part(&image.format, &image.source),
        None => native(),
    }
}

pub(super) fn native(value: Value) -> Content {
    Content::Native {
        format: Format::Converse,
        value,
    }
}

fn reasoning_part(reasoning: ReasoningContent) -> Option<Part> {
    if let Some(data) = reasoning.redacted_content {
        return Some(redacted(&data));
    }
    let ReasoningText { text, signature } = reasoning.reasoning_text?;
    let mut part = Part::new(Content::Reasoning {
        text,
        redacted: false,
    });
    part.seal = signature.map(|signature| Seal::new(Format::Converse, signature));
    Some(part)
}

/// Reasoning that only the provider can read.
pub(super) fn redacted(data: &str) -> Part {
    let mut part = Part::new(Content::Reasoning {
        text: String::new(),
        redacted: true,
    });
    part.seal = Some(Seal::new(Format::Converse, format!("{REDACTED}{data}")));
    part
}

fn cited_text(cited: CitationsContent) -> Part {
    let text = cited
        .content
        .iter()
        .filter_map(|piece| piece.get("text")?.as_str())
        .collect();
    Part::new(Content::Text {
        text,
        citations: cited.citations.into_iter().map(citation).collect(),
    })
}

/// The same in an answer and in a stream.
pub(super) fn citation(native: Value) -> Citation {
    let word = |pointer: &str| native.pointer(pointer)?.as_str().map(str::to_owned);
    let source = word("/source").filter(|source| source.starts_with("http"));
    Citation {
        url: word("/location/web/url").or(source),
        title: word("/title"),
        quote: word("/sourceContent/0/text"),
        span: None,
        native: Some((Format::Converse, native)),
    }
}

/// An image that the model made.
pub(super) fn image_part(format: &str, source: &Value) -> Option<Part> {
    let place = |pointer: &str| source.pointer(pointer)?.as_str().map(str::to_owned);
    let source = place("/bytes")
        .map(MediaSource::Base64)
        .or_else(|| place("/s3Location/uri").map(MediaSource::Url))?;
    Some(Part::new(Content::Media(Media {
        kind: MediaKind::Image,
        media_type: Some(format!("image/{format}")),
        source,
        name: None,
        detail: None,
        is_citable: false,
        transcript: None,
    })))
}

/// `fields` are what the model's own answer had beside (`additionalModelResponseFields`).
pub(super) fn stop(reason: &str, fields: &Value) -> Stop {
    match reason {
        "end_turn" => Stop::End,
        "tool_use" => Stop::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => Stop::MaxTokens,
        "stop_sequence" => {
            let sequence = fields.get("stop_sequence").and_then(Value::as_str);
            Stop::Sequence(sequence.map(str::to_owned))
        }
        "guardrail_intervened" | "content_filtered" => Stop::Filtered,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        other => Stop::Other(other.to_owned()),
    }
}
