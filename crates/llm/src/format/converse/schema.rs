//! JSON schemas as Bedrock's structured output takes them: every object is closed.

use serde_json::{Map, Value};

/// The schema with its objects closed; `None` where it wants an object with members of any name, or
/// has a keyword that constrained decoding does not know.
pub(super) fn closed(schema: &Value) -> Option<Value> {
    let members = schema.as_object()?;
    let mut out = Map::new();
    for (keyword, value) in members {
        let value = match &**keyword {
            "patternProperties" | "if" | "not" | "dependentSchemas" => return None,
            "additionalProperties" if *value != Value::Bool(false) => return None,
            "items" => closed(value)?,
            "anyOf" | "allOf" | "oneOf" | "prefixItems" => value
                .as_array()?
                .iter()
                .map(closed)
                .collect::<Option<_>>()?,
            "properties" | "$defs" | "definitions" => named(value)?,
            _ => value.clone(),
        };
        out.insert(keyword.clone(), value);
    }
    let is_object = match out.get("type") {
        Some(Value::String(word)) => word == "object",
        Some(Value::Array(words)) => words.iter().any(|word| word == "object"),
        _ => out.contains_key("properties"),
    };
    if is_object {
        if !out.contains_key("properties") {
            return None;
        }
        out.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Some(Value::Object(out))
}

fn named(schemas: &Value) -> Option<Value> {
    let schemas = schemas.as_object()?;
    schemas
        .iter()
        .map(|(name, schema)| Some((name.clone(), closed(schema)?)))
        .collect::<Option<Map<_, _>>>()
        .map(Value::Object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_closed_or_cannot_be_said() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "array", "items": {"type": "object", "properties": {}}}}});
        assert_eq!(
            closed(&schema),
            Some(
                json!({"type": "object", "additionalProperties": false, "properties": {
                "a": {"type": "array", "items":
                    {"type": "object", "properties": {}, "additionalProperties": false}}}})
            )
        );
        for open in [
            json!({"type": "object"}),
            json!({"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}]}),
            json!(true),
        ] {
            assert_eq!(closed(&open), None, "{open}");
        }
    }
}
