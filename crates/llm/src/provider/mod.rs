//! The providers: where they are, which formats they speak, how they want to be asked, what their
//! errors mean.
//!
//! A provider is a place, not a protocol. Most are rows of [`rows`]; one whose URLs or keys are of its
//! own kind has a file here, with its row and what builds its URLs. No provider holds a stream, a
//! retry or a lookup of credentials.

mod anthropic;
mod azure;
mod base_url;
mod bedrock;
mod body_rule;
mod cohere;
mod credential;
mod endpoint;
mod error;
mod gemini;
mod headers;
mod naming;
mod openai;
mod passthrough;
mod realtime;
mod rows;
mod vertex;

pub use bedrock::region as bedrock_region;
pub use body_rule::BodyRule;
pub use credential::{Application, AwsKeys, Credential, ServiceAccount};
pub use endpoint::{Endpoint, Site};
pub use error::UpstreamError;
pub use headers::{Proofs, extra_headers, key_headers};
pub use naming::{Named, resolve};
pub use passthrough::{PREFIXES, Passthrough, passthrough};
pub use rows::PROVIDERS;

use crate::format::Format;
use crate::usage::UsageRule;

/// A place that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The prefix of `provider/model`, as in LiteLLM.
    pub name: &'static str,
    /// Other prefixes that mean the same.
    pub aliases: &'static [&'static str],
    /// The name that people know it by.
    pub title: &'static str,
    pub api: Api,
    /// What it speaks, best first; see [`Provider::formats`] for what a model of it does.
    pub formats: &'static [Format],
    /// Where it is, up to the path of a format; none if every installation is somewhere else.
    pub base_url: Option<&'static str>,
    /// Environment variables that hold its key, the first that is set counts.
    pub key_variables: &'static [&'static str],
    /// Environment variables that hold another base URL.
    pub base_url_variables: &'static [&'static str],
    /// What else says where it is and who asks.
    pub settings: &'static [Setting],
    /// Whether it refuses calls without a key.
    pub needs_key: bool,
    pub stream_usage: StreamUsage,
    pub usage_rule: UsageRule,
    /// Its name in the price catalogue; none if the catalogue does not know its models.
    pub catalogue: Option<&'static str>,
}

/// How a place builds its URLs and takes its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    OpenAi,
    Anthropic,
    Gemini,
    Azure,
    AzureAi,
    Vertex,
    Bedrock,
    Cohere,
}

/// A parameter of `litellm_params` that a provider has beside its key and base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its names in `litellm_params`, LiteLLM's first.
    pub names: &'static [&'static str],
    /// Environment variables that hold it, the first that is set counts.
    pub variables: &'static [&'static str],
    /// It proves who asks: it belongs to whoever stated it, and is never mixed with another's.
    pub is_credential: bool,
}

const fn credential(names: &'static [&'static str], variables: &'static [&'static str]) -> Setting {
    Setting {
        names,
        variables,
        is_credential: true,
    }
}

/// How a provider comes to say in a stream what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamUsage {
    /// It must be asked with `stream_options.include_usage`, and sends a chunk of its own for it.
    Asked,
    /// It says so in any case, and may refuse the question.
    Always,
}

impl Provider {
    /// How usage adds up for a model: the Vercel gateway passes on what Gemini models count, and Grok
    /// on Azure leaves cached tokens out.
    pub fn usage_rule(&self, model: &str) -> UsageRule {
        match self.name {
            "vercel_ai_gateway" if model.starts_with("google/") => UsageRule::ReasoningApart,
            "azure" | "azure_ai" if model.contains("grok") => UsageRule::CacheApart,
            _ => self.usage_rule,
        }
    }

    /// What it speaks for this model, best first.
    pub fn formats(&self, model: &str) -> &'static [Format] {
        match self.api {
            Api::Vertex => vertex::formats(model),
            Api::AzureAi => azure::foundry_formats(model),
            Api::Azure => openai::formats(model),
            Api::OpenAi if self.name == openai::ROW.name => openai::formats(model),
            _ => self.formats,
        }
    }

    /// The format in which a client's call is sent on: the client's own where the provider speaks it,
    /// and then every byte passes unchanged; for chats the best that it speaks. None where the call
    /// cannot be answered here.
    pub fn format_for(&self, client: Format, model: &str) -> Option<Format> {
        pick(self.formats(model), client)
    }
}

fn pick(spoken: &[Format], client: Format) -> Option<Format> {
    if spoken.contains(&client) {
        return Some(client);
    }
    let mut chats = spoken.iter().copied().filter(|format| format.is_chat());
    match client.is_chat() {
        true => chats.next(),
        false => crate::translate::stand_in(client, spoken),
    }
}

/// The provider with this prefix.
pub fn find(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.name == prefix || provider.aliases.contains(&prefix))
}
