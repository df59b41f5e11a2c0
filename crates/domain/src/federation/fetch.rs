//! Asking an identity provider: with a limit of time and size, and never led elsewhere by a redirect.

use std::time::Duration;

use base::{Code, Error, Result, Secret};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use url::Url;

/// How long an answer may take, from the first byte sent to the last one read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer: key sets and group lists have some kilobytes.
const LARGEST: usize = 1 << 20;

/// A client for small JSON documents.
pub struct Fetcher(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// An answer; null in place of a body that is no JSON.
pub struct Answer {
    pub status: StatusCode,
    pub json: Value,
}

/// What is sent besides the address.
#[derive(Default)]
pub struct Asking {
    /// A form; without one it is a GET.
    pub form: Option<String>,
    /// The whole header, with its scheme.
    pub authorization: Option<Secret>,
}

impl Fetcher {
    pub fn new() -> Result<Fetcher> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(PATIENCE));
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(Error::internal)?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Fetcher(Client::builder(TokioExecutor::new()).build(https)))
    }

    /// # Errors
    /// [`Code::UpstreamUnavailable`] when there is no whole answer. What was answered is for the
    /// caller to judge, whatever its status.
    pub async fn ask(&self, address: &str, asking: Asking) -> Result<Answer> {
        let url = Url::parse(address).map_err(|_| unreachable(address, "it is no URL"))?;
        let request = request(&url, asking)?;
        let whole = async {
            let answer = self.0.request(request).await;
            let answer = answer.map_err(|_| unreachable(address, "it cannot be reached"))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await;
            let body =
                body.map_err(|_| unreachable(address, "its answer is cut off or too long"))?;
            Ok(Answer {
                status: head.status,
                json: serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
            })
        };
        match tokio::time::timeout(PATIENCE, whole).await {
            Ok(answer) => answer,
            Err(_) => Err(unreachable(address, "it does not answer in time")),
        }
    }

    /// A document that must be there.
    ///
    /// # Errors
    /// [`Code::UpstreamUnavailable`] when it is not.
    pub async fn document(&self, address: &str, asking: Asking) -> Result<Value> {
        let answer = self.ask(address, asking).await?;
        match answer.status.is_success() && !answer.json.is_null() {
            true => Ok(answer.json),
            false => {
                let status = answer.status.as_u16();
                let why = format!("it answered {status} and no JSON document");
                Err(unreachable(address, &why))
            }
        }
    }
}

fn request(url: &Url, asking: Asking) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .uri(url.as_str())
        .header(header::ACCEPT, "application/json")
        // GitHub wants one
        .header(header::USER_AGENT, "tollgate");
    if let Some(secret) = &asking.authorization {
        let mut value = HeaderValue::from_str(secret.expose()).map_err(Error::internal)?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    let request = match asking.form {
        None => request.body(Full::default()),
        Some(form) => request
            .method(Method::POST)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(form.into())),
    };
    request.map_err(Error::internal)
}

/// Nothing but the host is told: queries of some addresses are secret.
fn unreachable(address: &str, why: &str) -> Error {
    let host = Url::parse(address).ok();
    let host = host.as_ref().and_then(Url::host_str).unwrap_or("(none)");
    let message = format!(
        "the identity provider at {host} does not work: {why}; try again, and if it stays so, an \
         administrator must check its addresses in the configuration and the network"
    );
    Error::new(Code::UpstreamUnavailable, message)
}
