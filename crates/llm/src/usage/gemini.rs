//! Gemini's `usageMetadata`, to and fro.
//!
//! total = prompt + tool use + candidates + thoughts; the prompt holds cached tokens, and each count
//! holds its modalities. Counted over 898 recordings. Searches stand beside the usage, in the
//! grounding metadata.

use serde::de::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::wire::{Count, Rest, Word};
use super::{Reading, Usage};

/// Reads the JSON text of a `usageMetadata` object; `None` for what is no object or holds no count.
/// `searches` is what the grounding metadata told (see [`searches`]).
pub(crate) fn read(json: &[u8], searches: u64) -> Option<Reading> {
    let wire: Wire = serde_json::from_slice(json).ok()?;
    if wire.holds_nothing() {
        return None;
    }
    let mut usage = wire.buckets();
    usage.web_searches = searches;
    Some(Reading {
        usage,
        service_tier: wire.tier(),
        ..Reading::default()
    })
}

/// How many searches are charged: models before Gemini 3 pay for a grounded answer, later ones for
/// each query (Google's price list).
pub(crate) fn searches(model: Option<&str>, queries: u64) -> u64 {
    let by_answer = model.is_none_or(|model| {
        let name = model.rsplit('/').next().unwrap_or(model);
        ["gemini-1", "gemini-2"]
            .iter()
            .any(|old| name.starts_with(old))
    });
    match by_answer {
        true => queries.min(1),
        false => queries,
    }
}

/// `usageMetadata` as Gemini writes it.
pub(crate) fn write(usage: &Usage, service_tier: Option<&str>) -> Value {
    let prompt = usage.prompt_tokens();
    let candidates = usage.completion_tokens() - usage.reasoning;
    let mut metadata = Map::new();
    metadata.insert("promptTokenCount".to_owned(), prompt.into());
    metadata.insert("candidatesTokenCount".to_owned(), candidates.into());
    metadata.insert("totalTokenCount".to_owned(), usage.total_tokens().into());
    if usage.cache_read > 0 {
        let cached = usage.cache_read;
        metadata.insert("cachedContentTokenCount".to_owned(), cached.into());
    }
    if usage.reasoning > 0 {
        metadata.insert("thoughtsTokenCount".to_owned(), usage.reasoning.into());
    }
    for (name, total, audio, image) in [
        (
            "promptTokensDetails",
            prompt,
            usage.input_audio,
            usage.input_image,
        ),
        (
            "candidatesTokensDetails",
            candidates,
            usage.output_audio,
            usage.output_image,
        ),
    ] {
        let text = total.saturating_sub(audio).saturating_sub(image);
        let details: Vec<Value> = [("TEXT", text), ("AUDIO", audio), ("IMAGE", image)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(modality, count)| json!({"modality": modality, "tokenCount": count}))
            .collect();
        if !details.is_empty() {
            metadata.insert(name.to_owned(), details.into());
        }
    }
    if let Some(tier) = service_tier {
        metadata.insert("serviceTier".to_owned(), tier.into());
    }
    Value::Object(metadata)
}

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Wire {
    prompt_token_count: Count,
    cached_content_token_count: Count,
    tool_use_prompt_token_count: Count,
    candidates_token_count: Count,
    /// The word of the Live API
    response_token_count: Count,
    thoughts_token_count: Count,
    total_token_count: Count,
    prompt_tokens_details: Details,
    cache_tokens_details: Details,
    candidates_tokens_details: Details,
    response_tokens_details: Details,
    service_tier: Word,
    /// Vertex
    traffic_type: Word,
}

impl Wire {
    fn holds_nothing(&self) -> bool {
        [
            &self.prompt_token_count,
            &self.candidates_token_count,
            &self.response_token_count,
            &self.total_token_count,
        ]
        .iter()
        .all(|count| count.0.is_none())
    }

