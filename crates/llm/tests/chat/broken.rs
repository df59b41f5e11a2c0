//! No bytes, from clients or providers, bring a reader down.

use llm::UsageRule;
use llm::translate::{self, StreamTranslator};
use proptest::prelude::*;
use serde_json::Value;

use super::{CHAT, shown, streamed, to};

const REQUEST: &str = r#"{"model":"m","stream":true,"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,aGk="}}]},{"role":"assistant","content":"é","thinking_blocks":[{"type":"thinking","thinking":"x","signature":"y"}],"tool_calls":[{"id":"a__tollgate__W10","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"ok"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{}}},"reasoning":{"effort":"low"},"logprobs":true,"n":2}"#;
const ANSWER: &str = r#"{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"é","reasoning_details":[{"type":"reasoning.text","text":"t"}],"annotations":[{"type":"url_citation","url_citation":{"url":"u","start_index":0,"end_index":1}}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[1],"top_logprobs":[]}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
const STREAM: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"h\"}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é\",\"annotations\":[{\"url_citation\":{\"url\":\"u\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n";

fn use_request(body: &[u8]) {
    for (provider, model) in [
        ("openai", "gpt-5"),
        ("mistral", "m"),
        ("openrouter", "m"),
        ("deepseek", "m"),
    ] {
        let to = to(provider, model);
        match translate::request(CHAT, CHAT, &to, body, true) {
            Ok(translated) => {
                let sent: Value = serde_json::from_slice(&translated.body).expect("JSON");
                assert!(sent["messages"].is_array());
            }
            Err(error) => assert_eq!(error.status(), 400, "{error}"),
        }
    }
}

fn use_answer(body: &[u8]) {
    match translate::answer(CHAT, UsageRule::OpenAi, CHAT, body, &shown()) {
        Ok((out, _)) => {
            let got: Value = serde_json::from_slice(&out).expect("JSON");
            assert!(got["choices"].is_array());
        }
        Err(error) => assert_eq!(error.status(), 502, "{error}"),
    }
}

fn use_stream(stream: &[u8], size: usize) {
    let (out, observed) = streamed(UsageRule::OpenAi, stream, size);
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!(text.matches("[DONE]\n").count(), 1);
    assert!(observed.finished || observed.stream_error);
}

/// `text` with one of its bytes, or a run of them, replaced or repeated.
fn mutated(text: &str, at: usize, length: usize, with: &[u8], repeat: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let at = at % bytes.len();
    let end = (at + length).min(bytes.len());
    let mut out = bytes[..at].to_vec();
    out.extend_from_slice(with);
    if repeat {
        out.extend_from_slice(&bytes[at..end]);
        out.extend_from_slice(&bytes[at..end]);
    }
    out.extend_from_slice(&bytes[end..]);
    out
}

/// Bytes that break JSON in different ways.
fn wrong() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"".to_vec()),
        Just(b"null".to_vec()),
        Just(b"[]".to_vec()),
        Just(b"{}".to_vec()),
        Just(b"-1".to_vec()),
        Just(b"1e999".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"\"x\"".to_vec()),
        Just(b"\\".to_vec()),
        Just(vec![0xff, 0xfe]),
        proptest::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 1usize..64) {
        use_request(&bytes);
        use_answer(&bytes);
        use_stream(&bytes, size);
        let framed = [b"data: ".as_slice(), &bytes, b"\n\n"].concat();
        use_stream(&framed, size);
    }

    #[test]
    fn broken_messages_are_read_without_a_panic(
        at in any::<usize>(), length in 0usize..12, with in wrong(), repeat in any::<bool>(), size in 1usize..200,
    ) {
        use_request(&mutated(REQUEST, at, length, &with, repeat));
        use_answer(&mutated(ANSWER, at, length, &with, repeat));
        use_stream(&mutated(STREAM, at, length, &with, repeat), size);
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(size in 1usize..200) {
        let whole = streamed(UsageRule::OpenAi, STREAM.as_bytes(), STREAM.len());
        prop_assert_eq!(streamed(UsageRule::OpenAi, STREAM.as_bytes(), size), whole);
    }
}

/// Values of the wrong type in every place of a valid message.
#[test]
fn every_member_may_have_the_wrong_type() {
    fn places(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    places(value, format!("{path}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    places(value, format!("{path}/{index}"), found);
                }
            }
            _ => {}
        }
        found.push(path);
    }
    for (text, run) in [
        (REQUEST, use_request as fn(&[u8])),
        (ANSWER, use_answer as fn(&[u8])),
    ] {
        let value: Value = serde_json::from_str(text).expect("JSON");
        let mut found = Vec::new();
        places(&value, String::new(), &mut found);
        for path in found {
            for wrong in [
                "null", "true", "-1", "1e308", "\"\"", "[]", "{}", "[[]]", "[{}]",
            ] {
                let mut changed = value.clone();
                *changed.pointer_mut(&path).expect("a place") =
                    serde_json::from_str(wrong).expect("JSON");
                run(changed.to_string().as_bytes());
                run(format!("data: {changed}\n\n").as_bytes());
            }
        }
    }
}

#[test]
fn deep_nesting_and_long_arguments_are_taken_or_refused() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    use_request(format!(r#"{{"messages":{deep}}}"#).as_bytes());
    use_answer(format!(r#"{{"choices":{deep}}}"#).as_bytes());
    use_stream(format!("data: {{\"choices\":{deep}}}\n\n").as_bytes(), 4096);
    let long = "x".repeat(2 << 20);
    let chunk = serde_json::json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": format!("{{\"a\":\"{long}\"}}")}},
    ]}, "finish_reason": "tool_calls"}]});
    let mut translator =
        StreamTranslator::new(CHAT, UsageRule::OpenAi, CHAT, shown()).expect("two chats");
    let out = translator.feed(format!("data: {chunk}\n\n").as_bytes());
    assert!(out.len() > long.len());
}
