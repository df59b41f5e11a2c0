//! The wire formats that clients and providers speak. A format of its own shape gets a file here.

/// The wire format of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `POST /v1/chat/completions`
    OpenAiChat,
    /// `POST /v1/completions`
    OpenAiCompletion,
    /// `POST /v1/embeddings`
    OpenAiEmbedding,
}

impl Format {
    /// The path below an OpenAI-style base URL (`https://api.openai.com/v1`).
    pub fn path(self) -> &'static str {
        match self {
            Format::OpenAiChat => "/chat/completions",
            Format::OpenAiCompletion => "/completions",
            Format::OpenAiEmbedding => "/embeddings",
        }
    }

    /// The `call_type` of LiteLLM's spend logs.
    pub fn call_type(self) -> &'static str {
        match self {
            Format::OpenAiChat => "acompletion",
            Format::OpenAiCompletion => "atext_completion",
            Format::OpenAiEmbedding => "aembedding",
        }
    }

    /// Whether answers may come as a stream.
    pub fn streams(self) -> bool {
        self != Format::OpenAiEmbedding
    }
}
