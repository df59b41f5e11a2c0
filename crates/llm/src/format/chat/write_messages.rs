//! Turns as messages, for a provider.

use base::Result;
use serde_json::{Map, Value, json};

use super::content::{audio_format, url_of};
use super::details::{self, details_of_seal};
use super::dialect::{Dialect, Files, Thoughts};
use super::ids;
use super::write_request::cache_control;
use crate::conversation::{
    Carry, Content, Media, MediaKind, MediaSource, Part, Role, ToolKind, Turn, custom_tools,
};
use crate::format::Format;

/// Writes all messages, the system prompt first.
///
/// # Errors
/// `InvalidRequest` (400) for content that the provider does not take.
pub(super) fn write(
    system: &[Part],
    turns: &[Turn],
    dialect: &Dialect,
    system_role: &str,
    carry: &mut Carry,
) -> Result<Vec<Value>> {
    let mut writer = Writer {
        dialect,
        system_role,
        messages: Vec::with_capacity(turns.len() + 1),
        carry,
    };
    if !system.is_empty() {
        let content = writer.content(system, 0)?;
        writer.message(system_role, content);
    }
    for turn in turns {
        match turn.role {
            Role::User => writer.user(turn)?,
            Role::Assistant => writer.assistant(turn)?,
            Role::System => {
                let content = writer.content(&turn.parts, turn.place)?;
                writer.message(writer.system_role, content);
            }
        }
    }
    Ok(writer.messages)
}

struct Writer<'a> {
    dialect: &'a Dialect,
    system_role: &'a str,
    messages: Vec<Value>,
    carry: &'a mut Carry,
}

