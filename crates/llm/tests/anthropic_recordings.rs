//! Every recorded exchange in Anthropic's format: read, written back, and watched as it passes.
//!
//! The recordings are no part of the repository. Where they are absent these tests say so and pass.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use llm::conversation::{Answer, Content};
use llm::request::{peek, rewrite};
use llm::response::{StreamObserver, observe};
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider};
use proptest::prelude::*;
use serde_json::{Value, json};

const OURS: Format = Format::Anthropic;
const RULE: UsageRule = UsageRule::OpenAi;

struct Exchange {
    name: String,
    stream_end: String,
    is_fine: bool,
    request: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
    stream: Option<Vec<u8>>,
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
    let found: Vec<Exchange> = index
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["api"] == "messages")
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
        stream_end: text("stream_end"),
        is_fine: entry["status"] == 200,
        request: file("request.json"),
        response: file("response.json"),
        stream: file("stream.sse"),
        name,
    }
}

fn shown() -> Shown {
    Shown {
        id: "call".to_owned(),
        model: "public".to_owned(),
        created: 0,
        include_usage: false,
        as_array: false,
        request: None,
    }
}

fn translator() -> StreamTranslator {
    StreamTranslator::new(OURS, RULE, OURS, shown()).expect("formats")
}

/// The text, the calls and the thoughts of an answer.
fn said(answer: &Answer) -> Vec<Value> {
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    parts
        .filter_map(|part| {
            let value = match &part.content {
                Content::Text { text, .. } if text.is_empty() => return None,
                Content::Text { text, citations } => json!([text, citations.len()]),
                Content::Reasoning { text, .. } => {
                    json!([text, part.seal.as_ref().map(|s| &s.data)])
                }
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                    ..
                } => {
                    let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
                    json!([id, name, arguments])
                }
                Content::Native { value, .. } => value.clone(),
                other => panic!("{other:?}"),
            };
            Some(value)
        })
        .collect()
}

#[test]
fn requests_are_read_and_written_back() {
    let place = provider::find("anthropic").or_else(|| provider::find("openai"));
    for exchange in exchanges() {
        let Some(request) = exchange.request.as_deref().filter(|_| exchange.is_fine) else {
            continue;
        };
        let name = &exchange.name;
        let conversation = translate::read_request(OURS, request)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let original: Value = serde_json::from_slice(request).expect("JSON");
        let model = original["model"].as_str().unwrap_or("claude-sonnet-4-5");
        let to = To {
            provider: place.expect("a provider"),
            model,
            max_output_tokens: Some(64_000),
        };
        let written = translate::write_request(OURS, OURS, &to, &conversation, true)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: Value = serde_json::from_slice(&written.body).expect("JSON");
        for member in [
            "max_tokens",
            "thinking",
            "tool_choice",
            "stop_sequences",
            "metadata",
        ] {
            let mut expected = original[member].clone();
            if member == "tool_choice"
                && (expected == json!({"type": "auto"})
                    || expected["disable_parallel_tool_use"] == false)
            {
                expected
                    .as_object_mut()
                    .expect("a choice")
                    .remove("disable_parallel_tool_use");
                if expected == json!({"type": "auto"}) {
                    expected = Value::Null;
                }
            }
            assert_eq!(written[member], expected, "{name}: {member}");
        }
        let again = written.to_string();
        let again = translate::read_request(OURS, again.as_bytes()).expect("our own request");
        let kept = |turns: &[llm::conversation::Turn]| {
            let parts = turns.iter().flat_map(|turn| &turn.parts);
            parts.map(|part| part.content.clone()).collect::<Vec<_>>()
        };
        assert_eq!(kept(&again.turns), kept(&conversation.turns), "{name}");
        assert_eq!(again.system, conversation.system, "{name}");
        assert_eq!(again.reasoning, conversation.reasoning, "{name}");
    }
}

