//! OpenAI's responses.

use serde_json::{Value, json};

use super::say::{Asked, Called, Offered, Saying};
use super::{
    CACHED, FRESH, GENERATED, Model, Outcome, Refusal, THOUGHT, bad, decide, event, list, only,
    openai_error, pieces, seal, stream, text,
};
use crate::provider::Reply;

const KNOWN: &[&str] = &[
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "max_output_tokens",
    "max_tool_calls",
    "temperature",
    "top_p",
    "top_logprobs",
    "user",
    "metadata",
    "text",
    "reasoning",
    "include",
    "store",
    "background",
    "service_tier",
    "truncation",
    "previous_response_id",
    "conversation",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "client_metadata",
    "context_management",
];

const CREATED: u64 = 1_790_000_000;
const SEALED: &str = "reasoning.encrypted_content";

pub fn answer(model: &Model, body: &Value, authorised: bool) -> Reply {
    let answered = items(model, body).and_then(|items| {
        let asked = read(body, &items, authorised)?;
        let saying = decide(&asked)?;
        let output = output(&saying, gives_seals(body));
        let id = remember(model, items, &output);
        let response = response(body, &saying, &id, &output);
        if asked.streams {
            return Ok(stream(events(&saying, response), &saying));
        }
        match saying.fails_midway || saying.breaks_off {
            true => Err(Refusal {
                status: 500,
                message: "the model failed midway".to_owned(),
            }),
            false => Ok(Reply::json(&response)),
        }
    });
    answered.unwrap_or_else(|refusal| openai_error(&refusal))
}

/// The whole conversation: what an earlier response holds, and the input.
fn items(model: &Model, body: &Value) -> Outcome<Vec<Value>> {
    let mut items = match body["previous_response_id"].as_str() {
        Some(id) => {
            let known = model
                .responses
                .lock()
                .expect("no code panics while it holds it");
            match known.get(id) {
                Some(items) => items.clone(),
                None => return bad(format!("Previous response with id '{id}' not found.")),
            }
        }
        None => Vec::new(),
    };
    match &body["input"] {
        Value::String(text) => items.push(json!({"role": "user", "content": text})),
        input => items.extend_from_slice(list(input)),
    }
    Ok(items)
}

fn remember(model: &Model, mut items: Vec<Value>, output: &[Value]) -> String {
    items.extend_from_slice(output);
    let mut known = model
        .responses
        .lock()
        .expect("no code panics while it holds it");
    let id = format!("resp_scripted{:04}", known.len());
    known.insert(id.clone(), items);
    id
}

fn gives_seals(body: &Value) -> bool {
    list(&body["include"]).iter().any(|what| what == SEALED)
}

fn read(body: &Value, items: &[Value], authorised: bool) -> Outcome<Asked> {
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
        forced: choice["name"].as_str().map(str::to_owned),
        must_call: choice == "required",
        may_call: choice != "none",
        one_call_at_a_time: body["parallel_tool_calls"] == false,
        wants_json: matches!(
            text(&body["text"]["format"]["type"]),
            "json_schema" | "json_object"
        ),
        thinks: body["reasoning"].is_object() && body["reasoning"]["effort"] != "none",
        streams: body["stream"] == true,
        ..Asked::default()
    };
    asked.system(text(&body["instructions"]));
    let mut open: Vec<String> = Vec::new();
    let mut reasoned = false;
    for (at, item) in items.iter().enumerate() {
        let kind = item["type"].as_str().unwrap_or("message");
        match kind {
            "message" => message(&mut asked, at, item)?,
            "reasoning" => {
                check_reasoning(&asked, at, item)?;
                reasoned = true;
            }
            "function_call" | "custom_tool_call" => {
                if asked.thinks && gives_seals(body) && !reasoned {
                    return bad(format!(
                        "Item 'input[{at}]' of type '{kind}' was provided without its required \
                         'reasoning' item"
                    ));
                }
                open.push(call_id(at, item)?);
            }
            "function_call_output" | "custom_tool_call_output" => {
                reasoned = false;
                let id = text(&item["call_id"]);
                let Some(place) = open.iter().position(|call| call == id) else {
                    return bad(format!(
                        "No tool call found for function call output with call_id {id}."
                    ));
                };
                open.remove(place);
                asked.result(words(&item["output"]));
            }
            _ => {}
        }
    }
    match open.first() {
        Some(id) => bad(format!("No tool output found for function call {id}.")),
        None => Ok(asked),
    }
}

fn tool(tool: &Value) -> Option<Offered> {
    let is_custom = tool["type"] == "custom";
    let is_own = is_custom || tool["type"] == "function";
    Some(Offered {
        name: tool["name"].as_str().filter(|_| is_own)?.to_owned(),
        is_custom,
    })
}

