//! Reading a provider's stream.
//!
//! Blocks become parts as they come. Blocks that only this format knows are held until they are whole,
//! as their parts are no text.

use serde_json::Value;
use serde_json::value::RawValue;

use super::wire_event::{WireDelta, WireEvent, WireMessage, error};
use super::{answer, citation};
use crate::conversation::{Content, Delta, Event, Opening, Part, Start, Stop, ToolKind};
use crate::format::{Format, Frame, ReadStream};
use crate::provider::UpstreamError;
use crate::usage::{Usage, anthropic as usage};

#[derive(Debug, Default)]
pub(super) struct Reader {
    has_started: bool,
    has_finished: bool,
    has_ended: bool,
    open: Vec<Block>,
    next_part: u32,
    usage: Option<Usage>,
    /// Why it stopped, where the beginning says so already.
    stop: Option<Stop>,
    is_answered: bool,
    has_called: bool,
    id: Option<String>,
}

/// A block that was begun.
#[derive(Debug)]
struct Block {
    index: u64,
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// The call of [`super::ANSWER_TOOL`], whose arguments are text.
    Answer,
    Reasoning {
        is_sealed: bool,
    },
    Call {
        has_arguments: bool,
    },
    /// Given as a whole at its end.
    Native {
        value: Value,
        /// JSON text of `input`.
        input: String,
    },
    /// Given as a whole at its beginning.
    Whole,
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        if frame.event == Some("error") || frame.is_exception {
            return self.fail(error(frame.data), events);
        }
        match serde_json::from_slice::<WireEvent<'_>>(frame.data) {
            Ok(event) => self.event(event, frame.data, events),
            // look-alikes end as OpenAI does
            Err(_) if frame.data.trim_ascii() == b"[DONE]" => self.done(events),
            Err(_) => self.fail(
                UpstreamError::of_stream("the provider sent an event that cannot be read"),
                events,
            ),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if !self.has_ended {
            let message = "the provider broke the stream off";
            self.fail(UpstreamError::of_stream(message), events);
        }
    }
}

