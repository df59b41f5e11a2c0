//! Sealed thoughts and calls through a whole loop with a chat client: out in an answer or a stream,
//! back in the next request, and the same as they were.

use serde_json::{Value, json};

use super::CODEC;
use crate::conversation::{
    Answer, Choice, Content, Conversation, Delta, Event, Opening, Part, Seal, Start, Stop, ToolKind,
};
use crate::format::{Format, Shown};

fn shown() -> Shown {
    Shown {
        id: "call".to_owned(),
        model: "m".to_owned(),
        created: 1,
        include_usage: false,
        as_array: false,
        request: None,
    }
}

fn sealed(content: Content, seal: Option<(Format, &str)>) -> Part {
    Part {
        content,
        cache: None,
        seal: seal.map(|(format, data)| Seal::new(format, data)),
    }
}

fn thought(text: &str, format: Format, data: &str) -> Part {
    let content = Content::Reasoning {
        text: text.to_owned(),
        redacted: text.is_empty(),
    };
    sealed(content, Some((format, data)))
}

fn call(id: &str, seal: Option<(Format, &str)>) -> Part {
    let content = Content::ToolCall {
        id: id.to_owned(),
        name: "f".to_owned(),
        arguments: "{\"a\":1}".to_owned(),
        kind: ToolKind::Function,
    };
    sealed(content, seal)
}

/// Turns as providers make them: thinking signed, redacted and between texts, encrypted items,
/// signatures of calls and texts.
fn turns() -> Vec<Vec<Part>> {
    let signed_text = Content::Text {
        text: "So \u{e9}".to_owned(),
        citations: Vec::new(),
    };
    vec![
        vec![
            thought("Let me \"think\"\n\u{1F914}", Format::Anthropic, "ErUB+/=="),
            thought("", Format::Anthropic, "EmwKAhgB"),
            Part::text("I will look."),
            call("toolu_1", None),
            call("toolu_2", None),
        ],
        vec![
            thought("First.", Format::Anthropic, "s1"),
            Part::text("Then \u{e9}, "),
            thought("Second.", Format::Anthropic, "s2"),
            Part::text("at last."),
            call("toolu_1", None),
            thought("Third.", Format::Anthropic, "s3"),
            call("toolu_2", None),
        ],
        vec![
            thought(
                "Summary",
                Format::OpenAiResponses,
                r#"{"id":"rs_1","encrypted_content":"gAAA"}"#,
            ),
            call("call_1", None),
        ],
        vec![
            sealed(signed_text, Some((Format::Gemini, "CiQ="))),
            call("call_1", Some((Format::Gemini, "EqQB"))),
            call("call_2", None),
            call("call_3", Some((Format::Gemini, "EqQC"))),
        ],
    ]
}

/// What the client sends back, reduced to what this client keeps, with a result for each call.
fn back(message: &Value, kept: &[&str]) -> Conversation {
    let mut kept_message = json!({"role": "assistant"});
    for member in kept {
        kept_message[*member] = message[*member].clone();
    }
    let mut messages = vec![json!({"role": "user", "content": "go"}), kept_message];
    for call in message["tool_calls"].as_array().expect("calls") {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "ok"}));
    }
    let body = json!({"model": "m", "messages": messages});
    (CODEC.read_request)(body.to_string().as_bytes()).expect("a request")
}

/// Clients keep more or less of a message; all keep content and calls.
const CLIENTS: &[&[&str]] = &[
    &["content", "tool_calls"],
    &["content", "tool_calls", "reasoning_content"],
    &[
        "content",
        "tool_calls",
        "reasoning_content",
        "thinking_blocks",
    ],
];

