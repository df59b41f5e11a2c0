//! Walking through a client's JSON by hand, so that every fault names its place.

use base::{Code, Error, Result};
use serde_json::{Map, Number, Value};

pub(super) type Object = Map<String, Value>;

/// A 400 that names the member at `path`.
pub(super) fn invalid(path: &str, problem: &str) -> Error {
    Error::new(Code::InvalidRequest, format!("{path}: {problem}")).param(path.to_owned())
}

pub(super) fn wrong_type(path: &str, expected: &str, got: &Value) -> Error {
    let got = match got {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    invalid(path, &format!("expected {expected}, but got {got}"))
}

pub(super) fn missing(path: &str) -> Error {
    invalid(path, "is missing")
}

/// Takes a member out; `null` is as good as absent.
pub(super) fn take(object: &mut Object, name: &str) -> Option<Value> {
    object.remove(name).filter(|value| !value.is_null())
}

/// Takes a string that may be absent.
pub(super) fn take_string(object: &mut Object, at: &str, name: &str) -> Result<Option<String>> {
    take(object, name)
        .map(|value| string(value, &join(at, name)))
        .transpose()
}

/// Takes a string that must be there.
pub(super) fn need_string(object: &mut Object, at: &str, name: &str) -> Result<String> {
    take_string(object, at, name)?.ok_or_else(|| missing(&join(at, name)))
}

pub(super) fn take_number(object: &mut Object, name: &str) -> Result<Option<Number>> {
    match take(object, name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(Some(number)),
        Some(other) => Err(wrong_type(name, "a number", &other)),
    }
}

/// Takes a whole number that is not negative; `3.0` is one.
pub(super) fn take_count(object: &mut Object, at: &str, name: &str) -> Result<Option<u64>> {
    let Some(value) = take(object, name) else {
        return Ok(None);
    };
    let as_float = value
        .as_f64()
        .filter(|number| *number >= 0.0 && number.fract() == 0.0);
    match value.as_u64().or(as_float.map(|number| number as u64)) {
        Some(count) => Ok(Some(count)),
        None => Err(wrong_type(
            &join(at, name),
            "a whole number that is not negative",
            &value,
        )),
    }
}

pub(super) fn take_bool(object: &mut Object, at: &str, name: &str) -> Result<Option<bool>> {
    match take(object, name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(wrong_type(&join(at, name), "a boolean", &other)),
    }
}

/// Takes an object that may be absent.
pub(super) fn take_object(object: &mut Object, at: &str, name: &str) -> Result<Option<Object>> {
    take(object, name)
        .map(|value| self::object(value, &join(at, name)))
        .transpose()
}

/// Takes a list; an absent one is empty.
pub(super) fn take_list(object: &mut Object, at: &str, name: &str) -> Result<Vec<Value>> {
    match take(object, name) {
        None => Ok(Vec::new()),
        Some(value) => list(value, &join(at, name)),
    }
}

pub(super) fn string(value: Value, path: &str) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(path, "a string", &other)),
    }
}

pub(super) fn object(value: Value, path: &str) -> Result<Object> {
    match value {
        Value::Object(object) => Ok(object),
        other => Err(wrong_type(path, "an object", &other)),
    }
}

pub(super) fn list(value: Value, path: &str) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(wrong_type(path, "an array", &other)),
    }
}

pub(super) fn join(at: &str, name: &str) -> String {
    match at.is_empty() {
        true => name.to_owned(),
        false => format!("{at}.{name}"),
    }
}
