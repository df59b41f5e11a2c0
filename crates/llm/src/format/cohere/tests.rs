//! Answers and streams as Cohere sends them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::read_stream::Reader;
use super::*;
use crate::conversation::{Content, Event};
use crate::format::fold::{self, Folded};

fn stream(text: &str, cut: usize) -> Folded {
    fold::read(Format::Cohere, &mut Reader::default(), text.as_bytes(), cut)
}

fn events(list: &[Value]) -> String {
    list.iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect()
}

fn content(kind: &str, index: u64, content: Value) -> Value {
    json!({"type": kind, "index": index, "delta": {"message": {"content": content}}})
}

#[test]
fn plans_thoughts_and_calls_are_told_apart() {
    let body = json!({"id": "x", "finish_reason": "TOOL_CALL", "message": {
        "role": "assistant", "tool_plan": "I will look",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}],
    }, "logprobs": [{"text": "so", "token_ids": [1, 2], "logprobs": [-1.0, -0.5]}]});
    let answer = read_answer::read(body.to_string().as_bytes()).unwrap();
    let choice = &answer.choices[0];
    let seals: Vec<_> = choice
        .parts
        .iter()
        .map(|part| part.seal.as_ref().map(|seal| seal.data.as_str()))
        .collect();
    assert_eq!(seals, [Some(PLAN), Some(THINKING), None, None]);
    assert_eq!(choice.stop, Some(Stop::ToolCalls));
    assert_eq!(choice.logprobs[0].logprob, -1.5);
    let (text, thoughts, calls) = fold::said(&answer);
    assert_eq!((&*text, &*thoughts), ("so", "I will lookhm"));
    assert_eq!(calls, [("f".to_owned(), "{}".to_owned())]);
}

#[test]
fn a_failed_generation_is_an_error() {
    for reason in ["ERROR", "TIMEOUT"] {
        let body = json!({"finish_reason": reason, "message": {"content": []}}).to_string();
        assert_eq!(
            read_answer::read(body.as_bytes()).unwrap_err().status(),
            502
        );
        let end = json!({"type": "message-end", "delta": {"finish_reason": reason, "error": "oh"}});
        let failed = stream(&events(&[end]), 5).failed.unwrap();
        assert_eq!(failed.message, "oh");
    }
    assert!(read_answer::read(b"<html>").is_err());
}

#[test]
fn a_stream_keeps_its_order_whatever_comes() {
    let call = json!({"id": "a", "function": {"name": "f", "arguments": "{"}});
    let text = events(&[
        json!({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "plan"}}}),
        json!({"type": "something-new", "delta": {"message": {"content": []}}}),
        content("content-delta", 0, json!({"thinking": "hm"})),
        content("content-delta", 1, json!({"text": "so"})),
        json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations": {
            "start": 0, "end": 2, "text": "so", "content_index": 1, "sources": [
                {"type": "document", "id": "d", "document": {"title": "T", "text": "quote"}},
                {"type": "tool", "id": "https://a.example", "tool_output": {}}]}}}}),
        json!({"type": "citation-start", "delta": {"message": {"citations": 7}}}),
        json!({"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}}),
        json!({"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls":
            {"function": {"arguments": "}"}}}}}),
        json!({"type": "tool-call-delta", "index": 5, "delta": {"message": {"tool_calls":
            {"function": {"arguments": "nobody's"}}}}}),
        json!({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage":
            {"billed_units": {"input_tokens": 2, "output_tokens": 3}}}}),
        content("content-delta", 9, json!({"text": "too late"})),
    ]);
    let folded = stream(&text, 11);
    assert_eq!(folded.failed, None);
    let (text, thoughts, calls) = fold::said(&folded.answer);
    assert_eq!((&*text, &*thoughts), ("so", "planhm"));
    assert_eq!(calls, [("f".to_owned(), "{}".to_owned())]);
    let parts = &folded.answer.choices[0].parts;
    let Content::Text { citations, .. } = &parts[2].content else {
        panic!("no text");
    };
    assert_eq!(citations.len(), 2);
    assert_eq!(citations[0].title.as_deref(), Some("T"));
    assert_eq!(citations[0].span, Some((0, 2)));
    assert_eq!(citations[1].url.as_deref(), Some("https://a.example"));
    assert_eq!(folded.answer.usage.unwrap().total_tokens(), 5);
}

#[test]
fn a_cut_or_garbled_stream_fails() {
    let start = json!({"type": "message-start", "id": "x", "delta": {"message": {}}});
    assert!(stream(&events(&[start]), 5).failed.is_some());
    assert!(stream("data: {no json\n\n", 5).failed.is_some());
    let failed = stream("data: {\"message\":\"too many requests\"}\n\n", 5)
        .failed
        .unwrap();
    assert_eq!(failed.message, "too many requests");
}

