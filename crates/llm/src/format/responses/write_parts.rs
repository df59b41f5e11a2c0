//! The parts of a stream's items, from their opening to their end: text, reasoning, calls.

use serde::Serialize;
use serde_json::{Value, json};

use super::growing::GrowingText;
use super::names::Callee;
use super::reasoning::Neighbour;
use super::write_items::{self, CallItem};
use super::write_stream::{Message, Open, Writer};
use crate::conversation::{Citation, Seal, TokenLogprob, ToolKind, custom_tools::InputReader};

/// Text or a refusal, part of a message.
#[derive(Debug)]
pub(super) struct Text {
    pub item: usize,
    pub content: usize,
    pub is_refusal: bool,
    pub text: GrowingText,
    pub annotations: Vec<Value>,
    /// Citations of the whole text, whose length is not known yet.
    pub citations: Vec<Citation>,
    pub logprobs: Vec<TokenLogprob>,
    pub seal: Option<Seal>,
}

#[derive(Debug)]
pub(super) struct Reasoning {
    pub item: usize,
    pub id: String,
    pub text: GrowingText,
    pub redacted: bool,
    pub seal: Option<Seal>,
}

#[derive(Debug)]
pub(super) struct Call {
    pub item: usize,
    pub id: String,
    pub call_id: String,
    pub callee: Callee,
    pub kind: ToolKind,
    pub text: GrowingText,
    /// Takes a custom tool's input out of a function's arguments.
    pub reader: Option<InputReader>,
    pub seal: Option<Seal>,
}

/// What the events of a growing item have in common.
#[derive(Serialize)]
struct Grown<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    delta: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
}

impl Writer {
    pub(super) fn open_text(&mut self, part: u32, is_refusal: bool, out: &mut Vec<u8>) {
        self.has_refusal |= is_refusal;
        let item = match self.message {
            Some(item) => item,
            None => {
                let (item, id) = self.next_item("msg");
                let value = write_items::message(&id, "in_progress", Vec::new());
                self.item_added(item, &value, out);
                let message = Message {
                    id,
                    content: Vec::new(),
                    open: 0,
                    is_ending: false,
                };
                self.messages.insert(item, message);
                self.message = Some(item);
                item
            }
        };
        let Some(message) = self.messages.get_mut(&item) else {
            return;
        };
        let content = message.content.len();
        message.open += 1;
        message.content.push(Value::Null);
        let value = match is_refusal {
            true => write_items::refusal(""),
            false => write_items::text("", &[], &[]),
        };
        let body = json!({
            "item_id": message.id, "output_index": item, "content_index": content, "part": value,
        });
        self.send("response.content_part.added", &body, out);
        let text = Text {
            item,
            content,
            is_refusal,
            text: GrowingText::default(),
            annotations: Vec::new(),
            citations: Vec::new(),
            logprobs: Vec::new(),
            seal: None,
        };
        self.parts.insert(part, Open::Text(Box::new(text)));
    }

    pub(super) fn open_reasoning(&mut self, part: u32, redacted: bool, out: &mut Vec<u8>) {
        self.end_message(out);
        let (item, id) = self.next_item("rs");
        let value = json!({"id": id, "type": "reasoning", "summary": []});
        self.item_added(item, &value, out);
        let reasoning = Reasoning {
            item,
            id,
            text: GrowingText::default(),
            redacted,
            seal: None,
        };
        self.parts
            .insert(part, Open::Reasoning(Box::new(reasoning)));
    }

    pub(super) fn open_call(
        &mut self,
        part: u32,
        call_id: String,
        name: &str,
        kind: ToolKind,
        out: &mut Vec<u8>,
    ) {
        self.end_message(out);
        let callee = self.names.callee(name);
        let item_kind = CallItem::of(&callee, kind);
        let (item, id) = self.next_item(item_kind.prefix());
        let value = write_items::call(&id, &call_id, &callee, kind, "", "in_progress");
        self.item_added(item, &value, out);
        let is_wrapped = item_kind == CallItem::Custom && kind == ToolKind::Function;
        let call = Call {
            item,
            id,
            call_id,
            callee,
            kind,
            text: GrowingText::default(),
            reader: is_wrapped.then(InputReader::default),
            seal: None,
        };
        self.parts.insert(part, Open::Call(Box::new(call)));
    }

    pub(super) fn grow_text(&mut self, text: &mut Text, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        text.text.push_str(piece);
        let message = self.messages.get(&text.item);
        let id = message
            .map(|message| message.id.clone())
            .unwrap_or_default();
        let logprobs = std::mem::take(&mut self.logprobs);
        let body = Grown {
            item_id: &id,
            output_index: text.item,
            content_index: Some(text.content),
            summary_index: None,
            delta: piece,
            logprobs: (!text.is_refusal).then(|| write_items::logprobs(&logprobs)),
        };
        let name = match text.is_refusal {
            true => "response.refusal.delta",
            false => "response.output_text.delta",
        };
        self.send(name, &body, out);
        text.logprobs.extend(logprobs);
    }

    pub(super) fn annotate(&mut self, text: &mut Text, citation: &Citation, out: &mut Vec<u8>) {
        let length = text.text.characters();
        let Some(annotation) = write_items::annotation(citation, length) else {
            return;
        };
        let message = self.messages.get(&text.item);
        let body = json!({
            "item_id": message.map(|message| &*message.id),
            "output_index": text.item,
            "content_index": text.content,
            "annotation_index": text.annotations.len(),
            "annotation": annotation,
        });
        self.send("response.output_text.annotation.added", &body, out);
        text.annotations.push(annotation);
    }