    fn buckets(&self) -> Usage {
        let mut usage = Usage::default();
        let mut prompt = Rest(self.prompt_token_count.or_zero());
        let fresh = |modality| {
            let cached = self.cache_tokens_details.of(modality);
            self.prompt_tokens_details
                .of(modality)
                .saturating_sub(cached)
        };
        usage.cache_read = prompt.take(self.cached_content_token_count.or_zero());
        usage.input_audio = prompt.take(fresh("AUDIO"));
        usage.input_image = prompt.take(fresh("IMAGE"));
        let tool_use = self.tool_use_prompt_token_count.or_zero();
        usage.input = prompt.0.saturating_add(tool_use);
        usage.reasoning = self.thoughts_token_count.or_zero();
        let generated = self
            .candidates_token_count
            .0
            .or(self.response_token_count.0)
            .unwrap_or_else(|| self.unnamed());
        let mut output = Rest(generated);
        let details = match self.candidates_tokens_details.0.is_empty() {
            true => &self.response_tokens_details,
            false => &self.candidates_tokens_details,
        };
        usage.output_audio = output.take(details.of("AUDIO"));
        usage.output_image = output.take(details.of("IMAGE"));
        usage.output = output.0;
        usage
    }

    /// What the total holds beyond the counts that are named: it was generated, and is charged.
    fn unnamed(&self) -> u64 {
        [
            self.prompt_token_count,
            self.tool_use_prompt_token_count,
            self.thoughts_token_count,
        ]
        .into_iter()
        .fold(self.total_token_count.or_zero(), |rest, count| {
            rest.saturating_sub(count.or_zero())
        })
    }

    fn tier(&self) -> Option<String> {
        if let Some(tier) = &self.service_tier.0 {
            return (tier != "unspecified").then(|| tier.clone());
        }
        Some(
            match self.traffic_type.0.as_deref()? {
                "ON_DEMAND" => "standard",
                "ON_DEMAND_PRIORITY" => "priority",
                "ON_DEMAND_FLEX" => "flex",
                _ => return None,
            }
            .to_owned(),
        )
    }
}

/// Counts by modality; anything but a list of them is none.
#[derive(Default)]
struct Details(Vec<Detail>);

#[derive(serde::Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    modality: Word,
    token_count: Count,
}

impl Details {
    fn of(&self, modality: &str) -> u64 {
        self.0
            .iter()
            .filter(|detail| detail.modality.0.as_deref() == Some(modality))
            .fold(0, |sum, detail| {
                sum.saturating_add(detail.token_count.or_zero())
            })
    }
}

impl<'de> Deserialize<'de> for Details {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Details, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Details(serde_json::from_str(text).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(metadata: Value) -> Usage {
        read(metadata.to_string().as_bytes(), 0).unwrap().usage
    }

    #[test]
    fn every_token_stands_in_one_bucket() {
        let usage = buckets(json!({
            "promptTokenCount": 100, "cachedContentTokenCount": 40, "toolUsePromptTokenCount": 7,
            "candidatesTokenCount": 30, "thoughtsTokenCount": 9, "totalTokenCount": 146,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}, {"modality": "AUDIO", "tokenCount": 40}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}, {"modality": "TEXT", "tokenCount": 25}],
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
        }));
        assert_eq!(usage.cache_read, 40);
        assert_eq!(usage.input_audio, 25);
        assert_eq!(usage.input, 42);
        assert_eq!(usage.output_image, 20);
        assert_eq!(usage.output, 10);
        assert_eq!(usage.reasoning, 9);
        assert_eq!(usage.total_tokens(), 146);
    }

    #[test]
    fn odd_values_count_as_nothing() {
        let usage = buckets(json!({
            "promptTokenCount": "x", "totalTokenCount": 5, "candidatesTokenCount": null,
            "promptTokensDetails": 3, "cachedContentTokenCount": {},
        }));
        assert_eq!((usage.input, usage.output), (0, 5));
        assert!(read(br#"{"trafficType":"ON_DEMAND"}"#, 0).is_none());
        assert!(read(b"[]", 0).is_none());
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let usage = Usage {
            input: 11,
            cache_read: 5,
            input_audio: 3,
            output: 8,
            reasoning: 4,
            output_audio: 2,
            ..Usage::default()
        };
        assert_eq!(buckets(write(&usage, None)), usage);
    }

    #[test]
    fn old_models_pay_for_an_answer_and_new_ones_for_a_query() {
        assert_eq!(searches(Some("gemini-2.5-flash"), 3), 1);
        assert_eq!(searches(Some("gemini-3-pro-preview"), 3), 3);
        assert_eq!(searches(None, 0), 0);
    }
}
