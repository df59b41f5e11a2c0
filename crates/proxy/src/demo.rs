//! Answers of the gateway itself: the built-in `demo` model, so that a first call works with no
//! provider and no network, and deployments with a `mock_response`. Both cost nothing.

use base::{Code, Error, Result};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use llm::conversation::{self, Choice, Part, Stop};
use llm::response::Observed;
use llm::{Format, Usage};
use serde_json::{Value, json};

use crate::handle::Call;
use crate::respond::{self, Answer};
use crate::translated;

const TEXT: &str = "This is the built-in demo model of Tollgate: your gateway, your key and this \
                    call work, but no language model has read your message. Configure a provider \
                    key (for example OPENAI_API_KEY) and restart to talk to a real model.";

/// Length of a demo embedding.
const DIMENSIONS: usize = 8;

/// The answer to a call, in the format it was made in.
///
/// # Errors
/// `InvalidRequest` for an endpoint that neither a text nor a vector answers.
pub fn answer(call: &mut Call, request: &Bytes, text: Option<&str>) -> Result<Answer> {
    let text = text.unwrap_or(TEXT);
    let mut headers = HeaderMap::new();
    if call.format.is_chat() {
        headers.insert(CONTENT_TYPE, translated::content_type(call));
        let answer = chat(call, text);
        return respond::own_answer(call, headers, &answer);
    }
    let body = match call.format {
        Format::OpenAiCompletion if call.stream => completion_events(call, text),
        Format::OpenAiCompletion => completion(call, text, "stop".into()).to_string(),
        Format::OpenAiEmbedding => embedding(call).to_string(),
        _ => {
            let model = call.requested_model.clone();
            let counted = translated::by_gateway(call, &model, request)?;
            return counted.ok_or_else(|| no_answer(call));
        }
    };
    headers.insert(CONTENT_TYPE, translated::content_type(call));
    Ok(Answer::Whole {
        status: StatusCode::OK,
        headers,
        body: body.into(),
        observed: Box::new(Observed {
            usage: Some(usage(call, text)),
            finished: true,
            ..Observed::default()
        }),
        failure: None,
    })
}

fn no_answer(call: &Call) -> Error {
    Error::new(
        Code::InvalidRequest,
        format!(
            "this model answers chats, completions and embeddings; it has no {}",
            call.format.call_type()
        ),
    )
    .param("model")
}

fn usage(call: &Call, text: &str) -> Usage {
    Usage {
        input: llm::tokens::rough(call.measure.text),
        output: match call.format {
            Format::OpenAiEmbedding => 0,
            _ => llm::tokens::rough(text.len() as u64),
        },
        ..Usage::default()
    }
}

fn usage_object(call: &Call, text: &str) -> Value {
    let usage = usage(call, text);
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total_tokens(),
    })
}

fn chat(call: &Call, text: &str) -> conversation::Answer {
    conversation::Answer {
        created: Some(call.started_at.0 / 1000),
        choices: vec![Choice {
            parts: vec![Part::text(text)],
            stop: Some(Stop::End),
            logprobs: Vec::new(),
        }],
        usage: Some(usage(call, text)),
        ..conversation::Answer::default()
    }
}

fn completion(call: &Call, text: &str, finish: Value) -> Value {
    json!({
        "id": format!("cmpl-{}", call.id.0.simple()),
        "object": "text_completion",
        "created": call.started_at.0 / 1000,
        "model": call.requested_model,
        "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": finish}],
        "usage": usage_object(call, text),
    })
}

fn embedding(call: &Call) -> Value {
    json!({
        "object": "list",
        "model": call.requested_model,
        "data": [{"object": "embedding", "index": 0, "embedding": vec![0.0; DIMENSIONS]}],
        "usage": usage_object(call, ""),
    })
}

fn completion_events(call: &Call, text: &str) -> String {
    let mut chunks: Vec<Value> = text
        .split_inclusive(' ')
        .map(|word| completion(call, word, Value::Null))
        .collect();
    chunks.push(completion(call, "", "stop".into()));
    for chunk in &mut chunks {
        chunk["usage"] = Value::Null;
    }
    if call.wants_stream_usage {
        let mut last = completion(call, text, Value::Null);
        last["choices"] = json!([]);
        chunks.push(last);
    }
    let events: String = chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect();
    events + "data: [DONE]\n\n"
}
