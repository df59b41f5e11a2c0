//! Reading a provider's stream.
//!
//! Items are known by their `output_index`, as some providers give another id with every event.
//! Whatever
//! deltas were left out is taken from the item when it is done; where no item came, the last event's
//! output is given.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::names::{DIGEST_OF_NOTHING, digest, digest_on};
use super::{content, read_answer};
use crate::conversation::{Content, Delta, Event, Opening, Part, Start, Stop, ToolKind};
use crate::format::{Frame, ReadStream};
use crate::provider::UpstreamError;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    has_started: bool,
    has_ended: bool,
    next_part: u32,
    items: BTreeMap<u64, Item>,
    has_calls: bool,
    has_refusal: bool,
}

/// What became of an output item.
#[derive(Debug)]
enum Item {
    /// The parts of a message, by their `content_index`.
    Message(BTreeMap<u64, Text>),
    Reasoning(Reasoning),
    Call(Call),
    /// It is done, or was given as a whole.
    Done,
    /// It will be given when it is whole.
    Whole,
}

#[derive(Debug)]
struct Text {
    part: u32,
    /// How many bytes of its text were given.
    given: usize,
    /// The digest of what was given.
    digest: u64,
    citations: usize,
    is_open: bool,
}

#[derive(Debug)]
struct Reasoning {
    part: u32,
    has_text: bool,
    /// The kind and number of the last piece: a new one begins a new paragraph.
    last: Option<(bool, u64)>,
}

#[derive(Debug)]
struct Call {
    part: u32,
    has_arguments: bool,
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended || frame.data == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Value>(frame.data) {
            Ok(Value::Object(data)) => self.event(&data, frame.event, events),
            Ok(_) => {}
            Err(_) => self.fail(
                UpstreamError::of_stream("the provider sent an event that is no JSON"),
                events,
            ),
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if !self.has_ended {
            self.fail(
                UpstreamError::of_stream("the provider's stream ended before its answer"),
                events,
            );
        }
    }
}

impl Reader {
    fn event(&mut self, data: &Map<String, Value>, named: Option<&str>, events: &mut Vec<Event>) {
        let kind = data
            .get("type")
            .and_then(Value::as_str)
            .or(named)
            .unwrap_or_default();
        if kind == "error" || kind.is_empty() && data.contains_key("error") {
            let error = data.get("error").filter(|error| !error.is_null()).cloned();
            let error = error.unwrap_or_else(|| Value::Object(data.clone()));
            return self.fail(read_answer::upstream_error(&error), events);
        }
        let response = data.get("response").and_then(Value::as_object);
        if !self.has_started && (kind.starts_with("response.") || response.is_some()) {
            self.has_started = true;
            events.push(Event::Start(start(response)));
        }
        match (kind, response) {
            ("response.completed" | "response.incomplete" | "response.done", Some(response)) => {
                self.complete(response, events);
            }
            ("response.failed" | "response.cancelled", response) => {
                let failure = response.and_then(read_answer::failure);
                let unknown =
                    || UpstreamError::of_stream("the provider could not finish the answer");
                self.fail(failure.unwrap_or_else(unknown), events);
            }
            _ => self.output(kind, data, events),
        }
    }

    /// An event of an output item.
    fn output(&mut self, kind: &str, data: &Map<String, Value>, events: &mut Vec<Event>) {
        let index = |name: &str| data.get(name).and_then(Value::as_u64).unwrap_or(0);
        let item = index("output_index");
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        let value = data.get("item").and_then(Value::as_object);
        match kind {
            "response.output_item.added" => {
                if let Some(value) = value {
                    self.added(item, value, events);
                }
            }
            "response.output_item.done" => {
                if let Some(value) = value {
                    self.item_done(item, value, events);
                }
            }
            "response.output_text.delta" => {
                let place = (item, index("content_index"));
                self.grow(place, Opening::Text, text("delta"), events);
                let logprobs = data.get("logprobs").map(read_answer::read_logprobs);
                if let Some(logprobs) = logprobs.filter(|logprobs| !logprobs.is_empty()) {
                    events.push(Event::Logprobs {
                        choice: 0,
                        logprobs,
                    });
                }
            }
            "response.refusal.delta" => {
                let place = (item, index("content_index"));
                self.grow(place, Opening::Refusal, text("delta"), events);
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = data.get("annotation") {
                    self.annotate((item, index("content_index")), annotation, events);
                }
            }
            "response.content_part.done" => {
                if let Some(part) = data.get("part").and_then(Value::as_object) {
                    self.content_done((item, index("content_index")), part, events);
                }
            }
            "response.reasoning_summary_text.delta" => {
                self.think(item, (true, index("summary_index")), text("delta"), events);
            }
            "response.reasoning_text.delta" => {
                self.think(item, (false, index("content_index")), text("delta"), events);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.call(item, text("delta"), events);
            }
            _ => {}
        }
    }

