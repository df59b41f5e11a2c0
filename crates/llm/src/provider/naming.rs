//! Which provider a configured model means: `groq/llama-3.3-70b` and what people write instead.

use base::{Code, Error, Result};

use super::{Api, PROVIDERS, Provider, bedrock, find};
use crate::catalogue::Catalogue;
use crate::format::Format;

/// A deployment's provider, and the model's name as that provider takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    pub provider: &'static Provider,
    pub model: &'a str,
    /// The format that the name asks chats to be sent in (`openai/responses/gpt-5`).
    pub chats_go_as: Option<Format>,
}

impl<'a> Named<'a> {
    fn new(provider: &'static Provider, model: &'a str) -> Named<'a> {
        let responses = match provider.formats.contains(&Format::OpenAiResponses) {
            true => model.strip_prefix("responses/"),
            false => None,
        };
        Named {
            provider,
            model: match provider.api {
                Api::Bedrock => bedrock::without_way(model),
                _ => responses.unwrap_or(model),
            },
            chats_go_as: responses.map(|_| Format::OpenAiResponses),
        }
    }
}

/// Reads `litellm_params.model` beside `custom_llm_provider` and `api_base`, as LiteLLM does: a
/// known prefix names the provider; a bare name is looked up in the catalogue; with an `api_base`
/// any other name is a model at an OpenAI-compatible server.
///
/// # Errors
/// `BadRequest` with `param: model` where none of it tells the provider, or no model is left.
pub fn resolve<'a>(
    model: &'a str,
    custom_provider: Option<&str>,
    api_base: Option<&str>,
) -> Result<Named<'a>> {
    let named = match custom_provider {
        Some(name) => {
            let provider =
                find(name).ok_or_else(|| refused(format!("unknown provider {name:?}")))?;
            let rest = model.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
            Named::new(provider, rest.unwrap_or(model))
        }
        None => by_prefix(model)
            .or_else(|| by_api_base(model, api_base))
            .or_else(|| by_catalogue(model))
            .ok_or_else(|| {
                refused(format!(
                    "no known provider in model {model:?}; write it as provider/model or give an api_base"
                ))
            })?,
    };
    match named.model.is_empty() {
        true => Err(refused(format!("no model is named in {model:?}"))),
        false => Ok(named),
    }
}

fn by_prefix(model: &str) -> Option<Named<'_>> {
    let (prefix, model) = model.split_once('/')?;
    find(prefix).map(|provider| Named::new(provider, model))
}

fn by_api_base<'a>(model: &'a str, api_base: Option<&str>) -> Option<Named<'a>> {
    api_base?;
    find("openai_like").map(|provider| Named::new(provider, model))
}

fn by_catalogue(model: &str) -> Option<Named<'_>> {
    let provider = match Catalogue::shipped().find_by_name(model) {
        Some(record) => PROVIDERS
            .iter()
            .find(|provider| provider.catalogue == Some(record.provider)),
        // Fine-tuned models have names of their own, `ft:gpt-4o:organization::id`.
        None if model.starts_with("ft:gpt-") => find("openai"),
        None => None,
    };
    provider.map(|provider| Named::new(provider, model))
}

fn refused(message: String) -> Error {
    Error::new(Code::BadRequest, message).param("model")
}
