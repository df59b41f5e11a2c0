//! Answers and streams as Bedrock sends them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::eventstream::tests::event;
use super::read_stream::Reader;
use super::*;
use crate::conversation::{Content, Event, Stop};
use crate::format::fold::{self, Folded};
use crate::format::{Format, ReadStream};

fn stream(bytes: &[u8], cut: usize) -> Folded {
    fold::read(Format::Converse, &mut Reader::default(), bytes, cut)
}

fn events(list: &[(&str, Value)]) -> Vec<u8> {
    list.iter()
        .flat_map(|(name, payload)| event(name, &payload.to_string()))
        .collect()
}

fn answer(content: Value, stop: &str) -> crate::conversation::Answer {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop, "metrics": {"latencyMs": 1},
        "usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8},
    });
    read_answer::read(body.to_string().as_bytes()).unwrap()
}

#[test]
fn reasoning_is_sealed_with_its_signature() {
    let answer = answer(
        json!([
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "c2VjcmV0"}},
            {"text": "so"},
        ]),
        "end_turn",
    );
    let parts = &answer.choices[0].parts;
    let seal = |at: usize| parts[at].seal.as_ref().map(|seal| seal.data.as_str());
    assert_eq!(seal(0), Some("c2ln"));
    assert_eq!(seal(1), Some("redacted:c2VjcmV0"));
    let is_redacted = |content: &Content| match content {
        Content::Reasoning { redacted, .. } => Some(*redacted),
        _ => None,
    };
    assert_eq!(is_redacted(&parts[0].content), Some(false));
    assert_eq!(is_redacted(&parts[1].content), Some(true));
    assert_eq!(answer.choices[0].stop, Some(Stop::End));
    assert_eq!(answer.usage.unwrap().total_tokens(), 8);
}

#[test]
fn a_forced_answer_is_text() {
    let call = json!([{"toolUse": {"toolUseId": "t", "name": ANSWER_TOOL, "input": {"b": 1.50}}}]);
    let answer = answer(call, "tool_use");
    assert_eq!(fold::said(&answer).0, r#"{"b":1.5}"#);
    assert_eq!(answer.choices[0].stop, Some(Stop::End));
    let bytes = events(&[
        ("messageStart", json!({"role": "assistant"})),
        (
            "contentBlockStart",
            json!({"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": ANSWER_TOOL}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{\"b\""}}}),
        ),
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": ":1}"}}}),
        ),
        ("contentBlockStop", json!({"contentBlockIndex": 0})),
        ("messageStop", json!({"stopReason": "tool_use"})),
    ]);
    let folded = stream(&bytes, 10);
    assert_eq!(fold::said(&folded.answer).0, r#"{"b":1}"#);
    assert_eq!(folded.answer.choices[0].stop, Some(Stop::End));
}

#[test]
fn arguments_keep_their_digits() {
    let body = br#"{"output":{"message":{"content":[{"toolUse":{"toolUseId":"t","name":"f","input":{"z":1.10,"a":12345678901234567890123}}}]}},"stopReason":"tool_use"}"#;
    let answer = read_answer::read(body).unwrap();
    let (_, _, calls) = fold::said(&answer);
    assert_eq!(calls[0].1, r#"{"z":1.10,"a":12345678901234567890123}"#);
    assert_eq!(answer.choices[0].stop, Some(Stop::ToolCalls));
}

#[test]
fn stop_reasons_have_their_meaning() {
    let fields = json!({"stop_sequence": "END"});
    for (reason, stop) in [
        ("end_turn", Stop::End),
        ("max_tokens", Stop::MaxTokens),
        ("stop_sequence", Stop::Sequence(Some("END".to_owned()))),
        ("guardrail_intervened", Stop::Filtered),
        ("content_filtered", Stop::Filtered),
        (
            "malformed_tool_use",
            Stop::Other("malformed_tool_use".to_owned()),
        ),
    ] {
        assert_eq!(read_answer::stop(reason, &fields), stop);
    }
}

#[test]
fn cited_text_and_blocks_of_its_own_are_kept() {
    let citation = json!({"title": "facts", "sourceContent": [{"text": "Ruby"}],
        "location": {"web": {"url": "https://a.example", "domain": "a.example"}}});
    let native = json!({"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {},
        "type": "server_tool_use"}});
    let answer = answer(
        json!([native, {"citationsContent": {"content": [{"text": "So "}, {"text": "it is"}],
            "citations": [citation]}}]),
        "end_turn",
    );
    let parts = &answer.choices[0].parts;
    assert!(matches!(&parts[0].content, Content::Native { value, .. } if *value == native));
    let Content::Text { text, citations } = &parts[1].content else {
        panic!("no text");
    };
    assert_eq!(text, "So it is");
    assert_eq!(citations[0].url.as_deref(), Some("https://a.example"));
    assert_eq!(citations[0].quote.as_deref(), Some("Ruby"));
}

