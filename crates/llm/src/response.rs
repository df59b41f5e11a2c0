//! Watching a provider's answer on its way to the client.
//!
//! The bytes pass as they are; only the value of the top-level `model` becomes the name that the
//! client asked for. What the gateway needs to know of the answer is in [`Observed`].

use std::ops::Range;

use base::Money;
use bytes::{Bytes, BytesMut};

use crate::format::Format;
use crate::json::{self, Members};
use crate::usage::{self, Reading, SearchContext, Usage, UsageRule};

pub use crate::stream::StreamObserver;

/// What an answer said about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The provider's count; of a stream, the last one.
    pub usage: Option<Usage>,
    /// The model as the provider names it.
    pub model: Option<String>,
    /// The answer's id at the provider.
    pub id: Option<String>,
    /// The service tier that the call was served in; prices depend on it.
    pub service_tier: Option<String>,
    /// What the provider says the call cost (OpenRouter, xAI, Perplexity, Vercel).
    pub provider_cost: Option<Money>,
    /// The context size of web searches, where searches are priced by it (Perplexity).
    pub search_context: Option<SearchContext>,
    /// The answer came to its end: a finish reason, `[DONE]`, or a whole body.
    pub finished: bool,
    /// The provider reported an error inside a stream it had begun.
    pub stream_error: bool,
    /// Bytes of generated text seen (as JSON writes it), for an estimate where no usage came.
    pub output_bytes: u64,
}

/// Looks at a whole JSON answer. What is no JSON object passes unseen.
pub fn observe(
    format: Format,
    rule: UsageRule,
    body: Bytes,
    public_model: &str,
) -> (Bytes, Observed) {
    let mut observed = Observed::default();
    let Some(facts) = Facts::read(&body, 0) else {
        return (body, observed);
    };
    facts.note(rule, &body, &mut observed);
    observed.finished = !facts.error && (facts.finished || format == Format::OpenAiEmbedding);
    let Some(place) = facts.model else {
        return (body, observed);
    };
    let name = json::quote(public_model);
    if body[place.clone()] == *name.as_bytes() {
        return (body, observed);
    }
    let mut spliced = BytesMut::with_capacity(body.len() + name.len());
    spliced.extend_from_slice(&body[..place.start]);
    spliced.extend_from_slice(name.as_bytes());
    spliced.extend_from_slice(&body[place.end..]);
    (spliced.freeze(), observed)
}

/// The places and facts of one answer object or stream chunk.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The value of `model` with its quotes, where it is a string.
    pub model: Option<Range<usize>>,
    id: Option<Range<usize>>,
    service_tier: Option<Range<usize>>,
    /// The value of `usage`, or of `x_groq.usage`, where it is an object.
    pub usage: Option<Range<usize>>,
    has_choices: bool,
    choices: usize,
    /// A choice has a finish reason.
    finished: bool,
    error: bool,
    output_bytes: u64,
}

impl Facts {
    /// Reads the object at `at`; `None` for what is none.
    pub fn read(text: &[u8], at: usize) -> Option<Facts> {
        let mut members = Members::open(text, at)?;
        let mut facts = Facts::default();
        while let Some(member) = members.next().ok()? {
            facts.member(text, &member.key.bytes(text), member.value);
        }
        Some(facts)
    }

    /// Nothing was found that differs from one chunk of a stream to the next.
    pub fn is_only_a_head(&self) -> bool {
        self.usage.is_none() && !self.has_choices && !self.error
    }

    /// The chunk that providers add to a stream for its usage alone.
    pub fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.has_choices && self.choices == 0 && !self.error
    }

    pub fn member(&mut self, text: &[u8], key: &[u8], value: Range<usize>) {
        let first = text[value.start];
        match (key, first) {
            (b"model", b'"') => self.model = Some(value),
            (b"id", b'"') => self.id = Some(value),
            (b"service_tier", b'"') => self.service_tier = Some(value),
            (b"usage", b'{') => self.usage = Some(value),
            (b"x_groq", b'{') if self.usage.is_none() => self.usage = groq_usage(text, value),
            (b"error", b'{' | b'"') => self.error = true,
            (b"choices", b'[') => {
                self.has_choices = true;
                json::elements(text, value, |choice| {
                    self.choices += 1;
                    self.choice(text, choice);
                });
            }
            _ => {}
        }
    }

    fn choice(&mut self, text: &[u8], choice: Range<usize>) {
        let Some(mut members) = Members::open(text, choice.start) else {
            return;
        };
        while let Ok(Some(member)) = members.next() {
            let value = member.value;
            match (&text[member.key.range], text[value.start]) {
                (b"finish_reason", b'"') => self.finished = true,
                (b"delta" | b"message", b'{') => self.output_bytes += generated(text, value),
                (b"text", b'"') => self.output_bytes += string_bytes(&value),
                _ => {}
            }
        }
    }

    /// Writes what was found into `observed`; later answers of a stream come last and count.
    pub fn note(&self, rule: UsageRule, text: &[u8], observed: &mut Observed) {
        let string = |place: &Option<Range<usize>>| {
            let decoded = json::string_at(text, place.clone()?)?;
            (!decoded.is_empty()).then(|| decoded.into_owned())
        };
        if observed.model.is_none() {
            observed.model = string(&self.model);
        }
        if observed.id.is_none() {
            observed.id = string(&self.id);
        }
        if self.service_tier.is_some() {
            observed.service_tier = string(&self.service_tier).or(observed.service_tier.take());
        }
        if let Some(place) = &self.usage
            && let Some(reading) = usage::read(rule, &text[place.clone()])
        {
            observed.note_reading(reading);
        }
        observed.finished |= self.finished;
        observed.stream_error |= self.error;
        observed.output_bytes += self.output_bytes;
    }
}

impl Observed {
    fn note_reading(&mut self, reading: Reading) {
        self.usage = Some(reading.usage);
        self.provider_cost = reading.cost.or(self.provider_cost);
        self.service_tier = self.service_tier.take().or(reading.service_tier);
        self.search_context = reading.search_context.or(self.search_context);
    }
}

fn groq_usage(text: &[u8], object: Range<usize>) -> Option<Range<usize>> {
    let mut members = Members::open(text, object.start)?;
    while let Some(member) = members.next().ok()? {
        if text[member.key.range] == *b"usage" && text[member.value.start] == b'{' {
            return Some(member.value);
        }
    }
    None
}

/// The bytes of generated text in a message or delta: everything said, thought or called.
fn generated(text: &[u8], object: Range<usize>) -> u64 {
    let mut bytes = 0;
    let Some(mut members) = Members::open(text, object.start) else {
        return 0;
    };
    while let Ok(Some(member)) = members.next() {
        let value = member.value;
        match (&text[member.key.range], text[value.start]) {
            (b"role" | b"type" | b"id", _) => {}
            (_, b'"') => bytes += string_bytes(&value),
            (b"content" | b"tool_calls" | b"function_call" | b"function", _) => {
                bytes += value.len() as u64;
            }
            _ => {}
        }
    }
    bytes
}

fn string_bytes(quoted: &Range<usize>) -> u64 {
    quoted.len().saturating_sub(2) as u64
}
