//! Writing a request for a provider.
//!
//! The provider keeps nothing (`store: false`): the gateway's clients send the whole conversation, and
//! reasoning comes back to the provider as the encrypted items it was asked to include.

use std::borrow::Cow;

use base::{Error, Result};
use serde_json::{Map, Value, json};

use super::names::digest;
use super::{FORMAT, reasoning, tools};
use crate::conversation::{
    Carry, Content, Conversation, Effort, Field, Media, MediaKind, MediaSource, Output, Part,
    Reasoning, Role, ToolKind, Turn,
};
use crate::format::To;

/// The least `max_output_tokens` that OpenAI takes.
const MIN_OUTPUT_TOKENS: u64 = 16;
/// The longest `user`, `call_id` and `prompt_cache_key`, in characters.
const MAX_ID: usize = 64;

/// Writes a request.
pub(super) fn write(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<Vec<u8>> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("model", json!(to.model));
    put("store", json!(false));
    if conversation.stream {
        put("stream", json!(true));
    }
    if !conversation.system.is_empty() {
        put(
            "instructions",
            json!(instructions(&conversation.system, carry)?),
        );
    }
    let mut items = Vec::new();
    for turn in &conversation.turns {
        write_turn(turn, carry, &mut items)?;
    }
    put("input", Value::Array(items));
    let mut written = Vec::new();
    for tool in &conversation.tools {
        written.extend(tools::write(tool, carry)?);
    }
    let has_tools = !written.is_empty();
    if has_tools {
        put("tools", Value::Array(written));
    }
    if let Some(choice) = conversation.tool_choice.as_ref().filter(|_| has_tools) {
        put(
            "tool_choice",
            tools::write_choice(choice, &conversation.tools),
        );
    }
    if let Some(parallel) = conversation.parallel_tool_calls.filter(|_| has_tools) {
        put("parallel_tool_calls", json!(parallel));
    }
    settings(conversation, to, carry, &mut body)?;
    bookkeeping(conversation, carry, &mut body);
    refuse(conversation, carry)?;
    serde_json::to_vec(&body).map_err(Error::internal)
}

fn instructions(parts: &[Part], carry: &Carry) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        let Content::Text { text: piece, .. } = &part.content else {
            return Err(carry.content(0, "takes nothing but text from the system"));
        };
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(piece);
    }
    Ok(text)
}

/// How the answer should be made.
fn settings(
    conversation: &Conversation,
    to: &To<'_>,
    carry: &mut Carry,
    body: &mut Map<String, Value>,
) -> Result<()> {
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    if let Some(limit) = conversation.max_output_tokens {
        put("max_output_tokens", json!(limit.max(MIN_OUTPUT_TOKENS)));
    }
    if let Some(temperature) = &conversation.temperature {
        put("temperature", json!(temperature));
    }
    if let Some(top_p) = &conversation.top_p {
        put("top_p", json!(top_p));
    }
    let mut include = Vec::new();
    if may_reason(to.model) {
        include.push("reasoning.encrypted_content");
    }
    if let Some(count) = conversation.logprobs {
        include.push("message.output_text.logprobs");
        put("top_logprobs", json!(count));
    }
    if !include.is_empty() {
        put("include", json!(include));
    }
    if let Some(reasoning) = conversation.reasoning.as_ref().and_then(write_reasoning) {
        put("reasoning", reasoning);
    }
    let mut text = Map::new();
    if let Some(format) = output(&conversation.output) {
        text.insert("format".to_owned(), format);
    }
    if let Some(verbosity) = &conversation.verbosity {
        text.insert("verbosity".to_owned(), json!(verbosity));
    }
    if !text.is_empty() {
        put("text", Value::Object(text));
    }
    if conversation
        .modalities
        .as_ref()
        .is_some_and(|wanted| wanted.audio)
    {
        carry.cannot(Field::Modalities, "does not answer with sound here")?;
    }
    if conversation
        .modalities
        .as_ref()
        .is_some_and(|wanted| wanted.image)
    {
        carry.cannot(Field::Modalities, "does not answer with images here")?;
    }
    Ok(())
}

/// Whether the model may reason: those that never do refuse to be asked for encrypted reasoning.
fn may_reason(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.rsplit("openai.").next().unwrap_or(name);
    let is_old = ["gpt-3", "gpt-4", "chatgpt-"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    let is_chat = name.starts_with("gpt-5") && name.contains("-chat");
    !is_old && !is_chat
}

fn write_reasoning(reasoning: &Reasoning) -> Option<Value> {
    let mut written = Map::new();
    let effort = match (reasoning.effort, reasoning.budget) {
        (Some(effort), _) => Some(effort),
        // a large budget is usual for clients of Anthropic, and few models have an effort above high
        (None, Some(budget)) => Some(Effort::of_budget(budget).min(Effort::High)),
        (None, None) => None,
    };
    if let Some(effort) = effort {
        written.insert("effort".to_owned(), json!(effort_word(effort)));
    }
    if reasoning.show == Some(true) {
        written.insert("summary".to_owned(), json!("auto"));
    }
    (!written.is_empty()).then_some(Value::Object(written))
}

fn effort_word(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max => "xhigh",
    }
}