#[test]
fn a_stream_keeps_its_order_whatever_comes() {
    let delta = |index: u64, delta: Value| {
        (
            "contentBlockDelta",
            json!({"contentBlockIndex": index, "delta": delta}),
        )
    };
    let folded = stream(
        &events(&[
            // no start, an index used for two kinds, blocks that are not closed, an unknown event
            delta(0, json!({"reasoningContent": {"text": "hm"}})),
            delta(0, json!({"reasoningContent": {"signature": "c2"}})),
            delta(0, json!({"reasoningContent": {"signature": "ln"}})),
            delta(0, json!({"text": "so"})),
            ("somethingNew", json!([])),
            delta(1, json!({"reasoningContent": {"redactedContent": "YWJj"}})),
            delta(7, json!({"toolUse": {"input": "nobody opened it"}})),
            (
                "metadata",
                json!({"usage": {"inputTokens": 1, "outputTokens": 2}, "metrics": {}}),
            ),
            ("messageStop", json!({"stopReason": "end_turn"})),
            delta(2, json!({"text": "too late"})),
            (
                "metadata",
                json!({"usage": {"inputTokens": 1, "outputTokens": 9}, "serviceTier": {"type": "flex"}}),
            ),
            ("messageStop", json!({"stopReason": "end_turn"})),
        ]),
        17,
    );
    assert_eq!(folded.failed, None);
    let parts = &folded.answer.choices[0].parts;
    assert_eq!(parts.len(), 3);
    assert_eq!(parts[0].seal.as_ref().unwrap().data, "c2ln");
    assert_eq!(parts[2].seal.as_ref().unwrap().data, "redacted:YWJj");
    assert_eq!(fold::said(&folded.answer).0, "so");
    assert_eq!(folded.answer.usage.unwrap().output, 9);
    assert_eq!(folded.answer.service_tier.as_deref(), Some("flex"));
}

