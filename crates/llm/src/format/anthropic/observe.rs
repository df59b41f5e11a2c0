//! Watching a provider's answer that passes to a client of the same format.

use std::ops::Range;

use crate::format::Format;
use crate::json::{Cursor, Fault};
use crate::response::Facts;

/// Reads the value of the member `key` of an answer or of a stream's event; the cursor stands on it.
pub(crate) fn member(
    facts: &mut Facts,
    text: &[u8],
    key: &[u8],
    cursor: &mut Cursor<'_>,
) -> Result<(), Fault> {
    match (key, cursor.peek()) {
        (b"type", Some(b'"')) => {
            let kind = cursor.value()?;
            match &text[kind] {
                b"\"message_stop\"" => facts.finished = true,
                b"\"error\"" => facts.error = true,
                _ => {}
            }
        }
        (b"message", Some(b'{')) => message(facts, text, cursor)?,
        (b"delta", Some(b'{')) => delta(facts, text, cursor)?,
        (b"content", Some(b'[')) => content(facts, text, cursor)?,
        (b"error", Some(b'{')) => {
            facts.error = true;
            cursor.value()?;
        }
        _ => head(facts, key, cursor)?,
    }
    Ok(())
}

/// The members that an answer has, and that a stream's first event has in its `message`.
fn head(facts: &mut Facts, key: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let first = cursor.peek();
    let value = cursor.value()?;
    match (key, first) {
        (b"model", Some(b'"')) => facts.model = Some(value),
        (b"id", Some(b'"')) => facts.id = Some(value),
        (b"stop_reason", Some(b'"')) => facts.finished = true,
        (b"usage", Some(b'{')) => {
            facts.usage = Some(value);
            facts.usage_format = Some(Format::Anthropic);
        }
        _ => {}
    }
    Ok(())
}

fn message(facts: &mut Facts, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let Some(mut members) = cursor.members() else {
        return Ok(());
    };
    while let Some(key) = members.key()? {
        match &*key.bytes(text) {
            b"content" if members.cursor.peek() == Some(b'[') => {
                content(facts, text, members.cursor)?;
            }
            key => head(facts, key, members.cursor)?,
        }
    }
    Ok(())
}

/// A piece of a block, or the end of the message.
fn delta(facts: &mut Facts, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let Some(mut members) = cursor.members() else {
        return Ok(());
    };
    while let Some(key) = members.key()? {
        let first = members.cursor.peek();
        let value = members.value()?;
        match (&*key.bytes(text), first) {
            (b"text" | b"thinking" | b"partial_json", _) => facts.note_string(first, &value, true),
            (b"signature", _) => facts.note_string(first, &value, false),
            (b"stop_reason", Some(b'"')) => facts.finished = true,
            _ => {}
        }
    }
    Ok(())
}

/// The blocks of a whole answer: the bytes that were generated.
fn content(facts: &mut Facts, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
    let Some(mut elements) = cursor.elements() else {
        return Ok(());
    };
    while elements.more()? {
        let Some(mut members) = elements.cursor.members() else {
            elements.cursor.value()?;
            continue;
        };
        while let Some(key) = members.key()? {
            let first = members.cursor.peek();
            let value: Range<usize> = members.value()?;
            let length = value.len() as u64;
            facts.output_bytes += match (&*key.bytes(text), first) {
                (b"text" | b"thinking", Some(b'"')) => length - 2,
                (b"input", Some(b'{')) => length,
                _ => 0,
            };
        }
    }
    Ok(())
}
