//! Other providers' seals in a request that passes to Google as it is: it would refuse them.

use std::ops::Range;

use crate::conversation::WRAPPED_MARK;
use crate::json::{self, Cursor};

/// Takes the place of a content that held nothing but other providers' seals.
const NOTHING_LEFT: &[u8] = br#"{"text":"(nothing)"}"#;

type Cuts = Vec<(Range<usize>, &'static [u8])>;

/// A request as its client sent it, without the parts that another provider's model thought. `None`
/// where there are none.
pub(crate) fn without_seals(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(body, WRAPPED_MARK.as_bytes())?;
    let contents = json::find(body, 0..body.len(), b"contents")?;
    let mut cuts = Vec::new();
    for content in elements(body, contents) {
        if let Some(parts) = json::find(body, content, b"parts") {
            cut_parts(body, parts, &mut cuts);
        }
    }
    if cuts.is_empty() {
        return None;
    }
    let mut left = Vec::with_capacity(body.len());
    let mut at = 0;
    for (place, instead) in cuts {
        left.extend_from_slice(&body[at..place.start]);
        left.extend_from_slice(instead);
        at = place.end;
    }
    left.extend_from_slice(&body[at..]);
    Some(left)
}

/// The places of the elements of the array at `place`; a single object is one.
fn elements(body: &[u8], place: Range<usize>) -> Vec<Range<usize>> {
    let mut cursor = Cursor::new(body, place.start);
    let mut found = Vec::new();
    match cursor.elements() {
        Some(mut elements) => {
            while let Ok(true) = elements.more() {
                match elements.cursor.value() {
                    Ok(element) => found.push(element),
                    Err(_) => break,
                }
            }
        }
        None => found.push(place),
    }
    found
}

/// Cuts foreign parts out of a content, each with one comma.
fn cut_parts(body: &[u8], place: Range<usize>, cuts: &mut Cuts) {
    let parts = elements(body, place);
    let (mut kept_end, mut leading): (Option<usize>, Option<usize>) = (None, None);
    for part in &parts {
        match (is_foreign(body, part), kept_end) {
            (true, Some(end)) => {
                cuts.push((end..part.end, b""));
                kept_end = Some(part.end);
            }
            (true, None) => {
                leading.get_or_insert(part.start);
            }
            (false, _) => {
                if let Some(start) = leading.take() {
                    cuts.push((start..part.start, b""));
                }
                kept_end = Some(part.end);
            }
        }
    }
    if let (Some(start), Some(last)) = (leading, parts.last()) {
        cuts.push((start..last.end, NOTHING_LEFT));
    }
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
