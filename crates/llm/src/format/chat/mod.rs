//! OpenAI's Chat Completions, for clients and for every provider that speaks it.
//!
//! Providers differ in what they add, leave out and refuse: [`dialect`] says so as data. What no chat
//! client would keep of an answer, seals of reasoning and calls, travels in the ids of tool calls
//! ([`seals`]).

mod content;
mod details;
mod dialect;
mod ids;
#[cfg(test)]
mod loops;
mod pieces;
mod read_answer;
mod read_choice;
mod read_delta;
mod read_messages;
mod read_parts;
mod read_request;
mod read_stream;
mod read_tools;
mod seals;
mod thought;
mod tool_stream;
mod walk;
mod write_answer;
mod write_messages;
mod write_request;
mod write_stream;
mod write_tools;
mod write_usage;

use super::Codec;
use crate::conversation::Field;

pub(crate) use seals::without_seals;

pub(crate) static CODEC: Codec = Codec {
    read_request: read_request::read,
    write_request: write_request::write,
    read_answer: read_answer::read,
    write_answer: write_answer::write,
    read_stream: |rule| Box::new(read_stream::Reader::new(rule)),
    write_stream: |shown| Box::new(write_stream::Writer::new(shown)),
};

/// What the format calls a member of its request.
pub(crate) fn spelling(field: Field) -> &'static str {
    match field {
        Field::Messages | Field::System => "messages",
        Field::Tools => "tools",
        Field::ToolChoice => "tool_choice",
        Field::ParallelToolCalls => "parallel_tool_calls",
        Field::MaxOutputTokens => "max_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Stop => "stop",
        Field::Seed => "seed",
        Field::PresencePenalty => "presence_penalty",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::Choices => "n",
        Field::Logprobs => "logprobs",
        Field::LogitBias => "logit_bias",
        Field::Reasoning => "reasoning_effort",
        Field::Output => "response_format",
        Field::Modalities => "modalities",
        Field::Verbosity => "verbosity",
        Field::EndUser => "user",
        Field::Metadata => "metadata",
        Field::ServiceTier => "service_tier",
        Field::CacheKey => "prompt_cache_key",
        Field::Cache => "cache_control",
    }
}
