//! Changes of a resource (RFC 7644 §3.5.2), as the RFC has them and as Okta and Entra send them:
//! operations in every case, values without a path, booleans as words, single values for attributes
//! that have several.
//!
//! A change is made to the resource as JSON; what comes out is read as if it had been sent whole.

use base::{Code, Error, Result};
use serde_json::{Map, Value};

use super::filter::{Filter, Operator, Target, parse_target};
use super::path::{Steps, attribute, name_in};

/// The most operations of one request.
const MOST: usize = 1_000;

/// What clients cannot change.
const READ_ONLY: [&str; 4] = ["id", "meta", "groups", "schemas"];

/// What a user or group has several of.
const SEVERAL: [&str; 9] = [
    "emails",
    "members",
    "phoneNumbers",
    "addresses",
    "roles",
    "entitlements",
    "photos",
    "ims",
    "x509Certificates",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// Applies the operations of a request to a resource: all, or none.
///
/// # Errors
/// [`Code::BadRequest`]; `param` says what of the request was wrong.
pub fn apply(resource: &mut Value, request: &Map<String, Value>) -> Result<()> {
    let operations = attribute(request, "Operations").and_then(Value::as_array);
    let operations = operations.filter(|operations| operations.len() <= MOST);
    let Some(operations) = operations else {
        let message = format!("'Operations' is a list of 1 to {MOST} operations");
        return Err(wrong("value", message));
    };
    let mut changed = resource.clone();
    for operation in operations {
        one(&mut changed, operation)?;
    }
    *resource = changed;
    Ok(())
}

fn wrong(param: &'static str, message: impl Into<String>) -> Error {
    Error::new(Code::BadRequest, message.into()).param(param)
}

fn one(resource: &mut Value, operation: &Value) -> Result<()> {
    let operation = operation
        .as_object()
        .ok_or_else(|| wrong("value", "an operation is an object"))?;
    let verb = attribute(operation, "op").and_then(Value::as_str);
    let verb = match verb.map(str::to_ascii_lowercase).as_deref() {
        Some("add") => Verb::Add,
        Some("replace") => Verb::Replace,
        Some("remove") => Verb::Remove,
        _ => return Err(wrong("value", "'op' is one of add, replace and remove")),
    };
    let value = attribute(operation, "value");
    let path = match attribute(operation, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if path.trim().is_empty() => None,
        Some(Value::String(path)) => Some(parse_target(path)?),
        Some(_) => return Err(wrong("path", "'path' is a text")),
    };
    match (verb, path, value) {
        (Verb::Remove, None, _) => Err(wrong("target", "'remove' needs a 'path'")),
        (Verb::Remove, Some(target), value) => remove(resource, &target, value),
        (_, _, None) => Err(wrong("value", "'add' and 'replace' need a 'value'")),
        (verb, Some(target), Some(value)) => put(resource, verb, &target, value.clone()),
        (verb, None, Some(Value::Object(values))) => {
            for (name, value) in values {
                put(resource, verb, &parse_target(name)?, value.clone())?;
            }
            Ok(())
        }
        (_, None, Some(_)) => Err(wrong("value", "without a 'path', 'value' is an object")),
    }
}

/// Adds or replaces what stands at a target.
fn put(resource: &mut Value, verb: Verb, target: &Target, value: Value) -> Result<()> {
    if target.steps.is_empty() {
        let Value::Object(values) = value else {
            return Err(wrong("value", "a resource is an object"));
        };
        for (name, value) in values {
            put(resource, verb, &parse_target(&name)?, value)?;
        }
        return Ok(());
    }
    if is_unchangeable(resource, &target.steps, &value)? {
        return Ok(());
    }
    let Some(filter) = &target.filter else {
        return set(resource, verb, &target.steps, value);
    };
    let place = at(resource, &target.steps)?;
    if place.is_null() {
        *place = Value::Array(Vec::new());
    }
    let Value::Array(values) = place else {
        return Err(wrong(
            "path",
            "brackets are for attributes with several values",
        ));
    };
    if !values.iter().any(|value| filter.matches(value)) {
        // Entra replaces what is not there yet
        let made = example(filter).ok_or_else(|| wrong("target", "no value is like this"))?;
        values.push(made);
    }
    for place in values.iter_mut().filter(|value| filter.matches(value)) {
        set(place, verb, &target.then, value.clone())?;
    }
    Ok(())
}

/// Whether an attribute is one that clients cannot change, and what was sent is what it is.
fn is_unchangeable(resource: &Value, steps: &Steps, value: &Value) -> Result<bool> {
    let first = steps.first().map_or("", String::as_str);
    let fixed = READ_ONLY
        .iter()
        .find(|name| name.eq_ignore_ascii_case(first));
    let Some(fixed) = fixed else {
        return Ok(false);
    };
    // Okta repeats the id among what it replaces
    let is_same = resource.get(*fixed) == Some(value);
    match is_same || *fixed == "schemas" {
        true => Ok(true),
        false => Err(wrong("mutability", format!("'{fixed}' cannot be changed"))),
    }
}

/// A value that a filter finds: `{"type": "work"}` for `type eq "work"`.
fn example(filter: &Filter) -> Option<Value> {
    let mut made = Map::new();
    let mut parts = vec![filter];
    while let Some(part) = parts.pop() {
        match part {
            Filter::And(one, other) => parts.extend([&**one, &**other]),
            Filter::Compare {
                steps,
                operator: Operator::Equal,
                value,
            } if steps.len() == 1 => drop(made.insert(steps[0].clone(), value.clone())),
            _ => return None,
        }
    }
    Some(Value::Object(made))
}

/// The place at the end of the steps; objects on the way there are made.
fn at<'a>(value: &'a mut Value, steps: &[String]) -> Result<&'a mut Value> {
    let mut place = value;
    for step in steps {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        let Value::Object(object) = place else {
            return Err(wrong(
                "path",
                format!("there is no '{step}' in what has no parts"),
            ));
        };
        let name = name_in(object, step).unwrap_or_else(|| step.clone());
        place = object.entry(name).or_insert(Value::Null);
    }
    Ok(place)
}

