//! Calls to providers over pooled HTTP/1.1 connections: time-outs by phase, errors with a meaning.
//!
//! Addresses, TCP and TLS are libraries' work. What is ours is the exchange on the connection, which is
//! read by the call itself: with a client that hands each chunk from a task of its own to the call's, a
//! fast stream costs several times as much.

mod connection;
mod framed;
mod guard;
mod head;
mod pool;
mod redaction;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::{Code, Error, Result};
use bytes::Bytes;
use domain::addresses::Networks;
use domain::destinations::Reach;
use http::{HeaderMap, Method, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::ServiceExt as _;

use crate::body::Segments;

use connection::Outgoing;
use guard::Names;
use head::{Framing, Head};
use pool::{Origin, Pool};
use redaction::Redaction;

pub use connection::Connection;

/// The HTTP client of all calls. Connections are pooled for each host; TLS sessions are resumed.
pub struct Client {
    /// Reaches anywhere.
    open: Connector,
    /// Reaches what people may choose.
    guarded: Connector,
    networks: Networks,
    pool: Pool,
}

type Connector = HttpsConnector<HttpConnector<Names>>;

/// A request for a provider.
pub struct Asked<'a> {
    pub method: Method,
    pub uri: &'a Uri,
    pub headers: HeaderMap,
    pub body: Segments,
    /// How long the answer may take to begin.
    pub first_byte: Duration,
    pub reach: Reach,
}

/// Why there is no answer.
enum Failure {
    /// The host stands where this call may not reach.
    Guarded,
    Connect(Box<dyn std::error::Error + Send + Sync>),
    Exchange(io::Error),
}

impl Client {
    /// # Errors
    /// Only if the TLS library does not know its own protocols.
    pub fn new(connect: Duration, networks: &Networks) -> Result<Client, rustls::Error> {
        let names = |reach| Names::new(reach, networks.clone());
        Ok(Client {
            open: connector(connect, names(Reach::Anywhere))?,
            guarded: connector(connect, names(Reach::Public))?,
            networks: networks.clone(),
            pool: Pool::default(),
        })
    }

    /// Sends a call and waits for the head of its answer.
    ///
    /// # Errors
    /// 502 when no answer comes, 504 when none comes within `first_byte`. Neither has cost anything
    /// that a provider would charge for before its first byte.
    pub async fn send(&self, asked: Asked<'_>) -> Result<Response<Incoming>> {
        let (uri, first_byte) = (asked.uri, asked.first_byte);
        let host = uri.host().unwrap_or_default();
        match tokio::time::timeout(first_byte, self.exchange(asked)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(failure)) => Err(unreachable(host, failure)),
            Err(_) => Err(Error::new(
                Code::UpstreamTimeout,
                format!("the provider at {host} did not answer within {first_byte:?}"),
            )),
        }
    }

    async fn exchange(&self, asked: Asked<'_>) -> Result<Response<Incoming>, Failure> {
        let Asked {
            method,
            uri,
            headers,
            body,
            reach,
            ..
        } = asked;
        let origin = Origin::of(uri, reach).ok_or_else(|| Failure::Connect("no host".into()))?;
        let head = head::write(&method, uri, &headers, body.len());
        let mut outgoing = Outgoing::new(head, body.into_segments());
        loop {
            let (mut connection, is_new) = match self.pool.take(&origin) {
                Some(connection) => (connection, false),
                None => (self.connect(uri, reach).await?, true),
            };
            let exchange = std::future::poll_fn(|context| {
                connection.poll_exchange(&mut outgoing, &method, context)
            });
            match exchange.await {
                Ok((head, is_sent)) => {
                    let back = head.keeps_alive && is_sent;
                    let back = back.then(|| (self.pool.clone(), origin));
                    return Ok(answer(head, connection, back, &headers));
                }
                // it was closed while it waited, and nothing of the request has left
                Err(_) if !is_new && !outgoing.has_begun => {}
                Err(error) => return Err(Failure::Exchange(error)),
            }
        }
    }

    async fn connect(&self, uri: &Uri, reach: Reach) -> Result<Connection, Failure> {
        let connector = match reach {
            Reach::Anywhere => &self.open,
            Reach::Public => {
                guard::check_literal(&self.networks, uri).map_err(|_| Failure::Guarded)?;
                &self.guarded
            }
        };
        let stream = connector.clone().oneshot(uri.clone()).await;
        stream.map(Connection::new).map_err(|source| {
            if guard::is_refusal(&*source) {
                return Failure::Guarded;
            }
            Failure::Connect(source)
        })
    }
}

fn connector(connect: Duration, names: Names) -> Result<Connector, rustls::Error> {
    let mut http = HttpConnector::new_with_resolver(names);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(connect));
    http.enforce_http(false);
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

