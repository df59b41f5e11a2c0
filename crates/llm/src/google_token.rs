//! Access tokens of Google service accounts: the signed assertion that is exchanged for one
//! (RFC 7523), the body of that exchange, and its answer.
//!
//! Pure: the time is a parameter and nothing is sent. The assertion goes to [`TOKEN_URL`] alone,
//! whatever address a key file names, so that no key file can send the gateway somewhere else.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base::{Code, Error, Millis, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Where an assertion is exchanged for a token.
pub const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// The content type of [`form`].
pub const FORM_TYPE: &str = "application/x-www-form-urlencoded";
/// What the token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google allows.
const ASSERTION_SECONDS: i64 = 3600;
/// A clock that runs ahead of Google's by less than this does no harm.
const CLOCK_SKEW_SECONDS: i64 = 30;
/// A token is taken for expired so much earlier, so that it does not expire under way.
const EARLY: Duration = Duration::from_secs(120);

/// A service account, as its key file describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct ServiceAccount {
    pub client_email: String,
    pub private_key_id: Option<String>,
    /// The project it belongs to, which is the default for calls.
    pub project_id: Option<String>,
    /// PKCS#8 in PEM.
    private_key: Secret,
}

impl ServiceAccount {
    /// Reads a key file and proves that its key can sign.
    ///
    /// # Errors
    /// `BadRequest` for what is no key file of a service account; nothing of it is repeated.
    pub fn read(key_file: &Secret) -> Result<ServiceAccount> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: Option<String>,
        }
        let kind: Kind = serde_json::from_str(key_file.expose())
            .map_err(|_| refused("is no JSON object of a Google key file"))?;
        if kind.kind.as_deref() != Some("service_account") {
            return Err(refused("is no key file of type service_account"));
        }
        let account: ServiceAccount = serde_json::from_str(key_file.expose())
            .map_err(|_| refused("has no client_email or no private_key"))?;
        account.key_pair()?;
        Ok(account)
    }

    fn key_pair(&self) -> Result<RsaKeyPair> {
        let pem = self.private_key.expose();
        let body: String = pem
            .lines()
            .map(str::trim)
            .skip_while(|line| *line != "-----BEGIN PRIVATE KEY-----")
            .skip(1)
            .take_while(|line| *line != "-----END PRIVATE KEY-----")
            .collect();
        let der = STANDARD
            .decode(body)
            .map_err(|_| refused("has a private_key that is no PKCS#8 in PEM"))?;
        RsaKeyPair::from_pkcs8(&der).map_err(|_| refused("has a private_key that is no RSA key"))
    }

    /// The assertion to exchange at [`TOKEN_URL`], good for an hour.
    ///
    /// # Errors
    /// `BadRequest` if the key cannot sign, which [`ServiceAccount::read`] has ruled out.
    pub fn assertion(&self, now: Millis) -> Result<Secret> {
        let mut head = serde_json::json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.private_key_id {
            head["kid"] = id.as_str().into();
        }
        let issued = now.0 / 1000 - CLOCK_SKEW_SECONDS;
        let claims = serde_json::json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": TOKEN_URL,
            "iat": issued,
            "exp": issued + ASSERTION_SECONDS,
        });
        let mut token = URL_SAFE_NO_PAD.encode(head.to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let key = self.key_pair()?;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            token.as_bytes(),
            &mut signature,
        )
        .map_err(|_| refused("has a private_key that cannot sign"))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(Secret::new(token))
    }
}

fn refused(why: &str) -> Error {
    Error::new(Code::BadRequest, format!("the credential {why}")).param("vertex_credentials")
}

/// The body that goes to [`TOKEN_URL`] by `POST`.
pub fn form(assertion: &Secret) -> Secret {
    // base64url and dots need no escapes
    Secret::new(format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
        assertion.expose()
    ))
}

/// What an assertion was exchanged for.
#[derive(Clone, Debug)]
pub struct AccessToken {
    pub token: Secret,
    /// When to get another; a little before Google stops taking it.
    pub expires_at: Millis,
}

