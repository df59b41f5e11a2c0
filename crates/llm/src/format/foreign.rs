//! Cutting what another provider's model thought out of a request that passes as it is: the provider
//! would refuse a seal that is not its own.

use std::ops::Range;

use crate::conversation::WRAPPED_MARK;
use crate::json::{self, Cursor};

/// Where a format has its turns, and what of them may go.
pub(super) struct Turns {
    /// The member of the request that holds the turns.
    pub turns: &'static [u8],
    /// The member of a turn that holds its parts.
    pub parts: &'static [u8],
    /// Whether the part at a place of the request was thought by another provider's model.
    pub is_foreign: fn(&[u8], &Range<usize>) -> bool,
    /// Takes the place of the parts where none is left.
    pub nothing_left: &'static [u8],
}

/// Places in a request, and what comes there instead.
type Cuts = Vec<(Range<usize>, &'static [u8])>;

/// A request as its client sent it, without foreign parts. `None` where there are none.
pub(super) fn without(body: &[u8], format: &Turns) -> Option<Vec<u8>> {
    memchr::memmem::find(body, WRAPPED_MARK.as_bytes())?;
    let turns = json::find(body, 0..body.len(), format.turns)?;
    let mut cuts = Cuts::new();
    for turn in elements(body, turns) {
        if let Some(parts) = json::find(body, turn, format.parts) {
            cut_parts(body, parts, format, &mut cuts);
        }
    }
    if cuts.is_empty() {
        return None;
    }
    let mut left = Vec::with_capacity(body.len());
    let mut at = 0;
    for (place, instead) in cuts {
        left.extend_from_slice(&body[at..place.start]);
        left.extend_from_slice(instead);
        at = place.end;
    }
    left.extend_from_slice(&body[at..]);
    Some(left)
}

/// The places of the elements of the array at `place`; any other value is one by itself.
fn elements(body: &[u8], place: Range<usize>) -> Vec<Range<usize>> {
    let mut cursor = Cursor::new(body, place.start);
    let Some(mut elements) = cursor.elements() else {
        return vec![place];
    };
    let mut found = Vec::new();
    while let Ok(true) = elements.more() {
        match elements.cursor.value() {
            Ok(element) => found.push(element),
            Err(_) => break,
        }
    }
    found
}

/// Cuts foreign parts out of those of a turn, each with one comma.
fn cut_parts(body: &[u8], place: Range<usize>, format: &Turns, cuts: &mut Cuts) {
    let parts = elements(body, place);
    let (mut kept_end, mut leading) = (None, None);
    for part in &parts {
        match ((format.is_foreign)(body, part), kept_end) {
            (true, Some(end)) => cuts.push((end..part.end, b"")),
            (true, None) => {
                leading.get_or_insert(part.start);
                continue;
            }
            (false, _) => {
                if let Some(start) = leading.take() {
                    cuts.push((start..part.start, b""));
                }
            }
        }
        kept_end = Some(part.end);
    }
    if let (Some(start), Some(last)) = (leading, parts.last()) {
        cuts.push((start..last.end, format.nothing_left));
    }
}
