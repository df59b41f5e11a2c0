//! Writing a stream for Google's clients: server-sent events, or one JSON array.
//!
//! Text leaves as it comes. Calls wait until their arguments are whole, as clients know no pieces of
//! them. Every chunk has a content that is not empty: chats of Google's clients forget a turn
//! otherwise. The last chunk brings what ends the answer: reasons, citations, usage.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer_parts::finish_reason;
use super::grounding::{self, Cited};
use super::write_answer::{function_call, logprobs_result, pad, part_value, signature, tier};
use crate::conversation::{Citation, Delta, Event, Opening, Seal, TokenLogprob};
use crate::format::{Shown, WriteStream};
use crate::provider::UpstreamError;
use crate::usage::{self, Usage};

/// More choices than any provider gives; those beyond share the last place.
const MAX_CHOICES: usize = 128;

#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    id: Option<String>,
    usage: Option<Usage>,
    service_tier: Option<String>,
    choices: Vec<State>,
    /// An array has been opened.
    has_begun: bool,
}

#[derive(Debug, Default)]
struct State {
    parts: Vec<OpenPart>,
    finish_reason: Option<String>,
    citations: Vec<Citation>,
    logprobs: Vec<TokenLogprob>,
}

/// A part that is not closed yet.
#[derive(Debug)]
struct OpenPart {
    number: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Reasoning,
    Sound {
        media_type: String,
    },
    Call {
        id: String,
        name: String,
        arguments: String,
        seal: Option<Seal>,
    },
}

/// A chunk of text, the one thing that must be written fast.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TextChunk<'a> {
    candidates: [TextCandidate<'a>; 1],
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
struct TextCandidate<'a> {
    content: TextContent<'a>,
    index: u32,
}

#[derive(Serialize)]
struct TextContent<'a> {
    parts: [TextPart<'a>; 1],
    role: &'static str,
}

#[derive(Serialize)]
struct TextPart<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought: bool,
}

impl WriteStream for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => {
                self.id = start.id;
                self.usage = start.usage;
            }
            Event::Open {
                choice,
                part,
                opening,
            } => self.open(choice, part, opening, out),
            Event::Delta {
                choice,
                part,
                delta,
            } => self.delta(choice, part, delta, out),
            Event::Close { choice, part } => self.close(choice, part, out),
            Event::Logprobs { choice, logprobs } => self.state(choice).logprobs.extend(logprobs),
            Event::Finish { choice, stop } => {
                self.state(choice).finish_reason = Some(finish_reason(&stop).to_owned());
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::ServiceTier(tier) => self.service_tier = Some(tier),
            Event::Failed(error) => self.failed(&error, out),
            Event::Done => self.done(out),
        }
    }
}

impl Writer {
    pub fn new(shown: Shown) -> Writer {
        Writer {
            shown,
            id: None,
            usage: None,
            service_tier: None,
            choices: Vec::new(),
            has_begun: false,
        }
    }

    fn state(&mut self, choice: u32) -> &mut State {
        let index = (choice as usize).min(MAX_CHOICES - 1);
        while self.choices.len() <= index {
            self.choices.push(State::default());
        }
        &mut self.choices[index]
    }

    fn open(&mut self, choice: u32, number: u32, opening: Opening, out: &mut Vec<u8>) {
        let kind = match opening {
            Opening::Text | Opening::Refusal => Kind::Text,
            Opening::Reasoning => Kind::Reasoning,
            Opening::Sound { media_type, .. } => Kind::Sound { media_type },
            Opening::ToolCall { id, name, seal, .. } => Kind::Call {
                id,
                name,
                arguments: String::new(),
                seal,
            },
            Opening::Whole(part) => {
                if let Some(value) = part_value(&part) {
                    self.part(choice, value, out);
                }
                return;
            }
        };
        self.state(choice).parts.push(OpenPart { number, kind });
    }

    fn delta(&mut self, choice: u32, number: u32, delta: Delta, out: &mut Vec<u8>) {
        let state = self.state(choice);
        let Some(open) = state.parts.iter_mut().find(|open| open.number == number) else {
            return;
        };
        let is_reasoning = matches!(open.kind, Kind::Reasoning);
        match delta {
            // what is said in sound has no place beside it
            Delta::Text(text) if text.is_empty() || matches!(open.kind, Kind::Sound { .. }) => {}
            Delta::Text(text) => self.text(choice, &text, is_reasoning, out),
            Delta::Sound(data) => {
                if let Kind::Sound { media_type } = &open.kind {
                    let value = json!({"inlineData": {"mimeType": media_type, "data": data}});
                    self.part(choice, value, out);
                }
            }
            Delta::Arguments(piece) => {
                if let Kind::Call { arguments, .. } = &mut open.kind {
                    arguments.push_str(&piece);
                }
            }
            Delta::Citation(citation) => state.citations.push(*citation),
            Delta::Seal(seal) => match &mut open.kind {
                Kind::Call { seal: known, .. } => *known = Some(seal),
                Kind::Text => {
                    let value = json!({"text": "", "thoughtSignature": signature(&seal, false)});
                    self.part(choice, value, out);
                }
                Kind::Reasoning => {
                    let signature = signature(&seal, false);
                    let value = json!({
                        "text": pad(&seal), "thought": true, "thoughtSignature": signature,
                    });
                    self.part(choice, value, out);
                }
                Kind::Sound { .. } => {}
            },
        }
    }

