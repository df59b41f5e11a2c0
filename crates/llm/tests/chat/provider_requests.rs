//! What each provider gets of a request.

use serde_json::{Value, json};

use super::{refused, sent};

fn asking(members: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let object = body.as_object_mut().expect("an object");
    object.extend(members.as_object().expect("members").clone());
    body
}

fn tool_loop(id: &str) -> Value {
    json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": null, "reasoning_content": "I call f.", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": id, "content": "done"},
        ],
    })
}

#[test]
fn reasoning_models_of_openai_are_asked_in_their_own_words() {
    let body = asking(json!({
        "max_tokens": 100, "reasoning_effort": "high", "temperature": 1, "verbosity": "low",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
    }));
    let (thinks, _) = sent("openai", "gpt-5-mini", &body);
    assert_eq!(thinks["max_completion_tokens"], 100);
    assert_eq!(thinks["messages"][0]["role"], "developer");
    assert_eq!(thinks["reasoning_effort"], "high");
    assert_eq!(thinks["verbosity"], "low");
    assert_eq!(thinks.get("temperature"), None);
    let (plain, dropped) = sent("openai", "gpt-4o", &body);
    assert_eq!(plain["messages"][0]["role"], "system");
    assert_eq!(plain["temperature"], 1);
    assert_eq!(plain.get("reasoning_effort"), None);
    assert_eq!(dropped, ["reasoning_effort", "verbosity"]);
    let (other, _) = sent("hosted_vllm", "qwen", &body);
    assert_eq!(other["max_tokens"], 100);
    let (foundry, _) = sent("azure_ai", "grok-4", &body);
    assert_eq!(foundry["max_tokens"], 100);
    let (foundry, _) = sent("azure_ai", "gpt-5", &body);
    assert_eq!(foundry["max_completion_tokens"], 100);
    assert_eq!(other["messages"][0]["role"], "system");
    assert_eq!(
        refused("openai", "o3", &asking(json!({"temperature": 0.2}))),
        "temperature"
    );
}

#[test]
fn an_answer_s_usage_is_asked_for_where_it_must_be() {
    let body = asking(json!({"stream": true}));
    assert_eq!(
        sent("openai", "gpt-4o", &body).0["stream_options"]["include_usage"],
        true
    );
    assert_eq!(sent("mistral", "m", &body).0.get("stream_options"), None);
    assert_eq!(sent("mistral", "m", &body).0["stream"], true);
}

#[test]
fn thoughts_go_back_where_the_provider_wants_them() {
    let body = tool_loop("call_1");
    let thought =
        |name: &str, member: &str| sent(name, "m", &body).0["messages"][2][member].clone();
    assert_eq!(thought("deepseek", "reasoning_content"), "I call f.");
    assert_eq!(thought("openrouter", "reasoning"), "I call f.");
    assert_eq!(
        thought("mistral", "content")[0]["thinking"][0]["text"],
        "I call f."
    );
    assert_eq!(thought("openai", "reasoning_content"), Value::Null);
}

#[test]
fn ids_fit_the_provider_in_call_and_result() {
    let long = format!("toolu_{}", "x".repeat(60));
    for (name, most) in [("mistral", 9), ("openai", 40)] {
        let (body, _) = sent(name, "m", &tool_loop(&long));
        let call = body["messages"][2]["tool_calls"][0]["id"]
            .as_str()
            .expect("an id");
        assert!(call.len() <= most, "{name}: {call}");
        assert_eq!(body["messages"][3]["tool_call_id"], call, "{name}");
    }
    let (body, _) = sent("hosted_vllm", "m", &tool_loop(&long));
    assert_eq!(body["messages"][2]["tool_calls"][0]["id"], long);
}

#[test]
fn what_a_provider_has_no_place_for_is_refused_by_name() {
    let cases = [
        ("openai", json!({"top_k": 5}), "top_k"),
        ("mistral", json!({"logprobs": true}), "logprobs"),
        ("groq", json!({"web_search_options": {}}), "tools"),
        (
            "deepseek",
            json!({"modalities": ["text", "audio"], "audio": {"voice": "a"}}),
            "modalities",
        ),
        ("openai", json!({"unheard_of": 1}), "unheard_of"),
        (
            "groq",
            json!({"messages": [{"role": "user", "content": [
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}},
            ]}]}),
            "messages[0]",
        ),
        (
            "openai",
            json!({"messages": [{"role": "user", "content": [
                {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
            ]}]}),
            "messages[0]",
        ),
    ];
    for (name, members, member) in cases {
        assert_eq!(refused(name, "m", &asking(members)), member, "{name}");
    }
}