    pub(super) fn grow_reasoning(
        &mut self,
        reasoning: &mut Reasoning,
        piece: &str,
        out: &mut Vec<u8>,
    ) {
        if piece.is_empty() {
            return;
        }
        if reasoning.text.is_empty() {
            let body = json!({
                "item_id": reasoning.id, "output_index": reasoning.item, "summary_index": 0,
                "part": {"type": "summary_text", "text": ""},
            });
            self.send("response.reasoning_summary_part.added", &body, out);
        }
        reasoning.text.push_str(piece);
        let body = Grown {
            item_id: &reasoning.id,
            output_index: reasoning.item,
            content_index: None,
            summary_index: Some(0),
            delta: piece,
            logprobs: None,
        };
        self.send("response.reasoning_summary_text.delta", &body, out);
    }

    pub(super) fn grow_call(&mut self, call: &mut Call, piece: &str, out: &mut Vec<u8>) {
        let unwrapped;
        let piece = match &mut call.reader {
            Some(reader) => {
                unwrapped = reader.feed(piece);
                &*unwrapped
            }
            None => piece,
        };
        self.grow_call_text(call, piece, out);
    }

    pub(super) fn grow_call_text(&mut self, call: &mut Call, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        call.text.push_str(piece);
        let name = match CallItem::of(&call.callee, call.kind) {
            CallItem::Function => "response.function_call_arguments.delta",
            CallItem::Custom => "response.custom_tool_call_input.delta",
            // these come whole
            CallItem::LocalShell | CallItem::ToolSearch => return,
        };
        let body = Grown {
            item_id: &call.id,
            output_index: call.item,
            content_index: None,
            summary_index: None,
            delta: piece,
            logprobs: None,
        };
        self.send(name, &body, out);
    }

    pub(super) fn close_text(&mut self, mut text: Text, out: &mut Vec<u8>) {
        for citation in std::mem::take(&mut text.citations) {
            self.annotate(&mut text, &citation, out);
        }
        if !text.is_refusal {
            text.logprobs.append(&mut self.logprobs);
        }
        let Some(message) = self.messages.get_mut(&text.item) else {
            return;
        };
        let words = text.text.whole();
        let value = match text.is_refusal {
            true => write_items::refusal(&words),
            false => write_items::text(&words, &text.annotations, &text.logprobs),
        };
        let mut whole = json!({
            "item_id": message.id, "output_index": text.item, "content_index": text.content,
        });
        let mut body = whole.clone();
        message.open -= 1;
        let name = match text.is_refusal {
            true => {
                whole["refusal"] = json!(words);
                "response.refusal.done"
            }
            false => {
                whole["text"] = json!(words);
                whole["logprobs"] = write_items::logprobs(&text.logprobs);
                "response.output_text.done"
            }
        };
        self.send(name, &whole, out);
        body["part"] = value;
        self.send("response.content_part.done", &body, out);
        if let Some(message) = self.messages.get_mut(&text.item) {
            message.content[text.content] = body["part"].take();
        }
        self.message_done(text.item, out);
        self.carry_seal(text.seal, Neighbour::Last, out);
    }

    pub(super) fn close_reasoning(&mut self, reasoning: &Reasoning, out: &mut Vec<u8>) {
        let words = reasoning.text.whole();
        if !words.is_empty() {
            let place = json!({
                "item_id": reasoning.id, "output_index": reasoning.item, "summary_index": 0,
            });
            let mut body = place.clone();
            body["text"] = json!(words);
            self.send("response.reasoning_summary_text.done", &body, out);
            let mut body = place;
            body["part"] = json!({"type": "summary_text", "text": words});
            self.send("response.reasoning_summary_part.done", &body, out);
        }
        let seal = reasoning.seal.as_ref();
        let value = write_items::reasoning(&reasoning.id, &words, reasoning.redacted, seal);
        self.item_done(reasoning.item, &value, out);
    }

    pub(super) fn close_call(&mut self, mut call: Call, out: &mut Vec<u8>) {
        if let Some(reader) = call.reader.take() {
            self.grow_call_text(&mut call, &reader.finish(), out);
        } else if call.kind == ToolKind::Function && call.text.is_blank() {
            call.text = GrowingText::default();
            self.grow_call_text(&mut call, "{}", out);
        }
        let words = call.text.whole();
        let mut body = json!({"item_id": call.id, "output_index": call.item});
        match CallItem::of(&call.callee, call.kind) {
            CallItem::Function => {
                body["arguments"] = json!(words);
                if let Callee::Function { name, .. } = &call.callee {
                    body["name"] = json!(name);
                }
                self.send("response.function_call_arguments.done", &body, out);
            }
            CallItem::Custom => {
                body["input"] = json!(words);
                self.send("response.custom_tool_call_input.done", &body, out);
            }
            CallItem::LocalShell | CallItem::ToolSearch => {}
        }
        let value = write_items::call(
            &call.id,
            &call.call_id,
            &call.callee,
            call.kind,
            &words,
            "completed",
        );
        self.item_done(call.item, &value, out);
        self.carry_seal(call.seal, Neighbour::Last, out);
    }
}
