//! Proofs that a text was written by this gateway: HMAC-SHA-256 under a key derived from the encryption
//! key. Whoever can write to the database but does not have the key cannot make one.
//!
//! Stored form: `<key id>.<lower-case hex>`. A proof is for one purpose and holds for no other.

use base::Secret;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest as _, Sha256};

/// What the derived key is for; another purpose would have another name.
const PURPOSE: &[u8] = b"tollgate/seals/v1";

/// Seals with the first of its keys, checks with any of them.
pub struct Seals {
    keys: Vec<Key>,
}

struct Key {
    /// The first eight hex digits of the derived key's hash: tells keys apart, reveals nothing.
    id: String,
    key: Zeroizing<[u8; 32]>,
}

/// What a seal is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Right,
    Wrong,
    /// Made with an encryption key that is not configured.
    UnknownKey,
}

impl Seals {
    /// Seals with the given encryption keys, the newest first. There must be at least one.
    pub fn new(keys: &[Secret]) -> Seals {
        Seals {
            keys: keys.iter().map(Key::derive).collect(),
        }
    }

    /// Proves a text for a purpose.
    pub fn seal(&self, purpose: &str, text: &str) -> String {
        let key = self.keys.first().expect("a gateway has an encryption key");
        let proof = key.mac(purpose, text).finalize().into_bytes();
        format!("{}.{}", key.id, hex(&proof))
    }

    pub fn check(&self, purpose: &str, text: &str, seal: &str) -> Check {
        let Some((id, proof)) = seal.split_once('.') else {
            return Check::Wrong;
        };
        let Some(key) = self.keys.iter().find(|key| key.id == id) else {
            return Check::UnknownKey;
        };
        let proof = bytes(proof).filter(|proof| proof.len() == 32);
        let is_right = proof.is_some_and(|proof| {
            let mac = key.mac(purpose, text);
            mac.verify_slice(&proof).is_ok()
        });
        match is_right {
            true => Check::Right,
            false => Check::Wrong,
        }
    }
}

impl Key {
    fn derive(secret: &Secret) -> Key {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret.expose().as_bytes())
            .expand(PURPOSE, &mut *key)
            .expect("32 bytes are a valid length for HKDF-SHA-256");
        let id = hex(&Sha256::digest(*key)[..4]);
        Key { id, key }
    }

    fn mac(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&*self.key).expect("HMAC takes keys of any length");
        // the length keeps ("ab", "c") and ("a", "bc") apart
        let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX);
        mac.update(&length.to_be_bytes());
        mac.update(purpose.as_bytes());
        mac.update(text.as_bytes());
        mac
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_its_text_and_purpose_alone() {
        let seals = Seals::new(&[Secret::new("encryption key")]);
        let seal = seals.seal("link", "request-1");
        assert_eq!(seals.check("link", "request-1", &seal), Check::Right);
        assert_eq!(seals.check("link", "request-2", &seal), Check::Wrong);
        assert_eq!(seals.check("lin", "krequest-1", &seal), Check::Wrong);
        for nonsense in ["", ".", "nonsense", &seal[..seal.len() - 1], &seal[..9]] {
            let check = seals.check("link", "request-1", nonsense);
            assert_ne!(check, Check::Right, "{nonsense}");
        }
    }

    #[test]
    fn an_older_key_still_checks_what_it_sealed() {
        let old = Seals::new(&[Secret::new("old")]);
        let seal = old.seal("link", "text");
        let both = Seals::new(&[Secret::new("new"), Secret::new("old")]);
        assert_eq!(both.check("link", "text", &seal), Check::Right);
        let new = Seals::new(&[Secret::new("new")]);
        assert_eq!(new.check("link", "text", &seal), Check::UnknownKey);
    }
}
