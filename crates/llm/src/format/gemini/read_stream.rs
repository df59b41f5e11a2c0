//! Reading a stream of Gemini or Vertex: every chunk is an answer of its own, with more parts.
//!
//! The format has no end mark. A finish reason may come with any chunk, even several times, and more
//! text after it, so choices finish when the provider closes the stream.

use serde_json::value::RawValue;

use super::answer_parts::{call_id, logprobs, stop};
use super::grounding;
use super::partial_args::PartialArgs;
use super::read_answer::{arguments, queries};
use super::wire::{Candidate, FunctionCall, Response, WirePart, blob, file, list, native};
use crate::conversation::{Delta, Event, Opening, Part, Seal, Start, Stop, ToolKind};
use crate::format::{Format, Frame, ReadStream};
use crate::provider::UpstreamError;
use crate::usage::{self, Usage};

/// The most candidates that a stream may number; Google gives 8.
const MAX_CHOICES: u32 = 128;

#[derive(Debug, Default)]
pub(super) struct Reader {
    has_started: bool,
    has_ended: bool,
    response_id: Option<String>,
    choices: Vec<State>,
    is_blocked: bool,
    queries: u64,
    usage: Option<Usage>,
    service_tier: Option<String>,
}

/// What is known of one candidate.
#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    next_part: u32,
    calls: u32,
    finish_reason: Option<String>,
}

/// The part that is open.
#[derive(Debug)]
enum Open {
    /// Bytes of its text, and whether they are characters as well.
    Text {
        bytes: usize,
        is_ascii: bool,
    },
    Reasoning,
    /// A call whose arguments come in pieces.
    Call(PartialArgs),
}

/// Where the parts of one candidate go.
struct Sink<'a> {
    choice: u32,
    state: &'a mut State,
    events: &'a mut Vec<Event>,
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        if frame.data.trim_ascii() == b"[DONE]" {
            return self.end(events);
        }
        let response: Response<'_> = match serde_json::from_slice(frame.data) {
            Ok(response) => response,
            Err(_) => {
                let message = "the provider sent an event that cannot be read";
                return self.fail(UpstreamError::of_stream(message), events);
            }
        };
        if let Some(error) = response.error {
            return self.fail(stream_error(error, frame.data), events);
        }
        self.response(response, events);
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        let has_finished = |state: &State| state.finish_reason.is_some();
        if !self.is_blocked && !self.choices.iter().any(has_finished) {
            let message = "the provider's stream ended before its answer did";
            return self.fail(UpstreamError::of_stream(message), events);
        }
        if self.choices.is_empty() {
            self.choices.push(State::default());
        }
        for (choice, state) in (0..).zip(&mut self.choices) {
            Sink {
                choice,
                state,
                events,
            }
            .close();
            events.push(Event::Finish {
                choice,
                stop: match &state.finish_reason {
                    Some(reason) => stop(reason, state.calls > 0),
                    None if self.is_blocked => Stop::Filtered,
                    None => Stop::End,
                },
            });
        }
        events.push(Event::Done);
        self.has_ended = true;
    }
}

/// An error amid the stream, with the status that its code says.
fn stream_error(error: &RawValue, body: &[u8]) -> UpstreamError {
    #[derive(serde::Deserialize)]
    struct Status {
        code: u16,
    }
    let status = serde_json::from_str::<Status>(error.get()).map_or(502, |status| status.code);
    let status = match status {
        400..=599 => status,
        _ => 502,
    };
    UpstreamError::read(status, body)
}

impl Reader {
    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(Start::default()));
        }
        self.has_ended = true;
        events.push(Event::Failed(error));
    }

    fn response(&mut self, response: Response<'_>, events: &mut Vec<Event>) {
        let candidates = response.candidates.unwrap_or_default();
        self.queries = self.queries.max(queries(&candidates));
        let model = response.model_version.as_deref();
        let searches = usage::gemini::searches(model, self.queries);
        let reading = response
            .usage_metadata
            .and_then(|raw| usage::gemini::read(raw.get().as_bytes(), searches));
        let usage = reading.as_ref().map(|reading| reading.usage);
        if !self.has_started {
            self.has_started = true;
            self.usage = usage;
            self.response_id.clone_from(&response.response_id);
            events.push(Event::Start(Start {
                id: response.response_id,
                model: response.model_version,
                created: None,
                usage,
            }));
        }
        self.is_blocked |= response
            .prompt_feedback
            .is_some_and(|feedback| feedback.block_reason.is_some());
        for candidate in candidates {
            if let Err(error) = self.candidate(candidate, events) {
                let message = format!("the provider sent a part that cannot be read: {error}");
                return self.fail(UpstreamError::of_stream(message), events);
            }
        }
        if let Some(usage) = usage
            && self.usage.replace(usage) != Some(usage)
        {
            events.push(Event::Usage(usage));
        }
        let tier = reading.and_then(|reading| reading.service_tier);
        if tier.is_some() && tier != self.service_tier {
            self.service_tier.clone_from(&tier);
            events.extend(tier.map(Event::ServiceTier));
        }
    }

    fn candidate(
        &mut self,
        candidate: Candidate<'_>,
        events: &mut Vec<Event>,
    ) -> Result<(), serde_json::Error> {
        let choice = candidate.index.unwrap_or(0);
        if choice >= MAX_CHOICES {
            return Ok(());
        }
        while self.choices.len() <= choice as usize {
            self.choices.push(State::default());
        }
        let Some(state) = self.choices.get_mut(choice as usize) else {
            return Ok(());
        };
        let mut sink = Sink {
            choice,
            state,
            events,
        };
        for raw in list(candidate.content.and_then(|content| content.parts))? {
            sink.part(raw, self.response_id.as_deref())?;
        }
        sink.cite(grounding::read(
            candidate.grounding_metadata,
            candidate.citation_metadata,
        ));
        let logprobs = logprobs(candidate.logprobs_result);
        if !logprobs.is_empty() {
            sink.events.push(Event::Logprobs { choice, logprobs });
        }
        if candidate.finish_reason.is_some() {
            sink.state.finish_reason = candidate.finish_reason;
        }
        Ok(())
    }
}

