//! The upstream's answer on its way to the client: whole, or as a stream that passes while it is
//! watched.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base::{Code, Error, Result};
use bytes::Bytes;
use domain::deployment::Upstream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use llm::UsageRule;
use llm::provider::UpstreamError;
use llm::response::{Observed, StreamObserver};
use llm::translate::{self, StreamTranslator};
use tokio::time::{Instant, Sleep};

use crate::body::Body;
use crate::finish::{Settled, Settlement};
use crate::handle::Call;
use crate::{Proxy, error, headers, kept, translated, upstream};

/// What a call is answered with, before its settlement is attached.
pub enum Answer {
    Whole {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        observed: Box<Observed>,
        /// The provider's error, when it is one.
        failure: Option<Error>,
    },
    Stream {
        status: StatusCode,
        headers: HeaderMap,
        source: upstream::Incoming,
        watch: Watch,
        silence: Duration,
    },
}

/// What looks at a stream's pieces and says what of them goes on to the client.
pub enum Watch {
    /// Client and provider speak the same format: bytes pass as they are.
    Same(Box<StreamObserver>),
    Translated(Box<StreamTranslator>),
    /// Sound or pictures, of which so many bytes have passed.
    Binary(u64),
    /// Nothing in it says what it costs.
    Plain,
}

impl Watch {
    fn feed(&mut self, bytes: Bytes) -> Bytes {
        match self {
            Watch::Same(observer) => observer.feed(bytes),
            Watch::Translated(translator) => translator.feed(&bytes),
            Watch::Binary(passed) => {
                *passed += bytes.len() as u64;
                bytes
            }
            Watch::Plain => bytes,
        }
    }

    fn finish(self) -> (Bytes, Observed) {
        match self {
            Watch::Same(observer) => observer.finish(),
            Watch::Translated(translator) => translator.finish(),
            Watch::Binary(passed) => (Bytes::new(), passed_bytes(passed)),
            Watch::Plain => (Bytes::new(), Observed::default()),
        }
    }

    /// Whether what breaks off can say so itself; else the connection has to.
    fn has_last_words(&self) -> bool {
        !matches!(self, Watch::Binary(_) | Watch::Plain)
    }

    /// What is left, and the event that tells the client why there is no more.
    fn break_off(self, call: &Call, failure: &Error) -> (Bytes, Observed) {
        match self {
            Watch::Same(observer) => {
                let (rest, observed) = observer.finish();
                let rest = [rest, error::event(call.format, call.id, failure)].concat();
                (rest.into(), observed)
            }
            Watch::Translated(translator) => translator.break_off(failure.message()),
            Watch::Binary(passed) => (Bytes::new(), passed_bytes(passed)),
            Watch::Plain => (Bytes::new(), Observed::default()),
        }
    }
}

fn passed_bytes(output_bytes: u64) -> Observed {
    Observed {
        output_bytes,
        ..Observed::default()
    }
}

/// Looks at the head of the upstream's answer and reads what is not streamed.
pub async fn receive(
    proxy: &Proxy,
    target: &Upstream,
    response: Response<upstream::Incoming>,
    settlement: &mut Settlement,
) -> Result<Answer> {
    let config = &proxy.0.config;
    settlement.call.first_byte_at = Some(proxy.0.domain.clock.now());
    let (head, body) = response.into_parts();
    let rule = target.provider.usage_rule(&target.model);
    let call = &mut settlement.call;
    if call.upstream_format != call.format && head.status.is_success() {
        return receive_translated(proxy, rule, head.headers, body, call).await;
    }
    if head.status.is_success() && is_event_stream(&head.headers) {
        let hide_usage = call.stream && !call.wants_stream_usage;
        return Ok(Answer::Stream {
            status: head.status,
            headers: head.headers,
            source: body,
            watch: Watch::Same(Box::new(StreamObserver::new(
                call.format,
                rule,
                &call.requested_model,
                hide_usage,
            ))),
            silence: config.silence,
        });
    }
    if head.status.is_success() && is_binary(&head.headers) {
        return Ok(Answer::Stream {
            status: head.status,
            headers: head.headers,
            source: body,
            watch: Watch::Binary(0),
            silence: config.silence,
        });
    }
    let bytes = upstream::whole(body, config.response_bytes, config.silence).await?;
    if !head.status.is_success() {
        return Ok(refusal(
            target,
            head.status,
            head.headers,
            &bytes,
            settlement,
        ));
    }
    let (body, observed) = llm::response::observe(call.format, rule, bytes, &call.requested_model);
    Ok(Answer::Whole {
        status: head.status,
        headers: head.headers,
        body,
        observed: Box::new(observed),
        failure: None,
    })
}