fn message(asked: &mut Asked, at: usize, item: &Value) -> Outcome<()> {
    let role = text(&item["role"]);
    let mut media = Vec::new();
    for part in list(&item["content"]) {
        match (role, text(&part["type"])) {
            ("assistant", "output_text" | "refusal") | (_, "input_text") => {}
            (_, "input_image") => media.push(super::say_url(text(&part["image_url"]))?),
            (_, "input_file") => media.push(super::say_url(text(&part["file_data"]))?),
            (_, other) => return bad(format!("Invalid value: '{other}' at input[{at}].content")),
        }
    }
    match role {
        "user" => asked.user(&words(&item["content"]), media),
        "system" | "developer" => asked.system(&words(&item["content"])),
        "assistant" => {}
        other => return bad(format!("Invalid value: '{other}' at input[{at}].role")),
    }
    Ok(())
}

fn check_reasoning(asked: &Asked, at: usize, item: &Value) -> Outcome<()> {
    let round = asked.round();
    let sealed = &item["encrypted_content"];
    // kept by the provider itself, or by nobody
    let is_known = sealed.is_null() && item["id"] == json!(reasoning_id(round));
    if !is_known && *sealed != json!(seal::of("reasoning", round)) {
        return bad(format!(
            "The encrypted content for item input[{at}] could not be verified."
        ));
    }
    if !item["id"].is_null() && item["id"] != json!(reasoning_id(round)) {
        return bad(format!(
            "input[{at}].id does not belong to its encrypted content"
        ));
    }
    match item["summary"].is_array() {
        true => Ok(()),
        false => bad(format!(
            "Missing required parameter: 'input[{at}].summary'."
        )),
    }
}

fn call_id(at: usize, item: &Value) -> Outcome<String> {
    let id = text(&item["call_id"]);
    if id.is_empty() || id.len() > 64 {
        return bad(format!(
            "Invalid 'input[{at}].call_id': {id:?} has not 1 to 64 characters"
        ));
    }
    let own = item["id"].as_str().unwrap_or("fc_");
    if !own.starts_with("fc_") && !own.starts_with("ctc_") {
        return bad(format!(
            "Invalid 'input[{at}].id': '{own}'. Expected an ID that begins with 'fc'."
        ));
    }
    let is_object = serde_json::from_str::<Value>(text(&item["arguments"]));
    if item["type"] == "function_call" && !is_object.is_ok_and(|value| value.is_object()) {
        return bad(format!("Invalid 'input[{at}].arguments'"));
    }
    Ok(id.to_owned())
}

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

fn reasoning_id(round: usize) -> String {
    format!("rs_{round:048x}")
}

