//! Counting tokens where no provider has counted.
//!
//! [`count_text`] and [`count_request`] run a tokenizer and are for what may take its time: a
//! tokenizer's tables are built at its first use (some 100 ms) and stay in memory (some 30 MB).
//! [`bound`] and [`rough`] are arithmetic.

use serde_json::Value;
use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// Text is tokenised in pieces of this size, so that no text takes more than its share of time.
const PIECE_BYTES: usize = 2048;
/// What OpenAI's chat format adds to each message, and to the answer's beginning.
const MESSAGE_TOKENS: u64 = 3;
/// An image of 1024 × 1024 in high detail at OpenAI.
const IMAGE_TOKENS: u64 = 765;
/// More than any image costs at OpenAI: gpt-4o-mini with the most tiles.
const MOST_IMAGE_TOKENS: u64 = 50_000;

/// An upper bound of the input tokens of a request with this body: every token of text stands for at
/// least one byte of it, and every image that the body names, but may not hold, is a large one.
pub fn bound(body: &[u8]) -> u64 {
    let images = memchr::memmem::find_iter(body, b"\"image_url\"").count() as u64;
    (body.len() as u64).saturating_add(images.saturating_mul(MOST_IMAGE_TOKENS))
}

/// About how many tokens a text of so many bytes has: four bytes each, as in English.
pub fn rough(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// The tokens of a text, by the tokenizer of the model where it is public, by OpenAI's newest one
/// otherwise.
pub fn count_text(model: &str, text: &str) -> u64 {
    count(tokenizer(model), text)
}

/// The input tokens of a request: its `messages` and `tools`, its `prompt`, or its `input`.
pub fn count_request(model: &str, request: &Value) -> u64 {
    let tokenizer = tokenizer(model);
    let messages = match request["messages"].as_array() {
        Some(messages) => messages
            .iter()
            .map(|message| MESSAGE_TOKENS + count_value(tokenizer, message))
            .fold(MESSAGE_TOKENS, u64::saturating_add),
        None => 0,
    };
    let tools = match &request["tools"] {
        Value::Null => 0,
        tools => count(tokenizer, &tools.to_string()),
    };
    messages
        + tools
        + count_input(tokenizer, &request["prompt"])
        + count_input(tokenizer, &request["input"])
}

/// The texts of a message: its role, name, content and calls.
fn count_value(tokenizer: &CoreBPE, value: &Value) -> u64 {
    match value {
        Value::String(text) => count(tokenizer, text),
        Value::Array(parts) => parts.iter().map(|part| count_value(tokenizer, part)).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match name.as_str() {
                "image_url" => IMAGE_TOKENS,
                "type" | "id" | "tool_call_id" | "cache_control" => 0,
                _ => count_value(tokenizer, value),
            })
            .sum(),
        _ => 0,
    }
}

/// A text, a list of texts, a list of tokens, or a list of these.
fn count_input(tokenizer: &CoreBPE, value: &Value) -> u64 {
    match value {
        Value::String(text) => count(tokenizer, text),
        Value::Array(items) => items.iter().map(|item| count_input(tokenizer, item)).sum(),
        Value::Number(_) => 1,
        _ => 0,
    }
}

fn count(tokenizer: &CoreBPE, text: &str) -> u64 {
    let mut rest = text;
    let mut tokens = 0;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(piece_end(rest));
        tokens += tokenizer.encode_ordinary(piece).len() as u64;
        rest = after;
    }
    tokens
}

fn tokenizer(model: &str) -> &'static CoreBPE {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    match get_tokenizer(name) {
        Some(Tokenizer::Cl100kBase) => tiktoken_rs::cl100k_base_singleton(),
        _ => tiktoken_rs::o200k_base_singleton(),
    }
}

/// The end of the first piece: before white space if there is some, else anywhere.
fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let limit = text.floor_char_boundary(PIECE_BYTES);
    // A token begins with the white space before its word.
    text[..limit]
        .rfind(char::is_whitespace)
        .filter(|at| *at > 0)
        .unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_counted_as_the_reference_counts_them() {
        let hi = json!({"messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(count_request("gpt-4o", &hi), 8);
        let hello = json!({"prompt": "hello world"});
        assert_eq!(count_request("openai/gpt-4o", &hello), 2);
        assert_eq!(
            count_request("text-embedding-3-small", &json!({"input": [1, 2, 3]})),
            3
        );
        assert_eq!(count_request("gpt-4o", &json!(7)), 0);
    }

    #[test]
    fn a_long_text_has_the_tokens_of_its_parts() {
        let word = count_text("gpt-4o", " wonderful");
        assert_eq!(
            count_text("gpt-4o", &" wonderful".repeat(1000)),
            1000 * word
        );
    }

    #[test]
    fn no_text_is_too_odd_to_count() {
        for text in [
            " ".repeat(20_000),
            "a".repeat(20_000),
            "\n\u{3000}é🙂".repeat(3_000),
        ] {
            let tokens = count_text("unknown-model", &text);
            assert!(tokens > 0 && tokens <= text.len() as u64);
        }
    }

    #[test]
    fn the_bound_is_never_below_the_count() {
        let text = "\u{0}\u{1}zxqj 🙂🙃 中文 !@#$%^&*()_+ \u{fffd}";
        let request = json!({"messages": [{"role": "user", "content": text}]});
        assert!(bound(request.to_string().as_bytes()) >= count_request("gpt-4o", &request));
        let image = json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}]});
        assert!(bound(image.to_string().as_bytes()) >= MOST_IMAGE_TOKENS);
    }
}
