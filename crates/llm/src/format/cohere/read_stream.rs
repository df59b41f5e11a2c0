//! Cohere's stream of server-sent events.

use serde::Deserialize;
use serde_json::Value;

use super::{Logprobs, PLAN, THINKING, citations, stop};
use crate::conversation::{Delta, Event, Opening, Seal, Start, ToolKind};
use crate::format::open_parts::OpenParts;
use crate::format::{Format, Frame, ReadStream};
use crate::provider::UpstreamError;
use crate::usage;

/// Any event: each kind has its own members.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    #[serde(default)]
    index: u64,
    delta: Option<PayloadDelta>,
    logprobs: Option<Logprobs>,
    /// Of an error that is no event.
    message: Option<Value>,
}

#[derive(Deserialize)]
struct PayloadDelta {
    message: Option<Message>,
    finish_reason: Option<String>,
    error: Option<String>,
    #[serde(default)]
    usage: Value,
}

/// What stands here is one thing or a list, by the event's kind.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    content: OneOf<Block>,
    tool_plan: Option<String>,
    tool_calls: OneOf<ToolCall>,
    citations: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOf<T> {
    One(T),
    Other(serde::de::IgnoredAny),
}

impl<T> Default for OneOf<T> {
    fn default() -> OneOf<T> {
        OneOf::Other(serde::de::IgnoredAny)
    }
}

impl<T> OneOf<T> {
    fn one(self) -> Option<T> {
        match self {
            OneOf::One(one) => Some(one),
            OneOf::Other(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct ToolCall {
    id: Option<String>,
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: Option<String>,
    arguments: Option<String>,
}

/// What is open: content and tool calls are counted apart, the plan is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plan,
    Thinking(u64),
    Text(u64),
    Call(u64),
}

#[derive(Debug, Default)]
pub(super) struct Reader {
    has_started: bool,
    /// In the order in which they opened.
    open: Vec<Place>,
    parts: OpenParts<Place>,
    has_ended: bool,
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended || frame.data == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Payload>(frame.data) {
            Ok(payload) => self.event(payload, frame, events),
            Err(error) => self.fail(
                UpstreamError::of_stream(format!(
                    "the provider sent an event that cannot be read: {error}"
                )),
                events,
            ),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if !self.has_ended {
            self.fail(
                UpstreamError::of_stream(
                    "the provider ended the stream before the answer was whole",
                ),
                events,
            );
        }
    }
}

impl Reader {
    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        self.start(None, events);
        self.has_ended = true;
        events.push(Event::Failed(error));
    }

    fn start(&mut self, id: Option<String>, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(Start {
                id,
                ..Start::default()
            }));
        }
    }

    fn event(&mut self, payload: Payload, frame: Frame<'_>, events: &mut Vec<Event>) {
        let Some(kind) = payload.kind.as_deref().or(frame.event) else {
            if payload.message.is_some() {
                self.fail(UpstreamError::read(502, frame.data), events);
            }
            return;
        };
        self.start(payload.id, events);
        let index = payload.index;
        if let Some(token) = payload.logprobs.and_then(Logprobs::token) {
            events.push(Event::Logprobs {
                choice: 0,
                logprobs: vec![token],
            });
        }
        let Some(delta) = payload.delta else {
            match kind {
                "content-end" => {
                    self.close(Place::Text(index), events);
                    self.close(Place::Thinking(index), events);
                }
                "tool-call-end" => self.close(Place::Call(index), events),
                "message-end" => self.finish(None, events),
                "error" => self.fail(UpstreamError::read(502, frame.data), events),
                _ => {}
            }
            return;
        };
        if kind == "message-end" {
            self.finish(Some(delta), events);
            return;
        }
        let message = delta.message.unwrap_or_default();
        match kind {
            "content-start" | "content-delta" => self.content(index, message, events),
            "tool-plan-delta" => {
                if let Some(plan) = message.tool_plan {
                    self.text(Place::Plan, plan, events);
                }
            }
            "tool-call-start" => self.open_call(index, message, events),
            "tool-call-delta" => {
                let function = message.tool_calls.one().and_then(|call| call.function);
                if let Some(arguments) = function.and_then(|function| function.arguments) {
                    let delta = Delta::Arguments(arguments);
                    self.parts.delta(&Place::Call(index), delta, events);
                }
            }
            "citation-start" => self.cite(message.citations, events),
            _ => {}
        }
    }

