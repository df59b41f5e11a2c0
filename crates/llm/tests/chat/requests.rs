//! What is understood of a client's request.

use llm::conversation::{
    CacheMark, Content, Conversation, Effort, MediaKind, MediaSource, Output, Part, Role, Seal,
    ServerTool, Tool, ToolChoice, ToolKind,
};
use llm::{Format, translate};
use serde_json::{Value, json};

use super::{CHAT, read};

fn with(members: Value) -> Conversation {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let object = body.as_object_mut().expect("an object");
    object.extend(members.as_object().expect("members").clone());
    read(&body)
}

fn talk(messages: Value) -> Conversation {
    read(&json!({"model": "m", "messages": messages}))
}

fn text(part: &Part) -> &str {
    match &part.content {
        Content::Text { text, .. } => text,
        other => panic!("{other:?} is no text"),
    }
}

fn fault(body: &str) -> (String, String) {
    let error = translate::read_request(CHAT, body.as_bytes()).expect_err("a refusal");
    assert_eq!(error.status(), 400);
    let member = error.parameter().unwrap_or_default().to_owned();
    (member, error.message().to_owned())
}

#[test]
fn instructions_come_first_or_stay_in_their_place() {
    let conversation = talk(json!([
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "It is late."},
        {"role": "user", "content": "still there?"},
    ]));
    let system: Vec<&str> = conversation.system.iter().map(text).collect();
    assert_eq!(system, ["Be brief.", "Be kind."]);
    let roles: Vec<Role> = conversation.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::User, Role::System, Role::User]);
    assert_eq!(conversation.turns[1].place, 3);
}

#[test]
fn results_of_tools_and_what_the_user_adds_are_one_turn() {
    let conversation = talk(json!([
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{\"at\":\"x\"}"}},
            {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ]},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "file"}]},
        {"role": "tool", "tool_call_id": "a", "content": "rain"},
        {"role": "user", "content": "and?"},
    ]));
    assert_eq!(conversation.turns.len(), 3);
    let Content::ToolCall {
        arguments, kind, ..
    } = &conversation.turns[1].parts[1].content
    else {
        panic!("no call");
    };
    assert_eq!((arguments.as_str(), *kind), ("ls", ToolKind::Custom));
    let results = &conversation.turns[2].parts;
    assert_eq!(results.len(), 3);
    let Content::ToolResult {
        call_id,
        name,
        kind,
        parts,
        ..
    } = &results[0].content
    else {
        panic!("no result");
    };
    assert_eq!(
        (call_id.as_str(), name.as_deref(), *kind),
        ("b", Some("shell"), ToolKind::Custom)
    );
    assert_eq!(text(&parts[0]), "file");
}

#[test]
fn legacy_functions_are_tools() {
    let conversation = read(&json!({
        "model": "m",
        "functions": [{"name": "weather", "parameters": {"type": "object"}}],
        "function_call": {"name": "weather"},
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null,
             "function_call": {"name": "weather", "arguments": "{}"}},
            {"role": "function", "name": "weather", "content": "rain"},
        ],
    }));
    assert!(matches!(&conversation.tools[0], Tool::Function { name, .. } if name == "weather"));
    assert_eq!(
        conversation.tool_choice,
        Some(ToolChoice::Named("weather".to_owned()))
    );
    let id = |turn: usize| match &conversation.turns[turn].parts[0].content {
        Content::ToolCall { id, .. } => id.clone(),
        Content::ToolResult { call_id, .. } => call_id.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(id(1), id(2));
}

