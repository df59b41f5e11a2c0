//! Watching a call whose client and provider both speak this format: who asks, what is answered.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;

use crate::format::Format;
use crate::json::{Cursor, Fault};
use crate::response::Facts;

/// `metadata.user_id` as Claude Code writes it since 2026: JSON within the string.
#[derive(Deserialize)]
struct ClaudeCodeUser {
    account_uuid: String,
    device_id: String,
}

/// The person or device that `metadata.user_id` names. Claude Code puts its session into it, and would be
/// a new end user every time.
pub(crate) fn without_session(user_id: Cow<'_, str>) -> Cow<'_, str> {
    if user_id.starts_with('{')
        && let Ok(user) = serde_json::from_str::<ClaudeCodeUser>(&user_id)
    {
        return Cow::Owned(match user.account_uuid.is_empty() {
            true => user.device_id,
            false => user.account_uuid,
        });
    }
    match user_id.rfind("_session_") {
        Some(end) if user_id.starts_with("user_") => Cow::Owned(user_id[..end].to_owned()),
        _ => user_id,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_no_end_user() {
        for (user_id, expected) in [
            ("alice", "alice"),
            ("my_session_1", "my_session_1"),
            ("user_ab12_account_c3_session_d4", "user_ab12_account_c3"),
            (
                r#"{"device_id":"d1","account_uuid":"","session_id":"s"}"#,
                "d1",
            ),
            (
                r#"{"device_id":"d1","account_uuid":"a1","session_id":"s"}"#,
                "a1",
            ),
            ("{odd", "{odd"),
        ] {
            assert_eq!(without_session(Cow::Borrowed(user_id)), expected);
        }
    }
}
