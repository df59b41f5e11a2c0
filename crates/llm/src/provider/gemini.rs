//! The Gemini API: the model and what is asked of it stand in the path. Embeddings in OpenAI's format
//! go to its compatibility API.

use base::Result;
use http::Uri;

use super::base_url::{BaseUrl, segment};
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, StreamUsage};
use crate::format::Format::{self, *};
use crate::usage::UsageRule;

pub(super) const ROW: Provider = Provider {
    name: "gemini",
    title: "Google Gemini",
    api: Api::Gemini,
    formats: &[
        Gemini,
        GeminiTokenCount,
        GeminiEmbedding,
        GeminiBatchEmbedding,
        OpenAiEmbedding,
    ],
    base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
    key_variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    base_url_variables: &["GEMINI_API_BASE"],
    stream_usage: StreamUsage::Always,
    usage_rule: UsageRule::HiddenThinking,
    catalogue: Some("gemini"),
    ..DEFAULT
};

/// An `api_base` with or without its version, its `/openai`, or the model behind it.
pub(super) fn base(mut base: BaseUrl) -> BaseUrl {
    if let Some(at) = base.path.find("/models/") {
        base.path.truncate(at);
    }
    base.without(&["/models", "/openai/chat/completions", "/openai/embeddings"])
        .without(&["/openai"])
        .with_version("/v1beta")
}

/// # Errors
/// `InvalidRequest` for a model that no path can hold.
pub(super) fn uri(
    base: &BaseUrl,
    format: Format,
    model: &str,
    stream: bool,
) -> Result<Option<Uri>> {
    if format == OpenAiEmbedding {
        return base.at("/openai/embeddings", "").map(Some);
    }
    let Some((method, query)) = method(format, stream) else {
        return Ok(None);
    };
    let (kind, name) = match model.strip_prefix("tunedModels/") {
        Some(name) => ("tunedModels", name),
        None => ("models", model.strip_prefix("models/").unwrap_or(model)),
    };
    let name = segment(name)?;
    base.at(&format!("/{kind}/{name}:{method}"), query)
        .map(Some)
}

/// What stands behind the model's name, and in the query.
pub(super) fn method(format: Format, stream: bool) -> Option<(&'static str, &'static str)> {
    Some(match format {
        Gemini if stream => ("streamGenerateContent", "alt=sse"),
        Gemini => ("generateContent", ""),
        GeminiTokenCount => ("countTokens", ""),
        GeminiEmbedding => ("embedContent", ""),
        GeminiBatchEmbedding => ("batchEmbedContents", ""),
        VertexEmbedding => ("predict", ""),
        _ => return None,
    })
}
