//! The response object around the output: what it says of the call, and what it repeats of the request.

use serde_json::{Map, Value, json};

use crate::conversation::Stop;
use crate::format::Shown;
use crate::provider::UpstreamError;
use crate::usage::Usage;

/// What every response object has, and the value it has where the request says nothing.
const ECHOED: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("safety_identifier", "null"),
    ("store", "true"),
    ("temperature", "null"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// One response: its own words, and the echo as JSON text, made once.
#[derive(Debug)]
pub(super) struct Response {
    /// `resp_…`, unique as the gateway's own id of the call is.
    pub id: String,
    /// The end of the ids of its items.
    pub suffix: String,
    pub model: String,
    pub created: i64,
    /// Members, each with a comma before it.
    echo: Vec<u8>,
}

/// How far a response is, and what came of it.
#[derive(Debug, Default)]
pub(super) struct State<'a> {
    pub status: &'static str,
    /// The JSON texts of the output items, with commas between them.
    pub output: &'a [u8],
    pub incomplete: Option<&'static str>,
    pub error: Option<&'a UpstreamError>,
    pub usage: Option<&'a Usage>,
    pub service_tier: Option<&'a str>,
}

impl Response {
    pub fn new(shown: &Shown) -> Response {
        let is_safe = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let suffix: String = shown.id.chars().filter(is_safe).collect();
        let empty = Map::new();
        let request = shown.request.as_ref().and_then(Value::as_object);
        Response {
            id: format!("resp_{suffix}"),
            suffix,
            model: shown.model.clone(),
            created: shown.created,
            echo: echo(request.unwrap_or(&empty)),
        }
    }

    /// Writes the response object.
    pub fn write(&self, state: &State<'_>, out: &mut Vec<u8>) {
        let mut head = Map::new();
        let mut put = |name: &str, value: Value| {
            head.insert(name.to_owned(), value);
        };
        put("id", json!(self.id));
        put("object", json!("response"));
        put("created_at", json!(self.created));
        put("model", json!(self.model));
        put("status", json!(state.status));
        put("error", state.error.map_or(Value::Null, error));
        put(
            "incomplete_details",
            state
                .incomplete
                .map_or(Value::Null, |reason| json!({"reason": reason})),
        );
        put("usage", state.usage.map_or(Value::Null, usage));
        put(
            "service_tier",
            json!(state.service_tier.unwrap_or("default")),
        );
        write_json(&head, out);
        out.pop();
        out.extend_from_slice(b",\"output\":[");
        out.extend_from_slice(state.output);
        out.push(b']');
        out.extend_from_slice(&self.echo);
        out.push(b'}');
    }
}

/// Appends JSON text.
pub(super) fn write_json(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("values of ours are JSON, and memory takes every write");
}

fn echo(request: &Map<String, Value>) -> Vec<u8> {
    let mut echo = Vec::new();
    let mut put = |name: &str, value: &Value| {
        echo.push(b',');
        write_json(&name, &mut echo);
        echo.push(b':');
        write_json(value, &mut echo);
    };
    let given = |name: &str| request.get(name).filter(|value| !value.is_null());
    for (name, default) in ECHOED {
        match given(name) {
            Some(value) => put(name, value),
            None => put(
                name,
                &serde_json::from_str(default).expect("the table holds JSON"),
            ),
        }
    }
    put("reasoning", &reasoning(given("reasoning")));
    put("text", &text(given("text")));
    echo
}

fn reasoning(given: Option<&Value>) -> Value {
    let member = |name: &str| given.and_then(|given| given.get(name)).cloned();
    json!({
        "effort": member("effort"),
        "summary": member("summary").or_else(|| member("generate_summary")),
    })
}

fn text(given: Option<&Value>) -> Value {
    let mut text = given
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    text.retain(|_, value| !value.is_null());
    for (name, default) in [
        ("format", json!({"type": "text"})),
        ("verbosity", json!("medium")),
    ] {
        text.entry(name).or_insert(default);
    }
    Value::Object(text)
}

/// `response.error`.
fn error(error: &UpstreamError) -> Value {
    json!({"code": error_code(error), "message": error.message})
}

pub(super) fn error_code(error: &UpstreamError) -> &str {
    match (&error.code, error.status) {
        (Some(code), _) => code,
        (None, 429) => "rate_limit_exceeded",
        (None, 400..500) => "invalid_prompt",
        (None, _) => "server_error",
    }
}

/// The usage object: input holds cached tokens, output holds reasoning.
fn usage(usage: &Usage) -> Value {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    json!({
        "input_tokens": usage.prompt_tokens(),
        "input_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": written,
        },
        "output_tokens": usage.completion_tokens(),
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total_tokens(),
    })
}

/// `status` and `incomplete_details.reason` of an answer that stopped so. A refusal whose words are in
/// the answer is complete with them.
pub(super) fn status(
    stop: Option<&Stop>,
    has_refusal: bool,
) -> (&'static str, Option<&'static str>) {
    match stop {
        Some(Stop::Refusal) if !has_refusal => ("incomplete", Some("content_filter")),
        Some(Stop::MaxTokens) => ("incomplete", Some("max_output_tokens")),
        Some(Stop::Filtered) => ("incomplete", Some("content_filter")),
        _ => ("completed", None),
    }
}
