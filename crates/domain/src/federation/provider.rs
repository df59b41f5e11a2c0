//! Where a provider is to be asked, and what it says of somebody who signs in.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base::{Code, Error, Millis, Result, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::form_urlencoded::{Serializer, byte_serialize};

use super::claims::{self, Claims};
use super::config::{Endpoints, Kind, Provider};
use super::fetch::Asking;
use super::keys::{self, Rules};
use crate::Domain;

/// How long what a provider says about itself is believed.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// What was found out about the provider.
#[derive(Default)]
pub struct Discovered(Mutex<Option<(Millis, Arc<Found>)>>);

/// Where the provider is asked, and how.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub endpoints: Endpoints,
    /// As tokens must name it.
    issuer: Option<String>,
    /// The secret goes into the body, for the provider does not take it in a header.
    secret_in_body: bool,
}

/// The provider's addresses: the configured ones, and for the others those that it publishes.
///
/// # Errors
/// [`Code::UpstreamUnavailable`] when they cannot be found out.
pub async fn find(domain: &Domain, provider: &Provider) -> Result<Arc<Found>> {
    let configured = Found {
        endpoints: provider.endpoints.clone(),
        issuer: provider.issuer.clone(),
        secret_in_body: provider.kind == Kind::GitHub,
    };
    let Some(issuer) = &provider.issuer else {
        return Ok(Arc::new(configured));
    };
    let (discovered, now) = (&domain.federation.discovered.0, domain.clock.now());
    let kept = discovered
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if let Some((_, found)) = kept.filter(|(at, _)| now.since(*at) < FRESH) {
        return Ok(found);
    }
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let document = domain
        .federation
        .fetcher
        .document(&address, Asking::default())
        .await?;
    let found = Arc::new(complete(configured, issuer, &document)?);
    let mut kept = discovered.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = Some((now, Arc::clone(&found)));
    Ok(found)
}

fn complete(mut found: Found, issuer: &str, document: &Value) -> Result<Found> {
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let same = |one: &str| one.trim_end_matches('/').to_owned();
    let published = text("issuer").unwrap_or_default();
    // Microsoft publishes a template for every tenant
    if same(&published) != same(issuer) && !published.contains("{tenantid}") {
        return Err(misconfigured(
            "what it publishes names another issuer than the configured one",
        ));
    }
    found.issuer = Some(published);
    let endpoints = &mut found.endpoints;
    for (place, name) in [
        (&mut endpoints.authorization, "authorization_endpoint"),
        (&mut endpoints.token, "token_endpoint"),
        (&mut endpoints.userinfo, "userinfo_endpoint"),
        (&mut endpoints.key_set, "jwks_uri"),
    ] {
        let Some(address) = text(name).filter(|_| place.is_none()) else {
            continue;
        };
        if issuer.starts_with("https://") && !address.starts_with("https://") {
            let why = format!("its {name} is not protected by TLS");
            return Err(misconfigured(&why));
        }
        *place = Some(address);
    }
    let methods = document.get("token_endpoint_auth_methods_supported");
    if let Some(methods) = methods.and_then(Value::as_array) {
        let has = |name: &str| methods.iter().any(|method| method == name);
        found.secret_in_body = has("client_secret_post") && !has("client_secret_basic");
    }
    Ok(found)
}

/// An administrator has to put something right.
pub fn misconfigured(why: &str) -> Error {
    let message = format!(
        "signing in at the identity provider does not work: {why}; an administrator must check \
         the configuration (GET /sso/readiness says more)"
    );
    Error::new(Code::Unavailable, message)
}

pub fn endpoint<'a>(address: Option<&'a String>, name: &str) -> Result<&'a str> {
    let missing = || misconfigured(&format!("it has no {name}"));
    address.map(String::as_str).ok_or_else(missing)
}

/// A code that a browser has brought, and what it must fit.
pub struct Return<'a> {
    pub code: &'a str,
    pub verifier: &'a str,
    pub nonce: &'a str,
    pub redirect_uri: &'a str,
}

