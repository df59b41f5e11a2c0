//! Watching the answers of the endpoints that are no chats: pictures, speech, transcripts, rankings,
//! moderations. Their requests and answers pass as they are; what they used is read here.

use serde_json::Value;

use super::Format;
use crate::json::{Cursor, Fault};
use crate::response::Facts;
use crate::usage::{Usage, units};

/// What is noted of an answer, or of an event, while its members go by.
#[derive(Default)]
struct Seen {
    /// `data` of pictures: how many there are.
    images: Option<u64>,
    /// `duration` of a `verbose_json`, in milliseconds.
    duration: Option<u64>,
    /// `meta.billed_units` of a ranking.
    billed: Option<Usage>,
}

/// Reads the object at the beginning of `text`; `None` for what is none.
pub(crate) fn read(format: Format, text: &[u8]) -> Option<Facts> {
    let mut facts = Facts::default();
    let mut seen = Seen::default();
    let mut cursor = Cursor::new(text, 0);
    let mut members = cursor.members()?;
    while let Some(key) = members.key().ok()? {
        let key = key.bytes(text);
        seen.member(format, text, &key, members.cursor, &mut facts)
            .ok()?;
    }
    let usage = facts.usage.take();
    facts.reading = usage
        .and_then(|place| units::read(format, &text[place]))
        .or_else(|| seen.usage(format).map(units::of));
    // an event that brings usage is no pattern for others
    facts.finished |= facts.reading.is_some();
    Some(facts)
}

impl Seen {
    /// Reads the value of the member `key`; the cursor stands on it.
    fn member(
        &mut self,
        format: Format,
        text: &[u8],
        key: &[u8],
        cursor: &mut Cursor<'_>,
        facts: &mut Facts,
    ) -> Result<(), Fault> {
        match (key, cursor.peek()) {
            (b"type", Some(b'"')) => {
                let place = cursor.value()?;
                let kind = &text[place.start + 1..place.end - 1];
                facts.finished |= kind.ends_with(b".done") || kind.ends_with(b".completed");
                facts.error |= kind == b"error";
            }
            (b"duration", _) => {
                let place = cursor.value()?;
                self.duration = parsed(&text[place]).and_then(|value| units::milliseconds(&value));
            }
            (b"meta", Some(b'{')) if format == Format::Rerank => {
                let place = cursor.value()?;
                self.billed = parsed(&text[place]).and_then(|meta| units::rerank(&meta));
            }
            (b"data", Some(b'[')) => self.images = Some(elements(cursor)?),
            (b"text" | b"delta" | b"audio" | b"b64_json", first) => {
                let place = cursor.value()?;
                facts.note_string(first, &place, true);
            }
            _ => facts.member(text, key, cursor)?,
        }
        Ok(())
    }

    fn usage(&self, format: Format) -> Option<Usage> {
        let none = Usage::default();
        match format {
            Format::ImageGeneration | Format::ImageEdit => {
                self.images.map(|images| Usage { images, ..none })
            }
            Format::Transcription | Format::Translation => {
                let heard = self.duration.filter(|duration| *duration > 0);
                heard.map(|milliseconds| Usage {
                    milliseconds,
                    ..none
                })
            }
            Format::Rerank => self.billed,
            _ => None,
        }
    }
}

fn parsed(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok()
}

/// How many elements the array that stands here has.
fn elements(cursor: &mut Cursor<'_>) -> Result<u64, Fault> {
    let mut count = 0;
    if let Some(mut elements) = cursor.elements() {
        while elements.more()? {
            elements.cursor.value()?;
            count += 1;
        }
    }
    Ok(count)
}
