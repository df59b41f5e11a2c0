//! An identity provider: OpenID Connect over HTTP on a loopback port, with keys that rotate and with
//! everything that a bad one could send. It also answers as GitHub does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base::Clock;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use url::Url;
use url::form_urlencoded::{byte_serialize, parse};

use crate::{FakeProvider, Received, Reply};

/// The client that the provider knows.
pub const CLIENT_ID: &str = "the client";
pub const CLIENT_SECRET: &str = "a secret+/:%";

/// What is wrong with what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nonce,
    Audience,
    Issuer,
    Expired,
    NotYet,
    /// Not signed at all (`alg: none`).
    Unsigned,
    /// Signed with the secret that is shared, or with public text.
    Shared,
    /// Signed with a key that is not published, under the name of one that is.
    ForeignKey,
    /// The userinfo endpoint speaks of somebody else.
    OtherUser,
    /// The token endpoint refuses, and says more than anybody should read.
    Refuses,
}

/// A running identity provider; it stops when dropped.
pub struct IdentityProvider {
    server: FakeProvider,
    state: Arc<Mutex<State>>,
}

struct State {
    issuer: String,
    clock: Clock,
    keys: Vec<Key>,
    /// Who signs in next.
    user: Value,
    fault: Option<Fault>,
    grants: HashMap<String, Grant>,
    counted: usize,
}

struct Grant {
    query: HashMap<String, String>,
    user: Value,
}

enum Pair {
    Elliptic(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

struct Key {
    id: String,
    pair: Pair,
}

impl IdentityProvider {
    pub async fn start(clock: Clock) -> IdentityProvider {
        let server = FakeProvider::start().await;
        let state = Arc::new(Mutex::new(State {
            issuer: format!("http://{}", server.address()),
            clock,
            keys: vec![Key::elliptic("first")],
            user: Value::Null,
            fault: None,
            grants: HashMap::new(),
            counted: 0,
        }));
        let shared = Arc::clone(&state);
        server.otherwise(move |received| lock(&shared).answer(received));
        IdentityProvider { server, state }
    }

    pub fn issuer(&self) -> String {
        lock(&self.state).issuer.clone()
    }

    /// Where its keys are published.
    pub fn key_set(&self) -> String {
        format!("{}/keys", self.issuer())
    }

    /// Who signs in from now on, as the claims of them.
    pub fn user(&self, claims: Value) -> &IdentityProvider {
        lock(&self.state).user = claims;
        self
    }

    pub fn fault(&self, fault: impl Into<Option<Fault>>) -> &IdentityProvider {
        lock(&self.state).fault = fault.into();
        self
    }

    /// Signs with a new key, and publishes no other.
    pub fn rotate(&self, id: &str) {
        lock(&self.state).keys = vec![Key::elliptic(id)];
    }

    /// The same, with an RSA key.
    pub fn rotate_to_rsa(&self, id: &str) {
        lock(&self.state).keys = vec![Key::rsa(id)];
    }

    /// How often its keys were asked for.
    pub fn key_requests(&self) -> usize {
        let all = self.server.requests();
        all.iter().filter(|asked| asked.path == "/keys").count()
    }

    /// A person signs in at the page they were led to; gives where they are led back to.
    pub fn sign_in(&self, location: &str) -> String {
        let url = Url::parse(location).expect("the gateway leads to an address");
        let mut state = lock(&self.state);
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], CLIENT_ID);
        assert_eq!(query["code_challenge_method"], "S256");
        state.counted += 1;
        let code = format!("code-{}", state.counted);
        let mut back = Url::parse(&query["redirect_uri"]).expect("a way back");
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &query["state"]);
        let user = state.user.clone();
        state.grants.insert(code, Grant { query, user });
        back.into()
    }

    /// A token with these claims besides those that every token has.
    pub fn token(&self, claims: Value) -> String {
        lock(&self.state).token(&claims, None)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no code panics while it holds it")
}

impl State {
    fn answer(&mut self, received: &Received) -> Reply {
        let path = received.path.split('?').next().unwrap_or_default();
        match path {
            "/.well-known/openid-configuration" => Reply::json(&json!({
                "issuer": self.issuer,
                "authorization_endpoint": format!("{}/authorize", self.issuer),
                "token_endpoint": format!("{}/token", self.issuer),
                "userinfo_endpoint": format!("{}/userinfo", self.issuer),
                "jwks_uri": format!("{}/keys", self.issuer),
            })),
            "/keys" => {
                // keys of kinds that nobody has heard of are no reason to give up
                let strange = json!({"kty": "unheard-of", "kid": "x"});
                let known = self.keys.iter().map(Key::published);
                let keys: Vec<Value> = [strange].into_iter().chain(known).collect();
                Reply::json(&json!({ "keys": keys }))
            }
            "/token" => self.exchange(received, true),
            "/login/oauth/access_token" => self.exchange(received, false),
            "/userinfo" => match self.bearer(received) {
                Some(user) if self.fault == Some(Fault::OtherUser) => {
                    let mut other = user;
                    other["sub"] = "somebody else".into();
                    Reply::json(&other)
                }
                Some(user) => Reply::json(&user),
                None => Reply::error(401, "invalid_token", "no"),
            },
            "/user" => self.bearer(received).map_or_else(unauthorized, |user| {
                Reply::json(&json!({"id": user["id"], "login": user["login"], "name": null}))
            }),
            "/user/emails" => self
                .bearer(received)
                .map_or_else(unauthorized, |user| Reply::json(&user["emails"])),
            _ => Reply::error(404, "not_found", "there is nothing here"),
        }
    }