impl Writer<'_> {
    fn message(&mut self, role: &str, content: Value) {
        self.messages
            .push(json!({"role": role, "content": content}));
    }

    /// Results come first: they must follow the calls. Then what the results showed, and what the
    /// user said.
    fn user(&mut self, turn: &Turn) -> Result<()> {
        let mut attached: Vec<Part> = Vec::new();
        for part in &turn.parts {
            if let Content::ToolResult {
                call_id,
                parts,
                is_error,
                ..
            } = &part.content
            {
                let content = self.result(parts, call_id, *is_error, turn, &mut attached)?;
                let id = ids::fit(call_id, self.dialect.ids);
                let mut message = json!({"role": "tool", "tool_call_id": id, "content": content});
                if let (Some(mark), true) = (part.cache, self.dialect.cache_marks) {
                    message["cache_control"] = cache_control(mark);
                }
                self.messages.push(message);
            }
        }
        let said = turn
            .parts
            .iter()
            .filter(|part| !matches!(part.content, Content::ToolResult { .. }));
        attached.extend(said.cloned());
        let content = self.content(&attached, turn.place)?;
        if !attached.is_empty() && content != json!([]) {
            self.message("user", content);
        }
        Ok(())
    }

    /// The text of a tool's result; media go into a message of the user, where alone they are taken.
    fn result(
        &mut self,
        parts: &[Part],
        call_id: &str,
        is_error: bool,
        turn: &Turn,
        attached: &mut Vec<Part>,
    ) -> Result<Value> {
        let (media, mut texts): (Vec<Part>, Vec<Part>) = parts.iter().cloned().partition(|part| {
            matches!(&part.content, Content::Media(media)
                if !matches!(media.source, MediaSource::Text(_)))
        });
        if !media.is_empty() {
            let id = ids::fit(call_id, self.dialect.ids);
            attached.push(Part::text(format!("Attachments from tool call {id}:")));
            attached.extend(media);
            if texts.is_empty() {
                texts.push(Part::text("The result is attached to the next message."));
            }
        }
        if let (true, Some(Content::Text { text, .. })) =
            (is_error, texts.first_mut().map(|part| &mut part.content))
        {
            let start = text.trim_start_matches(['<', '[', ' ', '\n']);
            let tells = start
                .get(..5)
                .is_some_and(|word| word.eq_ignore_ascii_case("error"));
            if !tells {
                text.insert_str(0, "Error: ");
            }
        } else if is_error {
            texts.push(Part::text("Error"));
        }
        match texts.is_empty() {
            true => Ok(json!("")),
            false => self.content(&texts, turn.place),
        }
    }

    /// A string where one text is all, else a list of parts.
    fn content(&mut self, parts: &[Part], place: usize) -> Result<Value> {
        let mut items = Vec::with_capacity(parts.len());
        let mut is_plain = true;
        for part in parts {
            let Some(mut item) = self.part(part, place)? else {
                continue;
            };
            is_plain &= item["type"] == "text";
            if let (Some(mark), true) = (part.cache, self.dialect.cache_marks) {
                item["cache_control"] = cache_control(mark);
                is_plain = false;
            }
            items.push(item);
        }
        if !is_plain || (items.len() > 1 && self.dialect.content_lists) {
            return Ok(Value::Array(items));
        }
        if let [item] = items.as_mut_slice() {
            return Ok(item["text"].take());
        }
        if items.is_empty() {
            return Ok(json!([]));
        }
        let texts: Vec<&str> = items
            .iter()
            .filter_map(|item| item["text"].as_str())
            .collect();
        Ok(json!(texts.join("\n\n")))
    }

    /// A part of a user's, a system's or a tool's message.
    fn part(&mut self, part: &Part, place: usize) -> Result<Option<Value>> {
        Ok(match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => {
                Some(json!({"type": "text", "text": text}))
            }
            Content::Media(media) => Some(self.media(media, place)?),
            Content::Native { value, .. } => {
                self.leave_native(value, place);
                None
            }
            Content::Reasoning { .. } | Content::ToolCall { .. } | Content::ToolResult { .. } => {
                None
            }
        })
    }

    /// A block that only another format knows, for example the result of its own search.
    fn leave_native(&mut self, value: &Value, place: usize) {
        let kind = value["type"].as_str().unwrap_or("block").to_owned();
        self.carry.leave_out(&format!("messages[{place}] ({kind})"));
    }

    fn media(&self, media: &Media, place: usize) -> Result<Value> {
        if let MediaSource::Text(text) = &media.source {
            let text = match &media.name {
                Some(name) => format!("{name}:\n\n{text}"),
                None => text.clone(),
            };
            return Ok(json!({"type": "text", "text": text}));
        }
        match media.kind {
            MediaKind::Image => match url_of(media) {
                Some(url) => {
                    let mut image = json!({ "url": url });
                    if let Some(detail) = &media.detail {
                        image["detail"] = json!(detail);
                    }
                    Ok(json!({"type": "image_url", "image_url": image}))
                }
                None => self.file(media, place),
            },
            MediaKind::Video => match url_of(media) {
                Some(url) if !self.dialect.is_openai => {
                    Ok(json!({"type": "video_url", "video_url": {"url": url}}))
                }
                _ => Err(self.carry.content(place, "takes no video")),
            },
            MediaKind::Audio => self.audio(media, place),
            MediaKind::Document => self.file(media, place),
        }
    }

    fn audio(&self, media: &Media, place: usize) -> Result<Value> {
        match (&media.source, self.dialect.audio_object) {
            (MediaSource::Base64(data), true) => {
                let format = audio_format(media.media_type.as_deref());
                if self.dialect.is_openai && !matches!(format, "wav" | "mp3") {
                    return Err(self.carry.content(place, "takes audio as wav or mp3 only"));
                }
                Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
            }
            (MediaSource::Base64(data) | MediaSource::Url(data), false) => {
                Ok(json!({"type": "input_audio", "input_audio": data}))
            }
            _ => Err(self.carry.content(place, "takes audio as base64 only")),
        }
    }

    fn file(&self, media: &Media, place: usize) -> Result<Value> {
        let refuse = |why| Err(self.carry.content(place, why));
        let name = media.name.as_deref().unwrap_or("document.pdf");
        match (self.dialect.files, &media.source) {
            (Files::None, _) => refuse("takes no documents"),
            (_, MediaSource::File { format, id }) => match format {
                Format::OpenAiChat | Format::OpenAiResponses if self.dialect.is_openai => {
                    Ok(json!({"type": "file", "file": {"file_id": id}}))
                }
                _ => refuse("does not have the file that it names"),
            },
            (Files::Data, MediaSource::Url(_)) => refuse("takes no documents by URL"),
            (Files::DocumentUrl, _) => Ok(json!({
                "type": "document_url",
                "document_url": url_of(media),
                "document_name": name,
            })),
            (Files::Data | Files::DataOrUrl, _) => Ok(json!({
                "type": "file",
                "file": {"filename": name, "file_data": url_of(media)},
            })),
        }
    }

    fn assistant(&mut self, turn: &Turn) -> Result<()> {
        let mut message = Map::new();
        let mut text = String::new();
        let mut calls = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Text { text: more, .. } => text.push_str(more),
                Content::Refusal(refusal) if self.dialect.is_openai => {
                    message.insert("refusal".to_owned(), json!(refusal));
                }
                Content::Refusal(refusal) => text.push_str(refusal),
                Content::ToolCall { .. } => calls.extend(self.call(part)),
                Content::Media(media) => {
                    self.generated(media, turn.place, &mut text, &mut message)?;
                }
                Content::Native { value, .. } => self.leave_native(value, turn.place),
                Content::Reasoning { .. } | Content::ToolResult { .. } => {}
            }
        }
        self.thoughts(turn, &mut text, &mut message);
        let has_content = message.contains_key("content");
        if text.is_empty() && calls.is_empty() && message.is_empty() {
            return Ok(());
        }
        if !has_content {
            let content = match text.is_empty() {
                true if self.dialect.content_lists => Value::Null,
                _ => json!(text),
            };
            message.insert("content".to_owned(), content);
        }
        message.insert("role".to_owned(), json!("assistant"));
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        self.messages.push(Value::Object(message));
        Ok(())
    }

    fn call(&self, part: &Part) -> Option<Value> {
        let Content::ToolCall {
            id,
            name,
            arguments,
            kind,
        } = &part.content
        else {
            return None;
        };
        let id = ids::fit(id, self.dialect.ids);
        if *kind == ToolKind::Custom && self.dialect.custom_tools {
            return Some(json!({
                "id": id, "type": "custom", "custom": {"name": name, "input": arguments},
            }));
        }
        let arguments = custom_tools::arguments(*kind, arguments);
        let mut call = json!({
            "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
        });
        if self.dialect.thoughts == Thoughts::Signatures
            && let Some(signature) = part
                .seal
                .as_ref()
                .and_then(|seal| seal.for_format(Format::Gemini))
        {
            call["extra_content"] = json!({"google": {"thought_signature": signature}});
        }
        Some(call)
    }

    /// What the model made in an earlier turn: OpenAI knows its own sound by an id.
    fn generated(
        &self,
        media: &Media,
        place: usize,
        text: &mut String,
        message: &mut Map<String, Value>,
    ) -> Result<()> {
        match (&media.source, &media.transcript) {
            (
                MediaSource::File {
                    format: Format::OpenAiChat,
                    id,
                },
                _,
            ) if self.dialect.is_openai => {
                message.insert("audio".to_owned(), json!({ "id": id }));
            }
            (_, Some(transcript)) => text.push_str(transcript),
            _ => {
                let why = "takes no media in what the assistant said";
                return Err(self.carry.content(place, why));
            }
        }
        Ok(())
    }

    /// Thoughts that this provider may see again: its own kind's, and those without a seal.
    fn thoughts(&self, turn: &Turn, text: &mut String, message: &mut Map<String, Value>) {
        let mut thought = String::new();
        let mut all_details = Vec::new();
        for part in &turn.parts {
            let Content::Reasoning { text, .. } = &part.content else {
                continue;
            };
            match &part.seal {
                None => thought.push_str(text),
                Some(seal) if seal.format == Format::OpenAiChat => {
                    thought.push_str(text);
                    all_details.extend(details_of_seal(seal).into_iter().flatten());
                }
                // nobody but the provider that signed it can tell that it is true
                Some(_) => {}
            }
        }
        match self.dialect.thoughts {
            Thoughts::Nowhere | Thoughts::Signatures => {}
            Thoughts::Member(name) => {
                if !thought.is_empty() {
                    message.insert(name.to_owned(), json!(thought));
                }
            }
            Thoughts::Details => {
                if !all_details.is_empty() {
                    message.insert("reasoning_details".to_owned(), Value::Array(all_details));
                } else if !thought.is_empty() {
                    message.insert(details::TEXT_MEMBERS[1].to_owned(), json!(thought));
                }
            }
            Thoughts::Chunks => {
                if !thought.is_empty() {
                    let mut content = vec![json!({
                        "type": "thinking",
                        "thinking": [{"type": "text", "text": thought}],
                    })];
                    if !text.is_empty() {
                        content.push(json!({"type": "text", "text": std::mem::take(text)}));
                    }
                    message.insert("content".to_owned(), Value::Array(content));
                }
            }
        }
    }
}
