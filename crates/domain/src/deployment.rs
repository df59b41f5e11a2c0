//! A deployment: one upstream model that answers to a public model name, with everything a call to
//! it needs made ready, so that a request does no parsing and no lookup of its own.

use std::sync::Arc;
use std::time::Duration;

use base::Secret;
use http::{HeaderMap, HeaderValue};
use llm::price::PriceRecord;
use llm::provider::{Endpoint, Provider};
use serde_json::{Map, Value};

/// One upstream model behind a public name.
#[derive(Debug)]
pub struct Deployment {
    pub id: String,
    /// The public name, which may hold a `*`.
    pub model_name: String,
    pub target: Target,
    /// What a call costs; `None`: unpriced, which is not the same as free.
    pub price: Option<Priced>,
    /// `chat`, `embedding`, `completion` …
    pub mode: Option<String>,
    /// Its share among the deployments of a name, in hundredths of `litellm_params.weight`, which may
    /// be a fraction; 100 where none is given.
    pub weight: u32,
    /// Lower orders are tried first (`litellm_params.order`).
    pub order: i64,
    /// From `model_info.team_id`: visible to that team alone.
    pub team_id: Option<String>,
    pub access_groups: Vec<String>,
    /// Stands in the configuration file or the environment, so the API cannot change it.
    pub is_configured: bool,
    pub is_blocked: bool,
    /// `litellm_params` without secrets.
    pub params: Map<String, Value>,
    pub info: Map<String, Value>,
}

/// Who answers.
#[derive(Debug)]
pub enum Target {
    Upstream(Box<Upstream>),
    /// The gateway itself, with a text that says so: no network, no cost.
    Demo,
    /// The gateway itself, with a configured text (`litellm_params.mock_response`).
    Mock(String),
}

/// A model at a provider.
#[derive(Debug)]
pub struct Upstream {
    pub provider: &'static Provider,
    /// The model as the provider names it; where the public name holds a `*`, this may hold one too,
    /// which stands for what the `*` of the public name matched.
    pub model: String,
    pub endpoint: Endpoint,
    /// Scheme, host and path that the endpoint is made of, for ledger rows.
    pub api_base: String,
    /// The gateway's own key; personal and team keys are chosen per call.
    pub api_key: Option<Secret>,
    /// Ready to send: `authorization` (where there is a key), `content-type`, `user-agent`, and the
    /// deployment's `extra_headers`.
    pub headers: HeaderMap,
    /// `litellm_params.timeout`: to the first byte of an answer.
    pub first_byte: Option<Duration>,
    /// `litellm_params.stream_timeout`: the same for streams.
    pub stream_first_byte: Option<Duration>,
}

/// A price and what names it in ledger rows.
#[derive(Clone, Debug)]
pub struct Priced {
    /// For example `catalogue/2026-11-21/openai/gpt-4o`, or `deployment/<id>/<hash of its prices>`.
    pub version: Arc<str>,
    pub record: Arc<PriceRecord>,
}

/// A deployment chosen for a call, with the name its upstream is asked for.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub deployment: Arc<Deployment>,
    /// The upstream's model name, its `*` filled in.
    pub model: String,
    /// The price of that very model: a wildcard deployment has one for each.
    pub price: Option<Priced>,
}

impl Upstream {
    /// The headers of a deployment's calls.
    pub fn ready_headers(api_key: Option<&Secret>, extra: HeaderMap) -> base::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            http::header::USER_AGENT,
            HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(key) = api_key {
            headers.insert(
                http::header::AUTHORIZATION,
                llm::provider::authorization(key)?,
            );
        }
        headers.extend(extra);
        Ok(headers)
    }
}
