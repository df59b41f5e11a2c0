//! A deployment: one upstream model that answers to a public model name, with everything a call to
//! it needs made ready, so that a request does no parsing and no lookup of its own.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base::Result;
use http::{HeaderMap, HeaderValue};
use llm::Format;
use llm::price::PriceRecord;
use llm::provider::{Credential, Endpoint, Proofs, Provider};
use serde_json::{Map, Value};

use crate::destinations::Reach;
use crate::payers::{PaidBy, Payer};

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
    pub endpoint: Arc<Endpoint>,
    pub host: Host,
    /// Scheme, host and path that the endpoint is made of, for ledger rows.
    pub api_base: String,
    /// The gateway's own; whose key pays in its place is chosen per call, see [`Chosen::ready`].
    pub credential: Credential,
    /// Where the credential is from.
    pub own: PaidBy,
    /// Ready to send, for what the provider speaks best; empty where a key is opened for one call. See
    /// [`Upstream::headers_for`].
    pub headers: HeaderMap,
    /// Those of formats for which the provider takes its key in another way.
    pub other_headers: Vec<(Format, HeaderMap)>,
    /// The deployment's `extra_headers`, which stand in all of the above.
    pub extra_headers: HeaderMap,
    /// How far calls may reach: an operator said where this is, or somebody else did.
    pub reach: Reach,
    /// `litellm_params.drop_params`: see [`crate::Config::drop_params`].
    pub drops_params: bool,
    /// `litellm_params.timeout`: to the first byte of an answer.
    pub first_byte: Option<Duration>,
    /// `litellm_params.stream_timeout`: the same for streams.
    pub stream_first_byte: Option<Duration>,
}

/// Whose host a deployment is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The provider's own.
    Provider,
    /// One that the environment puts in its place (`ANTHROPIC_BASE_URL`).
    Replaced,
    /// One that the definition states (`api_base`).
    Stated,
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
    /// Whose key pays; `None`: the deployment's own credential.
    pub payer: Option<Arc<Payer>>,
}

impl Upstream {
    /// The headers of a call in `format`: `content-type`, `user-agent`, what the provider wants, the
    /// gateway's own key where that is sent as it is, and the deployment's `extra_headers`.
    ///
    /// # Errors
    /// `BadRequest` for a key that no header can hold.
    pub fn headers_for(&self, format: Format) -> Result<Cow<'_, HeaderMap>> {
        if self.headers.is_empty() {
            return self.headers_with(&self.credential, format).map(Cow::Owned);
        }
        let other = self
            .other_headers
            .iter()
            .find(|(known, _)| *known == format);
        let ready = other.map_or(&self.headers, |(_, headers)| headers);
        Ok(Cow::Borrowed(ready))
    }

    /// The same with the key of somebody else.
    ///
    /// # Errors
    /// `BadRequest` for a key that no header can hold.
    pub fn headers_with(&self, credential: &Credential, format: Format) -> Result<HeaderMap> {
        let extra = &self.extra_headers;
        headers(
            &self.endpoint,
            credential,
            extra,
            format,
            &mut Proofs::default(),
        )
    }

    /// Makes ready what can be: headers for each format that this model, or any behind a `*`, speaks.
    ///
    /// # Errors
    /// `BadRequest` for a key that no header can hold.
    pub fn with_headers(mut self) -> Result<Upstream> {
        let spoken = self.provider.formats(&self.model);
        let best = spoken.first().copied().unwrap_or(Format::OpenAiChat);
        let mut proofs = Proofs::default();
        let mut ready = |format| {
            headers(
                &self.endpoint,
                &self.credential,
                &self.extra_headers,
                format,
                &mut proofs,
            )
        };
        let first = ready(best)?;
        let mut others: Vec<(Format, HeaderMap)> = Vec::new();
        let all = spoken.iter().chain(self.provider.formats);
        for format in all.chain(&[Format::Anthropic, Format::AnthropicTokenCount]) {
            if others.iter().any(|(known, _)| known == format) {
                continue;
            }
            let headers = ready(*format)?;
            if headers != first {
                others.push((*format, headers));
            }
        }
        self.headers = first;
        self.other_headers = others;
        Ok(self)
    }
}

fn headers(
    endpoint: &Endpoint,
    credential: &Credential,
    extra: &HeaderMap,
    format: Format,
    proofs: &mut Proofs,
) -> Result<HeaderMap> {
    let mut headers = llm::provider::key_headers(endpoint, credential, format, proofs)?;
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
    );
    headers.extend(extra.clone());
    Ok(headers)
}
