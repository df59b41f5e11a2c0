//! OpenAI's Responses API to and fro: what clients of it send to providers of other formats, and what
//! they get back.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic, and say what is not there"
)]

use llm::conversation::{Content, Conversation, Role, ServerTool, Tool, ToolChoice, ToolKind};
use llm::response::StreamObserver;
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider, request};
use proptest::prelude::*;
use serde_json::{Value, json};

const FORMAT: Format = Format::OpenAiResponses;

fn to() -> To<'static> {
    To {
        provider: provider::find("openai").unwrap(),
        model: "upstream-model",
        max_output_tokens: Some(8192),
    }
}

fn shown(request: &Value) -> Shown {
    Shown {
        id: "0191-ab".to_owned(),
        model: "public".to_owned(),
        created: 1_700_000_000,
        include_usage: false,
        as_array: false,
        request: Some(request.clone()),
    }
}

fn read(request: &Value) -> Conversation {
    translate::read_request(FORMAT, request.to_string().as_bytes()).unwrap()
}

fn fault(request: &Value) -> (u16, String) {
    let error = translate::read_request(FORMAT, request.to_string().as_bytes()).unwrap_err();
    (
        error.status(),
        error.parameter().unwrap_or_default().to_owned(),
    )
}

fn sent(format: Format, request: &Value) -> Value {
    let body = request.to_string();
    let to = match format {
        // whether it reasons hangs on its maker
        Format::Converse => To {
            model: "anthropic.claude-sonnet-4-5",
            ..to()
        },
        _ => to(),
    };
    let sent = translate::request(FORMAT, format, &to, body.as_bytes(), false)
        .unwrap_or_else(|error| panic!("{format:?}: {error}"));
    serde_json::from_slice(&sent.body).unwrap()
}

fn answered(format: Format, answer: &Value, request: &Value) -> Value {
    let body = answer.to_string();
    let shown = shown(request);
    let (written, _) =
        translate::answer(format, UsageRule::OpenAi, FORMAT, body.as_bytes(), &shown).unwrap();
    serde_json::from_slice(&written).unwrap()
}

fn streamed(format: Format, events: &[Value], request: &Value) -> Vec<Value> {
    let shown = shown(request);
    let mut translator = StreamTranslator::new(format, UsageRule::OpenAi, FORMAT, shown).unwrap();
    let mut out = Vec::new();
    for event in events {
        let name = event["type"].as_str().unwrap_or("message");
        out.extend_from_slice(
            &translator.feed(format!("event: {name}\ndata: {event}\n\n").as_bytes()),
        );
    }
    out.extend_from_slice(&translator.finish().0);
    let text = String::from_utf8(out).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

/// What the coding agent Codex sends: its tools of every kind, and a turn in the middle of a loop.
fn codex() -> Value {
    json!({
        "model": "m", "stream": true, "store": false, "parallel_tool_calls": true,
        "tool_choice": "auto", "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto", "context": "all_turns"},
        "text": {"verbosity": "low"}, "prompt_cache_key": "key",
        "client_metadata": {"session": "1"},
        "tools": [
            {"type": "function", "name": "exec_command", "description": "Runs.", "strict": false,
             "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}},
            {"type": "custom", "name": "apply_patch", "description": "Edits files.",
             "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}},
            {"type": "namespace", "name": "agents", "description": "", "tools": [
                {"type": "function", "name": "wait", "parameters": {"type": "object", "properties": {}}}]},
            {"type": "tool_search", "execution": "client", "description": "Finds tools.",
             "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}},
            {"type": "local_shell"},
            {"type": "web_search", "external_web_access": false}
        ],
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "function", "name": "more", "parameters": {"type": "object", "properties": {}}}]},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
            {"type": "function_call", "call_id": "call_1", "name": "exec_command", "arguments": "{\"cmd\":\"ls\"}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "a.txt"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "apply_patch", "input": "*** Begin\n\"x\""},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
            {"type": "function_call", "call_id": "call_3", "name": "wait", "namespace": "agents", "arguments": ""},
            {"type": "function_call_output", "call_id": "call_3", "output": [{"type": "input_text", "text": "ok"}]}
        ]
    })
}

