//! Walking JSON text without building it.
//!
//! The gateway reads a handful of members and sends the rest on as it came, so a value is skipped,
//! not parsed. Skipping checks the full grammar of RFC 8259: what passes here is JSON, and a parser
//! behind us reads the same members that we read. Nothing recurses and nothing panics.

mod containers;
mod escapes;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use scan::Stops;

pub(crate) use value::{read, write};

/// How deep arrays and objects may nest, as in serde_json.
const MAX_DEPTH: u32 = 128;

/// Where the text stops being JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: usize,
    pub reason: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.at)
    }
}

/// A string in the text: its place between the quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub range: Range<usize>,
    pub escaped: bool,
}

impl Text {
    /// The place with its quotes.
    pub fn quoted(&self) -> Range<usize> {
        self.range.start - 1..self.range.end + 1
    }

    /// The string itself; `None` where it is no UTF-8 or an escape names no character.
    pub fn decode<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, str>> {
        let text = std::str::from_utf8(text.get(self.range.clone())?).ok()?;
        match self.escaped {
            true => escapes::undo(text).map(Cow::Owned),
            false => Some(Cow::Borrowed(text)),
        }
    }

    /// The string's bytes, where no escape hides them: enough to compare with known names.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match self.escaped {
            false => Cow::Borrowed(&text[self.range.clone()]),
            true => match self.decode(text) {
                Some(decoded) => Cow::Owned(decoded.into_owned().into_bytes()),
                None => Cow::Borrowed(&text[self.range.clone()]),
            },
        }
    }
}

/// A position in JSON text.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a [u8], at: usize) -> Cursor<'a> {
        Cursor { text, at }
    }

    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub fn fault(&self, reason: &'static str) -> Fault {
        Fault {
            at: self.at.min(self.text.len()),
            reason,
        }
    }

    pub fn whitespace(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Skips one value, whatever it is, and gives its place.
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        self.whitespace();
        let start = self.at;
        let mut open = Open::default();
        loop {
            self.opening(&mut open)?;
            if open.expects_value {
                continue;
            }
            if self.closing(&mut open)? {
                return Ok(start..self.at);
            }
        }
    }

    /// Skips the array that stands here by its brackets alone: for long lists of numbers from a
    /// provider, whose grammar is not ours to check.
    pub fn array_by_brackets(&mut self) -> Result<(), Fault> {
        let mut depth = 0_usize;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = memchr::memchr3(b'[', b']', b'"', rest)
                .ok_or_else(|| self.fault("unexpected end of data"))?;
            self.at += length;
            match self.text[self.at] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' => depth += 1,
                _ => depth = depth.saturating_sub(1),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Reads a scalar whole, or the opening of a container.
    #[inline]
    fn opening(&mut self, open: &mut Open) -> Result<(), Fault> {
        self.whitespace();
        open.expects_value = false;
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => {
                self.at += 1;
                self.whitespace();
                if self.eat(b'}') {
                    return Ok(());
                }
                open.push(true).map_err(|reason| self.fault(reason))?;
                self.key().map(|_| ())
            }
            Some(b'[') => {
                self.at += 1;
                self.whitespace();
                if self.eat(b']') {
                    return Ok(());
                }
                open.push(false).map_err(|reason| self.fault(reason))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(_) => Err(self.fault("unexpected character")),
            None => Err(self.fault("unexpected end of data")),
        }
    }

    /// After a value: closes the containers that end here. True when nothing is left open.
    #[inline]
    fn closing(&mut self, open: &mut Open) -> Result<bool, Fault> {
        while open.depth > 0 {
            self.whitespace();
            match (self.peek(), open.in_object()) {
                (Some(b','), in_object) => {
                    self.at += 1;
                    if in_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.pop();
                }
                (Some(_), _) => return Err(self.fault("unexpected character, expected a comma")),
                (None, _) => return Err(self.fault("unexpected end of data")),
            }
        }
        Ok(true)
    }

    /// Reads a member's name and the colon after it.
    fn key(&mut self) -> Result<Text, Fault> {
        self.whitespace();
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.fault("unexpected character, expected a string key")),
            None => return Err(self.fault("unexpected end of data")),
        }
        let key = self.string()?;
        self.whitespace();
        match self.eat(b':') {
            true => Ok(key),
            false => Err(self.fault("expected a colon")),
        }
    }

    /// Reads a string; the cursor stands on its opening quote.
    #[inline]
    pub fn string(&mut self) -> Result<Text, Fault> {
        let start = self.at + 1;
        // most names, and many values, are short
        if let Some(length) = scan::short(self.text, start) {
            self.at = start + length + 1;
            return Ok(Text {
                range: start..start + length,
                escaped: false,
            });
        }
        self.long_string(start)
    }

    fn long_string(&mut self, start: usize) -> Result<Text, Fault> {
        let mut escaped = false;
        let mut stops = Stops::new(self.text, start);
        loop {
            self.at = stops.next();
            match self.peek() {
                Some(b'"') => {
                    let range = start..self.at;
                    if !stops.is_ascii
                        && let Err(error) = std::str::from_utf8(&self.text[range.clone()])
                    {
                        self.at = start + error.valid_up_to();
                        return Err(self.fault("invalid UTF-8"));
                    }
                    self.at += 1;
                    return Ok(Text { range, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                    stops.go_on(self.at);
                }
                Some(_) => return Err(self.fault("control character in a string")),
                None => return Err(self.fault("unexpected end of data in a string")),
            }
        }
    }

    #[inline]
    fn escape(&mut self) -> Result<(), Fault> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => match self.text.get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => {
                    self.at += 6;
                    Ok(())
                }
                _ => Err(self.fault("invalid escape in a string")),
            },
            _ => Err(self.fault("invalid escape in a string")),
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            let _signed = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at > start {
            true => Ok(()),
            false => Err(self.fault("invalid number")),
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        match self.text[self.at..].starts_with(word) {
            true => {
                self.at += word.len();
                Ok(())
            }
            false => Err(self.fault("unexpected character")),
        }
    }
}

