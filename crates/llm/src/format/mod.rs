//! The wire formats that clients and providers speak. A chat-like format is a folder here, with a file
//! for what it reads and writes of a request, of an answer and of a stream (see
//! [`crate::conversation`]); what a format has of its own shape stays in its folder.

pub(crate) mod anthropic;
pub(crate) mod chat;
pub(crate) mod cohere;
pub(crate) mod converse;
#[cfg(test)]
pub(crate) mod fold;
mod foreign;
pub(crate) mod gemini;
pub(crate) mod open_parts;
pub(crate) mod responses;
pub(crate) mod units;
pub(crate) mod upstream_only;

use crate::conversation::{Answer, Carry, Conversation, Event, Field};
use crate::provider::Provider;

/// The wire format of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `POST /v1/chat/completions`
    OpenAiChat,
    /// `POST /v1/completions`
    OpenAiCompletion,
    /// `POST /v1/embeddings`
    OpenAiEmbedding,
    /// `POST /v1/responses`
    OpenAiResponses,
    /// `POST /v1/messages`
    Anthropic,
    /// `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent`
    Gemini,
    /// Bedrock's `POST /model/{model}/converse` and `/converse-stream`; upstream only.
    Converse,
    /// Cohere's `POST /v2/chat`; upstream only.
    Cohere,
    /// `POST /v1/moderations`
    Moderation,
    /// `POST /v1/images/generations`
    ImageGeneration,
    /// `POST /v1/images/edits`, a form or JSON
    ImageEdit,
    /// `POST /v1/audio/speech`; the answer is audio.
    Speech,
    /// `POST /v1/audio/transcriptions`, a form
    Transcription,
    /// `POST /v1/audio/translations`, a form
    Translation,
    /// `POST /v1/rerank`, as Cohere, Jina, vLLM and llama.cpp share it
    Rerank,
    /// `POST /v1/messages/count_tokens`
    AnthropicTokenCount,
    /// `POST /v1beta/models/{model}:countTokens`
    GeminiTokenCount,
    /// `POST /v1beta/models/{model}:embedContent`
    GeminiEmbedding,
    /// `POST /v1beta/models/{model}:batchEmbedContents`
    GeminiBatchEmbedding,
    /// Vertex AI's `POST …/models/{model}:predict` of an embedding model; upstream only.
    VertexEmbedding,
    /// `GET /v1/realtime`, a WebSocket
    Realtime,
}

impl Format {
    /// The formats that are translated into each other.
    pub const CHATS: [Format; 6] = [
        Format::OpenAiChat,
        Format::OpenAiResponses,
        Format::Anthropic,
        Format::Gemini,
        Format::Converse,
        Format::Cohere,
    ];

