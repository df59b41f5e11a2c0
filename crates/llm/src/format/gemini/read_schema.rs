//! Google's schemas (a part of OpenAPI 3.0, with types in capitals) as JSON schema.

use serde_json::{Map, Value, json};

/// A schema of Google's as JSON schema. What is JSON schema already stays as it is.
pub(super) fn to_json_schema(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    let mut is_nullable = false;
    for (name, value) in members {
        if value.is_null() && name != "default" {
            continue;
        }
        match &**name {
            "type" => {
                if let Some(word) = type_word(value) {
                    out.insert("type".to_owned(), word);
                }
            }
            "nullable" => is_nullable = value == &Value::Bool(true),
            "properties" | "$defs" | "defs" => {
                let name = name.replace("defs", "$defs").replace("$$", "$");
                out.insert(name, each(value));
            }
            "items" | "additionalProperties" | "additional_properties" => {
                let name = name.replace("additional_properties", "additionalProperties");
                out.insert(name, to_json_schema(value));
            }
            "anyOf" | "any_of" | "oneOf" | "allOf" | "prefixItems" => {
                out.insert(name.replace("any_of", "anyOf"), each(value));
            }
            "ref" => {
                out.insert("$ref".to_owned(), value.clone());
            }
            "example" => {
                out.insert("examples".to_owned(), json!([value]));
            }
            // the order of members in the answer, which JSON schema does not know
            "propertyOrdering" | "property_ordering" => {}
            "maxItems" | "minItems" | "maxLength" | "minLength" | "maxProperties"
            | "minProperties" | "max_items" | "min_items" | "max_length" | "min_length"
            | "max_properties" | "min_properties" => {
                out.insert(super::read_request::camel_case(name), as_number(value));
            }
            // `enum` is a format of strings in Google's schemas alone
            "format" if value == "enum" => {}
            _ => {
                out.insert(name.clone(), value.clone());
            }
        }
    }
    if is_nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

fn each(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, schema)| (name.clone(), to_json_schema(schema)))
            .collect(),
        Value::Array(schemas) => schemas.iter().map(to_json_schema).collect(),
        other => other.clone(),
    }
}

fn type_word(value: &Value) -> Option<Value> {
    match value.as_str() {
        Some("TYPE_UNSPECIFIED") => None,
        Some(word) => Some(word.to_ascii_lowercase().into()),
        None => Some(value.clone()),
    }
}

/// int64 is text in protobuf's JSON.
fn as_number(value: &Value) -> Value {
    let number = value.as_str().and_then(|text| text.parse::<u64>().ok());
    number.map_or_else(|| value.clone(), Value::from)
}

fn allow_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(word @ Value::String(_)) => *word = json!([word.clone(), "null"]),
        Some(_) => {}
        None => {
            if let Some(Value::Array(schemas)) = schema.get_mut("anyOf") {
                schemas.push(json!({"type": "null"}));
            }
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && !words.contains(&Value::Null)
    {
        words.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_googles_becomes_json_schema() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {
                "name": {"type": "STRING", "nullable": true, "maxLength": "10"},
                "kind": {"type": "STRING", "format": "enum", "enum": ["a", "b"]},
                "list": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "min_items": "1"},
                "any": {"any_of": [{"type": "STRING"}, {"type": "NUMBER"}]},
            },
            "propertyOrdering": ["name", "kind"],
            "required": ["name"],
        });
        assert_eq!(
            to_json_schema(&schema),
            json!({
                "type": "object",
                "properties": {
                    "name": {"type": ["string", "null"], "maxLength": 10},
                    "kind": {"type": "string", "enum": ["a", "b"]},
                    "list": {"type": "array", "items": {"type": "integer", "format": "int32"}, "minItems": 1},
                    "any": {"anyOf": [{"type": "string"}, {"type": "number"}]},
                },
                "required": ["name"],
            })
        );
    }
}
