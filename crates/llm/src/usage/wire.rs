//! The usage object of OpenAI-style answers, in all its providers' spellings.
//!
//! Reading it never fails for odd values: a null, a float, a missing or misshapen part counts as
//! nothing, and parts that exceed their whole are cut to it, so that no bucket underflows.

use base::Money;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Usage, UsageRule};
use crate::json::Cursor;

/// What a usage object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub usage: Usage,
    /// What the provider says the call cost.
    pub cost: Option<Money>,
    /// The service tier, where the usage object names it (Mistral).
    pub service_tier: Option<String>,
    pub search_context: Option<SearchContext>,
}

/// How much a web search puts into the context; searches are priced by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SearchContext {
    Low,
    Medium,
    High,
}

/// Reads the JSON text of a `usage` object; `None` for what is no object or holds no count.
pub(crate) fn read(rule: UsageRule, json: &[u8]) -> Option<Reading> {
    let wire = Wire::read(json)?;
    if wire.holds_nothing() {
        return None;
    }
    Some(wire.reading(rule))
}

#[derive(Default)]
pub(super) struct Wire<'a> {
    pub prompt_tokens: Count,
    pub completion_tokens: Count,
    pub total_tokens: Count,
    pub prompt_tokens_details: Lenient<PromptDetails>,
    pub completion_tokens_details: Lenient<CompletionDetails>,
    /// DeepSeek
    pub prompt_cache_hit_tokens: Count,
    /// Moonshot, Together
    pub cached_tokens: Count,
    /// Mistral
    pub num_cached_tokens: Count,
    /// Gateways in front of Anthropic
    pub cache_read_input_tokens: Count,
    pub cache_creation_input_tokens: Count,
    /// Perplexity
    pub reasoning_tokens: Count,
    pub citation_tokens: Count,
    pub num_search_queries: Count,
    pub search_context_size: Word,
    /// xAI: sources used by a live search, each charged
    pub num_sources_used: Count,
    /// OpenRouter
    pub server_tool_use: Lenient<ServerToolUse>,
    /// Mistral
    pub service_tier: Word,
    /// OpenRouter, Vercel: a number of dollars. Perplexity: an object with `total_cost`.
    pub cost: Option<&'a [u8]>,
    pub is_byok: Flag,
    pub cost_details: Option<&'a [u8]>,
    /// xAI: 10¹⁰ ticks are a dollar
    pub cost_in_usd_ticks: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(super) struct PromptDetails {
    cached_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
    /// OpenRouter, OpenAI
    cache_write_tokens: Count,
    /// LiteLLM and other gateways
    cache_creation_tokens: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(super) struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(serde::Deserialize, Default)]
#[serde(default)]
pub(super) struct ServerToolUse {
    web_search_requests: Count,
}

/// What is left of a whole while parts are taken from it.
pub(super) struct Rest(pub(super) u64);

impl Rest {
    pub(super) fn take(&mut self, part: u64) -> u64 {
        let taken = part.min(self.0);
        self.0 -= taken;
        taken
    }
}

