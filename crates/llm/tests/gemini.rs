//! Gemini on both sides: what its clients say reaches others, what others say reaches its clients, and
//! its own traffic passes unchanged.

use bytes::Bytes;
use llm::conversation::{
    Answer, Choice, Citation, Content, Conversation, Effort, MediaKind, MediaSource, Output, Part,
    Reasoning, Role, Seal, ServerTool, Stop, Tool, ToolChoice, ToolKind, Turn,
};
use llm::request::{peek, rewrite};
use llm::response::{Observed, StreamObserver, observe};
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, Usage, UsageRule, provider};
use serde_json::{Value, json};

fn to(model: &str) -> To<'_> {
    To {
        provider: provider::find("gemini").expect("a row"),
        model,
        max_output_tokens: None,
    }
}

fn shown(as_array: bool) -> Shown {
    Shown {
        id: "call-1".to_owned(),
        model: "public/name".to_owned(),
        created: 0,
        include_usage: false,
        as_array,
        request: None,
    }
}

fn read(request: Value) -> Conversation {
    translate::read_request(Format::Gemini, request.to_string().as_bytes()).expect("a request")
}

/// The parameter that a refusal of this request names.
fn refused(request: &str) -> String {
    let error = translate::read_request(Format::Gemini, request.as_bytes()).expect_err("refused");
    assert_eq!(error.code(), base::Code::InvalidRequest);
    error.parameter().expect("a name").to_owned()
}

fn written(conversation: &Conversation, model: &str) -> Value {
    let to = to(model);
    let translated =
        translate::write_request(Format::OpenAiChat, Format::Gemini, &to, conversation, false)
            .expect("can be carried");
    serde_json::from_slice(&translated.body).expect("JSON")
}

fn user(parts: Vec<Part>) -> Turn {
    Turn {
        role: Role::User,
        parts,
        place: 0,
    }
}

fn model(parts: Vec<Part>) -> Turn {
    Turn {
        role: Role::Assistant,
        parts,
        place: 1,
    }
}

fn call(id: &str, name: &str, seal: Option<Seal>) -> Part {
    Part {
        seal,
        ..Part::new(Content::ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: r#"{"a":1}"#.to_owned(),
            kind: ToolKind::Function,
        })
    }
}

fn result(id: &str, text: &str, is_error: bool) -> Part {
    Part::new(Content::ToolResult {
        call_id: id.to_owned(),
        name: None,
        parts: vec![Part::text(text)],
        is_error,
        kind: ToolKind::Function,
    })
}

#[test]
fn a_request_is_read_in_both_spellings() {
    let conversation = read(json!({
        "system_instruction": {"parts": {"text": "Be brief."}},
        "contents": [{"role": "user", "parts": [
            {"text": "Look:"},
            {"inline_data": {"mime_type": "image/png", "data": "__-_AA"}},
            {"fileData": {"fileUri": "https://example.com/a.pdf"}},
            {"fileData": {"fileUri": "gs://bucket/a.mp4", "mimeType": "video/mp4"}},
        ]}],
        "generation_config": {
            "max_output_tokens": "100", "temperature": 0.7, "top_p": 1, "topK": 5, "seed": "7",
            "stop_sequences": ["x"], "candidateCount": 1, "responseLogprobs": true, "logprobs": 3,
            "thinking_config": {"thinking_level": "HIGH", "include_thoughts": true},
            "response_mime_type": "application/json",
            "response_schema": {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": true}}},
        },
        "tools": [
            {"function_declarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}]},
            {"googleSearch": {}}, {"urlContext": {}}, {"codeExecution": {}}, {"googleMaps": {"x": 1}},
        ],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "safetySettings": [{"category": "X", "threshold": "BLOCK_NONE"}],
        "labels": {"team": "a"},
    }));
    assert_eq!(conversation.system, [Part::text("Be brief.")]);
    let parts = &conversation.turns[0].parts;
    let media: Vec<_> = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Media(media) => Some((media.kind, media.source.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        media,
        [
            (MediaKind::Image, MediaSource::Base64("//+/AA==".to_owned())),
            (
                MediaKind::Document,
                MediaSource::Url("https://example.com/a.pdf".to_owned())
            ),
            (
                MediaKind::Video,
                MediaSource::File {
                    format: Format::Gemini,
                    id: "gs://bucket/a.mp4".to_owned()
                }
            ),
        ]
    );
    assert_eq!(conversation.max_output_tokens, Some(100));
    assert_eq!(conversation.temperature, serde_json::Number::from_f64(0.7));
    assert_eq!(conversation.seed, Some(7.into()));
    assert_eq!(conversation.choices, None);
    assert_eq!(conversation.logprobs, Some(3));
    assert_eq!(
        conversation.reasoning,
        Some(Reasoning {
            effort: Some(Effort::High),
            show: Some(true),
            ..Reasoning::default()
        })
    );
    let Output::Schema { schema, .. } = &conversation.output else {
        panic!("no schema");
    };
    assert_eq!(
        *schema,
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}})
    );
    assert_eq!(
        conversation.tool_choice,
        Some(ToolChoice::Named("f".to_owned()))
    );
    assert!(
        matches!(&conversation.tools[0], Tool::Function { parameters: Some(schema), .. }
        if schema["properties"]["n"]["type"] == "integer")
    );
    assert!(matches!(
        conversation.tools[1],
        Tool::Server(ServerTool::WebSearch { .. })
    ));
    assert!(matches!(conversation.tools[4], Tool::Native { .. }));
    assert!(conversation.other.iter().all(|other| other.is_hint));
    assert_eq!(conversation.metadata["team"], "a");
}

