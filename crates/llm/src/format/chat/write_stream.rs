//! A client's stream: a chunk for each event, a chunk of usage where it was asked for, `[DONE]`.

use serde_json::{Value, json};

use super::pieces::{self, CallPiece, CustomPiece, FunctionPiece, JSON, Piece};
use super::seals::{self, Item};
use super::thought::Thought;
use super::write_answer::{self, Asked};
use super::write_usage::Totals;
use crate::conversation::custom_tools::InputReader;
use crate::conversation::{
    Content, Delta, Event, MediaKind, Opening, Part, Seal, Stop, TokenLogprob, ToolKind,
};
use crate::format::{Shown, WriteStream};
use crate::usage::Usage;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    asked: Asked,
    /// What every chunk begins with, up to its choices.
    head: Vec<u8>,
    choices: Vec<Said>,
    usage: Option<Usage>,
    service_tier: Option<String>,
}

/// What was said of one choice.
#[derive(Debug, Default)]
struct Said {
    index: u32,
    parts: Vec<Open>,
    /// Bytes and characters of text.
    bytes: usize,
    characters: u64,
    calls: u32,
    has_thoughts: bool,
    has_refused: bool,
    /// What the next call's id is to carry.
    sealed: Vec<Item>,
}

/// A part that is open.
#[derive(Debug)]
struct Open {
    number: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        /// Where it begins in the choice's text.
        bytes: usize,
        characters: u64,
    },
    Refusal,
    Reasoning(Thought),
    Sound {
        /// Not told yet.
        id: Option<String>,
    },
    Call {
        index: u32,
        has_arguments: bool,
        /// Unwraps the free text of a custom tool that was called as a function.
        input: Option<InputReader>,
        is_custom: bool,
    },
    /// A whole part, which has been written.
    Whole,
}

/// A piece of sound; its id comes once, as clients join what comes twice.
fn sound(id: &mut Option<String>, member: &str, text: &str) -> Value {
    match id.take() {
        Some(id) => json!({"id": id, member: text}),
        None => json!({member: text}),
    }
}

impl Writer {
    pub fn new(shown: Shown) -> Writer {
        Writer {
            asked: Asked::of(&shown),
            shown,
            head: Vec::new(),
            choices: Vec::new(),
            usage: None,
            service_tier: None,
        }
    }

