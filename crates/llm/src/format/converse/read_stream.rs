//! Bedrock's stream of events, decoded from its binary frames.
//!
//! Blocks of text are not announced: their first delta opens them. Usage comes last, after the stop
//! reason, and ends the stream.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::ANSWER_TOOL;
use super::read_answer::{ServiceTier, citation, image_part, native, redacted, stop};
use crate::conversation::{Delta, Event, Opening, Part, Seal, Start, Stop, ToolKind};
use crate::format::open_parts::OpenParts;
use crate::format::{Format, Frame, ReadStream};
use crate::provider::UpstreamError;
use crate::usage;

/// Any event's payload: each kind has its own members.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(default)]
    content_block_index: u64,
    start: Option<BlockStart>,
    delta: Option<BlockDelta>,
    stop_reason: Option<String>,
    #[serde(default)]
    additional_model_response_fields: Value,
    #[serde(default)]
    usage: Value,
    service_tier: Option<ServiceTier>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart {
    tool_use: Option<ToolUseStart>,
    tool_result: Option<Value>,
    image: Option<ImageStart>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUseStart {
    tool_use_id: String,
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct ImageStart {
    format: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta {
    text: Option<String>,
    tool_use: Option<ToolUseDelta>,
    tool_result: Option<Vec<Value>>,
    reasoning_content: Option<ReasoningDelta>,
    citation: Option<Value>,
    image: Option<ImageDelta>,
}

#[derive(Deserialize)]
struct ToolUseDelta {
    #[serde(default)]
    input: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningDelta {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

#[derive(Deserialize)]
struct ImageDelta {
    #[serde(default)]
    source: Value,
}

/// A block that is open.
#[derive(Debug)]
enum Block {
    Text,
    /// Reasoning and what came of its signature.
    Reasoning {
        signature: String,
    },
    Call,
    /// The forced tool whose input is the answer's text.
    Answer,
    /// Kept until it is whole: redacted reasoning, in base64.
    Redacted(String),
    /// … a server tool's call with its input, or its result.
    ServerCall {
        start: ServerCall,
        input: String,
    },
    ServerResult {
        start: Value,
        content: Vec<Value>,
    },
    /// … a picture.
    Image {
        format: String,
        data: String,
    },
}

#[derive(Debug)]
struct ServerCall {
    id: String,
    name: String,
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    has_started: bool,
    blocks: Vec<(u64, Block)>,
    parts: OpenParts<u64>,
    has_called: bool,
    has_answered_by_tool: bool,
    has_finished: bool,
    has_ended: bool,
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        if frame.is_exception {
            self.fail(exception(frame), events);
            return;
        }
        let Some(name) = frame.event else {
            return;
        };
        match name {
            "messageStart" => self.start(events),
            "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" | "messageStop"
            | "metadata" => match serde_json::from_slice::<Payload>(frame.data) {
                Ok(payload) => {
                    self.start(events);
                    self.event(name, payload, events);
                }
                Err(error) => self.fail(
                    UpstreamError::of_stream(format!(
                        "the provider sent an event that cannot be read: {error}"
                    )),
                    events,
                ),
            },
            _ => {}
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        if self.has_finished {
            self.has_ended = true;
            events.push(Event::Done);
            return;
        }
        self.fail(
            UpstreamError::of_stream("the provider ended the stream before the answer was whole"),
            events,
        );
    }
}

impl Reader {
    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        self.start(events);
        self.has_ended = true;
        events.push(Event::Failed(error));
    }

    fn start(&mut self, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(Start::default()));
        }
    }

    fn event(&mut self, name: &str, payload: Payload, events: &mut Vec<Event>) {
        let index = payload.content_block_index;
        match name {
            "metadata" => {
                if let Some(usage) = usage::converse::read(&payload.usage) {
                    events.push(Event::Usage(usage));
                }
                if let Some(tier) = payload.service_tier {
                    events.push(Event::ServiceTier(tier.name));
                }
                if self.has_finished {
                    self.has_ended = true;
                    events.push(Event::Done);
                }
            }
            // nothing of an answer comes after its stop reason
            _ if self.has_finished => {}
            "contentBlockStart" => {
                if let Some(start) = payload.start {
                    self.open(index, start, events);
                }
            }
            "contentBlockDelta" => {
                if let Some(delta) = payload.delta {
                    self.delta(index, delta, events);
                }
            }
            "contentBlockStop" => self.close(index, events),
            _ => {
                let reason = payload.stop_reason.unwrap_or_else(|| "end_turn".to_owned());
                self.finish(
                    stop(&reason, &payload.additional_model_response_fields),
                    events,
                );
            }
        }
    }

    fn finish(&mut self, stop: Stop, events: &mut Vec<Event>) {
        while let Some((index, _)) = self.blocks.first() {
            self.close(*index, events);
        }
        self.has_finished = true;
        let is_answer = self.has_answered_by_tool && !self.has_called;
        let stop = match stop {
            Stop::ToolCalls if is_answer => Stop::End,
            stop => stop,
        };
        events.push(Event::Finish { choice: 0, stop });
    }

    fn open(&mut self, index: u64, start: BlockStart, events: &mut Vec<Event>) {
        self.close(index, events);
        let block = if let Some(call) = start.tool_use {
            self.open_call(index, call, events)
        } else if let Some(start) = start.tool_result {
            Block::ServerResult {
                start,
                content: Vec::new(),
            }
        } else if let Some(image) = start.image {
            Block::Image {
                format: image.format,
                data: String::new(),
            }
        } else {
            return;
        };
        self.blocks.push((index, block));
    }

    fn open_call(&mut self, index: u64, call: ToolUseStart, events: &mut Vec<Event>) -> Block {
        if call.kind.as_deref() == Some("server_tool_use") {
            return Block::ServerCall {
                start: ServerCall {
                    id: call.tool_use_id,
                    name: call.name,
                },
                input: String::new(),
            };
        }
        if call.name == ANSWER_TOOL {
            self.has_answered_by_tool = true;
            self.parts.open(index, Opening::Text, events);
            return Block::Answer;
        }
        self.has_called = true;
        let opening = Opening::ToolCall {
            id: call.tool_use_id,
            name: call.name,
            kind: ToolKind::Function,
            seal: None,
        };
        self.parts.open(index, opening, events);
        Block::Call
    }

    fn delta(&mut self, index: u64, delta: BlockDelta, events: &mut Vec<Event>) {
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            self.expect(index, |block| matches!(block, Block::Text), events);
            self.open_text(index, events);
            self.parts.delta(&index, Delta::Text(text), events);
        }
        if let Some(native) = delta.citation {
            self.expect(index, |block| matches!(block, Block::Text), events);
            self.open_text(index, events);
            let delta = Delta::Citation(Box::new(citation(native)));
            self.parts.delta(&index, delta, events);
        }
        if let Some(reasoning) = delta.reasoning_content {
            self.reasoning(index, reasoning, events);
        }
        let block = self.blocks.iter_mut().find(|(open, _)| *open == index);
        let Some((_, block)) = block else {
            return;
        };
        if let Some(ToolUseDelta { input }) = delta.tool_use {
            match block {
                Block::Call => self.parts.delta(&index, Delta::Arguments(input), events),
                Block::Answer => self.parts.delta(&index, Delta::Text(input), events),
                Block::ServerCall { input: whole, .. } => whole.push_str(&input),
                _ => {}
            }
        }
        match (block, delta.tool_result, delta.image) {
            (Block::ServerResult { content, .. }, Some(pieces), _) => content.extend(pieces),
            (Block::Image { data, .. }, _, Some(image)) => {
                if let Some(bytes) = image.source.get("bytes").and_then(Value::as_str) {
                    data.push_str(bytes);
                }
            }
            _ => {}
        }
    }

    /// Closes what is open under `index` if it is of another kind: a provider that reuses an index
    /// for something else has ended the first.
    fn expect(&mut self, index: u64, is_same: fn(&Block) -> bool, events: &mut Vec<Event>) {
        let block = self.blocks.iter().find(|(open, _)| *open == index);
        if block.is_some_and(|(_, block)| !is_same(block)) {
            self.close(index, events);
        }
    }

    fn open_text(&mut self, index: u64, events: &mut Vec<Event>) {
        if self.parts.find(&index).is_none() {
            self.parts.open(index, Opening::Text, events);
            self.blocks.push((index, Block::Text));
        }
    }

    fn reasoning(&mut self, index: u64, delta: ReasoningDelta, events: &mut Vec<Event>) {
        if let Some(data) = delta.redacted_content {
            self.expect(index, |block| matches!(block, Block::Redacted(_)), events);
            let block = self.blocks.iter_mut().find(|(open, _)| *open == index);
            match block {
                Some((_, Block::Redacted(held))) => join_base64(held, &data),
                _ => self.blocks.push((index, Block::Redacted(data))),
            }
            return;
        }
        self.expect(
            index,
            |block| matches!(block, Block::Reasoning { .. }),
            events,
        );
        if self.parts.find(&index).is_none() {
            self.parts.open(index, Opening::Reasoning, events);
            let signature = String::new();
            self.blocks.push((index, Block::Reasoning { signature }));
        }
        if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
            self.parts.delta(&index, Delta::Text(text), events);
        }
        let block = self.blocks.iter_mut().find(|(open, _)| *open == index);
        if let (Some((_, Block::Reasoning { signature })), Some(more)) = (block, delta.signature) {
            signature.push_str(&more);
        }
    }

    fn close(&mut self, index: u64, events: &mut Vec<Event>) {
        let Some(at) = self.blocks.iter().position(|(open, _)| *open == index) else {
            return;
        };
        let (_, block) = self.blocks.remove(at);
        match block {
            Block::Text | Block::Call | Block::Answer => {}
            Block::Reasoning { signature } => {
                if !signature.is_empty() {
                    let seal = Delta::Seal(Seal::new(Format::Converse, signature));
                    self.parts.delta(&index, seal, events);
                }
            }
            whole => {
                if let Some(part) = whole_part(whole) {
                    self.parts
                        .open(index, Opening::Whole(Box::new(part)), events);
                }
            }
        }
        self.parts.close(&index, events);
    }
}