#[test]
fn what_is_wrong_is_named() {
    for (request, param) in [
        ("[]", "request_body"),
        ("{\"contents\":[", "request_body"),
        ("{}", "contents"),
        (r#"{"contents":3}"#, "contents"),
        (r#"{"contents":[3]}"#, "contents[0]"),
        (
            r#"{"contents":[{"role":"x","parts":[]}]}"#,
            "contents[0].role",
        ),
        (
            r#"{"contents":[{"parts":[{"text":3}]}]}"#,
            "contents[0].parts[0]",
        ),
        (
            r#"{"contents":[{"parts":[{"functionCall":{}}]}]}"#,
            "contents[0].parts[0].functionCall.name",
        ),
        (
            r#"{"contents":[],"generationConfig":{"topK":"many"}}"#,
            "generationConfig.topK",
        ),
        (
            r#"{"contents":[],"generationConfig":{"thinkingConfig":{"thinkingLevel":"x"}}}"#,
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            r#"{"contents":[],"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (
            r#"{"contents":[],"toolConfig":{"functionCallingConfig":{"mode":"x"}}}"#,
            "toolConfig.functionCallingConfig.mode",
        ),
    ] {
        assert_eq!(refused(request), param, "{request}");
    }
    let deep = format!(
        r#"{{"contents":[{{"parts":[{{"functionResponse":{{"name":"f","response":{}1{}}}}}]}}]}}"#,
        "[".repeat(5000),
        "]".repeat(5000)
    );
    assert_eq!(
        refused(&deep),
        "contents[0].parts[0].functionResponse.response"
    );
}

#[test]
fn members_that_others_do_not_know_are_refused_by_name_unless_they_change_nothing() {
    let request = |more: Value| {
        let mut request = json!({"contents": [{"parts": [{"text": "x"}]}]});
        for (name, value) in more.as_object().expect("an object") {
            request[name] = value.clone();
        }
        read(request)
            .other
            .into_iter()
            .filter(|other| !other.is_hint)
            .map(|other| other.field)
            .collect::<Vec<_>>()
    };
    let blocking = json!([{"category": "X", "threshold": "BLOCK_LOW_AND_ABOVE"}]);
    assert_eq!(
        request(
            json!({"cachedContent": "cachedContents/1", "safetySettings": blocking,
            "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}})
        ),
        [
            "cachedContent",
            "generationConfig.mediaResolution",
            "safetySettings"
        ]
    );
    let nothing = json!({"cachedContent": null, "store": true, "model": "models/x",
        "generationConfig": {"enableAffectiveDialog": false, "responseModalities": ["TEXT"]}});
    assert_eq!(request(nothing), Vec::<String>::new());
}

#[test]
fn a_streamed_answer_kept_in_chunks_is_one_turn_again() {
    let conversation = read(json!({"contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"text": "think", "thought": true}]},
        {"role": "model", "parts": [{"text": "ing", "thought": true}]},
        {"role": "model", "parts": [{"text": "", "thought": true, "thoughtSignature": "U0lH"}]},
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Q0FMTA=="}]},
        {"role": "model", "parts": [{"text": ""}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"error": "no"}}}]},
    ]}));
    assert_eq!(conversation.turns.len(), 3);
    let parts = &conversation.turns[1].parts;
    assert_eq!(parts.len(), 3);
    assert!(matches!(&parts[0].content, Content::Reasoning { text, .. } if text == "thinking"));
    assert_eq!(parts[0].seal, Some(Seal::new(Format::Gemini, "U0lH")));
    assert!(matches!(&parts[1].content, Content::Text { text, .. } if text == "Hello"));
    assert_eq!(parts[2].seal, Some(Seal::new(Format::Gemini, "Q0FMTA==")));
    let Content::ToolCall { id, arguments, .. } = &parts[2].content else {
        panic!("no call");
    };
    assert_eq!(arguments, r#"{"a": 1}"#.replace(' ', "").as_str());
    let Content::ToolResult {
        call_id,
        is_error,
        parts,
        ..
    } = &conversation.turns[2].parts[0].content
    else {
        panic!("no result");
    };
    assert_eq!((call_id, is_error), (id, &true));
    assert_eq!(parts[0], Part::text("no"));
}

#[test]
fn results_without_ids_find_their_calls_by_name_in_order() {
    let call = |n: u64| json!({"functionCall": {"name": "f", "args": {"n": n}}});
    let response = json!({"functionResponse": {"name": "f", "response": {"output": "x"}}});
    let conversation = read(json!({"contents": [
        {"role": "model", "parts": [call(1), call(2)]},
        {"role": "user", "parts": [response, response]},
    ]}));
    let ids = |turn: &Turn| {
        turn.parts
            .iter()
            .map(|part| match &part.content {
                Content::ToolCall { id, .. } | Content::ToolResult { call_id: id, .. } => {
                    id.clone()
                }
                _ => panic!("another part"),
            })
            .collect::<Vec<_>>()
    };
    let calls = ids(&conversation.turns[0]);
    assert_ne!(calls[0], calls[1]);
    assert_eq!(ids(&conversation.turns[1]), calls);
}

#[test]
fn a_tool_loop_is_written_as_gemini_wants_it() {
    let seal = Seal::new(Format::Gemini, "c2ln");
    let foreign = Seal::new(Format::Anthropic, "other");
    let thought = |seal: Option<Seal>| Part {
        seal,
        ..Part::new(Content::Reasoning {
            text: "hm".to_owned(),
            redacted: false,
        })
    };
    let conversation = Conversation {
        system: vec![Part::text("sys")],
        turns: vec![
            user(vec![Part::text("go")]),
            model(vec![
                thought(Some(foreign)),
                thought(Some(seal.clone())),
                call("1", "f", Some(seal)),
                call("2", "g", None),
            ]),
            user(vec![result("1", r#"{"x":1}"#, false)]),
            user(vec![Part::text("and"), result("2", "bad", true)]),
            model(vec![call("3", "f", None), call("4", "f", None)]),
            user(vec![result("3", "x", false), result("4", "y", false)]),
        ],
        ..Conversation::default()
    };
    let third = written(&conversation, "gemini-3-pro-preview");
    assert_eq!(
        third["systemInstruction"],
        json!({"parts": [{"text": "sys"}]})
    );
    let call = |id: &str, name: &str| json!({"id": id, "name": name, "args": {"a": 1}});
    assert_eq!(
        third["contents"],
        json!([
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [
                {"text": "hm", "thought": true, "thoughtSignature": "c2ln"},
                {"functionCall": call("1", "f"), "thoughtSignature": "c2ln"},
                {"functionCall": call("2", "g")},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "1", "name": "f", "response": {"x": 1}}},
                {"functionResponse": {"id": "2", "name": "g", "response": {"error": "bad"}}},
            ]},
            {"role": "user", "parts": [{"text": "and"}]},
            {"role": "model", "parts": [
                {"functionCall": call("3", "f"), "thoughtSignature": "skip_thought_signature_validator"},
                {"functionCall": call("4", "f")},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "3", "name": "f", "response": {"output": "x"}}},
                {"functionResponse": {"id": "4", "name": "f", "response": {"output": "y"}}},
            ]},
        ])
    );
    let second = written(&conversation, "gemini-2.5-flash");
    assert_eq!(
        second["contents"][4]["parts"][0],
        json!({"functionCall": call("3", "f")})
    );
}