#[test]
fn media_are_told_apart() {
    let conversation = talk(json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}},
        {"type": "image_url", "image_url": "https://example.com/a.jpg"},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "document_url", "document_url": "https://example.com/a.pdf"},
        {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
        {"type": "document", "source": {"type": "text", "data": "notes", "media_type": "text/plain"}},
    ]}]));
    let media: Vec<_> = conversation.turns[0]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::Media(media) => media,
            other => panic!("{other:?}"),
        })
        .collect();
    let kinds: Vec<MediaKind> = media.iter().map(|media| media.kind).collect();
    use MediaKind::{Audio, Document, Image, Video};
    assert_eq!(
        kinds,
        [
            Image, Image, Audio, Document, Document, Document, Video, Document
        ]
    );
    assert_eq!(media[0].media_type.as_deref(), Some("image/png"));
    assert_eq!(media[0].source, MediaSource::Base64("aGk=".to_owned()));
    assert_eq!(media[0].detail.as_deref(), Some("low"));
    assert_eq!(media[2].media_type.as_deref(), Some("audio/mpeg"));
    assert_eq!(media[3].name.as_deref(), Some("a.pdf"));
    let file = MediaSource::File {
        format: Format::OpenAiChat,
        id: "file-1".to_owned(),
    };
    assert_eq!(media[4].source, file);
}

#[test]
fn marks_for_the_cache_are_kept_on_parts_messages_and_tools() {
    let conversation = read(&json!({
        "model": "m",
        "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "system", "content": [
                {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ]},
            {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}},
        ],
    }));
    assert_eq!(conversation.system[0].cache, Some(CacheMark::OneHour));
    assert_eq!(
        conversation.turns[0].parts[0].cache,
        Some(CacheMark::FiveMinutes)
    );
    let marked = Some(CacheMark::FiveMinutes);
    assert!(matches!(&conversation.tools[0], Tool::Function { cache, .. } if *cache == marked));
}

#[test]
fn how_much_to_think_may_be_said_in_many_ways() {
    let cases = [
        (
            json!({"reasoning_effort": "xhigh"}),
            Some(Effort::Max),
            None,
            None,
        ),
        (
            json!({"reasoning_effort": {"effort": "low", "summary": "auto"}}),
            Some(Effort::Low),
            None,
            Some(true),
        ),
        (
            json!({"reasoning": {"max_tokens": 2000, "exclude": true}}),
            None,
            Some(2000),
            Some(false),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
            None,
            Some(4096),
            Some(true),
        ),
        (
            json!({"thinking": {"type": "disabled"}}),
            Some(Effort::None),
            None,
            None,
        ),
    ];
    for (members, effort, budget, show) in cases {
        let reasoning = with(members.clone()).reasoning.expect("reasoning");
        assert_eq!(
            (reasoning.effort, reasoning.budget, reasoning.show),
            (effort, budget, show),
            "{members}"
        );
    }
    assert!(
        with(json!({"thinking": {"type": "adaptive"}}))
            .reasoning
            .expect("some")
            .is_adaptive
    );
    assert_eq!(with(json!({"reasoning_effort": null})).reasoning, None);
}

#[test]
fn thoughts_come_back_with_their_signatures() {
    let conversation = talk(json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "Hm.", "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "ErUB"},
            {"type": "redacted_thinking", "data": "EmwK"},
        ]},
    ]));
    let parts = &conversation.turns[1].parts;
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0].seal, Some(Seal::new(Format::Anthropic, "ErUB")));
    assert!(
        matches!(&parts[0].content, Content::Reasoning { text, redacted: false } if text == "Hm.")
    );
    assert!(matches!(
        parts[1].content,
        Content::Reasoning { redacted: true, .. }
    ));
    let plain = talk(json!([{"role": "assistant", "content": "a", "reasoning_content": "b"}]));
    assert_eq!(plain.turns[0].parts[0].seal, None);
}

#[test]
fn a_signature_of_gemini_is_the_call_s_seal() {
    let conversation = talk(json!([{"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"},
         "extra_content": {"google": {"thought_signature": "CiQ="}}},
    ]}]));
    let seal = conversation.turns[0].parts[0].seal.clone();
    assert_eq!(seal, Some(Seal::new(Format::Gemini, "CiQ=")));
}

