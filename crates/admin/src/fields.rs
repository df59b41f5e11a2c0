//! Fields of bodies and queries, read as leniently as compatible clients expect: numbers may be
//! strings, absent and null are told apart, and what cannot be read is refused with its place
//! (contract §1 "Coercion", §2.1 E3).

use std::collections::BTreeMap;
use std::fmt;

use base::{Code, Error, Money};
use domain::Patch;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

/// A JSON object whose names we do not prescribe.
pub type Object = Map<String, Value>;

/// An optional field: absent, null, or a value. For structs with `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent<T>(pub Patch<T>);

impl<T> Default for Sent<T> {
    fn default() -> Sent<T> {
        Sent(Patch::Absent)
    }
}

/// For the OpenAPI document, which asks structs for their defaults; see [`crate::openapi`].
impl<T> Serialize for Sent<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

/// A field that must be there.
#[derive(Clone, Debug, PartialEq)]
pub struct Required<T>(pub T);

/// A type that a field can have.
pub trait Field: Sized {
    fn read(value: Value) -> Result<Self, Wrong>;
}

/// Why a value was refused, and where inside the field.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// A word for programs, as the reference has them: `float_parsing`.
    pub kind: &'static str,
    pub message: String,
    pub place: Vec<Value>,
}

impl Wrong {
    pub fn new(kind: &'static str, message: impl Into<String>) -> Wrong {
        Wrong {
            kind,
            message: message.into(),
            place: Vec::new(),
        }
    }

    fn within(mut self, place: impl Into<Value>) -> Wrong {
        self.place.insert(0, place.into());
        self
    }
}

/// Marks the messages in which a [`Wrong`] travels through serde.
const MARK: char = '\u{1}';

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", json!([self.kind, self.message, self.place]))
    }
}

impl<'de, T: Field> Deserialize<'de> for Sent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sent<T>, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Sent(Patch::Null)),
            value => T::read(value)
                .map(|value| Sent(Patch::Value(value)))
                .map_err(D::Error::custom),
        }
    }
}

impl<'de, T: Field> Deserialize<'de> for Required<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Required<T>, D::Error> {
        let value = Value::deserialize(deserializer)?;
        T::read(value).map(Required).map_err(D::Error::custom)
    }
}

/// Reads a struct from an object; `place` is where that object stands: `body` or `query`.
///
/// # Errors
/// [`Code::Validation`] with the one place that was wrong first.
pub fn read<T: DeserializeOwned>(value: Value, place: &str) -> base::Result<T> {
    if !value.is_object() {
        let message = "Input should be a valid dictionary or object to extract fields from";
        return Err(invalid(place, Wrong::new("model_attributes_type", message)));
    }
    nested(value).map_err(|wrong| invalid(place, wrong))
}

/// Reads a struct inside a field.
pub fn nested<T: DeserializeOwned>(value: Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let place: Vec<Value> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(json!(index)),
                serde_path_to_error::Segment::Map { key } => Some(json!(key)),
                _ => None,
            })
            .collect();
        let mut wrong = understand(&error.into_inner().to_string());
        wrong.place.splice(0..0, place);
        wrong
    })
}

/// Makes a [`Wrong`] of what serde said.
fn understand(said: &str) -> Wrong {
    let ours = said
        .strip_prefix(MARK)
        .and_then(|text| serde_json::from_str::<(String, String, Vec<Value>)>(text).ok());
    if let Some((kind, message, place)) = ours {
        let kind = KINDS.iter().find(|known| **known == kind);
        return Wrong {
            kind: kind.unwrap_or(&"value_error"),
            message,
            place,
        };
    }
    match said.strip_prefix("missing field `") {
        Some(rest) => Wrong::new("missing", "Field required")
            .within(rest.split('`').next().unwrap_or_default()),
        None => Wrong::new("value_error", format!("Value error, {said}")),
    }
}

/// Every kind that a [`Wrong`] of ours has.
const KINDS: &[&str] = &[
    "bool_parsing",
    "bool_type",
    "dict_type",
    "enum",
    "float_parsing",
    "float_type",
    "int_from_float",
    "int_parsing",
    "int_type",
    "list_type",
    "literal_error",
    "missing",
    "model_attributes_type",
    "string_type",
    "value_error",
];

/// A validation error of one place.
pub fn invalid(place: &str, wrong: Wrong) -> Error {
    let mut places = vec![json!(place)];
    places.extend(wrong.place);
    let details = json!([{"type": wrong.kind, "loc": places, "msg": wrong.message}]);
    Error::new(Code::Validation, wrong.message).with_details(details)
}

