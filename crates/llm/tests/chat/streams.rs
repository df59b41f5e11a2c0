//! What is read of streams, and what clients get.

use llm::translate::StreamTranslator;
use llm::{Format, UsageRule};
use serde_json::{Value, json};

use super::{payloads, streamed};

/// A stream of these chunks, with an end.
fn stream(chunks: &[Value]) -> String {
    let mut text = cut(chunks);
    text.push_str("data: [DONE]\n\n");
    text
}

fn cut(chunks: &[Value]) -> String {
    chunks
        .iter()
        .map(|chunk| format!("data: {chunk}\n\n"))
        .collect()
}

fn delta(delta: Value) -> Value {
    json!({"id": "c", "model": "m", "created": 5, "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn got(text: &str) -> Vec<Value> {
    let (out, _) = streamed(UsageRule::OpenAi, text.as_bytes(), 7);
    let out = String::from_utf8(out).expect("text");
    assert!(out.ends_with("data: [DONE]\n\n"), "{out}");
    payloads(out.as_bytes())
}

fn all(chunks: &[Value], member: &str) -> String {
    chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"][member].as_str())
        .collect()
}

fn calls(chunks: &[Value]) -> Vec<(String, String, String)> {
    let mut calls: Vec<(String, String, String)> = Vec::new();
    for call in chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
        .flatten()
    {
        let index = call["index"].as_u64().expect("an index") as usize;
        if index == calls.len() {
            let id = call["id"].as_str().expect("an id").to_owned();
            let name = call["function"]["name"]
                .as_str()
                .expect("a name")
                .to_owned();
            calls.push((id, name, String::new()));
        }
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        calls[index].2.push_str(arguments);
    }
    calls
}

#[test]
fn text_comes_as_it_was_said_and_usage_at_the_end() {
    let chunks = got(&stream(&[
        delta(json!({"role": "assistant", "content": ""})),
        delta(json!({"content": "Hel"})),
        delta(json!({"content": "lo \u{1F600}"})),
        finish("stop"),
        json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
    ]));
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert_eq!(all(&chunks, "content"), "Hello \u{1F600}");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], "chatcmpl-c");
        assert_eq!(chunk["model"], "our-model");
        assert_eq!(chunk["created"], 5);
    }
    let [.., finished, usage] = chunks.as_slice() else {
        panic!("{chunks:?}");
    };
    assert_eq!(finished["choices"][0]["finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 5);
}

#[test]
fn a_piece_leaves_with_the_event_that_brought_it() {
    let mut translator = llm::translate::StreamTranslator::new(
        super::CHAT,
        UsageRule::OpenAi,
        super::CHAT,
        super::shown(),
    )
    .expect("two chats");
    let out = translator.feed(format!("data: {}\n\n", delta(json!({"content": "now"}))).as_bytes());
    assert_eq!(all(&payloads(&out), "content"), "now");
}

#[test]
fn calls_come_whole_however_providers_cut_them() {
    let call = |value: Value| delta(json!({"tool_calls": [value]}));
    let expected = |ids: [&str; 2]| {
        vec![
            (
                ids[0].to_owned(),
                "f".to_owned(),
                "{\"a\":\"}\"}".to_owned(),
            ),
            (ids[1].to_owned(), "g".to_owned(), "{}".to_owned()),
        ]
    };
    let one_after_the_other = got(&stream(&[
        call(
            json!({"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": ""}}),
        ),
        call(json!({"index": 0, "function": {"arguments": "{\"a\":"}})),
        call(json!({"index": 0, "id": "", "function": {"name": "", "arguments": "\"}\"}"}})),
        call(
            json!({"index": 1, "id": "y", "type": "function", "function": {"name": "g", "arguments": "{}"}}),
        ),
        finish("tool_calls"),
    ]));
    assert_eq!(calls(&one_after_the_other), expected(["x", "y"]));
    let mixed = got(&stream(&[
        call(json!({"index": 0, "id": "x", "function": {"name": "f"}})),
        call(json!({"index": 1, "id": "y", "function": {"name": "g"}})),
        call(json!({"index": 0, "function": {"arguments": "{\"a\":\"}"}})),
        call(json!({"index": 1, "function": {"arguments": "{}"}})),
        call(json!({"index": 0, "function": {"arguments": "\"}"}})),
        finish("stop"),
    ]));
    assert_eq!(calls(&mixed), expected(["x", "y"]));
    assert_eq!(
        mixed.last().expect("a chunk")["choices"][0]["finish_reason"],
        "tool_calls"
    );
    let without_numbers = got(&stream(&[
        call(json!({"id": "x", "function": {"name": "f", "arguments": {"a": "}"}}})),
        call(json!({"id": "y", "function": {"name": "g"}})),
        finish("tool_calls"),
    ]));
    assert_eq!(calls(&without_numbers), expected(["x", "y"]));
    let same_number = got(&stream(&[
        call(
            json!({"index": 0, "id": "x", "function": {"name": "f", "arguments": "{\"a\":\"}\"}"}}),
        ),
        call(json!({"index": 0, "id": "y", "function": {"name": "g", "arguments": "{}"}})),
        finish("tool_calls"),
    ]));
    assert_eq!(calls(&same_number), expected(["x", "y"]));
    let name_later = got(&stream(&[
        call(json!({"index": 0, "id": "x", "function": {"arguments": "{\"a\":"}})),
        call(json!({"index": 0, "function": {"name": "f", "arguments": "\"}\"}"}})),
        call(json!({"index": 1, "id": "y", "function": {"name": "g"}})),
        finish("tool_calls"),
    ]));
    assert_eq!(calls(&name_later), expected(["x", "y"]));
}

