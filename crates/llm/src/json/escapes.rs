//! The escapes of strings, undone and put in.

use super::scan::Stops;

/// A string's text without its escapes, which are known to be well formed; `None` where one names half
/// a character.
pub(super) fn undo(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = String::with_capacity(text.len());
    let mut stops = Stops::new(bytes, 0);
    let mut from = 0;
    loop {
        let at = stops.next();
        plain.push_str(text.get(from..at)?);
        if at == text.len() {
            return Some(plain);
        }
        from = at + 2;
        plain.push(match bytes.get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let (character, behind) = named(text, at)?;
                from = behind;
                character
            }
            other => char::from(*other),
        });
        stops.go_on(from);
    }
}

/// The character that the escape at a place names with its number, or with the two halves of it
/// (RFC 8259 §7), and where the text goes on.
fn named(text: &str, at: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(at)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, at + 6));
    }
    let halves = [first, unit(at + 6)?];
    let character = char::decode_utf16(halves).next()?.ok()?;
    Some((character, at + 12))
}

/// Adds a string as JSON text, quotes included.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(text.len() + text.len() / 16 + 2);
    out.push(b'"');
    let mut stops = Stops::new(bytes, 0);
    let mut from = 0;
    loop {
        let at = stops.next();
        out.extend_from_slice(&bytes[from..at]);
        let Some(byte) = bytes.get(at) else {
            break;
        };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            control => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digits = [control >> 4, control & 15].map(|digit| DIGITS[usize::from(digit)]);
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
        from = at + 1;
        stops.go_on(from);
    }
    out.push(b'"');
}