/// An answer in the provider's format, for a client of another.
async fn receive_translated(
    proxy: &Proxy,
    rule: UsageRule,
    mut headers: HeaderMap,
    body: upstream::Incoming,
    call: &mut Call,
) -> Result<Answer> {
    let config = &proxy.0.config;
    let (from, to) = (call.upstream_format, call.format);
    let is_stream = is_event_stream(&headers);
    headers.insert(CONTENT_TYPE, translated::content_type(call));
    if is_stream && call.stream {
        let translator = StreamTranslator::new(from, rule, to, translated::shown(call))?;
        return Ok(Answer::Stream {
            status: StatusCode::OK,
            headers,
            source: body,
            watch: Watch::Translated(Box::new(translator)),
            silence: config.silence,
        });
    }
    let bytes = upstream::whole(body, config.response_bytes, config.silence).await?;
    if !to.is_chat() {
        let (body, observed) = translate::other_answer(from, to, &bytes, &translated::shown(call))?;
        return Ok(Answer::Whole {
            status: StatusCode::OK,
            headers,
            body: body.into(),
            observed: Box::new(observed),
            failure: None,
        });
    }
    let answer = translate::read_answer(from, rule, &bytes)?;
    own_answer(call, headers, &answer)
}

/// An answer that is there whole, as the client asked for it: whole or in pieces.
pub fn own_answer(
    call: &mut Call,
    headers: HeaderMap,
    answer: &llm::conversation::Answer,
) -> Result<Answer> {
    let shown = translated::shown(call);
    let body = match call.stream {
        false => translate::write_answer(call.format, answer, &shown)?,
        true => translate::write_as_stream(call.format, answer, shown)?.concat(),
    };
    Ok(Answer::Whole {
        status: StatusCode::OK,
        headers,
        body: body.into(),
        observed: Box::new(translate::observe(answer)),
        failure: None,
    })
}

/// Sound, pictures, files: nothing to be read, so it flows.
pub fn is_binary(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        [
            &b"audio/"[..],
            b"image/",
            b"video/",
            b"application/octet-stream",
            b"application/zip",
        ]
        .iter()
        .any(|kind| value.as_bytes().starts_with(kind))
    })
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        value.starts_with(b"text/event-stream")
            || value.starts_with(b"application/vnd.amazon.eventstream")
    })
}

/// The provider's error, with its status and message in the client's shape.
pub fn refusal(
    target: &Upstream,
    status: StatusCode,
    headers: HeaderMap,
    body: &[u8],
    settlement: &Settlement,
) -> Answer {
    let status = match status.is_client_error() || status.is_server_error() {
        true => status,
        // a redirect is no answer to a call, and following one would carry the key along
        false => StatusCode::BAD_GATEWAY,
    };
    let failure = UpstreamError::read(status.as_u16(), body).into_error(target.provider.title);
    tracing::debug!(
        request.id = %settlement.call.id,
        provider = target.provider.name,
        status = status.as_u16(),
        "upstream refused"
    );
    Answer::Whole {
        status,
        headers,
        body: Bytes::new(),
        observed: Box::default(),
        failure: Some(failure),
    }
}

impl Answer {
    /// The response for the client. From here on the settlement lives as long as the body does.
    pub fn deliver(self, mut settlement: Settlement) -> Response<Body> {
        match self {
            Answer::Whole {
                headers: upstream_headers,
                failure: Some(failure),
                ..
            } => {
                let call = &settlement.call;
                let mut response = error::respond(call.format, call.id, &failure);
                headers::from_upstream(response.headers_mut(), &upstream_headers);
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                settlement.upstream_refused(&failure);
                response
            }
            Answer::Whole {
                status,
                headers: upstream_headers,
                body,
                observed,
                failure: None,
            } => deliver_whole(status, &upstream_headers, body, &observed, settlement),
            Answer::Stream {
                status,
                headers: upstream_headers,
                source,
                watch,
                silence,
            } => {
                let mut response = Response::new(Body::Whole(None));
                *response.status_mut() = status;
                let headers = response.headers_mut();
                settlement.describe(headers);
                settlement.describe_key(headers);
                settlement.pass_headers(headers, &upstream_headers);
                headers::stream(headers);
                *response.body_mut() = Body::Stream(Box::new(Forward {
                    source,
                    passing: Some(Passing { watch, settlement }),
                    silence,
                    breaks_off: Breaks::Not,
                    settled: None,
                    last_heard: Instant::now(),
                    alarm: Box::pin(tokio::time::sleep(silence)),
                }));
                response
            }
        }
    }
}