#[test]
fn a_coding_agent_s_request_is_understood_whole() {
    let conversation = read(&codex());
    let names: Vec<&str> = conversation
        .tools
        .iter()
        .filter_map(|tool| match tool {
            Tool::Function { name, .. } | Tool::Custom { name, .. } => Some(&**name),
            _ => None,
        })
        .collect();
    let expected = [
        "exec_command",
        "apply_patch",
        "agents__wait",
        "tool_search",
        "local_shell",
        "more",
    ];
    assert_eq!(names, expected);
    assert!(
        conversation.other.iter().all(|other| other.is_hint),
        "{:?}",
        conversation.other
    );
    let roles: Vec<Role> = conversation.turns.iter().map(|turn| turn.role).collect();
    let (user, model) = (Role::User, Role::Assistant);
    assert_eq!(roles, [user, model, user, model, user, model, user]);
    let Content::ToolResult { name, call_id, .. } = &conversation.turns[6].parts[0].content else {
        panic!("no result");
    };
    assert_eq!(
        (name.as_deref(), &**call_id),
        (Some("agents__wait"), "call_3")
    );
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Auto));
}

#[test]
fn a_coding_agent_reaches_providers_of_every_format() {
    for format in Format::CHATS {
        let body = sent(format, &codex()).to_string();
        for word in [
            "Be brief.",
            "Fix it.",
            "a.txt",
            "*** Begin",
            "apply_patch",
            "exec_command",
        ] {
            assert!(body.contains(word), "{format:?} lost {word}: {body}");
        }
    }
    let anthropic = sent(Format::Anthropic, &codex());
    let tools = anthropic["tools"].as_array().unwrap();
    let patch = tools
        .iter()
        .find(|tool| tool["name"] == "apply_patch")
        .unwrap();
    assert_eq!(patch["input_schema"]["required"], json!(["input"]));
    let calls = anthropic["messages"].as_array().unwrap().iter();
    let mut calls = calls.flat_map(|message| message["content"].as_array().unwrap());
    let call = calls.find(|part| part["name"] == "apply_patch").unwrap();
    assert_eq!(call["input"]["input"], "*** Begin\n\"x\"");
}

#[test]
fn calls_become_what_the_client_calls_them() {
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "I edit."},
            {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": {"input": "*** Begin"}},
            {"type": "tool_use", "id": "toolu_2", "name": "agents__wait", "input": {}},
            {"type": "tool_use", "id": "toolu_3", "name": "local_shell", "input": {"command": ["ls"]}},
            {"type": "tool_use", "id": "toolu_4", "name": "tool_search", "input": {"query": "x"}},
            {"type": "tool_use", "id": "toolu_5", "name": "exec_command", "input": {"cmd": "ls"}}
        ],
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 10, "output_tokens": 7}
    });
    let response = answered(Format::Anthropic, &answer, &codex());
    let output = response["output"].as_array().unwrap();
    let kinds: Vec<&str> = output
        .iter()
        .map(|item| item["type"].as_str().unwrap())
        .collect();
    let expected = [
        "message",
        "custom_tool_call",
        "function_call",
        "local_shell_call",
        "tool_search_call",
        "function_call",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(output[0]["content"][0]["text"], "I edit.");
    assert_eq!(output[1]["input"], "*** Begin");
    assert_eq!(
        (&output[2]["name"], &output[2]["namespace"]),
        (&json!("wait"), &json!("agents"))
    );
    assert_eq!(
        output[3]["action"],
        json!({"type": "exec", "command": ["ls"], "env": {}})
    );
    assert_eq!(output[4]["arguments"], json!({"query": "x"}));
    assert_eq!(output[5]["arguments"], "{\"cmd\":\"ls\"}");
    assert_eq!(response["usage"]["input_tokens"], 15);
    assert_eq!(
        response["usage"]["input_tokens_details"]["cached_tokens"],
        10
    );
    assert_eq!(response["usage"]["total_tokens"], 22);
    assert_eq!(response["model"], "public");
    assert_eq!(response["store"], false);
    assert_eq!(
        response["reasoning"],
        json!({"effort": "low", "summary": "auto"})
    );
}