/// Reads what [`TOKEN_URL`] answered.
///
/// # Errors
/// `UpstreamRefused` (401) where Google does not take the credential, with Google's words for the
/// log; `UpstreamUnavailable` where it answered with an error of its own, or with what is no token.
pub fn read_answer(status: u16, body: &[u8], now: Millis) -> Result<AccessToken> {
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
    if status == 429 || status >= 500 {
        let source = format!("{TOKEN_URL} answered {status}");
        return Err(Error::new(
            Code::UpstreamUnavailable,
            "Google's token service is not available",
        )
        .caused_by(source));
    }
    if status >= 300 {
        let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
        let source = format!(
            "{TOKEN_URL} answered {status}: {} {}",
            refusal.error.unwrap_or_default(),
            refusal.error_description.unwrap_or_default()
        );
        return Err(Error::new(
            Code::UpstreamRefused,
            "Google does not take the service account's credential",
        )
        .with_status(401)
        .caused_by(source));
    }
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    match answer.and_then(|answer| Some((answer.access_token?, answer.expires_in))) {
        Some((token, expires_in)) => Ok(AccessToken {
            token,
            expires_at: now
                + Duration::from_secs(expires_in.unwrap_or(0).into()).saturating_sub(EARLY),
        }),
        None => Err(Error::new(
            Code::UpstreamUnavailable,
            "Google's token service gave no token",
        )),
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    const NOW: Millis = Millis(1_795_258_033_814);

    fn key_file(key: &RsaKeyPair) -> Secret {
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .map(|at| &text[at..text.len().min(at + 64)])
            .collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        );
        Secret::new(
            json!({
                "type": "service_account", "project_id": "a-project", "private_key_id": "abc",
                "private_key": pem, "client_email": "me@a-project.iam.gserviceaccount.com",
                "token_uri": "https://evil.example/token",
            })
            .to_string(),
        )
    }

    #[test]
    fn an_assertion_is_signed_and_says_what_google_asks_for() {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let account = ServiceAccount::read(&key_file(&key)).unwrap();
        assert_eq!(account.project_id.as_deref(), Some("a-project"));
        let assertion = account.assertion(NOW).unwrap();
        let parts: Vec<&str> = assertion.expose().split('.').collect();
        let part = |at: usize| URL_SAFE_NO_PAD.decode(parts[at]).unwrap();
        let head: Value = serde_json::from_slice(&part(0)).unwrap();
        assert_eq!(head, json!({"alg": "RS256", "typ": "JWT", "kid": "abc"}));
        let claims: Value = serde_json::from_slice(&part(1)).unwrap();
        assert_eq!(claims["iss"], "me@a-project.iam.gserviceaccount.com");
        assert_eq!(claims["aud"], TOKEN_URL);
        assert_eq!(claims["iat"], 1_795_258_003);
        assert_eq!(claims["exp"], 1_795_261_603);
        let signed = format!("{}.{}", parts[0], parts[1]);
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key())
            .verify(signed.as_bytes(), &part(2))
            .unwrap();
        assert!(form(&assertion).expose().ends_with(assertion.expose()));
    }

    #[test]
    fn what_is_no_key_file_is_refused_and_not_repeated() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"type":"authorized_user","secret":"hidden"}"#,
            r#"{"type":"service_account","client_email":"a","private_key":7}"#,
            r#"{"type":"service_account","client_email":"a","private_key":"hidden"}"#,
            r#"{"type":"service_account","client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}"#,
        ] {
            let error = ServiceAccount::read(&Secret::new(text)).unwrap_err();
            assert_eq!(error.status(), 400, "{text}");
            assert!(!format!("{error:?}").contains("hidden"), "{text}");
        }
    }

    #[test]
    fn the_answer_is_a_token_or_says_whose_fault_it_is() {
        let body = br#"{"access_token":"ya29.hidden","expires_in":3599,"token_type":"Bearer"}"#;
        let token = read_answer(200, body, NOW).unwrap();
        assert_eq!(token.token.expose(), "ya29.hidden");
        assert_eq!(token.expires_at, NOW + Duration::from_secs(3479));
        assert!(!format!("{token:?}").contains("hidden"));
        let refused = br#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
        assert_eq!(read_answer(400, refused, NOW).unwrap_err().status(), 401);
        assert_eq!(read_answer(503, b"<html>", NOW).unwrap_err().status(), 502);
        assert_eq!(read_answer(200, b"{}", NOW).unwrap_err().status(), 502);
    }
}
