//! A provider's stream.
//!
//! A choice says its thoughts, then its text, then its calls; a part ends where another kind begins.
//! Empty texts, which providers put into most chunks, begin and end nothing.

use serde_json::Value;

use super::read_answer;
use super::read_choice::Saying;
use super::read_delta::{Choice, Chunk, list, object, text};
use super::walk::Object;
use crate::conversation::{Citation, Event, Start};
use crate::format::{Frame, ReadStream};
use crate::provider::UpstreamError;
use crate::usage::{self, UsageRule};

/// Reads one stream.
#[derive(Debug)]
pub(super) struct Reader {
    rule: UsageRule,
    has_started: bool,
    has_ended: bool,
    id: String,
    choices: Vec<Saying>,
    /// Sources of the whole answer (Perplexity), the last ones count.
    sources: Vec<Citation>,
}

impl Reader {
    pub fn new(rule: UsageRule) -> Reader {
        Reader {
            rule,
            has_started: false,
            has_ended: false,
            id: String::new(),
            choices: Vec::new(),
            sources: Vec::new(),
        }
    }

    fn fail(&mut self, error: UpstreamError, events: &mut Vec<Event>) {
        self.start(Start::default(), events);
        self.has_ended = true;
        events.push(Event::Failed(error));
    }

    fn start(&mut self, start: Start, events: &mut Vec<Event>) {
        if !self.has_started {
            self.has_started = true;
            events.push(Event::Start(start));
        }
    }

    fn chunk(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        let choices = chunk.choices.as_deref().unwrap_or_default();
        if !self.has_started {
            let id = text(chunk.id);
            // Azure begins with a chunk about its filter that has neither
            if id.is_none() && choices.is_empty() && chunk.usage.is_none() {
                return;
            }
            self.id = id.clone().unwrap_or_default();
            let created = chunk.created.and_then(|raw| raw.get().parse().ok());
            let start = Start {
                id,
                model: text(chunk.model),
                created,
                usage: None,
            };
            self.start(start, events);
        }
        self.note_sources(chunk);
        if let Some(tier) = text(chunk.service_tier) {
            events.push(Event::ServiceTier(tier));
        }
        for choice in choices {
            self.choice(choice, events);
        }
        self.usage(chunk, events);
    }

    fn usage(&self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        let groq = || {
            object(chunk.x_groq)?
                .remove("usage")
                .map(|usage| usage.to_string())
        };
        let reading = match chunk.usage {
            Some(raw) => usage::read(self.rule, raw.get().as_bytes()),
            None => groq().and_then(|usage| usage::read(self.rule, usage.as_bytes())),
        };
        if let Some(reading) = reading {
            events.push(Event::Usage(reading.usage));
            events.extend(reading.service_tier.map(Event::ServiceTier));
        }
    }

    fn note_sources(&mut self, chunk: &Chunk<'_>) {
        if chunk.citations.is_none() && chunk.search_results.is_none() {
            return;
        }
        let mut members = Object::new();
        for (name, raw) in [
            ("citations", chunk.citations),
            ("search_results", chunk.search_results),
        ] {
            if let Some(items) = list(raw) {
                members.insert(name.to_owned(), Value::Array(items));
            }
        }
        let sources = read_answer::sources(&mut members);
        if !sources.is_empty() {
            self.sources = sources;
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, events: &mut Vec<Event>) {
        let index = choice.index.unwrap_or(0);
        let at = match self.choices.iter().position(|known| known.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Saying::new(index));
                self.choices.len() - 1
            }
        };
        let saying = &mut self.choices[at];
        // OpenRouter repeats the end with the usage
        if saying.has_finished {
            return;
        }
        if let Some(delta) = &choice.delta {
            saying.delta(delta, &self.id, events);
        }
        let logprobs = object(choice.logprobs)
            .and_then(|mut logprobs| match logprobs.remove("content") {
                Some(Value::Array(items)) => Some(read_answer::logprobs_of(items)),
                _ => None,
            })
            .filter(|logprobs| !logprobs.is_empty());
        if let Some(logprobs) = logprobs {
            events.push(Event::Logprobs {
                choice: index,
                logprobs,
            });
        }
        if let Some(reason) = text(choice.finish_reason) {
            let sources = std::mem::take(&mut self.sources);
            let matched = text(choice.stop_reason);
            let saying = &mut self.choices[at];
            saying.finish(Some((&reason, matched)), &sources, &self.id, events);
            self.sources = sources;
        }
    }

    /// Closes what is open, gives a finish to choices that got none, and ends.
    fn done(&mut self, events: &mut Vec<Event>) {
        self.start(Start::default(), events);
        for saying in &mut self.choices {
            if !saying.has_finished {
                saying.finish(None, &self.sources, &self.id, events);
            }
        }
        self.has_ended = true;
        events.push(Event::Done);
    }
}

impl ReadStream for Reader {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        let data = frame.data.trim_ascii();
        if data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            return self.done(events);
        }
        if frame.event == Some("error") {
            return self.fail(error_of(data), events);
        }
        match serde_json::from_slice::<Chunk<'_>>(data) {
            Ok(chunk) if chunk.error.is_some() => self.fail(error_of(data), events),
            Ok(chunk) => self.chunk(&chunk, events),
            Err(_) => {
                let fault = "the provider sent a chunk that cannot be read";
                self.fail(UpstreamError::of_stream(fault), events);
            }
        }
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        let is_whole = !self.choices.is_empty() && self.choices.iter().all(|c| c.has_finished);
        match is_whole {
            true => self.done(events),
            false => {
                let fault = "the provider's stream ended before the answer did";
                self.fail(UpstreamError::of_stream(fault), events);
            }
        }
    }
}

/// An error in the stream; its code is a status where it is one.
fn error_of(data: &[u8]) -> UpstreamError {
    let status = serde_json::from_slice::<Value>(data)
        .ok()
        .and_then(|value| {
            let inner = value.get("error").unwrap_or(&value);
            let code = inner["code"].as_u64().or(inner["status"].as_u64())?;
            u16::try_from(code).ok()
        })
        .filter(|status| (400..600).contains(status));
    UpstreamError::read(status.unwrap_or(502), data)
}
