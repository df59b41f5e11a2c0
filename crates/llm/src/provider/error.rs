//! What a provider's error body says, in whatever shape it says it.

use base::{Code, Error};
use serde_json::Value;

/// The longest message that is passed on, in characters.
const MAX_MESSAGE: usize = 4000;

/// An error answer of a provider, in OpenAI's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamError {
    pub status: u16,
    pub message: String,
    /// `error.type`
    pub kind: Option<String>,
    /// `error.code`; a number becomes text.
    pub code: Option<String>,
    /// `error.param`
    pub param: Option<String>,
}

impl UpstreamError {
    /// Reads an error body: OpenAI's object, a bare string, FastAPI's `detail`, Google's array,
    /// plain text, a page of HTML, or nothing.
    pub fn read(status: u16, body: &[u8]) -> UpstreamError {
        let mut error = UpstreamError {
            status,
            message: String::new(),
            kind: None,
            code: None,
            param: None,
        };
        match serde_json::from_slice::<Value>(body) {
            Ok(value) => error.take(&value),
            Err(_) => error.message = plain_text(body),
        }
        if error.message.trim().is_empty() {
            error.message = format!("the provider answered with status {status}");
        }
        if let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE) {
            error.message.truncate(end);
        }
        error.message = without_keys(&error.message);
        error
    }

    /// A stream that was cut, or cannot be read.
    pub fn of_stream(message: impl Into<String>) -> UpstreamError {
        UpstreamError {
            status: 502,
            message: message.into(),
            kind: Some("upstream_error".to_owned()),
            code: None,
            param: None,
        }
    }

    /// Looks for the message in the places where providers put it.
    fn take(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.message.clone_from(text),
            Value::Array(items) => {
                if let Some(first) = items.first() {
                    self.take(first);
                }
            }
            Value::Object(object) => {
                for (field, slot) in [
                    ("type", &mut self.kind),
                    ("code", &mut self.code),
                    ("param", &mut self.param),
                ] {
                    *slot = object.get(field).and_then(word).or(slot.take());
                }
                if self.kind.is_none() {
                    // Google names the meaning here.
                    self.kind = object
                        .get("status")
                        .and_then(Value::as_str)
                        .map(str::to_owned);
                }
                for field in [
                    "error",
                    "message",
                    "detail",
                    "msg",
                    "errors",
                    "error_message",
                ] {
                    if self.message.is_empty()
                        && let Some(inner) = object.get(field)
                    {
                        self.take(inner);
                    }
                }
            }
            _ => {}
        }
    }

    /// Whether another deployment, or a later try, may succeed where this call failed.
    pub fn is_retryable(&self) -> bool {
        match self.status {
            429 => self.code.as_deref() != Some("insufficient_quota"),
            408 | 409 => true,
            status => status >= 500,
        }
    }

    /// The error for the caller: the provider's status, message, type and parameter; its code is in
    /// the details (`{"code": …}`).
    pub fn into_error(self, provider: &str) -> Error {
        let code = match self.status {
            500.. => Code::UpstreamUnavailable,
            _ => Code::UpstreamRefused,
        };
        let log = format!("{provider} answered {}: {}", self.status, self.message);
        let mut error = Error::new(code, self.message)
            .with_status(self.status)
            .caused_by(log);
        if let Some(kind) = self.kind {
            error = error.with_kind(kind);
        }
        if let Some(param) = self.param {
            error = error.param(param);
        }
        if let Some(code) = self.code {
            error = error.with_details(serde_json::json!({ "code": code }));
        }
        error
    }
}

/// Providers quote the key they refuse, more or less masked. It is the gateway's, so nothing of it
/// goes to a caller or a log.
fn without_keys(message: &str) -> String {
    let mut clean = String::with_capacity(message.len());
    for word in message.split_inclusive(char::is_whitespace) {
        if word.split(|c: char| !is_of_key(c)).any(is_key) {
            clean.push_str("[redacted]");
            clean.push_str(&word[word.trim_end().len()..]);
        } else {
            clean.push_str(word);
        }
    }
    clean
}

fn is_of_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*')
}

fn is_key(part: &str) -> bool {
    let has_prefix = || KEY_PREFIXES.iter().any(|prefix| part.starts_with(prefix));
    part.contains("**") || part.len() >= 12 && has_prefix()
}

const KEY_PREFIXES: &[&str] = &[
    "sk-", "gsk_", "xai-", "hf_", "AIza", "nvapi-", "pplx-", "csk-", "fw_", "tgp_", "vck_",
];

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of a body that is no JSON: of a page of HTML its title.
fn plain_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let is_page = lower.trim_start().starts_with("<!doctype") || lower.contains("<html");
    let text = match (is_page, lower.find("<title>"), lower.find("</title>")) {
        (true, Some(start), Some(end)) if start + 7 <= end => &text[start + 7..end],
        (true, _, _) => "",
        (false, _, _) => &text,
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