#[test]
fn reasoning_becomes_a_level_or_a_budget() {
    let thinking = |effort: Effort, model: &str| {
        let conversation = Conversation {
            turns: vec![user(vec![Part::text("x")])],
            reasoning: Some(Reasoning {
                effort: Some(effort),
                ..Reasoning::default()
            }),
            ..Conversation::default()
        };
        written(&conversation, model)["generationConfig"]["thinkingConfig"].clone()
    };
    for (effort, model, expected) in [
        (
            Effort::High,
            "gemini-3-pro-preview",
            json!({"thinkingLevel": "HIGH", "includeThoughts": true}),
        ),
        (
            Effort::None,
            "gemini-3-flash-preview",
            json!({"thinkingLevel": "MINIMAL"}),
        ),
        (
            Effort::Medium,
            "gemini-2.5-flash",
            json!({"thinkingBudget": 2048, "includeThoughts": true}),
        ),
        (
            Effort::None,
            "gemini-2.5-flash",
            json!({"thinkingBudget": 0}),
        ),
        (
            Effort::None,
            "gemini-2.5-pro",
            json!({"thinkingBudget": 128}),
        ),
    ] {
        assert_eq!(thinking(effort, model), expected, "{effort:?} {model}");
    }
}

#[test]
fn schemas_tools_and_choices_take_the_best_way_that_a_model_knows() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": "string"}}});
    let mut conversation = Conversation {
        turns: vec![user(vec![Part::text("x")])],
        output: Output::Schema {
            name: None,
            description: None,
            schema: schema.clone(),
            strict: Some(true),
        },
        choices: Some(2),
        logprobs: Some(2),
        ..Conversation::default()
    };
    let config = written(&conversation, "gemini-2.5-flash")["generationConfig"].clone();
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseJsonSchema"], schema);
    assert_eq!(config["candidateCount"], 2);
    assert_eq!(
        (&config["responseLogprobs"], &config["logprobs"]),
        (&json!(true), &json!(2))
    );
    let old = written(&conversation, "gemini-1.5-pro")["generationConfig"].clone();
    assert_eq!(
        old["responseSchema"],
        json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}})
    );

    conversation.output = Output::Text;
    conversation.tools = vec![
        Tool::Function {
            name: "f".to_owned(),
            description: Some("does".to_owned()),
            parameters: Some(schema.clone()),
            strict: None,
            cache: None,
        },
        Tool::Custom {
            name: "free".to_owned(),
            description: None,
            format: None,
        },
    ];
    conversation.tool_choice = Some(ToolChoice::Named("f".to_owned()));
    let request = written(&conversation, "models/gemini-2.5-flash");
    let functions = &request["tools"][0]["functionDeclarations"];
    assert_eq!(functions[0]["parametersJsonSchema"], schema);
    assert_eq!(
        functions[1]["parametersJsonSchema"]["properties"]["input"]["type"],
        "string"
    );
    assert_eq!(
        request["toolConfig"],
        json!({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}})
    );
}

