//! Seals in the ids of tool calls.
//!
//! Chat Completions has no place for sealed reasoning that every client keeps, but every client sends
//! an id back as it came. So the id of a call brings along what was sealed before it in its turn, and
//! the call's own seal: `call_1__tollgate__` and base64url of JSON. The part before the mark is the
//! provider's id. Clients take it all for an opaque string; whatever cannot be read is one.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use crate::conversation::{Content, Part, Seal};
use crate::format::Format;

/// Letters that any id may hold. The last one in an id counts, so that gateways behind gateways can
/// do the same.
const MARK: &str = "__tollgate__";

/// Something sealed of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A part of reasoning, which came after so many bytes of the turn's text.
    Reasoning {
        text: String,
        redacted: bool,
        seal: Seal,
        after: usize,
    },
    /// The seal of the text part that begins after so many bytes of text.
    Text { seal: Seal, after: usize },
    /// The seal of the call itself.
    Call(Seal),
}

#[derive(Serialize, Deserialize)]
struct Wire {
    /// The text of reasoning.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    redacted: bool,
    #[serde(rename = "t", default, skip_serializing_if = "std::ops::Not::not")]
    is_text: bool,
    #[serde(rename = "a", default, skip_serializing_if = "is_zero")]
    after: usize,
    #[serde(rename = "f")]
    format: String,
    #[serde(rename = "s")]
    seal: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Item {
    /// What of `part` must come back; `after` bytes of text stood before it.
    pub fn of(part: &Part, after: usize) -> Option<Item> {
        let seal = part.seal.clone()?;
        match &part.content {
            Content::Reasoning { text, redacted } => Some(Item::Reasoning {
                text: text.clone(),
                redacted: *redacted,
                seal,
                after,
            }),
            Content::Text { .. } => Some(Item::Text { seal, after }),
            Content::ToolCall { .. } => Some(Item::Call(seal)),
            _ => None,
        }
    }

    /// Bytes of reasoning in it.
    pub fn text_length(&self) -> usize {
        match self {
            Item::Reasoning { text, .. } => text.len(),
            Item::Text { .. } | Item::Call(_) => 0,
        }
    }

    fn wire(&self) -> Wire {
        let (seal, after) = match self {
            Item::Reasoning { seal, after, .. } | Item::Text { seal, after } => (seal, *after),
            Item::Call(seal) => (seal, 0),
        };
        let mut wire = Wire {
            reasoning: None,
            redacted: false,
            is_text: matches!(self, Item::Text { .. }),
            after,
            format: seal.format.name().to_owned(),
            seal: seal.data.clone(),
        };
        if let Item::Reasoning { text, redacted, .. } = self {
            wire.reasoning = Some(text.clone());
            wire.redacted = *redacted;
        }
        wire
    }

    fn of_wire(wire: Wire) -> Option<Item> {
        let seal = Seal::new(Format::by_name(&wire.format)?, wire.seal);
        Some(match (wire.reasoning, wire.is_text) {
            (Some(text), _) => Item::Reasoning {
                text,
                redacted: wire.redacted,
                seal,
                after: wire.after,
            },
            (None, true) => Item::Text {
                seal,
                after: wire.after,
            },
            (None, false) => Item::Call(seal),
        })
    }
}

/// The id for the client: the provider's own, and what it carries.
pub(super) fn write(id: &str, items: &[Item]) -> String {
    if items.is_empty() {
        return id.to_owned();
    }
    let wire: Vec<Wire> = items.iter().map(Item::wire).collect();
    let json = serde_json::to_vec(&wire).expect("strings and numbers are JSON");
    format!("{id}{MARK}{}", URL_SAFE_NO_PAD.encode(json))
}

/// The provider's id, and what the client's id carries.
pub(super) fn read(id: &str) -> (&str, Vec<Item>) {
    split(id).unwrap_or((id, Vec::new()))
}

fn split(id: &str) -> Option<(&str, Vec<Item>)> {
    let (own, carried) = id.rsplit_once(MARK)?;
    let json = URL_SAFE_NO_PAD.decode(carried).ok()?;
    let wire: Vec<Wire> = serde_json::from_slice(&json).ok()?;
    let items = wire.into_iter().filter_map(Item::of_wire).collect();
    Some((own, items))
}

/// A request as its client sent it, with the ids alone: for a pass-through to a provider that did not
/// seal them and takes short ids only. `None` where nothing is carried.
pub(crate) fn without_seals(body: &[u8]) -> Option<Vec<u8>> {
    let places = places(body);
    // nearly every request; its bytes are not to be copied
    if places.is_empty() {
        return None;
    }
    let mut at = 0;
    let mut left = Vec::with_capacity(body.len());
    for place in &places {
        left.extend_from_slice(&body[at..place.start]);
        at = place.end;
    }
    left.extend_from_slice(&body[at..]);
    Some(left)
}

/// Where in the bytes of a request ids carry seals: the mark and all that follows it in the id.
fn places(body: &[u8]) -> Vec<std::ops::Range<usize>> {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));
    FINDER
        .find_iter(body)
        .filter_map(|start| {
            let after = start + MARK.len();
            let length = memchr::memchr(b'"', &body[after..])?;
            let carried = &body[after..after + length];
            let json = URL_SAFE_NO_PAD.decode(carried).ok()?;
            serde_json::from_slice::<Vec<Wire>>(&json).ok()?;
            Some(start..after + length)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<Item> {
        vec![
            Item::Reasoning {
                text: "Let me \u{1F914} \"think\"".to_owned(),
                redacted: false,
                seal: Seal::new(Format::Anthropic, "ErUB+/=="),
                after: 0,
            },
            Item::Reasoning {
                text: String::new(),
                redacted: true,
                seal: Seal::new(Format::Anthropic, "redacted"),
                after: 12,
            },
            Item::Text {
                seal: Seal::new(Format::Gemini, "CiQ="),
                after: 3,
            },
            Item::Call(Seal::new(Format::Gemini, "EqQB")),
        ]
    }

    #[test]
    fn what_an_id_carries_comes_back() {
        let id = write("toolu_1", &items());
        assert!(id.starts_with("toolu_1__tollgate__"));
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        );
        assert_eq!(read(&id), ("toolu_1", items()));
    }

    #[test]
    fn an_id_without_seals_is_left_alone() {
        assert_eq!(write("call_1", &[]), "call_1");
        for id in [
            "call_1",
            "",
            "__tollgate__",
            "a__tollgate__!!",
            "a__tollgate__AAAA",
        ] {
            assert_eq!(read(id), (id, Vec::new()));
        }
    }

    #[test]
    fn a_gateway_behind_a_gateway_gets_its_own_back() {
        let inner = write("call_1", &items());
        let outer = write(&inner, &items()[..1]);
        let (own, carried) = read(&outer);
        assert_eq!(own, inner);
        assert_eq!(carried, items()[..1]);
    }

    #[test]
    fn a_body_is_left_as_it_was_but_for_what_ids_carry() {
        let id = write("call_1", &items());
        let body = format!(r#"{{"a":"{id}","b":"x__tollgate__ no","c":"{id}"}}"#);
        let left = without_seals(body.as_bytes()).unwrap();
        let expected = r#"{"a":"call_1","b":"x__tollgate__ no","c":"call_1"}"#;
        assert_eq!(String::from_utf8(left).unwrap(), expected);
        assert_eq!(without_seals(expected.as_bytes()), None);
    }
}
