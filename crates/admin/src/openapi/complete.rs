//! What every operation has besides its own: an example of each body, and the errors that it can answer
//! with. An example that nobody has written is made from the schema.

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{
    Components, Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema,
};

use domain::permissions::Door;

use super::samples::{BODIES, FIELDS};

const JSON: &str = "application/json";
const SCIM: &str = "application/scim+json";
const HTML: &str = "text/html";
/// How deep an example goes into schemas that hold schemas.
const DEEPEST: usize = 6;

/// The schemas of a document, as JSON.
pub struct Schemas(Map<String, Value>);

impl Schemas {
    pub fn of(components: &Components) -> Schemas {
        match serde_json::to_value(&components.schemas) {
            Ok(Value::Object(schemas)) => Schemas(schemas),
            _ => Schemas(Map::new()),
        }
    }
}

/// The schemas of errors (contract §2.1).
pub fn add_errors(components: &mut Components) {
    let schemas = [
        (
            "Error",
            json!({"description": "Why a request was refused. Some operations answer as in `ErrorDetail`.",
                "oneOf": [
                    {"$ref": "#/components/schemas/ErrorEnvelope"},
                    {"$ref": "#/components/schemas/ErrorDetail"},
                ],
                "example": {"error": {"message": "what was wrong, and what to do about it",
                    "type": "bad_request_error", "param": "team_id", "code": "400"}}}),
        ),
        (
            "ErrorEnvelope",
            json!({"type": "object", "required": ["error"], "properties": {"error": {
            "type": "object", "required": ["message", "type", "param", "code"], "properties": {
                "message": {"type": "string"},
                "type": {"type": "string", "description": "The meaning, for programs."},
                "param": {"type": ["string", "null"], "description": "The field at fault."},
                "code": {"type": "string", "description": "The status as a text."},
                "details": {"type": ["object", "null"], "additionalProperties": true,
                    "description": "Figures of a budget, or where one can ask for more."},
            }}}}),
        ),
        (
            "ErrorDetail",
            json!({"type": "object", "required": ["detail"], "properties": {"detail": {"oneOf": [
                {"type": "string"},
                {"type": "object", "properties": {"error": {"type": "string"}}},
            ]}}}),
        ),
        (
            "ValidationError",
            json!({"description": "Where a body or query is not as documented.",
                "type": "object", "required": ["detail"], "properties": {"detail": {"type": "array",
                    "items": {"type": "object", "required": ["type", "loc", "msg"], "properties": {
                        "type": {"type": "string"},
                        "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                        "msg": {"type": "string"},
                    }}}},
                "example": {"detail": [{"type": "missing", "loc": ["body", "team_id"],
                    "msg": "Field required"}]}}),
        ),
    ];
    let scim = <crate::scim::ScimError as utoipa::PartialSchema>::schema();
    components.schemas.insert("ScimError".to_owned(), scim);
    for (name, schema) in schemas {
        let schema: Result<RefOr<Schema>, _> = serde_json::from_value(schema);
        let schema = schema.expect("these are schemas");
        components.schemas.insert(name.to_owned(), schema);
    }
}

/// Completes one operation.
pub fn operation(path: &str, operation: &mut Operation, door: Option<Door>, schemas: &Schemas) {
    let is_call = operation
        .tags
        .as_ref()
        .is_some_and(|tags| tags.iter().any(|tag| tag == "calls"));
    let kind = kind_of(operation, path);
    for (status, why) in errors(operation, path, door, is_call) {
        let responses = &mut operation.responses.responses;
        let response = responses
            .entry(status.to_string())
            .or_insert_with(|| RefOr::T(Response::default()));
        let RefOr::T(response) = response else {
            continue;
        };
        if response.description.is_empty() {
            response.description = why.to_owned();
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let is_error = status.starts_with(['4', '5']);
        if is_error && response.content.is_empty() {
            let described = ResponseBuilder::new()
                .description(response.description.clone())
                .content(kind, error_content(kind, status, is_call));
            *response = described.build();
        }
        for content in response.content.values_mut() {
            example(content, schemas, false);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            example(content, schemas, true);
        }
    }
}

/// As what errors come.
fn kind_of(operation: &Operation, path: &str) -> &'static str {
    let mut good = operation
        .responses
        .responses
        .values()
        .filter_map(|response| match response {
            RefOr::T(response) => Some(response.content.keys()),
            RefOr::Ref(_) => None,
        })
        .flatten();
    match good.next().map(String::as_str) {
        _ if path.starts_with("/scim/") => SCIM,
        Some(HTML) => HTML,
        _ => JSON,
    }
}

/// The statuses that an operation can answer with besides its own.
fn errors(
    operation: &Operation,
    path: &str,
    door: Option<Door>,
    is_call: bool,
) -> Vec<(u16, &'static str)> {
    let reads = operation.request_body.is_some() || operation.parameters.is_some();
    let is_named = path.contains('{');
    let is_closed = matches!(door, Some(Door::Key(_))) || is_call;
    let all = [
        (400, "It makes no sense.", reads || is_call),
        (
            401,
            "No valid key, or a role that may not do this.",
            is_closed,
        ),
        (403, "It is not the caller's to do.", is_closed),
        (404, "There is no such object.", is_named || is_call),
        (408, "The body did not come in time.", is_call),
        (
            413,
            "The body is too large.",
            operation.request_body.is_some(),
        ),
        (422, "A budget is used up.", is_call),
        (
            422,
            "A field is missing, or not what it should be.",
            reads && !is_call && !path.starts_with("/scim/"),
        ),
        (429, "A limit of rate is reached.", is_call),
        (
            502,
            "The provider could not be reached, or broke off.",
            is_call,
        ),
        (
            503,
            "The gateway is stopping, or its database does not answer; try again.",
            is_closed,
        ),
        (504, "The provider did not answer in time.", is_call),
    ];
    let answered = all.into_iter().filter(|(_, _, is)| *is);
    answered.map(|(status, why, _)| (status, why)).collect()
}

