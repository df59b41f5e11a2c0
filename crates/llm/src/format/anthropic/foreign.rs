//! Other providers' seals in a request that passes to Anthropic as it is: it would refuse them.

use std::ops::Range;

use super::{LONE_SEAL, NEXT_SEAL, PREVIOUS_SEAL};
use crate::conversation::WRAPPED_MARK;
use crate::json::{self, Cursor};

/// Takes the place of a turn's content that held nothing but other providers' seals.
const NOTHING_LEFT: &[u8] = br#"{"type":"text","text":"(nothing)"}"#;

/// A request as its client sent it, without the blocks of thinking that another provider's model
/// thought. `None` where there are none.
pub(crate) fn without_seals(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(body, WRAPPED_MARK.as_bytes())?;
    let messages = json::find(body, 0..body.len(), b"messages")?;
    let mut cuts = Vec::new();
    for message in elements(body, messages) {
        if let Some(content) = json::find(body, message, b"content") {
            cut_blocks(body, content, &mut cuts);
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

/// The places of the elements of the array that stands at `place`; none of another value.
fn elements(body: &[u8], place: Range<usize>) -> Vec<Range<usize>> {
    let mut cursor = Cursor::new(body, place.start);
    let mut found = Vec::new();
    if let Some(mut elements) = cursor.elements() {
        while let Ok(true) = elements.more() {
            match elements.cursor.value() {
                Ok(element) => found.push(element),
                Err(_) => break,
            }
        }
    }
    found
}

/// Cuts foreign blocks out of a content, each with one comma.
fn cut_blocks(body: &[u8], content: Range<usize>, cuts: &mut Vec<(Range<usize>, &'static [u8])>) {
    let blocks = elements(body, content);
    let (mut kept_end, mut leading) = (None, None);
    for block in &blocks {
        match (is_foreign(body, block), kept_end) {
            (true, Some(end)) => cuts.push((end..block.end, b"")),
            (true, None) => {
                leading.get_or_insert(block.start);
                continue;
            }
            (false, _) => {
                if let Some(start) = leading.take() {
                    cuts.push((start..block.start, b""));
                }
            }
        }
        kept_end = Some(block.end);
    }
    if let (Some(start), Some(last)) = (leading, blocks.last()) {
        cuts.push((start..last.end, NOTHING_LEFT));
    }
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
