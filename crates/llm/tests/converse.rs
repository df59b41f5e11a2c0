//! Requests of clients as Bedrock's Converse gets them.

use std::path::{Path, PathBuf};

use llm::provider::PROVIDERS;
use llm::translate::{self, Translated};
use llm::{Format, To};
use serde_json::{Value, json};

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const NOVA: &str = "amazon.nova-pro-v1:0";

fn translate(from: Format, model: &str, body: &Value, drops: bool) -> base::Result<Translated> {
    let to = To {
        provider: &PROVIDERS[0],
        model,
        max_output_tokens: None,
    };
    translate::request(
        from,
        Format::Converse,
        &to,
        body.to_string().as_bytes(),
        drops,
    )
}

fn written(from: Format, model: &str, body: &Value) -> Value {
    let translated = translate(from, model, body, false)
        .unwrap_or_else(|error| panic!("{body}: {}", error.message()));
    serde_json::from_slice(&translated.body).expect("JSON of the test")
}

fn chat(model: &str, members: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut()
        .expect("JSON of the test")
        .extend(members.as_object().expect("JSON of the test").clone());
    written(Format::OpenAiChat, model, &body)
}

fn messages(model: &str, members: Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 2000,
        "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut()
        .expect("JSON of the test")
        .extend(members.as_object().expect("JSON of the test").clone());
    written(Format::Anthropic, model, &body)
}

fn refused(model: &str, members: &Value) -> (String, String) {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut()
        .expect("JSON of the test")
        .extend(members.as_object().expect("JSON of the test").clone());
    let error = translate(Format::OpenAiChat, model, &body, false).expect_err("refused");
    assert_eq!(error.status(), 400);
    let parameter = error.parameter().unwrap_or_default().to_owned();
    (parameter, error.message().to_owned())
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "f", "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}}})
}

#[test]
fn text_and_parameters_are_in_their_places() {
    let body = chat(
        NOVA,
        json!({"messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "hi"}, {"role": "user", "content": "there"},
                {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "go on"}],
            "max_tokens": 10, "temperature": 0.7, "top_p": 0.9, "stop": ["a", ""], "top_k": 5}),
    );
    assert_eq!(
        body,
        json!({
            "system": [{"text": "be brief"}],
            "messages": [
                {"role": "user", "content": [{"text": "hi"}, {"text": "there"}]},
                {"role": "assistant", "content": [{"text": "yes?"}]},
                {"role": "user", "content": [{"text": "go on"}]}],
            "inferenceConfig": {"maxTokens": 10, "temperature": 0.7, "topP": 0.9,
                "stopSequences": ["a"]},
            "additionalModelRequestFields": {"inferenceConfig": {"topK": 5}},
        })
    );
}

