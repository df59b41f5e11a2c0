//! Other providers' seals in a request that passes to Google as it is.

use std::ops::Range;

use crate::conversation::WRAPPED_MARK;
use crate::format::foreign::{self, Turns};
use crate::json;

const CONTENTS: Turns = Turns {
    turns: b"contents",
    parts: b"parts",
    is_foreign,
    nothing_left: br#"{"text":"(nothing)"}"#,
};

/// A request as its client sent it, without the parts that another provider's model thought. `None`
/// where there are none.
pub(crate) fn without_seals(body: &[u8]) -> Option<Vec<u8>> {
    foreign::without(body, &CONTENTS)
}

/// A thought under another provider's seal. Other parts only Gemini seals.
fn is_foreign(body: &[u8], part: &Range<usize>) -> bool {
    let member = |name: &[u8]| json::find(body, part.clone(), name);
    let signature = member(b"thoughtSignature")
        .or_else(|| member(b"thought_signature"))
        .and_then(|place| json::string_at(body, place));
    let is_thought = member(b"thought").is_some_and(|place| body[place] == *b"true");
    is_thought && signature.is_some_and(|signature| signature.starts_with(WRAPPED_MARK))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::conversation::Seal;
    use crate::format::Format;

    #[test]
    fn foreign_thoughts_are_cut_out() {
        let seal = Seal::new(Format::Anthropic, "a").write(Format::Gemini);
        let foreign = json!({"text": "x", "thought": true, "thoughtSignature": seal});
        let snake = json!({"text": "", "thought": true, "thought_signature": seal});
        let own = json!({"text": "x", "thought": true, "thoughtSignature": "Eq"});
        let text = json!({"text": seal});
        for (parts, expected) in [
            (json!([foreign, own, snake, text]), json!([own, text])),
            (json!([own, foreign, snake]), json!([own])),
            (
                json!([snake, text, foreign, foreign, own]),
                json!([text, own]),
            ),
            (json!([snake, foreign]), json!([{"text": "(nothing)"}])),
            (json!(snake), json!({"text": "(nothing)"})),
        ] {
            let body = |parts: &Value| {
                json!({"contents": [
                    {"role": "user", "parts": [{"text": "hi"}]},
                    {"role": "model", "parts": parts}]})
            };
            for original in [body(&parts).to_string(), format!("{:#}", body(&parts))] {
                let left = without_seals(original.as_bytes()).unwrap();
                let left: Value = serde_json::from_slice(&left).unwrap();
                assert_eq!(left, body(&expected));
            }
        }
        let own = json!({"contents": {"role": "model", "parts": [own, text]}});
        assert_eq!(without_seals(own.to_string().as_bytes()), None);
        assert_eq!(without_seals(WRAPPED_MARK.as_bytes()), None);
    }
}