impl Reader {
    fn event(&mut self, event: WireEvent<'_>, data: &[u8], events: &mut Vec<Event>) {
        match &*event.r#type {
            "message_start" => {
                if let Some(message) = event.message {
                    self.start(message, events);
                }
            }
            "content_block_start" => {
                if let Some(block) = event.content_block {
                    self.ensure_start(events);
                    self.block_start(event.index, block, events);
                }
            }
            "content_block_delta" => {
                if let Some(delta) = event.delta {
                    self.ensure_start(events);
                    self.block_delta(event.index, delta, events);
                }
            }
            "content_block_stop" => {
                if let Some(at) = self.position(event.index) {
                    let block = self.open.remove(at);
                    close(block, events);
                }
            }
            "message_delta" => {
                self.ensure_start(events);
                self.note_usage(event.usage, events);
                if let Some(delta) = event.delta
                    && let Some(reason) = delta.stop_reason
                {
                    let stop = super::read_stop(&reason, delta.stop_sequence);
                    self.finish(stop, events);
                }
            }
            "message_stop" => self.done(events),
            "error" => self.fail(error(data), events),
            // pings, and what may come
            _ => {}
        }
    }

    fn ensure_start(&mut self, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(Start::default()));
        }
    }

    fn start(&mut self, message: WireMessage<'_>, events: &mut Vec<Event>) {
        if self.has_started {
            // a second beginning: what was said cannot be taken back
            if self.next_part > 0 && message.id != self.id {
                let text = "the provider began another message within the stream";
                self.fail(UpstreamError::of_stream(text), events);
            }
            return;
        }
        self.has_started = true;
        let reading = message
            .usage
            .and_then(|usage| usage::read(None, usage.get().as_bytes()));
        self.usage = reading.as_ref().map(|reading| reading.usage);
        self.id.clone_from(&message.id);
        events.push(Event::Start(Start {
            id: message.id,
            model: message.model,
            created: None,
            usage: self.usage,
        }));
        if let Some(tier) = reading.and_then(|reading| reading.service_tier) {
            events.push(Event::ServiceTier(tier));
        }
        // blocks that are there already are whole
        for block in message.content.unwrap_or_default() {
            let index = u64::MAX;
            self.block_start(index, block, events);
            if let Some(at) = self.position(index) {
                let block = self.open.remove(at);
                close(block, events);
            }
        }
        self.stop = message
            .stop_reason
            .map(|reason| super::read_stop(&reason, None));
    }

    fn note_usage(&mut self, usage: Option<&RawValue>, events: &mut Vec<Event>) {
        let Some(text) = usage else { return };
        if let Some(reading) = usage::read(self.usage, text.get().as_bytes()) {
            self.usage = Some(reading.usage);
            events.push(Event::Usage(reading.usage));
        }
    }

    fn position(&self, index: u64) -> Option<usize> {
        self.open.iter().position(|block| block.index == index)
    }

    /// Begins a part, and closes the block that had the same index.
    fn begin(&mut self, index: u64, kind: Kind, opening: Option<Opening>, events: &mut Vec<Event>) {
        if let Some(at) = self.position(index) {
            let block = self.open.remove(at);
            close(block, events);
        }
        let part = self.next_part;
        self.next_part += 1;
        if let Some(opening) = opening {
            events.push(Event::Open {
                choice: 0,
                part,
                opening,
            });
        }
        self.open.push(Block { index, part, kind });
    }

    fn block_start(&mut self, index: u64, raw: &RawValue, events: &mut Vec<Event>) {
        if self.has_finished {
            return;
        }
        let Some(read) = answer::read_block(raw) else {
            return;
        };
        self.is_answered |= read.is_answer;
        let seal = read.part.seal.clone();
        match read.part.content {
            Content::Text { text, .. } if read.is_answer => {
                let text = if is_empty_object(&text) {
                    String::new()
                } else {
                    text
                };
                self.begin_text(index, Kind::Answer, Opening::Text, text, events);
            }
            Content::Text { text, citations } => {
                self.begin_text(index, Kind::Text, Opening::Text, text, events);
                for citation in citations {
                    self.push_delta(Delta::Citation(Box::new(citation)), events);
                }
            }
            Content::Reasoning {
                text,
                redacted: false,
            } => {
                let kind = Kind::Reasoning {
                    is_sealed: seal.is_some(),
                };
                self.begin_text(index, kind, Opening::Reasoning, text, events);
                if let Some(seal) = seal {
                    self.push_delta(Delta::Seal(seal), events);
                }
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                ..
            } => self.begin_call(index, id, name, arguments, events),
            Content::Native { value, .. } => {
                let input = String::new();
                self.begin(index, Kind::Native { value, input }, None, events);
            }
            _ => {
                let opening = Opening::Whole(Box::new(read.part));
                self.begin(index, Kind::Whole, Some(opening), events);
            }
        }
    }

    fn begin_text(
        &mut self,
        index: u64,
        kind: Kind,
        opening: Opening,
        text: String,
        events: &mut Vec<Event>,
    ) {
        self.begin(index, kind, Some(opening), events);
        if !text.is_empty() {
            self.push_delta(Delta::Text(text), events);
        }
    }

    /// The arguments come in pieces, but for an object that is there already.
    fn begin_call(
        &mut self,
        index: u64,
        id: String,
        name: String,
        arguments: String,
        events: &mut Vec<Event>,
    ) {
        self.has_called = true;
        let has_arguments = !is_empty_object(&arguments);
        let opening = Opening::ToolCall {
            id,
            name,
            kind: ToolKind::Function,
            seal: None,
        };
        self.begin(index, Kind::Call { has_arguments }, Some(opening), events);
        if has_arguments {
            self.push_delta(Delta::Arguments(arguments), events);
        }
    }

    /// For the part that was begun last.
    fn push_delta(&self, delta: Delta, events: &mut Vec<Event>) {
        events.push(Event::Delta {
            choice: 0,
            part: self.next_part - 1,
            delta,
        });
    }

    fn block_delta(&mut self, index: u64, delta: WireDelta<'_>, events: &mut Vec<Event>) {
        if self.has_finished {
            return;
        }
        let at = match self.position(index) {
            Some(at) => at,
            // look-alikes leave the beginning of a text out
            None => {
                match delta.r#type.as_deref() {
                    Some("text_delta") => {
                        self.begin(index, Kind::Text, Some(Opening::Text), events);
                    }
                    Some("thinking_delta") => {
                        let kind = Kind::Reasoning { is_sealed: false };
                        self.begin(index, kind, Some(Opening::Reasoning), events);
                    }
                    _ => return,
                }
                self.open.len() - 1
            }
        };
        let block = &mut self.open[at];
        if let Some(delta) = delta_of(&mut block.kind, delta) {
            events.push(Event::Delta {
                choice: 0,
                part: block.part,
                delta,
            });
        }
    }

    fn finish(&mut self, stop: Stop, events: &mut Vec<Event>) {
        if self.has_finished {
            return;
        }
        self.has_finished = true;
        for block in self.open.drain(..) {
            close(block, events);
        }
        let stop = match stop {
            Stop::ToolCalls if self.is_answered && !self.has_called => Stop::End,
            stop => stop,
        };
        events.push(Event::Finish { choice: 0, stop });
    }

    fn done(&mut self, events: &mut Vec<Event>) {
        if !self.has_started {
            let message = "the provider ended the stream before it began";
            return self.fail(UpstreamError::of_stream(message), events);
        }
        let stop = self.stop.take().unwrap_or(match self.has_called {
            true => Stop::ToolCalls,
            false => Stop::End,
        });
        self.finish(stop, events);
        self.has_ended = true;
        events.push(Event::Done);
    }

    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        self.has_ended = true;
        events.push(Event::Failed(error));
    }
}

