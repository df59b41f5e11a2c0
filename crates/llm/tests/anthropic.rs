//! Anthropic's Messages API: what is read of a request and an answer, and what is written.

use llm::conversation::{
    CacheMark, Content, Conversation, Effort, MediaKind, MediaSource, Output, Part, Reasoning,
    Role, Seal, ServerTool, Stop, Tool, ToolChoice, ToolKind, Turn,
};
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider};
use serde_json::{Value, json};

const OURS: Format = Format::Anthropic;

fn shown() -> Shown {
    Shown {
        id: "call-1".to_owned(),
        model: "public".to_owned(),
        created: 0,
        include_usage: false,
        as_array: false,
        request: None,
    }
}

fn read(body: Value) -> Conversation {
    translate::read_request(OURS, body.to_string().as_bytes()).expect("a request")
}

fn refusal(body: Value) -> (String, String) {
    let error = translate::read_request(OURS, body.to_string().as_bytes()).expect_err("refused");
    assert_eq!(error.status(), 400);
    (
        error.parameter().unwrap_or_default().to_owned(),
        error.message().to_owned(),
    )
}

fn asks(text: &str) -> Conversation {
    Conversation {
        turns: vec![turn(Role::User, vec![Part::text(text)])],
        ..Conversation::default()
    }
}

fn turn(role: Role, parts: Vec<Part>) -> Turn {
    Turn {
        role,
        parts,
        place: 0,
    }
}

fn attempt(
    model: &str,
    conversation: &Conversation,
    drops: bool,
) -> base::Result<(Value, Vec<String>)> {
    let place = provider::find("anthropic").or_else(|| provider::find("openai"));
    let to = To {
        provider: place.expect("a provider"),
        model,
        max_output_tokens: Some(64_000),
    };
    let written = translate::write_request(Format::OpenAiChat, OURS, &to, conversation, drops)?;
    let body = serde_json::from_slice(&written.body).expect("JSON");
    Ok((body, written.dropped))
}

fn write_for(model: &str, conversation: &Conversation) -> Value {
    attempt(model, conversation, false).expect("written").0
}

fn write(conversation: &Conversation) -> Value {
    write_for("claude-sonnet-4-5", conversation)
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::new(Content::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        kind: ToolKind::Function,
    })
}

fn result(id: &str, text: &str) -> Part {
    Part::new(Content::ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts: vec![Part::text(text)],
        is_error: false,
        kind: ToolKind::Function,
    })
}

fn sealed(text: &str, seal: Seal) -> Part {
    let mut part = Part::new(Content::Reasoning {
        text: text.to_owned(),
        redacted: false,
    });
    part.seal = Some(seal);
    part
}

