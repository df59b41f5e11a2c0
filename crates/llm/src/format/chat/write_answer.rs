//! A whole answer for a client.

use serde_json::{Map, Value, json};

use super::content::url_of;
use super::seals::{self, Item};
use super::write_usage::Totals;
use crate::conversation::{
    Answer, Choice, Citation, Content, Media, MediaKind, Part, Stop, TokenLogprob, ToolKind,
    custom_tools,
};
use crate::format::{Format, Shown};
use crate::json;

/// What the client's request says about how calls are written.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// It defined `functions`, and looks for `function_call`.
    pub legacy_functions: bool,
    /// Names of the tools that take free text.
    custom_tools: Vec<String>,
}

impl Asked {
    pub fn of(shown: &Shown) -> Asked {
        let Some(request) = &shown.request else {
            return Asked::default();
        };
        let tools = request["tools"].as_array().map_or(&[][..], Vec::as_slice);
        Asked {
            legacy_functions: request["functions"].is_array() && tools.is_empty(),
            custom_tools: tools
                .iter()
                .filter_map(|tool| tool["custom"]["name"].as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// A function that the provider called in the place of a custom tool.
    pub fn is_custom(&self, name: &str) -> bool {
        self.custom_tools.iter().any(|custom| custom == name)
    }
}

/// Writes the answer.
pub(super) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let asked = Asked::of(shown);
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| self::choice(index, choice, &asked))
        .collect();
    let mut body = json!({
        "id": id(answer.id.as_deref(), shown),
        "object": "chat.completion",
        "created": answer.created.unwrap_or(shown.created),
        "model": shown.model,
        "choices": choices,
        "system_fingerprint": null,
    });
    if let Some(usage) = &answer.usage {
        body["usage"] = json!(Totals::of(usage));
    }
    if let Some(tier) = &answer.service_tier {
        body["service_tier"] = json!(tier);
    }
    json::write(&body)
}

/// The provider's id in this format's shape, or one of ours.
pub(super) fn id(provider: Option<&str>, shown: &Shown) -> String {
    let id = provider.unwrap_or(&shown.id);
    match id.starts_with("chatcmpl-") {
        true => id.to_owned(),
        false => format!("chatcmpl-{id}"),
    }
}

fn choice(index: usize, choice: &Choice, asked: &Asked) -> Value {
    let mut writer = Message::default();
    for part in &choice.parts {
        writer.part(part, asked);
    }
    let refuses = writer.refusal.is_some();
    let calls = !writer.calls.is_empty();
    let stop = choice.stop.as_ref().unwrap_or(&Stop::End);
    json!({
        "index": index,
        "message": writer.finish(asked),
        "logprobs": logprobs(&choice.logprobs),
        "finish_reason": finish_reason(stop, calls, refuses, asked),
    })
}

/// OpenAI's word for a stop.
pub(super) fn finish_reason(
    stop: &Stop,
    calls: bool,
    refuses: bool,
    asked: &Asked,
) -> &'static str {
    match stop {
        Stop::MaxTokens => "length",
        Stop::Filtered => "content_filter",
        Stop::Refusal if refuses => "stop",
        Stop::Refusal => "content_filter",
        _ if calls && asked.legacy_functions => "function_call",
        _ if calls => "tool_calls",
        Stop::ToolCalls | Stop::End | Stop::Sequence(_) | Stop::Pause | Stop::Other(_) => "stop",
    }
}

/// A message, put together part by part.
#[derive(Default)]
struct Message {
    text: String,
    /// Characters in `text`.
    characters: u64,
    has_text: bool,
    refusal: Option<String>,
    reasoning: String,
    thinking_blocks: Vec<Value>,
    annotations: Vec<Value>,
    native_citations: Vec<Value>,
    audio: Option<Value>,
    images: Vec<Value>,
    calls: Vec<Value>,
    /// What the next call's id is to carry.
    sealed: Vec<Item>,
}

impl Message {
    fn part(&mut self, part: &Part, asked: &Asked) {
        let item = Item::of(part, self.text.len());
        match &part.content {
            Content::Text { text, citations } => {
                for citation in citations {
                    match annotation(citation, self.characters) {
                        Some(annotation) => self.annotations.push(annotation),
                        None => self.native_citations.push(native_citation(citation)),
                    }
                }
                self.text.push_str(text);
                self.characters += text.chars().count() as u64;
                self.has_text = true;
            }
            Content::Refusal(text) => self.refusal.get_or_insert_default().push_str(text),
            Content::Reasoning { text, redacted } => {
                if !self.reasoning.is_empty() && !text.is_empty() {
                    self.reasoning.push_str("\n\n");
                }
                self.reasoning.push_str(text);
                self.thinking_blocks
                    .extend(thinking_block(text, *redacted, part));
            }
            Content::Media(media) => self.media(media),
            Content::ToolCall { .. } => {
                self.sealed.extend(item);
                let items = std::mem::take(&mut self.sealed);
                self.calls.extend(tool_call(part, &items, asked));
                return;
            }
            Content::ToolResult { .. } | Content::Native { .. } => {}
        }
        self.sealed.extend(item);
    }