impl<'a> Wire<'a> {
    /// Goes through the members by hand: every answer has them, and most have few.
    fn read(text: &'a [u8]) -> Option<Wire<'a>> {
        let mut wire = Wire::default();
        each_member(text, |name, value| wire.member(name, value))?;
        Some(wire)
    }

    fn member(&mut self, name: &[u8], value: &'a [u8]) {
        let count = match name {
            b"prompt_tokens" => &mut self.prompt_tokens,
            b"completion_tokens" => &mut self.completion_tokens,
            b"total_tokens" => &mut self.total_tokens,
            b"prompt_cache_hit_tokens" => &mut self.prompt_cache_hit_tokens,
            b"cached_tokens" => &mut self.cached_tokens,
            b"num_cached_tokens" => &mut self.num_cached_tokens,
            b"cache_read_input_tokens" => &mut self.cache_read_input_tokens,
            b"cache_creation_input_tokens" => &mut self.cache_creation_input_tokens,
            b"reasoning_tokens" => &mut self.reasoning_tokens,
            b"citation_tokens" => &mut self.citation_tokens,
            b"num_search_queries" => &mut self.num_search_queries,
            b"num_sources_used" => &mut self.num_sources_used,
            b"cost_in_usd_ticks" => &mut self.cost_in_usd_ticks,
            b"prompt_tokens_details" => return self.prompt_tokens_details.0.read(value),
            b"completion_tokens_details" => return self.completion_tokens_details.0.read(value),
            b"server_tool_use" => return read_into(&mut self.server_tool_use, value),
            b"search_context_size" => return read_into(&mut self.search_context_size, value),
            b"service_tier" => return read_into(&mut self.service_tier, value),
            b"is_byok" => return read_into(&mut self.is_byok, value),
            b"cost" => return self.cost = Some(value),
            b"cost_details" => return self.cost_details = Some(value),
            _ => return,
        };
        count.read(value);
    }

    fn holds_nothing(&self) -> bool {
        [
            self.prompt_tokens,
            self.completion_tokens,
            self.total_tokens,
        ]
        .iter()
        .all(|count| count.0.is_none())
    }

    pub fn reading(&self, rule: UsageRule) -> Reading {
        Reading {
            usage: self.buckets(rule),
            cost: self.reported_cost(),
            service_tier: self.service_tier.0.clone(),
            search_context: match self.search_context_size.0.as_deref() {
                Some("low") => Some(SearchContext::Low),
                Some("medium") => Some(SearchContext::Medium),
                Some("high") => Some(SearchContext::High),
                _ => None,
            },
        }
    }

    fn buckets(&self, rule: UsageRule) -> Usage {
        let mut usage = Usage::default();
        self.input_buckets(rule, &mut usage);
        self.output_buckets(rule, &mut usage);
        usage.web_searches = [
            self.num_search_queries,
            self.num_sources_used,
            self.server_tool_use.0.web_search_requests,
        ]
        .into_iter()
        .map(Count::or_zero)
        .fold(0, u64::max);
        if rule == UsageRule::Perplexity {
            usage.web_searches = usage.web_searches.max(1);
        }
        usage
    }

    fn input_buckets(&self, rule: UsageRule, usage: &mut Usage) {
        let details = &self.prompt_tokens_details.0;
        let cached = first([
            details.cached_tokens,
            self.prompt_cache_hit_tokens,
            self.cached_tokens,
            self.num_cached_tokens,
            self.cache_read_input_tokens,
        ]);
        let written = first([
            details.cache_write_tokens,
            details.cache_creation_tokens,
            self.cache_creation_input_tokens,
        ]);
        let audio = details.audio_tokens.or_zero();
        // rankings and some embeddings say a total alone, all of it input
        let prompt = match (self.prompt_tokens.0, self.completion_tokens.0) {
            (None, None) => self.total_tokens.or_zero(),
            (prompt, _) => prompt.unwrap_or(0),
        };
        let mut rest = Rest(prompt);
        usage.cache_read = match rule {
            UsageRule::CacheApart => cached,
            _ => rest.take(cached),
        };
        usage.cache_write_5m = rest.take(written);
        usage.input_audio = match rule {
            UsageRule::AudioApart => audio,
            _ => rest.take(audio),
        };
        usage.input_image = rest.take(details.image_tokens.or_zero());
        usage.input = match rule {
            UsageRule::Perplexity => rest.0.saturating_add(self.citation_tokens.or_zero()),
            _ => rest.0,
        };
    }

    fn output_buckets(&self, rule: UsageRule, usage: &mut Usage) {
        let details = &self.completion_tokens_details.0;
        let completion = self.completion_tokens.or_zero();
        let reasoning = first([details.reasoning_tokens, self.reasoning_tokens]);
        let mut rest = Rest(completion);
        usage.reasoning = match rule {
            UsageRule::ReasoningApart | UsageRule::CacheApart | UsageRule::Perplexity => reasoning,
            UsageRule::HiddenThinking => self
                .total_tokens
                .or_zero()
                .saturating_sub(self.prompt_tokens.or_zero())
                .saturating_sub(completion),
            _ => rest.take(reasoning),
        };
        usage.output_audio = rest.take(details.audio_tokens.or_zero());
        usage.output_image = rest.take(details.image_tokens.or_zero());
        usage.output = rest.0;
    }

    /// With a key of the caller's own (`is_byok`) OpenRouter's `cost` is its fee alone, and the
    /// model's price is charged by the provider behind it.
    fn reported_cost(&self) -> Option<Money> {
        // Azure writes zero ticks where it does not count them.
        if let Some(ticks) = self.cost_in_usd_ticks.0.filter(|ticks| *ticks > 0) {
            let nanos = ticks.saturating_add(5) / 10;
            return Some(Money(i64::try_from(nanos).unwrap_or(i64::MAX)));
        }
        let text = std::str::from_utf8(self.cost?).ok()?.trim();
        let cost = match text.as_bytes().first()? {
            b'{' => money_member(text, "total_cost")?,
            _ => Money::from_dollars(text.trim_matches('"'))?,
        };
        let upstream = match (self.is_byok.0, self.cost_details) {
            (true, Some(details)) => {
                let details = std::str::from_utf8(details).ok()?;
                money_member(details, "upstream_inference_cost")
            }
            _ => None,
        };
        cost.checked_add(upstream.unwrap_or(Money::ZERO))
    }
}

impl PromptDetails {
    fn read(&mut self, text: &[u8]) {
        let read = each_member(text, |name, value| match name {
            b"cached_tokens" => self.cached_tokens.read(value),
            b"audio_tokens" => self.audio_tokens.read(value),
            b"image_tokens" => self.image_tokens.read(value),
            b"cache_write_tokens" => self.cache_write_tokens.read(value),
            b"cache_creation_tokens" => self.cache_creation_tokens.read(value),
            _ => {}
        });
        read.unwrap_or_default();
    }
}

impl CompletionDetails {
    fn read(&mut self, text: &[u8]) {
        let read = each_member(text, |name, value| match name {
            b"reasoning_tokens" => self.reasoning_tokens.read(value),
            b"audio_tokens" => self.audio_tokens.read(value),
            b"image_tokens" => self.image_tokens.read(value),
            _ => {}
        });
        read.unwrap_or_default();
    }
}

/// Goes through the members of an object; `None` for what is none, or stops being JSON.
fn each_member<'a>(text: &'a [u8], mut member: impl FnMut(&[u8], &'a [u8])) -> Option<()> {
    let mut cursor = Cursor::new(text, 0);
    let mut members = cursor.members()?;
    while let Some(name) = members.key().ok()? {
        let value = members.value().ok()?;
        member(&name.bytes(text), &text[value]);
    }
    Some(())
}

/// What a value holds, where it is what the member takes.
fn read_into<'de, T: Deserialize<'de>>(member: &mut T, value: &'de [u8]) {
    if let Ok(read) = serde_json::from_slice(value) {
        *member = read;
    }
}

/// A count as nearly all are written.
fn whole_number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0, |number, digit| {
        let is_digit = digit.is_ascii_digit();
        is_digit.then(|| number * 10 + u64::from(digit - b'0'))
    })
}

