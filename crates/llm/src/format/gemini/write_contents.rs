//! Turns as `contents` for Gemini.
//!
//! Roles alternate; results of functions stand in a content of their own, right after their calls, and
//! name the function. Thought signatures go back on the part they came with. Gemini 3 refuses the first
//! call of a turn without one, so calls of other models get the word that Google documents for them.

use std::collections::HashMap;

use base::{Code, Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::wire::guess_media_type;
use crate::conversation::custom_tools;
use crate::conversation::{Carry, Content, Media, MediaKind, MediaSource, Part, Role, Turn};
use crate::format::Format;

/// Google's word for a call that comes from another model (ai.google.dev, "Thought signatures").
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What of the contents hangs on the model.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    /// Gemini 3 and later: calls must be signed, and results may hold media.
    pub is_third: bool,
}

struct Writer<'a> {
    ways: Ways,
    contents: Vec<Entry>,
    /// Names of the calls so far, by id.
    names: HashMap<&'a str, &'a str>,
    has_cache_marks: bool,
}

struct Entry {
    role: &'static str,
    is_results: bool,
    parts: Vec<Value>,
}

/// Writes the turns; whether a part wished to be cached comes with them.
///
/// # Errors
/// `InvalidRequest` (400) for content that Gemini does not take.
pub(super) fn write(turns: &[Turn], ways: Ways, carry: &Carry) -> Result<(Vec<Value>, bool)> {
    let mut writer = Writer {
        ways,
        contents: Vec::new(),
        names: HashMap::new(),
        has_cache_marks: false,
    };
    for turn in turns {
        match turn.role {
            Role::User | Role::System => writer.user(turn, carry)?,
            Role::Assistant => writer.model(turn, carry)?,
        }
    }
    let contents = writer.contents.into_iter();
    let contents = contents
        .map(|entry| json!({"role": entry.role, "parts": entry.parts}))
        .collect();
    Ok((contents, writer.has_cache_marks))
}

impl<'a> Writer<'a> {
    /// Results of functions first, whatever stands around them: they must follow their calls.
    fn user(&mut self, turn: &'a Turn, carry: &Carry) -> Result<()> {
        let mut results = Vec::new();
        let mut parts = Vec::new();
        for part in &turn.parts {
            self.has_cache_marks |= part.cache.is_some();
            match &part.content {
                Content::ToolResult { .. } => {
                    results.push(self.result(turn, part, carry, &mut parts)?);
                }
                Content::Text { text, .. } | Content::Refusal(text) => {
                    if !text.is_empty() {
                        parts.push(json!({"text": text}));
                    }
                }
                Content::Media(media) => {
                    parts.push(media_part(media).map_err(|why| carry.content(turn.place, why))?);
                }
                Content::Native { format, value } => match format {
                    Format::Gemini => parts.push(value.clone()),
                    _ => return Err(carry.content(turn.place, "does not know this block")),
                },
                Content::Reasoning { .. } => {}
                Content::ToolCall { .. } => {
                    return Err(carry.content(turn.place, "takes tool calls of the model alone"));
                }
            }
        }
        self.add("user", true, results);
        self.add("user", false, parts);
        Ok(())
    }

    fn model(&mut self, turn: &'a Turn, carry: &Carry) -> Result<()> {
        let mut parts = Vec::new();
        let mut has_calls = false;
        for part in &turn.parts {
            self.has_cache_marks |= part.cache.is_some();
            let seal = part
                .seal
                .as_ref()
                .and_then(|seal| seal.for_format(Format::Gemini))
                .map(str::to_owned);
            let value = match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) => {
                    if text.is_empty() && seal.is_none() {
                        continue;
                    }
                    sealed(json!({"text": text}), seal)
                }
                Content::Reasoning { text, .. } => match seal {
                    Some(seal) => sealed(json!({"text": text, "thought": true}), Some(seal)),
                    // what another model thought means nothing here
                    None => continue,
                },
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                    kind,
                } => {
                    self.names.insert(id, name);
                    let arguments = custom_tools::arguments(*kind, arguments);
                    let call = call(id, name, &arguments).ok_or_else(|| {
                        carry.content(turn.place, "takes JSON objects as arguments of tool calls")
                    })?;
                    let is_first = !std::mem::replace(&mut has_calls, true);
                    let unsigned = self.ways.is_third && is_first && seal.is_none();
                    let seal = seal.or_else(|| unsigned.then(|| NO_SIGNATURE.to_owned()));
                    sealed(json!({"functionCall": call}), seal)
                }
                Content::Media(media) => {
                    let value = media_part(media).map_err(|why| carry.content(turn.place, why))?;
                    sealed(value, seal)
                }
                Content::Native { format, value } => match format {
                    Format::Gemini => value.clone(),
                    // a block of another provider's own, such as a search it ran, tells Gemini nothing
                    _ => continue,
                },
                Content::ToolResult { .. } => {
                    return Err(carry.content(turn.place, "takes tool results of the user alone"));
                }
            };
            parts.push(value);
        }
        self.add("model", false, parts);
        Ok(())
    }

    /// `functionResponse`. Media that cannot stand in it go into the content after it.
    fn result(
        &self,
        turn: &Turn,
        part: &'a Part,
        carry: &Carry,
        after: &mut Vec<Value>,
    ) -> Result<Value> {
        let Content::ToolResult {
            call_id,
            name,
            parts,
            is_error,
            ..
        } = &part.content
        else {
            return Err(Error::internal("a part that is no result of a tool"));
        };
        let known = self.names.get(call_id.as_str()).copied();
        let name = name.as_deref().or(known).ok_or_else(|| {
            let why =
                "must be told of which tool this is the result, and no earlier call has its id";
            carry.content(turn.place, why)
        })?;
        let mut text = String::new();
        let mut media = Vec::new();
        for inner in parts {
            match &inner.content {
                Content::Text { text: more, .. } | Content::Refusal(more) => {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(more);
                }
                Content::Media(inner) => {
                    media.push(media_part(inner).map_err(|why| carry.content(turn.place, why))?);
                }
                Content::Native { value, .. } => text.push_str(&value.to_string()),
                Content::Reasoning { .. }
                | Content::ToolCall { .. }
                | Content::ToolResult { .. } => {}
            }
        }
        let mut response =
            json!({"id": call_id, "name": name, "response": answer(text, *is_error)});
        let fits = |value: &Value| value.get("inlineData").is_some();
        if self.ways.is_third && !media.is_empty() && media.iter().all(fits) {
            response["parts"] = media.into();
        } else {
            after.extend(media);
        }
        Ok(json!({"functionResponse": response}))
    }

    fn add(&mut self, role: &'static str, is_results: bool, parts: Vec<Value>) {
        if parts.is_empty() {
            return;
        }
        match self.contents.last_mut() {
            Some(last) if last.role == role && last.is_results == is_results => {
                last.parts.extend(parts);
            }
            _ => self.contents.push(Entry {
                role,
                is_results,
                parts,
            }),
        }
    }
}

