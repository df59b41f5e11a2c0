//! Ids of tool calls that a provider takes: the same id always becomes the same, in call and result.

use super::dialect::Ids;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id as the provider takes it.
pub(super) fn fit(id: &str, rule: Ids) -> String {
    let fits = match rule {
        Ids::Any => true,
        Ids::AtMost40 => id.len() <= 40,
        Ids::NineAlphanumeric => id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
    };
    match (fits, rule) {
        (true, _) => id.to_owned(),
        (false, Ids::NineAlphanumeric) => hashed(id, 9),
        (false, _) => format!("call_{}", hashed(id, 22)),
    }
}

/// An identifier of at most `most` bytes (at least 22) that stands for this one.
pub(super) fn shorten(id: &str, most: usize) -> String {
    match id.len() <= most {
        true => id.to_owned(),
        false => hashed(id, 22),
    }
}

/// FNV-1a of 128 bits, in `length` letters and digits.
fn hashed(text: &str, length: usize) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = text.bytes().fold(OFFSET, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(PRIME)
    });
    // the low bits of FNV mix badly, and nine letters use few of all
    hash ^= hash >> 67;
    let mut letters = String::with_capacity(length);
    for _ in 0..length {
        letters.push(char::from(ALPHABET[(hash % 62) as usize]));
        hash /= 62;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_fits_stays() {
        assert_eq!(fit("call_1", Ids::AtMost40), "call_1");
        assert_eq!(fit("D681PevKs", Ids::NineAlphanumeric), "D681PevKs");
    }

    #[test]
    fn an_id_that_does_not_fit_becomes_the_same_each_time_and_another_for_another() {
        let ids: std::collections::HashSet<String> = (0..10_000)
            .map(|n| fit(&format!("toolu_01AbCdEf{n}"), Ids::NineAlphanumeric))
            .collect();
        assert_eq!(ids.len(), 10_000);
        assert!(
            ids.iter()
                .all(|id| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
        let long = "x".repeat(64);
        assert_eq!(fit(&long, Ids::AtMost40), fit(&long, Ids::AtMost40));
        assert!(fit(&long, Ids::AtMost40).len() <= 40);
    }
}
