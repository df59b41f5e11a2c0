//! Tokens that an identity provider has signed, checked with the keys that it publishes.
//!
//! Keys are kept in memory and asked for again when they are old, or when a token names one that is not
//! among them: providers change their keys. Made-up names do not reach the provider more often than
//! once in [`AGAIN`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Code, Error, Millis, Result};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::Value;

use super::Federation;
use super::claims::{self, Claims};
use super::fetch::Asking;

/// Signatures with a public key. What is missing here is refused: `none`, and secrets that are shared.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// The longest token that is looked at.
pub const LONGEST: usize = 16 * 1024;
/// How much clocks may differ.
const LEEWAY: i64 = 60;
/// How long keys are used before they are asked for again.
const FRESH: Duration = Duration::from_secs(60 * 60);
/// How long to wait before the provider is asked again.
const AGAIN: Duration = Duration::from_secs(30);

/// Published keys, by the address that they are published at.
#[derive(Default)]
pub struct KeySets {
    kept: Mutex<HashMap<String, Arc<Kept>>>,
    /// Held by who asks a provider.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Kept {
    keys: Vec<Jwk>,
    fetched_at: Millis,
    tried_at: Millis,
}

/// What a token must say.
pub struct Rules<'a> {
    pub key_set: &'a str,
    pub issuer: Option<&'a str>,
    pub audiences: &'a [String],
}

/// The claims of a token that follows the rules.
///
/// # Errors
/// [`Code::CredentialsWrong`] saying what is wrong with it, [`Code::UpstreamUnavailable`] when there are
/// no keys to check it with.
pub async fn verify(
    federation: &Federation,
    now: Millis,
    token: &str,
    rules: &Rules<'_>,
) -> Result<Claims> {
    if token.len() > LONGEST {
        return Err(wrong("it is too long"));
    }
    let header = decode_header(token)
        .map_err(|_| wrong("it is no signed JWT, or signed in a way that is not accepted"))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(wrong("the algorithm of its signature is not accepted"));
    }
    let keys = keys(federation, now, rules.key_set, &header).await?;
    let mut fitting = keys.iter().filter(|key| fits(key, &header)).peekable();
    if fitting.peek().is_none() {
        return Err(wrong(
            "it is signed with a key that the provider does not publish",
        ));
    }
    let claims = fitting.find_map(|key| signed(token, &header, key));
    let claims = claims.ok_or_else(|| wrong("its signature is wrong"))?;
    check(&claims, now, rules)?;
    Ok(claims)
}

fn wrong(why: &str) -> Error {
    Error::new(
        Code::CredentialsWrong,
        format!("the identity provider's token is refused: {why}"),
    )
}

fn fits(key: &Jwk, header: &Header) -> bool {
    let common = &key.common;
    let is_named = header.kid.is_none() || common.key_id == header.kid;
    let algorithm = common.key_algorithm.map(|algorithm| algorithm.to_string());
    let is_meant = algorithm.is_none_or(|algorithm| algorithm == format!("{:?}", header.alg));
    is_named && is_meant && common.public_key_use != Some(PublicKeyUse::Encryption)
}

/// The claims, if this key has signed them.
fn signed(token: &str, header: &Header, key: &Jwk) -> Option<Claims> {
    let mut rules = Validation::new(header.alg);
    // told by our own clock, in our own words
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).ok()?;
    decode::<Claims>(token, &key, &rules)
        .ok()
        .map(|token| token.claims)
}

