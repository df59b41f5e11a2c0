//! Every recorded chat of every provider: read, written again, and the same.
//!
//! The recordings are no part of the repository. Where they are absent these tests say so and pass.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use llm::response::{StreamObserver, observe};
use llm::{UsageRule, provider, translate};
use serde_json::Value;

use super::{CHAT, payloads, shown, streamed, to};

struct Case {
    name: String,
    provider: &'static str,
    model: String,
    is_answered: bool,
    rule: UsageRule,
    stream_end: String,
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
    eprintln!("no recordings at {}: not tested", root.display());
    None
}

fn cases() -> Vec<Case> {
    let Some(root) = root() else {
        return Vec::new();
    };
    let index = std::fs::read(root.join("index.json")).expect("an index");
    let index: Vec<Value> = serde_json::from_slice(&index).expect("JSON");
    let cases: Vec<Case> = index
        .iter()
        .filter_map(|entry| case(&root, entry))
        .collect();
    assert!(cases.len() > 150, "only {} chats are there", cases.len());
    cases
}

fn case(root: &Path, entry: &Value) -> Option<Case> {
    let text = |name: &str| entry[name].as_str().unwrap_or("").to_owned();
    if entry["api"] != "chat" {
        return None;
    }
    let (folder, case) = (text("provider"), text("case"));
    let model = text("model");
    let name = match folder.as_str() {
        "azure" => "openai",
        "vercel-gateway" => "vercel_ai_gateway",
        name => name,
    };
    let found = provider::find(name).unwrap_or_else(|| panic!("no row for {name}"));
    let rule = match folder == "azure" && model.contains("grok") {
        true => UsageRule::CacheApart,
        false => found.usage_rule(&model),
    };
    let file =
        |ending: &str| std::fs::read(root.join(format!("providers/{folder}/{case}.{ending}"))).ok();
    let is_answered = entry["status"] == 200;
    Some(Case {
        name: format!("{folder}/{case}"),
        provider: found.name,
        model,
        is_answered,
        rule,
        stream_end: text("stream_end"),
        request: file("request.json"),
        response: file("response.json").filter(|_| is_answered),
        stream: file("stream.sse").filter(|_| is_answered),
    })
}

/// Texts, calls and roles of a list of messages, in order.
fn said(messages: &Value) -> Vec<String> {
    let mut said = Vec::new();
    for message in messages.as_array().expect("messages") {
        match &message["content"] {
            Value::String(text) => said.push(text.clone()),
            Value::Array(parts) => {
                for part in parts {
                    let kind = part["type"].as_str().unwrap_or_default();
                    match kind {
                        "text" => said.push(part["text"].as_str().unwrap_or("").to_owned()),
                        // some say the URL or the data alone
                        "image_url" | "input_audio" => {
                            let inner = [&part[kind]["url"], &part[kind]["data"], &part[kind]];
                            said.extend(
                                inner
                                    .iter()
                                    .find_map(|text| text.as_str())
                                    .map(str::to_owned),
                            );
                        }
                        _ => {
                            // in whatever order its members stand
                            let mut value = part[kind].clone();
                            value.sort_all_objects();
                            said.push(value.to_string());
                        }
                    }
                }
            }
            _ => {}
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            said.push(format!("{}{}", function["name"], function["arguments"]));
        }
    }
    said.retain(|text| !text.is_empty());
    said
}

