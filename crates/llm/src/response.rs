//! Watching a provider's answer on its way to the client.
//!
//! The bytes pass as they are; only the value of the top-level `model` becomes the name that the
//! client asked for. What the gateway needs to know of the answer is in [`Observed`].

use std::ops::Range;

use base::Money;
use bytes::{Bytes, BytesMut};

use crate::format::{Format, anthropic, gemini, responses, units};
use crate::json::{self, Cursor, Fault};
use crate::template::Free;
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

/// Looks at a whole JSON answer. What is no JSON object passes unseen. With an empty `public_model`
/// the model's name stays the provider's.
pub fn observe(
    format: Format,
    rule: UsageRule,
    body: Bytes,
    public_model: &str,
) -> (Bytes, Observed) {
    let mut observed = Observed::default();
    let Some(facts) = Facts::read(format, &body) else {
        return (body, observed);
    };
    facts.note(rule, &body, &mut observed);
    observed.finished = !facts.error;
    let Some(place) = facts.model.filter(|_| !public_model.is_empty()) else {
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
    pub id: Option<Range<usize>>,
    pub service_tier: Option<Range<usize>>,
    /// The value of `usage`, or of `x_groq.usage`, where it is an object.
    pub usage: Option<Range<usize>>,
    /// Whose usage object it is, where it is not OpenAI's.
    pub usage_format: Option<Format>,
    pub has_choices: bool,
    pub choices: usize,
    /// A choice has a finish reason.
    pub finished: bool,
    pub error: bool,
    /// The usage itself, where it takes more than the usage object to know it.
    pub reading: Option<Reading>,
    pub output_bytes: u64,
    /// Strings that the meaning of a chunk does not hang on.
    pub free: Vec<Free>,
}

impl Facts {
    /// Reads the object at the beginning of `text`; `None` for what is none.
    pub fn read(format: Format, text: &[u8]) -> Option<Facts> {
        if format.names_model_in_path() {
            return gemini::facts(text);
        }
        if format == Format::OpenAiResponses {
            return responses::observe::read(text);
        }
        if format.is_of_units() {
            return units::read(format, text);
        }
        let mut facts = Facts::default();
        let mut cursor = Cursor::new(text, 0);
        let mut members = cursor.members()?;
        while let Some(key) = members.key().ok()? {
            let key = key.bytes(text);
            match (format, &*key, members.cursor.peek()) {
                // Thousands of numbers, which hold nothing to see.
                (Format::OpenAiEmbedding, b"data", Some(b'[')) => {
                    members.cursor.array_by_brackets().ok()?;
                }
                (Format::Anthropic, key, _) => {
                    anthropic::observe::member(&mut facts, text, key, members.cursor).ok()?;
                }
                _ => facts.member(text, &key, members.cursor).ok()?,
            }
        }
        Some(facts)
    }

    /// Nothing was found but text, and what every chunk of a stream repeats.
    pub fn is_plain(&self) -> bool {
        self.usage.is_none() && !self.finished && !self.error
    }

    /// The chunk that providers add to a stream for its usage alone.
    pub fn is_usage_only(&self) -> bool {
        self.usage.is_some() && self.has_choices && self.choices == 0 && !self.error
    }

    /// Reads the value of the member `key`; the cursor stands on it.
    pub(crate) fn member(
        &mut self,
        text: &[u8],
        key: &[u8],
        cursor: &mut Cursor<'_>,
    ) -> Result<(), Fault> {
        match (key, cursor.peek()) {
            (b"model", Some(b'"')) => self.model = Some(cursor.value()?),
            (b"id", Some(b'"')) => self.id = Some(cursor.value()?),
            (b"service_tier", Some(b'"')) => self.service_tier = Some(cursor.value()?),
            (b"usage", Some(b'{')) => self.usage = Some(cursor.value()?),
            (b"x_groq", Some(b'{')) => {
                let value = cursor.value()?;
                if self.usage.is_none() {
                    self.usage =
                        json::find(text, value, b"usage").filter(|place| text[place.start] == b'{');
                }
            }
            (b"error", Some(b'{' | b'"')) => {
                self.error = true;
                cursor.value()?;
            }
            (b"choices", Some(b'[')) => self.read_choices(text, cursor)?,
            (_, first) => {
                let value = cursor.value()?;
                self.note_string(first, &value, false);
            }
        }
        Ok(())
    }

    /// Notes a value that varies from chunk to chunk, if it is a string.
    pub fn note_string(&mut self, first: Option<u8>, value: &Range<usize>, generated: bool) {
        if first == Some(b'"') {
            let place = value.start + 1..value.end - 1;
            self.output_bytes += if generated { place.len() as u64 } else { 0 };
            self.free.push(Free { place, generated });
        }
    }

    fn read_choices(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        self.has_choices = true;
        let Some(mut elements) = cursor.elements() else {
            return Ok(());
        };
        while elements.more()? {
            self.choices += 1;
            let Some(mut members) = elements.cursor.members() else {
                elements.cursor.value()?;
                continue;
            };
            while let Some(key) = members.key()? {
                let cursor = &mut *members.cursor;
                match (&text[key.range], cursor.peek()) {
                    (b"delta" | b"message", Some(b'{')) => {
                        self.read_generated(text, cursor)?;
                    }
                    (name, first) => {
                        let value = cursor.value()?;
                        match (name, first) {
                            (b"finish_reason", Some(b'"')) => self.finished = true,
                            (b"text", first) => self.note_string(first, &value, true),
                            _ => {}
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads a message or delta: the text in it, all that is said, thought or called.
    fn read_generated(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let Some(mut members) = cursor.members() else {
            return Ok(());
        };
        while let Some(key) = members.key()? {
            let first = members.cursor.peek();
            let value = members.value()?;
            match (&text[key.range], first) {
                (b"role" | b"type" | b"id", _) => {}
                (b"content" | b"tool_calls" | b"function_call", Some(b'[' | b'{')) => {
                    self.output_bytes += value.len() as u64;
                }
                _ => self.note_string(first, &value, true),
            }
        }
        Ok(())
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
        if let Some(reading) = &self.reading {
            observed.note_reading(reading.clone());
        } else if let Some(place) = &self.usage
            && let Some(reading) = self.read_usage(rule, &text[place.clone()], observed.usage)
        {
            observed.note_reading(reading);
        }
        observed.finished |= self.finished;
        observed.stream_error |= self.error;
        observed.output_bytes += self.output_bytes;
    }
}

impl Facts {
    fn read_usage(&self, rule: UsageRule, text: &[u8], before: Option<Usage>) -> Option<Reading> {
        match self.usage_format {
            Some(Format::Anthropic) => usage::anthropic::read(before, text),
            _ => usage::read(rule, text),
        }
    }
}

impl Observed {
    fn note_reading(&mut self, reading: Reading) {
        // Gemini tells of searches once, in any chunk
        let searches = self.usage.map_or(0, |usage| usage.web_searches);
        self.usage = Some(Usage {
            web_searches: reading.usage.web_searches.max(searches),
            ..reading.usage
        });
        self.provider_cost = reading.cost.or(self.provider_cost);
        self.service_tier = self.service_tier.take().or(reading.service_tier);
        self.search_context = reading.search_context.or(self.search_context);
    }
}
