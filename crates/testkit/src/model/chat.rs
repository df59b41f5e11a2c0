//! OpenAI's chat completions.

use serde_json::{Value, json};

use super::say::{Asked, Offered, Saying};
use super::{
    CACHED, FRESH, GENERATED, Outcome, Refusal, THOUGHT, bad, decide, event, list, only,
    openai_error, pieces, stream, text,
};
use crate::provider::Reply;

/// The members of a request.
const KNOWN: &[&str] = &[
    "model",
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "user",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "metadata",
    "response_format",
    "reasoning_effort",
    "service_tier",
    "store",
    "verbosity",
    "modalities",
    "audio",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "web_search_options",
];

const CREATED: u64 = 1_790_000_000;

pub fn answer(body: &Value, authorised: bool, number: usize) -> Reply {
    let answered = read(body, authorised).and_then(|mut asked| {
        asked.number = number;
        let saying = decide(&asked)?;
        Ok(match asked.streams {
            true => stream(
                events(
                    &asked,
                    &saying,
                    body["stream_options"]["include_usage"] == true,
                ),
                &saying,
            ),
            false => whole(&asked, &saying)?,
        })
    });
    answered.unwrap_or_else(|refusal| openai_error(&refusal))
}

fn read(body: &Value, authorised: bool) -> Outcome<Asked> {
    if !authorised {
        return Err(Refusal {
            status: 401,
            message: "this is not the provider's key".to_owned(),
        });
    }
    only(body, KNOWN)?;
    let choice = &body["tool_choice"];
    let mut asked = Asked {
        model: text(&body["model"]).to_owned(),
        tools: list(&body["tools"]).iter().filter_map(tool).collect(),
        forced: choice["function"]["name"].as_str().map(str::to_owned),
        must_call: choice == "required",
        may_call: choice != "none",
        one_call_at_a_time: body["parallel_tool_calls"] == false,
        wants_json: matches!(
            text(&body["response_format"]["type"]),
            "json_schema" | "json_object"
        ),
        thinks: body["reasoning_effort"]
            .as_str()
            .is_some_and(|effort| effort != "none"),
        streams: body["stream"] == true,
        ..Asked::default()
    };
    let mut open: Vec<String> = Vec::new();
    for message in list(&body["messages"]) {
        let role = text(&message["role"]);
        if role != "tool" && !open.is_empty() {
            return bad("tool_calls must be followed by tool messages responding to each");
        }
        match role {
            "system" | "developer" => asked.system(&words(&message["content"])),
            "user" => asked.user(&words(&message["content"]), media(&message["content"])?),
            "assistant" => open = call_ids(message)?,
            "tool" => {
                let id = text(&message["tool_call_id"]);
                let Some(at) = open.iter().position(|call| call == id) else {
                    return bad(format!("tool_call_id {id:?} answers no call"));
                };
                open.remove(at);
                asked.result(words(&message["content"]));
            }
            other => return bad(format!("Invalid value: {other:?} is no role")),
        }
    }
    match open.is_empty() && !list(&body["messages"]).is_empty() {
        true => Ok(asked),
        false => bad("messages are missing"),
    }
}

fn tool(tool: &Value) -> Option<Offered> {
    let is_custom = tool["type"] == "custom";
    let name = match is_custom {
        true => &tool["custom"]["name"],
        false => &tool["function"]["name"],
    };
    Some(Offered {
        name: name.as_str()?.to_owned(),
        is_custom,
    })
}

fn call_ids(message: &Value) -> Outcome<Vec<String>> {
    let mut ids = Vec::new();
    for call in list(&message["tool_calls"]) {
        let id = text(&call["id"]);
        if id.is_empty() || id.len() > 64 {
            return bad(format!(
                "tool_calls: id {id:?} is no string of 1 to 64 characters"
            ));
        }
        let arguments = &call["function"]["arguments"];
        if call["type"] == "function"
            && !serde_json::from_str::<Value>(text(arguments)).is_ok_and(|value| value.is_object())
        {
            return bad(format!(
                "tool_calls: arguments {arguments} are no JSON object"
            ));
        }
        ids.push(id.to_owned());
    }
    if ids.is_empty() && message["content"].is_null() && message["refusal"].is_null() {
        return bad("an assistant message needs content or tool_calls");
    }
    Ok(ids)
}

