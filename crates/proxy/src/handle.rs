//! A call, phase by phase. What fails before the upstream is asked costs nothing and says why.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::{Error, Millis, RequestId, Result};
use bytes::Bytes;
use domain::deployment::{Chosen, Target, Upstream};
use domain::payers::Outcome;
use domain::{Caller, Domain};
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use llm::Format;
use llm::estimate::Measure;
use llm::provider::StreamUsage;
use llm::request::Peek;

use crate::body::{Body, Segments};
use crate::finish::Settlement;
use crate::routes::CallRoute;
use crate::{
    Proxy, admit, credentials, demo, error, headers, kept, receive, respond, route, translated,
    upstream,
};

/// What the phases learn of a call.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: RequestId,
    pub format: Format,
    pub started_at: Millis,
    pub started: Instant,
    pub client: IpAddr,
    pub user_agent: Option<String>,
    pub caller: Option<Arc<Caller>>,
    pub requested_model: String,
    pub end_user: Option<String>,
    pub tags: Vec<String>,
    pub stream: bool,
    /// The answer is made after the call (OpenAI responses).
    pub background: bool,
    /// The client asked for usage in the stream; else the chunk that brings it is kept from it.
    pub wants_stream_usage: bool,
    /// Gemini: the client takes its stream as one JSON array.
    pub as_array: bool,
    /// What the provider is asked in; the client's own format where it speaks that.
    pub upstream_format: Format,
    /// Members of the client's request that could not go to the provider.
    pub dropped: Vec<String>,
    /// What the answer needs of the client's request.
    pub echo: Option<serde_json::Value>,
    /// The earlier answer that the call goes on from, where the gateway keeps it.
    pub goes_on_from: Option<String>,
    /// The items that the model is given, as JSON, where the gateway keeps the answer (OpenAI
    /// responses).
    pub keep: Option<String>,
    /// The one deployment that can go on from an earlier answer.
    pub only_deployment: Option<String>,
    /// A provider's own path: bytes, status and headers of the answer are the provider's.
    pub passes_through: bool,
    /// The answer is the gateway's own estimate.
    pub is_estimate: bool,
    /// What the model does not take is left out or said in its words, also where the client speaks the
    /// provider's protocol.
    pub is_adapted: bool,
    /// The conversation that the call is part of.
    pub conversation_id: Option<String>,
    /// How much was asked for, where the answer does not say what it took.
    pub measure: Measure,
    pub chosen: Option<Chosen>,
    pub attempts: u32,
    pub first_byte_at: Option<Millis>,
}

