//! The answer, whole.

use serde_json::Value;

use super::{Content, Delta, Event, Opening, Part, Start};
use crate::format::Format;
use crate::usage::Usage;

/// A whole answer of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The provider's id; a writer makes one of its own format's shape from it.
    pub id: Option<String>,
    /// As the provider names it; clients see the public name.
    pub model: Option<String>,
    /// Seconds since 1970.
    pub created: Option<i64>,
    /// In order of their index; mostly one.
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    pub service_tier: Option<String>,
}

/// One of the answers to a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub parts: Vec<Part>,
    pub stop: Option<Stop>,
    pub logprobs: Vec<TokenLogprob>,
}

impl Answer {
    /// The answer piece by piece, text word by word.
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Start(Start {
            id: self.id.clone(),
            model: self.model.clone(),
            created: self.created,
            usage: None,
        })];
        for (choice, answer) in (0..).zip(&self.choices) {
            for (part, piece) in (0..).zip(&answer.parts) {
                piece.add_events(choice, part, &mut events);
            }
            if !answer.logprobs.is_empty() {
                events.push(Event::Logprobs {
                    choice,
                    logprobs: answer.logprobs.clone(),
                });
            }
            events.push(Event::Finish {
                choice,
                stop: answer.stop.clone().unwrap_or(Stop::End),
            });
        }
        events.extend(self.service_tier.clone().map(Event::ServiceTier));
        events.extend(self.usage.map(Event::Usage));
        events.push(Event::Done);
        events
    }
}

impl Part {
    fn add_events(&self, choice: u32, part: u32, events: &mut Vec<Event>) {
        let words = |text: &str| -> Vec<Delta> {
            text.split_inclusive(' ')
                .map(|word| Delta::Text(word.to_owned()))
                .collect()
        };
        let (opening, mut deltas) = match &self.content {
            Content::Text { text, citations } => {
                let mut deltas = words(text);
                let citations = citations.iter().cloned().map(Box::new);
                deltas.extend(citations.map(Delta::Citation));
                (Opening::Text, deltas)
            }
            Content::Refusal(text) => (Opening::Refusal, words(text)),
            Content::Reasoning {
                text,
                redacted: false,
            } => (Opening::Reasoning, words(text)),
            Content::ToolCall {
                id,
                name,
                arguments,
                kind,
            } => {
                let opening = Opening::ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    kind: *kind,
                    seal: self.seal.clone(),
                };
                (opening, vec![Delta::Arguments(arguments.clone())])
            }
            _ => (Opening::Whole(Box::new(self.clone())), Vec::new()),
        };
        if matches!(
            opening,
            Opening::Text | Opening::Refusal | Opening::Reasoning
        ) {
            deltas.extend(self.seal.clone().map(Delta::Seal));
        }
        events.push(Event::Open {
            choice,
            part,
            opening,
        });
        events.extend(deltas.into_iter().map(|delta| Event::Delta {
            choice,
            part,
            delta,
        }));
        events.push(Event::Close { choice, part });
    }
}

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It had said all.
    End,
    MaxTokens,
    /// The sequence, where the provider tells which.
    Sequence(Option<String>),
    ToolCalls,
    /// A filter of the provider, on the prompt or the answer.
    Filtered,
    /// The model itself declined.
    Refusal,
    /// A long turn with server tools may go on (Anthropic's `pause_turn`).
    Pause,
    /// A word that only the provider knows; for clients it is an end.
    Other(String),
}

/// Where a statement comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Citation {
    pub url: Option<String>,
    pub title: Option<String>,
    pub quote: Option<String>,
    /// The citing place in the text of its part, in characters, end excluded.
    pub span: Option<(u64, u64)>,
    /// The citation as its own format writes it.
    pub native: Option<(Format, Value)>,
}

/// How likely a generated token was, and what else might have come.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    pub token: String,
    pub logprob: f64,
    pub bytes: Option<Vec<u8>>,
    pub top: Vec<TopLogprob>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TopLogprob {
    pub token: String,
    pub logprob: f64,
    pub bytes: Option<Vec<u8>>,
}