    fn begin(&mut self, id: Option<&str>, created: Option<i64>) {
        let id = write_answer::id(id, &self.shown);
        let created = created.unwrap_or(self.shown.created);
        let head = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": self.shown.model,
        });
        self.head.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut self.head, &head).expect(JSON);
        // the object goes on in each chunk
        self.head.pop();
    }

    fn piece(&self, choice: u32, piece: &Piece<'_>, out: &mut Vec<u8>) {
        self.chunk(choice, piece, None, None, out);
    }

    fn chunk(
        &self,
        choice: u32,
        piece: &Piece<'_>,
        logprobs: Option<&[TokenLogprob]>,
        finish_reason: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"choices\":[{\"index\":");
        serde_json::to_writer(&mut *out, &choice).expect(JSON);
        out.extend_from_slice(b",\"delta\":");
        serde_json::to_writer(&mut *out, piece).expect(JSON);
        match logprobs {
            None => out.extend_from_slice(b",\"logprobs\":null"),
            Some(tokens) => {
                let content: Vec<Value> = tokens.iter().map(write_answer::token).collect();
                out.extend_from_slice(b",\"logprobs\":");
                let logprobs = json!({"content": content, "refusal": null});
                serde_json::to_writer(&mut *out, &logprobs).expect(JSON);
            }
        }
        out.extend_from_slice(b",\"finish_reason\":");
        serde_json::to_writer(&mut *out, &finish_reason).expect(JSON);
        out.extend_from_slice(b"}]");
        self.tail(out);
    }

    fn tail(&self, out: &mut Vec<u8>) {
        if let Some(tier) = &self.service_tier {
            out.extend_from_slice(b",\"service_tier\":");
            serde_json::to_writer(&mut *out, tier).expect(JSON);
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// The place of a choice; its first chunk tells the role.
    fn said(&mut self, choice: u32, out: &mut Vec<u8>) -> usize {
        if let Some(at) = self.choices.iter().position(|said| said.index == choice) {
            return at;
        }
        self.choices.push(Said {
            index: choice,
            ..Said::default()
        });
        let role = Piece {
            role: Some("assistant"),
            content: Some(""),
            ..Piece::default()
        };
        self.piece(choice, &role, out);
        self.choices.len() - 1
    }

    fn open(&mut self, choice: u32, number: u32, opening: Opening, out: &mut Vec<u8>) {
        let at = self.said(choice, out);
        let said = &mut self.choices[at];
        let kind = match opening {
            Opening::Text => Kind::Text {
                bytes: said.bytes,
                characters: said.characters,
            },
            Opening::Refusal => {
                said.has_refused = true;
                Kind::Refusal
            }
            Opening::Reasoning => {
                let is_next = std::mem::replace(&mut said.has_thoughts, true);
                let kind = Kind::Reasoning(Thought::new(said.bytes));
                if is_next {
                    self.think(choice, "\n\n", out);
                }
                kind
            }
            Opening::ToolCall {
                id,
                name,
                kind,
                seal,
            } => self.open_call(at, &id, &name, kind, seal, out),
            Opening::Sound { id, .. } => Kind::Sound { id },
            Opening::Whole(part) => {
                self.whole(at, &part, out);
                Kind::Whole
            }
        };
        self.choices[at].parts.push(Open { number, kind });
    }

    fn think(&self, choice: u32, text: &str, out: &mut Vec<u8>) {
        let piece = Piece {
            reasoning_content: Some(text),
            ..Piece::default()
        };
        self.piece(choice, &piece, out);
    }

    fn open_call(
        &mut self,
        at: usize,
        id: &str,
        name: &str,
        kind: ToolKind,
        seal: Option<Seal>,
        out: &mut Vec<u8>,
    ) -> Kind {
        let said = &mut self.choices[at];
        said.sealed.extend(seal.map(Item::Call));
        let id = seals::write(id, &std::mem::take(&mut said.sealed));
        let (choice, index) = (said.index, said.calls);
        said.calls += 1;
        let is_wrapped = kind == ToolKind::Function && self.asked.is_custom(name);
        let is_custom = kind == ToolKind::Custom || is_wrapped;
        if self.asked.legacy_functions {
            let function_call = (index == 0).then_some(FunctionPiece {
                name: Some(name),
                arguments: "",
            });
            let piece = Piece {
                function_call,
                ..Piece::default()
            };
            self.piece(choice, &piece, out);
        } else {
            let call = CallPiece {
                index,
                id: Some(&id),
                kind: Some(if is_custom { "custom" } else { "function" }),
                function: (!is_custom).then_some(FunctionPiece {
                    name: Some(name),
                    arguments: "",
                }),
                custom: is_custom.then_some(CustomPiece {
                    name: Some(name),
                    input: "",
                }),
            };
            let piece = Piece {
                tool_calls: Some([call]),
                ..Piece::default()
            };
            self.piece(choice, &piece, out);
        }
        Kind::Call {
            index,
            has_arguments: false,
            input: is_wrapped.then(InputReader::default),
            is_custom,
        }
    }

    fn arguments(&self, choice: u32, index: u32, is_custom: bool, text: &str, out: &mut Vec<u8>) {
        if self.asked.legacy_functions {
            // of several calls a client of functions knows the first
            let function_call = (index == 0).then_some(FunctionPiece {
                name: None,
                arguments: text,
            });
            let piece = Piece {
                function_call,
                ..Piece::default()
            };
            return self.piece(choice, &piece, out);
        }
        let call = CallPiece {
            index,
            id: None,
            kind: None,
            function: (!is_custom).then_some(FunctionPiece {
                name: None,
                arguments: text,
            }),
            custom: is_custom.then_some(CustomPiece {
                name: None,
                input: text,
            }),
        };
        let piece = Piece {
            tool_calls: Some([call]),
            ..Piece::default()
        };
        self.piece(choice, &piece, out);
    }

    fn whole(&mut self, at: usize, part: &Part, out: &mut Vec<u8>) {
        let said = &mut self.choices[at];
        let choice = said.index;
        said.sealed.extend(Item::of(part, said.bytes));
        let mut piece = Piece::default();
        match &part.content {
            Content::Text { text, .. } => {
                said.bytes += text.len();
                said.characters += text.chars().count() as u64;
                piece.content = Some(text);
            }
            Content::Refusal(text) => {
                said.has_refused = true;
                piece.refusal = Some(text);
            }
            Content::Reasoning { text, redacted } => {
                said.has_thoughts |= !text.is_empty();
                piece.reasoning_content = Some(text);
                let block = write_answer::thinking_block(text, *redacted, part);
                piece.thinking_blocks = block.map(|block| [block]);
            }
            Content::Media(media) if media.kind == MediaKind::Audio => {
                piece.audio = Some(write_answer::audio(media));
            }
            Content::Media(media) => match write_answer::image(media) {
                Some(image) => piece.images = Some([image]),
                None => return,
            },
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => {
                // its own seal is among the items already
                let kind = self.open_call(at, id, name, *kind, None, out);
                let Kind::Call {
                    index, is_custom, ..
                } = kind
                else {
                    return;
                };
                return self.arguments(choice, index, is_custom, arguments, out);
            }
            // no place for what only one format knows
            Content::ToolResult { .. } | Content::Native { .. } => return,
        }
        self.piece(choice, &piece, out);
    }

    fn delta(&mut self, choice: u32, number: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some(at) = self.choices.iter().position(|said| said.index == choice) else {
            return;
        };
        let said = &mut self.choices[at];
        let Some(place) = said.parts.iter().position(|open| open.number == number) else {
            return;
        };
        let mut piece = Piece::default();
        match (&mut said.parts[place].kind, &delta) {
            (Kind::Text { .. }, Delta::Text(text)) => {
                said.bytes += text.len();
                said.characters += text.chars().count() as u64;
                piece.content = Some(text);
            }
            (Kind::Refusal, Delta::Text(text)) => piece.refusal = Some(text),
            (Kind::Reasoning(thought), Delta::Text(text)) => {
                let kept = said.sealed.iter().map(Item::text_length).sum();
                piece.thinking_blocks = thought.add(text, kept).map(|block| [block]);
                piece.reasoning_content = Some(text);
            }
            (Kind::Sound { id }, Delta::Sound(data)) => {
                piece.audio = Some(sound(id, "data", data));
            }
            (Kind::Sound { id }, Delta::Text(text)) => {
                piece.audio = Some(sound(id, "transcript", text));
            }
            (Kind::Text { characters, .. }, Delta::Citation(citation)) => {
                match write_answer::annotation(citation, *characters) {
                    Some(annotation) => piece.annotations = Some([annotation]),
                    None => {
                        let citation = write_answer::native_citation(citation);
                        piece.provider_specific_fields = Some(json!({ "citation": citation }));
                    }
                }
            }
            (Kind::Reasoning(thought), Delta::Seal(seal)) => {
                let (block, item) = thought.seal(seal);
                piece.thinking_blocks = Some([block]);
                said.sealed.extend(item);
            }
            (Kind::Text { bytes, .. }, Delta::Seal(seal)) => {
                let (seal, after) = (seal.clone(), *bytes);
                said.sealed.push(Item::Text { seal, after });
                return;
            }
            (
                Kind::Call {
                    index,
                    has_arguments,
                    input,
                    is_custom,
                },
                Delta::Arguments(text),
            ) => {
                *has_arguments |= !text.is_empty();
                let (index, is_custom) = (*index, *is_custom);
                let text = match input {
                    Some(reader) => reader.feed(text),
                    None => text.clone(),
                };
                if !text.is_empty() {
                    self.arguments(choice, index, is_custom, &text, out);
                }
                return;
            }
            _ => return,
        }
        self.piece(choice, &piece, out);
    }

    fn close(&mut self, choice: u32, number: u32, out: &mut Vec<u8>) {
        let Some(said) = self.choices.iter_mut().find(|said| said.index == choice) else {
            return;
        };
        let Some(place) = said.parts.iter().position(|open| open.number == number) else {
            return;
        };
        let open = said.parts.swap_remove(place);
        if let Kind::Call {
            index,
            has_arguments,
            input,
            is_custom,
        } = open.kind
        {
            let text = match input {
                Some(reader) => reader.finish(),
                None if has_arguments || is_custom => String::new(),
                None => "{}".to_owned(),
            };
            if !text.is_empty() {
                self.arguments(choice, index, is_custom, &text, out);
            }
        }
    }

    fn finish(&mut self, choice: u32, stop: &Stop, out: &mut Vec<u8>) {
        let at = self.said(choice, out);
        let said = &self.choices[at];
        let reason =
            write_answer::finish_reason(stop, said.calls > 0, said.has_refused, &self.asked);
        self.chunk(choice, &Piece::default(), None, Some(reason), out);
    }

    fn done(&mut self, out: &mut Vec<u8>) {
        if let (true, Some(usage)) = (self.shown.include_usage, &self.usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(b",\"choices\":[],\"usage\":");
            serde_json::to_writer(&mut *out, &Totals::of(usage)).expect(JSON);
            self.tail(out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl WriteStream for Writer {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.head.is_empty() && !matches!(event, Event::Start(_)) {
            self.begin(None, None);
        }
        match event {
            Event::Start(start) => {
                if self.head.is_empty() {
                    self.begin(start.id.as_deref(), start.created);
                    self.usage = start.usage;
                }
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
            Event::Logprobs { choice, logprobs } => {
                self.said(choice, out);
                self.chunk(choice, &Piece::default(), Some(&logprobs), None, out);
            }
            Event::Finish { choice, stop } => self.finish(choice, &stop, out),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::ServiceTier(tier) => self.service_tier = Some(tier),
            Event::Failed(error) => pieces::failed(&error, out),
            Event::Done => self.done(out),
        }
    }
}
