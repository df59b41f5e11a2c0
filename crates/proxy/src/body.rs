//! The bodies that go out: segments of a request to the upstream, answers to the client.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::realtime::Session;
use crate::respond::{BrokenOff, Forward};
use crate::v2::Words;

/// The body of an answer: what is known whole, or a stream under way.
#[derive(Debug)]
pub enum Body {
    Whole(Option<Bytes>),
    Stream(Box<Forward>),
    /// A stream in the events of the `/v2` API.
    Words(Box<Words>),
    /// No body: the connection goes on with this when the head of the answer is sent.
    Session(Option<Session>),
}

impl Body {
    pub fn whole(bytes: impl Into<Bytes>) -> Body {
        Body::Whole(Some(bytes.into()).filter(|bytes: &Bytes| !bytes.is_empty()))
    }

    /// The session that the answer begins, to be run once the connection has left HTTP behind.
    pub fn take_session(&mut self) -> Option<Session> {
        match self {
            Body::Session(session) => session.take(),
            Body::Whole(_) | Body::Stream(_) | Body::Words(_) => None,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Stream(forward) => forward
                .poll_next(context)
                .map(|next| next.map(|bytes| bytes.map(Frame::data))),
            Body::Words(words) => words
                .poll_next(context)
                .map(|next| next.map(|bytes| Ok(Frame::data(bytes)))),
            Body::Session(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole(bytes) => bytes.is_none(),
            Body::Stream(_) | Body::Words(_) => false,
            Body::Session(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => exactly(bytes.as_ref().map_or(0, Bytes::len)),
            Body::Stream(_) | Body::Words(_) => SizeHint::default(),
            Body::Session(_) => exactly(0),
        }
    }
}

/// A request's body as segments that share the client's bytes: nothing is copied to be sent.
#[derive(Clone, Debug)]
pub struct Segments {
    segments: std::vec::IntoIter<Bytes>,
}

impl Segments {
    pub fn new(segments: Vec<Bytes>) -> Segments {
        Segments {
            segments: segments.into_iter(),
        }
    }

    /// All of it in one piece, for a signature over it.
    pub fn concat(&self) -> Vec<u8> {
        self.segments.as_slice().concat()
    }

    pub fn into_segments(self) -> std::vec::IntoIter<Bytes> {
        self.segments
    }

    pub fn len(&self) -> usize {
        self.segments.as_slice().iter().map(Bytes::len).sum()
    }
}

fn exactly(length: usize) -> SizeHint {
    SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
}