/// The text of a message's content, a string or parts.
fn words(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        parts => {
            let texts = list(parts).iter().map(|part| text(&part["text"]));
            texts
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        }
    }
}

fn media(content: &Value) -> Outcome<Vec<String>> {
    let mut seen = Vec::new();
    for part in list(content) {
        match text(&part["type"]) {
            "text" => {}
            "image_url" => seen.push(super::say_url(text(&part["image_url"]["url"]))?),
            "file" => seen.push(super::say_url(text(&part["file"]["file_data"]))?),
            "input_audio" => seen.push("sound".to_owned()),
            other => return bad(format!("Invalid value: {other:?} is no type of content")),
        }
    }
    Ok(seen)
}

fn call(called: &super::say::Called) -> Value {
    let id = format!("call_{}", called.id);
    match called.is_custom {
        true => json!({"id": id, "type": "custom",
            "custom": {"name": called.name, "input": called.arguments}}),
        false => json!({"id": id, "type": "function",
            "function": {"name": called.name, "arguments": called.arguments}}),
    }
}

fn finish(saying: &Saying) -> &'static str {
    match saying {
        Saying {
            is_cut_short: true, ..
        } => "length",
        Saying { calls, .. } if !calls.is_empty() => "tool_calls",
        _ => "stop",
    }
}

fn usage(saying: &Saying) -> Value {
    let thought = if saying.thought.is_some() { THOUGHT } else { 0 };
    json!({
        "prompt_tokens": FRESH + CACHED,
        "completion_tokens": GENERATED,
        "total_tokens": FRESH + CACHED + GENERATED,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

fn whole(asked: &Asked, saying: &Saying) -> Outcome<Reply> {
    if saying.fails_midway || saying.breaks_off {
        return Err(Refusal {
            status: 500,
            message: "the model failed midway".to_owned(),
        });
    }
    let mut message = json!({"role": "assistant", "content": saying.text, "refusal": null,
        "annotations": []});
    if let Some(thought) = &saying.thought {
        message["reasoning_content"] = json!(thought);
    }
    if !saying.calls.is_empty() {
        message["tool_calls"] = saying.calls.iter().map(call).collect();
    }
    Ok(Reply::json(&json!({
        "id": format!("chatcmpl-scripted{}", asked.number), "object": "chat.completion", "created": CREATED,
        "model": asked.model, "service_tier": "default", "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "logprobs": null,
            "finish_reason": finish(saying)}],
        "usage": usage(saying),
    })))
}

fn events(asked: &Asked, saying: &Saying, with_usage: bool) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({"id": format!("chatcmpl-scripted{}", asked.number), "object": "chat.completion.chunk",
            "created": CREATED, "model": asked.model, "choices": choices});
        if with_usage {
            chunk["usage"] = usage;
        }
        event(None, &chunk)
    };
    let delta = |delta: Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        chunk(json!([choice]), Value::Null)
    };
    let mut events = vec![delta(
        json!({"role": "assistant", "content": ""}),
        Value::Null,
    )];
    if let Some(thought) = &saying.thought {
        let thoughts = pieces(thought).into_iter();
        events
            .extend(thoughts.map(|piece| delta(json!({"reasoning_content": piece}), Value::Null)));
    }
    let texts = pieces(&saying.text).into_iter();
    events.extend(texts.map(|piece| delta(json!({"content": piece}), Value::Null)));
    if saying.fails_midway {
        let error = json!({"message": "the model failed midway", "type": "server_error",
            "param": null, "code": null});
        events.push(event(None, &json!({ "error": error })));
        return events;
    }
    for (index, called) in saying.calls.iter().enumerate() {
        let (member, argument) = match called.is_custom {
            true => ("custom", "input"),
            false => ("function", "arguments"),
        };
        let mut opening = call(called);
        opening["index"] = json!(index);
        opening[member][argument] = json!("");
        events.push(delta(json!({"tool_calls": [opening]}), Value::Null));
        events.extend(pieces(&called.arguments).into_iter().map(|piece| {
            let more = json!({"index": index, member: {argument: piece}});
            delta(json!({"tool_calls": [more]}), Value::Null)
        }));
    }
    events.push(delta(json!({}), json!(finish(saying))));
    if with_usage {
        events.push(chunk(json!([]), usage(saying)));
    }
    events.push("data: [DONE]\n\n".to_owned());
    events
}
