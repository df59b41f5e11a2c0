//! The answer, whole.

use serde_json::Value;

use super::Part;
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
