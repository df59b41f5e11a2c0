//! Asking a provider what it thinks of a key, with a call that costs nothing. What it answers is never
//! shown: it may repeat the key.

use std::time::Duration;

use base::{Result, Secret};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use llm::Format;
use llm::provider::{Api, Credential, Endpoint, Provider, Site, key_headers};

use super::{Owner, State};
use crate::Domain;
use crate::definition::variable;

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// What is read of an answer.
const LARGEST: usize = 64 * 1024;

/// What a provider is asked below its base URL. `None`: it has nothing that is free and needs the key, or
/// answers it to anybody.
fn question(provider: &Provider) -> Option<&'static str> {
    match provider.name {
        "openrouter" => Some("/key"),
        "cohere" => Some("/v1/models"),
        "perplexity" | "deepinfra" | "nvidia_nim" | "huggingface" | "vercel_ai_gateway"
        | "voyage" | "jina_ai" | "dashscope" | "zai" => None,
        _ => match provider.api {
            Api::OpenAi | Api::Anthropic | Api::Gemini => Some("/models"),
            Api::Azure | Api::AzureAi | Api::Vertex | Api::Bedrock | Api::Cohere => None,
        },
    }
}

/// Asks the provider of a key. A key that is not the gateway's own is sent nowhere but to its provider's
/// own host, or to the host that was given with it, under the rules of calls.
pub(super) async fn ask(
    domain: &Domain,
    owner: Owner<'_>,
    provider: &'static Provider,
    key: &Secret,
    base_url: Option<&str>,
) -> State {
    let Some((uri, headers)) = prepared(domain, owner, provider, key, base_url) else {
        return State::Unverified;
    };
    match tokio::time::timeout(PATIENCE, answer(uri, headers)).await {
        Ok(Ok((status, body))) => read(status, &body),
        Ok(Err(_)) | Err(_) => State::Unverified,
    }
}

fn prepared(
    domain: &Domain,
    owner: Owner<'_>,
    provider: &'static Provider,
    key: &Secret,
    base_url: Option<&str>,
) -> Option<(Uri, HeaderMap)> {
    let path = question(provider)?;
    let variables = &domain.config.models.variables;
    let replaced = variable(variables, provider.base_url_variables).map(Secret::expose);
    let api_base = match (base_url, owner) {
        // calls of theirs are checked where they connect; this one is not made
        (Some(_), owner) if owner != Owner::System => return None,
        (Some(own), _) => Some(own),
        (None, Owner::System) => replaced,
        (None, _) if replaced.is_some() => return None,
        (None, _) => None,
    };
    let site = Site {
        api_base,
        ..Site::default()
    };
    let endpoint = Endpoint::new(provider, &site).ok()?;
    let format = match provider.api {
        Api::Anthropic => Format::Anthropic,
        Api::Gemini => Format::Gemini,
        _ => Format::OpenAiChat,
    };
    let credential = Credential::Key(key.clone());
    let headers = key_headers(&endpoint, &credential, format).ok()?;
    let base = endpoint.api_base();
    let uri = format!("{}{path}", base.trim_end_matches('/'));
    Some((uri.parse().ok()?, headers))
}

/// The status and the beginning of the body. Redirects are not followed.
async fn answer(uri: Uri, headers: HeaderMap) -> Result<(StatusCode, Bytes)> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(base::Error::internal)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let answer = client.request(request).await;
    let (head, body) = answer.map_err(base::Error::internal)?.into_parts();
    let body = match Limited::new(body, LARGEST).collect().await {
        Ok(whole) => whole.to_bytes(),
        // a list of models may be long; that there is one is enough
        Err(_) => Bytes::new(),
    };
    Ok((head.status, body))
}

/// What an answer says of the key.
fn read(status: StatusCode, body: &[u8]) -> State {
    let said = String::from_utf8_lossy(body).to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    match status.as_u16() {
        200..=299 => State::Valid,
        401 => State::Rejected,
        // Gemini and xAI refuse a key this way
        400 | 403
            if says(&[
                "api_key_invalid",
                "api key not valid",
                "incorrect api key",
                "invalid api key",
                "invalid_api_key",
            ]) =>
        {
            State::Rejected
        }
        403 => State::Restricted,
        402 => State::Quota,
        429 if says(&["insufficient_quota", "credit", "billing"]) => State::Quota,
        _ => State::Unverified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_a_key_is_worth() {
        let invalid =
            r#"{"error":{"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}"#;
        let quota = r#"{"error":{"code":"insufficient_quota"}}"#;
        for (status, body, state) in [
            (200, "{}", State::Valid),
            (401, "", State::Rejected),
            (400, invalid, State::Rejected),
            (403, invalid, State::Rejected),
            (403, r#"{"error":"missing scopes"}"#, State::Restricted),
            (402, "", State::Quota),
            (429, quota, State::Quota),
            (429, "slow down", State::Unverified),
            (400, "no such page", State::Unverified),
            (404, "", State::Unverified),
            (302, "", State::Unverified),
            (503, "", State::Unverified),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(read(status, body.as_bytes()), state, "{status} {body}");
        }
    }
}