fn deliver_whole(
    status: StatusCode,
    upstream_headers: &HeaderMap,
    body: Bytes,
    observed: &Observed,
    mut settlement: Settlement,
) -> Response<Body> {
    match settlement.call.stream {
        true => kept::keep_streamed(&mut settlement, &body),
        false => kept::keep(&mut settlement, &body),
    }
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    settlement.describe(headers);
    settlement.pass_headers(headers, upstream_headers);
    let settled = settlement.completed(observed);
    headers::cost(headers, settled.cost, settled.usage_source);
    settlement.describe_key(headers);
    response
}

/// An answer that cannot say in its own words that it is not whole.
#[derive(Debug)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the provider broke off in the midst of its answer")
    }
}

impl std::error::Error for BrokenOff {}

/// A stream under way. Dropping it cancels the upstream and settles what was received.
pub struct Forward {
    source: upstream::Incoming,
    /// `None`: at its end, and settled.
    passing: Option<Passing>,
    silence: Duration,
    breaks_off: Breaks,
    /// What the stream came to, once it has come to its end.
    settled: Option<Settled>,
    last_heard: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// Whether the client is to be cut off, as it would take what it got for the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Breaks {
    #[default]
    Not,
    Soon,
    Now,
}

struct Passing {
    watch: Watch,
    settlement: Settlement,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward").finish_non_exhaustive()
    }
}

impl Forward {
    /// The next piece for the client; `None` at the end.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Bytes, BrokenOff>>> {
        while self.passing.is_some() {
            let arrived = match self.source.poll_piece(context) {
                Poll::Ready(arrived) => arrived,
                Poll::Pending if self.poll_silence(context).is_ready() => {
                    Some(Err(self.gone_silent()))
                }
                Poll::Pending => return Poll::Pending,
            };
            let bytes = match arrived {
                Some(Ok(bytes)) => {
                    self.last_heard = Instant::now();
                    self.observe(bytes)
                }
                Some(Err(failure)) => self.end(Some(failure)),
                None => self.end(None),
            };
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
        match std::mem::take(&mut self.breaks_off) {
            Breaks::Not => Poll::Ready(None),
            Breaks::Soon => {
                // what the client is still to get goes out while we wait
                self.breaks_off = Breaks::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Breaks::Now => Poll::Ready(Some(Err(BrokenOff))),
        }
    }

    /// What the stream came to; `None` before its end, and where it broke off.
    pub fn take_settled(&mut self) -> Option<Settled> {
        self.settled.take()
    }

    /// What of a piece goes on to the client now.
    fn observe(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.passing {
            Some(passing) => {
                let bytes = passing.watch.feed(bytes);
                kept::keep_streamed(&mut passing.settlement, &bytes);
                bytes
            }
            None => Bytes::new(),
        }
    }

    /// Ready when nothing was heard for too long. The alarm is set anew only when it goes off, so
    /// that a piece costs a look at the clock and no timer.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let due = self.last_heard + self.silence;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due);
        }
        Poll::Pending
    }

    fn gone_silent(&self) -> Error {
        Error::new(
            Code::UpstreamTimeout,
            format!(
                "the provider stopped in the midst of its answer for {:?}",
                self.silence
            ),
        )
    }

    /// Settles the call; gives what is left to send.
    fn end(&mut self, failure: Option<Error>) -> Bytes {
        let Some(Passing {
            watch,
            mut settlement,
        }) = self.passing.take()
        else {
            return Bytes::new();
        };
        let Some(failure) = failure else {
            let (rest, observed) = watch.finish();
            kept::keep_streamed(&mut settlement, &rest);
            self.settled = Some(settlement.stream_ended(&observed));
            return rest;
        };
        tracing::warn!(request.id = %settlement.call.id, error = %failure, "stream broke off");
        if !watch.has_last_words() {
            self.breaks_off = Breaks::Soon;
        }
        let (rest, observed) = watch.break_off(&settlement.call, &failure);
        settlement.stream_broke(&observed, &failure);
        rest
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        if let Some(Passing {
            watch,
            mut settlement,
        }) = self.passing.take()
        {
            let (_, observed) = watch.finish();
            settlement.client_left(&observed);
        }
    }
}