    /// A short name that stays the same: it stands in seals and settings.
    pub fn name(self) -> &'static str {
        match self {
            Format::OpenAiChat => "chat",
            Format::OpenAiCompletion => "completion",
            Format::OpenAiEmbedding => "embedding",
            Format::OpenAiResponses => "responses",
            Format::Anthropic => "anthropic",
            Format::Gemini => "gemini",
            Format::Converse => "converse",
            Format::Cohere => "cohere",
            Format::Moderation => "moderation",
            Format::ImageGeneration => "image_generation",
            Format::ImageEdit => "image_edit",
            Format::Speech => "speech",
            Format::Transcription => "transcription",
            Format::Translation => "translation",
            Format::Rerank => "rerank",
            Format::AnthropicTokenCount => "anthropic_token_count",
            Format::GeminiTokenCount => "gemini_token_count",
            Format::GeminiEmbedding => "gemini_embedding",
            Format::GeminiBatchEmbedding => "gemini_batch_embedding",
            Format::VertexEmbedding => "vertex_embedding",
            Format::Realtime => "realtime",
        }
    }

    /// Whether it is one of [`Format::CHATS`].
    pub fn is_chat(self) -> bool {
        Format::CHATS.contains(&self)
    }

    /// Whether the model stands in the path, as with Gemini, rather than in the body.
    pub fn names_model_in_path(self) -> bool {
        matches!(
            self,
            Format::Gemini
                | Format::GeminiTokenCount
                | Format::GeminiEmbedding
                | Format::GeminiBatchEmbedding
                | Format::VertexEmbedding
                | Format::Converse
        )
    }

    /// The chat-like format of this [`Format::name`].
    pub fn by_name(name: &str) -> Option<Format> {
        Format::CHATS
            .into_iter()
            .find(|format| format.name() == name)
    }

    /// What a client of this format calls a member of its request.
    pub(crate) fn spelling(self, field: Field) -> &'static str {
        match self {
            Format::OpenAiResponses => responses::spelling(field),
            Format::Anthropic | Format::AnthropicTokenCount => anthropic::spelling(field),
            Format::Gemini
            | Format::GeminiTokenCount
            | Format::GeminiEmbedding
            | Format::GeminiBatchEmbedding => gemini::spelling(field),
            // OpenAI's own, and those that no client speaks
            _ => chat::spelling(field),
        }
    }

    /// The path below a base URL that ends in its version (`https://api.openai.com/v1`); empty where
    /// it hangs on the model or the provider.
    pub fn path(self) -> &'static str {
        match self {
            Format::OpenAiChat => "/chat/completions",
            Format::OpenAiCompletion => "/completions",
            Format::OpenAiEmbedding => "/embeddings",
            Format::OpenAiResponses => "/responses",
            Format::Anthropic => "/messages",
            Format::Moderation => "/moderations",
            Format::ImageGeneration => "/images/generations",
            Format::ImageEdit => "/images/edits",
            Format::Speech => "/audio/speech",
            Format::Transcription => "/audio/transcriptions",
            Format::Translation => "/audio/translations",
            Format::Rerank => "/rerank",
            Format::AnthropicTokenCount => "/messages/count_tokens",
            Format::Realtime => "/realtime",
            Format::Gemini
            | Format::GeminiTokenCount
            | Format::GeminiEmbedding
            | Format::GeminiBatchEmbedding
            | Format::VertexEmbedding
            | Format::Converse
            | Format::Cohere => "",
        }
    }

    /// The `call_type` of LiteLLM's spend logs.
    pub fn call_type(self) -> &'static str {
        match self {
            Format::OpenAiChat | Format::Converse | Format::Cohere => "acompletion",
            Format::OpenAiCompletion => "atext_completion",
            Format::OpenAiEmbedding
            | Format::GeminiEmbedding
            | Format::GeminiBatchEmbedding
            | Format::VertexEmbedding => "aembedding",
            Format::OpenAiResponses => "aresponses",
            Format::Anthropic => "anthropic_messages",
            Format::Gemini => "agenerate_content",
            Format::Moderation => "amoderation",
            Format::ImageGeneration => "aimage_generation",
            Format::ImageEdit => "aimage_edit",
            Format::Speech => "aspeech",
            // LiteLLM counts translations as transcriptions
            Format::Transcription | Format::Translation => "atranscription",
            Format::Rerank => "arerank",
            Format::AnthropicTokenCount | Format::GeminiTokenCount => "acount_tokens",
            Format::Realtime => "_arealtime",
        }
    }

    /// Whether a request may be a form (`multipart/form-data`), as a file is part of it.
    pub fn takes_forms(self) -> bool {
        matches!(
            self,
            Format::Transcription | Format::Translation | Format::ImageEdit
        )
    }

    /// Whether it makes or reads sound or pictures, ranks or judges: endpoints whose answers have
    /// shapes, and units, of their own.
    pub(crate) fn is_of_units(self) -> bool {
        matches!(
            self,
            Format::Moderation
                | Format::ImageGeneration
                | Format::ImageEdit
                | Format::Speech
                | Format::Transcription
                | Format::Translation
                | Format::Rerank
        )
    }

    /// Whether answers may come as a stream of events.
    pub fn streams(self) -> bool {
        self.is_chat()
            || matches!(
                self,
                Format::OpenAiCompletion
                    | Format::ImageGeneration
                    | Format::ImageEdit
                    | Format::Speech
                    | Format::Transcription
            )
    }

    /// Whether a request has to say how many tokens may be generated.
    pub fn must_limit_output(self) -> bool {
        matches!(self, Format::Anthropic)
    }

    /// Whether a stream brings its usage only when `stream_options.include_usage` asks for it.
    pub fn asks_for_usage(self) -> bool {
        matches!(self, Format::OpenAiChat | Format::OpenAiCompletion)
    }
}

/// Where a translated request goes.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    pub provider: &'static Provider,
    /// The model as the provider names it.
    pub model: &'a str,
    /// The most tokens the model can generate, where the catalogue knows; for formats that must be
    /// told a limit.
    pub max_output_tokens: Option<u64>,
}

/// How a translated answer is shown to the client.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The gateway's id of the call, from which ids are made where the provider gave none.
    pub id: String,
    /// The name that the client asked for.
    pub model: String,
    /// Seconds since 1970, where the provider did not say.
    pub created: i64,
    /// OpenAI chat: the stream ends with a chunk of usage (`stream_options.include_usage`).
    pub include_usage: bool,
    /// Gemini: the stream is one JSON array, as asked for without `alt=sse`.
    pub as_array: bool,
    /// What the answer needs of the request: see [`crate::translate::of_request`].
    pub request: Option<serde_json::Value>,
}

/// One message of a provider's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// `event:` of server-sent events, `:event-type` or `:exception-type` of AWS's binary stream.
    pub event: Option<&'a str>,
    pub data: &'a [u8],
    /// AWS: an exception, not an event.
    pub is_exception: bool,
}

/// Reads a provider's stream; see [`crate::conversation::Event`] for the order it keeps.
pub(crate) trait ReadStream: Send + std::fmt::Debug {
    /// Never fails: what cannot be read becomes [`Event::Failed`].
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>);

    /// The provider closed the connection. Closes what is open and gives [`Event::Done`], or
    /// [`Event::Failed`] where the stream was cut, unless the last event was given already.
    fn end(&mut self, events: &mut Vec<Event>);
}

/// Writes a client's stream, event by event.
pub(crate) trait WriteStream: Send + std::fmt::Debug {
    /// Appends what the client gets now; maybe nothing.
    fn event(&mut self, event: Event, out: &mut Vec<u8>);
}

/// What a chat-like format can do, as a value: the table of [`crate::translate`].
pub(crate) struct Codec {
    pub read_request: fn(&[u8]) -> base::Result<Conversation>,
    pub write_request: fn(&Conversation, &To<'_>, &mut Carry) -> base::Result<Vec<u8>>,
    pub read_answer: fn(crate::UsageRule, &[u8]) -> base::Result<Answer>,
    pub write_answer: fn(&Answer, &Shown) -> Vec<u8>,
    pub read_stream: fn(crate::UsageRule) -> Box<dyn ReadStream>,
    pub write_stream: fn(Shown) -> Box<dyn WriteStream>,
}
