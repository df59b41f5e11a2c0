//! What a place wants of a body beside what its format says.

use bytes::Bytes;

use crate::json::{Cursor, quote};

/// What a body must say, or must not, beside what its format says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRule {
    /// Whether the body names the model; if not, a `model` in it is refused.
    pub has_model: bool,
    /// The `anthropic_version` that must stand in it.
    pub anthropic_version: Option<&'static str>,
}

impl BodyRule {
    /// The body as the place wants it: where the version belongs into it, it takes the place of the
    /// model. Other bytes stay as they are.
    pub fn apply(self, body: Bytes) -> Vec<Bytes> {
        let Some(version) = self.anthropic_version.filter(|_| !self.has_model) else {
            return vec![body];
        };
        let Some(place) = model_member(&body) else {
            return vec![body];
        };
        let member = format!("\"anthropic_version\":{}", quote(version));
        vec![
            body.slice(..place.start),
            member.into(),
            body.slice(place.end..),
        ]
    }
}

/// Where `"model": …` stands at the top of a body.
fn model_member(body: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut cursor = Cursor::new(body, 0);
    let mut members = cursor.members()?;
    while let Some(key) = members.key().ok()? {
        let value = members.value().ok()?;
        if *key.bytes(body) == *b"model" {
            return Some(key.quoted().start..value.end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERTEX: BodyRule = BodyRule {
        has_model: false,
        anthropic_version: Some("vertex-2023-10-16"),
    };

    fn applied(rule: BodyRule, body: &'static str) -> String {
        let pieces = rule.apply(Bytes::from_static(body.as_bytes()));
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn the_version_takes_the_place_of_the_model() {
        assert_eq!(
            applied(VERTEX, r#"{"a":{"model":1}, "model" : "m", "b":2}"#),
            r#"{"a":{"model":1}, "anthropic_version":"vertex-2023-10-16", "b":2}"#
        );
    }

    #[test]
    fn elsewhere_the_body_stays() {
        let rule = BodyRule {
            has_model: true,
            anthropic_version: None,
        };
        assert_eq!(applied(rule, r#"{"model":"m"}"#), r#"{"model":"m"}"#);
    }
}
