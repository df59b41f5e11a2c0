//! The body of an answer: whole, or a stream of events at a pace, each in a write of its own as
//! providers send them.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::wire::Events;
use crate::{Counts, Knobs};

pub enum Answer {
    Whole(Option<Bytes>),
    Stream(Box<Paced>),
}

pub struct Paced {
    events: Events,
    knobs: Knobs,
    prompt_tokens: u64,
    counts: Option<Arc<Counts>>,
    /// Waits for the next chunk's time; made only where there is a pause.
    timer: Option<Pin<Box<Sleep>>>,
    due: Instant,
    /// Whether hyper had its chance to write the last chunk out.
    flushed: bool,
    ended: bool,
}

impl Paced {
    pub fn new(
        events: Events,
        knobs: Knobs,
        prompt_tokens: u64,
        counts: Option<Arc<Counts>>,
    ) -> Paced {
        let due = Instant::now() + Duration::from_millis(knobs.first_ms.into());
        Paced {
            events,
            knobs,
            prompt_tokens,
            counts,
            timer: (knobs.first_ms > 0).then(|| Box::pin(sleep_until(due))),
            due,
            flushed: true,
            ended: false,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        } else if !self.flushed {
            // Pending makes hyper write out what it holds before it asks again.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (bytes, ends) = self.events.next(now());
        self.ended = ends;
        self.flushed = false;
        if ends && let Some(counts) = &self.counts {
            counts.add(self.prompt_tokens, self.knobs.chunks.into());
        }
        // The closing events follow the last chunk at once.
        if self.knobs.chunk_ms > 0 && !ends && self.events.given() < self.knobs.chunks {
            // By due times and not by pauses, so that a stream does not drift.
            self.due += Duration::from_millis(self.knobs.chunk_ms.into());
            self.timer = Some(Box::pin(sleep_until(self.due)));
        }
        Poll::Ready(Some(bytes))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the load generator compares it with its own reading in another process"
)]
fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos()
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Answer::Whole(bytes) => bytes.take(),
            Answer::Stream(paced) => ready!(paced.poll_next(cx)),
        };
        Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}
