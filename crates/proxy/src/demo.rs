//! Answers of the gateway itself: the built-in `demo` model, so that a first call works with no
//! provider and no network, and deployments with a `mock_response`. Both cost nothing.

use base::RequestId;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use llm::{Format, UsageRule};
use serde_json::{Value, json};

use crate::handle::Call;
use crate::respond::{Answer, Source};

const TEXT: &str = "This is the built-in demo model of Tollgate: your gateway, your key and this \
                    call work, but no language model has read your message. Configure a provider \
                    key (for example OPENAI_API_KEY) and restart to talk to a real model.";

/// Length of a demo embedding.
const DIMENSIONS: usize = 8;

/// The answer to a call, in the format it was made in.
pub fn answer(call: &Call, text: Option<&str>) -> Answer {
    let text = text.unwrap_or(TEXT);
    let mut headers = HeaderMap::new();
    if call.stream && call.format.streams() {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream; charset=utf-8"),
        );
        return Answer::Stream {
            headers,
            source: Source::Own(events(call, text)),
            observer: Box::new(llm::response::StreamObserver::new(
                call.format,
                UsageRule::OpenAi,
                &call.requested_model,
                !call.wants_stream_usage,
            )),
            silence: std::time::Duration::from_secs(60),
        };
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Bytes::from(whole(call, text).to_string());
    let (body, observed) =
        llm::response::observe(call.format, UsageRule::OpenAi, body, &call.requested_model);
    Answer::Whole {
        status: StatusCode::OK,
        headers,
        body,
        observed: Box::new(observed),
        failure: None,
    }
}

fn usage(call: &Call, text: &str) -> Value {
    let prompt = llm::tokens::rough(call.prompt_bytes as u64);
    let completion = match call.format {
        Format::OpenAiEmbedding => 0,
        _ => llm::tokens::rough(text.len() as u64),
    };
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

fn head(call: &Call, object: &str) -> Value {
    json!({
        "id": id(call.id),
        "object": object,
        "created": call.started_at.0 / 1000,
        "model": call.requested_model,
    })
}

fn id(request: RequestId) -> String {
    format!("chatcmpl-{}", request.0.simple())
}

fn whole(call: &Call, text: &str) -> Value {
    let mut answer = match call.format {
        Format::OpenAiCompletion => {
            let mut answer = head(call, "text_completion");
            answer["choices"] =
                json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"}]);
            answer
        }
        Format::OpenAiEmbedding => json!({
            "object": "list",
            "model": call.requested_model,
            "data": [{"object": "embedding", "index": 0, "embedding": vec![0.0; DIMENSIONS]}],
        }),
        _ => {
            let mut answer = head(call, "chat.completion");
            answer["choices"] = json!([{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": "stop",
            }]);
            answer
        }
    };
    answer["usage"] = usage(call, text);
    answer
}

/// The events of a streamed answer, the first one last: [`Source::Own`] takes them from the end.
fn events(call: &Call, text: &str) -> Vec<Bytes> {
    let is_chat = call.format == Format::OpenAiChat;
    let object = match is_chat {
        true => "chat.completion.chunk",
        false => "text_completion",
    };
    let chunk = |piece: &str, finish: Value| {
        let mut chunk = head(call, object);
        chunk["choices"] = match is_chat {
            true if finish.is_null() => {
                json!([{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": null}])
            }
            true => json!([{"index": 0, "delta": {}, "finish_reason": finish}]),
            false => json!([{"index": 0, "text": piece, "finish_reason": finish}]),
        };
        chunk
    };
    let mut values: Vec<Value> = text
        .split_inclusive(' ')
        .map(|piece| chunk(piece, Value::Null))
        .collect();
    values.push(chunk("", "stop".into()));
    let mut last = head(call, object);
    last["choices"] = json!([]);
    last["usage"] = usage(call, text);
    values.push(last);
    let mut events: Vec<Bytes> = values
        .into_iter()
        .map(|value| Bytes::from(format!("data: {value}\n\n")))
        .collect();
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events.reverse();
    events
}