fn error_content(kind: &str, status: &str, is_call: bool) -> Content {
    let name = match (kind, status) {
        (HTML, _) => {
            let text = json!({"type": "string"});
            let text: Option<RefOr<Schema>> = serde_json::from_value(text).ok();
            return ContentBuilder::new().schema(text).build();
        }
        (SCIM, _) => "ScimError",
        (_, "422") if !is_call => "ValidationError",
        _ if is_call => "ErrorEnvelope",
        _ => "Error",
    };
    let schema = Ref::from_schema_name(name);
    ContentBuilder::new().schema(Some(schema)).build()
}

/// Gives a body an example, if it has none.
fn example(content: &mut RefOr<Content>, schemas: &Schemas, is_request: bool) {
    let RefOr::T(content) = content else {
        return;
    };
    if content.example.is_some() || !content.examples.is_empty() {
        return;
    }
    let Ok(schema) = serde_json::to_value(&content.schema) else {
        return;
    };
    let name = name_of(&schema);
    let written = BODIES
        .iter()
        .find(|(of, _)| is_request && name == Some(*of));
    let example = match written {
        Some((_, text)) => serde_json::from_str(text).expect("a sample is JSON"),
        None => made(&schema, schemas, "", is_request, 0),
    };
    content.example = Some(example);
}

fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A value of a schema. Of a request only what must be there.
fn made(schema: &Value, schemas: &Schemas, name: &str, is_request: bool, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    let next = |schema: &Value, name: &str| made(schema, schemas, name, is_request, depth + 1);
    if let Some(of) = name_of(schema) {
        return schemas.0.get(of).map_or(Value::Null, |of| next(of, name));
    }
    for own in ["example", "const", "default"] {
        if let Some(value) = schema.get(own).filter(|value| !value.is_null()) {
            return value.clone();
        }
    }
    let list = |name: &str| schema[name].as_array().and_then(|all| all.first());
    if let Some(first) = list("examples").or_else(|| list("enum")) {
        return first.clone();
    }
    let is_null = |one: &&Value| one["type"] == "null";
    for either in ["oneOf", "anyOf"] {
        let all = schema[either].as_array();
        if let Some(first) = all.and_then(|all| all.iter().find(|one| !is_null(one))) {
            return next(first, name);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Value::Object(part) = next(part, name) {
                whole.extend(part);
            }
        }
        return Value::Object(whole);
    }
    let sample = FIELDS.iter().find(|(field, _)| *field == name);
    let sample = sample.and_then(|(_, text)| serde_json::from_str::<Value>(text).ok());
    if let Some(sample) = sample.filter(|sample| is_of(schema, sample)) {
        return sample;
    }
    plain(schema, name, is_request, &next)
}

/// Whether a sample is of the type that a schema names.
fn is_of(schema: &Value, sample: &Value) -> bool {
    let kind = match sample {
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        _ => return false,
    };
    let is = |of: &Value| of == kind || (kind == "integer" && of == "number");
    match &schema["type"] {
        Value::Array(several) => several.iter().any(is),
        Value::Null => true,
        one => is(one),
    }
}

fn plain(
    schema: &Value,
    name: &str,
    is_request: bool,
    next: &dyn Fn(&Value, &str) -> Value,
) -> Value {
    let kind = match &schema["type"] {
        Value::Array(several) if several.iter().any(|one| one == "null") => return Value::Null,
        Value::Array(several) => several.first().and_then(Value::as_str),
        one => one.as_str(),
    };
    match kind {
        Some("object") | None if schema["properties"].is_object() => {
            let all = schema["properties"].as_object().into_iter().flatten();
            let required = schema["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|names| names.iter().any(|it| it == name));
            let mut parts: Map<String, Value> = all
                .clone()
                .filter(|(name, _)| !is_request || is_required(name))
                .map(|(name, schema)| (name.clone(), next(schema, name)))
                .collect();
            if parts.is_empty()
                && let Some((name, schema)) = all.clone().next()
            {
                parts.insert(name.clone(), next(schema, name));
            }
            Value::Object(parts)
        }
        Some("object") => json!({}),
        Some("array") => json!([next(&schema["items"], name)]),
        Some("integer") => json!(1),
        Some("number") => json!(0.5),
        Some("boolean") => json!(true),
        Some("string") => json!(name),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_json() {
        for (name, text) in BODIES.iter().chain(FIELDS) {
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_example_is_of_its_schema() {
        let schema = json!({"type": "object", "required": ["models"], "properties": {
            "user_id": {"type": "string"}, "models": {"type": "array", "items": {"type": "string"}},
            "level": {"type": "integer"}, "note": {"type": ["string", "null"]},
            "again": {"$ref": "#/components/schemas/Again"}}});
        let again = json!({"Again": {"oneOf": [{"type": "null"}, {"type": "boolean"}]}});
        let schemas = Schemas(again.as_object().unwrap().clone());
        assert_eq!(
            made(&schema, &schemas, "", false, 0),
            json!({"user_id": "ada", "models": ["gpt-4o"], "level": 1, "note": null, "again": true})
        );
        assert_eq!(
            made(&schema, &schemas, "", true, 0),
            json!({"models": ["gpt-4o"]})
        );
    }
}
