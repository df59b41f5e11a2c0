//! Cohere: `/v2/chat`, `/v2/rerank`, and embeddings in OpenAI's format at its compatibility API.

use super::base_url::{BaseUrl, is_version};
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, StreamUsage};
use crate::format::Format;

pub(super) const ROW: Provider = Provider {
    name: "cohere",
    aliases: &["cohere_chat"],
    title: "Cohere",
    api: Api::Cohere,
    formats: &[
        Format::Cohere,
        Format::OpenAiEmbedding,
        Format::Rerank,
        Format::Transcription,
    ],
    base_url: Some("https://api.cohere.com"),
    key_variables: &["COHERE_API_KEY", "CO_API_KEY"],
    base_url_variables: &["COHERE_API_BASE", "CO_API_URL"],
    stream_usage: StreamUsage::Always,
    catalogue: Some("cohere"),
    ..DEFAULT
};

/// An `api_base` with or without `/v1` or `/v2`.
pub(super) fn base(base: BaseUrl) -> BaseUrl {
    let mut base = base.without(&["/chat", "/rerank", "/embed"]);
    if let Some((rest, last)) = base.path.rsplit_once('/')
        && is_version(last)
    {
        base.path.truncate(rest.len());
    }
    base
}

pub(super) fn path(format: Format) -> Option<&'static str> {
    Some(match format {
        Format::Cohere => "/v2/chat",
        Format::OpenAiEmbedding => "/compatibility/v1/embeddings",
        Format::Rerank => "/v2/rerank",
        Format::Transcription => "/v2/audio/transcriptions",
        _ => return None,
    })
}
