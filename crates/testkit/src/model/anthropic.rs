//! Anthropic's messages, and its count of tokens.

use serde_json::{Value, json};

use super::say::{Asked, Offered, Saying};
use super::{
    CACHED, FRESH, GENERATED, Outcome, Refusal, WRITTEN, bad, decide, event, list, only, pieces,
    refused, seal, stream, text,
};
use crate::provider::{Received, Reply};

const KNOWN: &[&str] = &[
    "model",
    "messages",
    "system",
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "tools",
    "tool_choice",
    "thinking",
    "service_tier",
    "output_config",
    "output_format",
    "context_management",
    "mcp_servers",
    "container",
    "inference_geo",
    "cache_control",
    "speed",
];

const COUNTED: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "context_management",
    "mcp_servers",
    "cache_control",
    "speed",
];

pub fn answer(
    number: usize,
    received: &Received,
    body: &Value,
    authorised: bool,
    is_count: bool,
) -> Reply {
    let answered = read(received, body, authorised, is_count).and_then(|mut asked| {
        asked.number = number;
        if is_count {
            return Ok(Reply::json(&json!({"input_tokens": 42})));
        }
        let saying = decide(&asked)?;
        match asked.streams {
            true => Ok(stream(events(&asked, &saying), &saying)),
            false => whole(&asked, &saying),
        }
    });
    answered.unwrap_or_else(|refusal| refused(&refusal, &error(&refusal)))
}

fn error(refusal: &Refusal) -> Value {
    let kind = match refusal.status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": refusal.message}, "request_id": "req_1"})
}

fn read(received: &Received, body: &Value, authorised: bool, is_count: bool) -> Outcome<Asked> {
    if !authorised {
        return Err(Refusal {
            status: 401,
            message: "invalid x-api-key".to_owned(),
        });
    }
    if received.header("anthropic-version").is_empty() {
        return bad("anthropic-version: header is required");
    }
    only(body, if is_count { COUNTED } else { KNOWN })?;
    if !is_count && !body["max_tokens"].is_u64() {
        return bad("max_tokens: Field required");
    }
    let thinking = &body["thinking"];
    let thinks = matches!(text(&thinking["type"]), "enabled" | "adaptive");
    if thinking["type"] == "enabled"
        && thinking["budget_tokens"].as_u64() >= body["max_tokens"].as_u64()
    {
        return bad("`max_tokens` must be greater than `thinking.budget_tokens`");
    }
    let choice = &body["tool_choice"];
    let mut asked = Asked {
        model: text(&body["model"]).to_owned(),
        tools: list(&body["tools"]).iter().filter_map(tool).collect(),
        forced: choice["name"].as_str().map(str::to_owned),
        must_call: choice["type"] == "any",
        may_call: choice["type"] != "none",
        one_call_at_a_time: choice["disable_parallel_tool_use"] == true,
        wants_json: body["output_config"]["format"].is_object()
            || body["output_format"].is_object(),
        thinks,
        streams: body["stream"] == true,
        ..Asked::default()
    };
    match &body["system"] {
        Value::String(system) => asked.system(system),
        blocks => list(blocks)
            .iter()
            .for_each(|block| asked.system(text(&block["text"]))),
    }
    let mut open: Vec<String> = Vec::new();
    let messages = list(&body["messages"]);
    for (at, message) in messages.iter().enumerate() {
        let blocks = blocks(&message["content"]);
        match text(&message["role"]) {
            "user" => user(&mut asked, at, &blocks, &mut open)?,
            "assistant" => {
                let is_open = thinks && results_follow(messages.get(at + 1));
                open = assistant(&asked, at, &blocks, is_open)?;
            }
            "system" => blocks
                .iter()
                .for_each(|block| asked.system(text(&block["text"]))),
            other => return bad(format!("messages.{at}.role: {other:?} is no role")),
        }
    }
    match open.is_empty() && !messages.is_empty() {
        true => Ok(asked),
        false => bad("messages: `tool_use` ids were found without `tool_result` blocks"),
    }
}

fn blocks(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        blocks => list(blocks).to_vec(),
    }
}

fn results_follow(message: Option<&Value>) -> bool {
    message.is_some_and(|message| {
        list(&message["content"])
            .iter()
            .any(|block| block["type"] == "tool_result")
    })
}