#[test]
fn the_shape_of_the_answer_is_understood() {
    let asked = json!({"response_format": {"type": "json_schema", "json_schema": {
        "name": "n", "schema": {"type": "object"}, "strict": true,
    }}});
    assert_eq!(
        with(asked).output,
        Output::Schema {
            name: Some("n".to_owned()),
            description: None,
            schema: json!({"type": "object"}),
            strict: Some(true),
        }
    );
    assert_eq!(
        with(json!({"response_format": {"type": "json_object"}})).output,
        Output::Json
    );
    assert_eq!(with(json!({"response_format": null})).output, Output::Text);
}

#[test]
fn searching_the_web_is_a_tool() {
    let conversation = with(json!({"web_search_options": {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}},
    }}));
    let Tool::Server(ServerTool::WebSearch {
        context_size,
        location,
        ..
    }) = &conversation.tools[0]
    else {
        panic!("{:?}", conversation.tools);
    };
    assert_eq!(context_size.as_deref(), Some("low"));
    assert_eq!(location.as_ref().expect("a place")["city"], "Oslo");
}

#[test]
fn only_the_allowed_tools_are_left() {
    let function = |name: &str| json!({"type": "function", "function": {"name": name}});
    let conversation = with(json!({
        "tools": [function("a"), function("b")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [function("b")],
        }},
    }));
    assert_eq!(conversation.tools.len(), 1);
    assert_eq!(conversation.tool_choice, Some(ToolChoice::Any));
}

#[test]
fn defaults_and_nulls_ask_for_nothing() {
    let conversation = with(json!({
        "n": 1, "logprobs": false, "top_logprobs": null, "presence_penalty": 0,
        "frequency_penalty": 0.0, "logit_bias": {}, "stop": null, "tools": [], "user": null,
        "modalities": ["text"], "min_p": null, "unheard_of": null, "echo": false,
    }));
    let nothing = with(json!({}));
    assert_eq!(conversation, nothing);
}

#[test]
fn unknown_members_are_kept_by_name_and_hints_are_hints() {
    let conversation = with(json!({
        "unheard_of": 1, "store": true, "prediction": {"type": "content", "content": "x"},
        "tags": ["a"], "metadata": {"tags": ["a"]},
    }));
    let other: Vec<(&str, bool)> = conversation
        .other
        .iter()
        .map(|other| (other.field.as_str(), other.is_hint))
        .collect();
    assert_eq!(
        other,
        [("unheard_of", false), ("store", true), ("prediction", true)]
    );
    assert!(conversation.metadata.is_empty());
}

#[test]
fn a_bad_request_is_told_where_it_is_bad() {
    let cases = [
        ("{", "request_body"),
        ("[]", "request_body"),
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"messages":[]}"#, "messages"),
        (r#"{"messages":[1]}"#, "messages[0]"),
        (
            r#"{"messages":[{"role":"robot","content":""}]}"#,
            "messages[0].role",
        ),
        (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"smell"}]}]}"#,
            "messages[0].content[0].type",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":5}]}]}"#,
            "messages[0].content[0].text",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]}"#,
            "messages[0].content[0].image_url",
        ),
        (
            r#"{"messages":[{"role":"tool","content":"x"}]}"#,
            "messages[0].tool_call_id",
        ),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{}}]}]}"#,
            "messages[0].tool_calls[0].function.name",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}"#,
            "temperature",
        ),
        (r#"{"messages":[{"role":"user","content":"x"}],"n":0}"#, "n"),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"max_tokens":-1}"#,
            "max_tokens",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"stop":[1]}"#,
            "stop[0]",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]}"#,
            "tools[0].function",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"tool_choice":"maybe"}"#,
            "tool_choice",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"xml"}}"#,
            "response_format.type",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"reasoning_effort":"huge"}"#,
            "reasoning_effort",
        ),
    ];
    for (body, member) in cases {
        assert_eq!(fault(body).0, member, "{body}");
    }
    let (_, message) = fault(r#"{"messages":[{"role":"user","content":5}]}"#);
    assert_eq!(
        message,
        "messages[0].content: expected a string or an array of parts, but got a number"
    );
}
