//! Reading a provider's whole answer.

use base::{Code, Error, Result};
use serde_json::{Map, Value};

use super::{FORMAT, content, names, reasoning};
use crate::conversation::{
    Answer, Choice, Content, Part, Stop, TokenLogprob, ToolKind, TopLogprob,
};
use crate::provider::UpstreamError;
use crate::usage::{Usage, UsageRule, responses};

/// Reads an answer. How its usage adds up is the same at every provider.
pub(super) fn read(_: UsageRule, body: &[u8]) -> Result<Answer> {
    let unreadable = || {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider's answer cannot be read",
        )
    };
    let value: Value =
        serde_json::from_slice(body).map_err(|fault| unreadable().caused_by(fault))?;
    let response = value.as_object().ok_or_else(unreadable)?;
    if let Some(fault) = failure(response) {
        return Err(fault.into_error("the provider"));
    }
    let Some(output) = response.get("output").and_then(Value::as_array) else {
        return Err(unreadable());
    };
    let mut parts = Vec::new();
    let mut logprobs = Vec::new();
    for item in output.iter().filter_map(Value::as_object) {
        read_item(item, &mut parts, &mut logprobs);
    }
    let word = |name: &str| Some(response.get(name)?.as_str()?.to_owned());
    Ok(Answer {
        id: word("id"),
        model: word("model"),
        created: created(response),
        choices: vec![Choice {
            stop: Some(stop(response, &parts)),
            parts,
            logprobs,
        }],
        usage: usage(response),
        service_tier: word("service_tier"),
    })
}

/// What the provider says went wrong, where the response failed.
pub(super) fn failure(response: &Map<String, Value>) -> Option<UpstreamError> {
    let error = response.get("error").filter(|error| !error.is_null());
    let status = response.get("status").and_then(Value::as_str);
    if error.is_none() && !matches!(status, Some("failed" | "cancelled")) {
        return None;
    }
    Some(upstream_error(error.unwrap_or(&Value::Null)))
}

/// Reads an error object of a response or of a stream's `error` event.
pub(super) fn upstream_error(error: &Value) -> UpstreamError {
    let status = match error.get("code").and_then(Value::as_str) {
        Some("rate_limit_exceeded" | "insufficient_quota") => 429,
        Some("server_error") | None => 502,
        Some("server_is_overloaded" | "slow_down") => 503,
        Some(
            "invalid_prompt"
            | "context_length_exceeded"
            | "string_above_max_length"
            | "invalid_request_error"
            | "bio_policy"
            | "cyber_policy",
        ) => 400,
        Some(code) if code.contains("image") => 400,
        Some(_) => 502,
    };
    let body = match error {
        Value::Null => "{\"message\":\"the provider could not finish the answer\"}".to_owned(),
        error => error.to_string(),
    };
    UpstreamError::read(status, body.as_bytes())
}

pub(super) fn created(response: &Map<String, Value>) -> Option<i64> {
    // some write a float
    response
        .get("created_at")?
        .as_f64()
        .map(|seconds| seconds as i64)
}

pub(super) fn usage(response: &Map<String, Value>) -> Option<Usage> {
    let text = response.get("usage")?.to_string();
    let mut usage = responses::read(text.as_bytes())?.usage;
    let output = response.get("output").and_then(Value::as_array);
    let searches = output
        .into_iter()
        .flatten()
        .filter(|item| is_search(item))
        .count();
    let counted = response
        .get("tool_usage")
        .and_then(|tools| tools.get("web_search")?.get("num_requests")?.as_u64());
    usage.web_searches = usage.web_searches.max(counted.unwrap_or(0));
    if usage.web_searches == 0 {
        usage.web_searches = searches as u64;
    }
    Some(usage)
}

/// A web search that is charged: pages that are opened are not.
fn is_search(item: &Value) -> bool {
    let action = item
        .get("action")
        .and_then(|action| action.get("type")?.as_str());
    item.get("type").and_then(Value::as_str) == Some("web_search_call")
        && matches!(action, None | Some("search"))
}