fn unreachable(host: &str, failure: Failure) -> Error {
    let (what, source) = match failure {
        Failure::Guarded => {
            return Error::new(
                Code::InvalidRequest,
                format!(
                    "the provider key's own host {host} does not stand on the open internet; an \
                     administrator can open its network in tollgate_settings.provider_key_networks"
                ),
            );
        }
        Failure::Connect(source) => ("could not be reached", source),
        Failure::Exchange(source) => ("broke off before it answered", source.into()),
    };
    Error::new(
        Code::UpstreamUnavailable,
        format!("the provider at {host} {what}"),
    )
    .caused_by(source)
}

fn answer(
    mut head: Head,
    connection: Connection,
    back: Option<(Pool, Origin)>,
    asked: &HeaderMap,
) -> Response<Incoming> {
    let is_refusal = !head.status.is_success() && !head.status.is_informational();
    let redaction = is_refusal.then(|| Redaction::of(asked)).flatten();
    if let Some(redaction) = &redaction {
        redaction.redact(&mut head.headers);
    }
    let mut incoming = Incoming {
        connection: Some(connection),
        framing: head.framing,
        back,
        redaction: redaction.map(Box::new),
    };
    if head.framing == Framing::Length(0) && head.status != http::StatusCode::SWITCHING_PROTOCOLS {
        incoming.ended();
    }
    let mut response = Response::new(incoming);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// The body of an answer, read as it is asked for.
pub struct Incoming {
    /// `None`: at its end.
    connection: Option<Connection>,
    framing: Framing,
    /// Where the connection goes afterwards, if it can be used again.
    back: Option<(Pool, Origin)>,
    /// Of a refusal.
    redaction: Option<Box<Redaction>>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").finish_non_exhaustive()
    }
}

impl Incoming {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// 502 for an answer that breaks off.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let piece = ready!(self.poll_redacted(context));
        if piece.is_err() {
            self.connection = None;
        }
        let broke = |source| {
            Error::new(
                Code::UpstreamUnavailable,
                "the provider broke off in the midst of its answer",
            )
            .caused_by(source)
        };
        Poll::Ready(piece.map_err(broke).transpose())
    }

    fn poll_redacted(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let piece = ready!(self.poll_bytes(context))?;
            let Some(redaction) = &mut self.redaction else {
                return Poll::Ready(Ok(piece));
            };
            let (clean, has_ended) = match piece {
                Some(piece) => (redaction.pass(piece), false),
                None => (redaction.finish(), true),
            };
            if has_ended || !clean.is_empty() {
                return Poll::Ready(Ok((!clean.is_empty()).then_some(clean)));
            }
        }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(Ok(None));
            };
            let (piece, has_ended) = framed::take(&mut connection.buffer, &mut self.framing)?;
            if has_ended {
                self.ended();
            }
            if !piece.is_empty() {
                return Poll::Ready(Ok(Some(piece)));
            }
            if let Some(connection) = &mut self.connection
                && ready!(connection.poll_read(context))? == 0
            {
                self.connection = None;
                return match self.framing {
                    Framing::UntilClose => Poll::Ready(Ok(None)),
                    _ => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                };
            }
        }
    }

    fn ended(&mut self) {
        let connection = self.connection.take();
        if let (Some(connection), Some((pool, origin))) = (connection, self.back.take())
            // what nobody asked for is no beginning of another answer
            && connection.buffer.is_empty()
        {
            pool.put(origin, connection);
        }
    }

    /// How many bytes are left, where the provider said so.
    fn announced(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(left) => Some(left),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// The connection itself, once it has left HTTP behind.
    pub fn into_connection(self) -> Option<Connection> {
        self.connection
    }
}

/// An answer read whole.
///
/// # Errors
/// 502 for an answer that breaks off or is larger than `limit` bytes, 504 for one that stops for
/// longer than `silence`.
pub async fn whole(mut body: Incoming, limit: usize, silence: Duration) -> Result<Bytes> {
    let too_large = || {
        Error::new(
            Code::UpstreamUnavailable,
            "the provider's answer is too large",
        )
    };
    if body.announced().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(piece) = next(&mut body, silence).await? {
        length += piece.len();
        pieces.push(piece);
        if length > limit {
            return Err(too_large());
        }
    }
    Ok(match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    })
}

async fn next(body: &mut Incoming, silence: Duration) -> Result<Option<Bytes>> {
    let mut timer = None;
    std::future::poll_fn(|context| {
        if let Poll::Ready(piece) = body.poll_piece(context) {
            return Poll::Ready(piece.transpose());
        }
        // a piece that is here already needs no timer
        let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(silence)));
        Pin::new(timer).poll(context).map(|()| Err(silent(silence)))
    })
    .await
}

fn silent(silence: Duration) -> Error {
    Error::new(
        Code::UpstreamTimeout,
        format!("the provider stopped in the midst of its answer for {silence:?}"),
    )
}