/// An amount of dollars in the JSON object `object`.
fn money_member(object: &str, name: &str) -> Option<Money> {
    let members: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(object).ok()?;
    Money::from_dollars(members.get(name)?.get().trim_matches('"'))
}

/// The first count that is there and not zero: providers repeat a number under several names.
pub(super) fn first<const N: usize>(counts: [Count; N]) -> u64 {
    counts
        .into_iter()
        .map(Count::or_zero)
        .find(|count| *count > 0)
        .unwrap_or(0)
}

/// A count as any provider may write it; what is no count is none.
#[derive(Clone, Copy, Default)]
pub(super) struct Count(pub(super) Option<u64>);

impl Count {
    fn read(&mut self, value: &[u8]) {
        match whole_number(value) {
            Some(number) => self.0 = Some(number),
            None => read_into(self, value),
        }
    }

    pub(super) fn or_zero(self) -> u64 {
        self.0.unwrap_or(0)
    }
}

/// A string; anything else is none.
#[derive(Default)]
pub(super) struct Word(pub(super) Option<String>);

/// `true`; anything else is false.
#[derive(Default)]
pub(super) struct Flag(pub bool);

/// An object; anything else is an empty one.
#[derive(Default)]
pub(super) struct Lenient<T>(pub(super) T);

/// What a JSON value turned out to be, for types that take it as it comes.
#[derive(Default)]
enum Scalar {
    Count(u64),
    Text(String),
    True,
    #[default]
    Other,
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Count(value))
    }
    fn visit_i64<E: Error>(self, _negative: i64) -> Result<Scalar, E> {
        Ok(Scalar::Count(0))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        // The cast saturates, and turns what is no number into zero.
        Ok(Scalar::Count(value.round() as u64))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(if value { Scalar::True } else { Scalar::Other })
    }
    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        Ok(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Count(count) => Count(Some(count)),
            _ => Count(None),
        })
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        Ok(match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Text(text) => Word(Some(text)),
            _ => Word(None),
        })
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        Ok(Flag(matches!(
            deserializer.deserialize_any(ScalarVisitor)?,
            Scalar::True
        )))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        match text.starts_with('{') {
            true => serde_json::from_str(text)
                .map(Lenient)
                .map_err(D::Error::custom),
            false => Ok(Lenient(T::default())),
        }
    }
}
