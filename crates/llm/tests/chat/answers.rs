//! What is read of whole answers, and what clients get.

use llm::conversation::{Content, Stop};
use llm::{Format, UsageRule, translate};
use serde_json::{Value, json};

use super::{CHAT, answered, shown};

fn answer(message: Value, reason: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "gpt-x",
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                  "prompt_tokens_details": {"cached_tokens": 4},
                  "completion_tokens_details": {"reasoning_tokens": 2}},
    })
}

fn read(body: &Value) -> llm::conversation::Answer {
    translate::read_answer(CHAT, UsageRule::OpenAi, body.to_string().as_bytes()).expect("an answer")
}

#[test]
fn an_answer_keeps_its_meaning() {
    let given = answer(json!({"role": "assistant", "content": "Hi"}), "stop");
    let got = answered(&given);
    assert_eq!(got["id"], "chatcmpl-1");
    assert_eq!(got["model"], "our-model");
    assert_eq!(got["created"], 5);
    assert_eq!(got["choices"][0]["message"]["content"], "Hi");
    assert_eq!(got["choices"][0]["message"]["refusal"], Value::Null);
    assert_eq!(got["choices"][0]["finish_reason"], "stop");
    assert_eq!(got["usage"]["prompt_tokens"], 10);
    assert_eq!(got["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(
        got["usage"]["completion_tokens_details"]["reasoning_tokens"],
        2
    );
    assert_eq!(got["usage"]["total_tokens"], 15);
}

#[test]
fn calls_keep_their_ids_names_and_arguments() {
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1.50}"}},
        {"id": "b", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
    ]);
    let given = answer(
        json!({"role": "assistant", "content": null, "tool_calls": calls}),
        "stop",
    );
    let got = answered(&given);
    assert_eq!(got["choices"][0]["message"]["tool_calls"], calls);
    assert_eq!(got["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(got["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn a_call_without_an_id_gets_the_same_one_each_time() {
    let call = json!({"id": "", "type": "function", "function": {"name": "f", "arguments": ""}});
    let given = answer(
        json!({"content": null, "tool_calls": [call, call]}),
        "tool_calls",
    );
    let calls = |body: &Value| answered(body)["choices"][0]["message"]["tool_calls"].clone();
    let first = calls(&given);
    assert_eq!(first, calls(&given));
    assert_ne!(first[0]["id"], first[1]["id"]);
    assert_eq!(first[0]["function"]["arguments"], "{}");
}

#[test]
fn legacy_clients_get_a_function_call() {
    let given = answer(
        json!({"content": null, "function_call": {"name": "f", "arguments": "{}"}}),
        "function_call",
    );
    let mut shown = shown();
    shown.request = Some(json!({"functions": [{"name": "f"}]}));
    let body = given.to_string();
    let (out, _) = translate::answer(CHAT, UsageRule::OpenAi, CHAT, body.as_bytes(), &shown)
        .expect("an answer");
    let got: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(got["choices"][0]["message"]["function_call"]["name"], "f");
    assert_eq!(got["choices"][0]["finish_reason"], "function_call");
}

#[test]
fn custom_tools_are_called_with_free_text_again() {
    let call = json!({"id": "a", "type": "function",
                      "function": {"name": "shell", "arguments": "{\"input\":\"ls\"}"}});
    let given = answer(json!({"content": null, "tool_calls": [call]}), "tool_calls");
    let mut shown = shown();
    shown.request = Some(json!({"tools": [{"type": "custom", "custom": {"name": "shell"}}]}));
    let (out, _) = translate::answer(
        CHAT,
        UsageRule::OpenAi,
        CHAT,
        given.to_string().as_bytes(),
        &shown,
    )
    .expect("an answer");
    let got: Value = serde_json::from_slice(&out).expect("JSON");
    let call = &got["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["custom"], json!({"name": "shell", "input": "ls"}));
}

#[test]
fn thoughts_are_read_wherever_they_stand() {
    let cases = [
        json!({"content": "4", "reasoning_content": "Hm."}),
        json!({"content": "4", "reasoning": "Hm.", "reasoning_content": ""}),
        json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}], "closed": true},
            {"type": "text", "text": "4"},
        ]}),
        json!({"content": "4", "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "signature": "s"},
        ]}),
        json!({"content": "4", "reasoning_content": "Hm.", "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        ]}),
    ];
    for message in cases {
        let got = answered(&answer(message.clone(), "stop"));
        let got = &got["choices"][0]["message"];
        assert_eq!(got["reasoning_content"], "Hm.", "{message}");
        assert_eq!(got["content"], "4", "{message}");
        assert_eq!(got["thinking_blocks"][0]["thinking"], "Hm.", "{message}");
    }
}

