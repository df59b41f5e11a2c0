//! Filters (RFC 7644 §3.4.2.2): read from a query, and asked of resources.
//!
//! Texts are compared without regard to case, except ids. Reading takes no more depth than [`DEEPEST`],
//! whatever is sent.

use base::{Code, Error, Result};
use serde_json::Value;

use super::path::{Steps, leaves, steps};

/// The longest filter.
const LONGEST: usize = 8 * 1024;
/// How deep brackets may be.
const DEEPEST: usize = 16;

/// What is asked of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    Compare {
        steps: Steps,
        operator: Operator,
        value: Value,
    },
    /// One of an attribute's values is like this: `emails[type eq "work"]`.
    Some(Steps, Box<Filter>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    /// It is there.
    Present,
}

/// Reads a filter.
///
/// # Errors
/// [`Code::BadRequest`] about `filter`.
pub fn parse(text: &str) -> Result<Filter> {
    if text.len() > LONGEST {
        return Err(invalid(format!("a filter has at most {LONGEST} bytes")));
    }
    let mut reader = Reader { rest: text };
    let filter = reader.any_of(0)?;
    reader.end()?;
    Ok(filter)
}

/// Where a change is to be made: `emails[type eq "work"].value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub steps: Steps,
    pub filter: Option<Filter>,
    /// Behind the filter.
    pub then: Steps,
}

/// Reads the path of a change.
///
/// # Errors
/// [`Code::BadRequest`] about `path`.
pub fn parse_target(text: &str) -> Result<Target> {
    let wrong = |error: Error| invalid(error.message().to_owned()).param("path");
    if text.len() > LONGEST {
        return Err(wrong(invalid(format!(
            "a path has at most {LONGEST} bytes"
        ))));
    }
    let mut reader = Reader { rest: text };
    let steps = reader.path().map_err(wrong)?;
    let filter = match reader.takes('[') {
        true => Some(reader.in_brackets(0).map_err(wrong)?),
        false => None,
    };
    let then = match filter.is_some() && reader.takes('.') {
        true => reader.path().map_err(wrong)?,
        false => Steps::new(),
    };
    reader.end().map_err(wrong)?;
    Ok(Target {
        steps,
        filter,
        then,
    })
}

fn invalid(message: String) -> Error {
    Error::new(Code::BadRequest, message).param("filter")
}

/// What is left to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, letter: char) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(letter);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Takes a word, if it is the next one.
    fn takes_word(&mut self, word: &str) -> bool {
        self.skip();
        let begins = self.rest.get(..word.len());
        let is_next = begins.is_some_and(|begins| begins.eq_ignore_ascii_case(word));
        let ends = |rest: &str| !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric());
        let takes = is_next && ends(&self.rest[word.len()..]);
        if takes {
            self.rest = &self.rest[word.len()..];
        }
        takes
    }

    fn end(&mut self) -> Result<()> {
        self.skip();
        match self.rest {
            "" => Ok(()),
            rest => Err(invalid(format!("'{}' was not expected", start_of(rest)))),
        }
    }

    fn any_of(&mut self, depth: usize) -> Result<Filter> {
        let mut filter = self.all_of(depth)?;
        while self.takes_word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.all_of(depth)?));
        }
        Ok(filter)
    }

    fn all_of(&mut self, depth: usize) -> Result<Filter> {
        let mut filter = self.one(depth)?;
        while self.takes_word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one(depth)?));
        }
        Ok(filter)
    }

    fn one(&mut self, depth: usize) -> Result<Filter> {
        if depth > DEEPEST {
            return Err(invalid("the filter's brackets are too deep".to_owned()));
        }
        if self.takes_word("not") {
            if !self.takes('(') {
                return Err(invalid("'not' is followed by brackets".to_owned()));
            }
            return Ok(Filter::Not(Box::new(self.rest_of_brackets(depth)?)));
        }
        if self.takes('(') {
            return self.rest_of_brackets(depth);
        }
        let steps = self.path()?;
        if !self.takes('[') {
            return self.comparison(steps);
        }
        let of_one = self.in_brackets(depth + 1)?;
        if !self.takes('.') {
            return Ok(Filter::Some(steps, Box::new(of_one)));
        }
        // `emails[type eq "work"].value eq "…"`: the same value is meant
        let behind = self.path()?;
        let comparison = self.comparison(behind)?;
        let both = Filter::And(Box::new(of_one), Box::new(comparison));
        Ok(Filter::Some(steps, Box::new(both)))
    }

    fn rest_of_brackets(&mut self, depth: usize) -> Result<Filter> {
        let filter = self.any_of(depth + 1)?;
        match self.takes(')') {
            true => Ok(filter),
            false => Err(invalid("a bracket is not closed".to_owned())),
        }
    }

    fn in_brackets(&mut self, depth: usize) -> Result<Filter> {
        let filter = self.any_of(depth)?;
        match self.takes(']') {
            true => Ok(filter),
            false => Err(invalid("a bracket is not closed".to_owned())),
        }
    }

    fn path(&mut self) -> Result<Steps> {
        self.skip();
        let is_of_path = |letter: char| letter.is_ascii_alphanumeric() || "_-$:.".contains(letter);
        let length = self
            .rest
            .find(|letter| !is_of_path(letter))
            .unwrap_or(self.rest.len());
        let (path, rest) = self.rest.split_at(length);
        let is_path =
            path.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '$');
        if !is_path {
            let found = start_of(self.rest);
            return Err(invalid(format!("an attribute was expected at '{found}'")));
        }
        self.rest = rest;
        Ok(steps(path))
    }

    fn comparison(&mut self, steps: Steps) -> Result<Filter> {
        const OPERATORS: [(&str, Operator); 10] = [
            ("eq", Operator::Equal),
            ("ne", Operator::NotEqual),
            ("co", Operator::Contains),
            ("sw", Operator::StartsWith),
            ("ew", Operator::EndsWith),
            ("gt", Operator::Greater),
            ("ge", Operator::GreaterOrEqual),
            ("lt", Operator::Less),
            ("le", Operator::LessOrEqual),
            ("pr", Operator::Present),
        ];
        let found = OPERATORS.iter().find(|(word, _)| self.takes_word(word));
        let Some((_, operator)) = found else {
            let found = start_of(self.rest);
            return Err(invalid(format!("an operator was expected at '{found}'")));
        };
        let value = match operator {
            Operator::Present => Value::Null,
            _ => self.value()?,
        };
        Ok(Filter::Compare {
            steps,
            operator: *operator,
            value,
        })
    }

    /// A value as JSON writes it.
    fn value(&mut self) -> Result<Value> {
        self.skip();
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<Value>();
        let value = match values.next() {
            Some(Ok(value)) if !value.is_object() && !value.is_array() => value,
            _ => {
                // `True` and `False`, as some providers write them
                for (word, value) in [("true", true), ("false", false)] {
                    if self.takes_word(word) {
                        return Ok(Value::Bool(value));
                    }
                }
                let found = start_of(self.rest);
                return Err(invalid(format!("a value was expected at '{found}'")));
            }
        };
        self.rest = &self.rest[values.byte_offset()..];
        Ok(value)
    }
}