#[test]
fn a_tool_loop_is_carried() {
    let call = json!({"id": "odd|id", "type": "function",
        "function": {"name": "f", "arguments": "{\"a\": 1.0}"}});
    let body = chat(
        CLAUDE,
        json!({"tools": [tool()], "tool_choice": {"type": "function", "function": {"name": "f"}},
            "messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "odd|id", "content": "42"}]}),
    );
    let call = &body["messages"][1]["content"][0]["toolUse"];
    assert_eq!(call["input"], json!({"a": 1.0}));
    let result = &body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(result["content"], json!([{"text": "42"}]));
    assert_eq!(result["toolUseId"], call["toolUseId"]);
    let id = call["toolUseId"].as_str().unwrap();
    assert!(
        id.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    assert_eq!(
        body["toolConfig"]["toolChoice"],
        json!({"tool": {"name": "f"}})
    );
    let spec = &body["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(spec["name"], "f");
    assert_eq!(spec["inputSchema"]["json"]["type"], "object");
}

#[test]
fn tools_stay_where_the_history_calls_them() {
    let history = json!([{"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "a", "type": "function",
            "function": {"name": "old", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "a", "content": ""}]);
    // no tools any more: Bedrock wants those that were called
    let body = chat(CLAUDE, json!({"messages": history}));
    assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "old");
    assert_eq!(
        body["messages"][1]["content"][0]["toolUse"]["input"],
        json!({})
    );
    // none may be called, which Bedrock has no word for
    let body = chat(
        CLAUDE,
        json!({"messages": history, "tools": [tool()], "tool_choice": "none"}),
    );
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["toolConfig"].get("toolChoice"), None);
    let body = chat(CLAUDE, json!({"tools": [tool()], "tool_choice": "none"}));
    assert_eq!(body.get("toolConfig"), None);
}

#[test]
fn failed_tools_say_so() {
    let turns = |model: &str| {
        messages(
            model,
            json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a",
                    "is_error": true, "content": "boom"}]}]}),
        )["messages"][2]["content"][0]["toolResult"]
            .clone()
    };
    assert_eq!(turns(CLAUDE)["status"], "error");
    let other = turns("openai.gpt-oss-20b-1:0");
    assert_eq!(other.get("status"), None);
    assert_eq!(other["content"][0]["text"], "The tool failed:");
}

