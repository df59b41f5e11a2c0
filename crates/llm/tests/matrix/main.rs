//! Every recorded chat, translated into every format that a client may speak: answers say the same,
//! and requests reach every provider whole or are refused by the name of a member.
//!
//! The recordings are no part of the repository. Where they are absent these tests say so and pass.
//! `tests/sdk/python/test_replay.py` asks the official SDKs of what they make of the same answers.

#![expect(clippy::unwrap_used, reason = "a test fails where it finds nothing")]

mod cases;
mod gist;

use std::collections::BTreeMap;

use base::Code;
use cases::cases;
use gist::Gist;
use llm::translate::{self, StreamTranslator};
use llm::{Format, Shown, To, UsageRule, provider};
use serde_json::Value;

/// What clients speak.
const CLIENTS: [Format; 4] = [
    Format::OpenAiChat,
    Format::OpenAiResponses,
    Format::Anthropic,
    Format::Gemini,
];

fn shown() -> Shown {
    Shown {
        id: "call-1".to_owned(),
        model: "public".to_owned(),
        created: 1_700_000_000,
        include_usage: true,
        as_array: false,
        request: None,
    }
}

fn stream(from: Format, rule: UsageRule, to: Format, bytes: &[u8]) -> Vec<u8> {
    let mut translator = StreamTranslator::new(from, rule, to, shown()).unwrap();
    let mut out = Vec::new();
    for chunk in bytes.chunks(700) {
        out.extend_from_slice(&translator.feed(chunk));
    }
    let (rest, observed) = translator.finish();
    assert!(observed.finished || observed.stream_error);
    out.extend_from_slice(&rest);
    out
}

fn report(what: &str, problems: &[String], total: usize) {
    assert!(
        problems.is_empty(),
        "{} of {total} {what}:\n{}",
        problems.len(),
        problems.join("\n")
    );
}

#[test]
fn whole_answers_say_the_same_in_every_format() {
    let mut problems = Vec::new();
    let mut total = 0;
    for case in cases().iter().filter(|case| case.status == 200) {
        let Some(body) = case.file("response.json") else {
            continue;
        };
        let Ok(answer) = translate::read_answer(case.format, case.rule, &body) else {
            // a provider's answer that is none: the client gets a 502
            assert!(
                case.name.contains("error") || case.name.contains("malformed"),
                "{}",
                case.name
            );
            continue;
        };
        let expected = Gist::of_answer(&answer);
        for to in CLIENTS {
            total += 1;
            let written = translate::answer(case.format, case.rule, to, &body, &shown());
            let (written, _) = written.unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let read = translate::read_answer(to, UsageRule::OpenAi, &written);
            match read.map(|answer| Gist::of_answer(&answer)) {
                Ok(got) => problems.extend(
                    expected
                        .differs(&got, to)
                        .map(|difference| format!("{} as {}: {difference}", case.name, to.name())),
                ),
                Err(error) => problems.push(format!("{} as {}: {error}", case.name, to.name())),
            }
        }
    }
    report("answers differ", &problems, total);
}

#[test]
fn streams_say_the_same_in_every_format() {
    let mut problems = Vec::new();
    let mut total = 0;
    for case in cases().iter().filter(|case| case.status == 200) {
        let Some(bytes) = case.stream() else {
            continue;
        };
        // both are read where they are easiest to read
        let expected =
            Gist::of_chat_stream(&stream(case.format, case.rule, Format::OpenAiChat, &bytes));
        for to in CLIENTS {
            total += 1;
            let written = stream(case.format, case.rule, to, &bytes);
            let again = match to {
                Format::OpenAiChat => written,
                to => stream(to, UsageRule::OpenAi, Format::OpenAiChat, &written),
            };
            let got = Gist::of_chat_stream(&again);
            problems.extend(
                expected
                    .differs(&got, to)
                    .map(|difference| format!("{} as {}: {difference}", case.name, to.name())),
            );
        }
    }
    report("streams differ", &problems, total);
}

