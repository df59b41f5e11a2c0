//! Turns as Cohere's messages. Documents stand beside the messages, results of tools are messages of
//! their own.

use base::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{PLAN, THINKING};
use crate::conversation::{
    Carry, Content, Conversation, Field, Media, MediaKind, MediaSource, Part, Role, ToolKind, Turn,
    custom_tools,
};
use crate::format::Format;

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message {
    System {
        content: String,
    },
    User {
        content: Vec<Value>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_plan: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Value>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Value>,
    },
    Tool {
        tool_call_id: String,
        content: Vec<Value>,
    },
}

/// What a conversation says.
#[derive(Default)]
pub(super) struct Messages {
    pub messages: Vec<Message>,
    /// Documents that the user's turns hold.
    pub documents: Vec<Value>,
}

pub(super) fn write(conversation: &Conversation, carry: &mut Carry) -> Result<Messages> {
    let mut out = Messages::default();
    let mut has_cache = conversation.cache.is_some();
    out.system(&conversation.system, carry)?;
    for turn in &conversation.turns {
        has_cache |= turn.parts.iter().any(|part| part.cache.is_some());
        match turn.role {
            Role::System => out.system(&turn.parts, carry)?,
            Role::User => out.user(turn, carry)?,
            Role::Assistant => out.assistant(turn, carry)?,
        }
    }
    if has_cache || conversation.system.iter().any(|part| part.cache.is_some()) {
        // Cohere caches by itself.
        carry.hint(Field::Cache);
    }
    Ok(out)
}

fn text_block(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

impl Messages {
    fn system(&mut self, parts: &[Part], carry: &mut Carry) -> Result<()> {
        let mut texts = Vec::new();
        for part in parts {
            match &part.content {
                Content::Text { text, .. } if text.is_empty() => {}
                Content::Text { text, .. } => texts.push(&**text),
                _ => carry.cannot(Field::System, "takes text alone in its system prompt")?,
            }
        }
        if !texts.is_empty() {
            let content = texts.join("\n\n");
            self.messages.push(Message::System { content });
        }
        Ok(())
    }

    fn user(&mut self, turn: &Turn, carry: &mut Carry) -> Result<()> {
        let mut content = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {}
                Content::Text { text, .. } | Content::Refusal(text) => {
                    content.push(text_block(text));
                }
                Content::Media(media) if media.kind == MediaKind::Image => {
                    content.push(image(media, turn.place, carry)?);
                }
                Content::Media(media) => {
                    let data = document(media, turn.place, carry)?;
                    let id = format!("doc:{}", self.documents.len());
                    self.documents.push(json!({"id": id, "data": data}));
                }
                Content::ToolResult { .. } => {
                    let message = tool_result(part, turn.place, carry)?;
                    self.messages.extend(message);
                }
                _ => return Err(carry.content(turn.place, "knows no such content")),
            }
        }
        if !content.is_empty() {
            self.messages.push(Message::User { content });
        }
        Ok(())
    }

    fn assistant(&mut self, turn: &Turn, carry: &mut Carry) -> Result<()> {
        let mut plan: Option<String> = None;
        let mut content = Vec::new();
        let mut tool_calls = Vec::new();
        for part in &turn.parts {
            match &part.content {
                Content::Text { text, .. } | Content::Refusal(text) if text.is_empty() => {}
                Content::Text { text, .. } | Content::Refusal(text) => {
                    content.push(text_block(text));
                }
                Content::Reasoning { text, .. } => {
                    let seal = part.seal.as_ref();
                    match seal.and_then(|seal| seal.for_format(Format::Cohere)) {
                        Some(PLAN) => plan.get_or_insert_default().push_str(text),
                        Some(THINKING) => {
                            content.push(json!({"type": "thinking", "thinking": text}));
                        }
                        // another provider's thoughts
                        _ => {}
                    }
                }
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                    kind,
                } => tool_calls.push(tool_call(id, name, arguments, *kind)),
                Content::Media(Media {
                    transcript: Some(said),
                    ..
                }) => content.push(text_block(said)),
                // What another provider's own tools did is told by the text that follows.
                Content::Native { .. } => {
                    let messages = carry.from.spelling(Field::Messages);
                    carry.leave_out(&format!("{messages}[{}]", turn.place));
                }
                Content::Media(_) | Content::ToolResult { .. } => {
                    return Err(carry.content(turn.place, "takes text alone of the assistant"));
                }
            }
        }
        if plan.is_some() || !content.is_empty() || !tool_calls.is_empty() {
            self.messages.push(Message::Assistant {
                tool_plan: plan,
                content,
                tool_calls,
            });
        }
        Ok(())
    }
}

fn tool_call(id: &str, name: &str, arguments: &str, kind: ToolKind) -> Value {
    let arguments = custom_tools::arguments(kind, arguments);
    let arguments = match arguments.trim().is_empty() {
        true => "{}",
        false => &*arguments,
    };
    json!({
        "id": id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    })
}

fn tool_result(part: &Part, place: usize, carry: &Carry) -> Result<Option<Message>> {
    let Content::ToolResult {
        call_id,
        parts,
        is_error,
        ..
    } = &part.content
    else {
        return Ok(None);
    };
    let mut content = Vec::new();
    if *is_error {
        content.push(text_block("The tool failed:"));
    }
    for inner in parts {
        match &inner.content {
            Content::Text { text, .. } | Content::Refusal(text) => content.push(text_block(text)),
            Content::Media(media) if media.kind == MediaKind::Document => {
                let data = document(media, place, carry)?;
                content.push(json!({"type": "document", "document": {"data": data}}));
            }
            _ => return Err(carry.content(place, "takes text alone as the result of a tool")),
        }
    }
    if content.is_empty() {
        content.push(text_block(""));
    }
    Ok(Some(Message::Tool {
        tool_call_id: call_id.clone(),
        content,
    }))
}

fn image(media: &Media, place: usize, carry: &Carry) -> Result<Value> {
    let url = match &media.source {
        MediaSource::Url(url) => url.clone(),
        MediaSource::Base64(data) => {
            let media_type = media.media_type.as_deref().unwrap_or("image/png");
            format!("data:{media_type};base64,{data}")
        }
        MediaSource::Text(_) | MediaSource::File { .. } => {
            return Err(carry.content(place, "takes pictures as base64 or by URL only"));
        }
    };
    let mut image = json!({ "url": url });
    if let Some(detail @ ("auto" | "low" | "high")) = media.detail.as_deref() {
        image["detail"] = json!(detail);
    }
    Ok(json!({"type": "image_url", "image_url": image}))
}

/// The members of a document that is text.
fn document(media: &Media, place: usize, carry: &Carry) -> Result<Value> {
    let refused = || carry.content(place, "takes documents as text only");
    let text = match &media.source {
        _ if media.kind != MediaKind::Document => {
            return Err(carry.content(place, "takes neither sound nor films"));
        }
        MediaSource::Text(text) => text.clone(),
        MediaSource::Base64(data) if is_text(media.media_type.as_deref()) => {
            let bytes = STANDARD.decode(data).map_err(|_| refused())?;
            String::from_utf8(bytes).map_err(|_| refused())?
        }
        _ => return Err(refused()),
    };
    let mut data = json!({ "text": text });
    if let Some(name) = &media.name {
        data["title"] = json!(name);
    }
    Ok(data)
}

fn is_text(media_type: Option<&str>) -> bool {
    media_type.is_some_and(|name| name.starts_with("text/") || name.starts_with("application/json"))
}