#[test]
fn answers_are_read_written_and_watched() {
    for exchange in exchanges() {
        let Some(response) = exchange.response.filter(|_| exchange.is_fine) else {
            continue;
        };
        let name = &exchange.name;
        let value: Value = serde_json::from_slice(&response).expect("JSON");
        let answer = translate::read_answer(OURS, RULE, &response)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let usage = answer.usage.expect("a usage");
        assert_eq!(
            Some(usage.input),
            value["usage"]["input_tokens"].as_u64(),
            "{name}"
        );
        let output = value["usage"]["output_tokens"].as_u64();
        assert_eq!(Some(usage.completion_tokens()), output, "{name}");
        let (written, observed) =
            translate::answer(OURS, RULE, OURS, &response, &shown()).expect("written");
        assert_eq!(observed.usage, Some(usage));
        let again = translate::read_answer(OURS, RULE, &written).expect("our own answer");
        assert_eq!(said(&again), said(&answer), "{name}");
        assert_eq!(again.usage, answer.usage, "{name}");
        assert_eq!(again.choices[0].stop, answer.choices[0].stop, "{name}");

        let (passed, watched) = observe(OURS, RULE, response.clone().into(), "public");
        assert_eq!(watched.usage, Some(usage), "{name}");
        assert_eq!(watched.id, answer.id, "{name}");
        assert_eq!(watched.service_tier, answer.service_tier, "{name}");
        assert!(
            watched.finished && watched.output_bytes > 0 || said(&answer).is_empty(),
            "{name}"
        );
        let mut expected = value;
        expected["model"] = json!("public");
        let passed: Value = serde_json::from_slice(&passed).expect("JSON");
        assert_eq!(passed, expected, "{name}");
    }
}

/// The answer that a client puts together from a stream, as a whole message.
fn folded(stream: &[u8]) -> Value {
    let mut message = Value::Null;
    let mut inputs: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(stream).lines() {
        let Some(data) = line.strip_prefix("data:") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64().unwrap_or(0) as usize;
        match event["type"].as_str().expect("a type") {
            "message_start" if message.is_null() => {
                message = event["message"].clone();
                let blocks = message["content"].as_array().map_or(0, Vec::len);
                inputs.resize(blocks, String::new());
            }
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().expect("blocks");
                assert_eq!(blocks.len(), index);
                blocks.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let block = &mut message["content"][index];
                for name in ["text", "thinking", "signature", "content"] {
                    if let Some(more) = delta[name].as_str() {
                        let text = block[name].as_str().unwrap_or("").to_owned() + more;
                        block[name] = json!(text);
                    }
                }
                if let Some(more) = delta["partial_json"].as_str() {
                    inputs[index].push_str(more);
                }
                if delta.get("citation").is_some() {
                    let mut citations = block["citations"].as_array().cloned().unwrap_or_default();
                    citations.push(delta["citation"].clone());
                    block["citations"] = json!(citations);
                }
            }
            "content_block_stop" if !inputs[index].is_empty() => {
                message["content"][index]["input"] =
                    serde_json::from_str(&inputs[index]).unwrap_or_default();
            }
            "message_delta" => {
                for name in ["stop_reason", "stop_sequence"] {
                    message[name] = event["delta"][name].clone();
                }
            }
            "message_stop" => break,
            _ => {}
        }
    }
    message
}

fn read_folded(stream: &[u8]) -> Option<Answer> {
    let message = folded(stream);
    message.is_object().then(|| {
        translate::read_answer(OURS, RULE, message.to_string().as_bytes()).expect("an answer")
    })
}

#[test]
fn streams_say_the_same_when_translated() {
    for exchange in exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        let mut translator = translator();
        let mut out = translator.feed(stream).to_vec();
        let (rest, observed) = translator.finish();
        out.extend_from_slice(&rest);
        if name.contains("spliced") {
            assert!(observed.stream_error, "{name}");
            continue;
        }
        let is_complete = exchange.stream_end == "complete";
        assert_eq!(observed.finished, is_complete, "{name}");
        assert_eq!(observed.stream_error, !is_complete, "{name}");
        let (before, after) = (read_folded(stream), read_folded(&out));
        let (before, after) = (before.expect("a message"), after.expect("a message"));
        if is_complete {
            assert_eq!(said(&after), said(&before), "{name}");
            let stops = [&before, &after].map(|answer| answer.choices[0].stop.clone());
            assert!(
                stops[0] == stops[1] || stops[0].is_none(),
                "{name}: {stops:?}"
            );
        }
        let first = String::from_utf8_lossy(&out)
            .lines()
            .next()
            .map(str::to_owned);
        assert_eq!(first.as_deref(), Some("event: message_start"), "{name}");
    }
}

