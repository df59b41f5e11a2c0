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
    pub fn string(&mut self) -> Result<Text, Fault> {
        let start = self.at + 1;
        self.at = start;
        let mut escaped = false;
        let mut ascii = true;
        loop {
            self.at = stop(self.text, self.at, &mut ascii);
            match self.peek() {
                Some(b'"') => {
                    let range = start..self.at;
                    if !ascii && let Err(error) = std::str::from_utf8(&self.text[range.clone()]) {
                        self.at = start + error.valid_up_to();
                        return Err(self.fault("invalid UTF-8"));
                    }
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

/// The bytes of a word that a string cannot hold as they are, by their high bits: quotes,
/// backslashes and control characters. Only the lowest mark is exact, as a borrow may mark bytes
/// above it, never below.
#[inline]
fn stops(word: u64) -> u64 {
    let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

#[inline]
fn word_at(text: &[u8], at: usize) -> Option<u64> {
    let bytes = text.get(at..at + 8)?;
    Some(u64::from_le_bytes(
        bytes.try_into().expect("a slice of eight"),
    ))
}

/// The place of the next byte, from `at` on, that a string cannot hold as it is; the end of the text
/// where there is none. Clears `ascii` if there are other bytes than ASCII's up to there, and perhaps
/// for a few bytes behind.
#[inline]
fn stop(text: &[u8], at: usize, ascii: &mut bool) -> usize {
    // Short strings end within these words; only long ones are worth the blocks behind.
    let searched = match search_words(text, at, WORDS_BEFORE_BLOCKS, ascii) {
        Ok(found) => return found,
        Err(searched) => skip_blocks(text, searched, ascii),
    };
    let mut at = match search_words(text, searched, usize::MAX, ascii) {
        Ok(found) => return found,
        Err(searched) => searched,
    };
    while let Some(byte) = text.get(at) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            return at;
        }
        *ascii &= byte.is_ascii();
        at += 1;
    }
    text.len()
}

/// Searches so many words for a byte that ends a piece of string: its place, or how far there is none.
#[inline]
fn search_words(
    text: &[u8],
    mut at: usize,
    words: usize,
    ascii: &mut bool,
) -> Result<usize, usize> {
    let mut seen = 0;
    let mut found = None;
    for _ in 0..words {
        let Some(word) = word_at(text, at) else { break };
        seen |= word;
        let marked = stops(word);
        if marked != 0 {
            found = Some(at + (marked.trailing_zeros() / 8) as usize);
            break;
        }
        at += 8;
    }
    *ascii &= seen & HIGHS == 0;
    found.ok_or(at)
}

const WORDS_BEFORE_BLOCKS: usize = 8;

/// Skips blocks of bytes that a string can hold; the compiler makes vector instructions of it.
#[inline(never)]
fn skip_blocks(text: &[u8], mut at: usize, ascii: &mut bool) -> usize {
    while let Some(block) = text.get(at..at + BLOCK) {
        let mut stops = 0;
        let mut seen = 0;
        for &byte in block {
            stops |= u8::from((byte < 0x20) | (byte == b'"') | (byte == b'\\'));
            seen |= byte;
        }
        if stops != 0 {
            break;
        }
        *ascii &= seen.is_ascii();
        at += BLOCK;
    }
    at
}

const BLOCK: usize = 64;

/// The members of one object, in order: [`Members::key`] gives a name, then the value must be read
/// or skipped through `cursor` before the next name is asked for.
pub(crate) struct Members<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    next: Next,
}

/// The elements of one array: while [`Elements::more`] says so, a value must be read or skipped.
pub(crate) struct Elements<'c, 'a> {
    pub cursor: &'c mut Cursor<'a>,
    next: Next,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    First,
    Comma,
}

impl<'a> Cursor<'a> {
    /// Enters the object that stands here; `None`, and nothing is read, if there is none.
    pub fn members(&mut self) -> Option<Members<'_, 'a>> {
        self.whitespace();
        let found = self.eat(b'{');
        found.then_some(Members {
            cursor: self,
            next: Next::First,
        })
    }

    /// Enters the array that stands here; `None`, and nothing is read, if there is none.
    pub fn elements(&mut self) -> Option<Elements<'_, 'a>> {
        self.whitespace();
        let found = self.eat(b'[');
        found.then_some(Elements {
            cursor: self,
            next: Next::First,
        })
    }

    /// Steps to the next item of a container that `close` ends; false at its end.
    fn step(&mut self, next: Next, close: u8) -> Result<bool, Fault> {
        self.whitespace();
        match (next, self.peek()) {
            (_, Some(byte)) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            (Next::First, Some(_)) => Ok(true),
            (Next::Comma, Some(b',')) => {
                self.at += 1;
                Ok(true)
            }
            (Next::Comma, Some(_)) => Err(self.fault("unexpected character, expected a comma")),
            (_, None) => Err(self.fault("unexpected end of data")),
        }
    }
}

impl Members<'_, '_> {
    /// The next member's name; `None`, and the cursor stands behind the object, at its end.
    pub fn key(&mut self) -> Result<Option<Text>, Fault> {
        if !self.cursor.step(self.next, b'}')? {
            return Ok(None);
        }
        self.next = Next::Comma;
        let key = self.cursor.key()?;
        self.cursor.whitespace();
        Ok(Some(key))
    }

    /// Skips the value of the member whose name was read, and gives its place.
    pub fn value(&mut self) -> Result<Range<usize>, Fault> {
        self.cursor.value()
    }
}

impl Elements<'_, '_> {
    /// Whether another element stands here; if not, the cursor stands behind the array.
    pub fn more(&mut self) -> Result<bool, Fault> {
        let more = self.cursor.step(self.next, b']')?;
        self.next = Next::Comma;
        self.cursor.whitespace();
        Ok(more)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text, 0);
        let valid = cursor.value().is_ok();
        cursor.whitespace();
        valid && cursor.at == text.len()
    }

    #[test]
    fn the_grammar_is_that_of_json() {
        for good in [
            "0",
            "-0.1e+5",
            " [ ] ",
            "{}",
            "[1,[2,{\"a\":[]}]]",
            "\"\\u00e9\\n\"",
            "null",
            "{\"\":{}}",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\t\"",
            "nul",
            "[1 2]",
            "[}",
            "{]",
            "\"",
            "[",
            "tru e",
        ] {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(format!("{{\"a\":{}}}", nested(127)).as_bytes()));
        assert!(!is_json(nested(130).as_bytes()));
    }

    #[test]
    fn every_byte_that_stops_a_string_is_found_at_every_place() {
        for stop_byte in 0..=255_u8 {
            for at in 0..20 {
                let mut text = vec![b'a'; 20];
                text[at] = stop_byte;
                let stops = matches!(stop_byte, b'"' | b'\\' | 0..0x20);
                assert_eq!(
                    stop(&text, 0, &mut true),
                    if stops { at } else { 20 },
                    "{stop_byte} at {at}"
                );
            }
        }
    }

    fn json_like() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[\\[\\]{},: \n\"\\\\]",
            "\"[a-zé]{0,12}\"",
            "\"\\\\[nu\"x]0?0?4?1?\"",
            "-?[0-9.eE+]{1,5}",
            "true|false|null|tru",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            ".*".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_serde_json_takes(text in json_like()) {
            let theirs = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(text.as_bytes()), theirs, "{}", text);
        }

        #[test]
        fn members_are_those_of_serde_json(value in any_json()) {
            for text in [value.to_string(), format!("{value:#}")] {
                prop_assert!(is_json(text.as_bytes()));
                let Some(object) = value.as_object() else { continue };
                let mut cursor = Cursor::new(text.as_bytes(), 0);
                let mut members = cursor.members().expect("an object");
                let mut found = serde_json::Map::new();
                while let Some(key) = members.key().expect("valid") {
                    let key = key.decode(text.as_bytes()).expect("a name").into_owned();
                    let value = members.value().expect("valid");
                    found.insert(key, serde_json::from_str(&text[value]).expect("a value"));
                }
                prop_assert_eq!(cursor.at, text.len());
                prop_assert_eq!(&found, object);
            }
        }
    }
}