/// Why the model stopped.
pub(super) fn stop(response: &Map<String, Value>, parts: &[Part]) -> Stop {
    let status = response.get("status").and_then(Value::as_str);
    let reason = response
        .get("incomplete_details")
        .and_then(|details| details.get("reason")?.as_str());
    match (status, reason) {
        (Some("incomplete"), Some("content_filter")) => return Stop::Filtered,
        (Some("incomplete"), Some("max_output_tokens") | None) => return Stop::MaxTokens,
        (Some("incomplete"), Some(other)) => return Stop::Other(other.to_owned()),
        (Some("queued" | "in_progress"), _) => return Stop::Pause,
        _ => {}
    }
    let has = |is_it: fn(&Content) -> bool| parts.iter().any(|part| is_it(&part.content));
    if has(|content| matches!(content, Content::ToolCall { .. })) {
        Stop::ToolCalls
    } else if has(|content| matches!(content, Content::Refusal(_))) {
        Stop::Refusal
    } else {
        Stop::End
    }
}

/// Reads an output item; a message may hold several parts.
pub(super) fn read_item(
    item: &Map<String, Value>,
    parts: &mut Vec<Part>,
    logprobs: &mut Vec<TokenLogprob>,
) {
    match item.get("type").and_then(Value::as_str) {
        Some("message") => {
            let list = item.get("content").and_then(Value::as_array);
            for content in list.into_iter().flatten().filter_map(Value::as_object) {
                parts.extend(output_content(content));
                logprobs.extend(
                    content
                        .get("logprobs")
                        .map(read_logprobs)
                        .unwrap_or_default(),
                );
            }
        }
        Some("reasoning") => parts.push(reasoning::own(item)),
        Some("function_call" | "custom_tool_call") => parts.extend(call(item).map(Part::new)),
        Some(_) => parts.push(Part::new(Content::Native {
            format: FORMAT,
            value: Value::Object(item.clone()),
        })),
        None => {}
    }
}

/// A call of a tool that the client runs.
pub(super) fn call(item: &Map<String, Value>) -> Option<Content> {
    let word = |name: &str| item.get(name).and_then(Value::as_str);
    let (kind, arguments) = match word("type") {
        Some("custom_tool_call") => (ToolKind::Custom, word("input").unwrap_or_default()),
        _ => (
            ToolKind::Function,
            word("arguments")
                .filter(|text| !text.trim().is_empty())
                .unwrap_or("{}"),
        ),
    };
    Some(Content::ToolCall {
        id: word("call_id")
            .or(word("id"))
            .unwrap_or_default()
            .to_owned(),
        name: names::of_call(item)?,
        arguments: arguments.to_owned(),
        kind,
    })
}

fn output_content(content: &Map<String, Value>) -> Option<Part> {
    let word = |name: &str| Some(content.get(name)?.as_str()?.to_owned());
    match content.get("type").and_then(Value::as_str)? {
        "refusal" => Some(Part::new(Content::Refusal(word("refusal")?))),
        "output_text" | "text" => Some(Part::new(Content::Text {
            text: word("text")?,
            citations: content::citations(content),
        })),
        _ => None,
    }
}

/// Reads a list of log probabilities; what is misshapen is left out.
pub(super) fn read_logprobs(value: &Value) -> Vec<TokenLogprob> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(|entry| {
        let top = entry.get("top_logprobs").and_then(Value::as_array);
        Some(TokenLogprob {
            token: entry.get("token")?.as_str()?.to_owned(),
            logprob: entry.get("logprob")?.as_f64()?,
            bytes: bytes(entry),
            top: top.into_iter().flatten().filter_map(top_logprob).collect(),
        })
    })
    .collect()
}

fn top_logprob(entry: &Value) -> Option<TopLogprob> {
    Some(TopLogprob {
        token: entry.get("token")?.as_str()?.to_owned(),
        logprob: entry.get("logprob")?.as_f64()?,
        bytes: bytes(entry),
    })
}

fn bytes(entry: &Value) -> Option<Vec<u8>> {
    let list = entry.get("bytes")?.as_array()?.iter();
    list.map(|byte| u8::try_from(byte.as_u64()?).ok()).collect()
}