#[test]
fn every_request_is_understood_and_said_again() {
    let mut count = 0;
    for case in &cases() {
        let Some(body) = &case.request else { continue };
        let name = &case.name;
        let given: Value = serde_json::from_slice(body).expect("JSON");
        let conversation = match translate::read_request(CHAT, body) {
            Ok(conversation) => conversation,
            // the provider did not take it either
            Err(error) if !case.is_answered && error.status() == 400 => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        let to = to(case.provider, &case.model);
        let written = translate::write_request(CHAT, CHAT, &to, &conversation, true)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let sent: Value = serde_json::from_slice(&written.body).expect("JSON");
        let expected = said(&given["messages"]);
        let sent_said = said(&sent["messages"]);
        let missing: Vec<&String> = expected
            .iter()
            .filter(|text| !sent_said.contains(text))
            .collect();
        assert!(
            missing.is_empty(),
            "{name}: {missing:?} is not in {sent_said:?}"
        );
        for member in ["temperature", "top_p", "tool_choice", "stream"] {
            let (asked, said) = (&given[member], &sent[member]);
            // a word of Mistral's that others call required, and defaults that need no saying
            let is_left = asked.is_null() || asked == "any" || *asked == false || *asked == 1.0;
            let is_told = written.dropped.iter().any(|dropped| dropped == member);
            assert!(asked == said || is_left || is_told, "{name}: {member}");
        }
        let tools = |body: &Value, name: &str| body[name].as_array().map_or(0, Vec::len);
        let asked = tools(&given, "tools") + tools(&given, "functions");
        assert_eq!(tools(&sent, "tools"), asked, "{name}");
        count += 1;
    }
    eprintln!("{count} requests");
}

/// What a client makes of choices: text, thoughts, calls, the reason of the end.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    text: String,
    thoughts: String,
    refusal: String,
    calls: Vec<(String, String, String)>,
    /// The streamed numbers of the calls.
    numbers: Vec<u64>,
    finish: String,
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Adds what a message or a delta says.
fn see(seen: &mut Seen, message: &Value, is_delta: bool) {
    match &message["content"] {
        Value::Array(parts) => {
            for part in parts {
                seen.text.push_str(word(&part["text"]));
                for chunk in part["thinking"].as_array().into_iter().flatten() {
                    seen.thoughts.push_str(word(&chunk["text"]));
                }
            }
        }
        content => seen.text.push_str(word(content)),
    }
    let thought = match word(&message["reasoning_content"]) {
        "" => word(&message["reasoning"]),
        thought => thought,
    };
    seen.thoughts.push_str(thought);
    seen.refusal.push_str(word(&message["refusal"]));
    let legacy = message["function_call"]
        .as_object()
        .map(|call| serde_json::json!({"index": 0, "id": "legacy", "function": call}));
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    for (place, call) in calls.chain(legacy.as_ref()).enumerate() {
        let number = match is_delta {
            true => call["index"].as_u64().unwrap_or(place as u64),
            false => place as u64,
        };
        let known = seen.numbers.iter().position(|known| *known == number);
        let at = known.unwrap_or(seen.calls.len());
        if known.is_none() {
            seen.numbers.push(number);
            seen.calls.push(Default::default());
        }
        let (id, name, arguments) = &mut seen.calls[at];
        if id.is_empty() {
            word(&call["id"]).clone_into(id);
        }
        if name.is_empty() {
            word(&call["function"]["name"]).clone_into(name);
        }
        arguments.push_str(word(&call["function"]["arguments"]));
    }
}

/// The ids that the gateway made or put seals into are the provider's again.
fn assert_same(name: &str, mut given: Seen, mut got: Seen) {
    assert_eq!(given.calls.len(), got.calls.len(), "{name}");
    for (given, got) in given.calls.iter_mut().zip(&mut got.calls) {
        if let Some((id, _)) = got.0.split_once("__tollgate__") {
            got.0 = id.to_owned();
        }
        if given.0.is_empty() || given.0 == "legacy" {
            assert!(!got.0.is_empty(), "{name}");
            given.0.clone_from(&got.0);
        }
        if given.2.trim().is_empty() {
            given.2 = "{}".to_owned();
        }
    }
    given.numbers.clear();
    got.numbers.clear();
    given.finish = match given.finish.as_str() {
        "eos" => "stop".to_owned(),
        "function_call" => "tool_calls".to_owned(),
        _ if !given.calls.is_empty() && given.finish == "stop" => "tool_calls".to_owned(),
        other => other.to_owned(),
    };
    assert_eq!(given, got, "{name}");
}

fn totals(usage: &Value) -> Option<(u64, u64)> {
    Some((
        usage["prompt_tokens"].as_u64()?,
        usage["completion_tokens"].as_u64()?,
    ))
}

#[test]
fn every_answer_says_the_same_again() {
    let mut count = 0;
    for case in &cases() {
        let Some(body) = &case.response else { continue };
        let name = &case.name;
        let given: Value = serde_json::from_slice(body).expect("JSON");
        let (out, observed) = translate::answer(CHAT, case.rule, CHAT, body, &shown())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let got: Value = serde_json::from_slice(&out).expect("JSON");
        let choices = given["choices"].as_array().expect("choices");
        for (index, choice) in choices.iter().enumerate() {
            let see_choice = |choice: &Value| {
                let mut seen = Seen::default();
                see(&mut seen, &choice["message"], false);
                word(&choice["finish_reason"]).clone_into(&mut seen.finish);
                seen
            };
            assert_same(name, see_choice(choice), see_choice(&got["choices"][index]));
        }
        let (_, passed) = observe(CHAT, case.rule, Bytes::from(body.clone()), "our-model");
        assert_eq!(observed.usage, passed.usage, "{name}");
        assert_eq!(observed.model, passed.model, "{name}");
        assert_eq!(observed.service_tier, passed.service_tier, "{name}");
        if let Some(usage) = observed.usage {
            let expected = Some((usage.prompt_tokens(), usage.completion_tokens()));
            assert_eq!(totals(&got["usage"]), expected, "{name}");
        }
        count += 1;
    }
    eprintln!("{count} answers");
}

#[test]
fn every_stream_says_the_same_again() {
    let mut count = 0;
    for case in &cases() {
        let Some(stream) = &case.stream else { continue };
        let name = &case.name;
        let (out, observed) = streamed(case.rule, stream, stream.len());
        for size in [1, 13, 1000] {
            assert_eq!(
                streamed(case.rule, stream, size).0,
                out,
                "{name} in pieces of {size}"
            );
        }
        let fold = |stream: &[u8]| {
            let mut seen = Seen::default();
            for chunk in payloads(stream) {
                for choice in chunk["choices"].as_array().into_iter().flatten() {
                    if choice["index"] == 0 {
                        see(&mut seen, &choice["delta"], true);
                        if choice["finish_reason"].is_string() {
                            word(&choice["finish_reason"]).clone_into(&mut seen.finish);
                        }
                    }
                }
            }
            seen
        };
        if case.stream_end == "complete" {
            assert!(!observed.stream_error, "{name}");
            assert_same(name, fold(stream), fold(&out));
        } else {
            assert!(observed.stream_error, "{name}");
            let last = payloads(&out).pop().expect("a chunk");
            assert!(last["error"]["message"].is_string(), "{name}");
        }
        let mut observer = StreamObserver::new(CHAT, case.rule, "our-model", false);
        observer.feed(Bytes::from(stream.clone()));
        let (_, passed) = observer.finish();
        assert_eq!(observed.usage, passed.usage, "{name}");
        assert_eq!(observed.service_tier, passed.service_tier, "{name}");
        assert_eq!(observed.id, passed.id, "{name}");
        if let Some(usage) = observed.usage {
            let told = payloads(&out)
                .iter()
                .rev()
                .find_map(|chunk| totals(&chunk["usage"]));
            let expected = (usage.prompt_tokens(), usage.completion_tokens());
            if case.stream_end == "complete" {
                assert_eq!(told, Some(expected), "{name}");
            }
        }
        count += 1;
    }
    eprintln!("{count} streams");
}
