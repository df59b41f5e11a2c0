//! Tool loops between Gemini and other formats: what Gemini signed comes back to it byte for byte through
//! clients that know nothing of it, and what others sealed comes back through Google's clients.

use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider};
use serde_json::{Value, json};

const SIGNATURE: &str = "EqoBCqcBAb4+9vtgONaaz6qwy6WXdp7gCd2w0X_Wz2g-/A==";

fn shown() -> Shown {
    Shown {
        id: "call-1".to_owned(),
        model: "public".to_owned(),
        created: 1,
        include_usage: true,
        as_array: false,
        request: None,
    }
}

fn sent(from: Format, to_format: Format, provider: &str, model: &str, request: &Value) -> Value {
    let to = To {
        provider: provider::find(provider)
            .or_else(|| provider::find("openai"))
            .expect("a row"),
        model,
        max_output_tokens: Some(8192),
    };
    let body = request.to_string();
    let translated = translate::request(from, to_format, &to, body.as_bytes(), false)
        .unwrap_or_else(|error| panic!("{error:?}"));
    serde_json::from_slice(&translated.body).expect("JSON")
}

fn answered(from: Format, to: Format, answer: &Value) -> Value {
    let body = answer.to_string();
    let (out, _) = translate::answer(from, UsageRule::OpenAi, to, body.as_bytes(), &shown())
        .unwrap_or_else(|error| panic!("{error:?}"));
    serde_json::from_slice(&out).expect("JSON")
}

/// Two calls at once, the first of them signed, as Gemini 3 gives them.
fn gemini_answer() -> Value {
    json!({
        "candidates": [{"content": {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": SIGNATURE},
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
        ]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 29, "candidatesTokenCount": 15, "thoughtsTokenCount": 10, "totalTokenCount": 54},
        "modelVersion": "gemini-3-pro-preview", "responseId": "JniLacKq",
    })
}

/// The model's part of the second request: each call signed as it was, each result with its call.
fn assert_loop_is_whole(request: &Value) {
    let contents = request["contents"].as_array().expect("contents");
    let model = contents
        .iter()
        .find(|content| content["role"] == "model")
        .expect("the model's turn");
    let calls: Vec<&Value> = model["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .filter(|part| part.get("functionCall").is_some())
        .collect();
    assert_eq!(calls.len(), 2, "{request}");
    assert_eq!(calls[0]["thoughtSignature"], SIGNATURE, "{request}");
    assert_eq!(calls[1].get("thoughtSignature"), None, "{request}");
    assert_eq!(calls[0]["functionCall"]["args"], json!({"city": "Rome"}));
    let results = contents.last().expect("results")["parts"].clone();
    for (number, output) in ["sun", "snow"].into_iter().enumerate() {
        let result = &results[number]["functionResponse"];
        assert_eq!(result["id"], calls[number]["functionCall"]["id"]);
        assert_eq!(result["name"], "weather");
        assert_eq!(result["response"], json!({"output": output}));
    }
}

#[test]
fn a_chat_client_brings_signatures_back() {
    let answer = answered(Format::Gemini, Format::OpenAiChat, &gemini_answer());
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(answer["usage"]["completion_tokens"], 25);
    // only what every client keeps
    let calls: Vec<Value> = choice["message"]["tool_calls"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
        .collect();
    let request = json!({"model": "public", "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": calls},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "sun"},
        {"role": "tool", "tool_call_id": calls[1]["id"], "content": "snow"},
    ]});
    let (chat, gemini) = (Format::OpenAiChat, Format::Gemini);
    assert_loop_is_whole(&sent(chat, gemini, "gemini", "gemini-3-pro", &request));
}

#[test]
fn an_anthropic_client_brings_signatures_back() {
    let answer = answered(Format::Gemini, Format::Anthropic, &gemini_answer());
    assert_eq!(answer["stop_reason"], "tool_use");
    let ids: Vec<&Value> = answer["content"]
        .as_array()
        .expect("blocks")
        .iter()
        .filter(|block| block["type"] == "tool_use")
        .map(|block| &block["id"])
        .collect();
    let request = json!({"model": "public", "max_tokens": 100, "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": ids[0], "content": "sun"},
            {"type": "tool_result", "tool_use_id": ids[1], "content": "snow"},
        ]},
    ]});
    let (anthropic, gemini) = (Format::Anthropic, Format::Gemini);
    assert_loop_is_whole(&sent(anthropic, gemini, "gemini", "gemini-3-pro", &request));
}

