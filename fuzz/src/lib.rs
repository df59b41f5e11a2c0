//! What the fuzz targets share: how the first bytes of an input choose formats, so that one corpus
//! reaches every reader and every writer.

use llm::provider::{self, Provider};
use llm::{Format, Shown, To, UsageRule};

/// Formats that clients speak.
pub const CLIENTS: [Format; 4] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::Anthropic,
    Format::Gemini,
];

/// Formats whose requests and answers pass as they are, beside those of chats.
pub const OTHERS: [Format; 9] = [
    Format::OpenAiCompletion,
    Format::OpenAiEmbedding,
    Format::Moderation,
    Format::ImageGeneration,
    Format::Rerank,
    Format::AnthropicTokenCount,
    Format::GeminiTokenCount,
    Format::GeminiEmbedding,
    Format::Speech,
];

/// Embeddings between formats: the client's, and the provider's.
pub const EMBEDDINGS: [(Format, Format); 7] = [
    (Format::OpenAiEmbedding, Format::VertexEmbedding),
    (Format::OpenAiEmbedding, Format::GeminiEmbedding),
    (Format::GeminiEmbedding, Format::OpenAiEmbedding),
    (Format::GeminiEmbedding, Format::VertexEmbedding),
    (Format::GeminiBatchEmbedding, Format::OpenAiEmbedding),
    (Format::GeminiBatchEmbedding, Format::VertexEmbedding),
    (Format::GeminiBatchEmbedding, Format::GeminiEmbedding),
];

/// How usage adds up, each way.
pub const RULES: [UsageRule; 6] = [
    UsageRule::OpenAi,
    UsageRule::ReasoningApart,
    UsageRule::CacheApart,
    UsageRule::AudioApart,
    UsageRule::HiddenThinking,
    UsageRule::Perplexity,
];

/// Takes `N` bytes that choose; the rest is the input proper.
pub fn chosen<const N: usize>(data: &[u8]) -> Option<([usize; N], &[u8])> {
    let (choice, rest) = data.split_first_chunk::<N>()?;
    Some((choice.map(usize::from), rest))
}

pub fn pick<T: Copy>(from: &[T], choice: usize) -> T {
    from[choice % from.len()]
}

/// Where a request could go: every provider and some models whose rules differ.
pub fn destination(choice: usize, model: usize) -> To<'static> {
    const MODELS: [&str; 12] = [
        "gpt-5",
        "gpt-4o",
        "o3",
        "claude-sonnet-4-5",
        "claude-opus-4-7",
        "claude-3-5-haiku-latest",
        "gemini-3-pro",
        "gemini-2.5-flash",
        "gemini-1.5-pro",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "command-a-03-2025",
        "deepseek-reasoner",
    ];
    let provider: &'static Provider = &provider::PROVIDERS[choice % provider::PROVIDERS.len()];
    To {
        provider,
        model: pick(&MODELS, model),
        max_output_tokens: (model % 2 == 0).then_some(8192),
    }
}

/// How an answer is shown; `choice` switches what can be switched.
pub fn shown(choice: usize) -> Shown {
    Shown {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        model: "public".to_owned(),
        created: 1_700_000_000,
        include_usage: choice & 1 != 0,
        as_array: choice & 2 != 0,
        request: None,
    }
}
