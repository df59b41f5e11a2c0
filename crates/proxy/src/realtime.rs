//! Sessions over WebSocket: OpenAI's realtime API with any model that has it, and providers' own
//! paths. A session is let through as a call is; its bytes then go both ways as they come, while what
//! the provider says is watched for what it costs (see [`session`]).

mod handshake;
mod session;
mod way;

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, Result};
use domain::budgets::Pricing;
use domain::deployment::{Chosen, Target, Upstream};
use domain::{access, auth};
use http::header::{SEC_WEBSOCKET_VERSION, UPGRADE, USER_AGENT};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use llm::Format;

use crate::body::{Body, Segments};
use crate::finish::Settlement;
use crate::handle::{self, Call, InFlight};
use crate::respond::{self, Answer};
use crate::{Proxy, admit, credentials, error, headers, passthrough, route, upstream};

use handshake::Offer;
pub use session::Session;

/// Paths of OpenAI's realtime API, below `/v1` or not, and as Azure's clients know it.
const PATHS: [&str; 4] = [
    "/v1/realtime",
    "/realtime",
    "/openai/v1/realtime",
    "/openai/realtime",
];

/// Whether a session with a model of the gateway is asked for. One of OpenAI's own, without a model or
/// with more than a model, is passed on below its prefix as it is.
pub fn is_session(method: &Method, uri: &Uri) -> bool {
    let path = uri.path();
    let is_own = path.starts_with("/openai/");
    method == Method::GET
        && PATHS.contains(&path)
        && !(is_own && (parameter(uri, "intent").is_some() || model(uri).is_none()))
}

/// The model that a session is for: OpenAI's `model`, or Azure's `deployment`.
fn model(uri: &Uri) -> Option<String> {
    parameter(uri, "model").or_else(|| parameter(uri, "deployment"))
}

/// A parameter of the query that has a value.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri
        .query()?
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, value)| *found == name && !value.is_empty())?;
    let value = value.replace('+', " ");
    let value = percent_encoding::percent_decode_str(&value).decode_utf8();
    Some(value.ok()?.into_owned())
}

/// Whether a request asks for a WebSocket on its connection. Others that clients ask for (`h2c`) are
/// theirs to do without.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    let wanted = headers::text(request.headers(), &UPGRADE);
    wanted.is_some_and(|wanted| wanted.trim().eq_ignore_ascii_case("websocket"))
}

/// Opens a session with a model.
pub async fn handle(proxy: &Proxy, request: Request<Incoming>, client: IpAddr) -> Response<Body> {
    let mut call = begin(proxy, Format::Realtime, &request, client);
    call.requested_model = model(request.uri()).unwrap_or_default();
    let _in_flight = InFlight::enter(proxy);
    let (format, id) = (call.format, call.id);
    let mut settlement = Settlement::new(proxy.clone(), call);
    match serve(proxy, request, &mut settlement).await {
        Ok(outcome) => outcome.deliver(proxy, settlement),
        Err(failure) => refused(format, id, &failure, settlement),
    }
}

