//! Walking a request's JSON, so that each error names its place: `messages[2].content[0].type`.

use base::{Code, Error, Result};
use serde_json::{Map, Value};

use crate::conversation::{CacheMark, Number};
use crate::json;

/// An object of the request whose members are taken out one by one. A null is an absent member.
#[derive(Debug)]
pub(super) struct Fields {
    members: Map<String, Value>,
    path: String,
}

impl Fields {
    /// The request itself.
    ///
    /// # Errors
    /// `InvalidRequest` (400) for what is no JSON object.
    pub fn of_body(body: &[u8]) -> Result<Fields> {
        let value = json::read(body)
            .map_err(|fault| invalid("request_body", format!("is no valid JSON: {fault}")))?;
        match value {
            Value::Object(members) => Ok(Fields {
                members,
                path: String::new(),
            }),
            _ => Err(invalid("request_body", "must be a JSON object")),
        }
    }

    /// The object that stands at `path`.
    ///
    /// # Errors
    /// `InvalidRequest` (400) for another value.
    pub fn of(value: Value, path: String) -> Result<Fields> {
        match value {
            Value::Object(members) => Ok(Fields { members, path }),
            _ => Err(invalid(path, "must be an object")),
        }
    }

    /// Where the member `name` stands.
    pub fn path_of(&self, name: &str) -> String {
        match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn wrong(&self, name: &str, why: &str) -> Error {
        invalid(self.path_of(name), why)
    }

    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }

    /// A string, looked at and left in its place.
    pub fn word(&self, name: &str) -> Result<&str> {
        match self.members.get(name) {
            Some(Value::String(word)) => Ok(word),
            Some(_) => Err(self.wrong(name, "must be a string")),
            None => Err(self.wrong(name, "is required")),
        }
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a string")),
        }
    }

    pub fn required_string(&mut self, name: &str) -> Result<String> {
        self.string(name)?
            .ok_or_else(|| self.wrong(name, "is required"))
    }

    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    pub fn number(&mut self, name: &str) -> Result<Option<Number>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.wrong(name, "must be a number")),
        }
    }

    /// A whole number that is not negative; `3.0` is one.
    pub fn count(&mut self, name: &str) -> Result<Option<u64>> {
        let Some(number) = self.number(name)? else {
            return Ok(None);
        };
        let whole = number.as_u64().or_else(|| {
            number
                .as_f64()
                .filter(|count| *count >= 0.0 && count.fract() == 0.0)
                .map(|count| count as u64)
        });
        match whole {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(name, "must be a whole number that is not negative")),
        }
    }

    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(self.wrong(name, "must be an array")),
        }
    }

    pub fn strings(&mut self, name: &str) -> Result<Vec<String>> {
        let items = self.array(name)?.unwrap_or_default();
        items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(self.wrong(name, "must hold strings only")),
            })
            .collect()
    }

    pub fn object(&mut self, name: &str) -> Result<Option<Fields>> {
        match self.value(name) {
            None => Ok(None),
            Some(value) => Fields::of(value, self.path_of(name)).map(Some),
        }
    }

    /// `cache_control`.
    pub fn cache_mark(&mut self) -> Result<Option<CacheMark>> {
        let Some(mut control) = self.object("cache_control")? else {
            return Ok(None);
        };
        match control.string("ttl")?.as_deref() {
            None | Some("5m") => Ok(Some(CacheMark::FiveMinutes)),
            Some("1h") => Ok(Some(CacheMark::OneHour)),
            Some(_) => Err(control.wrong("ttl", "must be 5m or 1h")),
        }
    }

    /// Whatever was not taken.
    pub fn into_rest(self) -> Map<String, Value> {
        self.members
    }
}

pub(super) fn invalid(path: impl Into<String>, why: impl AsRef<str>) -> Error {
    let path = path.into();
    Error::new(Code::InvalidRequest, format!("{path}: {}", why.as_ref())).param(path)
}
