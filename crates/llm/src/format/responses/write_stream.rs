//! Writing a stream for a client, in the order of events that OpenAI keeps: each item is added, grows
//! and is done; a message holds parts that do the same.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::echo::{Response, State, error_code, status, write_json};
use super::names::Names;
use super::reasoning::Neighbour;
use super::write_items;
use super::write_parts::{Call, Reasoning, Text};
use crate::conversation::{Content, Delta, Event, Opening, Part, Seal, Stop, TokenLogprob};
use crate::format::{Shown, WriteStream};
use crate::provider::UpstreamError;
use crate::usage::Usage;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    response: Response,
    pub names: Names,
    sequence: u64,
    has_started: bool,
    /// The JSON of the items that are done, by their `output_index`.
    items: Vec<Vec<u8>>,
    /// The messages that are not done, by their `output_index`.
    pub messages: BTreeMap<usize, Message>,
    /// The message that the next text goes to.
    pub message: Option<usize>,
    /// The parts that are open, by their numbers.
    pub parts: BTreeMap<u32, Open>,
    /// Log probabilities whose text has not come yet.
    pub logprobs: Vec<TokenLogprob>,
    usage: Option<Usage>,
    service_tier: Option<String>,
    stop: Option<Stop>,
    /// The model declined in words.
    pub has_refusal: bool,
}

#[derive(Debug)]
pub(super) struct Message {
    pub id: String,
    pub content: Vec<Value>,
    pub open: usize,
    /// Nothing more comes to it: it is done with its last open part.
    pub is_ending: bool,
}

/// An item that is done, in its event.
#[derive(Serialize)]
struct Done<'a> {
    output_index: usize,
    item: &'a Value,
}

/// A part that is open. Boxed, as the map that holds it has room for eleven.
#[derive(Debug)]
pub(super) enum Open {
    Text(Box<Text>),
    Reasoning(Box<Reasoning>),
    Call(Box<Call>),
}

impl WriteStream for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if let Event::Start(start) = event {
            self.response.created = start.created.unwrap_or(self.response.created);
            self.usage = start.usage;
            return self.start(out);
        }
        self.start(out);
        match event {
            Event::Start(_) => {}
            Event::Open {
                choice: 0,
                part,
                opening,
            } => self.open(part, opening, out),
            Event::Delta {
                choice: 0,
                part,
                delta,
            } => self.delta(part, delta, out),
            Event::Close { choice: 0, part } => self.close(part, out),
            Event::Logprobs {
                choice: 0,
                logprobs,
            } => self.logprobs.extend(logprobs),
            Event::Finish { choice: 0, stop } => self.stop = Some(stop),
            // a response holds one answer
            Event::Open { .. }
            | Event::Delta { .. }
            | Event::Close { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. } => {}
            Event::Usage(usage) => self.usage = Some(usage),
            Event::ServiceTier(tier) => self.service_tier = Some(tier),
            Event::Failed(error) => self.fail(&error, out),
            Event::Done => self.done(out),
        }
    }
}

