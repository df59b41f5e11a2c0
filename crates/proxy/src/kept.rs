//! Answers of `/v1/responses` after the call: asked for again, deleted, gone on from. Where the provider
//! keeps its answers itself it is asked; for one that has no such thing the gateway does.

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, RequestId, Result};
use bytes::Bytes;
use domain::deployment::{Chosen, Target, Upstream};
use domain::payers;
use domain::responses::{self, Giver};
use domain::{Caller, Domain};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use llm::Format;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{Body, Segments};
use crate::finish::Settlement;
use crate::handle::{self, Call};
use crate::{Proxy, admit, background, error, headers, upstream};

/// What is wanted of a kept answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub id: String,
    pub action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// `GET /v1/responses/{id}`
    Get,
    /// `DELETE /v1/responses/{id}`
    Delete,
    /// `POST /v1/responses/{id}/cancel`
    Cancel,
    /// `GET /v1/responses/{id}/input_items`
    InputItems,
}

/// Reads a path below `/responses/`.
pub fn route(method: &Method, tail: &str) -> Option<Route> {
    let (id, action) = match tail.split_once('/') {
        None if method == Method::GET => (tail, Action::Get),
        None if method == Method::DELETE => (tail, Action::Delete),
        Some((id, "cancel")) if method == Method::POST => (id, Action::Cancel),
        Some((id, "input_items")) if method == Method::GET => (id, Action::InputItems),
        _ => return None,
    };
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (!id.is_empty() && id.len() <= 512 && id.bytes().all(is_id)).then(|| Route {
        id: id.to_owned(),
        action,
    })
}