/// Whether a signed token is for us, from whom we trust, and valid now.
fn check(claims: &Claims, now: Millis, rules: &Rules<'_>) -> Result<()> {
    let seconds = now.0 / 1000;
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            // to the second; what is out of range is clamped and then too early or too late
            Some(time) => Ok(Some(time as i64)),
            None => Err(wrong(&format!("its {name} is no time"))),
        },
    };
    let Some(expires_at) = time("exp")? else {
        return Err(wrong("it does not say when it expires"));
    };
    if expires_at.saturating_add(LEEWAY) <= seconds {
        return Err(wrong("it has expired"));
    }
    if time("nbf")?.is_some_and(|from| from.saturating_sub(LEEWAY) > seconds) {
        return Err(wrong("it is not valid yet"));
    }
    if let Some(issuer) = rules.issuer {
        // Microsoft's common endpoint speaks for every tenant, and says which in another claim
        let tenant = claims::text(claims, "tid").filter(|tenant| is_plain(tenant));
        let issuer = issuer.replace("{tenantid}", tenant.as_deref().unwrap_or("none"));
        if claims.get("iss").and_then(Value::as_str) != Some(&issuer) {
            return Err(wrong("it is from another issuer than the configured one"));
        }
    }
    let audiences = claims::texts(claims, "aud");
    let is_ours = audiences.iter().any(|one| rules.audiences.contains(one));
    if !rules.audiences.is_empty() && !is_ours {
        return Err(wrong("it is for somebody else (aud)"));
    }
    Ok(())
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The keys to check a token with, from memory if they will do.
async fn keys(
    federation: &Federation,
    now: Millis,
    address: &str,
    header: &Header,
) -> Result<Vec<Jwk>> {
    let sets = &federation.keys;
    let will_do = |kept: &Kept| {
        let is_fresh = now.since(kept.fetched_at) < FRESH;
        let has_key = kept.keys.iter().any(|key| fits(key, header));
        let was_asked = now >= kept.tried_at && now.since(kept.tried_at) < AGAIN;
        (is_fresh && has_key) || was_asked
    };
    let known = sets.get(address);
    if let Some(kept) = known.as_ref().filter(|kept| will_do(kept)) {
        return usable(kept, address);
    }
    let is_known = known.is_some_and(|kept| kept.keys.iter().any(|key| fits(key, header)));
    let turn = match is_known {
        // somebody else is asking, and the old keys will do meanwhile
        true => sets.asking.try_lock().ok(),
        false => Some(sets.asking.lock().await),
    };
    let kept = sets.get(address).unwrap_or_default();
    if turn.is_none() || will_do(&kept) {
        return usable(&kept, address);
    }
    let mut kept = Kept::clone(&kept);
    kept.tried_at = now;
    match federation
        .fetcher
        .document(address, Asking::default())
        .await
    {
        Ok(document) => {
            kept.keys = read(&document);
            kept.fetched_at = now;
        }
        Err(error) => tracing::warn!(%error, "the keys of the identity provider cannot be read"),
    }
    let kept = sets.put(address, kept);
    drop(turn);
    usable(&kept, address)
}

fn usable(kept: &Kept, address: &str) -> Result<Vec<Jwk>> {
    if kept.keys.is_empty() {
        let host = url::Url::parse(address).ok();
        let host = host
            .as_ref()
            .and_then(url::Url::host_str)
            .unwrap_or("(none)");
        let message = format!(
            "the identity provider's tokens cannot be checked: there are no keys at {host}; an \
             administrator must check the address of its key set"
        );
        return Err(Error::new(Code::UpstreamUnavailable, message));
    }
    Ok(kept.keys.clone())
}

/// The keys of a set; those of kinds that we do not know are left out.
fn read(document: &Value) -> Vec<Jwk> {
    let keys = document.get("keys").and_then(Value::as_array);
    let keys = keys.map_or(&[][..], Vec::as_slice).iter().take(100);
    keys.filter_map(|key| serde_json::from_value(key.clone()).ok())
        .collect()
}

impl KeySets {
    fn get(&self, address: &str) -> Option<Arc<Kept>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(address).cloned()
    }

    fn put(&self, address: &str, kept: Kept) -> Arc<Kept> {
        let kept = Arc::new(kept);
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address.to_owned(), Arc::clone(&kept));
        kept
    }
}
