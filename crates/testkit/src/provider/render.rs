//! OpenAI's wire shapes: what a provider says to a request, as chunks of bytes.

use base64::Engine as _;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::Received;
use super::body::Chunk;

/// An answer ready to be cut and sent.
pub(super) struct Rendered {
    /// Only where the endpoint itself decides it.
    pub status: Option<StatusCode>,
    pub kind: String,
    /// Bytes of the whole body, where the answer announces them.
    pub length: Option<u64>,
    pub chunks: Vec<Chunk>,
    pub prompt_tokens: u64,
}

/// 2023-11-14T22:13:20Z; a fixed time, so that answers can be compared.
const CREATED: u64 = 1_700_000_000;
const PROMPT_TOKENS: u64 = 9;

/// What the endpoint says when nothing else is scripted.
pub(super) fn plausible(received: &Received, usage: Option<(u64, u64)>) -> Rendered {
    match endpoint(received) {
        Endpoint::Chat | Endpoint::Completions => {
            let pieces = ["Hello", " from", " the", " fake", " provider", "."];
            spoken(received, &pieces.map(str::to_owned), usage)
        }
        Endpoint::Embeddings => embeddings(received, usage),
        Endpoint::Models => {
            let model = json!({"id": "fake-model", "object": "model", "created": CREATED, "owned_by": "fake"});
            whole(&json!({"object": "list", "data": [model]}), 0, 0)
        }
        Endpoint::Unknown => {
            let message = format!("unknown request: {} {}", received.method, received.path);
            let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": null});
            let mut answer = whole(&json!({ "error": error }), 0, 0);
            answer.status = Some(StatusCode::NOT_FOUND);
            answer
        }
    }
}

/// A text, whole or streamed, as a chat or a plain completion.
pub(super) fn spoken(
    received: &Received,
    pieces: &[String],
    usage: Option<(u64, u64)>,
) -> Rendered {
    let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
    let chat = endpoint(received) != Endpoint::Completions;
    let (prompt, completion) = usage.unwrap_or((PROMPT_TOKENS, pieces.len() as u64));
    let usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    });
    let shape = Shape {
        chat,
        model: asked["model"].clone(),
    };
    if asked["stream"] == true {
        let usage = (asked["stream_options"]["include_usage"] == true).then_some(usage);
        return Rendered {
            status: None,
            kind: "text/event-stream; charset=utf-8".to_owned(),
            length: None,
            chunks: shape.stream(pieces, usage, completion),
            prompt_tokens: prompt,
        };
    }
    whole(&shape.whole(&pieces.concat(), usage), prompt, completion)
}

/// Given bytes. What they say of usage is counted as served.
pub(super) fn fixed(body: &Bytes, kind: &str, length_known: bool) -> Rendered {
    let (prompt_tokens, completion_tokens) = usage_in(body);
    let mut chunks = if length_known {
        vec![Chunk {
            bytes: body.clone(),
            completion_tokens: 0,
        }]
    } else {
        events(body)
    };
    chunks.retain(|chunk| !chunk.bytes.is_empty());
    if let Some(last) = chunks.last_mut() {
        last.completion_tokens = completion_tokens;
    }
    Rendered {
        status: None,
        kind: kind.to_owned(),
        length: length_known.then_some(body.len() as u64),
        chunks,
        prompt_tokens,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Models,
    Unknown,
}

fn endpoint(received: &Received) -> Endpoint {
    let path = received.path.split('?').next().unwrap_or_default();
    // Providers differ in what comes before these.
    match path.trim_end_matches('/') {
        path if path.ends_with("/chat/completions") => Endpoint::Chat,
        path if path.ends_with("/completions") => Endpoint::Completions,
        path if path.ends_with("/embeddings") => Endpoint::Embeddings,
        path if path.ends_with("/models") => Endpoint::Models,
        _ => Endpoint::Unknown,
    }
}

struct Shape {
    chat: bool,
    model: Value,
}

impl Shape {
    fn whole(&self, text: &str, usage: Value) -> Value {
        let choice = if self.chat {
            json!({"index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null, "finish_reason": "stop"})
        } else {
            json!({"index": 0, "text": text, "logprobs": null, "finish_reason": "stop"})
        };
        let (id, object) = if self.chat {
            ("chatcmpl-fake", "chat.completion")
        } else {
            ("cmpl-fake", "text_completion")
        };
        json!({"id": id, "object": object, "created": CREATED, "model": self.model,
            "choices": [choice], "usage": usage})
    }

    /// A chunk a piece, between those that open and close a stream. With usage asked for, every
    /// chunk has the field and one more chunk fills it.
    fn stream(&self, pieces: &[String], usage: Option<Value>, tokens: u64) -> Vec<Chunk> {
        let event = |choices: Value, usage_field: Option<Value>| {
            let (id, object) = if self.chat {
                ("chatcmpl-fake", "chat.completion.chunk")
            } else {
                ("cmpl-fake", "text_completion")
            };
            let mut event = json!({"id": id, "object": object, "created": CREATED,
                "model": self.model, "choices": choices});
            if let Some(usage_field) = usage_field {
                event["usage"] = usage_field;
            }
            Bytes::from(format!("data: {event}\n\n"))
        };
        let silent = usage.is_some().then_some(Value::Null);
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut push = |bytes, completion_tokens| {
            chunks.push(Chunk {
                bytes,
                completion_tokens,
            });
        };
        if self.chat {
            let opening = self.delta(json!({"role": "assistant", "content": ""}), None);
            push(event(opening, silent.clone()), 0);
        }
        let mut left = tokens;
        for (index, piece) in pieces.iter().enumerate() {
            // One a piece; the last piece takes what usage says beyond that.
            let carried = if index + 1 == pieces.len() {
                left
            } else {
                left.min(1)
            };
            left -= carried;
            let delta = self.delta(json!({ "content": piece }), None);
            push(event(delta, silent.clone()), carried);
        }
        push(event(self.delta(json!({}), Some("stop")), silent), 0);
        if usage.is_some() {
            push(event(json!([]), usage), 0);
        }
        push(Bytes::from_static(b"data: [DONE]\n\n"), 0);
        chunks
    }

    fn delta(&self, delta: Value, finish_reason: Option<&str>) -> Value {
        if self.chat {
            return json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}]);
        }
        let text = delta["content"].as_str().unwrap_or_default();
        json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason}])
    }
}