fn output(output: &Output) -> Option<Value> {
    match output {
        Output::Text => None,
        Output::Json => Some(json!({"type": "json_object"})),
        Output::Schema {
            name,
            description,
            schema,
            strict,
        } => {
            let mut format = json!({
                "type": "json_schema",
                "name": name.as_deref().unwrap_or("answer"),
                "schema": schema,
            });
            if let Some(description) = description {
                format["description"] = json!(description);
            }
            if let Some(strict) = strict {
                format["strict"] = json!(strict);
            }
            Some(format)
        }
    }
}

/// What changes nothing of the answer.
fn bookkeeping(conversation: &Conversation, carry: &mut Carry, body: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    match &conversation.end_user {
        Some(user) if user.chars().count() <= MAX_ID => put("user", json!(user)),
        Some(_) => carry.hint(Field::EndUser),
        None => {}
    }
    let is_text =
        |value: &Value| matches!(value, Value::String(text) if text.chars().count() <= 512);
    if !conversation.metadata.is_empty() {
        match conversation.metadata.values().all(is_text) && conversation.metadata.len() <= 16 {
            true => put("metadata", Value::Object(conversation.metadata.clone())),
            false => carry.hint(Field::Metadata),
        }
    }
    match conversation.service_tier.as_deref() {
        Some(tier @ ("auto" | "default" | "flex" | "priority" | "scale")) => {
            put("service_tier", json!(tier));
        }
        Some("standard_only" | "standard") => put("service_tier", json!("default")),
        Some(_) => carry.hint(Field::ServiceTier),
        None => {}
    }
    match &conversation.cache_key {
        Some(key) if key.chars().count() <= MAX_ID => put("prompt_cache_key", json!(key)),
        Some(_) => carry.hint(Field::CacheKey),
        None => {}
    }
}

/// What this format has no word for.
fn refuse(conversation: &Conversation, carry: &mut Carry) -> Result<()> {
    if conversation.top_k.is_some() {
        carry.cannot(Field::TopK, "has no top_k")?;
    }
    if !conversation.stop.is_empty() {
        carry.cannot(Field::Stop, "has no stop sequences here")?;
    }
    if conversation.seed.is_some() {
        carry.cannot(Field::Seed, "has no seed here")?;
    }
    let is_set = |penalty: &Option<serde_json::Number>| {
        penalty
            .as_ref()
            .is_some_and(|number| number.as_f64() != Some(0.0))
    };
    if is_set(&conversation.presence_penalty) {
        carry.cannot(Field::PresencePenalty, "has no presence penalty here")?;
    }
    if is_set(&conversation.frequency_penalty) {
        carry.cannot(Field::FrequencyPenalty, "has no frequency penalty here")?;
    }
    if conversation.choices.is_some_and(|choices| choices > 1) {
        carry.cannot(Field::Choices, "gives one answer to a request here")?;
    }
    if conversation
        .logit_bias
        .as_ref()
        .is_some_and(|bias| !bias.is_empty())
    {
        carry.cannot(Field::LogitBias, "has no logit bias here")?;
    }
    Ok(())
}

fn write_turn(turn: &Turn, carry: &Carry, items: &mut Vec<Value>) -> Result<()> {
    let mut message = Message::new(turn.role);
    for part in &turn.parts {
        match &part.content {
            Content::Text { .. } | Content::Refusal(_) | Content::Media(_) => {
                message.content.push(input_content(part, turn, carry)?);
            }
            content => {
                let Some(item) = item(content, part, turn, carry)? else {
                    continue;
                };
                message.flush(items);
                items.push(item);
            }
        }
    }
    message.flush(items);
    Ok(())
}

/// Content of one role that becomes one message.
struct Message {
    role: &'static str,
    content: Vec<Value>,
}

impl Message {
    fn new(role: Role) -> Message {
        Message {
            role: match role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System => "system",
            },
            content: Vec::new(),
        }
    }

    fn flush(&mut self, items: &mut Vec<Value>) {
        if !self.content.is_empty() {
            let content = std::mem::take(&mut self.content);
            items.push(json!({"type": "message", "role": self.role, "content": content}));
        }
    }
}

/// A part that is an item of its own; `None` where it stays behind.
fn item(content: &Content, part: &Part, turn: &Turn, carry: &Carry) -> Result<Option<Value>> {
    Ok(match content {
        // without its seal the provider cannot take it for its own
        Content::Reasoning { .. } => part
            .seal
            .as_ref()
            .and_then(reasoning::sealed_item)
            .map(Value::Object),
        Content::ToolCall {
            id,
            name,
            arguments,
            kind,
        } => Some(match kind {
            ToolKind::Function => json!({
                "type": "function_call",
                "call_id": call_id(id),
                "name": name,
                "arguments": arguments,
            }),
            ToolKind::Custom => json!({
                "type": "custom_tool_call",
                "call_id": call_id(id),
                "name": name,
                "input": arguments,
            }),
        }),
        Content::ToolResult {
            call_id: id,
            parts,
            is_error,
            kind,
            ..
        } => {
            let kind = match kind {
                ToolKind::Function => "function_call_output",
                ToolKind::Custom => "custom_tool_call_output",
            };
            let output = tool_output(parts, *is_error, turn, carry)?;
            Some(json!({"type": kind, "call_id": call_id(id), "output": output}))
        }
        Content::Native { format, value } if *format == FORMAT => Some(value.clone()),
        Content::Native { .. } => None,
        Content::Text { .. } | Content::Refusal(_) | Content::Media(_) => None,
    })
}

