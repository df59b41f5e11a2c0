//! The usage object of OpenAI's Responses API. At every provider input holds cached tokens and output
//! holds reasoning, xAI's too.

use super::wire::{Count, Flag, Lenient, Wire, first};
use super::{Reading, UsageRule};
use serde_json::value::RawValue;

/// Reads the JSON text of a `usage` object; `None` for what is no object or holds no count.
pub(crate) fn read(json: &[u8]) -> Option<Reading> {
    let usage: Usage<'_> = serde_json::from_slice(json).ok()?;
    if usage.input_tokens.0.is_none() && usage.output_tokens.0.is_none() {
        return None;
    }
    let details = usage.server_side_tool_usage_details.0;
    let wire = Wire {
        prompt_tokens: usage.input_tokens,
        completion_tokens: usage.output_tokens,
        total_tokens: usage.total_tokens,
        prompt_tokens_details: usage.input_tokens_details,
        completion_tokens_details: usage.output_tokens_details,
        cost: usage.cost.map(|cost| cost.get().as_bytes()),
        is_byok: usage.is_byok,
        cost_details: usage.cost_details.map(|details| details.get().as_bytes()),
        cost_in_usd_ticks: usage.cost_in_usd_ticks,
        ..Wire::default()
    };
    let mut reading = wire.reading(UsageRule::OpenAi);
    reading.usage.web_searches =
        first([details.web_search_calls]).saturating_add(first([details.x_search_calls]));
    Some(reading)
}

#[derive(serde::Deserialize)]
struct Usage<'a> {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    total_tokens: Count,
    #[serde(default)]
    input_tokens_details: Lenient<super::wire::PromptDetails>,
    #[serde(default)]
    output_tokens_details: Lenient<super::wire::CompletionDetails>,
    /// OpenRouter
    #[serde(borrow, default)]
    cost: Option<&'a RawValue>,
    #[serde(default)]
    is_byok: Flag,
    #[serde(borrow, default)]
    cost_details: Option<&'a RawValue>,
    /// xAI
    #[serde(default)]
    cost_in_usd_ticks: Count,
    #[serde(default)]
    server_side_tool_usage_details: Lenient<ServerSideTools>,
}

/// xAI: each is charged.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct ServerSideTools {
    web_search_calls: Count,
    x_search_calls: Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_reasoning_tokens_are_parts_of_their_wholes() {
        let reading = read(
            br#"{"input_tokens":100,"input_tokens_details":{"cached_tokens":60,"cache_write_tokens":10},
            "output_tokens":50,"output_tokens_details":{"reasoning_tokens":20},"total_tokens":150,
            "server_side_tool_usage_details":{"web_search_calls":2,"x_search_calls":1}}"#,
        )
        .unwrap();
        let usage = reading.usage;
        assert_eq!(
            (usage.input, usage.cache_read, usage.cache_write_5m),
            (30, 60, 10)
        );
        assert_eq!((usage.output, usage.reasoning), (30, 20));
        assert_eq!(usage.web_searches, 3);
        assert_eq!(usage.total_tokens(), 150);
    }

    #[test]
    fn what_holds_no_count_is_no_usage() {
        assert!(read(b"{}").is_none());
        assert!(read(b"null").is_none());
        assert!(read(br#"{"input_tokens":null}"#).is_none());
    }
}
