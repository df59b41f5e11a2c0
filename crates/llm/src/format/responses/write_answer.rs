//! Writing a whole answer for a client.

use serde_json::Value;

use super::echo::{Response, State, status, write_json};
use super::names::Names;
use super::reasoning::Neighbour;
use super::write_items::{self, CallItem};
use crate::conversation::{Answer, Content, Part, TokenLogprob};
use crate::format::Shown;

/// Writes an answer. A response holds one choice; the first is it.
pub(super) fn write(answer: &Answer, shown: &Shown) -> Vec<u8> {
    let mut response = Response::new(shown);
    response.created = answer.created.unwrap_or(shown.created);
    let names = shown
        .request
        .as_ref()
        .map(Names::of_request)
        .unwrap_or_default();
    let mut items = Items {
        response: &response,
        names,
        items: Vec::new(),
        message: Vec::new(),
        logprobs: &[],
    };
    let choice = answer.choices.first();
    if let Some(choice) = choice {
        items.logprobs = &choice.logprobs;
        for part in &choice.parts {
            items.part(part);
        }
        items.end_message();
    }
    let mut output = Vec::new();
    for (at, item) in items.items.iter().enumerate() {
        if at > 0 {
            output.push(b',');
        }
        write_json(item, &mut output);
    }
    let mut parts = choice.iter().flat_map(|choice| &choice.parts);
    let has_refusal = parts.any(|part| matches!(part.content, Content::Refusal(_)));
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let (status, incomplete) = status(stop, has_refusal);
    let state = State {
        status,
        output: &output,
        incomplete,
        error: None,
        usage: answer.usage.as_ref(),
        service_tier: answer.service_tier.as_deref(),
    };
    let mut out = Vec::new();
    response.write(&state, &mut out);
    out
}

struct Items<'a> {
    response: &'a Response,
    names: Names,
    items: Vec<Value>,
    /// The parts of the message that is being put together.
    message: Vec<Value>,
    /// Given with the first text.
    logprobs: &'a [TokenLogprob],
}

impl Items<'_> {
    fn part(&mut self, part: &Part) {
        match &part.content {
            Content::Refusal(text) => self.message.push(write_items::refusal(text)),
            Content::Reasoning { text, redacted } => {
                self.end_message();
                let id = self.id("rs");
                let seal = part.seal.as_ref();
                let item = write_items::reasoning(&id, text, *redacted, seal);
                return self.items.push(item);
            }
            Content::ToolCall {
                id: call_id,
                name,
                arguments,
                kind,
            } => {
                self.end_message();
                if let Some(seal) = part
                    .seal
                    .as_ref()
                    .filter(|seal| write_items::is_foreign(seal))
                {
                    let id = self.id("rs");
                    let item = write_items::neighbour(&id, seal, Neighbour::Next);
                    self.items.push(item);
                }
                let callee = self.names.callee(name);
                let id = self.id(CallItem::of(&callee, *kind).prefix());
                let text = write_items::call_text(&callee, *kind, arguments);
                let item = write_items::call(&id, call_id, &callee, *kind, &text, "completed");
                return self.items.push(item);
            }
            _ => match write_items::spoken(part) {
                Some(text) => self.text(part, text),
                None => {
                    self.end_message();
                    let item = write_items::whole(&self.id("item"), part);
                    self.items.extend(item);
                }
            },
        }
        if let Some(seal) = part
            .seal
            .as_ref()
            .filter(|seal| write_items::is_foreign(seal))
        {
            self.end_message();
            let item = write_items::neighbour(&self.id("rs"), seal, Neighbour::Last);
            self.items.push(item);
        }
    }

    fn text(&mut self, part: &Part, text: &str) {
        let length = || text.chars().count() as u64;
        let annotations: Vec<Value> = match &part.content {
            Content::Text { citations, .. } if !citations.is_empty() => {
                let length = length();
                let written = citations.iter();
                written
                    .filter_map(|citation| write_items::annotation(citation, length))
                    .collect()
            }
            _ => Vec::new(),
        };
        let logprobs = std::mem::take(&mut self.logprobs);
        self.message
            .push(write_items::text(text, &annotations, logprobs));
    }

    fn end_message(&mut self) {
        if !self.message.is_empty() {
            let content = std::mem::take(&mut self.message);
            let item = write_items::message(&self.id("msg"), "completed", content);
            self.items.push(item);
        }
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.response.suffix, self.items.len())
    }
}
