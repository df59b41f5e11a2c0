//! Writing a client's stream, as Anthropic's SDKs and Claude Code read it.
//!
//! A block begins with its first content, so that none is empty; numbers of blocks are given in the
//! order in which they begin.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use super::block::Block;
use super::{LONE_SEAL, NEXT_SEAL, PREVIOUS_SEAL, answer, citation};
use crate::conversation::{Content, Delta, Event, Opening, Part, Seal, Start, Stop, ToolKind};
use crate::format::{Shown, WriteStream};
use crate::provider::UpstreamError;
use crate::usage::{Usage, anthropic as usage};

#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    has_started: bool,
    /// Parts that are open.
    open: Vec<Open>,
    next_index: u32,
    usage: Usage,
    stop: Option<Stop>,
    ends_with_call: bool,
}

#[derive(Debug)]
struct Open {
    part: u32,
    kind: Kind,
    /// The number of its block, once it has begun.
    index: Option<u32>,
    /// Seen late: told in a block of its own behind this one.
    seal: Option<Seal>,
    is_signed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Call,
    /// A call with free text, which stands in one string of an object.
    CustomCall,
    Whole,
}

impl Writer {
    pub fn new(shown: Shown) -> Writer {
        Writer {
            shown,
            has_started: false,
            open: Vec::new(),
            next_index: 0,
            usage: Usage::default(),
            stop: None,
            ends_with_call: false,
        }
    }
}

impl WriteStream for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start(start) => self.start(&start, out),
            // this format has one answer
            Event::Open { choice, .. }
            | Event::Delta { choice, .. }
            | Event::Close { choice, .. }
            | Event::Finish { choice, .. }
                if choice > 0 => {}
            Event::Open { part, opening, .. } => self.open(part, opening, out),
            Event::Delta { part, delta, .. } => self.delta(part, delta, out),
            Event::Close { part, .. } => self.close(part, out),
            Event::Finish { stop, .. } => self.stop = Some(stop),
            Event::Usage(usage) => self.usage = usage,
            Event::Logprobs { .. } | Event::ServiceTier(_) => {}
            Event::Failed(error) => fail(&error, out),
            Event::Done => self.done(out),
        }
    }
}

/// Writes an event whose data is `data`.
fn write(name: &str, data: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    put(data, out);
    out.extend_from_slice(b"\n\n");
}

fn put(data: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, data).expect("plain data is always JSON, and a vector takes it");
}

/// Writes a delta of one text, which is nearly all of a stream.
fn write_delta(index: u32, kind: &str, member: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
    );
    put(&index, out);
    out.extend_from_slice(b",\"delta\":{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"");
    out.extend_from_slice(member.as_bytes());
    out.extend_from_slice(b"\":");
    put(&text, out);
    out.extend_from_slice(b"}}\n\n");
}

/// Writes a piece of the JSON text of a call's arguments.
fn write_arguments(index: u32, text: &str, out: &mut Vec<u8>) {
    write_delta(index, "input_json_delta", "partial_json", text, out);
}

#[derive(Serialize)]
struct BlockStart<'a, T> {
    r#type: &'static str,
    index: u32,
    content_block: &'a T,
}

fn write_start(index: u32, content_block: &impl Serialize, out: &mut Vec<u8>) {
    let event = BlockStart {
        r#type: "content_block_start",
        index,
        content_block,
    };
    write("content_block_start", &event, out);
}

fn write_stop(index: u32, out: &mut Vec<u8>) {
    let event = json!({"type": "content_block_stop", "index": index});
    write("content_block_stop", &event, out);
}

impl Writer {
    fn start(&mut self, start: &Start, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        self.usage = start.usage.unwrap_or_default();
        let event = json!({
            "type": "message_start",
            "message": {
                "id": answer::message_id(start.id.as_deref(), &self.shown.id),
                "type": "message",
                "role": "assistant",
                "model": self.shown.model,
                "content": [],
                "stop_reason": null,
                "stop_sequence": null,
                "usage": usage::Written::of(&self.usage, None),
            },
        });
        write("message_start", &event, out);
    }

    fn take_index(&mut self) -> u32 {
        let index = self.next_index;
        self.next_index += 1;
        index
    }

    fn open(&mut self, part: u32, opening: Opening, out: &mut Vec<u8>) {
        self.ensure_start(out);
        let mut open = Open {
            part,
            kind: Kind::Whole,
            index: None,
            seal: None,
            is_signed: false,
        };
        match opening {
            // of sound its words are said, as this format has no sound
            Opening::Text | Opening::Refusal | Opening::Sound { .. } => open.kind = Kind::Text,
            Opening::Reasoning => open.kind = Kind::Reasoning,
            Opening::ToolCall {
                id,
                name,
                kind,
                seal,
            } => {
                self.ends_with_call = true;
                if let Some(seal) = seal {
                    self.seal_block(NEXT_SEAL, &seal, out);
                }
                open.kind = match kind {
                    ToolKind::Function => Kind::Call,
                    ToolKind::Custom => Kind::CustomCall,
                };
                let index = self.take_index();
                open.index = Some(index);
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                write_start(index, &block, out);
                if kind == ToolKind::Custom {
                    write_arguments(index, "{\"input\":\"", out);
                }
            }
            Opening::Whole(part) => self.whole(&part, out),
        }
        self.open.push(open);
    }

    fn ensure_start(&mut self, out: &mut Vec<u8>) {
        if !self.has_started {
            self.start(&Start::default(), out);
        }
    }