#[test]
fn a_request_of_claude_code_is_read_whole() {
    let conversation = read(json!({
        "model": "claude-opus-4-6",
        "max_tokens": 32000,
        "stream": true,
        "system": [
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        ],
        "messages": [
            {"role": "user", "content": "list"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
                {"type": "redacted_thinking", "data": "blob"},
                {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true,
                 "content": [{"type": "text", "text": "no"}, {"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
                {"type": "text", "text": "go on", "cache_control": {"type": "ephemeral"}}
            ]}
        ],
        "tools": [{"name": "Bash", "description": "Runs.", "input_schema": {"type": "object"},
                   "eager_input_streaming": true}],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "medium"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "user_1"},
        "betas": ["x"],
    }));
    assert_eq!(conversation.system[0].cache, Some(CacheMark::FiveMinutes));
    assert_eq!(conversation.system[1].cache, Some(CacheMark::OneHour));
    assert_eq!(conversation.end_user.as_deref(), Some("user_1"));
    assert_eq!(conversation.max_output_tokens, Some(32_000));
    let reasoning = conversation.reasoning.expect("reasoning");
    assert!(reasoning.is_adaptive);
    assert_eq!(reasoning.effort, Some(Effort::Medium));
    let thought = &conversation.turns[1].parts[0];
    assert_eq!(thought.seal, Some(Seal::new(OURS, "Eq==")));
    let Content::ToolResult {
        name,
        parts,
        is_error,
        ..
    } = &conversation.turns[2].parts[0].content
    else {
        panic!("no result");
    };
    assert_eq!(
        (name.as_deref(), parts.len(), *is_error),
        (Some("Bash"), 2, true)
    );
    assert!(
        conversation.other.iter().all(|other| other.is_hint),
        "{:?}",
        conversation.other
    );
}

#[test]
fn what_is_wrong_is_named() {
    let message = |content: Value| json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]});
    for (body, param) in [
        (json!({"model": "m"}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"messages": [7]}), "messages[0]"),
        (
            json!({"messages": [{"role": "tool", "content": ""}]}),
            "messages[0].role",
        ),
        (message(json!(7)), "messages[0].content"),
        (message(json!([{}])), "messages[0].content[0].type"),
        (
            message(json!([{"type": "text"}])),
            "messages[0].content[0].text",
        ),
        (
            message(json!([{"type": "image", "source": {"type": "ftp"}}])),
            "messages[0].content[0].source.type",
        ),
        (
            message(json!([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": 1}]}])),
            "messages[0].content[0].content[0].type",
        ),
    ] {
        assert_eq!(refusal(body.clone()).0, param, "{body}");
    }
    let with = |name: &str, value: Value| {
        let mut body = message(json!("x"));
        body[name] = value;
        body
    };
    for (body, param) in [
        (with("max_tokens", json!(-1)), "max_tokens"),
        (
            with("tools", json!([{"name": "a"}])),
            "tools[0].input_schema",
        ),
        (
            with("tool_choice", json!({"type": "some"})),
            "tool_choice.type",
        ),
        (
            with("thinking", json!({"type": "enabled"})),
            "thinking.budget_tokens",
        ),
        (
            with("output_config", json!({"effort": "huge"})),
            "output_config.effort",
        ),
        (
            with("cache_control", json!({"ttl": "1d"})),
            "cache_control.ttl",
        ),
    ] {
        assert_eq!(refusal(body.clone()).0, param, "{body}");
    }
    assert!(translate::read_request(OURS, b"{\"a\":").is_err());
    assert!(translate::read_request(OURS, "[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn documents_of_all_kinds_are_read() {
    let conversation = read(json!({"messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
         "title": "A", "context": "old", "citations": {"enabled": true}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
        {"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "content", "content": [
            {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
        {"type": "search_result", "source": "https://x", "title": "T",
         "content": [{"type": "text", "text": "found"}], "citations": {"enabled": true}},
        {"type": "container_upload", "file_id": "file_2"},
    ]}]}));
    let parts = &conversation.turns[0].parts;
    assert_eq!(parts[0], Part::text("old"));
    let media: Vec<_> = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Media(media) => Some(media),
            _ => None,
        })
        .collect();
    assert_eq!(media.len(), 6);
    assert!(media.iter().all(|media| media.kind == MediaKind::Document));
    assert!(media[0].is_citable);
    assert_eq!(media[0].name.as_deref(), Some("A"));
    assert_eq!(media[4].source, MediaSource::Text("a\nb".to_owned()));
    assert_eq!(
        media[5].source,
        MediaSource::Text("Source: https://x\nfound".to_owned())
    );
    assert!(matches!(parts[7].content, Content::Native { .. }));
}

#[test]
fn server_tools_have_their_meaning() {
    let conversation = read(
        json!({"messages": [{"role": "user", "content": "x"}], "tools": [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "allowed_domains": ["a.b"],
         "user_location": {"type": "approximate", "city": "Bern"}},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
    ], "tool_choice": {"type": "any", "disable_parallel_tool_use": true}}),
    );
    assert!(matches!(
        &conversation.tools[0],
        Tool::Server(ServerTool::WebSearch {
            max_uses: Some(2),
            ..
        })
    ));
    assert_eq!(
        conversation.tools[1],
        Tool::Server(ServerTool::CodeExecution)
    );
    assert_eq!(conversation.tools[2], Tool::Server(ServerTool::WebFetch));
    assert!(matches!(conversation.tools[3], Tool::Native { .. }));
    assert_eq!(conversation.tools.len(), 4);
    assert!(conversation.other[0].is_hint);
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Any));
    assert_eq!(conversation.parallel_tool_calls, Some(false));
    let body = write(&conversation);
    assert_eq!(body["tools"][0]["user_location"]["type"], "approximate");
    assert_eq!(
        body["tools"][3],
        json!({"type": "bash_20250124", "name": "bash"})
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "any", "disable_parallel_tool_use": true})
    );
}