#[test]
fn streams_are_watched_as_they_pass() {
    for exchange in exchanges() {
        let Some(stream) = &exchange.stream else {
            continue;
        };
        let name = &exchange.name;
        if name.contains("spliced") || name.contains("programmatic") {
            continue; // several messages in one stream
        }
        let mut translator = translator();
        translator.feed(stream);
        let (_, read) = translator.finish();
        for size in [stream.len(), 1000, 7] {
            let mut observer = StreamObserver::new(OURS, RULE, "public", false);
            let mut passed = Vec::new();
            for chunk in stream.chunks(size) {
                passed.extend_from_slice(&observer.feed(Bytes::copy_from_slice(chunk)));
            }
            let (rest, watched) = observer.finish();
            passed.extend_from_slice(&rest);
            assert_eq!(watched.usage, read.usage, "{name}");
            assert_eq!(watched.model, read.model, "{name}");
            assert_eq!(watched.id, read.id, "{name}");
            assert_eq!(watched.service_tier, read.service_tier, "{name}");
            assert_eq!(watched.stream_error, read.stream_error, "{name}");
            let is_complete = exchange.stream_end == "complete";
            assert!(watched.finished || !is_complete, "{name}");
            let old = json!(read.model).to_string();
            let place = String::from_utf8_lossy(stream).replacen(
                &format!("\"model\":{old}"),
                "\"model\":\"public\"",
                1,
            );
            let spaced = String::from_utf8_lossy(stream).replacen(
                &format!("\"model\": {old}"),
                "\"model\": \"public\"",
                1,
            );
            let passed = String::from_utf8_lossy(&passed).into_owned();
            assert!(
                passed == place || passed == spaced || name.contains("duplicate"),
                "{name}"
            );
        }
    }
}

#[test]
fn requests_pass_with_the_model_alone_changed() {
    for exchange in exchanges() {
        let Some(request) = exchange.request else {
            continue;
        };
        let body = Bytes::from(request);
        let original: Value = serde_json::from_slice(&body).expect("JSON");
        if original.get("model").is_none() {
            assert!(peek(OURS, &body).is_err());
            continue;
        }
        let seen = peek(OURS, &body).unwrap_or_else(|error| panic!("{}: {error}", exchange.name));
        assert_eq!(seen.max_output_tokens, original["max_tokens"].as_u64());
        assert_eq!(
            seen.end_user.as_deref(),
            original["metadata"]["user_id"].as_str()
        );
        assert_eq!(seen.stream, original["stream"] == true);
        let sent = rewrite(&body, &seen, "another", false).concat();
        let mut expected = original;
        expected["model"] = json!("another");
        assert_eq!(
            serde_json::from_slice::<Value>(&sent).expect("JSON"),
            expected
        );
    }
}

fn recorded_streams() -> Vec<Vec<u8>> {
    let streams = exchanges()
        .into_iter()
        .filter_map(|exchange| exchange.stream);
    let mut streams: Vec<_> = streams.filter(|stream| stream.len() < 20_000).collect();
    streams.push(
        b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n".to_vec(),
    );
    streams
}

fn recorded_texts() -> Vec<Vec<u8>> {
    let texts = exchanges()
        .into_iter()
        .flat_map(|exchange| [exchange.request, exchange.response]);
    let mut texts: Vec<_> = texts.flatten().filter(|text| text.len() < 20_000).collect();
    texts.push(b"{\"messages\":[{\"role\":\"user\",\"content\":[]}]}".to_vec());
    texts
}