fn tool(tool: &Value) -> Option<Offered> {
    let is_own = tool["input_schema"].is_object();
    let name = tool["name"].as_str().filter(|_| is_own)?;
    Some(Offered {
        name: name.to_owned(),
        is_custom: false,
    })
}

fn user(asked: &mut Asked, at: usize, blocks: &[Value], open: &mut Vec<String>) -> Outcome<()> {
    if blocks.is_empty() {
        return bad(format!(
            "messages.{at}: user messages must have non-empty content"
        ));
    }
    for block in blocks {
        match text(&block["type"]) {
            "text" if text(&block["text"]).trim().is_empty() => {
                return bad(format!(
                    "messages.{at}: text content blocks must be non-empty"
                ));
            }
            "text" if open.is_empty() => asked.user(text(&block["text"]), Vec::new()),
            "tool_result" => {
                let id = text(&block["tool_use_id"]);
                let Some(place) = open.iter().position(|call| call == id) else {
                    return bad(format!("messages.{at}: unexpected `tool_use_id` {id:?}"));
                };
                open.remove(place);
                asked.result(words(&block["content"]));
            }
            "image" | "document" => asked.user("", vec![seen(&block["source"])?]),
            other => return bad(format!("messages.{at}: unexpected block {other:?}")),
        }
    }
    match open.is_empty() {
        true => Ok(()),
        false => bad(format!(
            "messages.{at}: `tool_use` without `tool_result`: {open:?}"
        )),
    }
}

fn words(content: &Value) -> String {
    let blocks = blocks(content);
    let texts = blocks.iter().map(|block| text(&block["text"]));
    texts.collect::<Vec<_>>().join("\n")
}

fn seen(source: &Value) -> Outcome<String> {
    match text(&source["type"]) {
        "base64" => super::say_data(text(&source["media_type"]), text(&source["data"])),
        "url" => Ok(text(&source["url"]).to_owned()),
        "text" => Ok("a text".to_owned()),
        other => bad(format!("source.type: {other:?}")),
    }
}

/// Checks what comes back of the model's own turn; gives the ids of its calls.
fn assistant(asked: &Asked, at: usize, blocks: &[Value], is_open: bool) -> Outcome<Vec<String>> {
    let round = asked.round();
    let mut ids = Vec::new();
    if is_open
        && !blocks
            .first()
            .is_some_and(|block| matches!(text(&block["type"]), "thinking" | "redacted_thinking"))
    {
        return bad(format!(
            "messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`. When `thinking` \
             is enabled, a final `assistant` message must start with a thinking block"
        ));
    }
    for block in blocks {
        match text(&block["type"]) {
            "thinking" => {
                if block["signature"] != json!(seal::of("thinking", round)) {
                    return bad(format!(
                        "messages.{at}: Invalid `signature` in `thinking` block"
                    ));
                }
                if block["thinking"] != json!(seal::thought(round)) {
                    return bad(format!(
                        "messages.{at}: `thinking` blocks cannot be modified"
                    ));
                }
            }
            "redacted_thinking" if block["data"] != json!(seal::of("redacted", round)) => {
                return bad(format!(
                    "messages.{at}: Invalid `data` in `redacted_thinking` block"
                ));
            }
            "tool_use" => {
                let id = text(&block["id"]);
                let allowed =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                if id.is_empty() || id.len() > 64 || !id.bytes().all(allowed) {
                    return bad(format!("messages.{at}: tool_use.id: {id:?} does not match"));
                }
                if !block["input"].is_object() {
                    return bad(format!("messages.{at}: tool_use.input: must be an object"));
                }
                ids.push(id.to_owned());
            }
            "text" if text(&block["text"]).is_empty() => {
                return bad(format!(
                    "messages.{at}: text content blocks must be non-empty"
                ));
            }
            _ => {}
        }
    }
    Ok(ids)
}

