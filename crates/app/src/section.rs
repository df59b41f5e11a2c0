//! Reading typed settings out of a section of a configuration file.
//!
//! A section remembers which of its keys were read, so that the rest can be told to the user. Every
//! error names the file, the line, the setting, what it must be and what stands there; never a
//! secret.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use base::{Money, Secret};
use serde_json::{Map, Number};

use crate::yaml::{Entry, Node, Place, Problem, Value};

/// What a user should hear about a file that can be used all the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Probably mistakes: told as warnings.
    pub warnings: Vec<String>,
    /// Settings of LiteLLM that this gateway does not act on: told quietly, in one line.
    pub unused: Vec<String>,
}

impl Notes {
    pub fn warn(&mut self, place: &Place, message: &str) {
        self.warnings.push(format!("{place}: {message}"));
    }
}

/// A map of the file with the name that leads to it (`model_list[2].litellm_params`).
pub struct Section<'a> {
    name: String,
    entries: &'a [Entry],
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Section<'a> {
    /// # Errors
    /// A node that is no map.
    pub fn new(name: &str, node: &'a Node) -> Result<Section<'a>, Problem> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                let found = node.kind();
                return Err(node.problem(format!(
                    "{name} must be a section of `setting: value` lines, not {found}"
                )));
            }
        };
        Ok(Section {
            name: name.to_owned(),
            entries,
            read: RefCell::default(),
        })
    }

    /// The name of a setting with the way to it.
    fn path(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => key.to_owned(),
            name => format!("{name}.{key}"),
        }
    }

    /// The value of a setting; nothing when it is not there or empty.
    pub fn node(&self, key: &'a str) -> Option<&'a Node> {
        self.read.borrow_mut().insert(key);
        let entry = self.entries.iter().find(|entry| entry.name == key)?;
        (!entry.node.is_null()).then_some(&entry.node)
    }

    fn expected(&self, key: &str, node: &Node, allowed: &str) -> Problem {
        // scalars of the wrong kind are shown, as they cannot be secrets
        let found = match &node.value {
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            _ => node.kind().to_owned(),
        };
        node.problem(format!("{} must be {allowed}, not {found}", self.path(key)))
    }

    pub fn text(&self, key: &'a str) -> Result<Option<String>, Problem> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        match &node.value {
            Value::Text(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Bool(value) => Ok(Some(value.to_string())),
            _ => Err(self.expected(key, node, "text")),
        }
    }

    /// One of a few words.
    pub fn word(&self, key: &'a str, allowed: &[&str]) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(key)? else {
            return Ok(None);
        };
        match allowed.contains(&text.as_str()) {
            true => Ok(Some(text)),
            false => Err(self.refused(key, &format!("one of {}", allowed.join(", ")), &text)),
        }
    }

    /// The error for a setting that was read, but means nothing.
    pub fn refused(&self, key: &'a str, allowed: &str, found: &str) -> Problem {
        let place = self
            .entries
            .iter()
            .find(|entry| entry.name == key)
            .map(|entry| entry.node.place.clone())
            .expect("only settings that are there are refused");
        Problem {
            place,
            message: format!("{} must be {allowed}, not {found:?}", self.path(key)),
        }
    }

    pub fn secret(&self, key: &'a str) -> Result<Option<Secret>, Problem> {
        Ok(self.text(key)?.map(Secret::new))
    }

    /// `true`, `yes`, `on`, or the same as text, as environment variables bring it.
    pub fn boolean(&self, key: &'a str) -> Result<Option<bool>, Problem> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let value = match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Text(text) => read_boolean(text),
            _ => None,
        };
        value
            .map(Some)
            .ok_or_else(|| self.expected(key, node, "true or false"))
    }

    /// A whole number within a range.
    pub fn integer(
        &self,
        key: &'a str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let number = match &node.value {
            Value::Number(number) => number.as_u64(),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        number
            .filter(|number| range.contains(number))
            .map(Some)
            .ok_or_else(|| self.expected(key, node, &allowed))
    }

    fn number(&self, key: &'a str, allowed: &str) -> Result<Option<Number>, Problem> {
        let Some(node) = self.node(key) else {
            return Ok(None);
        };
        let number = match &node.value {
            Value::Number(number) => Some(number.clone()),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .filter(|number| number.as_f64().is_some_and(|value| value >= 0.0))
            .map(Some)
            .ok_or_else(|| self.expected(key, node, allowed))
    }

    /// A duration as a number of seconds, which may be a fraction, above zero.
    pub fn seconds(&self, key: &'a str) -> Result<Option<Duration>, Problem> {
        const ALLOWED: &str = "a number of seconds above zero";
        let Some(number) = self.number(key, ALLOWED)? else {
            return Ok(None);
        };
        number
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|duration| !duration.is_zero())
            .map(Some)
            .ok_or_else(|| self.refused(key, ALLOWED, &number.to_string()))
    }

    /// An amount of US dollars.
    pub fn money(&self, key: &'a str) -> Result<Option<Money>, Problem> {
        const ALLOWED: &str = "an amount of US dollars";
        let Some(number) = self.number(key, ALLOWED)? else {
            return Ok(None);
        };
        Money::from_json(&number)
            .map(Some)
            .ok_or_else(|| self.refused(key, ALLOWED, &number.to_string()))
    }

    /// A map that is kept as it is.
    pub fn object(&self, key: &'a str) -> Result<Map<String, serde_json::Value>, Problem> {
        let Some(node) = self.node(key) else {
            return Ok(Map::new());
        };
        match node.to_json() {
            serde_json::Value::Object(map) => Ok(map),
            _ => Err(self.expected(key, node, "a section")),
        }
    }

    /// A section inside this one; an empty one when it is not there.
    pub fn section(&self, key: &'a str) -> Result<Section<'a>, Problem> {
        let name = self.path(key);
        match self.node(key) {
            Some(node) => Section::new(&name, node),
            None => Ok(Section {
                name,
                entries: &[],
                read: RefCell::default(),
            }),
        }
    }

    /// The items of a list; none when it is not there.
    pub fn list(&self, key: &'a str) -> Result<&'a [Node], Problem> {
        match self.node(key) {
            None => Ok(&[]),
            Some(Node {
                value: Value::List(nodes),
                ..
            }) => Ok(nodes),
            Some(node) => Err(self.expected(key, node, "a list")),
        }
    }

    /// All entries, which counts as having read them.
    pub fn entries(&self) -> &'a [Entry] {
        let names = self.entries.iter().map(|entry| entry.name.as_str());
        self.read.borrow_mut().extend(names);
        self.entries
    }

    /// Notes the keys that nobody has read: quietly where LiteLLM has them, else as a mistake.
    pub fn finish(self, of_litellm: &[&str], notes: &mut Notes) {
        let read = self.read.borrow();
        for entry in self.entries {
            let name = entry.name.as_str();
            if read.contains(name) {
                continue;
            }
            let path = self.path(name);
            if of_litellm.contains(&name) {
                notes.unused.push(path);
                continue;
            }
            let candidates = read.iter().copied().chain(of_litellm.iter().copied());
            let hint = match nearest(name, candidates) {
                Some(meant) => format!("; did you mean {meant}?"),
                None => String::new(),
            };
            notes.warn(
                &entry.place,
                &format!("unknown setting {path} is ignored{hint}"),
            );
        }
    }
}

