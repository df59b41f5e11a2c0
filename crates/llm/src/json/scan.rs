//! Where a piece of a string ends: the bytes that a string cannot hold as they are, searched for by
//! words and, in long strings, by blocks.

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

/// The length of a string of ASCII without escapes that ends within two words.
#[inline]
pub(super) fn short(text: &[u8], start: usize) -> Option<usize> {
    let mut length = 0;
    while length < 16 {
        let word = word_at(text, start + length)?;
        let marked = stops(word);
        if marked == 0 {
            if word & HIGHS != 0 {
                return None;
            }
            length += 8;
            continue;
        }
        let bit = marked.trailing_zeros();
        let before = (1_u64 << bit) - 1;
        let end = length + (bit / 8) as usize;
        let is_plain = word & HIGHS & before == 0 && text[start + end] == b'"';
        return is_plain.then_some(end);
    }
    None
}

/// The place of the next byte, from `at` on, that a string cannot hold as it is; the end of the text
/// where there is none. Clears `ascii` if there are other bytes than ASCII's up to there, and perhaps
/// for a few bytes behind.
#[inline]
pub(super) fn stop(text: &[u8], at: usize, ascii: &mut bool) -> usize {
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
