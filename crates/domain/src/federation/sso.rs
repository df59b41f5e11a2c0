//! Signing in at an identity provider: the way there and back (OAuth 2 authorization code with PKCE).
//!
//! The way back is taken only by the browser that was sent there, which shows the state in a cookie; only
//! once; and within [`VALID`]. Nonce and PKCE verifier are derived from the state and are kept nowhere.

use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::config::Kind;
use super::people;
use super::provider::{self, Return, endpoint, misconfigured};
use crate::audit::{self, Action, How, Origin, Refusal};
use crate::sessions::Visitor;
use crate::sign_in::SignedIn;
use crate::{Domain, auth, storage, tokens};

/// How long somebody may take to sign in at the provider.
pub const VALID: Duration = Duration::from_secs(10 * 60);
/// What the cookie is signed for.
const PURPOSE: &str = "sso";
/// Where the provider sends people back to.
const CALLBACK: &str = "/sso/callback";
/// The longest page that somebody is led to afterwards.
const LONGEST_NEXT: usize = 512;

/// Where to go, and what the browser keeps meanwhile.
#[derive(Debug)]
pub struct Departure {
    pub location: String,
    pub cookie: String,
}

/// The way to the provider.
///
/// # Errors
/// [`Code::Unavailable`] when it is not wholly configured, [`Code::UpstreamUnavailable`] when it does
/// not say where its sign-in page is.
pub async fn depart(domain: &Domain, next: &str) -> Result<Departure> {
    let config = &domain.config.federation;
    let Some(provider) = config.usable() else {
        let missing = config.missing.join(", ");
        return Err(misconfigured(&format!(
            "these settings are missing: {missing}"
        )));
    };
    let found = provider::find(domain, provider).await?;
    let address = endpoint(
        found.endpoints.authorization.as_ref(),
        "authorization endpoint",
    )?;
    let mut url = Url::parse(address).map_err(|_| misconfigured("its sign-in page is no URL"))?;
    let state = tokens::random("")?;
    let secrets = Secrets::of(domain, &state);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(secrets.verifier.as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", &domain.config.sign_in.link(CALLBACK))
        .append_pair("scope", &provider.scope)
        .append_pair("state", state.expose())
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if provider.kind != Kind::GitHub {
        url.query_pairs_mut().append_pair("nonce", &secrets.nonce);
    }
    let next = if next.len() <= LONGEST_NEXT { next } else { "" };
    let expires_at = domain.clock.now() + VALID;
    let kept = json!({"state": state.expose(), "next": next, "exp": expires_at.0 / 1000});
    Ok(Departure {
        location: url.into(),
        cookie: tokens::sign(&domain.seals, PURPOSE, &kept),
    })
}

/// What belongs to a state and nobody else can know.
struct Secrets {
    nonce: String,
    verifier: String,
}

impl Secrets {
    fn of(domain: &Domain, state: &Secret) -> Secrets {
        let derive = |purpose| domain.seals.seal(purpose, state.expose());
        Secrets {
            nonce: derive("sso-nonce"),
            verifier: derive("sso-verifier"),
        }
    }
}

/// What a browser brings back.
#[derive(Debug, Default)]
pub struct Arrival {
    pub code: String,
    pub state: String,
    pub cookie: Option<String>,
    /// What the provider says went wrong.
    pub error: String,
    pub error_description: String,
}

/// Signs in whom the provider sends back; gives the page they wanted to see, which is for the caller to
/// check.
///
/// # Errors
/// [`Code::CredentialsWrong`] for a way back that is nobody's, was gone before or took too long, and for
/// what the provider did not accept; [`Code::Forbidden`] for who may not sign in here; others for what an
/// administrator must put right.
pub async fn arrive(
    domain: &Domain,
    visitor: &Visitor,
    arrival: &Arrival,
) -> Result<(SignedIn, String)> {
    let arrived = Box::pin(arrived(domain, visitor, arrival)).await;
    if let Err(error) = &arrived {
        let origin = Origin {
            how: How::Sso,
            session_id: None,
            address: Some(visitor.address),
            user_agent: visitor.user_agent.clone(),
        };
        let refusal = Refusal {
            actor: None,
            origin: &origin,
            action: Action::SignedIn,
            kind: "session",
            id: "sso",
            reason: error.message(),
        };
        audit::refused(domain, refusal);
    }
    arrived
}

async fn arrived(
    domain: &Domain,
    visitor: &Visitor,
    arrival: &Arrival,
) -> Result<(SignedIn, String)> {
    if !arrival.error.is_empty() {
        return Err(refused_there(arrival));
    }
    let config = &domain.config.federation;
    let Some(provider) = config.usable() else {
        return Err(misconfigured("it is not configured"));
    };
    let (state, next) = kept(domain, arrival)?;
    if arrival.code.is_empty() {
        return Err(Error::new(
            Code::CredentialsWrong,
            "the identity provider has sent no code: sign in again",
        ));
    }
    use_up(domain, &state).await?;
    let secrets = Secrets::of(domain, &state);
    let back = Return {
        code: &arrival.code,
        verifier: &secrets.verifier,
        nonce: &secrets.nonce,
        redirect_uri: &domain.config.sign_in.link(CALLBACK),
    };
    let claims = provider::exchange(domain, provider, &back).await?;
    let identity = people::identity(domain, provider, &claims)?;
    let signed_in = Box::pin(people::enter(domain, visitor, &identity)).await?;
    Ok((signed_in, next))
}

/// What the provider has said, as the reference says it (contract §15).
fn refused_there(arrival: &Arrival) -> Error {
    const LONGEST: usize = 200;
    let short = |text: &str| {
        let letters = text.chars().filter(|letter| !letter.is_control());
        letters.take(LONGEST).collect::<String>()
    };
    let error = short(&arrival.error);
    let message = match arrival.error_description.is_empty() {
        true => format!("OAuth error: {error}"),
        false => {
            let description = short(&arrival.error_description);
            format!("OAuth error: {error}, error_description: {description}")
        }
    };
    Error::new(Code::CredentialsWrong, message)
}

/// The state and the page that somebody wanted, as the browser was given them.
fn kept(domain: &Domain, arrival: &Arrival) -> Result<(Secret, String)> {
    let wrong = |message: &'static str| Error::new(Code::CredentialsWrong, message);
    let Some(cookie) = &arrival.cookie else {
        return Err(wrong("State cookie not found"));
    };
    let claims = tokens::verify(&domain.seals, PURPOSE, cookie, domain.clock.now());
    let claims = claims
        .ok_or_else(|| wrong("this sign-in took too long or was begun elsewhere: sign in again"))?;
    let text = |name: &str| {
        let text = claims.get(name).and_then(serde_json::Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let state = Secret::new(text("state"));
    if !people::are_same(&state, &Secret::new(arrival.state.clone())) {
        return Err(wrong(
            "this is the way back of another sign-in (state): sign in again",
        ));
    }
    Ok((state, text("next")))
}

async fn use_up(domain: &Domain, state: &Secret) -> Result<()> {
    let until: Millis = domain.clock.now() + VALID;
    let mut tx = domain.begin().await?;
    let is_first = store::sso_states::insert(&mut tx, &auth::hash(state.expose()), until)
        .await
        .map_err(storage)?;
    tx.commit().await.map_err(storage)?;
    match is_first {
        true => Ok(()),
        false => Err(Error::new(
            Code::CredentialsWrong,
            "this sign-in was already finished: sign in again",
        )),
    }
}
