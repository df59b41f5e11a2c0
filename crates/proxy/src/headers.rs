//! The headers of answers: LiteLLM's names (contract §17) and our own.

use std::cell::RefCell;

use base::{Money, RequestId};
use domain::Caller;
use domain::deployment::Chosen;
use foldhash::HashMap;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    HeaderName, HeaderValue, TRANSFER_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, header};
use llm::Format;

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const VERSION: HeaderName = HeaderName::from_static("x-litellm-version");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const RESPONSE_COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
const KEY_MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const COST_NANO_DOLLARS: HeaderName = HeaderName::from_static("x-tollgate-cost-nano-dollars");
const USAGE_SOURCE: HeaderName = HeaderName::from_static("x-tollgate-usage-source");
const PAID_BY: HeaderName = HeaderName::from_static("x-tollgate-paid-by");
const PROVIDER_KEY: HeaderName = HeaderName::from_static("x-tollgate-provider-key-id");
const DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped-params");
const ESTIMATE: HeaderName = HeaderName::from_static("x-tollgate-estimate");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What every answer of the data plane carries.
pub fn common(headers: &mut HeaderMap, id: RequestId) {
    headers.reserve(24);
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let mut text = [0; uuid_length()];
    let id = value(id.0.hyphenated().encode_lower(&mut text));
    headers.insert(REQUEST_ID, id.clone());
    headers.insert(CALL_ID, id);
    headers.insert(VERSION, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
}

const fn uuid_length() -> usize {
    36
}

/// Which deployment answered, and after how many tries.
pub fn deployment(headers: &mut HeaderMap, id: &str, group: &str, attempts: u32) {
    headers.insert(MODEL_ID, value(id));
    headers.insert(MODEL_GROUP, value(group));
    headers.insert(RETRIES, HeaderValue::from(attempts.saturating_sub(1)));
    headers.insert(FALLBACKS, HeaderValue::from(0));
}

/// Whose key at the provider pays, and which it is where it is one that is stored.
pub fn paid_by(headers: &mut HeaderMap, chosen: &Chosen) {
    let Some(paid_by) = chosen.paid_by() else {
        return;
    };
    headers.insert(PAID_BY, HeaderValue::from_static(paid_by.as_str()));
    if let Some(key) = chosen.provider_key() {
        headers.insert(PROVIDER_KEY, value(&key.id));
    }
}

/// Members of the request that could not go to a provider of another protocol.
pub fn dropped(headers: &mut HeaderMap, members: &[String]) {
    headers.insert(DROPPED, value(&members.join(", ")));
}

/// The answer is an estimate of the gateway, where the provider cannot tell.
pub fn estimate(headers: &mut HeaderMap) {
    headers.insert(ESTIMATE, HeaderValue::from_static("true"));
}

/// What the call has cost; an unpriced call carries no cost, rather than a wrong one.
pub fn cost(headers: &mut HeaderMap, cost: Option<Money>, usage_source: &'static str) {
    if let Some(cost) = cost {
        headers.insert(RESPONSE_COST, cost.with_text(value));
        headers.insert(COST_NANO_DOLLARS, HeaderValue::from(cost.0));
    }
    headers.insert(USAGE_SOURCE, HeaderValue::from_static(usage_source));
}

/// What the key has spent so far, and may.
pub fn key(headers: &mut HeaderMap, domain: &domain::Domain, caller: &Caller) {
    let Some(scope) = caller.scopes.first() else {
        return;
    };
    let now = domain.clock.now();
    let (spend, limit) = scope.spend_and_limit(now, &domain.config.zone);
    headers.insert(KEY_SPEND, spend.with_text(value));
    if let Some(limit) = limit {
        headers.insert(KEY_MAX_BUDGET, limit.with_text(value));
    }
}

pub fn duration(headers: &mut HeaderMap, elapsed: std::time::Duration) {
    let millis = elapsed.as_micros() / 1000;
    headers.insert(
        DURATION,
        HeaderValue::from(u64::try_from(millis).unwrap_or(u64::MAX)),
    );
}

/// What keeps proxies between us and the client from holding a stream back.
pub fn stream(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
}

/// What a client may say to the provider beside the body: nothing that proves or names who asks.
pub fn pass_on(format: Format, client: &HeaderMap, headers: &mut HeaderMap) {
    for name in &PASSED_ON {
        if let Some(value) = client.get(name) {
            headers.insert(name, value.clone());
        }
    }
    if matches!(format, Format::Anthropic | Format::AnthropicTokenCount) {
        for name in [&ANTHROPIC_VERSION, &ANTHROPIC_BETA] {
            if client.contains_key(name) {
                headers.remove(name);
            }
            for value in client.get_all(name) {
                headers.append(name, value.clone());
            }
        }
    }
}

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
static PASSED_ON: [HeaderName; 3] = [
    header::ACCEPT,
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("idempotency-key"),
];

/// The upstream's own headers, each as `llm_provider-<name>`; a few that clients act on also under
/// their own name.
pub fn from_upstream(headers: &mut HeaderMap, upstream: &HeaderMap) {
    for (name, value) in upstream {
        if *name == header::CONTENT_TYPE || *name == header::RETRY_AFTER {
            headers.insert(name, value.clone());
        }
        if let Some(prefixed) = PREFIXED.with_borrow_mut(|known| known.get(name)) {
            headers.append(prefixed, value.clone());
        }
    }
}

thread_local! {
    static PREFIXED: RefCell<Prefixed> = RefCell::default();
}

/// The names under which upstreams' headers are passed on, each made once a thread.
#[derive(Default)]
struct Prefixed(HashMap<HeaderName, Option<HeaderName>>);

impl Prefixed {
    /// Providers send some tens of names; who sends more does not fill our memory.
    const MOST: usize = 512;

    /// `None`: the header is not passed on.
    fn get(&mut self, name: &HeaderName) -> Option<HeaderName> {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        let prefixed = match HOP_BY_HOP.contains(name) {
            true => None,
            false => HeaderName::try_from(format!("llm_provider-{name}")).ok(),
        };
        if self.0.len() < Prefixed::MOST {
            self.0.insert(name.clone(), prefixed.clone());
        }
        prefixed
    }
}

/// A client's headers that go to a provider as they are: all but those of the connection and those
/// that hold keys of the gateway.
pub fn of_client(client: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(client.len());
    for (name, value) in client {
        let is_ours = is_of_connection(name)
            || OURS.contains(name)
            || name.as_str().starts_with("x-litellm-")
            || name.as_str().starts_with("x-tollgate-");
        if !is_ours {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What clients tell the gateway, not the provider. Answers come uncompressed, so that they can be
/// read.
static OURS: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::HOST,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("proxy-authorization"),
];

/// Whether a header belongs to the connection, or to us and the provider alone.
pub fn is_of_connection(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
        || matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "te" | "trailer" | "proxy-authenticate"
        )
}

/// Headers of the connection, not of the answer, and cookies, which are between the provider and us.
static HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    TRANSFER_ENCODING,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    header::SET_COOKIE,
    header::UPGRADE,
];

/// A header value from text; characters that no header may hold become `?`.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let safe: String = text
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() || c == ' ' {
                    c
                } else {
                    '?'
                }
            })
            .collect();
        HeaderValue::from_str(&safe).expect("only visible ASCII is left")
    })
}

/// The header's value as text, when it is text.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