#[test]
fn what_gemini_cannot_say_is_refused_or_left_out() {
    let body = json!({"contents": []}).to_string();
    let mut conversation =
        translate::read_request(Format::Gemini, body.as_bytes()).expect("a request");
    conversation.turns = vec![user(vec![Part::text("x")])];
    conversation.logit_bias = json!({"1": 2}).as_object().cloned();
    conversation.end_user = Some("u".to_owned());
    let to = to("gemini-2.5-flash");
    let write =
        |drops| translate::write_request(Format::Gemini, Format::Gemini, &to, &conversation, drops);
    let error = write(false).expect_err("refused");
    assert_eq!(error.parameter(), Some("generationConfig.logitBias"));
    assert_eq!(
        write(true).expect("dropped").dropped,
        ["generationConfig.logitBias", "labels"]
    );
}

#[test]
fn an_answer_is_read() {
    let body = json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "hm", "thought": true},
                {"text": "Größe ist 5."},
                {"text": "", "thoughtSignature": "dGV4dA=="},
                {"functionCall": {"name": "f", "args": {"b": 1, "a": 2}}, "thoughtSignature": "Y2FsbA=="},
                {"functionCall": {"name": "f"}},
                {"executableCode": {"code": "1"}},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {},
            ]},
            "finishReason": "STOP",
            "groundingMetadata": {
                "webSearchQueries": ["a", "b"],
                "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
                "groundingSupports": [{"segment": {"startIndex": 8, "endIndex": 11, "text": "ist"}, "groundingChunkIndices": [0, 9]}],
            },
            "logprobsResult": {"chosenCandidates": [{"token": "G", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "G", "logProbability": -0.5}]}]},
        }],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7, "thoughtsTokenCount": 2, "totalTokenCount": 14, "serviceTier": "flex"},
        "modelVersion": "gemini-3-pro", "responseId": "r/1",
    });
    let answer = translate::read_answer(
        Format::Gemini,
        UsageRule::OpenAi,
        body.to_string().as_bytes(),
    )
    .expect("an answer");
    let choice = &answer.choices[0];
    assert_eq!(choice.stop, Some(Stop::ToolCalls));
    assert_eq!(choice.parts.len(), 6);
    assert_eq!(
        choice.parts[1].seal,
        Some(Seal::new(Format::Gemini, "dGV4dA=="))
    );
    let Content::Text { citations, .. } = &choice.parts[1].content else {
        panic!("no text");
    };
    assert_eq!(citations.len(), 1);
    assert_eq!(citations[0].span, Some((6, 9)));
    let calls: Vec<_> = choice.parts[2..4]
        .iter()
        .map(|part| match &part.content {
            Content::ToolCall { id, arguments, .. } => (id.clone(), arguments.clone()),
            _ => panic!("no call"),
        })
        .collect();
    assert_ne!(calls[0].0, calls[1].0);
    assert!(calls[0].0.starts_with("call_r1_"));
    assert_eq!(calls[1].1, "{}");
    assert!(matches!(choice.parts[4].content, Content::Native { .. }));
    assert_eq!(choice.logprobs[0].top.len(), 1);
    let usage = answer.usage.expect("usage");
    assert_eq!(
        (usage.output, usage.reasoning, usage.web_searches),
        (7, 2, 2)
    );
    assert_eq!(answer.service_tier.as_deref(), Some("flex"));
}

