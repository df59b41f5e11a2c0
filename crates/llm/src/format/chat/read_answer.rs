//! A provider's whole answer.
//!
//! What is no answer is an error; odd members of one are passed over.

use base::{Code, Error, Result};
use serde_json::Value;

use super::content::{audio_type, media, media_of_url};
use super::details;
use super::walk::{Object, take};
use crate::conversation::{
    Answer, Choice, Citation, Content, Media, MediaKind, MediaSource, Part, Stop, TokenLogprob,
    ToolKind, TopLogprob,
};
use crate::json;
use crate::provider::UpstreamError;
use crate::usage::{self, UsageRule};

/// Reads an answer.
///
/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer.
pub(super) fn read(rule: UsageRule, body: &[u8]) -> Result<Answer> {
    let unreadable = || {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider's answer is no chat completion",
        )
    };
    let value = json::read(body).map_err(|_| unreadable())?;
    let Value::Object(mut answer) = value else {
        return Err(unreadable());
    };
    let Some(Value::Array(choices)) = take(&mut answer, "choices") else {
        return Err(match answer.contains_key("error") {
            true => UpstreamError::read(502, body).into_error("the provider"),
            false => unreadable(),
        });
    };
    let id = text(&mut answer, "id");
    let sources = sources(&mut answer);
    let mut read: Vec<(u64, Choice)> = Vec::with_capacity(choices.len());
    for (place, value) in choices.into_iter().enumerate() {
        if let Value::Object(mut choice) = value {
            let index = choice.get("index").and_then(Value::as_u64);
            let index = index.unwrap_or(place as u64);
            let ids = id.as_deref().unwrap_or_default();
            read.push((index, self::choice(&mut choice, index, ids, &sources)));
        }
    }
    read.sort_by_key(|(index, _)| *index);
    let reading = take(&mut answer, "usage")
        .and_then(|usage| usage::read(rule, usage.to_string().as_bytes()));
    let tier = text(&mut answer, "service_tier");
    Ok(Answer {
        id,
        model: text(&mut answer, "model"),
        created: answer.get("created").and_then(Value::as_i64),
        choices: read.into_iter().map(|(_, choice)| choice).collect(),
        usage: reading.as_ref().map(|reading| reading.usage),
        service_tier: tier.or(reading.and_then(|reading| reading.service_tier)),
    })
}

