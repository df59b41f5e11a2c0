//! Other providers' seals in a request that passes to Anthropic as it is.

use std::ops::Range;

use super::{LONE_SEAL, NEXT_SEAL, PREVIOUS_SEAL};
use crate::conversation::WRAPPED_MARK;
use crate::format::foreign::{self, Turns};
use crate::json;

const MESSAGES: Turns = Turns {
    turns: b"messages",
    parts: b"content",
    is_foreign,
    nothing_left: br#"{"type":"text","text":"(nothing)"}"#,
};

/// A request as its client sent it, without the blocks of thinking that another provider's model
/// thought. `None` where there are none.
pub(crate) fn without_seals(body: &[u8]) -> Option<Vec<u8>> {
    foreign::without(body, &MESSAGES)
}

fn is_foreign(body: &[u8], block: &Range<usize>) -> bool {
    let member = |name: &[u8]| {
        let place = json::find(body, block.clone(), name)?;
        json::string_at(body, place)
    };
    let seal = match member(b"type").as_deref() {
        Some("thinking") => member(b"signature"),
        Some("redacted_thinking") => member(b"data"),
        _ => None,
    };
    seal.is_some_and(|seal| {
        let places = [NEXT_SEAL, PREVIOUS_SEAL, LONE_SEAL];
        let placed = places.iter().find_map(|place| seal.strip_prefix(place));
        placed.unwrap_or(&seal).starts_with(WRAPPED_MARK)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::conversation::Seal;
    use crate::format::Format;

    #[test]
    fn foreign_thoughts_are_cut_out() {
        let seal = Seal::new(Format::Gemini, "g").write(Format::Anthropic);
        let foreign = json!({"type": "thinking", "thinking": "x", "signature": seal});
        let placed = json!({"type": "redacted_thinking", "data": format!("{NEXT_SEAL}{seal}")});
        let own = json!({"type": "thinking", "thinking": "x", "signature": "Eq"});
        let text = json!({"type": "text", "text": seal});
        for (content, expected) in [
            (json!([foreign, own, placed, text]), json!([own, text])),
            (json!([own, foreign, placed]), json!([own])),
            (
                json!([placed, foreign, text, placed, placed, own]),
                json!([text, own]),
            ),
            (
                json!([placed]),
                json!([{"type": "text", "text": "(nothing)"}]),
            ),
        ] {
            let body = |content: &Value| {
                json!({"model": "m", "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": content}]})
            };
            for original in [body(&content).to_string(), format!("{:#}", body(&content))] {
                let left = without_seals(original.as_bytes()).expect("something was cut");
                let left: Value = serde_json::from_slice(&left).expect("JSON");
                assert_eq!(left, body(&expected));
            }
        }
        let own = json!({"messages": [{"role": "assistant", "content": [own, text]}]});
        assert_eq!(without_seals(own.to_string().as_bytes()), None);
    }
}
