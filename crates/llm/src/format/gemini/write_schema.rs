//! JSON schema as Gemini takes it.
//!
//! Models since Gemini 2 take JSON schema itself (`parametersJsonSchema`, `responseJsonSchema`), but
//! for a few words that they refuse. Older ones take Google's own schema: no references, no unions of
//! types, types in capitals.

use serde_json::{Map, Value, json};

/// How deep references are followed; a schema that contains itself ends there.
const MAX_DEPTH: usize = 16;

/// The most schemas that a schema may grow to while its references are put in.
const MAX_SCHEMAS: usize = 5000;

/// JSON schema without what Gemini refuses; what it allows is the same or a little more.
pub(super) fn cleaned(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    let is_reference = members.contains_key("$ref");
    for (name, value) in members {
        match &**name {
            "$schema" | "$comment" | "examples" | "discriminator" | "exclusiveMinimum"
            | "exclusiveMaximum" | "propertyNames" => {}
            "$defs" | "definitions" => {
                out.insert("$defs".to_owned(), each(value, &cleaned));
            }
            "$ref" => {
                let target = value.as_str().unwrap_or_default();
                let target = target.replacen("#/definitions/", "#/$defs/", 1);
                out.insert(name.clone(), target.into());
            }
            // nothing may stand beside a reference
            name if is_reference && !name.starts_with('$') => {}
            "const" => match value {
                Value::String(_) | Value::Number(_) => {
                    out.insert("enum".to_owned(), json!([value]));
                }
                Value::Bool(_) => {
                    out.insert("type".to_owned(), "boolean".into());
                }
                _ => {}
            },
            "properties" | "patternProperties" => {
                out.insert(name.clone(), each(value, &cleaned));
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                out.insert(name.clone(), each(value, &cleaned));
            }
            "items" | "additionalProperties" | "not" | "if" | "then" | "else" => {
                out.insert(name.clone(), cleaned(value));
            }
            _ => {
                out.insert(name.clone(), value.clone());
            }
        }
    }
    if !is_reference {
        bounds(members, &mut out);
    }
    Value::Object(out)
}

/// Bounds that exclude their value, as bounds that include one.
fn bounds(members: &Map<String, Value>, out: &mut Map<String, Value>) {
    let is_whole = members.get("type").and_then(Value::as_str) == Some("integer");
    for (exclusive, inclusive, step) in [
        ("exclusiveMinimum", "minimum", 1),
        ("exclusiveMaximum", "maximum", -1),
    ] {
        let Some(bound) = members.get(exclusive).filter(|bound| bound.is_number()) else {
            continue;
        };
        let whole = bound.as_i64().filter(|_| is_whole);
        let bound = match whole.and_then(|whole| whole.checked_add(step)) {
            Some(whole) => whole.into(),
            None => bound.clone(),
        };
        out.entry(inclusive).or_insert(bound);
    }
}

fn each(value: &Value, change: &impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, schema)| (name.clone(), change(schema)))
            .collect(),
        Value::Array(schemas) => schemas.iter().map(change).collect(),
        other => other.clone(),
    }
}

/// JSON schema as a schema of Google's own, references put in.
pub(super) fn converted(schema: &Value) -> Value {
    let mut converter = Converter {
        root: schema,
        schemas: 0,
    };
    converter.schema(schema, 0)
}

struct Converter<'a> {
    root: &'a Value,
    schemas: usize,
}

impl<'a> Converter<'a> {
    fn schema(&mut self, schema: &'a Value, depth: usize) -> Value {
        self.schemas += 1;
        let Value::Object(members) = schema else {
            return json!({});
        };
        if depth > MAX_DEPTH || self.schemas > MAX_SCHEMAS {
            return json!({"type": "OBJECT"});
        }
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            let target = target
                .strip_prefix('#')
                .and_then(|path| self.root.pointer(path));
            return target.map_or_else(|| json!({}), |target| self.schema(target, depth + 1));
        }
        let mut out = Map::new();
        for (name, value) in members {
            match &**name {
                "type" => type_of(value, &mut out),
                "properties" => {
                    let properties = value.as_object().into_iter().flatten();
                    let properties: Map<String, Value> = properties
                        .map(|(name, value)| (name.clone(), self.schema(value, depth + 1)))
                        .collect();
                    if !properties.is_empty() {
                        out.insert(name.clone(), properties.into());
                    }
                }
                "items" => {
                    out.insert(name.clone(), self.schema(value, depth + 1));
                }
                "anyOf" | "oneOf" => self.any_of(value, depth, &mut out),
                "allOf" => {
                    for part in value.as_array().into_iter().flatten() {
                        if let Value::Object(part) = self.schema(part, depth + 1) {
                            out.extend(part);
                        }
                    }
                }
                "const" => {
                    out.insert("enum".to_owned(), words(&json!([value])));
                }
                "enum" => {
                    out.insert(name.clone(), words(value));
                }
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties"
                | "maxProperties" | "minimum" | "maximum" | "description" | "title" | "pattern"
                | "required" | "format" | "nullable" => {
                    out.insert(name.clone(), value.clone());
                }
                _ => {}
            }
        }
        bounds(members, &mut out);
        finish(&mut out);
        Value::Object(out)
    }

    fn any_of(&mut self, value: &'a Value, depth: usize, out: &mut Map<String, Value>) {
        let mut kinds = Vec::new();
        for kind in value.as_array().into_iter().flatten() {
            match kind.get("type").and_then(Value::as_str) {
                Some("null") => {
                    out.insert("nullable".to_owned(), true.into());
                }
                _ => kinds.push(self.schema(kind, depth + 1)),
            }
        }
        if let ([Value::Object(only)], true) = (&*kinds, !kinds.is_empty()) {
            out.extend(only.clone());
            return;
        }
        out.insert("anyOf".to_owned(), kinds.into());
    }
}