/// The place and the model that stand for a format.
fn place(format: Format) -> To<'static> {
    let (name, model) = match format {
        Format::OpenAiChat => ("together_ai", "some-model"),
        Format::OpenAiResponses => ("openai", "gpt-5"),
        Format::Anthropic => ("anthropic", "claude-sonnet-4-5"),
        Format::Gemini => ("gemini", "gemini-2.5-flash"),
        Format::Converse => ("bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        _ => ("cohere", "command-a-03-2025"),
    };
    To {
        provider: provider::find(name).unwrap(),
        model,
        max_output_tokens: Some(64_000),
    }
}

/// All words that a user, a tool or the model said, and the names of the tools.
fn words(conversation: &llm::conversation::Conversation) -> Vec<String> {
    use llm::conversation::{Content, Part, Tool};
    fn of(parts: &[Part], words: &mut Vec<String>) {
        for part in parts {
            match &part.content {
                Content::Text { text, .. } => words.push(text.clone()),
                Content::ToolCall { name, .. } => words.push(format!("call {name}")),
                Content::ToolResult { parts, .. } => of(parts, words),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    of(&conversation.system, &mut found);
    for turn in &conversation.turns {
        of(&turn.parts, &mut found);
    }
    for tool in &conversation.tools {
        if let Tool::Function { name, .. } | Tool::Custom { name, .. } = tool {
            found.push(format!("tool {name}"));
        }
    }
    found.retain(|word| !word.trim().is_empty());
    found
}

#[test]
fn requests_are_carried_to_every_provider_or_refused_by_name() {
    let mut problems = Vec::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let (mut total, mut carried) = (0, 0);
    let asked = cases();
    let asked = asked
        .iter()
        .filter(|case| CLIENTS.contains(&case.format) && case.status == 200);
    for case in asked {
        let Some(body) = case.file("request.json") else {
            continue;
        };
        let conversation = match translate::read_request(case.format, &body) {
            Ok(conversation) => conversation,
            Err(error) => {
                problems.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let mut expected = words(&conversation);
        expected.sort();
        for to in Format::CHATS.into_iter().filter(|to| *to != case.format) {
            total += 1;
            let place = place(to);
            match translate::request(case.format, to, &place, &body, false) {
                Ok(translated) => {
                    carried += 1;
                    problems.extend(
                        unlike(&expected, to, &translated.body)
                            .map(|what| format!("{} for {}: {what}", case.name, to.name())),
                    );
                }
                Err(error)
                    if error.code() == Code::InvalidRequest && error.parameter().is_some() =>
                {
                    let why = format!(
                        "{} -> {}: {}",
                        case.format.name(),
                        to.name(),
                        error.message()
                    );
                    *refused.entry(why).or_default() += 1;
                }
                Err(error) => problems.push(format!("{} for {}: {error}", case.name, to.name())),
            }
        }
    }
    for (why, times) in &refused {
        eprintln!("{times:4} refused: {why}");
    }
    eprintln!("{carried} of {total} carried");
    report("requests are wrong", &problems, total);
}

/// What a translated request lacks of what was said.
fn unlike(expected: &[String], to: Format, body: &[u8]) -> Option<String> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return Some(format!("no JSON: {error}")),
    };
    // several texts may have become one, and JSON in a text an object
    let plain = |text: &str| text.replace([' ', '"', '\\', '\n'], "");
    let text = plain(&value.to_string().replace("\\n", ""));
    let is_missing = |word: &&String| {
        let word = word.trim_start_matches("call ").trim_start_matches("tool ");
        let quoted = Value::from(word).to_string().replace("\\n", "");
        !text.contains(&plain(&quoted))
    };
    let missing = expected.iter().find(is_missing)?;
    Some(format!(
        "{missing:?} is not in the request to {}",
        to.name()
    ))
}