/// What a delta adds to a block; a delta of another kind of block adds nothing.
fn delta_of(kind: &mut Kind, delta: WireDelta<'_>) -> Option<Delta> {
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    match (delta.r#type.as_deref()?, kind) {
        ("text_delta", Kind::Text) => said(delta.text).map(Delta::Text),
        ("input_json_delta", Kind::Answer) => said(delta.partial_json).map(Delta::Text),
        ("input_json_delta", Kind::Call { has_arguments }) => {
            let piece = said(delta.partial_json)?;
            *has_arguments = true;
            Some(Delta::Arguments(piece))
        }
        ("input_json_delta", Kind::Native { input, .. }) => {
            input.push_str(&delta.partial_json?);
            None
        }
        ("thinking_delta", Kind::Reasoning { .. }) => said(delta.thinking).map(Delta::Text),
        ("signature_delta", Kind::Reasoning { is_sealed }) => {
            let seal = answer::seal(delta.signature).filter(|_| !*is_sealed)?;
            *is_sealed = true;
            Some(Delta::Seal(seal))
        }
        ("citations_delta", Kind::Text) => {
            let citation = citation::read(delta.citation?);
            Some(Delta::Citation(Box::new(citation)))
        }
        ("compaction_delta", Kind::Native { value, .. }) => {
            let piece = delta.content?;
            match (value.get_mut("content"), &piece) {
                (Some(Value::String(text)), Value::String(more)) => text.push_str(more),
                _ => {
                    if let Some(members) = value.as_object_mut() {
                        members.insert("content".to_owned(), piece);
                    }
                }
            }
            None
        }
        _ => None,
    }
}

fn close(block: Block, events: &mut Vec<Event>) {
    let (choice, part) = (0, block.part);
    match block.kind {
        Kind::Call {
            has_arguments: false,
        } => events.push(Event::Delta {
            choice,
            part,
            delta: Delta::Arguments("{}".to_owned()),
        }),
        Kind::Native { mut value, input } => {
            if let Ok(input @ Value::Object(_)) = serde_json::from_str(&input)
                && let Some(members) = value.as_object_mut()
            {
                members.insert("input".to_owned(), input);
            }
            events.push(Event::Open {
                choice,
                part,
                opening: Opening::Whole(Box::new(Part::new(Content::Native {
                    format: Format::Anthropic,
                    value,
                }))),
            });
        }
        _ => {}
    }
    events.push(Event::Close { choice, part });
}

fn is_empty_object(text: &str) -> bool {
    let inner = text.trim().strip_prefix('{');
    inner
        .and_then(|inner| inner.strip_suffix('}'))
        .is_some_and(|inner| inner.trim().is_empty())
}
