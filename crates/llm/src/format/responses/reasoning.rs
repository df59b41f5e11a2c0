//! Reasoning items and the seals in them.
//!
//! A client of this format keeps nothing of a foreign provider but `encrypted_content`. So a seal of
//! another format travels there, wrapped ([`Seal::write`]); before its data stands what it seals,
//! where that is not the item's own text:
//! - `redacted:`, reasoning that the provider shows to nobody;
//! - `next:`, the call or text that follows the item; the item itself says nothing;
//! - `last:`, the call or text before the item.

use serde_json::{Map, Value, json};

use super::FORMAT;
use crate::conversation::{Content, Part, Seal};

const REDACTED: &str = "redacted:";
const NEXT: &str = "next:";
const LAST: &str = "last:";

/// What a seal without reasoning of its own belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    Next,
    Last,
}

/// What a client's reasoning item means.
pub(super) enum Replayed {
    Reasoning(Part),
    /// The seal of another part.
    Of(Neighbour, Seal),
}

/// Reads the reasoning item that a client sends back.
pub(super) fn replayed(item: &Map<String, Value>) -> Replayed {
    let encrypted = item.get("encrypted_content").and_then(Value::as_str);
    let seal = encrypted.map(|text| Seal::read(FORMAT, text));
    let Some(Seal { format, data }) = seal.filter(|seal| seal.format != FORMAT) else {
        return Replayed::Reasoning(own(item));
    };
    for (mark, neighbour) in [(NEXT, Neighbour::Next), (LAST, Neighbour::Last)] {
        if let Some(data) = data.strip_prefix(mark) {
            return Replayed::Of(neighbour, Seal::new(format, data));
        }
    }
    let (redacted, data) = match data.strip_prefix(REDACTED) {
        Some(data) => (true, data),
        None => (false, &*data),
    };
    Replayed::Reasoning(Part {
        content: Content::Reasoning {
            text: text(item),
            redacted,
        },
        cache: None,
        seal: Some(Seal::new(format, data)),
    })
}

/// Reads a reasoning item of this format's own provider: the seal is the item, where it holds
/// something that the provider wants back.
pub(super) fn own(item: &Map<String, Value>) -> Part {
    let text = text(item);
    let is_set = |name: &str| match item.get(name) {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(parts)) => !parts.is_empty(),
        _ => false,
    };
    let seal = (is_set("encrypted_content") || is_set("content")).then(|| {
        let mut kept = item.clone();
        kept.remove("status");
        Seal::new(FORMAT, Value::Object(kept).to_string())
    });
    Part {
        content: Content::Reasoning {
            redacted: text.is_empty() && seal.is_some(),
            text,
        },
        cache: None,
        seal,
    }
}

/// The thoughts where they are shown, else their summary.
fn text(item: &Map<String, Value>) -> String {
    for name in ["content", "summary"] {
        let parts = item.get(name).and_then(Value::as_array);
        let texts: Vec<&str> = parts
            .into_iter()
            .flatten()
            .filter_map(|part| part.get("text")?.as_str())
            .collect();
        if !texts.is_empty() {
            return texts.join("\n\n");
        }
    }
    String::new()
}

/// What stands in `encrypted_content` for the seal of a reasoning part of another format.
pub(super) fn wrapped(seal: &Seal, redacted: bool) -> String {
    match redacted {
        true => marked(REDACTED, seal),
        false => seal.write(FORMAT),
    }
}

/// What stands in `encrypted_content` for the seal of a neighbour.
pub(super) fn wrapped_neighbour(seal: &Seal, neighbour: Neighbour) -> String {
    let mark = match neighbour {
        Neighbour::Next => NEXT,
        Neighbour::Last => LAST,
    };
    marked(mark, seal)
}

fn marked(mark: &str, seal: &Seal) -> String {
    Seal::new(seal.format, format!("{mark}{}", seal.data)).write(FORMAT)
}

/// The item that this format's own seal holds.
pub(super) fn sealed_item(seal: &Seal) -> Option<Map<String, Value>> {
    serde_json::from_str(seal.for_format(FORMAT)?).ok()
}

/// The summary of an item that shows `text`.
pub(super) fn summary(text: &str) -> Value {
    match text.is_empty() {
        true => json!([]),
        false => json!([{"type": "summary_text", "text": text}]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn foreign_seals_come_back_to_what_they_sealed() {
        let seal = Seal::new(Format::Gemini, "Eq+/=");
        let item = object(json!({
            "type": "reasoning",
            "summary": [],
            "encrypted_content": wrapped_neighbour(&seal, Neighbour::Next)
        }));
        assert!(matches!(
            replayed(&item),
            Replayed::Of(Neighbour::Next, found) if found == seal
        ));

        let item = object(json!({
            "type": "reasoning",
            "summary": summary("so it is"),
            "encrypted_content": wrapped(&seal, true)
        }));
        let Replayed::Reasoning(part) = replayed(&item) else {
            panic!("no reasoning");
        };
        assert_eq!(part.seal, Some(seal));
        assert_eq!(
            part.content,
            Content::Reasoning {
                text: "so it is".to_owned(),
                redacted: true
            }
        );
    }

    #[test]
    fn an_own_item_is_its_seal() {
        let item = object(json!({
            "type": "reasoning", "id": "rs_1", "status": "completed",
            "summary": [], "encrypted_content": "gAAAA-_"
        }));
        let part = own(&item);
        let back = sealed_item(part.seal.as_ref().unwrap()).unwrap();
        assert_eq!(back.get("encrypted_content"), item.get("encrypted_content"));
        assert_eq!(back.get("id"), item.get("id"));
        assert_eq!(back.get("status"), None);
    }

    use crate::format::Format;
}
