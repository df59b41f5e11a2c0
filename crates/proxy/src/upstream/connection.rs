//! A connection to a provider: one request and its answer at a time, read and written by whoever holds
//! it. There is no task and no channel between it and the call, so a call that is dropped takes its
//! connection along, which cancels it at the provider.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::head::{self, Head};

/// Room for what one read may bring, in bytes.
const READ: usize = 16 << 10;

thread_local! {
    /// Where a read puts what it brings. One for all connections of a thread, as most of them wait, some
    /// for minutes, and room of their own would be most of what an open stream costs.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}
/// Segments that one write takes.
const MOST_SLICES: usize = 8;

/// TLS keeps much beside the socket, and most of what is kept of a call is its connection.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>),
}

/// Does the same with either kind of stream.
macro_rules! on_stream {
    ($stream:expr, $name:ident => $what:expr) => {
        match $stream {
            Stream::Plain($name) => {
                let $name = Pin::new($name);
                $what
            }
            Stream::Tls($name) => {
                let $name = Pin::new(&mut **$name);
                $what
            }
        }
    };
}

/// An open connection.
pub struct Connection {
    stream: Stream,
    /// What was read and not yet taken.
    pub buffer: BytesMut,
}

/// A request on its way out: its head, then its body in segments.
pub struct Outgoing {
    head: BytesMut,
    segments: std::vec::IntoIter<Bytes>,
    /// What is left of the segment that is being sent.
    segment: Bytes,
    /// Something of it was taken by the system.
    pub has_begun: bool,
}

impl Outgoing {
    pub fn new(head: BytesMut, segments: std::vec::IntoIter<Bytes>) -> Outgoing {
        Outgoing {
            head,
            segments,
            segment: Bytes::new(),
            has_begun: false,
        }
    }

    /// What is to be sent next; none at the end.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MOST_SLICES]) -> usize {
        let head: &[u8] = &self.head;
        let parts = [head, &self.segment].into_iter();
        let rest = self.segments.as_slice().iter().map(|segment| &segment[..]);
        let mut count = 0;
        for part in parts.chain(rest).filter(|part| !part.is_empty()) {
            if count == MOST_SLICES {
                break;
            }
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        self.has_begun = true;
        let of_head = count.min(self.head.len());
        self.head.advance(of_head);
        count -= of_head;
        while count > 0 {
            if self.segment.is_empty() {
                match self.segments.next() {
                    Some(segment) => self.segment = segment,
                    None => return,
                }
            }
            let of_segment = count.min(self.segment.len());
            self.segment.advance(of_segment);
            count -= of_segment;
        }
    }
}

impl Connection {
    pub fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>) -> Connection {
        Connection {
            stream: match stream {
                MaybeHttpsStream::Http(plain) => Stream::Plain(plain.into_inner()),
                tls => Stream::Tls(Box::new(TokioIo::new(tls))),
            },
            buffer: BytesMut::new(),
        }
    }

    /// Whether an idle connection can take a request: the provider has not closed it, and has said
    /// nothing unasked.
    pub fn is_usable(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.buffer.is_empty() && self.poll_read(&mut context).is_pending()
    }

    /// Sends a request and reads until the head of its answer is there. The flag says whether the
    /// request went out whole; an answer may come sooner, when it is a refusal.
    pub fn poll_exchange(
        &mut self,
        outgoing: &mut Outgoing,
        method: &Method,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(Head, bool)>> {
        let written = self.poll_write(outgoing, context);
        loop {
            if let Some(head) = head::read(&mut self.buffer, method)? {
                let is_sent = matches!(written, Poll::Ready(Ok(())));
                return Poll::Ready(Ok((head, is_sent)));
            }
            match (self.poll_read(context), &written) {
                (Poll::Ready(Ok(1..)), _) => {}
                // why the connection broke is told by the side that met it first
                (Poll::Ready(_), Poll::Ready(Err(error))) => {
                    return Poll::Ready(Err(io::Error::new(error.kind(), error.to_string())));
                }
                (Poll::Ready(Ok(0)), _) => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                (Poll::Ready(Err(error)), _) => return Poll::Ready(Err(error)),
                (Poll::Pending, Poll::Ready(Err(error))) if !outgoing.has_begun => {
                    return Poll::Ready(Err(io::Error::new(error.kind(), error.to_string())));
                }
                (Poll::Pending, _) => return Poll::Pending,
            }
        }
    }

    fn poll_write(
        &mut self,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let count = outgoing.slices(&mut slices);
            if count == 0 {
                return on_stream!(&mut self.stream, stream => stream.poll_flush(context));
            }
            let slices = &slices[..count];
            let written = ready!(on_stream!(&mut self.stream, stream => {
                stream.poll_write_vectored(context, slices)
            }))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            outgoing.advance(written);
        }
    }

    /// Reads into the buffer; how much came, 0 at the end.
    pub fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ROOM.with_borrow_mut(|room| {
            let mut room = ReadBuf::new(room);
            ready!(on_stream!(&mut self.stream, stream => stream.poll_read(context, &mut room)))?;
            self.buffer.extend_from_slice(room.filled());
            Poll::Ready(Ok(room.filled().len()))
        })
    }

    /// Lets go of the room for reading, while the connection waits for its next request.
    pub fn rest(&mut self) {
        self.buffer = BytesMut::new();
    }
}

/// The connection as a stream of bytes, for what follows a change of protocol.
impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return on_stream!(&mut self.stream, stream => stream.poll_read(context, into));
        }
        let count = self.buffer.len().min(into.remaining());
        into.put_slice(&self.buffer.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(&mut self.stream, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(&mut self.stream, stream => stream.poll_shutdown(context))
    }
}