#[test]
fn refusals_and_filters_are_told_apart() {
    let refusal = answer(json!({"content": null, "refusal": "No."}), "stop");
    assert_eq!(read(&refusal).choices[0].stop, Some(Stop::Refusal));
    let got = answered(&refusal);
    assert_eq!(got["choices"][0]["message"]["refusal"], "No.");
    assert_eq!(got["choices"][0]["finish_reason"], "stop");
    let filtered = answer(json!({"content": ""}), "content_filter");
    assert_eq!(read(&filtered).choices[0].stop, Some(Stop::Filtered));
    assert_eq!(
        answered(&filtered)["choices"][0]["finish_reason"],
        "content_filter"
    );
}

#[test]
fn citations_and_sources_are_annotations() {
    let cited = json!([{"type": "url_citation", "url_citation": {
        "url": "https://a", "title": "A", "start_index": 1, "end_index": 3,
    }}]);
    let given = answer(json!({"content": "text", "annotations": cited}), "stop");
    assert_eq!(
        answered(&given)["choices"][0]["message"]["annotations"],
        cited
    );
    let mut perplexity = answer(json!({"content": "text"}), "stop");
    perplexity["citations"] = json!(["https://b"]);
    perplexity["search_results"] = json!([{"url": "https://b", "title": "B"}]);
    let got = answered(&perplexity);
    let citation = &got["choices"][0]["message"]["annotations"][0]["url_citation"];
    assert_eq!(
        (&citation["url"], &citation["title"]),
        (&json!("https://b"), &json!("B"))
    );
}

#[test]
fn several_choices_and_log_probabilities_are_kept() {
    let token = json!({"token": "A", "logprob": -0.5, "bytes": [65], "top_logprobs": [
        {"token": "B", "logprob": -1.5, "bytes": [66]},
    ]});
    let given = json!({"id": "1", "model": "m", "choices": [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop",
         "logprobs": {"content": [token], "refusal": null}},
    ]});
    let got = answered(&given);
    assert_eq!(got["choices"][0]["message"]["content"], "a");
    assert_eq!(got["choices"][0]["logprobs"]["content"][0], token);
    assert_eq!(got["choices"][1]["finish_reason"], "length");
    assert_eq!(got["id"], "chatcmpl-1");
}

#[test]
fn sound_and_images_are_kept() {
    let given = answer(
        json!({
            "content": null,
            "audio": {"id": "audio_1", "data": "T2dnUw==", "transcript": "beep", "expires_at": 9},
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}],
        }),
        "stop",
    );
    let got = answered(&given);
    let message = &got["choices"][0]["message"];
    assert_eq!(message["audio"]["id"], "audio_1");
    assert_eq!(message["audio"]["data"], "T2dnUw==");
    assert_eq!(message["audio"]["transcript"], "beep");
    assert_eq!(
        message["images"][0]["image_url"]["url"],
        "data:image/png;base64,aGk="
    );
}

#[test]
fn gemini_s_signature_seals_the_first_call() {
    let given = answer(
        json!({
            "extra_content": {"google": {"thought_signature": "CiQ="}},
            "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        }),
        "tool_calls",
    );
    let part = &read(&given).choices[0].parts[0];
    assert!(matches!(part.content, Content::ToolCall { .. }));
    let seal = part.seal.as_ref().expect("a seal");
    assert_eq!(seal.for_format(Format::Gemini), Some("CiQ="));
}

#[test]
fn what_is_no_answer_is_the_provider_s_fault() {
    for body in ["<html>", "[]", "{}", "null", "\"x\"", r#"{"choices":5}"#] {
        let error = translate::read_answer(CHAT, UsageRule::OpenAi, body.as_bytes())
            .expect_err("no answer");
        assert_eq!(error.status(), 502, "{body}");
    }
    let error = translate::read_answer(
        CHAT,
        UsageRule::OpenAi,
        br#"{"error":{"message":"out of memory"}}"#,
    )
    .expect_err("no answer");
    assert_eq!((error.status(), error.message()), (502, "out of memory"));
}