/// The containers that are open around a position: one bit each, the innermost lowest.
#[derive(Default)]
struct Open {
    depth: u32,
    objects: u128,
    expects_value: bool,
}

impl Open {
    fn push(&mut self, object: bool) -> Result<(), &'static str> {
        if self.depth == MAX_DEPTH {
            return Err("nested deeper than 128 levels");
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(object);
        self.expects_value = true;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// The strings of the array at `range`; elements of other types are left out.
pub(crate) fn strings(text: &[u8], range: Range<usize>) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(text, range.start);
    let Some(mut elements) = cursor.elements() else {
        return found;
    };
    while let Ok(true) = elements.more() {
        match elements.cursor.value() {
            Ok(place) => found.extend(string_at(text, place).map(Cow::into_owned)),
            Err(_) => break,
        }
    }
    found
}

/// The place of the value of a member of the object at `range`; the last one of that name.
pub(crate) fn find(text: &[u8], range: Range<usize>, name: &[u8]) -> Option<Range<usize>> {
    let mut cursor = Cursor::new(text, range.start);
    let mut members = cursor.members()?;
    let mut found = None;
    while let Some(key) = members.key().ok()? {
        let value = members.value().ok()?;
        if *key.bytes(text) == *name {
            found = Some(value);
        }
    }
    found
}

/// The string whose place `range` is; `None` if another value stands there.
pub(crate) fn string_at(text: &[u8], range: Range<usize>) -> Option<Cow<'_, str>> {
    if text.get(range.start) != Some(&b'"') {
        return None;
    }
    Cursor::new(text, range.start).string().ok()?.decode(text)
}

/// A string as JSON text, quotes included.
pub(crate) fn quote(string: &str) -> String {
    serde_json::to_string(string).expect("a string is always JSON")
}
