//! Watching Gemini's own traffic go by: the limits in a request, the facts of an answer or chunk, and
//! where the elements of a stream end that comes as one JSON array.
//!
//! Nothing is built and no byte is changed here; what is no JSON passes unseen.

use std::ops::Range;

use base::{Code, Error, Result};

use crate::json::{self, Cursor, Fault};
use crate::response::Facts;
use crate::usage;

/// What `generationConfig` says of the size of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    pub max_output_tokens: Option<u64>,
    pub candidates: Option<u64>,
}

/// Reads the limits from the value of `generationConfig`. A limit may stand there once only, so that
/// what is checked is what is sent.
///
/// # Errors
/// `InvalidRequest` (400), naming the member.
pub(crate) fn peek_limits(body: &[u8], value: Range<usize>) -> Result<Limits> {
    let refused = |name: &'static str, why: &str| {
        Error::new(Code::InvalidRequest, format!("{name} {why}")).param(name)
    };
    let mut limits = Limits::default();
    if body[value.start] == b'n' {
        return Ok(limits);
    }
    let mut cursor = Cursor::new(body, value.start);
    let not_an_object = || refused("generationConfig", "must be an object");
    let mut members = cursor.members().ok_or_else(not_an_object)?;
    while let Some(key) = members.key().map_err(|_| not_an_object())? {
        let place = members.value().map_err(|_| not_an_object())?;
        let (name, slot) = match &*key.bytes(body) {
            b"maxOutputTokens" | b"max_output_tokens" => (
                "generationConfig.maxOutputTokens",
                &mut limits.max_output_tokens,
            ),
            b"candidateCount" | b"candidate_count" => {
                ("generationConfig.candidateCount", &mut limits.candidates)
            }
            _ => continue,
        };
        if slot.is_some() {
            return Err(refused(name, "stands there twice"));
        }
        let text = &body[place];
        if text == b"null" {
            continue;
        }
        // protobuf's JSON writes whole numbers as text, too
        let digits = match text {
            [b'"', digits @ .., b'"'] => digits,
            digits => digits,
        };
        let number = serde_json::from_slice::<f64>(digits)
            .ok()
            .filter(|number| *number >= 0.0 && number.fract() == 0.0)
            .ok_or_else(|| refused(name, "must be a whole number that is not negative"))?;
        *slot = Some(number as u64);
    }
    Ok(limits)
}

/// Reads the facts of an answer or a chunk; `None` for what is no object.
pub(crate) fn facts(text: &[u8]) -> Option<Facts> {
    let mut facts = Facts::default();
    let mut queries = 0;
    let mut cursor = Cursor::new(text, 0);
    let mut members = cursor.members()?;
    while let Some(key) = members.key().ok()? {
        let key = key.bytes(text);
        let cursor = &mut *members.cursor;
        match (&*key, cursor.peek()) {
            (b"candidates", Some(b'[')) => {
                read_candidates(text, cursor, &mut facts, &mut queries).ok()?;
            }
            (b"modelVersion", Some(b'"')) => facts.model = Some(cursor.value().ok()?),
            (b"responseId", Some(b'"')) => facts.id = Some(cursor.value().ok()?),
            (b"usageMetadata", Some(b'{')) => facts.usage = Some(cursor.value().ok()?),
            (b"promptFeedback", Some(b'{')) => {
                let value = cursor.value().ok()?;
                facts.finished |= json::find(text, value, b"blockReason").is_some();
            }
            (b"error", Some(b'{' | b'"')) => {
                facts.error = true;
                cursor.value().ok()?;
            }
            _ => {
                cursor.value().ok()?;
            }
        }
    }
    if let Some(place) = &facts.usage {
        let model = facts.model.clone();
        let model = model.and_then(|place| json::string_at(text, place));
        let searches = usage::gemini::searches(model.as_deref(), queries);
        facts.reading = usage::gemini::read(&text[place.clone()], searches);
    }
    Some(facts)
}

fn read_candidates(
    text: &[u8],
    cursor: &mut Cursor<'_>,
    facts: &mut Facts,
    queries: &mut u64,
) -> Result<(), Fault> {
    let Some(mut candidates) = cursor.elements() else {
        return Ok(());
    };
    while candidates.more()? {
        let Some(mut members) = candidates.cursor.members() else {
            candidates.cursor.value()?;
            continue;
        };
        while let Some(key) = members.key()? {
            let cursor = &mut *members.cursor;
            match (&text[key.range], cursor.peek()) {
                (b"content", Some(b'{')) => read_content(text, cursor, facts)?,
                (b"finishReason", Some(b'"')) => {
                    facts.finished = true;
                    cursor.value()?;
                }
                (b"groundingMetadata", Some(b'{')) => {
                    let value = cursor.value()?;
                    if let Some(place) = json::find(text, value, b"webSearchQueries") {
                        *queries += json::strings(text, place).len() as u64;
                    }
                }
                _ => {
                    cursor.value()?;
                }
            }
        }
    }
    Ok(())
}

/// Adds up what is generated: texts, and calls as they stand.
fn read_content(text: &[u8], cursor: &mut Cursor<'_>, facts: &mut Facts) -> Result<(), Fault> {
    let Some(mut members) = cursor.members() else {
        return Ok(());
    };
    while let Some(key) = members.key()? {
        if text[key.range] != *b"parts" || members.cursor.peek() != Some(b'[') {
            members.value()?;
            continue;
        }
        let Some(mut parts) = members.cursor.elements() else {
            continue;
        };
        while parts.more()? {
            let Some(mut part) = parts.cursor.members() else {
                parts.cursor.value()?;
                continue;
            };
            while let Some(key) = part.key()? {
                let first = part.cursor.peek();
                let length = part.value()?.len() as u64;
                match (&text[key.range], first) {
                    (b"text", Some(b'"')) => facts.output_bytes += length - 2,
                    (b"functionCall" | b"executableCode", Some(b'{')) => {
                        facts.output_bytes += length;
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// Finds where the elements of a JSON array end, going on where it stopped when more text has come.
#[derive(Debug, Default)]
pub(crate) struct ArraySplitter {
    pub at: usize,
    depth: u32,
    in_string: bool,
    escaped: bool,
}

impl ArraySplitter {
    /// The end of the next element; what stands between elements belongs to the one after it.
    pub fn next_end(&mut self, text: &[u8]) -> Option<usize> {
        while let Some(byte) = text.get(self.at) {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' => self.depth = self.depth.saturating_add(1),
                b'}' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}
