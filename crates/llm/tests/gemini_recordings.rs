//! Every recorded exchange of the Gemini API and Vertex: read, written back, and watched as it passes;
//! and that no bytes whatever break a reader.
//!
//! The recordings are no part of the repository. Where they are absent these tests say so and pass.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use llm::conversation::{Answer, Content, Conversation, Part, Stop};
use llm::request::{peek, rewrite};
use llm::response::{Observed, StreamObserver, observe};
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, Usage, UsageRule, provider};
use proptest::prelude::*;
use serde_json::{Value, json};

const OURS: Format = Format::Gemini;
const RULE: UsageRule = UsageRule::OpenAi;

struct Exchange {
    name: String,
    model: String,
    stream_end: String,
    is_fine: bool,
    request: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
    stream: Option<Vec<u8>>,
    array: Option<Vec<u8>>,
}

#[expect(clippy::disallowed_methods, reason = "only tests read this variable")]
fn root() -> Option<PathBuf> {
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

fn exchanges() -> Vec<Exchange> {
    let Some(root) = root() else {
        return Vec::new();
    };
    let index = std::fs::read(root.join("index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let is_ours = |entry: &&Value| {
        let api = entry["api"].as_str().unwrap_or("");
        matches!(api, "generateContent" | "streamGenerateContent")
    };
    let found: Vec<Exchange> = index
        .as_array()
        .expect("a list")
        .iter()
        .filter(is_ours)
        .map(|entry| exchange(&root, entry))
        .collect();
    assert!(found.len() > 80, "only {} exchanges are there", found.len());
    found
}

fn exchange(root: &Path, entry: &Value) -> Exchange {
    let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
    let name = format!("{}/{}", text("provider"), text("case"));
    let file = |ending: &str| std::fs::read(root.join(format!("providers/{name}.{ending}"))).ok();
    Exchange {
        model: text("model"),
        stream_end: text("stream_end"),
        is_fine: entry["status"] == 200,
        request: file("request.json"),
        response: file("response.json"),
        stream: file("stream.sse"),
        array: file("stream.json"),
        name,
    }
}

fn shown(as_array: bool) -> Shown {
    Shown {
        id: "call".to_owned(),
        model: "public".to_owned(),
        created: 0,
        include_usage: false,
        as_array,
        request: None,
    }
}

/// What a part says and is sealed with, empty texts left out.
fn said(part: &Part) -> Option<Value> {
    let seal = part.seal.as_ref().map(|seal| &seal.data);
    Some(match &part.content {
        Content::Text { text, .. } if text.is_empty() && seal.is_none() => return None,
        Content::Text { text, .. } => json!([text, seal]),
        Content::Reasoning { text, .. } => json!([text, "thought", seal]),
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => {
            let arguments: Value = serde_json::from_str(arguments).expect("arguments");
            json!([id, name, arguments, seal])
        }
        Content::ToolResult {
            call_id,
            name,
            parts,
            is_error,
            ..
        } => {
            let parts: Vec<Value> = parts.iter().filter_map(said).collect();
            json!([call_id, name, is_error, parts])
        }
        Content::Media(media) => json!(format!("{:?}", media.source)),
        Content::Native { value, .. } => value.clone(),
        Content::Refusal(text) => json!(text),
    })
}

fn said_of(answer: &Answer) -> Vec<Value> {
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    parts.filter_map(said).collect()
}

fn said_in(conversation: &Conversation) -> Vec<Value> {
    let turns = conversation.turns.iter();
    let parts = turns.flat_map(|turn| turn.parts.iter().map(move |part| (turn.role, part)));
    parts
        .filter_map(|(role, part)| Some(json!([format!("{role:?}"), said(part)?])))
        .collect()
}

#[test]
fn requests_are_read_peeked_at_and_written_back() {
    let to_place = provider::find("gemini").expect("a row");
    let mut count = 0;
    for exchange in exchanges() {
        let Some(request) = &exchange.request else {
            continue;
        };
        let name = &exchange.name;
        let body = Bytes::from(request.clone());
        let peeked = peek(OURS, &body);
        let Ok(read) = translate::read_request(OURS, &body) else {
            assert!(!exchange.is_fine, "{name} is fine, but was not read");
            continue;
        };
        let peeked = peeked.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(peeked.max_output_tokens, read.max_output_tokens, "{name}");
        assert_eq!(
            rewrite(&body, &peeked, "other", false).concat(),
            *body,
            "{name}"
        );
        let to = To {
            provider: to_place,
            model: &exchange.model,
            max_output_tokens: None,
        };
        let written = translate::write_request(OURS, OURS, &to, &read, true)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let again = translate::read_request(OURS, &written.body)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        // thoughts without a signature mean nothing to Gemini and stay away
        let is_kept = |value: &Value| value[1][1] != "thought" || !value[1][2].is_null();
        let before: Vec<Value> = said_in(&read).into_iter().filter(is_kept).collect();
        assert_eq!(said_in(&again), before, "{name}");
        assert_eq!(again.system, read.system, "{name}");
        assert_eq!(again.tools.len(), read.tools.len(), "{name}");
        assert_eq!(again.temperature, read.temperature, "{name}");
        assert_eq!(again.tool_choice, read.tool_choice, "{name}");
        count += 1;
    }
    assert!(root().is_none() || count > 50, "only {count} requests");
}

/// The identity that was counted over all recordings, where the object holds all its counts.
fn assert_adds_up(name: &str, usage: &Usage, wire: &Value) {
    let number = |key: &str| wire[key].as_u64().unwrap_or(0);
    let prompt = number("promptTokenCount") + number("toolUsePromptTokenCount");
    assert_eq!(usage.prompt_tokens(), prompt, "{name}");
    assert_eq!(
        usage.cache_read,
        number("cachedContentTokenCount"),
        "{name}"
    );
    assert_eq!(usage.reasoning, number("thoughtsTokenCount"), "{name}");
    if wire["candidatesTokenCount"].is_u64() {
        let generated = number("candidatesTokenCount") + number("thoughtsTokenCount");
        assert_eq!(usage.completion_tokens(), generated, "{name}");
    }
}

#[test]
fn answers_are_read_written_back_and_watched() {
    let mut count = 0;
    for exchange in exchanges() {
        let Some(body) = &exchange.response else {
            continue;
        };
        let name = &exchange.name;
        let wire: Value = serde_json::from_slice(body).expect("JSON");
        let read = translate::read_answer(OURS, RULE, body);
        let is_answer = exchange.is_fine && wire.get("this").is_none();
        let (_, observed) = observe(OURS, RULE, Bytes::from(body.clone()), "public");
        if !is_answer {
            assert!(read.is_err(), "{name} is no answer");
            assert_eq!(observed.usage, None, "{name}");
            continue;
        }
        let answer = read.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let (again, _) = translate::answer(OURS, RULE, OURS, body, &shown(false))
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let again = translate::read_answer(OURS, RULE, &again)
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(said_of(&again), said_of(&answer), "{name}");
        let stops = |answer: &Answer| -> Vec<Option<Stop>> {
            let choices = answer.choices.iter();
            choices.map(|choice| choice.stop.clone()).collect()
        };
        let expected: Vec<_> = stops(&answer)
            .into_iter()
            .map(|stop| Some(stop.unwrap_or(Stop::End)))
            .collect();
        assert_eq!(stops(&again), expected, "{name}");
        assert_eq!(observed.usage, answer.usage, "{name}");
        assert_eq!(observed.model, answer.model, "{name}");
        assert_eq!(observed.service_tier, answer.service_tier, "{name}");
        let citations = |answer: &Answer| count_citations(answer);
        assert!(citations(&again) <= citations(&answer), "{name}");
        if let Some(usage) = answer.usage {
            assert_adds_up(name, &usage, &wire["usageMetadata"]);
        }
        count += 1;
    }
    assert!(root().is_none() || count > 50, "only {count} answers");
}

fn count_citations(answer: &Answer) -> usize {
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    parts
        .map(|part| match &part.content {
            Content::Text { citations, .. } => citations.len(),
            _ => 0,
        })
        .sum()
}

fn translated(stream: &[u8], size: usize, as_array: bool) -> (Vec<u8>, Observed) {
    let mut translator = StreamTranslator::new(OURS, RULE, OURS, shown(as_array)).expect("formats");
    let mut out = Vec::new();
    for chunk in stream.chunks(size.max(1)) {
        out.extend_from_slice(&translator.feed(chunk));
    }
    let (rest, observed) = translator.finish();
    out.extend_from_slice(&rest);
    (out, observed)
}

fn watched(stream: &[u8], size: usize) -> (Vec<u8>, Observed) {
    let mut observer = StreamObserver::new(OURS, RULE, "public", false);
    let mut out = Vec::new();
    for chunk in stream.chunks(size.max(1)) {
        out.extend_from_slice(&observer.feed(Bytes::copy_from_slice(chunk)));
    }
    let (rest, observed) = observer.finish();
    out.extend_from_slice(&rest);
    (out, observed)
}

fn payloads(stream: &[u8]) -> Vec<Value> {
    stream
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line.strip_prefix(b"data:")?).ok())
        .collect()
}

