//! Cohere's v2 chat, which only Cohere speaks.

mod messages;
mod read_answer;
mod read_stream;
#[cfg(test)]
mod tests;
mod write_request;

use serde::Deserialize;
use serde_json::Value;

use super::{Codec, upstream_only};
use crate::conversation::{Citation, Stop, TokenLogprob};
use crate::format::Format;

pub(crate) static CODEC: Codec = Codec {
    read_request: upstream_only::read_request,
    write_request: write_request::write,
    read_answer: |_, body| read_answer::read(body),
    write_answer: upstream_only::write_answer,
    read_stream: |_| Box::new(read_stream::Reader::default()),
    write_stream: upstream_only::write_stream,
};

/// Members that a client of any format may set, as with LiteLLM.
pub(crate) const OWN_MEMBERS: &[&str] = &[
    "citation_options",
    "documents",
    "priority",
    "safety_mode",
    "strict_tools",
];

/// The data of a seal on what the model planned before it called tools (`tool_plan`).
const PLAN: &str = "plan";
/// … and on what it thought (`thinking`). Cohere verifies neither; the seals say that the text is the
/// model's own, and where it belongs.
const THINKING: &str = "thinking";

/// The same in an answer and in a stream; `None` for a reason that is an error.
fn stop(reason: &str) -> Option<Stop> {
    Some(match reason {
        "COMPLETE" => Stop::End,
        "STOP_SEQUENCE" => Stop::Sequence(None),
        "MAX_TOKENS" | "ERROR_LIMIT" => Stop::MaxTokens,
        "TOOL_CALL" => Stop::ToolCalls,
        "ERROR_TOXIC" => Stop::Filtered,
        "ERROR" | "TIMEOUT" => return None,
        other => Stop::Other(other.to_ascii_lowercase()),
    })
}

/// A citation names all its sources; here each source is one.
fn citations(native: Value) -> Vec<Citation> {
    let number = |name: &str| native.get(name).and_then(Value::as_u64);
    let span = number("start").zip(number("end"));
    let sources = native.get("sources").and_then(Value::as_array);
    let mut citations: Vec<Citation> = sources
        .into_iter()
        .flatten()
        .map(|source| {
            let said = source.get("document").or_else(|| source.get("tool_output"));
            let word = |name: &str| said?.get(name)?.as_str().map(str::to_owned);
            let id = source.get("id").and_then(Value::as_str);
            let linked_id = id.filter(|id| id.starts_with("http")).map(str::to_owned);
            Citation {
                url: word("url").or(linked_id),
                title: word("title"),
                quote: word("text").or_else(|| word("snippet")),
                span,
                native: None,
            }
        })
        .collect();
    if citations.is_empty() {
        citations.push(Citation {
            span,
            ..Citation::default()
        });
    }
    citations[0].native = Some((Format::Cohere, native));
    citations
}

/// A piece of text with the log probabilities of its tokens.
#[derive(Debug, Deserialize)]
struct Logprobs {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    logprobs: Option<Vec<f64>>,
}

impl Logprobs {
    /// As one token: which text belongs to which token of several is not told.
    fn token(self) -> Option<TokenLogprob> {
        let logprobs = self.logprobs?;
        Some(TokenLogprob {
            token: self.text?,
            logprob: logprobs.iter().sum(),
            bytes: None,
            top: Vec::new(),
        })
    }
}
