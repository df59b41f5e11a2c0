//! Whole answers: reading a provider's, writing a client's.

use std::borrow::Cow;

use base::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::block::{Block, Input};
use super::{ANSWER_TOOL, LONE_SEAL, NEXT_SEAL, citation};
use crate::conversation::{Answer, Choice, Content, Part, Seal, Stop, ToolKind};
use crate::format::{Format, Shown};
use crate::usage::anthropic as usage;

#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow)]
    content: Vec<&'a RawValue>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
}

/// A block that was read, with what the rest of the answer wants to know of it.
pub(super) struct ReadBlock {
    pub part: Part,
    /// It was the call of [`ANSWER_TOOL`].
    pub is_answer: bool,
}

#[derive(Deserialize)]
struct WireBlock<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    citations: Option<Vec<Value>>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

/// # Errors
/// `UpstreamUnavailable` (502) for what is no answer.
pub(super) fn read(body: &[u8]) -> Result<Answer> {
    let wire: WireAnswer<'_> = serde_json::from_slice(body).map_err(|fault| {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider sent what is no Anthropic message",
        )
        .caused_by(fault)
    })?;
    let mut parts = Vec::with_capacity(wire.content.len());
    let mut is_answered = false;
    for block in wire.content {
        if let Some(read) = read_block(block) {
            is_answered |= read.is_answer;
            parts.push(read.part);
        }
    }
    let calls = parts
        .iter()
        .any(|part| matches!(part.content, Content::ToolCall { .. }));
    let stop = wire
        .stop_reason
        .map(|reason| super::read_stop(&reason, wire.stop_sequence))
        .map(|stop| match stop {
            Stop::ToolCalls if is_answered && !calls => Stop::End,
            stop => stop,
        });
    let reading = wire
        .usage
        .and_then(|usage| usage::read(None, usage.get().as_bytes()));
    Ok(Answer {
        id: wire.id,
        model: wire.model,
        created: None,
        choices: vec![Choice {
            parts,
            stop,
            logprobs: Vec::new(),
        }],
        usage: reading.as_ref().map(|reading| reading.usage),
        service_tier: reading.and_then(|reading| reading.service_tier),
    })
}

/// Reads one block; `None` for what is no block at all.
pub(super) fn read_block(raw: &RawValue) -> Option<ReadBlock> {
    let native = |raw: &RawValue| -> Option<Part> {
        let value: Value = serde_json::from_str(raw.get()).ok()?;
        value.is_object().then(|| {
            Part::new(Content::Native {
                format: Format::Anthropic,
                value,
            })
        })
    };
    let mut is_answer = false;
    let part = match serde_json::from_str::<WireBlock<'_>>(raw.get()) {
        Ok(block) => match &*block.r#type {
            "text" => read_text(block),
            "thinking" => {
                let mut part = Part::new(Content::Reasoning {
                    text: block.thinking.unwrap_or_default(),
                    redacted: false,
                });
                part.seal = seal(block.signature);
                part
            }
            "redacted_thinking" => {
                let mut part = Part::new(Content::Reasoning {
                    text: String::new(),
                    redacted: true,
                });
                part.seal = seal(block.data);
                part
            }
            "tool_use" => {
                let arguments = block.input.map_or("{}", RawValue::get).to_owned();
                is_answer = block.name.as_deref() == Some(ANSWER_TOOL);
                match is_answer {
                    true => Part::text(arguments),
                    false => Part::new(Content::ToolCall {
                        id: block.id.unwrap_or_default(),
                        name: block.name.unwrap_or_default(),
                        arguments,
                        kind: ToolKind::Function,
                    }),
                }
            }
            _ => native(raw)?,
        },
        Err(_) => native(raw)?,
    };
    Some(ReadBlock { part, is_answer })
}

pub(super) fn seal(data: Option<String>) -> Option<Seal> {
    data.filter(|data| !data.is_empty())
        .map(|data| Seal::new(Format::Anthropic, data))
}

