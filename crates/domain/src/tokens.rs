//! Random tokens that open something, and signed statements in the form of JSON Web Tokens.
//!
//! A token is only kept as its SHA-256. A statement is sealed under the encryption key and not signed
//! with the master key, as the reference does: whoever holds a statement could try master keys on it
//! at leisure. Clients decode statements; only the gateway checks them.

use base::{Error, Millis, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::seals::{Check, Seals};

const TOKEN_BYTES: usize = 32;

/// A fresh token of 256 random bits behind a prefix.
pub fn random(prefix: &str) -> Result<Secret> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    Ok(Secret::new(format!(
        "{prefix}{}",
        URL_SAFE_NO_PAD.encode(bytes)
    )))
}

/// A fresh id that nobody can guess: a UUIDv4, 122 random bits.
pub fn random_id() -> Result<Secret> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::internal(error.to_string()))?;
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    Ok(Secret::new(id.to_string()))
}

/// The claims of a statement.
pub type Claims = Map<String, Value>;

/// Signs claims for a purpose; a statement for another purpose is none.
pub fn sign(seals: &Seals, purpose: &str, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
    let said = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(seals.seal(purpose, &said));
    format!("{said}.{signature}")
}

/// The claims of a statement that we signed for this purpose and that has not expired (`exp`).
pub fn verify(seals: &Seals, purpose: &str, statement: &str, now: Millis) -> Option<Claims> {
    let (said, signature) = statement.rsplit_once('.')?;
    let signature = String::from_utf8(URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    if seals.check(purpose, said, &signature) != Check::Right {
        return None;
    }
    let claims = unverified(statement)?;
    let expires_at = claims.get("exp")?.as_i64()?.checked_mul(1000)?;
    (now.0 < expires_at).then_some(claims)
}

/// What a statement claims, whoever signed it.
pub fn unverified(statement: &str) -> Option<Claims> {
    let mut parts = statement.split('.');
    let (Some(_), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals() -> Seals {
        Seals::new(&[Secret::new("an encryption key")])
    }

    #[test]
    fn a_statement_holds_for_its_purpose_until_it_expires() {
        let statement = sign(&seals(), "session", &json!({"user_id": "u1", "exp": 100}));
        let claims = verify(&seals(), "session", &statement, Millis(99_999)).unwrap();
        assert_eq!(claims["user_id"], "u1");
        assert!(verify(&seals(), "session", &statement, Millis(100_000)).is_none());
        assert!(verify(&seals(), "onboarding", &statement, Millis(0)).is_none());
        let other = Seals::new(&[Secret::new("another key")]);
        assert!(verify(&other, "session", &statement, Millis(0)).is_none());
    }

    #[test]
    fn a_changed_or_unsigned_statement_is_none() {
        let statement = sign(&seals(), "session", &json!({"user_id": "u1", "exp": 100}));
        let mut parts: Vec<&str> = statement.split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(r#"{"user_id":"admin","exp":100}"#);
        parts[1] = &claims;
        assert!(verify(&seals(), "session", &parts.join("."), Millis(0)).is_none());
        parts[2] = "";
        for text in [&parts.join("."), "", "a", "a.b", "a.b.c", "....", "é.é.é"] {
            assert!(
                verify(&seals(), "session", text, Millis(0)).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn tokens_differ_and_ids_are_version_4() {
        let (one, other) = (random("sk-x-").unwrap(), random("sk-x-").unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 5 + 43);
        assert_eq!(random_id().unwrap().expose().as_bytes()[14], b'4');
    }
}