/// Sends the output of an answer back with a result for each call.
fn next_turn(response: &Value) -> Value {
    let mut request = codex();
    let mut input = vec![json!({"role": "user", "content": "go"})];
    for item in response["output"].as_array().unwrap() {
        let mut item = item.clone();
        // some clients keep no ids
        item.as_object_mut().unwrap().remove("id");
        input.push(item);
    }
    for item in response["output"].as_array().unwrap() {
        if item["type"] == "function_call" {
            let call_id = &item["call_id"];
            input.push(json!({"type": "function_call_output", "call_id": call_id, "output": "r"}));
        }
    }
    request["input"] = Value::Array(input);
    request
}

#[test]
fn thinking_comes_back_to_anthropic_with_its_signature() {
    let content = json!([
        {"type": "thinking", "thinking": "let me see", "signature": "ErUBsig+/="},
        {"type": "redacted_thinking", "data": "EmwKhidden"},
        {"type": "tool_use", "id": "toolu_1", "name": "exec_command", "input": {"cmd": "ls"}}
    ]);
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "stop_reason": "tool_use", "content": content, "usage": {"input_tokens": 1, "output_tokens": 1}
    });
    let response = answered(Format::Anthropic, &answer, &codex());
    assert_eq!(response["output"][0]["summary"][0]["text"], "let me see");
    let back = sent(Format::Anthropic, &next_turn(&response));
    let messages = back["messages"].as_array().unwrap();
    let model = messages
        .iter()
        .find(|message| message["role"] == "assistant")
        .unwrap();
    for at in 0..2 {
        assert_eq!(model["content"][at], content[at], "{model}");
    }
    assert_eq!(model["content"][2]["input"], content[2]["input"]);
}

#[test]
fn thought_signatures_come_back_to_gemini() {
    let answer = json!({
        "candidates": [{"content": {"role": "model", "parts": [
            {"functionCall": {"name": "exec_command", "args": {"cmd": "ls"}}, "thoughtSignature": "EqQBsig=="},
            {"functionCall": {"name": "more", "args": {}}}
        ]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    });
    let response = answered(Format::Gemini, &answer, &codex());
    let back = sent(Format::Gemini, &next_turn(&response)).to_string();
    assert_eq!(back.matches("EqQBsig==").count(), 1, "{back}");
    let parts = serde_json::from_str::<Value>(&back).unwrap()["contents"][1]["parts"].clone();
    assert_eq!(parts[0]["thoughtSignature"], "EqQBsig==");
    assert_eq!(parts[0]["functionCall"]["name"], "exec_command");
    assert_eq!(parts[1].get("thoughtSignature"), None);
}

#[test]
fn encrypted_reasoning_survives_a_client_of_another_format() {
    let item = json!({
        "type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAA-_",
        "summary": [{"type": "summary_text", "text": "thought"}]
    });
    let answer = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "status": "completed",
        "output": [item, {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "ls", "arguments": "{}"}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    });
    for client in [Format::Anthropic, Format::OpenAiChat] {
        let shown = Shown {
            request: None,
            ..shown(&Value::Null)
        };
        let body = answer.to_string();
        let (written, _) =
            translate::answer(FORMAT, UsageRule::OpenAi, client, body.as_bytes(), &shown).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        let messages = match client {
            Format::Anthropic => {
                let id = written["content"].as_array().unwrap().last().unwrap()["id"].clone();
                json!([
                    {"role": "user", "content": "go"},
                    {"role": "assistant", "content": written["content"]},
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "r"}]}
                ])
            }
            _ => {
                let message = &written["choices"][0]["message"];
                let id = message["tool_calls"][0]["id"].clone();
                json!([
                    {"role": "user", "content": "go"}, message,
                    {"role": "tool", "tool_call_id": id, "content": "r"}
                ])
            }
        };
        let request = json!({"model": "m", "max_tokens": 4000, "messages": messages}).to_string();
        let back = translate::request(client, FORMAT, &to(), request.as_bytes(), false).unwrap();
        let back: Value = serde_json::from_slice(&back.body).unwrap();
        let input = back["input"].as_array().unwrap();
        assert!(input.contains(&item), "{client:?}: {back}");
        assert_eq!(input.last().unwrap()["type"], "function_call_output");
        assert_eq!(back["include"], json!(["reasoning.encrypted_content"]));
        assert_eq!(back["store"], false);
    }
}

