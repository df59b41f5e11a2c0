//! Chats of the `/v2` API: the same call as `/v1/chat/completions`, in other words. The request is
//! checked and said as OpenAI's; the answer, its events and its errors are said as this API has them;
//! what was asked and answered is kept in a conversation.

mod asked;
mod error;
mod json;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

use base::{Code, Error, Result, ids};
use bytes::Bytes;
use domain::conversations::{self, Answered, Turn};
use domain::llm_models::{self, Callable, KeySource, LlmModel};
use domain::v2::Proof;
use domain::{Caller, Domain};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use llm::Format;
use serde_json::Value;

use crate::body::Body;
use crate::finish::{Settled, Settlement};
use crate::handle::{self, Call, InFlight};
use crate::respond::Answer;
use crate::routes::CallRoute;
use crate::{Proxy, admit, headers, receive};

pub use words::Words;

/// What is wanted of a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The answer comes in pieces.
    pub stream: bool,
}

/// Reads a path.
pub fn route(method: &Method, path: &str) -> Option<Route> {
    let stream = match path {
        "/v2/llm/chat/completions" => false,
        "/v2/llm/chat/completions/stream" => true,
        _ => return None,
    };
    (method == Method::POST).then_some(Route { stream })
}

/// Answers a chat.
pub async fn handle(
    proxy: &Proxy,
    route: Route,
    request: Request<Incoming>,
    client: IpAddr,
) -> Response<Body> {
    let domain = &proxy.0.domain;
    let mut call = Call::begin(domain, Format::OpenAiChat, client);
    call.user_agent = headers::text(request.headers(), &USER_AGENT).map(str::to_owned);
    call.is_adapted = true;
    let _in_flight = InFlight::enter(proxy);
    let (id, proof) = (call.id, Proof::of(request.headers()));
    let mut settlement = Settlement::new(proxy.clone(), call);
    match serve(proxy, route, request, &mut settlement).await {
        Ok((answer, chat)) => deliver(domain, answer, chat, settlement).await,
        Err(failure) => {
            handle::log(id, &failure);
            let response = error::respond(id, &failure, proof, &settlement.call);
            settlement.refused(&failure);
            response
        }
    }
}

/// A chat under way.
struct Chat {
    model: LlmModel,
    key_source: &'static str,
    turn: Turn,
}

async fn serve(
    proxy: &Proxy,
    route: Route,
    request: Request<Incoming>,
    settlement: &mut Settlement,
) -> Result<(Answer, Chat)> {
    let domain = &proxy.0.domain;
    let (head, body) = request.into_parts();
    let (path, client) = (head.uri.path(), settlement.call.client);
    let caller = admit::authenticate(domain, &head.headers, path, client).await?;
    settlement.call.caller = Some(Arc::clone(&caller));
    let owner_id = conversations::owner(&caller)?.to_owned();
    let body = receive::body(&proxy.0.config, &head.headers, body).await?;
    let asked = asked::read(&body)?;
    settlement.call.requested_model.clone_from(&asked.model_id);
    let model = find_model(domain, &caller, &asked.model_id)?;
    if let Some(id) = &asked.conversation_id {
        conversations::find(domain, &caller, id).await?;
    }
    let Some(Callable { name, .. }) = &model.callable else {
        return Err(no_key(&model));
    };
    let turn = Turn {
        is_first: asked.conversation_id.is_none(),
        conversation_id: match &asked.conversation_id {
            Some(id) => id.clone(),
            None => ids::new_id(settlement.call.started_at),
        },
        owner_id,
        request_id: settlement.call.id.to_string(),
        asked_at: settlement.call.started_at,
        question: asked.question(),
        answer_id: ids::new_id(settlement.call.started_at),
    };
    settlement.call.conversation_id = Some(turn.conversation_id.clone());
    let body: Bytes = asked.as_openai(name, model.max_output_tokens, route.stream);
    let as_openai = CallRoute {
        format: Format::OpenAiChat,
        model: None,
        stream: Some(route.stream),
        as_array: false,
    };
    let headers = for_gateway(&head.headers);
    let answer = handle::answer(proxy, as_openai, &headers, body, &caller, settlement).await?;
    let chosen = settlement.call.chosen.as_ref();
    let chat = Chat {
        model,
        key_source: chosen.map_or(KeySource::System, KeySource::of).as_str(),
        turn,
    };
    Ok((answer, chat))
}