fn text(object: &mut Object, name: &str) -> Option<String> {
    match take(object, name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

fn list(object: &mut Object, name: &str) -> Vec<Value> {
    match take(object, name) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn choice(choice: &mut Object, index: u64, id: &str, sources: &[Citation]) -> Choice {
    let message = take(choice, "message").or_else(|| take(choice, "delta"));
    let mut parts = match message {
        Some(Value::Object(mut message)) => self::message(&mut message, index, id),
        _ => Vec::new(),
    };
    let cited = parts.iter_mut().find_map(|part| match &mut part.content {
        Content::Text { citations, .. } if citations.is_empty() => Some(citations),
        _ => None,
    });
    if let Some(citations) = cited {
        citations.extend_from_slice(sources);
    }
    let matched = text(choice, "stop_reason");
    let reason = text(choice, "finish_reason");
    let stop = reason.map(|reason| {
        let calls = parts
            .iter()
            .any(|part| matches!(part.content, Content::ToolCall { .. }));
        let refuses = parts
            .iter()
            .any(|part| matches!(part.content, Content::Refusal(_)));
        stop(&reason, matched, calls, refuses)
    });
    let logprobs = match take(choice, "logprobs") {
        Some(Value::Object(mut logprobs)) => logprobs_of(list(&mut logprobs, "content")),
        _ => Vec::new(),
    };
    Choice {
        parts,
        stop,
        logprobs,
    }
}

/// Why the model stopped, in all providers' words. `matched` is vLLM's stop sequence.
pub(super) fn stop(reason: &str, matched: Option<String>, calls: bool, refuses: bool) -> Stop {
    match reason {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => match (matched, calls) {
            (Some(sequence), _) => Stop::Sequence(Some(sequence)),
            // the word of OpenAI for a call that was demanded by name
            (None, true) => Stop::ToolCalls,
            (None, false) if refuses => Stop::Refusal,
            (None, false) => Stop::End,
        },
        "length" | "max_tokens" | "model_length" => Stop::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" => Stop::ToolCalls,
        "content_filter" | "sensitive" => Stop::Filtered,
        "refusal" => Stop::Refusal,
        other => Stop::Other(other.to_owned()),
    }
}

fn message(message: &mut Object, index: u64, id: &str) -> Vec<Part> {
    let mut parts = details::of_message(message, true);
    let signature = details::thought_signature(message);
    let annotations = annotations(list(message, "annotations"));
    match take(message, "content") {
        Some(Value::String(text)) if !text.is_empty() => parts.push(Part::text(text)),
        Some(Value::Array(items)) => {
            for item in items {
                content_part(item, &mut parts);
            }
        }
        _ => {}
    }
    let first_text = parts
        .iter_mut()
        .find(|part| matches!(part.content, Content::Text { .. }));
    if let Some(Part {
        content: Content::Text { citations, .. },
        ..
    }) = first_text
    {
        *citations = annotations;
    }
    if let Some(refusal) = text(message, "refusal") {
        parts.push(Part::new(Content::Refusal(refusal)));
    }
    if let Some(Value::Object(mut audio)) = take(message, "audio") {
        parts.extend(self::audio(&mut audio));
    }
    parts.extend(list(message, "images").iter().filter_map(image));
    let spoken = parts.len();
    for (place, call) in list(message, "tool_calls").into_iter().enumerate() {
        if let Value::Object(mut call) = call {
            parts.push(tool_call(&mut call, || made_id(id, index, place)));
        }
    }
    if let Some(Value::Object(call)) = take(message, "function_call") {
        let mut call = Object::from_iter([("function".to_owned(), Value::Object(call))]);
        parts.push(tool_call(&mut call, || made_id(id, index, 0)));
    }
    if let Some(seal) = signature {
        // Gemini's signature is of the first call, or of the text where nothing is called
        let at = if parts.len() > spoken {
            spoken
        } else {
            spoken.saturating_sub(1)
        };
        if let Some(part) = parts.get_mut(at) {
            part.seal.get_or_insert(seal);
        }
    }
    parts
}

/// An id for a call that has none: the same for the same answer.
pub(super) fn made_id(answer: &str, choice: u64, place: usize) -> String {
    let answer: String = answer
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(24)
        .collect();
    match choice {
        0 => format!("call_{answer}_{place}"),
        _ => format!("call_{answer}_{choice}_{place}"),
    }
}

/// A part of a content that is a list (Mistral).
fn content_part(item: Value, parts: &mut Vec<Part>) {
    let Value::Object(mut item) = item else {
        return;
    };
    match item.get("type").and_then(Value::as_str) {
        Some("thinking" | "redacted_thinking") => parts.extend(details::thinking_block(&mut item)),
        Some("image_url") => parts.extend(image(&Value::Object(item))),
        _ => {
            if let Some(text) = text(&mut item, "text") {
                parts.push(Part::text(text));
            }
        }
    }
}

fn tool_call(call: &mut Object, made: impl FnOnce() -> String) -> Part {
    let seal = details::thought_signature(call);
    let id = text(call, "id").unwrap_or_else(made);
    let (inner, kind) = match take(call, "custom") {
        Some(custom) => (Some(custom), ToolKind::Custom),
        None => (take(call, "function"), ToolKind::Function),
    };
    let mut inner = match inner {
        Some(Value::Object(inner)) => inner,
        _ => Object::new(),
    };
    let arguments = match take(&mut inner, "arguments").or_else(|| take(&mut inner, "input")) {
        Some(Value::String(text)) => text,
        Some(value @ Value::Object(_)) => value.to_string(),
        _ => String::new(),
    };
    let is_empty = kind == ToolKind::Function && arguments.trim().is_empty();
    Part {
        content: Content::ToolCall {
            id,
            name: text(&mut inner, "name").unwrap_or_default(),
            arguments: if is_empty { "{}".to_owned() } else { arguments },
            kind,
        },
        cache: None,
        seal,
    }
}

/// OpenAI's `url_citation`s.
pub(super) fn annotations(items: Vec<Value>) -> Vec<Citation> {
    items
        .into_iter()
        .filter_map(|item| {
            let cited = &item["url_citation"];
            let word = |name: &str| cited[name].as_str().map(str::to_owned);
            let number = |name: &str| cited[name].as_u64();
            let citation = Citation {
                url: word("url"),
                title: word("title"),
                quote: word("content"),
                span: number("start_index").zip(number("end_index")),
                native: None,
            };
            citation.url.is_some().then_some(citation)
        })
        .collect()
}

/// Perplexity's sources: `search_results`, else the bare URLs of `citations`.
pub(super) fn sources(answer: &mut Object) -> Vec<Citation> {
    let results = list(answer, "search_results");
    let urls = list(answer, "citations");
    let items = if results.is_empty() { urls } else { results };
    items
        .iter()
        .filter_map(|item| {
            let url = item.as_str().or(item["url"].as_str())?;
            let word = |name: &str| item[name].as_str().map(str::to_owned);
            Some(Citation {
                url: Some(url.to_owned()),
                title: word("title"),
                quote: word("snippet"),
                span: None,
                native: None,
            })
        })
        .collect()
}

pub(super) fn image(item: &Value) -> Option<Part> {
    let url = item["image_url"]["url"]
        .as_str()
        .or(item["image_url"].as_str())?;
    let image = media_of_url(Some(MediaKind::Image), url.to_owned()).ok()?;
    Some(Part::new(Content::Media(image)))
}

fn audio(audio: &mut Object) -> Option<Part> {
    let transcript = text(audio, "transcript");
    let data = text(audio, "data")?;
    Some(sound(data, transcript, text(audio, "id")))
}

/// Generated sound. Its format is the one that the request asked for, which is not told.
pub(super) fn sound(data: String, transcript: Option<String>, id: Option<String>) -> Part {
    let media_type = match data.get(..5) {
        Some("UklGR") => "audio/wav".to_owned(),
        Some("T2dnU") => "audio/ogg".to_owned(),
        Some("ZkxhQ") => "audio/flac".to_owned(),
        Some("SUQzB" | "//uQx" | "//PEx") => audio_type("mp3"),
        _ => "audio/pcm".to_owned(),
    };
    Part::new(Content::Media(Media {
        transcript,
        name: id,
        ..media(
            MediaKind::Audio,
            Some(media_type),
            MediaSource::Base64(data),
        )
    }))
}

/// Log probabilities of tokens; tokens without a number are passed over.
pub(super) fn logprobs_of(items: Vec<Value>) -> Vec<TokenLogprob> {
    let bytes = |item: &Value| {
        let list = item["bytes"].as_array()?;
        list.iter()
            .map(|byte| u8::try_from(byte.as_u64()?).ok())
            .collect::<Option<Vec<u8>>>()
    };
    items
        .iter()
        .filter_map(|item| {
            let tops = item["top_logprobs"]
                .as_array()
                .map_or(&[][..], Vec::as_slice);
            Some(TokenLogprob {
                token: item["token"].as_str()?.to_owned(),
                logprob: item["logprob"].as_f64()?,
                bytes: bytes(item),
                top: tops
                    .iter()
                    .filter_map(|top| {
                        Some(TopLogprob {
                            token: top["token"].as_str()?.to_owned(),
                            logprob: top["logprob"].as_f64()?,
                            bytes: bytes(top),
                        })
                    })
                    .collect(),
            })
        })
        .collect()
}