/// Opens a session on a provider's own path.
pub async fn pass(
    proxy: &Proxy,
    route: passthrough::Route,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<Body> {
    let shape = passthrough::shape_of(route.provider);
    let mut call = begin(proxy, shape, &request, client);
    call.passes_through = true;
    call.requested_model = model(request.uri()).unwrap_or_default();
    let _in_flight = InFlight::enter(proxy);
    let id = call.id;
    let mut settlement = Settlement::new(proxy.clone(), call);
    match serve_passing(proxy, route, request, &mut settlement).await {
        Ok(outcome) => outcome.deliver(proxy, settlement),
        Err(failure) => refused(shape, id, &failure, settlement),
    }
}

fn begin(proxy: &Proxy, format: Format, request: &Request<Incoming>, client: IpAddr) -> Call {
    let mut call = Call::begin(&proxy.0.domain, format, client);
    call.user_agent = headers::text(request.headers(), &USER_AGENT).map(str::to_owned);
    call.stream = true;
    call
}

fn refused(
    format: Format,
    id: base::RequestId,
    failure: &Error,
    mut settlement: Settlement,
) -> Response<Body> {
    handle::log(id, failure);
    let mut response = error::respond(format, id, failure);
    if failure.status() == handshake::UPGRADE_REQUIRED {
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    settlement.refused(failure);
    response
}

/// What the provider made of a handshake.
enum Outcome {
    Opened(Box<Opened>),
    /// It answered instead, with a refusal.
    Answered(Box<Answer>),
}

struct Opened {
    /// Of the answer to the client.
    headers: http::HeaderMap,
    client: OnUpgrade,
    upstream: upstream::Connection,
    terms: session::Terms,
}

impl Outcome {
    fn deliver(self, proxy: &Proxy, mut settlement: Settlement) -> Response<Body> {
        let opened = match self {
            Outcome::Answered(answer) => return answer.deliver(settlement),
            Outcome::Opened(opened) => *opened,
        };
        settlement.call.first_byte_at = Some(proxy.0.domain.clock.now());
        let mut response = Response::new(Body::Whole(None));
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        settlement.describe(response.headers_mut());
        settlement.describe_key(response.headers_mut());
        response.headers_mut().extend(opened.headers);
        if opened.terms.is_watched {
            settlement.in_parts();
        }
        let session = Session::new(
            proxy.0.config.session_idle,
            opened.terms,
            settlement,
            opened.client,
            opened.upstream,
        );
        *response.body_mut() = Body::Session(Some(session));
        response
    }
}

async fn serve(
    proxy: &Proxy,
    mut request: Request<Incoming>,
    settlement: &mut Settlement,
) -> Result<Outcome> {
    let domain = &proxy.0.domain;
    let client = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let mut offer = Offer::read(&head.headers);
    let key = key(proxy, &head, &mut offer)?;
    let path = head.uri.path();
    let from = settlement.call.client;
    let caller = admit::authenticate_key(domain, key.expose(), path, from).await?;
    settlement.call.caller = Some(Arc::clone(&caller));
    handshake::check(&head)?;
    if parameter(&head.uri, "intent").is_some() {
        let message = "sessions of other kinds than a model's are passed on at /openai/v1/realtime";
        return Err(Error::new(Code::InvalidRequest, message).param("intent"));
    }
    let named = &settlement.call.requested_model;
    if named.is_empty() {
        let message = "the query names no model: /v1/realtime?model=…";
        return Err(Error::new(Code::InvalidRequest, message).param("model"));
    }
    let models = domain.models.now();
    let model = access::resolve_alias(&caller, &models, named).to_owned();
    access::check_model(&caller, &models, &model)?;
    let random = settlement.call.id.0.as_u64_pair().1;
    let sent = admit::sent_keys(domain, &head.headers);
    let plan = route::plan(domain, &caller, &models, &model, random, &sent)?;
    let first = plan.first().expect("a plan is never empty");
    let (hold, place) = admit::budget(domain, &caller, &model, first)?;
    settlement.admitted(hold, place);
    let (response, chosen) = attempt(proxy, &plan, &model, &head, &offer, settlement).await?;
    let terms = session::Terms {
        key,
        model,
        pricing: admit::pricing(chosen),
        is_personal: chosen.is_on_callers_money(),
        is_watched: true,
    };
    let deployment = &chosen.deployment;
    conclude(
        proxy, response, deployment, &offer, client, terms, settlement,
    )
    .await
}

/// The key of the gateway: from a header, or where a browser can put one.
fn key(proxy: &Proxy, head: &Parts, offer: &mut Offer) -> Result<base::Secret> {
    let configured = proxy.0.domain.config.key_header.as_deref();
    match (
        auth::key_from_headers(&head.headers, configured),
        offer.key.take(),
    ) {
        (Ok(key), _) => Ok(base::Secret::new(key)),
        (Err(error), Some(key)) if error.code() == Code::KeyMissing => Ok(key),
        (Err(error), _) => Err(error),
    }
}

/// Tries the deployments of the plan until one opens a session, or refuses for good.
async fn attempt<'a>(
    proxy: &Proxy,
    plan: &'a [Chosen],
    model: &str,
    head: &Parts,
    offer: &Offer,
    settlement: &mut Settlement,
) -> Result<(Response<upstream::Incoming>, &'a Chosen)> {
    let mut left = plan.len();
    loop {
        let chosen = &plan[plan.len() - left];
        left -= 1;
        settlement.turn_to(chosen, model)?;
        let answer = match &chosen.deployment.target {
            Target::Upstream(target) => open(proxy, target, chosen, head, offer).await,
            Target::Demo | Target::Mock(_) => Err(Error::new(
                Code::InvalidRequest,
                "this model is answered by the gateway itself, which has no realtime API",
            )
            .param("model")),
        };
        let outcome = handle::outcome(&answer);
        credentials::note(proxy, chosen, outcome);
        if left > 0 && chosen.may_go_on(outcome) {
            tracing::warn!(
                request.id = %settlement.call.id,
                deployment = chosen.deployment.id,
                "no session was opened; trying the next"
            );
            continue;
        }
        let response = answer?;
        return match chosen.rejected(response.status().as_u16()) {
            None => Ok((response, chosen)),
            Some(rejected) => Err(rejected),
        };
    }
}

async fn open(
    proxy: &Proxy,
    target: &Upstream,
    chosen: &Chosen,
    head: &Parts,
    offer: &Offer,
) -> Result<Response<upstream::Incoming>> {
    let target = &*chosen.ready(&proxy.0.domain, target)?;
    credentials::check(target)?;
    let uri = target.endpoint.realtime(&chosen.model)?;
    let own = target.headers_for(Format::Realtime)?.into_owned();
    let headers = handshake::for_model(own, &head.headers, offer);
    shake_hands(proxy, target, &uri, headers).await
}

async fn shake_hands(
    proxy: &Proxy,
    target: &Upstream,
    uri: &Uri,
    mut headers: http::HeaderMap,
) -> Result<Response<upstream::Incoming>> {
    let body = Segments::new(Vec::new());
    credentials::prove(proxy, target, &Method::GET, uri, &mut headers, &body).await?;
    let asked = upstream::Asked {
        method: Method::GET,
        uri,
        headers,
        body,
        first_byte: target.first_byte.unwrap_or(handshake::PATIENCE),
        reach: target.reach,
    };
    proxy.0.client.send(asked).await
}

/// Looks at the provider's answer to a handshake.
async fn conclude(
    proxy: &Proxy,
    response: Response<upstream::Incoming>,
    deployment: &domain::deployment::Deployment,
    offer: &Offer,
    client: OnUpgrade,
    terms: session::Terms,
    settlement: &mut Settlement,
) -> Result<Outcome> {
    let Target::Upstream(target) = &deployment.target else {
        return Err(Error::internal("a session of no upstream"));
    };
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
        let headers = handshake::answer(response.headers(), offer, settlement.call.passes_through)?;
        let connection = response.into_body().into_connection();
        return Ok(Outcome::Opened(Box::new(Opened {
            headers,
            client,
            upstream: connection.ok_or_else(|| Error::internal("a session of no connection"))?,
            terms,
        })));
    }
    settlement.call.first_byte_at = Some(proxy.0.domain.clock.now());
    let config = &proxy.0.config;
    let (head, body) = response.into_parts();
    let bytes = upstream::whole(body, config.response_bytes, config.silence).await?;
    let answer = respond::refusal(target, head.status, head.headers, &bytes, settlement);
    Ok(Outcome::Answered(Box::new(answer)))
}

