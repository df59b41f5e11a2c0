//! Writing turns: roles alternate, the first is the user's, results of tools come first in it, no text
//! is empty.

use std::borrow::Cow;

use base::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::block::{Block, Citations, Input, Source};
use super::call_id;
use super::model::Model;
use crate::conversation::{
    Carry, Content, Conversation, Field, Media, MediaKind, MediaSource, Part, Role, ToolKind, Turn,
};
use crate::format::{Format, To};

/// What the user is taken to have said before an assistant that speaks first.
const NO_FIRST_WORD: &str = "(The assistant begins.)";

#[derive(Debug, Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: Vec<Block<'a>>,
}

/// The system prompt and the messages.
pub(super) fn write<'a>(
    conversation: &'a Conversation,
    model: Model,
    to: &To<'_>,
    carry: &mut Carry,
) -> Result<(Vec<Block<'a>>, Vec<Message<'a>>)> {
    let turns = &conversation.turns;
    let leading = turns
        .iter()
        .take_while(|turn| turn.role == Role::System)
        .count();
    let leading_parts = turns[..leading].iter().flat_map(|turn| &turn.parts);
    let mut system = Vec::new();
    for part in conversation.system.iter().chain(leading_parts) {
        system.extend(system_text(part, carry)?);
    }
    let mut writer = Writer {
        messages: Vec::new(),
        carry,
        // the clouds take neither
        takes_urls: !is_cloud(to),
        takes_system_turns: to.provider.name == "anthropic" && model.takes_system_turns(),
    };
    for (at, turn) in turns.iter().enumerate().skip(leading) {
        writer.turn(turn, turns.get(at + 1).map(|turn| turn.role))?;
    }
    let mut messages = writer.messages;
    for message in &mut messages {
        let is_no_result = |block: &Block<'_>| !matches!(block, Block::ToolResult { .. });
        message.content.sort_by_key(is_no_result);
    }
    if messages.is_empty() {
        // a system prompt alone is what the model is asked
        let content = std::mem::take(&mut system);
        messages.push(Message {
            role: "user",
            content,
        });
    }
    if messages[0].role == "assistant" {
        let content = vec![text(Cow::Borrowed(NO_FIRST_WORD))];
        messages.insert(
            0,
            Message {
                role: "user",
                content,
            },
        );
    }
    trim_end(&mut messages);
    Ok((system, messages))
}

/// Anthropic's models at AWS and Google, which fetch nothing.
fn is_cloud(to: &To<'_>) -> bool {
    to.provider.name.starts_with("bedrock") || to.provider.name.starts_with("vertex")
}

fn text(text: Cow<'_, str>) -> Block<'_> {
    Block::Text {
        text,
        citations: Vec::new(),
        cache_control: None,
    }
}

fn system_text<'a>(part: &'a Part, carry: &mut Carry) -> Result<Option<Block<'a>>> {
    match &part.content {
        Content::Text { text, .. } if text.trim().is_empty() => Ok(None),
        Content::Text { text, .. } => Ok(Some(Block::Text {
            text: Cow::Borrowed(text),
            citations: Vec::new(),
            cache_control: part.cache.map(Into::into),
        })),
        _ => {
            carry.cannot(Field::System, "takes only text in the system prompt")?;
            Ok(None)
        }
    }
}

