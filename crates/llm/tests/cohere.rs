//! Requests of clients as Cohere's v2 chat gets them.

use llm::provider::PROVIDERS;
use llm::translate::{self, Translated};
use llm::{Format, To};
use serde_json::{Value, json};

fn translate(from: Format, model: &str, members: &Value, drops: bool) -> base::Result<Translated> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    if from == Format::Anthropic {
        body["max_tokens"] = json!(100);
    }
    body.as_object_mut()
        .expect("JSON of the test")
        .extend(members.as_object().expect("JSON of the test").clone());
    let to = To {
        provider: &PROVIDERS[0],
        model,
        max_output_tokens: None,
    };
    translate::request(
        from,
        Format::Cohere,
        &to,
        body.to_string().as_bytes(),
        drops,
    )
}

fn written(from: Format, model: &str, members: &Value) -> Value {
    let translated = translate(from, model, members, false)
        .unwrap_or_else(|error| panic!("{members}: {}", error.message()));
    serde_json::from_slice(&translated.body).expect("JSON of the test")
}

fn chat(members: Value) -> Value {
    written(Format::OpenAiChat, "command-a-03-2025", &members)
}

fn refused(members: &Value) -> String {
    let error =
        translate(Format::OpenAiChat, "command-a-03-2025", members, false).expect_err("refused");
    assert_eq!(error.status(), 400);
    error.parameter().unwrap_or_default().to_owned()
}

fn function(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

#[test]
fn text_and_parameters_are_in_their_places() {
    let body = chat(json!({"messages": [
            {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "go on"}],
        "stream": true, "max_tokens": 10, "temperature": 0.7, "top_p": 1, "seed": 3,
        "presence_penalty": 0.5, "stop": "a", "response_format": {"type": "json_object"},
        "safety_mode": "STRICT"}));
    assert_eq!(
        body,
        json!({"model": "command-a-03-2025", "stream": true, "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "hi"}]},
                {"role": "assistant", "content": [{"type": "text", "text": "yes?"}]},
                {"role": "user", "content": [{"type": "text", "text": "go on"}]}],
            "max_tokens": 10, "temperature": 0.7, "p": 0.99, "seed": 3, "presence_penalty": 0.5,
            "stop_sequences": ["a"], "response_format": {"type": "json_object"},
            "safety_mode": "STRICT"})
    );
}

#[test]
fn a_tool_loop_is_carried() {
    let call = json!({"id": "f_1", "type": "function",
        "function": {"name": "f", "arguments": "{}"}});
    let body = chat(json!({"tools": [function("f"), function("g")],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "messages": [{"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "f_1", "content": "42"}]}));
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "tool_calls": [call]})
    );
    assert_eq!(
        body["messages"][2],
        json!({"role": "tool", "tool_call_id": "f_1",
            "content": [{"type": "text", "text": "42"}]})
    );
    // Cohere cannot name a tool, but can have no other
    assert_eq!(body["tool_choice"], "REQUIRED");
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": "f",
            "parameters": {"type": "object", "properties": {}}}}])
    );
    let none = chat(json!({"tools": [function("f")], "tool_choice": "none"}));
    assert_eq!(none["tool_choice"], "NONE");
}

#[test]
fn pictures_and_documents_have_their_places() {
    let body = written(
        Format::Anthropic,
        "command-a-plus-05-2026",
        &json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source":
                {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            {"type": "document", "title": "T", "source":
                {"type": "text", "media_type": "text/plain", "data": "words"}}]}]}),
    );
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}])
    );
    assert_eq!(
        body["documents"],
        json!([{"id": "doc:0", "data": {"text": "words", "title": "T"}}])
    );
    let pdf = json!({"messages": [{"role": "user", "content": [{"type": "file", "file":
        {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}]}]});
    assert_eq!(refused(&pdf), "messages[0]");
}

#[test]
fn thinking_is_asked_of_models_that_think() {
    let effort = |model: &str, effort: &str| {
        let members = json!({"reasoning_effort": effort});
        written(Format::OpenAiChat, model, &members)
            .get("thinking")
            .cloned()
    };
    let model = "command-a-reasoning-08-2025";
    assert_eq!(
        effort(model, "high"),
        Some(json!({"type": "enabled", "token_budget": 4096}))
    );
    assert_eq!(effort(model, "none"), Some(json!({"type": "disabled"})));
    assert_eq!(effort("command-r-08-2024", "none"), None);
    assert_eq!(
        refused(&json!({"reasoning_effort": "low"})),
        "reasoning_effort"
    );
}

#[test]
fn only_coheres_own_thoughts_go_back_to_it() {
    let turn = |signature: &str| {
        written(
            Format::Anthropic,
            "command-a-reasoning-08-2025",
            &json!({"messages": [{"role": "user", "content": "hi"},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm", "signature": signature},
                    {"type": "text", "text": "so"}]},
                {"role": "user", "content": "on"}]}),
        )["messages"][1]
            .clone()
    };
    let text = json!({"type": "text", "text": "so"});
    // as base64 of "tollgate:cohere:thinking" and "tollgate:cohere:plan"
    assert_eq!(
        turn("dG9sbGdhdGU6Y29oZXJlOnRoaW5raW5n")["content"],
        json!([{"type": "thinking", "thinking": "hm"}, text])
    );
    assert_eq!(turn("dG9sbGdhdGU6Y29oZXJlOnBsYW4=")["tool_plan"], "hm");
    assert_eq!(turn("c2lnbmF0dXJl")["content"], json!([text]));
}

#[test]
fn what_cannot_be_said_is_refused_by_name_or_dropped() {
    for (member, value) in [
        ("n", json!(2)),
        ("logit_bias", json!({"5": 1})),
        ("stop", json!(["a", "b", "c", "d", "e", "f"])),
    ] {
        let members = json!({member: value});
        assert_eq!(refused(&members), member);
        let translated =
            translate(Format::OpenAiChat, "command-a-03-2025", &members, true).unwrap();
        assert_eq!(translated.dropped, [member]);
    }
    let members = json!({"tools": [function("f")], "parallel_tool_calls": false});
    assert_eq!(refused(&members), "parallel_tool_calls");
}