async fn serve_passing(
    proxy: &Proxy,
    route: passthrough::Route,
    mut request: Request<Incoming>,
    settlement: &mut Settlement,
) -> Result<Outcome> {
    let domain = &proxy.0.domain;
    let client = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let mut offer = Offer::read(&head.headers);
    let key = key(proxy, &head, &mut offer)?;
    let path = head.uri.path();
    let from = settlement.call.client;
    let caller = admit::authenticate_key(domain, key.expose(), path, from).await?;
    settlement.call.caller = Some(Arc::clone(&caller));
    handshake::check(&head)?;
    let tail = route.tail(path);
    let models = domain.models.now();
    let model = settlement.call.requested_model.clone();
    let sent = admit::sent_keys(domain, &head.headers);
    let chosen = route::passing(domain, &caller, route.provider, &model, &sent)?;
    let named = passthrough::permitted(&caller, &models, &chosen, &model)?;
    let is_watched = route.provider.has_realtime() && tail.ends_with("/realtime");
    let pricing = match is_watched && !model.is_empty() {
        true => admit::pricing(&chosen),
        // nobody can say what it costs, so no budget of money can hold it
        false => Pricing::Unpriced,
    };
    let is_personal = chosen.is_on_callers_money();
    let hold = domain::budgets::admit(domain, &caller, &named, pricing, is_personal)?;
    settlement.admitted(hold, domain.ledger.place()?);
    settlement.call.chosen = Some(chosen.clone());
    settlement.call.attempts = 1;
    let Target::Upstream(target) = &chosen.deployment.target else {
        return Err(passthrough::not_configured(route.provider));
    };
    let target = &*chosen.ready(domain, target)?;
    let uri = target.endpoint.passthrough(tail, head.uri.query())?;
    let format = match is_watched {
        true => Format::Realtime,
        false => passthrough::shape_of(route.provider),
    };
    let own = target.headers_for(format)?;
    let headers = handshake::for_path(&own, &head.headers, &offer);
    let answer = shake_hands(proxy, target, &uri, headers).await;
    credentials::note(proxy, &chosen, handle::outcome(&answer));
    let response = answer?;
    if let Some(rejected) = chosen.rejected(response.status().as_u16()) {
        return Err(rejected);
    }
    let terms = session::Terms {
        key,
        model: named,
        pricing,
        is_personal,
        is_watched,
    };
    conclude(
        proxy,
        response,
        &chosen.deployment,
        &offer,
        client,
        terms,
        settlement,
    )
    .await
}
