//! Tools that take free text (OpenAI's custom tools), for formats that know functions alone: the tool
//! becomes a function with the one string argument `input`, its calls carry `{"input": …}`, and what
//! the model then calls with becomes free text again.
//!
//! A writer of requests uses [`as_function`] and [`arguments`]. Back again goes the writer of the
//! client's format, which knows from the client's request which tools are custom: [`input`] for a
//! whole call, [`InputReader`] for one that comes in pieces.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{Tool, ToolKind};

/// The function that stands for a custom tool.
pub fn as_function(name: &str, description: Option<&str>, format: Option<&Value>) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: Some(function_description(description, format)),
        parameters: Some(json!({
            "type": "object",
            "properties": {
                "input": {"type": "string", "description": "The whole input, as it stands."}
            },
            "required": ["input"],
            "additionalProperties": false
        })),
        strict: None,
        cache: None,
    }
}

/// The description, with what the tool's `format` asks of its input.
fn function_description(description: Option<&str>, format: Option<&Value>) -> String {
    let mut text = description.unwrap_or_default().to_owned();
    let Some(format) = format else {
        return text;
    };
    // OpenAI chat has them one level deeper than responses
    let grammar = format.get("grammar").unwrap_or(format);
    let word = |name: &str| grammar.get(name).and_then(Value::as_str);
    if let Some(definition) = word("definition") {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        let syntax = word("syntax").unwrap_or("lark");
        text.push_str("The argument `input` must follow this grammar (");
        text.push_str(syntax);
        text.push_str("):\n");
        text.push_str(definition);
    }
    text
}

/// The arguments of a call as JSON text, whoever defined the tool.
pub fn arguments(kind: ToolKind, arguments: &str) -> Cow<'_, str> {
    match kind {
        ToolKind::Function => Cow::Borrowed(arguments),
        ToolKind::Custom => Cow::Owned(json!({ "input": arguments }).to_string()),
    }
}

/// The free text in the arguments of a function that stands for a custom tool. A model that left the
/// wrapping away meant all of it.
pub fn input(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut members)) => match members.remove("input") {
            Some(Value::String(text)) => text,
            _ => arguments.to_owned(),
        },
        Ok(Value::String(text)) => text,
        _ => arguments.to_owned(),
    }
}

/// [`input`] for arguments that come in pieces: gives the text as soon as it can be known.
#[derive(Debug, Default)]
pub struct InputReader {
    state: State,
    /// Before the text begins: all that came. Within it: an escape that is not whole.
    held: String,
}

#[derive(Debug, Default)]
enum State {
    /// `{"input": "` may still come.
    #[default]
    Before,
    Inside,
    After,
    /// The arguments have another shape: they are read when they are whole.
    Odd,
}

impl InputReader {
    /// Takes a piece of the arguments and gives the text that is known with it.
    pub fn feed(&mut self, piece: &str) -> String {
        let mut text = String::new();
        match self.state {
            State::Before => {
                self.held.push_str(piece);
                self.begin(&mut text);
            }
            State::Inside => self.read(piece, &mut text),
            State::After => {}
            State::Odd => self.held.push_str(piece),
        }
        text
    }

    /// The arguments are whole: the text that was still held back.
    pub fn finish(self) -> String {
        match self.state {
            State::Before | State::Odd => input(&self.held),
            State::Inside | State::After => String::new(),
        }
    }

    fn begin(&mut self, text: &mut String) {
        let mut rest = &*self.held;
        for token in ["{", "\"input\"", ":", "\""] {
            rest = rest.trim_start();
            match rest.strip_prefix(token) {
                Some(after) => rest = after,
                None if token.starts_with(rest) => return,
                None => {
                    self.state = State::Odd;
                    return;
                }
            }
        }
        let rest = rest.to_owned();
        self.held.clear();
        self.state = State::Inside;
        self.read(&rest, text);
    }

    /// Reads inside the string, up to its end.
    fn read(&mut self, piece: &str, text: &mut String) {
        let joined;
        let mut rest = piece;
        if !self.held.is_empty() {
            self.held.push_str(piece);
            joined = std::mem::take(&mut self.held);
            rest = &joined;
        }
        while let Some(at) = rest.find(['"', '\\']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with('"') {
                self.state = State::After;
                return;
            }
            match escape(rest) {
                Escape::Whole(character, length) => {
                    text.push(character);
                    rest = &rest[length..];
                }
                Escape::Cut => {
                    self.held.push_str(rest);
                    return;
                }
            }
        }
        text.push_str(rest);
    }
}