    fn close(&mut self, choice: u32, number: u32, out: &mut Vec<u8>) {
        let parts = &mut self.state(choice).parts;
        let Some(at) = parts.iter().position(|open| open.number == number) else {
            return;
        };
        if let Kind::Call {
            id,
            name,
            arguments,
            seal,
        } = parts.remove(at).kind
        {
            let mut value = json!({"functionCall": function_call(&id, &name, &arguments)});
            if let Some(seal) = seal {
                value["thoughtSignature"] = signature(&seal, false).into();
            }
            self.part(choice, value, out);
        }
    }

    fn text(&mut self, index: u32, text: &str, thought: bool, out: &mut Vec<u8>) {
        self.begin(out);
        let chunk = TextChunk {
            candidates: [TextCandidate {
                content: TextContent {
                    parts: [TextPart { text, thought }],
                    role: "model",
                },
                index,
            }],
            model_version: &self.shown.model,
            response_id: self.id.as_deref().unwrap_or(&self.shown.id),
        };
        serde_json::to_writer(&mut *out, &chunk).expect("strings and numbers are always JSON");
        self.end(out);
    }

    fn part(&mut self, choice: u32, part: Value, out: &mut Vec<u8>) {
        let content = json!({"parts": [part], "role": "model"});
        let candidate = json!({"content": content, "index": choice});
        self.chunk(vec![candidate], Map::new(), out);
    }

    fn chunk(&mut self, candidates: Vec<Value>, more: Map<String, Value>, out: &mut Vec<u8>) {
        let mut chunk = more;
        let id = self.id.as_deref().unwrap_or(&self.shown.id);
        chunk.insert("candidates".to_owned(), candidates.into());
        chunk.insert("modelVersion".to_owned(), self.shown.model.as_str().into());
        chunk.insert("responseId".to_owned(), id.into());
        self.write(&Value::Object(chunk), out);
    }

    fn write(&mut self, value: &Value, out: &mut Vec<u8>) {
        self.begin(out);
        serde_json::to_writer(&mut *out, value).expect("a value is always JSON");
        self.end(out);
    }

    /// What stands before a chunk.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let framing: &[u8] = match (self.shown.as_array, self.has_begun) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\r\n",
        };
        self.has_begun = true;
        out.extend_from_slice(framing);
    }

    /// What stands after a chunk.
    fn end(&self, out: &mut Vec<u8>) {
        if !self.shown.as_array {
            out.extend_from_slice(b"\r\n\r\n");
        }
    }

    /// An error amid the stream: both of Google's clients look for this object.
    fn failed(&mut self, error: &UpstreamError, out: &mut Vec<u8>) {
        let value = json!({"error": {
            "code": error.status,
            "message": error.message,
            "status": status_word(error.status),
        }});
        self.write(&value, out);
        self.end_array(out);
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() {
            self.choices.push(State::default());
        }
        let candidates = std::mem::take(&mut self.choices);
        let candidates = candidates
            .into_iter()
            .enumerate()
            .map(|(index, state)| last_candidate(index, &state))
            .collect();
        let mut more = Map::new();
        if let Some(usage) = &self.usage {
            let metadata = usage::gemini::write(usage, tier(self.service_tier.as_deref()));
            more.insert("usageMetadata".to_owned(), metadata);
        }
        self.chunk(candidates, more, out);
        self.end_array(out);
    }

    fn end_array(&self, out: &mut Vec<u8>) {
        if self.shown.as_array {
            out.push(b']');
        }
    }
}

fn last_candidate(index: usize, state: &State) -> Value {
    let mut candidate = Map::new();
    let content = json!({"parts": [{"text": ""}], "role": "model"});
    candidate.insert("content".to_owned(), content);
    let reason = state.finish_reason.as_deref().unwrap_or("STOP");
    candidate.insert("finishReason".to_owned(), reason.into());
    candidate.insert("index".to_owned(), index.into());
    let cited: Vec<Cited<'_>> = state
        .citations
        .iter()
        .map(|citation| Cited {
            citation,
            part: 0,
            bytes: None,
        })
        .collect();
    if let Some(metadata) = grounding::write(&cited) {
        candidate.insert("groundingMetadata".to_owned(), metadata);
    }
    if !state.logprobs.is_empty() {
        candidate.insert(
            "logprobsResult".to_owned(),
            logprobs_result(&state.logprobs),
        );
    }
    Value::Object(candidate)
}

/// Google's word for an HTTP status (google.rpc.Code).
pub(crate) fn status_word(status: u16) -> &'static str {
    match status {
        400 | 413 | 422 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        402 | 403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=499 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    }
}