/// Exchanges a code for what the provider says of who has signed in.
///
/// # Errors
/// [`Code::CredentialsWrong`] when the provider does not take the code, or what it gives proves nothing;
/// [`Code::Unavailable`] and [`Code::UpstreamUnavailable`] for what an administrator must put right.
pub async fn exchange(domain: &Domain, provider: &Provider, back: &Return<'_>) -> Result<Claims> {
    let found = find(domain, provider).await?;
    let address = endpoint(found.endpoints.token.as_ref(), "token endpoint")?;
    let answer = domain
        .federation
        .fetcher
        .ask(address, asking(provider, &found, back))
        .await?;
    let granted = &answer.json;
    let text = |name: &str| granted.get(name).and_then(Value::as_str);
    // GitHub answers errors with 200
    if !answer.status.is_success() || text("error").is_some() {
        return Err(refused(text("error").unwrap_or("no reason given")));
    }
    let access = text("access_token").map(Secret::new);
    let proven = match (&found.endpoints.key_set, text("id_token")) {
        (Some(key_set), Some(token)) => {
            Some(identity(domain, provider, &found, key_set, token, back.nonce).await?)
        }
        (Some(_), None) if provider.kind != Kind::GitHub => {
            return Err(misconfigured(
                "it gives no id_token; its scope must have 'openid'",
            ));
        }
        _ => None,
    };
    match provider.kind {
        Kind::GitHub => github(domain, &found, access).await,
        // all there is to know is in the token
        Kind::Google | Kind::Microsoft => proven.ok_or_else(|| misconfigured("it has no key set")),
        Kind::Okta | Kind::Generic => userinfo(domain, &found, access, proven).await,
    }
}

fn asking(provider: &Provider, found: &Found, back: &Return<'_>) -> Asking {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", back.code)
        .append_pair("redirect_uri", back.redirect_uri)
        .append_pair("code_verifier", back.verifier);
    let secret = provider.client_secret.as_ref();
    let in_header = secret.filter(|_| !found.secret_in_body);
    if in_header.is_none() || provider.include_client_id {
        form.append_pair("client_id", &provider.client_id);
    }
    if let Some(secret) = secret.filter(|_| found.secret_in_body) {
        form.append_pair("client_secret", secret.expose());
    }
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let basic = |secret: &Secret| {
        let (id, secret) = (encoded(&provider.client_id), encoded(secret.expose()));
        Secret::new(format!(
            "Basic {}",
            STANDARD.encode(format!("{id}:{secret}"))
        ))
    };
    Asking {
        form: Some(form.finish()),
        authorization: in_header.map(basic),
    }
}

fn refused(error: &str) -> Error {
    match error {
        "invalid_client" | "unauthorized_client" => {
            misconfigured("it does not accept the client id and secret")
        }
        "redirect_uri_mismatch" => misconfigured("the redirect address is not registered there"),
        _ => {
            // only the words of the standard are told: whatever else stands there may be a secret
            let is_word = error.len() <= 40
                && error
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let error = if is_word { error } else { "an error" };
            let message = format!(
                "the identity provider did not accept the sign-in ({error}): sign in again"
            );
            Error::new(Code::CredentialsWrong, message)
        }
    }
}

async fn identity(
    domain: &Domain,
    provider: &Provider,
    found: &Found,
    key_set: &str,
    token: &str,
    nonce: &str,
) -> Result<Claims> {
    let rules = Rules {
        key_set,
        issuer: found.issuer.as_deref(),
        audiences: std::slice::from_ref(&provider.client_id),
    };
    let claims = keys::verify(&domain.federation, domain.clock.now(), token, &rules).await?;
    let wrong = |why: &str| {
        let message = format!("the identity provider's token is refused: {why}; sign in again");
        Err(Error::new(Code::CredentialsWrong, message))
    };
    if claims.get("nonce").and_then(Value::as_str) != Some(nonce) {
        return wrong("it is of another sign-in (nonce)");
    }
    let is_shared = claims::texts(&claims, "aud").len() > 1;
    let party = claims.get("azp").and_then(Value::as_str);
    let is_ours = party.map_or(!is_shared, |party| party == provider.client_id);
    match is_ours {
        true => Ok(claims),
        false => wrong("it was given to somebody else (azp)"),
    }
}

