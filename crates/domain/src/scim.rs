//! SCIM 2.0 (RFC 7643, RFC 7644): an identity provider keeps our users, and our teams as its groups.
//!
//! A resource is JSON as the RFCs have it. What our own rows hold (address, name, blocked, members) is
//! read from them, whoever changed it; everything else that a provider sends is kept as it was sent and
//! given back. Each change is one transaction. Errors name in `param` what the RFC calls `scimType`:
//! see [`kind_of_error`].

mod filter;
mod groups;
mod patch;
mod path;
mod people;

use base::{Code, Error, Millis, Result};
use serde_json::{Map, Value, json};
use store::scim::ScimRow;

use crate::{Domain, Patch, storage};

pub use filter::{Filter, parse};

/// Users: one function for each method of the protocol.
pub mod users {
    pub use super::people::{change, create, delete, find, list, replace};
}

/// Groups, which are teams here.
pub mod teams {
    pub use super::groups::{change, create, delete, find, list, replace};
}

pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// How many resources an answer has at most.
pub const MOST: i64 = 200;
/// How many it has if nobody says.
pub const USUAL: i64 = 100;
/// How many rows are looked through at once.
const BATCH: i64 = 500;
/// The longest name and id of a provider.
const LONGEST: usize = 320;
/// The most bytes that are kept of what a provider sends about one resource, besides members.
const MOST_KEPT: usize = 64 * 1024;

/// Which resources are asked for.
#[derive(Clone, Debug)]
pub struct Question {
    pub filter: Option<Filter>,
    /// The number of the first one, counted from 1.
    pub start: i64,
    pub count: i64,
}

/// The resources of one answer.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub resources: Vec<Value>,
    /// How many there are in all.
    pub total: i64,
}

impl Question {
    /// Takes what the answer has of resources that were looked through in order.
    fn take(&self, found: &mut Found, resource: Value) {
        let Some(filter) = &self.filter else {
            return;
        };
        if !filter.matches(&resource) {
            return;
        }
        found.total += 1;
        let is_before = found.total < self.start;
        let taken = i64::try_from(found.resources.len()).unwrap_or(i64::MAX);
        if !is_before && taken < self.count {
            found.resources.push(resource);
        }
    }
}

/// What the RFC calls an error (`scimType`, RFC 7644 §3.12).
pub fn kind_of_error(error: &Error) -> Option<&'static str> {
    match (error.code(), error.parameter()) {
        (Code::Conflict, _) => Some("uniqueness"),
        (Code::Validation, _) => Some("invalidSyntax"),
        (Code::BadRequest, Some("filter")) => Some("invalidFilter"),
        (Code::BadRequest, Some("path")) => Some("invalidPath"),
        (Code::BadRequest, Some("target")) => Some("noTarget"),
        (Code::BadRequest, Some("mutability")) => Some("mutability"),
        (Code::BadRequest, _) => Some("invalidValue"),
        _ => None,
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Code::BadRequest, message.into()).param("value")
}

/// What of a resource is not in our own rows.
#[derive(Clone, Debug, Default)]
struct Kept {
    external_id: Option<String>,
    attributes: Map<String, Value>,
}

