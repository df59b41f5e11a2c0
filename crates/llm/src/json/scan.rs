//! Where a piece of a string ends: the bytes that a string cannot hold as they are, searched for in
//! blocks, of which each is looked at once.

use wide::u8x16;

/// Bytes in a lane: what one instruction looks at.
const LANE: usize = 16;
/// Bytes in a block: as many as a mark has bits.
const BLOCK: usize = 64;

/// The bytes of a lane that a string cannot hold as they are — quotes, backslashes and control
/// characters — a bit for each, the first lowest.
#[inline]
fn stops_in(lane: &[u8; LANE]) -> u64 {
    let bytes = u8x16::new(*lane);
    let is = |byte| bytes.simd_eq(u8x16::splat(byte));
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (is(b'"') | is(b'\\') | is_control).to_bitmask().into()
}

/// The length of a string of ASCII without escapes that ends within a lane.
#[inline]
pub(super) fn short(text: &[u8], start: usize) -> Option<usize> {
    let lane = text.get(start..)?.first_chunk::<LANE>()?;
    let stops = stops_in(lane);
    if stops == 0 {
        return None;
    }
    let end = stops.trailing_zeros() as usize;
    (lane[end] == b'"' && lane[..end].is_ascii()).then_some(end)
}

/// Goes from one byte that a string cannot hold as it is to the next.
pub(super) struct Stops<'a> {
    text: &'a [u8],
    /// Where the block begins.
    block: usize,
    /// Those of the block that are still ahead.
    ahead: u64,
    /// All that was looked at is ASCII's; perhaps more than was passed.
    pub is_ascii: bool,
}

impl<'a> Stops<'a> {
    #[inline]
    pub fn new(text: &'a [u8], at: usize) -> Stops<'a> {
        let mut stops = Stops {
            text,
            block: at,
            ahead: 0,
            is_ascii: true,
        };
        stops.look();
        stops
    }

    /// The place of the next one; the end of the text where there is none.
    #[inline]
    pub fn next(&mut self) -> usize {
        while self.ahead == 0 {
            self.block += BLOCK;
            if self.block >= self.text.len() {
                return self.text.len();
            }
            self.look();
        }
        let at = self.block + self.ahead.trailing_zeros() as usize;
        at.min(self.text.len())
    }

    /// Goes on at a place behind the last that was given.
    #[inline]
    pub fn go_on(&mut self, at: usize) {
        let passed = at - self.block;
        if passed < BLOCK {
            self.ahead &= !0 << passed;
        } else {
            self.block = at;
            self.look();
        }
    }

    fn look(&mut self) {
        let rest = self.text.get(self.block..).unwrap_or_default();
        match rest.first_chunk::<BLOCK>() {
            Some(block) => self.look_at(block),
            None => {
                // the bytes behind the end are control characters, at which a search stops
                let mut block = [0; BLOCK];
                block[..rest.len()].copy_from_slice(rest);
                self.look_at(&block);
            }
        }
    }

    #[inline]
    fn look_at(&mut self, block: &[u8; BLOCK]) {
        self.ahead = 0;
        for (place, lane) in block.as_chunks::<LANE>().0.iter().enumerate() {
            self.ahead |= stops_in(lane) << (LANE * place);
        }
        self.is_ascii &= block.is_ascii();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_that_stops_a_string_is_found_at_every_place() {
        for byte in 0..=255_u8 {
            let is_stop = matches!(byte, b'"' | b'\\' | 0..0x20);
            for at in 0..150 {
                let mut text = [b'a'; 150];
                text[at] = byte;
                let mut stops = Stops::new(&text, 0);
                assert_eq!(
                    stops.next(),
                    if is_stop { at } else { 150 },
                    "{byte} at {at}"
                );
                assert_eq!(stops.is_ascii, byte.is_ascii(), "{byte} at {at}");
                let mut behind = Stops::new(&text, at + 1);
                assert_eq!(behind.next(), 150, "{byte} at {at}");
            }
        }
    }

    #[test]
    fn what_was_passed_is_not_found_again() {
        let text = br#"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\nb""#;
        let mut stops = Stops::new(text, 0);
        let mut found = Vec::new();
        loop {
            let at = stops.next();
            found.push(at);
            if text.get(at) != Some(&b'\\') {
                break;
            }
            stops.go_on(at + 2);
        }
        assert_eq!(found, [0, 65, 67, 70]);
    }
}