fn set(place: &mut Value, verb: Verb, steps: &[String], value: Value) -> Result<()> {
    let has_several = matches!(steps, [only] if is_several(only));
    let place = at(place, steps)?;
    let value = match value {
        Value::Array(values) => Value::Array(values),
        Value::Null => Value::Null,
        single if has_several => Value::Array(vec![single]),
        single => single,
    };
    match (place, value) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                let name = name_in(old, &name).unwrap_or(name);
                old.insert(name, value);
            }
        }
        (Value::Array(old), Value::Array(new)) if verb == Verb::Add => {
            for value in new {
                append(old, value);
            }
        }
        (place, value) => *place = value,
    }
    Ok(())
}

fn is_several(name: &str) -> bool {
    SEVERAL
        .iter()
        .any(|several| several.eq_ignore_ascii_case(name))
}

/// Adds one of several values, unless it is there; only one of them is the primary one.
fn append(values: &mut Vec<Value>, value: Value) {
    if values.iter().any(|old| are_same(old, &value)) {
        return;
    }
    if value.get("primary") == Some(&Value::Bool(true)) {
        for old in values.iter_mut().filter_map(Value::as_object_mut) {
            if old.contains_key("primary") {
                old.insert("primary".to_owned(), Value::Bool(false));
            }
        }
    }
    values.push(value);
}

/// Members are known by their `value`; other values are the same when all of them is.
fn are_same(one: &Value, other: &Value) -> bool {
    let is_member = |value: &Value| {
        let names = value.as_object().map(|object| {
            let mut names = object.keys();
            names.all(|name| ["value", "display", "$ref", "type"].contains(&name.as_str()))
        });
        names == Some(true) && value.get("type").is_none_or(|kind| kind == "User")
    };
    match is_member(one) && is_member(other) {
        true => one.get("value") == other.get("value"),
        false => one == other,
    }
}

