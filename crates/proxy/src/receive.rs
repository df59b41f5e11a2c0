//! A client's body, read whole: with a limit on its size and on the client's silence.

use std::time::Duration;

use base::{Code, Error, Result};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::Config;

/// # Errors
/// 413 for a body beyond the limit, before it is read where its length is announced; 408 for a
/// client that stops sending; 400 for a connection that breaks off or a compressed body.
pub async fn body(config: &Config, headers: &HeaderMap, mut body: Incoming) -> Result<Bytes> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > config.request_bytes as u64) {
        return Err(too_large(config.request_bytes));
    }
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(Error::new(
            Code::InvalidRequest,
            "the gateway takes no compressed request bodies; send it without content-encoding",
        )
        .param("request_body"));
    }
    let Some(first) = next(&mut body, config.receive_silence).await? else {
        return Ok(Bytes::new());
    };
    // most requests arrive in one piece, which is then not copied
    if body.is_end_stream() {
        return checked(first, config.request_bytes);
    }
    let mut whole = BytesMut::with_capacity(capacity(announced, config.request_bytes));
    whole.extend_from_slice(&first);
    while let Some(bytes) = next(&mut body, config.receive_silence).await? {
        if whole.len() + bytes.len() > config.request_bytes {
            return Err(too_large(config.request_bytes));
        }
        whole.extend_from_slice(&bytes);
    }
    checked(whole.freeze(), config.request_bytes)
}

fn capacity(announced: Option<u64>, limit: usize) -> usize {
    let announced = announced.and_then(|length| usize::try_from(length).ok());
    announced.unwrap_or(64 << 10).min(limit)
}

fn checked(bytes: Bytes, limit: usize) -> Result<Bytes> {
    match bytes.len() > limit {
        true => Err(too_large(limit)),
        false => Ok(bytes),
    }
}

async fn next(body: &mut Incoming, silence: Duration) -> Result<Option<Bytes>> {
    loop {
        // a piece that is here already needs no timer
        let frame = match body.frame().now_or_never() {
            Some(frame) => frame,
            None => tokio::time::timeout(silence, body.frame())
                .await
                .map_err(|_| silent(silence))?,
        };
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Some(Err(error)) => {
                return Err(Error::new(
                    Code::InvalidRequest,
                    "the request body broke off or is not well framed",
                )
                .param("request_body")
                .caused_by(error));
            }
        }
    }
}

fn silent(silence: Duration) -> Error {
    Error::new(
        Code::RequestTimeout,
        format!("the request body stopped arriving for {silence:?}"),
    )
}

fn too_large(limit: usize) -> Error {
    Error::new(
        Code::BodyTooLarge,
        format!(
            "the request body is larger than {limit} bytes; general_settings.max_request_size_mb \
             raises the limit"
        ),
    )
    .param("request_body")
}