#[test]
fn exceptions_end_a_stream_with_their_status() {
    let frame = |name: &'static str, data: &'static [u8]| crate::format::Frame {
        event: Some(name),
        data,
        is_exception: true,
    };
    for (name, data, status) in [
        ("throttlingException", &br#"{"message":"slow"}"#[..], 429),
        ("ValidationException", b"{}", 400),
        ("internalServerException", b"", 500),
        (
            "modelStreamErrorException",
            br#"{"originalStatusCode":529}"#,
            529,
        ),
        ("modelStreamErrorException", b"{}", 424),
        ("newException", b"<html>", 502),
    ] {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        reader.frame(frame(name, data), &mut events);
        reader.end(&mut events);
        let failed = fold::fold(events).failed.unwrap();
        assert_eq!(failed.status, status, "{name}");
        assert_eq!(failed.kind.as_deref(), Some(name));
    }
}

#[test]
fn a_cut_or_garbled_stream_fails() {
    let start = ("messageStart", json!({"role": "assistant"}));
    let text = (
        "contentBlockDelta",
        json!({"contentBlockIndex": 0, "delta": {"text": "a"}}),
    );
    assert!(
        stream(&events(&[start.clone(), text.clone()]), 9)
            .failed
            .is_some()
    );
    assert!(stream(b"", 9).failed.is_some());
    let mut bytes = events(&[start]);
    bytes.extend(event("contentBlockDelta", "{no json"));
    bytes.extend(events(&[text]));
    assert!(
        stream(&bytes, 9)
            .failed
            .unwrap()
            .message
            .contains("cannot be read")
    );
}

#[test]
fn every_recorded_answer_is_read() {
    for (name, body) in fold::recordings("bedrock", "converse", ".response.json") {
        let answer = read_answer::read(&body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let wire: Value = serde_json::from_slice(&body).unwrap();
        let blocks = wire["output"]["message"]["content"].as_array().unwrap();
        assert_eq!(answer.choices[0].parts.len(), blocks.len(), "{name}");
        for (part, block) in answer.choices[0].parts.iter().zip(blocks) {
            assert!(
                !matches!(part.content, Content::Native { .. }),
                "{name}: {block}"
            );
        }
        let usage = answer.usage.unwrap();
        let total = wire["usage"]["totalTokens"].as_u64().unwrap();
        assert_eq!(usage.total_tokens(), total, "{name}");
    }
}

#[test]
fn every_recorded_stream_is_read_however_it_is_cut() {
    for (name, bytes) in fold::recordings("bedrock", "converse", ".stream.eventstream") {
        let folded = stream(&bytes, bytes.len());
        assert_eq!(folded.failed, None, "{name}");
        let mut text = String::new();
        let mut input = String::new();
        let mut total = None;
        let decoded = fold::recordings("bedrock", "converse", ".stream.decoded.json");
        let (_, decoded) = decoded.iter().find(|(other, _)| *other == name).unwrap();
        for message in serde_json::from_slice::<Vec<Value>>(decoded).unwrap() {
            let payload = &message["payload"];
            text.push_str(payload["delta"]["text"].as_str().unwrap_or_default());
            input.push_str(
                payload["delta"]["toolUse"]["input"]
                    .as_str()
                    .unwrap_or_default(),
            );
            total = payload["usage"]["totalTokens"].as_u64().or(total);
        }
        let (said, _, calls) = fold::said(&folded.answer);
        assert_eq!(said, text, "{name}");
        let arguments: String = calls.into_iter().map(|(_, arguments)| arguments).collect();
        assert_eq!(arguments, input, "{name}");
        let usage = folded.answer.usage.unwrap();
        assert_eq!(Some(usage.total_tokens()), total, "{name}");
        assert_eq!(folded.events.last(), Some(&Event::Done), "{name}");
        for cut in [1, 7, 100] {
            assert_eq!(
                stream(&bytes, cut).events,
                folded.events,
                "{name} cut at {cut}"
            );
        }
    }
}

/// An event's payload as it might be, or nearly.
fn payload() -> impl Strategy<Value = String> {
    let delta = prop_oneof![
        Just(json!({"text": "a"})),
        Just(json!({"toolUse": {"input": "{"}})),
        Just(json!({"toolResult": [{"text": "b"}]})),
        Just(json!({"reasoningContent": {"text": "c"}})),
        Just(json!({"reasoningContent": {"signature": "ZA=="}})),
        Just(json!({"reasoningContent": {"redactedContent": "ZA=="}})),
        Just(json!({"citation": {"title": "e"}})),
        Just(json!({"image": {"source": {"bytes": "ZA=="}}})),
    ];
    let start = prop_oneof![
        Just(json!({"toolUse": {"toolUseId": "t", "name": "f"}})),
        Just(json!({"toolUse": {"toolUseId": "t", "name": ANSWER_TOOL}})),
        Just(json!({"toolUse": {"toolUseId": "t", "name": "f", "type": "server_tool_use"}})),
        Just(json!({"toolResult": {"toolUseId": "t"}})),
        Just(json!({"toolResult": 5})),
        Just(json!({"image": {"format": "png"}})),
    ];
    (0_u64..3, delta, start, any::<bool>(), ".{0,6}").prop_map(|(index, delta, start, bad, odd)| {
        match bad && odd.len() > 4 {
            true => odd,
            false => json!({"contentBlockIndex": index, "delta": delta, "start": start,
                "stopReason": "tool_use", "usage": {"inputTokens": 1}})
            .to_string(),
        }
    })
}

proptest! {
    /// [`fold::fold`] panics where the order of events is broken.
    #[test]
    fn any_events_keep_the_order(
        frames in proptest::collection::vec((prop_oneof![
            Just("messageStart"), Just("contentBlockStart"), Just("contentBlockDelta"),
            Just("contentBlockDelta"), Just("contentBlockStop"), Just("messageStop"),
            Just("metadata"), Just("other"),
        ], payload()), 0..30)
    ) {
        let mut bytes = Vec::new();
        for (name, payload) in frames {
            bytes.extend(event(name, &payload));
        }
        stream(&bytes, 50);
    }

    #[test]
    fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
        let _ = read_answer::read(&bytes);
        let body = format!(r#"{{"output":{{"message":{{"content":[{text}]}}}}}}"#);
        let _ = read_answer::read(body.as_bytes());
    }
}