#[test]
fn a_single_call_is_asked_for_where_it_can_be() {
    let members = json!({"tools": [tool()], "parallel_tool_calls": false});
    let body = chat(CLAUDE, members.clone());
    assert_eq!(
        body["additionalModelRequestFields"]["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    assert_eq!(refused(NOVA, &members).0, "parallel_tool_calls");
}

#[test]
fn pictures_and_documents_are_base64_with_a_good_name() {
    let document = |title: &str, cited: bool| {
        json!({"type": "document", "title": title, "citations": {"enabled": cited},
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}})
    };
    let body = messages(
        CLAUDE,
        json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source":
                {"type": "base64", "media_type": "image/jpeg", "data": "/9j/4A=="}},
            document("a_b.pdf", true), document("a b", false)]}]}),
    );
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"text": "look"},
            {"image": {"format": "jpeg", "source": {"bytes": "/9j/4A=="}}},
            {"document": {"format": "pdf", "name": "a b", "source": {"bytes": "JVBERg=="},
                "citations": {"enabled": true}}},
            {"document": {"format": "pdf", "name": "a b (2)", "source": {"bytes": "JVBERg=="}}}])
    );
    let url = json!({"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}]}]});
    let (parameter, message) = refused(CLAUDE, &url);
    assert_eq!(parameter, "messages[0]");
    assert!(message.contains("base64"), "{message}");
}

#[test]
fn cache_marks_become_cache_points_where_the_model_has_them() {
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let members = json!({
        "system": [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": mark}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "hi", "cache_control": mark}]}]});
    let body = messages(CLAUDE, members.clone());
    assert_eq!(
        body["system"][1],
        json!({"cachePoint": {"type": "default"}})
    );
    let hour = json!({"cachePoint": {"type": "default", "ttl": "1h"}});
    assert_eq!(body["toolConfig"]["tools"][1], hour);
    assert_eq!(body["messages"][0]["content"][1], hour);
    let nova = messages(NOVA, members.clone());
    assert_eq!(
        nova["messages"][0]["content"][1],
        json!({"cachePoint": {"type": "default"}})
    );
    assert_eq!(nova["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    let other = messages("meta.llama3-3-70b-instruct-v1:0", members);
    assert_eq!(other["system"].as_array().unwrap().len(), 1);
}

#[test]
fn each_maker_is_told_how_much_to_think_in_its_own_words() {
    let fields = |model: &str, effort: &str| {
        let body = chat(model, json!({"reasoning_effort": effort}));
        body.get("additionalModelRequestFields").cloned()
    };
    assert_eq!(
        fields(CLAUDE, "high"),
        Some(json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}))
    );
    let adaptive = fields("global.anthropic.claude-opus-4-7", "high").unwrap();
    assert_eq!(adaptive["thinking"]["type"], "adaptive");
    assert_eq!(adaptive["output_config"], json!({"effort": "high"}));
    assert_eq!(
        fields("us.amazon.nova-2-lite-v1:0", "high"),
        Some(json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}))
    );
    for model in ["openai.gpt-oss-120b-1:0", "deepseek.v3-v1:0"] {
        assert_eq!(
            fields(model, "medium"),
            Some(json!({"reasoning_effort": "medium"}))
        );
    }
    assert_eq!(
        fields("us.openai.gpt-5.5", "none"),
        Some(json!({"reasoning": {"effort": "none"}}))
    );
    assert_eq!(fields("us.deepseek.r1-v1:0", "low"), None);
    assert_eq!(fields(NOVA, "none"), None);
    assert_eq!(
        refused(NOVA, &json!({"reasoning_effort": "low"})).0,
        "reasoning_effort"
    );
    // Nova refuses limits with its highest effort
    let limited = chat(
        "us.amazon.nova-2-lite-v1:0",
        json!({"reasoning_effort": "high", "max_tokens": 100}),
    );
    let config = &limited["additionalModelRequestFields"]["reasoningConfig"];
    assert_eq!(config["maxReasoningEffort"], "medium");
}

#[test]
fn a_schema_is_kept_natively_or_by_a_forced_tool() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}},
        "required": ["a"]});
    let format = json!({"response_format": {"type": "json_schema",
        "json_schema": {"name": "n", "schema": schema}}});
    let native = chat(CLAUDE, format.clone());
    let text = &native["outputConfig"]["textFormat"];
    assert_eq!(text["type"], "json_schema");
    let definition = &text["structure"]["jsonSchema"];
    assert_eq!(definition["name"], "n");
    let closed: Value = serde_json::from_str(definition["schema"].as_str().unwrap()).unwrap();
    assert_eq!(closed["additionalProperties"], false);
    let forced = chat(NOVA, format.clone());
    let tool = &forced["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(tool["inputSchema"]["json"], schema);
    assert_eq!(
        forced["toolConfig"]["toolChoice"]["tool"]["name"],
        tool["name"]
    );
    let mut with_tools = format.clone();
    with_tools["tools"] = json!([self::tool()]);
    let both = chat(NOVA, with_tools);
    assert_eq!(both["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(
        refused("meta.llama3-8b-instruct-v1:0", &format).0,
        "response_format"
    );
}

#[test]
fn only_bedrocks_own_seals_go_back_to_it() {
    let thinking = |signature: &str| {
        messages(
            CLAUDE,
            json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": signature},
                    {"type": "text", "text": "so"}]},
                {"role": "user", "content": "on"}]}),
        )["messages"][1]["content"]
            .clone()
    };
    // as base64 of "tollgate:converse:c2ln" and "tollgate:converse:redacted:YWJj"
    assert_eq!(
        thinking("dG9sbGdhdGU6Y29udmVyc2U6YzJsbg=="),
        json!([{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
            {"text": "so"}])
    );
    assert_eq!(
        thinking("dG9sbGdhdGU6Y29udmVyc2U6cmVkYWN0ZWQ6WVdKag==")[0],
        json!({"reasoningContent": {"redactedContent": "YWJj"}})
    );
    assert_eq!(thinking("c2lnbmF0dXJl"), json!([{"text": "so"}]));
}

#[test]
fn bedrocks_own_members_may_be_set() {
    let body = chat(
        CLAUDE,
        json!({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "performanceConfig": {"latency": "optimized"}, "service_tier": "flex",
            "stop": "END", "additionalModelRequestFields": {"x": 1}}),
    );
    assert_eq!(body["guardrailConfig"]["guardrailIdentifier"], "g");
    assert_eq!(body["performanceConfig"]["latency"], "optimized");
    assert_eq!(body["serviceTier"], json!({"type": "flex"}));
    assert_eq!(body["additionalModelRequestFields"], json!({"x": 1}));
    assert_eq!(
        body["additionalModelResponseFieldPaths"],
        json!(["/stop_sequence"])
    );
    assert_eq!(
        refused(CLAUDE, &json!({"nobody_knows": 1})).0,
        "nobody_knows"
    );
}

