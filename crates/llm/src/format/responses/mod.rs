//! OpenAI's Responses API (`POST /v1/responses`), for clients and for providers.
//!
//! - `read_request`, `read_items`, `content` and `tools` read what a client sends, `write_answer`,
//!   `write_stream`, `growing` and `echo` answer it; `names` holds which item a call of which name must become.
//! - `write_request` asks a provider, `read_answer` and `read_stream` read what it says.
//! - `turns` is what the gateway needs to keep conversations itself; `observe` watches a call whose
//!   bytes pass unchanged.
//!
//! Reasoning items are seals: of this format as the JSON of the item, of another wrapped in
//! `encrypted_content` (see `reasoning`).

mod content;
mod echo;
mod growing;
mod names;
pub(crate) mod observe;
mod read_answer;
mod read_items;
mod read_request;
mod read_stream;
mod reasoning;
mod tools;
pub mod turns;
mod write_answer;
mod write_items;
mod write_parts;
mod write_request;
mod write_stream;

use super::{Codec, Format};
use crate::conversation::Field;

const FORMAT: Format = Format::OpenAiResponses;

pub(crate) static CODEC: Codec = Codec {
    read_request: read_request::read,
    write_request: write_request::write,
    read_answer: read_answer::read,
    write_answer: write_answer::write,
    read_stream: |_| Box::new(read_stream::Reader::default()),
    write_stream: |shown| Box::new(write_stream::Writer::new(shown)),
};

/// What the format calls a member of its request.
pub(crate) fn spelling(field: Field) -> &'static str {
    match field {
        Field::Messages => "input",
        Field::System => "instructions",
        Field::Tools => "tools",
        Field::ToolChoice => "tool_choice",
        Field::ParallelToolCalls => "parallel_tool_calls",
        Field::MaxOutputTokens => "max_output_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Stop => "stop",
        Field::Seed => "seed",
        Field::PresencePenalty => "presence_penalty",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::Choices => "n",
        Field::Logprobs => "top_logprobs",
        Field::LogitBias => "logit_bias",
        Field::Reasoning => "reasoning",
        Field::Output => "text.format",
        Field::Modalities => "modalities",
        Field::Verbosity => "text.verbosity",
        Field::EndUser => "user",
        Field::Metadata => "metadata",
        Field::ServiceTier => "service_tier",
        Field::CacheKey => "prompt_cache_key",
        Field::Cache => "prompt_cache_breakpoint",
    }
}