    /// The block that holds a seal of its neighbour.
    fn seal_block(&mut self, place: &str, seal: &Seal, out: &mut Vec<u8>) {
        let index = self.take_index();
        let data = answer::sealed(place, seal);
        write_start(
            index,
            &json!({"type": "redacted_thinking", "data": data}),
            out,
        );
        write_stop(index, out);
    }

    fn whole(&mut self, part: &Part, out: &mut Vec<u8>) {
        self.ends_with_call = matches!(part.content, Content::ToolCall { .. });
        for block in answer::write_part(part).into_iter().flatten() {
            let index = self.take_index();
            whole_block(index, &block, out);
            write_stop(index, out);
        }
    }

    /// The place of the open part, and the number of its block, which begins here if it has not.
    fn begun(&mut self, part: u32, out: &mut Vec<u8>) -> Option<(usize, u32)> {
        let at = self.open.iter().position(|open| open.part == part)?;
        if let Some(index) = self.open[at].index {
            return Some((at, index));
        }
        let block = match self.open[at].kind {
            Kind::Text => {
                self.ends_with_call = false;
                json!({"type": "text", "text": ""})
            }
            Kind::Reasoning => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Call | Kind::CustomCall | Kind::Whole => return None,
        };
        let index = self.take_index();
        self.open[at].index = Some(index);
        write_start(index, &block, out);
        Some((at, index))
    }

    fn delta(&mut self, part: u32, delta: Delta, out: &mut Vec<u8>) {
        if let Delta::Text(text) | Delta::Arguments(text) = &delta
            && text.is_empty()
        {
            return;
        }
        if matches!(delta, Delta::Sound(_)) {
            return;
        }
        if let Delta::Seal(seal) = delta {
            return self.seal(part, seal, out);
        }
        let Some((at, index)) = self.begun(part, out) else {
            return;
        };
        match (self.open[at].kind, delta) {
            (Kind::Text, Delta::Text(text)) => {
                write_delta(index, "text_delta", "text", &text, out);
            }
            (Kind::Reasoning, Delta::Text(text)) => {
                write_delta(index, "thinking_delta", "thinking", &text, out);
            }
            (Kind::Call, Delta::Arguments(text)) => write_arguments(index, &text, out),
            (Kind::CustomCall, Delta::Arguments(text)) => {
                let quoted = Value::from(text).to_string();
                write_arguments(index, &quoted[1..quoted.len() - 1], out);
            }
            (Kind::Text, Delta::Citation(citation)) => {
                if let Some(citation) = citation::write(&citation) {
                    let event = json!({
                        "type": "content_block_delta",
                        "index": index,
                        "delta": {"type": "citations_delta", "citation": citation},
                    });
                    write("content_block_delta", &event, out);
                }
            }
            _ => {}
        }
    }

    /// A thought has a place for its seal; that of a text or call is told behind it.
    fn seal(&mut self, part: u32, seal: Seal, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.part == part) else {
            return;
        };
        if self.open[at].kind != Kind::Reasoning {
            self.open[at].seal = Some(seal);
            return;
        }
        if let Some((at, index)) = self.begun(part, out) {
            self.open[at].is_signed = true;
            let text = answer::signature(Some(&seal));
            write_delta(index, "signature_delta", "signature", &text, out);
        }
    }

    fn close(&mut self, part: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.part == part) else {
            return;
        };
        let open = self.open.remove(at);
        if let Some(index) = open.index {
            if open.kind == Kind::Reasoning && !open.is_signed {
                let text = answer::signature(None);
                write_delta(index, "signature_delta", "signature", &text, out);
            }
            if open.kind == Kind::CustomCall {
                write_arguments(index, "\"}", out);
            }
            write_stop(index, out);
        }
        if let Some(seal) = open.seal {
            let place = match open.index {
                Some(_) => PREVIOUS_SEAL,
                None => LONE_SEAL,
            };
            self.seal_block(place, &seal, out);
        }
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        self.ensure_start(out);
        let (reason, sequence) = super::write_stop(self.stop.as_ref(), self.ends_with_call);
        let event = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage::Written::of_delta(&self.usage),
        });
        write("message_delta", &event, out);
        write("message_stop", &json!({"type": "message_stop"}), out);
    }
}

/// Clients put text, thoughts and arguments together from deltas alone; other blocks come whole.
fn whole_block(index: u32, block: &Block<'_>, out: &mut Vec<u8>) {
    match block {
        Block::Text { text, .. } => {
            write_start(index, &json!({"type": "text", "text": ""}), out);
            write_delta(index, "text_delta", "text", text, out);
        }
        Block::Thinking {
            thinking,
            signature,
        } => {
            let empty = json!({"type": "thinking", "thinking": "", "signature": ""});
            write_start(index, &empty, out);
            write_delta(index, "thinking_delta", "thinking", thinking, out);
            write_delta(index, "signature_delta", "signature", signature, out);
        }
        Block::ToolUse {
            id, name, input, ..
        } => {
            let empty = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
            write_start(index, &empty, out);
            let input = json!(input).to_string();
            write_delta(index, "input_json_delta", "partial_json", &input, out);
        }
        Block::Native(value) if value.get("input").is_some_and(Value::is_object) => {
            let mut begun = Value::clone(value);
            let input = begun["input"].take().to_string();
            begun["input"] = json!({});
            write_start(index, &begun, out);
            write_delta(index, "input_json_delta", "partial_json", &input, out);
        }
        other => write_start(index, other, out),
    }
}

fn fail(error: &UpstreamError, out: &mut Vec<u8>) {
    let kind = match error.status {
        400 | 422 => "invalid_request_error",
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    };
    let event = json!({
        "type": "error",
        "error": {"type": kind, "message": error.message},
    });
    write("error", &event, out);
}