#[test]
fn answers_without_content_say_why() {
    let stop = |body: Value| {
        translate::read_answer(
            Format::Gemini,
            UsageRule::OpenAi,
            body.to_string().as_bytes(),
        )
        .map(|answer| answer.choices[0].stop.clone())
    };
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}});
    assert_eq!(stop(blocked).expect("read"), Some(Stop::Filtered));
    let recitation = json!({"candidates": [{"content": {}, "finishReason": "RECITATION"}]});
    assert_eq!(stop(recitation).expect("read"), Some(Stop::Filtered));
    let malformed = json!({"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]});
    assert_eq!(
        stop(malformed).expect("read"),
        Some(Stop::Other("MALFORMED_FUNCTION_CALL".to_owned()))
    );
    let nonsense = stop(json!({"this": 1})).expect_err("no answer");
    assert_eq!(nonsense.code(), base::Code::UpstreamUnavailable);
}

#[test]
fn an_answer_is_written_and_reads_the_same() {
    let seal = Seal::new(Format::Anthropic, "c2ln");
    let answer = Answer {
        id: Some("msg_1".to_owned()),
        model: Some("claude".to_owned()),
        choices: vec![Choice {
            parts: vec![
                Part {
                    seal: Some(seal.clone()),
                    ..Part::new(Content::Reasoning {
                        text: String::new(),
                        redacted: true,
                    })
                },
                Part::new(Content::Text {
                    text: "Größe ist 5.".to_owned(),
                    citations: vec![Citation {
                        url: Some("https://a".to_owned()),
                        title: Some("A".to_owned()),
                        quote: Some("ist".to_owned()),
                        span: Some((6, 9)),
                        native: None,
                    }],
                }),
                call("toolu_1", "f", None),
            ],
            stop: Some(Stop::ToolCalls),
            logprobs: Vec::new(),
        }],
        usage: Some(Usage {
            input: 3,
            cache_read: 2,
            output: 4,
            ..Usage::default()
        }),
        ..Answer::default()
    };
    let value: Value = serde_json::from_slice(&write(&answer)).expect("JSON");
    assert_eq!(value["modelVersion"], "public/name");
    assert_eq!(value["candidates"][0]["finishReason"], "STOP");
    assert_eq!(
        value["usageMetadata"],
        json!({"promptTokenCount": 5, "cachedContentTokenCount": 2, "candidatesTokenCount": 4, "totalTokenCount": 9,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
            "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 4}]})
    );
    let segment = &value["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"];
    assert_eq!(
        *segment,
        json!({"startIndex": 8, "endIndex": 11, "text": "ist", "partIndex": 1})
    );

    // the client sends it back, in the other alphabet
    let content = value["candidates"][0]["content"].to_string();
    let content = content.replace('+', "-").replace('/', "_");
    let content: Value = serde_json::from_str(&content).expect("JSON");
    let back = read(json!({"contents": [content]}));
    let first = &back.turns[0].parts[0];
    assert_eq!(first.seal, Some(seal));
    assert!(matches!(
        first.content,
        Content::Reasoning { redacted: true, .. }
    ));
    assert_eq!(back.turns[0].parts[2], call("toolu_1", "f", None));
}

fn write(answer: &Answer) -> Vec<u8> {
    // through a whole translation, as the writer is not public: Gemini reads what Gemini wrote
    llm::translate::write_answer(Format::Gemini, answer, &shown(false)).expect("a chat")
}

const STREAM: &str = concat!(
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hm\",\"thought\":true}],\"role\":\"model\"},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":5,\"totalTokenCount\":5},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hel\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"lo\"},{\"text\":\"\",\"thoughtSignature\":\"dGV4dA==\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"b\":1,\"a\":\"}\"}},\"thoughtSignature\":\"Y2FsbA==\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":3,\"thoughtsTokenCount\":2,\"totalTokenCount\":10},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"r1\"}\r\n\r\n",
);

fn translated(stream: &[u8], size: usize, as_array: bool) -> (String, Observed) {
    let mut translator = StreamTranslator::new(
        Format::Gemini,
        UsageRule::OpenAi,
        Format::Gemini,
        shown(as_array),
    )
    .expect("chats");
    let mut out = Vec::new();
    for chunk in stream.chunks(size) {
        out.extend_from_slice(&translator.feed(chunk));
    }
    let (rest, observed) = translator.finish();
    out.extend_from_slice(&rest);
    (String::from_utf8(out).expect("text"), observed)
}

fn chunks(stream: &str) -> Vec<Value> {
    stream
        .split("\r\n\r\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let data = event.strip_prefix("data: ").expect("data");
            serde_json::from_str(data).expect("JSON")
        })
        .collect()
}

#[test]
fn a_stream_is_read_and_written_however_it_is_cut() {
    let (whole, observed) = translated(STREAM.as_bytes(), STREAM.len(), false);
    let chunks = chunks(&whole);
    let parts: Vec<Value> = chunks
        .iter()
        .map(|chunk| chunk["candidates"][0]["content"]["parts"][0].clone())
        .collect();
    assert_eq!(
        parts,
        [
            json!({"text": "hm", "thought": true}),
            json!({"text": "Hel"}),
            json!({"text": "lo"}),
            json!({"text": "", "thoughtSignature": "dGV4dA=="}),
            json!({"functionCall": {"id": "call_r1_0", "name": "f", "args": {"a": "}", "b": 1}}, "thoughtSignature": "Y2FsbA=="}),
            json!({"text": ""}),
        ]
    );
    let last = chunks.last().expect("a last one");
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 10);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["modelVersion"] == "public/name")
    );
    assert!(observed.finished && !observed.stream_error);
    assert_eq!(observed.usage.expect("usage").total_tokens(), 10);
    for size in 1..40 {
        assert_eq!(
            translated(STREAM.as_bytes(), size, false).0,
            whole,
            "{size}"
        );
    }
    let (array, _) = translated(STREAM.as_bytes(), 7, true);
    let array: Vec<Value> = serde_json::from_str(&array).expect("an array");
    assert_eq!(array, chunks);
}