/// The text, the thoughts, the calls with their whole arguments, the seals and the media of a stream.
fn folded(chunks: &[Value]) -> Value {
    let (mut text, mut thought) = (String::new(), String::new());
    let (mut calls, mut seals, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let candidates = chunks
        .iter()
        .filter_map(|chunk| chunk["candidates"].as_array())
        .flatten();
    for part in candidates
        .filter_map(|candidate| candidate["content"]["parts"].as_array())
        .flatten()
    {
        if let Some(more) = part["text"].as_str() {
            match part["thought"] == true {
                true => thought.push_str(more),
                false => text.push_str(more),
            }
        }
        if let Some(name) = part["functionCall"]["name"].as_str() {
            let args = &part["functionCall"]["args"];
            let is_piecewise = part["functionCall"]["willContinue"] == true;
            calls.push(json!([
                name,
                if is_piecewise { &Value::Null } else { args }
            ]));
        }
        seals.extend(part.get("thoughtSignature").cloned());
        for kind in ["inlineData", "executableCode", "codeExecutionResult"] {
            others.extend(part.get(kind).cloned());
        }
    }
    json!([text, thought, calls, seals, others])
}

#[test]
fn streams_say_the_same_when_they_are_translated_and_watched() {
    let mut count = 0;
    for exchange in exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        let (out, observed) = translated(stream, stream.len(), false);
        let (seen, watched_facts) = watched(stream, stream.len());
        let before = payloads(stream);
        let after = payloads(&out);
        let mut expected = folded(&before);
        let mut found = folded(&after);
        // arguments in pieces are whole at the end
        for (was, is) in expected[2]
            .as_array_mut()
            .expect("calls")
            .iter_mut()
            .zip(found[2].as_array_mut().expect("calls"))
        {
            if was[1].is_null() {
                assert!(is[1].is_object(), "{name}");
                is[1] = Value::Null;
            }
        }
        assert_eq!(found, expected, "{name}");
        let is_complete = exchange.stream_end == "complete";
        assert_eq!(observed.stream_error, !is_complete, "{name}");
        let has_error = after.last().is_some_and(|last| last.get("error").is_some());
        assert_eq!(has_error, !is_complete, "{name}");
        assert_eq!(watched_facts.usage, observed.usage, "{name}");
        assert_eq!(watched_facts.model, observed.model, "{name}");
        assert_eq!(watched_facts.service_tier, observed.service_tier, "{name}");
        assert_eq!(
            watched_facts.stream_error,
            exchange.stream_end == "error-event",
            "{name}"
        );
        let last = before.iter().rev().map(|chunk| &chunk["usageMetadata"]);
        let last = last
            .clone()
            .find(|usage| usage["promptTokenCount"].is_u64());
        if let (Some(usage), Some(wire)) = (observed.usage, last) {
            assert_adds_up(name, &usage, wire);
        }
        for size in [1, 13, 1000] {
            assert_eq!(
                translated(stream, size, false).0,
                out,
                "{name} cut at {size}"
            );
            assert_eq!(watched(stream, size).0, seen, "{name} cut at {size}");
        }
        let (array, _) = translated(stream, 100, true);
        let array: Vec<Value> = serde_json::from_slice(&array).expect("an array");
        assert_eq!(array, after, "{name}");
        count += 1;
    }
    assert!(root().is_none() || count > 30, "only {count} streams");
}

