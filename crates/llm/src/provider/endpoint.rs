//! Where a call goes and what its head says: the URL and headers for a provider, made once per
//! deployment and credential, not per call.
//!
//! Nothing a client sends becomes part of a URL or header here; the base URL and headers come from
//! the administrator, and are still checked.

use base::{Code, Error, Result, Secret};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Uri, header};
use url::Url;

use super::Provider;
use crate::format::Format;

/// The URLs of a deployment, one per format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    chat: Uri,
    completion: Uri,
    embedding: Uri,
}

impl Endpoint {
    /// The endpoint of `provider`, or of another server at `api_base`.
    ///
    /// `api_base` may end in a slash or not. Without a path (`http://localhost:8000`) it gets the
    /// path of the provider's own base URL, `/v1` where there is none.
    ///
    /// # Errors
    /// `BadRequest` with `param: api_base` for what is no http or https URL, for one that holds
    /// credentials, and for a provider that is nowhere in particular.
    pub fn new(provider: &Provider, api_base: Option<&str>) -> Result<Endpoint> {
        let base = match (api_base, provider.base_url) {
            (Some(own), _) => own_base(provider, own.trim())?,
            (None, Some(default)) => parse(default)?,
            (None, None) => {
                return Err(refused(format!("{} needs an api_base", provider.name)));
            }
        };
        Ok(Endpoint {
            chat: join(&base, Format::OpenAiChat)?,
            completion: join(&base, Format::OpenAiCompletion)?,
            embedding: join(&base, Format::OpenAiEmbedding)?,
        })
    }

    pub fn uri(&self, format: Format) -> &Uri {
        match format {
            Format::OpenAiChat => &self.chat,
            Format::OpenAiCompletion => &self.completion,
            Format::OpenAiEmbedding => &self.embedding,
            _ => &self.chat,
        }
    }
}

fn refused(message: String) -> Error {
    Error::new(Code::BadRequest, message).param("api_base")
}

fn parse(text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| refused(format!("api_base is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(refused("api_base must be an http or https URL".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused(
            "api_base must not hold credentials; use api_key".to_owned(),
        ));
    }
    Ok(url)
}

fn own_base(provider: &Provider, api_base: &str) -> Result<Url> {
    let mut url = parse(api_base)?;
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    // The whole address of an endpoint is what people copy from a provider's page.
    let path = ["/chat/completions", "/completions", "/embeddings"]
        .iter()
        .find_map(|suffix| path.strip_suffix(suffix))
        .unwrap_or(&path);
    if path.is_empty() {
        let default = provider.base_url.and_then(|base| Url::parse(base).ok());
        url.set_path(default.as_ref().map_or("/v1", Url::path));
    } else {
        url.set_path(path);
    }
    Ok(url)
}

fn join(base: &Url, format: Format) -> Result<Uri> {
    let mut url = base.clone();
    url.set_path(&format!(
        "{}{}",
        base.path().trim_end_matches('/'),
        format.path()
    ));
    url.as_str()
        .parse()
        .map_err(|error| refused(format!("api_base is no URL: {error}")))
}

/// The `authorization` header for a provider's key, marked so that no log prints it.
///
/// # Errors
/// `BadRequest` if the key holds what no header may hold, such as a line end.
pub fn authorization(key: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose().trim()))
        .map_err(|_| unprintable_key())?;
    value.set_sensitive(true);
    Ok(value)
}

fn unprintable_key() -> Error {
    Error::new(
        Code::BadRequest,
        "the provider key holds characters that no header may hold",
    )
    .param("api_key")
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