pub async fn handle(
    proxy: &Proxy,
    route: CallRoute,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<Body> {
    let mut call = Call::begin(&proxy.0.domain, route.format, client);
    call.user_agent = headers::text(request.headers(), &USER_AGENT).map(str::to_owned);
    call.as_array = route.as_array;
    let _in_flight = InFlight::enter(proxy);
    let (format, id) = (call.format, call.id);
    // a refusal that has a caller becomes a row of the ledger when `settlement` is dropped
    let mut settlement = Settlement::new(proxy.clone(), call);
    match serve(proxy, route, request, &mut settlement).await {
        Ok(answer) => answer.deliver(settlement),
        Err(failure) => {
            log(id, &failure);
            let response = error::respond(format, id, &failure);
            settlement.refused(&failure);
            response
        }
    }
}

/// Logged once, where it is answered.
pub fn log(id: RequestId, failure: &Error) {
    match failure.status() {
        500.. => tracing::error!(request.id = %id, error = %failure, "call failed"),
        _ => tracing::debug!(request.id = %id, error = %failure, "call refused"),
    }
}

/// Counts the calls whose head is not answered yet.
pub struct InFlight(Domain);

impl InFlight {
    pub fn enter(proxy: &Proxy) -> InFlight {
        let domain = proxy.0.domain.clone();
        domain
            .metrics
            .calls_in_flight
            .fetch_add(1, Ordering::Relaxed);
        InFlight(domain)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let count = &self.0.metrics.calls_in_flight;
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(
    proxy: &Proxy,
    route: CallRoute,
    request: Request<Incoming>,
    settlement: &mut Settlement,
) -> Result<respond::Answer> {
    let domain = &proxy.0.domain;
    let (head, body) = request.into_parts();
    let (path, client) = (head.uri.path(), settlement.call.client);
    let caller = admit::authenticate(domain, &head.headers, path, client).await?;
    settlement.call.caller = Some(Arc::clone(&caller));
    let body = receive::body(&proxy.0.config, &head.headers, body).await?;
    let body = kept::go_on(domain, &caller, &mut settlement.call, body).await?;
    answer(proxy, route, &head.headers, body, &caller, settlement).await
}

/// What a body that was received is answered with, for a caller who is known.
pub async fn answer(
    proxy: &Proxy,
    route: CallRoute,
    client_headers: &HeaderMap,
    body: Bytes,
    caller: &Arc<Caller>,
    settlement: &mut Settlement,
) -> Result<respond::Answer> {
    let domain = &proxy.0.domain;
    let path_stream = route.stream;
    let kind = headers::text(client_headers, &CONTENT_TYPE);
    let (body, path_model) = with_model_of_path(route, kind, body);
    let path_model = path_model.as_deref();
    let mut peek = llm::request::read(settlement.call.format, kind, &body, path_model)?;
    peek.stream = path_stream.unwrap_or(peek.stream);
    if let Some(model) = path_model {
        peek.model = Cow::Owned(model.to_owned());
    }
    settlement.call.learn(&peek);
    let models = domain.models.now();
    let model = admit::model(domain, caller, &models, &peek)?;
    let random = settlement.call.id.0.as_u64_pair().1;
    let sent = admit::sent_keys(domain, client_headers);
    let mut plan = route::plan(domain, caller, &models, model, random, &sent)?;
    if let Some(only) = &settlement.call.only_deployment
        && plan.iter().any(|chosen| chosen.deployment.id == *only)
    {
        plan.retain(|chosen| chosen.deployment.id == *only);
    }
    let first = plan.first().expect("a plan is never empty");
    let (hold, place) = admit::budget(domain, caller, model, first)?;
    settlement.admitted(hold, place);
    let named = Named {
        model,
        headers: client_headers,
        body: &body,
        peek: &peek,
    };
    attempt(proxy, &plan, &named, settlement).await
}

/// What a client has sent, and the model that it means.
struct Named<'a> {
    model: &'a str,
    headers: &'a HeaderMap,
    body: &'a Bytes,
    peek: &'a Peek<'a>,
}

impl Call {
    pub fn begin(domain: &Domain, format: Format, client: IpAddr) -> Call {
        let now = domain.clock.now();
        Call {
            id: RequestId::new(now),
            format,
            started_at: now,
            started: Instant::now(),
            client,
            user_agent: None,
            caller: None,
            requested_model: String::new(),
            end_user: None,
            tags: Vec::new(),
            stream: false,
            background: false,
            wants_stream_usage: false,
            as_array: false,
            upstream_format: format,
            dropped: Vec::new(),
            echo: None,
            goes_on_from: None,
            keep: None,
            only_deployment: None,
            passes_through: false,
            is_estimate: false,
            is_adapted: false,
            conversation_id: None,
            measure: Measure::default(),
            chosen: None,
            attempts: 0,
            first_byte_at: None,
        }
    }

    fn learn(&mut self, peek: &Peek<'_>) {
        self.requested_model = peek.model.to_string();
        self.end_user = peek.end_user.as_deref().map(str::to_owned);
        self.tags.clone_from(&peek.tags);
        self.stream = peek.stream;
        self.background = peek.background;
        self.wants_stream_usage = peek.wants_stream_usage;
        self.measure = peek.measure;
    }
}

/// A body that leaves the model to the path gets it written in; the rest is the client's bytes.
fn with_model_of_path(
    route: CallRoute,
    content_type: Option<&str>,
    body: Bytes,
) -> (Bytes, Option<String>) {
    let Some(model) = route.model else {
        return (body, None);
    };
    if route.format.names_model_in_path() {
        return (body, Some(model));
    }
    let names_none = matches!(
        llm::request::read(route.format, content_type, &body, None),
        Err(error) if error.parameter() == Some("model")
    );
    let open = body.iter().position(|byte| !byte.is_ascii_whitespace());
    let body = match open {
        Some(at) if names_none && body[at] == b'{' => {
            let rest = &body[at + 1..];
            let is_empty = rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
            let name = serde_json::Value::from(model.as_str()).to_string();
            let comma = if is_empty { "" } else { "," };
            [b"{\"model\":", name.as_bytes(), comma.as_bytes(), rest]
                .concat()
                .into()
        }
        _ => body,
    };
    (body, Some(model))
}

/// Tries the deployments of the plan until one answers. The only loop that asks twice.
async fn attempt(
    proxy: &Proxy,
    plan: &[Chosen],
    named: &Named<'_>,
    settlement: &mut Settlement,
) -> Result<respond::Answer> {
    let mut left = plan.len();
    for chosen in plan {
        left -= 1;
        settlement.turn_to(chosen, named.model)?;
        let upstream = match &chosen.deployment.target {
            Target::Demo => return demo::answer(&mut settlement.call, named.body, None),
            Target::Mock(text) => {
                return demo::answer(&mut settlement.call, named.body, Some(text));
            }
            Target::Upstream(upstream) => upstream,
        };
        let upstream = &*chosen.ready(&proxy.0.domain, upstream)?;
        let Some(format) = upstream
            .endpoint
            .format_for(settlement.call.format, &chosen.model)
        else {
            match translated::by_gateway(&mut settlement.call, &chosen.model, named.body)? {
                Some(answer) => return Ok(answer),
                None if left > 0 => continue,
                None => return Err(translated::not_there(&settlement.call, upstream)),
            }
        };
        settlement.call.upstream_format = format;
        let answer = ask(proxy, upstream, chosen, named, settlement).await;
        let outcome = outcome(&answer);
        credentials::note(proxy, chosen, outcome);
        if left > 0 && chosen.may_go_on(outcome) {
            tracing::warn!(
                request.id = %settlement.call.id,
                deployment = chosen.deployment.id,
                ?outcome,
                "upstream refused or failed; trying the next"
            );
            continue;
        }
        let response = answer?;
        if let Some(rejected) = chosen.rejected(response.status().as_u16()) {
            return Err(rejected);
        }
        return respond::receive(proxy, upstream, response, settlement).await;
    }
    Err(Error::internal("a plan without deployments"))
}

/// What came of asking an upstream.
pub fn outcome(answer: &Result<Response<upstream::Incoming>>) -> Outcome {
    match answer {
        Ok(response) => Outcome::Status(response.status().as_u16()),
        Err(failure) if failure.status() < 500 => Outcome::Unsent,
        Err(_) => Outcome::Nothing,
    }
}

async fn ask(
    proxy: &Proxy,
    upstream: &Upstream,
    chosen: &Chosen,
    named: &Named<'_>,
    settlement: &mut Settlement,
) -> Result<Response<upstream::Incoming>> {
    let Named {
        headers: client_headers,
        body,
        peek,
        ..
    } = *named;
    credentials::check(upstream)?;
    let call = &mut settlement.call;
    let is_same = call.upstream_format == call.format;
    let segments = if is_same && !call.is_adapted {
        let ask_for_usage = call.stream
            && call.format.asks_for_usage()
            && upstream.provider.stream_usage == StreamUsage::Asked;
        match llm::request::without_seals(call.format, body) {
            None => llm::request::rewrite(body, peek, &chosen.model, ask_for_usage),
            // what another provider sealed earlier in this conversation would be refused by this one
            Some(unsealed) => {
                let mut again = llm::request::peek(call.format, &unsealed)?;
                again.model.clone_from(&peek.model);
                llm::request::rewrite(&unsealed, &again, &chosen.model, ask_for_usage)
            }
        }
    } else {
        vec![translated::request(
            &proxy.0, call, chosen, upstream, body, peek,
        )?]
    };
    let rule = upstream.endpoint.body_rule(call.upstream_format);
    let segments = match rule.anthropic_version {
        Some(_) => rule.apply(segments.concat().into()),
        None => segments,
    };
    let segments = Segments::new(segments);
    let mut headers = upstream.headers_for(call.upstream_format)?.into_owned();
    if is_same {
        headers::pass_on(call.format, client_headers, &mut headers);
    }
    if peek.is_form()
        && let Some(kind) = client_headers.get(CONTENT_TYPE)
    {
        // it names the form's boundary
        headers.insert(CONTENT_TYPE, kind.clone());
    }
    let own = match call.stream {
        true => upstream.stream_first_byte.or(upstream.first_byte),
        false => upstream.first_byte,
    };
    let first_byte = requested_timeout(client_headers)
        .or(own)
        .unwrap_or(proxy.0.config.first_byte);
    let uri = upstream
        .endpoint
        .uri(call.upstream_format, &chosen.model, call.stream)?;
    credentials::prove(
        proxy,
        upstream,
        &Method::POST,
        &uri,
        &mut headers,
        &segments,
    )
    .await?;
    let asked = upstream::Asked {
        method: Method::POST,
        uri: &uri,
        headers,
        body: segments,
        first_byte,
        reach: upstream.reach,
    };
    proxy.0.client.send(asked).await
}

/// `x-litellm-timeout`, in seconds: a client may be less patient than the gateway.
fn requested_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("x-litellm-timeout")?.to_str().ok()?;
    let seconds: f64 = value.parse().ok()?;
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(86_400.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F: Future>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A future is moved on its way to where it runs, and stays in memory as long as the call does: what
    /// few calls need is boxed where they need it.
    #[test]
    fn a_call_carries_little_room_with_it() {
        let size =
            size(|proxy: &Proxy, route, request, client| handle(proxy, route, request, client));
        assert!(size < 5 << 10, "{size} bytes");
    }
}
