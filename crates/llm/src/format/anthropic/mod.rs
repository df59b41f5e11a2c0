//! Anthropic's Messages API, for clients and for providers: `POST /v1/messages`.
//!
//! What has no place in another format goes on under this format's name; what other formats have and
//! this one lacks is told to [`crate::conversation::Carry`].

mod answer;
mod block;
pub(super) mod call_id;
mod citation;
mod fields;
mod foreign;
pub(super) mod model;
pub(crate) mod observe;
mod read_blocks;
mod read_request;
mod read_stream;
mod read_tools;
pub(super) mod reasoning;
pub(super) mod sampling;
pub(super) mod schema;
mod wire_event;
mod write_messages;
mod write_request;
mod write_stream;
mod write_tools;

use super::Codec;
use crate::conversation::{Field, Stop};

pub(crate) use foreign::without_seals;
pub(crate) use observe::without_session;

pub(crate) static CODEC: Codec = Codec {
    read_request: read_request::read,
    write_request: write_request::write,
    read_answer: |_, body| answer::read(body),
    write_answer: answer::write,
    read_stream: |_| Box::new(read_stream::Reader::default()),
    write_stream: |shown| Box::new(write_stream::Writer::new(shown)),
};

/// Members of a request that no other format has, but that any client may set.
pub(crate) const OWN_MEMBERS: &[&str] = &[
    "container",
    "context_management",
    "diagnostics",
    "inference_geo",
    "mcp_servers",
    "speed",
    "user_profile_id",
];

/// The tool that a model without structured output is made to call; what it calls it with is the
/// answer's text. Requests name it, and readers of answers know it again by its name.
const ANSWER_TOOL: &str = "tollgate_answer";

/// A redacted block that holds the seal of the block behind it, or before it: for seals of other
/// providers' texts and calls, which have no place of their own here.
const NEXT_SEAL: &str = "next.";
const PREVIOUS_SEAL: &str = "previous.";
/// A redacted block that holds the seal of an empty text, which has no block.
const LONE_SEAL: &str = "lone.";

/// What the format calls a member of its request.
pub(crate) fn spelling(field: Field) -> &'static str {
    match field {
        Field::Messages => "messages",
        Field::System => "system",
        Field::Tools => "tools",
        Field::ToolChoice => "tool_choice",
        Field::ParallelToolCalls => "tool_choice.disable_parallel_tool_use",
        Field::MaxOutputTokens => "max_tokens",
        Field::Temperature => "temperature",
        Field::TopP => "top_p",
        Field::TopK => "top_k",
        Field::Stop => "stop_sequences",
        Field::Reasoning => "thinking",
        Field::Output => "output_config.format",
        Field::EndUser => "metadata.user_id",
        Field::Metadata => "metadata",
        Field::ServiceTier => "service_tier",
        Field::Cache => "cache_control",
        // no request of this format has the others
        Field::Seed => "seed",
        Field::PresencePenalty => "presence_penalty",
        Field::FrequencyPenalty => "frequency_penalty",
        Field::Choices => "n",
        Field::Logprobs => "logprobs",
        Field::LogitBias => "logit_bias",
        Field::Modalities => "modalities",
        Field::Verbosity => "verbosity",
        Field::CacheKey => "prompt_cache_key",
    }
}

/// Reads `stop_reason`; with the sequence that stopped the answer, where one did.
fn read_stop(reason: &str, sequence: Option<String>) -> Stop {
    match reason {
        "end_turn" => Stop::End,
        "max_tokens" | "model_context_window_exceeded" => Stop::MaxTokens,
        "stop_sequence" => Stop::Sequence(sequence),
        "tool_use" => Stop::ToolCalls,
        "pause_turn" => Stop::Pause,
        "refusal" => Stop::Refusal,
        other => Stop::Other(other.to_owned()),
    }
}

/// `stop_reason` and `stop_sequence`. An answer that ends with a tool call says so whatever its provider calls
/// its end, or clients would not run them.
fn write_stop(stop: Option<&Stop>, ends_with_call: bool) -> (&'static str, Option<&str>) {
    match stop {
        None | Some(Stop::End | Stop::Other(_)) if ends_with_call => ("tool_use", None),
        None | Some(Stop::End | Stop::Other(_)) => ("end_turn", None),
        Some(Stop::MaxTokens) => ("max_tokens", None),
        Some(Stop::Sequence(sequence)) => ("stop_sequence", sequence.as_deref()),
        Some(Stop::ToolCalls) => ("tool_use", None),
        Some(Stop::Filtered | Stop::Refusal) => ("refusal", None),
        Some(Stop::Pause) => ("pause_turn", None),
    }
}
