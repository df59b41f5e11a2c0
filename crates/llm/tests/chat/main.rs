//! OpenAI's Chat Completions as a format of its own: what is read, what is written, and that neither
//! loses anything.

mod answers;
mod broken;
mod provider_requests;
mod recordings;
mod requests;
mod streams;

use llm::conversation::Conversation;
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider};
use serde_json::Value;

const CHAT: Format = Format::OpenAiChat;

fn to<'a>(name: &str, model: &'a str) -> To<'a> {
    To {
        provider: provider::find(name).unwrap_or_else(|| panic!("no provider {name}")),
        model,
        max_output_tokens: None,
    }
}

fn shown() -> Shown {
    Shown {
        id: "call-1".to_owned(),
        model: "our-model".to_owned(),
        created: 1_700_000_000,
        include_usage: true,
        as_array: false,
        request: None,
    }
}

/// Reads a client's request that must be valid.
fn read(body: &Value) -> Conversation {
    translate::read_request(CHAT, body.to_string().as_bytes())
        .unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// The request that a provider gets, and what was left out of it.
fn sent(name: &str, model: &str, body: &Value) -> (Value, Vec<String>) {
    let translated = translate::request(
        CHAT,
        CHAT,
        &to(name, model),
        body.to_string().as_bytes(),
        false,
    )
    .unwrap_or_else(|error| panic!("{error}: {body}"));
    let body = serde_json::from_slice(&translated.body).expect("JSON");
    (body, translated.dropped)
}

/// The member that a refusal names.
fn refused(name: &str, model: &str, body: &Value) -> String {
    let error = translate::request(
        CHAT,
        CHAT,
        &to(name, model),
        body.to_string().as_bytes(),
        false,
    )
    .expect_err("a refusal");
    assert_eq!(error.status(), 400, "{error}");
    let member = error.parameter().expect("a named member").to_owned();
    let said = error.message();
    assert!(
        said.contains(member.as_str()),
        "{said} does not name {member}"
    );
    member
}

/// A provider's answer as the client gets it.
fn answered(body: &Value) -> Value {
    let (body, _) = translate::answer(
        CHAT,
        UsageRule::OpenAi,
        CHAT,
        body.to_string().as_bytes(),
        &shown(),
    )
    .unwrap_or_else(|error| panic!("{error}: {body}"));
    serde_json::from_slice(&body).expect("JSON")
}

/// A provider's stream as the client gets it, from pieces of so many bytes.
fn streamed(rule: UsageRule, stream: &[u8], size: usize) -> (Vec<u8>, llm::response::Observed) {
    let mut translator = StreamTranslator::new(CHAT, rule, CHAT, shown()).expect("two chats");
    let mut out = Vec::new();
    for piece in stream.chunks(size.max(1)) {
        out.extend_from_slice(&translator.feed(piece));
    }
    let (rest, observed) = translator.finish();
    out.extend_from_slice(&rest);
    (out, observed)
}

/// The JSON of a stream's data lines.
fn payloads(stream: &[u8]) -> Vec<Value> {
    stream
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data:")?.trim_ascii()).ok())
        .collect()
}