/// Removes what stands at a target; with a value, only that of several.
fn remove(resource: &mut Value, target: &Target, value: Option<&Value>) -> Result<()> {
    let none = Value::Null;
    if is_unchangeable(resource, &target.steps, &none)? {
        return Ok(());
    }
    let place = at(resource, &target.steps)?;
    if let Some(filter) = &target.filter {
        let Value::Array(values) = place else {
            return Ok(());
        };
        if target.then.is_empty() {
            values.retain(|value| !filter.matches(value));
            return Ok(());
        }
        for place in values.iter_mut().filter(|value| filter.matches(value)) {
            *at(place, &target.then)? = Value::Null;
        }
        return Ok(());
    }
    match (place, value) {
        (Value::Array(values), Some(gone)) if !gone.is_null() => {
            let gone = match gone {
                Value::Array(gone) => gone.as_slice(),
                one => std::slice::from_ref(one),
            };
            values.retain(|value| !gone.iter().any(|gone| is_named(value, gone)));
        }
        (Value::Array(values), _) => values.clear(),
        (place, _) => *place = Value::Null,
    }
    Ok(())
}

/// Whether a value is the one that is to go: by its `value`, also where that is all that was sent.
fn is_named(value: &Value, gone: &Value) -> bool {
    let own = value.get("value");
    match gone {
        Value::Object(gone) => own.is_some() && own == gone.get("value"),
        gone => own == Some(gone) || value == gone,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user() -> Value {
        json!({"id": "u1", "userName": "ada", "active": true,
            "name": {"givenName": "Ada", "familyName": "L"},
            "emails": [{"type": "work", "value": "ada@a.example", "primary": true}],
            "groups": [{"value": "g1"}]})
    }

    fn group() -> Value {
        json!({"id": "g1", "displayName": "Red",
            "members": [{"value": "u1", "display": "Ada"}, {"value": "u2"}]})
    }

    const DEPARTMENT: &str =
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

    #[test]
    fn users_change_as_okta_and_entra_ask() {
        let work = r#"emails[type eq "work"].value"#;
        let home = r#"emails[type eq "home"].value"#;
        for (operation, pointer, expected) in [
            // Okta
            (
                json!({"op": "replace", "value": {"active": false}}),
                "/active",
                json!(false),
            ),
            (
                json!({"op": "replace", "value": {"id": "u1", "nickName": "A"}}),
                "/nickName",
                json!("A"),
            ),
            // Entra
            (
                json!({"op": "Replace", "path": "active", "value": "False"}),
                "/active",
                json!("False"),
            ),
            (
                json!({"op": "Add", "path": "name.givenName", "value": "Eva"}),
                "/name/givenName",
                json!("Eva"),
            ),
            (
                json!({"op": "Replace", "path": work, "value": "n@a.example"}),
                "/emails/0/value",
                json!("n@a.example"),
            ),
            (
                json!({"op": "Add", "path": home, "value": "h@a.example"}),
                "/emails/1",
                json!({"type": "home", "value": "h@a.example"}),
            ),
            (
                json!({"op": "Add", "path": DEPARTMENT, "value": "IT"}),
                "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department",
                json!("IT"),
            ),
            (
                json!({"op": "add", "value": {"name.familyName": "M", "title": "Dr"}}),
                "/name",
                json!({"givenName": "Ada", "familyName": "M"}),
            ),
            (
                json!({"op": "Remove", "path": "name.familyName"}),
                "/name/familyName",
                json!(null),
            ),
            // the RFC
            (
                json!({"op": "replace", "path": "name", "value": {"givenName": "B"}}),
                "/name",
                json!({"givenName": "B", "familyName": "L"}),
            ),
            (
                json!({"op": "add", "path": "emails", "value": [{"value": "x@a.example", "primary": true}]}),
                "/emails/0/primary",
                json!(false),
            ),
            (
                json!({"op": "add", "path": "emails", "value": {"value": "x@a.example"}}),
                "/emails/1/value",
                json!("x@a.example"),
            ),
            (
                json!({"op": "remove", "path": r#"emails[type eq "work"]"#}),
                "/emails",
                json!([]),
            ),
            (
                json!({"op": "replace", "path": "emails", "value": []}),
                "/emails",
                json!([]),
            ),
        ] {
            let mut resource = user();
            let request = json!({"Operations": [operation]});
            apply(&mut resource, request.as_object().unwrap()).unwrap();
            assert_eq!(
                resource.pointer(pointer),
                Some(&expected),
                "{request}: {resource}"
            );
        }
    }

    #[test]
    fn members_come_and_go_as_okta_and_entra_ask() {
        for (operation, expected) in [
            (
                json!({"op": "add", "path": "members", "value": [{"value": "u3", "display": "Eva"}]}),
                vec!["u1", "u2", "u3"],
            ),
            (
                json!({"op": "Add", "path": "members", "value": [{"$ref": null, "value": "u2"}]}),
                vec!["u1", "u2"],
            ),
            (
                json!({"op": "remove", "path": r#"members[value eq "u1"]"#}),
                vec!["u2"],
            ),
            (
                json!({"op": "Remove", "path": "members", "value": [{"value": "u2"}]}),
                vec!["u1"],
            ),
            (
                json!({"op": "remove", "path": "members", "value": {"value": "u2"}}),
                vec!["u1"],
            ),
            (json!({"op": "remove", "path": "members"}), vec![]),
            (
                json!({"op": "replace", "path": "members", "value": [{"value": "u9"}]}),
                vec!["u9"],
            ),
            (
                json!({"op": "replace", "value": {"id": "g1", "displayName": "Blue"}}),
                vec!["u1", "u2"],
            ),
            (
                json!({"op": "add", "value": {"members": [{"value": "u4"}]}}),
                vec!["u1", "u2", "u4"],
            ),
        ] {
            let mut resource = group();
            let request = json!({"Operations": [operation]});
            apply(&mut resource, request.as_object().unwrap()).unwrap();
            let members = resource["members"].as_array().unwrap().iter();
            let members: Vec<&str> = members.map(|it| it["value"].as_str().unwrap()).collect();
            assert_eq!(members, expected, "{request}");
        }
    }

    #[test]
    fn what_cannot_be_done_changes_nothing() {
        for (operations, param) in [
            (json!(null), "value"),
            (json!("add"), "value"),
            (json!(["add"]), "value"),
            (json!([{"op": "move", "path": "a", "value": 1}]), "value"),
            (json!([{"op": "add", "path": "a"}]), "value"),
            (json!([{"op": "add", "value": "a"}]), "value"),
            (json!([{"op": "add", "path": 3, "value": "a"}]), "path"),
            (json!([{"op": "add", "path": "a[", "value": "a"}]), "path"),
            (
                json!([{"op": "add", "path": "userName.more", "value": "a"}]),
                "path",
            ),
            (
                json!([{"op": "add", "path": "userName[a pr]", "value": "a"}]),
                "path",
            ),
            (json!([{"op": "remove"}]), "target"),
            (
                json!([{"op": "replace", "path": "emails[value co \"zzz\"].value", "value": "a"}]),
                "target",
            ),
            (
                json!([{"op": "replace", "path": "id", "value": "other"}]),
                "mutability",
            ),
            (json!([{"op": "remove", "path": "groups"}]), "mutability"),
            (
                json!([{"op": "replace", "path": "active", "value": false}, {"op": "x"}]),
                "value",
            ),
        ] {
            let mut resource = user();
            let request = json!({"Operations": operations});
            let error = apply(&mut resource, request.as_object().unwrap()).unwrap_err();
            assert_eq!(error.parameter(), Some(param), "{request}");
            assert_eq!(resource, user(), "{request}");
        }
    }
}
