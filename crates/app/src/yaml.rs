//! YAML as a tree whose every value knows its file and line.
//!
//! The only place that knows the YAML library. A tree, not typed structs, because a configuration
//! file is read by people who want to know *where* it is wrong, and because files of other gateways
//! hold keys that are not ours.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::Spanned;

/// A file and a line in it, the first being 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct Problem {
    pub place: Place,
    pub message: String,
}

/// A value and where it stands. Not printable: it may be a secret.
#[derive(Clone)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

/// What stands there.
#[derive(Clone)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A name and its value in a map.
#[derive(Clone)]
pub struct Entry {
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    pub node: Node,
}

impl Node {
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            place: self.place.clone(),
            message: message.into(),
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What kind of value this is, in words.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        }
    }

    /// The same without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(value) => serde_json::Value::Number(value.clone()),
            Value::Text(value) => value.as_str().into(),
            Value::List(nodes) => nodes.iter().map(Node::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.name.clone(), entry.node.to_json()))
                .collect(),
        }
    }
}

/// Reads a file's text. An empty file is nothing.
///
/// # Errors
/// What is no YAML, with its line.
pub fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let file: Arc<str> = file.into();
    let options = serde_saphyr::options! {
        // a snippet in an error could show a secret
        with_snippet: false,
    };
    if text.trim().is_empty() {
        let place = Place { file, line: 1 };
        let value = Value::Null;
        return Ok(Node { place, value });
    }
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(located(raw, &file)),
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let message = format!("this is no valid YAML: {}", error.without_snippet());
            Err(Problem {
                place: Place { file, line },
                message,
            })
        }
    }
}

/// A tree as the library gives it.
enum Raw {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn located(raw: Spanned<Raw>, file: &Arc<str>) -> Node {
    let place = |location: serde_saphyr::Location| Place {
        file: Arc::clone(file),
        line: location.line().max(1),
    };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number(value) => Value::Number(value),
        Raw::Text(value) => Value::Text(value),
        Raw::List(nodes) => {
            Value::List(nodes.into_iter().map(|node| located(node, file)).collect())
        }
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(name, node)| Entry {
                    place: place(name.referenced),
                    name: name.value,
                    node: located(node, file),
                })
                .collect(),
        ),
    };
    Node {
        place: place(raw.referenced),
        value,
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Number::from_f64(value)
            .map(Raw::Number)
            .ok_or_else(|| E::custom("numbers must be finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(node: &Node) -> Vec<(String, u64, u64)> {
        match &node.value {
            Value::Map(entries) => entries
                .iter()
                .flat_map(|entry| {
                    let own = (entry.name.clone(), entry.place.line, entry.node.place.line);
                    [own].into_iter().chain(places(&entry.node))
                })
                .collect(),
            Value::List(nodes) => nodes.iter().flat_map(places).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_name_and_value_knows_its_line() {
        let text = "a: 1\nb:\n  - c: x\n    d: [1, 2]\n  - e: |\n      text\n";
        let node = parse("config.yaml", text).unwrap();
        let named = |name: &str, line, value| (name.to_owned(), line, value);
        assert_eq!(
            places(&node),
            [
                named("a", 1, 1),
                named("b", 2, 3),
                named("c", 3, 3),
                named("d", 4, 4),
                named("e", 5, 6)
            ]
        );
    }

    #[test]
    fn values_are_read_as_litellm_reads_them() {
        let text = "a: yes\nb: 'yes'\nc: 1_000\nd: ~\ne: 5e-07\nf: 0.0000005\ng: ''\n\
                    base: &base {x: 1}\nh: {<<: *base, y: 2}\n";
        let json = parse("config.yaml", text).unwrap().to_json();
        assert_eq!(
            json,
            serde_json::json!({
                "a": true, "b": "yes", "c": 1000, "d": null, "e": 5e-7, "f": 5e-7, "g": "",
                "base": {"x": 1}, "h": {"x": 1, "y": 2},
            })
        );
    }

    #[test]
    fn what_is_no_yaml_is_refused_with_its_line_and_without_its_text() {
        let problem = parse("config.yaml", "a: 1\nb: [sk-secret, 2\nc: 3\n")
            .err()
            .unwrap();
        assert!(problem.place.line >= 2, "{problem}");
        assert!(problem.to_string().starts_with("config.yaml:"), "{problem}");
        assert!(!problem.to_string().contains("sk-secret"), "{problem}");
    }

    #[test]
    fn an_empty_file_is_nothing() {
        assert!(parse("config.yaml", "\n").unwrap().is_null());
        assert!(
            parse("config.yaml", "# only a comment\n")
                .unwrap()
                .is_null()
        );
    }
}
