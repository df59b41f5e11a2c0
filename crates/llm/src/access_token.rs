//! Access tokens that a provider's token service gives for something more lasting (RFC 6749): what is
//! asked, and what the answer means. Pure: nothing is sent.

use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The content type of what is asked.
pub const FORM_TYPE: &str = "application/x-www-form-urlencoded";
/// A token is taken for expired so much earlier, so that it does not expire under way.
const EARLY: Duration = Duration::from_secs(120);

/// A token service and what it is asked with, as errors name them.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    pub name: &'static str,
    pub credential: &'static str,
}

/// What to ask for a token, by `POST`.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub service: Service,
    pub url: String,
    pub form: Secret,
}

/// What a credential was exchanged for.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub token: Secret,
    /// When to get another; a little before the provider stops taking it.
    pub expires_at: Millis,
}

/// The key under which the token of a credential may be kept. The secret is in it: whoever knows only
/// the name of an account gets no token of it.
pub(crate) fn key(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl Exchange {
    /// Reads what the service answered.
    ///
    /// # Errors
    /// `UpstreamRefused` (401) where it does not take the credential, with its words for the log;
    /// `UpstreamUnavailable` where it answered with an error of its own, or with what is no token.
    pub fn read_answer(&self, status: u16, body: &[u8], now: Millis) -> Result<AccessToken> {
        #[derive(Deserialize)]
        struct Answer {
            access_token: Option<Secret>,
            expires_in: Option<u32>,
        }
        #[derive(Default, Deserialize)]
        struct Refusal {
            error: Option<String>,
            error_description: Option<String>,
        }
        let Service { name, credential } = self.service;
        let unavailable = |why: &str| {
            let message = format!("{name}'s token service {why}");
            Error::new(Code::UpstreamUnavailable, message)
        };
        if status == 429 || status >= 500 {
            let source = format!("{} answered {status}", self.url);
            return Err(unavailable("is not available").caused_by(source));
        }
        if status >= 300 {
            let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
            let source = format!(
                "{} answered {status}: {} {}",
                self.url,
                refusal.error.unwrap_or_default(),
                refusal.error_description.unwrap_or_default()
            );
            let message = format!("{name} does not take {credential}");
            return Err(Error::new(Code::UpstreamRefused, message)
                .with_status(401)
                .caused_by(source));
        }
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        let (token, seconds) = answer
            .and_then(|answer| Some((answer.access_token?, answer.expires_in)))
            .ok_or_else(|| unavailable("gave no token"))?;
        let lasts = Duration::from_secs(seconds.unwrap_or(0).into());
        Ok(AccessToken {
            token,
            expires_at: now + lasts.saturating_sub(EARLY),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_258_033_814);

    #[test]
    fn the_answer_is_a_token_or_says_whose_fault_it_is() {
        let exchange = Exchange {
            service: Service {
                name: "Google",
                credential: "the key",
            },
            url: "https://tokens.test".to_owned(),
            form: Secret::new("hidden"),
        };
        let read = |status, body: &[u8]| exchange.read_answer(status, body, NOW);
        let body = br#"{"access_token":"ya29.hidden","expires_in":3599,"token_type":"Bearer"}"#;
        let token = read(200, body).unwrap();
        assert_eq!(token.token.expose(), "ya29.hidden");
        assert_eq!(token.expires_at, NOW + Duration::from_secs(3479));
        assert!(!format!("{token:?}{exchange:?}").contains("hidden"));
        let refused = br#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        let error = read(400, refused).unwrap_err();
        assert_eq!(error.message(), "Google does not take the key");
        assert_eq!(error.status(), 401);
        assert_eq!(read(503, b"<html>").unwrap_err().status(), 502);
        assert_eq!(read(200, b"{}").unwrap_err().status(), 502);
    }

    #[test]
    fn the_key_of_a_token_knows_where_its_parts_end() {
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
