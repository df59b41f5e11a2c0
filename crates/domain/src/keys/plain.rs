//! What a key of ours looks like: `sk-tg-`, 43 letters and digits that nobody can guess, and 6 that
//! check them.
//!
//! The prefix lets scanners of source code and logs find a key that was left there, the checksum
//! tells it from a text that only looks like one (`docs/people.md` says how). Keys of other forms
//! work as well: those that callers choose, and those made elsewhere.

use base::{Error, Result, Secret};

/// How a key of ours begins.
const PREFIX: &str = "sk-tg-";
/// Digits of 256 random bits in base 62.
const RANDOM: usize = 43;
/// Digits of 32 bits in base 62.
const CHECK: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key that nobody can guess.
pub(super) fn random() -> Result<Secret> {
    let mut text = String::with_capacity(PREFIX.len() + RANDOM + CHECK);
    text.push_str(PREFIX);
    let mut bytes = [0_u8; 64];
    while text.len() < PREFIX.len() + RANDOM {
        getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
        let left = PREFIX.len() + RANDOM - text.len();
        // the rest beyond the last multiple of 62 would make some digits likelier than others
        let fair = bytes.iter().filter(|byte| **byte < 248).take(left);
        text.extend(fair.map(|byte| char::from(DIGITS[usize::from(byte % 62)])));
    }
    let check = checksum(&text);
    text.extend(check.map(char::from));
    Ok(Secret::new(text))
}

/// What a text says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not in our form, so nothing can be said of it.
    Other,
    Right,
    /// In our form, but mistyped or made up: no key of ours is so.
    Wrong,
}

/// Looks at a text without looking it up.
pub fn form(text: &str) -> Form {
    let is_ours = text.len() == PREFIX.len() + RANDOM + CHECK
        && text.starts_with(PREFIX)
        && text[PREFIX.len()..]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric());
    if !is_ours {
        return Form::Other;
    }
    let (body, check) = text.split_at(text.len() - CHECK);
    match checksum(body) == check.as_bytes() {
        true => Form::Right,
        false => Form::Wrong,
    }
}

/// CRC-32 (IEEE 802.3) of a text in base 62, as many digits as the largest takes.
fn checksum(text: &str) -> [u8; CHECK] {
    let mut rest = !text.bytes().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let mut digits = [b'0'; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_can_be_found_and_checked() {
        let key = random().unwrap();
        let text = key.expose();
        assert_eq!(text.len(), 55);
        assert_eq!(form(text), Form::Right);
        assert_ne!(text, random().unwrap().expose());
    }

    /// What scanners are told: computed with zlib's `crc32`.
    #[test]
    fn the_checksum_is_the_documented_one() {
        let body = format!("sk-tg-{}", "0".repeat(43));
        let check = checksum(&body);
        assert_eq!(std::str::from_utf8(&check), Ok(EXAMPLE_CHECK));
        assert_eq!(form(&format!("{body}{EXAMPLE_CHECK}")), Form::Right);
        assert_eq!(form(&format!("{body}000000")), Form::Wrong);
    }

    const EXAMPLE_CHECK: &str = "4JadvH";

    #[test]
    fn other_forms_are_left_to_the_database() {
        let right = random().unwrap();
        let right = right.expose();
        for text in [
            "",
            "sk-tg-",
            "sk-3GrBsYXjYUsUu-DWU-m_vw",
            &right[..54],
            &format!("{right}0"),
            &right.replace("tg-", "tg_"),
            &format!("sk-tg-{}", "é".repeat(24)),
        ] {
            assert_eq!(form(text), Form::Other, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_mistyped_character_is_noticed(at in 6_usize..55, other in "[0-9A-Za-z]") {
            let key = random().unwrap();
            let mut text = key.expose().to_owned();
            prop_assume!(text[at..=at] != other);
            text.replace_range(at..=at, &other);
            prop_assert_eq!(form(&text), Form::Wrong);
        }

        #[test]
        fn no_text_breaks_it(text in ".*") {
            form(&text);
        }
    }
}