/// As Google's Python client keeps a turn: bytes are written again in the alphabet of URLs.
fn kept(content: &Value) -> Value {
    let mut content = content.clone();
    for part in content["parts"].as_array_mut().expect("parts") {
        if let Some(signature) = part["thoughtSignature"].as_str() {
            let signature = signature.replace('+', "-").replace('/', "_");
            part["thoughtSignature"] = signature.into();
        }
    }
    content
}

#[test]
fn a_google_client_brings_thinking_of_anthropic_back() {
    let thinking =
        json!({"type": "thinking", "thinking": "Let me see?>", "signature": "ErUBCkYIAxgC/+=="});
    let redacted = json!({"type": "redacted_thinking", "data": "EmwKAhgB>>"});
    let call =
        json!({"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "Rome"}});
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [thinking, redacted, call], "stop_reason": "tool_use",
        "usage": {"input_tokens": 10, "output_tokens": 5}});
    let shown = answered(Format::Anthropic, Format::Gemini, &answer);
    assert_eq!(shown["usageMetadata"]["totalTokenCount"], 15);
    let request = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}]},
            kept(&shown["candidates"][0]["content"]),
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"result": "sun"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}],
        "generationConfig": {"thinkingConfig": {"includeThoughts": true, "thinkingBudget": 2000}, "maxOutputTokens": 4000},
    });
    let (gemini, anthropic) = (Format::Gemini, Format::Anthropic);
    let request = sent(
        gemini,
        anthropic,
        "anthropic",
        "claude-sonnet-4-5",
        &request,
    );
    let blocks = &request["messages"][1]["content"];
    assert_eq!(blocks[0], thinking, "{request}");
    assert_eq!(blocks[1], redacted, "{request}");
    assert_eq!(blocks[2]["id"], "toolu_01");
    assert_eq!(
        request["messages"][2]["content"][0]["tool_use_id"],
        "toolu_01"
    );
}

fn streamed(from: Format, to: Format, stream: &str) -> String {
    let mut translator =
        StreamTranslator::new(from, UsageRule::OpenAi, to, shown()).expect("chats");
    let mut out = translator.feed(stream.as_bytes()).to_vec();
    out.extend_from_slice(&translator.finish().0);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_google_client_gets_a_stream_of_anthropic() {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "U0lH"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hi"}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\""}}),
        json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ":1}"}}),
        json!({"type": "content_block_stop", "index": 2}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 7}}),
        json!({"type": "message_stop"}),
    ];
    let stream: String = events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap_or("")
            )
        })
        .collect();
    let out = streamed(Format::Anthropic, Format::Gemini, &stream);
    let parts: Vec<Value> = out
        .split("\r\n\r\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .map(|chunk: Value| chunk["candidates"][0]["content"]["parts"][0].clone())
        .collect();
    assert_eq!(parts[0], json!({"text": "Hm", "thought": true}));
    assert_eq!(parts[1]["thought"], true);
    assert!(parts[1]["thoughtSignature"].is_string());
    assert_eq!(parts[2], json!({"text": "Hi"}));
    assert_eq!(
        parts[3],
        json!({"functionCall": {"id": "toolu_1", "name": "f", "args": {"a": 1}}})
    );
    assert!(out.contains("\"totalTokenCount\":17"), "{out}");
    assert!(out.contains("\"finishReason\":\"STOP\""), "{out}");
}

#[test]
fn a_chat_client_gets_a_stream_of_gemini() {
    let stream = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}],\"role\":\"model\"},\"index\":0}],\"modelVersion\":\"gemini-3-pro\",\"responseId\":\"r\"}\r\n\r\n",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":1}},\"thoughtSignature\":\"U0lH\"}],\"role\":\"model\"},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":4,\"totalTokenCount\":7}}\r\n\r\n",
    );
    let out = streamed(Format::Gemini, Format::OpenAiChat, stream);
    assert!(out.contains("\"finish_reason\":\"tool_calls\""), "{out}");
    assert!(out.contains("\"total_tokens\":7"), "{out}");
    assert!(out.trim_end().ends_with("data: [DONE]"), "{out}");
}