fn type_of(value: &Value, out: &mut Map<String, Value>) {
    let capital = |word: &str| Value::from(word.to_ascii_uppercase());
    match value {
        Value::String(word) => {
            out.insert("type".to_owned(), capital(word));
        }
        Value::Array(words) => {
            let mut kinds: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            let count = kinds.len();
            kinds.retain(|kind| *kind != "null");
            if kinds.len() < count {
                out.insert("nullable".to_owned(), true.into());
            }
            match &*kinds {
                [] => {}
                [only] => {
                    out.insert("type".to_owned(), capital(only));
                }
                several => {
                    let kinds: Vec<Value> = several
                        .iter()
                        .map(|kind| json!({"type": capital(kind)}))
                        .collect();
                    out.insert("anyOf".to_owned(), kinds.into());
                }
            }
        }
        _ => {}
    }
}

/// Google's `enum` holds strings only.
fn words(value: &Value) -> Value {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter(|word| !word.is_null())
        .map(|word| match word {
            Value::String(_) => word.clone(),
            other => Value::from(other.to_string()),
        })
        .collect()
}

/// What Google's schema wants besides: a type for words and for members, formats it knows.
fn finish(out: &mut Map<String, Value>) {
    if out.contains_key("enum") {
        out.insert("type".to_owned(), "STRING".into());
    } else if !out.contains_key("type") && out.contains_key("properties") {
        out.insert("type".to_owned(), "OBJECT".into());
    }
    let known = ["enum", "date-time", "float", "double", "int32", "int64"];
    let format = out.get("format").and_then(Value::as_str);
    if !format.is_some_and(|format| known.contains(&format)) {
        out.remove("format");
    }
    if out.get("type").and_then(Value::as_str) == Some("ARRAY") {
        out.entry("items")
            .or_insert_with(|| json!({"type": "STRING"}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_put_in_and_cycles_end() {
        let schema = json!({
            "$defs": {
                "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}},
                "kind": {"enum": ["a", 1]},
            },
            "type": "object",
            "properties": {
                "kind": {"$ref": "#/$defs/kind"},
                "maybe": {"type": ["string", "null"]},
                "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "node": {"$ref": "#/$defs/node"},
            },
            "additionalProperties": false,
        });
        let converted = converted(&schema);
        assert_eq!(
            converted["properties"]["kind"],
            json!({"enum": ["a", "1"], "type": "STRING"})
        );
        assert_eq!(
            converted["properties"]["maybe"],
            json!({"type": "STRING", "nullable": true})
        );
        assert_eq!(
            converted["properties"]["either"],
            json!({"type": "INTEGER", "nullable": true})
        );
        assert!(converted.get("additionalProperties").is_none());
        assert!(converted.to_string().len() < 10_000);
    }

    #[test]
    fn a_schema_that_explodes_is_cut() {
        let each: Map<String, Value> = (0..9)
            .map(|name| (name.to_string(), json!({"$ref": "#"})))
            .collect();
        let schema = json!({"type": "object", "properties": each});
        assert!(converted(&schema).to_string().len() < 1_000_000);
    }

    #[test]
    fn what_gemini_refuses_is_said_otherwise() {
        let schema = json!({
            "$schema": "x", "type": "object",
            "properties": {"n": {"type": "integer", "exclusiveMinimum": 0}, "c": {"const": "x"},
                "r": {"$ref": "#/definitions/r", "description": "x"}},
            "definitions": {"r": {"type": "string"}},
        });
        assert_eq!(
            cleaned(&schema),
            json!({
                "type": "object",
                "properties": {"n": {"type": "integer", "minimum": 1}, "c": {"enum": ["x"]},
                    "r": {"$ref": "#/$defs/r"}},
                "$defs": {"r": {"type": "string"}},
            })
        );
    }
}
