//! The answer, piece by piece.
//!
//! [`Event::Start`] comes first, once. Per choice: [`Event::Open`], any number of [`Event::Delta`],
//! [`Event::Close`] for each part, parts one after the other or interleaved under numbers that rise
//! from 0; then one [`Event::Finish`]. [`Event::Done`] or [`Event::Failed`] is the last. A reader keeps
//! this order whatever its provider sends, and a writer relies on it.

use super::{Citation, Part, Seal, Stop, TokenLogprob, ToolKind};
use crate::provider::UpstreamError;
use crate::usage::Usage;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Start(Start),
    Open {
        choice: u32,
        part: u32,
        opening: Opening,
    },
    Delta {
        choice: u32,
        part: u32,
        delta: Delta,
    },
    Close {
        choice: u32,
        part: u32,
    },
    Logprobs {
        choice: u32,
        logprobs: Vec<TokenLogprob>,
    },
    Finish {
        choice: u32,
        stop: Stop,
    },
    /// The usage of the whole call so far; the last one counts.
    Usage(Usage),
    ServiceTier(String),
    /// The provider reported an error inside the stream, or sent what cannot be read.
    Failed(UpstreamError),
    /// The provider ended the stream as it should.
    Done,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    pub id: Option<String>,
    pub model: Option<String>,
    /// Seconds since 1970.
    pub created: Option<i64>,
    /// What is known of it at the beginning (Anthropic: the input).
    pub usage: Option<Usage>,
}

/// How a part begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    Text,
    Refusal,
    Reasoning,
    /// A seal that is known already comes with it, so that a writer can put it into the id.
    ToolCall {
        id: String,
        name: String,
        kind: ToolKind,
        seal: Option<Seal>,
    },
    /// Generated sound of this type, which the provider names so.
    Sound {
        id: Option<String>,
        media_type: String,
    },
    /// All of it at once: an image, redacted reasoning, a native block. Only a close follows.
    Whole(Box<Part>),
}

/// More of an open part.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Of text, a refusal or reasoning; of sound: what is said in it.
    Text(String),
    /// Of sound: a piece in base64, whole by itself.
    Sound(String),
    /// Of a tool call: a piece of JSON text for a function.
    Arguments(String),
    Citation(Box<Citation>),
    /// Seals the part (see [`Part::seal`]); at most once.
    Seal(Seal),
}