/// The blocks of the answer.
fn content(saying: &Saying) -> Vec<Value> {
    let mut content = Vec::new();
    if let Some(thought) = &saying.thought {
        content.push(match saying.is_secret {
            true => {
                json!({"type": "redacted_thinking", "data": seal::of("redacted", saying.round)})
            }
            false => json!({"type": "thinking", "thinking": thought,
                "signature": seal::of("thinking", saying.round)}),
        });
    }
    content.push(json!({"type": "text", "text": saying.text}));
    content.extend(saying.calls.iter().map(|called| {
        let input: Value = serde_json::from_str(&called.arguments).unwrap_or_default();
        json!({"type": "tool_use", "id": format!("toolu_{}", called.id), "name": called.name,
            "input": input, "caller": {"type": "direct"}})
    }));
    content
}

fn stop(saying: &Saying) -> &'static str {
    match saying {
        Saying {
            is_cut_short: true, ..
        } => "max_tokens",
        Saying { calls, .. } if !calls.is_empty() => "tool_use",
        _ => "end_turn",
    }
}

fn usage(generated: u64) -> Value {
    json!({
        "input_tokens": FRESH,
        "cache_read_input_tokens": CACHED,
        "cache_creation_input_tokens": WRITTEN,
        "cache_creation": {"ephemeral_5m_input_tokens": WRITTEN, "ephemeral_1h_input_tokens": 0},
        "output_tokens": generated,
        "service_tier": "standard",
    })
}

fn whole(asked: &Asked, saying: &Saying) -> Outcome<Reply> {
    if saying.fails_midway || saying.breaks_off {
        return Err(Refusal {
            status: 500,
            message: "the model failed midway".to_owned(),
        });
    }
    Ok(Reply::json(&json!({
        "id": format!("msg_scripted{}", asked.number), "type": "message", "role": "assistant", "model": asked.model,
        "content": content(saying), "stop_reason": stop(saying), "stop_sequence": null,
        "usage": usage(GENERATED),
    })))
}

fn events(asked: &Asked, saying: &Saying) -> Vec<String> {
    let named = |data: Value| event(data["type"].as_str(), &data);
    let message = json!({"id": format!("msg_scripted{}", asked.number), "type": "message", "role": "assistant",
        "model": asked.model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage(1)});
    let mut events = vec![
        named(json!({"type": "message_start", "message": message})),
        named(json!({"type": "ping"})),
    ];
    for (index, block) in content(saying).into_iter().enumerate() {
        let delta = |delta: Value| {
            named(json!({"type": "content_block_delta", "index": index, "delta": delta}))
        };
        let (opening, deltas) = in_pieces(block);
        let start =
            json!({"type": "content_block_start", "index": index, "content_block": opening});
        events.push(named(start));
        events.extend(deltas.into_iter().map(delta));
        if saying.fails_midway && index + 1 == content(saying).len() {
            let error = json!({"type": "overloaded_error", "message": "the model failed midway"});
            events.push(named(json!({"type": "error", "error": error})));
            return events;
        }
        events.push(named(json!({"type": "content_block_stop", "index": index})));
    }
    let delta = json!({"stop_reason": stop(saying), "stop_sequence": null});
    events.push(named(
        json!({"type": "message_delta", "delta": delta, "usage": usage(GENERATED)}),
    ));
    events.push(named(json!({"type": "message_stop"})));
    events
}

/// A block as a stream opens it, and what follows.
fn in_pieces(mut block: Value) -> (Value, Vec<Value>) {
    let deltas = match text(&block["type"]) {
        "text" => {
            let pieces = pieces(text(&block["text"])).into_iter();
            pieces
                .map(|piece| json!({"type": "text_delta", "text": piece}))
                .collect()
        }
        "thinking" => {
            let thoughts = pieces(text(&block["thinking"])).into_iter();
            let thoughts =
                thoughts.map(|piece| json!({"type": "thinking_delta", "thinking": piece}));
            let signature = json!({"type": "signature_delta", "signature": block["signature"]});
            thoughts.chain([signature]).collect()
        }
        "tool_use" => {
            let pieces = pieces(&block["input"].to_string()).into_iter();
            pieces
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                .collect()
        }
        _ => Vec::new(),
    };
    for member in ["text", "thinking", "signature"] {
        if block.get(member).is_some() {
            block[member] = json!("");
        }
    }
    if block.get("input").is_some() {
        block["input"] = json!({});
    }
    (block, deltas)
}
