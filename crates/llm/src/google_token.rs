//! Access tokens of Google service accounts: the signed assertion that is exchanged for one
//! (RFC 7523).
//!
//! Pure: the time is a parameter and nothing is sent. The assertion goes to [`TOKEN_URL`] alone,
//! whatever address a key file names, so that no key file can send the gateway somewhere else.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base::{Code, Error, Millis, Result, Secret};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;

use crate::access_token::{self, Exchange, Service};

/// Where an assertion is exchanged for a token.
pub const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const SERVICE: Service = Service {
    name: "Google",
    credential: "the service account's credential",
};
/// What the token may be used for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google allows.
const ASSERTION_SECONDS: i64 = 3600;
/// A clock that runs ahead of Google's by less than this does no harm.
const CLOCK_SKEW_SECONDS: i64 = 30;

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

    /// Under which its token may be kept.
    pub fn token_key(&self) -> [u8; 32] {
        let secret = self.private_key.expose();
        access_token::key(&["google", &self.client_email, secret])
    }

    /// What to ask for a token.
    ///
    /// # Errors
    /// Those of [`ServiceAccount::assertion`].
    pub fn exchange(&self, now: Millis) -> Result<Exchange> {
        let assertion = self.assertion(now)?;
        // base64url and dots need no escapes
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={}",
            assertion.expose()
        );
        Ok(Exchange {
            service: SERVICE,
            url: TOKEN_URL.to_owned(),
            form: Secret::new(form),
        })
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
    fn assertion(&self, now: Millis) -> Result<Secret> {
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
        let exchange = account.exchange(NOW).unwrap();
        // PKCS#1 v1.5 signs the same text in the same way
        assert!(exchange.form.expose().ends_with(assertion.expose()));
        assert_eq!(exchange.url, TOKEN_URL);
        let other = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let other = ServiceAccount::read(&key_file(&other)).unwrap();
        assert_eq!(account.token_key(), account.clone().token_key());
        assert_ne!(account.token_key(), other.token_key());
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
}
