//! The handshake of WebSockets (RFC 6455 §4) on both sides: what the client offers, less what is ours,
//! and what the provider accepts. No extension is negotiated, so that frames can be read.

use std::time::Duration;

use base::{Code, Error, Result, Secret};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use crate::{headers, passthrough};

/// The status of a request that has to be a handshake and is none.
pub const UPGRADE_REQUIRED: u16 = 426;

/// How long a provider may take to accept a session.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How browsers, which cannot set headers, name a key.
const KEY: &str = "openai-insecure-api-key.";
/// Whose account pays is the gateway's to say.
const ACCOUNT: [&str; 2] = ["openai-organization.", "openai-project."];

/// The subprotocols that a client offers.
#[derive(Debug, Default)]
pub struct Offer {
    /// Without what names a key or an account.
    pub protocols: Vec<String>,
    /// The key among them.
    pub key: Option<Secret>,
}

impl Offer {
    pub fn read(headers: &HeaderMap) -> Offer {
        let mut offer = Offer::default();
        let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let names = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            match name.strip_prefix(KEY) {
                Some(key) => offer.key = Some(Secret::new(key)),
                None if ACCOUNT.iter().any(|prefix| name.starts_with(prefix)) => {}
                None => offer.protocols.push(name.to_owned()),
            }
        }
        offer
    }
}

/// Whether the request is a handshake that can be passed on.
///
/// # Errors
/// 426 for one that is none, 400 for one without a key of its own.
pub fn check(head: &Parts) -> Result<()> {
    let has = |name, wanted: &str| {
        let lines = head.headers.get_all(name).iter();
        let mut words = lines
            .filter_map(|line: &HeaderValue| line.to_str().ok())
            .flat_map(|line| line.split(','));
        words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    let is_handshake = head.version == http::Version::HTTP_11
        && has(CONNECTION, "upgrade")
        && has(UPGRADE, "websocket")
        && has(SEC_WEBSOCKET_VERSION, "13");
    if !is_handshake {
        return Err(Error::new(
            Code::InvalidRequest,
            "this path takes WebSocket connections alone (HTTP/1.1, version 13)",
        )
        .with_status(UPGRADE_REQUIRED));
    }
    let is_sound = head
        .headers
        .get(SEC_WEBSOCKET_KEY)
        .is_some_and(|key| key.len() == 24);
    match is_sound {
        true => Ok(()),
        false => {
            let message = "the WebSocket handshake has no valid sec-websocket-key";
            Err(Error::new(Code::InvalidRequest, message))
        }
    }
}

/// The handshake with the provider of a model, of whose headers the client may say little.
pub fn for_model(mut own: HeaderMap, client: &HeaderMap, offer: &Offer) -> HeaderMap {
    own.remove(CONTENT_TYPE);
    if let Some(beta) = client.get("openai-beta") {
        own.insert("openai-beta", beta.clone());
    }
    shaken(own, client, offer)
}

/// The handshake on a provider's own path: the client's headers, but for its key.
pub fn for_path(own: &HeaderMap, client: &HeaderMap, offer: &Offer) -> HeaderMap {
    let mut sent = headers::of_client(client);
    for name in [ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL] {
        sent.remove(name);
    }
    for (name, value) in own {
        if *name != CONTENT_TYPE && (value.is_sensitive() || !sent.contains_key(name)) {
            sent.insert(name, value.clone());
        }
    }
    shaken(sent, client, offer)
}

fn shaken(mut headers: HeaderMap, client: &HeaderMap, offer: &Offer) -> HeaderMap {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if let Some(key) = client.get(SEC_WEBSOCKET_KEY) {
        // the answer to it is the client's to check
        headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    }
    if !offer.protocols.is_empty() {
        let offered = headers::value(&offer.protocols.join(", "));
        headers.insert(SEC_WEBSOCKET_PROTOCOL, offered);
    }
    headers
}

/// The answer to the client's handshake.
///
/// # Errors
/// 502 when the provider has not accepted it, or wants an extension.
pub fn answer(upstream: &HeaderMap, offer: &Offer, passes_through: bool) -> Result<HeaderMap> {
    let accept = upstream.get(SEC_WEBSOCKET_ACCEPT);
    let (Some(accept), None) = (accept, upstream.get(SEC_WEBSOCKET_EXTENSIONS)) else {
        return Err(Error::new(
            Code::UpstreamUnavailable,
            "the provider's answer to the WebSocket handshake is none",
        ));
    };
    let mut headers = HeaderMap::new();
    match passes_through {
        true => passthrough::copy_headers(&mut headers, upstream),
        false => headers::from_upstream(&mut headers, upstream),
    }
    for name in [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.clone());
    // browsers give up where they offer protocols and none is chosen
    let first = offer.protocols.first().map(|name| headers::value(name));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Some(chosen) = upstream.get(SEC_WEBSOCKET_PROTOCOL).cloned().or(first) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_among_the_protocols_is_taken_out_of_them() {
        let mut headers = HeaderMap::new();
        let line = "realtime, openai-insecure-api-key.sk-x, openai-organization.org-1";
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(line));
        let more = HeaderValue::from_static("openai-beta.realtime-v1");
        headers.append(SEC_WEBSOCKET_PROTOCOL, more);
        let offer = Offer::read(&headers);
        assert_eq!(offer.protocols, ["realtime", "openai-beta.realtime-v1"]);
        assert_eq!(offer.key.as_ref().map(Secret::expose), Some("sk-x"));
        let sent = for_path(&HeaderMap::new(), &headers, &offer);
        let text = format!("{sent:?}");
        assert!(!text.contains("sk-x") && !text.contains("org-1"), "{text}");
        assert_eq!(
            sent[SEC_WEBSOCKET_PROTOCOL],
            "realtime, openai-beta.realtime-v1"
        );
    }

    #[test]
    fn an_extension_that_was_not_offered_is_no_answer() {
        let mut upstream = HeaderMap::new();
        upstream.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("x"));
        let offer = Offer::default();
        assert!(answer(&upstream, &offer, false).is_ok());
        let extension = HeaderValue::from_static("permessage-deflate");
        upstream.insert(SEC_WEBSOCKET_EXTENSIONS, extension);
        assert!(answer(&upstream, &offer, false).is_err());
        assert!(answer(&HeaderMap::new(), &offer, false).is_err());
    }
}
