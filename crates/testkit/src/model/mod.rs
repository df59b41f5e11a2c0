//! A small model that always answers the same, behind the protocols of three providers: OpenAI (chat
//! and responses), Anthropic and Gemini, whole and streamed.
//!
//! It takes its orders from the words of the conversation ([`say`]), calls tools, thinks, and demands
//! its thoughts back: whatever it sealed must return byte for byte, or the call is refused as the
//! provider would. Requests are checked as strictly as the providers do: a member that a provider does
//! not know, a call without a result or a tool's id of a wrong shape gets 400.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::provider::{Received, Reply};

mod anthropic;
mod chat;
mod gemini;
mod responses;
mod say;
mod seal;

use say::{Asked, Saying};

/// The model and what it remembers.
#[derive(Default)]
pub struct Model {
    /// Items of the conversation up to and with each response, by its id (`previous_response_id`).
    responses: Mutex<HashMap<String, Vec<Value>>>,
    /// How many answers were asked for: every answer has an id of its own, as clients tell them apart.
    asked: AtomicUsize,
}

/// Why a request is not answered.
#[derive(Debug)]
struct Refusal {
    status: u16,
    message: String,
}

type Outcome<T> = Result<T, Refusal>;

fn bad<T>(message: impl Into<String>) -> Outcome<T> {
    Err(Refusal {
        status: 400,
        message: message.into(),
    })
}

/// What the answers count: tokens that were not cached, read from and written to the cache, generated.
const FRESH: u64 = 50;
const CACHED: u64 = 40;
const WRITTEN: u64 = 10;
const GENERATED: u64 = 30;
/// Of the generated ones.
const THOUGHT: u64 = 10;

impl Model {
    /// Answers a request to one of the four endpoints; `None` for any other path. `key` is what the
    /// provider's header must carry.
    pub fn answer(&self, received: &Received, key: &str) -> Option<Reply> {
        let path = received.path.split('?').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let bearer = received.header("authorization") == format!("Bearer {key}");
        if path.ends_with("/chat/completions") {
            Some(chat::answer(&body, bearer, number))
        } else if path.ends_with("/responses") {
            Some(responses::answer(self, &body, bearer))
        } else if path.ends_with("/messages") || path.ends_with("/messages/count_tokens") {
            let is_count = path.ends_with("/count_tokens");
            Some(anthropic::answer(
                number,
                received,
                &body,
                bearer || received.header("x-api-key") == key,
                is_count,
            ))
        } else if let Some((_, action)) = path
            .strip_prefix("/v1beta/models/")
            .and_then(|rest| rest.rsplit_once(':'))
        {
            let authorised = received.header("x-goog-api-key") == key;
            Some(gemini::answer(number, received, &body, authorised, action))
        } else {
            None
        }
    }
}

/// Refuses members that the provider does not know.
fn only(body: &Value, known: &[&str]) -> Outcome<()> {
    let Some(members) = body.as_object() else {
        return bad("the body is no JSON object");
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => bad(format!("Unrecognized request argument supplied: {name}")),
        None => Ok(()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One event of a stream; Anthropic and OpenAI's responses name theirs.
fn event(name: Option<&str>, data: &Value) -> String {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
}

/// An error in OpenAI's shape, with what OpenAI and Anthropic say of when to come again.
fn openai_error(refusal: &Refusal) -> Reply {
    let kind = match refusal.status {
        401 => "invalid_request_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let error = json!({"message": refusal.message, "type": kind, "param": null, "code": null});
    refused(refusal, &json!({ "error": error }))
}

fn refused(refusal: &Refusal, body: &Value) -> Reply {
    let reply = Reply::json(body).status(refusal.status);
    match refusal.status {
        429 => reply.header("retry-after", "7"),
        _ => reply,
    }
}

/// Cuts a text into pieces of a few characters, as streams bring it.
fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(7)
        .map(|piece| piece.iter().collect())
        .collect()
}

/// The reply to a stream: its events, or what of them comes before the connection breaks.
fn stream(events: Vec<String>, saying: &Saying) -> Reply {
    let half = events.len() / 2;
    let reply = Reply::events(events.concat());
    match saying.breaks_off {
        true => reply.cut_after_chunks(half),
        false => reply,
    }
}

/// What the model says, or the refusal that its orders demand.
fn decide(asked: &Asked) -> Outcome<Saying> {
    if let Some(status) = asked.ordered_failure() {
        return Err(Refusal {
            status,
            message: format!("the model says {status}"),
        });
    }
    Ok(say::say(asked))
}

/// How the model names what it sees: the type and size of data, or the address.
fn say_url(url: &str) -> Outcome<String> {
    let Some(data) = url.strip_prefix("data:") else {
        return match url.starts_with("http") {
            true => Ok(url.to_owned()),
            false => bad(format!("{url:?} is no URL")),
        };
    };
    match data.split_once(";base64,") {
        Some((kind, data)) => say_data(kind, data),
        None => bad("only base64 data URLs are taken"),
    }
}

fn say_data(kind: &str, data: &str) -> Outcome<String> {
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(data) {
        Ok(bytes) => Ok(format!("{kind} of {} bytes", bytes.len())),
        Err(error) => bad(format!("no base64: {error}")),
    }
}