fn embeddings(received: &Received, usage: Option<(u64, u64)>) -> Rendered {
    let asked: Value = serde_json::from_slice(&received.body).unwrap_or_default();
    // A list of strings, or of token lists, is several inputs; a list of numbers is one.
    let inputs = match asked["input"].as_array() {
        Some(list) if !list.iter().all(Value::is_number) => list.len(),
        _ => 1,
    };
    let vector = [0.5_f32, -0.25, 0.125];
    let embedding = if asked["encoding_format"] == "base64" {
        let raw: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
        json!(base64::engine::general_purpose::STANDARD.encode(raw))
    } else {
        json!(vector)
    };
    let data: Vec<Value> = (0..inputs)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": embedding}))
        .collect();
    let (prompt, _) = usage.unwrap_or((PROMPT_TOKENS, 0));
    let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt});
    let answer = json!({"object": "list", "data": data, "model": asked["model"], "usage": usage});
    whole(&answer, prompt, 0)
}

fn whole(document: &Value, prompt_tokens: u64, completion_tokens: u64) -> Rendered {
    let bytes = Bytes::from(document.to_string());
    Rendered {
        status: None,
        kind: "application/json".to_owned(),
        length: Some(bytes.len() as u64),
        chunks: vec![Chunk {
            bytes,
            completion_tokens,
        }],
        prompt_tokens,
    }
}

/// Cuts a stream after the blank line that ends each event, whatever ends its lines.
fn events(body: &Bytes) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut start, mut line) = (0, 0);
    for (index, byte) in body.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let blank = body[line..index].iter().all(|byte| *byte == b'\r');
        line = index + 1;
        if blank {
            chunks.push(body.slice(start..line));
            start = line;
        }
    }
    chunks.push(body.slice(start..));
    let chunk = |bytes| Chunk {
        bytes,
        completion_tokens: 0,
    };
    chunks.into_iter().map(chunk).collect()
}

/// Prompt and completion tokens by the last usage that a body states.
fn usage_in(body: &[u8]) -> (u64, u64) {
    let in_document = |text: &[u8]| {
        let document: Value = serde_json::from_slice(text).ok()?;
        let usage = &document["usage"];
        let count = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
        usage.is_object().then(|| {
            (
                count(["prompt_tokens", "input_tokens"]).unwrap_or(0),
                count(["completion_tokens", "output_tokens"]).unwrap_or(0),
            )
        })
    };
    let of_events = || {
        let lines = body.split(|byte| *byte == b'\n').rev();
        lines
            .filter_map(|line| line.strip_prefix(b"data:"))
            .find_map(in_document)
    };
    in_document(body).or_else(of_events).unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_with_their_blank_line() {
        let body = Bytes::from_static(b"data: 1\n\ndata: 2\r\n\r\n: note\n\ndata: 3");
        let chunks: Vec<Bytes> = events(&body).into_iter().map(|chunk| chunk.bytes).collect();
        let wanted: [&[u8]; 4] = [
            b"data: 1\n\n",
            b"data: 2\r\n\r\n",
            b": note\n\n",
            b"data: 3",
        ];
        assert_eq!(chunks, wanted);
    }

    #[test]
    fn usage_is_the_last_one_stated() {
        let stream = b"data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
        assert_eq!(usage_in(stream), (3, 5));
        assert_eq!(
            usage_in(b"{\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}"),
            (3, 5)
        );
        assert_eq!(usage_in(b"<html>"), (0, 0));
    }
}