#[test]
fn a_stream_grows_as_openai_s_does() {
    let usage = json!({"input_tokens": 3, "output_tokens": 1});
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
               "model": "claude", "content": [], "usage": usage}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "Er=="}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I edit"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"input\": \"*** Be"}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "gin\\n\"}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}),
        json!({"type": "message_stop"}),
    ];
    let events = streamed(Format::Anthropic, &events, &codex());
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(events[15]["delta"], "*** Be");
    assert_eq!(events[17]["input"], "*** Begin\n");
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"].as_array().unwrap().len(), 3);
    assert_eq!(response["output"][2]["input"], "*** Begin\n");
    assert_eq!(response["output"][2]["call_id"], "toolu_1");
    assert_eq!(response["usage"]["output_tokens"], 9);
}

#[test]
fn a_stream_that_breaks_off_ends_as_a_failure() {
    let events = [
        json!({"type": "response.created", "response": {"id": "resp_1", "model": "m"}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "half"}),
    ];
    let events = streamed(FORMAT, &events, &codex());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
    let error = &events[events.len() - 2];
    assert_eq!(error["type"], "error");
    assert_eq!(error["error"]["message"], error["message"]);
}

#[test]
fn misshapen_requests_are_told_the_place() {
    let cases = [
        (json!([]), "request_body"),
        (json!({"model": "m"}), "input"),
        (json!({"input": 3}), "input"),
        (
            json!({"input": [{"role": "robot", "content": "x"}]}),
            "input[0].role",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "video"}]}]}),
            "input[0].content[0].type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (json!({"input": ["x"]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].type"),
        (
            json!({"input": [{"type": "function_call", "call_id": "1"}]}),
            "input[0].arguments",
        ),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "1"}]}),
            "input[0].output",
        ),
        (
            json!({"input": [{"type": "item_reference", "id": "msg_1"}]}),
            "input[0]",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function"}]}),
            "tools[0].name",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function", "name": "f", "parameters": []}]}),
            "tools[0].parameters",
        ),
        (json!({"input": "x", "tool_choice": "maybe"}), "tool_choice"),
        (json!({"input": "x", "temperature": "hot"}), "temperature"),
        (
            json!({"input": "x", "max_output_tokens": -1}),
            "max_output_tokens",
        ),
        (
            json!({"input": "x", "reasoning": {"effort": "huge"}}),
            "reasoning.effort",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema",
        ),
    ];
    for (request, place) in cases {
        assert_eq!(fault(&request), (400, place.to_owned()), "{request}");
    }
}

#[test]
fn what_only_this_format_has_is_refused_by_name() {
    for (member, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
        ("new_member", json!(1)),
    ] {
        let mut request = json!({"model": "m", "input": "hi"});
        request[member] = value;
        let body = request.to_string();
        let refuse =
            |drops| translate::request(FORMAT, Format::Anthropic, &to(), body.as_bytes(), drops);
        assert_eq!(refuse(false).unwrap_err().parameter(), Some(member));
        assert_eq!(refuse(true).unwrap().dropped, [member]);
    }
}

#[test]
fn settings_keep_their_meaning() {
    let conversation = read(&json!({
        "input": "hi", "instructions": "Be kind.", "top_logprobs": 3, "max_output_tokens": 100.0,
        "background": false, "truncation": "disabled", "user": null, "safety_identifier": "me",
        "include": ["message.output_text.logprobs"], "presence_penalty": 0,
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [
            {"type": "web_search", "filters": {"allowed_domains": ["a.b"]}, "search_context_size": "low",
             "user_location": {"type": "approximate", "country": "DE", "city": null}},
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "function", "name": "f"}, {"type": "custom", "name": "g"},
            {"type": "file_search", "vector_store_ids": ["vs"]}
        ],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
            {"type": "web_search"}, {"type": "custom", "name": "g"}]}
    }));
    assert!(conversation.other.is_empty(), "{:?}", conversation.other);
    assert_eq!(conversation.logprobs, Some(3));
    assert_eq!(conversation.max_output_tokens, Some(100));
    assert_eq!(conversation.end_user.as_deref(), Some("me"));
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Any));
    assert_eq!(conversation.tools.len(), 2);
    let Tool::Server(ServerTool::WebSearch {
        allowed_domains,
        location,
        ..
    }) = &conversation.tools[0]
    else {
        panic!("no search");
    };
    assert_eq!(allowed_domains, &["a.b"]);
    assert_eq!(location.as_ref().unwrap().len(), 1);
}