#[test]
fn thoughts_come_before_the_text() {
    let cases = [
        delta(json!({"reasoning_content": "Hm.", "content": null})),
        delta(json!({"reasoning": "Hm.", "content": ""})),
        delta(
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
        ),
        delta(
            json!({"content": "", "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0}]}),
        ),
    ];
    for thought in cases {
        let chunks = got(&stream(&[
            thought.clone(),
            delta(json!({"content": "4"})),
            finish("stop"),
        ]));
        assert_eq!(all(&chunks, "reasoning_content"), "Hm.", "{thought}");
        assert_eq!(all(&chunks, "content"), "4", "{thought}");
        let blocks: Vec<&Value> = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["thinking_blocks"].get(0))
            .collect();
        assert_eq!(blocks.len(), 1, "{thought}");
        assert_eq!(blocks[0]["thinking"], "Hm.");
    }
}

#[test]
fn sound_leaves_as_it_comes_for_clients_of_each_format() {
    let pieces = [
        delta(json!({"content": null, "audio": {"id": "audio_1", "transcript": "Be"}})),
        delta(json!({"audio": {"id": "audio_1", "data": "AAEC"}})),
        delta(json!({"audio": {"data": "AwQ=", "transcript": "ep."}})),
        delta(json!({"audio": {"expires_at": 9}})),
    ];
    let heard = |client: Format| -> Vec<String> {
        let mut translator =
            StreamTranslator::new(super::CHAT, UsageRule::OpenAi, client, super::shown())
                .expect("two chats");
        let mut leaves = |piece: &Value| {
            let bytes = translator.feed(format!("data: {piece}\n\n").as_bytes());
            String::from_utf8(bytes.to_vec()).expect("text")
        };
        pieces.iter().map(&mut leaves).collect()
    };
    let chat = heard(super::CHAT);
    assert!(chat[0].contains(r#""audio":{"id":"audio_1","transcript":"Be"}"#));
    assert!(chat[1].contains(r#""audio":{"data":"AAEC"}"#));
    assert!(chat[2].contains(r#""audio":{"data":"AwQ="}"#));
    assert!(chat[2].contains(r#""audio":{"transcript":"ep."}"#));
    let gemini = heard(Format::Gemini);
    assert!(gemini[0].is_empty());
    assert!(gemini[1].contains(r#""inlineData":{"mimeType":"audio/pcm","data":"AAEC"}"#));
    assert!(gemini[2].contains(r#""data":"AwQ=""#));
    for client in [Format::Anthropic, Format::OpenAiResponses] {
        let said = heard(client);
        assert!(said[0].contains("\"Be\""), "{client:?}: {}", said[0]);
        assert!(said[1].is_empty());
        assert!(said[2].contains("\"ep.\""));
    }
}

#[test]
fn several_choices_are_kept_apart() {
    let said = |index: u32, text: &str| json!({"id": "c", "choices": [{"index": index, "delta": {"content": text}}]});
    let end =
        |index: u32| json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]});
    let chunks = got(&stream(&[
        said(0, "a"),
        said(1, "b"),
        said(0, "a"),
        end(1),
        end(0),
    ]));
    let of = |index: u64| -> String {
        chunks
            .iter()
            .filter(|chunk| chunk["choices"][0]["index"] == index)
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect()
    };
    assert_eq!((of(0), of(1)), ("aa".to_owned(), "b".to_owned()));
}

#[test]
fn an_error_in_the_stream_reaches_the_client() {
    let text = stream(&[
        delta(json!({"content": "He"})),
        json!({"error": {"message": "overloaded", "type": "server_error", "code": 503}}),
        delta(json!({"content": "never"})),
    ]);
    let (out, observed) = streamed(UsageRule::OpenAi, text.as_bytes(), 9);
    assert!(observed.stream_error);
    let chunks = payloads(&out);
    let error = &chunks.last().expect("a chunk")["error"];
    assert_eq!(
        (&error["message"], &error["type"]),
        (&json!("overloaded"), &json!("server_error"))
    );
    assert_eq!(all(&chunks, "content"), "He");
}

#[test]
fn a_stream_that_is_cut_or_garbled_ends_in_an_error() {
    let broken = [
        cut(&[delta(json!({"content": "He"}))]),
        format!(
            "{}data: {{\"cho\n\n",
            cut(&[delta(json!({"content": "He"}))])
        ),
        "<html>oops</html>".to_owned(),
        String::new(),
    ];
    for text in broken {
        let (out, observed) = streamed(UsageRule::OpenAi, text.as_bytes(), 9);
        assert!(observed.stream_error, "{text}");
        let chunks = payloads(&out);
        assert!(
            chunks.last().expect("a chunk")["error"]["message"].is_string(),
            "{text}"
        );
    }
}

#[test]
fn a_finished_stream_may_end_without_its_mark() {
    let text = cut(&[delta(json!({"content": "Hi"})), finish("stop")]);
    let (out, observed) = streamed(UsageRule::OpenAi, text.as_bytes(), 9);
    assert!(observed.finished && !observed.stream_error);
    assert!(out.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn usage_may_come_never_once_or_often() {
    let usage = |output: u64| json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": output}});
    let none = got(&stream(&[delta(json!({"content": "a"})), finish("stop")]));
    assert!(none.iter().all(|chunk| chunk.get("usage").is_none()));
    let often = got(&stream(&[
        usage(1),
        delta(json!({"content": "a"})),
        usage(2),
        finish("stop"),
        usage(3),
    ]));
    let told: Vec<&Value> = often
        .iter()
        .filter_map(|chunk| chunk.get("usage"))
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["completion_tokens"], 3);
    let groq = got(&stream(&[
        delta(json!({"content": "a"})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
               "x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 9}}}),
    ]));
    assert_eq!(
        groq.last().expect("a chunk")["usage"]["completion_tokens"],
        9
    );
}
