//! The messages of a client's request, as turns.

use std::collections::HashMap;

use base::Result;
use serde_json::Value;

use super::seals::{self, Item};
use super::walk::{
    self, Object, invalid, join, missing, need_string, take, take_list, take_object, take_string,
    wrong_type,
};
use super::{details, read_parts};
use crate::conversation::{
    Content, Conversation, Media, MediaKind, MediaSource, Other, Part, Role, Seal, ToolKind, Turn,
};
use crate::format::Format;

/// Reads `messages` into the conversation.
pub(super) fn read(messages: Vec<Value>, conversation: &mut Conversation) -> Result<()> {
    let mut reader = Reader {
        conversation,
        calls: HashMap::new(),
        legacy_calls: Vec::new(),
    };
    for (place, message) in messages.into_iter().enumerate() {
        reader.message(place, message)?;
    }
    Ok(())
}

struct Reader<'a> {
    conversation: &'a mut Conversation,
    /// Name and kind of the calls so far, by id.
    calls: HashMap<String, (String, ToolKind)>,
    /// Ids of legacy function calls without a result yet, with the function's name.
    legacy_calls: Vec<(String, String)>,
}

impl Reader<'_> {
    fn message(&mut self, place: usize, message: Value) -> Result<()> {
        let at = format!("messages[{place}]");
        let mut message = walk::object(message, &at)?;
        let role = need_string(&mut message, &at, "role")?;
        let cache = read_parts::cache_mark(&mut message);
        let (role, mut parts) = match role.as_str() {
            "system" | "developer" => (Role::System, self.said(&mut message, &at)?),
            "user" => (Role::User, self.said(&mut message, &at)?),
            "assistant" => (Role::Assistant, self.assistant(&mut message, &at, place)?),
            "tool" => (Role::User, vec![self.tool(&mut message, &at)?]),
            "function" => (Role::User, vec![self.function(&mut message, &at, place)?]),
            other => {
                return Err(invalid(
                    &join(&at, "role"),
                    &format!(
                        "'{other}' is none of system, developer, user, assistant, tool, function"
                    ),
                ));
            }
        };
        if let (Some(last), Some(_)) = (parts.last_mut(), cache) {
            last.cache = last.cache.or(cache);
        }
        self.push(role, parts, place);
        Ok(())
    }

    /// One side's messages in a row are one turn: results of tools and what the user adds to them.
    fn push(&mut self, role: Role, mut parts: Vec<Part>, place: usize) {
        let turns = &mut self.conversation.turns;
        match (turns.last_mut(), role) {
            (None, Role::System) => self.conversation.system.append(&mut parts),
            (Some(last), Role::User | Role::Assistant) if last.role == role => {
                last.parts.append(&mut parts);
            }
            _ if parts.is_empty() => {}
            _ => turns.push(Turn { role, parts, place }),
        }
    }

    /// What a user, system or developer said.
    fn said(&mut self, message: &mut Object, at: &str) -> Result<Vec<Part>> {
        let path = join(at, "content");
        let content = take(message, "content").ok_or_else(|| missing(&path))?;
        let parts = read_parts::content(content, &path)?;
        self.note_name(message, at)?;
        Ok(parts)
    }

    /// A participant's name has no place in other formats.
    fn note_name(&mut self, message: &mut Object, at: &str) -> Result<()> {
        if let Some(name) = take_string(message, at, "name")? {
            self.conversation.other.push(Other {
                field: join(at, "name"),
                value: name.into(),
                is_hint: true,
            });
        }
        Ok(())
    }

    fn assistant(&mut self, message: &mut Object, at: &str, place: usize) -> Result<Vec<Part>> {
        let mut parts = details::of_message(message, false);
        let signature = details::thought_signature(message);
        if let Some(content) = take(message, "content") {
            parts.extend(read_parts::content(content, &join(at, "content"))?);
        }
        if let Some(refusal) = take_string(message, at, "refusal")?
            && !refusal.is_empty()
        {
            parts.push(Part::new(Content::Refusal(refusal)));
        }
        if let Some(mut audio) = take_object(message, at, "audio")? {
            parts.push(generated_audio(&mut audio, &join(at, "audio"))?);
        }
        self.note_name(message, at)?;
        let spoken = parts.len();
        for (index, call) in take_list(message, at, "tool_calls")?
            .into_iter()
            .enumerate()
        {
            let path = format!("{at}.tool_calls[{index}]");
            self.tool_call(call, &path, place, index, &mut parts)?;
        }
        if let Some(call) = take_object(message, at, "function_call")? {
            parts.push(self.legacy_call(call, &join(at, "function_call"), place)?);
        }
        if let Some(seal) = signature
            && let Some(part) = parts
                .get_mut(spoken)
                .filter(|part| matches!(part.content, Content::ToolCall { .. }))
        {
            part.seal.get_or_insert(seal);
        }
        Ok(parts)
    }

    fn tool_call(
        &mut self,
        call: Value,
        at: &str,
        place: usize,
        index: usize,
        parts: &mut Vec<Part>,
    ) -> Result<()> {
        let mut call = walk::object(call, at)?;
        let told = take_string(&mut call, at, "id")?.filter(|id| !id.is_empty());
        let told = told.unwrap_or_else(|| format!("call_{place}_{index}"));
        let (id, items) = seals::read(&told);
        let kind = take_string(&mut call, at, "type")?;
        let mut seal = details::thought_signature(&mut call);
        for item in items {
            match item {
                Item::Call(own) => seal = Some(own),
                item => restore(item, index == 0, parts),
            }
        }
        let custom = take_object(&mut call, at, "custom")?;
        let (name, arguments, kind) = match (custom, kind.as_deref()) {
            (Some(mut custom), _) => {
                let path = join(at, "custom");
                let name = need_string(&mut custom, &path, "name")?;
                let input = take_string(&mut custom, &path, "input")?.unwrap_or_default();
                (name, input, ToolKind::Custom)
            }
            (None, Some("function") | None) => {
                let path = join(at, "function");
                let mut function =
                    take_object(&mut call, at, "function")?.ok_or_else(|| missing(&path))?;
                let name = need_string(&mut function, &path, "name")?;
                let arguments = arguments(&mut function, &path)?;
                (name, arguments, ToolKind::Function)
            }
            (None, Some(_)) => {
                return Err(invalid(&join(at, "type"), "expected function or custom"));
            }
        };
        self.calls.insert(id.to_owned(), (name.clone(), kind));
        parts.push(Part {
            content: Content::ToolCall {
                id: id.to_owned(),
                name,
                arguments,
                kind,
            },
            cache: None,
            seal,
        });
        Ok(())
    }

    fn legacy_call(&mut self, mut call: Object, at: &str, place: usize) -> Result<Part> {
        let name = need_string(&mut call, at, "name")?;
        let arguments = arguments(&mut call, at)?;
        let id = format!("call_{place}_function");
        self.legacy_calls.push((id.clone(), name.clone()));
        Ok(Part::new(Content::ToolCall {
            id,
            name,
            arguments,
            kind: ToolKind::Function,
        }))
    }

    fn tool(&mut self, message: &mut Object, at: &str) -> Result<Part> {
        let told = need_string(message, at, "tool_call_id")?;
        let (call_id, _) = seals::read(&told);
        let known = self.calls.get(call_id).cloned();
        let told_name = take_string(message, at, "name")?;
        let (name, kind) = match known {
            Some((name, kind)) => (Some(name), kind),
            None => (told_name, ToolKind::Function),
        };
        Ok(Part::new(Content::ToolResult {
            call_id: call_id.to_owned(),
            name,
            parts: result_content(message, at)?,
            is_error: false,
            kind,
        }))
    }

    fn function(&mut self, message: &mut Object, at: &str, place: usize) -> Result<Part> {
        let name = need_string(message, at, "name")?;
        let called = self.legacy_calls.iter().position(|(_, of)| *of == name);
        let call_id = match called {
            Some(index) => self.legacy_calls.remove(index).0,
            None => {
                return Err(invalid(
                    &join(at, "name"),
                    &format!(
                        "no function_call of '{name}' before message {place} waits for a result"
                    ),
                ));
            }
        };
        Ok(Part::new(Content::ToolResult {
            call_id,
            name: Some(name),
            parts: result_content(message, at)?,
            is_error: false,
            kind: ToolKind::Function,
        }))
    }
}

