//! Reading a whole answer of Gemini or Vertex.

use base::{Code, Error, Result};
use serde_json::value::RawValue;

use super::answer_parts::{call_id, logprobs, stop};
use super::grounding;
use super::wire::{Candidate, Response, WirePart, blob, file, list, native};
use crate::conversation::{Answer, Choice, Content, Part, Seal, Stop, ToolKind};
use crate::format::Format;
use crate::usage;

/// Reads an answer.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer of Gemini's.
pub(super) fn read(body: &[u8]) -> Result<Answer> {
    let unreadable = |why: String| {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider sent an answer that cannot be read",
        )
        .caused_by(why)
    };
    let response: Response<'_> =
        serde_json::from_slice(body).map_err(|error| unreadable(error.to_string()))?;
    let candidates = response.candidates.unwrap_or_default();
    let block_reason = response.prompt_feedback.as_ref();
    let is_blocked = block_reason.is_some_and(|feedback| feedback.block_reason.is_some());
    if candidates.is_empty() && !is_blocked && response.usage_metadata.is_none() {
        return Err(unreadable("neither candidates nor feedback".to_owned()));
    }
    let searches = usage::gemini::searches(response.model_version.as_deref(), queries(&candidates));
    let reading = response
        .usage_metadata
        .and_then(|raw| usage::gemini::read(raw.get().as_bytes(), searches));
    let mut choices = Vec::with_capacity(candidates.len().max(1));
    for (number, candidate) in candidates.into_iter().enumerate() {
        let id = response.response_id.as_deref();
        let choice = read_candidate(candidate, id, number as u32);
        choices.push(choice.map_err(|error| unreadable(error.to_string()))?);
    }
    if choices.is_empty() {
        choices.push(Choice {
            stop: Some(match is_blocked {
                true => Stop::Filtered,
                false => Stop::End,
            }),
            ..Choice::default()
        });
    }
    Ok(Answer {
        id: response.response_id,
        model: response.model_version,
        created: None,
        choices,
        usage: reading.as_ref().map(|reading| reading.usage),
        service_tier: reading.and_then(|reading| reading.service_tier),
    })
}

/// How many web searches the candidates tell of.
pub(super) fn queries(candidates: &[Candidate<'_>]) -> u64 {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Queries {
        #[serde(default)]
        web_search_queries: Option<Vec<String>>,
    }
    candidates
        .iter()
        .filter_map(|candidate| candidate.grounding_metadata)
        .filter_map(|raw| serde_json::from_str::<Queries>(raw.get()).ok())
        .map(|queries| {
            queries
                .web_search_queries
                .map_or(0, |list| list.len() as u64)
        })
        .sum()
}

fn read_candidate(
    candidate: Candidate<'_>,
    response_id: Option<&str>,
    number: u32,
) -> std::result::Result<Choice, serde_json::Error> {
    let mut parts: Vec<Part> = Vec::new();
    let mut calls = 0;
    let raw_parts = candidate.content.and_then(|content| content.parts);
    for raw in list(raw_parts)? {
        if let Some(part) = read_part(raw, || call_id(response_id, number, calls))? {
            calls += u32::from(matches!(part.content, Content::ToolCall { .. }));
            push(&mut parts, part);
        }
    }
    let found = grounding::read(candidate.grounding_metadata, candidate.citation_metadata);
    grounding::attach(found, &mut parts);
    Ok(Choice {
        stop: candidate
            .finish_reason
            .map(|reason| stop(&reason, calls > 0)),
        logprobs: logprobs(candidate.logprobs_result),
        parts,
    })
}

/// A signature that follows a text in an empty part of its own belongs to that text.
fn push(parts: &mut Vec<Part>, part: Part) {
    if let Content::Text { text, .. } = &part.content
        && text.is_empty()
    {
        match (parts.last_mut(), &part.seal) {
            (_, None) => return,
            (Some(last), Some(_))
                if last.seal.is_none() && matches!(last.content, Content::Text { .. }) =>
            {
                last.seal = part.seal;
                return;
            }
            _ => {}
        }
    }
    parts.push(part);
}

/// Reads a part of an answer; `None` where it holds nothing.
fn read_part(
    raw: &RawValue,
    new_id: impl FnOnce() -> String,
) -> std::result::Result<Option<Part>, serde_json::Error> {
    let wire: WirePart<'_> = serde_json::from_str(raw.get())?;
    let seal = wire
        .thought_signature
        .map(|signature| Seal::new(Format::Gemini, signature));
    let mut part = if let Some(text) = wire.text {
        Part::new(match wire.thought == Some(true) {
            true => Content::Reasoning {
                text,
                redacted: false,
            },
            false => Content::Text {
                text,
                citations: Vec::new(),
            },
        })
    } else if let Some(call) = wire.function_call {
        // a call without a name is the end of one that was streamed
        let Some(name) = call.name else {
            return Ok(None);
        };
        Part::new(Content::ToolCall {
            id: call.id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            name,
            arguments: arguments(call.args),
            kind: ToolKind::Function,
        })
    } else if let Some(data) = wire.inline_data {
        blob(data)
    } else if let Some(data) = wire.file_data {
        file(data)
    } else if let Some(part) = native(raw) {
        return Ok(Some(part));
    } else if seal.is_some() {
        Part::text("")
    } else {
        return Ok(None);
    };
    part.seal = seal;
    Ok(Some(part))
}

/// JSON text of a call's arguments; none are an empty object.
pub(super) fn arguments(args: Option<&RawValue>) -> String {
    match args.map(RawValue::get) {
        None | Some("null") => "{}".to_owned(),
        Some(text) => text.to_owned(),
    }
}