/// The items of the answer.
fn output(saying: &Saying, sealed: bool) -> Vec<Value> {
    let mut output = Vec::new();
    if let Some(thought) = &saying.thought {
        let mut item = json!({"id": reasoning_id(saying.round), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": thought}]});
        if sealed {
            item["encrypted_content"] = json!(seal::of("reasoning", saying.round));
        }
        output.push(item);
    }
    let part =
        json!({"type": "output_text", "annotations": [], "logprobs": [], "text": saying.text});
    output.push(
        json!({"id": format!("msg_{}", saying.round), "type": "message",
        "status": "completed", "role": "assistant", "content": [part]}),
    );
    output.extend(saying.calls.iter().map(call));
    output
}

fn call(called: &Called) -> Value {
    let call_id = format!("call_{}", called.id);
    match called.is_custom {
        true => json!({"id": format!("ctc_{}", called.id), "type": "custom_tool_call",
            "status": "completed", "call_id": call_id, "name": called.name,
            "input": called.arguments}),
        false => json!({"id": format!("fc_{}", called.id), "type": "function_call",
            "status": "completed", "call_id": call_id, "name": called.name,
            "arguments": called.arguments}),
    }
}

fn response(body: &Value, saying: &Saying, id: &str, output: &[Value]) -> Value {
    let thought = if saying.thought.is_some() { THOUGHT } else { 0 };
    let cut = saying.is_cut_short;
    let or = |name: &str, default: Value| match &body[name] {
        Value::Null => default,
        stated => stated.clone(),
    };
    json!({
        "id": id, "object": "response", "created_at": CREATED, "background": false,
        "status": if cut { "incomplete" } else { "completed" },
        "error": null,
        "incomplete_details": if cut { json!({"reason": "max_output_tokens"}) } else { Value::Null },
        "instructions": body["instructions"], "max_output_tokens": body["max_output_tokens"],
        "model": body["model"], "output": output,
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": body["previous_response_id"],
        "reasoning": or("reasoning", json!({"effort": null, "summary": null})),
        "service_tier": "default", "store": or("store", json!(true)),
        "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({"format": {"type": "text"}})),
        "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
        "top_p": or("top_p", json!(1.0)), "truncation": "disabled", "user": null,
        "metadata": or("metadata", json!({})),
        "usage": {
            "input_tokens": FRESH + CACHED,
            "input_tokens_details": {"cached_tokens": CACHED},
            "output_tokens": GENERATED,
            "output_tokens_details": {"reasoning_tokens": thought},
            "total_tokens": FRESH + CACHED + GENERATED,
        },
    })
}

/// Events in the order in which OpenAI sends them, each with its number.
struct Events {
    written: Vec<String>,
    number: usize,
}

impl Events {
    fn add(&mut self, kind: &str, mut data: Value) {
        data["type"] = json!(kind);
        data["sequence_number"] = json!(self.number);
        self.number += 1;
        self.written.push(event(Some(kind), &data));
    }

    fn item(&mut self, index: usize, item: &Value) {
        let mut opening = item.clone();
        opening["status"] = json!("in_progress");
        match text(&item["type"]) {
            "message" => opening["content"] = json!([]),
            "reasoning" => {
                opening["summary"] = json!([]);
                opening
                    .as_object_mut()
                    .map(|members| members.remove("status"));
            }
            "function_call" => opening["arguments"] = json!(""),
            _ => opening["input"] = json!(""),
        }
        self.add(
            "response.output_item.added",
            json!({"output_index": index, "item": opening}),
        );
        match text(&item["type"]) {
            "message" => self.message(index, item),
            "reasoning" => self.reasoning(index, item),
            "function_call" => self.arguments(index, item, "function_call_arguments", "arguments"),
            _ => self.arguments(index, item, "custom_tool_call_input", "input"),
        }
        self.add(
            "response.output_item.done",
            json!({"output_index": index, "item": item}),
        );
    }

    fn message(&mut self, index: usize, item: &Value) {
        let place = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
        let part = &item["content"][0];
        let mut empty = part.clone();
        empty["text"] = json!("");
        self.add("response.content_part.added", with(&place, "part", empty));
        for piece in pieces(text(&part["text"])) {
            let delta = with(&place, "delta", json!(piece));
            self.add(
                "response.output_text.delta",
                with(&delta, "logprobs", json!([])),
            );
        }
        let done = with(&place, "text", part["text"].clone());
        self.add(
            "response.output_text.done",
            with(&done, "logprobs", json!([])),
        );
        self.add(
            "response.content_part.done",
            with(&place, "part", part.clone()),
        );
    }

    fn reasoning(&mut self, index: usize, item: &Value) {
        let place = json!({"item_id": item["id"], "output_index": index, "summary_index": 0});
        let part = &item["summary"][0];
        let empty = json!({"type": "summary_text", "text": ""});
        self.add(
            "response.reasoning_summary_part.added",
            with(&place, "part", empty),
        );
        for piece in pieces(text(&part["text"])) {
            self.add(
                "response.reasoning_summary_text.delta",
                with(&place, "delta", json!(piece)),
            );
        }
        let done = with(&place, "text", part["text"].clone());
        self.add("response.reasoning_summary_text.done", done);
        self.add(
            "response.reasoning_summary_part.done",
            with(&place, "part", part.clone()),
        );
    }

    fn arguments(&mut self, index: usize, item: &Value, kind: &str, member: &str) {
        let place = json!({"item_id": item["id"], "output_index": index});
        for piece in pieces(text(&item[member])) {
            self.add(
                &format!("response.{kind}.delta"),
                with(&place, "delta", json!(piece)),
            );
        }
        self.add(
            &format!("response.{kind}.done"),
            with(&place, member, item[member].clone()),
        );
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn events(saying: &Saying, response: Value) -> Vec<String> {
    let mut events = Events {
        written: Vec::new(),
        number: 0,
    };
    let mut begun = response.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    events.add("response.created", json!({"response": begun}));
    events.add("response.in_progress", json!({"response": begun}));
    for (index, item) in list(&response["output"]).iter().enumerate() {
        events.item(index, item);
    }
    if saying.fails_midway {
        begun["status"] = json!("failed");
        begun["error"] = json!({"code": "server_error", "message": "the model failed midway"});
        events.add("response.failed", json!({"response": begun}));
        return events.written;
    }
    let last = match saying.is_cut_short {
        true => "response.incomplete",
        false => "response.completed",
    };
    events.add(last, json!({"response": response}));
    events.written
}