#[test]
fn arrays_pass_with_another_name_and_are_counted() {
    let mut count = 0;
    for exchange in exchanges() {
        let Some(array) = &exchange.array else {
            continue;
        };
        let name = &exchange.name;
        let before: Value = serde_json::from_slice(array).expect("JSON");
        let last = before
            .as_array()
            .expect("an array")
            .last()
            .expect("a chunk");
        for size in [1, 10, 100_000] {
            let (out, observed) = watched(array, size);
            let mut after: Value = serde_json::from_slice(&out).expect("JSON");
            for (after, before) in after
                .as_array_mut()
                .expect("an array")
                .iter_mut()
                .zip(before.as_array().expect("an array"))
            {
                assert_eq!(after["modelVersion"], "public", "{name}");
                after["modelVersion"] = before["modelVersion"].clone();
            }
            assert_eq!(after, before, "{name}");
            assert_adds_up(
                name,
                &observed.usage.expect("usage"),
                &last["usageMetadata"],
            );
            assert!(observed.finished, "{name}");
        }
        count += 1;
    }
    assert!(root().is_none() || count > 0, "no arrays");
}

/// Bytes that nearly are something: a recording, or a small case, with a few bytes changed.
fn nearly(texts: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..3_u8);
    let changes = prop::collection::vec(change, 0..6);
    (prop::sample::select(texts), changes).prop_map(|(mut text, changes)| {
        for (place, byte, kind) in changes {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.truncate(at),
                _ => text.insert(at, byte),
            }
        }
        text
    })
}

