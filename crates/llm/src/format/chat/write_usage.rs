//! Usage as OpenAI counts it, with what LiteLLM adds for caches.

use serde::Serialize;

use crate::usage::Usage;

/// The usage object of an answer. The prompt holds cached tokens, the completion holds reasoning.
#[derive(Debug, Serialize)]
pub(super) struct Totals {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ServerToolUse {
    web_search_requests: u64,
}

impl Totals {
    pub fn of(usage: &Usage) -> Totals {
        let some = |count: u64| Some(count).filter(|count| *count > 0);
        let written = some(usage.cache_write_5m.saturating_add(usage.cache_write_1h));
        let has_cache = written.is_some() || usage.cache_read > 0;
        Totals {
            prompt_tokens: usage.prompt_tokens(),
            completion_tokens: usage.completion_tokens(),
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: PromptDetails {
                cached_tokens: usage.cache_read,
                audio_tokens: usage.input_audio,
                image_tokens: some(usage.input_image),
                cache_creation_tokens: written,
            },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning,
                audio_tokens: usage.output_audio,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
                image_tokens: some(usage.output_image),
            },
            cache_creation_input_tokens: has_cache.then(|| written.unwrap_or(0)),
            cache_read_input_tokens: has_cache.then_some(usage.cache_read),
            server_tool_use: some(usage.web_searches).map(|web_search_requests| ServerToolUse {
                web_search_requests,
            }),
        }
    }
}