#[test]
fn a_stream_that_breaks_says_so() {
    let cut = &STREAM.as_bytes()[..400];
    let error = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"overloaded\",\n    \"status\": \"UNAVAILABLE\"\n  }\n}\n";
    for (stream, status) in [
        (cut, 502),
        (error.as_bytes(), 503),
        (b"data: {nonsense\r\n\r\n", 502),
        (b"<html>", 502),
        (b"", 502),
        (
            b"data: {\"candidates\":[{\"content\":{\"parts\":[3]}}]}\r\n\r\n",
            502,
        ),
    ] {
        let (out, observed) = translated(stream, 9, false);
        assert!(observed.stream_error, "{out}");
        let last = chunks(&out).pop().expect("an error");
        assert_eq!(last["error"]["code"], status, "{out}");
        let (array, _) = translated(stream, 9, true);
        let array: Vec<Value> = serde_json::from_str(&array).expect("an array");
        assert_eq!(array.last().expect("an error")["error"]["code"], status);
    }
}

#[test]
fn a_request_is_peeked_at_and_passed_unchanged() {
    let body = r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":"50","candidateCount":2},"tags":["a"],"model":"models/x","n":"odd"}"#;
    let body = Bytes::from_static(body.as_bytes());
    let mut peeked = peek(Format::Gemini, &body).expect("a request");
    assert_eq!((&*peeked.model, peeked.stream), ("", false));
    assert_eq!(peeked.max_output_tokens, Some(50));
    assert_eq!(peeked.choices, 2);
    assert_eq!(peeked.tags, ["a"]);
    peeked.model = "public".into();
    let sent = rewrite(&body, &peeked, "gemini-2.5-flash", false).concat();
    assert_eq!(
        String::from_utf8(sent).expect("text"),
        r#"{"contents":[{"parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":"50","candidateCount":2},"model":"models/x","n":"odd"}"#
    );
    for (body, param) in [
        ("{}", "contents"),
        (r#"{"contents":3}"#, "contents"),
        (r#"{"contents":[],"contents":[]}"#, "contents"),
        (
            r#"{"contents":[],"generationConfig":{"candidateCount":1,"candidate_count":9}}"#,
            "generationConfig.candidateCount",
        ),
        (
            r#"{"contents":[],"generationConfig":{},"generation_config":{"candidateCount":9}}"#,
            "generationConfig",
        ),
        (
            r#"{"contents":[],"generationConfig":{"maxOutputTokens":-1}}"#,
            "generationConfig.maxOutputTokens",
        ),
    ] {
        let error = peek(Format::Gemini, body.as_bytes()).expect_err("refused");
        assert_eq!(error.parameter(), Some(param), "{body}");
    }
}

fn watched(stream: &[u8], size: usize) -> (String, Observed) {
    let mut observer = StreamObserver::new(Format::Gemini, UsageRule::OpenAi, "public/name", false);
    let mut out = Vec::new();
    for chunk in stream.chunks(size) {
        out.extend_from_slice(&observer.feed(Bytes::copy_from_slice(chunk)));
    }
    let (rest, observed) = observer.finish();
    out.extend_from_slice(&rest);
    (String::from_utf8(out).expect("text"), observed)
}

#[test]
fn a_stream_passes_with_another_name_alone_as_events_and_as_an_array() {
    let renamed = |text: &str| text.replace("gemini-2.5-flash", "public/name");
    let array = STREAM
        .replace("\r\n\r\ndata: ", "\n,\r\n")
        .replace("data: ", "[")
        .replace("\r\n\r\n", "\n]\n");
    serde_json::from_str::<Value>(&array).expect("an array");
    for size in [1, 2, 3, 7, 50, 100_000] {
        for stream in [STREAM, &array] {
            let (out, observed) = watched(stream.as_bytes(), size);
            assert_eq!(out, renamed(stream));
            let usage = observed.usage.expect("usage");
            assert_eq!((usage.input, usage.output, usage.reasoning), (5, 3, 2));
            assert_eq!(observed.model.as_deref(), Some("gemini-2.5-flash"));
            assert!(observed.finished && !observed.stream_error);
            assert!(observed.output_bytes >= 7, "{}", observed.output_bytes);
        }
    }
    let broken = format!(
        "{}\n,\n{{\"error\":{{\"code\":500}}}}]",
        &array[..array.len() - 3]
    );
    assert!(watched(broken.as_bytes(), 5).1.stream_error);
}

#[test]
fn a_whole_answer_passes_with_its_usage() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"abc"}]},"finishReason":"STOP","groundingMetadata":{"webSearchQueries":["a","b"]}}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":1,"totalTokenCount":6},"modelVersion":"gemini-3-pro","responseId":"r"}"#;
    let (out, observed) = observe(
        Format::Gemini,
        UsageRule::OpenAi,
        Bytes::from_static(body.as_bytes()),
        "public/name",
    );
    assert_eq!(
        String::from_utf8(out.to_vec()).expect("text"),
        body.replace("gemini-3-pro", "public/name")
    );
    assert_eq!(observed.usage.expect("usage").web_searches, 2);
    assert_eq!(observed.output_bytes, 3);
    assert!(observed.finished);
}