fn samples() -> Vec<Vec<u8>> {
    let own: [&[u8]; 4] = [
        br#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"dG9sbGdhdGU6"}]},{"parts":[{"functionResponse":{"name":"f","response":{"a":1},"parts":[{"inlineData":{"data":"AA","mimeType":"text/plain"}}]}}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","nullable":true}}]}],"generationConfig":{"thinkingConfig":{"thinkingBudget":-1},"topK":"4"}}"#,
        br#"{"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"f"}}]},"finishReason":"STOP","groundingMetadata":{"groundingChunks":[{"web":{"uri":"u"}}],"groundingSupports":[{"segment":{"endIndex":1},"groundingChunkIndices":[0]}]}}],"usageMetadata":{"promptTokenCount":1}}"#,
        b"data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}]}\r\n\r\ndata: {\"candidates\":[{\"index\":3,\"content\":{\"parts\":[{\"functionCall\":{\"partialArgs\":[{\"jsonPath\":\"$.a[0].b\",\"stringValue\":\"x\"}]}}]},\"finishReason\":\"STOP\"}]}\r\n\r\n",
        b"[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"}\"}]},\"finishReason\":\"STOP\"}]}\n,\n{\"error\":{}}]",
    ];
    let mut samples: Vec<Vec<u8>> = own.iter().map(|text| text.to_vec()).collect();
    let small = |text: &Vec<u8>| text.len() < 20_000;
    for exchange in exchanges() {
        let files = [
            exchange.request,
            exchange.response,
            exchange.stream,
            exchange.array,
        ];
        samples.extend(files.into_iter().flatten().filter(small));
    }
    samples
}

/// Everything that reads bytes of others, on these.
fn read_all(bytes: &[u8], size: usize) {
    let body = Bytes::copy_from_slice(bytes);
    llm::request::without_seals(OURS, bytes);
    if let Ok(peeked) = peek(OURS, &body) {
        rewrite(&body, &peeked, "other", true);
    }
    let _ = observe(OURS, RULE, body, "public");
    if let Ok(read) = translate::read_request(OURS, bytes) {
        for model in ["gemini-1.5-pro", "gemini-2.5-flash", "gemini-3-pro"] {
            let to = To {
                provider: provider::find("gemini").expect("a row"),
                model,
                max_output_tokens: None,
            };
            let _ = translate::write_request(OURS, OURS, &to, &read, true);
        }
    }
    let _ = translate::answer(OURS, RULE, OURS, bytes, &shown(false));
    let (out, _) = translated(bytes, size, true);
    serde_json::from_slice::<Value>(&out).expect("a stream always ends as it should");
    watched(bytes, size);
}

#[test]
fn a_stream_watched_loses_no_byte_whatever_it_holds() {
    proptest!(ProptestConfig::with_cases(300), |(bytes in nearly(samples()), size in 1..300_usize)| {
        let without_name = |text: Vec<u8>| String::from_utf8_lossy(&text).replace("public", "");
        let (whole, _) = watched(&bytes, bytes.len());
        let (cut, _) = watched(&bytes, size);
        prop_assert_eq!(without_name(whole), without_name(cut));
    });
}

#[test]
fn no_bytes_break_a_reader() {
    proptest!(ProptestConfig::with_cases(600), |(bytes in nearly(samples()), size in 1..300_usize)| {
        read_all(&bytes, size);
    });
    proptest!(ProptestConfig::with_cases(300), |(bytes in prop::collection::vec(any::<u8>(), 0..300))| {
        read_all(&bytes, 7);
    });
}
