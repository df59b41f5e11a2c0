//! The headers of a provider's calls: its key, in the way that it takes keys, and what an
//! administrator adds.

use base::{Code, Error, Result, Secret};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::anthropic;
use super::{Api, Credential, Endpoint};
use crate::format::Format;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The headers that a place wants in a format, with its key where that is sent as it is. Values that
/// are secret are marked so that no log prints them.
///
/// # Errors
/// `BadRequest` if the key holds what no header may hold, such as a line end.
pub fn key_headers(
    endpoint: &Endpoint,
    credential: &Credential,
    format: Format,
    proofs: &mut Proofs,
) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let is_anthropic = anthropic::FORMATS.contains(&format);
    if is_anthropic && endpoint.provider().api != Api::Vertex {
        let version = HeaderValue::from_static(anthropic::VERSION);
        headers.insert(ANTHROPIC_VERSION, version);
    }
    match credential {
        Credential::None | Credential::Aws(_) | Credential::Google(_) | Credential::Entra(_) => {}
        Credential::Token(token) => {
            headers.insert(header::AUTHORIZATION, proofs.bearer(token)?);
        }
        Credential::Key(key) => {
            let name = key_header(endpoint, format, key);
            let value = match name == header::AUTHORIZATION {
                true => proofs.bearer(key)?,
                false => proofs.plain(key.expose().trim())?,
            };
            headers.insert(name, value);
        }
    }
    Ok(headers)
}

/// The header in which a place takes a key.
fn key_header(endpoint: &Endpoint, format: Format, key: &Secret) -> HeaderName {
    match endpoint.provider().api {
        Api::OpenAi | Api::Bedrock | Api::Cohere => header::AUTHORIZATION,
        // tokens of a subscription, which Anthropic takes as bearers alone
        Api::Anthropic if key.expose().trim().starts_with("sk-ant-oat") => header::AUTHORIZATION,
        Api::Anthropic => X_API_KEY,
        // the compatibility API takes OpenAI's header
        Api::Gemini if format == Format::OpenAiEmbedding => header::AUTHORIZATION,
        Api::Gemini | Api::Vertex => GOOGLE_KEY,
        Api::Azure => API_KEY,
        Api::AzureAi if anthropic::FORMATS.contains(&format) => X_API_KEY,
        Api::AzureAi if endpoint.is_azure_resource() => API_KEY,
        Api::AzureAi => header::AUTHORIZATION,
    }
}

/// The proofs of one credential as headers hold them, each made once: a header's value is not wiped
/// when it is dropped, so there are to be few.
#[derive(Default)]
pub struct Proofs(Vec<HeaderValue>);

impl Proofs {
    fn bearer(&mut self, token: &Secret) -> Result<HeaderValue> {
        const SCHEME: &str = "Bearer ";
        let token = token.expose().trim();
        // of its full length from the start, as a text that grows leaves copies behind
        let mut text = String::with_capacity(SCHEME.len() + token.len());
        text.push_str(SCHEME);
        text.push_str(token);
        self.plain(Secret::new(text).expose())
    }

    fn plain(&mut self, text: &str) -> Result<HeaderValue> {
        if let Some(known) = self.0.iter().find(|known| *known == text) {
            return Ok(known.clone());
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| {
            Error::new(
                Code::BadRequest,
                "the provider key holds characters that no header may hold",
            )
            .param("api_key")
        })?;
        value.set_sensitive(true);
        self.0.push(value.clone());
        Ok(value)
    }
}

/// The headers that a deployment's configuration adds (`extra_headers`).
///
/// # Errors
/// `BadRequest` for names and values that no header may have, and for headers that frame the
/// message or name the host, which are not the configuration's to set.
pub fn extra_headers<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let refused = |reason: &str| {
            Error::new(Code::BadRequest, format!("extra header {name:?} {reason}"))
                .param("extra_headers")
        };
        let parsed = HeaderName::try_from(name).map_err(|_| refused("has no valid name"))?;
        if FRAMING.contains(&parsed) {
            return Err(refused("cannot be set"));
        }
        let mut value = HeaderValue::try_from(value).map_err(|_| refused("has no valid value"))?;
        value.set_sensitive(true);
        map.append(parsed, value);
    }
    Ok(map)
}

/// Headers that belong to the connection.
static FRAMING: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::CONTENT_TYPE,
];