/// The provider puts a cited statement into a block of its own, so all of it is the citing place.
fn read_text(block: WireBlock<'_>) -> Part {
    let text = block.text.unwrap_or_default();
    let length = text.chars().count() as u64;
    let citations = block.citations.unwrap_or_default();
    Part::new(Content::Text {
        citations: citations
            .into_iter()
            .map(|value| {
                let mut citation = citation::read(value);
                citation.span = Some((0, length));
                citation
            })
            .collect(),
        text,
    })
}

#[derive(Serialize)]
struct Message<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    usage: usage::Written,
}

pub(super) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let choice = answer.choices.first();
    let parts = choice.map_or(&[][..], |choice| &choice.parts);
    let is_empty =
        |part: &&Part| matches!(&part.content, Content::Text { text, .. } if text.is_empty());
    let ends_with_call = parts
        .iter()
        .rfind(|part| !is_empty(part))
        .is_some_and(|part| matches!(part.content, Content::ToolCall { .. }));
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let (stop_reason, stop_sequence) = super::write_stop(stop, ends_with_call);
    let message = Message {
        id: message_id(answer.id.as_deref(), &shown.id),
        r#type: "message",
        role: "assistant",
        model: &shown.model,
        content: parts.iter().flat_map(write_part).flatten().collect(),
        stop_reason,
        stop_sequence,
        usage: usage::Written::of(
            &answer.usage.unwrap_or_default(),
            answer.service_tier.as_deref(),
        ),
    };
    serde_json::to_vec(&message).expect("plain data is always JSON")
}

/// Anthropic's own id, or one made from another provider's, or from the gateway's.
pub(super) fn message_id<'a>(id: Option<&'a str>, call: &str) -> Cow<'a, str> {
    match id {
        Some(id) if id.starts_with("msg_") => Cow::Borrowed(id),
        _ => {
            let id = id.filter(|id| !id.is_empty()).unwrap_or(call);
            let kept = id.chars().filter(char::is_ascii_alphanumeric);
            Cow::Owned(format!("msg_{}", kept.collect::<String>()))
        }
    }
}

/// The blocks of a part: the seal of another provider's text or call stands before it.
pub(super) fn write_part(part: &Part) -> [Option<Block<'_>>; 2] {
    let block = match &part.content {
        Content::Reasoning { text, redacted } => {
            return [
                None,
                Some(write_reasoning(text, *redacted, part.seal.as_ref())),
            ];
        }
        Content::Text { text, citations } => {
            text_block(text, citations.iter().filter_map(citation::write).collect())
        }
        Content::Refusal(text) => text_block(text, Vec::new()),
        Content::Media(media) => media
            .transcript
            .as_deref()
            .and_then(|text| text_block(text, Vec::new())),
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => Some(Block::ToolUse {
            id: Cow::Borrowed(id),
            name,
            input: Input::of(arguments),
            cache_control: None,
        }),
        Content::Native {
            format: Format::Anthropic,
            value,
        } => Some(Block::Native(value)),
        Content::Native { .. } | Content::ToolResult { .. } => None,
    };
    let place = match block {
        Some(_) => NEXT_SEAL,
        None => LONE_SEAL,
    };
    let seal = part.seal.as_ref().map(|seal| Block::RedactedThinking {
        data: Cow::Owned(sealed(place, seal)),
    });
    [seal, block]
}

/// The data of the redacted block for the seal of its neighbour.
pub(super) fn sealed(place: &str, seal: &Seal) -> String {
    format!("{place}{}", seal.write(Format::Anthropic))
}

fn text_block(text: &str, citations: Vec<Value>) -> Option<Block<'_>> {
    // clients send empty texts back, which Anthropic refuses
    (!text.is_empty()).then_some(Block::Text {
        text: Cow::Borrowed(text),
        citations,
        cache_control: None,
    })
}

fn write_reasoning<'a>(text: &'a str, redacted: bool, seal: Option<&Seal>) -> Block<'a> {
    let written = signature(seal);
    match redacted {
        true => Block::RedactedThinking {
            data: Cow::Owned(written),
        },
        false => Block::Thinking {
            thinking: text,
            signature: Cow::Owned(written),
        },
    }
}