#[test]
fn turns_alternate_and_results_come_first() {
    let mut conversation = asks("hi");
    conversation.system = vec![Part::text("sys")];
    conversation.turns.extend([
        turn(
            Role::Assistant,
            vec![Part::text(""), call("call|1", "a", "{\"x\": 1}")],
        ),
        turn(Role::Assistant, vec![call("b", "b", "not json")]),
        turn(Role::System, vec![Part::text("Be kind.")]),
        turn(Role::User, vec![result("call|1", "one")]),
        turn(Role::User, vec![Part::text("and?"), result("b", "")]),
    ]);
    let body = write(&conversation);
    assert_eq!(body["system"], json!([{"type": "text", "text": "sys"}]));
    let messages = body["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message["role"].as_str())
        .collect();
    assert_eq!(roles, [Some("user"), Some("assistant"), Some("user")]);
    let calls = messages[1]["content"].as_array().expect("blocks");
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0]["input"], json!({"x": 1}));
    assert_eq!(calls[1]["input"], json!({"input": "not json"}));
    let made = calls[0]["id"].as_str().expect("an id");
    assert!(made.starts_with("toolu_"));
    let blocks = messages[2]["content"].as_array().expect("blocks");
    assert_eq!(blocks[0]["tool_use_id"], made);
    assert_eq!(
        blocks[1],
        json!({"type": "tool_result", "tool_use_id": "b"})
    );
    assert_eq!(blocks[2]["text"], "<system>\nBe kind.\n</system>");
    assert_eq!(blocks[3]["text"], "and?");
    // tools that were called must be there, and are not called again
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

#[test]
fn odd_beginnings_and_ends_are_made_good() {
    let mut conversation = Conversation {
        system: vec![Part::text("Only this.")],
        ..Conversation::default()
    };
    let body = write(&conversation);
    assert_eq!(body["messages"][0]["content"][0]["text"], "Only this.");
    assert_eq!(body.get("system"), None);

    conversation.turns = vec![turn(Role::Assistant, vec![Part::text("Hello \n")])];
    let body = write(&conversation);
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(body["messages"][1]["content"][0]["text"], "Hello");
}

#[test]
fn limits_leave_room_for_thinking() {
    let mut conversation = asks("x");
    assert_eq!(write(&conversation)["max_tokens"], 64_000);
    conversation.max_output_tokens = Some(500);
    conversation.reasoning = Some(Reasoning {
        effort: Some(Effort::Medium),
        ..Reasoning::default()
    });
    let body = write_for("claude-sonnet-4-5", &conversation);
    assert_eq!(
        body["thinking"],
        json!({"type": "enabled", "budget_tokens": 2048})
    );
    assert_eq!(body["max_tokens"], 2548);
    let body = write_for("claude-opus-4-7", &conversation);
    assert_eq!(body["thinking"]["type"], "adaptive");
    assert_eq!(body["output_config"], json!({"effort": "medium"}));
    assert_eq!(body["max_tokens"], 500);
    let error = attempt("claude-3-5-haiku-20241022", &conversation, false).expect_err("refused");
    assert!(error.message().contains("think"), "{}", error.message());
    conversation.reasoning = Some(Reasoning {
        budget: Some(200_000),
        ..Reasoning::default()
    });
    let body = write_for("claude-opus-4-6", &conversation);
    assert_eq!(body["max_tokens"], 64_000);
    assert_eq!(body["thinking"]["budget_tokens"], 32_000);
    conversation.reasoning = Some(Reasoning {
        effort: Some(Effort::None),
        ..Reasoning::default()
    });
    assert_eq!(
        write_for("claude-sonnet-4-5", &conversation).get("thinking"),
        None
    );
    assert_eq!(
        write_for("claude-sonnet-5", &conversation)["thinking"]["type"],
        "disabled"
    );
}

#[test]
fn sampling_goes_where_it_is_taken() {
    let number = |text: &str| Some(text.parse().expect("a number"));
    let mut conversation = asks("x");
    conversation.temperature = number("0.7");
    assert_eq!(write(&conversation)["temperature"], json!(0.7));
    let error = attempt("claude-opus-4-7", &conversation, false).expect_err("refused");
    assert_eq!(error.parameter(), Some("temperature"));
    let (body, dropped) = attempt("claude-opus-4-7", &conversation, true).expect("dropped");
    assert_eq!(body.get("temperature"), None);
    assert_eq!(dropped, ["temperature"]);
    conversation.top_p = number("0.5");
    let error = attempt("claude-sonnet-4-5", &conversation, false).expect_err("refused");
    assert_eq!(error.parameter(), Some("top_p"));
    conversation.temperature = number("1.0");
    assert_eq!(write(&conversation)["top_p"], json!(0.5));
    conversation.top_p = None;
    conversation.presence_penalty = number("0");
    conversation.choices = Some(1);
    write_for("claude-opus-4-7", &conversation);
    conversation.seed = number("7");
    assert!(attempt("claude-opus-4-7", &conversation, false).is_err());
}

