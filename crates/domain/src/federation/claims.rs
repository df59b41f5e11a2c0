//! Reading what an identity provider claims.

use serde_json::{Map, Value};

pub type Claims = Map<String, Value>;

/// More values than anybody has groups.
const MOST: usize = 1_000;

/// The claim of a name; dots lead into objects (`realm_access.roles`), unless a claim is called so.
pub fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    let found = claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    });
    found.filter(|value| !value.is_null())
}

/// A claim as text: numbers are ids, too.
pub fn text(claims: &Claims, path: &str) -> Option<String> {
    let text = match find(claims, path)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// All texts of a claim: of a list, or the one that it is.
pub fn texts(claims: &Claims, path: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match find(claims, path) {
        Some(Value::Array(values)) => values.iter().take(MOST).filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// `true`, as some providers spell it.
pub fn is_true(claims: &Claims, path: &str) -> bool {
    match find(claims, path) {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_found_by_name_and_by_path() {
        let Value::Object(claims) = json!({
            "a.b": "whole", "a": {"b": "deep", "c": ["x", 1, "y"]}, "n": 7, "e": " ", "t": "true",
        }) else {
            panic!()
        };
        assert_eq!(text(&claims, "a.b").as_deref(), Some("whole"));
        assert_eq!(texts(&claims, "a.c"), ["x", "y"]);
        assert_eq!(text(&claims, "n").as_deref(), Some("7"));
        assert_eq!(text(&claims, "e"), None);
        assert_eq!(text(&claims, "a.z.q"), None);
        assert!(is_true(&claims, "t") && !is_true(&claims, "n"));
    }
}