/// Reads a boolean as people and environment variables spell it.
pub fn read_boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The known name that a mistyped one is closest to, if any is close.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = 1 + name.len() / 5;
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, removed or changed to make one name of the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, own) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(own != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    fn problem<T>(result: Result<T, Problem>) -> String {
        result.err().expect("it is refused").to_string()
    }

    #[test]
    fn wrong_values_are_refused_with_file_line_and_what_is_allowed() {
        let text = "status: soon\nzone: [1]\nflag: 7\ntimeout: -1\nbudget: much\nports: 4000\n";
        let node = parse("c.yaml", text).unwrap();
        let section = Section::new("general_settings", &node).unwrap();
        assert_eq!(
            problem(section.integer("status", 400..=499)),
            "c.yaml:1: general_settings.status must be a whole number from 400 to 499, not text"
        );
        assert_eq!(
            problem(section.text("zone")),
            "c.yaml:2: general_settings.zone must be text, not a list"
        );
        assert_eq!(
            problem(section.boolean("flag")),
            "c.yaml:3: general_settings.flag must be true or false, not 7"
        );
        assert_eq!(
            problem(section.seconds("timeout")),
            "c.yaml:4: general_settings.timeout must be a number of seconds above zero, not -1"
        );
        assert_eq!(
            problem(section.money("budget")),
            "c.yaml:5: general_settings.budget must be an amount of US dollars, not text"
        );
        assert_eq!(
            problem(section.list("ports")),
            "c.yaml:6: general_settings.ports must be a list, not 4000"
        );
    }

    #[test]
    fn keys_that_nobody_reads_are_told_with_line_and_what_was_meant() {
        let text = "master_key: sk-1\nmastr_key: sk-2\nalerting: []\nzzz: 1\n";
        let node = parse("c.yaml", text).unwrap();
        let section = Section::new("general_settings", &node).unwrap();
        section.secret("master_key").unwrap();
        let mut notes = Notes::default();
        section.finish(&["alerting"], &mut notes);
        assert_eq!(
            notes.warnings,
            [
                "c.yaml:2: unknown setting general_settings.mastr_key is ignored; did you mean master_key?",
                "c.yaml:4: unknown setting general_settings.zzz is ignored",
            ]
        );
        assert_eq!(notes.unused, ["general_settings.alerting"]);
    }

    #[test]
    fn values_from_the_environment_are_text_and_still_read() {
        let node = parse("c.yaml", "a: 'True'\nb: '12'\nc: '0.5'\n").unwrap();
        let section = Section::new("", &node).unwrap();
        assert_eq!(section.boolean("a").unwrap(), Some(true));
        assert_eq!(section.integer("b", 0..=100).unwrap(), Some(12));
        assert_eq!(section.money("c").unwrap(), Money::from_dollars("0.5"));
        assert_eq!(section.boolean("absent").unwrap(), None);
    }
}