#[test]
fn what_cannot_be_said_is_refused_by_name_or_dropped() {
    for (member, value) in [
        ("seed", json!(1)),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("logit_bias", json!({"5": 1})),
    ] {
        assert_eq!(refused(CLAUDE, &json!({member: value})).0, member);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
            member: value});
        let translated = translate(Format::OpenAiChat, CLAUDE, &body, true).unwrap();
        assert_eq!(translated.dropped, [member]);
    }
    let body = json!({"messages": [{"role": "assistant", "tool_calls": [{"id": "a",
        "type": "function", "function": {"name": "f", "arguments": "{cut"}}]}]});
    assert_eq!(refused(CLAUDE, &body).0, "messages[0]");
    let odd_name = json!({"tools": [{"type": "function", "function": {"name": "a.b"}}]});
    assert_eq!(refused(CLAUDE, &odd_name).0, "tools[0]");
    let blank = json!({"messages": [{"role": "user", "content": " "}]});
    assert_eq!(refused(CLAUDE, &blank).0, "messages");
}

#[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
fn recordings() -> Option<PathBuf> {
    let root = match std::env::var("TOLLGATE_RECORDINGS") {
        Ok(path) => PathBuf::from(path),
        Err(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures"),
    };
    if root.is_dir() {
        return Some(root);
    }
    eprintln!(
        "no recordings at {} (set TOLLGATE_RECORDINGS): not tested",
        root.display()
    );
    None
}

/// Every recorded request of a client, for models of several makers, at Bedrock and at Cohere: what
/// cannot be carried is refused by its name.
#[test]
fn every_recorded_request_is_carried_or_refused_by_name() {
    let Some(root) = recordings() else {
        return;
    };
    let index = std::fs::read(root.join("index.json")).unwrap();
    let index: Vec<Value> = serde_json::from_slice(&index).unwrap();
    let mut carried = 0;
    for case in &index {
        let from = match case["api"].as_str() {
            Some("chat") => Format::OpenAiChat,
            Some("responses") => Format::OpenAiResponses,
            Some("messages") => Format::Anthropic,
            Some("generateContent" | "streamGenerateContent") => Format::Gemini,
            _ => continue,
        };
        let (provider, name) = (case["provider"].as_str(), case["case"].as_str());
        let (Some(provider), Some(name)) = (provider, name) else {
            continue;
        };
        let file = root.join(format!("providers/{provider}/{name}.request.json"));
        let Ok(body) = std::fs::read(file) else {
            continue;
        };
        let Ok(conversation) = translate::read_request(from, &body) else {
            continue;
        };
        for (to_format, model) in [
            (Format::Converse, CLAUDE),
            (Format::Converse, NOVA),
            (Format::Converse, "openai.gpt-oss-120b-1:0"),
            (Format::Cohere, "command-a-reasoning-08-2025"),
        ] {
            let to = To {
                provider: &PROVIDERS[0],
                model,
                max_output_tokens: Some(8192),
            };
            for drops in [false, true] {
                match translate::write_request(from, to_format, &to, &conversation, drops) {
                    Ok(translated) => {
                        let body: Value = serde_json::from_slice(&translated.body).unwrap();
                        assert!(body["messages"].is_array(), "{provider}/{name}");
                        carried += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.status(), 400, "{provider}/{name}: {error:?}");
                        assert!(error.parameter().is_some(), "{provider}/{name}: {error:?}");
                    }
                }
            }
        }
    }
    assert!(carried > 1000, "only {carried} were carried");
}