/// A required field that is not there.
pub fn missing(place: &str, name: &'static str) -> Error {
    invalid(place, Wrong::new("missing", "Field required").within(name))
}

/// A rule between fields that the body breaks: 422 at the body itself.
pub fn broken(rule: &str) -> Error {
    invalid(
        "body",
        Wrong::new("value_error", format!("Value error, {rule}")),
    )
}

/// The members of an object that have one of these names.
pub fn pick(object: &Object, names: &[&str]) -> Object {
    let members = object.iter();
    members
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A number of dollars as it was sent: what is no amount of money is refused by [`Amount::limit`],
/// with the status that the contract has for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Amount(String);

impl Amount {
    /// A limit or a spend: not negative, finite, within the range of money.
    ///
    /// # Errors
    /// [`Code::BadRequest`] naming `field` (contract §5.2).
    pub fn limit(&self, field: &'static str) -> base::Result<Money> {
        Money::from_dollars(&self.0)
            .filter(|amount| *amount >= Money::ZERO)
            .ok_or_else(|| {
                Error::new(
                    Code::BadRequest,
                    format!(
                        "{field} must be a non-negative finite number of dollars, at most {}. \
                         Received: {}",
                        Money::MAX,
                        self.0
                    ),
                )
                .param(field)
            })
    }
}

impl Field for Amount {
    fn read(value: Value) -> Result<Amount, Wrong> {
        match value {
            Value::Number(number) => Ok(Amount(number.to_string())),
            Value::String(text) => {
                let text = text.trim();
                text.parse::<f64>().map_err(|_| {
                    Wrong::new(
                        "float_parsing",
                        "Input should be a valid number, unable to parse string as a number",
                    )
                })?;
                Ok(Amount(text.to_owned()))
            }
            _ => Err(Wrong::new("float_type", "Input should be a valid number")),
        }
    }
}

impl Field for i64 {
    fn read(value: Value) -> Result<i64, Wrong> {
        match value {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Ok(whole),
                // floats hold every whole number below 2^53
                (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9.0e15 => {
                    Ok(float as i64)
                }
                (None, Some(float)) if float.fract() != 0.0 => Err(Wrong::new(
                    "int_from_float",
                    "Input should be a valid integer, got a number with a fractional part",
                )),
                _ => Err(Wrong::new("int_type", "Input should be a valid integer")),
            },
            Value::String(text) => text.trim().parse().map_err(|_| {
                Wrong::new(
                    "int_parsing",
                    "Input should be a valid integer, unable to parse string as an integer",
                )
            }),
            _ => Err(Wrong::new("int_type", "Input should be a valid integer")),
        }
    }
}

impl Field for bool {
    fn read(value: Value) -> Result<bool, Wrong> {
        match &value {
            Value::Bool(flag) => Ok(*flag),
            Value::Number(number) if number.as_i64() == Some(1) => Ok(true),
            Value::Number(number) if number.as_i64() == Some(0) => Ok(false),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "t" | "1" | "yes" | "y" | "on" => Ok(true),
                "false" | "f" | "0" | "no" | "n" | "off" => Ok(false),
                _ => Err(Wrong::new(
                    "bool_parsing",
                    "Input should be a valid boolean, unable to interpret input",
                )),
            },
            _ => Err(Wrong::new("bool_type", "Input should be a valid boolean")),
        }
    }
}

impl Field for String {
    fn read(value: Value) -> Result<String, Wrong> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err(Wrong::new("string_type", "Input should be a valid string")),
        }
    }
}

impl Field for Object {
    fn read(value: Value) -> Result<Object, Wrong> {
        match value {
            Value::Object(object) => Ok(object),
            _ => Err(Wrong::new(
                "dict_type",
                "Input should be a valid dictionary",
            )),
        }
    }
}

impl Field for Value {
    fn read(value: Value) -> Result<Value, Wrong> {
        Ok(value)
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: Value) -> Result<Vec<T>, Wrong> {
        match value {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| T::read(item).map_err(|wrong| wrong.within(index)))
                .collect(),
            _ => Err(Wrong::new("list_type", "Input should be a valid list")),
        }
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn read(value: Value) -> Result<BTreeMap<String, T>, Wrong> {
        let read = |(name, value): (String, Value)| match T::read(value) {
            Ok(value) => Ok((name, value)),
            Err(wrong) => Err(wrong.within(name)),
        };
        Object::read(value)?.into_iter().map(read).collect()
    }
}