/// The output of a tool: text, where it is nothing else.
fn tool_output(parts: &[Part], is_error: bool, turn: &Turn, carry: &Carry) -> Result<Value> {
    let mut text = String::new();
    let mut is_text = true;
    for part in parts {
        match &part.content {
            Content::Text { text: piece, .. } => text.push_str(piece),
            _ => is_text = false,
        }
    }
    // there is no other place to say that it failed
    let says_so = text.trim_start().to_ascii_lowercase().starts_with("error");
    let mark = if is_error && !says_so { "Error: " } else { "" };
    if is_text {
        return Ok(json!(format!("{mark}{text}")));
    }
    let mut content = Vec::new();
    if !mark.is_empty() {
        content.push(json!({"type": "input_text", "text": mark.trim_end()}));
    }
    for part in parts {
        content.push(input_content(part, turn, carry)?);
    }
    Ok(Value::Array(content))
}

fn input_content(part: &Part, turn: &Turn, carry: &Carry) -> Result<Value> {
    let is_answer = turn.role == Role::Assistant;
    Ok(match &part.content {
        Content::Text { text, .. } if is_answer => {
            json!({"type": "output_text", "text": text, "annotations": []})
        }
        Content::Text { text, .. } => json!({"type": "input_text", "text": text}),
        Content::Refusal(text) if is_answer => json!({"type": "refusal", "refusal": text}),
        Content::Refusal(text) => json!({"type": "input_text", "text": text}),
        Content::Media(media) if is_answer => match &media.transcript {
            Some(text) => json!({"type": "output_text", "text": text, "annotations": []}),
            None => {
                return Err(carry.content(
                    turn.place,
                    "takes no images, sound or files that a model said",
                ));
            }
        },
        Content::Media(media) => input_media(media, turn, carry)?,
        _ => return Err(carry.content(turn.place, "takes no such content here")),
    })
}

fn input_media(media: &Media, turn: &Turn, carry: &Carry) -> Result<Value> {
    let default_type = match media.kind {
        MediaKind::Image => "image/png",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/wav",
        MediaKind::Video => return Err(carry.content(turn.place, "takes no video")),
    };
    let media_type = media.media_type.as_deref().unwrap_or(default_type);
    let data_url = |data: &str| format!("data:{media_type};base64,{data}");
    if media.kind == MediaKind::Audio {
        let MediaSource::Base64(data) = &media.source else {
            return Err(carry.content(turn.place, "takes sound as base64 only"));
        };
        let format = match media_type.rsplit('/').next().unwrap_or_default() {
            "mpeg" | "mp3" => "mp3",
            "x-wav" | "wave" => "wav",
            format => format,
        };
        return Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}));
    }
    if media.kind == MediaKind::Image {
        let mut image =
            json!({"type": "input_image", "detail": media.detail.as_deref().unwrap_or("auto")});
        match &media.source {
            MediaSource::Base64(data) => image["image_url"] = json!(data_url(data)),
            MediaSource::Url(url) => image["image_url"] = json!(url),
            MediaSource::File { format, id } if *format == FORMAT => image["file_id"] = json!(id),
            MediaSource::File { .. } | MediaSource::Text(_) => {
                return Err(carry.content(turn.place, "does not have the file"));
            }
        }
        return Ok(image);
    }
    let mut file = json!({"type": "input_file"});
    match &media.source {
        MediaSource::Base64(data) => {
            file["file_data"] = json!(data_url(data));
            file["filename"] = json!(media.name.as_deref().unwrap_or("document.pdf"));
        }
        MediaSource::Url(url) => file["file_url"] = json!(url),
        MediaSource::Text(text) => {
            let title = media.name.as_deref().map(|name| format!("{name}:\n"));
            let text = format!("{}{text}", title.unwrap_or_default());
            return Ok(json!({"type": "input_text", "text": text}));
        }
        MediaSource::File { format, id }
            if matches!(*format, FORMAT | crate::Format::OpenAiChat) =>
        {
            file["file_id"] = json!(id);
        }
        MediaSource::File { .. } => {
            return Err(carry.content(turn.place, "does not have the file"));
        }
    }
    Ok(file)
}

/// The id of a call as the provider takes it, the same for the call and its result.
fn call_id(id: &str) -> Cow<'_, str> {
    match !id.is_empty() && id.chars().count() <= MAX_ID {
        true => Cow::Borrowed(id),
        false => Cow::Owned(format!("call_{:016x}", digest(id.as_bytes()))),
    }
}