impl Sink<'_> {
    fn part(&mut self, raw: &RawValue, response_id: Option<&str>) -> Result<(), serde_json::Error> {
        let wire: WirePart<'_> = serde_json::from_str(raw.get())?;
        let seal = wire
            .thought_signature
            .map(|signature| Seal::new(Format::Gemini, signature));
        if let Some(text) = wire.text {
            self.text(text, wire.thought == Some(true), seal);
        } else if let Some(call) = wire.function_call {
            self.call(call, seal, response_id);
        } else if let Some(data) = wire.inline_data {
            self.whole(Part { seal, ..blob(data) });
        } else if let Some(data) = wire.file_data {
            self.whole(Part { seal, ..file(data) });
        } else if let Some(part) = native(raw) {
            self.whole(part);
        } else if seal.is_some() {
            self.text(String::new(), false, seal);
        }
        Ok(())
    }

    /// More text. A signature ends its part, so that it stays with it.
    fn text(&mut self, text: String, is_thought: bool, seal: Option<Seal>) {
        if text.is_empty() && seal.is_none() {
            return;
        }
        match (&mut self.state.open, is_thought) {
            (Some(Open::Reasoning), true) => {}
            (Some(Open::Text { bytes, is_ascii }), false) => {
                *bytes += text.len();
                *is_ascii &= text.is_ascii();
            }
            (_, true) => self.open(Open::Reasoning, Opening::Reasoning),
            (_, false) => {
                let open = Open::Text {
                    bytes: text.len(),
                    is_ascii: text.is_ascii(),
                };
                self.open(open, Opening::Text);
            }
        }
        if !text.is_empty() {
            self.delta(Delta::Text(text));
        }
        if let Some(seal) = seal {
            self.delta(Delta::Seal(seal));
            self.close();
        }
    }

    fn call(&mut self, call: FunctionCall<'_>, seal: Option<Seal>, response_id: Option<&str>) {
        if let Some(name) = call.name {
            self.close();
            let made = || call_id(response_id, self.choice, self.state.calls);
            let id = call.id.filter(|id| !id.is_empty()).unwrap_or_else(made);
            self.state.calls += 1;
            let opening = Opening::ToolCall {
                id,
                name,
                kind: ToolKind::Function,
                seal,
            };
            self.open(Open::Call(PartialArgs::default()), opening);
        }
        if let Some(Open::Call(args)) = &mut self.state.open {
            for piece in call.partial_args.iter().flatten() {
                args.add(piece);
            }
        }
        if call.will_continue != Some(true) && matches!(self.state.open, Some(Open::Call(_))) {
            match call.args {
                Some(args) => {
                    self.delta(Delta::Arguments(arguments(Some(args))));
                    self.close_with_nothing_more();
                }
                None => self.close(),
            }
        }
    }

    fn whole(&mut self, part: Part) {
        self.close();
        let number = self.state.next_part;
        self.state.next_part += 1;
        self.events.push(Event::Open {
            choice: self.choice,
            part: number,
            opening: Opening::Whole(Box::new(part)),
        });
        self.push_close(number);
    }

    /// Citations of the open text. Places are told while bytes are characters: the text is not kept.
    fn cite(&mut self, found: Vec<grounding::Found>) {
        let Some(Open::Text { bytes, is_ascii }) = self.state.open else {
            return;
        };
        for mut found in found {
            found.citation.span = found
                .bytes
                .filter(|(start, end)| is_ascii && start <= end && *end <= bytes)
                .map(|(start, end)| (start as u64, end as u64));
            self.delta(Delta::Citation(Box::new(found.citation)));
        }
    }

    fn open(&mut self, open: Open, opening: Opening) {
        self.close();
        self.state.open = Some(open);
        self.events.push(Event::Open {
            choice: self.choice,
            part: self.state.next_part,
            opening,
        });
    }

    fn delta(&mut self, delta: Delta) {
        self.events.push(Event::Delta {
            choice: self.choice,
            part: self.state.next_part,
            delta,
        });
    }

    /// Closes the part that is open, if any; arguments that came in pieces are whole now.
    fn close(&mut self) {
        if let Some(Open::Call(args)) = &mut self.state.open {
            let arguments = std::mem::take(args).into_json();
            self.delta(Delta::Arguments(arguments));
        }
        self.close_with_nothing_more();
    }

    fn close_with_nothing_more(&mut self) {
        if self.state.open.take().is_some() {
            let number = self.state.next_part;
            self.state.next_part += 1;
            self.push_close(number);
        }
    }

    fn push_close(&mut self, part: u32) {
        self.events.push(Event::Close {
            choice: self.choice,
            part,
        });
    }
}