    fn content(&mut self, index: u64, message: Message, events: &mut Vec<Event>) {
        let Some(block) = message.content.one() else {
            return;
        };
        if let Some(text) = block.thinking {
            self.text(Place::Thinking(index), text, events);
        }
        if let Some(text) = block.text {
            self.text(Place::Text(index), text, events);
        }
    }

    /// More text of a part, which opens with the first of it.
    fn text(&mut self, place: Place, text: String, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        if self.parts.find(&place).is_none() {
            // what was planned or thought has ended when something else begins
            let thoughts: Vec<Place> = self.open.iter().copied().filter(is_thought).collect();
            for thought in thoughts {
                self.close(thought, events);
            }
            let opening = match place {
                Place::Plan | Place::Thinking(_) => Opening::Reasoning,
                Place::Text(_) | Place::Call(_) => Opening::Text,
            };
            self.parts.open(place, opening, events);
            self.open.push(place);
        }
        self.parts.delta(&place, Delta::Text(text), events);
    }

    fn open_call(&mut self, index: u64, message: Message, events: &mut Vec<Event>) {
        self.close(Place::Plan, events);
        let Some(call) = message.tool_calls.one() else {
            return;
        };
        let place = Place::Call(index);
        self.close(place, events);
        let (name, arguments) = match call.function {
            Some(function) => (function.name, function.arguments),
            None => (None, None),
        };
        let opening = Opening::ToolCall {
            id: call.id.unwrap_or_else(|| format!("call_{index}")),
            name: name.unwrap_or_default(),
            kind: ToolKind::Function,
            seal: None,
        };
        self.parts.open(place, opening, events);
        self.open.push(place);
        if let Some(arguments) = arguments.filter(|text| !text.is_empty()) {
            self.parts
                .delta(&place, Delta::Arguments(arguments), events);
        }
    }

    /// Citations of a text that is not open have no place any more.
    fn cite(&mut self, native: Value, events: &mut Vec<Event>) {
        if !native.is_object() {
            return;
        }
        let index = native.get("content_index").and_then(Value::as_u64);
        let open = self.open.iter().copied().find(|place| match place {
            Place::Text(open) => index.is_none_or(|index| index == *open),
            _ => false,
        });
        let Some(place) = open else {
            return;
        };
        for citation in citations(native) {
            let delta = Delta::Citation(Box::new(citation));
            self.parts.delta(&place, delta, events);
        }
    }

    fn close(&mut self, place: Place, events: &mut Vec<Event>) {
        let Some(at) = self.open.iter().position(|open| *open == place) else {
            return;
        };
        self.open.remove(at);
        let seal = match place {
            Place::Plan => Some(PLAN),
            Place::Thinking(_) => Some(THINKING),
            Place::Text(_) | Place::Call(_) => None,
        };
        if let Some(seal) = seal {
            let delta = Delta::Seal(Seal::new(Format::Cohere, seal));
            self.parts.delta(&place, delta, events);
        }
        self.parts.close(&place, events);
    }

    fn finish(&mut self, delta: Option<PayloadDelta>, events: &mut Vec<Event>) {
        while let Some(place) = self.open.first().copied() {
            self.close(place, events);
        }
        let (reason, error, usage) = match delta {
            Some(delta) => (delta.finish_reason, delta.error, delta.usage),
            None => (None, None, Value::Null),
        };
        if let Some(usage) = usage::cohere::read(&usage) {
            events.push(Event::Usage(usage));
        }
        let Some(stop) = stop(reason.as_deref().unwrap_or("COMPLETE")) else {
            let words = error
                .unwrap_or_else(|| "the provider failed while it generated the answer".to_owned());
            self.fail(UpstreamError::of_stream(words), events);
            return;
        };
        events.push(Event::Finish { choice: 0, stop });
        events.push(Event::Done);
        self.has_ended = true;
    }
}

fn is_thought(place: &Place) -> bool {
    matches!(place, Place::Plan | Place::Thinking(_))
}