/// What signs a thought: of a provider that sealed nothing an empty seal, which says that it is not
/// Anthropic's.
pub(super) fn signature(seal: Option<&Seal>) -> String {
    match seal {
        Some(seal) => seal.write(Format::Anthropic),
        None => Seal::new(Format::OpenAiChat, "").write(Format::Anthropic),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::conversation::{Delta, Event, Opening};
    use crate::format::WriteStream;
    use crate::format::anthropic::{read_request, write_stream};

    fn shown() -> Shown {
        Shown {
            id: "call-1".to_owned(),
            model: "public".to_owned(),
            created: 0,
            include_usage: false,
            as_array: false,
            request: None,
        }
    }

    fn part(content: Content, format: Format, seal: &str) -> Part {
        Part {
            content,
            cache: None,
            seal: Some(Seal::new(format, seal)),
        }
    }

    fn reasoning(text: &str, redacted: bool) -> Content {
        Content::Reasoning {
            text: text.to_owned(),
            redacted,
        }
    }

    /// Parts as a client gets them, and as they are read when it sends them back.
    fn sent_back(content: &Value) -> Vec<Part> {
        let body = json!({"messages": [{"role": "assistant", "content": content}]});
        let conversation = read_request::read(body.to_string().as_bytes()).expect("a request");
        conversation.turns[0].parts.clone()
    }

    #[test]
    fn seals_of_others_come_back_as_they_were() {
        let call = Content::ToolCall {
            id: "a".to_owned(),
            name: "t".to_owned(),
            arguments: "{\"x\":1}".to_owned(),
            kind: ToolKind::Function,
        };
        let parts = vec![
            part(reasoning("mine", false), Format::Anthropic, "sig"),
            part(
                reasoning("theirs", false),
                Format::OpenAiResponses,
                "{\"id\":1}",
            ),
            part(reasoning("", true), Format::OpenAiResponses, "x"),
            Part::new(reasoning("nobody's", false)),
            Part::text("said"),
            part(call, Format::Gemini, "g+/="),
            part(Part::text("").content, Format::Gemini, "late"),
        ];
        let answer = Answer {
            choices: vec![Choice {
                parts: parts.clone(),
                ..Choice::default()
            }],
            ..Answer::default()
        };
        let message: Value = serde_json::from_slice(&write(&answer, &shown())).expect("JSON");
        assert_eq!(message["stop_reason"], "tool_use");
        assert_eq!(message["id"], "msg_call1");
        assert_eq!(sent_back(&message["content"]), parts);
    }

    #[test]
    fn seals_in_streams_come_back_as_they_were() {
        let (choice, seal) = (0, |data: &str| Seal::new(Format::Gemini, data));
        let delta = |part, delta| Event::Delta {
            choice,
            part,
            delta,
        };
        let open = |part, opening| Event::Open {
            choice,
            part,
            opening,
        };
        let events = [
            Event::Start(Default::default()),
            open(0, Opening::Text),
            delta(0, Delta::Text("hi".to_owned())),
            delta(0, Delta::Seal(seal("late"))),
            Event::Close { choice, part: 0 },
            open(1, Opening::Text),
            Event::Close { choice, part: 1 },
            open(
                2,
                Opening::ToolCall {
                    id: "a".to_owned(),
                    name: "t".to_owned(),
                    kind: ToolKind::Function,
                    seal: Some(seal("early")),
                },
            ),
            delta(2, Delta::Arguments("{}".to_owned())),
            Event::Close { choice, part: 2 },
            Event::Done,
        ];
        let mut writer = write_stream::Writer::new(shown());
        let mut out = Vec::new();
        for event in events {
            writer.event(event, &mut out);
        }
        let text = String::from_utf8(out).expect("text");
        let mut blocks = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let event: Value = serde_json::from_str(line).expect("JSON");
            if event["type"] == "content_block_start" {
                blocks.push(event["content_block"].clone());
            }
            if event["delta"]["type"] == "text_delta" {
                let last = blocks.last_mut().expect("a block");
                last["text"] = event["delta"]["text"].clone();
            }
        }
        let parts = sent_back(&Value::Array(blocks));
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].seal, Some(seal("late")));
        assert_eq!(parts[1].seal, Some(seal("early")));
    }
}
