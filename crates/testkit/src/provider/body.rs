//! The body of a scripted reply: its steps in order, each chunk in a write of its own.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Shared;

/// Bytes that go out in one write, and the completion tokens they carry.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub bytes: Bytes,
    pub completion_tokens: u64,
}

pub(super) enum Step {
    Wait(Duration),
    Send(Chunk),
    /// Silence until the provider is told to release.
    Hang,
    /// The connection is closed amid the answer.
    Cut,
}

/// Notices when an answer is dropped before its end: the client left.
pub(super) struct Watched {
    shared: Arc<Shared>,
    answered: bool,
}

impl Watched {
    pub fn new(shared: Arc<Shared>) -> Watched {
        Watched {
            shared,
            answered: false,
        }
    }

    /// From here on a closed connection is no surprise.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    /// Ends with the next release.
    pub fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut released = self.shared.released.subscribe();
        async move {
            if released.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.count(|served| served.abandoned += 1);
        }
    }
}

/// The steps of a reply as an HTTP body.
pub(super) struct Script {
    steps: VecDeque<Step>,
    length: Option<u64>,
    prompt_tokens: u64,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether hyper had its chance to write the last chunk out.
    flushed: bool,
    watched: Watched,
}

impl Script {
    pub fn new(
        steps: VecDeque<Step>,
        length: Option<u64>,
        prompt_tokens: u64,
        mut watched: Watched,
    ) -> Script {
        if steps.is_empty() {
            watched.answered();
        }
        Script {
            steps,
            length,
            prompt_tokens,
            waiting: None,
            flushed: false,
            watched,
        }
    }

    fn sent(&mut self, chunk: &Chunk) {
        let prompt_tokens = std::mem::take(&mut self.prompt_tokens);
        if self.steps.is_empty() {
            self.watched.answered();
        }
        self.watched.shared.count(|served| {
            served.chunks += 1;
            served.prompt_tokens += prompt_tokens;
            served.completion_tokens += chunk.completion_tokens;
        });
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            if !self.flushed {
                // Pending makes hyper write out what it holds before it asks again.
                self.flushed = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(wait)) => {
                    self.waiting = Some(Box::pin(tokio::time::sleep(wait)));
                }
                Some(Step::Hang) => {
                    let released = self.watched.released();
                    self.waiting = Some(Box::pin(released));
                }
                Some(Step::Cut) => {
                    self.watched.answered();
                    return Poll::Ready(Some(Err(Cut)));
                }
                Some(Step::Send(chunk)) => {
                    self.sent(&chunk);
                    self.flushed = false;
                    return Poll::Ready(Some(Ok(Frame::data(chunk.bytes))));
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The connection is closed because the script says so.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut, as told")
    }
}

impl std::error::Error for Cut {}
