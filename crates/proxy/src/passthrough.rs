//! Any path of a provider under a key of the gateway: `/anthropic/v1/files`, `/openai/v1/batches`. Bytes
//! go both ways as they are; the key is exchanged, nothing else. Calls whose cost can be read are
//! counted like every other; what costs nothing is written down at no cost; what may cost and does not
//! say how much is refused where a budget of money holds.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, Result};
use bytes::Bytes;
use domain::deployment::{Chosen, Target, Upstream};
use domain::snapshot::Snapshot;
use domain::{Caller, access, budgets};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use llm::Format;
use llm::estimate::Measure;
use llm::provider::Provider;
use llm::request::Peek;
use llm::response::{Observed, StreamObserver};

use crate::body::{Body, Segments};
use crate::finish::Settlement;
use crate::handle::{Call, InFlight};
use crate::respond::{self, Answer, Watch};
use crate::route::passing;
use crate::{Proxy, admit, credentials, error, handle, headers, receive, routes, upstream};

/// A path below a provider's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub provider: &'static Provider,
    /// How many bytes of the path are the prefix.
    prefix: usize,
}

impl Route {
    /// The path behind the prefix.
    pub fn tail<'a>(&self, path: &'a str) -> &'a str {
        &path[self.prefix..]
    }
}

/// Reads a path: one below a provider's prefix, or one of OpenAI's endpoints that no other provider
/// has, which then means OpenAI itself.
pub fn route(path: &str) -> Option<Route> {
    if let Some(found) = llm::provider::passthrough(path) {
        return Some(Route {
            provider: found.provider,
            prefix: path.len() - found.path.len(),
        });
    }
    let tail = path.strip_prefix("/v1").unwrap_or(path);
    let first = tail.strip_prefix('/')?.split('/').next()?;
    let provider = llm::provider::find("openai")?;
    OPENAI_ONLY.contains(&first).then_some(Route {
        provider,
        prefix: path.len() - tail.len(),
    })
}

/// First segments of OpenAI's own paths.
const OPENAI_ONLY: [&str; 6] = [
    "files",
    "batches",
    "fine_tuning",
    "uploads",
    "vector_stores",
    "realtime",
];

/// What may be made at a provider at no cost: an action on a model is never among it.
const FREE: [&str; 2] = ["files", "uploads"];

