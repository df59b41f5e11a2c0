//! Where a server is, and how a URL below it is put together: the base comes from the administrator
//! and is checked, a model's name may come from a client and never gets out of its path segment.

use std::fmt::Write as _;

use base::{Code, Error, Result};
use http::Uri;
use url::Url;

/// Scheme, host and the path that all calls to a server share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseUrl {
    /// `https://host:port`
    pub origin: String,
    /// Without a slash at its end; may be empty.
    pub path: String,
    /// What every call carries in its query; may be empty.
    pub query: String,
}

impl BaseUrl {
    /// Reads an `api_base`.
    ///
    /// # Errors
    /// `BadRequest` with `param: api_base` for what is no http or https URL, and for one that holds
    /// credentials.
    pub fn parse(text: &str) -> Result<BaseUrl> {
        let url = Url::parse(text.trim())
            .map_err(|error| refused(format!("api_base is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(refused("api_base must be an http or https URL".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "api_base must not hold credentials; use api_key".to_owned(),
            ));
        }
        Ok(BaseUrl {
            origin: url.origin().ascii_serialization(),
            path: url.path().trim_end_matches('/').to_owned(),
            query: url.query().unwrap_or_default().to_owned(),
        })
    }

    /// Takes an ending off the path, where it is there.
    pub fn without(mut self, endings: &[&str]) -> BaseUrl {
        let shorter = endings.iter().find_map(|end| self.path.strip_suffix(end));
        if let Some(shorter) = shorter {
            self.path.truncate(shorter.trim_end_matches('/').len());
        }
        self
    }

    /// Adds `version` to the path, unless it ends in one (`/v1`, `/v1beta`) already.
    pub fn with_version(mut self, version: &str) -> BaseUrl {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        if !is_version(last) {
            self.path.push_str(version);
        }
        self
    }

    /// The value of a parameter in the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&');
        pairs
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
    }

    /// The URL of `path`, which begins with a slash and is encoded, with `query` beside the base's own.
    ///
    /// # Errors
    /// `BadRequest` for what no request line can hold, such as a URL of more than 64 KiB.
    pub fn at(&self, path: &str, query: &str) -> Result<Uri> {
        let (origin, base) = (&self.origin, &self.path);
        let url = match (self.query.as_str(), query) {
            ("", "") => format!("{origin}{base}{path}"),
            (query, "") | ("", query) => format!("{origin}{base}{path}?{query}"),
            (own, query) => format!("{origin}{base}{path}?{own}&{query}"),
        };
        url.parse()
            .map_err(|error| refused(format!("api_base gives no URL: {error}")))
    }
}

/// `v1`, `v1beta`, `v2alpha1` …
pub(super) fn is_version(segment: &str) -> bool {
    let mut rest = segment.bytes();
    rest.next() == Some(b'v')
        && rest.next().is_some_and(|byte| byte.is_ascii_digit())
        && rest.all(|byte| byte.is_ascii_alphanumeric())
}

/// A name as one segment of a path: nothing in it can end the segment or the path.
///
/// # Errors
/// `InvalidRequest` with `param: model` for a name that a path cannot hold whatever its encoding.
pub(super) fn segment(name: &str) -> Result<String> {
    if matches!(name, "" | "." | "..") {
        return Err(
            Error::new(Code::InvalidRequest, format!("{name:?} is no model")).param("model"),
        );
    }
    let mut encoded = String::with_capacity(name.len() + 8);
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
    }
    Ok(encoded)
}

/// A region, location or project, which becomes part of a host or path.
///
/// # Errors
/// `BadRequest` that names `param` for what is no such name.
pub(super) fn plain<'a>(text: &'a str, param: &'static str) -> Result<&'a str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed) {
        true => Ok(text),
        false => Err(Error::new(
            Code::BadRequest,
            format!("{param} must be letters, digits and hyphens"),
        )
        .param(param)),
    }
}

pub(super) fn refused(message: String) -> Error {
    Error::new(Code::BadRequest, message).param("api_base")
}