/// One of a closed set of words.
///
/// # Errors
/// An `enum` error that lists them.
pub fn choice<T: Copy>(value: &Value, words: &[(&str, T)]) -> Result<T, Wrong> {
    let found = words
        .iter()
        .find(|(word, _)| value.as_str() == Some(*word))
        .map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let quoted: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        let list = match quoted.split_last() {
            Some((last, first)) if !first.is_empty() => {
                format!("{} or {last}", first.join(", "))
            }
            _ => quoted.join(""),
        };
        Wrong::new("enum", format!("Input should be {list}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Body {
        name: Sent<String>,
        count: Sent<i64>,
        amount: Sent<Amount>,
        flag: Sent<bool>,
        list: Sent<Vec<String>>,
        map: Sent<BTreeMap<String, i64>>,
    }

    #[derive(Debug, Deserialize)]
    struct Strict {
        #[expect(dead_code, reason = "only whether it can be read matters")]
        id: Required<String>,
    }

    fn details<T: DeserializeOwned + fmt::Debug>(body: Value) -> Value {
        let error = read::<T>(body, "body").unwrap_err();
        assert_eq!(error.status(), 422);
        error.details().unwrap()[0].clone()
    }

    #[test]
    fn absent_null_and_value_are_three_things() {
        let body: Body = read(json!({"name": null, "count": 3}), "body").unwrap();
        assert_eq!(body.name.0, Patch::Null);
        assert_eq!(body.count.0, Patch::Value(3));
        assert_eq!(body.flag.0, Patch::Absent);
    }

    #[test]
    fn numbers_may_be_strings_and_unknown_names_are_ignored() {
        let sent = json!({"count": "10", "amount": "1.5", "flag": "True", "other": {}});
        let body: Body = read(sent, "body").unwrap();
        assert_eq!(body.count.0, Patch::Value(10));
        let amount = body.amount.0.value().unwrap().limit("amount").unwrap();
        assert_eq!(amount, Money(1_500_000_000));
        assert_eq!(body.flag.0, Patch::Value(true));
        let body: Body = read(json!({"count": 10.0}), "body").unwrap();
        assert_eq!(body.count.0, Patch::Value(10));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (body, kind, place) in [
            (
                json!({"amount": "abc"}),
                "float_parsing",
                json!(["body", "amount"]),
            ),
            (
                json!({"amount": []}),
                "float_type",
                json!(["body", "amount"]),
            ),
            (
                json!({"count": 1.5}),
                "int_from_float",
                json!(["body", "count"]),
            ),
            (
                json!({"count": 1e300}),
                "int_type",
                json!(["body", "count"]),
            ),
            (json!({"name": 1}), "string_type", json!(["body", "name"])),
            (
                json!({"flag": "maybe"}),
                "bool_parsing",
                json!(["body", "flag"]),
            ),
            (json!({"list": "a"}), "list_type", json!(["body", "list"])),
            (
                json!({"list": ["a", 1]}),
                "string_type",
                json!(["body", "list", 1]),
            ),
            (
                json!({"map": {"a": "b"}}),
                "int_parsing",
                json!(["body", "map", "a"]),
            ),
            (json!([]), "model_attributes_type", json!(["body"])),
        ] {
            let found = details::<Body>(body);
            assert_eq!((&found["type"], &found["loc"]), (&json!(kind), &place));
        }
    }

    #[test]
    fn a_required_field_that_is_missing_is_named() {
        let found = details::<Strict>(json!({}));
        assert_eq!(
            found,
            json!({"type": "missing", "loc": ["body", "id"], "msg": "Field required"})
        );
        let found = details::<Strict>(json!({"id": null}));
        assert_eq!(found["type"], "string_type");
    }

    #[test]
    fn amounts_that_are_no_money_are_bad_requests() {
        for text in ["-1", "NaN", "inf", "1e30", "-0.000001"] {
            let amount = Amount::read(json!(text)).unwrap();
            let error = amount.limit("max_budget").unwrap_err();
            assert_eq!(error.status(), 400, "{text}");
            let said = "max_budget must be a non-negative finite number";
            assert!(error.message().contains(said));
        }
    }

    #[test]
    fn a_choice_lists_what_is_allowed() {
        let words = [("admin", 1), ("user", 2)];
        assert_eq!(choice(&json!("user"), &words), Ok(2));
        let wrong = choice(&json!("boss"), &words).unwrap_err();
        assert_eq!(wrong.message, "Input should be 'admin' or 'user'");
    }
}
