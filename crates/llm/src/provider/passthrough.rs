//! Calls that are passed on as they are, below a prefix of their provider: `/anthropic/v1/files` goes
//! to `https://api.anthropic.com/v1/files`. The prefixes are LiteLLM's.
//!
//! A client's path never leaves the provider's host, nor climbs out of the path that an administrator
//! gave it.

use base::{Code, Error, Result};
use http::Uri;

use super::base_url::{BaseUrl, is_version};
use super::endpoint::{Endpoint, Place};
use super::vertex::Project;
use super::{Api, Provider, find};

/// First segments of the gateway's paths and the providers behind them. Beside these, every
/// provider's name is a prefix.
pub static PREFIXES: &[(&str, &str)] = &[
    ("openai_passthrough", "openai"),
    ("vertex-ai", "vertex_ai"),
    ("vllm", "hosted_vllm"),
    ("together", "together_ai"),
    ("fireworks", "fireworks_ai"),
    ("google", "gemini"),
];

/// A path that is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passthrough<'a> {
    pub provider: &'static Provider,
    /// The path behind the prefix, with its slash.
    pub path: &'a str,
}

/// What a path of the gateway passes on, if it begins with a prefix and goes on behind it. Azure's
/// paths of calls (`/openai/deployments/…`) are the gateway's own and looked at before.
pub fn passthrough(path: &str) -> Option<Passthrough<'_>> {
    let (prefix, rest) = path.strip_prefix('/')?.split_once('/')?;
    let renamed = PREFIXES.iter().find(|(name, _)| *name == prefix);
    let provider = match renamed {
        Some((_, name)) => find(name),
        None => find(prefix).filter(|provider| provider.name == prefix),
    }?;
    Some(Passthrough {
        provider,
        path: &path[path.len() - rest.len() - 1..],
    })
}

impl Endpoint {
    /// The provider's URL for a path behind its prefix. `query` is the client's, from which a key of
    /// the gateway (`?key=`, as Google's clients send it) is taken out.
    ///
    /// # Errors
    /// `InvalidRequest` for a path that could lead somewhere else, and for a place that is none.
    pub fn passthrough(&self, path: &str, query: Option<&str>) -> Result<Uri> {
        check(path)?;
        let query = without_key(self.provider(), query.unwrap_or_default());
        match &self.place {
            Place::Fixed(base) | Place::Gemini(base) => joined(base, path, &query),
            // what a deployment adds to each call is the client's to say here
            Place::Azure(resource) => resource.base.at(path, &query),
            Place::Bedrock(runtime) => {
                let first = path.split('/').nth(1).unwrap_or_default();
                let service = match first {
                    "model" | "guardrail" | "async-invoke" | "openai" => "bedrock-runtime",
                    _ => "bedrock-agent-runtime",
                };
                runtime.base(service).at(path, &query)
            }
            Place::Vertex(project) => vertex(project, path, &query),
        }
        .map_err(|_| refused("no URL can be made of this path"))
    }
}

/// Joins below the base's path, of which the client's may repeat the version or the whole.
fn joined(base: &BaseUrl, path: &str, query: &str) -> Result<Uri> {
    let own = base.path.as_str();
    let repeats = |prefix: &str| {
        !prefix.is_empty()
            && path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let (root, last) = own.rsplit_once('/').unwrap_or(("", ""));
    let first = path.split('/').nth(1).unwrap_or_default();
    let root = if repeats(own) {
        ""
    } else if is_version(last) && (is_version(first) || matches!(first, "upload" | "download")) {
        // the client's version counts: Gemini's clients may want v1 or v1beta
        root
    } else {
        own
    };
    let below = BaseUrl {
        path: root.to_owned(),
        ..base.clone()
    };
    below.at(path, query)
}

/// Calls name a project and a location, of which the project is always the gateway's own.
fn vertex(project: &Project, path: &str, query: &str) -> Result<Uri> {
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    let version = match segments.first() {
        Some(first) if is_version(first) => segments.remove(0),
        _ => "v1",
    };
    let (location, rest) = match segments.as_slice() {
        ["projects", _, "locations", location, rest @ ..] => (Some(*location), rest),
        ["projects", ..] => return Err(refused("the path names no location")),
        rest => (None, rest),
    };
    let base = project.base(location)?;
    let own = match location {
        Some(location) => format!("projects/{}/locations/{location}", project.name),
        None => project.path().trim_start_matches("/v1/").to_owned(),
    };
    base.at(&format!("/{version}/{own}/{}", rest.join("/")), query)
}

/// Refuses what a server between us and the provider, or the provider, may read as another path.
fn check(path: &str) -> Result<()> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'?');
    if !path.starts_with('/') || !path.bytes().all(is_plain) {
        return Err(refused("the path holds characters that no path may hold"));
    }
    let decoded = decoded(path.as_bytes());
    let mut segments = decoded.split(|byte| matches!(byte, b'/' | b'\\'));
    if segments.any(|segment| matches!(segment, b"." | b"..")) || path.contains("//") {
        return Err(refused("the path must not hold empty or relative segments"));
    }
    if decoded.iter().any(u8::is_ascii_control) {
        return Err(refused("the path holds characters that no path may hold"));
    }
    Ok(())
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

fn without_key(provider: &Provider, query: &str) -> String {
    let is_google = matches!(provider.api, Api::Gemini | Api::Vertex);
    let keeps = |pair: &&str| {
        let name = decoded(pair.split('=').next().unwrap_or_default().as_bytes());
        !pair.is_empty() && (!is_google || name != b"key")
    };
    query.split('&').filter(keeps).collect::<Vec<_>>().join("&")
}

fn refused(message: &'static str) -> Error {
    Error::new(Code::InvalidRequest, message)
}