/// The object that a function gives back.
fn answer(text: String, is_error: bool) -> Value {
    if is_error {
        return json!({"error": text});
    }
    if text.trim_start().starts_with('{')
        && let Ok(Value::Object(members)) = serde_json::from_str(&text)
    {
        return Value::Object(members);
    }
    json!({"output": text})
}

/// `functionCall`; `None` where the arguments are no object.
fn call(id: &str, name: &str, arguments: &str) -> Option<Value> {
    let args: Value = match arguments.trim() {
        "" => json!({}),
        text => serde_json::from_str(text).ok()?,
    };
    args.is_object()
        .then(|| json!({"id": id, "name": name, "args": args}))
}

/// A part with its thought signature.
pub(super) fn sealed(mut part: Value, signature: Option<String>) -> Value {
    if let (Some(signature), Value::Object(members)) = (signature, &mut part) {
        members.insert("thoughtSignature".to_owned(), signature.into());
    }
    part
}

/// An image, a document, sound or video.
///
/// # Errors
/// Why Gemini cannot take it.
pub(super) fn media_part(media: &Media) -> std::result::Result<Value, &'static str> {
    let media_type = |guess: Option<&'static str>| {
        media.media_type.clone().unwrap_or_else(|| {
            let fallback = match media.kind {
                MediaKind::Image => "image/jpeg",
                MediaKind::Document => "application/pdf",
                MediaKind::Audio => "audio/wav",
                MediaKind::Video => "video/mp4",
            };
            guess.unwrap_or(fallback).to_owned()
        })
    };
    let inline = |media_type: String, data: &str| {
        let blob: Map<String, Value> = [
            ("mimeType".to_owned(), media_type.into()),
            ("data".to_owned(), data.into()),
        ]
        .into_iter()
        .collect();
        json!({"inlineData": blob})
    };
    Ok(match &media.source {
        MediaSource::Base64(data) => inline(media_type(None), data),
        MediaSource::Text(text) => {
            let media_type = media.media_type.as_deref().unwrap_or("text/plain");
            inline(media_type.to_owned(), &STANDARD.encode(text))
        }
        MediaSource::Url(url) => {
            json!({"fileData": {"fileUri": url, "mimeType": media_type(guess_media_type(url))}})
        }
        MediaSource::File {
            format: Format::Gemini,
            id,
        } => match &media.media_type {
            Some(media_type) => json!({"fileData": {"fileUri": id, "mimeType": media_type}}),
            None => json!({"fileData": {"fileUri": id}}),
        },
        MediaSource::File { .. } => {
            return Err("does not have this file: another provider keeps it");
        }
    })
}

/// The parts of the system prompt.
///
/// # Errors
/// `InvalidRequest` (400) for what is no text.
pub(super) fn system(parts: &[Part]) -> Result<Vec<Value>> {
    parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Text { text, .. } if text.is_empty() => None,
            Content::Text { text, .. } => Some(Ok(json!({"text": text}))),
            Content::Media(media) => Some(media_part(media).map_err(|why| {
                let message = format!("the system prompt cannot be sent to this model: it {why}");
                Error::new(Code::InvalidRequest, message)
            })),
            _ => None,
        })
        .collect()
}
