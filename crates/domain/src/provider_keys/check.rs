//! Asking a provider what it thinks of a key, with a call that costs nothing. What it answers is never
//! shown: it may repeat the key.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Error, Result, Secret};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioExecutor;
use llm::Format;
use llm::provider::{Api, Credential, Endpoint, Proofs, Provider, Site, key_headers};
use tower::Service;

use super::{Owner, State};
use crate::Domain;
use crate::addresses::Networks;
use crate::definition::variable;
use crate::destinations::{self, Reach};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// What is read of an answer.
const LARGEST: usize = 64 * 1024;

/// What a provider is asked below its base URL. `None`: it has nothing that is free and needs the key, or
/// answers it to anybody.
fn path(provider: &Provider) -> Option<&'static str> {
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

/// What is sent, and how far it may reach.
struct Question {
    uri: Uri,
    headers: HeaderMap,
    reach: Reach,
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
    let Some(question) = prepared(domain, owner, provider, key, base_url) else {
        return State::Unverified;
    };
    let networks = domain.config.payers.networks.clone();
    match tokio::time::timeout(PATIENCE, answer(question, networks)).await {
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
) -> Option<Question> {
    let path = path(provider)?;
    let (variables, payers) = (&domain.config.models.variables, &domain.config.payers);
    let replaced = variable(variables, provider.base_url_variables).map(Secret::expose);
    let is_system = owner == Owner::System;
    let reach = match base_url {
        Some(_) if !is_system => Reach::Public,
        _ => Reach::Anywhere,
    };
    let api_base = match (base_url, replaced) {
        // the operator has put another host in the provider's place
        (None, Some(_)) if !is_system && !payers.custom_hosts => return None,
        (own, replaced) => own.or(replaced),
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
    let headers = key_headers(&endpoint, &credential, format, &mut Proofs::default()).ok()?;
    let uri: Uri = format!("{}{path}", endpoint.api_base().trim_end_matches('/'))
        .parse()
        .ok()?;
    let literal = uri.host()?.trim_matches(['[', ']']).parse::<IpAddr>();
    // what stands in the URL itself is never looked up
    if let (Reach::Public, Ok(address)) = (reach, literal)
        && !destinations::permits(&payers.networks, address)
    {
        return None;
    }
    Some(Question {
        uri,
        headers,
        reach,
    })
}

/// The addresses of hosts; of those that people chose, only what may be reached.
#[derive(Clone)]
struct Names {
    system: GaiResolver,
    reach: Reach,
    networks: Networks,
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut names = self.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = names.system.call(name).await?.collect();
            let permits = |at: &SocketAddr| destinations::permits(&names.networks, at.ip());
            match names.reach == Reach::Anywhere || found.iter().all(permits) {
                true => Ok(found.into_iter()),
                false => Err(io::Error::other("the host may not be reached")),
            }
        })
    }
}

/// The status and the beginning of the body. Redirects are not followed.
async fn answer(question: Question, networks: Networks) -> Result<(StatusCode, Bytes)> {
    let mut http = HttpConnector::new_with_resolver(Names {
        system: GaiResolver::new(),
        reach: question.reach,
        networks,
    });
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
        .map_err(Error::internal)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = question.uri;
    *request.headers_mut() = question.headers;
    let answer = client.request(request).await;
    let (head, body) = answer.map_err(Error::internal)?.into_parts();
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
