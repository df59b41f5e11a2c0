//! Gemini's `generateContent` and `streamGenerateContent`, of the Gemini API and of Vertex AI: both
//! sides, its pass-through, and its embeddings.
//!
//! Thought signatures go back on exactly the part they came with; other providers' seals stand in
//! their place for Google's clients. Members are read in camel case and in snake case, as protobuf's
//! JSON allows.

mod answer_parts;
pub mod count;
pub mod embed;
mod foreign;
mod grounding;
mod observe;
mod partial_args;
pub mod predict;
mod read_answer;
mod read_config;
mod read_request;
mod read_schema;
mod read_stream;
mod read_tools;
mod request_parts;
mod wire;
mod write_answer;
mod write_contents;
mod write_request;
mod write_schema;
mod write_stream;

use super::Codec;
use crate::conversation::Field;

pub(crate) use foreign::without_seals;
pub(crate) use observe::{ArraySplitter, facts, peek_limits};

pub(crate) static CODEC: Codec = Codec {
    read_request: read_request::read,
    write_request: write_request::write,
    read_answer: |_, body| read_answer::read(body),
    write_answer: write_answer::write,
    read_stream: |_| Box::<read_stream::Reader>::default(),
    write_stream: |shown| Box::new(write_stream::Writer::new(shown)),
};

/// What the format calls a member of its request.
pub(crate) fn spelling(field: Field) -> &'static str {
    match field {
        Field::Messages => "contents",
        Field::System => "systemInstruction",
        Field::Tools => "tools",
        Field::ToolChoice => "toolConfig.functionCallingConfig",
        Field::ParallelToolCalls => "toolConfig",
        Field::MaxOutputTokens => "generationConfig.maxOutputTokens",
        Field::Temperature => "generationConfig.temperature",
        Field::TopP => "generationConfig.topP",
        Field::TopK => "generationConfig.topK",
        Field::Stop => "generationConfig.stopSequences",
        Field::Seed => "generationConfig.seed",
        Field::PresencePenalty => "generationConfig.presencePenalty",
        Field::FrequencyPenalty => "generationConfig.frequencyPenalty",
        Field::Choices => "generationConfig.candidateCount",
        Field::Logprobs => "generationConfig.responseLogprobs",
        Field::LogitBias => "generationConfig.logitBias",
        Field::Reasoning => "generationConfig.thinkingConfig",
        Field::Output => "generationConfig.responseSchema",
        Field::Modalities => "generationConfig.responseModalities",
        Field::Verbosity => "generationConfig",
        Field::EndUser | Field::Metadata => "labels",
        Field::ServiceTier => "serviceTier",
        Field::CacheKey | Field::Cache => "cachedContent",
    }
}
