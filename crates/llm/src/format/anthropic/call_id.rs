//! Ids of tool calls as Anthropic takes them: `^[a-zA-Z0-9_-]{1,64}$`.

use std::borrow::Cow;

/// The longest id.
const MAX_LENGTH: usize = 64;

/// The id itself where it is acceptable, else one made from it: the same for a call and its result,
/// and as good as never the same for two ids.
pub(in crate::format) fn acceptable(id: &str) -> Cow<'_, str> {
    let is_fine = (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(is_allowed);
    match is_fine {
        true => Cow::Borrowed(id),
        false => Cow::Owned(format!("toolu_{:032x}", fnv1a(id.as_bytes()))),
    }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// FNV-1a with 128 bits: it stays the same from call to call, so that the provider's cache of the
/// prompt holds.
fn fnv1a(bytes: &[u8]) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    bytes.iter().fold(BASIS, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_acceptable_changes() {
        assert_eq!(acceptable("call_a-1"), "call_a-1");
        for odd in ["", "call|1", "é", &"x".repeat(65)] {
            let made = acceptable(odd);
            assert!(made.bytes().all(is_allowed) && made.len() <= MAX_LENGTH);
            assert_eq!(made, acceptable(odd));
        }
        assert_ne!(acceptable("a|b"), acceptable("a|c"));
    }
}