    fn media(&mut self, media: &Media) {
        match media.kind {
            MediaKind::Audio => self.audio = Some(audio(media)),
            _ => {
                if let Some(image) = image(media) {
                    self.images.push(image);
                }
            }
        }
    }

    fn finish(self, asked: &Asked) -> Value {
        let mut message = Map::new();
        let mut set = |name: &str, value: Value| message.insert(name.to_owned(), value);
        set("role", json!("assistant"));
        set(
            "content",
            match self.has_text {
                true => json!(self.text),
                false => Value::Null,
            },
        );
        set("refusal", json!(self.refusal));
        let has_thoughts = !self.thinking_blocks.is_empty();
        if !self.reasoning.is_empty() || has_thoughts {
            set("reasoning_content", json!(self.reasoning));
        }
        if has_thoughts {
            set("thinking_blocks", Value::Array(self.thinking_blocks));
        }
        if !self.annotations.is_empty() {
            set("annotations", Value::Array(self.annotations));
        }
        if !self.native_citations.is_empty() {
            let fields = json!({"citations": [self.native_citations]});
            set("provider_specific_fields", fields);
        }
        if let Some(audio) = self.audio {
            set("audio", audio);
        }
        if !self.images.is_empty() {
            set("images", Value::Array(self.images));
        }
        let mut calls = self.calls;
        if asked.legacy_functions && !calls.is_empty() {
            set("function_call", calls.swap_remove(0)["function"].take());
        } else if !calls.is_empty() {
            set("tool_calls", Value::Array(calls));
        }
        Value::Object(message)
    }
}

/// A block as LiteLLM shows it and takes it back: of Anthropic's shape. Without a seal there is
/// nothing to take back.
pub(super) fn thinking_block(text: &str, redacted: bool, part: &Part) -> Option<Value> {
    let seal = part.seal.as_ref()?.write(Format::Anthropic);
    Some(match redacted {
        true => json!({"type": "redacted_thinking", "data": seal}),
        false => json!({"type": "thinking", "thinking": text, "signature": seal}),
    })
}

/// A citation of a web page; `offset` characters of text stand before its part.
pub(super) fn annotation(citation: &Citation, offset: u64) -> Option<Value> {
    let url = citation.url.as_deref()?;
    let (start, end) = citation.span.unwrap_or((0, 0));
    Some(json!({"type": "url_citation", "url_citation": {
        "url": url,
        "title": citation.title.as_deref().unwrap_or(url),
        "start_index": offset.saturating_add(start),
        "end_index": offset.saturating_add(end),
    }}))
}

/// A citation of a document, which this format has no shape for.
pub(super) fn native_citation(citation: &Citation) -> Value {
    match &citation.native {
        Some((_, value)) => value.clone(),
        None => json!({"title": citation.title, "cited_text": citation.quote}),
    }
}

pub(super) fn image(media: &Media) -> Option<Value> {
    Some(json!({"type": "image_url", "image_url": {"url": url_of(media)?}}))
}

pub(super) fn audio(media: &Media) -> Value {
    let data = match &media.source {
        crate::conversation::MediaSource::Base64(data) => data,
        _ => "",
    };
    json!({
        "id": media.name.as_deref().unwrap_or("audio_0"),
        "data": data,
        "expires_at": 0,
        "transcript": media.transcript.as_deref().unwrap_or(""),
    })
}

fn tool_call(part: &Part, items: &[Item], asked: &Asked) -> Option<Value> {
    let Content::ToolCall {
        id,
        name,
        arguments,
        kind,
    } = &part.content
    else {
        return None;
    };
    let id = seals::write(id, items);
    let free_text = match kind {
        ToolKind::Custom => Some(arguments.clone()),
        ToolKind::Function if asked.is_custom(name) => Some(custom_tools::input(arguments)),
        ToolKind::Function => None,
    };
    Some(match free_text {
        Some(input) => json!({
            "id": id, "type": "custom", "custom": {"name": name, "input": input},
        }),
        None => json!({
            "id": id, "type": "function", "function": {"name": name, "arguments": arguments},
        }),
    })
}

fn logprobs(tokens: &[TokenLogprob]) -> Value {
    match tokens.is_empty() {
        true => Value::Null,
        false => json!({"content": tokens.iter().map(token).collect::<Vec<_>>(), "refusal": null}),
    }
}

/// One token's log probability. `bytes` is what the text says where the provider did not tell.
pub(super) fn token(token: &TokenLogprob) -> Value {
    let bytes = |told: &Option<Vec<u8>>, text: &str| match told {
        Some(bytes) => json!(bytes),
        None => json!(text.as_bytes()),
    };
    let tops: Vec<Value> = token
        .top
        .iter()
        .map(|top| {
            json!({
                "token": top.token,
                "logprob": top.logprob,
                "bytes": bytes(&top.bytes, &top.token),
            })
        })
        .collect();
    json!({
        "token": token.token,
        "logprob": token.logprob,
        "bytes": bytes(&token.bytes, &token.token),
        "top_logprobs": tops,
    })
}