/// As much of what was sent as a message repeats.
fn start_of(text: &str) -> String {
    text.chars().take(20).collect()
}

impl Filter {
    /// Whether a resource, or one of several values, is what was asked for.
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Filter::And(one, other) => one.matches(value) && other.matches(value),
            Filter::Or(one, other) => one.matches(value) || other.matches(value),
            Filter::Not(filter) => !filter.matches(value),
            Filter::Some(steps, filter) => {
                let mut found = leaves(value, steps).into_iter();
                found.any(|found| filter.matches(found))
            }
            Filter::Compare {
                steps,
                operator,
                value: wanted,
            } => {
                let found = leaves(value, steps);
                let is_exact = steps.last().is_some_and(|last| {
                    ["id", "externalId"]
                        .iter()
                        .any(|id| last.eq_ignore_ascii_case(id))
                });
                let mut found = found.into_iter().filter_map(plain);
                match operator {
                    Operator::Present => found.any(|found| found.as_str() != Some("")),
                    Operator::NotEqual => !found.any(|found| are_equal(found, wanted, is_exact)),
                    Operator::Equal => found.any(|found| are_equal(found, wanted, is_exact)),
                    _ => found.any(|found| compares(found, *operator, wanted)),
                }
            }
        }
    }

    /// What a resource must equal, whatever else is asked: for finding it by an index.
    pub fn equalities(&self) -> Vec<(&Steps, &str)> {
        match self {
            Filter::And(one, other) => {
                let mut both = one.equalities();
                both.extend(other.equalities());
                both
            }
            Filter::Compare {
                steps,
                operator: Operator::Equal,
                value: Value::String(value),
            } => vec![(steps, value)],
            _ => Vec::new(),
        }
    }
}

/// What of an attribute is compared: of one with parts, its `value`.
fn plain(found: &Value) -> Option<&Value> {
    match found {
        Value::Object(object) => super::path::attribute(object, "value").or(Some(found)),
        other => Some(other),
    }
}

fn are_equal(found: &Value, wanted: &Value, is_exact: bool) -> bool {
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => match is_exact {
            true => found == wanted,
            false => found.to_lowercase() == wanted.to_lowercase(),
        },
        (Value::Bool(found), Value::String(wanted)) => {
            wanted.eq_ignore_ascii_case(if *found { "true" } else { "false" })
        }
        (Value::Number(found), Value::Number(wanted)) => found.as_f64() == wanted.as_f64(),
        (found, wanted) => found == wanted,
    }
}