#[test]
fn only_own_thoughts_go_back() {
    let mut conversation = asks("x");
    conversation.reasoning = Some(Reasoning {
        budget: Some(3000),
        ..Reasoning::default()
    });
    conversation.turns.push(turn(
        Role::Assistant,
        vec![
            sealed("mine", Seal::new(OURS, "sig")),
            sealed("theirs", Seal::new(Format::Gemini, "g")),
            call("a", "t", "{}"),
        ],
    ));
    conversation
        .turns
        .push(turn(Role::User, vec![result("a", "1")]));
    let body = write(&conversation);
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"type": "thinking", "thinking": "mine", "signature": "sig"})
    );
    assert_eq!(
        body["messages"][1]["content"].as_array().map(Vec::len),
        Some(2)
    );
    assert_eq!(body["thinking"]["type"], "enabled");
    // with another provider's thoughts alone the turn cannot go on thinking
    conversation.turns[1].parts.remove(0);
    let (body, dropped) = attempt("claude-sonnet-4-5", &conversation, false).expect("written");
    assert_eq!(body.get("thinking"), None);
    assert_eq!(dropped.len(), 1);
}

#[test]
fn a_schema_is_native_or_a_tool_that_is_text_again() {
    let mut conversation = asks("x");
    conversation.output = Output::Schema {
        name: Some("n".to_owned()),
        description: None,
        schema: json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
        strict: Some(true),
    };
    let body = write_for("claude-haiku-4-5", &conversation);
    assert_eq!(
        body["output_config"]["format"]["schema"]["additionalProperties"],
        false
    );
    let body = write_for("claude-3-5-haiku-20241022", &conversation);
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    let name = body["tools"][0]["name"].as_str().expect("a name");

    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": name, "input": {"a": 1}}],
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    let answer = translate::read_answer(OURS, UsageRule::OpenAi, message.to_string().as_bytes())
        .expect("an answer");
    assert_eq!(answer.choices[0].parts, [Part::text("{\"a\":1}")]);
    assert_eq!(answer.choices[0].stop, Some(Stop::End));

    let stream = [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block":
            {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}}),
        json!({"type": "content_block_delta", "index": 0, "delta":
            {"type": "input_json_delta", "partial_json": "{\"a\":"}}),
        json!({"type": "content_block_delta", "index": 0, "delta":
            {"type": "input_json_delta", "partial_json": "1}"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ];
    let message = fold(&translated(&stream));
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "{\"a\":1}"}])
    );
    assert_eq!(message["stop_reason"], "end_turn");

    conversation.output = Output::Json;
    let body = write_for("claude-haiku-4-5", &conversation);
    assert!(
        body["system"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("JSON"))
    );
}

/// Puts a stream through the translator, as a client of the same format gets it.
fn translated(events: &[Value]) -> String {
    let text: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    let mut translator =
        StreamTranslator::new(OURS, UsageRule::OpenAi, OURS, shown()).expect("formats");
    let mut out = translator.feed(text.as_bytes()).to_vec();
    out.extend_from_slice(&translator.finish().0);
    String::from_utf8(out).expect("text")
}

/// Puts a stream together as Anthropic's SDKs do.
fn fold(stream: &str) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for line in stream.lines() {
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().expect("a type") {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().expect("blocks");
                assert_eq!(blocks.len(), index, "blocks are numbered as they begin");
                blocks.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let block = &mut message["content"][index];
                let delta = &event["delta"];
                let mut append = |name: &str| {
                    let whole =
                        [&block[name], &delta[name]].map(|text| text.as_str().expect("text"));
                    block[name] = json!(whole.concat());
                };
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => append("text"),
                    "thinking_delta" => append("thinking"),
                    "signature_delta" => append("signature"),
                    "input_json_delta" => {
                        inputs[index].push_str(delta["partial_json"].as_str().expect("text"));
                    }
                    "citations_delta" => {
                        if block.get("citations").is_none() {
                            block["citations"] = json!([]);
                        }
                        let citations = block["citations"].as_array_mut().expect("a list");
                        citations.push(delta["citation"].clone());
                    }
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !inputs[index].is_empty() => {
                message["content"][index]["input"] =
                    serde_json::from_str(&inputs[index]).expect("JSON");
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                for (name, count) in event["usage"].as_object().expect("usage") {
                    message["usage"][name] = count.clone();
                }
            }
            "error" => message["error"] = event["error"].clone(),
            _ => {}
        }
    }
    message
}

#[test]
fn errors_in_a_stream_are_told_in_its_own_shape() {
    let text = translated(&[
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "m"}}),
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ]);
    let message = fold(&text);
    assert_eq!(
        message["error"],
        json!({"type": "overloaded_error", "message": "Overloaded"})
    );
    let cut = translated(&[json!({"type": "message_start", "message": {"id": "msg_1"}})]);
    assert_eq!(fold(&cut)["error"]["type"], "api_error");
}
