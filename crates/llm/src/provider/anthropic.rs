//! Anthropic: `/v1/messages`, a key of its own header, and a version in every call.

use super::base_url::BaseUrl;
use super::rows::ROW as DEFAULT;
use super::{Api, Provider, StreamUsage};
use crate::format::Format::{self, *};

pub(super) const ROW: Provider = Provider {
    name: "anthropic",
    title: "Anthropic",
    api: Api::Anthropic,
    formats: FORMATS,
    base_url: Some("https://api.anthropic.com/v1"),
    key_variables: &["ANTHROPIC_API_KEY"],
    base_url_variables: &["ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE"],
    stream_usage: StreamUsage::Always,
    catalogue: Some("anthropic"),
    ..DEFAULT
};

pub(super) const FORMATS: &[Format] = &[Anthropic, AnthropicTokenCount];

/// `anthropic-version`, where the client states none.
pub(super) const VERSION: &str = "2023-06-01";

/// An `api_base` with or without `/v1`, as Anthropic's own clients and LiteLLM write it.
pub(super) fn base(base: BaseUrl) -> BaseUrl {
    base.without(&["/messages/count_tokens", "/messages"])
        .with_version("/v1")
}
