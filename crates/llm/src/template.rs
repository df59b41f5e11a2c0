//! Recognising the next event of a stream by the last one.
//!
//! The events of a stream differ in the piece of text they bring, and in little else. So the shape of
//! the last one is kept: if the next has the same bytes but for its free strings, it says the same
//! things, and its few comparisons replace a walk.

use std::ops::Range;

use crate::json::Cursor;
use crate::response::Facts;

/// A string of an event that no fact hangs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Free {
    /// Its place between the quotes.
    pub place: Range<usize>,
    /// Whether it is generated text.
    pub generated: bool,
}

/// The shape of an event that said nothing but its text.
#[derive(Debug, Default)]
pub(crate) struct Template {
    payload: Vec<u8>,
    free: Vec<Free>,
    model: Option<Range<usize>>,
}

impl Template {
    /// Keeps the shape of this event, if it says nothing of note.
    pub fn learn(&mut self, payload: &[u8], facts: &mut Facts) {
        if !facts.is_plain() {
            return;
        }
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        self.free = std::mem::take(&mut facts.free);
        self.model.clone_from(&facts.model);
    }

    /// What an event of the same shape says; `None` for an event of another shape.
    pub fn read(&self, payload: &[u8]) -> Option<Facts> {
        let mut facts = Facts::default();
        let (mut known, mut at) = (0, 0);
        for free in &self.free {
            let literal = &self.payload[known..free.place.start];
            if !payload.get(at..)?.starts_with(literal) {
                return None;
            }
            self.place_model(known..free.place.start, at, &mut facts);
            let opening_quote = at + literal.len() - 1;
            let string = Cursor::new(payload, opening_quote).string().ok()?;
            if free.generated {
                facts.output_bytes += string.range.len() as u64;
            }
            (known, at) = (free.place.end, string.range.end);
        }
        let rest = &self.payload[known..];
        if rest.is_empty() || payload.get(at..)? != rest {
            return None;
        }
        self.place_model(known..self.payload.len(), at, &mut facts);
        Some(facts)
    }

    /// Notes the model's place if it lies in the piece `known` of the template, found at `at`.
    fn place_model(&self, known: Range<usize>, at: usize, facts: &mut Facts) {
        if let Some(model) = &self.model
            && known.contains(&model.start)
        {
            facts.model = Some(model.start - known.start + at..model.end - known.start + at);
        }
    }
}