enum Escape {
    /// The character, and how many bytes stand for it.
    Whole(char, usize),
    Cut,
}

/// Reads the escape at the beginning of `text`; what names no character becomes U+FFFD.
fn escape(text: &str) -> Escape {
    let bytes = text.as_bytes();
    let simple = match bytes.get(1) {
        None => return Escape::Cut,
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return unicode_escape(bytes),
        Some(byte) if byte.is_ascii() => char::from(*byte),
        // the backslash escapes nothing: it is left out
        Some(_) => return Escape::Whole(char::REPLACEMENT_CHARACTER, 1),
    };
    Escape::Whole(simple, 2)
}

fn unicode_escape(bytes: &[u8]) -> Escape {
    let unit = |at: usize| -> Option<u32> {
        let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    if bytes.len() < 6 {
        return Escape::Cut;
    }
    let Some(first) = unit(2) else {
        return Escape::Whole(char::REPLACEMENT_CHARACTER, 2);
    };
    if !(0xD800..0xDC00).contains(&first) {
        return Escape::Whole(
            char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER),
            6,
        );
    }
    if bytes.len() < 12 && b"\\u".starts_with(&bytes[6..bytes.len().min(8)]) {
        return Escape::Cut;
    }
    let second = match bytes.get(6..8) {
        Some(b"\\u") => unit(8).filter(|unit| (0xDC00..0xE000).contains(unit)),
        _ => None,
    };
    match second {
        Some(second) => {
            let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            Escape::Whole(
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                12,
            )
        }
        None => Escape::Whole(char::REPLACEMENT_CHARACTER, 6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
        let mut reader = InputReader::default();
        let mut text: String = pieces.into_iter().map(|piece| reader.feed(piece)).collect();
        text.push_str(&reader.finish());
        text
    }

    #[test]
    fn a_grammar_is_told_in_words() {
        let format = json!({"type": "grammar", "syntax": "lark", "definition": "start: \"x\""});
        let Tool::Function { description, .. } =
            as_function("apply_patch", Some("Edit files."), Some(&format))
        else {
            panic!("no function");
        };
        let description = description.unwrap();
        assert!(description.starts_with("Edit files.\n\n"));
        assert!(description.ends_with("start: \"x\""));
    }

    #[test]
    fn text_goes_on_as_it_comes() {
        let mut reader = InputReader::default();
        assert_eq!(reader.feed("{\"in"), "");
        assert_eq!(reader.feed("put\": \"*** Be"), "*** Be");
        assert_eq!(reader.feed("gin\\"), "gin");
        assert_eq!(reader.feed("nnext \\ud83d"), "\nnext ");
        assert_eq!(reader.feed("\\ude00!\"}"), "😀!");
        assert_eq!(reader.feed(" "), "");
        assert_eq!(reader.finish(), "");
    }

    #[test]
    fn what_is_not_wrapped_is_all_meant() {
        assert_eq!(input("ls -l"), "ls -l");
        assert_eq!(in_pieces(["ls", " -l"]), "ls -l");
        assert_eq!(in_pieces(["{\"x\": 1, \"inp", "ut\": \"a\"}"]), "a");
        assert_eq!(in_pieces([]), "");
    }

    proptest! {
        #[test]
        fn any_text_comes_back_however_it_is_cut(text: String, cuts: Vec<u8>) {
            let wrapped = arguments(ToolKind::Custom, &text).into_owned();
            prop_assert_eq!(input(&wrapped), text.clone());
            prop_assert_eq!(in_pieces(cut(&wrapped, &cuts)), text);
        }

        #[test]
        fn odd_arguments_never_panic(text in r#"(\{"input":")?[\\u"a-f0-9dD😀]*"#, cuts: Vec<u8>) {
            in_pieces(cut(&text, &cuts));
        }
    }

    fn cut<'a>(text: &'a str, cuts: &[u8]) -> Vec<&'a str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        for cut in cuts {
            let mut at = usize::from(*cut % 7).min(rest.len());
            while !rest.is_char_boundary(at) {
                at -= 1;
            }
            let (piece, after) = rest.split_at(at);
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        pieces
    }
}
