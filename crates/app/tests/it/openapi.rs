//! The committed `openapi.json` is the document that the handlers make. After a change of the API,
//! `TOLLGATE_UPDATE=1 cargo test -p tollgate --test it openapi` writes it anew.

use std::path::Path;

use serde_json::Value;

/// The document that the gateway serves.
pub fn document() -> Value {
    serde_json::to_value(admin::openapi()).expect("a document that can be written")
}

#[test]
fn the_committed_document_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi.json");
    let mut text = serde_json::to_string_pretty(&document()).expect("a document");
    text.push('\n');
    let update = std::env::var_os("TOLLGATE_UPDATE").is_some();
    if update {
        std::fs::write(&file, &text).expect("the repository can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "openapi.json is not what the handlers say; write it anew with \
         TOLLGATE_UPDATE=1 cargo test -p tollgate --test it openapi"
    );
}

#[test]
fn every_operation_is_described_and_tagged() {
    for (method, path, operation) in operations(&document()) {
        let said = |name: &str| !operation[name].is_null();
        assert!(said("summary"), "{method} {path} says nothing of itself");
        assert!(said("tags"), "{method} {path} belongs nowhere");
    }
}

/// Whether a schema says what is there.
fn is_typed(document: &Value, schema: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap_or_default();
        return document.pointer(pointer).is_some_and(Value::is_object);
    }
    ["type", "oneOf", "anyOf", "allOf"]
        .iter()
        .any(|word| !schema[*word].is_null())
}

#[test]
fn every_body_has_a_type_and_an_example_and_every_operation_its_errors() {
    let document = document();
    let mut lacking = Vec::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let responses = operation["responses"].as_object().expect("responses");
        let asked = &operation["requestBody"];
        let bodies = responses
            .iter()
            .map(|(status, body)| (status.as_str(), body));
        let bodies = bodies.chain((!asked.is_null()).then_some(("request", asked)));
        for (of, body) in bodies {
            let contents = body["content"].as_object();
            let has_none = contents.is_none_or(serde_json::Map::is_empty);
            // an error always says why; what leads elsewhere, or says nothing, has no body
            if has_none && (of == "request" || of.starts_with(['4', '5'])) {
                lacking.push(format!("{name}: no body of {of}"));
            }
            for (kind, content) in contents.into_iter().flatten() {
                if !is_typed(&document, &content["schema"]) {
                    lacking.push(format!("{name}: {of} ({kind}) has no type"));
                }
                if content["example"].is_null() && content["examples"].is_null() {
                    lacking.push(format!("{name}: {of} ({kind}) has no example"));
                }
            }
        }
        let has = |status: &str| responses.contains_key(status);
        let needs_key = operation["security"] != serde_json::json!([]);
        let expected = [
            ("401", needs_key),
            ("403", needs_key),
            ("503", needs_key),
            ("400", !asked.is_null()),
            ("413", !asked.is_null()),
            ("422", operation["tags"][0] == "calls"),
            ("404", path.contains('{')),
        ];
        for (status, is_expected) in expected {
            if is_expected && !has(status) {
                lacking.push(format!("{name}: does not say {status}"));
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

#[test]
fn the_calls_in_the_document_are_those_that_the_data_plane_answers() {
    let document = document();
    let calls: Vec<(String, String)> = operations(&document)
        .filter(|(_, _, operation)| operation["tags"][0] == "calls")
        .map(|(method, path, _)| (method, path))
        .collect();
    assert!(calls.len() > 50);
    for (method, path) in calls {
        let uri = filled(&path).parse().unwrap();
        let route = proxy::route(&method.parse().unwrap(), &uri);
        assert!(route.is_some(), "{method} {path}");
    }
}

#[test]
fn no_two_operations_have_the_same_id() {
    let document = document();
    let mut ids: Vec<String> = operations(&document)
        .map(|(_, _, operation)| operation["operationId"].to_string())
        .collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

/// A path with something in the places of its parameters.
pub fn filled(path: &str) -> String {
    let path = path.replace("{provider}", "openai");
    let mut filled = String::new();
    let mut rest = path.as_str();
    while let Some((before, parameter)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push_str("something");
        rest = parameter.split_once('}').map_or("", |(_, rest)| rest);
    }
    filled + rest
}

/// Method, path and description of every operation.
pub fn operations(document: &Value) -> impl Iterator<Item = (String, String, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods
            .filter(|(method, _)| *method != "parameters")
            .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation))
    })
}