#[test]
fn dropping_what_cannot_be_said_is_told() {
    let body = asking(json!({"top_k": 5, "unheard_of": 1})).to_string();
    let to = super::to("openai", "gpt-4o");
    let translated = llm::translate::request(super::CHAT, super::CHAT, &to, body.as_bytes(), true)
        .expect("sent");
    assert_eq!(translated.dropped, ["unheard_of", "top_k"]);
}

#[test]
fn hints_are_left_out_and_told() {
    let body =
        asking(json!({"user": "u", "service_tier": "flex", "metadata": {"a": "b"}, "store": true}));
    let (_, dropped) = sent("mistral", "m", &body);
    assert_eq!(dropped, ["store", "user", "metadata", "service_tier"]);
    let (openai, dropped) = sent("openai", "gpt-4o", &body);
    assert_eq!(
        (&openai["user"], &openai["service_tier"]),
        (&json!("u"), &json!("flex"))
    );
    assert_eq!(dropped, ["store", "metadata"]);
}

#[test]
fn a_schema_goes_as_the_provider_knows_it() {
    let body = asking(
        json!({"response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "schema": {"type": "object", "title": "T"}, "strict": true,
        }}}),
    );
    assert_eq!(
        sent("openai", "gpt-4o", &body).0["response_format"],
        body["response_format"]
    );
    let (deepseek, _) = sent("deepseek", "deepseek-chat", &body);
    assert_eq!(deepseek["response_format"], json!({"type": "json_object"}));
    let system = deepseek["messages"][0]["content"]
        .as_str()
        .expect("instructions");
    assert!(system.contains(r#""title":"T""#), "{system}");
}

#[test]
fn how_much_to_think_is_said_in_the_provider_s_words() {
    let body = asking(json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}));
    let cases = [
        (
            "deepseek",
            "deepseek-chat",
            "thinking",
            json!({"type": "enabled"}),
        ),
        ("openrouter", "x", "reasoning", json!({"max_tokens": 4096})),
        (
            "groq",
            "openai/gpt-oss-120b",
            "reasoning_effort",
            json!("high"),
        ),
        ("dashscope", "qwen3", "thinking_budget", json!(4096)),
    ];
    for (name, model, member, value) in cases {
        assert_eq!(sent(name, model, &body).0[member], value, "{name}");
    }
}

#[test]
fn custom_tools_are_functions_where_nobody_knows_them() {
    let body = json!({
        "model": "m",
        "tools": [{"type": "custom", "custom": {"name": "shell", "description": "Runs it.", "format": {
            "type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD"},
        }}}],
        "tool_choice": {"type": "custom", "custom": {"name": "shell"}},
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "tool_calls": [
                {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls \"x\""}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "file"},
        ],
    });
    let (openai, _) = sent("openai", "gpt-5", &body);
    for member in ["tools", "tool_choice"] {
        assert_eq!(openai[member], body[member]);
    }
    assert_eq!(
        openai["messages"][1]["tool_calls"],
        body["messages"][1]["tool_calls"]
    );
    let (other, _) = sent("hosted_vllm", "m", &body);
    assert_eq!(other["tools"][0]["type"], "function");
    assert_eq!(other["tool_choice"]["function"]["name"], "shell");
    let arguments = other["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str();
    assert_eq!(arguments, Some(r#"{"input":"ls \"x\""}"#));
}

#[test]
fn what_a_tool_shows_goes_with_the_user_s_next_message() {
    let body = json!({"model": "m", "messages": [
        {"role": "user", "content": "look"},
        {"role": "assistant", "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": "a", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        ]},
        {"role": "user", "content": "well?"},
    ]});
    let (sent, _) = sent("openai", "gpt-4o", &body);
    let messages = sent["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 4);
    assert_eq!(messages[2]["role"], "tool");
    assert!(messages[2]["content"].is_string());
    let shown = &messages[3]["content"];
    assert_eq!(shown[1]["image_url"]["url"], "data:image/png;base64,aGk=");
    assert_eq!(shown[2]["text"], "well?");
}

#[test]
fn marks_for_the_cache_go_where_they_are_understood() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}},
    ]}]});
    let (openrouter, dropped) = sent("openrouter", "m", &body);
    assert_eq!(openrouter["messages"], body["messages"]);
    assert!(dropped.is_empty());
    let (openai, dropped) = sent("openai", "gpt-4o", &body);
    assert_eq!(openai["messages"][0]["content"], "long");
    assert_eq!(dropped, ["cache_control"]);
}
