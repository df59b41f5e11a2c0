//! What proves to a provider who asks, where that is not a header that stays the same: AWS's signatures,
//! and tokens that Google's service accounts and Microsoft's applications are exchanged for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Code, Error, Result};
use domain::deployment::{Chosen, Upstream};
use domain::destinations::Reach;
use domain::payers::Outcome;
use domain::provider_keys;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Uri};
use llm::access_token::{AccessToken, FORM_TYPE};
use llm::provider::Credential;
use llm::sigv4;
use tokio::sync::Mutex;

use crate::body::Segments;
use crate::{Proxy, upstream};

/// How long a token service may take.
const EXCHANGE: Duration = Duration::from_secs(15);
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// Tokens by [`Credential::token_key`]. Cheap to clone: workers share them.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Arc<Mutex<HashMap<[u8; 32], Slot>>>);

/// One credential's token; whoever holds the lock is the one that asks for it.
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
             environment as {}; you can store your own in Profile, API Configuration",
            upstream.provider.title,
            variables.first().unwrap_or(&"api_key"),
        ),
    ))
}

/// Notes what an answer says of the stored key that paid for it.
pub fn note(proxy: &Proxy, chosen: &Chosen, outcome: Outcome) {
    if outcome == Outcome::Status(401)
        && let Some(key) = chosen.provider_key()
    {
        provider_keys::note_rejection(&proxy.0.domain, key);
    }
}

/// Adds the headers that prove who asks.
///
/// # Errors
/// Those of the credential: one that its token service does not take, or that no header can hold.
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
        credential @ (Credential::Google(_) | Credential::Entra(_)) => {
            if let Some(token) = Box::pin(token(proxy, credential)).await? {
                let value = format!("Bearer {}", token.token.expose());
                let unusable = "the provider's token is unusable";
                let mut value = HeaderValue::from_str(&value)
                    .map_err(|_| Error::new(Code::UpstreamUnavailable, unusable))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
        }
    }
    Ok(())
}

/// The credential's token, where it is exchanged for one: the one that is there, or a new one. Calls that
/// come meanwhile wait for it.
async fn token(proxy: &Proxy, credential: &Credential) -> Result<Option<AccessToken>> {
    let Some(key) = credential.token_key() else {
        return Ok(None);
    };
    let slot = {
        let mut slots = proxy.0.tokens.0.lock().await;
        Arc::clone(slots.entry(key).or_default())
    };
    let mut kept = slot.lock().await;
    let now = proxy.0.domain.clock.now();
    if let Some(token) = kept.as_ref().filter(|token| token.expires_at > now) {
        return Ok(Some(token.clone()));
    }
    let Some(exchange) = credential.exchange(now)? else {
        return Ok(None);
    };
    let body = exchange.form.expose().to_owned();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM_TYPE));
    let uri: Uri = exchange.url.parse().map_err(Error::internal)?;
    let asked = upstream::Asked {
        method: Method::POST,
        uri: &uri,
        headers,
        body: Segments::new(vec![body.into()]),
        first_byte: EXCHANGE,
        // token services stand where their providers say, not where a key says
        reach: Reach::Anywhere,
    };
    let (head, body) = proxy.0.client.send(asked).await?.into_parts();
    let body = upstream::whole(body, MOST_ANSWER_BYTES, EXCHANGE).await?;
    let fresh = exchange.read_answer(head.status.as_u16(), &body, now)?;
    *kept = Some(fresh.clone());
    Ok(Some(fresh))
}