impl Writer {
    pub fn new(shown: Shown) -> Writer {
        Writer {
            response: Response::new(&shown),
            names: shown
                .request
                .as_ref()
                .map(Names::of_request)
                .unwrap_or_default(),
            sequence: 0,
            has_started: false,
            items: Vec::new(),
            messages: BTreeMap::new(),
            message: None,
            parts: BTreeMap::new(),
            logprobs: Vec::new(),
            usage: None,
            service_tier: None,
            stop: None,
            has_refusal: false,
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.has_started {
            self.has_started = true;
            for name in ["response.created", "response.in_progress"] {
                let state = State {
                    status: "in_progress",
                    ..State::default()
                };
                self.send_response(name, &state, out);
            }
        }
    }

    /// Sends an event whose own members are those of `body`, an object with one at least.
    pub fn send(&mut self, name: &str, body: &impl Serialize, out: &mut Vec<u8>) {
        self.begin(name, out);
        let at = out.len();
        write_json(body, out);
        // the members go on after those that every event has
        out[at] = b',';
        out.extend_from_slice(b"\n\n");
    }

    fn begin(&mut self, name: &str, out: &mut Vec<u8>) {
        let sequence = self.sequence;
        self.sequence += 1;
        let head =
            format!("event: {name}\ndata: {{\"type\":\"{name}\",\"sequence_number\":{sequence}");
        out.extend_from_slice(head.as_bytes());
    }

    fn send_response(&mut self, name: &str, state: &State<'_>, out: &mut Vec<u8>) {
        self.begin(name, out);
        out.extend_from_slice(b",\"response\":");
        self.response.write(state, out);
        out.extend_from_slice(b"}\n\n");
    }

    /// The place and id of a new item.
    pub fn next_item(&mut self, prefix: &str) -> (usize, String) {
        let item = self.items.len();
        self.items.push(Vec::new());
        (item, format!("{prefix}_{}_{item}", self.response.suffix))
    }

    pub fn item_added(&mut self, item: usize, value: &Value, out: &mut Vec<u8>) {
        let body = json!({"output_index": item, "item": value});
        self.send("response.output_item.added", &body, out);
    }

    pub fn item_done(&mut self, item: usize, value: &Value, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        write_json(value, &mut text);
        self.items[item] = text;
        let body = Done {
            output_index: item,
            item: value,
        };
        self.send("response.output_item.done", &body, out);
    }

    /// An item that is there at once.
    fn whole_item(&mut self, prefix: &str, out: &mut Vec<u8>, make: impl FnOnce(&str) -> Value) {
        let (item, id) = self.next_item(prefix);
        let value = make(&id);
        self.item_added(item, &value, out);
        self.item_done(item, &value, out);
    }

    pub fn carry_seal(&mut self, seal: Option<Seal>, neighbour: Neighbour, out: &mut Vec<u8>) {
        if let Some(seal) = seal.filter(write_items::is_foreign) {
            self.end_message(out);
            self.whole_item("rs", out, |id| write_items::neighbour(id, &seal, neighbour));
        }
    }

    fn open(&mut self, part: u32, opening: Opening, out: &mut Vec<u8>) {
        match opening {
            // of sound its words are said, as this format has no sound
            Opening::Text | Opening::Sound { .. } => self.open_text(part, false, out),
            Opening::Refusal => self.open_text(part, true, out),
            Opening::Reasoning => self.open_reasoning(part, false, out),
            Opening::ToolCall {
                id,
                name,
                kind,
                seal,
            } => {
                self.carry_seal(seal, Neighbour::Next, out);
                self.open_call(part, id, &name, kind, out);
            }
            Opening::Whole(whole) => self.whole(part, *whole, out),
        }
    }

    fn whole(&mut self, part: u32, whole: Part, out: &mut Vec<u8>) {
        let seal = whole.seal.clone();
        match whole.content {
            Content::Text { text, citations } => {
                self.open_text(part, false, out);
                self.delta(part, Delta::Text(text), out);
                for citation in citations {
                    self.delta(part, Delta::Citation(Box::new(citation)), out);
                }
            }
            Content::Refusal(text) => {
                self.open_text(part, true, out);
                self.delta(part, Delta::Text(text), out);
            }
            Content::Reasoning { text, redacted } => {
                self.open_reasoning(part, redacted, out);
                self.delta(part, Delta::Text(text), out);
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => {
                self.open_call(part, id, &name, kind, out);
                self.delta(part, Delta::Arguments(arguments), out);
            }
            Content::Native { .. } | Content::Media(_) | Content::ToolResult { .. } => {
                self.other_whole(part, &whole, out);
            }
        }
        if let Some(seal) = seal {
            self.delta(part, Delta::Seal(seal), out);
        }
    }

    fn other_whole(&mut self, part: u32, whole: &Part, out: &mut Vec<u8>) {
        if let Some(text) = write_items::spoken(whole) {
            self.open_text(part, false, out);
            self.delta(part, Delta::Text(text.to_owned()), out);
        } else if write_items::whole("", whole).is_some() {
            self.end_message(out);
            self.whole_item("item", out, |id| {
                write_items::whole(id, whole).unwrap_or_default()
            });
        }
    }

    fn delta(&mut self, part: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some(mut open) = self.parts.remove(&part) else {
            return;
        };
        match (&mut open, delta) {
            (Open::Text(text), Delta::Text(piece)) => self.grow_text(text, &piece, out),
            (Open::Text(text), Delta::Citation(citation)) => match citation.span {
                None if citation
                    .native
                    .as_ref()
                    .is_none_or(|(format, _)| *format != super::FORMAT) =>
                {
                    text.citations.push(*citation);
                }
                _ => self.annotate(text, &citation, out),
            },
            (Open::Text(text), Delta::Seal(seal)) => text.seal = Some(seal),
            (Open::Reasoning(reasoning), Delta::Text(piece)) => {
                self.grow_reasoning(reasoning, &piece, out);
            }
            (Open::Reasoning(reasoning), Delta::Seal(seal)) => reasoning.seal = Some(seal),
            (Open::Call(call), Delta::Arguments(piece) | Delta::Text(piece)) => {
                self.grow_call(call, &piece, out);
            }
            (Open::Call(call), Delta::Seal(seal)) => call.seal = Some(seal),
            (Open::Reasoning(_) | Open::Call(_), _)
            | (Open::Text(_), Delta::Arguments(_) | Delta::Sound(_)) => {}
        }
        self.parts.insert(part, open);
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        match self.parts.remove(&part) {
            Some(Open::Text(text)) => self.close_text(*text, out),
            Some(Open::Reasoning(reasoning)) => self.close_reasoning(&reasoning, out),
            Some(Open::Call(call)) => self.close_call(*call, out),
            None => {}
        }
    }

    /// The message takes no more parts.
    pub fn end_message(&mut self, out: &mut Vec<u8>) {
        if let Some(item) = self.message.take() {
            if let Some(message) = self.messages.get_mut(&item) {
                message.is_ending = true;
            }
            self.message_done(item, out);
        }
    }

    pub fn message_done(&mut self, item: usize, out: &mut Vec<u8>) {
        let is_done = |message: &Message| message.is_ending && message.open == 0;
        if !self.messages.get(&item).is_some_and(is_done) {
            return;
        }
        if let Some(message) = self.messages.remove(&item) {
            let value = write_items::message(&message.id, "completed", message.content);
            self.item_done(item, &value, out);
        }
    }

    /// Closes what is open still, and gives the items that are done.
    fn output(&mut self, out: &mut Vec<u8>) -> Vec<u8> {
        let open: Vec<u32> = self.parts.keys().copied().collect();
        for part in open {
            self.close(part, out);
        }
        self.end_message(out);
        let done: Vec<&[u8]> = self.items.iter().map(|item| &**item).collect();
        done.join(&b',')
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        let output = self.output(out);
        let (status, incomplete) = status(self.stop.as_ref(), self.has_refusal);
        let name = match status {
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        };
        let (usage, service_tier) = (self.usage.take(), self.service_tier.take());
        let state = State {
            status,
            output: &output,
            incomplete,
            error: None,
            usage: usage.as_ref(),
            service_tier: service_tier.as_deref(),
        };
        self.send_response(name, &state, out);
    }

    /// OpenAI tells a failure twice: as an error, which SDKs raise, and as the response that failed.
    fn fail(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        let code = error_code(error);
        let kind = error.kind.as_deref();
        let body = json!({
            "error": {
                "type": kind, "code": code, "message": error.message, "param": error.param,
            },
            "code": code,
            "message": error.message,
            "param": error.param,
        });
        self.send("error", &body, out);
        let done = self.items.iter().filter(|item| !item.is_empty());
        let output = done.map(|item| &**item).collect::<Vec<&[u8]>>().join(&b',');
        let usage = self.usage.take();
        let state = State {
            status: "failed",
            output: &output,
            error: Some(error),
            usage: usage.as_ref(),
            ..State::default()
        };
        self.send_response("response.failed", &state, out);
    }
}