/// Passes a request on.
pub async fn handle(
    proxy: &Proxy,
    route: Route,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<Body> {
    let path = request.uri().path();
    let format = called(&path[route.prefix..]).map(|(format, _)| format);
    let shape = format.unwrap_or_else(|| shape_of(route.provider));
    let mut call = Call::begin(&proxy.0.domain, shape, client);
    call.user_agent = headers::text(request.headers(), &USER_AGENT).map(str::to_owned);
    call.passes_through = true;
    let _in_flight = InFlight::enter(proxy);
    let id = call.id;
    let mut settlement = Settlement::new(proxy.clone(), call);
    match serve(proxy, route, request, format, &mut settlement).await {
        Ok(answer) => answer.deliver(settlement),
        Err(failure) => {
            handle::log(id, &failure);
            let response = error::respond(shape, id, &failure);
            settlement.refused(&failure);
            response
        }
    }
}

/// The format whose errors a provider's clients read.
pub fn shape_of(provider: &Provider) -> Format {
    provider
        .formats
        .first()
        .copied()
        .unwrap_or(Format::OpenAiChat)
}

/// The call that a provider's path is, if it is one whose usage can be read, and the model it names.
fn called(path: &str) -> Option<(Format, Option<String>)> {
    const TAILS: [(&str, Format); 13] = [
        ("/chat/completions", Format::OpenAiChat),
        ("/completions", Format::OpenAiCompletion),
        ("/embeddings", Format::OpenAiEmbedding),
        ("/responses", Format::OpenAiResponses),
        ("/messages", Format::Anthropic),
        ("/messages/count_tokens", Format::AnthropicTokenCount),
        ("/moderations", Format::Moderation),
        ("/images/generations", Format::ImageGeneration),
        ("/images/edits", Format::ImageEdit),
        ("/audio/speech", Format::Speech),
        ("/audio/transcriptions", Format::Transcription),
        ("/audio/translations", Format::Translation),
        ("/rerank", Format::Rerank),
    ];
    if let Some((_, model)) = path.rsplit_once("/models/")
        && let Some(call) = routes::gemini_action(model)
    {
        return Some(call);
    }
    TAILS
        .iter()
        .find(|(tail, _)| path.ends_with(tail))
        .map(|(_, format)| (*format, None))
}

async fn serve(
    proxy: &Proxy,
    route: Route,
    request: Request<Incoming>,
    format: Option<Format>,
    settlement: &mut Settlement,
) -> Result<Answer> {
    let domain = &proxy.0.domain;
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let client = settlement.call.client;
    let caller = admit::authenticate(domain, &head.headers, path, client).await?;
    settlement.call.caller = Some(Arc::clone(&caller));
    let body = receive::body(&proxy.0.config, &head.headers, body).await?;
    settlement.call.measure = Measure::of_text(body.len());
    let tail = route.tail(path);
    let path_model = called(tail).and_then(|(_, model)| model);
    let kind = headers::text(&head.headers, &CONTENT_TYPE);
    let peeked = format.and_then(|format| llm::request::read(format, kind, &body, None).ok());
    let model = learn(&mut settlement.call, peeked, path_model, tail);
    let sent = admit::sent_keys(domain, &head.headers);
    let chosen = passing(domain, &caller, route.provider, &model, &sent)?;
    let (hold, place) = admitted(proxy, &caller, &chosen, format, &head.method, tail, &model)?;
    settlement.call.chosen = Some(chosen.clone());
    settlement.call.attempts = 1;
    settlement.admitted(hold, place);
    let Target::Upstream(own) = &chosen.deployment.target else {
        return Err(not_configured(route.provider));
    };
    let target = &*chosen.ready(domain, own)?;
    let uri = target.endpoint.passthrough(tail, head.uri.query())?;
    let answer = ask(proxy, target, &head, &uri, format, body).await;
    credentials::note(proxy, &chosen, handle::outcome(&answer));
    let response = answer?;
    if let Some(rejected) = chosen.rejected(response.status().as_u16()) {
        return Err(rejected);
    }
    settlement.call.first_byte_at = Some(domain.clock.now());
    receive_answer(proxy, target, format, response, settlement).await
}

/// What the request says about itself, where it is a call that we can read; the model's name.
fn learn(
    call: &mut Call,
    peeked: Option<Peek<'_>>,
    path_model: Option<String>,
    tail: &str,
) -> String {
    call.requested_model = match (path_model, &peeked) {
        (Some(model), _) => model,
        (None, Some(peek)) => peek.model.to_string(),
        (None, None) => String::new(),
    };
    if let Some(peek) = peeked {
        call.end_user = peek.end_user.as_deref().map(str::to_owned);
        call.tags = peek.tags;
        call.stream = peek.stream;
        call.measure = peek.measure;
    }
    call.stream |= tail.contains(":streamGenerateContent") || tail.ends_with("/converse-stream");
    call.requested_model.clone()
}

/// Whether the caller may, and has the money.
fn admitted(
    proxy: &Proxy,
    caller: &Arc<Caller>,
    chosen: &Chosen,
    format: Option<Format>,
    method: &Method,
    tail: &str,
    model: &str,
) -> Result<(budgets::Hold, domain::ledger::Place)> {
    let domain = &proxy.0.domain;
    let models = domain.models.now();
    let is_free = is_free(method, tail);
    let named = match is_free && model.is_empty() && *method == Method::GET {
        true => full_name(chosen, model),
        false => permitted(caller, &models, chosen, model)?,
    };
    let pricing = match (&chosen.price, format) {
        _ if is_free => budgets::Pricing::Free,
        (Some(price), Some(_)) if price.record.is_free() => budgets::Pricing::Free,
        (Some(_), Some(_)) => budgets::Pricing::Priced,
        _ => budgets::Pricing::Unpriced,
    };
    let hold = budgets::admit(
        domain,
        caller,
        &named,
        pricing,
        chosen.is_on_callers_money(),
    )?;
    Ok((hold, domain.ledger.place()?))
}

/// The name under which the caller may have a provider's model: its own, or with the provider before
/// it. A key that is limited to models reaches only paths that name one of them.
///
/// # Errors
/// That of the second name, when neither is open to the caller.
pub fn permitted(
    caller: &Caller,
    models: &Snapshot,
    chosen: &Chosen,
    model: &str,
) -> Result<String> {
    if !model.is_empty() && access::check_model(caller, models, model).is_ok() {
        return Ok(model.to_owned());
    }
    let full = full_name(chosen, model);
    access::check_model(caller, models, &full)?;
    Ok(full)
}

fn full_name(chosen: &Chosen, model: &str) -> String {
    format!("{}/{model}", provider_of(chosen))
}

fn is_free(method: &Method, tail: &str) -> bool {
    let is_count = tail.ends_with("count_tokens") || tail.ends_with(":countTokens");
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE) || is_count || makes_file(tail)
}

