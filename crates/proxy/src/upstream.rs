//! Calls to providers: one pooled HTTP/1.1 client, time-outs by phase, errors with a meaning.

use std::time::Duration;

use base::{Code, Error, Result};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::body::Segments;

/// How long an idle connection to a provider is kept.
const IDLE: Duration = Duration::from_secs(90);

/// The HTTP client of all calls. Connections are pooled for each host; TLS sessions are resumed.
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Segments>);

/// A request for a provider.
pub struct Asked<'a> {
    pub method: Method,
    pub uri: &'a Uri,
    pub headers: HeaderMap,
    pub body: Segments,
    /// How long the answer may take to begin.
    pub first_byte: Duration,
}

impl Client {
    /// # Errors
    /// Only if the TLS library does not know its own protocols.
    pub fn new(connect: Duration) -> Result<Client, rustls::Error> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect));
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        Ok(Client(
            legacy::Client::builder(TokioExecutor::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(usize::MAX)
                .pool_timer(TokioTimer::new())
                .retry_canceled_requests(true)
                .build(https),
        ))
    }

    /// Sends a call and waits for the head of its answer.
    ///
    /// # Errors
    /// 502 when no answer comes, 504 when none comes within `first_byte`. Neither has cost anything
    /// that a provider would charge for before its first byte.
    pub async fn send(&self, asked: Asked<'_>) -> Result<Response<Incoming>> {
        let Asked {
            method,
            uri,
            headers,
            body,
            first_byte,
        } = asked;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        let host = uri.host().unwrap_or_default();
        match tokio::time::timeout(first_byte, self.0.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(unreachable(host, error)),
            Err(_) => Err(Error::new(
                Code::UpstreamTimeout,
                format!("the provider at {host} did not answer within {first_byte:?}"),
            )),
        }
    }
}

fn unreachable(host: &str, error: legacy::Error) -> Error {
    let what = match error.is_connect() {
        true => "could not be reached",
        false => "broke off before it answered",
    };
    Error::new(
        Code::UpstreamUnavailable,
        format!("the provider at {host} {what}"),
    )
    .caused_by(error)
}

/// An answer read whole.
///
/// # Errors
/// 502 for an answer that breaks off or is larger than `limit` bytes, 504 for one that stops for
/// longer than `silence`.
pub async fn whole(mut body: Incoming, limit: usize, silence: Duration) -> Result<Bytes> {
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while !body.is_end_stream() {
        // a piece that is here already needs no timer
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None => tokio::time::timeout(silence, body.frame())
                .await
                .map_err(|_| silent(silence))?,
        };
        match frame {
            None => break,
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    length += bytes.len();
                    pieces.push(bytes);
                }
            }
            Some(Err(error)) => {
                return Err(unusable("the provider's answer broke off").caused_by(error));
            }
        }
        if length > limit {
            return Err(unusable("the provider's answer is too large"));
        }
    }
    Ok(joined(pieces))
}

fn unusable(what: &'static str) -> Error {
    Error::new(Code::UpstreamUnavailable, what)
}

fn silent(silence: Duration) -> Error {
    Error::new(
        Code::UpstreamTimeout,
        format!("the provider stopped in the midst of its answer for {silence:?}"),
    )
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    }
}