/// Answers a question about a kept answer.
pub async fn handle(
    proxy: &Proxy,
    route: Route,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<Body> {
    let id = RequestId::new(proxy.0.domain.clock.now());
    match serve(proxy, &route, &request, client).await {
        Ok(mut response) => {
            headers::common(response.headers_mut(), id);
            response
        }
        Err(failure) => {
            handle::log(id, &failure);
            error::respond(Format::OpenAiResponses, id, &failure)
        }
    }
}

async fn serve(
    proxy: &Proxy,
    route: &Route,
    request: &Request<Incoming>,
    client: IpAddr,
) -> Result<Response<Body>> {
    let domain = &proxy.0.domain;
    let path = request.uri().path();
    let caller = admit::authenticate(domain, request.headers(), path, client).await?;
    if let Some(row) = responses::find(domain, &caller, &route.id).await? {
        let value = match route.action {
            Action::Get => return Ok(json_response(row.body)),
            Action::InputItems => listed(&row.input),
            Action::Delete => {
                responses::delete(domain, &caller, &route.id).await?;
                json!({ "id": route.id, "object": "response", "deleted": true })
            }
            Action::Cancel => {
                return Err(Error::new(
                    Code::InvalidRequest,
                    "Only responses created with background=true can be cancelled; this one is \
                     complete.",
                ));
            }
        };
        return Ok(json_response(value.to_string()));
    }
    match responses::giver(domain, &caller, &route.id).await? {
        Giver::Deployment(deployment) => {
            if route.action == Action::Delete {
                background::may_be_deleted(proxy, &route.id).await?;
            }
            ask(proxy, &caller, &deployment, route, request).await
        }
        Giver::Unknown | Giver::Another => Err(not_found(&route.id)),
    }
}

fn not_found(id: &str) -> Error {
    Error::new(
        Code::NotFound,
        format!("Response with id '{id}' not found."),
    )
    .with_kind("invalid_request_error")
    .param("response_id")
}

fn json_response(body: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// A list of items as the API gives it, the last one first.
fn listed(input: &str) -> Value {
    let mut items: Vec<Value> = serde_json::from_str(input).unwrap_or_default();
    for (index, item) in items.iter_mut().enumerate() {
        if let Some(object) = item.as_object_mut() {
            object.entry("type").or_insert_with(|| "message".into());
            object
                .entry("id")
                .or_insert_with(|| format!("item_{index}").into());
        }
    }
    items.reverse();
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({
        "object": "list",
        "first_id": id(items.first()),
        "last_id": id(items.last()),
        "has_more": false,
        "data": items,
    })
}

/// Asks the provider that keeps the answer.
async fn ask(
    proxy: &Proxy,
    caller: &Caller,
    deployment: &str,
    route: &Route,
    request: &Request<Incoming>,
) -> Result<Response<Body>> {
    let domain = &proxy.0.domain;
    let models = domain.models.now();
    let deployment = models
        .deployment(deployment)
        .ok_or_else(|| not_found(&route.id))?;
    let Target::Upstream(own) = &deployment.target else {
        return Err(not_found(&route.id));
    };
    let sent = admit::sent_keys(domain, request.headers());
    let at = Chosen {
        deployment: Arc::clone(deployment),
        model: own.model.clone(),
        price: None,
        payer: None,
    };
    // the provider shows an answer to the key that paid for it
    let plan = payers::plan(domain, caller, vec![at], &sent)?;
    let payer = plan.first().ok_or_else(|| not_found(&route.id))?;
    let target = &*payer.ready(domain, own)?;
    let (head, body) = asked(
        proxy,
        target,
        route,
        request.method(),
        request.uri().query(),
    )
    .await?;
    if let Action::Get | Action::Cancel = route.action {
        background::seen(proxy, &route.id, target, head.status, &body);
    }
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = match head.status.is_redirection() {
        true => StatusCode::BAD_GATEWAY,
        false => head.status,
    };
    headers::from_upstream(response.headers_mut(), &head.headers);
    Ok(response)
}

/// A provider's answer to a question about an answer that it keeps.
pub async fn asked(
    proxy: &Proxy,
    target: &Upstream,
    route: &Route,
    method: &Method,
    query: Option<&str>,
) -> Result<(http::response::Parts, Bytes)> {
    let uri = address(target, route, query)?;
    let config = &proxy.0.config;
    let asked = upstream::Asked {
        method: method.clone(),
        uri: &uri,
        headers: target.headers_for(Format::OpenAiResponses)?.into_owned(),
        body: Segments::new(Vec::new()),
        first_byte: target.first_byte.unwrap_or(config.first_byte),
        reach: target.reach,
    };
    let (head, body) = proxy.0.client.send(asked).await?.into_parts();
    let body = upstream::whole(body, config.response_bytes, config.silence).await?;
    Ok((head, body))
}

fn address(target: &Upstream, route: &Route, query: Option<&str>) -> Result<http::Uri> {
    let base = target
        .endpoint
        .uri(Format::OpenAiResponses, &target.model, false)?;
    let tail = match route.action {
        Action::Get | Action::Delete => "",
        Action::Cancel => "/cancel",
        Action::InputItems => "/input_items",
    };
    // Azure's base has a query of its own, its version
    let query = [base.query(), query]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    let path = base.path();
    let path = format!("{path}/{}{tail}{mark}{query}", route.id);
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(path.parse().map_err(Error::internal)?);
    http::Uri::from_parts(parts).map_err(Error::internal)
}

/// What a request says about keeping.
#[derive(Deserialize)]
struct Wishes {
    previous_response_id: Option<String>,
}

/// A request that goes on from an earlier answer: with the earlier items in it, where the gateway
/// keeps them; for the provider's own deployment, where that does.
///
/// # Errors
/// `InvalidRequest` (400) for an answer that is somebody else's.
pub async fn go_on(
    domain: &Domain,
    caller: &Arc<Caller>,
    call: &mut Call,
    body: Bytes,
) -> Result<Bytes> {
    if call.format != Format::OpenAiResponses
        || memchr::memmem::find(&body, b"\"previous_response_id\"").is_none()
    {
        return Ok(body);
    }
    let Ok(Wishes {
        previous_response_id: Some(id),
    }) = serde_json::from_slice(&body)
    else {
        return Ok(body);
    };
    if let Some(row) = responses::find(domain, caller, &id).await? {
        let mut items: Vec<Value> = serde_json::from_str(&row.input).map_err(Error::internal)?;
        items.extend(llm::turns::output_items(row.body.as_bytes()));
        call.goes_on_from = Some(id);
        return Ok(llm::turns::prepend(&body, &items)?.into());
    }
    match responses::giver(domain, caller, &id).await? {
        Giver::Deployment(deployment) => call.only_deployment = Some(deployment),
        // the provider may know what did not go through here
        Giver::Unknown => {}
        Giver::Another => {
            return Err(Error::new(
                Code::InvalidRequest,
                format!("Previous response with id '{id}' not found."),
            )
            .param("previous_response_id"));
        }
    }
    Ok(body)
}

/// Keeps a whole answer, where the call says so.
pub fn keep(settlement: &mut Settlement, body: &[u8]) {
    let Some(input) = settlement.call.keep.take() else {
        return;
    };
    let Some(caller) = settlement.call.caller.clone() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(body) else {
        return;
    };
    #[derive(Deserialize)]
    struct Identified {
        id: String,
    }
    let Ok(Identified { id }) = serde_json::from_str(text) else {
        return;
    };
    let domain = settlement.domain();
    let now = domain.clock.now();
    domain
        .responses
        .keep(&caller, id, now, input, text.to_owned());
}

/// Looks for the end of a stream, which holds the whole answer, and keeps that.
pub fn keep_streamed(settlement: &mut Settlement, piece: &[u8]) {
    if settlement.call.keep.is_none() {
        return;
    }
    #[derive(Deserialize)]
    struct Last<'a> {
        #[serde(borrow)]
        response: &'a serde_json::value::RawValue,
    }
    for mark in [
        &b"event: response.completed\ndata: "[..],
        b"event: response.incomplete\ndata: ",
    ] {
        let Some(at) = memchr::memmem::find(piece, mark) else {
            continue;
        };
        let data = &piece[at + mark.len()..];
        let end = memchr::memchr(b'\n', data).unwrap_or(data.len());
        if let Ok(last) = serde_json::from_slice::<Last<'_>>(&data[..end]) {
            return keep(settlement, last.response.get().as_bytes());
        }
    }
}