/// Whether a path makes one of [`FREE`] and does nothing with it: `/v1/files`, `/upload/v1beta/files`.
fn makes_file(tail: &str) -> bool {
    let is_version = |segment: &str| {
        let number = segment.strip_prefix('v').unwrap_or_default();
        number.starts_with(|first: char| first.is_ascii_digit())
    };
    let mut segments = tail.split('/').skip(1);
    let first = segments.find(|segment| *segment != "upload" && !is_version(segment));
    first.is_some_and(|first| FREE.contains(&first)) && !tail.contains(':')
}

fn provider_of(chosen: &Chosen) -> &str {
    match &chosen.deployment.target {
        Target::Upstream(upstream) => upstream.provider.name,
        Target::Demo | Target::Mock(_) => "none",
    }
}

pub fn not_configured(provider: &Provider) -> Error {
    Error::new(
        Code::ProviderKeyMissing,
        format!(
            "no key of {} is configured for passing requests on; an administrator can set {} in the \
             environment, or use_in_pass_through on a model",
            provider.title,
            provider.key_variables.first().unwrap_or(&"its key"),
        ),
    )
}

async fn ask(
    proxy: &Proxy,
    target: &Upstream,
    head: &http::request::Parts,
    uri: &http::Uri,
    format: Option<Format>,
    body: Bytes,
) -> Result<Response<upstream::Incoming>> {
    let mut sent = headers::of_client(&head.headers);
    let own = target.headers_for(format.unwrap_or_else(|| shape_of(target.provider)))?;
    for (name, value) in &*own {
        // what the client says of its own body and protocol counts
        if *name != CONTENT_TYPE && (value.is_sensitive() || !sent.contains_key(name)) {
            sent.insert(name, value.clone());
        }
    }
    let body = Segments::new(vec![body]);
    credentials::prove(proxy, target, &head.method, uri, &mut sent, &body).await?;
    let first_byte = target.first_byte.unwrap_or(proxy.0.config.first_byte);
    let asked = upstream::Asked {
        method: head.method.clone(),
        uri,
        headers: sent,
        body,
        first_byte,
        reach: target.reach,
    };
    proxy.0.client.send(asked).await
}

/// The answer as it comes: watched where it is one that can be read.
async fn receive_answer(
    proxy: &Proxy,
    target: &Upstream,
    format: Option<Format>,
    response: Response<upstream::Incoming>,
    settlement: &mut Settlement,
) -> Result<Answer> {
    let config = &proxy.0.config;
    let (head, body) = response.into_parts();
    let rule = target.provider.usage_rule(&settlement.call.requested_model);
    let is_json = head
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let watch = match format.filter(|_| head.status.is_success() && !is_json) {
        None => Watch::Plain,
        Some(_) if respond::is_binary(&head.headers) => Watch::Binary(0),
        Some(format) => Watch::Same(Box::new(StreamObserver::new(format, rule, "", false))),
    };
    let is_readable = is_json && (format.is_some() || !head.status.is_success());
    if !is_readable {
        return Ok(Answer::Stream {
            status: head.status,
            headers: head.headers,
            source: body,
            watch,
            silence: config.silence,
        });
    }
    let bytes = upstream::whole(body, config.response_bytes, config.silence).await?;
    let (body, observed) = match format {
        Some(format) if head.status.is_success() => llm::response::observe(format, rule, bytes, ""),
        _ => (bytes, Observed::default()),
    };
    Ok(Answer::Whole {
        status: head.status,
        headers: head.headers,
        body,
        observed: Box::new(observed),
        failure: None,
    })
}

/// The response's own headers, but for those of the connection.
pub fn copy_headers(headers: &mut HeaderMap, upstream: &HeaderMap) {
    for (name, value) in upstream {
        if !headers::is_of_connection(name) {
            headers.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn making_a_file_is_free_and_asking_a_model_is_not() {
        for path in [
            "/v1/files",
            "/upload/v1beta/files",
            "/v1/uploads/upload_1/parts",
        ] {
            assert!(is_free(&Method::POST, path), "{path}");
        }
        for path in [
            "/v1beta/models/veo-3:predictLongRunning",
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict",
            "/v1/batches",
            "/v1/vector_stores/vs_1/search",
            "/v1/images/files",
            "/v1beta/cachedContents",
        ] {
            assert!(!is_free(&Method::POST, path), "{path}");
        }
        assert!(is_free(&Method::GET, "/v1beta/models"));
    }
}
