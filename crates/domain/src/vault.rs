//! Secrets at rest. The only module that sees the plain text of a stored secret.
//!
//! Each secret is sealed with XChaCha20-Poly1305 under a key derived from the gateway's encryption
//! key, with a fresh nonce, and bound to the row it belongs to: a ciphertext moved to another row,
//! column or owner does not open. Stored form: `v1.<key id>.<base64url(nonce ‖ ciphertext)>`.
//!
//! What is opened and what keys are derived from is wiped as soon as it is not needed any more.

use base::{Error, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256};

/// What the derived key is for; another purpose would have another name.
const PURPOSE: &[u8] = b"tollgate/provider-keys/v1";
const NONCE_BYTES: usize = 24;

/// Seals with the first of its keys, opens with any of them.
pub struct Vault {
    keys: Vec<SealingKey>,
}

struct SealingKey {
    /// The first eight hex digits of the derived key's hash: tells keys apart, reveals nothing.
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The row and column that a secret belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub table: &'a str,
    pub column: &'a str,
    pub row: &'a str,
    pub owner: &'a str,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        // lengths keep ("ab","c") and ("a","bc") apart
        [self.table, self.column, self.row, self.owner]
            .iter()
            .flat_map(|part| {
                let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
                length.to_be_bytes().into_iter().chain(part.bytes())
            })
            .collect()
    }
}

impl Vault {
    /// A vault with the given encryption keys, the newest first. There must be at least one.
    pub fn new(keys: &[Secret]) -> Vault {
        Vault {
            keys: keys.iter().map(SealingKey::derive).collect(),
        }
    }

    pub fn seal(&self, place: Place<'_>, secret: &Secret) -> Result<String> {
        let key = self
            .keys
            .first()
            .ok_or_else(|| Error::internal("the vault has no key"))?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| Error::internal(error.to_string()))?;
        let payload = Payload {
            msg: secret.expose().as_bytes(),
            aad: &place.associated_data(),
        };
        let ciphertext = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        let sealed = URL_SAFE_NO_PAD.encode([&nonce[..], &ciphertext[..]].concat());
        Ok(format!("{}{sealed}", key.prefix()))
    }

    /// What a secret begins with that is sealed with the newest key.
    ///
    /// # Errors
    /// Internal, where there is no key.
    pub fn newest(&self) -> Result<String> {
        let newest = self.keys.first().map(SealingKey::prefix);
        newest.ok_or_else(|| Error::internal("the vault has no key"))
    }

    /// What secrets begin with that can be opened.
    pub fn known(&self) -> Vec<String> {
        self.keys.iter().map(SealingKey::prefix).collect()
    }

    /// Opens a secret and seals it with the newest key.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn reseal(&self, place: Place<'_>, sealed: &str) -> Result<String> {
        self.seal(place, &self.open(place, sealed)?)
    }

    /// Fails when the encryption key is another one than it was sealed with, when the text was
    /// changed, or when it belongs to another place.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<Secret> {
        let refused = |reason: &str| {
            Error::internal(format!(
                "{}.{} of {}: {reason}",
                place.table, place.column, place.row
            ))
        };
        let mut parts = sealed.splitn(3, '.');
        let (Some("v1"), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused("not a sealed secret"));
        };
        let key = self
            .keys
            .iter()
            .find(|key| key.id == id)
            .ok_or_else(|| refused("sealed with an encryption key that is not configured"))?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| refused("not base64"))?;
        let (nonce, ciphertext) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or_else(|| refused("too short"))?;
        // opened where it lies, so that there is one copy to wipe
        let mut plain = Zeroizing::new(ciphertext.to_vec());
        key.cipher
            .decrypt_in_place(&XNonce::from(*nonce), &place.associated_data(), &mut *plain)
            .map_err(|_| refused("does not open"))?;
        let text = std::str::from_utf8(&plain).map_err(|_| refused("not text"))?;
        Ok(Secret::new(text))
    }
}

impl SealingKey {
    fn derive(secret: &Secret) -> SealingKey {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, secret.expose().as_bytes())
            .expand(PURPOSE, &mut *key)
            .expect("32 bytes are a valid length for HKDF-SHA-256");
        let digest = Sha256::digest(*key);
        let id = digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        SealingKey {
            id,
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }

    fn prefix(&self) -> String {
        format!("v1.{}.", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place {
        table: "provider_keys",
        column: "sealed",
        row: "c1",
        owner: "u1",
    };

    #[test]
    fn a_sealed_secret_opens_only_at_its_place() {
        let vault = Vault::new(&[Secret::new("encryption key")]);
        let sealed = vault.seal(PLACE, &Secret::new("sk-provider")).unwrap();
        assert!(!sealed.contains("provider"));
        assert_eq!(vault.open(PLACE, &sealed).unwrap().expose(), "sk-provider");
        let elsewhere = Place {
            owner: "u2",
            ..PLACE
        };
        assert!(vault.open(elsewhere, &sealed).is_err());
    }

    #[test]
    fn an_older_key_still_opens_what_it_sealed() {
        let old = Vault::new(&[Secret::new("old")]);
        let sealed = old.seal(PLACE, &Secret::new("sk-provider")).unwrap();
        let both = Vault::new(&[Secret::new("new"), Secret::new("old")]);
        assert_eq!(both.open(PLACE, &sealed).unwrap().expose(), "sk-provider");
        let new = Vault::new(&[Secret::new("new")]);
        assert!(new.open(PLACE, &sealed).is_err());
    }

    #[test]
    fn what_is_sealed_anew_needs_the_old_key_no_more() {
        let old = Vault::new(&[Secret::new("old")]);
        let sealed = old.seal(PLACE, &Secret::new("sk-provider")).unwrap();
        let both = Vault::new(&[Secret::new("new"), Secret::new("old")]);
        let anew = both.reseal(PLACE, &sealed).unwrap();
        assert!(
            anew.starts_with(&both.newest().unwrap())
                && !sealed.starts_with(&both.newest().unwrap())
        );
        let new = Vault::new(&[Secret::new("new")]);
        assert_eq!(new.open(PLACE, &anew).unwrap().expose(), "sk-provider");
        assert_eq!(both.known().len(), 2);
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        let vault = Vault::new(&[Secret::new("key")]);
        for text in ["", "v1", "v1..", "v2.aa.bb", "v1.00000000.AAAA"] {
            assert!(vault.open(PLACE, text).is_err(), "{text}");
        }
    }
}