#[test]
fn ids_of_any_client_fit() {
    let id = format!("call_{}", "ü".repeat(100));
    let body = json!({
        "model": "m", "max_tokens": 1, "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": id, "content": "r"}
        ]
    });
    let body = body.to_string();
    let sent =
        translate::request(Format::OpenAiChat, FORMAT, &to(), body.as_bytes(), false).unwrap();
    let sent: Value = serde_json::from_slice(&sent.body).unwrap();
    let call_id = sent["input"][1]["call_id"].as_str().unwrap();
    assert!(call_id.len() <= 64);
    assert_eq!(sent["input"][2]["call_id"], call_id);
    assert_eq!(sent["max_output_tokens"], 16);
}

#[test]
fn a_custom_tool_stays_one_between_openai_s_own_formats() {
    let request = json!({"input": "x", "tools": [{"type": "custom", "name": "g", "format": {"type": "text"}}]});
    let sent = sent(FORMAT, &request);
    assert_eq!(sent["tools"][0], json!({"type": "custom", "name": "g"}));
    let conversation = read(&json!({"input": [
        {"type": "custom_tool_call", "call_id": "1", "name": "g", "input": "free"}]}));
    let Content::ToolCall {
        arguments, kind, ..
    } = &conversation.turns[0].parts[0].content
    else {
        panic!("no call");
    };
    assert_eq!((&**arguments, *kind), ("free", ToolKind::Custom));
}

#[test]
fn a_request_that_passes_says_its_limits() {
    let body = br#"{"model":"m","input":[],"max_output_tokens":7,"stream":true,"safety_identifier":"me","prompt":{"id":"p"}}"#;
    let peek = request::peek(FORMAT, body).unwrap();
    assert_eq!(peek.max_output_tokens, Some(7));
    assert_eq!(peek.end_user.as_deref(), Some("me"));
    assert_eq!((peek.choices, peek.stream), (1, true));
    let error = request::peek(FORMAT, br#"{"model":"m","input":{}}"#).unwrap_err();
    assert_eq!(error.parameter(), Some("input"));
}

fn translate_all(bytes: &[u8], size: usize) {
    for client in [FORMAT, Format::OpenAiChat] {
        let mut translator =
            StreamTranslator::new(FORMAT, UsageRule::OpenAi, client, shown(&codex())).unwrap();
        for chunk in bytes.chunks(size) {
            translator.feed(chunk);
        }
        translator.finish();
    }
    let mut observer = StreamObserver::new(FORMAT, UsageRule::OpenAi, "m", true);
    observer.feed(bytes.to_vec().into());
    observer.finish();
    let _ = translate::read_answer(FORMAT, UsageRule::OpenAi, bytes);
    let _ = translate::read_request(FORMAT, bytes);
}

/// Any JSON, with the words of the format in it.
fn odd() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("message"),
        Just("reasoning"),
        Just("function_call"),
        Just("custom_tool_call"),
        Just("output_text"),
        Just("refusal"),
        Just("response.output_item.added"),
        Just("response.output_item.done"),
        Just("response.output_text.delta"),
        Just("response.content_part.done"),
        Just("response.completed"),
        Just("error"),
        Just("response.function_call_arguments.delta"),
        Just("response.reasoning_text.delta"),
        Just("user"),
        Just("tool_search_output"),
        Just("additional_tools"),
        Just("dG9sbGdhdGU6"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u64..3).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("type"),
        Just("item"),
        Just("output_index"),
        Just("content_index"),
        Just("delta"),
        Just("response"),
        Just("output"),
        Just("content"),
        Just("text"),
        Just("arguments"),
        Just("name"),
        Just("call_id"),
        Just("usage"),
        Just("input"),
        Just("role"),
        Just("tools"),
        Just("part"),
        Just("error"),
        Just("summary"),
        Just("encrypted_content"),
        Just("namespace"),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(names.clone(), inner, 0..7).prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes: Vec<u8>, size in 1_usize..9) {
        translate_all(&bytes, size);
    }

    #[test]
    fn no_events_are_too_odd(events in proptest::collection::vec(odd(), 0..8), size in 1_usize..50) {
        let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        translate_all(stream.as_bytes(), size);
        for event in &events {
            translate_all(event.to_string().as_bytes(), size);
        }
    }
}
