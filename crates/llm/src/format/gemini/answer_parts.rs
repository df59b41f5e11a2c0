//! What answers and streams have in common: why a candidate stopped, log probabilities, ids of calls.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::conversation::{Stop, TokenLogprob, TopLogprob};

/// Reads a `finishReason`. Gemini says `STOP` for tool calls, too.
pub(super) fn stop(reason: &str, has_calls: bool) -> Stop {
    match reason {
        "STOP" if has_calls => Stop::ToolCalls,
        "STOP" | "FINISH_REASON_UNSPECIFIED" | "" => Stop::End,
        "MAX_TOKENS" => Stop::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Stop::Filtered,
        word => Stop::Other(word.to_owned()),
    }
}

/// The `finishReason` that a client gets.
pub(super) fn finish_reason(stop: &Stop) -> &str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::ToolCalls | Stop::Pause => "STOP",
        Stop::MaxTokens => "MAX_TOKENS",
        Stop::Filtered | Stop::Refusal => "SAFETY",
        Stop::Other(word)
            if !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') =>
        {
            word
        }
        Stop::Other(_) => "STOP",
    }
}

/// An id for a call that came without one: the same for the same answer, and made of letters that
/// every provider takes.
pub(super) fn call_id(response_id: Option<&str>, choice: u32, number: u32) -> String {
    let of_answer: String = response_id
        .unwrap_or("0")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(40)
        .collect();
    match choice {
        0 => format!("call_{of_answer}_{number}"),
        _ => format!("call_{of_answer}_{choice}_{number}"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct LogprobsResult {
    chosen_candidates: Vec<Chosen>,
    top_candidates: Vec<Top>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Chosen {
    token: String,
    log_probability: f64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Top {
    candidates: Vec<Chosen>,
}

/// Reads `logprobsResult`; what cannot be read tells nothing.
pub(super) fn logprobs(raw: Option<&RawValue>) -> Vec<TokenLogprob> {
    let Some(result) = raw.and_then(|raw| serde_json::from_str::<LogprobsResult>(raw.get()).ok())
    else {
        return Vec::new();
    };
    let mut tops = result.top_candidates.into_iter();
    let bytes = |token: &str| Some(token.as_bytes().to_vec());
    result
        .chosen_candidates
        .into_iter()
        .map(|chosen| TokenLogprob {
            bytes: bytes(&chosen.token),
            logprob: chosen.log_probability,
            top: tops
                .next()
                .map(|top| top.candidates)
                .unwrap_or_default()
                .into_iter()
                .map(|candidate| TopLogprob {
                    bytes: bytes(&candidate.token),
                    logprob: candidate.log_probability,
                    token: candidate.token,
                })
                .collect(),
            token: chosen.token,
        })
        .collect()
}