fn compares(found: &Value, operator: Operator, wanted: &Value) -> bool {
    let order = match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => {
            let (found, wanted) = (found.to_lowercase(), wanted.to_lowercase());
            match operator {
                Operator::Contains => return found.contains(&wanted),
                Operator::StartsWith => return found.starts_with(&wanted),
                Operator::EndsWith => return found.ends_with(&wanted),
                _ => Some(found.cmp(&wanted)),
            }
        }
        (Value::Number(found), Value::Number(wanted)) => {
            let both = found.as_f64().zip(wanted.as_f64());
            both.and_then(|(found, wanted)| found.partial_cmp(&wanted))
        }
        _ => None,
    };
    order.is_some_and(|order| match operator {
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_find_what_they_say() {
        let ada = json!({
            "id": "Ab1", "userName": "Ada@Example.com", "active": true,
            "name": {"familyName": "Lovelace"}, "meta": {"lastModified": "2026-01-02T00:00:00Z"},
            "emails": [{"type": "work", "value": "ada@example.com", "primary": true},
                {"type": "home", "value": "ada@home.example"}],
            "members": [{"value": "m1"}], "level": 3, "title": "",
        });
        for (filter, expected) in [
            (r#"userName eq "ada@example.com""#, true),
            (r#"USERNAME EQ "ada@example.com""#, true),
            (r#"userName eq "bob""#, false),
            (r#"userName ne "bob""#, true),
            (r#"nickName ne "bob""#, true),
            (r#"id eq "Ab1""#, true),
            (r#"id eq "ab1""#, false),
            (r#"active eq true"#, true),
            (r#"active eq True"#, true),
            (r#"active eq "True""#, true),
            (r#"active eq false"#, false),
            (r#"name.familyName sw "love""#, true),
            (
                r#"urn:ietf:params:scim:schemas:core:2.0:User:name.familyName ew "LACE""#,
                true,
            ),
            (
                r#"name.familyName co "vel" and not (active eq false)"#,
                true,
            ),
            (r#"userName eq "x" or userName co "ADA""#, true),
            (
                r#"userName eq "x" or userName co "ada" and active eq false"#,
                false,
            ),
            (
                r#"(userName eq "x" or userName co "ada") and active eq true"#,
                true,
            ),
            (r#"emails[type eq "work"].value eq "ada@example.com""#, true),
            (r#"emails[type eq "work" and value co "home"]"#, false),
            (r#"emails[type eq "home"]"#, true),
            (r#"emails eq "ada@home.example""#, true),
            (r#"emails.value co "home""#, true),
            (r#"members eq "m1""#, true),
            (r#"members[value eq "m2"]"#, false),
            (r#"title pr"#, false),
            (r#"name pr"#, true),
            (r#"nickName pr"#, false),
            (r#"meta.lastModified gt "2026-01-01T00:00:00Z""#, true),
            (r#"meta.lastModified lt "2026-01-01T00:00:00Z""#, false),
            (r#"level ge 3"#, true),
            (r#"level gt 3"#, false),
            (r#"level eq 3.0"#, true),
            (r#"userName eq "a\"b""#, false),
            (r#"userName gt 3"#, false),
            (r#"nickName eq null"#, false),
        ] {
            let found = parse(filter).unwrap().matches(&ada);
            assert_eq!(found, expected, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}a pr{}", "(".repeat(5_000), ")".repeat(5_000));
        let long = format!("a eq \"{}\"", "x".repeat(LONGEST));
        for filter in [
            "",
            "userName",
            "userName eq",
            "userName eq [1]",
            "userName is \"x\"",
            "userName eq \"x",
            "userName eq \"x\" and",
            "(userName pr",
            "emails[type pr",
            "not userName pr",
            "userName pr pr",
            "eq \"x\"",
            "\u{1f600} pr",
            "a eq \u{e9}",
            deep.as_str(),
            long.as_str(),
        ] {
            let error = parse(filter).unwrap_err();
            assert_eq!(error.parameter(), Some("filter"), "{filter:.40}");
        }
    }

    #[test]
    fn targets_are_paths_with_a_choice_among_values() {
        let target = parse_target(r#"emails[type eq "work"].value"#).unwrap();
        assert_eq!(target.steps, ["emails"]);
        assert_eq!(target.then, ["value"]);
        assert!(target.filter.is_some());
        for wrong in [
            "",
            "emails[",
            "emails[type eq \"x\"]value",
            "a b",
            "a[b pr].c d",
        ] {
            let error = parse_target(wrong).unwrap_err();
            assert_eq!(error.parameter(), Some("path"), "{wrong}");
        }
    }

    #[test]
    fn only_what_must_hold_is_looked_up() {
        let all = parse(r#"userName eq "a" and active eq true and externalId eq "b""#).unwrap();
        let names: Vec<&str> = all.equalities().iter().map(|(_, value)| *value).collect();
        assert_eq!(names, ["a", "b"]);
        let either = parse(r#"userName eq "a" or externalId eq "b""#).unwrap();
        assert!(either.equalities().is_empty());
    }
}