fn translate_in_pieces(stream: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut translator = translator();
    let mut out = Vec::new();
    let mut rest = stream;
    for cut in cuts {
        let (piece, after) = rest.split_at(cut % (rest.len() + 1));
        out.extend_from_slice(&translator.feed(piece));
        rest = after;
    }
    out.extend_from_slice(&translator.feed(rest));
    out.extend_from_slice(&translator.finish().0);
    out
}

fn mutated(original: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut text = original.to_vec();
    for (place, byte) in changes {
        if !text.is_empty() {
            let place = place % text.len();
            text[place] = *byte;
        }
    }
    text
}

#[test]
fn streams_may_be_cut_anywhere() {
    let streams = recorded_streams();
    proptest!(ProptestConfig::with_cases(64), |(
        at in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<usize>(), 0..20)
    )| {
        let stream = &streams[at.index(streams.len())];
        prop_assert_eq!(translate_in_pieces(stream, &cuts), translate_in_pieces(stream, &[]));
    });
}

#[test]
fn nothing_that_comes_makes_a_panic() {
    let (streams, texts) = (recorded_streams(), recorded_texts());
    proptest!(ProptestConfig::with_cases(256), |(
        at in any::<prop::sample::Index>(),
        text_at in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12),
        noise in prop::collection::vec(any::<u8>(), 0..200)
    )| {
        translate_in_pieces(&mutated(&streams[at.index(streams.len())], &changes), &[]);
        translate_in_pieces(&noise, &[3]);
        for text in [mutated(&texts[text_at.index(texts.len())], &changes), noise] {
            let _ = translate::read_request(OURS, &text);
            let _ = translate::read_answer(OURS, RULE, &text);
            let _ = peek(OURS, &text);
            observe(OURS, RULE, text.into(), "public");
        }
    });
}

/// Streams of OpenAI's chats, for a client of this format.
#[test]
fn streams_of_chats_become_whole_messages() {
    let Some(root) = root() else { return };
    let index = std::fs::read(root.join("index.json")).expect("an index");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let mut seen = 0;
    for entry in index.as_array().expect("a list") {
        let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
        let name = format!("{}/{}", text("provider"), text("case"));
        let path = root.join(format!("providers/{name}.stream.sse"));
        if entry["api"] != "chat" || text("stream_end") != "complete" || !path.is_file() {
            continue;
        }
        let stream = std::fs::read(path).expect("a stream");
        let mut translator =
            StreamTranslator::new(Format::OpenAiChat, RULE, OURS, shown()).expect("formats");
        let mut out = translator.feed(&stream).to_vec();
        let (rest, observed) = translator.finish();
        out.extend_from_slice(&rest);
        assert!(!observed.stream_error, "{name}");
        assert_blocks_follow_each_other(&name, &out);
        let message = folded(&out);
        assert!(message["stop_reason"].is_string(), "{name}");
        let mut blocks = message["content"].as_array().expect("blocks").iter();
        let calls = blocks.any(|block| block["type"] == "tool_use");
        assert!(calls || message["stop_reason"] != "tool_use", "{name}");
        seen += 1;
    }
    assert!(seen > 70, "only {seen} streams");
}

/// As Anthropic sends them: one block after the other, each begun once and ended once.
fn assert_blocks_follow_each_other(name: &str, stream: &[u8]) {
    let (mut next, mut open) = (0, None);
    let mut last = String::new();
    for line in String::from_utf8_lossy(stream).lines() {
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let event: Value = serde_json::from_str(data).expect("JSON");
        let index = event["index"].as_u64();
        last = event["type"].as_str().expect("a type").to_owned();
        match &*last {
            "content_block_start" => {
                assert_eq!((index, open), (Some(next), None), "{name}");
                open = index;
                next += 1;
            }
            "content_block_delta" => assert_eq!(index, open, "{name}"),
            "content_block_stop" => assert_eq!(open.take(), index, "{name}"),
            _ => {}
        }
    }
    assert_eq!((&*last, open), ("message_stop", None), "{name}");
}