/// No answer may begin with a blank, so the last turn, if it is the assistant's, may not end with one.
fn trim_end(messages: &mut [Message<'_>]) {
    if let Some(Message {
        role: "assistant",
        content,
    }) = messages.last_mut()
        && let Some(Block::Text { text, .. }) = content.last_mut()
    {
        let length = text.trim_end().len();
        match text {
            Cow::Borrowed(borrowed) => *text = Cow::Borrowed(&borrowed[..length]),
            Cow::Owned(owned) => owned.truncate(length),
        }
    }
}

struct Writer<'a, 'c> {
    messages: Vec<Message<'a>>,
    carry: &'c mut Carry,
    takes_urls: bool,
    takes_system_turns: bool,
}

impl<'a> Writer<'a, '_> {
    fn turn(&mut self, turn: &'a Turn, next: Option<Role>) -> Result<()> {
        let role = match turn.role {
            Role::System => return self.system_turn(turn, next),
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut blocks = Vec::with_capacity(turn.parts.len());
        for part in &turn.parts {
            blocks.extend(self.block(part, turn)?);
        }
        self.add(role, blocks);
        Ok(())
    }

    fn add(&mut self, role: &'static str, blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        match self.messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ => self.messages.push(Message {
                role,
                content: blocks,
            }),
        }
    }

    /// Where the model takes it, a system turn stands behind the user's and before the assistant's;
    /// else it is said in the user's turn, marked as what it is.
    fn system_turn(&mut self, turn: &'a Turn, next: Option<Role>) -> Result<()> {
        let mut blocks = Vec::new();
        for part in &turn.parts {
            blocks.extend(system_text(part, self.carry)?);
        }
        let follows_user = self.messages.last().is_some_and(|last| last.role == "user");
        let precedes = matches!(next, None | Some(Role::Assistant));
        if self.takes_system_turns && follows_user && precedes {
            self.add("system", blocks);
            return Ok(());
        }
        for block in &mut blocks {
            if let Block::Text { text, .. } = block {
                *text = Cow::Owned(format!("<system>\n{text}\n</system>"));
            }
        }
        self.add("user", blocks);
        Ok(())
    }

    fn block(&mut self, part: &'a Part, turn: &Turn) -> Result<Option<Block<'a>>> {
        let cache_control = part.cache.map(Into::into);
        Ok(match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) if text.trim().is_empty() => None,
            Content::Text { text, .. } | Content::Refusal(text) => Some(Block::Text {
                text: Cow::Borrowed(text),
                citations: Vec::new(),
                cache_control,
            }),
            Content::Media(media) => Some(self.media(media, part, turn)?),
            Content::Reasoning { text, redacted } => own_thought(text, *redacted, part),
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => Some(Block::ToolUse {
                id: call_id::acceptable(id),
                name,
                input: match kind {
                    ToolKind::Function => Input::of(arguments),
                    // as `custom_tools::arguments` has it
                    ToolKind::Custom => Input::Owned(serde_json::json!({ "input": arguments })),
                },
                cache_control,
            }),
            Content::ToolResult {
                call_id,
                parts,
                is_error,
                ..
            } => {
                let mut content = Vec::with_capacity(parts.len());
                for inner in parts {
                    content.extend(self.block(inner, turn)?);
                }
                Some(Block::ToolResult {
                    tool_use_id: call_id::acceptable(call_id),
                    content,
                    is_error: *is_error,
                    cache_control,
                })
            }
            Content::Native {
                format: Format::Anthropic,
                value,
            } => Some(Block::Native(value)),
            Content::Native { .. } => {
                // what another provider's own tools did is told in the text that follows
                let messages = self.carry.from.spelling(Field::Messages);
                self.carry.leave_out(&format!("{messages}[{}]", turn.place));
                None
            }
        })
    }

    fn media(&self, media: &'a Media, part: &Part, turn: &Turn) -> Result<Block<'a>> {
        let cannot = |why: &str| Err(self.carry.content(turn.place, why));
        let cache_control = part.cache.map(Into::into);
        if turn.role == Role::Assistant {
            return cannot("takes no media in the assistant's turns");
        }
        let source = match &media.source {
            MediaSource::Url(url) if url.starts_with("data:") => match data_url(url, media.kind) {
                Some(source) => source,
                None => return cannot("takes no data URL of this kind"),
            },
            MediaSource::Url(_) if !self.takes_urls => {
                return cannot("fetches no URLs; send the content itself");
            }
            MediaSource::Url(url) => Source::Url { url },
            MediaSource::File {
                format: Format::Anthropic,
                id,
            } => Source::File { file_id: id },
            MediaSource::File { .. } => return cannot("has no files of another provider"),
            MediaSource::Text(text) => Source::Text {
                media_type: "text/plain",
                data: Cow::Borrowed(text),
            },
            MediaSource::Base64(data) => {
                match inline(media.kind, media.media_type.as_deref(), data) {
                    Some(source) => source,
                    None => return cannot(accepted(media.kind)),
                }
            }
        };
        match media.kind {
            MediaKind::Image => Ok(Block::Image {
                source,
                cache_control,
            }),
            MediaKind::Document => Ok(Block::Document {
                source,
                title: media.name.as_deref().filter(|name| !name.is_empty()),
                citations: media.is_citable.then_some(Citations { enabled: true }),
                cache_control,
            }),
            MediaKind::Audio | MediaKind::Video => cannot(accepted(media.kind)),
        }
    }
}

/// What Anthropic did not sign it does not take.
fn own_thought<'a>(text: &'a str, redacted: bool, part: &'a Part) -> Option<Block<'a>> {
    let data = part.seal.as_ref()?.for_format(Format::Anthropic)?;
    Some(match redacted {
        true => Block::RedactedThinking {
            data: Cow::Borrowed(data),
        },
        false => Block::Thinking {
            thinking: text,
            signature: Cow::Borrowed(data),
        },
    })
}

fn accepted(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "takes images of JPEG, PNG, GIF and WebP only",
        MediaKind::Document => "takes documents of PDF and plain text only",
        MediaKind::Audio => "takes no audio",
        MediaKind::Video => "takes no video",
    }
}

/// Splits `data:image/png;base64,…`.
fn data_url(url: &str, kind: MediaKind) -> Option<Source<'_>> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    let media_type = media_type.split(';').next().filter(|word| !word.is_empty());
    inline(kind, media_type, data)
}

/// The source for content that is sent along; `None` for types that are not taken.
fn inline<'a>(kind: MediaKind, media_type: Option<&'a str>, data: &'a str) -> Option<Source<'a>> {
    let media_type = media_type
        .filter(|name| !matches!(*name, "application/octet-stream" | "image/*"))
        .or_else(|| sniff(data))?;
    let media_type = match media_type {
        "image/jpg" => "image/jpeg",
        other => other,
    };
    let is_image = matches!(
        media_type,
        "image/jpeg" | "image/png" | "image/gif" | "image/webp"
    );
    let is_text = media_type.starts_with("text/") || media_type == "application/json";
    match kind {
        MediaKind::Image if !is_image => None,
        MediaKind::Document if is_text => {
            let decoded = STANDARD.decode(data).ok()?;
            Some(Source::Text {
                media_type: "text/plain",
                data: Cow::Owned(String::from_utf8(decoded).ok()?),
            })
        }
        MediaKind::Document if media_type != "application/pdf" => None,
        MediaKind::Image | MediaKind::Document => Some(Source::Base64 {
            media_type: Cow::Borrowed(media_type),
            data,
        }),
        MediaKind::Audio | MediaKind::Video => None,
    }
}

/// The media type by the first bytes, where nobody said it.
fn sniff(data: &str) -> Option<&'static str> {
    const BEGINNINGS: [(&str, &str); 5] = [
        ("JVBERi", "application/pdf"),
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
    ];
    let found = BEGINNINGS.iter().find(|(begin, _)| data.starts_with(begin));
    found.map(|(_, media_type)| *media_type)
}
