//! A small JSON reader for the output of `cargo metadata`.
//!
//! It trusts that the text is JSON, since Cargo wrote it, but never panics on any input. Numbers
//! are kept as text: nothing here calculates with them.

use std::collections::HashMap;

use crate::Outcome;

#[derive(Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(HashMap<String, Json>),
}

impl Json {
    pub fn parse(text: &str) -> Outcome<Json> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.blank();
        if reader.at == text.len() {
            Ok(value)
        } else {
            Err(reader.unexpected())
        }
    }

    /// The member of an object, `Null` when there is none.
    pub fn get(&self, name: &str) -> &Json {
        match self {
            Json::Object(members) => members.get(name).unwrap_or(&Json::Null),
            _ => &Json::Null,
        }
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list, none when it is not a list.
    pub fn list(&self) -> &[Json] {
        match self {
            Json::List(items) => items,
            _ => &[],
        }
    }
}

/// Deeper than anything Cargo writes, shallower than the stack.
const DEPTH: usize = 100;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Outcome<Json> {
        if depth > DEPTH {
            return Err(format!("JSON is nested deeper than {DEPTH}"));
        }
        self.blank();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.items(depth),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => Ok(self.number()),
            _ if self.eat("null") => Ok(Json::Null),
            _ if self.eat("true") => Ok(Json::Bool(true)),
            _ if self.eat("false") => Ok(Json::Bool(false)),
            _ => Err(self.unexpected()),
        }
    }

    fn object(&mut self, depth: usize) -> Outcome<Json> {
        let mut members = HashMap::new();
        self.at += 1;
        self.blank();
        if self.eat("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.blank();
            let name = self.string()?;
            self.blank();
            if !self.eat(":") {
                return Err(self.unexpected());
            }
            members.insert(name, self.value(depth + 1)?);
            self.blank();
            if self.eat("}") {
                return Ok(Json::Object(members));
            }
            if !self.eat(",") {
                return Err(self.unexpected());
            }
        }
    }

    fn items(&mut self, depth: usize) -> Outcome<Json> {
        let mut items = Vec::new();
        self.at += 1;
        self.blank();
        if self.eat("]") {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.blank();
            if self.eat("]") {
                return Ok(Json::List(items));
            }
            if !self.eat(",") {
                return Err(self.unexpected());
            }
        }
    }

    fn number(&mut self) -> Json {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
        ) {
            self.at += 1;
        }
        Json::Number(self.text[start..self.at].to_owned())
    }

    fn string(&mut self) -> Outcome<String> {
        if !self.eat("\"") {
            return Err(self.unexpected());
        }
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find(['"', '\\']) else {
                return Err(self.unexpected());
            };
            string.push_str(&rest[..length]);
            self.at += length;
            if self.eat("\"") {
                return Ok(string);
            }
            self.at += 1;
            string.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Outcome<char> {
        let Some(letter) = self.peek() else {
            return Err(self.unexpected());
        };
        let character = match letter {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\\' | b'/' => char::from(letter),
            b'u' => {
                let digits = self.text.get(self.at + 1..self.at + 5);
                let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
                let Some(code) = code else {
                    return Err(self.unexpected());
                };
                self.at += 4;
                // halves of a pair stand in descriptions only, which nobody compares
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(character)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self) -> String {
        let near: String = self.text[self.at..].chars().take(20).collect();
        format!("JSON: unexpected text at byte {}: {near:?}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_kind_are_read() {
        let json = Json::parse(
            r#" {"a": [1, -2.5e3, true, null], "b": {"c": "x\n\"\u00e9\""}, "d": []} "#,
        );
        let json = json.unwrap();
        assert_eq!(json.get("a").list().len(), 4);
        assert_eq!(json.get("a").list()[1], Json::Number("-2.5e3".to_owned()));
        assert_eq!(json.get("b").get("c").text(), Some("x\n\"é\""));
        assert_eq!(json.get("d").list(), []);
        assert_eq!(json.get("missing").get("deeper"), &Json::Null);
    }

    #[test]
    fn broken_text_is_an_error_and_never_a_panic() {
        let whole = r#"{"a":["é\u00e9",{"b":null}]}"#;
        for end in (0..whole.len()).filter(|&end| whole.is_char_boundary(end)) {
            assert!(Json::parse(&whole[..end]).is_err(), "{}", &whole[..end]);
        }
        for text in [
            "{} x",
            "[1 2]",
            "{\"a\" 1}",
            "\"\\u12\u{e9}\"",
            "nul",
            &"[".repeat(10_000),
        ] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }
}
