//! JSON schemas as Anthropic's structured output takes them: closed objects, and no limits on numbers
//! or lengths. Limits go into the description, where the model can read them.

use serde_json::{Map, Value};

/// Keywords that are refused, but only narrow what a value may be.
const LIMITS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
];

/// Formats of strings that are known.
const FORMATS: &[&str] = &[
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Keywords that hold one schema, a list of them, or schemas by name.
const SINGLE: &[&str] = &["items"];
const LISTS: &[&str] = &["anyOf", "allOf", "prefixItems"];
const NAMED: &[&str] = &["properties", "$defs", "definitions"];

/// The schema in the form that is taken; `None` where it means what cannot be said so, such as an
/// object with members of any name.
pub(in crate::format) fn closed(schema: &Value) -> Option<Value> {
    let Value::Object(members) = schema else {
        // `true`: anything
        return None;
    };
    let mut out = Map::new();
    let mut limits = Vec::new();
    for (keyword, value) in members {
        let name = &**keyword;
        let is_limit = LIMITS.contains(&name)
            || name == "minItems" && value.as_u64().is_none_or(|count| count > 1)
            || name == "format" && !value.as_str().is_some_and(|word| FORMATS.contains(&word));
        if is_limit {
            limits.push(format!("{name}: {value}"));
            continue;
        }
        match name {
            "patternProperties" | "if" | "not" | "dependentSchemas" => return None,
            "additionalProperties" if *value != Value::Bool(false) => return None,
            "oneOf" => out.insert("anyOf".to_owned(), list(value)?),
            _ if LISTS.contains(&name) => out.insert(keyword.clone(), list(value)?),
            _ if SINGLE.contains(&name) => out.insert(keyword.clone(), closed(value)?),
            _ if NAMED.contains(&name) => out.insert(keyword.clone(), named(value)?),
            _ => out.insert(keyword.clone(), value.clone()),
        };
    }
    if is_object(&out) {
        if !out.contains_key("properties") {
            return None;
        }
        out.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !limits.is_empty() {
        let note = format!("{{{}}}", limits.join(", "));
        let text = match out.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description}\n\n{note}"),
            None => note,
        };
        out.insert("description".to_owned(), Value::String(text));
    }
    Some(Value::Object(out))
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(word)) => word == "object",
        Some(Value::Array(words)) => words.iter().any(|word| word == "object"),
        _ => schema.contains_key("properties"),
    }
}

fn list(value: &Value) -> Option<Value> {
    value.as_array()?.iter().map(closed).collect()
}

fn named(value: &Value) -> Option<Value> {
    let members = value.as_object()?;
    members
        .iter()
        .map(|(name, schema)| Some((name.clone(), closed(schema)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_closed_and_limits_are_told() {
        let schema = json!({
            "type": "object",
            "properties": {
                "age": {"type": "integer", "minimum": 1, "description": "In years."},
                "tags": {"type": "array", "items": {"type": "object", "properties": {}}},
            },
        });
        assert_eq!(
            closed(&schema),
            Some(json!({
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "age": {"type": "integer", "description": "In years.\n\n{minimum: 1}"},
                    "tags": {"type": "array", "items":
                        {"type": "object", "properties": {}, "additionalProperties": false}},
                },
            }))
        );
    }

    #[test]
    fn open_objects_cannot_be_said() {
        for open in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "additionalProperties": true}),
            json!({"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}]}),
            json!(true),
        ] {
            assert_eq!(closed(&open), None, "{open}");
        }
    }
}