fn result_content(message: &mut Object, at: &str) -> Result<Vec<Part>> {
    match take(message, "content") {
        Some(content) => read_parts::content(content, &join(at, "content")),
        None => Ok(Vec::new()),
    }
}

/// The arguments of a call, as text; some clients send the object itself.
fn arguments(function: &mut Object, at: &str) -> Result<String> {
    Ok(match take(function, "arguments") {
        None => "{}".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
        Some(Value::String(text)) => text,
        Some(value @ Value::Object(_)) => value.to_string(),
        Some(other) => return Err(wrong_type(&join(at, "arguments"), "a string", &other)),
    })
}

/// Sound that the model made in an earlier turn: OpenAI keeps it under an id.
fn generated_audio(audio: &mut Object, at: &str) -> Result<Part> {
    let transcript = take_string(audio, at, "transcript")?;
    let source = match take_string(audio, at, "data")? {
        Some(data) => MediaSource::Base64(data),
        None => MediaSource::File {
            format: Format::OpenAiChat,
            id: need_string(audio, at, "id")?,
        },
    };
    Ok(Part::new(Content::Media(Media {
        transcript,
        ..super::content::media(MediaKind::Audio, None, source)
    })))
}

/// Puts what an id carried back into its place, unless the client sent it in another way as well.
fn restore(item: Item, is_first_call: bool, parts: &mut Vec<Part>) {
    match item {
        Item::Reasoning {
            text,
            redacted,
            seal,
            after,
        } => {
            if is_there(parts, &seal) {
                return;
            }
            // the same thought without its seal, from a client that shows and sends back the text
            parts.retain(|part| {
                part.seal.is_some() || !matches!(part.content, Content::Reasoning { .. })
            });
            let place = match is_first_call {
                true => place_after(parts, after),
                false => parts.len(),
            };
            parts.insert(place, read_parts::reasoning(text, redacted, Some(seal)));
        }
        Item::Text { seal, after } => {
            let place = place_after(parts, after);
            if let Some(part) = parts
                .get_mut(place)
                .filter(|part| matches!(part.content, Content::Text { .. }))
            {
                part.seal.get_or_insert(seal);
            }
        }
        Item::Call(_) => {}
    }
}

fn is_there(parts: &[Part], seal: &Seal) -> bool {
    parts.iter().any(|part| part.seal.as_ref() == Some(seal))
}

/// The place after so many bytes of text, and after what was put there already; a text that goes on
/// is cut in two.
fn place_after(parts: &mut Vec<Part>, bytes: usize) -> usize {
    let mut left = bytes;
    let mut place = 0;
    while place < parts.len() {
        let Content::Text { text, .. } = &mut parts[place].content else {
            let is_call = matches!(parts[place].content, Content::ToolCall { .. });
            if is_call {
                break;
            }
            place += 1;
            continue;
        };
        if left == 0 {
            break;
        }
        if text.len() > left && text.is_char_boundary(left) {
            let rest = text.split_off(left);
            parts.insert(place + 1, Part::text(rest));
            left = 0;
        } else {
            left = left.saturating_sub(text.len());
        }
        place += 1;
    }
    place
}
