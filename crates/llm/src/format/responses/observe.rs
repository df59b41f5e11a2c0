//! Watching answers that pass unchanged: where the model's name, the usage and the generated text of
//! a response or of a stream's event are.

use std::ops::Range;

use crate::json::{self, Cursor, Fault};
use crate::response::Facts;
use crate::usage;

/// Reads the response object, or the event of a stream, at the beginning of `text`.
pub(crate) fn read(text: &[u8]) -> Option<Facts> {
    let mut walk = Walk::default();
    if !walk.members(text).ok()? {
        return None;
    }
    let Walk {
        mut facts,
        searches,
        ..
    } = walk;
    if let Some(place) = facts.usage.take()
        && let Some(mut reading) = usage::responses::read(&text[place])
    {
        if reading.usage.web_searches == 0 {
            reading.usage.web_searches = searches;
        }
        facts.reading = Some(reading);
    }
    Some(facts)
}

/// What was found so far.
#[derive(Default)]
struct Walk {
    facts: Facts,
    /// Web searches, each charged.
    searches: u64,
    /// The provider says that the call failed.
    is_failed: bool,
}

impl Walk {
    fn members(&mut self, text: &[u8]) -> Result<bool, Fault> {
        let mut cursor = Cursor::new(text, 0);
        let Some(mut members) = cursor.members() else {
            return Ok(false);
        };
        let mut kind = None;
        while let Some(key) = members.key()? {
            let key = key.bytes(text);
            let cursor = &mut *members.cursor;
            match (&*key, cursor.peek()) {
                (b"type", Some(b'"')) => kind = Some(cursor.value()?),
                (b"response", Some(b'{')) => self.response(text, cursor)?,
                (b"delta" | b"code" | b"diff", first @ Some(b'"')) => {
                    let value = cursor.value()?;
                    self.facts.note_string(first, &value, true);
                }
                // padding, and names that differ from event to event
                (b"obfuscation" | b"item_id", first @ Some(b'"')) => {
                    let value = cursor.value()?;
                    self.facts.note_string(first, &value, false);
                }
                (key, _) => self.member(text, key, cursor)?,
            }
        }
        match kind.map(|kind| &text[kind]) {
            Some(b"\"response.completed\"" | b"\"response.incomplete\"" | b"\"response.done\"") => {
                self.facts.finished = true;
                // the text was counted as it came
                self.facts.output_bytes = 0;
            }
            Some(b"\"error\"" | b"\"response.failed\"") => self.facts.error = true,
            _ => {}
        }
        self.facts.error |= self.is_failed;
        Ok(true)
    }

    /// Reads the member `response` of an event.
    fn response(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if let Some(mut members) = cursor.members() {
            while let Some(key) = members.key()? {
                let key = key.bytes(text);
                self.member(text, &key, members.cursor)?;
            }
        }
        Ok(())
    }

    /// Reads a member of a response object; the cursor stands on its value.
    fn member(&mut self, text: &[u8], key: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match (key, cursor.peek()) {
            (b"model", Some(b'"')) => self.facts.model = Some(cursor.value()?),
            (b"id", Some(b'"')) => self.facts.id = Some(cursor.value()?),
            (b"service_tier", Some(b'"')) => self.facts.service_tier = Some(cursor.value()?),
            (b"usage", Some(b'{')) => self.facts.usage = Some(cursor.value()?),
            (b"error", Some(b'{' | b'"')) => {
                cursor.value()?;
                self.is_failed = true;
            }
            (b"status", Some(b'"')) => {
                let value = cursor.value()?;
                self.is_failed |= text[value] == *b"\"failed\"";
            }
            (b"output", Some(b'[')) => self.output(text, cursor)?,
            (b"tool_usage", Some(b'{')) => {
                let value = cursor.value()?;
                let count = json::find(text, value, b"web_search")
                    .and_then(|place| json::find(text, place, b"num_requests"))
                    .and_then(|place| std::str::from_utf8(&text[place]).ok()?.parse().ok());
                self.searches = self.searches.max(count.unwrap_or(0));
            }
            _ => {
                cursor.value()?;
            }
        }
        Ok(())
    }

    /// Counts the web searches among the output items, and the bytes of what was generated.
    fn output(&mut self, text: &[u8], cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let Some(mut elements) = cursor.elements() else {
            return Ok(());
        };
        let mut searches = 0;
        while elements.more()? {
            let item = elements.cursor.value()?;
            let kind = json::find(text, item.clone(), b"type");
            match kind.map(|kind| &text[kind]) {
                Some(b"\"web_search_call\"") => searches += u64::from(is_search(text, item)),
                Some(b"\"message\"") => self.facts.output_bytes += length(text, item, b"content"),
                Some(b"\"reasoning\"") => self.facts.output_bytes += length(text, item, b"summary"),
                Some(b"\"function_call\"") => {
                    self.facts.output_bytes += length(text, item, b"arguments")
                }
                Some(b"\"custom_tool_call\"") => {
                    self.facts.output_bytes += length(text, item, b"input")
                }
                _ => {}
            }
        }
        self.searches = self.searches.max(searches);
        Ok(())
    }
}

fn length(text: &[u8], item: Range<usize>, member: &[u8]) -> u64 {
    json::find(text, item, member).map_or(0, |place| place.len() as u64)
}

/// Searches are charged, pages that are opened are not.
fn is_search(text: &[u8], item: Range<usize>) -> bool {
    let action = json::find(text, item, b"action")
        .and_then(|action| json::find(text, action, b"type"))
        .map(|kind| &text[kind]);
    matches!(action, None | Some(b"\"search\""))
}