/// A client that forgets parts without text, as Vercel's AI SDK does, seals and all.
fn kept_parts(stream: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(stream).expect("text").lines();
    let chunks = lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
    let parts = chunks.flat_map(|chunk: Value| {
        let parts = chunk["candidates"][0]["content"]["parts"].as_array();
        parts.cloned().unwrap_or_default()
    });
    parts.filter(|part| part["text"] != "").collect()
}

#[test]
fn another_providers_thought_survives_clients_that_forget_empty_parts() {
    let thought = "Let me think. ";
    let blocks = json!([
        {"type": "thinking", "thinking": thought, "signature": "EqQB+/="},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
    ]);
    let event = |data: Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().expect("a type")
        )
    };
    let usage = json!({"input_tokens": 1, "output_tokens": 1});
    let stream = [
        event(
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude", "content": [], "usage": usage}}),
        ),
        event(json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""}})),
        event(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "thinking_delta", "thinking": thought}})),
        event(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "signature_delta", "signature": "EqQB+/="}})),
        event(json!({"type": "content_block_stop", "index": 0})),
        event(json!({"type": "content_block_start", "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}})),
        event(json!({"type": "content_block_stop", "index": 1})),
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}),
        ),
        event(json!({"type": "message_stop"})),
    ];
    let mut translator = StreamTranslator::new(
        Format::Anthropic,
        UsageRule::OpenAi,
        Format::Gemini,
        shown(false),
    )
    .expect("both are chats");
    let seen = translator.feed(stream.concat().as_bytes());
    let request = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "Go."}]},
            {"role": "model", "parts": kept_parts(&seen)},
            {"role": "user", "parts": [{"functionResponse": {"name": "f",
                "response": {"name": "f", "content": "done"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    });
    let to = To {
        provider: provider::find("anthropic").expect("a row"),
        model: "claude-sonnet-4-5",
        max_output_tokens: None,
    };
    let body = request.to_string();
    let body = translate::request(
        Format::Gemini,
        Format::Anthropic,
        &to,
        body.as_bytes(),
        false,
    );
    let body: Value = serde_json::from_slice(&body.expect("carried").body).expect("JSON");
    assert_eq!(body["messages"][1]["content"][0], blocks[0]);
    assert_eq!(body["messages"][1]["content"][1]["name"], "f");
    let result = &body["messages"][2]["content"][0]["content"];
    assert!(result == "done" || result[0]["text"] == "done", "{result}");
}