/// Splits what was sent into the named attributes and the rest, which is kept. Names are the same in
/// every case; what clients cannot set, and passwords, are left out.
fn split<const N: usize>(
    resource: &Value,
    names: [&'static str; N],
) -> Result<([Option<Value>; N], Kept)> {
    const LEFT_OUT: [&str; 5] = ["id", "meta", "groups", "schemas", "password"];
    let Value::Object(resource) = resource else {
        return Err(wrong("a resource is an object"));
    };
    let mut named = [const { None }; N];
    let mut kept = Kept::default();
    for (name, value) in resource {
        if value.is_null() || LEFT_OUT.iter().any(|it| it.eq_ignore_ascii_case(name)) {
            continue;
        }
        if name.eq_ignore_ascii_case("externalId") {
            kept.external_id = Some(text("externalId", value)?);
            continue;
        }
        match names.iter().position(|it| it.eq_ignore_ascii_case(name)) {
            Some(at) => named[at] = Some(value.clone()),
            None => drop(kept.attributes.insert(name.clone(), without_nulls(value))),
        }
    }
    kept.attributes
        .retain(|_, value| !value.is_null() && value.as_array().is_none_or(|it| !it.is_empty()));
    Ok((named, kept))
}

/// A value without the parts that were removed from it.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let parts = object.iter().filter(|(_, value)| !value.is_null());
            let parts = parts.map(|(name, value)| (name.clone(), without_nulls(value)));
            Value::Object(parts.collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

/// A text that names somebody or something.
fn text(name: &str, value: &Value) -> Result<String> {
    let text = value.as_str().map(str::trim).unwrap_or_default();
    let fits = !text.is_empty() && text.len() <= LONGEST && !text.contains(char::is_control);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(wrong(format!(
            "'{name}' is a text of 1 to {LONGEST} bytes without control characters"
        ))),
    }
}

/// Some providers write booleans as words.
fn truth(name: &str, value: &Value) -> Result<bool> {
    match value {
        Value::Bool(is) => Ok(*is),
        Value::String(word) if word.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(word) if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(wrong(format!("'{name}' is true or false"))),
    }
}

/// Only what differs from what is there.
fn differing<T: PartialEq>(now: Option<&T>, wanted: Patch<T>) -> Patch<T> {
    match wanted {
        Patch::Value(value) if now == Some(&value) => Patch::Absent,
        Patch::Null if now.is_none() => Patch::Absent,
        other => other,
    }
}

/// The row that keeps what our own rows do not.
fn row_of(kind: &str, id: &str, name: Option<String>, kept: Kept) -> Result<ScimRow> {
    let length = serde_json::to_string(&kept.attributes).map_or(usize::MAX, |text| text.len());
    if length > MOST_KEPT {
        let message = format!("what is kept of a resource has at most {MOST_KEPT} bytes");
        return Err(wrong(message));
    }
    Ok(ScimRow {
        kind: kind.to_owned(),
        id: id.to_owned(),
        name,
        external_id: kept.external_id,
        attributes: store::json::Json(kept.attributes),
    })
}

fn is_same(row: Option<&ScimRow>, wanted: &ScimRow) -> bool {
    row.is_some_and(|row| {
        row.name == wanted.name
            && row.external_id == wanted.external_id
            && row.attributes == wanted.attributes
    })
}

fn put_failed(error: store::Failure) -> Error {
    match store::db::is_unique_violation(&error) {
        true => Error::new(Code::Conflict, "another user has this userName"),
        false => storage(error),
    }
}

/// What every resource says of itself.
fn complete(
    domain: &Domain,
    resource: &mut Map<String, Value>,
    kind: &str,
    id: &str,
    (created, modified): (Millis, Millis),
) {
    let core = if kind == "User" {
        USER_SCHEMA
    } else {
        GROUP_SCHEMA
    };
    let extensions = resource.keys().filter(|name| name.starts_with("urn:"));
    let schemas: Vec<&str> = std::iter::once(core)
        .chain(extensions.map(String::as_str))
        .collect();
    let schemas = json!(schemas);
    let location = location(domain, kind, id);
    resource.insert("schemas".to_owned(), schemas);
    resource.insert("id".to_owned(), id.into());
    let meta = json!({"resourceType": kind, "created": created.to_rfc3339(),
        "lastModified": modified.to_rfc3339(), "location": location});
    resource.insert("meta".to_owned(), meta);
}

/// The address of a resource.
fn location(domain: &Domain, kind: &str, id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    // in a path a blank is no plus
    let id = id.replace('+', "%20");
    let link = &domain.config.sign_in;
    link.link(&format!("/scim/v2/{kind}s/{id}"))
}

fn not_found(kind: &str, id: &str) -> Error {
    Error::new(
        Code::NotFound,
        format!("there is no {kind} with the id {id}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_kept_but_for_passwords_and_what_is_ours() {
        let sent = json!({"id": "x", "USERNAME": "ada", "password": "secret", "title": "Dr",
            "externalid": " 7 ", "name": {"givenName": "A", "middleName": null}, "meta": {},
            "phoneNumbers": [], "nickName": null});
        let ([name], kept) = split(&sent, ["userName"]).unwrap();
        assert_eq!(name, Some(json!("ada")));
        assert_eq!(kept.external_id.as_deref(), Some("7"));
        let attributes = json!({"title": "Dr", "name": {"givenName": "A"}});
        assert_eq!(Value::Object(kept.attributes), attributes);
        for bad in [
            json!([]),
            json!({"externalId": 3}),
            json!({"externalId": "a\nb"}),
        ] {
            assert!(split(&bad, ["userName"]).is_err(), "{bad}");
        }
    }
}
