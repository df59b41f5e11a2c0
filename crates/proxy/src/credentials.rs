//! What proves to a provider who asks, where that is not a header that stays the same: AWS's signatures,
//! and tokens that a Google service account is exchanged for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Result};
use domain::deployment::Upstream;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use llm::google_token::{self, AccessToken, ServiceAccount};
use llm::provider::Credential;
use llm::sigv4;
use tokio::sync::Mutex;

use crate::body::Segments;
use crate::{Proxy, upstream};

/// How long Google may take to exchange a token.
const EXCHANGE: Duration = Duration::from_secs(15);
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// Tokens of Google service accounts, by the account. Cheap to clone: workers share them.
#[derive(Clone, Debug, Default)]
pub struct GoogleTokens(Arc<Mutex<HashMap<String, Slot>>>);

/// One account's token; whoever holds the lock is the one that asks for it.
type Slot = Arc<Mutex<Option<AccessToken>>>;

/// # Errors
/// [`Code::ProviderKeyMissing`] when the provider wants a key and none is configured.
pub fn check(upstream: &Upstream) -> Result<()> {
    if !upstream.credential.is_none() || !upstream.provider.needs_key {
        return Ok(());
    }
    let variables = upstream.provider.key_variables;
    Err(Error::new(
        Code::ProviderKeyMissing,
        format!(
            "no API key is configured for {}; an administrator can set one on the model, or in the \
             environment as {}",
            upstream.provider.title,
            variables.first().unwrap_or(&"api_key"),
        ),
    ))
}

/// Adds the headers that prove who asks.
///
/// # Errors
/// Those of the credential: one that Google does not take, or that no header can hold.
pub async fn prove(
    proxy: &Proxy,
    upstream: &Upstream,
    method: &Method,
    uri: &Uri,
    headers: &mut HeaderMap,
    body: &Segments,
) -> Result<()> {
    match &upstream.credential {
        Credential::None | Credential::Key(_) | Credential::Token(_) => {}
        Credential::Aws(keys) => {
            let request = sigv4::Unsigned {
                method,
                uri,
                headers,
                body_hash: &sigv4::body_hash(&body.concat()),
            };
            let now = proxy.0.domain.clock.now();
            let added = sigv4::sign(&keys.credentials, keys.scope(), now, request)?;
            headers.extend(added);
        }
        Credential::Google(account) => {
            let token = Box::pin(google_token(proxy, account)).await?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.token.expose()))
                .map_err(|_| Error::new(Code::UpstreamUnavailable, "Google's token is unusable"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
    }
    Ok(())
}

/// The account's token: the one that is there, or a new one. Calls that come meanwhile wait for it.
async fn google_token(proxy: &Proxy, account: &ServiceAccount) -> Result<AccessToken> {
    let slot = {
        let mut slots = proxy.0.google_tokens.0.lock().await;
        Arc::clone(slots.entry(account.client_email.clone()).or_default())
    };
    let mut token = slot.lock().await;
    let now = proxy.0.domain.clock.now();
    if let Some(token) = token.as_ref().filter(|token| token.expires_at > now) {
        return Ok(token.clone());
    }
    let assertion = account.assertion(now)?;
    let body = google_token::form(&assertion).expose().to_owned();
    let mut headers = HeaderMap::new();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let uri = Uri::from_static(google_token::TOKEN_URL);
    let asked = upstream::Asked {
        method: Method::POST,
        uri: &uri,
        headers,
        body: Segments::new(vec![body.into()]),
        first_byte: EXCHANGE,
    };
    let (head, body) = proxy.0.client.send(asked).await?.into_parts();
    let body = upstream::whole(body, MOST_ANSWER_BYTES, EXCHANGE).await?;
    let fresh = google_token::read_answer(head.status.as_u16(), &body, now)?;
    *token = Some(fresh.clone());
    Ok(fresh)
}