    fn open(&mut self, opening: Opening, events: &mut Vec<Event>) -> u32 {
        let part = self.next_part;
        self.next_part += 1;
        self.has_calls |= matches!(opening, Opening::ToolCall { .. });
        self.has_refusal |= matches!(opening, Opening::Refusal);
        events.push(Event::Open {
            choice: 0,
            part,
            opening,
        });
        part
    }

    fn added(&mut self, index: u64, value: &Map<String, Value>, events: &mut Vec<Event>) {
        if self.items.contains_key(&index) {
            return;
        }
        let item = match value.get("type").and_then(Value::as_str) {
            Some("message") => Item::Message(BTreeMap::new()),
            Some("reasoning") => Item::Reasoning(Reasoning {
                part: self.open(Opening::Reasoning, events),
                has_text: false,
                last: None,
            }),
            Some("function_call" | "custom_tool_call") => {
                let Some(Content::ToolCall { id, name, kind, .. }) = read_answer::call(value)
                else {
                    return;
                };
                let opening = Opening::ToolCall {
                    id,
                    name,
                    kind,
                    seal: None,
                };
                Item::Call(Call {
                    part: self.open(opening, events),
                    has_arguments: false,
                })
            }
            _ => Item::Whole,
        };
        self.items.insert(index, item);
    }

    /// A piece of a message's text or refusal.
    fn grow(&mut self, place: (u64, u64), opening: Opening, piece: &str, events: &mut Vec<Event>) {
        let Some(part) = self.text(place, opening, events) else {
            return;
        };
        if !piece.is_empty() {
            events.push(delta(part, Delta::Text(piece.to_owned())));
            if let Some(Item::Message(texts)) = self.items.get_mut(&place.0)
                && let Some(text) = texts.get_mut(&place.1)
            {
                text.given += piece.len();
                text.digest = digest_on(text.digest, piece.as_bytes());
            }
        }
    }

    /// The number of a part of a message, opened if it is not; `None` where it is closed.
    fn text(
        &mut self,
        place: (u64, u64),
        opening: Opening,
        events: &mut Vec<Event>,
    ) -> Option<u32> {
        let message = || Item::Message(BTreeMap::new());
        match self.items.entry(place.0).or_insert_with(message) {
            Item::Message(texts) => {
                if let Some(text) = texts.get(&place.1) {
                    return text.is_open.then_some(text.part);
                }
            }
            _ => return None,
        }
        let part = self.open(opening, events);
        let text = Text {
            part,
            given: 0,
            digest: DIGEST_OF_NOTHING,
            citations: 0,
            is_open: true,
        };
        if let Some(Item::Message(texts)) = self.items.get_mut(&place.0) {
            texts.insert(place.1, text);
        }
        Some(part)
    }

    fn annotate(&mut self, place: (u64, u64), annotation: &Value, events: &mut Vec<Event>) {
        let Some(part) = self.text(place, Opening::Text, events) else {
            return;
        };
        if let Some(Item::Message(texts)) = self.items.get_mut(&place.0)
            && let Some(text) = texts.get_mut(&place.1)
        {
            text.citations += 1;
        }
        let citation = Box::new(content::citation(annotation));
        events.push(delta(part, Delta::Citation(citation)));
    }

    /// A message's part is whole: gives what was not given, and closes it.
    fn content_done(
        &mut self,
        place: (u64, u64),
        value: &Map<String, Value>,
        events: &mut Vec<Event>,
    ) {
        let (opening, name) = match value.get("type").and_then(Value::as_str) {
            Some("output_text" | "text") => (Opening::Text, "text"),
            Some("refusal") => (Opening::Refusal, "refusal"),
            _ => return,
        };
        let Some(part) = self.text(place, opening, events) else {
            return;
        };
        let Some(Item::Message(texts)) = self.items.get_mut(&place.0) else {
            return;
        };
        let Some(text) = texts.get_mut(&place.1) else {
            return;
        };
        text.is_open = false;
        let whole = value.get(name).and_then(Value::as_str).unwrap_or_default();
        // some leave out deltas
        if let Some((given, rest)) = whole.split_at_checked(text.given)
            && !rest.is_empty()
            && digest(given.as_bytes()) == text.digest
        {
            events.push(delta(part, Delta::Text(rest.to_owned())));
        }
        for citation in content::citations(value).into_iter().skip(text.citations) {
            events.push(delta(part, Delta::Citation(Box::new(citation))));
        }
        events.push(Event::Close { choice: 0, part });
    }

    /// A piece of reasoning. Where thoughts and their summary both come, the first kind is given.
    fn think(&mut self, item: u64, place: (bool, u64), piece: &str, events: &mut Vec<Event>) {
        if !self.items.contains_key(&item) {
            let part = self.open(Opening::Reasoning, events);
            let reasoning = Reasoning {
                part,
                has_text: false,
                last: None,
            };
            self.items.insert(item, Item::Reasoning(reasoning));
        }
        let Some(Item::Reasoning(reasoning)) = self.items.get_mut(&item) else {
            return;
        };
        if piece.is_empty() || reasoning.last.is_some_and(|last| last.0 != place.0) {
            return;
        }
        let is_new = reasoning.last.is_some_and(|last| last.1 != place.1);
        reasoning.last = Some(place);
        reasoning.has_text = true;
        let piece = match is_new {
            true => format!("\n\n{piece}"),
            false => piece.to_owned(),
        };
        events.push(delta(reasoning.part, Delta::Text(piece)));
    }