    /// The user of an access token, which is the word `access` and the code.
    fn bearer(&self, received: &Received) -> Option<Value> {
        let code = received
            .header("authorization")
            .strip_prefix("Bearer access-")?;
        self.grants.get(code).map(|grant| grant.user.clone())
    }

    fn exchange(&mut self, received: &Received, in_header: bool) -> Reply {
        let refused = |error: &str| {
            let said = json!({"error": error, "error_description": "secret-of-the-provider"});
            Reply::json(&said).status(if in_header { 400 } else { 200 })
        };
        if self.fault == Some(Fault::Refuses) {
            return refused("invalid_grant");
        }
        let form: HashMap<String, String> = parse(&received.body).into_owned().collect();
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET));
        let is_client = match in_header {
            true => received.header("authorization") == format!("Basic {}", STANDARD.encode(pair)),
            false => {
                form.get("client_id").is_some_and(|id| id == CLIENT_ID)
                    && form
                        .get("client_secret")
                        .is_some_and(|it| it == CLIENT_SECRET)
            }
        };
        if !is_client {
            return refused("invalid_client");
        }
        let code = form.get("code").cloned().unwrap_or_default();
        let Some(grant) = self.grants.get_mut(&code) else {
            return refused("invalid_grant");
        };
        let verifier = form.get("code_verifier").map_or("", String::as_str);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        // a code works once: its challenge is taken away with it
        let is_proven = grant.query.remove("code_challenge") == Some(challenge);
        if !is_proven || form.get("redirect_uri") != grant.query.get("redirect_uri") {
            return refused("invalid_grant");
        }
        let (user, nonce) = (grant.user.clone(), grant.query.get("nonce").cloned());
        let mut answer = json!({"access_token": format!("access-{code}"), "token_type": "Bearer"});
        if in_header {
            answer["id_token"] = self.token(&user, nonce.as_deref()).into();
        }
        Reply::json(&answer)
    }

    fn token(&self, user: &Value, nonce: Option<&str>) -> String {
        let now = self.clock.now().0 / 1000;
        let is = |fault| self.fault == Some(fault);
        let mut claims = Map::new();
        let issuer = if is(Fault::Issuer) {
            "https://evil.example"
        } else {
            &self.issuer
        };
        let audience = if is(Fault::Audience) {
            "another client"
        } else {
            CLIENT_ID
        };
        claims.insert("iss".to_owned(), issuer.into());
        claims.insert("aud".to_owned(), json!([audience]));
        claims.insert("iat".to_owned(), now.into());
        let expires_at = if is(Fault::Expired) {
            now - 3600
        } else {
            now + 3600
        };
        claims.insert("exp".to_owned(), expires_at.into());
        if is(Fault::NotYet) {
            claims.insert("nbf".to_owned(), (now + 3600).into());
        }
        let nonce = nonce.map(|nonce| if is(Fault::Nonce) { "another" } else { nonce });
        claims.insert("nonce".to_owned(), nonce.into());
        if let Value::Object(user) = user {
            claims.extend(user.clone());
        }
        let key = self.keys.last().expect("there is always a key");
        let signer = match is(Fault::ForeignKey) {
            true => &Key::elliptic(&key.id),
            false => key,
        };
        let algorithm = match self.fault {
            Some(Fault::Unsigned) => "none",
            Some(Fault::Shared) => "HS256",
            _ => signer.algorithm(),
        };
        let head = json!({"alg": algorithm, "typ": "JWT", "kid": key.id});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(&head), part(&Value::Object(claims)));
        let signature = match self.fault {
            Some(Fault::Unsigned) => Vec::new(),
            Some(Fault::Shared) => {
                let key = aws_lc_rs::hmac::Key::new(
                    aws_lc_rs::hmac::HMAC_SHA256,
                    CLIENT_SECRET.as_bytes(),
                );
                aws_lc_rs::hmac::sign(&key, said.as_bytes())
                    .as_ref()
                    .to_vec()
            }
            _ => signer.sign(said.as_bytes()),
        };
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unauthorized() -> Reply {
    Reply::error(401, "invalid_token", "no")
}

impl Key {
    fn elliptic(id: &str) -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Key {
            id: id.to_owned(),
            pair: Pair::Elliptic(pair.expect("a key")),
        }
    }

    fn rsa(id: &str) -> Key {
        Key {
            id: id.to_owned(),
            pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Elliptic(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }

    fn sign(&self, said: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Elliptic(pair) => {
                let signature = pair.sign(&random, said).expect("a signature");
                signature.as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, said, &mut signature)
                    .expect("a signature");
                signature
            }
        }
    }

    /// As a key set has it.
    fn published(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.pair {
            Pair::Elliptic(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..65])})
            }
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                json!({
                    "kty": "RSA",
                    "n": text(public.modulus().big_endian_without_leading_zero()),
                    "e": text(public.exponent().big_endian_without_leading_zero()),
                })
            }
        };
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key["alg"] = self.algorithm().into();
        key
    }
}