fn assert_same(parts: &[Part], message: &Value, kept: &[&str]) {
    let conversation = back(message, kept);
    let got = &conversation.turns[1].parts;
    if !kept.contains(&"thinking_blocks") {
        assert_eq!(got, parts, "{kept:?}");
    }
    // a client that sends blocks as well has them first, but no more and no fewer of them
    let seals = |parts: &[Part]| -> Vec<String> {
        let mut seals: Vec<String> = parts
            .iter()
            .filter(|part| part.seal.is_some())
            .map(|part| format!("{part:?}"))
            .collect();
        seals.sort();
        seals
    };
    assert_eq!(seals(got), seals(parts), "{kept:?}");
    let ids = |parts: &[Part]| -> Vec<String> {
        parts
            .iter()
            .filter_map(|part| match &part.content {
                Content::ToolCall { id, .. } => Some(id.clone()),
                Content::ToolResult { call_id, .. } => Some(call_id.clone()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(ids(got), ids(parts));
    assert_eq!(ids(&conversation.turns[2].parts), ids(parts));
}

#[test]
fn seals_come_back_from_a_whole_answer() {
    for parts in turns() {
        let answer = Answer {
            choices: vec![Choice {
                parts: parts.clone(),
                stop: Some(Stop::ToolCalls),
                logprobs: Vec::new(),
            }],
            ..Answer::default()
        };
        let body = (CODEC.write_answer)(&answer, &shown());
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        for kept in CLIENTS {
            assert_same(&parts, &body["choices"][0]["message"], kept);
        }
    }
}

/// The events of a turn, with texts in two pieces.
fn events(parts: &[Part]) -> Vec<Event> {
    let mut events = vec![Event::Start(Start::default())];
    for (number, part) in (0u32..).zip(parts) {
        let mut deltas = Vec::new();
        let mut halves = |text: &str| {
            let mut middle = text.len() / 2;
            while !text.is_char_boundary(middle) {
                middle += 1;
            }
            deltas.push(Delta::Text(text[..middle].to_owned()));
            deltas.push(Delta::Text(text[middle..].to_owned()));
        };
        let opening = match &part.content {
            Content::Text { text, .. } => {
                halves(text);
                Opening::Text
            }
            Content::Reasoning {
                text,
                redacted: false,
            } => {
                halves(text);
                Opening::Reasoning
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => {
                deltas.push(Delta::Arguments(arguments.clone()));
                Opening::ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    kind: *kind,
                    seal: part.seal.clone(),
                }
            }
            _ => Opening::Whole(Box::new(part.clone())),
        };
        let is_sealed_later = matches!(opening, Opening::Text | Opening::Reasoning);
        if let (true, Some(seal)) = (is_sealed_later, &part.seal) {
            deltas.push(Delta::Seal(seal.clone()));
        }
        events.push(Event::Open {
            choice: 0,
            part: number,
            opening,
        });
        for delta in deltas {
            events.push(Event::Delta {
                choice: 0,
                part: number,
                delta,
            });
        }
        events.push(Event::Close {
            choice: 0,
            part: number,
        });
    }
    events.push(Event::Finish {
        choice: 0,
        stop: Stop::ToolCalls,
    });
    events.push(Event::Done);
    events
}

/// The message that a client puts together from a stream.
fn folded(stream: &[u8]) -> Value {
    let mut content = String::new();
    let mut reasoning = String::new();
    let mut blocks: Vec<Value> = Vec::new();
    let mut calls: Vec<Value> = Vec::new();
    for line in String::from_utf8_lossy(stream).lines() {
        let Some(Ok(chunk)) = line
            .strip_prefix("data: ")
            .map(serde_json::from_str::<Value>)
        else {
            continue;
        };
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or(""));
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or(""));
        blocks.extend(
            delta["thinking_blocks"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            if call["id"].is_string() {
                calls.push(call.clone());
            } else {
                let at = call["index"].as_u64().expect("an index") as usize;
                let known = calls[at]["function"]["arguments"].as_str().expect("text");
                let more = call["function"]["arguments"].as_str().expect("text");
                calls[at]["function"]["arguments"] = json!(format!("{known}{more}"));
            }
        }
    }
    json!({"content": content, "reasoning_content": reasoning, "thinking_blocks": blocks, "tool_calls": calls})
}

#[test]
fn seals_come_back_from_a_stream() {
    for parts in turns() {
        let mut writer = (CODEC.write_stream)(shown());
        let mut out = Vec::new();
        for event in events(&parts) {
            writer.event(event, &mut out);
        }
        let message = folded(&out);
        for kept in CLIENTS {
            assert_same(&parts, &message, kept);
        }
    }
}

/// A thought far beyond what a stream keeps leaves as it comes, and comes back from clients that know
/// blocks; in ids there is none of it.
#[test]
fn a_long_thought_is_not_held_back() {
    let text = "Let me think. ".repeat(20_000);
    let mut events = events(&[
        thought(&text, Format::Anthropic, "ErUB"),
        call("toolu_1", None),
    ]);
    let pieces = text.as_bytes().chunks(1000).map(|piece| Event::Delta {
        choice: 0,
        part: 0,
        delta: Delta::Text(String::from_utf8_lossy(piece).into_owned()),
    });
    // in place of the two halves
    events.splice(2..4, pieces);
    let mut writer = (CODEC.write_stream)(shown());
    let mut all = Vec::new();
    let mut ahead = 0;
    for event in events {
        let is_text = matches!(
            &event,
            Event::Delta {
                delta: Delta::Text(_),
                ..
            }
        );
        let mut out = Vec::new();
        writer.event(event, &mut out);
        assert!(out.len() < 40_000, "{} at once", out.len());
        ahead += usize::from(is_text && out.windows(15).any(|part| part == b"thinking_blocks"));
        all.extend(out);
    }
    assert!(ahead > 200, "{ahead}");
    let message = folded(&all);
    assert_eq!(message["reasoning_content"], text);
    assert_eq!(message["tool_calls"][0]["id"], "toolu_1");
    for (kept, comes_back) in CLIENTS.iter().zip([false, false, true]) {
        let conversation = back(&message, kept);
        let first = &conversation.turns[1].parts[0];
        let is_whole = *first == thought(&text, Format::Anthropic, "ErUB");
        assert_eq!(is_whole, comes_back, "{kept:?}");
    }
}

#[test]
fn a_chat_provider_s_own_thoughts_come_back_to_it_through_another_client() {
    let answer = json!({"choices": [{"index": 0, "message": {
        "content": null,
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm.", "signature": "s", "index": 0},
            {"type": "reasoning.encrypted", "data": "e", "index": 1},
        ],
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
    }, "finish_reason": "tool_calls"}]});
    let rule = crate::UsageRule::OpenAi;
    let read = (CODEC.read_answer)(rule, answer.to_string().as_bytes()).expect("an answer");
    let mut parts = read.choices[0].parts.clone();
    // as Anthropic's clients keep it, for example
    for part in &mut parts {
        if let Some(seal) = &mut part.seal {
            *seal = Seal::read(Format::Anthropic, &seal.write(Format::Anthropic));
        }
    }
    let conversation = Conversation {
        turns: vec![crate::conversation::Turn {
            role: crate::conversation::Role::Assistant,
            parts,
            place: 0,
        }],
        ..Conversation::default()
    };
    let to = crate::To {
        provider: crate::provider::find("openrouter").expect("a row"),
        model: "m",
        max_output_tokens: None,
    };
    let mut carry = crate::conversation::Carry::new(Format::Anthropic, "OpenRouter", false);
    let body = (CODEC.write_request)(&conversation, &to, &mut carry).expect("a request");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let given = &answer["choices"][0]["message"]["reasoning_details"];
    assert_eq!(&body["messages"][0]["reasoning_details"], given);
}
