//! Paths of attributes (RFC 7644 §3.10): `name.familyName`, or behind the URN of a schema.
//!
//! Names of attributes are the same in every case, so they are compared that way.

use serde_json::{Map, Value};

use super::{GROUP_SCHEMA, USER_SCHEMA};

/// The steps from a resource to an attribute; none: the resource itself.
pub type Steps = Vec<String>;

/// Reads the steps of a path.
pub fn steps(text: &str) -> Steps {
    let text = text.trim();
    for core in [USER_SCHEMA, GROUP_SCHEMA] {
        if let Some(rest) = behind(text, core) {
            return dotted(rest);
        }
    }
    if !text.to_ascii_lowercase().starts_with("urn:") {
        return dotted(text);
    }
    // the URN of an extension ends with what it extends
    let lower = text.to_ascii_lowercase();
    for kind in [":user", ":group"] {
        if let Some(at) = lower.rfind(kind) {
            let (schema, rest) = text.split_at(at + kind.len());
            let own = rest.strip_prefix(':');
            if rest.is_empty() || own.is_some() {
                let first = std::iter::once(schema.to_owned());
                return first.chain(dotted(own.unwrap_or_default())).collect();
            }
        }
    }
    vec![text.to_owned()]
}

/// What stands behind a schema's URN; empty for the URN alone.
fn behind<'a>(text: &'a str, schema: &str) -> Option<&'a str> {
    let start = text.get(..schema.len())?;
    if !start.eq_ignore_ascii_case(schema) {
        return None;
    }
    let rest = &text[schema.len()..];
    match rest {
        "" => Some(""),
        _ => rest.strip_prefix(':'),
    }
}

fn dotted(text: &str) -> Steps {
    let steps = text.split('.').filter(|step| !step.is_empty());
    steps.map(str::to_owned).collect()
}

/// The name under which an object has an attribute.
pub fn name_in(object: &Map<String, Value>, name: &str) -> Option<String> {
    if object.contains_key(name) {
        return Some(name.to_owned());
    }
    let mut names = object.keys();
    names.find(|own| own.eq_ignore_ascii_case(name)).cloned()
}

/// An attribute of an object.
pub fn attribute<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut all = object.iter();
        all.find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// Whatever stands at the end of the steps: of an attribute with several values, each of them.
pub fn leaves<'a>(value: &'a Value, steps: &[String]) -> Vec<&'a Value> {
    match (value, steps) {
        (Value::Array(values), _) => {
            let each = values.iter().flat_map(|value| leaves(value, steps));
            each.collect()
        }
        (Value::Null, _) => Vec::new(),
        (value, []) => vec![value],
        (Value::Object(object), [first, rest @ ..]) => {
            let next = attribute(object, first);
            next.map_or_else(Vec::new, |next| leaves(next, rest))
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_with_and_without_schemas() {
        const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let core = format!("{USER_SCHEMA}:name.familyName");
        let extended = format!("{ENTERPRISE}:manager.value");
        for (text, expected) in [
            ("userName", vec!["userName"]),
            ("name.familyName", vec!["name", "familyName"]),
            (core.as_str(), vec!["name", "familyName"]),
            (USER_SCHEMA, vec![]),
            (ENTERPRISE, vec![ENTERPRISE]),
            (extended.as_str(), vec![ENTERPRISE, "manager", "value"]),
            ("urn:acme:own", vec!["urn:acme:own"]),
            ("", vec![]),
        ] {
            assert_eq!(steps(text), expected, "{text}");
        }
    }

    #[test]
    fn leaves_are_found_in_every_case_and_in_each_of_several_values() {
        let resource = json!({"Emails": [{"value": "a"}, {"value": "b"}, {"type": "c"}]});
        let found = leaves(&resource, &steps("emails.VALUE"));
        assert_eq!(found, [&json!("a"), &json!("b")]);
        assert!(leaves(&resource, &steps("emails.value.more")).is_empty());
    }
}