#[test]
fn every_recorded_answer_is_read() {
    for (name, body) in fold::recordings("cohere", "v2chat", ".response.json") {
        let answer = read_answer::read(&body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let wire: Value = serde_json::from_slice(&body).unwrap();
        let billed = &wire["usage"]["billed_units"];
        let usage = answer.usage.unwrap();
        assert_eq!(
            Some(usage.prompt_tokens()),
            billed["input_tokens"].as_u64(),
            "{name}"
        );
        assert_eq!(
            Some(usage.completion_tokens()),
            billed["output_tokens"].as_u64(),
            "{name}"
        );
        let said: String = wire["message"]["content"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|block| block["text"].as_str())
            .collect();
        assert_eq!(fold::said(&answer).0, said, "{name}");
        let cited = wire["message"]["citations"].as_array().map_or(0, Vec::len);
        let natives = answer.choices[0]
            .parts
            .iter()
            .map(|part| match &part.content {
                Content::Text { citations, .. } => citations
                    .iter()
                    .filter(|citation| citation.native.is_some())
                    .count(),
                _ => 0,
            });
        assert_eq!(natives.sum::<usize>(), cited, "{name}");
    }
}

#[test]
fn every_recorded_stream_is_read_however_it_is_cut() {
    for (name, bytes) in fold::recordings("cohere", "v2chat", ".stream.sse") {
        let text = String::from_utf8(bytes).unwrap();
        let folded = stream(&text, text.len());
        assert_eq!(folded.failed, None, "{name}");
        assert_eq!(folded.events.last(), Some(&Event::Done), "{name}");
        let mut pieces: [String; 3] = Default::default();
        let mut billed = Value::Null;
        for line in text.lines().filter_map(|line| line.strip_prefix("data: {")) {
            let event: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
            let message = &event["delta"]["message"];
            for (piece, pointer) in pieces.iter_mut().zip([
                "/content/text",
                "/content/thinking",
                "/tool_calls/function/arguments",
            ]) {
                let more = message.pointer(pointer).and_then(Value::as_str);
                piece.push_str(more.unwrap_or_default());
            }
            pieces[1].push_str(message["tool_plan"].as_str().unwrap_or_default());
            if event["type"] == "message-end" {
                billed = event["delta"]["usage"]["billed_units"].clone();
            }
        }
        let (said, thoughts, calls) = fold::said(&folded.answer);
        let arguments: String = calls.into_iter().map(|(_, arguments)| arguments).collect();
        assert_eq!([said, thoughts, arguments], pieces, "{name}");
        let usage = folded.answer.usage.unwrap();
        assert_eq!(
            Some(usage.prompt_tokens()),
            billed["input_tokens"].as_u64(),
            "{name}"
        );
        assert_eq!(
            Some(usage.completion_tokens()),
            billed["output_tokens"].as_u64(),
            "{name}"
        );
        for cut in [1, 13] {
            assert_eq!(
                stream(&text, cut).events,
                folded.events,
                "{name} cut at {cut}"
            );
        }
    }
}

fn odd_event() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        Just("message-start"),
        Just("content-start"),
        Just("content-delta"),
        Just("content-end"),
        Just("tool-plan-delta"),
        Just("tool-call-start"),
        Just("tool-call-delta"),
        Just("tool-call-end"),
        Just("citation-start"),
        Just("citation-end"),
        Just("debug"),
    ];
    let block = prop_oneof![
        Just(json!({"text": "a"})),
        Just(json!({"thinking": "b"})),
        Just(json!([])),
        Just(Value::Null),
    ];
    (kind, 0_u64..3, block, any::<bool>()).prop_map(|(kind, index, block, is_bare)| {
        if is_bare {
            return json!({"type": kind, "index": index});
        }
        json!({"type": kind, "index": index, "delta": {"message": {
            "content": block, "tool_plan": "p",
            "tool_calls": {"id": "t", "function": {"name": "f", "arguments": "{"}},
            "citations": {"start": 0, "end": 1, "sources": [{"document": {}}]},
        }}})
    })
}

proptest! {
    /// [`fold::fold`] panics where the order of events is broken.
    #[test]
    fn any_events_keep_the_order(list in proptest::collection::vec(odd_event(), 0..30), ends in any::<bool>()) {
        let mut list = list;
        if ends {
            list.push(json!({"type": "message-end"}));
        }
        stream(&events(&list), 50);
    }

    #[test]
    fn no_bytes_panic(text in ".{0,120}", bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        stream(&format!("data: {text}\n\n"), 7);
        let _ = read_answer::read(&bytes);
        let _ = read_answer::read(text.as_bytes());
    }
}