/// A block that was kept until it was whole.
fn whole_part(block: Block) -> Option<Part> {
    match block {
        Block::Redacted(data) => Some(redacted(&data)),
        Block::ServerCall { start, input } => {
            let input: Value = serde_json::from_str(&input).unwrap_or_default();
            Some(Part::new(native(serde_json::json!({"toolUse": {
                "toolUseId": start.id,
                "name": start.name,
                "input": input,
                "type": "server_tool_use",
            }}))))
        }
        Block::ServerResult { mut start, content } => {
            start
                .as_object_mut()?
                .insert("content".to_owned(), content.into());
            Some(Part::new(native(
                serde_json::json!({ "toolResult": start }),
            )))
        }
        Block::Image { format, data } => image_part(&format, &serde_json::json!({ "bytes": data })),
        Block::Text | Block::Call | Block::Answer | Block::Reasoning { .. } => None,
    }
}

/// Adds a piece that was encoded by itself.
fn join_base64(held: &mut String, more: &str) {
    match (STANDARD.decode(&*held), STANDARD.decode(more)) {
        (Ok(mut bytes), Ok(more)) => {
            bytes.extend_from_slice(&more);
            *held = STANDARD.encode(bytes);
        }
        _ => held.push_str(more),
    }
}

/// An exception that came amid the stream, with the status that AWS gives it outside of one.
fn exception(frame: Frame<'_>) -> UpstreamError {
    let name = frame.event.unwrap_or("exception");
    let status = match &*name.to_ascii_lowercase() {
        "validationexception" => 400,
        "accessdeniedexception" => 403,
        "resourcenotfoundexception" => 404,
        "modeltimeoutexception" => 408,
        "modelstreamerrorexception" | "modelerrorexception" => original_status(frame.data),
        "throttlingexception" | "modelnotreadyexception" => 429,
        "internalserverexception" => 500,
        "serviceunavailableexception" => 503,
        _ => 502,
    };
    let mut error = UpstreamError::read(status, frame.data);
    error.kind = Some(name.to_owned());
    error
}

/// What the model itself answered with, where AWS tells.
fn original_status(payload: &[u8]) -> u16 {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Original {
        original_status_code: u16,
    }
    serde_json::from_slice::<Original>(payload)
        .ok()
        .map(|original| original.original_status_code)
        .filter(|status| (400..600).contains(status))
        .unwrap_or(424)
}