/// What of the client's headers the call is made with: its body is another now.
fn for_gateway(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let timeout = HeaderName::from_static("x-litellm-timeout");
    if let Some(value) = client.get(&timeout) {
        headers.insert(timeout, value.clone());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

fn find_model(domain: &Domain, caller: &Caller, asked: &str) -> Result<LlmModel> {
    llm_models::find(domain, caller, asked).ok_or_else(|| {
        Error::new(Code::NotFound, format!("Model not found: {asked}")).param("model_id")
    })
}

fn no_key(model: &LlmModel) -> Error {
    let provider = llm_models::shown_provider(model.provider);
    Error::new(
        Code::BadRequest,
        format!("No API key configured for {provider}. Please set your API key in settings."),
    )
    .with_kind("provider_key_missing")
}

/// The response for the client.
async fn deliver(
    domain: &Domain,
    answer: Answer,
    chat: Chat,
    mut settlement: Settlement,
) -> Response<Body> {
    match answer {
        Answer::Whole {
            headers: upstream_headers,
            failure: Some(failure),
            ..
        } => {
            let response = error::upstream(&failure, &upstream_headers, &chat, &settlement.call);
            settlement.upstream_refused(&failure);
            response
        }
        Answer::Whole {
            body,
            observed,
            failure: None,
            ..
        } if !settlement.call.stream => {
            let mut headers = HeaderMap::new();
            settlement.describe(&mut headers);
            let settled = settlement.completed(&observed);
            headers::cost(&mut headers, settled.cost, settled.usage_source);
            settlement.describe_key(&mut headers);
            let body = whole(domain, &chat, &body, &settled).await;
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let mut response = Response::new(Body::whole(body));
            *response.headers_mut() = headers;
            response
        }
        Answer::Whole { body, observed, .. } => {
            let mut headers = HeaderMap::new();
            settlement.describe(&mut headers);
            let settled = settlement.completed(&observed);
            settlement.describe_key(&mut headers);
            streamed(Words::of_whole(domain, chat, body, settled), headers)
        }
        stream @ Answer::Stream { .. } => {
            let (mut head, body) = stream.deliver(settlement).into_parts();
            let headers = std::mem::take(&mut head.headers);
            streamed(Words::of_stream(domain, chat, body), headers)
        }
    }
}

fn streamed(words: Words, mut headers: HeaderMap) -> Response<Body> {
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.remove(CONNECTION);
    let mut response = Response::new(Body::Words(Box::new(words)));
    *response.headers_mut() = headers;
    response
}

/// The body of an answer that is there whole, once it is kept.
async fn whole(domain: &Domain, chat: &Chat, body: &[u8], settled: &Settled) -> String {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = answer["choices"][0]["message"]["content"].as_str();
    let answered = answered(text.unwrap_or_default().to_owned(), settled);
    if let Err(error) = conversations::keep(domain, &chat.turn, &answered).await {
        // the answer is paid for, and the client has it all the same
        tracing::warn!(%error, "a conversation could not be kept");
    }
    serde_json::json!({
        "id": answer["id"],
        "conversation_id": chat.turn.conversation_id,
        "message_id": chat.turn.answer_id,
        "content": answered.text,
        "model": chat.model.model_id,
        "input_tokens": answered.input_tokens,
        "output_tokens": answered.output_tokens,
        "cost": answered.cost,
        "key_source": chat.key_source,
    })
    .to_string()
}

fn answered(text: String, settled: &Settled) -> Answered {
    Answered {
        text,
        input_tokens: settled.usage.prompt_tokens(),
        output_tokens: settled.usage.completion_tokens(),
        cost: settled.cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chats_are_routed() {
        let path = "/v2/llm/chat/completions";
        assert_eq!(route(&Method::POST, path), Some(Route { stream: false }));
        assert_eq!(route(&Method::GET, path), None);
        let path = "/v2/llm/chat/completions/stream";
        assert_eq!(route(&Method::POST, path), Some(Route { stream: true }));
        assert_eq!(route(&Method::POST, "/v2/llm/chat"), None);
    }
}
