//! The contents of a request as turns.
//!
//! Google's clients keep a streamed answer as one content for each chunk, so contents of the model that
//! follow one another are one turn, and texts and thoughts that were cut apart grow together again.

use std::collections::HashSet;

use base::Result;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read_answer::arguments;
use super::read_request::{elements, invalid, parse};
use super::wire::{Contents, FunctionCall, FunctionResponse, WirePart, blob, file, native};
use super::write_answer::{PAD, REDACTED};
use crate::conversation::{Content, Other, Part, Role, Seal, ToolKind, Turn};
use crate::format::Format;

/// The turns so far.
#[derive(Default)]
pub(super) struct Turns {
    turns: Vec<Turn>,
    /// Calls that no response has come for, with their names, in order.
    waiting: Vec<(String, String)>,
    ids: HashSet<String>,
    /// How many ids were made.
    made: usize,
}

impl Turns {
    pub fn into_turns(self) -> Vec<Turn> {
        self.turns
    }

    /// Adds a content; `path` is its place in the request.
    ///
    /// # Errors
    /// `InvalidRequest` (400), naming the member that is wrong.
    pub fn add(
        &mut self,
        place: usize,
        path: &str,
        content: Contents<'_>,
        others: &mut Vec<Other>,
    ) -> Result<()> {
        let role = match content.role.as_deref() {
            None | Some("user" | "function" | "tool" | "") => Role::User,
            Some("model" | "assistant") => Role::Assistant,
            Some("system" | "developer") => Role::System,
            Some(role) => {
                let path = format!("{path}.role");
                let message = format!("{path} must be user or model, not {role:?}");
                return Err(invalid(&path, message));
            }
        };
        let mut parts = Vec::new();
        if let Some(raw) = content.parts {
            let path = format!("{path}.parts");
            for (number, raw) in elements(&path, raw)?.into_iter().enumerate() {
                let path = format!("{path}[{number}]");
                parts.extend(self.part(&path, raw, others)?);
            }
        }
        match self.turns.last_mut() {
            Some(last) if role == Role::Assistant && last.role == role => {
                join(&mut last.parts, parts);
            }
            _ => {
                let mut joined = Vec::with_capacity(parts.len());
                match role {
                    Role::Assistant => join(&mut joined, parts),
                    Role::User | Role::System => joined = parts,
                }
                self.turns.push(Turn {
                    role,
                    parts: joined,
                    place,
                });
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        path: &str,
        raw: &RawValue,
        others: &mut Vec<Other>,
    ) -> Result<Option<Part>> {
        let wire: WirePart<'_> = parse(path, raw)?;
        for (name, value, is_hint) in [
            ("videoMetadata", wire.video_metadata, false),
            ("mediaResolution", wire.media_resolution, false),
            ("partMetadata", wire.part_metadata, true),
        ] {
            if let Some(value) = value.filter(|value| value.get() != "null") {
                let field = format!("{path}.{name}");
                let value = parse(&field, value)?;
                others.push(Other {
                    field,
                    value,
                    is_hint,
                });
            }
        }
        let seal = wire
            .thought_signature
            .filter(|signature| !signature.is_empty())
            .map(|signature| Seal::read(Format::Gemini, &signature));
        if let Some(text) = wire.text {
            return Ok(Some(text_part(text, wire.thought == Some(true), seal)));
        }
        let mut part = if let Some(call) = wire.function_call {
            self.call(path, call)?
        } else if let Some(response) = wire.function_response {
            self.response(path, response)?
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

    fn call(&mut self, path: &str, call: FunctionCall<'_>) -> Result<Part> {
        let path = format!("{path}.functionCall");
        let name = call.name.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| {
            let path = format!("{path}.name");
            invalid(&path, format!("{path} is missing"))
        })?;
        let id = match call.id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => self.new_id(),
        };
        self.ids.insert(id.clone());
        self.waiting.push((id.clone(), name.clone()));
        let arguments = arguments(call.args);
        if !arguments.starts_with('{') {
            let path = format!("{path}.args");
            return Err(invalid(&path, format!("{path} must be an object")));
        }
        Ok(Part::new(Content::ToolCall {
            id,
            name,
            arguments,
            kind: ToolKind::Function,
        }))
    }

    /// An id for a call that has none, by its place, so that the same conversation has the same ids.
    fn new_id(&mut self) -> String {
        loop {
            self.made += 1;
            let id = format!("call_{}", self.made);
            if !self.ids.contains(&id) {
                return id;
            }
        }
    }

    fn response(&mut self, path: &str, response: FunctionResponse<'_>) -> Result<Part> {
        let path = format!("{path}.functionResponse");
        let id = response.id.filter(|id| !id.is_empty());
        let name = response.name.filter(|name| !name.is_empty());
        let place = match (&id, &name) {
            (Some(id), _) => self.waiting.iter().position(|(known, _)| known == id),
            (None, Some(name)) => self.waiting.iter().position(|(_, known)| known == name),
            (None, None) => None,
        };
        let call = place.map(|place| self.waiting.remove(place));
        let call_id = match (id, &call) {
            (Some(id), _) => id,
            (None, Some((id, _))) => id.clone(),
            (None, None) => self.new_id(),
        };
        let mut is_error = false;
        let mut parts = Vec::new();
        if let Some(raw) = response.response {
            let value: Value = parse(&format!("{path}.response"), raw)?;
            let (text, failed) = result_text(value);
            is_error = failed;
            parts.push(Part::text(text));
        }
        if let Some(raw) = response.parts {
            let path = format!("{path}.parts");
            for (number, raw) in elements(&path, raw)?.into_iter().enumerate() {
                let wire: WirePart<'_> = parse(&format!("{path}[{number}]"), raw)?;
                parts.extend(wire.inline_data.map(blob));
                parts.extend(wire.file_data.map(file));
            }
        }
        Ok(Part::new(Content::ToolResult {
            call_id,
            name: name.or(call.map(|(_, name)| name)),
            parts,
            is_error,
            kind: ToolKind::Function,
        }))
    }
}

fn text_part(text: String, is_thought: bool, seal: Option<Seal>) -> Part {
    let mut redacted = false;
    let seal = seal.map(|seal| match seal.data.strip_prefix(REDACTED) {
        Some(data) if is_thought => {
            redacted = true;
            Seal::new(seal.format, data)
        }
        _ => seal,
    });
    let content = match is_thought {
        true => Content::Reasoning { text, redacted },
        false => Content::Text {
            text,
            citations: Vec::new(),
        },
    };
    Part {
        seal,
        ..Part::new(content)
    }
}

/// What a function gave back, and whether it failed: by convention `output` or `error` hold it
/// (Google's description of `FunctionResponse.response`), `result` in many clients.
fn result_text(value: Value) -> (String, bool) {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    if let Value::Object(members) = &value
        && members.len() == 1
    {
        for (name, failed) in [("output", false), ("result", false), ("error", true)] {
            if let Some(inner) = members.get(name) {
                return (text(inner), failed);
            }
        }
    }
    // Vercel's AI SDK repeats the name beside it
    if let Value::Object(members) = &value
        && members.len() == 2
        && members.contains_key("name")
        && let Some(inner) = members.get("content")
    {
        return (text(inner), false);
    }
    (text(&value), false)
}

/// Adds parts of the model to its turn. A part that ends with a seal is whole.
fn join(parts: &mut Vec<Part>, more: Vec<Part>) {
    for mut part in more {
        let Some(last) = parts.last_mut().filter(|last| last.seal.is_none()) else {
            if !is_empty(&part) {
                take_pad(&mut part);
                parts.push(part);
            }
            continue;
        };
        match (&mut last.content, &part.content) {
            (Content::Text { text, .. }, Content::Text { text: more, .. })
            | (
                Content::Reasoning {
                    text,
                    redacted: false,
                },
                Content::Reasoning {
                    text: more,
                    redacted: false,
                },
            ) => {
                text.push_str(more);
                last.seal = part.seal;
                take_pad(last);
            }
            _ if is_empty(&part) => {}
            _ => {
                take_pad(&mut part);
                parts.push(part);
            }
        }
    }
}

/// Takes the [`PAD`] off a thought that has just got another provider's seal.
fn take_pad(part: &mut Part) {
    let is_foreign = |seal: &Seal| seal.format != Format::Gemini;
    if let Content::Reasoning { text, .. } = &mut part.content
        && part.seal.as_ref().is_some_and(is_foreign)
        && text.ends_with(PAD)
    {
        text.truncate(text.len() - PAD.len());
    }
}

fn is_empty(part: &Part) -> bool {
    let (Content::Text { text, .. } | Content::Reasoning { text, .. }) = &part.content else {
        return false;
    };
    text.is_empty() && part.seal.is_none()
}