fn bearer(access: Option<Secret>) -> Result<Secret> {
    let access = access.ok_or_else(|| misconfigured("it gives no access token"))?;
    Ok(Secret::new(format!("Bearer {}", access.expose())))
}

/// What the provider says on asking, together with what its token has proven; the token wins.
async fn userinfo(
    domain: &Domain,
    found: &Found,
    access: Option<Secret>,
    proven: Option<Claims>,
) -> Result<Claims> {
    let Some(address) = &found.endpoints.userinfo else {
        return proven
            .ok_or_else(|| misconfigured("it has neither a key set nor a userinfo endpoint"));
    };
    let asking = Asking {
        form: None,
        authorization: Some(bearer(access)?),
    };
    let document = domain.federation.fetcher.document(address, asking).await?;
    let Value::Object(mut told) = document else {
        return Err(misconfigured(
            "its userinfo endpoint does not describe a user",
        ));
    };
    let Some(proven) = proven else {
        return Ok(told);
    };
    if told.get("sub") != proven.get("sub") {
        let message = "the identity provider speaks of two people: sign in again";
        return Err(Error::new(Code::CredentialsWrong, message));
    }
    told.extend(proven);
    Ok(told)
}

/// The user behind a token of GitHub, with the address that they have proven there.
async fn github(domain: &Domain, found: &Found, access: Option<Secret>) -> Result<Claims> {
    let address = endpoint(found.endpoints.userinfo.as_ref(), "userinfo endpoint")?;
    let authorization = Some(bearer(access)?);
    let ask = |address: String| {
        let asking = Asking {
            form: None,
            authorization: authorization.clone(),
        };
        async move { domain.federation.fetcher.document(&address, asking).await }
    };
    let user = ask(address.to_owned()).await?;
    let emails = ask(format!("{address}/emails")).await?;
    let emails = emails.as_array().map_or(&[][..], Vec::as_slice);
    let primary = emails
        .iter()
        .find(|email| email["primary"] == true && email["verified"] == true);
    let Value::Object(claims) = json!({
        // numbers stay when people rename themselves
        "sub": user["id"].as_i64().map(|id| format!("github-{id}")),
        "preferred_username": user["login"],
        "name": user["name"].as_str().or(user["login"].as_str()),
        "email": primary.map(|email| &email["email"]),
        "email_verified": primary.is_some(),
    }) else {
        return Err(misconfigured("it does not describe a user"));
    };
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_completes_what_is_configured() {
        let configured = Found {
            endpoints: Endpoints {
                token: Some("https://a.example/own".to_owned()),
                ..Endpoints::default()
            },
            ..Found::default()
        };
        let document = json!({
            "issuer": "https://a.example/",
            "authorization_endpoint": "https://a.example/auth",
            "token_endpoint": "https://a.example/token",
            "jwks_uri": "https://a.example/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        });
        let found = complete(configured.clone(), "https://a.example", &document).unwrap();
        assert_eq!(
            found.endpoints.token.as_deref(),
            Some("https://a.example/own")
        );
        assert_eq!(
            found.endpoints.key_set.as_deref(),
            Some("https://a.example/keys")
        );
        assert!(found.secret_in_body);
        for (name, value) in [
            ("issuer", "https://evil.example"),
            ("jwks_uri", "http://a.example/keys"),
        ] {
            let mut document = document.clone();
            document[name] = value.into();
            let error = complete(configured.clone(), "https://a.example", &document);
            assert_eq!(error.unwrap_err().code(), Code::Unavailable, "{name}");
        }
    }
}
