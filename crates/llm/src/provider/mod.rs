//! The providers: where they are, how they want to be asked, what their errors mean.
//!
//! A provider is a place, not a protocol. Those that speak OpenAI's protocol are rows of
//! [`compatible`]; one with an API of its own gets a file here.

mod compatible;
mod endpoint;
mod error;
mod naming;

pub use compatible::PROVIDERS;
pub use endpoint::{Endpoint, authorization, extra_headers};
pub use error::UpstreamError;
pub use naming::{Named, resolve};

use crate::usage::UsageRule;

/// A place that answers in OpenAI's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provider {
    /// The prefix of `provider/model`, as in LiteLLM.
    pub name: &'static str,
    /// Other prefixes that mean the same.
    pub aliases: &'static [&'static str],
    /// The name that people know it by.
    pub title: &'static str,
    /// Where it is, up to the path of a format; none if every installation is somewhere else.
    pub base_url: Option<&'static str>,
    /// Environment variables that hold its key, the first that is set counts.
    pub key_variables: &'static [&'static str],
    /// Environment variables that hold another base URL.
    pub base_url_variables: &'static [&'static str],
    /// Whether it refuses calls without a key.
    pub needs_key: bool,
    pub stream_usage: StreamUsage,
    pub usage_rule: UsageRule,
    /// Its name in the price catalogue; none if the catalogue does not know its models.
    pub catalogue: Option<&'static str>,
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
    /// How usage adds up for a model: the Vercel gateway passes on what Gemini models count.
    pub fn usage_rule(&self, model: &str) -> UsageRule {
        match self.name {
            "vercel_ai_gateway" if model.starts_with("google/") => UsageRule::ReasoningApart,
            _ => self.usage_rule,
        }
    }
}

/// The provider with this prefix.
pub fn find(prefix: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.name == prefix || provider.aliases.contains(&prefix))
}
