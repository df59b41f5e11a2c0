//! Turns as messages: blocks in Bedrock's shapes, roles that alternate, points where the prompt is
//! cached.

use std::borrow::Cow;

use base::Result;
use serde_json::value::RawValue;

use super::document_name::DocumentNames;
use super::model::Model;
use super::wire::{Block, CachePoint, Message, Reasoning, Text};
use super::{REDACTED, media};
use crate::conversation::{
    CacheMark, Carry, Citation, Content, Conversation, Field, Part, Role, Turn, custom_tools,
};
use crate::format::Format;
use crate::format::anthropic::call_id::acceptable;

/// The most cache points in a request.
const MAX_CACHE_POINTS: usize = 4;

/// Writes the blocks of one request.
pub(super) struct BlockWriter<'c> {
    pub model: Model,
    pub carry: &'c mut Carry,
    names: DocumentNames,
    cache_points: usize,
}

impl<'c> BlockWriter<'c> {
    pub fn new(model: Model, carry: &'c mut Carry) -> BlockWriter<'c> {
        BlockWriter {
            model,
            carry,
            names: DocumentNames::default(),
            cache_points: 0,
        }
    }

    /// The system prompt; what was said by the system amid the conversation comes after it.
    pub fn system<'a>(&mut self, conversation: &'a Conversation) -> Result<Vec<Block<'a>>> {
        let amid = conversation
            .turns
            .iter()
            .filter(|turn| turn.role == Role::System)
            .flat_map(|turn| &turn.parts);
        let mut blocks = Vec::new();
        for part in conversation.system.iter().chain(amid) {
            match &part.content {
                Content::Text { text, .. } if is_blank(text) => {}
                Content::Text { text, .. } => blocks.push(Block::Text(Cow::Borrowed(text))),
                _ => self
                    .carry
                    .cannot(Field::System, "takes text alone in its system prompt")?,
            }
            self.cache(part.cache, &mut blocks);
        }
        Ok(blocks)
    }

    pub fn messages<'a>(&mut self, conversation: &'a Conversation) -> Result<Vec<Message<'a>>> {
        let mut messages: Vec<Message<'a>> = Vec::new();
        for turn in &conversation.turns {
            let role = match turn.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System => continue,
            };
            let mut content = Vec::with_capacity(turn.parts.len());
            for part in &turn.parts {
                self.part(part, turn, &mut content)?;
            }
            if content.is_empty() {
                continue;
            }
            match messages.last_mut() {
                Some(last) if last.role == role => last.content.append(&mut content),
                _ => messages.push(Message { role, content }),
            }
        }
        if let Some(last) = messages.iter_mut().rfind(|message| message.role == "user") {
            self.cache(conversation.cache, &mut last.content);
        }
        Ok(messages)
    }

    fn part<'a>(
        &mut self,
        part: &'a Part,
        turn: &'a Turn,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<()> {
        let is_answer = turn.role == Role::Assistant;
        match &part.content {
            // an empty text is refused
            Content::Text { text, .. } | Content::Refusal(text) if is_blank(text) => {}
            Content::Text { text, citations } => blocks.push(text_block(text, citations)),
            Content::Refusal(text) => blocks.push(Block::Text(Cow::Borrowed(text))),
            Content::Media(media) => match &media.transcript {
                Some(said) if is_answer => blocks.push(Block::Text(Cow::Borrowed(said))),
                _ => blocks.push(media::block(
                    media,
                    &mut self.names,
                    turn.place,
                    self.carry,
                )?),
            },
            Content::Reasoning { text, .. } => {
                // No cache point may follow reasoning.
                blocks.extend(self.reasoning(part, text).map(Block::ReasoningContent));
                return Ok(());
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => {
                let arguments = custom_tools::arguments(*kind, arguments);
                let input = object(arguments).ok_or_else(|| {
                    let why = "takes the arguments of a tool call as a JSON object";
                    self.carry.content(turn.place, why)
                })?;
                let tool_use_id = acceptable(id);
                blocks.push(Block::ToolUse {
                    tool_use_id,
                    name,
                    input,
                });
            }
            Content::ToolResult { .. } => return self.tool_result(part, turn, blocks),
            Content::Native {
                format: Format::Converse,
                value,
            } => blocks.push(Block::Native(value)),
            // What another provider's own tools did is told by the text that follows.
            Content::Native { .. } if is_answer => self.leave_out(turn),
            Content::Native { .. } => {
                return Err(self.carry.content(turn.place, "knows no such content"));
            }
        }
        self.cache(part.cache, blocks);
        Ok(())
    }

    fn leave_out(&mut self, turn: &Turn) {
        let messages = self.carry.from.spelling(Field::Messages);
        self.carry.leave_out(&format!("{messages}[{}]", turn.place));
    }

    /// `None` for what another provider's model thought: it could not be verified.
    fn reasoning<'a>(&self, part: &'a Part, text: &'a str) -> Option<Reasoning<'a>> {
        let seal = match &part.seal {
            Some(seal) => Some(seal.for_format(Format::Converse)?),
            None => None,
        };
        match seal {
            Some(seal) => Some(match seal.strip_prefix(REDACTED) {
                Some(data) => Reasoning::RedactedContent(data),
                None => Reasoning::ReasoningText {
                    text,
                    signature: Some(seal),
                },
            }),
            None => (self.model.reads_unsigned_reasoning() && !is_blank(text)).then_some(
                Reasoning::ReasoningText {
                    text,
                    signature: None,
                },
            ),
        }
    }

    fn tool_result<'a>(
        &mut self,
        part: &'a Part,
        turn: &'a Turn,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<()> {
        let Content::ToolResult {
            call_id,
            parts,
            is_error,
            ..
        } = &part.content
        else {
            return Ok(());
        };
        let mut content = Vec::with_capacity(parts.len());
        let mut mark = part.cache;
        let takes_status = self.model.takes_result_status();
        if *is_error && !takes_status {
            content.push(Block::Text(Cow::Borrowed("The tool failed:")));
        }
        for inner in parts {
            mark = mark.or(inner.cache);
            match &inner.content {
                Content::Text { text, .. } | Content::Refusal(text) if is_blank(text) => {}
                Content::Text { text, .. } | Content::Refusal(text) => {
                    content.push(Block::Text(Cow::Borrowed(text)));
                }
                Content::Media(media) => {
                    content.push(media::block(
                        media,
                        &mut self.names,
                        turn.place,
                        self.carry,
                    )?);
                }
                Content::Native {
                    format: Format::Converse,
                    value,
                } => content.push(Block::Native(value)),
                _ => {
                    return Err(self
                        .carry
                        .content(turn.place, "takes no such content as the result of a tool"));
                }
            }
        }
        if content.is_empty() {
            content.push(Block::Text(Cow::Borrowed("(no output)")));
        }
        blocks.push(Block::ToolResult {
            tool_use_id: acceptable(call_id),
            content,
            status: (*is_error && takes_status).then_some("error"),
        });
        self.cache(mark, blocks);
        Ok(())
    }

    /// Ends the cached prefix behind the last of `blocks`.
    fn cache(&mut self, mark: Option<CacheMark>, blocks: &mut Vec<Block<'_>>) {
        let is_placed = match blocks.last() {
            None | Some(Block::CachePoint(_)) => true,
            Some(_) => false,
        };
        if let Some(mark) = mark.filter(|_| !is_placed)
            && let Some(point) = self.cache_point(mark, self.model.caches())
        {
            blocks.push(Block::CachePoint(point));
        }
    }

    /// A point of its own for `mark`, where the model has them and there are not too many.
    pub fn cache_point(&mut self, mark: CacheMark, is_taken: bool) -> Option<CachePoint> {
        if !is_taken || self.cache_points == MAX_CACHE_POINTS {
            self.carry.hint(Field::Cache);
            return None;
        }
        self.cache_points += 1;
        let is_for_an_hour = mark == CacheMark::OneHour && self.model.caches_tools();
        Some(CachePoint {
            kind: "default",
            ttl: is_for_an_hour.then_some("1h"),
        })
    }
}

fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn text_block<'a>(text: &'a str, citations: &'a [Citation]) -> Block<'a> {
    let own = citations.iter().filter_map(|citation| {
        let (format, value) = citation.native.as_ref()?;
        (*format == Format::Converse).then_some(value)
    });
    let citations: Vec<_> = own.collect();
    match citations.is_empty() {
        true => Block::Text(Cow::Borrowed(text)),
        false => Block::CitationsContent {
            content: [Text { text }],
            citations,
        },
    }
}

/// The JSON text of an object; none at all is an empty one.
fn object(arguments: Cow<'_, str>) -> Option<Cow<'_, RawValue>> {
    if is_blank(&arguments) {
        return Some(Cow::Owned(RawValue::from_string("{}".to_owned()).ok()?));
    }
    let raw = match arguments {
        Cow::Borrowed(text) => Cow::Borrowed(serde_json::from_str::<&RawValue>(text).ok()?),
        Cow::Owned(text) => Cow::Owned(RawValue::from_string(text).ok()?),
    };
    raw.get().starts_with('{').then_some(raw)
}
