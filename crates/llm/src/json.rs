//! Walking JSON text without building it.
//!
//! The gateway reads a handful of members and sends the rest on as it came, so a value is skipped,
//! not parsed. Skipping checks the full grammar of RFC 8259: what passes here is JSON, and a parser
//! behind us reads the same members that we read. Nothing recurses and nothing panics.

use std::borrow::Cow;
use std::ops::Range;

/// How deep arrays and objects may nest, as in serde_json.
const MAX_DEPTH: u32 = 128;

/// Where the text stops being JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: usize,
    pub reason: &'static str,
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
        if self.escaped {
            let owned = serde_json::from_slice(text.get(self.quoted())?).ok()?;
            return Some(Cow::Owned(owned));
        }
        std::str::from_utf8(text.get(self.range.clone())?)
            .ok()
            .map(Cow::Borrowed)
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
    pub fn string(&mut self) -> Result<Text, Fault> {
        let start = self.at + 1;
        self.at = start;
        let mut escaped = false;
        loop {
            self.at = stop(self.text, self.at);
            match self.peek() {
                Some(b'"') => {
                    let range = start..self.at;
                    self.at += 1;
                    return Ok(Text { range, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.fault("control character in a string")),
                None => return Err(self.fault("unexpected end of data in a string")),
            }
        }
    }

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

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The place of the next byte, from `at` on, that a string cannot hold as it is: a quote, a
/// backslash or a control character; the end of the text where there is none.
#[inline]
fn stop(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = text.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("a slice of eight"));
        let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow may mark bytes above the first marked one, never below it.
        let marked = (quote | backslash | control) & HIGHS;
        if marked != 0 {
            return at + (marked.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// A member of an object: its name, and the place of its value.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub key: Text,
    pub value: Range<usize>,
}

/// The members of one object, in order.
#[derive(Clone, Debug)]
pub(crate) struct Members<'a> {
    cursor: Cursor<'a>,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    First,
    Comma,
    End,
}

impl<'a> Members<'a> {
    /// The object at `at`, leading white space allowed; `None` where there is none.
    pub fn open(text: &'a [u8], at: usize) -> Option<Members<'a>> {
        let mut cursor = Cursor::new(text, at);
        cursor.whitespace();
        cursor.eat(b'{').then_some(Members {
            cursor,
            next: Next::First,
        })
    }

    /// Goes on with an object after a member's value that ended at `at`.
    pub fn resume(text: &'a [u8], at: usize) -> Members<'a> {
        Members {
            cursor: Cursor::new(text, at),
            next: Next::Comma,
        }
    }

    /// The place after what was read so far; after the last member, after the closing brace.
    pub fn at(&self) -> usize {
        self.cursor.at
    }

    pub fn next(&mut self) -> Result<Option<Member>, Fault> {
        let cursor = &mut self.cursor;
        cursor.whitespace();
        match (self.next, cursor.peek()) {
            (Next::End, _) => return Ok(None),
            (Next::First | Next::Comma, Some(b'}')) => {
                cursor.at += 1;
                self.next = Next::End;
                return Ok(None);
            }
            (Next::First, _) => {}
            (Next::Comma, Some(b',')) => cursor.at += 1,
            (Next::Comma, Some(_)) => {
                return Err(cursor.fault("unexpected character, expected a comma"));
            }
            (Next::Comma, None) => return Err(cursor.fault("unexpected end of data")),
        }
        self.next = Next::Comma;
        let key = cursor.key()?;
        let value = cursor.value()?;
        Ok(Some(Member { key, value }))
    }
}

/// The strings of the array at `range`; members of other types are left out.
pub(crate) fn strings(text: &[u8], range: Range<usize>) -> Vec<String> {
    let mut found = Vec::new();
    let _whole = elements(text, range, |element| {
        if let Some(string) = string_at(text, element) {
            found.push(string.into_owned());
        }
    });
    found
}

/// Calls `each` with the place of every element of the array at `range`; false if it is none.
pub(crate) fn elements(
    text: &[u8],
    range: Range<usize>,
    mut each: impl FnMut(Range<usize>),
) -> bool {
    let mut cursor = Cursor::new(text, range.start);
    if !cursor.eat(b'[') {
        return false;
    }
    cursor.whitespace();
    if cursor.eat(b']') {
        return true;
    }
    while let Ok(element) = cursor.value() {
        each(element);
        cursor.whitespace();
        if !cursor.eat(b',') {
            return cursor.eat(b']');
        }
    }
    false
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