    fn call(&mut self, item: u64, piece: &str, events: &mut Vec<Event>) {
        if let Some(Item::Call(call)) = self.items.get_mut(&item)
            && !piece.is_empty()
        {
            call.has_arguments = true;
            events.push(delta(call.part, Delta::Arguments(piece.to_owned())));
        }
    }

    /// An item is whole: gives what was not given of it, and closes it.
    fn item_done(&mut self, index: u64, value: &Map<String, Value>, events: &mut Vec<Event>) {
        self.added(index, value, events);
        match self.items.get_mut(&index) {
            Some(Item::Message(_)) => {
                let list = value.get("content").and_then(Value::as_array);
                let contents = list.into_iter().flatten().filter_map(Value::as_object);
                for (at, content) in (0..).zip(contents) {
                    self.content_done((index, at), content, events);
                }
            }
            Some(Item::Reasoning(reasoning)) => {
                let part = reasoning.part;
                let whole = super::reasoning::own(value);
                if let Content::Reasoning { text, .. } = whole.content
                    && !reasoning.has_text
                    && !text.is_empty()
                {
                    events.push(delta(part, Delta::Text(text)));
                }
                events.extend(whole.seal.map(|seal| delta(part, Delta::Seal(seal))));
                events.push(Event::Close { choice: 0, part });
            }
            Some(Item::Call(call)) => {
                let part = call.part;
                if let Some(Content::ToolCall {
                    arguments, kind, ..
                }) = read_answer::call(value)
                    && !call.has_arguments
                    && (!arguments.is_empty() || kind == ToolKind::Function)
                {
                    events.push(delta(part, Delta::Arguments(arguments)));
                }
                events.push(Event::Close { choice: 0, part });
            }
            Some(Item::Whole) => {
                let content = super::read_request::native(&Value::Object(value.clone()));
                let opening = Opening::Whole(Box::new(Part::new(content)));
                let part = self.open(opening, events);
                events.push(Event::Close { choice: 0, part });
            }
            Some(Item::Done) | None => return,
        }
        self.close_message(index, events);
        self.items.insert(index, Item::Done);
    }

    /// Closes the parts of a message that its last event did not name.
    fn close_message(&self, index: u64, events: &mut Vec<Event>) {
        if let Some(Item::Message(texts)) = self.items.get(&index) {
            for text in texts.values().filter(|text| text.is_open) {
                events.push(Event::Close {
                    choice: 0,
                    part: text.part,
                });
            }
        }
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        let open: Vec<u64> = self.items.keys().copied().collect();
        for index in open {
            match self.items.get(&index) {
                Some(Item::Message(_)) => self.close_message(index, events),
                Some(Item::Reasoning(Reasoning { part, .. }) | Item::Call(Call { part, .. })) => {
                    events.push(Event::Close {
                        choice: 0,
                        part: *part,
                    });
                }
                Some(Item::Done | Item::Whole) | None => {}
            }
        }
        self.items.clear();
    }

    fn complete(&mut self, response: &Map<String, Value>, events: &mut Vec<Event>) {
        if let Some(failure) = read_answer::failure(response) {
            return self.fail(failure, events);
        }
        let came_at_once = self.items.is_empty();
        let output = response.get("output").and_then(Value::as_array);
        let items = output.into_iter().flatten().filter_map(Value::as_object);
        for (index, item) in (0..).zip(items) {
            // OpenAI leaves out that a list of tools is done
            let is_open = !matches!(self.items.get(&index), None | Some(Item::Done));
            if came_at_once || is_open {
                self.item_done(index, item, events);
            }
        }
        self.close_all(events);
        events.extend(read_answer::usage(response).map(Event::Usage));
        if let Some(tier) = response.get("service_tier").and_then(Value::as_str) {
            events.push(Event::ServiceTier(tier.to_owned()));
        }
        let stop = match read_answer::stop(response, &[]) {
            Stop::End if self.has_calls => Stop::ToolCalls,
            Stop::End if self.has_refusal => Stop::Refusal,
            stop => stop,
        };
        events.push(Event::Finish { choice: 0, stop });
        events.push(Event::Done);
        self.has_ended = true;
    }

    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(Start::default()));
        }
        self.close_all(events);
        events.push(Event::Failed(error));
        self.has_ended = true;
    }
}

fn start(response: Option<&Map<String, Value>>) -> Start {
    let word = |name: &str| Some(response?.get(name)?.as_str()?.to_owned());
    Start {
        id: word("id"),
        model: word("model"),
        created: response.and_then(read_answer::created),
        usage: None,
    }
}

fn delta(part: u32, delta: Delta) -> Event {
    Event::Delta {
        choice: 0,
        part,
        delta,
    }
}
